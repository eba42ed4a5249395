//! What the endpoints do: each of them sends from the session that the caller's key is bound to.

use serde_json::{Value, json};
use switchboard_guest_sdk::router::{ReceivedFile, Request, Response};
use switchboard_guest_sdk::types::{
    Contact, Content, Extras, Location, Media, MediaSource, Message, Outgoing, Poll, QuotaStanding, Reaction, Revoke,
};
use switchboard_guest_sdk::{at_once, groups, http, media, messages, no_extras};

use crate::answer::{Failure, sent, sent_files, show_limit};
use crate::fields::Fields;

/// Most groups that are listed.
const GROUPS_MAX: u32 = 1_000;
/// Options of a poll.
const OPTIONS_MIN: usize = 2;
const OPTIONS_MAX: usize = 12;

/// The session that the key is bound to.
fn session(request: &Request) -> Result<u64, Failure> {
    request.principal.as_ref().and_then(|principal| principal.session).ok_or(Failure::NoSession)
}

/// An answer with how the limit stands that is nearest to its end.
fn answer(limits: &[QuotaStanding], body: &Value) -> Response {
    let mut response = http::json(200, body);
    if let Some(tightest) = limits.iter().min_by_key(|limit| left(limit)) {
        show_limit(&mut response, tightest);
    }
    response
}

fn left(limit: &QuotaStanding) -> u64 {
    limit.max.saturating_sub(limit.used)
}

/// Sends one thing to whom the fields name, and answers with `body` of it.
fn send(
    request: &Request,
    content: fn(&Fields) -> Result<Content, Failure>,
    body: fn(&Message) -> Value,
) -> Result<Response, Failure> {
    let session = session(request)?;
    let fields = Fields::of(request)?;
    let to = fields.recipient()?;
    let outgoing = Outgoing { to, content: content(&fields)?, extras: no_extras() };
    let accepted = messages::send(session, &outgoing, &at_once())?;
    Ok(answer(&accepted.limits, &body(&accepted.message)))
}

pub fn groups(request: &Request) -> Result<Response, Failure> {
    let page = groups::find(session(request)?, 0, GROUPS_MAX)?;
    let shape =
        |group: &groups::Group| json!({ "id": group.jid, "name": group.subject, "participants": group.member_count });
    let groups: Vec<Value> = page.entries.iter().map(shape).collect();
    Ok(http::json(200, &json!({ "success": true, "groups": groups })))
}

pub fn text(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| Ok(Content::Text(fields.required_text("message")?)), sent)
}

pub fn location(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &Fields| {
        Ok(Content::Location(Location {
            latitude: fields.degrees("location.degreesLatitude", 90.0)?,
            longitude: fields.degrees("location.degreesLongitude", 180.0)?,
            name: fields.text("location.name")?,
            address: fields.text("location.address")?,
        }))
    };
    send(request, content, sent)
}

pub fn poll(request: &Request) -> Result<Response, Failure> {
    send(request, asked, sent)
}

fn asked(fields: &Fields) -> Result<Content, Failure> {
    let (name, options) = (fields.required_text("name")?, fields.texts("values")?);
    if !(OPTIONS_MIN..=OPTIONS_MAX).contains(&options.len()) {
        let why = format!("values must have {OPTIONS_MIN} to {OPTIONS_MAX} options; there are {}", options.len());
        return Err(Failure::Bad(why));
    }
    let selectable_count = fields.count("selectableCount")?.unwrap_or(1);
    if usize::try_from(selectable_count).is_ok_and(|count| count > options.len()) {
        return Err(Failure::Bad(format!("selectableCount must be 0 to {}", options.len())));
    }
    fields.flag("toAnnouncementGroup")?;
    Ok(Content::Poll(Poll { name, options, selectable_count }))
}

/// Somebody of whom no more is known than a JID.
fn person(jid: String) -> Contact {
    Contact { jid, phone: None, lid: None, push_name: None }
}

pub fn react(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &Fields| {
        let (message_id, author) = fields.message_key()?;
        let emoji = fields.text("emoji")?.unwrap_or_default();
        Ok(Content::Reaction(Reaction { message_id, emoji, author: author.map(person) }))
    };
    send(request, content, |_| json!({ "success": true, "message": "Reaction sent" }))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    let content = |fields: &Fields| {
        let (message_id, author) = fields.message_key()?;
        Ok(Content::Revoke(Revoke { message_id, author: author.map(person) }))
    };
    send(request, content, |_| json!({ "success": true, "message": "Message deleted" }))
}

/// What files are sent as.
struct Files {
    content: fn(Media) -> Content,
    gif: bool,
    voice_note: bool,
    view_once: bool,
}

pub fn photos(request: &Request) -> Result<Response, Failure> {
    let fields = Fields::of(request)?;
    let view_once = fields.flag("viewOnce")?;
    send_files(request, &fields, &Files { content: Content::Image, gif: false, voice_note: false, view_once })
}

pub fn videos(request: &Request) -> Result<Response, Failure> {
    let fields = Fields::of(request)?;
    let (gif, view_once) = (fields.flag("gif")?, fields.flag("viewOnce")?);
    send_files(request, &fields, &Files { content: Content::Video, gif, voice_note: false, view_once })
}

pub fn audios(request: &Request) -> Result<Response, Failure> {
    let fields = Fields::of(request)?;
    let voice_note = fields.flag("voice")?;
    send_files(request, &fields, &Files { content: Content::Audio, gif: false, voice_note, view_once: false })
}

pub fn files(request: &Request) -> Result<Response, Failure> {
    let fields = Fields::of(request)?;
    send_files(request, &fields, &Files { content: Content::Document, gif: false, voice_note: false, view_once: false })
}

/// Sends every file of a form; the caption goes with the first of them. What can be wrong with any of them is looked at before
/// the first is sent.
fn send_files(request: &Request, fields: &Fields, files: &Files) -> Result<Response, Failure> {
    let session = session(request)?;
    let to = fields.recipient()?;
    let caption = fields.text("caption")?.filter(|caption| !caption.is_empty());
    if request.files.is_empty() {
        return Err(Failure::Bad("at least one file is required".to_owned()));
    }
    let mut handles = Vec::with_capacity(request.files.len());
    for file in &request.files {
        let handle = if files.voice_note { media::voice_note(&file.blob)?.handle } else { file.blob.clone() };
        handles.push(handle);
    }
    let wanted = u64::try_from(handles.len()).unwrap_or(u64::MAX);
    if let Some(short) = messages::quota(session, None)?.into_iter().find(|limit| left(limit) < wanted) {
        return Err(Failure::TooMany(short.retry_after_s.unwrap_or(1), Some(short)));
    }
    let (mut sent, mut limits) = (Vec::with_capacity(handles.len()), Vec::new());
    for (at, (file, handle)) in request.files.iter().zip(handles).enumerate() {
        let caption = caption.clone().filter(|_| at == 0);
        let content = (files.content)(media_of(file, handle, caption, files));
        let extras = Extras { view_once: files.view_once, ..no_extras() };
        let accepted = messages::send(session, &Outgoing { to: to.clone(), content, extras }, &at_once())?;
        sent.push(accepted.message);
        limits = accepted.limits;
    }
    Ok(answer(&limits, &sent_files(&sent)))
}

fn media_of(file: &ReceivedFile, handle: String, caption: Option<String>, files: &Files) -> Media {
    Media {
        source: MediaSource::Blob(handle),
        mime: Some(file.mime.clone()),
        caption,
        file_name: file.file_name.clone(),
        voice_note: files.voice_note,
        gif: files.gif,
        size: None,
        sha256: None,
        width: None,
        height: None,
        seconds: None,
    }
}
