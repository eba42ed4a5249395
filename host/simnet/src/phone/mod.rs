//! A simulated phone: device 0 of an account, which really holds the account's keys and its Signal state.
//!
//! It links companions, opens sessions, encrypts and decrypts like the app on a phone, and keeps what it has shown
//! to its owner. It does no I/O: the network moves its ciphertexts, and writes down the records it reports as
//! changed. Those must be written before anybody sees what the call returned, or a restart repeats a key.

mod addons;
mod adv;
mod app_state;
mod chats;
mod choices;
mod compose;
mod content;
mod error;
mod file_facts;
mod files;
mod history;
mod history_chunks;
mod known;
pub(crate) mod link_code;
pub mod media;
mod media_retry;
mod numbered;
mod own_state;
mod padding;
mod pairing_code;
mod screen;
mod shapes;
mod shown;
mod signal;
mod state_actions;
mod state_view;
mod stored;
mod sync_keys;
mod types;

#[cfg(test)]
mod app_state_tests;
#[cfg(test)]
mod as_companion;
#[cfg(test)]
mod compose_tests;
#[cfg(test)]
mod shown_tests;
#[cfg(test)]
mod tests;

use serde_json::Value;
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, IdentityKey, KeyPair, PreKeyBundle, PreKeySignalMessage, ProtocolAddress,
    PublicKey, SenderKeyDistributionMessage, SenderKeyName, SignalMessage, SignalProtocolError, UsePQRatchet,
    create_sender_key_distribution_message, group_decrypt, group_encrypt, message_decrypt, message_encrypt,
    process_prekey_bundle, process_sender_key_distribution_message,
};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{self, DeviceSentMessage};

pub use addons::AddonNames;
pub use app_state::collection_name;
pub use error::PhoneError;
pub use files::KnownFile;
pub use history_chunks::{Lids, OlderThan, compress};
pub use known::KnownMessage;
pub use link_code::{EnteredCode, LinkCodeError, WRAPPED_KEY_BYTES, normal_link_code};
pub use media::MediaKind;
#[cfg(test)]
pub(crate) use media_retry::client as media_retry_client;
pub use media_retry::{SealedRetry, seal_retry_answer};
pub use own_state::{CollectionView, StateChange, Understood};
pub use pairing_code::PairingCode;
pub use screen::HeardReceipt;
pub use shapes::{
    Attendance, ShownButton, ShownButtons, ShownChoice, ShownContact, ShownEphemeral, ShownEvent, ShownEventResponse,
    ShownFlow, ShownGroupInvite, ShownHeader, ShownInteractive, ShownKeep, ShownList, ShownLocation, ShownMedia, ShownPin,
    ShownPoll, ShownPollVote, ShownPreview, ShownReaction, ShownRow, ShownSection, ShownTemplate, ShownTemplateButton,
};
pub use shown::ReceivedMessage;
pub use state_actions::{CONTACTS_MAX, StateAction};
pub use types::{DeviceAddress, DeviceBundle, EncKind, Encrypted, Envelope, LinkedIdentity, OneTimePreKey, SignedPreKey};

pub(crate) use addons::addon_target;
#[cfg(test)]
pub(crate) use addons::sealed_vote;
pub(crate) use compose::{ComposeFault, Desk, Draft};
pub(crate) use shown::unwrap as unwrap_message;

use crate::{clock, random};
use app_state::AppState;
use chats::Chats;
use files::Files;
use history::History;
use known::Known;
use numbered::Log;
use signal::Stores;
use stored::Core;

/// How many one-time prekeys are made when none is left to offer.
const PREKEY_BATCH: usize = 20;

/// Device 0 of an account.
pub struct Phone {
    core: Core,
    core_changed: bool,
    stores: Stores,
    /// Messages of others.
    history: History,
    files: Files,
    app_state: AppState,
    chats: Chats,
    /// Messages of the owner.
    own_history: History,
    known: Known,
    receipts: Log<HeardReceipt>,
}

/// The first part of the record key of a shown message of others.
const SHOWN_RECORD: &str = "shown";
/// The first part of the record key of a shown message of the owner.
const OWN_RECORD: &str = "own";

impl Phone {
    /// A phone with fresh keys.
    pub fn new(number: &str, lid: &str, name: &str) -> Result<Self, PhoneError> {
        let core = Core::new(number, lid, name, clock::now_ms())?;
        Ok(Self::with_empty_screen(core.stores()?, core, true))
    }

    /// The phone whose `dirty_records` these were, the latest of each key.
    pub fn restore(records: impl Iterator<Item = (String, Value)>) -> Result<Self, PhoneError> {
        let (core, records): (Vec<_>, Vec<_>) = records.partition(|(key, _)| key == stored::CORE_RECORD);
        let (key, value) = core.into_iter().next().ok_or(PhoneError::NoCore)?;
        let core: Core = serde_json::from_value(value).map_err(|error| signal::bad_record(&key, error))?;
        let mut phone = Self::with_empty_screen(core.stores()?, core, false);
        for (key, value) in records {
            let taken = phone.stores.restore(&key, &value)?
                || phone.history.restore(&key, &value)?
                || phone.own_history.restore(&key, &value)?
                || phone.known.restore(&key, &value)?
                || phone.files.restore(&key, &value)?
                || phone.app_state.restore(&key, &value)?
                || phone.chats.restore(&key, &value)?
                || phone.receipts.restore(&key, &value)?.is_some();
            if !taken {
                return Err(signal::bad_record(&key, "no part of a phone is stored under this key"));
            }
        }
        phone.history.settle();
        phone.own_history.settle();
        phone.known.settle();
        phone.receipts.settle();
        Ok(phone)
    }

    fn with_empty_screen(stores: Stores, core: Core, core_changed: bool) -> Self {
        Self {
            core,
            core_changed,
            stores,
            history: History::new(SHOWN_RECORD),
            own_history: History::new(OWN_RECORD),
            known: Known::default(),
            files: Files::default(),
            app_state: AppState::default(),
            chats: Chats::default(),
            receipts: Log::new(screen::RECEIPT_RECORD, screen::RECEIPTS_MAX),
        }
    }

    /// The state records that changed since the last call: the key, and the new value or `None` for a deletion.
    pub fn dirty_records(&mut self) -> Vec<(String, Option<Value>)> {
        let mut records = Vec::new();
        if self.core_changed {
            match serde_json::to_value(&self.core) {
                Ok(value) => {
                    records.push((stored::CORE_RECORD.to_owned(), Some(value)));
                    self.core_changed = false;
                }
                Err(error) => tracing::error!(%error, "the core of a phone cannot be stored"),
            }
        }
        records.extend(self.stores.take_changes());
        records.extend(self.history.take_changes());
        records.extend(self.files.take_changes());
        records.extend(self.app_state.take_changes());
        records.extend(self.chats.take_changes());
        records.extend(self.own_history.take_changes());
        records.extend(self.known.take_changes());
        records.extend(self.receipts.take_changes());
        records
    }

    /// The account's phone number in digits.
    pub fn number(&self) -> &str {
        &self.core.number
    }

    /// The account's other name, which hides the number.
    pub fn lid(&self) -> &str {
        &self.core.lid
    }

    /// The owner's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The account's public identity key, raw; it also verifies what `link` and `key_index_list` sign.
    pub fn identity(&self) -> [u8; 32] {
        signal::raw(self.stores.identities.own.public_key())
    }

    /// What a device needs to open a session with the phone, with a one-time prekey when asked for.
    pub fn bundle(&mut self, one_time: bool) -> Result<DeviceBundle, PhoneError> {
        let one_time = if one_time { self.offer_prekey() } else { None };
        let signed = &self.stores.signed;
        Ok(DeviceBundle {
            registration_id: self.stores.identities.registration_id,
            identity: self.identity(),
            signed_prekey: SignedPreKey {
                id: signed.id,
                public: signal::raw(&signed.pair.public_key),
                signature: signed.signature,
            },
            one_time,
        })
    }

    fn offer_prekey(&mut self) -> Option<OneTimePreKey> {
        let (id, public) = self.stores.prekeys.offer().or_else(|| {
            if !self.stores.prekeys.has_room() {
                return None;
            }
            for _ in 0..PREKEY_BATCH {
                let id = self.core.take_prekey_id();
                self.stores.prekeys.add(id, KeyPair::generate(&mut random::rng()));
            }
            self.core_changed = true;
            self.stores.prekeys.offer()
        })?;
        Some(OneTimePreKey { id, public: signal::raw(&public) })
    }

    /// Whether `encrypt` to this device needs no bundle.
    pub fn has_session(&self, address: &DeviceAddress) -> bool {
        self.stores.sessions.is_usable(&address.protocol())
    }

    /// The users whose devices the phone has talked with, its own among them if it has.
    pub fn peers(&self) -> Vec<String> {
        self.stores.sessions.users()
    }

    /// The next message to a device opens a new session, and needs a bundle; what is on its way in the old one is still read.
    pub fn renew_session(&mut self, address: &DeviceAddress) {
        self.stores.sessions.renew(&address.protocol());
    }

    /// Drops the session with a device; the next message to it needs a bundle.
    pub fn forget_session(&mut self, address: &DeviceAddress) {
        self.stores.sessions.forget(&address.protocol());
    }

    /// Seals a message for one device. The bundle opens a session where there is none, or where the one there is
    /// belongs to an identity that the device no longer has.
    pub fn encrypt(
        &mut self,
        to: &DeviceAddress,
        bundle: Option<&DeviceBundle>,
        plaintext: &Message,
    ) -> Result<Encrypted, PhoneError> {
        let address = to.protocol();
        let usable = self.stores.sessions.is_usable(&address);
        match bundle {
            Some(bundle) if !usable || self.stores.identities.known(&address) != Some(bundle.identity) => {
                self.open_session(&address, bundle)?;
            }
            None if !usable => {
                return Err(PhoneError::NoSession { address: to.to_string() });
            }
            _ => {}
        }
        let padded = padding::encode(plaintext);
        let stores = &mut self.stores;
        let sealed = signal::run(message_encrypt(&padded, &address, &mut stores.sessions, &mut stores.identities))?;
        let kind = match sealed.message_type() {
            CiphertextMessageType::PreKey => EncKind::PkMsg,
            _ => EncKind::Msg,
        };
        Ok(Encrypted { kind, ciphertext: sealed.serialize().to_vec() })
    }

    fn open_session(&mut self, address: &ProtocolAddress, bundle: &DeviceBundle) -> Result<(), PhoneError> {
        let one_time = match &bundle.one_time {
            Some(key) => Some((key.id.into(), PublicKey::from_djb_public_key_bytes(&key.public)?)),
            None => None,
        };
        let signed = &bundle.signed_prekey;
        let bundle = PreKeyBundle::new(
            bundle.registration_id,
            address.device_id(),
            one_time,
            signed.id.into(),
            PublicKey::from_djb_public_key_bytes(&signed.public)?,
            signed.signature.to_vec(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&bundle.identity)?),
        )?;
        let stores = &mut self.stores;
        signal::run(process_prekey_bundle(
            address,
            &mut stores.sessions,
            &mut stores.identities,
            &bundle,
            &mut random::rng(),
            UsePQRatchet::No,
        ))?;
        self.stores.sessions.is_renewed(address);
        Ok(())
    }

    /// Opens what a device sealed. A sender key that comes along is kept for the group messages that follow.
    pub fn decrypt(&mut self, from: &DeviceAddress, kind: EncKind, ciphertext: &[u8]) -> Result<Message, PhoneError> {
        let padded = match kind {
            EncKind::Msg => {
                let message = CiphertextMessage::SignalMessage(SignalMessage::try_from(ciphertext)?);
                self.open_pairwise(from, &message)?
            }
            EncKind::PkMsg => {
                let message = CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(ciphertext)?);
                self.open_pairwise(from, &message)?
            }
            EncKind::SkMsg => self.open_group(from, ciphertext)?,
        };
        let message = padding::decode(&padded)?;
        if let Some(distribution) = message.sender_key_distribution_message.as_option() {
            // The rest of the message is good; group messages under a bad key will say so themselves.
            if let Err(error) = self.learn_sender_key(from, distribution) {
                tracing::warn!(%from, %error, "sender key refused");
            }
        }
        Ok(message)
    }

    fn open_pairwise(&mut self, from: &DeviceAddress, message: &CiphertextMessage) -> Result<Vec<u8>, PhoneError> {
        let stores = &mut self.stores;
        let opened = signal::run(message_decrypt(
            message,
            &from.protocol(),
            &mut stores.sessions,
            &mut stores.identities,
            &mut stores.prekeys,
            &stores.signed,
            &mut random::rng(),
            UsePQRatchet::No,
        ))?;
        // Its private half has done its work: the session it opened is among the same changes.
        if let Some(used) = opened.consumed_prekey_id {
            stores.prekeys.remove(used.into());
        }
        Ok(opened.plaintext)
    }

    /// An `<enc>` does not name its group, but a sender key has an id of its own: the one that knows it decides.
    fn open_group(&mut self, from: &DeviceAddress, ciphertext: &[u8]) -> Result<Vec<u8>, PhoneError> {
        for name in self.stores.sender_keys.of_sender(&from.protocol()) {
            match signal::run(group_decrypt(ciphertext, &mut self.stores.sender_keys, &name)) {
                Err(PhoneError::Signal(SignalProtocolError::NoSenderKeyState(_))) => {}
                decided => return decided,
            }
        }
        Err(PhoneError::NoSenderKey { address: from.to_string() })
    }

    fn learn_sender_key(
        &mut self,
        from: &DeviceAddress,
        distribution: &message::SenderKeyDistributionMessage,
    ) -> Result<(), PhoneError> {
        let group = distribution.group_id.as_deref().unwrap_or_default();
        let key = distribution.axolotl_sender_key_distribution_message.as_deref().unwrap_or_default();
        let key = SenderKeyDistributionMessage::try_from(key)?;
        let name = SenderKeyName::from_parts(group, from.protocol().as_str());
        signal::run(process_sender_key_distribution_message(&name, &key, &mut self.stores.sender_keys))
    }

    /// A message that gives a device the phone's sender key for a group; it goes out before `encrypt_group`.
    pub fn share_sender_key(&mut self, group: &str) -> Result<Message, PhoneError> {
        let name = self.own_sender_key(group);
        let key =
            signal::run(create_sender_key_distribution_message(&name, &mut self.stores.sender_keys, &mut random::rng()))?;
        let distribution = message::SenderKeyDistributionMessage {
            group_id: Some(group.to_owned()),
            axolotl_sender_key_distribution_message: Some(key.serialized().to_vec()),
        };
        Ok(Message { sender_key_distribution_message: MessageField::some(distribution), ..Message::default() })
    }

    /// Seals a message once for everybody who has the phone's sender key for the group.
    pub fn encrypt_group(&mut self, group: &str, plaintext: &Message) -> Result<Encrypted, PhoneError> {
        let name = self.own_sender_key(group);
        let padded = padding::encode(plaintext);
        let sealed = signal::run(group_encrypt(&mut self.stores.sender_keys, &name, &padded, &mut random::rng()))?;
        Ok(Encrypted { kind: EncKind::SkMsg, ciphertext: sealed.serialized().to_vec() })
    }

    /// The phone makes a new sender key for a group when it next speaks there.
    pub fn forget_own_sender_key(&mut self, group: &str) {
        let name = self.own_sender_key(group);
        self.stores.sender_keys.forget(&name);
    }

    fn own_sender_key(&self, group: &str) -> SenderKeyName {
        SenderKeyName::from_parts(group, self.own_device(0).protocol().as_str())
    }

    fn own_device(&self, device: u16) -> DeviceAddress {
        DeviceAddress { user: self.core.number.clone(), device }
    }

    /// Takes the client that showed `code` as companion `device` of the account.
    pub fn link(&mut self, code: &PairingCode, device: u16) -> Result<LinkedIdentity, PhoneError> {
        let identity = &self.stores.identities.own;
        let linked = self.core.companions.link(identity, code, device, now_seconds())?;
        self.core_changed = true;
        Ok(linked)
    }

    /// Takes a companion off the account; its sessions are worth nothing from now on.
    pub fn unlink(&mut self, device: u16) {
        if self.core.companions.unlink(device, now_seconds()) {
            self.core_changed = true;
            self.forget_session(&self.own_device(device));
        }
    }

    /// Checks the `<device-identity>` of a client's `pair-device-sign`.
    pub fn verify_link(&self, device: u16, signed: &[u8]) -> Result<(), PhoneError> {
        let account = self.stores.identities.own.public_key();
        self.core.companions.verify(account, device, signed)
    }

    /// The bytes of `<key-index-list>`: the key indexes of the companions that count.
    pub fn key_index_list(&self) -> Result<Vec<u8>, PhoneError> {
        self.core.companions.key_index_list(&self.stores.identities.own)
    }

    /// The `ts` of `<key-index-list>`: when a companion was last linked or unlinked, in seconds.
    pub fn key_index_list_at(&self) -> u64 {
        self.core.companions.changed_at()
    }

    /// Begins anew, as after the app was installed again: with other keys, without companions and sessions. What the
    /// owner was shown stays.
    pub fn reinstall(&mut self) -> Result<(), PhoneError> {
        let core = Core::new(&self.core.number, &self.core.lid, &self.core.name, clock::now_ms())?;
        self.stores.replace(core.stores()?);
        self.core = core;
        self.core_changed = true;
        Ok(())
    }

    /// A plain text message.
    pub fn compose_text(&self, text: &str) -> Message {
        Message { conversation: Some(text.to_owned()), ..Message::default() }
    }

    /// Remembers the file that a message refers to; `n` is its number if it was shown.
    pub fn keep_file(&mut self, id: &str, n: Option<u64>, message: &Message) {
        self.files.keep(id, n, message);
    }

    /// The files of messages with this id, the latest first.
    pub fn files_of(&self, id: &str) -> impl Iterator<Item = &KnownFile> {
        self.files.of_message(id)
    }

    /// The file of the message that was shown as number `n`.
    pub fn file_of_shown(&self, n: u64) -> Option<&KnownFile> {
        self.files.of_shown(n)
    }

    /// A file is served under another path from now on.
    pub fn file_moved(&mut self, from: &str, to: &str) {
        self.files.moved(from, to);
    }
}

/// The copy of a sent message that goes to the sender's own companions.
pub fn device_sent(to_jid: &str, message: &Message) -> Message {
    Message {
        message_context_info: message.message_context_info.clone(),
        device_sent_message: MessageField::some(DeviceSentMessage {
            destination_jid: Some(to_jid.to_owned()),
            message: MessageField::some(message.clone()),
            phash: None,
        }),
        ..Message::default()
    }
}

/// The chat and the message in a copy that a companion made of what it sent. The message's secret travels on the copy
/// and not in it (`wrap_device_sent` of wacore 0.7.0).
pub fn sent_in(copy: &Message) -> Option<(&str, Message)> {
    let sent = copy.device_sent_message.as_option()?;
    let mut message = sent.message.as_option()?.clone();
    if !message.message_context_info.is_set() {
        message.message_context_info = copy.message_context_info.clone();
    } else if message.message_context_info.message_secret.is_none() {
        let secret = copy.message_context_info.message_secret.clone();
        message.message_context_info.get_or_insert_default().message_secret = secret;
    }
    Some((sent.destination_jid.as_deref()?, message))
}

fn now_seconds() -> u64 {
    clock::now_ms() / 1000
}
