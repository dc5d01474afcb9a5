//! A QR code as a PNG file (ISO/IEC 15948): one bit a pixel, black on white.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use qrcode::{Color, QrCode};

/// Pixels of a module's side.
const PIXELS: usize = 8;
/// The margin of four modules that ISO/IEC 18004 asks for.
const MARGIN: usize = 4;

/// The file.
///
/// # Errors
/// When memory cannot be written to, which does not happen.
pub(super) fn png(code: &QrCode) -> std::io::Result<Vec<u8>> {
    let side = (code.width() + 2 * MARGIN) * PIXELS;
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let width = u32::try_from(side).unwrap_or(u32::MAX).to_be_bytes();
    // One bit a pixel, greys, and the only methods of compression, filtering and order that there are.
    chunk(&mut file, b"IHDR", &[&width[..], &width, &[1, 0, 0, 0, 0]].concat());
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&rows(code, side))?;
    chunk(&mut file, b"IDAT", &packed.finish()?);
    chunk(&mut file, b"IEND", &[]);
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(data);
    file.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(sum.finalize().to_be_bytes());
}

/// The rows from the top, each after a byte that says that it is not filtered; a set bit is white.
fn rows(code: &QrCode, side: usize) -> Vec<u8> {
    let (modules, colors) = (code.width(), code.to_colors());
    let is_dark = |x: usize, y: usize| {
        let module = |at: usize| (at / PIXELS).checked_sub(MARGIN).filter(|module| *module < modules);
        matches!((module(x), module(y)), (Some(x), Some(y)) if colors[y * modules + x] == Color::Dark)
    };
    // A module is as wide as a byte has bits, so no byte is of two.
    let mut rows = Vec::with_capacity(side * (1 + side / PIXELS));
    for y in 0..side {
        rows.push(0);
        rows.extend((0..side / PIXELS).map(|byte| if is_dark(byte * PIXELS, y) { 0 } else { 0xff }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_picture_holds_the_code_with_its_margin() {
        let code = QrCode::new(b"abandon ability able").expect("a code");
        let file = png(&code).expect("a file");
        assert_eq!((&file[..8], &file[12..16]), (&b"\x89PNG\r\n\x1a\n"[..], &b"IHDR"[..]));
        let side = u32::from_be_bytes(file[16..20].try_into().expect("4 bytes")) as usize;
        assert_eq!(side, (code.width() + 8) * 8);
        let data = &file[8 + 25..];
        let length = u32::from_be_bytes(data[..4].try_into().expect("4 bytes")) as usize;
        let mut unpacked = Vec::new();
        flate2::read::ZlibDecoder::new(&data[8..8 + length]).read_to_end(&mut unpacked).expect("rows");
        let stride = 1 + side / 8;
        assert_eq!(unpacked.len(), side * stride);
        let colors = code.to_colors();
        for y in 0..code.width() {
            for x in 0..code.width() {
                let pixel = unpacked[((y + 4) * 8 + 3) * stride + 1 + x + 4];
                assert_eq!(pixel == 0, colors[y * code.width() + x] == Color::Dark, "{x} {y}");
            }
        }
        assert!(unpacked[..4 * 8 * stride].chunks(stride).all(|row| row[1..].iter().all(|byte| *byte == 0xff)));
    }
}
