//! One version of a plugin: a component that was uploaded under its name.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::records::id::KeyId;
use crate::records::plugin::{Grants, SizeClass};

/// What a component said in its trial that it serves. Kept, so that it is known without its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The interfaces it exports.
    pub interfaces: Vec<String>,
    /// The event types its responder asked for.
    #[serde(default)]
    pub event_kinds: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub class: SizeClass,
    /// Whether its instances are kept between requests.
    #[serde(default)]
    pub keeps_instance: bool,
}

/// A component that was uploaded for a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginVersion {
    /// Hexadecimal SHA-256 of the component.
    pub sha256: String,
    /// Versions of a plugin are numbered from 1 in the order of their upload; no number is given twice.
    pub n: u64,
    /// Bytes of the component.
    pub bytes: u64,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// The key that uploaded it; none for the operator's and for what the host carries.
    #[serde(default)]
    pub uploaded_by: Option<KeyId>,
    /// What its owner wrote about it.
    #[serde(default)]
    pub note: String,
    /// When it was last made the active one.
    #[serde(default)]
    pub activated_at: Option<Timestamp>,
    /// How long inspection, compilation and trial took, milliseconds.
    #[serde(default)]
    pub load_ms: u64,
    /// What it serves.
    pub declared: Declared,
    /// What its component asks for.
    #[serde(default)]
    pub asked: Grants,
}

impl PluginVersion {
    /// A version that has no number yet, and of which nobody has said anything.
    pub fn new(sha256: &str, bytes: u64, uploaded_at: Timestamp, declared: Declared) -> Self {
        let (sha256, n, uploaded_by, activated_at) = (sha256.to_owned(), 0, None, None);
        let (note, asked) = (String::new(), Grants::default());
        Self { sha256, n, bytes, uploaded_at, uploaded_by, note, activated_at, load_ms: 0, declared, asked }
    }
}
