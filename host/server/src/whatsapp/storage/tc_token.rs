//! Changes to a trusted contact token. Two writers share its row: one owns the contact's token, the other the time at
//! which we last sent ours. Neither may undo what the other has written.

use wacore::store::error::Result;
use wacore::store::traits::TcTokenEntry;

use super::{DeviceBackend, Tries, codec, tables};

impl DeviceBackend {
    /// Replaces a contact's entry by what `change` makes of it; `None` leaves it as it is.
    pub(super) async fn change_tc_token(
        &self,
        operation: &'static str,
        jid: &str,
        change: impl Fn(Option<TcTokenEntry>) -> Option<TcTokenEntry> + Send + Sync,
    ) -> Result<()> {
        let key = jid.as_bytes();
        let mut tries = Tries::of(operation);
        loop {
            let (entry, stamp) = match self.get_stamped(tables::TC_TOKENS, key).await? {
                Some((value, stamp)) => (Some(codec::from_json::<TcTokenEntry>(&value)?), Some(stamp)),
                None => (None, None),
            };
            let Some(changed) = change(entry) else {
                return Ok(());
            };
            let mut batch = self.storage.batch();
            batch.unchanged(tables::TC_TOKENS, key, stamp.as_ref());
            batch.put(tables::TC_TOKENS, key, &codec::to_json(&changed)?);
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

/// The entry after we have sent our token at `sent_at`: that time only moves forward, the contact's token is kept.
pub(super) fn with_sent(entry: Option<TcTokenEntry>, sent_at: i64) -> Option<TcTokenEntry> {
    let Some(entry) = entry else {
        return Some(TcTokenEntry { token: Vec::new(), token_timestamp: sent_at, sender_timestamp: Some(sent_at) });
    };
    if entry.sender_timestamp.is_some_and(|known| known >= sent_at) {
        return None;
    }
    Some(TcTokenEntry { sender_timestamp: Some(sent_at), ..entry })
}

/// The entry after the contact's token of `token_timestamp` has come: the newer token wins, our own time is kept.
pub(super) fn with_received(entry: Option<TcTokenEntry>, token: &[u8], token_timestamp: i64) -> Option<TcTokenEntry> {
    // An entry without a token only stands for our own time; it must not hold off the first real one.
    if let Some(entry) = &entry
        && !entry.token.is_empty()
        && entry.token_timestamp > token_timestamp
    {
        return None;
    }
    let sender_timestamp = entry.and_then(|entry| entry.sender_timestamp);
    Some(TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp })
}

/// Whether nothing in the entry is of use any more: neither the contact's token nor the time we sent ours.
pub(super) fn is_expired(entry: &TcTokenEntry, token_cutoff: i64, sender_cutoff: i64) -> bool {
    let token_lives = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
    let sender_lives = entry.sender_timestamp.is_some_and(|sent_at| sent_at >= sender_cutoff);
    !token_lives && !sender_lives
}
