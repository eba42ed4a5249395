//! What a message says: an object under the name of its type.

use serde_json::Value;
use switchboard_dialect::payload;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::types::{
    Button, ContactCard, Content, Interactive, ListRow, ListSection, Media, MediaSource, Parameter, Poll, TemplateCall,
};
use switchboard_guest_sdk::{media_from, said_back};

/// Most options of a poll.
const OPTIONS_MAX: usize = 12;
/// Every type that can be asked for.
const TYPES: [&str; 10] =
    ["text", "image", "video", "audio", "document", "location", "contact", "template", "interactive", "poll"];

/// The content that these fields describe; `None` after a mistake was written down.
pub fn read(fields: &mut Fields) -> Option<Content> {
    let kind = fields.text("type").unwrap_or_else(|| "text".to_owned());
    if !TYPES.contains(&kind.as_str()) {
        fields.refuse("type", format!("{:?} is no type; there are: {}", said_back(&kind), TYPES.join(", ")));
        return None;
    }
    if kind == "text" {
        return text(fields).map(Content::Text);
    }
    fields.require(&kind);
    let mut inner = fields.object(&kind)?;
    let content = of_type(&kind, &mut inner);
    fields.absorb(inner);
    content
}

/// A text: `text:{body}`, `text`, `content` or `message`.
fn text(fields: &mut Fields) -> Option<String> {
    let is_object = fields.json("text").is_some_and(|text| matches!(serde_json::from_str(&text), Ok(Value::Object(_))));
    if is_object {
        let mut inner = fields.object("text")?;
        let body = inner.required_text("body");
        fields.absorb(inner);
        return Some(body);
    }
    let name = ["text", "content", "message"].into_iter().find(|name| fields.has(name)).unwrap_or("text");
    Some(fields.required_text(name))
}

fn of_type(kind: &str, inner: &mut Fields) -> Option<Content> {
    match kind {
        "image" => media(inner).map(Content::Image),
        "video" => media(inner).map(Content::Video),
        "audio" => {
            let voice_note = inner.flag("ptt").unwrap_or(false);
            media(inner).map(|media| Content::Audio(Media { voice_note, ..media }))
        }
        "document" => {
            let file_name = inner.text("filename");
            media(inner).map(|media| Content::Document(Media { file_name, ..media }))
        }
        "location" => payload::location(inner, "latitude", "longitude").map(Content::Location),
        "contact" => Some(Content::Contacts(vec![contact(inner)])),
        "poll" => Some(Content::Poll(poll(inner))),
        "template" => template(inner).map(Content::Template),
        "interactive" => interactive(inner).map(Content::Interactive),
        // The types were looked at before.
        _ => None,
    }
}

/// A file: `url`, or `base64`, which the host has taken into a blob already and replaced by its handle.
fn media(inner: &mut Fields) -> Option<Media> {
    let source = match (inner.has("url"), inner.has("base64")) {
        (true, false) => MediaSource::Url(inner.required_text("url")),
        (false, true) => MediaSource::Blob(inner.required_text("base64")),
        (true, true) => {
            inner.refuse("base64", "cannot stand beside url");
            return None;
        }
        (false, false) => {
            inner.require("url");
            return None;
        }
    };
    let caption = inner.text("caption").filter(|caption| !caption.is_empty());
    Some(Media { caption, ..media_from(source) })
}

fn contact(inner: &mut Fields) -> ContactCard {
    if inner.has("vcard") {
        let vcard = inner.required_text("vcard");
        let display_name = inner.text("name").or_else(|| name_in(&vcard)).unwrap_or_else(|| "Contact".to_owned());
        return ContactCard { display_name, phones: Vec::new(), vcard: Some(vcard) };
    }
    payload::contact(inner, "name", "phone")
}

/// The formatted name of a vCard.
fn name_in(vcard: &str) -> Option<String> {
    let line = vcard.lines().find_map(|line| line.strip_prefix("FN:"))?;
    Some(line.trim().to_owned()).filter(|name| !name.is_empty())
}

fn poll(inner: &mut Fields) -> Poll {
    let count = inner.within("selectable_count", 1, OPTIONS_MAX as u64, 1);
    let poll = payload::poll(inner, "question", "options", u32::try_from(count).unwrap_or(1));
    if poll.options.len() > OPTIONS_MAX {
        inner.refuse("options", format!("has {} entries; 2 to {OPTIONS_MAX} are allowed", poll.options.len()));
    }
    poll
}

/// A stored template: `params` is an object of named parameters, or a list of positional ones.
fn template(inner: &mut Fields) -> Option<TemplateCall> {
    let (name, language) = (inner.required_text("name"), inner.text("language"));
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let parameter = |(name, value): (String, Value)| Some(Parameter { name, value: text(value)? });
    let given = inner.json("params").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or(Value::Null);
    let parameters: Option<Vec<Parameter>> = match given {
        Value::Null => Some(Vec::new()),
        Value::Object(named) => named.into_iter().map(parameter).collect(),
        Value::Array(listed) => (1_u32..).zip(listed).map(|(n, value)| parameter((n.to_string(), value))).collect(),
        _ => None,
    };
    if parameters.is_none() {
        inner.refuse("params", "must be an object or a list of texts and numbers");
    }
    Some(TemplateCall { name, language, parameters: parameters? })
}

/// Buttons, or a list; as a text with numbered choices where `fallback` is `text`.
fn interactive(inner: &mut Fields) -> Option<Interactive> {
    let kind = inner.required_text("kind");
    let mut asked = Interactive {
        header: inner.text("header"),
        attachment: None,
        body: inner.required_text("body"),
        footer: inner.text("footer"),
        buttons: Vec::new(),
        sections: Vec::new(),
        list_button: None,
        plain_text: plain_text(inner),
    };
    match kind.as_str() {
        "buttons" => asked.buttons = items(inner, "buttons", button),
        "list" => {
            asked.list_button = Some(inner.required_text("button"));
            asked.sections = items(inner, "sections", section);
        }
        "" => {}
        other => inner.refuse("kind", format!("{:?} is no kind; there are: buttons, list", said_back(other))),
    }
    (!inner.is_wrong()).then_some(asked)
}

fn plain_text(inner: &mut Fields) -> bool {
    match inner.text("fallback").as_deref() {
        None => false,
        Some("text") => true,
        Some(other) => {
            inner.refuse("fallback", format!("{:?} is no fallback; there is: text", said_back(other)));
            false
        }
    }
}

/// A list of objects that must be there.
fn items<T>(fields: &mut Fields, name: &str, read: fn(&mut Fields) -> T) -> Vec<T> {
    fields.require(name);
    let mut items = Vec::new();
    for mut item in fields.objects(name).unwrap_or_default() {
        items.push(read(&mut item));
        fields.absorb(item);
    }
    items
}

fn button(item: &mut Fields) -> Button {
    Button { id: item.required_text("id"), title: item.required_text("title"), action: None }
}

fn section(item: &mut Fields) -> ListSection {
    ListSection { title: item.text("title").unwrap_or_default(), rows: items(item, "rows", row) }
}

fn row(item: &mut Fields) -> ListRow {
    let (id, title) = (item.required_text("id"), item.required_text("title"));
    ListRow { id, title, description: item.text("description") }
}
