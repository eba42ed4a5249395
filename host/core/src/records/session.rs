//! A session: one linked WhatsApp device.

use serde::{Deserialize, Serialize};

use super::id::{SessionId, TenantId};
use crate::clock::Timestamp;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Made, never connected.
    Created,
    /// Waits for its QR code to be scanned.
    Pairing,
    /// The server took its login and answers.
    Connected,
    /// Wants to be connected and is not, or not yet.
    Reconnecting,
    /// The customer took it off line; its pairing is kept.
    Disconnected,
    /// The phone removed the device: pair again.
    LoggedOut,
    /// Another connection took this device's place.
    Replaced,
    /// WhatsApp refuses the account for a time or for good.
    Banned,
    /// Cannot go on without a person; the reason is in [`Session::reason`].
    Failed,
}

impl SessionState {
    /// The name in events and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pairing => "pairing",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Disconnected => "disconnected",
            Self::LoggedOut => "logged_out",
            Self::Replaced => "replaced",
            Self::Banned => "banned",
            Self::Failed => "failed",
        }
    }

    /// What has to be done before a session in this state sends, for whoever wanted it to; nothing where it is linked and wants
    /// to be on line.
    pub fn cure(self) -> Option<&'static str> {
        Some(match self {
            Self::Created => "no phone is linked to it yet: connect it and scan its QR code",
            Self::Pairing => "it waits for a phone to scan its QR code",
            Self::Connected | Self::Reconnecting => return None,
            Self::Disconnected => "it was taken off line: connect it",
            Self::LoggedOut => "its phone unlinked it: connect it and scan the QR code again",
            Self::Replaced => "another connection took its place: connect it again",
            Self::Banned => "WhatsApp refuses the account: its reason says more",
            Self::Failed => "it cannot go on without a person: its reason says why",
        })
    }

    /// The state in a sentence, with what has to be done before the session sends.
    pub fn sentence(self) -> String {
        match self.cure() {
            Some(cure) => format!("the session is {}: {cure}", self.name()),
            None => format!("the session is {}", self.name()),
        }
    }

    /// Whether the session goes on by itself after a restart of the host.
    pub fn resumes(self) -> bool {
        matches!(self, Self::Pairing | Self::Connected | Self::Reconnecting)
    }
}

/// A session's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The name that people gave it.
    pub name: String,
    /// The telephone number that was asked for, or that was linked.
    pub phone_number: String,
    /// Where it stands.
    pub state: SessionState,
    /// Why it stands there, when that needs words.
    pub reason: Option<String>,
    /// When the host connects it anew by itself, if it is not to stay where it stands.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    /// Its JID by telephone number, once paired.
    pub jid: Option<String>,
    /// Its JID by LID, once paired.
    pub lid: Option<String>,
    /// What the customer set through a dialect and reads back, by name.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// When it last connected.
    pub last_active_at: Option<Timestamp>,
    /// Made with a test key, which may then change it.
    #[serde(default)]
    pub test: bool,
}
