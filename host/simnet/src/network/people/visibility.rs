//! Who may see what: the questions that other rooms ask before they show something or pass it on.

use wacore_binary::{Jid, Node};

use super::privacy::Category;
use super::{Link, LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// What stands for the time when somebody was last online but does not say (Baileys 7 reads it in `presence`).
const DENIED: &str = "deny";

impl Network {
    /// Whether `viewer` is among those for whom `owner` has opened something.
    pub(super) fn allows(&self, owner: &str, category: Category, viewer: &str) -> bool {
        if owner == viewer {
            return true;
        }
        if self.has_blocked(owner, viewer) {
            return false;
        }
        let settings = &self.person(owner).privacy;
        match settings.value(category) {
            "all" => true,
            "contacts" | "known" => self.is_contact(owner, viewer),
            "contact_blacklist" => self.is_contact(owner, viewer) && !settings.leaves_out(category, viewer),
            "match_last_seen" => self.allows(owner, Category::LastSeen, viewer),
            _ => false,
        }
    }

    /// The same where a token may be shown: a restricted account asks for one, and to others it makes a stranger as
    /// good as a contact.
    pub(super) fn allows_with_token(&self, owner: &str, category: Category, viewer: &str, node: &Node) -> bool {
        if owner == viewer {
            return true;
        }
        let trusted = self.shows_trust(owner, viewer, node);
        if self.person(owner).scenario.restricted && !trusted {
            return false;
        }
        let for_contacts = self.person(owner).privacy.value(category) == "contacts";
        self.allows(owner, category, viewer) || (trusted && for_contacts && !self.has_blocked(owner, viewer))
    }

    /// Whether a connection may subscribe to somebody's presence. One who may not hears nothing, not even that.
    pub(in crate::network) fn may_subscribe(&self, link: LinkId, owner: &str, node: &Node) -> bool {
        let Some(viewer) = self.number_behind(link) else {
            return false;
        };
        let restricted = self.person(owner).scenario.restricted && owner != viewer;
        !restricted || self.shows_trust(owner, viewer, node)
    }

    /// A presence as the one behind a connection may see it: whole, without the time, or not at all.
    pub(in crate::network) fn veiled_presence(&self, link: LinkId, owner: &str, mut presence: Node) -> Option<Node> {
        let viewer = self.number_behind(link)?;
        if !self.shows_presence(owner, viewer) {
            return None;
        }
        // The same whether he has ever been online or not.
        if wire::attribute_is(&presence, "type", "unavailable") && !self.shows_last_seen(owner, viewer) {
            presence.attrs.insert("last", DENIED);
        }
        Some(presence)
    }

    /// Whether somebody may see when an account comes and goes. Who blocks an account does not see it either.
    pub(in crate::network) fn shows_presence(&self, owner: &str, viewer: &str) -> bool {
        self.allows(owner, Category::Online, viewer) && !self.has_blocked(viewer, owner)
    }

    /// Whether somebody may see when an account was last online. Nobody sees from others what nobody may see from him.
    pub(in crate::network) fn shows_last_seen(&self, owner: &str, viewer: &str) -> bool {
        let reciprocal = self.person(viewer).privacy.value(Category::LastSeen) != "none" || viewer == owner;
        reciprocal && self.allows(owner, Category::LastSeen, viewer)
    }

    /// Whether what somebody is typing reaches the other side.
    pub(in crate::network) fn shows_chatstate(&self, sender: &str, recipient: &str) -> bool {
        !self.has_blocked(recipient, sender) && !self.has_blocked(sender, recipient)
    }

    /// Whether a receipt is kept from the other side: one that tells that a message was read, in a chat of two where
    /// either has switched that off.
    pub(in crate::network) fn hides_receipt(&self, sender: &DeviceKey, to: &Jid, node: &Node) -> bool {
        let kind = wire::attribute(node, "type");
        if !matches!(kind.as_deref(), Some("read" | "played")) {
            return false;
        }
        let Some(reader) = self.number_of(to).filter(|number| *number != sender.number) else {
            return false;
        };
        let silent = |number: &str| self.person(number).privacy.value(Category::ReadReceipts) == "none";
        silent(&sender.number) || silent(&reader)
    }

    /// Whether somebody may put an account into a group without asking.
    pub(in crate::network) fn may_be_added_by(&self, number: &str, adder: &str) -> bool {
        !self.takes_invites_only(number) && self.allows(number, Category::GroupAdd, adder)
    }

    /// The other accounts that are online somewhere.
    pub(super) fn connected_strangers(&self, number: &str) -> Vec<(LinkId, String)> {
        let links = self.link_by_device.iter().filter(|(key, _)| key.number != number);
        let strangers = links.filter(|(key, _)| self.acquaintance(&key.number, number).is_none());
        let logged_in = strangers.filter(|(_, link)| matches!(self.links.get(link), Some(Link::Session(_))));
        logged_in.map(|(key, link)| (*link, key.number.clone())).collect()
    }
}
