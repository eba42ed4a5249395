//! What a message says: one variant that names every type of message.

use serde::{Deserialize, Serialize};

/// Where the bytes of a media message are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// To be fetched from this URL.
    Url(String),
    /// A blob of the tenant, by its handle.
    Blob(String),
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
    pub voice_note: bool,
    /// A film that plays as a GIF.
    pub gif: bool,
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

/// A contact's card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactCard {
    /// The name that is shown.
    pub display_name: String,
    /// Telephone numbers.
    pub phones: Vec<String>,
    /// The whole vCard, when the sender gave one.
    pub vcard: Option<String>,
}

/// A poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// The question.
    pub name: String,
    /// The answers to choose from.
    pub options: Vec<String>,
    /// How many answers one person may choose; 0 for any number.
    pub selectable_count: u32,
}

/// An emoji on another message; an empty emoji takes it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// WhatsApp id of the other message.
    pub message_id: String,
    /// The emoji.
    pub emoji: String,
}

/// A button of an interactive message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Button {
    /// What comes back when it is pressed.
    pub id: String,
    /// What it says.
    pub title: String,
}

/// Rows of a list message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListSection {
    /// What stands above the rows.
    pub title: String,
    /// The rows.
    pub rows: Vec<Button>,
}

/// A message with buttons or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interactive {
    /// What stands above.
    pub header: Option<String>,
    /// The text.
    pub body: String,
    /// What stands below.
    pub footer: Option<String>,
    /// Reply buttons.
    pub buttons: Vec<Button>,
    /// Sections of a list.
    pub sections: Vec<ListSection>,
}

/// A stored template with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateCall {
    /// The template's name.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: Option<String>,
    /// Parameters by name; positional ones are named `1`, `2`, …
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
    /// A place.
    Location(Location),
    /// Cards of contacts.
    Contacts(Vec<ContactCard>),
    /// A poll.
    Poll(Poll),
    /// An emoji on another message.
    Reaction(Reaction),
    /// Buttons or a list.
    Interactive(Interactive),
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
            Self::Location(_) => "location",
            Self::Contacts(_) => "contacts",
            Self::Poll(_) => "poll",
            Self::Reaction(_) => "reaction",
            Self::Interactive(_) => "interactive",
            Self::Template(_) => "template",
            Self::Other(name) => name,
        }
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
