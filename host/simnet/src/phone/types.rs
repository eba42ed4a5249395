//! The words the phone shares with the network around it: addresses, bundles, ciphertexts and envelopes.

use std::fmt;

use wacore_libsignal::protocol::{DeviceId, ProtocolAddress};

/// One device as Signal knows it, whatever address space a stanza used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceAddress {
    /// The account's phone number in digits.
    pub user: String,
    /// 0 is the phone, 1 and up are companions.
    pub device: u16,
}

impl DeviceAddress {
    pub(super) fn protocol(&self) -> ProtocolAddress {
        ProtocolAddress::new(&self.user, DeviceId::new(u32::from(self.device)))
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.user, self.device)
    }
}

/// What somebody needs to open a session with a device. Keys are raw, without their type byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceBundle {
    /// The device's registration id.
    pub registration_id: u32,
    /// Its public identity key.
    pub identity: [u8; 32],
    /// Its current signed prekey.
    pub signed_prekey: SignedPreKey,
    /// A prekey for this one session, unless the device has none left.
    pub one_time: Option<OneTimePreKey>,
}

/// A prekey signed by its device's identity key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPreKey {
    /// Its number at the device.
    pub id: u32,
    /// The public half.
    pub public: [u8; 32],
    /// The identity's signature over the type byte and the public half.
    pub signature: [u8; 64],
}

/// A prekey that serves one session only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimePreKey {
    /// Its number at the device.
    pub id: u32,
    /// The public half.
    pub public: [u8; 32],
}

/// A message sealed for one device or one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// How it is sealed.
    pub kind: EncKind,
    /// The sealed bytes.
    pub ciphertext: Vec<u8>,
}

/// The `type` of an `<enc>` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncKind {
    /// A message in a session both sides have.
    Msg,
    /// A message that also opens the session.
    PkMsg,
    /// A group message under its sender's key.
    SkMsg,
}

impl EncKind {
    /// As it stands in a stanza.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::PkMsg => "pkmsg",
            Self::SkMsg => "skmsg",
        }
    }

    /// Reads the `type` of an `<enc>`; `None` for one that no phone decrypts.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "msg" => Some(Self::Msg),
            "pkmsg" => Some(Self::PkMsg),
            "skmsg" => Some(Self::SkMsg),
            _ => None,
        }
    }
}

/// What a stanza says about the message inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The message's id.
    pub id: String,
    /// Where it belongs: the peer or the group.
    pub chat: String,
    /// Who sent it.
    pub from: String,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What the phone hands to the device it has just linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The bytes of `<device-identity>` in `pair-success`.
    pub device_identity_hmac: Vec<u8>,
    /// The index under which the account lists the device.
    pub key_index: u32,
}
