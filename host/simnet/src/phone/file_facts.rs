//! What a file's own header says about it: its type, the size of a picture, the length of a recording.
//!
//! Only what phones put into their messages is read, and nothing is believed beyond the bytes that are there.

/// Samples per second in which Opus counts its position, whatever the recording's own rate (RFC 7845).
const OPUS_RATE: u64 = 48_000;
const OGG_MARK: &[u8] = b"OggS";

/// What the header says; `None` where it says nothing that is understood here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileFacts {
    pub(super) mime: Option<&'static str>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) seconds: Option<u32>,
}

/// Reads the header of a file.
pub(super) fn facts(bytes: &[u8]) -> FileFacts {
    png(bytes)
        .or_else(|| gif(bytes))
        .or_else(|| webp(bytes))
        .or_else(|| jpeg(bytes))
        .or_else(|| wav(bytes))
        .or_else(|| ogg(bytes))
        .or_else(|| mp4(bytes))
        .unwrap_or_default()
}

fn picture(mime: &'static str, width: u32, height: u32) -> FileFacts {
    FileFacts { mime: Some(mime), width: Some(width), height: Some(height), seconds: None }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn big_u32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn big_u16(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u16::from_be_bytes).map(u32::from)
}

fn little_u32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn little_u16(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u16::from_le_bytes).map(u32::from)
}

fn png(bytes: &[u8]) -> Option<FileFacts> {
    let is_png = bytes.starts_with(b"\x89PNG\r\n\x1a\n") && array(bytes, 12) == Some(*b"IHDR");
    if !is_png {
        return None;
    }
    Some(picture("image/png", big_u32(bytes, 16)?, big_u32(bytes, 20)?))
}

fn gif(bytes: &[u8]) -> Option<FileFacts> {
    let is_gif = bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a");
    if !is_gif {
        return None;
    }
    Some(picture("image/gif", little_u16(bytes, 6)?, little_u16(bytes, 8)?))
}

fn webp(bytes: &[u8]) -> Option<FileFacts> {
    if !bytes.starts_with(b"RIFF") || array(bytes, 8) != Some(*b"WEBP") {
        return None;
    }
    let size = match &array::<4>(bytes, 12)? {
        // Three bytes each, counted from zero.
        b"VP8X" => (1 + (little_u32(bytes, 24)? & 0x00ff_ffff), 1 + (little_u32(bytes, 26)? >> 8)),
        b"VP8 " => (little_u16(bytes, 26)? & 0x3fff, little_u16(bytes, 28)? & 0x3fff),
        // Fourteen bits each, counted from zero.
        b"VP8L" => {
            let bits = little_u32(bytes, 21)?;
            (1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff))
        }
        _ => return None,
    };
    Some(picture("image/webp", size.0, size.1))
}

fn jpeg(bytes: &[u8]) -> Option<FileFacts> {
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return None;
    }
    let mut at = 2;
    while let Some([0xff, marker]) = array(bytes, at) {
        match marker {
            // A start of frame; the three others in this range are tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some(picture("image/jpeg", big_u16(bytes, at + 7)?, big_u16(bytes, at + 5)?));
            }
            // Fill bytes, and markers without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => at = at.checked_add(2)?.checked_add(usize::try_from(big_u16(bytes, at + 2)?).ok()?)?,
        }
    }
    Some(FileFacts { mime: Some("image/jpeg"), ..FileFacts::default() })
}

fn wav(bytes: &[u8]) -> Option<FileFacts> {
    if !bytes.starts_with(b"RIFF") || array(bytes, 8) != Some(*b"WAVE") {
        return None;
    }
    let rate = little_u32(bytes, 28).filter(|rate| *rate > 0);
    let seconds = rate.and_then(|rate| u32::try_from(bytes.len()).ok().map(|bytes| bytes.div_ceil(rate)));
    Some(FileFacts { mime: Some("audio/wav"), seconds, ..FileFacts::default() })
}

/// The position on the last page is the length of the whole.
fn ogg(bytes: &[u8]) -> Option<FileFacts> {
    if !bytes.starts_with(OGG_MARK) {
        return None;
    }
    let last = bytes.windows(OGG_MARK.len()).rposition(|window| window == OGG_MARK)?;
    let samples = array(bytes, last + 6).map(u64::from_le_bytes)?;
    let is_opus = bytes.windows(8).take(64).any(|window| window == b"OpusHead");
    let seconds = if is_opus { u32::try_from(samples.div_ceil(OPUS_RATE)).ok() } else { None };
    Some(FileFacts { mime: Some("audio/ogg; codecs=opus").filter(|_| is_opus), seconds, ..FileFacts::default() })
}

/// The movie header says how long it is. A film or a sound alone: the container does not tell, so no type is named.
fn mp4(bytes: &[u8]) -> Option<FileFacts> {
    if array(bytes, 4) != Some(*b"ftyp") {
        return None;
    }
    let at = bytes.windows(4).position(|window| window == b"mvhd")? + 4;
    let (scale, duration) = match bytes.get(at)? {
        0 => (big_u32(bytes, at + 12)?, u64::from(big_u32(bytes, at + 16)?)),
        _ => (big_u32(bytes, at + 20)?, array(bytes, at + 24).map(u64::from_be_bytes)?),
    };
    let seconds = duration.checked_div(u64::from(scale)).and_then(|seconds| u32::try_from(seconds).ok());
    Some(FileFacts { seconds, ..FileFacts::default() })
}

#[cfg(test)]
mod tests {
    use super::{FileFacts, facts, picture};

    #[test]
    fn pictures_tell_their_size() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend([0, 0, 2, 0, 0, 0, 1, 0]);
        assert_eq!(facts(&png), picture("image/png", 512, 256));
        assert_eq!(facts(b"GIF89a\x10\0\x20\0"), picture("image/gif", 16, 32));
        let jpeg = [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2][..], &[0xff, 0xc2, 0, 17, 8, 0, 100, 0, 200]].concat();
        assert_eq!(facts(&jpeg), picture("image/jpeg", 200, 100));
        let webp = [&b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0xff, 1, 0, 0xff, 0, 0]].concat();
        assert_eq!(facts(&webp), picture("image/webp", 512, 256));
    }

    #[test]
    fn recordings_tell_their_length() {
        let mut ogg = b"OggS\0\x02".to_vec();
        ogg.extend([0; 22]);
        ogg.extend(b"OpusHead");
        ogg.extend(b"OggS\0\x04");
        ogg.extend((48_000_u64 * 3).to_le_bytes());
        assert_eq!(facts(&ogg).seconds, Some(3));
        let mut mp4 = b"\0\0\0\x18ftypisom....mvhd".to_vec();
        mp4.extend([0; 12]);
        mp4.extend(1_000_u32.to_be_bytes());
        mp4.extend(7_500_u32.to_be_bytes());
        assert_eq!(facts(&mp4).seconds, Some(7));
    }

    #[test]
    fn damaged_files_tell_nothing_and_stop_nothing() {
        for bytes in [
            &b""[..],
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            &[0xff, 0xd8, 0xff],
            &[0xff, 0xd8, 0xff, 0xe0, 0, 0],
            b"RIFF....WEBP",
            b"RIFF....WAVE",
            b"OggS",
            b"....ftyp",
            b"plain text",
        ] {
            let facts = facts(bytes);
            assert_eq!((facts.width, facts.seconds), (None, None), "{bytes:?}");
        }
        assert_eq!(facts(b"plain text"), FileFacts::default());
    }
}
