//! The bytes before and between a client's frames: header, lengths, payloads.

use bytes::{Buf as _, BytesMut};
use wacore_binary::consts::WA_CONN_HEADER;

use crate::node_codec::STANZA_BYTES_MAX;

/// Bytes before the first frame: an optional routing hint and the protocol header.
const INTRO_BYTES_MAX: usize = 64 * 1024;
const ROUTING_MARK: &[u8] = b"ED\0\x01";
const ROUTING_HEAD_BYTES: usize = 7;
/// A frame's length comes first, in this many bytes.
const LENGTH_BYTES: usize = 3;
/// Bytes of one frame of the handshake; it carries two keys and what the client says about itself.
pub(crate) const HANDSHAKE_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one frame after the handshake: a stanza and what the encryption adds.
pub(crate) const FRAME_BYTES_MAX: usize = STANZA_BYTES_MAX + 64;

/// Why bytes are no frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameFault {
    #[error("the connection does not begin with the protocol header")]
    NoHeader,
    #[error("a frame of {bytes} bytes is announced; the limit is {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
}

/// Cuts what a client sends into frames. Holds no memory while nothing is unfinished.
#[derive(Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    /// Whether the header has been read.
    begun: bool,
}

impl FrameReader {
    /// Takes in what has arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), FrameFault> {
        self.buffer.extend_from_slice(bytes);
        if self.begun {
            return Ok(());
        }
        match after_header(&self.buffer)?.map(<[u8]>::len) {
            Some(rest) => {
                self.buffer.advance(self.buffer.len() - rest);
                self.begun = true;
                Ok(())
            }
            None if self.buffer.len() > INTRO_BYTES_MAX => Err(FrameFault::NoHeader),
            None => Ok(()),
        }
    }

    /// Whether a whole frame is there. What is announced beyond the limit is refused before it has arrived.
    pub(crate) fn has_frame(&self, bytes_max: usize) -> Result<bool, FrameFault> {
        Ok(self.frame_bytes(bytes_max)?.is_some())
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, FrameFault> {
        let Some(bytes) = self.frame_bytes(bytes_max)? else {
            return Ok(None);
        };
        self.buffer.advance(LENGTH_BYTES);
        let frame = self.buffer.split_to(bytes);
        if self.buffer.is_empty() {
            // The frame takes the memory with it.
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// The length of the next frame, if all of it is there.
    fn frame_bytes(&self, bytes_max: usize) -> Result<Option<usize>, FrameFault> {
        let Some((length, rest)) = self.buffer.split_at_checked(LENGTH_BYTES).filter(|_| self.begun) else {
            return Ok(None);
        };
        let bytes = length.iter().fold(0, |bytes, byte| (bytes << 8) | usize::from(*byte));
        if bytes > bytes_max {
            return Err(FrameFault::TooLarge { bytes, bytes_max });
        }
        Ok((rest.len() >= bytes).then_some(bytes))
    }
}

/// What follows the header, or `None` while it is not complete.
fn after_header(intro: &[u8]) -> Result<Option<&[u8]>, FrameFault> {
    let mut rest = intro;
    if rest.starts_with(ROUTING_MARK) {
        let Some((head, after)) = rest.split_at_checked(ROUTING_HEAD_BYTES) else {
            return Ok(None);
        };
        let length = head.iter().skip(ROUTING_MARK.len()).fold(0, |length, byte| (length << 8) | usize::from(*byte));
        let Some((_, after)) = after.split_at_checked(length) else {
            return Ok(None);
        };
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(WA_CONN_HEADER.as_slice()) {
        return Ok(Some(after));
    }
    let may_follow = WA_CONN_HEADER.starts_with(rest) || (rest.len() == intro.len() && ROUTING_MARK.starts_with(rest));
    if may_follow { Ok(None) } else { Err(FrameFault::NoHeader) }
}

#[cfg(test)]
mod tests {
    use super::{FRAME_BYTES_MAX, FrameFault, FrameReader, INTRO_BYTES_MAX, WA_CONN_HEADER, after_header};

    #[test]
    fn header_may_follow_a_routing_hint() {
        let mut intro = b"ED\0\x01\0\0\x02xy".to_vec();
        assert!(after_header(&intro).unwrap().is_none());
        intro.extend_from_slice(&WA_CONN_HEADER);
        intro.push(9);
        assert_eq!(after_header(&intro).unwrap(), Some([9].as_slice()));
    }

    #[test]
    fn other_protocols_are_refused_at_once() {
        assert!(after_header(b"GET /").is_err());
        assert!(after_header(b"W").unwrap().is_none());
        assert!(after_header(b"ED\0\x01\0\0\x00ED").is_err(), "one routing hint is enough");
    }

    #[test]
    fn frames_are_cut_wherever_the_bytes_were_split() {
        let mut stream = WA_CONN_HEADER.to_vec();
        stream.extend_from_slice(b"\0\0\x03abc\0\0\0\0\0\x01d");
        for chunk in 1..=stream.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for part in stream.chunks(chunk) {
                reader.feed(part).unwrap();
                while let Some(frame) = reader.next(16).unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [b"abc".as_slice(), b"", b"d"], "in chunks of {chunk}");
            assert_eq!(reader.buffer.capacity(), 0);
        }
    }

    #[test]
    fn an_announced_giant_is_refused_before_it_comes() {
        let mut reader = FrameReader::default();
        reader.feed(&WA_CONN_HEADER).unwrap();
        reader.feed(&[0xff, 0xff, 0xff]).unwrap();
        assert!(matches!(reader.next(FRAME_BYTES_MAX), Err(FrameFault::TooLarge { bytes: 0xff_ffff, .. })));
    }

    #[test]
    fn an_endless_intro_is_refused() {
        let mut reader = FrameReader::default();
        let mut intro = b"ED\0\x01\xff\xff\xff".to_vec();
        intro.resize(INTRO_BYTES_MAX + 1, 0);
        assert!(matches!(reader.feed(&intro), Err(FrameFault::NoHeader)));
    }
}
