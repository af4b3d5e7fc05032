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
}
