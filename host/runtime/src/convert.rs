//! Between the core's records and the WIT package's.

mod interactive;

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::content as core;
use switchboard_core::records::event::{Call, ChatActivity, ContactChange, Event, Fact, GroupChange, Incoming, StoredMedia};
use switchboard_core::records::message::{Message, MessageState};
use switchboard_core::records::session::{Session, SessionState};

use self::interactive::{core_interactive, interactive};
use crate::bindings::switchboard::plugin::types as wit;
use crate::verbs::{LimitStanding, VerbError};

pub(crate) fn field((name, value): &(String, String)) -> wit::Field {
    wit::Field { name: name.clone(), value: value.clone() }
}

pub(crate) fn key_kind(kind: KeyKind) -> wit::KeyKind {
    match kind {
        KeyKind::Tenant => wit::KeyKind::Tenant,
        KeyKind::Session => wit::KeyKind::Session,
        KeyKind::Personal => wit::KeyKind::Personal,
        KeyKind::Link => wit::KeyKind::Link,
    }
}

pub(crate) fn core_key_kind(kind: wit::KeyKind) -> KeyKind {
    match kind {
        wit::KeyKind::Tenant => KeyKind::Tenant,
        wit::KeyKind::Session => KeyKind::Session,
        wit::KeyKind::Personal => KeyKind::Personal,
        wit::KeyKind::Link => KeyKind::Link,
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

/// What a dialect keeps with something.
pub(crate) fn settings(settings: &serde_json::Map<String, serde_json::Value>) -> Vec<wit::Setting> {
    let setting =
        |(name, value): (&String, &serde_json::Value)| wit::Setting { name: name.clone(), value: value.to_string() };
    settings.iter().map(setting).collect()
}

pub(crate) fn session(session: &Session) -> wit::Session {
    wit::Session {
        id: session.id.0,
        name: session.name.clone(),
        phone_number: session.phone_number.clone(),
        state: session_state(session.state),
        reason: session.reason.clone(),
        jid: session.jid.clone(),
        lid: session.lid.clone(),
        settings: settings(&session.settings),
        created_at_ms: session.created_at.0,
        updated_at_ms: session.updated_at.0,
        last_active_at_ms: session.last_active_at.map(|at| at.0),
    }
}

pub(crate) fn core_message_state(state: wit::MessageState) -> MessageState {
    match state {
        wit::MessageState::Queued => MessageState::Queued,
        wit::MessageState::Leased => MessageState::Leased,
        wit::MessageState::Sent => MessageState::Sent,
        wit::MessageState::Acknowledged => MessageState::Acknowledged,
        wit::MessageState::Delivered => MessageState::Delivered,
        wit::MessageState::Read => MessageState::Read,
        wit::MessageState::Played => MessageState::Played,
        wit::MessageState::Failed => MessageState::Failed,
        wit::MessageState::Expired => MessageState::Expired,
        wit::MessageState::Cancelled => MessageState::Cancelled,
    }
}

pub(crate) fn message_state(state: MessageState) -> wit::MessageState {
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
        batch: message.batch.map(|batch| batch.0),
        template: message.template.as_ref().map(template),
        test: message.test,
        reached: message.reached.iter().map(reached).collect(),
        accepted_at_ms: message.accepted_at.0,
        updated_at_ms: message.updated_at.0,
    }
}

fn reached((state, at): (&MessageState, &Timestamp)) -> wit::Reached {
    wit::Reached { state: message_state(*state), at_ms: at.0 }
}

fn media(media: &core::Media) -> wit::Media {
    wit::Media {
        source: match &media.source {
            core::MediaSource::Url(url) => wit::MediaSource::Url(url.clone()),
            core::MediaSource::Blob(blob) => wit::MediaSource::Blob(blob.clone()),
            core::MediaSource::WhatsApp(_) => wit::MediaSource::Whatsapp,
        },
        mime: media.mime.clone(),
        caption: media.caption.clone(),
        file_name: media.file_name.clone(),
        voice_note: media.voice_note,
        gif: media.gif,
        size: media.size,
        sha256: media.sha256.clone(),
        width: media.width,
        height: media.height,
        seconds: media.seconds,
    }
}

fn core_media(media: wit::Media) -> core::Media {
    core::Media {
        source: match media.source {
            wit::MediaSource::Url(url) => core::MediaSource::Url(url),
            wit::MediaSource::Blob(blob) => core::MediaSource::Blob(blob),
            // Where it lies a plugin never learns, so it cannot send it on as it is.
            wit::MediaSource::Whatsapp => core::MediaSource::WhatsApp(Box::default()),
        },
        mime: media.mime,
        caption: media.caption,
        file_name: media.file_name,
        voice_note: media.voice_note,
        gif: media.gif,
        size: media.size,
        sha256: media.sha256,
        width: media.width,
        height: media.height,
        seconds: media.seconds,
    }
}

pub(crate) fn person(person: &core::Person) -> wit::Contact {
    wit::Contact { jid: person.jid.clone(), phone: person.phone.clone(), lid: person.lid.clone(), push_name: None }
}

fn core_person(contact: wit::Contact) -> core::Person {
    core::Person { jid: contact.jid, phone: contact.phone, lid: contact.lid }
}

fn choice(choice: &core::Choice) -> wit::Choice {
    wit::Choice { id: choice.id.clone(), title: choice.title.clone() }
}

fn core_choice(choice: wit::Choice) -> core::Choice {
    core::Choice { id: choice.id, title: choice.title }
}

fn live_location(place: &core::LiveLocation) -> wit::LiveLocation {
    wit::LiveLocation {
        latitude: place.latitude,
        longitude: place.longitude,
        caption: place.caption.clone(),
        accuracy_m: place.accuracy_m,
        sequence: place.sequence,
    }
}

fn core_live_location(place: wit::LiveLocation) -> core::LiveLocation {
    core::LiveLocation {
        latitude: place.latitude,
        longitude: place.longitude,
        caption: place.caption,
        accuracy_m: place.accuracy_m,
        sequence: place.sequence,
    }
}

fn location(place: &core::Location) -> wit::Location {
    let core::Location { latitude, longitude, name, address } = place.clone();
    wit::Location { latitude, longitude, name, address }
}

fn core_location(place: wit::Location) -> core::Location {
    let wit::Location { latitude, longitude, name, address } = place;
    core::Location { latitude, longitude, name, address }
}

fn contact_card(card: &core::ContactCard) -> wit::ContactCard {
    wit::ContactCard { display_name: card.display_name.clone(), phones: card.phones.clone(), vcard: card.vcard.clone() }
}

pub(crate) fn template(call: &core::TemplateCall) -> wit::TemplateCall {
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
        core::Content::File(file) => wit::Content::File(media(file)),
        core::Content::Location(place) => wit::Content::Location(location(place)),
        core::Content::LiveLocation(place) => wit::Content::LiveLocation(live_location(place)),
        core::Content::Contacts(cards) => wit::Content::Contacts(cards.iter().map(contact_card).collect()),
        core::Content::Poll(poll) => wit::Content::Poll(wit::Poll {
            name: poll.name.clone(),
            options: poll.options.clone(),
            selectable_count: poll.selectable_count,
            announcement: poll.announcement,
        }),
        core::Content::Reaction(_) | core::Content::Edit(_) | core::Content::Revoke(_) | core::Content::PollVote(_) => {
            about_another(content)
        }
        core::Content::Interactive(inner) => wit::Content::Interactive(interactive(inner)),
        core::Content::ButtonReply(reply) => wit::Content::ButtonReply(choice(reply)),
        core::Content::ListReply(reply) => wit::Content::ListReply(choice(reply)),
        core::Content::FlowReply(reply) => wit::Content::FlowReply(choice(reply)),
        core::Content::Template(call) => wit::Content::Template(template(call)),
        core::Content::Other(name) => wit::Content::Other(name.clone()),
    }
}

/// What is about another message.
fn about_another(content: &core::Content) -> wit::Content {
    match content {
        core::Content::Reaction(reaction) => wit::Content::Reaction(wit::Reaction {
            message_id: reaction.message_id.clone(),
            emoji: reaction.emoji.clone(),
            author: reaction.author.as_ref().map(person),
        }),
        core::Content::Edit(edit) => {
            wit::Content::Edit(wit::Edit { message_id: edit.message_id.clone(), text: edit.text.clone() })
        }
        core::Content::Revoke(revoke) => wit::Content::Revoke(wit::Revoke {
            message_id: revoke.message_id.clone(),
            author: revoke.author.as_ref().map(person),
        }),
        core::Content::PollVote(vote) => wit::Content::PollVote(wit::PollVote {
            poll_id: vote.poll_id.clone(),
            author: vote.author.as_ref().map(person),
            options: vote.options.clone(),
        }),
        other => wit::Content::Other(other.type_name().to_owned()),
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
        wit::Content::File(file) => core::Content::File(core_media(file)),
        wit::Content::Location(place) => core::Content::Location(core_location(place)),
        wit::Content::LiveLocation(place) => core::Content::LiveLocation(core_live_location(place)),
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
            announcement: poll.announcement,
        }),
        wit::Content::Reaction(reaction) => core::Content::Reaction(core::Reaction {
            message_id: reaction.message_id,
            emoji: reaction.emoji,
            author: reaction.author.map(core_person),
        }),
        wit::Content::Edit(edit) => core::Content::Edit(core::Edit { message_id: edit.message_id, text: edit.text }),
        wit::Content::Revoke(revoke) => {
            core::Content::Revoke(core::Revoke { message_id: revoke.message_id, author: revoke.author.map(core_person) })
        }
        wit::Content::PollVote(vote) => core::Content::PollVote(core::PollVote {
            poll_id: vote.poll_id,
            author: vote.author.map(core_person),
            options: vote.options,
        }),
        wit::Content::Interactive(inner) => core::Content::Interactive(core_interactive(inner)),
        wit::Content::ButtonReply(reply) => core::Content::ButtonReply(core_choice(reply)),
        wit::Content::ListReply(reply) => core::Content::ListReply(core_choice(reply)),
        wit::Content::FlowReply(reply) => core::Content::FlowReply(core_choice(reply)),
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
        chat_phone: incoming.chat_phone.clone(),
        chat_lid: incoming.chat_lid.clone(),
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

fn group_change(change: &GroupChange) -> wit::GroupChange {
    wit::GroupChange {
        chat: change.chat.clone(),
        change: change.change.clone(),
        value: change.value.clone(),
        by: change.by.as_ref().map(person),
        participants: change.participants.iter().map(person).collect(),
        changed_at_ms: change.changed_at.0,
    }
}

fn chat_activity(activity: ChatActivity) -> wit::ChatActivity {
    match activity {
        ChatActivity::Typing => wit::ChatActivity::Typing,
        ChatActivity::Recording => wit::ChatActivity::Recording,
        ChatActivity::Paused => wit::ChatActivity::Paused,
    }
}

fn call(call: &Call) -> wit::Call {
    wit::Call {
        call_id: call.call_id.clone(),
        caller: person(&call.from),
        group: call.group.clone(),
        video: call.video,
        called_at_ms: call.called_at.0,
    }
}

fn stored_media(stored: &StoredMedia) -> wit::StoredMedia {
    wit::StoredMedia {
        event: stored.event,
        whatsapp_id: stored.whatsapp_id.clone(),
        chat: stored.chat.clone(),
        media: stored.media.clone(),
        mime: stored.mime.clone(),
        size: stored.size,
        sha256: stored.sha256.clone(),
        file_name: stored.file_name.clone(),
        expires_at_ms: stored.expires_at.0,
    }
}

fn contact_change(change: &ContactChange) -> wit::ContactChange {
    let ContactChange { contact, new } = change;
    wit::ContactChange {
        person: wit::Contact { push_name: contact.push_name.clone(), ..person(&contact.person()) },
        name: contact.name.clone(),
        verified_name: contact.verified_name.clone(),
        new: *new,
    }
}

pub(crate) fn event(event: &Event) -> wit::Event {
    let fact = match &event.fact {
        Fact::MessageReceived(received) => wit::Fact::MessageReceived(incoming(received)),
        Fact::MessageState { message, whatsapp_id, chat, state, reason, test } => {
            wit::Fact::MessageState(wit::MessageProgress {
                message: message.0,
                whatsapp_id: whatsapp_id.clone(),
                chat: chat.clone(),
                state: message_state(*state),
                reason: reason.clone(),
                test: *test,
            })
        }
        Fact::SessionState { state, reason } => {
            wit::Fact::SessionState(wit::SessionProgress { state: session_state(*state), reason: reason.clone() })
        }
        Fact::SessionQr { text, expires_at } => {
            wit::Fact::SessionQr(wit::SessionQr { text: text.clone(), expires_at_ms: expires_at.0 })
        }
        Fact::ContactChanged(change) => wit::Fact::ContactChanged(contact_change(change)),
        Fact::Receipt { message, whatsapp_id, chat, by, state } => wit::Fact::MemberReceipt(wit::MemberReceipt {
            message: message.0,
            whatsapp_id: whatsapp_id.clone(),
            chat: chat.clone(),
            by: person(by),
            state: message_state(*state),
        }),
        Fact::GroupChanged(change) => wit::Fact::GroupChanged(group_change(change)),
        Fact::PresenceChanged { person: who, online, last_seen } => wit::Fact::PresenceChanged(wit::PresenceChange {
            person: person(who),
            online: *online,
            last_seen_ms: last_seen.map(|at| at.0),
        }),
        Fact::ChatState { chat, person: who, activity } => {
            let activity = chat_activity(*activity);
            wit::Fact::ChatState(wit::ChatState { chat: chat.clone(), person: person(who), activity })
        }
        Fact::CallReceived(received) => wit::Fact::CallReceived(call(received)),
        Fact::CallEnded { call: ended, reason } => {
            wit::Fact::CallEnded(wit::CallEnd { call: call(ended), reason: reason.clone() })
        }
        Fact::MediaStored(stored) => wit::Fact::MediaStored(stored_media(stored)),
        Fact::MediaFailed { event, whatsapp_id, chat, reason } => wit::Fact::MediaFailed(wit::FailedMedia {
            event: *event,
            whatsapp_id: whatsapp_id.clone(),
            chat: chat.clone(),
            reason: reason.clone(),
        }),
        Fact::WebhookDisabled { webhook, reason } => {
            wit::Fact::WebhookDisabled(wit::DisabledWebhook { webhook: webhook.0, reason: reason.clone() })
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

pub(crate) fn quota_standing(limit: LimitStanding) -> wit::QuotaStanding {
    wit::QuotaStanding {
        limit: limit.limit,
        of_session: limit.of_session,
        max: limit.max,
        used: limit.used,
        resets_at_ms: limit.resets_at_ms,
        retry_after_s: limit.retry_after_s,
    }
}

fn media_refused(refusal: &MediaRefusal) -> wit::HostError {
    let trouble = match refusal {
        MediaRefusal::NotFound(_) => wit::MediaTrouble::NotFound,
        MediaRefusal::Unreachable(_) => wit::MediaTrouble::Unreachable,
        MediaRefusal::Unsupported(_) => wit::MediaTrouble::Unsupported,
        MediaRefusal::TooLarge { .. } => wit::MediaTrouble::TooLarge,
        MediaRefusal::Full(_) => wit::MediaTrouble::NoRoom,
        MediaRefusal::Unavailable(_) => return wit::HostError::Unavailable(refusal.to_string()),
    };
    wit::HostError::MediaRefused(wit::MediaRefusal { trouble, why: refusal.to_string() })
}

pub(crate) fn host_error(error: VerbError) -> wit::HostError {
    match error {
        VerbError::NotFound => wit::HostError::NotFound,
        VerbError::Denied(why) => wit::HostError::Denied(why),
        VerbError::Invalid { field, why } => wit::HostError::Invalid(wit::InvalidField { field, why }),
        VerbError::NotConnected(state) => wit::HostError::NotConnected(session_state(state)),
        VerbError::NotYet(what) => wit::HostError::NotYet(what),
        VerbError::Media(refusal) => media_refused(&refusal),
        VerbError::LimitReached(limit) => wit::HostError::LimitReached(quota_standing(limit)),
        VerbError::RefusedByWhatsApp { code, text } => {
            wit::HostError::RefusedByWhatsapp(wit::WhatsappRefusal { code, text })
        }
        VerbError::RefusedByPolicy(reason) => wit::HostError::RefusedByPolicy(reason),
        VerbError::NoSuchTemplate(why) => wit::HostError::NoSuchTemplate(why),
        VerbError::MissingParameter(name) => wit::HostError::MissingParameter(name),
        VerbError::NoSender(why) | VerbError::Conflict(why) => wit::HostError::Conflict(why),
        VerbError::Unavailable(why) => wit::HostError::Unavailable(why),
    }
}
