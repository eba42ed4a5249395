//! Buttons and lists, from the words of the core to those of plugins and back.

use switchboard_core::records::content as core;

use super::{core_location, core_media, location, media};
use crate::bindings::switchboard::plugin::types as wit;

fn button(button: &core::Button) -> wit::Button {
    let action = button.action.as_ref().map(|action| match action {
        core::ButtonAction::Url(url) => wit::ButtonAction::Url(url.clone()),
        core::ButtonAction::Call(number) => wit::ButtonAction::Call(number.clone()),
        core::ButtonAction::Copy(code) => wit::ButtonAction::Copy(code.clone()),
    });
    wit::Button { id: button.id.clone(), title: button.title.clone(), action }
}

fn core_button(button: wit::Button) -> core::Button {
    let action = button.action.map(|action| match action {
        wit::ButtonAction::Url(url) => core::ButtonAction::Url(url),
        wit::ButtonAction::Call(number) => core::ButtonAction::Call(number),
        wit::ButtonAction::Copy(code) => core::ButtonAction::Copy(code),
    });
    core::Button { id: button.id, title: button.title, action }
}

fn row(row: &core::ListRow) -> wit::ListRow {
    wit::ListRow { id: row.id.clone(), title: row.title.clone(), description: row.description.clone() }
}

fn core_row(row: wit::ListRow) -> core::ListRow {
    core::ListRow { id: row.id, title: row.title, description: row.description }
}

fn attachment(attachment: &core::Attachment) -> wit::Attachment {
    match attachment {
        core::Attachment::Image(file) => wit::Attachment::Image(media(file)),
        core::Attachment::Video(file) => wit::Attachment::Video(media(file)),
        core::Attachment::Document(file) => wit::Attachment::Document(media(file)),
        core::Attachment::Location(place) => wit::Attachment::Location(location(place)),
    }
}

fn core_attachment(attachment: wit::Attachment) -> core::Attachment {
    match attachment {
        wit::Attachment::Image(file) => core::Attachment::Image(core_media(file)),
        wit::Attachment::Video(file) => core::Attachment::Video(core_media(file)),
        wit::Attachment::Document(file) => core::Attachment::Document(core_media(file)),
        wit::Attachment::Location(place) => core::Attachment::Location(core_location(place)),
    }
}

pub(super) fn interactive(interactive: &core::Interactive) -> wit::Interactive {
    let section = |section: &core::ListSection| wit::ListSection {
        title: section.title.clone(),
        rows: section.rows.iter().map(row).collect(),
    };
    wit::Interactive {
        header: interactive.header.clone(),
        attachment: interactive.attachment.as_ref().map(attachment),
        body: interactive.body.clone(),
        footer: interactive.footer.clone(),
        buttons: interactive.buttons.iter().map(button).collect(),
        sections: interactive.sections.iter().map(section).collect(),
        list_button: interactive.list_button.clone(),
        plain_text: interactive.plain_text,
    }
}

pub(super) fn core_interactive(interactive: wit::Interactive) -> core::Interactive {
    let section = |section: wit::ListSection| core::ListSection {
        title: section.title,
        rows: section.rows.into_iter().map(core_row).collect(),
    };
    core::Interactive {
        header: interactive.header,
        attachment: interactive.attachment.map(core_attachment),
        body: interactive.body,
        footer: interactive.footer,
        buttons: interactive.buttons.into_iter().map(core_button).collect(),
        sections: interactive.sections.into_iter().map(section).collect(),
        list_button: interactive.list_button,
        plain_text: interactive.plain_text,
    }
}
