//! Pictures: how large they are, and a small JPEG of them.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use crate::kind::Form;

/// Most pixels of a picture that is decoded: more than any phone's camera takes.
pub(crate) const PIXELS_MAX: u64 = 120_000_000;
/// Memory that one decoder may take, bytes.
const DECODER_BYTES_MAX: u64 = 768 * 1024 * 1024;
/// The longer side of the small picture, pixels.
const SMALL_SIDE: u32 = 100;
/// Quality of the small picture, of 100.
const SMALL_QUALITY: u8 = 60;
/// What shines through, where a picture is transparent.
const GROUND: u8 = 255;

/// Why a picture is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It is too large to be looked at.
    #[error("a picture of {width} × {height} pixels; the limit is {PIXELS_MAX} pixels")]
    TooLarge {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// It cannot be read.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
}

/// A picture's size and its small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) small: Vec<u8>,
}

/// Looks at a picture. Of a moving one, the first frame alone is decoded.
pub(crate) fn picture(form: Form, bytes: &[u8]) -> Result<Picture, PictureError> {
    let format = match form {
        Form::Png => ImageFormat::Png,
        Form::Gif => ImageFormat::Gif,
        Form::Webp => ImageFormat::WebP,
        _ => ImageFormat::Jpeg,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| damaged(&error))?;
    let (width, height) = decoder.dimensions();
    // Before a byte of it is unpacked: the header is a promise that costs its sender nothing.
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(PictureError::TooLarge { width, height });
    }
    let turned = decoder.orientation().ok();
    let mut whole = DynamicImage::from_decoder(decoder).map_err(|error| damaged(&error))?;
    let small_first = whole.thumbnail(SMALL_SIDE, SMALL_SIDE);
    whole = small_first;
    let (mut width, mut height) = (width, height);
    if let Some(turned) = turned {
        let before = whole.dimensions();
        whole.apply_orientation(turned);
        // A picture that is not square shows whether it was laid on its side.
        if before.0 != before.1 && whole.dimensions() == (before.1, before.0) {
            (width, height) = (height, width);
        }
    }
    Ok(Picture { width, height, small: small(&whole)? })
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    limits
}

fn damaged(error: &ImageError) -> PictureError {
    PictureError::Damaged(error.to_string())
}

/// A JPEG of what is there, on white.
fn small(picture: &DynamicImage) -> Result<Vec<u8>, PictureError> {
    let (width, height) = picture.dimensions();
    let mut ground = RgbImage::from_pixel(width, height, Rgb([GROUND; 3]));
    for (x, y, pixel) in picture.to_rgba8().enumerate_pixels() {
        let [red, green, blue, alpha] = pixel.0;
        let over = |colour: u8| {
            let mixed = (u16::from(colour) * u16::from(alpha) + u16::from(GROUND) * (255 - u16::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(GROUND)
        };
        if let Some(under) = ground.get_pixel_mut_checked(x, y) {
            *under = Rgb([over(red), over(green), over(blue)]);
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, SMALL_QUALITY).encode_image(&ground).map_err(|error| damaged(&error))?;
    Ok(jpeg)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    /// A picture in this format.
    pub(crate) fn a_picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let rgba = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8, y as u8, 128, 255]));
        let whole = DynamicImage::ImageRgba8(rgba);
        let whole = if format == ImageFormat::Jpeg { DynamicImage::ImageRgb8(whole.to_rgb8()) } else { whole };
        whole.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_gets_a_small_picture_of_the_same_shape() {
        for (form, format) in [
            (Form::Jpeg, ImageFormat::Jpeg),
            (Form::Png, ImageFormat::Png),
            (Form::Gif, ImageFormat::Gif),
            (Form::Webp, ImageFormat::WebP),
        ] {
            let found = picture(form, &a_picture(400, 200, format)).unwrap();
            assert_eq!((found.width, found.height), (400, 200), "{format:?}");
            let small = image::load_from_memory_with_format(&found.small, ImageFormat::Jpeg).unwrap();
            assert_eq!(small.dimensions(), (100, 50), "{format:?}");
            assert!(found.small.len() < 8 * 1024, "{format:?}: {} bytes", found.small.len());
        }
    }

    #[test]
    fn a_transparent_picture_gets_a_white_ground() {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgba8(RgbaImage::new(8, 8)).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let found = picture(Form::Png, &bytes.into_inner()).unwrap();
        let small = image::load_from_memory(&found.small).unwrap().to_rgb8();
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|colour| *colour > 250)));
    }

    #[test]
    fn a_picture_that_was_cut_off_is_refused() {
        for (form, format) in [(Form::Png, ImageFormat::Png), (Form::Gif, ImageFormat::Gif), (Form::Webp, ImageFormat::WebP)]
        {
            let whole = a_picture(64, 64, format);
            for end in [0, 1, 8, 20, 40, whole.len() / 2] {
                let refused = picture(form, &whole[..end.min(whole.len() / 2)]);
                assert!(matches!(refused, Err(PictureError::Damaged(_))), "{format:?} {end}: {refused:?}");
            }
        }
    }
}
