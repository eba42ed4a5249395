//! The network itself: accounts, devices, who is connected, and what each stanza leads to.
//!
//! Nothing here does I/O, waits or reads a clock. A call changes the state and leaves in the outbox what must be
//! written down and what must be sent; the caller writes first and sends afterwards.
//!
//! Invariant: whatever a device must not miss is in its queue, and stays there until the device has acknowledged it.

mod account;
mod backlog;
#[cfg(test)]
mod backlog_tests;
mod business;
mod call_phones;
mod calls;
#[cfg(test)]
mod calls_tests;
mod commands;
mod dirty;
mod faults;
mod groups;
mod history_sync;
mod iq;
mod keys;
mod limits;
mod link_code;
mod media;
mod media_faults;
mod media_retry;
#[cfg(test)]
mod media_tests;
mod mex;
mod mex_accounts;
mod newsletters;
mod own_devices;
mod pairing;
mod pairing_time;
mod peer;
mod people;
mod phone_acts;
#[cfg(test)]
mod phone_content_tests;
mod phone_state;
mod phone_writes;
mod phones;
mod presence;
#[cfg(test)]
mod presence_tests;
mod queue;
mod receipt;
mod receipt_sync;
#[cfg(test)]
mod receipt_tests;
mod relay;
mod restore;
mod services;
#[cfg(test)]
mod services_tests;
mod session;
mod stanza;
mod stanza_terms;
mod status;
mod status_phones;
#[cfg(test)]
mod status_tests;
mod sticker_packs;
mod syncd;
mod syncd_collection;
mod syncd_iq;
#[cfg(test)]
pub(crate) mod test_network;
#[cfg(test)]
mod test_rig;
mod timers;
mod typing;
mod usync;

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod pairing_tests;
#[cfg(test)]
mod syncd_tests;
#[cfg(test)]
mod test_devices;
#[cfg(test)]
mod test_kit;

use std::collections::{BTreeMap, HashMap};

use wacore_binary::{Jid, Node, Server};

use crate::address::{DeviceKey, Space};
use crate::blobs::Blob;
use crate::journal::JournalEntry;
use crate::state_log::Record;
use account::{Account, Device};
use business::Businesses;
use calls::Calls;
use faults::Faults;
use groups::Groups;
use media::MediaRoom;
use newsletters::Newsletters;
use own_devices::OwnDevices;
use pairing::Pairing;
use people::People;
use phone_acts::PhoneActs;
use presence::Presence;
use services::Reports;
use session::Session;
use status_phones::Posted;
use sticker_packs::StickerPacks;
use timers::Timers;

pub(crate) use call_phones::CallAct;
pub(crate) use commands::CommandFault;
pub(crate) use faults::FaultCommand;
pub(crate) use groups::GroupFault;
pub(crate) use link_code::{LinkFault, LinkOutcome};
pub(crate) use media::{MediaRefusal, ShownFile, UploadPlan};
pub(crate) use media_faults::{MEDIA_FAULT_PREFIX, MediaFaultCommand, MediaFaultError, Pace};
pub(crate) use media_retry::Reupload;
pub(crate) use own_devices::{DeviceCommandFault, DirtyBody};
pub(crate) use pairing::ScanFault;
pub(crate) use people::PersonCommand;
pub(crate) use phone_acts::{ActFault, ChatStateAct, PresenceAct, ReceiptAct};
pub(crate) use phones::Outgoing;
pub use restore::RestoreError;
pub(crate) use sticker_packs::{PATH_PREFIX as STICKER_PATH_PREFIX, PackFault, PackOffer};

/// One client connection.
pub(crate) type LinkId = u64;

/// What must happen outside, in this order, after the records are written.
pub(crate) enum Effect {
    /// Send a node that nobody needs to acknowledge.
    Send { link: LinkId, node: Node },
    /// There may be something in the queue of the device behind this connection.
    Wake(LinkId),
    /// Let nothing in or out on a connection, not even its end.
    Hold(LinkId),
    /// Let a connection that was held go on.
    Release(LinkId),
    /// Break a connection off, as when the network between fails.
    Cut(LinkId),
    /// Send what is under way, then close.
    Close(LinkId),
    /// Somebody may be waiting for this: a phone received something, a device was linked or a pairing ended.
    Changed,
    /// A phone is to upload a file again.
    Reupload,
}

/// What a call leaves behind.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) blobs: Vec<Blob>,
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
    /// What phones' users do and see at the moment, by number.
    phone_acts: BTreeMap<String, PhoneActs>,
    groups: Groups,
    newsletters: Newsletters,
    statuses: Posted,
    sticker_packs: StickerPacks,
    calls: Calls,
    businesses: Businesses,
    reports: Reports,
    people: People,
    presence: Presence,
    faults: Faults,
    timers: Timers,
    media: MediaRoom,
    /// What the devices of one account have among themselves.
    own: OwnDevices,
    messages_relayed: u64,
    /// What the queues of all devices hold.
    queued_bytes: usize,
    next_link: LinkId,
    /// Whether nobody writes records down, so that the many of the queues need not be made.
    forgetful: bool,
    now_ms: u64,
    out: Outbox,
}

impl Network {
    /// Tells the time for the calls that follow.
    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Nobody will write down what changes.
    pub(crate) fn forget_everything(&mut self) {
        self.forgetful = true;
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
        self.forget_authority(link);
        self.faults.forget_link(link);
        self.forget_timers(link);
        match self.links.remove(&link) {
            Some(Link::Session(session)) => self.end_session(link, &session),
            Some(Link::Pairing(pairing)) => self.abandon_pairing(&pairing),
            Some(Link::Idle) | None => {}
        }
    }

    /// A client has sent a node.
    pub(crate) fn receive(&mut self, link: LinkId, node: &Node) {
        if let Err(fault) = limits::check(node) {
            tracing::warn!(link, tag = node.tag.as_ref(), %fault, "a stanza is refused");
            return self.refuse_stanza(link, node);
        }
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
            "ack" => self.receive_ack(link, key, node),
            "presence" => self.receive_presence(link, key, node),
            "chatstate" => self.receive_chatstate(key, node),
            "call" => self.receive_call(link, key, node),
            "ib" => self.receive_ib(link, node),
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

    /// Sends a stanza that nobody needs to acknowledge.
    fn send(&mut self, link: LinkId, node: Node) {
        if let Some(node) = self.faults_on_answer(link, node) {
            self.send_now(link, node);
        }
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
