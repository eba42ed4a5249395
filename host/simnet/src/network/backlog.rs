//! What a device missed while it was away: announced first, sent in batches that the client asks for, and closed with
//! a mark behind which only new stanzas come.
//!
//! The server sends a few stanzas on its own and then waits for `<ib><offline_batch count/></ib>` (as whatsapp-rust
//! 0.7.0 client/offline_resume.rs and Baileys 7 Socket/socket.js send it). A client that never asks is not left
//! waiting here: what it has confirmed, or a short rest, counts as asking.

use std::collections::HashMap;

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

use super::queue::DeviceQueue;
use super::timers::Later;
use super::{Effect, Link, LinkId, Network};
use crate::address::DeviceKey;
use crate::{node_codec, wire};

/// Stanzas that come without being asked for.
const PRIMER: usize = 5;
/// Stanzas in a batch that nobody asked for.
const BATCH: usize = 200;
/// Stanzas that a client may ask for at once.
const BATCH_MAX: usize = 1_000;
/// How long a client is waited for that does not ask.
const PATIENCE_MS: u64 = 500;

/// What is left of it on one connection.
pub(super) struct Backlog {
    /// The last entry that belongs to it.
    end: u64,
    /// How many entries it had at first.
    count: usize,
    /// How many may go out before the client asks for more.
    allowed: usize,
    announced: bool,
    /// Whether the client is waited for.
    waiting: bool,
}

/// The stanzas to send now.
#[derive(Default)]
pub(super) struct Pulled {
    pub(super) stanzas: Vec<Bytes>,
    /// Nothing more goes out until the client asks for it.
    pub(super) pauses: bool,
}

impl Backlog {
    /// Everything in a queue that has not been `sent` on this connection.
    pub(super) fn of(queue: &DeviceQueue, sent: u64) -> Self {
        let count = queue.classes_after(sent).values().sum();
        Self { end: queue.last(), count, allowed: PRIMER, announced: false, waiting: false }
    }

    /// Takes at most `max` entries behind `sent`. True at the end of the backlog.
    pub(super) fn pull(&mut self, queue: &DeviceQueue, sent: &mut u64, max: usize, pulled: &mut Pulled) -> bool {
        if !self.announced && self.count > 0 {
            pulled.add(&preview(self.count, &queue.classes_after(*sent)));
        }
        self.announced = true;
        for (sequence, stanza) in queue.after(*sent, max.min(self.allowed)) {
            if sequence > self.end {
                break;
            }
            self.allowed -= 1;
            *sent = sequence;
            pulled.add_offline(stanza);
        }
        let reached = queue.after(*sent, 1).next().is_none_or(|(next, _)| next > self.end);
        if reached {
            pulled.add(&end_mark(self.count));
        }
        pulled.pauses = !reached && self.allowed == 0 && !self.waiting;
        self.waiting |= pulled.pauses;
        reached
    }

    fn allow(&mut self, count: usize) {
        self.allowed = self.allowed.max(count);
        self.waiting = false;
    }
}

impl Pulled {
    fn add(&mut self, node: &Node) {
        // Our own few words can always be encoded.
        self.stanzas.extend(node_codec::encode(node).ok());
    }

    /// Marks a stanza as one that the device had missed.
    fn add_offline(&mut self, stanza: &Bytes) {
        let marked = node_codec::reopen(stanza).ok().and_then(|mut node| {
            node.attrs.insert("offline", "0");
            node_codec::encode(&node).ok()
        });
        self.stanzas.push(marked.unwrap_or_else(|| stanza.clone()));
    }
}

impl Network {
    /// `<ib>` from a client: telemetry, on which nothing depends, and requests for more of the backlog.
    pub(super) fn receive_ib(&mut self, link: LinkId, node: &Node) {
        let Some(batch) = node.get_optional_child("offline_batch") else {
            return;
        };
        let count = wire::attribute(batch, "count").and_then(|count| count.parse().ok()).unwrap_or(BATCH);
        self.allow_backlog(link, count.clamp(1, BATCH_MAX));
    }

    fn allow_backlog(&mut self, link: LinkId, count: usize) {
        if let Some(Link::Session(session)) = self.links.get_mut(&link)
            && let Some(backlog) = &mut session.backlog
        {
            backlog.allow(count);
            self.out.effects.push(Effect::Wake(link));
        }
    }

    /// The rest comes without being asked for after a while.
    pub(super) fn wait_for_batch_request(&mut self, link: LinkId) {
        self.later(PATIENCE_MS, Later::Backlog { link });
    }

    /// The client has not asked for more.
    pub(super) fn lose_patience(&mut self, link: LinkId) {
        self.allow_backlog(link, BATCH);
    }

    /// A client that has confirmed everything it got is ready for more.
    pub(super) fn continue_backlog(&mut self, key: &DeviceKey) {
        let Some(link) = self.link_by_device.get(key).copied() else {
            return;
        };
        let Some(Link::Session(session)) = self.links.get(&link) else {
            return;
        };
        let waits = session.backlog.as_ref().is_some_and(|backlog| backlog.allowed == 0);
        let sent = session.sent;
        if waits && self.device(key).is_some_and(|device| device.queue.is_empty_up_to(sent)) {
            self.allow_backlog(link, BATCH);
        }
    }
}

/// How much is coming (as whatsapp-rust 0.7.0 handlers/ib.rs reads it).
fn preview(count: usize, classes: &HashMap<&str, usize>) -> Node {
    let of = |class: &str| classes.get(class).copied().unwrap_or(0);
    let preview = NodeBuilder::new("offline_preview")
        .attr("count", count)
        .attr("message", of("message"))
        .attr("receipt", of("receipt"))
        .attr("notification", of("notification"))
        .attr("call", of("call"))
        .attr("status", 0)
        .attr("appdata", 0)
        .build();
    NodeBuilder::new("ib").attr("from", SERVER_JID).children([preview]).build()
}

/// Tells the client how much it has missed; it waits for that.
fn end_mark(count: usize) -> Node {
    let offline = NodeBuilder::new("offline").attr("count", count).build();
    NodeBuilder::new("ib").attr("from", SERVER_JID).children([offline]).build()
}
