//! Calls: who rings whom, and what becomes of it. Only the signalling; nobody hears anything.
//!
//! A `<call>` stanza carries one action (`offer`, `accept`, `reject`, `terminate`, …) that names the call and its creator.
//! The server answers each with a typed ack and passes it on (wacore 0.7.0 `stanza/call.rs`): an offer to every device of
//! the account that is called, with the sealed call key that is meant for it, and everything else to the device that it
//! names, or to the one that the call began with. What the phones do is in `call_phones`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

use super::account::put;
use super::queue::QueueEntry;
use super::receipt::receipt_peer;
use super::{Effect, LinkId, Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::{random, wire};

/// Calls that are remembered; the oldest goes first.
const CALLS_MAX: usize = 5_000;
/// Bytes in a call's id.
const CALL_ID_BYTES_MAX: usize = 128;
/// Links to calls that anybody may make.
const LINKS_MAX: usize = 10_000;
/// What call stanzas say about the caller's app.
const PLATFORM: &str = "android";
const VERSION: &str = "2.25.37.76";

/// All calls and links to calls.
#[derive(Default)]
pub(super) struct Calls {
    /// By the order in which they began.
    pub(super) by_number: BTreeMap<u64, Call>,
    /// Links by token: who made it, and what for. Forgotten when the network stops.
    links: BTreeMap<String, (DeviceKey, String)>,
}

/// A call as it is stored under `call/<number>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    /// The device that began it.
    pub(super) creator: CallEnd,
    /// The account that is called.
    pub(super) callee: String,
    pub(super) video: bool,
    pub(super) at_ms: u64,
    pub(super) state: CallState,
    /// The device that accepted or rejected it.
    pub(super) answered_by: Option<CallEnd>,
    /// What the last `terminate` gave as its reason.
    pub(super) reason: Option<String>,
}

/// A device in a stored call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallEnd {
    pub(super) number: String,
    pub(super) device: u16,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallState {
    Ringing,
    Accepted,
    Rejected,
    /// It was ended, by whichever side, after somebody had accepted it.
    Ended,
    /// It was ended before anybody had accepted it.
    Missed,
}

impl CallEnd {
    pub(super) fn of(key: &DeviceKey) -> Self {
        Self { number: key.number.clone(), device: key.device }
    }

    pub(super) fn key(&self) -> DeviceKey {
        DeviceKey::new(self.number.as_str(), self.device)
    }
}

impl Calls {
    pub(super) fn find(&self, id: &str) -> Option<u64> {
        self.by_number.iter().rev().find(|(_, call)| call.id == id).map(|(number, _)| *number)
    }
}

impl Network {
    /// A call stanza from a client.
    pub(super) fn receive_call(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) {
        let (Some(to), Some(action)) = (wire::address(node, "to"), wire::children(node).first()) else {
            return;
        };
        let id = wire::attribute(node, "id");
        if to.server == Server::Call {
            return self.serve_call_request(link, sender, id.as_deref(), &to, action);
        }
        let error = self.number_of(&to).is_none().then_some("404");
        if let Some(id) = &id {
            self.acknowledge_call(link, sender, id, &to, action.tag.as_ref(), error);
        }
        if error.is_some() {
            return;
        }
        self.note_call(sender, &to, action);
        for target in self.call_targets(sender, &to, action) {
            self.deliver_call(sender, &target, space_of(&to), id.as_deref(), action);
        }
    }

    fn acknowledge_call(
        &mut self,
        link: LinkId,
        sender: &DeviceKey,
        id: &str,
        to: &Jid,
        action: &str,
        error: Option<&'static str>,
    ) {
        if self.is_silent(sender) {
            return;
        }
        let mut ack = NodeBuilder::new("ack").attr("class", "call").attr("type", action).attr("id", id).attr("from", to);
        if let Some(error) = error {
            ack = ack.attr("error", error);
        }
        self.send(link, ack.build());
    }

    /// Requests to the call service itself: links to calls, and signs of life in a call.
    fn serve_call_request(&mut self, link: LinkId, sender: &DeviceKey, id: Option<&str>, to: &Jid, action: &Node) {
        let Some(id) = id else { return };
        let tag = action.tag.as_ref();
        let answer = match tag {
            "link_create" => self.create_call_link(sender, action),
            "link_query" => self.query_call_link(action),
            // Nobody can join without media.
            "link_join" => Err("501"),
            _ => Ok(None),
        };
        if self.is_silent(sender) {
            return;
        }
        let ack = NodeBuilder::new("ack").attr("class", "call").attr("type", tag).attr("id", id).attr("from", to);
        let ack = match answer {
            Ok(content) => ack.children(content),
            Err(error) => ack.attr("error", error),
        };
        self.send(link, ack.build());
    }

    fn create_call_link(&mut self, sender: &DeviceKey, action: &Node) -> Result<Option<Node>, &'static str> {
        if self.calls.links.len() >= LINKS_MAX {
            return Err("429");
        }
        let media = wire::attribute(action, "media").unwrap_or_else(|| "audio".to_owned());
        let token = hex::encode(random::bytes::<11>());
        self.calls.links.insert(token.clone(), (sender.clone(), media.clone()));
        Ok(Some(NodeBuilder::new("link_create").attr("token", token).attr("media", media).build()))
    }

    fn query_call_link(&self, action: &Node) -> Result<Option<Node>, &'static str> {
        let token = wire::attribute(action, "token").unwrap_or_default();
        let (creator, media) = self.calls.links.get(&token).ok_or("404")?;
        let creator = DeviceKey::new(creator.number.as_str(), 0);
        let answer = NodeBuilder::new("link_query")
            .attr("token", token)
            .attr("media", media)
            .attr("link_creator", self.jid_of(&creator, Space::Lid))
            .attr("link_creator_pn", self.jid_of(&creator, Space::Number));
        Ok(Some(answer.build()))
    }

    /// Remembers what an action makes of its call.
    pub(super) fn note_call(&mut self, sender: &DeviceKey, to: &Jid, action: &Node) {
        let Some(id) = wire::attribute(action, "call-id").filter(|id| id.len() <= CALL_ID_BYTES_MAX) else {
            return;
        };
        let known = self.calls.find(&id);
        if action.tag.as_ref() == "offer" && known.is_none() {
            let Some(callee) = self.number_of(to) else { return };
            let video = action.get_optional_child("video").is_some();
            self.begin_call(sender, id, callee, video);
            return;
        }
        let Some(number) = known else { return };
        let Some(call) = self.calls.by_number.get_mut(&number) else {
            return;
        };
        match (action.tag.as_ref(), call.state) {
            ("accept", CallState::Ringing) => {
                call.state = CallState::Accepted;
                call.answered_by = Some(CallEnd::of(sender));
            }
            // A device that is busy speaks for itself alone; the others ring on.
            ("reject", CallState::Ringing) if !wire::attribute_is(action, "reason", "busy") => {
                call.state = CallState::Rejected;
                call.answered_by = Some(CallEnd::of(sender));
            }
            ("terminate", CallState::Ringing | CallState::Accepted) => {
                call.reason = wire::attribute(action, "reason");
                call.state = if call.state == CallState::Accepted { CallState::Ended } else { CallState::Missed };
            }
            _ => return,
        }
        self.record_call(number);
    }

    pub(super) fn begin_call(&mut self, creator: &DeviceKey, id: String, callee: String, video: bool) {
        let number = self.calls.by_number.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        let creator = CallEnd::of(creator);
        let call = Call {
            id,
            creator,
            callee,
            video,
            at_ms: self.now_ms,
            state: CallState::Ringing,
            answered_by: None,
            reason: None,
        };
        self.calls.by_number.insert(number, call);
        if self.calls.by_number.len() > CALLS_MAX
            && let Some((oldest, _)) = self.calls.by_number.pop_first()
        {
            self.out.records.push((format!("call/{oldest}"), None));
        }
        self.record_call(number);
    }

    fn record_call(&mut self, number: u64) {
        if let Some(call) = self.calls.by_number.get(&number) {
            self.out.records.push(put(format!("call/{number}"), call));
        }
        // Somebody may be waiting for a call, or for what becomes of it.
        self.out.effects.push(Effect::Changed);
    }

    /// Takes back a stored call. One that was going on ended with the network.
    pub(super) fn restore_call(&mut self, path: &str, value: Value) -> Option<()> {
        let mut call: Call = serde_json::from_value(value).ok()?;
        call.state = match call.state {
            CallState::Ringing => CallState::Missed,
            CallState::Accepted => CallState::Ended,
            over => over,
        };
        self.calls.by_number.insert(path.parse().ok()?, call);
        Some(())
    }

    /// Where an action goes.
    fn call_targets(&self, sender: &DeviceKey, to: &Jid, action: &Node) -> Vec<DeviceKey> {
        let Some(target) = self.key_of(to) else {
            return Vec::new();
        };
        let number = wire::attribute(action, "call-id").and_then(|id| self.calls.find(&id));
        let creator = number.and_then(|number| self.calls.by_number.get(&number)).map(|call| call.creator.key());
        if target.device != 0 {
            return vec![target];
        }
        // The account that called has one device in the call; the one that is called rings on all.
        match creator.filter(|creator| creator.number == target.number && action.tag.as_ref() != "offer") {
            Some(creator) => vec![creator],
            None => self.devices_of(&target.number).into_iter().filter(|device| device != sender).collect(),
        }
    }

    /// Hands an action to one device.
    pub(super) fn deliver_call(
        &mut self,
        sender: &DeviceKey,
        target: &DeviceKey,
        space: Space,
        id: Option<&str>,
        action: &Node,
    ) {
        if target.device == 0 {
            self.phone_hears_call(sender, target, action);
            return;
        }
        if self.device(target).is_none() {
            return;
        }
        let mut action = action_for(action, |to| self.key_of(to).as_ref() == Some(target));
        let account = DeviceKey::new(sender.number.as_str(), 0);
        if action.tag.as_ref() == "offer" && space == Space::Lid {
            action.attrs.insert("caller_pn", self.jid_of(&account, Space::Number));
        }
        let id = id.map_or_else(random::stanza_id, str::to_owned);
        let node = NodeBuilder::new("call")
            .attr("from", self.jid_of(sender, space))
            .attr("id", &id)
            .attr("t", self.now_s())
            .attr("e", "0")
            .attr("notify", self.push_name(sender))
            .attr("platform", PLATFORM)
            .attr("version", VERSION)
            .children([action])
            .build();
        let entry = QueueEntry { class: "call".to_owned(), id, peer: sender.number.clone(), kind: None, node };
        self.enqueue(target, entry);
    }

    /// A receipt for an offer says that a device rings; the caller's device hears it. False when it is for no call.
    pub(super) fn receive_call_receipt(&mut self, sender: &DeviceKey, id: &str, to: &Jid, node: &Node) -> bool {
        let Some(action) = node.get_optional_child_by_tag(&["offer"]) else {
            return false;
        };
        let Some(target) = self.key_of(to).filter(|target| self.device(target).is_some() && target != sender) else {
            return true;
        };
        let receipt = NodeBuilder::new("receipt")
            .attr("from", self.jid_of(sender, space_of(to)))
            .attr("id", id)
            .attr("t", self.now_s())
            .children([action.clone()])
            .build();
        let entry = QueueEntry {
            class: "receipt".to_owned(),
            id: id.to_owned(),
            peer: receipt_peer(sender),
            kind: None,
            node: receipt,
        };
        self.enqueue(&target, entry);
        true
    }
}

/// The action as one device gets it: of the sealed call keys only its own.
fn action_for(action: &Node, is_target: impl Fn(&Jid) -> bool) -> Node {
    let mut action = action.clone();
    let Some(NodeContent::Nodes(children)) = action.content.take() else {
        return action;
    };
    let mut kept = Vec::with_capacity(children.len());
    for child in children {
        if child.tag.as_ref() != "destination" {
            kept.push(child);
            continue;
        }
        let own = wire::children(&child).iter().find(|to| wire::address(to, "jid").is_some_and(|jid| is_target(&jid)));
        kept.extend(own.into_iter().flat_map(wire::children).cloned());
    }
    action.content = Some(NodeContent::Nodes(kept));
    action
}
