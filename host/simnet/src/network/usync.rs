//! Questions about users: are they here, which devices do they have, what is their other name, what do they show.
//!
//! Wire forms as wacore 0.7.0 iq/usync and Baileys 7 WAUSync read and write them. A user is named by number, by LID, by
//! the text of a number or by a user name. Whoever was asked for by LID is answered with `pn_jid`, and the protocol
//! `lid` gives the LID of one asked for by number.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};

use super::{LinkId, Network, space_of};
use crate::address::{DeviceKey, Space, parse_number};
use crate::wire;

/// Users in one question.
const USERS_MAX: usize = 5_000;

/// A user in a question.
struct Question<'a> {
    node: &'a Node,
    /// The address of the answer; none for a number that is none, or a user name that nobody has.
    jid: Option<Jid>,
    number: Option<String>,
    named: Named,
}

/// How a question names its user.
#[derive(PartialEq, Eq)]
enum Named {
    Address,
    /// By the text of a number, which may not be one.
    Text {
        text: String,
        valid: bool,
    },
    Username(String),
}

impl Network {
    /// Requests in the `usync` namespace. False when this is none.
    pub(super) fn receive_usync_iq(&mut self, link: LinkId, asker: &DeviceKey, id: &str, node: &Node) -> bool {
        let Some(usync) = node.get_optional_child("usync") else {
            return false;
        };
        let (Some(query), Some(list)) = (usync.get_optional_child("query"), usync.get_optional_child("list")) else {
            return false;
        };
        let protocols = wire::children(query);
        let mut users = Vec::new();
        for user in list.get_children_by_tag("user").take(USERS_MAX) {
            let question = self.read_question(user, protocols);
            users.extend(self.answer_user(&asker.number, &question, protocols));
            self.note_question(&asker.number, &question, protocols);
        }
        let states = protocols.iter().map(|protocol| NodeBuilder::new_dynamic(protocol.tag.to_string()).build());
        let answer = NodeBuilder::new("usync")
            .attr("sid", wire::attribute(usync, "sid").unwrap_or_default())
            .attr("mode", wire::attribute(usync, "mode").unwrap_or_else(|| "query".to_owned()))
            .attr("context", wire::attribute(usync, "context").unwrap_or_else(|| "interactive".to_owned()))
            .attr("index", "0")
            .attr("last", "true")
            .children([
                NodeBuilder::new("result").children(states).build(),
                NodeBuilder::new("list").children(users).build(),
            ])
            .build();
        self.send(link, wire::result(id).attr("to", SERVER_JID).children([answer]).build());
        true
    }

    fn read_question<'a>(&self, user: &'a Node, protocols: &[Node]) -> Question<'a> {
        let by_address = wire::address(user, "jid");
        if let Some(jid) = by_address {
            let jid = jid.to_non_ad();
            return Question { node: user, number: self.number_of(&jid), jid: Some(jid), named: Named::Address };
        }
        // Who is asked for by number alone is answered under his LID.
        if let Some(jid) = wire::address(user, "pn_jid") {
            let number = self.number_of(&jid);
            let jid = number.as_deref().map_or(jid.to_non_ad(), |number| self.bare(number, Space::Lid));
            return Question { node: user, jid: Some(jid), number, named: Named::Address };
        }
        let contact = user.get_optional_child("contact");
        if let Some(username) = contact.and_then(|contact| wire::attribute(contact, "username")) {
            let number = self.number_of_username(&username).map(str::to_owned);
            let jid = number.as_deref().map(|number| self.bare(number, Space::Lid));
            return Question { node: user, jid, number, named: Named::Username(username) };
        }
        let text = contact.and_then(wire::content).map(String::from_utf8_lossy).unwrap_or_default();
        let number = parse_number(text.trim()).ok();
        let known = number.clone().filter(|number| self.accounts.contains_key(number));
        let wants_lid = protocols
            .iter()
            .any(|protocol| protocol.tag == "contact" && wire::attribute_is(protocol, "addressing_mode", "lid"));
        let jid = match &known {
            Some(known) if wants_lid => Some(self.bare(known, Space::Lid)),
            _ => number.as_deref().map(Jid::pn),
        };
        let named = Named::Text { text: text.trim().to_owned(), valid: number.is_some() };
        Question { node: user, jid, number: known, named }
    }

    fn bare(&self, number: &str, space: Space) -> Jid {
        self.jid_of(&DeviceKey::new(number, 0), space)
    }

    /// What is known about one user. One who is not here is left out, unless that is the question; so is one about
    /// whom only the devices were asked and who has those that the client knows.
    fn answer_user(&self, asker: &str, question: &Question<'_>, protocols: &[Node]) -> Option<Node> {
        let answers: Vec<Node> = protocols
            .iter()
            .filter_map(|protocol| match (protocol.tag.as_ref(), &question.number) {
                ("contact", _) => Some(contact_node(question)),
                (_, None) => None,
                ("devices", Some(number)) => self.devices_node(number, question.node),
                (protocol, Some(number)) => self.profile_node(protocol, number, asker, question.node),
            })
            .collect();
        let only_devices = protocols.iter().all(|protocol| protocol.tag == "devices");
        if answers.is_empty() && (question.number.is_none() || only_devices) {
            return None;
        }
        let mut builder = NodeBuilder::new("user");
        if let Some(jid) = &question.jid {
            builder = builder.attr("jid", jid);
        }
        if let (Some(number), Some(Space::Lid)) = (&question.number, question.jid.as_ref().map(space_of)) {
            builder = builder.attr("pn_jid", Jid::pn(number.as_str()));
        }
        Some(builder.children(answers).build())
    }

    /// Whoever asks for devices keeps them, and will be told of changes; a list of contacts is an address book.
    fn note_question(&mut self, asker: &str, question: &Question<'_>, protocols: &[Node]) {
        let Some(number) = &question.number else { return };
        let asks = |tag: &str| protocols.iter().any(|protocol| protocol.tag == tag);
        if asks("devices") {
            self.note_device_query(asker, number);
        }
        let contact = question.node.get_optional_child("contact");
        match contact.filter(|_| asks("contact")).and_then(|contact| wire::attribute(contact, "type")).as_deref() {
            Some("add") => self.set_contact(asker, number, true),
            Some("remove") => self.set_contact(asker, number, false),
            _ => {}
        }
    }

    /// The devices, or nothing if the client has named their hash.
    fn devices_node(&self, number: &str, user: &Node) -> Option<Node> {
        let account = self.accounts.get(number)?;
        let hash = self.device_list_hash(number, Space::Number);
        let hint = user.get_optional_child("devices");
        let known = hint.and_then(|hint| wire::attribute(hint, "device_hash"));
        // A client may have computed the hash over either of the account's names.
        if known.is_some_and(|known| known == hash || known == self.device_list_hash(number, Space::Lid)) {
            return None;
        }
        let mut devices = vec![NodeBuilder::new("device").attr("id", "0").build()];
        devices.extend(account.devices.iter().map(|(id, device)| {
            NodeBuilder::new("device").attr("id", *id).attr("key-index", device.record.key_index).build()
        }));
        let mut children = vec![NodeBuilder::new("device-list").attr("hash", hash).children(devices).build()];
        if !account.devices.is_empty() {
            let mut list = self.key_index_list_node(number)?;
            // A client that has heard of a newer list than ours is told that we know what it waits for.
            let expected = hint.and_then(|hint| wire::attribute(hint, "expected_ts")?.parse::<u64>().ok());
            if let Some(expected) = expected.filter(|expected| *expected > account.phone.key_index_list_at()) {
                list.attrs.insert("expected_ts", expected);
            }
            children.push(list);
        }
        Some(NodeBuilder::new("devices").children(children).build())
    }
}

/// Whether a user is here. Numbers that are none are told apart from those that nobody has.
fn contact_node(question: &Question<'_>) -> Node {
    let found = if question.number.is_some() { "in" } else { "out" };
    let builder = NodeBuilder::new("contact");
    match &question.named {
        Named::Address => builder.attr("type", found).build(),
        Named::Text { text, valid } => {
            let kind = if *valid { found } else { "invalid" };
            builder.attr("type", kind).string_content(text.as_str()).build()
        }
        Named::Username(username) => builder.attr("type", found).attr("username", username).build(),
    }
}
