//! Requests that a device makes of the server.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// What a new account lets others see, until it can be set.
const PRIVACY_DEFAULTS: [(&str, &str); 9] = [
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("groupadd", "all"),
    ("readreceipts", "all"),
    ("calladd", "all"),
    ("messages", "all"),
    ("defense", "off"),
];
/// Seconds after which a client asks for its experiment settings again.
const PROPS_REFRESH_S: u32 = 86_400;

impl Network {
    pub(super) fn receive_iq(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        let kind = wire::attribute(node, "type").unwrap_or_default();
        let Some(id) = wire::attribute(node, "id") else { return };
        if kind != "get" && kind != "set" {
            return;
        }
        let namespace = wire::attribute(node, "xmlns").unwrap_or_default();
        let answered = match namespace.as_str() {
            "encrypt" => self.receive_encrypt_iq(link, key, &id, node),
            "usync" => self.receive_usync_iq(link, &id, node),
            "md" => self.receive_device_iq(link, key, &id, node),
            "passive" => self.receive_passive_iq(link, key, &id, node),
            "status" if kind == "set" => self.set_about(link, key, &id, node),
            _ => match plain_answer(&namespace, &kind, &id, node) {
                Some(answer) => {
                    self.send(link, answer);
                    true
                }
                None => false,
            },
        };
        if !answered {
            let child = wire::children(node).first().map_or("nothing", |child| child.tag.as_ref());
            tracing::warn!(
                xmlns = namespace,
                kind,
                child,
                "a request that the simulated network does not know got an empty result"
            );
            self.send(link, wire::result(&id).build());
        }
    }

    fn receive_passive_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        // The answer goes first: what follows the switch belongs behind it.
        self.send(link, wire::result(id).build());
        if node.get_optional_child("active").is_some() {
            self.activate(link, key);
        } else {
            self.deactivate(link);
        }
        true
    }

    /// A companion unlinks itself or another companion of its account.
    fn receive_device_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let Some(removal) = node.get_optional_child("remove-companion-device") else {
            return false;
        };
        let target = wire::address(removal, "jid").and_then(|jid| self.key_of(&jid));
        let target = target.filter(|target| target.number == key.number && self.device(target).is_some());
        let Some(target) = target else {
            self.send(link, wire::refusal(id, 404, "item-not-found"));
            return true;
        };
        self.send(link, wire::result(id).build());
        if target == *key {
            self.remove_device(&target);
            self.out.effects.push(Effect::Close(link));
        } else {
            self.log_out_device(&target);
        }
        true
    }

    /// Unlinks a device and tells it so, if it is there.
    pub(super) fn log_out_device(&mut self, key: &DeviceKey) {
        self.disconnect_device(key, Some(wire::stream_removed()));
        self.remove_device(key);
    }

    fn set_about(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let about = wire::child_content(node, "status").unwrap_or_default();
        let about = String::from_utf8_lossy(about).into_owned();
        if let Some(account) = self.accounts.get_mut(&key.number) {
            account.about = about;
        }
        self.record_account(&key.number);
        self.send(link, wire::result(id).build());
        true
    }
}

/// Answers that need no state; `None` for a request we do not know.
fn plain_answer(namespace: &str, kind: &str, id: &str, node: &Node) -> Option<Node> {
    let content = match (namespace, kind) {
        // A ping, the end of a dirty mark, usage statistics: heard.
        ("w:p" | "urn:xmpp:whatsapp:dirty" | "w:stats", _) | ("privacy" | "blocklist" | "disappearing_mode", "set") => {
            return Some(wire::result(id).build());
        }
        ("abt", _) => NodeBuilder::new("props")
            .attr("protocol", "1")
            .attr("hash", "sim")
            .attr("refresh", PROPS_REFRESH_S)
            .attr("refresh_id", "1")
            .build(),
        ("w", "get") => NodeBuilder::new("props").attr("hash", "sim").attr("refresh", PROPS_REFRESH_S).build(),
        ("blocklist", _) => NodeBuilder::new("list").attr("dhash", "sim").build(),
        ("privacy", _) => {
            let categories = PRIVACY_DEFAULTS
                .map(|(name, value)| NodeBuilder::new("category").attr("name", name).attr("value", value).build());
            NodeBuilder::new("privacy").children(categories).build()
        }
        ("w:sync:app:state", _) => app_state(node)?,
        ("w:profile:picture", "get") => {
            let error = NodeBuilder::new("error").attr("code", "404").attr("text", "item-not-found").build();
            NodeBuilder::new("picture").children([error]).build()
        }
        _ => return None,
    };
    Some(wire::result(id).children([content]).build())
}

/// Every collection exists and has nothing new: the version is the one the client has.
fn app_state(node: &Node) -> Option<Node> {
    let sync = node.get_optional_child("sync")?;
    let collections = sync.get_children_by_tag("collection").filter_map(|collection| {
        let name = wire::attribute(collection, "name")?;
        let version = wire::attribute(collection, "version").unwrap_or_else(|| "0".to_owned());
        Some(
            NodeBuilder::new("collection")
                .attr("name", name)
                .attr("version", version)
                .attr("has_more_patches", "false")
                .build(),
        )
    });
    Some(NodeBuilder::new("sync").children(collections).build())
}
