//! New groups, alone, in a community, or as one.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::info::Shown;
use super::iq::{Target, participants, text_of};
use super::members::Outcome;
use super::model::{Addressing, Description, Group, Place, Settings, Who};
use super::notify::Newcomers;
use super::refusal::{Done, Refusal};
use super::settings::{ephemeral_of, wants_approval};
use super::{Network, group_jid, new_code};
use crate::wire;

/// Letters in a group's name (wacore 0.7.0 `GROUP_SUBJECT_MAX_LENGTH`).
pub(super) const SUBJECT_CHARS_MAX: usize = 100;
/// Letters in a description (wacore 0.7.0 `GROUP_DESCRIPTION_MAX_LENGTH`).
pub(super) const DESCRIPTION_CHARS_MAX: usize = 2_048;
/// Bytes in the ids that clients give their descriptions and requests.
const ID_BYTES_MAX: usize = 128;
/// The name of the group in which all members of a new community speak.
const GENERAL_SUBJECT: &str = "General";

/// What a new group is to be.
pub(super) struct Creation {
    pub(super) subject: String,
    /// How the client finds its own request in the notification.
    pub(super) key: Option<String>,
    pub(super) addressing: Addressing,
    pub(super) targets: Vec<Target>,
    /// The description's id and text.
    pub(super) description: Option<(String, String)>,
    pub(super) settings: Settings,
    pub(super) place: Place,
    pub(super) general_chat: bool,
}

impl Creation {
    /// A group with nothing special about it.
    pub(super) fn plain(subject: &str, addressing: Addressing, targets: Vec<Target>) -> Self {
        Self {
            subject: subject.to_owned(),
            key: None,
            addressing,
            targets,
            description: None,
            settings: Settings::default(),
            place: Place::Alone,
            general_chat: false,
        }
    }

    /// Reads `<create>` as wacore 0.7.0 `build_create_group_node` and Baileys 7 write it.
    fn read(node: &Node) -> Done<Self> {
        let has = |tag: &str| node.get_optional_child(tag).is_some();
        let mode = |tag: &str, default: Who| {
            node.get_optional_child(tag).and_then(|mode| Who::parse(&text_of(mode))).unwrap_or(default)
        };
        let defaults = Settings::default();
        let (ephemeral_s, ephemeral_trigger) = match node.get_optional_child("ephemeral") {
            Some(ephemeral) => ephemeral_of(ephemeral)?,
            None => (0, None),
        };
        let approval = node.get_optional_child("membership_approval_mode").is_some_and(wants_approval);
        let settings = Settings {
            locked: has("locked"),
            announcement: has("announcement"),
            ephemeral_s,
            ephemeral_trigger,
            approval,
            add: mode("member_add_mode", defaults.add),
            link: mode("member_link_mode", defaults.link),
            no_frequently_forwarded: has("no_frequently_forwarded"),
            ..defaults
        };
        let description = node.get_optional_child("description").and_then(|description| {
            let text = description.get_optional_child("body").map(text_of)?;
            Some((wire::attribute(description, "id")?, text))
        });
        let linked = node.get_optional_child("linked_parent").and_then(|parent| wire::address(parent, "jid"));
        let place = match (linked, node.get_optional_child("parent")) {
            (Some(parent), _) => Place::Linked { parent: parent.user.to_string() },
            (None, Some(parent)) => Place::Parent {
                approval: wire::attribute_is(parent, "default_membership_approval_mode", "request_required"),
                open: has("allow_non_admin_sub_group_creation"),
            },
            (None, None) => Place::Alone,
        };
        let addressing = match wire::attribute(node, "addressing_mode") {
            Some(mode) => Addressing::parse(&mode).ok_or(Refusal::BAD_REQUEST)?,
            // New groups hide the numbers of their members.
            None => Addressing::Lid,
        };
        Ok(Self {
            subject: wire::attribute(node, "subject").unwrap_or_default(),
            key: wire::attribute(node, "key").filter(|key| key.len() <= ID_BYTES_MAX),
            addressing,
            targets: participants(node),
            description: description.filter(|(_, text)| !text.is_empty()),
            settings,
            place,
            general_chat: has("create_general_chat"),
        })
    }
}

impl Network {
    /// `<create>`: the answer describes the group. Those who could not be added stand in it with an `error`.
    pub(super) fn create_group_by_node(&mut self, by: &str, node: &Node) -> Done<Vec<Node>> {
        let (id, outcomes) = self.create_group(by, Creation::read(node)?)?;
        let refused: Vec<Node> = outcomes
            .iter()
            .filter(|outcome| outcome.result.is_err())
            .map(|outcome| self.outcome_node(&id, outcome))
            .collect();
        let group = self.group(&id)?;
        let node = self.group_node(&id, group, Shown::ALL);
        let children = wire::children(&node).iter().cloned().chain(refused).collect::<Vec<_>>();
        let mut node = node;
        node.content = NodeBuilder::new("group").children(children).build().content;
        Ok(vec![node])
    }

    /// Makes a group with its creator as owner, adds the others as far as they can be added, and tells them all.
    pub(super) fn create_group(&mut self, by: &str, creation: Creation) -> Done<(String, Vec<Outcome>)> {
        let Creation { subject, key, addressing, targets, description, settings, place, general_chat } = creation;
        check_subject(&subject)?;
        if let Some((id, text)) = &description {
            check_description(id, text)?;
        }
        if let Place::Linked { parent } = &place {
            self.check_new_subgroup(parent, by)?;
        }
        if !self.may_join_one_more(by) {
            return Err(Refusal::FULL);
        }
        let now_s = self.now_s();
        let mut group = Group::new(&subject, by, now_s, addressing, new_code());
        let description = description.map(|(id, text)| Description { id, text, by: by.to_owned(), at_s: now_s });
        group.description = description;
        group.settings = settings;
        group.place = place.clone();
        let id = self.new_group_id();
        self.groups.by_id.insert(id.clone(), group);
        let outcomes = self.gather(&id, by, &targets);
        self.record_group(&id);
        let others: Vec<String> = self.group(&id)?.members.keys().filter(|number| number.as_str() != by).cloned().collect();
        self.tell_newcomers(&id, by, &[by.to_owned()], &Newcomers::NewGroup { key });
        self.tell_newcomers(&id, by, &others, &Newcomers::NewGroup { key: None });
        match place {
            Place::Parent { .. } => self.furnish_community(&id, by, &subject, addressing, general_chat)?,
            Place::Linked { parent } => self.welcome_subgroup(&parent, &id, by),
            _ => {}
        }
        Ok((id, outcomes))
    }

    /// The first members of a group that nobody has heard of yet.
    fn gather(&mut self, id: &str, by: &str, targets: &[Target]) -> Vec<Outcome> {
        let now_s = self.now_s();
        let mut outcomes = Vec::with_capacity(targets.len());
        for target in targets {
            let mut outcome = self.outcome_of(target, |network, number| network.check_newcomer(id, number));
            let Some(number) = outcome.number.clone() else {
                outcomes.push(outcome);
                continue;
            };
            // Clients may list the creator as well.
            if number == by {
                continue;
            }
            if outcome.result.is_ok() {
                let full = self.group(id).is_ok_and(|group| self.room_in(group) == 0);
                if full {
                    outcome.result = Err(Refusal::FULL);
                } else if !self.may_be_added_by(&number, by) {
                    outcome.result = Err(Refusal::FORBIDDEN);
                    outcome.invite = self.invite_privately(id, by, &number);
                } else if let Some(group) = self.groups.by_id.get_mut(id) {
                    group.admit(&number, now_s);
                }
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// What every community begins with: a group for announcements, and one for everybody if it is wanted.
    fn furnish_community(
        &mut self,
        parent: &str,
        by: &str,
        subject: &str,
        addressing: Addressing,
        general_chat: bool,
    ) -> Done<()> {
        let members = || self.group(parent).map(Group::numbers).unwrap_or_default();
        let targets = || members().iter().map(|number| Target::account(wacore_binary::Jid::pn(number.as_str()))).collect();
        let mut announcements = Creation::plain(subject, addressing, targets());
        announcements.place = Place::Announcements { parent: parent.to_owned() };
        announcements.settings.announcement = true;
        let mut general = Creation::plain(GENERAL_SUBJECT, addressing, targets());
        general.place = Place::General { parent: parent.to_owned() };
        self.create_group(by, announcements)?;
        if general_chat {
            self.create_group(by, general)?;
        }
        Ok(())
    }

    /// The element by which notifications and lists name a group.
    pub(super) fn group_name_node(&self, id: &str) -> NodeBuilder {
        let node = NodeBuilder::new("group").attr("jid", group_jid(id));
        match self.group(id) {
            Ok(group) => node.attr("subject", &group.subject).attr("s_t", group.subject_s),
            Err(_) => node,
        }
    }
}

/// A name has letters, but not too many.
pub(super) fn check_subject(subject: &str) -> Done<()> {
    if subject.trim().is_empty() {
        return Err(Refusal::BAD_REQUEST);
    }
    if subject.chars().count() > SUBJECT_CHARS_MAX { Err(Refusal::NOT_ACCEPTABLE) } else { Ok(()) }
}

/// A description fits its limit, and so does its id.
pub(super) fn check_description(id: &str, text: &str) -> Done<()> {
    if id.len() > ID_BYTES_MAX {
        return Err(Refusal::BAD_REQUEST);
    }
    if text.chars().count() > DESCRIPTION_CHARS_MAX { Err(Refusal::NOT_ACCEPTABLE) } else { Ok(()) }
}
