//! The network itself: accounts, devices, who is connected, and what each stanza leads to.
//!
//! Nothing here does I/O, waits or reads a clock. A call changes the state and leaves in the outbox what must be
//! written down and what must be sent; the caller writes first and sends afterwards.
//!
//! Invariant: whatever a device must not miss is in its queue, and stays there until the device has acknowledged it.

mod account;
mod commands;
mod faults;
mod iq;
mod keys;
mod pairing;
mod phones;
mod presence;
mod queue;
mod receipt;
mod relay;
mod restore;
mod session;
mod stanza;
mod usync;

use std::collections::{BTreeMap, HashMap};

use wacore_binary::{Jid, Node, Server};

use crate::address::{DeviceKey, Space};
use crate::journal::JournalEntry;
use crate::state_log::Record;
use account::{Account, Device};
use faults::DeviceFaults;
use pairing::Pairing;
use session::Session;

pub(crate) use commands::CommandFault;
pub(crate) use faults::FaultCommand;
pub(crate) use pairing::ScanFault;
pub use restore::RestoreError;

/// One client connection.
pub(crate) type LinkId = u64;

/// What must happen outside, in this order, after the records are written.
pub(crate) enum Effect {
    /// Send a node that nobody needs to acknowledge.
    Send { link: LinkId, node: Node },
    /// There may be something in the queue of the device behind this connection.
    Wake(LinkId),
    /// Send what is under way, then close.
    Close(LinkId),
    /// Somebody may be waiting for this: a phone received something, a device was linked or a pairing ended.
    Changed,
}

/// What a call leaves behind.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) records: Vec<Record>,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) effects: Vec<Effect>,
}

/// What stands behind a connection.
enum Link {
    /// The handshake is done, and the client has neither registered nor logged in.
    Idle,
    Pairing(Box<Pairing>),
    Session(Session),
}

/// The counters that the control API shows.
#[derive(serde::Serialize)]
pub(crate) struct Stats {
    accounts: usize,
    devices_connected: usize,
    messages_relayed: u64,
}

/// The whole state.
#[derive(Default)]
pub(crate) struct Network {
    accounts: BTreeMap<String, Account>,
    number_by_lid: HashMap<String, String>,
    number_by_login_name: HashMap<String, String>,
    device_by_noise_key: HashMap<[u8; 32], DeviceKey>,
    links: HashMap<LinkId, Link>,
    link_by_device: HashMap<DeviceKey, LinkId>,
    link_by_pairing_reference: HashMap<String, LinkId>,
    /// Who wants to hear of an account's presence, and under which address they asked.
    presence_subscribers: HashMap<String, HashMap<LinkId, Jid>>,
    faults: HashMap<DeviceKey, DeviceFaults>,
    messages_relayed: u64,
    next_link: LinkId,
    now_ms: u64,
    out: Outbox,
}

impl Network {
    /// Tells the time for the calls that follow.
    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Takes what the calls since the last time have left.
    pub(crate) fn take_outbox(&mut self) -> Outbox {
        std::mem::take(&mut self.out)
    }

    /// A client has completed the handshake.
    pub(crate) fn open_link(&mut self) -> LinkId {
        self.next_link += 1;
        self.links.insert(self.next_link, Link::Idle);
        self.next_link
    }

    /// A connection has ended, from whichever side.
    pub(crate) fn close_link(&mut self, link: LinkId) {
        for subscribers in self.presence_subscribers.values_mut() {
            subscribers.remove(&link);
        }
        match self.links.remove(&link) {
            Some(Link::Session(session)) => self.end_session(link, &session),
            Some(Link::Pairing(pairing)) => self.abandon_pairing(&pairing),
            Some(Link::Idle) | None => {}
        }
    }

    /// A client has sent a node.
    pub(crate) fn receive(&mut self, link: LinkId, node: &Node) {
        match self.links.get(&link) {
            Some(Link::Session(session)) => {
                let key = session.key.clone();
                self.receive_from_device(link, &key, node);
            }
            Some(Link::Pairing(_)) => self.receive_while_pairing(link, node),
            Some(Link::Idle) | None => {}
        }
    }

    fn receive_from_device(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        match node.tag.as_ref() {
            "iq" => self.receive_iq(link, key, node),
            "message" => self.receive_message(link, key, node),
            "receipt" => self.receive_receipt(link, key, node),
            "ack" => self.receive_ack(key, node),
            "presence" => self.receive_presence(link, key, node),
            "chatstate" => self.receive_chatstate(key, node),
            // Telemetry and batch hints; nothing depends on them here.
            "ib" => {}
            other => tracing::warn!(tag = other, "a client sent a stanza that the simulated network does not know"),
        }
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            accounts: self.accounts.len(),
            devices_connected: self.link_by_device.len(),
            messages_relayed: self.messages_relayed,
        }
    }

    fn send(&mut self, link: LinkId, node: Node) {
        self.out.effects.push(Effect::Send { link, node });
    }

    fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    fn device(&self, key: &DeviceKey) -> Option<&Device> {
        self.accounts.get(&key.number)?.devices.get(&key.device)
    }

    fn device_mut(&mut self, key: &DeviceKey) -> Option<&mut Device> {
        self.accounts.get_mut(&key.number)?.devices.get_mut(&key.device)
    }

    /// The number of the account that an address belongs to.
    fn number_of(&self, jid: &Jid) -> Option<String> {
        match jid.server {
            Server::Pn | Server::Legacy => {
                let number = jid.user.as_str();
                self.accounts.contains_key(number).then(|| number.to_owned())
            }
            Server::Lid => self.number_by_lid.get(jid.user.as_str()).cloned(),
            _ => None,
        }
    }

    /// The device that an address names; it need not exist.
    fn key_of(&self, jid: &Jid) -> Option<DeviceKey> {
        Some(DeviceKey::new(self.number_of(jid)?, jid.device))
    }

    /// The address of a device in the space a conversation uses.
    fn jid_of(&self, key: &DeviceKey, space: Space) -> Jid {
        match (space, self.accounts.get(&key.number)) {
            (Space::Lid, Some(account)) => Jid::lid_device(account.lid.as_str(), key.device),
            _ => Jid::pn_device(key.number.as_str(), key.device),
        }
    }
}

/// The space in which an address is written.
fn space_of(jid: &Jid) -> Space {
    if jid.server == Server::Lid { Space::Lid } else { Space::Number }
}
