//! Whether a connection would come back to the host itself.

use std::net::{IpAddr, SocketAddr};

/// Whether `target` is one of the addresses that the host itself `listens` at.
///
/// `is_local` says whether an address belongs to this machine; it is asked only where the host listens at every address.
pub fn is_own(listens: &[SocketAddr], target: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
    let there = target.ip().to_canonical();
    listens.iter().filter(|own| own.port() == target.port()).any(|own| {
        let own = own.ip().to_canonical();
        // A connection to "no address" arrives at this machine.
        own == there || there.is_unspecified() || (own.is_unspecified() && is_local(there))
    })
}
