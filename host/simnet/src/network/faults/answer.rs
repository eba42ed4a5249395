//! What faults do to a stanza on its way straight to a device's connection, and the clock that a device is shown.

use bytes::Bytes;
use wacore_binary::{Node, NodeContent};

use super::{Network, strike, strike_plain};
use crate::address::DeviceKey;
use crate::network::timers::Later;
use crate::network::{Effect, Link, LinkId};
use crate::node_codec;

impl Network {
    /// Lets the faults of a device act on an answer to it. `None` when it goes out later or never.
    pub(in crate::network) fn faults_on_answer(&mut self, link: LinkId, node: Node) -> Option<Node> {
        if self.faults.is_quiet() || node.tag != "ack" {
            return Some(node);
        }
        let Some(Link::Session(session)) = self.links.get(&link) else {
            return Some(node);
        };
        let key = session.key.clone();
        let drawn = self.draw_ack(&key);
        let faults = self.faults.devices.get_mut(&key);
        let (silent, late_ms) = match faults {
            Some(faults) => (strike_plain(&mut faults.no_ack), strike(&mut faults.late_ack)),
            None => (false, None),
        };
        if silent || drawn.withheld {
            return None;
        }
        match late_ms.or(drawn.late_ms) {
            Some(ms) => {
                self.later(ms, Later::Send { link, node });
                None
            }
            None => Some(node),
        }
    }

    /// Sends a stanza past all faults but a wrong clock.
    pub(in crate::network) fn send_now(&mut self, link: LinkId, mut node: Node) {
        if let Some(skew_ms) = self.skew_of_link(link) {
            shift_times(&mut node, skew_ms);
        }
        self.out.effects.push(Effect::Send { link, node });
    }

    fn skew_of_link(&self, link: LinkId) -> Option<i64> {
        if self.faults.is_quiet() {
            return None;
        }
        match self.links.get(&link) {
            Some(Link::Session(session)) => self.skew_of(&session.key),
            _ => None,
        }
    }

    fn skew_of(&self, key: &DeviceKey) -> Option<i64> {
        self.faults.devices.get(key)?.clock_skew_ms
    }

    /// Stanzas from a device's queue as its wrong clock makes them look.
    pub(in crate::network) fn skewed(&self, key: &DeviceKey, stanzas: Vec<Bytes>) -> Vec<Bytes> {
        let Some(skew_ms) = self.skew_of(key) else {
            return stanzas;
        };
        let skew = |stanza: Bytes| {
            let shifted = node_codec::reopen(&stanza).ok().and_then(|mut node| {
                shift_times(&mut node, skew_ms);
                node_codec::encode(&node).ok()
            });
            shifted.unwrap_or(stanza)
        };
        stanzas.into_iter().map(skew).collect()
    }

    /// Whether the server withholds its acks from a device for now. Acks that it sends all the same are withheld too.
    pub(in crate::network) fn is_silent(&self, key: &DeviceKey) -> bool {
        // Counted where an ack would go out, so that each missing ack is counted once.
        self.faults.devices.get(key).is_some_and(|faults| faults.no_ack == Some(None))
    }
}

/// Adds to each `t`, which is in seconds, in a stanza and all that is in it.
fn shift_times(node: &mut Node, skew_ms: i64) {
    let time = node.attrs.get("t").and_then(|value| value.as_str().parse::<i64>().ok());
    if let Some(time) = time {
        node.attrs.insert("t", time.saturating_add(skew_ms.div_euclid(1_000)).max(0));
    }
    if let Some(NodeContent::Nodes(children)) = &mut node.content {
        children.iter_mut().for_each(|child| shift_times(child, skew_ms));
    }
}
