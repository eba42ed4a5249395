//! Messages that offer something to choose, and the answers to them, as they came in.

use serde::Deserialize;
use switchboard_core::records::content::{Button, ButtonAction, Choice, Content, Interactive, ListRow, ListSection};
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
            action: None,
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
            ..Interactive::default()
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
        let rows = section.rows.iter().map(|row| ListRow {
            id: row.row_id.clone().unwrap_or_default(),
            title: row.title.clone().unwrap_or_default(),
            description: row.description.clone().filter(|text| !text.is_empty()),
        });
        ListSection { title: section.title.clone().unwrap_or_default(), rows: rows.collect() }
    });
    Interactive {
        header: list.title.clone(),
        body: list.description.clone().unwrap_or_default(),
        footer: list.footer_text.clone(),
        sections: sections.collect(),
        list_button: list.button_text.clone(),
        ..Interactive::default()
    }
}

fn flow_question(asked: &wa::message::InteractiveMessage) -> Interactive {
    let mut question = Interactive {
        header: asked.header.as_option().and_then(|header| header.title.clone()),
        body: asked.body.as_option().and_then(|body| body.text.clone()).unwrap_or_default(),
        footer: asked.footer.as_option().and_then(|footer| footer.text.clone()),
        ..Interactive::default()
    };
    if let Some(Payload::NativeFlowMessage(flow)) = &asked.interactive_message {
        for button in &flow.buttons {
            let (name, json) = (button.name.as_deref().unwrap_or_default(), button.button_params_json.as_deref());
            match serde_json::from_str(json.unwrap_or_default()) {
                Ok(FlowParameters { sections: Some(sections), title, .. }) if name == "single_select" => {
                    question.sections.extend(sections.into_iter().map(FlowSection::read));
                    question.list_button = title;
                }
                Ok(parameters) => question.buttons.push(parameters.button(name, json.unwrap_or_default())),
                Err(_) => question.buttons.push(FlowParameters::default().button(name, json.unwrap_or_default())),
            }
        }
    }
    question
}

/// What a button of a flow carries.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowParameters {
    display_text: Option<String>,
    id: Option<String>,
    url: Option<String>,
    phone_number: Option<String>,
    copy_code: Option<String>,
    title: Option<String>,
    sections: Option<Vec<FlowSection>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowSection {
    title: String,
    rows: Vec<FlowRow>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowRow {
    id: String,
    title: String,
    description: Option<String>,
}

impl FlowParameters {
    /// A button of this name. One of a kind that has no words here carries its JSON as its id.
    fn button(self, name: &str, json: &str) -> Button {
        let action = match name {
            "cta_url" => self.url.map(ButtonAction::Url),
            "cta_call" => self.phone_number.map(ButtonAction::Call),
            "cta_copy" => self.copy_code.map(ButtonAction::Copy),
            _ => None,
        };
        let known = action.is_some() || name == "quick_reply";
        let id = if known { self.id.unwrap_or_default() } else { json.to_owned() };
        Button { id, title: self.display_text.unwrap_or_else(|| name.to_owned()), action }
    }
}

impl FlowSection {
    fn read(self) -> ListSection {
        let row = |row: FlowRow| ListRow { id: row.id, title: row.title, description: row.description };
        ListSection { title: self.title, rows: self.rows.into_iter().map(row).collect() }
    }
}

fn template_question(hydrated: &HydratedFourRowTemplate) -> Interactive {
    let header = match &hydrated.title {
        Some(Title::HydratedTitleText(text)) => Some(text.clone()),
        _ => None,
    };
    let buttons = hydrated.hydrated_buttons.iter().filter_map(|button| {
        let (id, title, action) = match button.hydrated_button.as_ref()? {
            HydratedButton::QuickReplyButton(reply) => (reply.id.clone(), &reply.display_text, None),
            HydratedButton::UrlButton(page) => (None, &page.display_text, page.url.clone().map(ButtonAction::Url)),
            HydratedButton::CallButton(call) => {
                (None, &call.display_text, call.phone_number.clone().map(ButtonAction::Call))
            }
        };
        Some(Button { id: id.unwrap_or_default(), title: title.clone().unwrap_or_default(), action })
    });
    Interactive {
        header,
        body: hydrated.hydrated_content_text.clone().unwrap_or_default(),
        footer: hydrated.hydrated_footer_text.clone(),
        buttons: buttons.collect(),
        ..Interactive::default()
    }
}
