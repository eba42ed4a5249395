//! Ogg: pages of packets. How long a recording is, and how its packets grow and shrink.

use crate::bytes::{array, little_u16, little_u32, seconds};
use crate::kind::Form;

/// Samples per second in which Opus counts its position, whatever the recording's own rate (RFC 7845).
const OPUS_RATE: u64 = 48_000;
/// Packets in front of an Opus recording: its head and its tags.
const OPUS_HEADERS: usize = 2;
/// Bytes of a page's head before its table of segments.
const PAGE_HEAD_BYTES: usize = 27;
/// The value of a segment that its packet does not end with.
const SEGMENT_FULL: u8 = 255;
/// A position that means none.
const NO_POSITION: u64 = u64::MAX;

struct Page<'a> {
    position: u64,
    stream: u32,
    segments: &'a [u8],
    content: &'a [u8],
}

/// Pages from the beginning to the first that is not whole.
fn pages(bytes: &[u8]) -> impl Iterator<Item = Page<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let page = bytes.get(at..)?;
        if !page.starts_with(b"OggS") {
            return None;
        }
        let position = array(page, 6).map(u64::from_le_bytes)?;
        let stream = little_u32(page, 14)?;
        let count = usize::from(*page.get(PAGE_HEAD_BYTES - 1)?);
        let segments = page.get(PAGE_HEAD_BYTES..PAGE_HEAD_BYTES + count)?;
        let length: usize = segments.iter().map(|segment| usize::from(*segment)).sum();
        let begin = PAGE_HEAD_BYTES + count;
        let content = page.get(begin..begin + length)?;
        at = at.checked_add(begin + length)?;
        Some(Page { position, stream, segments, content })
    })
}

/// What the first page says the sound is.
pub(crate) fn form(bytes: &[u8]) -> Form {
    match pages(bytes).next() {
        Some(page) if page.content.starts_with(b"OpusHead") => Form::OggOpus,
        Some(page) if page.content.starts_with(b"\x01vorbis") => Form::OggOther,
        Some(page) if page.content.starts_with(b"\x7fFLAC") || page.content.starts_with(b"Speex") => Form::OggOther,
        Some(_) => Form::Unknown("application/ogg"),
        None => Form::Unknown("application/octet-stream"),
    }
}

/// What the pages say of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) seconds: Option<u32>,
    /// Sizes of its packets, bytes, in order.
    pub(crate) packets: Vec<u32>,
}

/// Reads the pages of the first stream.
pub(crate) fn recording(bytes: &[u8]) -> Recording {
    let Some(first) = pages(bytes).next() else { return Recording::default() };
    let opus = first.content.starts_with(b"OpusHead");
    let (rate, skipped) = if opus {
        (OPUS_RATE, little_u16(first.content, 10).map_or(0, u64::from))
    } else {
        (little_u32(first.content, 12).map_or(0, u64::from), 0)
    };
    let (mut last, mut size) = (0, 0_u32);
    let mut packets = Vec::new();
    for page in pages(bytes).filter(|page| page.stream == first.stream) {
        if page.position != NO_POSITION {
            last = page.position;
        }
        for segment in page.segments {
            size = size.saturating_add(u32::from(*segment));
            if *segment != SEGMENT_FULL {
                packets.push(std::mem::take(&mut size));
            }
        }
    }
    packets.drain(..packets.len().min(OPUS_HEADERS));
    Recording { seconds: seconds(last.saturating_sub(skipped), rate).filter(|_| last > 0), packets }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn page(position: u64, stream: u32, packets: &[&[u8]]) -> Vec<u8> {
        let mut segments = Vec::new();
        for packet in packets {
            segments.extend(std::iter::repeat_n(SEGMENT_FULL, packet.len() / 255));
            segments.push(u8::try_from(packet.len() % 255).unwrap());
        }
        let mut page = b"OggS\0\0".to_vec();
        page.extend(position.to_le_bytes());
        page.extend(stream.to_le_bytes());
        page.extend([0; 8]);
        page.push(u8::try_from(segments.len()).unwrap());
        page.extend(segments);
        page.extend(packets.concat());
        page
    }

    /// An Opus recording with a packet of each size, 20 ms each.
    pub(crate) fn a_recording(sizes: &[usize]) -> Vec<u8> {
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(312_u16.to_le_bytes());
        head.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
        let mut file = [page(0, 7, &[&head]), page(0, 7, &[b"OpusTags\0\0\0\0\0\0\0\0"])].concat();
        for (n, size) in (1..).zip(sizes) {
            file.extend(page(312 + n * 960, 7, &[&vec![0; *size]]));
        }
        file
    }

    #[test]
    fn a_recording_tells_its_length_without_what_is_skipped_at_its_beginning() {
        let found = recording(&a_recording(&[100, 255, 600]));
        assert_eq!(found, Recording { seconds: Some(1), packets: vec![100, 255, 600] });
        assert_eq!(recording(&a_recording(&[10; 100])).seconds, Some(2));
        assert_eq!(form(&a_recording(&[1])), Form::OggOpus);
    }

    #[test]
    fn a_page_of_another_stream_does_not_count() {
        let mut file = a_recording(&[100; 50]);
        file.extend(page(48_000 * 999, 8, &[b"other"]));
        assert_eq!(recording(&file).seconds, Some(1));
    }

    #[test]
    fn what_was_cut_off_tells_what_came_before() {
        let whole = a_recording(&[100; 100]);
        for end in 0..whole.len() {
            assert!(recording(&whole[..end]).seconds.unwrap_or(0) <= 2);
            let _ = form(&whole[..end]);
        }
        assert_eq!(recording(b"OggS"), Recording::default());
    }
}
