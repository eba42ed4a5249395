//! Privacy settings: which groups of people may see what, and who is left out of them.
//!
//! Categories and values are those that wacore 0.7.0 iq/privacy.rs and Baileys 7 (Types/Chat) know. A category may
//! have a list of contacts that it leaves out; a client changes the list by naming the hash it has seen, and is refused
//! with a conflict when another device was faster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Network, Refusal};
use crate::address::{DeviceKey, Space};
use crate::wire;

/// Contacts that one category may leave out.
const LEFT_OUT_MAX: usize = 5_000;
/// The value of a category that leaves some contacts out.
const EXCEPT: &str = "contact_blacklist";
/// The hash of an empty list.
const NO_LIST: &str = "none";

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::network) enum Category {
    LastSeen,
    Online,
    Picture,
    About,
    GroupAdd,
    ReadReceipts,
    CallAdd,
    Messages,
    Defense,
}

impl Category {
    const ALL: [Self; 9] = [
        Self::LastSeen,
        Self::Online,
        Self::Picture,
        Self::About,
        Self::GroupAdd,
        Self::ReadReceipts,
        Self::CallAdd,
        Self::Messages,
        Self::Defense,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::LastSeen => "last",
            Self::Online => "online",
            Self::Picture => "profile",
            Self::About => "status",
            Self::GroupAdd => "groupadd",
            Self::ReadReceipts => "readreceipts",
            Self::CallAdd => "calladd",
            Self::Messages => "messages",
            Self::Defense => "defense",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// The category of a name, if it can have this value.
    pub(super) fn with_value(name: &str, value: &str) -> Option<Self> {
        Self::parse(name).filter(|category| category.values().contains(&value))
    }

    /// What it may be set to; the first is what it is before anybody sets it.
    fn values(self) -> &'static [&'static str] {
        match self {
            Self::LastSeen | Self::Picture | Self::About | Self::GroupAdd => &["all", "contacts", EXCEPT, "none"],
            Self::Online => &["all", "match_last_seen"],
            Self::ReadReceipts => &["all", "none"],
            Self::CallAdd => &["all", "known", "contacts"],
            Self::Messages => &["all", "contacts"],
            Self::Defense => &["off", "on_standard"],
        }
    }

    fn has_list(self) -> bool {
        self.values().contains(&EXCEPT)
    }

    fn default_value(self) -> &'static str {
        self.values().first().copied().unwrap_or("all")
    }
}

/// All settings of an account; those never touched are absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Settings(BTreeMap<Category, Setting>);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Setting {
    value: String,
    /// The numbers of those that are left out, kept while another value is set.
    left_out: BTreeSet<String>,
}

/// One category of a request, read and found good.
struct Change {
    category: Category,
    value: String,
    /// Who is to be left out, or to be left out no more.
    users: Vec<(String, bool)>,
}

impl Settings {
    pub(super) fn value(&self, category: Category) -> &str {
        self.0.get(&category).map_or(category.default_value(), |setting| &setting.value)
    }

    pub(super) fn leaves_out(&self, category: Category, number: &str) -> bool {
        self.0.get(&category).is_some_and(|setting| setting.left_out.contains(number))
    }

    fn left_out(&self, category: Category) -> impl Iterator<Item = &String> {
        self.0.get(&category).into_iter().flat_map(|setting| &setting.left_out)
    }

    fn dhash(&self, category: Category) -> String {
        let mut left_out = self.left_out(category).peekable();
        if left_out.peek().is_none() {
            return NO_LIST.to_owned();
        }
        let mut digest = Sha256::new();
        for number in left_out {
            digest.update(number);
            digest.update([b';']);
        }
        hex::encode(digest.finalize()).chars().take(16).collect()
    }

    fn apply(&mut self, change: &Change) {
        let setting = self.0.entry(change.category).or_default();
        setting.value.clone_from(&change.value);
        for (number, leave_out) in &change.users {
            if *leave_out {
                setting.left_out.insert(number.clone());
            } else {
                setting.left_out.remove(number);
            }
        }
    }

    fn node(&self, category: Category) -> Node {
        let value = self.value(category);
        let builder = NodeBuilder::new("category").attr("name", category.name()).attr("value", value);
        let builder = if value == EXCEPT { builder.attr("dhash", self.dhash(category)) } else { builder };
        builder.build()
    }
}

impl Network {
    /// All categories, or the lists of those that the client asks about.
    pub(super) fn privacy_answer(&self, number: &str, node: &Node) -> Answer {
        let privacy = node.get_optional_child("privacy").ok_or(Refusal::BadRequest)?;
        let settings = &self.person(number).privacy;
        let lists: Vec<Node> = privacy
            .get_children_by_tag("list")
            .map(|list| {
                let category = wire::attribute(list, "name").and_then(|name| Category::parse(&name));
                let category = category.filter(|category| category.has_list()).ok_or(Refusal::BadRequest)?;
                Ok(self.list_node(settings, category))
            })
            .collect::<Result<_, _>>()?;
        let children = if lists.is_empty() { Category::ALL.map(|category| settings.node(category)).to_vec() } else { lists };
        Ok(vec![NodeBuilder::new("privacy").children(children).build()])
    }

    fn list_node(&self, settings: &Settings, category: Category) -> Node {
        let users = settings.left_out(category).map(|number| {
            NodeBuilder::new("user")
                .attr("jid", self.account_jid(number, Space::Lid))
                .attr("pn_jid", self.account_jid(number, Space::Number))
                .build()
        });
        NodeBuilder::new("list")
            .attr("name", category.name())
            .attr("value", EXCEPT)
            .attr("dhash", settings.dhash(category))
            .children(users)
            .build()
    }

    /// Changes settings, all of a request or none of it, and tells the account's other devices.
    pub(super) fn change_privacy(&mut self, key: &DeviceKey, node: &Node) -> Answer {
        let privacy = node.get_optional_child("privacy").ok_or(Refusal::BadRequest)?;
        let changes: Vec<Change> = privacy
            .get_children_by_tag("category")
            .map(|category| self.read_change(&key.number, category))
            .collect::<Result<_, _>>()?;
        if changes.is_empty() {
            return Err(Refusal::BadRequest);
        }
        Ok(vec![self.apply_privacy(&key.number, Some(key), &changes)])
    }

    fn apply_privacy(&mut self, number: &str, cause: Option<&DeviceKey>, changes: &[Change]) -> Node {
        let categories = self.change_person(number, |person| {
            changes.iter().for_each(|change| person.privacy.apply(change));
            changes.iter().map(|change| person.privacy.node(change.category)).collect::<Vec<_>>()
        });
        let answer = NodeBuilder::new("privacy").children(categories).build();
        let mut notice = self.notice(number, "account_sync");
        notice.children = vec![answer.clone()];
        self.tell_own(number, cause, &notice);
        answer
    }

    fn read_change(&self, number: &str, node: &Node) -> Result<Change, Refusal> {
        let name = wire::attribute(node, "name").ok_or(Refusal::BadRequest)?;
        let value = wire::attribute(node, "value").ok_or(Refusal::BadRequest)?;
        let category = Category::with_value(&name, &value).ok_or(Refusal::BadRequest)?;
        let users: Vec<(String, bool)> = node
            .get_children_by_tag("user")
            .map(|user| {
                let leave_out = match wire::attribute(user, "action").as_deref() {
                    None | Some("add") => true,
                    Some("remove") => false,
                    Some(_) => return Err(Refusal::BadRequest),
                };
                let jid = wire::address(user, "jid").ok_or(Refusal::BadRequest)?;
                Ok((self.number_of(&jid).ok_or(Refusal::NotFound)?, leave_out))
            })
            .collect::<Result<_, _>>()?;
        if !users.is_empty() && value != EXCEPT {
            return Err(Refusal::BadRequest);
        }
        let settings = &self.person(number).privacy;
        if settings.left_out(category).count() + users.len() > LEFT_OUT_MAX {
            return Err(Refusal::TooMany);
        }
        let dhash = wire::attribute(node, "dhash");
        let seen = dhash.as_deref().map(|dhash| if dhash.is_empty() { NO_LIST } else { dhash });
        if seen.is_some_and(|seen| seen != settings.dhash(category)) {
            return Err(Refusal::Conflict);
        }
        Ok(Change { category, value, users })
    }

    /// The owner of a phone changes a setting there.
    pub(super) fn set_privacy(&mut self, number: &str, category: Category, value: &str) {
        let change = Change { category, value: value.to_owned(), users: Vec::new() };
        self.apply_privacy(number, None, &[change]);
    }
}
