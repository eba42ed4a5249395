//! The phone's Signal state in memory, in the shape libsignal asks for.
//!
//! Each store notes every change as a state record at once, so that the caller can write exactly what moved.
//! A phone trusts whatever identity it meets, as WhatsApp does; it only remembers the latest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use wacore_libsignal::protocol::error::Result as SignalResult;
use wacore_libsignal::protocol::{
    Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyId,
    PreKeyRecord, PreKeyStore, PrivateKey, ProtocolAddress, PublicKey, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp,
};

use super::error::PhoneError;

/// State records that changed: the key, and the new value or `None` when it is gone.
pub(super) type Changes = BTreeMap<String, Option<Value>>;

/// Longest name a group may have in a sender key; real ones are some 35 bytes.
const GROUP_NAME_BYTES_MAX: usize = 128;
/// Groups for which one device may give us a sender key; for one more it takes another one back.
const SENDER_KEYS_MAX: usize = 1_000;
/// One-time prekeys that wait for the message that uses them. Who has that many gives out no more: sessions open
/// without one as well.
const PREKEYS_MAX: usize = 1_000;

/// Drives a libsignal call to its end; with stores that answer at once it never waits.
pub(super) fn run<T>(call: impl Future<Output = SignalResult<T>>) -> Result<T, PhoneError> {
    Ok(call.now_or_never().ok_or(PhoneError::Pending)??)
}

/// A public key without its type byte.
pub(super) fn raw(key: &PublicKey) -> [u8; 32] {
    let [_, raw @ ..] = key.serialize();
    raw
}

/// A key pair from its stored private half.
pub(super) fn key_pair(private: &[u8]) -> Result<KeyPair, PhoneError> {
    Ok(KeyPair::try_from(PrivateKey::deserialize(private)?)?)
}

fn hex_value(bytes: &[u8]) -> Value {
    Value::String(hex::encode(bytes))
}

fn hex_bytes(key: &str, value: &Value) -> Result<Vec<u8>, PhoneError> {
    let text = value.as_str().ok_or_else(|| bad_record(key, "it is not a text"))?;
    hex::decode(text).map_err(|error| bad_record(key, error))
}

pub(super) fn bad_record(key: &str, problem: impl ToString) -> PhoneError {
    PhoneError::BadRecord { key: key.to_owned(), problem: problem.to_string() }
}

/// All stores side by side, since libsignal borrows several at a time.
pub(super) struct Stores {
    pub(super) sessions: Sessions,
    pub(super) identities: Identities,
    pub(super) prekeys: PreKeys,
    pub(super) signed: SignedPreKeys,
    pub(super) sender_keys: SenderKeys,
}

impl Stores {
    pub(super) fn new(identity: IdentityKeyPair, registration_id: u32, signed: SignedPreKeys) -> Self {
        Self {
            sessions: Sessions::default(),
            identities: Identities { own: identity, registration_id, known: HashMap::new(), changes: Changes::new() },
            prekeys: PreKeys::default(),
            signed,
            sender_keys: SenderKeys::default(),
        }
    }

    /// Takes back a record that `take_changes` gave out; false when it belongs to no store.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        let Some((store, name)) = key.split_once('/') else {
            return Ok(false);
        };
        match store {
            "session" => {
                let record = SessionRecord::deserialize(&hex_bytes(key, value)?)?;
                self.sessions.records.insert(name.to_owned(), record);
            }
            "identity" => {
                let public = PublicKey::from_djb_public_key_bytes(&hex_bytes(key, value)?)?;
                self.identities.known.insert(name.to_owned(), IdentityKey::new(public));
            }
            "prekey" => {
                let id = name.parse::<u32>().map_err(|error| bad_record(key, error))?;
                self.prekeys.restore(id, key, value)?;
            }
            "sender_key" => {
                let record = SenderKeyRecord::deserialize(&hex_bytes(key, value)?)?;
                self.sender_keys.records.insert(name.to_owned(), record);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes fresh stores in place of these. Whatever is stored of the old ones is to be deleted.
    pub(super) fn replace(&mut self, fresh: Self) {
        let old = std::mem::replace(self, fresh);
        let sessions = old.sessions.records.into_keys().map(|name| format!("session/{name}"));
        let identities = old.identities.known.into_keys().map(|name| format!("identity/{name}"));
        let prekeys = old.prekeys.pairs.into_keys().map(|id| format!("prekey/{id}"));
        let sender_keys = old.sender_keys.records.into_keys().map(|name| format!("sender_key/{name}"));
        let gone = sessions.chain(identities).chain(prekeys).chain(sender_keys);
        // What the fresh stores write under one of these keys later wins over its deletion.
        self.sessions.changes.extend(gone.map(|key| (key, None)));
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.sessions.changes);
        changes.append(&mut self.identities.changes);
        changes.append(&mut self.prekeys.changes);
        changes.append(&mut self.sender_keys.changes);
        changes
    }
}

/// Double-ratchet sessions by `<user>.<device>`.
#[derive(Default)]
pub(super) struct Sessions {
    records: HashMap<String, SessionRecord>,
    /// Addresses whose next message opens a new session. Lost with the process: then the peer asks once more.
    renewed: HashSet<String>,
    changes: Changes,
}

impl Sessions {
    /// Whether a message can be sent in the session with `address`.
    pub(super) fn is_usable(&self, address: &ProtocolAddress) -> bool {
        !self.renewed.contains(address.as_str())
            && self
                .records
                .get(address.as_str())
                .and_then(SessionRecord::session_state)
                .is_some_and(|state| state.has_usable_sender_chain().unwrap_or(false))
    }

    /// The next message to `address` opens a new session. The one there is stays readable beneath it: messages that were
    /// sealed in it may still be on their way.
    pub(super) fn renew(&mut self, address: &ProtocolAddress) {
        self.renewed.insert(address.as_str().to_owned());
    }

    /// A new session was opened.
    pub(super) fn is_renewed(&mut self, address: &ProtocolAddress) {
        self.renewed.remove(address.as_str());
    }

    /// The users with whose devices there are sessions, each once.
    pub(super) fn users(&self) -> Vec<String> {
        let users: BTreeSet<&str> = self.records.keys().filter_map(|key| Some(key.rsplit_once('.')?.0)).collect();
        users.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn forget(&mut self, address: &ProtocolAddress) {
        if self.records.remove(address.as_str()).is_some() {
            self.changes.insert(format!("session/{}", address.as_str()), None);
        }
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        Ok(self.records.get(address.as_str()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.records.contains_key(address.as_str()))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> SignalResult<()> {
        let stored = hex_value(&record.serialize()?);
        self.changes.insert(format!("session/{}", address.as_str()), Some(stored));
        self.records.insert(address.as_str().to_owned(), record);
        Ok(())
    }
}

/// The phone's own identity and those it has met, by `<user>.<device>`.
pub(super) struct Identities {
    pub(super) own: IdentityKeyPair,
    pub(super) registration_id: u32,
    known: HashMap<String, IdentityKey>,
    changes: Changes,
}

impl Identities {
    /// The identity last met at `address`, raw.
    pub(super) fn known(&self, address: &ProtocolAddress) -> Option<[u8; 32]> {
        self.known.get(address.as_str()).map(|key| raw(key.public_key()))
    }
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(&mut self, address: &ProtocolAddress, identity: &IdentityKey) -> SignalResult<IdentityChange> {
        let before = self.known.insert(address.as_str().to_owned(), *identity);
        if before != Some(*identity) {
            let stored = hex_value(&raw(identity.public_key()));
            self.changes.insert(format!("identity/{}", address.as_str()), Some(stored));
        }
        Ok(IdentityChange::from_changed(before.is_some_and(|before| before != *identity)))
    }

    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> SignalResult<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        Ok(self.known.get(address.as_str()).copied())
    }
}

/// One-time prekeys by id. One that was offered stays until the message that used it has been read.
#[derive(Default)]
pub(super) struct PreKeys {
    pairs: BTreeMap<u32, KeyPair>,
    unoffered: VecDeque<u32>,
    changes: Changes,
}

impl PreKeys {
    /// Whether more may be made.
    pub(super) fn has_room(&self) -> bool {
        self.pairs.len() < PREKEYS_MAX
    }

    pub(super) fn add(&mut self, id: u32, pair: KeyPair) {
        self.note(id, &pair, false);
        self.pairs.insert(id, pair);
        self.unoffered.push_back(id);
    }

    /// The next prekey that nobody has been given yet.
    pub(super) fn offer(&mut self) -> Option<(u32, PublicKey)> {
        let id = self.unoffered.pop_front()?;
        let pair = self.pairs.get(&id)?.clone();
        self.note(id, &pair, true);
        Some((id, pair.public_key))
    }

    pub(super) fn remove(&mut self, id: u32) {
        if self.pairs.remove(&id).is_some() {
            self.unoffered.retain(|unoffered| *unoffered != id);
            self.changes.insert(format!("prekey/{id}"), None);
        }
    }

    fn note(&mut self, id: u32, pair: &KeyPair, offered: bool) {
        let stored = json!({ "private": hex::encode(pair.private_key.serialize()), "offered": offered });
        self.changes.insert(format!("prekey/{id}"), Some(stored));
    }

    fn restore(&mut self, id: u32, key: &str, value: &Value) -> Result<(), PhoneError> {
        let private = value.get("private").ok_or_else(|| bad_record(key, "it has no private key"))?;
        let offered = value.get("offered").and_then(Value::as_bool).unwrap_or(true);
        self.pairs.insert(id, key_pair(&hex_bytes(key, private)?)?);
        if !offered {
            self.unoffered.push_back(id);
        }
        Ok(())
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        let pair = self.pairs.get(&u32::from(id)).ok_or(SignalProtocolError::InvalidPreKeyId)?;
        Ok(PreKeyRecord::new(id, pair))
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> SignalResult<()> {
        self.add(id.into(), record.key_pair()?);
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> SignalResult<()> {
        self.remove(id.into());
        Ok(())
    }
}

/// The phone's one signed prekey; it is made with the phone and never rotated.
pub(super) struct SignedPreKeys {
    pub(super) id: u32,
    pub(super) pair: KeyPair,
    pub(super) signature: [u8; 64],
}

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        if u32::from(id) != self.id {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        // Nobody asks a signed prekey for its age here, so none is kept.
        let made_at = Timestamp::from_epoch_millis(0);
        Ok(SignedPreKeyRecord::new(id, made_at, &self.pair, &self.signature))
    }

    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, _record: &SignedPreKeyRecord) -> SignalResult<()> {
        // libsignal only reads; a second signed prekey would have nowhere to go.
        if u32::from(id) == self.id { Ok(()) } else { Err(SignalProtocolError::InvalidSignedPreKeyId) }
    }
}

/// Group keys by `<group>:<user>.<device>`, the phone's own among them.
#[derive(Default)]
pub(super) struct SenderKeys {
    records: HashMap<String, SenderKeyRecord>,
    changes: Changes,
}

impl SenderKeys {
    pub(super) fn forget(&mut self, name: &SenderKeyName) {
        if self.records.remove(name.cache_key()).is_some() {
            self.changes.insert(format!("sender_key/{}", name.cache_key()), None);
        }
    }

    /// A device that makes up groups replaces its own keys and nobody else's.
    fn make_room(&mut self, name: &SenderKeyName) {
        let of_sender = |key: &&String| key.rsplit_once(':').is_some_and(|(_, owner)| owner == name.sender_id());
        let mut keys = self.records.keys().filter(of_sender);
        let Some(oldest) = keys.nth(SENDER_KEYS_MAX - 1).cloned() else {
            return;
        };
        self.records.remove(&oldest);
        self.changes.insert(format!("sender_key/{oldest}"), None);
    }

    /// The keys that `sender` has given us, one for each group.
    pub(super) fn of_sender(&self, sender: &ProtocolAddress) -> Vec<SenderKeyName> {
        self.records
            .keys()
            .filter_map(|name| name.rsplit_once(':'))
            .filter(|(_, owner)| *owner == sender.as_str())
            .map(|(group, owner)| SenderKeyName::from_parts(group, owner))
            .collect()
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> SignalResult<()> {
        let group_bytes = name.group_id().len();
        if group_bytes > GROUP_NAME_BYTES_MAX {
            return Err(SignalProtocolError::InvalidArgument(format!(
                "group name is {group_bytes} bytes; the limit is {GROUP_NAME_BYTES_MAX}"
            )));
        }
        let stored = hex_value(&record.serialize()?);
        if !self.records.contains_key(name.cache_key()) {
            self.make_room(name);
        }
        self.changes.insert(format!("sender_key/{}", name.cache_key()), Some(stored));
        self.records.insert(name.cache_key().to_owned(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> SignalResult<Option<SenderKeyRecord>> {
        Ok(self.records.get(name.cache_key()).cloned())
    }
}
