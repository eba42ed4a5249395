//! Phones in calls: they ring, their users answer or hang up, and call others.

use serde::Serialize;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::Call as CallKey;

use super::calls::{Call, CallEnd, CallState};
use super::stanza::enc_node;
use super::timers::Later;
use super::{CommandFault, Network};
use crate::address::{DeviceKey, Space, parse_number};
use crate::{random, wire};

/// How long a phone lets others ring.
const RING_MS: u64 = 60_000;
/// What a phone says about its media, as in calls that were recorded (wacore 0.7.0 `CAPABILITY_OFFER`).
const CAPABILITY: [u8; 7] = [0x01, 0x05, 0xf7, 0x09, 0xe0, 0xbb, 0x13];
const KEY_BYTES: usize = 32;

/// A call as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct CallSummary {
    id: String,
    from: String,
    to: String,
    video: bool,
    at_ms: u64,
    state: CallState,
    /// The device that accepted or rejected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a phone's user can do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallAct {
    /// Take a call that rings.
    Accept,
    /// Refuse a call that rings.
    Reject,
    /// End a call, or stop calling.
    HangUp,
}

impl Network {
    /// A phone's user calls somebody; returns the call's id.
    pub(crate) fn call_by_phone(&mut self, number: &str, to: &str, video: bool) -> Result<String, CommandFault> {
        let phone = self.key_of_phone(number)?;
        let callee = self.callee(to).filter(|callee| *callee != phone.number);
        let callee = callee.ok_or_else(|| CommandFault::NoRecipient(to.to_owned()))?;
        let id = random::call_id();
        let key = CallKey { call_key: Some(random::bytes::<KEY_BYTES>().to_vec()), ..CallKey::default() };
        let key = Message { call: MessageField::some(key), ..Message::default() };
        // Everything is sealed before anybody rings.
        let mut offers = Vec::new();
        for target in self.devices_of(&callee) {
            let sealed = self.seal(&phone, &target, &key).map_err(CommandFault::Phone)?;
            offers.push((target, self.call_offer(&phone, &id, video, enc_node(&sealed))));
        }
        self.begin_call(&phone, id.clone(), callee, video);
        for (target, offer) in offers {
            self.deliver_call(&phone, &target, Space::Lid, None, &offer);
        }
        self.later(RING_MS, Later::StopRinging { call: id.clone() });
        Ok(id)
    }

    /// The account that somebody wants to call, by number or by address.
    fn callee(&self, to: &str) -> Option<String> {
        let jid: Jid = if to.contains('@') { to.parse().ok()? } else { Jid::pn(parse_number(to).ok()?) };
        self.number_of(&jid)
    }

    fn call_offer(&self, phone: &DeviceKey, id: &str, video: bool, enc: Node) -> Node {
        let audio = |rate: &str| NodeBuilder::new("audio").attr("enc", "opus").attr("rate", rate).build();
        // The order matters to the real server.
        let mut children = vec![audio("8000"), audio("16000")];
        if video {
            children
                .push(NodeBuilder::new("video").attr("enc", "h264").attr("dec", "h264").attr("orientation", "0").build());
        }
        children.push(NodeBuilder::new("net").attr("medium", "3").build());
        children.push(NodeBuilder::new("capability").attr("ver", "1").bytes(CAPABILITY).build());
        children.push(enc);
        children.push(NodeBuilder::new("encopt").attr("keygen", "2").build());
        self.call_action(phone, "offer", id).children(children).build()
    }

    /// An action in a call that `creator` began.
    fn call_action(&self, creator: &DeviceKey, tag: &'static str, id: &str) -> NodeBuilder {
        NodeBuilder::new(tag).attr("call-id", id).attr("call-creator", self.jid_of(creator, Space::Lid))
    }

    /// Calls that a number took part in, oldest first.
    pub(crate) fn calls_of(&self, number: &str) -> Result<Vec<CallSummary>, CommandFault> {
        let number = self.key_of_phone(number)?.number;
        let calls = self.calls.by_number.values();
        let own = calls.filter(|call| call.creator.number == number || call.callee == number);
        Ok(own.map(|call| self.call_summary(call)).collect())
    }

    fn call_summary(&self, call: &Call) -> CallSummary {
        let text = |end: &CallEnd| self.address_text(&end.key());
        CallSummary {
            id: call.id.clone(),
            from: text(&call.creator),
            to: self.address_text(&DeviceKey::new(call.callee.as_str(), 0)),
            video: call.video,
            at_ms: call.at_ms,
            state: call.state,
            answered_by: call.answered_by.as_ref().map(text),
            reason: call.reason.clone(),
        }
    }

    /// A phone's user does something with a call.
    pub(crate) fn act_in_call(&mut self, number: &str, id: &str, act: CallAct) -> Result<(), CommandFault> {
        let phone = self.key_of_phone(number)?;
        let unknown = || CommandFault::NoCall(id.to_owned());
        let call = self.calls.find(id).and_then(|number| self.calls.by_number.get(&number)).cloned().ok_or_else(unknown)?;
        let creator = call.creator.key();
        let called = call.callee == phone.number;
        let takes_part = called || creator == phone;
        let goes_on = matches!(call.state, CallState::Ringing | CallState::Accepted);
        let may_answer = called && call.state == CallState::Ringing;
        let tag = match act {
            CallAct::Accept if may_answer => "accept",
            CallAct::Reject if may_answer => "reject",
            CallAct::HangUp if takes_part && goes_on => "terminate",
            _ => return Err(unknown()),
        };
        let action = self.call_action(&creator, tag, id).build();
        let peer = if called { self.jid_of(&creator, Space::Lid) } else { self.callee_of(&call) };
        self.note_call(&phone, &peer, &action);
        self.pass_on(&phone, &call, &action);
        Ok(())
    }

    fn callee_of(&self, call: &Call) -> Jid {
        self.jid_of(&DeviceKey::new(call.callee.as_str(), 0), Space::Lid)
    }

    /// Sends a phone's action to the other side of its call.
    fn pass_on(&mut self, phone: &DeviceKey, call: &Call, action: &Node) {
        let creator = call.creator.key();
        let targets = match &call.answered_by {
            _ if creator != *phone => vec![creator],
            Some(answered) => vec![answered.key()],
            None => self.devices_of(&call.callee),
        };
        for target in targets {
            self.deliver_call(phone, &target, Space::Lid, None, action);
        }
    }

    /// A phone hears what another device does in a call. A phone that called tells the other devices of the account, once
    /// one has answered, to stop ringing.
    pub(super) fn phone_hears_call(&mut self, sender: &DeviceKey, phone: &DeviceKey, action: &Node) {
        let reason = match action.tag.as_ref() {
            "accept" => "accepted_elsewhere",
            "reject" if !wire::attribute_is(action, "reason", "busy") => "rejected_elsewhere",
            _ => return,
        };
        let call = wire::attribute(action, "call-id").and_then(|id| self.calls.find(&id));
        let Some(call) = call.and_then(|number| self.calls.by_number.get(&number)).cloned() else {
            return;
        };
        // Only the first answer counts.
        if call.creator.key() != *phone || call.answered_by != Some(CallEnd::of(sender)) {
            return;
        }
        let terminate = self.call_action(phone, "terminate", &call.id).attr("reason", reason).build();
        for target in self.devices_of(&call.callee) {
            if target != *sender && target.device != 0 {
                self.deliver_call(phone, &target, Space::Lid, None, &terminate);
            }
        }
    }

    /// A phone has let others ring long enough.
    pub(super) fn stop_ringing(&mut self, id: &str) {
        let call = self.calls.find(id).and_then(|number| self.calls.by_number.get(&number)).cloned();
        let Some(call) = call.filter(|call| call.state == CallState::Ringing) else {
            return;
        };
        let phone = call.creator.key();
        let terminate = self.call_action(&phone, "terminate", id).attr("reason", "timeout").build();
        self.note_call(&phone, &self.callee_of(&call), &terminate);
        self.pass_on(&phone, &call, &terminate);
    }
}
