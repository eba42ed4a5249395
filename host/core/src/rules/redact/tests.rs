//! What a plugin sees of each event, with and without each field.

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::records::content::{
    Attachment, Button, ButtonAction, Choice, ContactCard, Content, Edit, Extras, Interactive, LiveLocation, Location,
    Media, MediaSource, Poll, PollVote, Quote, Reaction, Revoke, TemplateCall,
};
use crate::records::event::ChatActivity;
use crate::records::id::{MessageId, SessionId, TenantId, WebhookId};
use crate::records::message::MessageState;
use crate::records::session::SessionState;
use crate::rules::pseudonym::{PseudonymKey, is_pseudonym};

const PHONE: &str = "15550100001";
const LID: &str = "77000077@lid";
const GROUP: &str = "120363000000000001@g.us";
/// What must not be seen without the field of this name. Numbers are also parts of JIDs.
const SECRETS: [(MessageField, &[&str]); 4] = [
    (MessageField::Text, &["WORDS"]),
    (MessageField::Number, &[PHONE, "77000077", "120363000000000001"]),
    (MessageField::Media, &["FILE"]),
    (MessageField::ContactName, &["ANN"]),
];

fn names() -> Pseudonyms {
    PseudonymKey::new([7; 32]).of(TenantId(7), "7/reply")
}

fn ann() -> Person {
    Person { jid: LID.to_owned(), phone: Some(PHONE.to_owned()), lid: Some(LID.to_owned()) }
}

fn file() -> Media {
    Media {
        mime: Some("FILE/mime".to_owned()),
        caption: Some("WORDS".to_owned()),
        file_name: Some("FILE.pdf".to_owned()),
        sha256: Some("FILE".to_owned()),
        ..Media::at(MediaSource::Blob("FILE".to_owned()))
    }
}

fn interactive() -> Interactive {
    let call = Button { id: String::new(), title: "WORDS".to_owned(), action: Some(ButtonAction::Call(PHONE.to_owned())) };
    Interactive {
        header: Some("WORDS".to_owned()),
        attachment: Some(Attachment::Image(file())),
        body: "WORDS".to_owned(),
        buttons: vec![call],
        ..Interactive::default()
    }
}

/// Content of every type.
fn contents() -> Vec<Content> {
    let words = || "WORDS".to_owned();
    let place = Location { latitude: 1.5, longitude: 2.5, name: Some(words()), address: Some(words()) };
    let live = LiveLocation { latitude: 1.5, longitude: 2.5, caption: Some(words()), accuracy_m: None, sequence: None };
    let card =
        ContactCard { display_name: "ANN".to_owned(), phones: vec![PHONE.to_owned()], vcard: Some(format!("ANN {PHONE}")) };
    let choice = || Choice { id: words(), title: words() };
    let (message_id, author) = (|| "3EB0".to_owned(), || Some(ann()));
    vec![
        Content::Text(words()),
        Content::Image(file()),
        Content::Video(file()),
        Content::Audio(file()),
        Content::Document(file()),
        Content::Sticker(file()),
        Content::File(file()),
        Content::Location(place),
        Content::LiveLocation(live),
        Content::Contacts(vec![card]),
        Content::Poll(Poll { name: words(), options: vec![words()], selectable_count: 1, announcement: false }),
        Content::Reaction(Reaction { message_id: message_id(), emoji: words(), author: author() }),
        Content::Edit(Edit { message_id: message_id(), text: words() }),
        Content::Revoke(Revoke { message_id: message_id(), author: author() }),
        Content::PollVote(PollVote { poll_id: message_id(), author: author(), options: Some(vec![words()]) }),
        Content::Interactive(interactive()),
        Content::ButtonReply(choice()),
        Content::ListReply(choice()),
        Content::FlowReply(choice()),
        Content::Template(TemplateCall { name: words(), language: None, parameters: vec![("1".to_owned(), words())] }),
        Content::Other("something".to_owned()),
    ]
}

fn extras() -> Extras {
    let quote = Quote { message_id: "3EB1".to_owned(), sender: Some(LID.to_owned()) };
    Extras { quote: Some(quote), mentions: vec![format!("{PHONE}@s.whatsapp.net")], view_once: false }
}

fn received(chat: &str, content: Content) -> Fact {
    let private = !chat.ends_with("@g.us");
    Fact::MessageReceived(Box::new(Incoming {
        whatsapp_id: "3EB0".to_owned(),
        chat: chat.to_owned(),
        chat_phone: private.then(|| PHONE.to_owned()),
        chat_lid: private.then(|| LID.to_owned()),
        from: LID.to_owned(),
        from_phone: Some(PHONE.to_owned()),
        from_lid: Some(LID.to_owned()),
        push_name: Some("ANN".to_owned()),
        from_me: false,
        group: !private,
        sent_at: Timestamp(1),
        content,
        extras: extras(),
    }))
}

/// Facts of every type. A new one does not compile into `redact` without being thought of, nor into this.
fn facts() -> Vec<Fact> {
    let (id, words) = (|| "3EB0".to_owned(), || "WORDS".to_owned());
    let call = || {
        Box::new(Call { call_id: id(), from: ann(), group: Some(GROUP.to_owned()), video: true, called_at: Timestamp(1) })
    };
    let contact = KnownContact {
        phone: Some(PHONE.to_owned()),
        lid: Some(LID.to_owned()),
        push_name: Some("ANN".to_owned()),
        name: Some("ANN".to_owned()),
        verified_name: Some("ANN".to_owned()),
        since: Timestamp(1),
    };
    let stored = StoredMedia {
        event: 1,
        whatsapp_id: id(),
        chat: LID.to_owned(),
        media: "FILE".to_owned(),
        mime: "FILE/mime".to_owned(),
        size: 9,
        sha256: "FILE".to_owned(),
        file_name: Some("FILE".to_owned()),
        expires_at: Timestamp(9),
    };
    let change = GroupChange {
        chat: GROUP.to_owned(),
        change: "subject".to_owned(),
        value: Some(words()),
        by: Some(ann()),
        participants: vec![ann()],
        changed_at: Timestamp(1),
    };
    let (message, state) = (MessageId(1), MessageState::Read);
    let why = || format!("it was written by {PHONE}@s.whatsapp.net, not by {LID} (+{PHONE}): {PHONE}.");
    let mut facts = vec![
        Fact::MessageState { message, whatsapp_id: id(), chat: LID.to_owned(), state, reason: Some(why()), test: false },
        Fact::SessionState { state: SessionState::Connected, reason: Some(why()) },
        Fact::SessionQr { text: "2@qr".to_owned(), expires_at: Timestamp(1) },
        Fact::ContactChanged(Box::new(ContactChange { contact, new: true })),
        Fact::Receipt { message, whatsapp_id: id(), chat: GROUP.to_owned(), by: ann(), state },
        Fact::GroupChanged(Box::new(change)),
        Fact::PresenceChanged { person: ann(), online: true, last_seen: None },
        Fact::ChatState { chat: LID.to_owned(), person: ann(), activity: ChatActivity::Typing },
        Fact::CallReceived(call()),
        Fact::CallEnded { call: call(), reason: why() },
        Fact::MediaStored(Box::new(stored)),
        Fact::MediaFailed { event: 1, whatsapp_id: id(), chat: LID.to_owned(), reason: why() },
        Fact::WebhookDisabled { webhook: WebhookId(1), reason: "gone".to_owned() },
    ];
    facts.extend(contents().into_iter().map(|content| received(GROUP, content)));
    facts.extend(contents().into_iter().map(|content| received(LID, content)));
    facts
}

fn event(fact: Fact) -> Event {
    Event { n: 3, at: Timestamp(2), session: SessionId(5), fact }
}

fn seen(fact: Fact, fields: &[MessageField]) -> Event {
    let fields = fields.iter().copied().collect();
    Sight { fields: &fields, names: &names() }.event(&event(fact))
}

#[test]
fn who_was_given_every_field_sees_everything() {
    for fact in facts() {
        assert_eq!(seen(fact.clone(), &MessageField::ALL), event(fact));
    }
}

#[test]
fn nothing_of_a_field_that_was_not_given_is_in_any_event() {
    for (without, secrets) in SECRETS {
        let with: Vec<MessageField> = MessageField::ALL.into_iter().filter(|field| *field != without).collect();
        for fields in [with.as_slice(), &[]] {
            for fact in facts() {
                let shown = json!(seen(fact.clone(), fields)).to_string();
                for secret in secrets {
                    assert!(!shown.contains(secret), "{without:?} of {fact:?}: {shown}");
                }
            }
        }
    }
}

#[test]
fn every_field_is_seen_where_it_was_given() {
    let all: String = facts().into_iter().map(|fact| json!(fact).to_string()).collect();
    for (field, secrets) in SECRETS {
        let shown: String = facts().into_iter().map(|fact| json!(seen(fact, &[field])).to_string()).collect();
        for secret in secrets {
            assert!(all.contains(secret) && shown.contains(secret), "{field:?}: {secret}");
        }
    }
}

#[test]
fn the_type_of_an_event_and_what_it_is_about_stay_as_they_are() {
    for fact in facts() {
        let shown = seen(fact.clone(), &[]);
        assert_eq!((shown.fact.type_name(), shown.n, shown.session), (fact.type_name(), 3, SessionId(5)));
        let (before, after) = (json!(fact), json!(shown.fact));
        for id in ["whatsapp_id", "message", "from_me", "group", "sent_at", "state", "call_id"] {
            let same = before.get(id) == after.get(id) || after[id].as_str().is_some_and(is_pseudonym);
            assert!(same, "{id} of {before}: {after}");
        }
        if let (Fact::MessageReceived(before), Fact::MessageReceived(after)) = (&fact, &shown.fact) {
            assert_eq!(before.content.type_name(), after.content.type_name());
        }
    }
}

#[test]
fn one_person_has_one_name_in_all_events_and_it_leads_back_to_them() {
    let pseudonym = names().of_person(&ann());
    assert_eq!(names().resolve(&pseudonym), Some(format!("{PHONE}@s.whatsapp.net")));
    let Fact::MessageReceived(message) = seen(received(LID, Content::Text("WORDS".to_owned())), &[]).fact else {
        panic!("a message stays one")
    };
    assert_eq!((&message.chat, &message.from, message.from_phone.as_ref()), (&pseudonym, &pseudonym, None));
    let typing = Fact::ChatState { chat: LID.to_owned(), person: ann(), activity: ChatActivity::Typing };
    let shown: Value = json!(seen(typing, &[]).fact);
    assert_eq!((&shown["chat"], &shown["person"]["jid"]), (&json!(pseudonym), &json!(pseudonym)));
    let Fact::MessageReceived(message) = seen(received(GROUP, Content::Text("WORDS".to_owned())), &[]).fact else {
        panic!("a message stays one")
    };
    assert_eq!(names().resolve(&message.chat).as_deref(), Some(GROUP));
    assert_eq!(message.from, pseudonym);
}

#[test]
fn words_that_name_somebody_are_told_without_the_number() {
    let told =
        |reason: &str| match seen(Fact::SessionState { state: SessionState::Failed, reason: Some(reason.to_owned()) }, &[])
            .fact
        {
            Fact::SessionState { reason, .. } => reason.unwrap(),
            other => panic!("{other:?}"),
        };
    let (phone, lid) = (names().of_jid(&format!("{PHONE}@s.whatsapp.net")), names().of_jid(LID));
    let words = format!("written by {PHONE}@s.whatsapp.net, not by {LID} (+{PHONE}): wait 60 s");
    assert_eq!(told(&words), format!("written by {phone}, not by {lid} (+…): wait 60 s"));
    assert_eq!(told("not sent after 5 tries: code 463"), "not sent after 5 tries: code 463");
}

#[test]
fn every_lid_of_an_event_is_found() {
    let mut with = received(GROUP, Content::Text("a@lid b".to_owned()));
    if let Fact::MessageReceived(message) = &mut with {
        message.extras.mentions.push("88:2@lid".to_owned());
    }
    assert_eq!(lids(&event(with)), [LID.to_owned(), "88@lid".to_owned()].into());
    assert!(lids(&event(Fact::SessionState { state: SessionState::Connected, reason: None })).is_empty());
    for fact in facts() {
        let known = names().knowing([(LID.to_owned(), PHONE.to_owned())].into());
        let shown = Sight { fields: &BTreeSet::new(), names: &known }.event(&event(fact));
        assert!(!json!(shown).to_string().contains(&names().of_jid(LID)), "known by number: {shown:?}");
    }
}

#[test]
fn those_who_are_mentioned_are_called_in_the_words_as_they_are_beside_them_and_back() {
    let words = format!("@{PHONE} and @{PHONE}99, not {PHONE}x@{PHONE}");
    let with = [MessageField::Text];
    let Fact::MessageReceived(message) = seen(received(GROUP, Content::Text(words.clone())), &with).fact else {
        panic!("a message stays one")
    };
    let pseudonym = names().of_jid(&format!("{PHONE}@s.whatsapp.net"));
    assert_eq!(message.extras.mentions, [pseudonym.as_str()]);
    let told = format!("@{pseudonym} and @{PHONE}99, not {PHONE}x@{pseudonym}");
    assert_eq!(message.content, Content::Text(told));

    let (mut to, mut content, mut extras) = (message.from.clone(), message.content.clone(), message.extras.clone());
    resolve_outgoing(&names(), &mut to, &mut content, &mut extras).unwrap();
    assert_eq!((to, content), (format!("{PHONE}@s.whatsapp.net"), Content::Text(words)));
    assert_eq!(extras.mentions, [format!("{PHONE}@s.whatsapp.net")]);
    assert_eq!(extras.quote.unwrap().sender.as_deref(), Some(LID));
}

#[test]
fn a_pseudonym_of_another_plugin_or_tenant_is_not_resolved_and_addresses_stay() {
    let foreign = PseudonymKey::new([7; 32]).of(TenantId(8), "7/reply").of_person(&ann());
    let resolved = |to: &str| {
        let (mut to, mut content, mut extras) = (to.to_owned(), Content::Text("hi".to_owned()), Extras::default());
        resolve_outgoing(&names(), &mut to, &mut content, &mut extras).map(|()| to).map_err(|unknown| unknown.to_string())
    };
    let refused = resolved(&foreign).unwrap_err();
    assert!(refused.starts_with(&format!("to: {foreign} is no pseudonym")), "{refused}");
    for address in ["+1 555 0100001", "15550100001@s.whatsapp.net", GROUP, "p_short", ""] {
        assert_eq!(resolved(address).as_deref(), Ok(address));
    }
    let author = Some(Person { jid: foreign, phone: None, lid: None });
    let mut reaction = Content::Reaction(Reaction { message_id: "3EB0".to_owned(), emoji: "x".to_owned(), author });
    let refused = resolve_outgoing(&names(), &mut PHONE.to_owned(), &mut reaction, &mut Extras::default()).unwrap_err();
    assert!(refused.to_string().starts_with("author: "));
}

#[test]
fn an_accepted_message_is_seen_as_what_came_in_is() {
    let message: Message = serde_json::from_value(json!({
        "id": 1, "session": 5, "to": format!("{PHONE}@s.whatsapp.net"), "content": contents()[1], "extras": extras(),
        "whatsapp_id": "3EB0", "state": "sent", "reason": null, "accepted_at": 1, "updated_at": 1, "origin": null,
        "template": { "name": "WORDS", "language": null, "parameters": {} },
    }))
    .unwrap();
    let fields = MessageField::ALL.into();
    assert_eq!(Sight { fields: &fields, names: &names() }.message(&message), message);
    let shown = json!(Sight { fields: &BTreeSet::new(), names: &names() }.message(&message)).to_string();
    for (_, secrets) in SECRETS {
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}
