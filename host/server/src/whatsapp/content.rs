//! From our content to WhatsApp's message protobuf.

use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp as wa;

use switchboard_core::records::content::{ContactCard, Content, Extras, Interactive, Location, Poll, Quote};
use switchboard_core::records::message::Message;
use switchboard_core::rules::vcard;

mod interactive;

/// What must be looked up before a message can be written.
#[derive(Debug, Default)]
pub(super) struct Bearings {
    /// The message that it is about was written by the session's own account.
    pub(super) own: bool,
    /// JID of who wrote the message that it is about; needed in groups alone.
    pub(super) author: Option<String>,
    /// JID of who wrote the quoted message.
    pub(super) quoted_author: Option<String>,
    /// What the quoted message says, when that is known.
    pub(super) quoted_text: Option<String>,
    /// The secret under which votes in the poll are sealed.
    pub(super) poll_secret: Option<Vec<u8>>,
}

/// The protobuf of a message to send; `None` when this version cannot send the type.
pub(super) fn to_protobuf(message: &Message, bearings: &Bearings) -> Option<wa::Message> {
    let mut protobuf = match &message.content {
        Content::Text(text) => wa::Message { conversation: Some(text.clone()), ..Default::default() },
        Content::Location(place) => location(place),
        Content::Contacts(cards) => contacts(cards),
        Content::Poll(asked) => poll(asked, bearings.poll_secret.clone()?),
        Content::Interactive(asked) => interactive::to_protobuf(asked, None),
        Content::Reaction(reaction) => {
            let reaction = wa::message::ReactionMessage {
                key: MessageField::some(key(message, &reaction.message_id, bearings)),
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(milliseconds(message)),
                ..Default::default()
            };
            return Some(wa::Message { reaction_message: MessageField::some(reaction), ..Default::default() });
        }
        Content::Edit(edit) => {
            let edited = wa::Message { conversation: Some(edit.text.clone()), ..Default::default() };
            return Some(change(wa::message::ProtocolMessage {
                key: MessageField::some(key(message, &edit.message_id, bearings)),
                r#type: Some(wa::message::protocol_message::Type::MESSAGE_EDIT),
                edited_message: MessageField::some(edited),
                timestamp_ms: Some(milliseconds(message)),
                ..Default::default()
            }));
        }
        Content::Revoke(revoke) => {
            return Some(change(wa::message::ProtocolMessage {
                key: MessageField::some(key(message, &revoke.message_id, bearings)),
                r#type: Some(wa::message::protocol_message::Type::REVOKE),
                ..Default::default()
            }));
        }
        _ => return None,
    };
    let extras = &message.extras;
    if extras.quote.is_some() || !extras.mentions.is_empty() {
        protobuf.set_context_info(context_info(extras, bearings));
    }
    Some(protobuf)
}

/// The protobuf of a message with buttons below a file; `file` names the file as a message of its own would.
pub(super) fn below_file(asked: &Interactive, file: &wa::Message, context: Option<wa::ContextInfo>) -> wa::Message {
    let mut protobuf = interactive::to_protobuf(asked, Some(file));
    if let Some(context) = context {
        protobuf.set_context_info(context);
    }
    protobuf
}

/// The same each time that the message is sent.
fn milliseconds(message: &Message) -> i64 {
    i64::try_from(message.accepted_at.0).unwrap_or_default()
}

fn change(protocol: wa::message::ProtocolMessage) -> wa::Message {
    wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() }
}

/// Names the message of id `id` in the chat that `message` goes to.
fn key(message: &Message, id: &str, bearings: &Bearings) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(message.to.clone()),
        from_me: Some(bearings.own),
        id: Some(id.to_owned()),
        participant: bearings.author.clone(),
    }
}

/// What goes with any content.
pub(super) fn context_info(extras: &Extras, bearings: &Bearings) -> wa::ContextInfo {
    let mut context = wa::ContextInfo { mentioned_jid: extras.mentions.clone(), ..Default::default() };
    if let Some(Quote { message_id, sender }) = &extras.quote {
        context.stanza_id = Some(message_id.clone());
        context.participant = sender.clone().or_else(|| bearings.quoted_author.clone());
        // Phones draw a quote only when there is a quoted message; what it said they look up by its id.
        let quoted = bearings.quoted_text.clone().unwrap_or_default();
        context.quoted_message = MessageField::some(wa::Message { conversation: Some(quoted), ..Default::default() });
    }
    context
}

fn location(at: &Location) -> wa::Message {
    wa::Message { location_message: MessageField::some(place(at)), ..Default::default() }
}

fn place(place: &Location) -> wa::message::LocationMessage {
    wa::message::LocationMessage {
        degrees_latitude: Some(place.latitude),
        degrees_longitude: Some(place.longitude),
        name: place.name.clone(),
        address: place.address.clone(),
        ..Default::default()
    }
}

fn contacts(cards: &[ContactCard]) -> wa::Message {
    if let [one] = cards {
        return wa::Message { contact_message: MessageField::some(card(one)), ..Default::default() };
    }
    let array = wa::message::ContactsArrayMessage {
        display_name: Some(format!("{} contacts", cards.len())),
        contacts: cards.iter().map(card).collect(),
        ..Default::default()
    };
    wa::Message { contacts_array_message: MessageField::some(array), ..Default::default() }
}

fn card(card: &ContactCard) -> wa::message::ContactMessage {
    let vcard = card.vcard.clone().unwrap_or_else(|| vcard::write(&card.display_name, &card.phones));
    wa::message::ContactMessage { display_name: Some(card.display_name.clone()), vcard: Some(vcard), ..Default::default() }
}

fn poll(poll: &Poll, secret: Vec<u8>) -> wa::Message {
    let option =
        |name: &String| wa::message::poll_creation_message::Option { option_name: Some(name.clone()), ..Default::default() };
    let asked = MessageField::some(wa::message::PollCreationMessage {
        name: Some(poll.name.clone()),
        options: poll.options.iter().map(option).collect(),
        selectable_options_count: Some(poll.selectable_count),
        ..Default::default()
    });
    let context = wa::MessageContextInfo { message_secret: Some(secret), ..Default::default() };
    let message = wa::Message { message_context_info: MessageField::some(context), ..Default::default() };
    // The official clients send a poll with one answer in another field than one with several, and one to an announcement group
    // in a third.
    if poll.announcement {
        wa::Message { poll_creation_message_v2: asked, ..message }
    } else if poll.selectable_count == 1 {
        wa::Message { poll_creation_message_v3: asked, ..message }
    } else {
        wa::Message { poll_creation_message: asked, ..message }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_core::clock::Timestamp;
    use switchboard_core::records::content::{Button, ButtonAction, Edit, ListRow, ListSection, Reaction, Revoke};
    use switchboard_core::records::id::{MessageId, SessionId};
    use switchboard_core::records::message::{MessageState, Schedule};

    use super::*;
    use crate::whatsapp::received::from_protobuf;

    fn message(content: Content, extras: Extras) -> Message {
        Message {
            id: MessageId(1),
            session: SessionId(1),
            to: "120363041234567890@g.us".to_owned(),
            content,
            extras,
            whatsapp_id: "3EB0".to_owned(),
            schedule: Schedule::default(),
            batch: None,
            state: MessageState::Queued,
            reason: None,
            attempts: 0,
            accepted_at: Timestamp(1_750_000_000_000),
            updated_at: Timestamp(1_750_000_000_000),
            reached: std::collections::BTreeMap::new(),
            origin: None,
            template: None,
            test: false,
        }
    }

    /// Buttons of every kind, and a list.
    fn interactive_samples() -> (Content, Content) {
        let button = |id: &str, title: &str, action| Button { id: id.to_owned(), title: title.to_owned(), action };
        let texts = Interactive {
            header: Some("Lunch".to_owned()),
            body: "Which one?".to_owned(),
            footer: Some("until noon".to_owned()),
            ..Interactive::default()
        };
        let buttons = vec![
            button("a", "Yes", None),
            button("", "Open", Some(ButtonAction::Url("https://a.example/1".to_owned()))),
            button("", "Call", Some(ButtonAction::Call("+491520000001".to_owned()))),
            button("", "Code", Some(ButtonAction::Copy("X1".to_owned()))),
        ];
        let row = |id: &str, description: Option<&str>| ListRow {
            id: id.to_owned(),
            title: "Soup".to_owned(),
            description: description.map(str::to_owned),
        };
        let rows = vec![row("1", Some("of the day")), row("2", None)];
        let sections = vec![ListSection { title: "Warm".to_owned(), rows }];
        let list = Interactive { sections, list_button: Some("Choose".to_owned()), ..texts.clone() };
        (Content::Interactive(Interactive { buttons, ..texts }), Content::Interactive(list))
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let card = ContactCard {
            display_name: "Bo".to_owned(),
            phones: vec!["491520000001".to_owned()],
            vcard: Some(vcard::write("Bo", &["491520000001".to_owned()])),
        };
        let poll = |selectable_count, announcement| {
            let options = vec!["Soup".to_owned(), "Cake".to_owned()];
            Content::Poll(Poll { name: "Lunch?".to_owned(), options, selectable_count, announcement })
        };
        let place = Location { latitude: 52.5, longitude: 13.4, name: Some("Home".to_owned()), address: None };
        let (buttons, list) = interactive_samples();
        let bearings = Bearings { poll_secret: Some(vec![7; 32]), own: true, ..Bearings::default() };
        let quote = Quote { message_id: "Q1".to_owned(), sender: Some("1@lid".to_owned()) };
        let extras = Extras { quote: Some(quote), mentions: vec!["2@lid".to_owned()], view_once: false };
        for content in [
            Content::Text("hello".to_owned()),
            Content::Location(place),
            Content::Contacts(vec![card.clone()]),
            Content::Contacts(vec![card.clone(), card]),
            buttons,
            list,
            poll(1, false),
            poll(0, false),
            poll(1, true),
        ] {
            for extras in [Extras::default(), extras.clone()] {
                let written = to_protobuf(&message(content.clone(), extras.clone()), &bearings).unwrap();
                let read = from_protobuf(&written).unwrap();
                assert_eq!((&read.content, &read.extras), (&content, &extras));
                assert_eq!(read.poll_secret.is_some(), matches!(content, Content::Poll(_)));
            }
        }
        for content in [
            Content::Reaction(Reaction { message_id: "M1".to_owned(), emoji: "👍".to_owned(), author: None }),
            Content::Edit(Edit { message_id: "M1".to_owned(), text: "new".to_owned() }),
            Content::Revoke(Revoke { message_id: "M1".to_owned(), author: None }),
        ] {
            let written = to_protobuf(&message(content.clone(), Extras::default()), &bearings).unwrap();
            let read = from_protobuf(&written).unwrap();
            assert_eq!((&read.content, read.about.unwrap().from_me), (&content, Some(true)));
        }
    }

    #[test]
    fn a_message_of_another_member_is_named_with_its_author() {
        let reaction = Reaction { message_id: "M1".to_owned(), emoji: "👍".to_owned(), author: None };
        let bearings = Bearings { author: Some("1@lid".to_owned()), ..Bearings::default() };
        let written = to_protobuf(&message(Content::Reaction(reaction), Extras::default()), &bearings).unwrap();
        let key = written.reaction_message.key.as_option().unwrap().clone();
        assert_eq!((key.from_me, key.participant.as_deref()), (Some(false), Some("1@lid")));
        assert_eq!(key.remote_jid.as_deref(), Some("120363041234567890@g.us"));
    }

    #[test]
    fn what_only_others_can_say_is_not_written() {
        assert!(to_protobuf(&message(Content::Other("pin".to_owned()), Extras::default()), &Bearings::default()).is_none());
    }
}
