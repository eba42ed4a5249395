//! What a message says, in a word and in plain text.

use switchboard_guest_sdk::types::Content;

/// What a message says in plain words: its text, or the caption of its file.
pub fn text_of(content: &Content) -> Option<&str> {
    match content {
        Content::Text(text) => Some(text),
        Content::Image(file) | Content::Video(file) | Content::Document(file) | Content::File(file) => {
            file.caption.as_deref()
        }
        Content::ButtonReply(choice) | Content::ListReply(choice) | Content::FlowReply(choice) => Some(&choice.title),
        Content::Interactive(question) => Some(&question.body),
        _ => None,
    }
}

/// The type of content in a word. Dialects that know fewer fold some of these into others.
pub fn type_of(content: &Content) -> &'static str {
    match content {
        Content::Text(_) => "text",
        Content::Image(_) => "image",
        Content::Video(_) => "video",
        Content::Audio(_) => "audio",
        Content::Document(_) => "document",
        Content::File(_) => "file",
        Content::Sticker(_) => "sticker",
        Content::Location(_) | Content::LiveLocation(_) => "location",
        Content::Contacts(_) => "contact",
        Content::Poll(_) => "poll",
        Content::Reaction(_) => "reaction",
        Content::Interactive(_) | Content::ButtonReply(_) | Content::ListReply(_) | Content::FlowReply(_) => "interactive",
        _ => "other",
    }
}
