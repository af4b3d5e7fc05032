//! What is put behind everything that is sent: line ends and check values, in the order they were asked for, each over
//! all that stands before it. Called by `run`, `input` and `reply` through `settings`.

use crc::{CRC_16_MODBUS, CRC_32_ISO_HDLC, Crc};

/// What to put behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Append {
    /// \n
    Lf,
    /// \r\n
    Crlf,
    /// The sum of all bytes, modulo 256
    Sum8,
    /// All bytes, exclusive-ored
    Xor8,
    /// CRC-16/MODBUS, low byte first, as Modbus RTU has it
    Crc16Modbus,
    /// CRC-32/ISO-HDLC (Ethernet, zip), low byte first
    Crc32,
    /// The same, high byte first
    Crc32Be,
}

/// The names of both algorithms are those of the CRC RevEng catalogue.
const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);
const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Puts `what` behind `bytes`.
pub(super) fn append(bytes: &mut Vec<u8>, what: &[Append]) {
    for kind in what {
        match kind {
            Append::Lf => bytes.push(b'\n'),
            Append::Crlf => bytes.extend_from_slice(b"\r\n"),
            Append::Sum8 => bytes.push(bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))),
            Append::Xor8 => bytes.push(bytes.iter().fold(0, |all, &byte| all ^ byte)),
            Append::Crc16Modbus => bytes.extend_from_slice(&CRC16.checksum(bytes).to_le_bytes()),
            Append::Crc32 => bytes.extend_from_slice(&CRC32.checksum(bytes).to_le_bytes()),
            Append::Crc32Be => bytes.extend_from_slice(&CRC32.checksum(bytes).to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the CRC RevEng catalogue, over `123456789`, and a frame of the Modbus specification.
    #[test]
    fn check_values_are_the_published_ones() {
        for (text, what, added) in [
            (&b"123456789"[..], &[Append::Crc16Modbus][..], &[0x37, 0x4b][..]),
            (b"123456789", &[Append::Crc32], &[0x26, 0x39, 0xf4, 0xcb]),
            (b"123456789", &[Append::Crc32Be], &[0xcb, 0xf4, 0x39, 0x26]),
            (b"123456789", &[Append::Sum8], &[0xdd]),
            (b"123456789", &[Append::Xor8], &[0x31]),
            (&[1, 3, 0, 0, 0, 10], &[Append::Crc16Modbus], &[0xc5, 0xcd]),
            (&[0xff, 2], &[Append::Sum8, Append::Xor8, Append::Crlf, Append::Lf], &[1, 0xfc, 13, 10, 10]),
            (b"", &[Append::Sum8, Append::Crc32], &[0, 0x8d, 0xef, 0x02, 0xd2]),
        ] {
            let mut bytes = text.to_vec();
            append(&mut bytes, what);
            assert_eq!(&bytes[text.len()..], added, "{what:?}");
        }
    }
}
