//! What can be sent beside plain text, as the receiver's phone shows it.

use serde_json::{Value, json};
use switchboard_core::flow::intake::SendWish;
use switchboard_core::records::content::{ContactCard, Content, Edit, Extras, Location, Poll, Quote, Reaction, Revoke};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::message::Schedule;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const FRIEND: &str = "491520000002";

/// Accepts a message; its WhatsApp id.
pub async fn accept(
    stage: &Stage,
    account: &Account,
    session: &TestSession,
    to: &str,
    content: Content,
    extras: Extras,
) -> String {
    let (session, schedule) = (SessionId(session.id), Schedule::default());
    let wish = SendWish { session, to: to.to_owned(), content, extras, schedule, origin: None, by: None };
    stage.host.intake().accept(TenantId(account.tenant), wish).await.unwrap().whatsapp_id
}

struct Shop {
    stage: Stage,
    account: Account,
    session: TestSession,
}

impl Shop {
    async fn open() -> Self {
        let stage = Stage::start().await;
        let account = stage.account("Shop").await;
        let session = account.linked(stage.control(), "Shop", SHOP).await;
        for number in [CUSTOMER, FRIEND] {
            phone(stage.control(), ADMIN_KEY, number).await;
        }
        Self { stage, account, session }
    }

    async fn send(&self, to: &str, content: Content) -> String {
        accept(&self.stage, &self.account, &self.session, to, content, Extras::default()).await
    }

    /// Sends to `to`; what the customer's phone shows of it.
    async fn shown(&self, to: &str, content: Content) -> Value {
        let id = self.send(to, content).await;
        self.stage.phone_shows(CUSTOMER, |shown| shown["id"] == id.as_str()).await
    }

    async fn group(&self) -> String {
        let body = json!({ "subject": "Club", "participants": [CUSTOMER, SHOP, FRIEND] });
        self.stage.sim("POST", "groups", body).await["jid"].as_str().unwrap().to_owned()
    }

    /// Why a message failed.
    async fn failure(&self, id: &str) -> String {
        let failed = self.account.event("message.failed", |data| data["whatsapp_id"] == id).await;
        failed["reason"].as_str().unwrap().to_owned()
    }
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn reaction(message_id: &str, emoji: &str) -> Content {
    Content::Reaction(Reaction { message_id: message_id.to_owned(), emoji: emoji.to_owned(), author: None })
}

fn edit(message_id: &str, text: &str) -> Content {
    Content::Edit(Edit { message_id: message_id.to_owned(), text: text.to_owned() })
}

fn revoke(message_id: &str) -> Content {
    Content::Revoke(Revoke { message_id: message_id.to_owned(), author: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn places_cards_and_polls_arrive_as_such() {
    let shop = Shop::open().await;
    let place =
        Location { latitude: 52.5, longitude: 13.25, name: Some("Shop".to_owned()), address: Some("Here 1".to_owned()) };
    let shown = shop.shown(CUSTOMER, Content::Location(place)).await;
    assert_eq!(shown["location"], json!({ "latitude": 52.5, "longitude": 13.25, "name": "Shop", "address": "Here 1" }));

    let card =
        |name: &str| ContactCard { display_name: name.to_owned(), phones: vec!["+49 1520 000002".to_owned()], vcard: None };
    let shown = shop.shown(CUSTOMER, Content::Contacts(vec![card("Bo")])).await;
    assert_eq!(shown["contact"]["display_name"], "Bo", "{shown:#}");
    assert!(shown["contact"]["vcard"].as_str().unwrap().contains("waid=491520000002:+491520000002"), "{shown:#}");
    let shown = shop.shown(CUSTOMER, Content::Contacts(vec![card("Bo"), card("Cy")])).await;
    assert_eq!(shown["type"], "contacts", "{shown:#}");
    assert!(shown.to_string().contains("FN:Cy"), "{shown:#}");

    for count in [1, 2, 0] {
        let options = vec!["Soup".to_owned(), "Cake".to_owned()];
        let poll = Poll { name: "Lunch?".to_owned(), options, selectable_count: count, announcement: count == 0 };
        let shown = shop.shown(CUSTOMER, Content::Poll(poll)).await;
        assert_eq!(shown["poll"], json!({ "name": "Lunch?", "options": ["Soup", "Cake"], "selectable_count": count }));
    }
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_edits_and_revokes_reach_the_message_that_they_are_about() {
    let shop = Shop::open().await;
    let first = shop.send(CUSTOMER, text("frist")).await;
    let asked = shop.stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "Are you open?" })).await;
    shop.account.event("message.received", |data| data["whatsapp_id"] == asked.as_str()).await;
    for about in [&asked, &first] {
        for emoji in ["👍", ""] {
            let shown = shop.shown(CUSTOMER, reaction(about, emoji)).await;
            assert_eq!(shown["reaction"], json!({ "message_id": about, "emoji": emoji }), "{shown:#}");
        }
    }
    let shown = shop.shown(CUSTOMER, edit(&first, "first")).await;
    assert_eq!((&shown["edited"], &shown["text"]), (&json!(first), &json!("first")), "{shown:#}");
    let shown = shop.shown(CUSTOMER, revoke(&first)).await;
    assert_eq!(shown["revoked"], json!(first), "{shown:#}");

    for (content, why) in
        [(edit(&asked, "I am open"), "only own messages can be edited"), (revoke(&asked), "who alone can take it back")]
    {
        let id = shop.send(CUSTOMER, content).await;
        let reason = shop.failure(&id).await;
        assert!(reason.contains(&asked) && reason.contains(why), "{reason}");
    }
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_texts_quotes_mentions_reactions_edits_and_revokes() {
    let shop = Shop::open().await;
    let group = shop.group().await;
    let asked = shop.stage.phone_sends(FRIEND, &group, json!({ "text": "When?" })).await;
    shop.account.event("message.received", |data| data["whatsapp_id"] == asked.as_str()).await;
    let extras = Extras {
        quote: Some(Quote { message_id: asked.clone(), sender: None }),
        mentions: vec![format!("{FRIEND}@s.whatsapp.net")],
        view_once: false,
    };
    let answer = accept(&shop.stage, &shop.account, &shop.session, &group, text("At 8"), extras).await;
    for number in [CUSTOMER, FRIEND] {
        let shown = shop.stage.phone_shows(number, |shown| shown["id"] == answer.as_str()).await;
        assert_eq!((&shown["text"], &shown["chat"], &shown["quoted_id"]), (&json!("At 8"), &json!(group), &json!(asked)));
        assert_eq!(shown["mentions"].as_array().map(Vec::len), Some(1), "{shown:#}");
    }
    for about in [&asked, &answer] {
        let shown = shop.shown(&group, reaction(about, "🎉")).await;
        assert_eq!(shown["reaction"], json!({ "message_id": about, "emoji": "🎉" }), "{shown:#}");
    }
    let shown = shop.shown(&group, edit(&answer, "At 9")).await;
    assert_eq!((&shown["edited"], &shown["text"]), (&json!(answer), &json!("At 9")), "{shown:#}");
    let shown = shop.shown(&group, revoke(&answer)).await;
    assert_eq!(shown["revoked"], json!(answer), "{shown:#}");

    let unknown = shop.send(&group, reaction("3EB0NOTHING", "👍")).await;
    assert_eq!(shop.failure(&unknown).await, format!("message 3EB0NOTHING is not known in {group}: name its author"));
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialect_sends_places_cards_and_polls() {
    let shop = Shop::open().await;
    for (name, value) in [
        ("location", json!({ "latitude": 1.5, "longitude": "2.5" })),
        ("contact", json!({ "name": "Bo", "phone": "+491520000002" })),
        ("poll", json!({ "question": "Lunch?", "options": ["Soup", "Cake"], "multiSelect": true })),
    ] {
        let sent =
            shop.account.post("/api/v1/send-message", &shop.session.key, json!({ "to": CUSTOMER, name: value })).await;
        assert_eq!(sent.status, 200, "{name}: {sent:?}");
        let id = sent.json()["messageId"].clone();
        let shown = shop.stage.phone_shows(CUSTOMER, |shown| shown["id"] == id).await;
        assert_eq!(shown["type"], name, "{shown:#}");
    }
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_number_that_is_not_on_whatsapp_fails_and_says_so() {
    let shop = Shop::open().await;
    let wish = json!({ "session_id": shop.session.id, "to": "+49 1599 9999999", "text": "Hello?" });
    let sent = shop.account.post("/switchboard/v1/messages", &shop.account.tenant_key, wish).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let id = sent.json()["id"].clone();
    let failed = shop.account.event("message.failed", |data| data["message_id"] == id).await;
    let told = "the receiver is not on WhatsApp: there is no account of this number (code recipient_not_on_whatsapp)";
    assert_eq!(failed["reason"], told, "{failed}");
    let shown = shop.account.get(&format!("/switchboard/v1/messages/{id}"), &shop.account.tenant_key).await.json();
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("failed"), &json!(told)), "{shown}");
    shop.stage.stop().await;
}
