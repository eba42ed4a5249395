//! The requests about app state: a device asks what is new in its collections, or pushes a patch of its own.
//!
//! A push is taken only on the version that the collection has; otherwise the answer is a conflict that brings the
//! patches which the device lacks (`patch_decode.rs` of wacore-appstate 0.7.0, `client/app_state.rs` of whatsapp-rust).

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::SyncdVersion;

use super::{LinkId, Network};
use crate::address::DeviceKey;
use crate::phone::collection_name;
use crate::wire;

/// Collections in one request; there are five.
const COLLECTIONS_MAX: usize = 16;
/// Patches in one answer; a device asks again for the rest.
const PAGE_PATCHES: usize = 32;
/// Bytes of one pushed patch.
const PATCH_BYTES_MAX: usize = 1024 * 1024;
/// Entries of one collection.
const ENTRIES_MAX: usize = 20_000;
/// Bytes of all of them.
const ENTRIES_BYTES_MAX: usize = 16 * 1024 * 1024;
const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

impl Network {
    /// Requests in the `w:sync:app:state` namespace. False when this is none.
    pub(super) fn receive_app_state_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let Some(sync) = node.get_optional_child("sync") else { return false };
        let asked: Vec<&Node> = sync.get_children_by_tag("collection").take(COLLECTIONS_MAX).collect();
        let answers: Vec<Node> = asked.into_iter().map(|collection| self.answer_collection(key, collection)).collect();
        let answer = NodeBuilder::new("sync").children(answers).build();
        self.send(link, wire::result(id).children([answer]).build());
        true
    }

    fn answer_collection(&mut self, key: &DeviceKey, asked: &Node) -> Node {
        let text = wire::attribute(asked, "name").unwrap_or_default();
        let Some(name) = collection_name(&text) else {
            return refusal(&text, NOT_FOUND, "item-not-found");
        };
        // A client that has nothing says 0, or says nothing.
        let version = wire::attribute(asked, "version").map_or(Ok(0), |version| version.parse());
        let Ok(version) = version else { return refusal(name, BAD_REQUEST, "bad-request") };
        match asked.get_optional_child("patch").map(|patch| wire::content(patch).unwrap_or_default()) {
            Some(patch) => self.push_patch(key, name, version, patch),
            None => {
                let snapshot = wire::attribute_is(asked, "return_snapshot", "true");
                self.pull_collection(&key.number, name, version, snapshot, NodeBuilder::new("collection"))
            }
        }
    }

    fn push_patch(&mut self, key: &DeviceKey, name: &'static str, base: u64, bytes: &[u8]) -> Node {
        let current = self.collection_version(&key.number, name);
        if base != current {
            let error = error(CONFLICT, "conflict");
            let conflict = NodeBuilder::new("collection").attr("type", "error");
            let mut answer = self.pull_collection(&key.number, name, base, false, conflict);
            let mut children = vec![error];
            children.extend(wire::children(&answer).iter().cloned());
            answer.content = Some(wacore_binary::NodeContent::Nodes(children));
            return answer;
        }
        let patch = if bytes.len() > PATCH_BYTES_MAX { None } else { waproto::codec::syncd_patch_decode(bytes).ok() };
        let size = self.accounts.get(&key.number).map(|account| account.phone.state_size(name));
        let (entries, entries_bytes) = size.unwrap_or_default();
        // A patch whose mutations lie elsewhere could not be looked into; no client library makes one.
        let taken = patch.filter(|patch| {
            !patch.external_mutations.is_set()
                && entries.saturating_add(patch.mutations.len()) <= ENTRIES_MAX
                && entries_bytes.saturating_add(bytes.len()) <= ENTRIES_BYTES_MAX
        });
        let Some(mut patch) = taken else {
            tracing::warn!(number = key.number, collection = name, bytes = bytes.len(), "a patch is malformed or too large");
            return refusal(name, BAD_REQUEST, "bad-request");
        };
        // Clients leave it to the server to number a patch (`build_patch` of wacore 0.7.0).
        patch.version = MessageField::some(SyncdVersion { version: Some(current + 1) });
        match self.accept_patch(key, name, &patch) {
            Ok(()) => NodeBuilder::new("collection").attr("name", name).attr("version", current + 1).build(),
            Err(problem) => {
                self.note_refused(key, name, &problem);
                refusal(name, BAD_REQUEST, "bad-request")
            }
        }
    }

    /// What a device lacks that has a collection up to `version`: patches, or a snapshot and the patches behind it.
    fn pull_collection(
        &mut self,
        number: &str,
        name: &'static str,
        version: u64,
        wants_snapshot: bool,
        answer: NodeBuilder,
    ) -> Node {
        let answer = answer.attr("name", name);
        if version > self.collection_version(number, name) {
            return refusal(name, BAD_REQUEST, "bad-request");
        }
        let Some(collection) = self.own.collections.get(number).and_then(|all| all.get(name)) else {
            return answer.attr("version", "0").attr("has_more_patches", "false").build();
        };
        let base = collection.base().version;
        // A young collection is told patch by patch, from the first one on; that needs no file.
        let snapshot = match (wants_snapshot, version < base) {
            (_, true) => Some(collection.base_snapshot()),
            (true, false) if version > 0 => Some(collection.whole_snapshot()),
            _ => None,
        };
        let known = snapshot.as_ref().and_then(|snapshot| snapshot.version.version).unwrap_or(version);
        let (patches, more) = collection.patches_after(known, PAGE_PATCHES);
        let reached = patches.last().map_or(known, |(version, _)| *version);
        let mut children = Vec::new();
        if let Some(snapshot) = snapshot {
            match self.snapshot_reference(number, name, known, &snapshot.encode_to_vec()) {
                Some(reference) => children.push(wire::leaf("snapshot", reference)),
                None => return refusal(name, 500, "internal-server-error"),
            }
        }
        if !patches.is_empty() {
            let patches = patches.into_iter().map(|(_, patch)| wire::leaf("patch", patch));
            children.push(NodeBuilder::new("patches").children(patches).build());
        }
        let answer = answer.attr("version", reached).attr("has_more_patches", more);
        answer.children(children).build()
    }

    /// Where the media hosts serve a snapshot. One version is put there once.
    fn snapshot_reference(&mut self, number: &str, name: &'static str, version: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let given_out = self.own.collections.get(number)?.get(name)?.given_out.as_ref();
        if let Some((_, reference)) = given_out.filter(|(given, _)| *given == version) {
            return Some(reference.clone());
        }
        let reference = self.put_app_state_blob(plain).ok()?.encode_to_vec();
        let collection = self.own.collections.get_mut(number)?.get_mut(name)?;
        collection.given_out = Some((version, reference.clone()));
        Some(reference)
    }
}

fn refusal(name: &str, code: u16, text: &str) -> Node {
    NodeBuilder::new("collection").attr("name", name).attr("type", "error").children([error(code, text)]).build()
}

fn error(code: u16, text: &str) -> Node {
    NodeBuilder::new("error").attr("code", code).attr("text", text).build()
}
