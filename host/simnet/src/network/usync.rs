//! Questions about users: are they here, which devices do they have, what is their other address.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};

use super::{LinkId, Network, space_of};
use crate::address::{DeviceKey, Space, parse_number};
use crate::wire;

/// Users in one question.
const USERS_MAX: usize = 5_000;

impl Network {
    /// Requests in the `usync` namespace. False when this is none.
    pub(super) fn receive_usync_iq(&mut self, link: LinkId, id: &str, node: &Node) -> bool {
        let Some(usync) = node.get_optional_child("usync") else {
            return false;
        };
        let (Some(query), Some(list)) = (usync.get_optional_child("query"), usync.get_optional_child("list")) else {
            return false;
        };
        let protocols = wire::children(query);
        let users: Vec<Node> =
            list.get_children_by_tag("user").take(USERS_MAX).filter_map(|user| self.answer_user(user, protocols)).collect();
        let states = protocols.iter().map(|protocol| NodeBuilder::new_dynamic(protocol.tag.to_string()).build());
        let answer = NodeBuilder::new("usync")
            .attr("sid", wire::attribute(usync, "sid").unwrap_or_default())
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

    /// What is known about one user; nothing about one who was asked for by an unreadable address.
    fn answer_user(&self, user: &Node, protocols: &[Node]) -> Option<Node> {
        let jid = asked_jid(user)?;
        let number = self.number_of(&jid);
        let answers = protocols.iter().filter_map(|protocol| match (protocol.tag.as_ref(), &number) {
            ("contact", found) => {
                let kind = if found.is_some() { "in" } else { "out" };
                Some(NodeBuilder::new("contact").attr("type", kind).build())
            }
            (_, None) => None,
            ("devices", Some(number)) => self.devices_node(number),
            ("lid", Some(number)) => {
                let lid = self.jid_of(&DeviceKey::new(number.as_str(), 0), Space::Lid);
                Some(NodeBuilder::new("lid").attr("val", lid).build())
            }
            ("status", Some(number)) => self.status_node(number),
            ("disappearing_mode", Some(_)) => {
                Some(NodeBuilder::new("disappearing_mode").attr("duration", "0").attr("t", "0").build())
            }
            // Pictures, businesses and user names do not exist here; saying nothing says that.
            _ => None,
        });
        let mut builder = NodeBuilder::new("user").attr("jid", &jid);
        if let (Some(number), Space::Lid) = (&number, space_of(&jid)) {
            builder = builder.attr("pn_jid", Jid::pn(number.as_str()));
        }
        Some(builder.children(answers).build())
    }

    fn status_node(&self, number: &str) -> Option<Node> {
        let about = self.accounts.get(number)?.about.as_bytes();
        Some(NodeBuilder::new("status").attr("t", self.now_s()).bytes(about).build())
    }

    fn devices_node(&self, number: &str) -> Option<Node> {
        let account = self.accounts.get(number)?;
        let mut devices = vec![NodeBuilder::new("device").attr("id", "0").build()];
        devices.extend(account.devices.iter().map(|(id, device)| {
            NodeBuilder::new("device").attr("id", *id).attr("key-index", device.record.key_index).build()
        }));
        let mut children = vec![NodeBuilder::new("device-list").children(devices).build()];
        if !account.devices.is_empty() {
            let signed = account.phone.key_index_list().ok()?;
            children.push(
                NodeBuilder::new("key-index-list").attr("ts", account.phone.key_index_list_at()).bytes(signed).build(),
            );
        }
        Some(NodeBuilder::new("devices").children(children).build())
    }
}

/// The user a question is about: by address, or by the number in its `contact` element.
fn asked_jid(user: &Node) -> Option<Jid> {
    if let Some(jid) = wire::address(user, "jid") {
        return Some(jid.to_non_ad());
    }
    let text = std::str::from_utf8(wire::child_content(user, "contact")?).ok()?;
    let number = parse_number(text.trim()).ok()?;
    Some(Jid::pn(number.as_str()))
}
