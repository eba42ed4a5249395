//! QR codes: as a picture for cameras, and as text for terminals.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, as ISO/IEC 18004 asks.
const QUIET_MODULES: usize = 4;
/// Pixels of one module in the picture.
const MODULE_PIXELS: usize = 6;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QrError {
    /// The text does not fit.
    #[error("a text of {bytes} bytes does not fit a QR code: {source}")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// What the encoder said.
        source: qrcode::types::QrError,
    },
    /// The picture cannot be written.
    #[error("the picture cannot be written: {0}")]
    Picture(#[from] png::EncodingError),
}

/// Dark or light, row by row, with its quiet zone.
struct Modules {
    side: usize,
    dark: Vec<bool>,
}

impl Modules {
    fn of(text: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L)
            .map_err(|source| QrError::TooLong { bytes: text.len(), source })?;
        let (width, colors) = (code.width(), code.to_colors());
        let side = width + 2 * QUIET_MODULES;
        let mut dark = vec![false; side * side];
        for (at, color) in colors.into_iter().enumerate() {
            let (x, y) = (at % width + QUIET_MODULES, at / width + QUIET_MODULES);
            if let Some(module) = dark.get_mut(y * side + x) {
                *module = color == Color::Dark;
            }
        }
        Ok(Self { side, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.side && self.dark.get(y * self.side + x).copied().unwrap_or(false)
    }
}

/// The code as a black and white PNG.
pub(crate) fn png(text: &str) -> Result<Vec<u8>, QrError> {
    let modules = Modules::of(text)?;
    let pixels = modules.side * MODULE_PIXELS;
    let side = u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let shade = |at: usize| {
        let (x, y) = (at % pixels / MODULE_PIXELS, at / pixels / MODULE_PIXELS);
        if modules.is_dark(x, y) { 0 } else { 255 }
    };
    let data: Vec<u8> = (0..pixels * pixels).map(shade).collect();
    writer.write_image_data(&data)?;
    writer.finish()?;
    Ok(picture)
}

/// The code in half blocks, dark on light, for a terminal of any colours.
pub(crate) fn terminal(text: &str) -> Result<String, QrError> {
    let modules = Modules::of(text)?;
    let mut drawn = String::new();
    for y in (0..modules.side).step_by(2) {
        drawn.push_str("\u{1b}[30;107m");
        for x in 0..modules.side {
            drawn.push(match (modules.is_dark(x, y), modules.is_dark(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawn.push_str("\u{1b}[0m\n");
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as the text of a real pairing code.
    const CODE: &str = "2@J5zXkq0oC9n0y1mR8c2Qb7H3sVd6TgWfLpE4uAiKxNhYrPtZlBvMwOaSjDkGeUq,\
        Xq3yq2mKq0b8M1n5v7c9x0z2a4s6d8f1g3h5j7k9l0Q=,pT6yU8iO0pA2sD4fG6hJ8kL0zX2cV4bN6mQ8wE0rT2Y=,\
        kL9jH7gF5dS3aP1oI8uY6tR4eW2qM0nB7vC5xZ3lK1J=,1";

    #[test]
    fn any_decoder_reads_the_picture() {
        let png = png(CODE).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (frame.width as usize, frame.height as usize);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        let found = image.detect_grids();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].decode().unwrap().1, CODE);
    }

    #[test]
    fn the_terminal_shows_the_same_modules() {
        let modules = Modules::of(CODE).unwrap();
        let drawn = terminal(CODE).unwrap();
        let dark_halves: usize = drawn
            .chars()
            .map(|c| match c {
                '█' => 2,
                '▀' | '▄' => 1,
                _ => 0,
            })
            .sum();
        assert_eq!(dark_halves, modules.dark.iter().filter(|dark| **dark).count());
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused_with_its_size() {
        let error = png(&"x".repeat(5000)).unwrap_err().to_string();
        assert!(error.contains("5000"), "{error}");
    }
}
