//! The texts of a profile, and the timer that an account's new chats begin with.

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::privacy::Category;
use super::{Answer, Network, Refusal};
use crate::address::{DeviceKey, Space};
use crate::wire;

/// Characters in an about text, and in a text status.
pub(super) const ABOUT_CHARS_MAX: usize = 139;
/// Seconds of the longest timer, 90 days.
const DISAPPEARING_S_MAX: u32 = 7_776_000;
/// Connections that hear of a new about text although their accounts never had to do with its owner: everybody is
/// taken to have everybody in the address book of the phone. With more connections than that only acquaintances hear.
const STRANGERS_MAX: usize = 256;

/// The timer that new chats of an account begin with; no timer when it is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DisappearingMode {
    seconds: u32,
    /// When it was set, in seconds since the Unix epoch.
    at: u64,
}

impl DisappearingMode {
    pub(super) fn node(self) -> Node {
        NodeBuilder::new("disappearing_mode").attr("duration", self.seconds).attr("t", self.at).build()
    }
}

/// A short-lived status beside the about text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextStatus {
    pub(super) text: String,
    pub(super) emoji: Option<String>,
    /// How long it lasts; for ever when it is zero.
    pub(super) lasts_s: u32,
    pub(super) at: u64,
}

impl TextStatus {
    pub(super) fn is_over(&self, now_s: u64) -> bool {
        self.lasts_s > 0 && self.at + u64::from(self.lasts_s) <= now_s
    }
}

impl Network {
    /// An account says something about itself.
    pub(super) fn receive_about(&mut self, key: &DeviceKey, node: &Node) -> Answer {
        let status = node.get_optional_child("status").ok_or(Refusal::BadRequest)?;
        let about = String::from_utf8_lossy(wire::content(status).unwrap_or_default()).into_owned();
        if about.chars().count() > ABOUT_CHARS_MAX {
            return Err(Refusal::NotAcceptable);
        }
        self.set_about(&key.number, Some(key), about);
        Ok(Vec::new())
    }

    pub(super) fn set_about(&mut self, number: &str, cause: Option<&DeviceKey>, about: String) {
        let now_s = self.now_s();
        let Some(account) = self.accounts.get_mut(number) else { return };
        let name = account.name.clone();
        account.about.clone_from(&about);
        self.record_account(number);
        self.change_person(number, |person| person.about_at = now_s);
        let mut notice = self.notice(number, "status").with("notify", name);
        notice.children = vec![wire::leaf("set", about)];
        self.tell_own(number, cause, &notice);
        self.tell_acquaintances(number, &notice, |network, viewer| network.allows(number, Category::About, viewer));
        if self.link_by_device.len() <= STRANGERS_MAX {
            for (link, viewer) in self.connected_strangers(number) {
                if self.allows(number, Category::About, &viewer) {
                    let node = notice.node(&crate::random::stanza_id(), now_s);
                    self.send(link, node);
                }
            }
        }
    }

    /// The about texts of the users in a `<status>` question.
    pub(super) fn about_answer(&self, viewer: &str, node: &Node) -> Answer {
        let status = node.get_optional_child("status").ok_or(Refusal::BadRequest)?;
        let users = status.get_children_by_tag("user").filter_map(|user| {
            let jid = wire::address(user, "jid")?.to_non_ad();
            let builder = NodeBuilder::new("user").attr("jid", &jid);
            let Some(number) = self.number_of(&jid) else {
                return Some(builder.attr("code", "404").attr("type", "fail").build());
            };
            if !self.allows_with_token(&number, Category::About, viewer, user) {
                return Some(builder.attr("code", "401").attr("type", "fail").build());
            }
            let (about, at) = self.about(&number);
            Some(builder.attr("t", at).bytes(about.as_bytes()).build())
        });
        Ok(vec![NodeBuilder::new("status").children(users).build()])
    }

    /// An account's about text, and when it was set.
    pub(in crate::network) fn about(&self, number: &str) -> (&str, u64) {
        let about = self.accounts.get(number).map_or("", |account| &account.about);
        (about, self.person(number).about_at)
    }

    pub(super) fn set_disappearing_mode(&mut self, key: &DeviceKey, node: &Node) -> Answer {
        let mode = node.get_optional_child("disappearing_mode").ok_or(Refusal::BadRequest)?;
        let seconds = wire::attribute(mode, "duration").and_then(|duration| duration.parse().ok());
        let seconds: u32 = seconds.filter(|seconds| *seconds <= DISAPPEARING_S_MAX).ok_or(Refusal::BadRequest)?;
        let mode = DisappearingMode { seconds, at: self.now_s() };
        self.change_person(&key.number, |person| person.disappearing = mode);
        // The account's own devices read it in `account_sync` (Baileys 7), others in a notification of its own.
        let mut notice = self.notice(&key.number, "account_sync");
        notice.children = vec![mode.node()];
        self.tell_own(&key.number, Some(key), &notice);
        let mut notice = self.notice(&key.number, "disappearing_mode");
        notice.children = vec![mode.node()];
        self.tell_acquaintances(&key.number, &notice, |_, _| true);
        Ok(Vec::new())
    }

    /// Sets the short-lived status, or ends it.
    pub(in crate::network) fn set_text_status(&mut self, number: &str, text: &str, emoji: Option<&str>, lasts_s: u32) {
        let status = (!text.is_empty() || emoji.is_some()).then(|| TextStatus {
            text: text.chars().take(ABOUT_CHARS_MAX).collect(),
            emoji: emoji.map(str::to_owned),
            lasts_s,
            at: self.now_s(),
        });
        self.change_person(number, |person| person.text_status = status);
    }

    /// The children that usync gives for a profile; nothing for what is not there.
    pub(in crate::network) fn profile_node(&self, protocol: &str, number: &str, viewer: &str, user: &Node) -> Option<Node> {
        let person = self.person(number);
        match protocol {
            "status" => {
                if !self.allows_with_token(number, Category::About, viewer, user) {
                    // Both clients read this as an about text that is hidden.
                    return Some(NodeBuilder::new("status").attr("code", "401").build());
                }
                let (about, at) = self.about(number);
                let builder = NodeBuilder::new("status").attr("t", at);
                Some(if about.is_empty() { builder.build() } else { builder.bytes(about.as_bytes()).build() })
            }
            "text_status" => {
                let status = person.text_status.as_ref().filter(|status| !status.is_over(self.now_s()))?;
                if !self.allows_with_token(number, Category::About, viewer, user) {
                    return None;
                }
                let builder = NodeBuilder::new("text_status")
                    .attr("text", &status.text)
                    .attr("ephemeral_duration_sec", status.lasts_s)
                    .attr("last_update_time", status.at);
                let emoji = status.emoji.as_ref().map(|emoji| NodeBuilder::new("emoji").attr("content", emoji).build());
                Some(builder.children(emoji).build())
            }
            "disappearing_mode" => Some(person.disappearing.node()),
            "picture" => {
                let picture = person.picture.as_ref()?;
                let seen = self.allows_with_token(number, Category::Picture, viewer, user);
                seen.then(|| NodeBuilder::new("picture").attr("id", picture.id).attr("type", "image").build())
            }
            "business" => Some(NodeBuilder::new("business").children([self.verified_name(number)?]).build()),
            "username" => {
                let username = person.username.as_ref()?;
                Some(NodeBuilder::new("username").string_content(username.as_str()).build())
            }
            "lid" => Some(NodeBuilder::new("lid").attr("val", self.account_jid(number, Space::Lid)).build()),
            // Assistants do not live here, and features are no longer told apart; saying nothing says that.
            _ => None,
        }
    }
}
