//! The device lists of accounts: their hashes, and who hears when one changes.
//!
//! A client keeps the lists of those it writes to. Three things tell it that a list is out of date: a notification when
//! a device is linked or unlinked (`devices`, and `account_sync` for the account's own companions), the hash in an
//! answer to usync, and the hash of the right recipients in the ack of a message.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::Network;
use crate::address::{DeviceKey, Space};
use crate::network::account::DeviceRecord;

/// Marks the second version of the hash, the only one in use.
const HASH_PREFIX: &str = "2:";
/// Bytes of the digest that are kept.
const HASH_BYTES: usize = 6;

/// The hash of a set of devices: SHA-256 over their addresses in order, each written `<user>.0:<device>@<server>`; as
/// whatsmeow and wacore 0.7.0 messages.rs compute it.
pub(in crate::network) fn participant_hash(devices: impl IntoIterator<Item = Jid>) -> String {
    let mut forms: Vec<String> = devices.into_iter().map(|device| device.to_phash_form_string()).collect();
    forms.sort_unstable();
    let digest = Sha256::digest(forms.concat());
    let kept: Vec<u8> = digest.iter().copied().take(HASH_BYTES).collect();
    format!("{HASH_PREFIX}{}", BASE64_STANDARD_NO_PAD.encode(kept))
}

impl Network {
    /// The phone and the companions of an account.
    pub(in crate::network) fn all_devices(&self, number: &str) -> Vec<DeviceKey> {
        let mut devices = vec![DeviceKey::new(number, 0)];
        devices.extend(self.companions_of(number));
        devices
    }

    /// The hash of an account's devices under one of its two names.
    pub(in crate::network) fn device_list_hash(&self, number: &str, space: Space) -> String {
        participant_hash(self.all_devices(number).iter().map(|key| self.jid_of(key, space)))
    }

    /// The hash of all devices that a direct message should have been sealed for: the recipient's, and the sender's
    /// own but the one it came from.
    pub(in crate::network) fn direct_recipients_hash(&self, sender: &DeviceKey, recipient: &str, space: Space) -> String {
        let mut devices = self.all_devices(&sender.number);
        devices.retain(|key| key != sender);
        if recipient != sender.number {
            devices.extend(self.all_devices(recipient));
        }
        participant_hash(devices.iter().map(|key| self.jid_of(key, space)))
    }

    /// The signed list of key indexes, with the time from which it counts.
    pub(in crate::network) fn key_index_list_node(&self, number: &str) -> Option<Node> {
        let phone = &self.accounts.get(number)?.phone;
        let signed = phone.key_index_list().ok()?;
        Some(NodeBuilder::new("key-index-list").attr("ts", phone.key_index_list_at()).bytes(signed).build())
    }

    /// A companion was linked: those who write to the account must write to it as well.
    pub(in crate::network) fn announce_linked(&mut self, key: &DeviceKey) {
        let index = self.device(key).map(|device| device.record.key_index);
        let list = self.key_index_list_node(&key.number);
        self.announce_devices(key, "add", index, list);
    }

    /// A companion was unlinked. The sessions that simulated phones have with it are worth nothing any more.
    pub(in crate::network) fn announce_unlinked(&mut self, key: &DeviceKey, record: &DeviceRecord) {
        // Phones that never had to do with the account have none; its own phone has just dropped its own.
        let acquainted: Vec<String> = self.acquainted_with(&key.number).cloned().collect();
        self.forget_phone_sessions(key, acquainted);
        let at = self.accounts.get(&key.number).map_or(0, |account| account.phone.key_index_list_at());
        // Without its bytes, as the real network sends it (wacore 0.7.0 stanza/devices.rs).
        let list = NodeBuilder::new("key-index-list").attr("ts", at).build();
        self.announce_devices(key, "remove", Some(record.key_index), Some(list));
    }

    fn announce_devices(&mut self, key: &DeviceKey, change: &'static str, index: Option<u32>, list: Option<Node>) {
        self.tell_own_devices(key);
        let hashes = (self.device_list_hash(&key.number, Space::Number), self.device_list_hash(&key.number, Space::Lid));
        // Clients keep a list under the name by which they know the account, and may know it by either.
        for space in [Space::Number, Space::Lid] {
            let other = if space == Space::Lid { Space::Number } else { Space::Lid };
            let mut device = NodeBuilder::new("device").attr("jid", self.jid_of(key, space));
            if let Some(index) = index {
                device = device.attr("key-index", index);
            }
            if other == Space::Lid {
                device = device.attr("lid", self.jid_of(key, other));
            }
            let mut children = vec![device.build()];
            children.extend(list.clone());
            let change = NodeBuilder::new(change)
                .attr("device_hash", &hashes.0)
                .attr("device_lid_hash", &hashes.1)
                .children(children)
                .build();
            let mut notice = self.notice(&key.number, "devices").with("lid", self.account_jid(&key.number, Space::Lid));
            notice.from = self.account_jid(&key.number, space);
            notice.children = vec![change];
            // The account's own companions as well: Baileys 7 learns of them here and not from `account_sync`.
            self.tell_own(&key.number, Some(key), &notice);
            self.tell_acquaintances(&key.number, &notice, |_, _| true);
        }
    }

    /// The account's own companions get the whole list; the one that has just been linked asks for it itself.
    fn tell_own_devices(&mut self, cause: &DeviceKey) {
        let number = cause.number.as_str();
        let devices = self.all_devices(number).into_iter().map(|key| {
            let builder = NodeBuilder::new("device").attr("jid", self.jid_of(&key, Space::Number));
            match self.device(&key) {
                Some(device) => builder.attr("key-index", device.record.key_index).build(),
                None => builder.build(),
            }
        });
        let children: Vec<Node> = devices.chain(self.key_index_list_node(number)).collect();
        let list =
            NodeBuilder::new("devices").attr("dhash", self.device_list_hash(number, Space::Number)).children(children);
        let mut notice = self.notice(number, "account_sync");
        notice.children = vec![list.build()];
        self.tell_own(number, Some(cause), &notice);
    }

    /// These phones have no session with a device from now on.
    pub(super) fn forget_phone_sessions(&mut self, key: &DeviceKey, numbers: Vec<String>) {
        let address = key.address();
        for number in numbers {
            if let Some(account) = self.accounts.get_mut(&number) {
                account.phone.forget_session(&address);
                self.record_phone(&number);
            }
        }
    }
}
