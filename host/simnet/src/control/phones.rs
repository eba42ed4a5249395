//! The part of the control API in which a phone's user acts and looks: messages, receipts, typing, presence.
//!
//! What a list gives is numbered from 1; `after` and `wait_ms` let a reader wait for what is new.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{ControlAnswer, ControlFault, WAIT_MS_MAX, number_in, percent_decoded, read};
use crate::network::{ChatStateAct, CommandFault, Network, PresenceAct, ReceiptAct};
use crate::phone::Draft;
use crate::shared::Shared;

/// Entries in one answer.
const ENTRIES_MAX: usize = 1_000;

/// Carries out one request about a phone; `None` when there is no such room.
pub(super) async fn act(
    shared: &Shared,
    method: &str,
    number: &str,
    room: &str,
    query: &str,
    body: &[u8],
) -> Result<Option<ControlAnswer>, ControlFault> {
    let answer = match (method, room) {
        ("POST", "messages") => {
            let draft = Draft::read(body).map_err(CommandFault::from)?;
            let id = shared.change(|network| network.send_draft(number, draft))??;
            ControlAnswer::json(201, &json!({ "id": id }))
        }
        ("GET", "messages") => {
            let own = text_in(query, "own").is_some_and(|own| own == "true");
            wait(shared, query, "messages", |network, after| network.messages_of(number, own, after, ENTRIES_MAX)).await?
        }
        ("POST", "receipts") => {
            let act: ReceiptAct = read(body)?;
            let ids = shared.change(|network| network.phone_confirms(number, &act))??;
            ControlAnswer::json(200, &json!({ "message_ids": ids }))
        }
        ("GET", "receipts") => {
            wait(shared, query, "receipts", |network, after| network.receipts_heard(number, after, ENTRIES_MAX)).await?
        }
        ("POST", "chatstate") => {
            let act: ChatStateAct = read(body)?;
            shared.change(|network| network.phone_types(number, &act))??;
            ControlAnswer::json(200, &json!({}))
        }
        ("GET", "chatstates") => {
            wait(shared, query, "chatstates", |network, after| network.chat_states_seen(number, after, ENTRIES_MAX)).await?
        }
        ("POST", "presence") => {
            let act: PresenceAct = read(body)?;
            shared.change(|network| network.phone_presence(number, &act))??;
            ControlAnswer::json(200, &json!({}))
        }
        ("GET", "presence") => {
            let of = text_in(query, "of");
            let look = |network: &Network, after| network.presences_seen(number, of.as_deref(), after, ENTRIES_MAX);
            wait(shared, query, "presences", look).await?
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// What a list has above `after`; waits for the first entry if there is none.
async fn wait<T: Serialize>(
    shared: &Shared,
    query: &str,
    name: &str,
    look: impl Fn(&Network, u64) -> Result<Vec<T>, CommandFault>,
) -> Result<ControlAnswer, ControlFault> {
    let after = number_in(query, "after")?.unwrap_or(0);
    let wait_ms = number_in(query, "wait_ms")?.unwrap_or(0).min(WAIT_MS_MAX);
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    loop {
        let mut changed = std::pin::pin!(shared.changed.notified());
        // Registered before looking: a change between the two must not be missed.
        changed.as_mut().enable();
        let entries = shared.look(|network| look(network, after))?;
        if !entries.is_empty() || timeout_at(deadline, changed).await.is_err() {
            return Ok(ControlAnswer::json(200, &json!({ name: entries })));
        }
    }
}

fn text_in(query: &str, name: &str) -> Option<String> {
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    Some(percent_decoded(value))
}

#[cfg(test)]
mod tests {
    use super::text_in;

    #[test]
    fn query_texts_are_read_by_name() {
        assert_eq!(text_in("after=3&of=%2B15550001111", "of").as_deref(), Some("+15550001111"));
        assert_eq!(text_in("after=3", "of"), None);
    }
}
