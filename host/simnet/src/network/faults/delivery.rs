//! What faults do to a stanza on its way into a device's queue.

use wacore_binary::{Node, NodeContent};

use super::{Network, strike, strike_plain};
use crate::address::DeviceKey;
use crate::network::queue::QueueEntry;

/// Flipped in one byte of a ciphertext.
const DAMAGE: u8 = 0x55;
/// Which byte that is, counted from the end. What is authenticated ends with a MAC of 8 bytes or a signature of 64; in a
/// message that opens a session, at most 6 bytes follow that nobody reads once the session is there: the number of the
/// signed prekey (fields in their order, `PreKeySignalMessage` in wacore-libsignal 0.7.0 protocol/protocol.rs).
const DAMAGE_FROM_END: usize = 16;
/// Longest time for which a message waits for one of another chat, when a seed decides.
const RANDOM_REORDER_MS: u64 = 2_000;

/// How a stanza is delivered.
pub(in crate::network) struct Handling {
    pub(in crate::network) copies: usize,
    /// For how long it is held back, and whether only until a message of another chat has passed.
    pub(in crate::network) hold: Option<(u64, bool)>,
    /// The connection is lost afterwards.
    pub(in crate::network) drop_after: bool,
}

impl Network {
    /// Lets the faults of a device act on a stanza for it.
    pub(in crate::network) fn faults_on_delivery(&mut self, key: &DeviceKey, entry: &mut QueueEntry) -> Handling {
        let mut handling = Handling { copies: 1, hold: None, drop_after: false };
        if self.faults.is_quiet() {
            return handling;
        }
        let is_message = entry.class == "message";
        let drawn = self.draw_delivery(key, is_message);
        let mut corrupt = drawn.corrupt;
        if drawn.duplicate {
            handling.copies += 1;
        }
        handling.hold = drawn.delay_ms.map(|ms| (ms, false));
        if drawn.reorder {
            handling.hold = Some((RANDOM_REORDER_MS, true));
        }
        handling.drop_after = drawn.drop;
        if let Some(faults) = self.faults.devices.get_mut(key) {
            if is_message {
                corrupt |= strike_plain(&mut faults.corrupt);
                handling.copies += usize::from(strike_plain(&mut faults.duplicate));
                if let Some(ms) = strike(&mut faults.reorder) {
                    handling.hold = Some((ms, true));
                }
            }
            if let Some(ms) = strike(&mut faults.delay) {
                handling.hold = Some((ms, false));
            }
        }
        if corrupt {
            damage(&mut entry.node);
        }
        handling
    }
}

/// Damages every ciphertext in a stanza, so that it is delivered and cannot be read.
fn damage(node: &mut Node) {
    let is_sealed = node.tag == "enc";
    match &mut node.content {
        Some(NodeContent::Nodes(children)) => children.iter_mut().for_each(damage),
        Some(NodeContent::Bytes(bytes)) if is_sealed => {
            let place = bytes.len().saturating_sub(DAMAGE_FROM_END);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= DAMAGE;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::NodeContent;
    use wacore_binary::builder::NodeBuilder;

    use super::damage;
    use crate::phone::{DeviceAddress, Encrypted, Phone};

    fn phone(number: &str) -> (Phone, DeviceAddress) {
        let phone = Phone::new(number, "100000000000001", "Ann").unwrap();
        (phone, DeviceAddress { user: number.to_owned(), device: 0 })
    }

    fn damaged(sealed: &Encrypted) -> Vec<u8> {
        let mut enc = NodeBuilder::new("enc").bytes(sealed.ciphertext.clone()).build();
        damage(&mut enc);
        match enc.content {
            Some(NodeContent::Bytes(bytes)) => bytes.to_vec(),
            other => panic!("no bytes: {other:?}"),
        }
    }

    fn assert_only_intact_opens(phone: &mut Phone, from: &DeviceAddress, sealed: &Encrypted) {
        assert!(phone.decrypt(from, sealed.kind, &damaged(sealed)).is_err(), "{:?}", sealed.kind);
        assert!(phone.decrypt(from, sealed.kind, &sealed.ciphertext).is_ok(), "{:?}", sealed.kind);
    }

    #[test]
    fn nobody_can_open_a_damaged_message_of_any_kind() {
        let ((mut ann, at_ann), (mut bob, at_bob)) = (phone("15550001111"), phone("15550002222"));
        let bundle = bob.bundle(true).unwrap();
        let text = ann.compose_text("hello");
        // The first one opens the session. The second says how once more, and is read without it.
        for bundle in [Some(&bundle), None] {
            let sealed = ann.encrypt(&at_bob, bundle, &text).unwrap();
            assert_only_intact_opens(&mut bob, &at_ann, &sealed);
        }
        let sealed = bob.encrypt(&at_ann, None, &text).unwrap();
        assert_only_intact_opens(&mut ann, &at_bob, &sealed);
    }
}
