//! Sending: one message, or up to a hundred.

use serde_json::{Value, json};
use switchboard_dialect::status::is_ready;
use switchboard_dialect::{Failure, Of, What, done, fields, limits};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::messages::{self, BatchWish, Priority, SendOptions};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::sessions as host;
use switchboard_guest_sdk::types::{Content, HostError, Outgoing, Session};
use switchboard_guest_sdk::{account, at_once, iso8601, media_at, no_extras};

use crate::answer;
use crate::devices::{default_of, is_active};

/// Most characters of a text or a caption.
const MESSAGE_CHARS_MAX: usize = 4096;
/// Most messages of one bulk.
const BULK_MAX: usize = 100;
/// Least time between two messages of a bulk.
const BULK_GAP_MS: u32 = 100;
/// The figure of an account's usage that this dialect calls its quota.
const MONTHLY: &str = "messages_per_month";

/// The device that is to send: the one that was asked for, or the default.
fn device(asked: Option<u64>) -> Result<Session, Failure> {
    let session = match asked {
        Some(id) => host::get(id).of(What::Session)?,
        None => {
            let all = host::all().of(What::Session)?;
            let missing = if all.is_empty() { Failure::NotFound(What::Session) } else { Failure::NoSession };
            default_of(&all).cloned().ok_or(missing)?
        }
    };
    if is_ready(&session) && is_active(&session) { Ok(session) } else { Err(Failure::NotConnected(session.state)) }
}

/// The message in these fields; mistakes are written down there.
fn outgoing(fields: &mut Fields) -> Result<Outgoing, Failure> {
    let to = fields.required_text("recipient");
    let media_url = fields.has("media_url").then(|| fields.required_text("media_url"));
    let message = if media_url.is_some() { fields.text("message") } else { Some(fields.required_text("message")) };
    let is_group = fields.flag("is_group").unwrap_or(false);
    if message.as_ref().is_some_and(|text| text.chars().count() > MESSAGE_CHARS_MAX) {
        return Err(Failure::TooLong { field: "message", max: MESSAGE_CHARS_MAX });
    }
    let to = if is_group && !to.contains('@') { format!("{}@g.us", to.trim()) } else { to };
    let content = match media_url {
        Some(url) => {
            let mut file = media_at(url);
            file.caption = message.filter(|caption| !caption.is_empty());
            Content::File(file)
        }
        None => Content::Text(message.unwrap_or_default()),
    };
    Ok(Outgoing { to, content, extras: no_extras() })
}

/// What the account may still send in this month.
fn quota() -> Result<Value, Failure> {
    let info = account::info().of(What::Session)?;
    let month = info.usage.iter().find(|usage| usage.limit == MONTHLY);
    Ok(month.map_or(Value::Null, |month| {
        json!({
            "limit": month.max,
            "used": month.used,
            "remaining": month.max.map(|max| max.saturating_sub(month.used)),
            "resets_at": iso8601(month.resets_at_ms),
        })
    }))
}

pub fn send(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let outgoing = outgoing(&mut fields);
    let asked = fields.integer("device_id");
    done(fields)?;
    let outgoing = outgoing?;
    let session = device(asked)?;
    let accepted = messages::send(session.id, &outgoing, &at_once()).of(What::Session)?;
    let message = &accepted.message;
    let data = json!({
        "chat_id": message.to,
        "message_id": message.id,
        "device_id": session.id,
        "status": "queued",
        "quota": quota()?,
    });
    let mut response = answer::done("Message sent", &data);
    limits::show(&mut response, &accepted.limits);
    Ok(response)
}

/// One message of a bulk: to whom, and what is to be sent or what is wrong with it.
struct Item {
    recipient: Value,
    read: Result<Outgoing, Failure>,
}

fn item(mut fields: Fields) -> Item {
    let recipient = fields.json("recipient").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let outgoing = outgoing(&mut fields);
    Item { recipient, read: done(fields).and(outgoing) }
}

pub fn send_bulk(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    fields.require("messages");
    let items = fields.objects("messages").unwrap_or_default();
    if fields.has("messages") && (items.is_empty() || items.len() > BULK_MAX) {
        fields.refuse("messages", format!("has {} entries; 1 to {BULK_MAX} are allowed", items.len()));
    }
    let asked = fields.integer("device_id");
    done(fields)?;
    let session = device(asked)?;
    let mut items: Vec<Item> = items.into_iter().map(item).collect();
    let wishes: Vec<Outgoing> = items.iter().filter_map(|item| item.read.as_ref().ok().cloned()).collect();
    let mut sent = Vec::new().into_iter();
    let mut standing = Vec::new();
    if !wishes.is_empty() {
        let options = SendOptions { priority: Priority::Bulk, gap_ms: Some(BULK_GAP_MS), ..at_once() };
        let wish = BatchWish { name: None, messages: wishes, options };
        let answer = messages::send_batch(session.id, &wish).of(What::Session)?;
        sent = answer.results.into_iter();
        standing = answer.limits;
    }
    let judged: Vec<(Value, Result<u64, Failure>)> = items
        .drain(..)
        .map(|Item { recipient, read }| {
            let taken = read.and_then(|_| sent.next().unwrap_or(Err(HostError::NotFound)).of(What::Message));
            (recipient, taken.map(|message| message.id))
        })
        .collect();
    // Where the quota alone stands in the way of every one of them, that is what the caller is told.
    if let Some((_, Err(Failure::LimitReached(limit)))) = judged.first()
        && judged.iter().all(|(_, taken)| matches!(taken, Err(Failure::LimitReached(_))))
    {
        return Err(Failure::LimitReached(limit.clone()));
    }
    let accepted = judged.iter().filter(|(_, taken)| taken.is_ok()).count();
    let results: Vec<Value> = judged.iter().enumerate().map(|(index, (to, taken))| result(index, to, taken)).collect();
    let data = json!({
        "total": judged.len(),
        "sent": accepted,
        "failed": judged.len().saturating_sub(accepted),
        "results": results,
        "quota": quota()?,
    });
    let mut response = answer::done("Messages accepted", &data);
    limits::show(&mut response, &standing);
    Ok(response)
}

fn result(index: usize, recipient: &Value, taken: &Result<u64, Failure>) -> Value {
    match taken {
        Ok(id) => json!({ "index": index, "recipient": recipient, "success": true, "message_id": id }),
        Err(failure) => {
            let (_, code, message) = answer::told(failure);
            json!({ "index": index, "recipient": recipient, "success": false, "error_code": code, "message": message })
        }
    }
}
