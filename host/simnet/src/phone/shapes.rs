//! How the parts of a message look in JSON: the same when a phone shows one and when its user writes one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

fn is_false(value: &bool) -> bool {
    !*value
}

/// The file a message refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMedia {
    /// Its media type.
    pub mime: String,
    /// Its length in bytes, before encryption.
    pub size: u64,
    /// The hash of the file before encryption, in lower-case hex.
    pub sha256: String,
    /// The name of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// How long a film or a recording is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// What a text shows of the page it links to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPreview {
    /// The link, as it stands in the text.
    pub url: String,
    /// The page's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the page says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPoll {
    /// The question.
    pub name: String,
    /// The answers on offer.
    pub options: Vec<String>,
    /// How many answers one may choose; 0 means any number.
    #[serde(default)]
    pub selectable_count: u32,
    /// Who has chosen what, once somebody has: the voters of each answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<BTreeMap<String, Vec<String>>>,
}

impl ShownPoll {
    /// Counts a vote; a later one of the same voter replaces it.
    pub(super) fn count(&mut self, voter: &str, options: &[String]) {
        let votes = self.votes.get_or_insert_default();
        for voters in votes.values_mut() {
            voters.retain(|other| other != voter);
        }
        for option in options {
            votes.entry(option.clone()).or_default().push(voter.to_owned());
        }
        votes.retain(|_, voters| !voters.is_empty());
    }
}

/// A vote on a poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPollVote {
    /// The poll's message id.
    pub poll_id: String,
    /// Who voted; not given when writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voter: Option<String>,
    /// What was chosen; nothing when a vote is taken back.
    pub options: Vec<String>,
}

/// A place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownLocation {
    /// In degrees.
    pub latitude: f64,
    /// In degrees.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A contact card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownContact {
    /// The name to show.
    pub display_name: String,
    /// The card itself.
    pub vcard: String,
}

/// A reaction to another message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownReaction {
    /// The other message's id.
    pub message_id: String,
    /// The emoji; empty when a reaction is taken back.
    pub emoji: String,
}

/// A pinned message, or one that is pinned no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPin {
    /// The other message's id.
    pub message_id: String,
    /// False when it is taken off.
    pub pinned: bool,
    /// How long it stays pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// A disappearing message that is kept, or one that is kept no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownKeep {
    /// The other message's id.
    pub message_id: String,
    /// False when it may disappear again.
    pub kept: bool,
}

/// The setting that lets the messages of a chat disappear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownEphemeral {
    /// After how long; 0 means never.
    pub seconds: u32,
}

/// An event one can come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownEvent {
    /// What it is called.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it begins, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_s: Option<i64>,
    /// When it ends, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_s: Option<i64>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<ShownLocation>,
    /// The link of the call it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_link: Option<String>,
    /// Whether it does not take place.
    #[serde(default, skip_serializing_if = "is_false")]
    pub canceled: bool,
    /// Whether guests may bring others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub extra_guests_allowed: bool,
}

/// Whether somebody comes to an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownEventResponse {
    /// The event's message id.
    pub event_id: String,
    /// Yes, no or perhaps.
    pub response: Attendance,
    /// How many others come along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_guests: Option<i32>,
}

/// Yes, no or perhaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attendance {
    /// An answer of a kind that is not known here.
    #[default]
    Unknown,
    /// Yes.
    Going,
    /// No.
    NotGoing,
    /// Perhaps.
    Maybe,
}

/// An invitation into a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownGroupInvite {
    /// The group's address.
    pub group: String,
    /// What opens the door.
    pub code: String,
    /// Until when it does, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<i64>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The text under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

/// A question with buttons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownButtons {
    /// The line above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The text.
    pub text: String,
    /// The line below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// The buttons.
    pub buttons: Vec<ShownButton>,
}

/// One button.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownButton {
    /// What the answer says.
    pub id: String,
    /// What the button says.
    pub text: String,
}

/// The answer to a question with buttons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownChoice {
    /// The chosen button's id.
    pub id: String,
    /// What the button says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The place of a template's button, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// A list to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownList {
    /// The line above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// What the button says that opens the list.
    pub button_text: String,
    /// The line below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// The list.
    pub sections: Vec<ShownSection>,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownSection {
    /// Its heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is in it.
    pub rows: Vec<ShownRow>,
}

/// A line of a list, or the answer that chose it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownRow {
    /// What the answer says.
    pub id: String,
    /// What the line says.
    pub title: String,
    /// What it says below that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A file or a place above native-flow buttons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownHeader {
    /// `image`, `video`, `document` or `location`.
    pub kind: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<ShownMedia>,
    /// The place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<ShownLocation>,
}

/// A message with native-flow buttons, or one of its cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownInteractive {
    /// The line above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is above in its stead. Shown alone: phones send none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<ShownHeader>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The line below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// The buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<ShownFlow>,
    /// What applies to all buttons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// The cards of a carousel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<ShownInteractive>,
}

/// A native-flow button, or the answer to one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownFlow {
    /// The flow: `quick_reply`, `cta_url` and so on.
    pub name: String,
    /// The flow's own JSON; a text where it is none.
    #[serde(default)]
    pub params: Value,
    /// The visible text of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A template with its places filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownTemplate {
    /// The line above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// The line below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// The buttons.
    #[serde(default)]
    pub buttons: Vec<ShownTemplateButton>,
}

/// One button of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ShownTemplateButton {
    /// Answers.
    QuickReply {
        /// What the answer says.
        id: String,
        /// What the button says.
        text: String,
    },
    /// Opens a page.
    Url {
        /// What the button says.
        text: String,
        /// The page.
        url: String,
    },
    /// Calls somebody.
    Call {
        /// What the button says.
        text: String,
        /// Whom.
        phone_number: String,
    },
}
