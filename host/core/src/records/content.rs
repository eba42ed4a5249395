//! What a message says: one variant that names every type of message.

use serde::{Deserialize, Serialize};

mod parameters;

/// Where the bytes of a media message are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// To be fetched from this URL.
    Url(String),
    /// A blob of the tenant, by its handle.
    Blob(String),
    /// On WhatsApp's media hosts, sealed. What opens it is kept here and shown to nobody.
    #[serde(rename = "whatsapp")]
    WhatsApp(Box<WhatsAppMedia>),
}

/// A sealed file on WhatsApp's media hosts, and what opens it. Bytes are in lower-case hex.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WhatsAppMedia {
    /// The path on any of the media hosts.
    pub direct_path: String,
    /// A whole URL, when the sender gave one.
    pub url: Option<String>,
    /// The key that opens it: secret.
    pub media_key: String,
    /// SHA-256 of the sealed bytes.
    pub enc_sha256: String,
    /// When the sender made the key, seconds since 1970.
    pub key_at_s: Option<i64>,
}

/// A picture, film, sound, file or sticker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// Where the bytes are.
    pub source: MediaSource,
    /// The MIME type, when it is known.
    pub mime: Option<String>,
    /// The text below it.
    pub caption: Option<String>,
    /// The name that a document shows.
    pub file_name: Option<String>,
    /// A sound that is a voice note.
    #[serde(default)]
    pub voice_note: bool,
    /// A film that plays as a GIF.
    #[serde(default)]
    pub gif: bool,
    /// Bytes of the file, as the sender says.
    #[serde(default)]
    pub size: Option<u64>,
    /// SHA-256 of the file in lower-case hex, as the sender says.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Width in pixels, when it is given.
    #[serde(default)]
    pub width: Option<u32>,
    /// Height in pixels, when it is given.
    #[serde(default)]
    pub height: Option<u32>,
    /// How long it plays, seconds, when it is given.
    #[serde(default)]
    pub seconds: Option<u32>,
}

impl Media {
    /// Media of which only the place is known.
    pub fn at(source: MediaSource) -> Self {
        Self {
            source,
            mime: None,
            caption: None,
            file_name: None,
            voice_note: false,
            gif: false,
            size: None,
            sha256: None,
            width: None,
            height: None,
            seconds: None,
        }
    }
}

/// A place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What the place is called.
    pub name: Option<String>,
    /// Where it is, in words.
    pub address: Option<String>,
}

/// A place that moves: each update is a message of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveLocation {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The text below it.
    pub caption: Option<String>,
    /// How far off it may be, metres.
    pub accuracy_m: Option<u32>,
    /// Which update it is; it grows.
    pub sequence: Option<u64>,
}

/// The names of one person, whichever are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The JID by which WhatsApp named them.
    pub jid: String,
    /// The telephone number, digits only.
    pub phone: Option<String>,
    /// The LID.
    pub lid: Option<String>,
}

/// A contact's card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactCard {
    /// The name that is shown.
    pub display_name: String,
    /// Telephone numbers.
    #[serde(default)]
    pub phones: Vec<String>,
    /// The whole vCard, when the sender gave one.
    pub vcard: Option<String>,
}

/// People choose one answer unless the poll says otherwise.
fn one() -> u32 {
    1
}

/// A poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// The question.
    pub name: String,
    /// The answers to choose from.
    pub options: Vec<String>,
    /// How many answers one person may choose; 0 for any number.
    #[serde(default = "one")]
    pub selectable_count: u32,
    /// In the form that it needs in a community's announcement group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announcement: bool,
}

/// An emoji on another message; an empty emoji takes it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// WhatsApp id of the other message.
    pub message_id: String,
    /// The emoji.
    pub emoji: String,
    /// Who wrote the other message. A reaction to send may leave it out: then it is looked up.
    #[serde(default)]
    pub author: Option<Person>,
}

/// An earlier message of the same sender gets another text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// WhatsApp id of the earlier message.
    pub message_id: String,
    /// The text from now on; below media it is the caption.
    pub text: String,
}

/// An earlier message is taken back for everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoke {
    /// WhatsApp id of the earlier message.
    pub message_id: String,
    /// Who wrote it, when an administrator took back what somebody else had written.
    #[serde(default)]
    pub author: Option<Person>,
}

/// What somebody chose in a poll. It replaces what they chose before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollVote {
    /// WhatsApp id of the poll.
    pub poll_id: String,
    /// Who asked, when that is known.
    #[serde(default)]
    pub author: Option<Person>,
    /// The options, none when the vote was taken back; `None` when the vote cannot be opened because the poll is not known.
    /// An option whose name is not known is given as the SHA-256 of its name in hex.
    pub options: Option<Vec<String>>,
}

/// What somebody chose of the buttons or rows of an earlier message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What the button or row carries; of a flow, its parameters as JSON.
    pub id: String,
    /// What it says.
    pub title: String,
}

/// What a button does in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Opens this page.
    Url(String),
    /// Calls this number.
    Call(String),
    /// Copies this code.
    Copy(String),
}

/// A button of an interactive message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Button {
    /// What comes back when it is pressed; for buttons without an action alone.
    #[serde(default)]
    pub id: String,
    /// What it says.
    pub title: String,
    /// What it does.
    #[serde(default)]
    pub action: Option<ButtonAction>,
}

/// A row of a list message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListRow {
    /// What comes back when it is chosen.
    pub id: String,
    /// What it says.
    pub title: String,
    /// What stands below that.
    #[serde(default)]
    pub description: Option<String>,
}

/// Rows of a list message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListSection {
    /// What stands above the rows.
    pub title: String,
    /// The rows.
    pub rows: Vec<ListRow>,
}

/// What stands above the text of a message with buttons, in place of a line of text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Attachment {
    /// A picture.
    Image(Media),
    /// A film.
    Video(Media),
    /// A file.
    Document(Media),
    /// A place.
    Location(Location),
}

impl Attachment {
    /// The same of content; `None` of what cannot stand there.
    pub fn of(content: Content) -> Option<Self> {
        Some(match content {
            Content::Image(media) => Self::Image(media),
            Content::Video(media) => Self::Video(media),
            Content::Document(media) => Self::Document(media),
            Content::Location(place) => Self::Location(place),
            _ => return None,
        })
    }

    /// Its file, unless it is a place.
    pub fn media(&self) -> Option<&Media> {
        match self {
            Self::Image(media) | Self::Video(media) | Self::Document(media) => Some(media),
            Self::Location(_) => None,
        }
    }
}

impl From<Attachment> for Content {
    fn from(attachment: Attachment) -> Self {
        match attachment {
            Attachment::Image(media) => Self::Image(media),
            Attachment::Video(media) => Self::Video(media),
            Attachment::Document(media) => Self::Document(media),
            Attachment::Location(place) => Self::Location(place),
        }
    }
}

/// A message with buttons or a list: one of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interactive {
    /// What stands above.
    pub header: Option<String>,
    /// A file or a place in its stead, above buttons.
    #[serde(default)]
    pub attachment: Option<Attachment>,
    /// The text.
    pub body: String,
    /// What stands below.
    pub footer: Option<String>,
    /// Reply buttons.
    #[serde(default)]
    pub buttons: Vec<Button>,
    /// Sections of a list.
    #[serde(default)]
    pub sections: Vec<ListSection>,
    /// What opens the list.
    #[serde(default)]
    pub list_button: Option<String>,
    /// To be sent as a text with numbered choices.
    #[serde(default)]
    pub plain_text: bool,
}

/// A stored template with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateCall {
    /// The template's name.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: Option<String>,
    /// Parameters by name; positional ones are named `1`, `2`, … In JSON an object, or a list of positional ones.
    #[serde(default, with = "parameters")]
    pub parameters: Vec<(String, String)>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image(Media),
    /// A film.
    Video(Media),
    /// A sound.
    Audio(Media),
    /// A file.
    Document(Media),
    /// A sticker.
    Sticker(Media),
    /// To be sent as what it turns out to be: a picture, a film, a sound, or else a document.
    File(Media),
    /// A place.
    Location(Location),
    /// A place that moves.
    LiveLocation(LiveLocation),
    /// Cards of contacts.
    Contacts(Vec<ContactCard>),
    /// A poll.
    Poll(Poll),
    /// An emoji on another message.
    Reaction(Reaction),
    /// Another text for an earlier message.
    Edit(Edit),
    /// An earlier message is taken back.
    Revoke(Revoke),
    /// A choice in a poll.
    PollVote(PollVote),
    /// Buttons or a list.
    Interactive(Interactive),
    /// A pressed button.
    ButtonReply(Choice),
    /// A chosen row of a list.
    ListReply(Choice),
    /// A finished flow.
    FlowReply(Choice),
    /// A stored template.
    Template(TemplateCall),
    /// Received, but of a type that this version does not name.
    Other(String),
}

impl Content {
    /// The name of the type, as events and errors give it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::Document(_) => "document",
            Self::Sticker(_) => "sticker",
            Self::File(_) => "file",
            Self::Location(_) => "location",
            Self::LiveLocation(_) => "live_location",
            Self::Contacts(_) => "contacts",
            Self::Poll(_) => "poll",
            Self::Reaction(_) => "reaction",
            Self::Edit(_) => "edit",
            Self::Revoke(_) => "revoke",
            Self::PollVote(_) => "poll_vote",
            Self::Interactive(_) => "interactive",
            Self::ButtonReply(_) => "button_reply",
            Self::ListReply(_) => "list_reply",
            Self::FlowReply(_) => "flow_reply",
            Self::Template(_) => "template",
            Self::Other(name) => name,
        }
    }

    /// The file that it brings along.
    pub fn media(&self) -> Option<&Media> {
        match self {
            Self::Image(media) | Self::Video(media) | Self::Audio(media) | Self::Document(media) | Self::Sticker(media) => {
                Some(media)
            }
            _ => None,
        }
    }

    /// The same content without what opens a file on WhatsApp's media hosts: as it may be shown.
    pub fn without_keys(mut self) -> Self {
        if let Self::Image(media) | Self::Video(media) | Self::Audio(media) | Self::Document(media) | Self::Sticker(media) =
            &mut self
            && let MediaSource::WhatsApp(place) = &mut media.source
        {
            **place = WhatsAppMedia::default();
        }
        self
    }
}

/// The message that another one answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// WhatsApp id of the quoted message.
    pub message_id: String,
    /// JID of who wrote it, when that is known.
    pub sender: Option<String>,
}

/// What goes with any content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    /// The message that this one answers.
    pub quote: Option<Quote>,
    /// JIDs of the people it mentions.
    #[serde(default)]
    pub mentions: Vec<String>,
    /// It can be looked at once.
    #[serde(default)]
    pub view_once: bool,
}
