//! A peer's id as a QR code (ISO/IEC 18004) of half blocks: two rows of it in a line. Used by `show`.

use netkit_proto::ids::PeerId;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Black on white, whatever the terminal's colours are.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const AS_BEFORE: &str = "\u{1b}[0m";

/// The lines; without colours they are right where text is light on dark. In capitals, which need the fewest modules and
/// mean the same.
pub(super) fn lines(id: PeerId, has_colors: bool) -> Vec<String> {
    let text = id.to_string().to_ascii_uppercase();
    // 52 such characters always fit.
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return Vec::new() };
    let (dark, light) =
        if has_colors { (Dense1x2::Dark, Dense1x2::Light) } else { (Dense1x2::Light, Dense1x2::Dark) };
    let image = code.render::<Dense1x2>().dark_color(dark).light_color(light).build();
    let line = |line: &str| {
        if has_colors { format!("{BLACK_ON_WHITE}{line}{AS_BEFORE}") } else { line.to_owned() }
    };
    image.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_small_enough_for_any_terminal() {
        let id = PeerId([0xa5; 32]);
        let plain = lines(id, false);
        // 29 modules and 4 light ones at each side.
        assert_eq!((plain.len(), plain[5].chars().count()), (19, 37));
        assert!(plain[0].chars().all(|c| c == '█'), "the margin is light: {}", plain[0]);
        let colored = lines(id, true);
        assert!(colored.iter().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(AS_BEFORE)));
    }

    /// What a camera reads of the lines: each half block is a square of so many points, light or dark.
    fn read(lines: &[String], is_light_on_dark: bool) -> String {
        const POINTS: usize = 4;
        let rows: Vec<Vec<[bool; 2]>> = (lines.iter())
            .map(|line| {
                let blocks = line.trim_start_matches(BLACK_ON_WHITE).trim_end_matches(AS_BEFORE).chars();
                let halves = blocks.map(|block| match block {
                    '█' => [true, true],
                    '▀' => [true, false],
                    '▄' => [false, true],
                    ' ' => [false, false],
                    other => panic!("{other:?}"),
                });
                halves.collect()
            })
            .collect();
        let is_light = |x: usize, y: usize| rows[y / 2][x][y % 2] == is_light_on_dark;
        let (width, height) = (rows[0].len() * POINTS, rows.len() * 2 * POINTS);
        let point = |x, y| if is_light(x / POINTS, y / POINTS) { u8::MAX } else { 0 };
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, point);
        let codes = picture.detect_grids();
        let [code] = &codes[..] else { panic!("{} codes", codes.len()) };
        code.decode().unwrap().1
    }

    #[test]
    fn a_camera_reads_the_id() {
        for seed in 0..32_u8 {
            let id = PeerId(std::array::from_fn(|n| (n as u8).wrapping_mul(37).wrapping_add(seed)));
            assert_eq!(read(&lines(id, false), true).to_lowercase(), id.to_string());
            assert_eq!(read(&lines(id, true), false).to_lowercase(), id.to_string());
        }
    }
}
