//! What faults do to a stanza on its way into a device's queue.

use wacore_binary::{Node, NodeContent};

use super::{Network, strike, strike_plain};
use crate::address::DeviceKey;
use crate::network::queue::QueueEntry;

/// Flipped in the last byte of a ciphertext, which belongs to its authentication.
const DAMAGE: u8 = 0x55;
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
            if let Some(last) = bytes.last_mut() {
                *last ^= DAMAGE;
            }
        }
        _ => {}
    }
}
