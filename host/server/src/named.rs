//! What is named under a MAC: tokens that nobody else can make, and of which nothing is kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of the MAC.
const MAC_BYTES: usize = 32;

/// Makes and checks MACs under a key that stays the host's own.
#[derive(Clone)]
pub(crate) struct NamingKey([u8; MAC_BYTES]);

impl NamingKey {
    pub(crate) fn new(key: [u8; MAC_BYTES]) -> Self {
        Self(key)
    }

    fn hmac(&self, named: &[u8], within: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(named);
        mac.update(within.as_bytes());
        Some(mac)
    }

    /// The MAC of what is named.
    pub(crate) fn mac(&self, named: &[u8], within: &str) -> [u8; MAC_BYTES] {
        self.hmac(named, within).map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default()
    }

    /// A token that carries what is named. It is read only `within` the same, which is not in it; where that is given, what is
    /// named must always have one length, so that nothing of the one can be taken for part of the other.
    pub(crate) fn token(&self, named: &[u8], within: &str) -> String {
        URL_SAFE_NO_PAD.encode([named, &self.mac(named, within)].concat())
    }

    /// What a token of ours names.
    pub(crate) fn read(&self, token: &str, within: &str) -> Option<Vec<u8>> {
        let mut token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let mac = token.split_off(token.len().checked_sub(MAC_BYTES)?);
        self.hmac(&token, within)?.verify_slice(&mac).ok()?;
        Some(token)
    }
}
