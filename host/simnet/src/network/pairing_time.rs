//! How long a client may wait to be linked: its references, and the code it shows instead of them.
//!
//! A client shows its first reference for a minute and each of the others for 20 seconds (`pair.rs` of whatsapp-rust
//! 0.7.0, `socket.js` of Baileys 7). The server does not see which one is on the screen; it counts along.

use wacore_binary::Node;

use super::timers::Later;
use super::{Effect, Link, LinkId, Network};
use crate::wire;

/// References given out at once; a client shows them one after the other.
pub(super) const REFERENCES: usize = 6;
/// How long a code that a user types into the phone is good for.
pub(super) const CODE_MS: u64 = 180_000;
/// How long all references last.
pub(super) const REFERENCES_MS: u64 = FIRST_MS + NEXT_MS * 5 + GRACE_MS;

const FIRST_MS: u64 = 60_000;
const NEXT_MS: u64 = 20_000;
/// What lies between a picture on a screen and its scan reaching the server.
const GRACE_MS: u64 = 10_000;

const _: () = assert!(REFERENCES == 6, "REFERENCES_MS counts one first and five more");

/// Whether the reference with this turn may still be on a screen, `age_ms` after all were given out. One whose turn is
/// still to come is good too: a client may be asked to show the next.
pub(super) fn reference_is_current(turn: usize, age_ms: u64) -> bool {
    let turn = u64::try_from(turn).unwrap_or(u64::MAX);
    age_ms < FIRST_MS.saturating_add(NEXT_MS.saturating_mul(turn)).saturating_add(GRACE_MS)
}

impl Network {
    /// A client that waits pings; without an answer it would take the connection for dead. False for anything else.
    pub(super) fn answer_ping(&mut self, link: LinkId, node: &Node) -> bool {
        let is_ping = node.tag == "iq" && wire::attribute_is(node, "xmlns", "w:p");
        let Some(id) = wire::attribute(node, "id").filter(|_| is_ping) else { return false };
        self.send(link, wire::result(&id).build());
        true
    }

    /// The references are used up: the client is shown out, unless its user is about to type its code into the phone or
    /// a phone has answered.
    pub(super) fn end_pairing(&mut self, link: LinkId) {
        let now_ms = self.now_ms;
        let Some(Link::Pairing(pairing)) = self.links.get(&link) else { return };
        let code_until = pairing.code.good_until().filter(|until| *until > now_ms);
        if pairing.offer.is_some() {
            return;
        }
        match code_until {
            Some(until) => self.later(until - now_ms, Later::EndPairing { link }),
            None => self.out.effects.push(Effect::Close(link)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REFERENCES_MS, reference_is_current};

    #[test]
    fn reference_is_good_until_its_turn_is_over() {
        assert!(reference_is_current(0, 69_999));
        assert!(!reference_is_current(0, 70_000));
        assert!(reference_is_current(1, 70_000));
        assert!(reference_is_current(5, REFERENCES_MS - 1));
        assert!(!reference_is_current(5, REFERENCES_MS));
    }
}
