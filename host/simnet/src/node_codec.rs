//! Bytes to stanzas and back. What comes from outside is weighed before it is decoded.
//!
//! The decoder below us allocates what a list announces and follows an address inside an address as deep as it goes,
//! so a few bytes could cost gigabytes or the whole stack. `weigh` walks the bytes first, allocates nothing, and lets
//! only those through that a decoder can afford.

use bytes::{Buf as _, Bytes, BytesMut};
use wacore_binary::token::{
    AD_JID, BINARY_8, BINARY_20, BINARY_32, DICTIONARY_0, DICTIONARY_3, FB_JID, HEX_8, INTEROP_JID, JID_PAIR, LIST_8,
    LIST_16, LIST_EMPTY, NIBBLE_8,
};
use wacore_binary::zlib_pool::decompress_zlib_pooled;
use wacore_binary::{BinaryError, Node, OwnedNodeRef};

/// Bytes of one stanza, inflated. The largest real ones carry a message for a thousand devices: some 300 KiB.
pub(crate) const STANZA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Elements of one stanza. A prekey upload of 812 keys has some 2,500.
const ELEMENTS_MAX: usize = 50_000;
/// Attributes of one stanza.
const ATTRIBUTES_MAX: usize = 100_000;
/// Elements inside each other; real stanzas have fewer than ten.
const DEPTH_MAX: usize = 32;
/// Bytes of a tag, an attribute's name or an attribute's value.
const TEXT_BYTES_MAX: usize = 4_096;
/// The first byte of a stanza has this bit when the rest is compressed.
const COMPRESSED: u8 = 2;

/// Why bytes are no stanza for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StanzaFault {
    #[error("stanza is empty")]
    Empty,
    #[error("stanza is {bytes} bytes; the limit is {STANZA_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("stanza cannot be inflated, or has more than {STANZA_BYTES_MAX} bytes then")]
    Inflate(#[source] std::io::Error),
    #[error("stanza has more than {ELEMENTS_MAX} elements")]
    TooManyElements,
    #[error("stanza has more than {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    #[error("stanza has more than {DEPTH_MAX} elements inside each other")]
    TooDeep,
    #[error("a tag or attribute is {bytes} bytes; the limit is {TEXT_BYTES_MAX}")]
    TextTooLong { bytes: usize },
    #[error("an address stands inside an address")]
    AddressInAddress,
    #[error("stanza ends early")]
    Truncated,
    #[error("byte {0} begins nothing that may stand there")]
    Unexpected(u8),
    #[error("stanza is malformed")]
    Malformed(#[from] BinaryError),
}

/// What a stanza costs to decode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) bytes: usize,
    pub(crate) elements: usize,
    pub(crate) attributes: usize,
}

/// Reads a decrypted frame: a byte that tells whether the rest is compressed, and the stanza.
pub(crate) fn open(mut frame: BytesMut) -> Result<(Node, Weight), StanzaFault> {
    let flags = *frame.first().ok_or(StanzaFault::Empty)?;
    frame.advance(1);
    if flags & COMPRESSED == 0 {
        return decode(frame.freeze());
    }
    let limit = u64::try_from(STANZA_BYTES_MAX).unwrap_or(u64::MAX);
    let plain = decompress_zlib_pooled(&frame, limit).map_err(StanzaFault::Inflate)?;
    decode(Bytes::from(plain))
}

/// Decodes a stanza that came from outside.
fn decode(plain: Bytes) -> Result<(Node, Weight), StanzaFault> {
    let weight = weigh(&plain)?;
    Ok((OwnedNodeRef::new(plain)?.to_owned_node(), weight))
}

/// Encodes a stanza, with the byte in front that says it is not compressed.
pub(crate) fn encode(node: &Node) -> Result<Bytes, BinaryError> {
    wacore_binary::marshal(node).map(Bytes::from)
}

/// Decodes what `encode` made, which may have been on disk since.
pub(crate) fn reopen(encoded: &Bytes) -> Result<Node, StanzaFault> {
    let mut plain = encoded.clone();
    if plain.is_empty() {
        return Err(StanzaFault::Empty);
    }
    plain.advance(1);
    decode(plain).map(|(node, _)| node)
}

/// Walks over a stanza and adds up what it announces.
fn weigh(plain: &[u8]) -> Result<Weight, StanzaFault> {
    if plain.len() > STANZA_BYTES_MAX {
        return Err(StanzaFault::TooLarge { bytes: plain.len() });
    }
    let mut scales = Scales { rest: plain, weight: Weight { bytes: plain.len(), elements: 1, attributes: 0 } };
    scales.element(0)?;
    Ok(scales.weight)
}

struct Scales<'a> {
    rest: &'a [u8],
    weight: Weight,
}

impl Scales<'_> {
    /// One element, already counted.
    fn element(&mut self, depth: usize) -> Result<(), StanzaFault> {
        if depth >= DEPTH_MAX {
            return Err(StanzaFault::TooDeep);
        }
        let tag = self.byte()?;
        let size = self.list(tag)?.checked_sub(1).ok_or(StanzaFault::Unexpected(tag))?;
        // A decoder makes room for all of them before it sees the first.
        self.weight.attributes += size / 2;
        if self.weight.attributes > ATTRIBUTES_MAX {
            return Err(StanzaFault::TooManyAttributes);
        }
        self.text()?;
        for _ in 0..size / 2 {
            self.text()?;
            self.value()?;
        }
        if size % 2 == 1 { self.content(depth) } else { Ok(()) }
    }

    fn content(&mut self, depth: usize) -> Result<(), StanzaFault> {
        let tag = self.byte()?;
        match tag {
            LIST_8 | LIST_16 => {
                let count = self.list(tag)?;
                self.weight.elements += count;
                if self.weight.elements > ELEMENTS_MAX {
                    return Err(StanzaFault::TooManyElements);
                }
                (0..count).try_for_each(|_| self.element(depth + 1))
            }
            BINARY_8 | BINARY_20 | BINARY_32 => {
                let length = self.length(tag)?;
                self.skip(length)
            }
            _ => self.value_from(tag),
        }
    }

    fn list(&mut self, tag: u8) -> Result<usize, StanzaFault> {
        match tag {
            LIST_EMPTY => Ok(0),
            LIST_8 => self.number(1),
            LIST_16 => self.number(2),
            other => Err(StanzaFault::Unexpected(other)),
        }
    }

    /// A text, or an address made of texts.
    fn value(&mut self) -> Result<(), StanzaFault> {
        let tag = self.byte()?;
        self.value_from(tag)
    }

    fn value_from(&mut self, tag: u8) -> Result<(), StanzaFault> {
        match tag {
            JID_PAIR => {
                self.text()?;
                self.text()
            }
            AD_JID => {
                self.skip(2)?;
                self.text()
            }
            INTEROP_JID => {
                self.text()?;
                self.skip(4)?;
                self.text()
            }
            FB_JID => {
                self.text()?;
                self.skip(2)?;
                self.text()
            }
            other => self.text_from(other),
        }
    }

    /// A text that is no address. Clients write addresses only as values, and parts of addresses only as texts.
    fn text(&mut self) -> Result<(), StanzaFault> {
        let tag = self.byte()?;
        self.text_from(tag)
    }

    fn text_from(&mut self, tag: u8) -> Result<(), StanzaFault> {
        match tag {
            JID_PAIR | AD_JID | INTEROP_JID | FB_JID => Err(StanzaFault::AddressInAddress),
            LIST_8 | LIST_16 => Err(StanzaFault::Unexpected(tag)),
            BINARY_8 | BINARY_20 | BINARY_32 => {
                let bytes = self.length(tag)?;
                if bytes > TEXT_BYTES_MAX {
                    return Err(StanzaFault::TextTooLong { bytes });
                }
                self.skip(bytes)
            }
            NIBBLE_8 | HEX_8 => {
                let packed = self.byte()? & 0x7f;
                self.skip(usize::from(packed))
            }
            DICTIONARY_0..=DICTIONARY_3 => self.skip(1),
            // A word of one byte, or nothing.
            _ => Ok(()),
        }
    }

    fn length(&mut self, tag: u8) -> Result<usize, StanzaFault> {
        match tag {
            BINARY_8 => self.number(1),
            // Only 20 of the 24 bits count.
            BINARY_20 => Ok(self.number(3)? & 0x000f_ffff),
            _ => self.number(4),
        }
    }

    fn number(&mut self, bytes: usize) -> Result<usize, StanzaFault> {
        let (number, rest) = self.rest.split_at_checked(bytes).ok_or(StanzaFault::Truncated)?;
        self.rest = rest;
        Ok(number.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8, StanzaFault> {
        let (byte, rest) = self.rest.split_first().ok_or(StanzaFault::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), StanzaFault> {
        let (_, rest) = self.rest.split_at_checked(bytes).ok_or(StanzaFault::Truncated)?;
        self.rest = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    fn frame(plain: &[u8]) -> BytesMut {
        BytesMut::from([[0].as_slice(), plain].concat().as_slice())
    }

    fn refusal(plain: &[u8]) -> StanzaFault {
        open(frame(plain)).unwrap_err()
    }

    #[test]
    fn a_stanza_weighs_what_it_has() {
        let to = |device| NodeBuilder::new("to").attr("jid", wacore_binary::Jid::pn_device("15550001111", device)).build();
        let node = NodeBuilder::new("message")
            .attr("id", "3A")
            .attr("to", "15550001111@s.whatsapp.net")
            .children([NodeBuilder::new("participants").children([to(1), to(2)]).build()])
            .build();
        let encoded = encode(&node).unwrap();
        let (read, weight) = open(BytesMut::from(encoded.as_ref())).unwrap();
        assert_eq!(read.get_optional_child("participants").unwrap().children().unwrap().len(), 2);
        assert_eq!(weight, Weight { bytes: encoded.len() - 1, elements: 4, attributes: 4 });
        assert_eq!(reopen(&encoded).unwrap(), read);
    }

    #[test]
    fn addresses_inside_addresses_do_not_reach_the_decoder() {
        // Each byte opens an address whose user is the next address: a decoder would go down one call for each.
        let mut plain = vec![LIST_8, 3, 10, 11];
        plain.extend([JID_PAIR; 100_000]);
        assert!(matches!(refusal(&plain), StanzaFault::AddressInAddress));
    }

    #[test]
    fn announced_room_is_counted_before_it_is_made() {
        // One list of 65,535 attributes, or of as many elements, inside another: a few bytes each.
        let attributes = [LIST_16, 0xff, 0xff, 10];
        assert!(matches!(refusal(&attributes), StanzaFault::Truncated));
        let elements = [LIST_8, 2, 10, LIST_16, 0xff, 0xff];
        assert!(matches!(refusal(&elements), StanzaFault::TooManyElements));
        let deep: Vec<u8> = [LIST_8, 2, 10, LIST_8, 1].repeat(DEPTH_MAX + 1);
        assert!(matches!(refusal(&deep), StanzaFault::TooDeep));
    }

    #[test]
    fn text_longer_than_its_limit_is_refused_and_content_is_not() {
        let text = "x".repeat(TEXT_BYTES_MAX + 1);
        let named = NodeBuilder::new("presence").attr("name", text.as_str()).build();
        let encoded = encode(&named).unwrap();
        assert!(matches!(open(BytesMut::from(encoded.as_ref())).unwrap_err(), StanzaFault::TextTooLong { .. }));
        let filled = NodeBuilder::new("status").bytes(text.as_bytes()).build();
        let encoded = encode(&filled).unwrap();
        assert!(open(BytesMut::from(encoded.as_ref())).is_ok());
    }

    #[test]
    fn a_bomb_is_not_inflated_beyond_the_limit() {
        let bomb = crate::fuzz::zlib_of_zeros(64 * 1024 * 1024);
        assert!(bomb.len() < 512 * 1024, "{}", bomb.len());
        let mut frame = BytesMut::from([COMPRESSED].as_slice());
        frame.extend_from_slice(&bomb);
        assert!(matches!(open(frame), Err(StanzaFault::Inflate(_))));
    }

    #[test]
    fn a_compressed_stanza_is_read() {
        let node = NodeBuilder::new("ib").children([NodeBuilder::new("unified_session").attr("id", "1").build()]).build();
        let encoded = encode(&node).unwrap();
        let mut frame = BytesMut::from([COMPRESSED].as_slice());
        frame.extend_from_slice(&crate::fuzz::zlib_stored(&encoded[1..]));
        assert_eq!(open(frame).unwrap().0, node);
    }
}
