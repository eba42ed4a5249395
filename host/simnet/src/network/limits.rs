//! What a stanza may ask for. Its bytes have been weighed already; this is about what it would cost to act on it.
//!
//! The server copies parts of a message into the queue of each device that gets it, so a small stanza must not be able
//! to name thousands of copies of something large.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};

use super::{Link, LinkId, Network};
use crate::wire;

/// Bytes of an attribute of the stanza itself: ids, addresses and names, which are kept and passed on.
const ATTRIBUTE_BYTES_MAX: usize = 1_024;
/// Bytes of a request. The largest real ones carry keys, pictures and changes of the app state. Twice as much as a picture
/// may have: one that is too large is refused as such.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a receipt, a presence and everything else that is no message and no request.
const OTHER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one ciphertext. A text of 65,536 characters has up to 256 KiB.
const CIPHERTEXT_BYTES_MAX: usize = 512 * 1024;
/// Bytes of what travels with a message to each device.
const EXTRAS_BYTES_MAX: usize = 64 * 1024;
/// The same, times the devices it is for.
const EXTRAS_BYTES_TOTAL_MAX: usize = 8 * 1024 * 1024;
/// Elements of a message that are not copied to each device.
const NOT_COPIED: [&str; 3] = ["participants", "enc", "plaintext"];

/// Why a stanza is not acted on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitFault {
    #[error("an attribute is {bytes} bytes; the limit is {ATTRIBUTE_BYTES_MAX}")]
    Attribute { bytes: usize },
    #[error("stanza is {bytes} bytes; the limit for its kind is {bytes_max}")]
    Stanza { bytes: usize, bytes_max: usize },
    #[error("a ciphertext is {bytes} bytes; the limit is {CIPHERTEXT_BYTES_MAX}")]
    Ciphertext { bytes: usize },
    #[error(
        "{bytes} bytes travel with each of {copies} copies; the limits are {EXTRAS_BYTES_MAX} and {EXTRAS_BYTES_TOTAL_MAX} together"
    )]
    Extras { bytes: usize, copies: usize },
}

/// Checks a stanza from a client.
pub(super) fn check(node: &Node) -> Result<(), LimitFault> {
    if let Some(bytes) = node.attrs.iter().map(|(_, value)| value.as_str().len()).find(|bytes| *bytes > ATTRIBUTE_BYTES_MAX)
    {
        return Err(LimitFault::Attribute { bytes });
    }
    let bytes_max = match node.tag.as_ref() {
        "message" => return check_message(node),
        "iq" => REQUEST_BYTES_MAX,
        _ => OTHER_BYTES_MAX,
    };
    let bytes = size(node);
    if bytes > bytes_max { Err(LimitFault::Stanza { bytes, bytes_max }) } else { Ok(()) }
}

fn check_message(node: &Node) -> Result<(), LimitFault> {
    let copies: &[Node] = node.get_optional_child("participants").map(wire::children).unwrap_or_default();
    let sealed = node.get_children_by_tag("enc").chain(copies.iter().flat_map(|copy| wire::children(copy).iter()));
    if let Some(bytes) = sealed.map(size).find(|bytes| *bytes > CIPHERTEXT_BYTES_MAX) {
        return Err(LimitFault::Ciphertext { bytes });
    }
    let extras = wire::children(node).iter().filter(|child| !NOT_COPIED.contains(&child.tag.as_ref()));
    let bytes: usize = extras.map(size).sum();
    if bytes > EXTRAS_BYTES_MAX || bytes.saturating_mul(copies.len()) > EXTRAS_BYTES_TOTAL_MAX {
        return Err(LimitFault::Extras { bytes, copies: copies.len() });
    }
    Ok(())
}

/// About how many bytes a stanza has.
fn size(node: &Node) -> usize {
    let attributes: usize = node.attrs.iter().map(|(name, value)| name.len() + value.as_str().len()).sum();
    let content = match &node.content {
        None => 0,
        Some(NodeContent::Bytes(bytes)) => bytes.len(),
        Some(NodeContent::String(text)) => text.len(),
        Some(NodeContent::Nodes(children)) => children.iter().map(size).sum(),
    };
    node.tag.len() + attributes + content
}

impl Network {
    /// Answers a stanza that goes beyond its limits: as the server answers what does not fit its schema.
    pub(super) fn refuse_stanza(&mut self, link: LinkId, node: &Node) {
        let Some(Link::Session(_)) = self.links.get(&link) else {
            return;
        };
        let Some(id) = wire::attribute(node, "id").filter(|id| id.len() <= ATTRIBUTE_BYTES_MAX) else {
            return;
        };
        match node.tag.as_ref() {
            "iq" => self.send(link, wire::refusal(&id, 400, "bad-request")),
            "message" => {
                let mut ack = NodeBuilder::new("ack").attr("class", "message").attr("id", id).attr("error", "479");
                if let Some(to) = wire::address(node, "to") {
                    ack = ack.attr("from", to);
                }
                let ack = ack.attr("t", self.now_s()).build();
                self.send(link, ack);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::Node;
    use wacore_binary::builder::NodeBuilder;

    use super::{ATTRIBUTE_BYTES_MAX, CIPHERTEXT_BYTES_MAX, LimitFault, OTHER_BYTES_MAX, check};

    fn message(copies: usize, ciphertext: usize, extra: usize) -> Node {
        let enc = || NodeBuilder::new("enc").attr("type", "msg").bytes(vec![0; ciphertext]).build();
        let copies =
            (0..copies).map(|_| NodeBuilder::new("to").attr("jid", "1555000@s.whatsapp.net").children([enc()]).build());
        NodeBuilder::new("message")
            .attr("id", "3A")
            .children([
                NodeBuilder::new("participants").children(copies).build(),
                NodeBuilder::new("reporting").bytes(vec![0; extra]).build(),
            ])
            .build()
    }

    #[test]
    fn a_large_group_fits() {
        assert_eq!(check(&message(1_500, 300, 2_000)), Ok(()));
    }

    #[test]
    fn nothing_large_is_copied_to_many() {
        assert!(matches!(check(&message(2_000, 10, 10_000)), Err(LimitFault::Extras { copies: 2_000, .. })));
        assert!(matches!(check(&message(1, CIPHERTEXT_BYTES_MAX + 1, 0)), Err(LimitFault::Ciphertext { .. })));
    }

    #[test]
    fn small_stanzas_have_small_limits() {
        let receipt = NodeBuilder::new("receipt").attr("id", "3A").bytes(vec![0; OTHER_BYTES_MAX]).build();
        assert!(matches!(check(&receipt), Err(LimitFault::Stanza { .. })));
        let request = NodeBuilder::new("iq").attr("id", "3A").bytes(vec![0; OTHER_BYTES_MAX]).build();
        assert_eq!(check(&request), Ok(()));
        let presence = NodeBuilder::new("presence").attr("name", "x".repeat(ATTRIBUTE_BYTES_MAX + 1)).build();
        assert!(matches!(check(&presence), Err(LimitFault::Attribute { .. })));
    }
}
