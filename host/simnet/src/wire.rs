//! Small readers and builders for binary nodes.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, SERVER_JID};

/// An attribute as text.
pub(crate) fn attribute(node: &Node, name: &str) -> Option<String> {
    node.attrs.get(name).map(|value| value.as_str().into_owned())
}

/// An attribute as an address.
pub(crate) fn address(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name)?.to_jid()
}

/// Whether an attribute has this text.
pub(crate) fn attribute_is(node: &Node, name: &str, text: &str) -> bool {
    node.attrs.get(name).is_some_and(|value| value == text)
}

/// The bytes of a leaf, whichever way the client wrote them.
pub(crate) fn content(node: &Node) -> Option<&[u8]> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => Some(bytes),
        Some(NodeContent::String(text)) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The bytes of a child.
pub(crate) fn child_content<'a>(node: &'a Node, tag: &str) -> Option<&'a [u8]> {
    content(node.get_optional_child(tag)?)
}

/// A child with a key of exactly `N` bytes.
pub(crate) fn child_key<const N: usize>(node: &Node, tag: &str) -> Option<[u8; N]> {
    child_content(node, tag)?.try_into().ok()
}

/// A big-endian number of one to four bytes.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

/// The three bytes in which prekey ids travel.
pub(crate) fn three_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip(1).collect()
}

/// All children, none for a leaf.
pub(crate) fn children(node: &Node) -> &[Node] {
    node.children().unwrap_or_default()
}

/// A leaf with bytes.
pub(crate) fn leaf(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

/// The answer to a request, still without content.
pub(crate) fn result(id: &str) -> NodeBuilder {
    NodeBuilder::new("iq").attr("from", SERVER_JID).attr("type", "result").attr("id", id)
}

/// The refusal of a request.
pub(crate) fn refusal(id: &str, code: u16, text: &str) -> Node {
    NodeBuilder::new("iq")
        .attr("from", SERVER_JID)
        .attr("type", "error")
        .attr("id", id)
        .children([NodeBuilder::new("error").attr("code", code).attr("text", text).build()])
        .build()
}

/// Tells a client that it is not let in.
pub(crate) fn failure(reason: u16) -> Node {
    NodeBuilder::new("failure").attr("reason", reason).attr("location", "sim").build()
}

/// A text of at most `bytes_max` bytes, cut between two characters.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.split_at_checked(end).map_or(text, |(kept, _)| kept)
}

/// Ends a client's stream with an error.
pub(crate) fn stream_error(code: u16) -> Node {
    NodeBuilder::new("stream:error").attr("code", code).build()
}

/// Ends a client's stream without an error.
pub(crate) fn stream_end() -> Node {
    NodeBuilder::new("xmlstreamend").build()
}

/// Tells a client that the same device has connected elsewhere.
pub(crate) fn stream_replaced() -> Node {
    NodeBuilder::new("stream:error").children([NodeBuilder::new("conflict").attr("type", "replaced").build()]).build()
}

/// Tells a client that its device has been unlinked.
pub(crate) fn stream_removed() -> Node {
    NodeBuilder::new("stream:error")
        .attr("code", "401")
        .children([NodeBuilder::new("conflict").attr("type", "device_removed").build()])
        .build()
}

/// Asks the client to connect again.
pub(crate) fn stream_restart() -> Node {
    NodeBuilder::new("stream:error").attr("code", "515").build()
}
