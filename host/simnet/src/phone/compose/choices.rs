//! Messages that offer something to choose, and the answers to them.

use serde_json::Value;
use waproto::buffa::MessageField;
use waproto::whatsapp::hydrated_template_button::{
    HydratedButton, HydratedCallButton, HydratedQuickReplyButton, HydratedURLButton,
};
use waproto::whatsapp::message::buttons_message::{Button, Header, HeaderType, button};
use waproto::whatsapp::message::buttons_response_message::{self, Response};
use waproto::whatsapp::message::interactive_message::{
    self, Body, CarouselMessage, Footer, NativeFlowMessage, native_flow_message::NativeFlowButton,
};
use waproto::whatsapp::message::interactive_response_message::{self, NativeFlowResponseMessage};
use waproto::whatsapp::message::list_message::{ListType, Row, Section};
use waproto::whatsapp::message::list_response_message::{self, SingleSelectReply};
use waproto::whatsapp::message::template_message::{Format, HydratedFourRowTemplate, hydrated_four_row_template::Title};
use waproto::whatsapp::message::{
    ButtonsMessage, ButtonsResponseMessage, InteractiveMessage, InteractiveResponseMessage, ListMessage,
    ListResponseMessage, TemplateButtonReplyMessage, TemplateMessage,
};
use waproto::whatsapp::{HydratedTemplateButton, Message};

use super::{ComposeFault, TEXT_BYTES_MAX, check_length, secret};
use crate::phone::known::KnownMessage;
use crate::phone::shapes::{
    ShownButtons, ShownChoice, ShownFlow, ShownInteractive, ShownList, ShownRow, ShownTemplate, ShownTemplateButton,
};

/// Buttons, lines or cards in one message; real limits are lower and differ by kind.
const CHOICES_MAX: usize = 100;
/// The version of native-flow messages.
const FLOW_VERSION: i32 = 1;
/// The version in answers to them (Baileys 7 reads any).
const FLOW_ANSWER_VERSION: i32 = 3;

pub(super) fn buttons(shown: ShownButtons) -> Result<Message, ComposeFault> {
    check_length("buttons.text", &shown.text, TEXT_BYTES_MAX)?;
    check_count("buttons.buttons", shown.buttons.len())?;
    let buttons = shown.buttons.into_iter().map(|shown| Button {
        button_id: Some(shown.id),
        button_text: MessageField::some(button::ButtonText { display_text: Some(shown.text) }),
        r#type: Some(button::Type::RESPONSE),
        ..Button::default()
    });
    let header_type = if shown.header.is_some() { HeaderType::TEXT } else { HeaderType::EMPTY };
    fresh(Message {
        buttons_message: MessageField::some(ButtonsMessage {
            content_text: Some(shown.text),
            footer_text: shown.footer,
            buttons: buttons.collect(),
            header_type: Some(header_type),
            header: shown.header.map(Header::Text),
            ..ButtonsMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn buttons_response(choice: ShownChoice, quoted: Option<&KnownMessage>) -> Result<Message, ComposeFault> {
    let question = asked("buttons_response", quoted)?;
    let offered = question.buttons_message.as_option().map(|asked| {
        let button = asked.buttons.iter().find(|button| button.button_id.as_deref() == Some(&choice.id));
        button.and_then(|button| button.button_text.as_option()?.display_text.clone())
    });
    let text = chosen("buttons_response.id", &choice.id, offered)?;
    if choice.index.is_some() {
        return Err(ComposeFault::field("buttons_response.index", "only a template's button has one".to_owned()));
    }
    fresh(Message {
        buttons_response_message: MessageField::some(ButtonsResponseMessage {
            selected_button_id: Some(choice.id),
            r#type: Some(buttons_response_message::Type::DISPLAY_TEXT),
            response: Some(Response::SelectedDisplayText(choice.text.unwrap_or(text))),
            ..ButtonsResponseMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn list(shown: ShownList) -> Result<Message, ComposeFault> {
    check_length("list.text", &shown.text, TEXT_BYTES_MAX)?;
    check_length("list.button_text", &shown.button_text, TEXT_BYTES_MAX)?;
    check_count("list.sections", shown.sections.len())?;
    check_count("list.sections.rows", shown.sections.iter().map(|section| section.rows.len()).sum())?;
    let sections = shown.sections.into_iter().map(|section| {
        let rows = section.rows.into_iter().map(|row| Row {
            title: Some(row.title),
            description: row.description,
            row_id: Some(row.id),
        });
        Section { title: section.title, rows: rows.collect() }
    });
    fresh(Message {
        list_message: MessageField::some(ListMessage {
            title: shown.title,
            description: Some(shown.text),
            button_text: Some(shown.button_text),
            footer_text: shown.footer,
            list_type: Some(ListType::SINGLE_SELECT),
            sections: sections.collect(),
            ..ListMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn list_response(row: ShownRow, quoted: Option<&KnownMessage>) -> Result<Message, ComposeFault> {
    let question = asked("list_response", quoted)?;
    let offered = question.list_message.as_option().map(|asked| {
        let rows = asked.sections.iter().flat_map(|section| &section.rows);
        rows.into_iter().find(|offered| offered.row_id.as_deref() == Some(&row.id)).and_then(|row| row.title.clone())
    });
    chosen("list_response.id", &row.id, offered)?;
    fresh(Message {
        list_response_message: MessageField::some(ListResponseMessage {
            title: Some(row.title),
            description: row.description,
            list_type: Some(list_response_message::ListType::SINGLE_SELECT),
            single_select_reply: MessageField::some(SingleSelectReply { selected_row_id: Some(row.id) }),
            ..ListResponseMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn interactive(shown: ShownInteractive) -> Result<Message, ComposeFault> {
    if shown.header.is_some() || shown.cards.iter().any(|card| card.header.is_some()) {
        return Err(ComposeFault::field(
            "interactive.header",
            "phones send none here; `title` is the line above".to_owned(),
        ));
    }
    let message = if shown.cards.is_empty() {
        check_count("interactive.buttons", shown.buttons.len())?;
        card(shown)
    } else {
        carousel(shown)?
    };
    fresh(Message { interactive_message: MessageField::some(message), ..Message::default() })
}

fn carousel(mut shown: ShownInteractive) -> Result<InteractiveMessage, ComposeFault> {
    let cards = std::mem::take(&mut shown.cards);
    check_count("interactive.cards", cards.len())?;
    if cards.iter().any(|card| !card.cards.is_empty()) {
        return Err(ComposeFault::field("interactive.cards.cards", "a card has none of its own".to_owned()));
    }
    if !shown.buttons.is_empty() {
        return Err(ComposeFault::field("interactive.buttons", "they belong on the cards".to_owned()));
    }
    let cards = CarouselMessage {
        cards: cards.into_iter().map(card).collect(),
        message_version: Some(FLOW_VERSION),
        ..CarouselMessage::default()
    };
    Ok(InteractiveMessage {
        interactive_message: Some(interactive_message::InteractiveMessage::CarouselMessage(Box::new(cards))),
        ..card(shown)
    })
}

fn card(shown: ShownInteractive) -> InteractiveMessage {
    let buttons = shown
        .buttons
        .into_iter()
        .map(|button| NativeFlowButton { name: Some(button.name), button_params_json: Some(json_text(button.params)) });
    let flow = NativeFlowMessage {
        buttons: buttons.collect(),
        message_params_json: shown.params.map(json_text),
        message_version: Some(FLOW_VERSION),
    };
    let header = shown.title.map(|title| interactive_message::Header {
        title: Some(title),
        has_media_attachment: Some(false),
        ..interactive_message::Header::default()
    });
    InteractiveMessage {
        header: field(header),
        body: field(shown.text.map(|text| Body { text: Some(text) })),
        footer: field(shown.footer.map(|text| Footer { text: Some(text), ..Footer::default() })),
        interactive_message: Some(interactive_message::InteractiveMessage::NativeFlowMessage(Box::new(flow))),
        ..InteractiveMessage::default()
    }
}

pub(super) fn interactive_response(flow: ShownFlow, quoted: Option<&KnownMessage>) -> Result<Message, ComposeFault> {
    asked("interactive_response", quoted)?;
    let body = flow.text.map(|text| interactive_response_message::Body {
        text: Some(text),
        ..interactive_response_message::Body::default()
    });
    let answer = NativeFlowResponseMessage {
        name: Some(flow.name),
        params_json: Some(json_text(flow.params)),
        version: Some(FLOW_ANSWER_VERSION),
    };
    fresh(Message {
        interactive_response_message: MessageField::some(InteractiveResponseMessage {
            body: field(body),
            interactive_response_message: Some(
                interactive_response_message::InteractiveResponseMessage::NativeFlowResponseMessage(Box::new(answer)),
            ),
            ..InteractiveResponseMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn template(shown: ShownTemplate) -> Result<Message, ComposeFault> {
    check_length("template.text", &shown.text, TEXT_BYTES_MAX)?;
    if shown.buttons.len() > CHOICES_MAX {
        check_count("template.buttons", shown.buttons.len())?;
    }
    let buttons = (0..).zip(shown.buttons).map(|(index, button)| HydratedTemplateButton {
        index: Some(index),
        hydrated_button: Some(template_button(button)),
    });
    let hydrated = HydratedFourRowTemplate {
        title: shown.title.map(Title::HydratedTitleText),
        hydrated_content_text: Some(shown.text),
        hydrated_footer_text: shown.footer,
        hydrated_buttons: buttons.collect(),
        ..HydratedFourRowTemplate::default()
    };
    // Clients read one or the other of the two places.
    fresh(Message {
        template_message: MessageField::some(TemplateMessage {
            hydrated_template: MessageField::some(hydrated.clone()),
            format: Some(Format::HydratedFourRowTemplate(Box::new(hydrated))),
            ..TemplateMessage::default()
        }),
        ..Message::default()
    })
}

fn template_button(button: ShownTemplateButton) -> HydratedButton {
    match button {
        ShownTemplateButton::QuickReply { id, text } => {
            HydratedButton::QuickReplyButton(Box::new(HydratedQuickReplyButton { display_text: Some(text), id: Some(id) }))
        }
        ShownTemplateButton::Url { text, url } => HydratedButton::UrlButton(Box::new(HydratedURLButton {
            display_text: Some(text),
            url: Some(url),
            ..HydratedURLButton::default()
        })),
        ShownTemplateButton::Call { text, phone_number } => HydratedButton::CallButton(Box::new(HydratedCallButton {
            display_text: Some(text),
            phone_number: Some(phone_number),
        })),
    }
}

pub(super) fn template_button_reply(choice: ShownChoice, quoted: Option<&KnownMessage>) -> Result<Message, ComposeFault> {
    let question = asked("template_button_reply", quoted)?;
    let offered = question.template_message.as_option().and_then(|asked| asked.hydrated_template.as_option()).map(|asked| {
        asked.hydrated_buttons.iter().find_map(|button| match &button.hydrated_button {
            Some(HydratedButton::QuickReplyButton(reply)) if reply.id.as_deref() == Some(&choice.id) => {
                reply.display_text.clone()
            }
            _ => None,
        })
    });
    let text = chosen("template_button_reply.id", &choice.id, offered)?;
    fresh(Message {
        template_button_reply_message: MessageField::some(TemplateButtonReplyMessage {
            selected_id: Some(choice.id),
            selected_display_text: Some(choice.text.unwrap_or(text)),
            selected_index: choice.index,
            ..TemplateButtonReplyMessage::default()
        }),
        ..Message::default()
    })
}

/// The question that an answer belongs to.
fn asked(field: &str, quoted: Option<&KnownMessage>) -> Result<Message, ComposeFault> {
    let quoted =
        quoted.ok_or_else(|| ComposeFault::field("quoted_id", format!("a {field} names the question it answers")))?;
    Ok(crate::phone::shown::unwrap(&quoted.message()).0.clone())
}

/// What the chosen thing says. `offered` is `None` when the question is of a kind in which nothing can be looked up.
fn chosen(field: &str, id: &str, offered: Option<Option<String>>) -> Result<String, ComposeFault> {
    match offered {
        Some(Some(text)) => Ok(text),
        Some(None) => Err(ComposeFault::field(field, format!("{id:?} is not on offer in the quoted message"))),
        None => Ok(id.to_owned()),
    }
}

fn check_count(field: &str, count: usize) -> Result<(), ComposeFault> {
    if count == 0 || count > CHOICES_MAX {
        return Err(ComposeFault::field(field, format!("{count}; 1 to {CHOICES_MAX} are allowed")));
    }
    Ok(())
}

fn fresh(message: Message) -> Result<Message, ComposeFault> {
    Ok(Message { message_context_info: secret(), ..message })
}

fn field<T: Default>(value: Option<T>) -> MessageField<T> {
    value.map_or_else(MessageField::none, MessageField::some)
}

/// A text stands for itself, so that something that is no JSON can be sent as well.
fn json_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    }
}
