//! Turns what a phone's user writes into the message that is sent.
//!
//! A draft is a JSON object: `to`, exactly one content, and what may go with any content:
//!
//! | field | means |
//! | --- | --- |
//! | `id` | the message id; a new one if not given |
//! | `quoted_id` | the message it answers |
//! | `mentions` | numbers or addresses |
//! | `ephemeral_seconds` | after how long it disappears |
//!
//! | content | value |
//! | --- | --- |
//! | `text` | the text; `preview` beside it: `{url, title?, description?}` |
//! | `image` `video` `gif` `audio` `voice` `document` `sticker` `video_note` | `{base64, mime?, file_name?, caption?, view_once?, ptt?, seconds?, width?, height?, thumbnail?}` |
//! | `location` | `{latitude, longitude, name?, address?}` |
//! | `live_location` | `{latitude, longitude, caption?, accuracy_m?, sequence?}` |
//! | `contact`, `contacts` | `{display_name, vcard}`, a list of those |
//! | `poll`, `poll_vote` | `{name, options, selectable_count?}`, `{poll_id, options}` |
//! | `reaction` | `{message_id, emoji}`; an empty emoji takes it back |
//! | `edit` | `{message_id, text, sealed?}` |
//! | `revoke` `forward` `unpin` `keep` `unkeep` | `{message_id}` |
//! | `pin` | `{message_id, seconds?}` |
//! | `buttons` `list` `interactive` `template` | as they are shown |
//! | `buttons_response` `list_response` `interactive_response` `template_button_reply` | as they are shown, with `quoted_id` |
//! | `ephemeral_setting` | `{seconds}` |
//! | `event`, `event_response` | as they are shown; `{event_id, response, extra_guests?}` |
//! | `group_invite` | `{group, code, expires_s?, name?, caption?}` |
//!
//! A content may also be written the way a phone shows it, under its `type`: `{"type": "image", "media": {"base64"},
//! "caption"}`, `{"type": "edit", "edited", "text"}`, `{"type": "poll", "poll": {…}}`. Unknown fields are refused.

mod about;
mod choices;
mod context;
mod error;
mod file;
mod plain;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use waproto::buffa::MessageField;
use waproto::whatsapp::{Message, MessageContextInfo};

pub(crate) use error::ComposeFault;

use super::Phone;
use super::known::{KNOWN_MESSAGE_BYTES_MAX, KnownMessage};
use super::media::SealedMedia;
use super::shapes::{
    ShownButtons, ShownChoice, ShownContact, ShownEphemeral, ShownEvent, ShownEventResponse, ShownFlow, ShownGroupInvite,
    ShownInteractive, ShownList, ShownLocation, ShownPoll, ShownPollVote, ShownPreview, ShownReaction, ShownRow,
    ShownTemplate,
};
use crate::address::parse_number;
use crate::random;
use about::{EditDraft, PinDraft, Target};
use file::{FileDraft, FileKind};
use plain::LiveLocationDraft;

/// Bytes in one text.
const TEXT_BYTES_MAX: usize = 65_536;
/// Bytes in a message id that the caller chooses.
const ID_BYTES_MAX: usize = 128;
/// People one message may mention.
const MENTIONS_MAX: usize = 1_024;
/// The longest time after which messages disappear: 90 days, as the apps offer it.
const EPHEMERAL_SECONDS_MAX: u32 = 90 * 86_400;

/// The names of all contents, as `Content` has them.
pub(super) const CONTENTS: [&str; 35] = [
    "text",
    "image",
    "video",
    "gif",
    "audio",
    "voice",
    "document",
    "sticker",
    "video_note",
    "location",
    "live_location",
    "contact",
    "contacts",
    "poll",
    "poll_vote",
    "reaction",
    "edit",
    "revoke",
    "forward",
    "pin",
    "unpin",
    "keep",
    "unkeep",
    "buttons",
    "buttons_response",
    "list",
    "list_response",
    "interactive",
    "interactive_response",
    "template",
    "template_button_reply",
    "ephemeral_setting",
    "event",
    "event_response",
    "group_invite",
];

/// What the user of a phone wants to send.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) to: String,
    pub(crate) id: Option<String>,
    quoted_id: Option<String>,
    mentions: Vec<String>,
    ephemeral_seconds: Option<u32>,
    preview: Option<ShownPreview>,
    content: Content,
}

/// The content of a draft, under its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Text(String),
    Image(Box<FileDraft>),
    Video(Box<FileDraft>),
    Gif(Box<FileDraft>),
    Audio(Box<FileDraft>),
    Voice(Box<FileDraft>),
    Document(Box<FileDraft>),
    Sticker(Box<FileDraft>),
    VideoNote(Box<FileDraft>),
    Location(ShownLocation),
    LiveLocation(LiveLocationDraft),
    Contact(ShownContact),
    Contacts(Vec<ShownContact>),
    Poll(ShownPoll),
    PollVote(ShownPollVote),
    Reaction(ShownReaction),
    Edit(EditDraft),
    Revoke(Target),
    Forward(Target),
    Pin(PinDraft),
    Unpin(Target),
    Keep(Target),
    Unkeep(Target),
    Buttons(ShownButtons),
    ButtonsResponse(ShownChoice),
    List(ShownList),
    ListResponse(ShownRow),
    Interactive(Box<ShownInteractive>),
    InteractiveResponse(ShownFlow),
    Template(ShownTemplate),
    TemplateButtonReply(ShownChoice),
    EphemeralSetting(ShownEphemeral),
    Event(Box<ShownEvent>),
    EventResponse(ShownEventResponse),
    GroupInvite(ShownGroupInvite),
}

/// Where a draft becomes a message: whose phone it is, in which chat, and when.
pub(crate) struct Desk<'a> {
    pub(crate) phone: &'a Phone,
    /// The address of the chat.
    pub(crate) chat: &'a str,
    pub(crate) is_group: bool,
    /// Where the media hosts are: host and port.
    pub(crate) media_host: &'a str,
    pub(crate) now_ms: u64,
}

/// A message ready to be sent, and the sealed file it refers to.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) message: Message,
    pub(crate) file: Option<SealedMedia>,
}

impl Draft {
    /// Reads a draft from JSON, and seals the file in it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, ComposeFault> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(ComposeFault::Json)?;
        let to = take(&mut fields, "to")?.ok_or_else(|| ComposeFault::missing("to"))?;
        let id: Option<String> = take(&mut fields, "id")?;
        if let Some(id) = &id {
            check_length("id", id, ID_BYTES_MAX)?;
        }
        let quoted_id = take(&mut fields, "quoted_id")?;
        let mentions: Vec<String> = take(&mut fields, "mentions")?.unwrap_or_default();
        if mentions.len() > MENTIONS_MAX {
            return Err(ComposeFault::field("mentions", format!("{} people; the limit is {MENTIONS_MAX}", mentions.len())));
        }
        let mentions = mentions.iter().map(|mention| address("mentions", mention)).collect::<Result<_, _>>()?;
        let ephemeral_seconds = take(&mut fields, "ephemeral_seconds")?;
        if let Some(seconds) = ephemeral_seconds {
            check_ephemeral("ephemeral_seconds", seconds)?;
        }
        let preview = take(&mut fields, "preview")?;
        let mut content = read_content(fields)?;
        if let Some((kind, file)) = content.file_mut() {
            file.seal(kind)?;
        }
        Ok(Self { to, id, quoted_id, mentions, ephemeral_seconds, preview, content })
    }

    /// Makes the message.
    pub(crate) fn compose(self, desk: &Desk<'_>) -> Result<Composed, ComposeFault> {
        if self.preview.is_some() && !matches!(self.content, Content::Text(_)) {
            return Err(ComposeFault::field("preview", "only a text has one".to_owned()));
        }
        let quoted = match &self.quoted_id {
            Some(id) => Some(desk.any("quoted_id", id)?),
            None => None,
        };
        let about = context::About { quoted, mentions: self.mentions, ephemeral_seconds: self.ephemeral_seconds };
        let mut composed = self.content.compose(desk, self.preview, about.quoted)?;
        about.apply(desk, &mut composed.message)?;
        if let Some(wrapped) = file::wrapped(&composed.message) {
            composed.message = wrapped;
        }
        let bytes = waproto::codec::message_encoded_len(&composed.message);
        if bytes > KNOWN_MESSAGE_BYTES_MAX {
            return Err(ComposeFault::TooLong { bytes, bytes_max: KNOWN_MESSAGE_BYTES_MAX });
        }
        Ok(composed)
    }
}

impl Content {
    fn file_mut(&mut self) -> Option<(FileKind, &mut FileDraft)> {
        Some(match self {
            Self::Image(file) => (FileKind::Image, file),
            Self::Video(file) => (FileKind::Video, file),
            Self::Gif(file) => (FileKind::Gif, file),
            Self::Audio(file) => (FileKind::Audio, file),
            Self::Voice(file) => (FileKind::Voice, file),
            Self::Document(file) => (FileKind::Document, file),
            Self::Sticker(file) => (FileKind::Sticker, file),
            Self::VideoNote(file) => (FileKind::VideoNote, file),
            _ => return None,
        })
    }

    fn compose(
        self,
        desk: &Desk<'_>,
        preview: Option<ShownPreview>,
        quoted: Option<&KnownMessage>,
    ) -> Result<Composed, ComposeFault> {
        let message = match self {
            Self::Image(file) => return file::compose(desk, FileKind::Image, *file),
            Self::Video(file) => return file::compose(desk, FileKind::Video, *file),
            Self::Gif(file) => return file::compose(desk, FileKind::Gif, *file),
            Self::Audio(file) => return file::compose(desk, FileKind::Audio, *file),
            Self::Voice(file) => return file::compose(desk, FileKind::Voice, *file),
            Self::Document(file) => return file::compose(desk, FileKind::Document, *file),
            Self::Sticker(file) => return file::compose(desk, FileKind::Sticker, *file),
            Self::VideoNote(file) => return file::compose(desk, FileKind::VideoNote, *file),
            Self::Text(text) => plain::text(&text, preview),
            Self::Location(place) => plain::location(place),
            Self::LiveLocation(place) => plain::live_location(place),
            Self::Contact(contact) => plain::contact(contact),
            Self::Contacts(contacts) => plain::contacts(contacts),
            Self::Poll(poll) => plain::poll(poll),
            Self::Event(event) => plain::event(*event),
            Self::GroupInvite(invite) => plain::group_invite(invite),
            Self::EphemeralSetting(setting) => plain::ephemeral_setting(desk, &setting),
            Self::PollVote(vote) => about::poll_vote(desk, &vote),
            Self::EventResponse(response) => about::event_response(desk, &response),
            Self::Reaction(reaction) => about::reaction(desk, reaction),
            Self::Edit(edit) => about::edit(desk, &edit),
            Self::Revoke(target) => about::revoke(desk, &target),
            Self::Forward(target) => about::forward(desk, &target),
            Self::Pin(pin) => about::pin(desk, &pin),
            Self::Unpin(target) => about::unpin(desk, &target),
            Self::Keep(target) => about::keep(desk, &target, true),
            Self::Unkeep(target) => about::keep(desk, &target, false),
            Self::Buttons(buttons) => choices::buttons(buttons),
            Self::ButtonsResponse(choice) => choices::buttons_response(choice, quoted),
            Self::List(list) => choices::list(list),
            Self::ListResponse(row) => choices::list_response(row, quoted),
            Self::Interactive(interactive) => choices::interactive(*interactive),
            Self::InteractiveResponse(flow) => choices::interactive_response(flow, quoted),
            Self::Template(template) => choices::template(template),
            Self::TemplateButtonReply(choice) => choices::template_button_reply(choice, quoted),
        }?;
        Ok(Composed { message, file: None })
    }
}

impl Desk<'_> {
    fn own_address(&self) -> String {
        format!("{}@s.whatsapp.net", self.phone.number())
    }

    fn now_ms_signed(&self) -> i64 {
        i64::try_from(self.now_ms).unwrap_or(i64::MAX)
    }

    /// A message of any chat.
    fn any(&self, field: &'static str, id: &str) -> Result<&KnownMessage, ComposeFault> {
        self.phone.known(self.chat, id).ok_or_else(|| ComposeFault::UnknownMessage { field, id: id.to_owned() })
    }

    /// A message of this chat.
    fn here(&self, field: &'static str, id: &str) -> Result<&KnownMessage, ComposeFault> {
        let known = self.any(field, id)?;
        if known.chat == self.chat {
            Ok(known)
        } else {
            Err(ComposeFault::field(field, format!("message {id:?} is in chat {}, not in {}", known.chat, self.chat)))
        }
    }
}

/// A fresh secret, under which others can seal additions to the message. Phones give one to whatever they send.
fn secret() -> MessageField<MessageContextInfo> {
    let secret: [u8; 32] = random::bytes();
    MessageField::some(MessageContextInfo { message_secret: Some(secret.to_vec()), ..MessageContextInfo::default() })
}

fn read_content(mut fields: Map<String, Value>) -> Result<Content, ComposeFault> {
    let kind: Option<String> = take(&mut fields, "type")?;
    if let Some(kind) = &kind {
        as_shown(kind, &mut fields)?;
    }
    if let Some(unknown) = fields.keys().find(|name| !CONTENTS.contains(&name.as_str())) {
        return Err(ComposeFault::field(unknown, "a message has no such field".to_owned()));
    }
    let mut names = fields.keys();
    let Some(name) = names.next() else {
        return Err(ComposeFault::NoContent { known: CONTENTS.join(", ") });
    };
    if names.next().is_some() {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        return Err(ComposeFault::TooMuch { fields: names.join(", ") });
    }
    if let Some(kind) = kind.filter(|kind| kind != name) {
        return Err(ComposeFault::field("type", format!("{kind:?} does not fit content {name:?}")));
    }
    let name = name.clone();
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| ComposeFault::Field { field: name, problem: error.to_string() })
}

/// Turns an entry as a phone shows it into the content it has here.
fn as_shown(kind: &str, fields: &mut Map<String, Value>) -> Result<(), ComposeFault> {
    let (whole, moved): (Option<&str>, &[(&str, &str)]) = match kind {
        "image" | "video" | "gif" | "audio" | "voice" | "document" | "sticker" | "video_note" => {
            (Some("media"), &[("caption", "caption"), ("view_once", "view_once"), ("ptt", "ptt")])
        }
        "edit" => (None, &[("edited", "message_id"), ("text", "text")]),
        "revoke" => (None, &[("revoked", "message_id")]),
        "live_location" => (Some("location"), &[("caption", "caption")]),
        _ => return Ok(()),
    };
    if fields.contains_key(kind) {
        return Ok(());
    }
    let mut content = match whole.and_then(|whole| fields.remove(whole)) {
        Some(Value::Object(content)) => content,
        Some(_) => return Err(ComposeFault::field(whole.unwrap_or(kind), "an object is expected".to_owned())),
        None => match whole {
            Some(whole) => return Err(ComposeFault::missing(whole)),
            None => Map::new(),
        },
    };
    for (from, to) in moved {
        if let Some(value) = fields.remove(*from) {
            content.insert((*to).to_owned(), value);
        }
    }
    fields.insert(kind.to_owned(), Value::Object(content));
    Ok(())
}

fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<T>, ComposeFault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| ComposeFault::Field { field: name.to_owned(), problem: error.to_string() }),
    }
}

/// The address of somebody who is named by a number or an address.
fn address(field: &'static str, text: &str) -> Result<String, ComposeFault> {
    if text.contains('@') {
        let address: wacore_binary::Jid =
            text.parse().map_err(|_| ComposeFault::field(field, format!("{text:?} is not an address")))?;
        return Ok(address.to_non_ad().to_string());
    }
    let number = parse_number(text).map_err(|error| ComposeFault::field(field, error.to_string()))?;
    Ok(format!("{number}@s.whatsapp.net"))
}

fn check_length(field: &'static str, text: &str, bytes_max: usize) -> Result<(), ComposeFault> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(ComposeFault::Length { field, bytes: text.len(), bytes_max });
    }
    Ok(())
}

fn check_ephemeral(field: &'static str, seconds: u32) -> Result<(), ComposeFault> {
    if seconds > EPHEMERAL_SECONDS_MAX {
        return Err(ComposeFault::field(field, format!("{seconds} s; the limit is {EPHEMERAL_SECONDS_MAX} s")));
    }
    Ok(())
}
