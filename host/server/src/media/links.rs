//! Public addresses of blobs: they name tenant, blob and end, and carry a MAC that nobody else can make.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::blob::BlobId;
use switchboard_core::records::id::TenantId;

use crate::named::NamingKey;

/// What the key is derived for.
pub const KEY_PURPOSE: &str = "switchboard media links v1";
/// Bytes of tenant and end, which stand in front of the handle.
const HEAD_BYTES: usize = 16;

/// Draws and reads public addresses.
pub struct Links(NamingKey);

/// Nothing but what an address names is in its MAC.
const ANYWHERE: &str = "";

impl Links {
    /// Addresses under this key, which stays the host's own.
    pub fn new(key: [u8; 32]) -> Self {
        Self(NamingKey::new(key))
    }

    /// The address of a blob, good until `until`.
    pub(super) fn draw(&self, tenant: TenantId, id: &BlobId, until: Timestamp) -> String {
        let named = [&tenant.0.to_be_bytes()[..], &until.0.to_be_bytes(), id.as_str().as_bytes()].concat();
        self.0.token(&named, ANYWHERE)
    }

    /// The handle of the file that came with an event: the same each time, and one that nobody guesses.
    pub(super) fn handle_of(&self, tenant: TenantId, event: u64) -> BlobId {
        let named = [b"file of event".as_slice(), &tenant.0.to_be_bytes(), &event.to_be_bytes()].concat();
        BlobId::from_random(self.0.mac(&named, ANYWHERE).first_chunk().copied().unwrap_or_default())
    }

    /// What an address names, if it is one of ours and its time is not over.
    pub(super) fn read(&self, token: &str, now: Timestamp) -> Option<(TenantId, BlobId)> {
        let named = self.0.read(token, ANYWHERE)?;
        let (head, id) = named.split_at_checked(HEAD_BYTES)?;
        let (tenant, until) = head.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let id = BlobId::parse(std::str::from_utf8(id).ok()?)?;
        (number(until)? > now.0).then_some((TenantId(number(tenant)?), id))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use switchboard_core::entropy::SeededEntropy;

    #[test]
    fn the_file_of_an_event_has_one_handle_which_is_nobody_elses() {
        let links = Links::new([7; 32]);
        let handle = links.handle_of(TenantId(1), 2);
        assert_eq!(handle, links.handle_of(TenantId(1), 2));
        assert_eq!(BlobId::parse(handle.as_str()), Some(handle.clone()));
        for other in [links.handle_of(TenantId(2), 1), links.handle_of(TenantId(1), 3)] {
            assert_ne!(handle, other);
        }
        assert_ne!(handle, Links::new([8; 32]).handle_of(TenantId(1), 2));
    }

    #[test]
    fn an_address_is_good_for_its_blob_and_its_time_alone() {
        let (links, id) = (Links::new([7; 32]), BlobId::draw(&SeededEntropy::new(1)));
        let token = links.draw(TenantId(12), &id, Timestamp(1000));
        assert_eq!(links.read(&token, Timestamp(999)), Some((TenantId(12), id)));
        assert_eq!(links.read(&token, Timestamp(1000)), None);
        assert_eq!(Links::new([8; 32]).read(&token, Timestamp(0)), None);
        let mut changed = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..changed.len() {
            changed[at] ^= 1;
            assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(&changed), Timestamp(0)), None, "byte {at}");
            changed[at] ^= 1;
        }
        for other in ["", "x", &token.chars().take(20).collect::<String>(), &format!("{token}AAAA"), "../../etc/passwd"] {
            assert_eq!(links.read(other, Timestamp(0)), None, "{other}");
        }
    }
}
