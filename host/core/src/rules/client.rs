//! Which address a request comes from, when proxies stand before the host; and networks by address and prefix.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Deserializer};

use super::said_back::said_back;

/// Most addresses of a forwarding header that are looked at, from its end.
const FORWARDED_MAX: usize = 32;
/// Leading bits of an IPv6 address that tell customers apart: a customer has at least the rest.
const IPV6_CUSTOMER_BITS: u8 = 64;

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: use an address, such as 10.0.0.1, or one with a prefix, such as 10.0.0.0/8")]
pub struct NetworkError(String);

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` is one of them. An IPv4 address that is written as IPv6 is still that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            v4 @ IpAddr::V4(inner) => self.0.contains(&v4) || self.0.contains(&IpAddr::V6(inner.to_ipv6_mapped())),
            v6 @ IpAddr::V6(_) => self.0.contains(&v6),
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.split('/').map(str::trim).collect::<Vec<_>>().join("/");
        let network = plain.parse::<IpAddr>().map(IpNet::from).or_else(|_| plain.parse());
        network.map(Self).map_err(|_| NetworkError(said_back(text)))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a request comes from: `peer`, unless that is a trusted proxy. Then it is the last address in `forwarded` (the values
/// of `X-Forwarded-For`, in order) that no trusted proxy has: whatever stands before it, the client may have made up.
pub fn client_address(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let hops = forwarded.iter().rev().flat_map(|value| value.rsplit(',')).take(FORWARDED_MAX);
    for hop in hops {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address.to_canonical();
    }
    client
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let inner = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(hop, |(inner, _)| inner);
    let parsed = inner.parse().ok();
    parsed.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

/// The part of an address that limits are kept for: the whole of an IPv4 address, the customer's part of an IPv6 one.
pub fn limited_part(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Net::new(address, IPV6_CUSTOMER_BITS).map_or(address, |network| network.network()))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("192.0.2.128/25", "192.0.2.129", "192.0.2.127"),
        ] {
            assert!(network(net).contains(ip(inside)), "{net} {inside}");
            assert!(!network(net).contains(ip(outside)), "{net} {outside}");
            assert_eq!(network(&network(net).to_string()), network(net));
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_was_given() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "example.org", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>().unwrap_err(), NetworkError(text.to_owned()));
        }
    }

    #[test]
    fn without_a_trusted_proxy_nobody_is_believed() {
        assert_eq!(client_address(ip("203.0.113.9"), &["198.51.100.1"], &[]), ip("203.0.113.9"));
        assert_eq!(client_address(ip("203.0.113.9"), &["198.51.100.1"], &[network("10.0.0.0/8")]), ip("203.0.113.9"));
    }

    #[test]
    fn behind_trusted_proxies_the_last_address_that_is_none_of_theirs_counts() {
        let trusted = [network("10.0.0.0/8"), network("127.0.0.1")];
        let client = |forwarded: &[&str]| client_address(ip("127.0.0.1"), forwarded, &trusted).to_string();
        assert_eq!(client(&[]), "127.0.0.1");
        assert_eq!(client(&["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(&["1.2.3.4, 198.51.100.1, 10.0.0.7"]), "198.51.100.1", "1.2.3.4 may be made up");
        assert_eq!(client(&["1.2.3.4", "198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client(&["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&["198.51.100.1, unknown"]), "127.0.0.1", "what cannot be read is not passed over");
        let flood = vec!["10.0.0.1"; 1_000].join(",");
        assert_eq!(client(&[&flood]), "10.0.0.1");
    }

    #[test]
    fn limits_are_kept_for_customers_not_for_each_of_their_addresses() {
        assert_eq!(limited_part(ip("2001:db8:1:2:3:4:5:6")), limited_part(ip("2001:db8:1:2:ffff::")));
        assert_ne!(limited_part(ip("2001:db8:1:2::1")), limited_part(ip("2001:db8:1:3::1")));
        assert_eq!(limited_part(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(limited_part(ip("192.0.2.1")), limited_part(ip("192.0.2.2")));
    }
}
