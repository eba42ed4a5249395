//! Buttons and lists as WhatsApp's native flow: what phones of today draw.

use serde_json::{Value, json};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;

use switchboard_core::records::content::{Attachment, Button, ButtonAction, Interactive, ListSection};

use super::place;
use wa::message::interactive_message::header::Media;
use wa::message::interactive_message::native_flow_message::NativeFlowButton;
use wa::message::interactive_message::{Body, Footer, Header, InteractiveMessage as Payload, NativeFlowMessage};

/// Version of the parameters of native flows.
const PARAMETERS_VERSION: i32 = 1;

/// `file` is a message that names the file above, if there is one.
pub(super) fn to_protobuf(asked: &Interactive, file: Option<&wa::Message>) -> wa::Message {
    let mut buttons: Vec<NativeFlowButton> = asked.buttons.iter().map(button).collect();
    if !asked.sections.is_empty() {
        buttons.push(list(asked));
    }
    let flow = NativeFlowMessage { buttons, message_version: Some(PARAMETERS_VERSION), ..Default::default() };
    let header = header(asked, file);
    let footer = asked
        .footer
        .clone()
        .map_or_else(MessageField::none, |text| MessageField::some(Footer { text: Some(text), ..Default::default() }));
    let message = wa::message::InteractiveMessage {
        header,
        body: MessageField::some(Body { text: Some(asked.body.clone()) }),
        footer,
        interactive_message: Some(Payload::NativeFlowMessage(Box::new(flow))),
        ..Default::default()
    };
    wa::Message { interactive_message: MessageField::some(message), ..Default::default() }
}

fn header(asked: &Interactive, file: Option<&wa::Message>) -> MessageField<Header> {
    let media = match &asked.attachment {
        None => None,
        Some(Attachment::Location(at)) => Some(Media::from(place(at))),
        Some(Attachment::Image(_)) => file.and_then(|file| file.image_message.as_option()).cloned().map(Media::from),
        Some(Attachment::Video(_)) => file.and_then(|file| file.video_message.as_option()).cloned().map(Media::from),
        Some(Attachment::Document(_)) => file.and_then(|file| file.document_message.as_option()).cloned().map(Media::from),
    };
    if asked.header.is_none() && media.is_none() {
        return MessageField::none();
    }
    let has_media_attachment = Some(media.is_some());
    MessageField::some(Header { title: asked.header.clone(), has_media_attachment, media, ..Default::default() })
}

fn flow(name: &str, parameters: &Value) -> NativeFlowButton {
    NativeFlowButton { name: Some(name.to_owned()), button_params_json: Some(parameters.to_string()) }
}

fn button(button: &Button) -> NativeFlowButton {
    let title = &button.title;
    match &button.action {
        None => flow("quick_reply", &json!({ "display_text": title, "id": button.id })),
        Some(ButtonAction::Url(url)) => flow("cta_url", &json!({ "display_text": title, "url": url, "merchant_url": url })),
        Some(ButtonAction::Call(number)) => flow("cta_call", &json!({ "display_text": title, "phone_number": number })),
        Some(ButtonAction::Copy(code)) => flow("cta_copy", &json!({ "display_text": title, "copy_code": code })),
    }
}

fn list(asked: &Interactive) -> NativeFlowButton {
    let sections: Vec<Value> = asked.sections.iter().map(section).collect();
    flow("single_select", &json!({ "title": asked.list_button, "sections": sections }))
}

fn section(section: &ListSection) -> Value {
    let rows: Vec<Value> = section
        .rows
        .iter()
        .map(|row| {
            // Phones draw an empty line for an empty description.
            match &row.description {
                Some(description) => json!({ "id": row.id, "title": row.title, "description": description }),
                None => json!({ "id": row.id, "title": row.title }),
            }
        })
        .collect();
    json!({ "title": section.title, "rows": rows })
}
