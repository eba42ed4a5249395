//! Which addresses are not on the public internet, and why.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not one of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublic {
    /// This machine.
    Loopback,
    /// A private network, of IPv4 or IPv6.
    Private,
    /// Between a provider and its customers (carrier-grade NAT); some clouds keep their metadata service here.
    Shared,
    /// This link alone; where most clouds keep their metadata service.
    LinkLocal,
    /// The metadata or platform service of a cloud at an address that looks public.
    Metadata,
    /// No address, or "this network".
    Unspecified,
    /// More than one receiver.
    Multicast,
    /// For manuals and measurements.
    Documentation,
    /// Set aside, or not given out yet.
    Reserved,
    /// An IPv6 form that leads to an IPv4 address: mapped, translated or tunnelled.
    CarriesIpv4,
}

impl NotPublic {
    /// Whether the operator opens such an address by naming the host that leads to it. The others, where nobody keeps a
    /// receiver but clouds keep their secrets, must be named as a network.
    pub(super) fn opens_by_name(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::Shared)
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address shared behind a provider's NAT",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud's own service",
            Self::Unspecified => "an unspecified address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for documentation or measurements",
            Self::Reserved => "a reserved address",
            Self::CarriesIpv4 => "an IPv6 form of an IPv4 address",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// A network of which the first four groups say everything.
const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// The IANA registry of special IPv4 addresses, and what clouds put among the public ones.
const SPECIAL_V4: [(Ipv4Net, NotPublic); 18] = [
    (v4(0, 0, 0, 0, 8), NotPublic::Unspecified),
    (v4(10, 0, 0, 0, 8), NotPublic::Private),
    (v4(100, 64, 0, 0, 10), NotPublic::Shared),
    (v4(127, 0, 0, 0, 8), NotPublic::Loopback),
    // Azure's platform service: its DNS, health probes and the keys of the virtual machine.
    (v4(168, 63, 129, 16, 32), NotPublic::Metadata),
    (v4(169, 254, 0, 0, 16), NotPublic::LinkLocal),
    (v4(172, 16, 0, 0, 12), NotPublic::Private),
    (v4(192, 0, 0, 0, 24), NotPublic::Reserved),
    (v4(192, 0, 2, 0, 24), NotPublic::Documentation),
    (v4(192, 31, 196, 0, 24), NotPublic::Reserved),
    (v4(192, 52, 193, 0, 24), NotPublic::Reserved),
    (v4(192, 88, 99, 0, 24), NotPublic::Reserved),
    (v4(192, 168, 0, 0, 16), NotPublic::Private),
    (v4(198, 18, 0, 0, 15), NotPublic::Documentation),
    (v4(198, 51, 100, 0, 24), NotPublic::Documentation),
    (v4(203, 0, 113, 0, 24), NotPublic::Documentation),
    (v4(224, 0, 0, 0, 4), NotPublic::Multicast),
    (v4(240, 0, 0, 0, 4), NotPublic::Reserved),
];

/// The IPv6 forms that lead to an IPv4 address.
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96);
const COMPATIBLE: Ipv6Net = v6(0, 0, 0, 0, 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);
const NAT64_LOCAL: Ipv6Net = v6(0x64, 0xff9b, 1, 0, 48);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 0, 32);

/// What is special in IPv6; the first network that holds an address decides. Whatever lies outside [`GLOBAL_V6`] is too.
const SPECIAL_V6: [(Ipv6Net, NotPublic); 17] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), NotPublic::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), NotPublic::Loopback),
    (MAPPED, NotPublic::CarriesIpv4),
    (TRANSLATED, NotPublic::CarriesIpv4),
    (COMPATIBLE, NotPublic::CarriesIpv4),
    (NAT64, NotPublic::CarriesIpv4),
    (NAT64_LOCAL, NotPublic::CarriesIpv4),
    (SIX_TO_FOUR, NotPublic::CarriesIpv4),
    (TEREDO, NotPublic::CarriesIpv4),
    // Protocol assignments: measurements, ORCHIDs, anycast of protocols.
    (v6(0x2001, 0, 0, 0, 23), NotPublic::Reserved),
    (v6(0x2001, 0xdb8, 0, 0, 32), NotPublic::Documentation),
    (v6(0x3fff, 0, 0, 0, 20), NotPublic::Documentation),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), NotPublic::Metadata),
    (v6(0xfc00, 0, 0, 0, 7), NotPublic::Private),
    (v6(0xfe80, 0, 0, 0, 10), NotPublic::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 10), NotPublic::Private),
    (v6(0xff00, 0, 0, 0, 8), NotPublic::Multicast),
];

/// All of IPv6 that has been given out to the public internet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// Why `address` is not one of the public internet; `None` when it is.
pub(super) fn not_public(address: IpAddr) -> Option<NotPublic> {
    match address {
        IpAddr::V4(address) => SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(net, _)| net.contains(&address))
            .map(|(_, kind)| *kind)
            .or_else(|| (!GLOBAL_V6.contains(&address)).then_some(NotPublic::Reserved)),
    }
}

/// The IPv4 address at which a packet to `address` arrives in the end, if its form says so.
pub(super) fn carried_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let low = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default());
    let bits = address.to_bits();
    if SIX_TO_FOUR.contains(&address) {
        return Some(low(bits >> 80));
    }
    if TEREDO.contains(&address) {
        return Some(low(!bits));
    }
    let at_the_end = [MAPPED, TRANSLATED, COMPATIBLE, NAT64, NAT64_LOCAL];
    let plain = address.is_unspecified() || address.is_loopback();
    (!plain && at_the_end.iter().any(|net| net.contains(&address))).then(|| low(bits))
}
