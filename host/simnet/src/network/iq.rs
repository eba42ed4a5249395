//! Requests that a device makes of the server.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// Seconds after which a client asks for its experiment settings again.
const PROPS_REFRESH_S: u32 = 86_400;

impl Network {
    pub(super) fn receive_iq(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        let kind = wire::attribute(node, "type").unwrap_or_default();
        let Some(id) = wire::attribute(node, "id") else { return };
        // Baileys 7 leaves the type out when it sends its usage statistics.
        if kind == "result" || kind == "error" {
            return;
        }
        let namespace = wire::attribute(node, "xmlns").unwrap_or_default();
        let answered = match namespace.as_str() {
            "encrypt" => self.receive_encrypt_iq(link, key, &id, node),
            "usync" => self.receive_usync_iq(link, key, &id, node),
            "md" => self.receive_device_iq(link, key, &id, node),
            "w:m" => self.receive_media_iq(link, &id, node),
            "passive" => self.receive_passive_iq(link, key, &id, node),
            "w:sync:app:state" => self.receive_app_state_iq(link, key, &id, node),
            "urn:xmpp:whatsapp:dirty" => self.receive_clean_iq(link, key, &id, node),
            "w:g2" => self.receive_group_iq(link, key, &id, node),
            "w:mex" => self.receive_mex_iq(link, key, &id, node),
            "newsletter" => self.receive_newsletter_iq(link, key, &id, node),
            "w:biz" => self.receive_business_iq(link, key, &kind, &id, node),
            "w:biz:catalog" | "fb:thrift_iq" => self.receive_catalog_iq(link, &kind, &id, node),
            "spam" => self.receive_service_iq(link, key, &namespace, &kind, &id, node),
            "tos" if kind == "get" => self.receive_service_iq(link, key, &namespace, &kind, &id, node),
            "abt" | "blocklist" | "bot" | "disappearing_mode" | "privacy" | "status" | "w:profile:picture" => {
                self.receive_people_iq(link, key, &id, node)
            }
            _ => match plain_answer(&namespace, &kind, &id) {
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
}

/// Answers that need no state; `None` for a request we do not know.
fn plain_answer(namespace: &str, kind: &str, id: &str) -> Option<Node> {
    let content = match (namespace, kind) {
        // A ping, the end of a dirty mark, usage statistics: heard.
        ("w:p" | "w:stats", _) => return Some(wire::result(id).build()),
        // An accepted notice, a push token: heard. Promotions, announcements, exports of the account: there are none.
        ("tos" | "urn:xmpp:whatsapp:push", "set") | ("w:qp" | "w:comms" | "urn:xmpp:whatsapp:account", _) => {
            return Some(wire::result(id).build());
        }
        ("w", "get") => NodeBuilder::new("props").attr("hash", "sim").attr("refresh", PROPS_REFRESH_S).build(),
        _ => return None,
    };
    Some(wire::result(id).children([content]).build())
}
