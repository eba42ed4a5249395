//! Between the core's records and the WIT package's.

use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::content as core;
use switchboard_core::records::event::{Event, Fact, Incoming};
use switchboard_core::records::message::{Message, MessageState};
use switchboard_core::records::session::{Session, SessionState};

use crate::bindings::switchboard::plugin::types as wit;
use crate::verbs::VerbError;

pub(crate) fn field((name, value): &(String, String)) -> wit::Field {
    wit::Field { name: name.clone(), value: value.clone() }
}

pub(crate) fn key_kind(kind: KeyKind) -> wit::KeyKind {
    match kind {
        KeyKind::Tenant => wit::KeyKind::Tenant,
        KeyKind::Session => wit::KeyKind::Session,
        KeyKind::Personal => wit::KeyKind::Personal,
    }
}

pub(crate) fn core_key_kind(kind: wit::KeyKind) -> KeyKind {
    match kind {
        wit::KeyKind::Tenant => KeyKind::Tenant,
        wit::KeyKind::Session => KeyKind::Session,
        wit::KeyKind::Personal => KeyKind::Personal,
    }
}

pub(crate) fn principal(principal: &Principal) -> wit::Principal {
    wit::Principal {
        account: principal.tenant.0,
        kind: key_kind(principal.kind),
        session: principal.session.map(|session| session.0),
        scopes: principal.scopes.clone(),
        test: principal.test,
    }
}

pub(crate) fn session_state(state: SessionState) -> wit::SessionState {
    match state {
        SessionState::Created => wit::SessionState::Created,
        SessionState::Pairing => wit::SessionState::Pairing,
        SessionState::Connected => wit::SessionState::Connected,
        SessionState::Reconnecting => wit::SessionState::Reconnecting,
        SessionState::Disconnected => wit::SessionState::Disconnected,
        SessionState::LoggedOut => wit::SessionState::LoggedOut,
        SessionState::Replaced => wit::SessionState::Replaced,
        SessionState::Banned => wit::SessionState::Banned,
        SessionState::Failed => wit::SessionState::Failed,
    }
}

pub(crate) fn session(session: &Session) -> wit::Session {
    let setting =
        |(name, value): (&String, &serde_json::Value)| wit::Setting { name: name.clone(), value: value.to_string() };
    wit::Session {
        id: session.id.0,
        name: session.name.clone(),
        phone_number: session.phone_number.clone(),
        state: session_state(session.state),
        reason: session.reason.clone(),
        jid: session.jid.clone(),
        lid: session.lid.clone(),
        settings: session.settings.iter().map(setting).collect(),
        created_at_ms: session.created_at.0,
        updated_at_ms: session.updated_at.0,
        last_active_at_ms: session.last_active_at.map(|at| at.0),
    }
}

fn message_state(state: MessageState) -> wit::MessageState {
    match state {
        MessageState::Queued => wit::MessageState::Queued,
        MessageState::Leased => wit::MessageState::Leased,
        MessageState::Sent => wit::MessageState::Sent,
        MessageState::Acknowledged => wit::MessageState::Acknowledged,
        MessageState::Delivered => wit::MessageState::Delivered,
        MessageState::Read => wit::MessageState::Read,
        MessageState::Played => wit::MessageState::Played,
        MessageState::Failed => wit::MessageState::Failed,
        MessageState::Expired => wit::MessageState::Expired,
        MessageState::Cancelled => wit::MessageState::Cancelled,
    }
}

pub(crate) fn message(message: &Message) -> wit::Message {
    wit::Message {
        id: message.id.0,
        session: message.session.0,
        to: message.to.clone(),
        content: content(&message.content),
        extras: extras(&message.extras),
        whatsapp_id: message.whatsapp_id.clone(),
        state: message_state(message.state),
        reason: message.reason.clone(),
        accepted_at_ms: message.accepted_at.0,
        updated_at_ms: message.updated_at.0,
    }
}

fn media(media: &core::Media) -> wit::Media {
    wit::Media {
        source: match &media.source {
            core::MediaSource::Url(url) => wit::MediaSource::Url(url.clone()),
            core::MediaSource::Blob(blob) => wit::MediaSource::Blob(blob.clone()),
        },
        mime: media.mime.clone(),
        caption: media.caption.clone(),
        file_name: media.file_name.clone(),
        voice_note: media.voice_note,
        gif: media.gif,
    }
}

fn core_media(media: wit::Media) -> core::Media {
    core::Media {
        source: match media.source {
            wit::MediaSource::Url(url) => core::MediaSource::Url(url),
            wit::MediaSource::Blob(blob) => core::MediaSource::Blob(blob),
        },
        mime: media.mime,
        caption: media.caption,
        file_name: media.file_name,
        voice_note: media.voice_note,
        gif: media.gif,
    }
}

fn button(button: &core::Button) -> wit::Button {
    wit::Button { id: button.id.clone(), title: button.title.clone() }
}

fn core_button(button: wit::Button) -> core::Button {
    core::Button { id: button.id, title: button.title }
}

fn contact_card(card: &core::ContactCard) -> wit::ContactCard {
    wit::ContactCard { display_name: card.display_name.clone(), phones: card.phones.clone(), vcard: card.vcard.clone() }
}

fn interactive(interactive: &core::Interactive) -> wit::Interactive {
    let section = |section: &core::ListSection| wit::ListSection {
        title: section.title.clone(),
        rows: section.rows.iter().map(button).collect(),
    };
    wit::Interactive {
        header: interactive.header.clone(),
        body: interactive.body.clone(),
        footer: interactive.footer.clone(),
        buttons: interactive.buttons.iter().map(button).collect(),
        sections: interactive.sections.iter().map(section).collect(),
    }
}

fn core_interactive(interactive: wit::Interactive) -> core::Interactive {
    let section = |section: wit::ListSection| core::ListSection {
        title: section.title,
        rows: section.rows.into_iter().map(core_button).collect(),
    };
    core::Interactive {
        header: interactive.header,
        body: interactive.body,
        footer: interactive.footer,
        buttons: interactive.buttons.into_iter().map(core_button).collect(),
        sections: interactive.sections.into_iter().map(section).collect(),
    }
}

fn template(call: &core::TemplateCall) -> wit::TemplateCall {
    let parameter = |(name, value): &(String, String)| wit::Parameter { name: name.clone(), value: value.clone() };
    wit::TemplateCall {
        name: call.name.clone(),
        language: call.language.clone(),
        parameters: call.parameters.iter().map(parameter).collect(),
    }
}

pub(crate) fn content(content: &core::Content) -> wit::Content {
    match content {
        core::Content::Text(text) => wit::Content::Text(text.clone()),
        core::Content::Image(image) => wit::Content::Image(media(image)),
        core::Content::Video(video) => wit::Content::Video(media(video)),
        core::Content::Audio(audio) => wit::Content::Audio(media(audio)),
        core::Content::Document(document) => wit::Content::Document(media(document)),
        core::Content::Sticker(sticker) => wit::Content::Sticker(media(sticker)),
        core::Content::Location(place) => wit::Content::Location(wit::Location {
            latitude: place.latitude,
            longitude: place.longitude,
            name: place.name.clone(),
            address: place.address.clone(),
        }),
        core::Content::Contacts(cards) => wit::Content::Contacts(cards.iter().map(contact_card).collect()),
        core::Content::Poll(poll) => wit::Content::Poll(wit::Poll {
            name: poll.name.clone(),
            options: poll.options.clone(),
            selectable_count: poll.selectable_count,
        }),
        core::Content::Reaction(reaction) => {
            wit::Content::Reaction(wit::Reaction { message_id: reaction.message_id.clone(), emoji: reaction.emoji.clone() })
        }
        core::Content::Interactive(inner) => wit::Content::Interactive(interactive(inner)),
        core::Content::Template(call) => wit::Content::Template(template(call)),
        core::Content::Other(name) => wit::Content::Other(name.clone()),
    }
}

pub(crate) fn core_content(content: wit::Content) -> core::Content {
    match content {
        wit::Content::Text(text) => core::Content::Text(text),
        wit::Content::Image(image) => core::Content::Image(core_media(image)),
        wit::Content::Video(video) => core::Content::Video(core_media(video)),
        wit::Content::Audio(audio) => core::Content::Audio(core_media(audio)),
        wit::Content::Document(document) => core::Content::Document(core_media(document)),
        wit::Content::Sticker(sticker) => core::Content::Sticker(core_media(sticker)),
        wit::Content::Location(place) => core::Content::Location(core::Location {
            latitude: place.latitude,
            longitude: place.longitude,
            name: place.name,
            address: place.address,
        }),
        wit::Content::Contacts(cards) => {
            let card = |card: wit::ContactCard| core::ContactCard {
                display_name: card.display_name,
                phones: card.phones,
                vcard: card.vcard,
            };
            core::Content::Contacts(cards.into_iter().map(card).collect())
        }
        wit::Content::Poll(poll) => core::Content::Poll(core::Poll {
            name: poll.name,
            options: poll.options,
            selectable_count: poll.selectable_count,
        }),
        wit::Content::Reaction(reaction) => {
            core::Content::Reaction(core::Reaction { message_id: reaction.message_id, emoji: reaction.emoji })
        }
        wit::Content::Interactive(inner) => core::Content::Interactive(core_interactive(inner)),
        wit::Content::Template(call) => core::Content::Template(core::TemplateCall {
            name: call.name,
            language: call.language,
            parameters: call.parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect(),
        }),
        wit::Content::Other(name) => core::Content::Other(name),
    }
}

pub(crate) fn extras(extras: &core::Extras) -> wit::Extras {
    let quote = |quote: &core::Quote| wit::Quote { message_id: quote.message_id.clone(), sender: quote.sender.clone() };
    wit::Extras { quote: extras.quote.as_ref().map(quote), mentions: extras.mentions.clone(), view_once: extras.view_once }
}

pub(crate) fn core_extras(extras: wit::Extras) -> core::Extras {
    let quote = |quote: wit::Quote| core::Quote { message_id: quote.message_id, sender: quote.sender };
    core::Extras { quote: extras.quote.map(quote), mentions: extras.mentions, view_once: extras.view_once }
}

fn incoming(incoming: &Incoming) -> wit::Incoming {
    wit::Incoming {
        id: incoming.whatsapp_id.clone(),
        chat: incoming.chat.clone(),
        sender: wit::Contact {
            jid: incoming.from.clone(),
            phone: incoming.from_phone.clone(),
            lid: incoming.from_lid.clone(),
            push_name: incoming.push_name.clone(),
        },
        from_me: incoming.from_me,
        group: incoming.group,
        sent_at_ms: incoming.sent_at.0,
        content: content(&incoming.content),
        extras: extras(&incoming.extras),
    }
}

pub(crate) fn event(event: &Event) -> wit::Event {
    let fact = match &event.fact {
        Fact::MessageReceived(received) => wit::Fact::MessageReceived(incoming(received)),
        Fact::MessageState { message, whatsapp_id, chat, state, reason } => wit::Fact::MessageState(wit::MessageProgress {
            message: message.0,
            whatsapp_id: whatsapp_id.clone(),
            chat: chat.clone(),
            state: message_state(*state),
            reason: reason.clone(),
        }),
        Fact::SessionState { state, reason } => {
            wit::Fact::SessionState(wit::SessionProgress { state: session_state(*state), reason: reason.clone() })
        }
    };
    wit::Event {
        number: event.n,
        kind: event.fact.type_name().to_owned(),
        at_ms: event.at.0,
        session: event.session.0,
        fact,
    }
}

pub(crate) fn host_error(error: VerbError) -> wit::HostError {
    match error {
        VerbError::NotFound => wit::HostError::NotFound,
        VerbError::Denied(why) => wit::HostError::Denied(why),
        VerbError::Invalid { field, why } => wit::HostError::Invalid(wit::InvalidField { field, why }),
        VerbError::NotConnected(state) => wit::HostError::NotConnected(session_state(state)),
        VerbError::NotYet(what) => wit::HostError::NotYet(what),
        VerbError::Conflict(why) => wit::HostError::Conflict(why),
        VerbError::Unavailable(why) => wit::HostError::Unavailable(why),
    }
}
