//! One of everything that the document describes, with every field set.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::content::{
    Attachment, Button, ButtonAction, Choice, ContactCard, Content, Edit, Extras, Interactive, ListRow, ListSection,
    LiveLocation, Location, Media, MediaSource, Person, Poll, PollVote, Quote, Reaction, Revoke, TemplateCall,
};
use switchboard_core::records::event::{Call, ChatActivity, ContactChange, Event, Fact, GroupChange, Incoming, StoredMedia};
use switchboard_core::records::id::{MessageId, SessionId, WebhookId};
use switchboard_core::records::message::MessageState;
use switchboard_core::records::people::KnownContact;
use switchboard_core::records::session::SessionState;

fn text() -> String {
    "x".to_owned()
}

fn person() -> Person {
    Person { jid: text(), phone: Some(text()), lid: Some(text()) }
}

fn contact() -> KnownContact {
    KnownContact {
        phone: Some(text()),
        lid: Some(text()),
        push_name: Some(text()),
        name: Some(text()),
        verified_name: Some(text()),
        since: Timestamp(1),
    }
}

fn media(source: MediaSource) -> Media {
    Media {
        source,
        mime: Some(text()),
        caption: Some(text()),
        file_name: Some(text()),
        voice_note: true,
        gif: true,
        size: Some(1),
        sha256: Some(text()),
        width: Some(1),
        height: Some(1),
        seconds: Some(1),
    }
}

fn button(action: Option<ButtonAction>) -> Button {
    Button { id: text(), title: text(), action }
}

fn row() -> ListRow {
    ListRow { id: text(), title: text(), description: Some(text()) }
}

/// Content of every type.
pub(super) fn contents() -> Vec<Content> {
    let choice = || Choice { id: text(), title: text() };
    let url = || MediaSource::Url(text());
    vec![
        Content::Text(text()),
        Content::Image(media(url())),
        Content::Image(media(MediaSource::Blob(text()))),
        Content::Image(media(MediaSource::WhatsApp(Box::default()))),
        Content::Video(media(url())),
        Content::Audio(media(url())),
        Content::Document(media(url())),
        Content::Sticker(media(url())),
        Content::Location(Location { latitude: 1.5, longitude: 1.5, name: Some(text()), address: Some(text()) }),
        Content::LiveLocation(LiveLocation {
            latitude: 1.5,
            longitude: 1.5,
            caption: Some(text()),
            accuracy_m: Some(1),
            sequence: Some(1),
        }),
        Content::Contacts(vec![ContactCard { display_name: text(), phones: vec![text()], vcard: Some(text()) }]),
        Content::Poll(Poll { name: text(), options: vec![text(), text()], selectable_count: 1, announcement: true }),
        Content::Reaction(Reaction { message_id: text(), emoji: text(), author: Some(person()) }),
        Content::Edit(Edit { message_id: text(), text: text() }),
        Content::Revoke(Revoke { message_id: text(), author: Some(person()) }),
        Content::PollVote(PollVote { poll_id: text(), author: Some(person()), options: Some(vec![text()]) }),
        Content::Interactive(Interactive {
            header: Some(text()),
            attachment: Some(Attachment::Image(media(url()))),
            body: text(),
            footer: Some(text()),
            buttons: vec![
                button(None),
                button(Some(ButtonAction::Url(text()))),
                button(Some(ButtonAction::Call(text()))),
                button(Some(ButtonAction::Copy(text()))),
            ],
            sections: vec![ListSection { title: text(), rows: vec![row()] }],
            list_button: Some(text()),
            plain_text: true,
        }),
        Content::ButtonReply(choice()),
        Content::ListReply(choice()),
        Content::FlowReply(choice()),
        Content::Template(TemplateCall { name: text(), language: Some(text()), parameters: vec![] }),
        Content::Other(text()),
    ]
}

fn incoming(content: Content) -> Fact {
    Fact::MessageReceived(Box::new(Incoming {
        whatsapp_id: text(),
        chat: text(),
        chat_phone: Some(text()),
        chat_lid: Some(text()),
        from: text(),
        from_phone: Some(text()),
        from_lid: Some(text()),
        push_name: Some(text()),
        from_me: true,
        group: true,
        sent_at: Timestamp(1),
        content,
        extras: Extras {
            quote: Some(Quote { message_id: text(), sender: Some(text()) }),
            mentions: vec![text()],
            view_once: true,
        },
    }))
}

/// Events of every type.
pub(super) fn events() -> Vec<Event> {
    let call =
        || Box::new(Call { call_id: text(), from: person(), group: Some(text()), video: true, called_at: Timestamp(1) });
    let mut facts: Vec<Fact> = contents().into_iter().map(incoming).collect();
    // What waits to be sent is no event.
    let states = MessageState::ALL.into_iter().filter(|state| *state > MessageState::Leased);
    facts.extend(states.map(|state| Fact::MessageState {
        message: MessageId(1),
        whatsapp_id: text(),
        chat: text(),
        state,
        reason: Some(text()),
        test: true,
    }));
    facts.extend([
        Fact::SessionState { state: SessionState::Banned, reason: Some(text()) },
        Fact::SessionQr { text: text(), expires_at: Timestamp(1) },
        Fact::ContactChanged(Box::new(ContactChange { contact: contact(), new: true })),
        Fact::Receipt { message: MessageId(1), whatsapp_id: text(), chat: text(), by: person(), state: MessageState::Read },
        Fact::GroupChanged(Box::new(GroupChange {
            chat: text(),
            change: text(),
            value: Some(text()),
            by: Some(person()),
            participants: vec![person()],
            changed_at: Timestamp(1),
        })),
        Fact::PresenceChanged { person: person(), online: true, last_seen: Some(Timestamp(1)) },
        Fact::ChatState { chat: text(), person: person(), activity: ChatActivity::Typing },
        Fact::CallReceived(call()),
        Fact::CallEnded { call: call(), reason: text() },
        Fact::MediaStored(Box::new(StoredMedia {
            event: 1,
            whatsapp_id: text(),
            chat: text(),
            media: text(),
            mime: text(),
            size: 1,
            sha256: text(),
            file_name: Some(text()),
            expires_at: Timestamp(1),
        })),
        Fact::MediaFailed { event: 1, whatsapp_id: text(), chat: text(), reason: text() },
        Fact::WebhookDisabled { webhook: WebhookId(1), reason: text() },
    ]);
    (1..).zip(facts).map(|(n, fact)| Event { n, at: Timestamp(1), session: SessionId(1), fact }).collect()
}
