//! Why a phone could not do what was asked.

use wacore_libsignal::protocol::{CurveError, SignalProtocolError};
use waproto::buffa::DecodeError;

/// Why a phone could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// The ratchet has seen this ciphertext before.
    #[error("this ciphertext was decrypted before")]
    Duplicate,
    /// There is no session and no bundle to open one with.
    #[error("no session with {address} and no bundle to open one")]
    NoSession {
        /// The other device, `<user>.<device>`.
        address: String,
    },
    /// The sender never gave us the key of this group message.
    #[error("no sender key from {address} fits this group message")]
    NoSenderKey {
        /// The sending device, `<user>.<device>`.
        address: String,
    },
    /// The Signal protocol refused a key or a message.
    #[error("signal: {0}")]
    Signal(SignalProtocolError),
    /// A store that answers at once made libsignal wait.
    #[error("a signal operation did not finish at once")]
    Pending,
    /// The last byte of a plaintext does not describe its padding.
    #[error("padding of {padding} in a plaintext of {bytes} bytes is not valid")]
    Padding {
        /// The value of the last byte.
        padding: u8,
        /// The length of the whole plaintext.
        bytes: usize,
    },
    /// The plaintext or an identity is not the protobuf message it should be.
    #[error("not a {what} message")]
    Undecodable {
        /// Which message was expected.
        what: &'static str,
        /// What the decoder said.
        #[source]
        source: DecodeError,
    },
    /// A change of the app state does not verify.
    #[error("app state {collection}: {source}")]
    AppState {
        /// Which collection.
        collection: &'static str,
        /// What does not fit.
        #[source]
        source: wacore_appstate::AppStateError,
    },
    /// An addition to an earlier message could not be sealed.
    #[error("nothing can be sealed for message {id}: {problem}")]
    Addon {
        /// The earlier message.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file could not be sealed or opened.
    #[error("media: {0}")]
    Media(String),
    /// The text of a QR code is too long.
    #[error("the text of the QR code is {bytes} bytes; the limit is {bytes_max}")]
    CodeTooLong {
        /// The length of the text.
        bytes: usize,
        /// The most that is read.
        bytes_max: usize,
    },
    /// The text of a QR code has too few parts.
    #[error(
        "this is not the text of a QR code: it has {fields} comma-separated parts, and a code that links a device has at least 4"
    )]
    CodeFields {
        /// How many there are.
        fields: usize,
    },
    /// A part of a QR code is not what belongs there.
    #[error("this is not the text of a QR code: its {field} is not valid: {problem}")]
    CodeField {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The network has no room for one more.
    #[error("there are {accounts} accounts; no more are made")]
    TooManyAccounts {
        /// How many there are.
        accounts: usize,
    },
    /// 0 is the phone itself and cannot be linked to it.
    #[error("device {device} cannot be linked; companions count from 1")]
    NotACompanion {
        /// The device asked for.
        device: u16,
    },
    /// The device was never linked, or is linked no more.
    #[error("device {device} is not linked")]
    NotLinked {
        /// The device asked for.
        device: u16,
    },
    /// A device signed something other than what the phone gave it, or not with its key.
    #[error("device {device} did not sign its identity: {problem}")]
    IdentityNotSigned {
        /// The device that sent it.
        device: u16,
        /// What does not fit.
        problem: &'static str,
    },
    /// The stored state has no `core` record.
    #[error("the state of a phone has no record \"core\"")]
    NoCore,
    /// A stored record cannot be read back.
    #[error("state record {key:?} cannot be read: {problem}")]
    BadRecord {
        /// The key of the record.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<SignalProtocolError> for PhoneError {
    fn from(error: SignalProtocolError) -> Self {
        match error {
            SignalProtocolError::DuplicatedMessage(..) => Self::Duplicate,
            other => Self::Signal(other),
        }
    }
}

impl From<CurveError> for PhoneError {
    fn from(error: CurveError) -> Self {
        Self::Signal(error.into())
    }
}
