//! What the server knows of the people behind the accounts: what they show of themselves, to whom, who knows whom, and
//! who trusts whom.
//!
//! A person is a record beside its account; one who never touched a setting has none. Whoever must hear of a change is
//! found through the acquaintances: everybody who has exchanged messages with an account or asked for its devices.

mod acquaintances;
mod blocklist;
mod commands;
mod device_list;
mod names;
mod pictures;
mod privacy;
mod profile;
mod props;
mod reinstall;
mod scenario;
mod tokens;
mod visibility;

#[cfg(test)]
mod test_network;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeValue};

use super::account::put;
use super::queue::QueueEntry;
use super::{Link, LinkId, Network};
use crate::address::{DeviceKey, Space};
use crate::{random, wire};
use acquaintances::Acquaintance;
use blocklist::Blocklist;
use pictures::Picture;
use privacy::Settings;
use profile::{DisappearingMode, TextStatus};
use scenario::Scenario;
use tokens::TrustToken;

pub(crate) use commands::PersonCommand;

/// The record keys of this room.
const PERSON_RECORD: &str = "person";
const ACQUAINTANCE_RECORD: &str = "acquaintance";
const TRUST_RECORD: &str = "trust";
const GROUP_PICTURE_RECORD: &str = "group_picture";

/// The part of an account that its owner shows, hides or forbids; stored under `person/<number>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Person {
    scenario: Scenario,
    /// Salts the tokens that stand in for a trusted contact's; only accounts whose scenario delivers one have it.
    nct_salt: Option<String>,
    /// When the about text was set, in seconds.
    about_at: u64,
    text_status: Option<TextStatus>,
    disappearing: DisappearingMode,
    username: Option<String>,
    picture: Option<Picture>,
    privacy: Settings,
    blocklist: Blocklist,
}

/// Everybody's settings and everybody's relations.
#[derive(Default)]
pub(super) struct People {
    persons: HashMap<String, Person>,
    /// Whom an account knows.
    acquaintances: HashMap<String, BTreeMap<String, Acquaintance>>,
    /// The same from the other end: who knows an account.
    known_by: HashMap<String, BTreeSet<String>>,
    /// The tokens that an account has given to another, the latest last.
    trust: HashMap<(String, String), Vec<TrustToken>>,
    group_pictures: HashMap<String, Picture>,
}

/// Why a request is refused, with the code and the text that go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    BadRequest,
    NotAuthorized,
    NotFound,
    NotAcceptable,
    Conflict,
    TooMany,
}

impl Refusal {
    fn parts(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "bad-request"),
            Self::NotAuthorized => (401, "not-authorized"),
            Self::NotFound => (404, "item-not-found"),
            Self::NotAcceptable => (406, "not-acceptable"),
            Self::Conflict => (409, "conflict"),
            Self::TooMany => (507, "resource-limit"),
        }
    }
}

/// The children of a result, or why there is none.
type Answer = Result<Vec<Node>, Refusal>;

/// A notification that comes from an account rather than from the server.
struct Notice {
    kind: &'static str,
    from: Jid,
    /// Whose it is, as queue entries name it.
    peer: String,
    attrs: Vec<(&'static str, NodeValue)>,
    children: Vec<Node>,
}

impl Notice {
    fn with(mut self, name: &'static str, value: impl Into<NodeValue>) -> Self {
        self.attrs.push((name, value.into()));
        self
    }

    fn node(&self, id: &str, now_s: u64) -> Node {
        let mut builder = NodeBuilder::new("notification")
            .attr("from", &self.from)
            .attr("type", self.kind)
            .attr("id", id)
            .attr("t", now_s);
        for (name, value) in &self.attrs {
            builder = builder.attr(name, value.clone());
        }
        builder.children(self.children.iter().cloned()).build()
    }
}

impl Network {
    /// Requests about people, by their namespace. False when this is none we know.
    pub(super) fn receive_people_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let namespace = wire::attribute(node, "xmlns").unwrap_or_default();
        let asks = wire::attribute_is(node, "type", "get");
        let answer = match (namespace.as_str(), asks) {
            ("abt", _) => Ok(vec![self.props(&key.number, node)]),
            ("blocklist", true) => Ok(vec![self.blocklist_answer(&key.number, node)]),
            ("blocklist", false) => self.change_blocklist(key, node),
            // The list of assistants; none lives here.
            ("bot", true) => Ok(vec![no_bots()]),
            ("disappearing_mode", true) => Ok(vec![self.person(&key.number).disappearing.node()]),
            ("disappearing_mode", false) => self.set_disappearing_mode(key, node),
            ("privacy", true) => self.privacy_answer(&key.number, node),
            ("privacy", false) => match node.get_optional_child("tokens") {
                Some(tokens) => self.issue_tokens(key, tokens),
                None => self.change_privacy(key, node),
            },
            ("status", true) => self.about_answer(&key.number, node),
            ("status", false) => self.receive_about(key, node),
            ("w:profile:picture", true) => self.picture_answer(link, &key.number, node),
            ("w:profile:picture", false) => self.change_picture(key, node),
            _ => return false,
        };
        let answer = match answer {
            Ok(children) if children.is_empty() => wire::result(id).build(),
            Ok(children) => wire::result(id).children(children).build(),
            Err(refusal) => {
                let (code, text) = refusal.parts();
                wire::refusal(id, code, text)
            }
        };
        self.send(link, answer);
        true
    }

    /// What is known of the person behind an account.
    fn person(&self, number: &str) -> &Person {
        static NOBODY: LazyLock<Person> = LazyLock::new(Person::default);
        self.people.persons.get(number).unwrap_or(&NOBODY)
    }

    /// Changes a person and writes the change down.
    fn change_person<T>(&mut self, number: &str, change: impl FnOnce(&mut Person) -> T) -> T {
        let person = self.people.persons.entry(number.to_owned()).or_default();
        let value = change(person);
        self.out.records.push(put(format!("{PERSON_RECORD}/{number}"), person));
        value
    }

    /// The first thing that is known of a new account is the name it was made with: it may call for a scenario.
    pub(super) fn begin_person(&mut self, number: &str, name: &str) {
        let scenario = Scenario::parse(name);
        if scenario != Scenario::default() {
            self.change_person(number, |person| {
                person.scenario = scenario;
                person.nct_salt = scenario.delivers_salt().then(|| hex::encode(random::bytes::<32>()));
            });
        }
    }

    /// A stored record of this room; `None` when it has another form.
    pub(super) fn restore_people(&mut self, kind: &str, path: &str, value: Value) -> Option<()> {
        match kind {
            PERSON_RECORD => {
                self.people.persons.insert(path.to_owned(), serde_json::from_value(value).ok()?);
            }
            ACQUAINTANCE_RECORD => {
                let (who, of) = path.split_once('/')?;
                self.people.keep_acquaintance(who, of, serde_json::from_value(value).ok()?);
            }
            TRUST_RECORD => {
                let (issuer, receiver) = path.split_once('/')?;
                let tokens = serde_json::from_value(value).ok()?;
                self.people.trust.insert((issuer.to_owned(), receiver.to_owned()), tokens);
            }
            GROUP_PICTURE_RECORD => {
                self.people.group_pictures.insert(path.to_owned(), serde_json::from_value(value).ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// A notification from an account, still without content.
    fn notice(&self, number: &str, kind: &'static str) -> Notice {
        let from = self.account_jid(number, Space::Number);
        Notice { kind, from, peer: number.to_owned(), attrs: Vec::new(), children: Vec::new() }
    }

    /// Keeps a notification for a device until it is acknowledged.
    fn queue_notice(&mut self, key: &DeviceKey, notice: &Notice) {
        let id = random::stanza_id();
        let entry = QueueEntry {
            class: "notification".to_owned(),
            peer: notice.peer.clone(),
            kind: Some(notice.kind.to_owned()),
            node: notice.node(&id, self.now_s()),
            id,
        };
        self.enqueue(key, entry);
    }

    /// Tells all companions of an account, but not the one that caused it.
    fn tell_own(&mut self, number: &str, cause: Option<&DeviceKey>, notice: &Notice) {
        for key in self.companions_of(number) {
            if Some(&key) != cause {
                self.queue_notice(&key, notice);
            }
        }
    }

    /// Tells the companions of everybody who knows an account and may see what has changed.
    fn tell_acquaintances(&mut self, number: &str, notice: &Notice, may_see: impl Fn(&Self, &str) -> bool) {
        let audience: Vec<String> = self.acquainted_with(number).filter(|viewer| may_see(self, viewer)).cloned().collect();
        for viewer in audience {
            for key in self.companions_of(&viewer) {
                self.queue_notice(&key, notice);
            }
        }
    }

    /// An account's address without a device.
    fn account_jid(&self, number: &str, space: Space) -> Jid {
        self.jid_of(&DeviceKey::new(number, 0), space)
    }

    /// The account behind a connection.
    fn number_behind(&self, link: LinkId) -> Option<&str> {
        match self.links.get(&link)? {
            Link::Session(session) => Some(&session.key.number),
            Link::Idle | Link::Pairing(_) => None,
        }
    }
}

fn no_bots() -> Node {
    let all = NodeBuilder::new("section").attr("type", "all").attr("name", "all").build();
    NodeBuilder::new("bot").attr("v", "2").children([all]).build()
}
