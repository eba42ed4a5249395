//! Messages that offer something to choose, and the answers to them, as a phone shows them.

use serde_json::Value;
use waproto::whatsapp::Message;
use waproto::whatsapp::hydrated_template_button::HydratedButton;
use waproto::whatsapp::message::buttons_message::Header;
use waproto::whatsapp::message::buttons_response_message::Response;
use waproto::whatsapp::message::interactive_message::header::Media as HeaderMedia;
use waproto::whatsapp::message::interactive_message::{Header as TopHeader, InteractiveMessage as Payload};
use waproto::whatsapp::message::interactive_response_message::InteractiveResponseMessage as Answer;
use waproto::whatsapp::message::template_message::{Format, HydratedFourRowTemplate, hydrated_four_row_template::Title};
use waproto::whatsapp::message::{
    ButtonsMessage, InteractiveMessage, InteractiveResponseMessage, ListMessage, ListResponseMessage, TemplateMessage,
};

use super::content::{location, media, set};
use super::shapes::{
    ShownButton, ShownButtons, ShownChoice, ShownFlow, ShownHeader, ShownInteractive, ShownList, ShownMedia, ShownRow,
    ShownSection, ShownTemplate, ShownTemplateButton,
};
use super::shown::{ReceivedMessage, present};

/// How deep the JSON of a flow may be nested. The entry around it is stored, and JSON is read 128 levels deep only.
const DEPTH_MAX: usize = 32;

/// Messages that offer something to choose.
pub(super) fn question(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(buttons) = message.buttons_message.as_option() {
        set(entry, "buttons", buttons.context_info.as_option());
        entry.text = present(buttons.content_text.as_deref());
        entry.buttons = Some(shown_buttons(buttons));
    } else if let Some(list) = message.list_message.as_option() {
        set(entry, "list", list.context_info.as_option());
        entry.text = present(list.description.as_deref()).or_else(|| present(list.title.as_deref()));
        entry.list = Some(shown_list(list));
    } else if let Some(template) = message.template_message.as_option() {
        set(entry, "template", template.context_info.as_option());
        show_template(entry, template);
    } else if let Some(interactive) = message.interactive_message.as_option() {
        set(entry, "interactive", interactive.context_info.as_option());
        let shown = shown_interactive(interactive);
        entry.text.clone_from(&shown.text);
        entry.interactive = Some(shown);
    } else {
        return false;
    }
    true
}

/// What somebody chose from a message of the kind above.
pub(super) fn answer(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(choice) = message.buttons_response_message.as_option() {
        set(entry, "buttons_response", choice.context_info.as_option());
        entry.text = present(choice.selected_button_id.as_deref());
        let text = choice.response.as_ref().map(|Response::SelectedDisplayText(text)| text.clone());
        entry.buttons_response =
            Some(ShownChoice { id: choice.selected_button_id.clone().unwrap_or_default(), text, index: None });
    } else if let Some(choice) = message.list_response_message.as_option() {
        set(entry, "list_response", choice.context_info.as_option());
        entry.text = present(choice.title.as_deref());
        entry.list_response = Some(shown_row(choice));
    } else if let Some(choice) = message.template_button_reply_message.as_option() {
        set(entry, "template_button_reply", choice.context_info.as_option());
        entry.text = present(choice.selected_display_text.as_deref());
        entry.template_button_reply = Some(ShownChoice {
            id: choice.selected_id.clone().unwrap_or_default(),
            text: present(choice.selected_display_text.as_deref()),
            index: choice.selected_index,
        });
    } else if let Some(choice) = message.interactive_response_message.as_option() {
        set(entry, "interactive_response", choice.context_info.as_option());
        entry.text = choice.body.as_option().and_then(|body| present(body.text.as_deref()));
        entry.interactive_response = shown_flow_answer(choice);
    } else {
        return false;
    }
    true
}

fn shown_buttons(message: &ButtonsMessage) -> ShownButtons {
    let header = match &message.header {
        Some(Header::Text(text)) => present(Some(text)),
        _ => None,
    };
    let buttons = message.buttons.iter().map(|button| ShownButton {
        id: button.button_id.clone().unwrap_or_default(),
        text: button.button_text.as_option().and_then(|text| text.display_text.clone()).unwrap_or_default(),
    });
    ShownButtons {
        header,
        text: message.content_text.clone().unwrap_or_default(),
        footer: present(message.footer_text.as_deref()),
        buttons: buttons.collect(),
    }
}

fn shown_list(message: &ListMessage) -> ShownList {
    let sections = message.sections.iter().map(|section| {
        let rows = section.rows.iter().map(|row| ShownRow {
            id: row.row_id.clone().unwrap_or_default(),
            title: row.title.clone().unwrap_or_default(),
            description: present(row.description.as_deref()),
        });
        ShownSection { title: present(section.title.as_deref()), rows: rows.collect() }
    });
    ShownList {
        title: present(message.title.as_deref()),
        text: message.description.clone().unwrap_or_default(),
        button_text: message.button_text.clone().unwrap_or_default(),
        footer: present(message.footer_text.as_deref()),
        sections: sections.collect(),
    }
}

fn shown_row(choice: &ListResponseMessage) -> ShownRow {
    let id = choice.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.clone());
    ShownRow {
        id: id.unwrap_or_default(),
        title: choice.title.clone().unwrap_or_default(),
        description: present(choice.description.as_deref()),
    }
}

fn show_template(entry: &mut ReceivedMessage, message: &TemplateMessage) {
    let hydrated = match (&message.format, message.hydrated_template.as_option()) {
        (Some(Format::InteractiveMessageTemplate(interactive)), _) => {
            let shown = shown_interactive(interactive);
            entry.text.clone_from(&shown.text);
            entry.interactive = Some(shown);
            return;
        }
        (_, Some(hydrated)) => hydrated,
        (Some(Format::HydratedFourRowTemplate(hydrated)), None) => hydrated,
        _ => return,
    };
    entry.text = present(hydrated.hydrated_content_text.as_deref());
    entry.template = Some(shown_template(hydrated));
}

fn shown_template(hydrated: &HydratedFourRowTemplate) -> ShownTemplate {
    let title = match &hydrated.title {
        Some(Title::HydratedTitleText(text)) => present(Some(text)),
        _ => None,
    };
    let buttons = hydrated.hydrated_buttons.iter().filter_map(|button| match button.hydrated_button.as_ref()? {
        HydratedButton::QuickReplyButton(reply) => Some(ShownTemplateButton::QuickReply {
            id: reply.id.clone().unwrap_or_default(),
            text: reply.display_text.clone().unwrap_or_default(),
        }),
        HydratedButton::UrlButton(page) => Some(ShownTemplateButton::Url {
            text: page.display_text.clone().unwrap_or_default(),
            url: page.url.clone().unwrap_or_default(),
        }),
        HydratedButton::CallButton(call) => Some(ShownTemplateButton::Call {
            text: call.display_text.clone().unwrap_or_default(),
            phone_number: call.phone_number.clone().unwrap_or_default(),
        }),
    });
    ShownTemplate {
        title,
        text: hydrated.hydrated_content_text.clone().unwrap_or_default(),
        footer: present(hydrated.hydrated_footer_text.as_deref()),
        buttons: buttons.collect(),
    }
}

/// The message and its cards. A card has none of its own.
fn shown_interactive(message: &InteractiveMessage) -> ShownInteractive {
    let mut shown = shown_card(message);
    if let Some(Payload::CarouselMessage(carousel)) = &message.interactive_message {
        shown.cards = carousel.cards.iter().map(shown_card).collect();
    }
    shown
}

fn shown_card(message: &InteractiveMessage) -> ShownInteractive {
    let mut shown = ShownInteractive {
        title: message.header.as_option().and_then(|header| present(header.title.as_deref())),
        header: message.header.as_option().and_then(shown_header),
        text: message.body.as_option().and_then(|body| present(body.text.as_deref())),
        footer: message.footer.as_option().and_then(|footer| present(footer.text.as_deref())),
        ..ShownInteractive::default()
    };
    if let Some(Payload::NativeFlowMessage(flow)) = &message.interactive_message {
        let buttons = flow.buttons.iter().map(|button| ShownFlow {
            name: button.name.clone().unwrap_or_default(),
            params: params(button.button_params_json.as_deref()),
            text: None,
        });
        shown.buttons = buttons.collect();
        shown.params = flow.message_params_json.as_deref().filter(|json| !json.is_empty()).map(|json| params(Some(json)));
    }
    shown
}

/// The file or the place above; other things are not drawn.
fn shown_header(header: &TopHeader) -> Option<ShownHeader> {
    macro_rules! file {
        ($kind:expr, $file:expr) => {{
            let (kind, file) = ($kind.to_owned(), $file);
            let shown = media(file.mimetype.as_deref(), file.file_length, file.file_sha256.as_deref());
            ShownHeader { kind, media: Some(shown), location: None }
        }};
    }
    Some(match header.media.as_ref()? {
        HeaderMedia::ImageMessage(image) => file!("image", image),
        HeaderMedia::VideoMessage(video) => file!("video", video),
        HeaderMedia::DocumentMessage(document) => {
            let shown = file!("document", document);
            let file_name = present(document.file_name.as_deref());
            ShownHeader { media: shown.media.map(|media| ShownMedia { file_name, ..media }), ..shown }
        }
        HeaderMedia::LocationMessage(place) => {
            ShownHeader { kind: "location".to_owned(), media: None, location: Some(location(place)) }
        }
        HeaderMedia::JpegThumbnail(_) | HeaderMedia::ProductMessage(_) => return None,
    })
}

fn shown_flow_answer(choice: &InteractiveResponseMessage) -> Option<ShownFlow> {
    let Answer::NativeFlowResponseMessage(flow) = choice.interactive_response_message.as_ref()?;
    Some(ShownFlow {
        name: flow.name.clone().unwrap_or_default(),
        params: params(flow.params_json.as_deref()),
        text: choice.body.as_option().and_then(|body| present(body.text.as_deref())),
    })
}

/// A client may send anything as JSON; what is none, or is nested too deep, is shown as the text it is.
fn params(json: Option<&str>) -> Value {
    let json = json.unwrap_or_default();
    serde_json::from_str(json)
        .ok()
        .filter(|value| is_flat(value, DEPTH_MAX))
        .unwrap_or_else(|| Value::String(json.to_owned()))
}

fn is_flat(value: &Value, depth_left: usize) -> bool {
    let Some(left) = depth_left.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(values) => values.iter().all(|value| is_flat(value, left)),
        Value::Object(values) => values.values().all(|value| is_flat(value, left)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::params;

    #[test]
    fn params_that_are_no_json_or_too_deep_stay_text() {
        assert_eq!(params(Some("{\"id\":[1]}")), json!({ "id": [1] }));
        assert_eq!(params(Some("{id")), json!("{id"));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(params(Some(&deep)), Value::String(deep));
    }
}
