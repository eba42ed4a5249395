//! For tests: a phone's Signal state in the place of a companion's.

use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::message::AppStateSyncKeyShare;

use super::Phone;
use crate::random;

impl Phone {
    /// Signs with the identity, as a companion does when it is linked.
    pub(crate) fn sign(&self, covered: &[u8]) -> Vec<u8> {
        let signature = self.stores.identities.own.private_key().calculate_signature(covered, &mut random::rng());
        signature.unwrap().to_vec()
    }

    /// The identity, for whoever stands in for the rest of a companion.
    pub(crate) fn identity_pair(&self) -> KeyPair {
        let own = &self.stores.identities.own;
        KeyPair { public_key: *own.public_key(), private_key: own.private_key().clone() }
    }

    /// Uses the keys of the account in place of its own.
    pub(crate) fn adopt_sync_keys(&mut self, share: &AppStateSyncKeyShare) {
        self.core.sync_keys.adopt(share);
    }
}
