//! Messages that offer something to choose, and the answers to them, as they came in.

use switchboard_core::records::content::{Button, Choice, Content, Interactive, ListSection};
use whatsapp_rust::waproto::whatsapp as wa;

use wa::hydrated_template_button::HydratedButton;
use wa::message::buttons_message::Header;
use wa::message::buttons_response_message::Response;
use wa::message::interactive_message::InteractiveMessage as Payload;
use wa::message::interactive_response_message::InteractiveResponseMessage as Answer;
use wa::message::template_message::hydrated_four_row_template::Title;
use wa::message::template_message::{Format, HydratedFourRowTemplate};

/// A question or an answer, if the message is one.
pub(super) fn content(message: &wa::Message) -> Option<Content> {
    answer(message).or_else(|| question(message).map(Content::Interactive))
}

fn answer(message: &wa::Message) -> Option<Content> {
    if let Some(choice) = message.buttons_response_message.as_option() {
        let title = choice.response.as_ref().map(|Response::SelectedDisplayText(text)| text.clone());
        let id = choice.selected_button_id.clone().unwrap_or_default();
        return Some(Content::ButtonReply(Choice { id, title: title.unwrap_or_default() }));
    }
    if let Some(choice) = message.template_button_reply_message.as_option() {
        return Some(Content::ButtonReply(Choice {
            id: choice.selected_id.clone().unwrap_or_default(),
            title: choice.selected_display_text.clone().unwrap_or_default(),
        }));
    }
    if let Some(choice) = message.list_response_message.as_option() {
        let id = choice.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.clone());
        let title = choice.title.clone().unwrap_or_default();
        return Some(Content::ListReply(Choice { id: id.unwrap_or_default(), title }));
    }
    let choice = message.interactive_response_message.as_option()?;
    let Answer::NativeFlowResponseMessage(flow) = choice.interactive_response_message.as_ref()?;
    let title = choice.body.as_option().and_then(|body| body.text.clone()).unwrap_or_default();
    Some(Content::FlowReply(Choice { id: flow.params_json.clone().unwrap_or_default(), title }))
}

fn question(message: &wa::Message) -> Option<Interactive> {
    if let Some(asked) = message.buttons_message.as_option() {
        let buttons = asked.buttons.iter().map(|button| Button {
            id: button.button_id.clone().unwrap_or_default(),
            title: button.button_text.as_option().and_then(|text| text.display_text.clone()).unwrap_or_default(),
        });
        let header = match &asked.header {
            Some(Header::Text(text)) => Some(text.clone()),
            _ => None,
        };
        return Some(Interactive {
            header,
            body: asked.content_text.clone().unwrap_or_default(),
            footer: asked.footer_text.clone(),
            buttons: buttons.collect(),
            sections: Vec::new(),
        });
    }
    if let Some(list) = message.list_message.as_option() {
        return Some(list_question(list));
    }
    if let Some(asked) = message.interactive_message.as_option() {
        return Some(flow_question(asked));
    }
    let template = message.template_message.as_option()?;
    match (&template.format, template.hydrated_template.as_option()) {
        (Some(Format::InteractiveMessageTemplate(asked)), _) => Some(flow_question(asked)),
        (_, Some(hydrated)) => Some(template_question(hydrated)),
        (Some(Format::HydratedFourRowTemplate(hydrated)), None) => Some(template_question(hydrated)),
        _ => None,
    }
}

fn list_question(list: &wa::message::ListMessage) -> Interactive {
    let sections = list.sections.iter().map(|section| {
        let rows = section
            .rows
            .iter()
            .map(|row| Button { id: row.row_id.clone().unwrap_or_default(), title: row.title.clone().unwrap_or_default() });
        ListSection { title: section.title.clone().unwrap_or_default(), rows: rows.collect() }
    });
    Interactive {
        header: list.title.clone(),
        body: list.description.clone().unwrap_or_default(),
        footer: list.footer_text.clone(),
        buttons: Vec::new(),
        sections: sections.collect(),
    }
}

/// A button of a flow carries JSON: that is its id, and its name is what it says.
fn flow_question(asked: &wa::message::InteractiveMessage) -> Interactive {
    let mut buttons = Vec::new();
    if let Some(Payload::NativeFlowMessage(flow)) = &asked.interactive_message {
        buttons.extend(flow.buttons.iter().map(|button| Button {
            id: button.button_params_json.clone().unwrap_or_default(),
            title: button.name.clone().unwrap_or_default(),
        }));
    }
    Interactive {
        header: asked.header.as_option().and_then(|header| header.title.clone()),
        body: asked.body.as_option().and_then(|body| body.text.clone()).unwrap_or_default(),
        footer: asked.footer.as_option().and_then(|footer| footer.text.clone()),
        buttons,
        sections: Vec::new(),
    }
}

fn template_question(hydrated: &HydratedFourRowTemplate) -> Interactive {
    let header = match &hydrated.title {
        Some(Title::HydratedTitleText(text)) => Some(text.clone()),
        _ => None,
    };
    let buttons = hydrated.hydrated_buttons.iter().filter_map(|button| {
        let (id, title) = match button.hydrated_button.as_ref()? {
            HydratedButton::QuickReplyButton(reply) => (reply.id.clone(), reply.display_text.clone()),
            HydratedButton::UrlButton(page) => (page.url.clone(), page.display_text.clone()),
            HydratedButton::CallButton(call) => (call.phone_number.clone(), call.display_text.clone()),
        };
        Some(Button { id: id.unwrap_or_default(), title: title.unwrap_or_default() })
    });
    Interactive {
        header,
        body: hydrated.hydrated_content_text.clone().unwrap_or_default(),
        footer: hydrated.hydrated_footer_text.clone(),
        buttons: buttons.collect(),
        sections: Vec::new(),
    }
}
