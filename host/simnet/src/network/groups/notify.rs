//! `w:gp2` notifications: what has changed in a group, to every device that must know.
//!
//! One notification tells one change: wacore 0.7.0 reads all elements of one, Baileys 7 only the first.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::info::Shown;
use super::model::{Addressing, Group};
use super::{Network, group_jid};
use crate::address::DeviceKey;
use crate::network::queue::QueueEntry;
use crate::random;

const KIND: &str = "w:gp2";

impl Network {
    /// Tells all members of a group, on all their devices, what `actor` has changed in it.
    pub(super) fn tell_members(&mut self, id: &str, actor: Option<&str>, change: Node) {
        let Ok(group) = self.group(id) else { return };
        let audience = group.numbers();
        self.tell(id, actor, &audience, vec![change]);
    }

    /// Tells some accounts what has changed in a group. They need not be in it any more.
    pub(super) fn tell(&mut self, id: &str, actor: Option<&str>, audience: &[String], changes: Vec<Node>) {
        let Ok(group) = self.group(id) else { return };
        let stanza_id = random::stanza_id();
        let node = self.group_notification(id, group, actor, &stanza_id, changes);
        for number in audience {
            for key in self.companions_of(number) {
                let entry = QueueEntry {
                    class: "notification".to_owned(),
                    id: stanza_id.clone(),
                    peer: group_jid(id).to_string(),
                    kind: Some(KIND.to_owned()),
                    node: node.clone(),
                };
                self.enqueue(&key, entry);
            }
        }
    }

    fn group_notification(&self, id: &str, group: &Group, actor: Option<&str>, stanza_id: &str, changes: Vec<Node>) -> Node {
        let mut node = NodeBuilder::new("notification")
            .attr("from", group_jid(id))
            .attr("type", KIND)
            .attr("id", stanza_id)
            .attr("t", self.now_s())
            .attr("addressing_mode", group.addressing.wire());
        if let Some(actor) = actor {
            let account = DeviceKey::new(actor, 0);
            node = node.attr("notify", self.push_name(&account));
            node = self.with_person(node, group.addressing, ["participant", "participant_pn"], actor);
            if group.addressing == Addressing::Pn {
                node = node.attr("participant_lid", self.jid_of(&account, group.addressing.other()));
            }
        }
        node.children(changes).build()
    }

    /// Those who have come into a group hear of all of it, since nothing before concerned them: `<create>` with the whole
    /// group, `type="new"` when the group itself is new. `reason` tells how they came.
    pub(super) fn tell_newcomers(&mut self, id: &str, actor: &str, newcomers: &[String], news: &Newcomers) {
        let Ok(group) = self.group(id) else { return };
        let mut create = NodeBuilder::new("create");
        match news {
            Newcomers::NewGroup { key } => {
                create = create.attr("type", "new");
                if let Some(key) = key {
                    create = create.attr("key", key);
                }
            }
            Newcomers::Joined { reason: Some(reason) } => create = create.attr("reason", *reason),
            Newcomers::Joined { reason: None } => {}
        }
        let create = create.children([self.group_node(id, group, Shown::ALL)]).build();
        self.tell(id, Some(actor), newcomers, vec![create]);
    }

    /// The companions of an account; its phone sees what the network knows.
    pub(in crate::network) fn companions_of(&self, number: &str) -> Vec<DeviceKey> {
        self.devices_of(number).into_iter().filter(|key| key.device != 0).collect()
    }
}

/// How somebody came into a group.
pub(super) enum Newcomers {
    /// With the group. The key is the one that the creating client gave its request.
    NewGroup { key: Option<String> },
    /// Later: `invite` by a link.
    Joined { reason: Option<&'static str> },
}
