//! Sending: one message, or up to five hundred.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, done, fields, limits, people};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::messages::{self, ApiLimits, BatchWish, Priority, SendOptions};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::Outgoing;
use switchboard_guest_sdk::{at_once, iso8601, no_extras};
use switchboard_ids::prefixed;

use crate::content;
use crate::messages::{asked_for, spelled};
use crate::sessions::{self, acting, named};

/// What ids of batches begin with.
const BATCH_PREFIX: &str = "batch_";
/// Most messages of one bulk.
const BULK_MAX: usize = 500;
/// Least time between messages of a bulk, unless it is said, and the least that can be said. Milliseconds.
const DELAY_MS: u64 = 1_500;
const DELAY_MS_MIN: u64 = 500;
const DELAY_MS_MAX: u64 = 3_600_000;
/// What protects accounts from being banned: the queue keeps it after acceptance.
const GAP_MS: u32 = 1_000;
const JITTER_MS: u32 = 2_000;
const SENDS_PER_MINUTE: u32 = 30;
const MESSAGES_PER_DAY: u64 = 1_000;

fn options(priority: Priority, delay_ms: u64) -> SendOptions {
    let limits = ApiLimits {
        name: "sendapi".to_owned(),
        messages_per_minute: None,
        messages_per_day: Some(MESSAGES_PER_DAY),
        messages_per_month: None,
    };
    SendOptions {
        priority,
        gap_ms: Some(u32::try_from(delay_ms).unwrap_or(u32::MAX).max(GAP_MS)),
        jitter_ms: Some(JITTER_MS),
        sends_per_minute: Some(SENDS_PER_MINUTE),
        limits: Some(limits),
        ..at_once()
    }
}

pub fn send(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let session = named(&mut fields)?;
    let to = fields.required_text("to");
    let content = content::read(&mut fields);
    done(fields)?;
    let (session, content) = (acting(session)?, content.ok_or(Failure::Internal)?);
    let outgoing = Outgoing { to, content, extras: no_extras() };
    let accepted = messages::send(session, &outgoing, &options(Priority::Interactive, 0)).of(What::Session)?;
    let message = &accepted.message;
    let body = json!({
        "id": spelled(message.id),
        "message_id": message.whatsapp_id,
        "session_id": sessions::spelled(session),
        "direction": "out",
        "to": people::spelled(&message.to),
        "type": asked_for(message).0,
        "status": "accepted",
        "created_at": iso8601(message.accepted_at_ms),
    });
    let mut response = json_response(200, &body);
    limits::show(&mut response, &accepted.limits);
    Ok(response)
}

/// The messages of a bulk: `messages`, or the same content for every one of `recipients`.
fn wishes(fields: &mut Fields) -> Vec<Outgoing> {
    if fields.has("messages") {
        let Some(items) = fields.objects("messages") else { return Vec::new() };
        let mut wishes = Vec::with_capacity(items.len());
        for mut item in items {
            let to = item.required_text("to");
            if let Some(content) = content::read(&mut item) {
                wishes.push(Outgoing { to, content, extras: no_extras() });
            }
            fields.absorb(item);
        }
        return wishes;
    }
    fields.require("recipients");
    let recipients = fields.texts("recipients");
    let Some(content) = content::read(fields) else { return Vec::new() };
    recipients.into_iter().map(|to| Outgoing { to, content: content.clone(), extras: no_extras() }).collect()
}

pub fn send_bulk(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let session = named(&mut fields)?;
    let delay_ms = fields.within("delay_ms", DELAY_MS_MIN, DELAY_MS_MAX, DELAY_MS);
    let list = if fields.has("messages") { "messages" } else { "recipients" };
    let wishes = wishes(&mut fields);
    let given = fields.json(list).and_then(|text| serde_json::from_str::<Vec<Value>>(&text).ok()).unwrap_or_default();
    if fields.has(list) && (given.is_empty() || given.len() > BULK_MAX) {
        fields.refuse(list, format!("has {} entries; 1 to {BULK_MAX} are allowed", given.len()));
    }
    done(fields)?;
    let session = acting(session)?;
    let total = wishes.len();
    let wish = BatchWish { name: None, messages: wishes, options: options(Priority::Bulk, delay_ms) };
    let answer = messages::send_batch(session, &wish).of(What::Session)?;
    let Some(batch) = answer.batch else {
        // Nothing was taken: the first refusal says why, by its place.
        let first = answer.results.into_iter().enumerate().find_map(|(at, one)| one.err().map(|error| (at, error)));
        return Err(first.map_or(Failure::Internal, |(at, error)| match Failure::of(error, What::Message) {
            Failure::Recipient(why) => Failure::field(&format!("{list}[{at}]"), why),
            other => other,
        }));
    };
    let body = json!({
        "batch_id": prefixed(BATCH_PREFIX, batch),
        "status": "queued",
        "total": total,
        "queued_at": iso8601(request.now_ms),
    });
    let mut response = json_response(202, &body);
    limits::show(&mut response, &answer.limits);
    Ok(response)
}
