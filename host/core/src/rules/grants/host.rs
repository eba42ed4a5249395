//! Which hosts a plugin may ask over HTTP, as a grant names them.

use std::net::IpAddr;

use url::{Host, Url};

use crate::rules::egress::{is_below, is_host_name};
use crate::rules::said_back::said_back;

/// Most bytes of the name of a host.
pub const HOST_BYTES_MAX: usize = 300;

/// Why the name of a host cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no host: write api.example.com or *.example.com (https, port 443), or an origin such as http://api.example.com:8080"
)]
pub struct BadHost(String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Name(String),
    /// Every name below this one.
    Below(String),
    Address(IpAddr),
}

/// A host that was granted: its protocol and port, and its name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGrant {
    https: bool,
    port: u16,
    place: Place,
}

impl HostGrant {
    /// Reads a host as grants write it.
    ///
    /// # Errors
    /// [`BadHost`].
    pub fn read(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(said_back(text));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/[]".contains(c);
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.len() > HOST_BYTES_MAX || !rest.chars().all(plain) {
            return Err(bad());
        }
        let is_origin = rest.contains("://");
        // The name of a host alone has neither a port nor a path.
        if !is_origin && (rest.contains(['/', ':']) || rest.is_empty()) {
            return Err(bad());
        }
        let url = if is_origin { rest.to_owned() } else { format!("https://{rest}") };
        let url = Url::parse(&url).map_err(|_| bad())?;
        let whole = rest.matches('/').count() == if is_origin { 2 } else { 0 };
        if !whole || !["http", "https"].contains(&url.scheme()) {
            return Err(bad());
        }
        let place = match url.host().ok_or_else(bad)? {
            Host::Domain(name) if is_host_name(name) && below => {
                // A whole top-level domain is nobody's.
                Some(Place::Below(name.to_owned())).filter(|_| name.contains('.') && !is_origin).ok_or_else(bad)?
            }
            Host::Domain(name) if is_host_name(name) => Place::Name(name.to_owned()),
            Host::Ipv4(address) if !below => Place::Address(address.into()),
            Host::Ipv6(address) if !below => Place::Address(address.into()),
            _ => return Err(bad()),
        };
        let port = url.port_or_known_default().ok_or_else(bad)?;
        Ok(Self { https: url.scheme() == "https", port, place })
    }

    /// Whether a request for `url` goes there.
    pub fn covers_url(&self, url: &Url) -> bool {
        if (url.scheme() == "https") != self.https || url.port_or_known_default() != Some(self.port) {
            return false;
        }
        match (url.host(), &self.place) {
            (Some(Host::Domain(name)), Place::Name(granted)) => name.strip_suffix('.').unwrap_or(name) == granted,
            (Some(Host::Domain(name)), Place::Below(parent)) => is_below(name.strip_suffix('.').unwrap_or(name), parent),
            (Some(Host::Ipv4(address)), Place::Address(granted)) => IpAddr::from(address) == *granted,
            (Some(Host::Ipv6(address)), Place::Address(granted)) => IpAddr::from(address) == *granted,
            _ => false,
        }
    }

    /// Whether every request that `other` allows goes there.
    pub fn covers(&self, other: &Self) -> bool {
        if (self.https, self.port) != (other.https, other.port) {
            return false;
        }
        match (&self.place, &other.place) {
            (Place::Below(parent), Place::Name(name)) => is_below(name, parent),
            (Place::Below(parent), Place::Below(name)) => name == parent || is_below(name, parent),
            (own, other) => own == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(granted: &str, url: &str) -> bool {
        HostGrant::read(granted).unwrap().covers_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_name_is_that_name_over_tls_at_its_port() {
        assert!(covers("api.example.com", "https://api.example.com/v1?x=1"));
        assert!(
            covers("API.example.com", "https://Api.Example.COM:443/")
                && covers("api.example.com", "https://api.example.com./")
        );
        for other in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.com/",
            "https://x.api.example.com/",
            "https://api.example.com.evil.net/",
            "https://evilapi.example.com/",
        ] {
            assert!(!covers("api.example.com", other), "{other}");
        }
    }

    #[test]
    fn a_star_is_every_name_below_and_not_the_name_itself() {
        assert!(covers("*.example.com", "https://a.example.com/") && covers("*.example.com", "https://a.b.example.com/"));
        for other in ["https://example.com/", "https://evilexample.com/", "https://.example.com/", "http://a.example.com/"] {
            let Ok(url) = Url::parse(other) else { continue };
            assert!(!HostGrant::read("*.example.com").unwrap().covers_url(&url), "{other}");
        }
    }

    #[test]
    fn an_origin_is_its_protocol_host_and_port() {
        assert!(covers("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"));
        assert!(
            covers("http://[::1]:8080", "http://[::1]:8080/") && covers("https://a.example.com", "https://a.example.com/")
        );
        assert!(!covers("http://127.0.0.1:8080", "http://127.0.0.1:8081/"));
        assert!(!covers("http://127.0.0.1:8080", "https://127.0.0.1:8080/"));
        assert!(!covers("http://127.0.0.1:8080", "http://localhost:8080/"));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "*.*.example.com",
            "a.*.example.com",
            "api.example.com:8443",
            "api.example.com/v1",
            "https://api.example.com/",
            "https://api.example.com/v1",
            "https://*.example.com",
            "*.https://example.com",
            "*.10.0.0.1",
            "ftp://example.com",
            "https://",
            "https://a@example.com",
            "https://example.com?x",
            "exa mple.com",
            "a..b",
        ] {
            assert!(HostGrant::read(text).is_err(), "{text}");
        }
        assert!(HostGrant::read(&"a".repeat(HOST_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_wider_grant_covers_a_narrower_wish() {
        let covers = |own: &str, other: &str| HostGrant::read(own).unwrap().covers(&HostGrant::read(other).unwrap());
        assert!(covers("*.example.com", "api.example.com") && covers("*.example.com", "*.eu.example.com"));
        assert!(covers("api.example.com", "https://api.example.com") && covers("*.example.com", "*.example.com"));
        assert!(!covers("api.example.com", "*.example.com") && !covers("*.example.com", "example.com"));
        assert!(!covers("api.example.com", "http://api.example.com") && !covers("*.eu.example.com", "*.example.com"));
    }
}
