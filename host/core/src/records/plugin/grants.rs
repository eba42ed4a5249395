//! What a plugin may do beyond computing: asked for by its component, given by its owner. Without a grant there is nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::records::id::SessionId;

/// A part of what a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageField {
    /// What it says.
    Text,
    /// Telephone numbers of people; a pseudonym stands in their place without it.
    Number,
    /// Its file.
    Media,
    /// What people call themselves.
    ContactName,
}

impl MessageField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Media, Self::ContactName];
}

/// Messages that a plugin may send of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendGrant {
    /// Most messages in a minute of the calendar, UTC, beside the limits of the tenant; 1 to 100,000.
    pub per_minute: u32,
}

/// The sessions that a plugin reads of and sends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionGrant {
    /// Every session of the tenant, those to come included.
    All,
    /// These alone.
    Only(BTreeSet<SessionId>),
}

impl Default for SessionGrant {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl SessionGrant {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Only(sessions) if sessions.is_empty())
    }

    /// Whether the session is among them.
    pub fn covers(&self, session: SessionId) -> bool {
        match self {
            Self::All => true,
            Self::Only(sessions) => sessions.contains(&session),
        }
    }
}

/// What a plugin was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Hosts that it may ask over HTTP: `api.example.com` and `*.example.com` over TLS on port 443, or an origin such as
    /// `http://api.example.com:8080`.
    pub http: BTreeSet<String>,
    /// Bytes of keys and values that it may keep for each tenant; 0 for none.
    pub kv_bytes: u64,
    /// Names of secrets that it may read.
    pub secrets: BTreeSet<String>,
    /// Messages that it may send.
    pub send: Option<SendGrant>,
    /// Which sessions it has to do with.
    pub sessions: SessionGrant,
    /// What it sees of messages.
    pub fields: BTreeSet<MessageField>,
}
