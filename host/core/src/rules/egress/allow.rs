//! What the operator lets through although it is not on the public internet.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use url::Host;

use super::address::{NotPublic, carried_ipv4, not_public};
use super::name;

/// Most entries of an allow list.
const ENTRIES_MAX: usize = 1000;
/// The widest IPv4 network that an entry may name.
const PREFIX_V4_MIN: u8 = 8;
/// The widest IPv6 network: `fc00::/7`, all private ones.
const PREFIX_V6_MIN: u8 = 7;

/// Why an allow list is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// Neither a network nor an address nor a host name.
    #[error("{entry:?} is not a network such as 10.1.0.0/16, an address, or a host name such as hooks.example.com")]
    NotAnEntry {
        /// The entry.
        entry: String,
    },
    /// The address before the `/` is inside the network and does not begin it.
    #[error("{entry:?} is not the beginning of a network; {network} is")]
    HostBits {
        /// The entry.
        entry: String,
        /// What may have been meant.
        network: String,
    },
    /// So much that the guard would be of no use.
    #[error("{entry:?} is too wide: /{prefix_min} is the widest network that can be let through")]
    TooWide {
        /// The entry.
        entry: String,
        /// The shortest prefix.
        prefix_min: u8,
    },
    /// Too many entries.
    #[error("{entries} entries; the limit is {ENTRIES_MAX}")]
    TooMany {
        /// How many there are.
        entries: usize,
    },
}

/// Networks and host names that the operator lets through the guard. The empty list lets nothing through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AllowList {
    networks: Vec<IpNet>,
    names: Vec<String>,
    /// Written `*.example.com`; kept without the `*.`.
    parents: Vec<String>,
}

impl AllowList {
    /// Reads `10.1.0.0/16`, `::1`, `hooks.example.com`, `*.example.com`.
    ///
    /// # Errors
    /// [`AllowError`] that names the first entry that means nothing.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, AllowError> {
        if entries.len() > ENTRIES_MAX {
            return Err(AllowError::TooMany { entries: entries.len() });
        }
        let mut list = Self::default();
        for entry in entries.iter().map(AsRef::as_ref) {
            if let Some(network) = network(entry)? {
                list.networks.push(network);
            } else if let Some(parent) = entry.strip_prefix("*.") {
                list.parents.push(host_name(entry, parent)?);
            } else {
                list.names.push(host_name(entry, entry)?);
            }
        }
        Ok(list)
    }

    /// Whether a connection may go to `address`, which was written as it is or is what `name` leads to.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&self, name: Option<&str>, address: IpAddr) -> Result<(), NotPublic> {
        let Some(why) = not_public(address) else { return Ok(()) };
        if self.networks.iter().any(|network| network.contains(&address)) {
            // Whoever lets a translated network through means the public addresses behind it.
            return carried_ipv4(address).map_or(Ok(()), |carried| self.judge(None, carried.into()));
        }
        let named = name.is_some_and(|name| self.names_host(name));
        if named && why.opens_by_name() { Ok(()) } else { Err(why) }
    }

    /// Whether the operator named this host (lower case, no dot at its end).
    pub(super) fn names_host(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| allowed == name) || self.parents.iter().any(|parent| name::is_below(name, parent))
    }
}

impl TryFrom<Vec<String>> for AllowList {
    type Error = AllowError;

    fn try_from(entries: Vec<String>) -> Result<Self, AllowError> {
        Self::parse(&entries)
    }
}

/// The network that `entry` is; `None` when it may be a name.
fn network(entry: &str) -> Result<Option<IpNet>, AllowError> {
    let written = || entry.to_owned();
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(Some(IpNet::from(address)));
    }
    let Ok(network) = entry.parse::<IpNet>() else { return Ok(None) };
    if network != network.trunc() {
        return Err(AllowError::HostBits { entry: written(), network: network.trunc().to_string() });
    }
    let prefix_min = if network.addr().is_ipv4() { PREFIX_V4_MIN } else { PREFIX_V6_MIN };
    if network.prefix_len() < prefix_min {
        return Err(AllowError::TooWide { entry: written(), prefix_min });
    }
    Ok(Some(network))
}

/// `text` as host names are compared: lower case, international characters in their ASCII form, no dot at the end.
fn host_name(entry: &str, text: &str) -> Result<String, AllowError> {
    let refused = || AllowError::NotAnEntry { entry: entry.to_owned() };
    // The parser takes these apart or decodes them, and then means something that was not written.
    if text.contains(|c: char| c.is_whitespace() || "%/@:*?#[]\\".contains(c)) {
        return Err(refused());
    }
    // An address in disguise (`2130706433`, `127.1`) must be written plainly.
    let Ok(Host::Domain(name)) = Host::parse(text) else { return Err(refused()) };
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name::is_host_name(name) { Ok(name.to_owned()) } else { Err(refused()) }
}
