//! Messages that are no files: each goes out from the session that the caller's key is bound to.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, caller, done, fields, payload};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Content, Message, Outgoing, Reaction, Revoke};
use switchboard_guest_sdk::{at_once, groups as host_groups, messages, no_extras};

use crate::answer::{self, sent};
use crate::fields::{message_key, recipient};

/// Most groups that are listed.
const GROUPS_MAX: u32 = 1_000;
/// Most options of a poll.
const OPTIONS_MAX: usize = 12;

/// The session that the key is bound to.
pub fn session(request: &Request) -> Result<u64, Failure> {
    caller(request)?.session.ok_or(Failure::NoSession)
}

/// Sends one thing to whom the fields name, and answers with `body` of it.
fn send(
    request: &Request,
    content: fn(&mut Fields) -> Option<Content>,
    body: fn(&Message) -> Value,
) -> Result<Response, Failure> {
    let session = session(request)?;
    let mut fields = fields(request)?;
    let to = recipient(&mut fields);
    let content = content(&mut fields);
    done(fields)?;
    let outgoing = Outgoing { to, content: content.ok_or(Failure::Internal)?, extras: no_extras() };
    let accepted = messages::send(session, &outgoing, &at_once()).of(What::Session)?;
    Ok(answer::done(&accepted.limits, &body(&accepted.message)))
}

pub fn groups(request: &Request) -> Result<Response, Failure> {
    let page = host_groups::find(session(request)?, 0, GROUPS_MAX).of(What::Session)?;
    let shape =
        |group: &host_groups::Group| json!({ "id": group.jid, "name": group.subject, "participants": group.member_count });
    let groups: Vec<Value> = page.entries.iter().map(shape).collect();
    Ok(json_response(200, &json!({ "success": true, "groups": groups })))
}

pub fn text(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| Some(Content::Text(fields.required_text("message"))), sent)
}

pub fn location(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &mut Fields| {
        let Some(mut inner) = fields.nested("location") else {
            fields.require("location");
            return None;
        };
        let location = payload::location(&mut inner, "degreesLatitude", "degreesLongitude");
        fields.absorb(inner);
        location.map(Content::Location)
    };
    send(request, content, sent)
}

pub fn poll(request: &Request) -> Result<Response, Failure> {
    send(request, asked, sent)
}

fn asked(fields: &mut Fields) -> Option<Content> {
    let mut poll = payload::poll(fields, "name", "values", 1);
    let options = poll.options.len();
    if options > OPTIONS_MAX {
        fields.refuse("values", format!("must have at most {OPTIONS_MAX} entries; there are {options}"));
    }
    let most = u64::try_from(options).unwrap_or(u64::MAX);
    poll.selectable_count = u32::try_from(fields.within("selectableCount", 0, most, 1)).unwrap_or(1);
    poll.announcement = fields.switch("toAnnouncementGroup").unwrap_or(false);
    Some(Content::Poll(poll))
}

pub fn react(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &mut Fields| {
        let (message_id, author) = message_key(fields);
        let emoji = fields.text("emoji").unwrap_or_default();
        Some(Content::Reaction(Reaction { message_id, emoji, author }))
    };
    send(request, content, |_| json!({ "success": true, "message": "Reaction sent" }))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &mut Fields| {
        let (message_id, author) = message_key(fields);
        Some(Content::Revoke(Revoke { message_id, author }))
    };
    send(request, content, |_| json!({ "success": true, "message": "Message deleted" }))
}
