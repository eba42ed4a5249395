//! Whether a URL may be asked at all, judged as it is written.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::NotPublic;
use super::allow::AllowList;
use super::{name, port};

/// Most bytes of a URL. Signed links of object stores need some 3 KiB.
pub const URL_BYTES_MAX: usize = 4096;

/// Why a URL is not asked. Says nothing that was not written in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`URL_BYTES_MAX`].
    #[error("the URL is {bytes} bytes; the limit is {URL_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// What readers of URLs disagree about: control characters, odd spaces, backslashes.
    #[error("the URL contains {character:?}, which must be percent-encoded")]
    Character {
        /// The first of them.
        character: char,
    },
    /// Neither `http://` nor `https://`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// Not a URL.
    #[error("not a URL: {0}")]
    Malformed(#[from] url::ParseError),
    /// `user:password@` before the host.
    #[error("the URL must not carry a user name or a password")]
    Credentials,
    /// A host name that cannot be looked up.
    #[error("{name:?} is not a host name")]
    Name {
        /// The name.
        name: String,
    },
    /// A host name of an inner network.
    #[error("{name:?} is a name of an inner network, which the operator has not allowed ([egress] allow)")]
    InnerName {
        /// The name.
        name: String,
    },
    /// An address that is not on the public internet.
    #[error("{address} is {why}, which the operator has not allowed ([egress] allow)")]
    Address {
        /// The address that the URL means.
        address: IpAddr,
        /// What is wrong with it.
        why: NotPublic,
    },
    /// A port of another protocol.
    #[error("no request is sent to port {port}")]
    Port {
        /// The port.
        port: u16,
    },
}

impl TargetError {
    /// Whether what was written is no URL that could be asked anywhere, and not only one of a place that is not asked.
    pub fn is_mistake(&self) -> bool {
        !matches!(self, Self::InnerName { .. } | Self::Address { .. } | Self::Port { .. })
    }
}

/// Who a URL leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetHost {
    /// An address that may be connected to.
    Address(IpAddr),
    /// A name (lower case, ASCII, no dot at its end) whose addresses are still to be judged.
    Name(String),
}

/// A URL that may be asked, as far as can be told from the way it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedUrl {
    url: Url,
    host: TargetHost,
    port: u16,
}

impl CheckedUrl {
    /// Reads and judges `text`.
    ///
    /// # Errors
    /// [`TargetError`]: the first thing that is wrong with it.
    pub fn read(text: &str, allow: &AllowList) -> Result<Self, TargetError> {
        check_text(text)?;
        check_beginning(text)?;
        Self::judge(Url::parse(text)?, allow)
    }

    /// Reads and judges where a redirect of this URL leads; `location` may be relative.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn follow(&self, location: &str, allow: &AllowList) -> Result<Self, TargetError> {
        check_text(location)?;
        let next = self.url.join(location)?;
        if next.as_str().len() > URL_BYTES_MAX {
            return Err(TargetError::TooLong { bytes: next.as_str().len() });
        }
        // `//a@b` and `http:a@b` are told by what comes out of them: an empty user name means nothing.
        Self::judge(next, allow)
    }

    fn judge(mut url: Url, allow: &AllowList) -> Result<Self, TargetError> {
        if !["http", "https"].contains(&url.scheme()) {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let host = match url.host().ok_or(url::ParseError::EmptyHost)? {
            Host::Domain(written) => TargetHost::Name(check_name(written, allow)?),
            Host::Ipv4(address) => TargetHost::Address(check_address(address.into(), allow)?),
            Host::Ipv6(address) => TargetHost::Address(check_address(address.into(), allow)?),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        if port::is_forbidden(port) {
            return Err(TargetError::Port { port });
        }
        if let TargetHost::Name(name) = &host {
            // The name that is judged is the name that is asked for and shown to the receiver.
            url.set_host(Some(name))?;
        }
        url.set_fragment(None);
        Ok(Self { url, host, port })
    }

    /// The URL, without a fragment.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Who it leads to.
    pub fn host(&self) -> &TargetHost {
        &self.host
    }

    /// The port that it leads to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is asked over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether both have the same scheme, host and port.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin()
    }
}

fn check_text(text: &str) -> Result<(), TargetError> {
    if text.len() > URL_BYTES_MAX {
        return Err(TargetError::TooLong { bytes: text.len() });
    }
    // A plain space is what customers forget to encode, and all readers agree about it.
    let odd = |c: &char| c.is_control() || *c == '\\' || (c.is_whitespace() && *c != ' ');
    match text.chars().find(odd) {
        Some(character) => Err(TargetError::Character { character }),
        None => Ok(()),
    }
}

/// Judges what the parser would pass over: a scheme without `//`, and an empty `@`.
fn check_beginning(text: &str) -> Result<(), TargetError> {
    let (scheme, rest) = text.split_once("://").ok_or(TargetError::Scheme)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(TargetError::Scheme);
    }
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') { Err(TargetError::Credentials) } else { Ok(()) }
}

fn check_name(written: &str, allow: &AllowList) -> Result<String, TargetError> {
    let name = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    if !name::is_host_name(&name) {
        return Err(TargetError::Name { name });
    }
    if name::is_inner(&name) && !allow.names_host(&name) {
        return Err(TargetError::InnerName { name });
    }
    Ok(name)
}

fn check_address(address: IpAddr, allow: &AllowList) -> Result<IpAddr, TargetError> {
    match allow.judge(None, address) {
        Ok(()) => Ok(address),
        Err(why) => Err(TargetError::Address { address, why }),
    }
}
