//! Sounds that are plain rows of frames: how long they are, counted frame by frame.

use crate::bytes::{array, big_u32, little_u16, little_u32, seconds};

/// Bit rates of MPEG-1 layer III and of MPEG-2 layer III, kbit/s, by index.
const MP3_RATES: [[u32; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// Samples per second of MPEG-1, by index; halved for MPEG-2 and halved again for 2.5.
const MP3_SAMPLES: [u32; 3] = [44_100, 48_000, 32_000];
/// Samples per second of AAC, by index.
const AAC_SAMPLES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// Samples of an AAC frame.
const AAC_FRAME: u64 = 1024;
/// Bytes of an AMR frame after its head, by mode; 0 for modes that are not used.
const AMR_BYTES: [usize; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0];
const AMR_WIDE_BYTES: [usize; 16] = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0];
/// AMR frames a second.
const AMR_RATE: u64 = 50;
/// How far behind a tag the first frame of MPEG sound may begin.
const SEARCH_BYTES: usize = 4096;

/// A frame: how long it is, how many samples it holds, and how many make a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    bytes: usize,
    samples: u64,
    rate: u32,
}

fn mp3_frame(bytes: &[u8], at: usize) -> Option<Frame> {
    let [sync, version, rates, _] = array::<4>(bytes, at)?;
    let is_layer_3 = sync == 0xff && version & 0xe0 == 0xe0 && version & 0x06 == 0x02;
    let (halved, samples) = match version & 0x18 {
        0x18 => (0, 1152),
        0x10 => (1, 576),
        0x00 => (2, 576),
        _ => return None,
    };
    let kilobits = *MP3_RATES.get(usize::from(halved > 0))?.get(usize::from(rates >> 4))?;
    let rate = *MP3_SAMPLES.get(usize::from(rates >> 2 & 3))? >> halved;
    let padding = u32::from(rates >> 1 & 1);
    let length = u32::try_from(samples / 8).ok()? * kilobits * 1000 / rate + padding;
    (is_layer_3 && kilobits > 0).then_some(Frame { bytes: usize::try_from(length).ok()?, samples, rate })
}

fn adts_frame(bytes: &[u8], at: usize) -> Option<Frame> {
    let head = array::<7>(bytes, at)?;
    let [sync, version, form, ..] = head;
    let is_aac = sync == 0xff && version & 0xf6 == 0xf0;
    let rate = *AAC_SAMPLES.get(usize::from(form >> 2 & 15))?;
    let length = usize::try_from(big_u32(&head, 3)? >> 13 & 0x1fff).ok()?;
    let blocks = u64::from(head.last()? & 3) + 1;
    (is_aac && length >= head.len()).then_some(Frame { bytes: length, samples: AAC_FRAME * blocks, rate })
}

/// Bytes of the ID3 tags in front.
fn tags(bytes: &[u8]) -> usize {
    let mut at = 0_usize;
    while bytes.get(at..).is_some_and(|rest| rest.starts_with(b"ID3")) {
        let Some(size) = big_u32(bytes, at + 6) else { break };
        // Seven bits of each byte count.
        let size = (0..4).fold(0_u32, |sum, n| sum << 7 | (size >> (24 - 8 * n) & 0x7f));
        at = at.saturating_add(10).saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    }
    at.min(bytes.len())
}

type ReadFrame = fn(&[u8], usize) -> Option<Frame>;

/// Two frames in a row from `at`, or one that ends with the file.
fn begins(bytes: &[u8], at: usize, read: ReadFrame) -> bool {
    read(bytes, at).is_some_and(|frame| {
        let next = at.saturating_add(frame.bytes);
        next == bytes.len() || read(bytes, next).is_some()
    })
}

pub(crate) fn is_adts(bytes: &[u8]) -> bool {
    begins(bytes, tags(bytes), adts_frame)
}

pub(crate) fn is_mp3(bytes: &[u8]) -> bool {
    let tagged = tags(bytes);
    // A tag is believed when anything like a frame follows; without one, frames must begin at once.
    begins(bytes, tagged, mp3_frame) || (tagged > 0 && mp3_frame(bytes, tagged).is_some())
}

/// Seconds of a row of frames; what is no frame is passed over as players do, for a while.
fn count(bytes: &[u8], read: ReadFrame) -> Option<u32> {
    let (mut at, mut lost, mut samples, mut rate) = (tags(bytes), 0, 0_u64, 0);
    while at < bytes.len() && lost < SEARCH_BYTES {
        match read(bytes, at) {
            Some(frame) if frame.bytes > 0 => {
                samples += frame.samples;
                rate = frame.rate;
                at = at.saturating_add(frame.bytes);
            }
            _ => {
                at += 1;
                lost += 1;
            }
        }
    }
    seconds(samples, u64::from(rate)).filter(|_| samples > 0)
}

pub(crate) fn mp3_seconds(bytes: &[u8]) -> Option<u32> {
    count(bytes, mp3_frame)
}

pub(crate) fn adts_seconds(bytes: &[u8]) -> Option<u32> {
    count(bytes, adts_frame)
}

pub(crate) fn amr_seconds(bytes: &[u8], wide: bool) -> Option<u32> {
    let (mut at, table) = if wide { (9, AMR_WIDE_BYTES) } else { (6, AMR_BYTES) };
    let mut frames = 0_u64;
    while let Some(head) = bytes.get(at) {
        let length = table.get(usize::from(head >> 3 & 15)).copied().unwrap_or_default();
        at += 1 + length;
        frames += 1;
    }
    seconds(frames, AMR_RATE).filter(|_| frames > 0)
}

/// Length in samples and rate stand in the first block of a FLAC.
pub(crate) fn flac_seconds(bytes: &[u8]) -> Option<u32> {
    let packed = array::<8>(bytes, 18).map(u64::from_be_bytes)?;
    let (rate, samples) = (packed >> 44, packed & 0xf_ffff_ffff);
    seconds(samples, rate).filter(|_| samples > 0)
}

/// The samples of a WAVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wave<'a> {
    pub(crate) bytes_per_second: u32,
    pub(crate) data: &'a [u8],
    /// Samples are plain 16-bit numbers.
    pub(crate) plain_16_bit: bool,
}

pub(crate) fn wave(bytes: &[u8]) -> Option<Wave<'_>> {
    const PLAIN: u16 = 1;
    let mut format = None;
    let mut at = 12_usize;
    loop {
        let (name, size) = (array::<4>(bytes, at)?, usize::try_from(little_u32(bytes, at + 4)?).ok()?);
        let begin = at + 8;
        let end = begin.checked_add(size)?;
        if name == *b"fmt " {
            let plain = little_u16(bytes, begin) == Some(PLAIN) && little_u16(bytes, begin + 14) == Some(16);
            format = Some((little_u32(bytes, begin + 8)?, plain));
        }
        if name == *b"data" {
            let (bytes_per_second, plain_16_bit) = format?;
            let data = bytes.get(begin..end.min(bytes.len()))?;
            return Some(Wave { bytes_per_second, data, plain_16_bit });
        }
        at = end.checked_add(size & 1)?;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A recording of 16-bit samples, one channel.
    pub(crate) fn a_wave(rate: u32, samples: &[i16]) -> Vec<u8> {
        let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + u32::try_from(data.len()).unwrap()).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        file.extend(rate.to_le_bytes());
        file.extend((rate * 2).to_le_bytes());
        file.extend(b"\x02\0\x10\0data");
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        file.extend(data);
        file
    }

    fn mp3(frames: usize) -> Vec<u8> {
        // 128 kbit/s, 44.1 kHz: 417 bytes and 1152 samples each.
        let mut frame = vec![0xff, 0xfb, 0x90, 0];
        frame.resize(417, 0);
        frame.repeat(frames)
    }

    #[test]
    fn frames_are_counted() {
        assert_eq!(mp3_seconds(&mp3(383)), Some(11));
        let tagged = [&b"ID3\x04\0\0\0\0\x01\0"[..], &[0; 128], &mp3(39)].concat();
        assert_eq!((mp3_seconds(&tagged), is_mp3(&tagged)), (Some(2), true));
        let adts = [0xff, 0xf1, 0x50, 0x80, 0x01, 0x1f, 0xfc, 0].repeat(44);
        assert_eq!((adts_seconds(&adts), is_adts(&adts)), (Some(2), true));
        let amr = [&b"#!AMR\n"[..], &[&[0x3c][..], &[0; 31]].concat().repeat(75)].concat();
        assert_eq!(amr_seconds(&amr, false), Some(2));
        assert_eq!(wave(&a_wave(8000, &[0; 12_000])).map(|wave| wave.data.len()), Some(24_000));
    }

    #[test]
    fn the_beginning_of_a_frame_alone_makes_no_sound() {
        assert!(!is_mp3(b"\xff\xfb\x90\0 and then words"));
        assert!(!is_adts(b"\xff\xf1\x50\x80 and then words"));
        assert!(!is_mp3(b""));
    }

    #[test]
    fn damaged_sounds_tell_what_they_can() {
        assert_eq!(mp3_seconds(b"\xff\xfb"), None);
        assert_eq!(amr_seconds(b"#!AMR\n", false), None);
        assert_eq!(wave(b"RIFF\0\0\0\0WAVEdata\0\0\0\0"), None);
        assert_eq!(wave(b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff"), None);
        assert_eq!(flac_seconds(b"fLaC"), None);
        // Tags that claim to be longer than the file end with it.
        assert_eq!(mp3_seconds(b"ID3\x04\0\0\x7f\x7f\x7f\x7f"), None);
    }
}
