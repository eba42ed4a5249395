//! What a group is called and what it allows.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Network;
use super::create::{check_description, check_subject};
use super::info::{approval_node, growth_locked_node, mode_node};
use super::iq::text_of;
use super::model::{Description, Mode, Place, Settings, Who};
use super::refusal::{Done, Refusal};
use crate::{random, wire};

/// The longest timer that clients accept (wacore 0.7.0 `GROUP_EPHEMERAL_EXPIRATION_MAX`).
const EPHEMERAL_S_MAX: u32 = i32::MAX.unsigned_abs();
/// The highest trigger that clients accept (wacore 0.7.0 `GROUP_SETTING_TRIGGER_MAX`).
const TRIGGER_MAX: u32 = 20;

impl Network {
    pub(super) fn set_subject(&mut self, id: &str, by: &str, subject: &str) -> Done<()> {
        let group = self.group_of_editor(id, by)?;
        check_subject(subject)?;
        let addressing = group.addressing;
        let now_s = self.now_s();
        let node = NodeBuilder::new("subject").attr("subject", subject).attr("s_t", now_s);
        let node = self.with_person(node, addressing, ["s_o", "s_o_pn"], by).build();
        self.change_group(id, |group| {
            subject.clone_into(&mut group.subject);
            by.clone_into(&mut group.subject_by);
            group.subject_s = now_s;
        })?;
        self.tell_members(id, Some(by), node);
        Ok(())
    }

    /// `<description id prev?><body/></description>`, or with `delete="true"` and no body. `prev` must be the id of the
    /// description that is there, so that nobody overwrites what they have not seen (whatsapp-rust 0.7.0 `set_description`).
    pub(super) fn set_description_by_node(&mut self, id: &str, by: &str, node: &Node) -> Done<()> {
        let group = self.group_of_editor(id, by)?;
        if wire::attribute(node, "prev") != group.description.as_ref().map(|description| description.id.clone()) {
            return Err(Refusal::CONFLICT);
        }
        let text = match node.get_optional_child("body") {
            Some(body) if !wire::attribute_is(node, "delete", "true") => text_of(body),
            _ => String::new(),
        };
        let description_id = wire::attribute(node, "id").unwrap_or_else(random::stanza_id);
        self.set_description(id, by, &description_id, &text)
    }

    /// Replaces the description; an empty one takes it away.
    pub(super) fn set_description(&mut self, id: &str, by: &str, description_id: &str, text: &str) -> Done<()> {
        self.group_of_editor(id, by)?;
        check_description(description_id, text)?;
        let now_s = self.now_s();
        let node = NodeBuilder::new("description").attr("id", description_id);
        let content = if text.is_empty() { NodeBuilder::new("delete").build() } else { wire::leaf("body", text.as_bytes()) };
        let description =
            Description { id: description_id.to_owned(), text: text.to_owned(), by: by.to_owned(), at_s: now_s };
        self.change_group(id, |group| group.description = Some(description).filter(|_| !text.is_empty()))?;
        self.tell_members(id, Some(by), node.children([content]).build());
        Ok(())
    }

    /// One setting, named by its element. `None` when it is no setting.
    pub(super) fn set_by_node(&mut self, id: &str, by: &str, node: &Node) -> Option<Done<()>> {
        let tag = node.tag.as_ref();
        Some(match tag {
            "ephemeral" | "not_ephemeral" => self.set_ephemeral_by_node(id, by, node),
            "membership_approval_mode" => self.set_approval(id, by, wants_approval(node)),
            "member_add_mode" => match Who::parse(&text_of(node)) {
                Some(who) => self.set_mode(id, by, Mode::Add, who),
                None => Err(Refusal::BAD_REQUEST),
            },
            "allow_non_admin_sub_group_creation" => self.set_open(id, by, true),
            "not_allow_non_admin_sub_group_creation" => self.set_open(id, by, false),
            _ => {
                let (flag, on) = flag(tag)?;
                self.set_flag(id, by, tag, |settings| *flag(settings) = on)
            }
        })
    }

    /// A setting that is on or off and belongs to the admins. The notification is the element that set it.
    pub(super) fn set_flag(&mut self, id: &str, by: &str, tag: &str, set: impl FnOnce(&mut Settings)) -> Done<()> {
        self.group_of_admin(id, by)?;
        self.change_group(id, |group| set(&mut group.settings))?;
        self.tell_members(id, Some(by), NodeBuilder::new_dynamic(tag.to_owned()).build());
        Ok(())
    }

    fn set_ephemeral_by_node(&mut self, id: &str, by: &str, node: &Node) -> Done<()> {
        let (seconds, trigger) = if node.tag == "ephemeral" { ephemeral_of(node)? } else { (0, None) };
        self.set_ephemeral(id, by, seconds, trigger)
    }

    /// Sets after how many seconds messages disappear; 0 for never.
    pub(super) fn set_ephemeral(&mut self, id: &str, by: &str, seconds: u32, trigger: Option<u32>) -> Done<()> {
        self.group_of_editor(id, by)?;
        if seconds > EPHEMERAL_S_MAX {
            return Err(Refusal::BAD_REQUEST);
        }
        let node = if seconds == 0 {
            NodeBuilder::new("not_ephemeral").build()
        } else {
            let node = NodeBuilder::new("ephemeral").attr("expiration", seconds);
            trigger.into_iter().fold(node, |node, trigger| node.attr("trigger", trigger)).build()
        };
        self.change_group(id, |group| {
            group.settings.ephemeral_s = seconds;
            group.settings.ephemeral_trigger = trigger;
        })?;
        self.tell_members(id, Some(by), node);
        Ok(())
    }

    /// Whether admins decide who joins. Those who wait go on waiting.
    pub(super) fn set_approval(&mut self, id: &str, by: &str, on: bool) -> Done<()> {
        self.group_of_admin(id, by)?;
        self.change_group(id, |group| {
            group.settings.approval = on;
            if let Place::Parent { approval, .. } = &mut group.place {
                *approval = on;
            }
        })?;
        self.tell_members(id, Some(by), approval_node(on));
        Ok(())
    }

    /// Opens something to all members, or keeps it for the admins.
    pub(super) fn set_mode(&mut self, id: &str, by: &str, mode: Mode, who: Who) -> Done<()> {
        self.group_of_admin(id, by)?;
        self.change_group(id, |group| match mode {
            Mode::Add => group.settings.add = who,
            Mode::Link => group.settings.link = who,
            Mode::ShareHistory => group.settings.share_history = who,
        })?;
        self.tell_members(id, Some(by), mode_node(mode, who));
        Ok(())
    }

    /// Whether members may add groups to a community.
    fn set_open(&mut self, id: &str, by: &str, on: bool) -> Done<()> {
        let group = self.group_of_admin(id, by)?;
        if !group.is_parent() {
            return Err(Refusal::NOT_ACCEPTABLE);
        }
        self.change_group(id, |group| {
            if let Place::Parent { open, .. } = &mut group.place {
                *open = on;
            }
        })?;
        let tag = if on { "allow_non_admin_sub_group_creation" } else { "not_allow_non_admin_sub_group_creation" };
        self.tell_members(id, Some(by), NodeBuilder::new(tag).build());
        Ok(())
    }

    /// The server lets nobody join by a link for a while, or again; members have no part in it.
    pub(super) fn lock_growth(&mut self, id: &str, seconds: u64) -> Done<()> {
        let until_s = if seconds == 0 { 0 } else { self.now_s().saturating_add(seconds) };
        self.change_group(id, |group| group.settings.growth_locked_until_s = until_s)?;
        let node = if seconds == 0 { NodeBuilder::new("growth_unlocked").build() } else { growth_locked_node(until_s) };
        self.tell_members(id, None, node);
        Ok(())
    }
}

type Flag = fn(&mut Settings) -> &mut bool;

/// The setting behind an element, and what the element makes of it.
fn flag(tag: &str) -> Option<(Flag, bool)> {
    Some(match tag {
        "locked" => (|settings| &mut settings.locked, true),
        "unlocked" => (|settings| &mut settings.locked, false),
        "announcement" => (|settings| &mut settings.announcement, true),
        "not_announcement" => (|settings| &mut settings.announcement, false),
        "no_frequently_forwarded" => (|settings| &mut settings.no_frequently_forwarded, true),
        "frequently_forwarded_ok" => (|settings| &mut settings.no_frequently_forwarded, false),
        "allow_admin_reports" => (|settings| &mut settings.admin_reports, true),
        "not_allow_admin_reports" => (|settings| &mut settings.admin_reports, false),
        "group_history" => (|settings| &mut settings.history, true),
        "no_group_history" => (|settings| &mut settings.history, false),
        _ => return None,
    })
}

/// The state in a `<membership_approval_mode>`; Baileys 7 writes `community_join` for communities.
pub(super) fn wants_approval(node: &Node) -> bool {
    ["group_join", "community_join"]
        .into_iter()
        .filter_map(|tag| node.get_optional_child(tag))
        .any(|state| wire::attribute_is(state, "state", "on"))
}

/// Seconds and trigger of an `<ephemeral>`.
pub(super) fn ephemeral_of(node: &Node) -> Done<(u32, Option<u32>)> {
    let number = |name: &str| wire::attribute(node, name).map(|text| text.parse::<u32>()).transpose();
    let seconds = number("expiration").map_err(|_| Refusal::BAD_REQUEST)?.unwrap_or(0);
    let trigger = number("trigger").map_err(|_| Refusal::BAD_REQUEST)?;
    if seconds > EPHEMERAL_S_MAX || trigger.is_some_and(|trigger| trigger > TRIGGER_MAX) {
        return Err(Refusal::BAD_REQUEST);
    }
    Ok((seconds, trigger))
}
