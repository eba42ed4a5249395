//! The event log tells everything that happens to a session, once, with both names of whoever did it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_core::records::content::{Content, Extras, MediaSource, Poll};
use switchboard_core::records::event::Fact;
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const FRIEND: &str = "491520000002";

/// A shop whose session is linked, and two people with phones.
async fn shop() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Shop", SHOP).await;
    for number in [CUSTOMER, FRIEND] {
        phone(stage.control(), ADMIN_KEY, number).await;
    }
    (stage, account, session)
}

/// The data of the event that a message of this id became; there is one.
async fn told(account: &Account, event_type: &str, id: &str) -> Value {
    let data = account.event(event_type, |data| data["whatsapp_id"] == id).await;
    let same = account.events().await.into_iter().filter(|event| event["data"]["whatsapp_id"] == id).count();
    assert_eq!(same, 1, "{id} is told once");
    data
}

fn is_lid(value: &Value) -> bool {
    value.as_str().is_some_and(|lid| lid.ends_with("@lid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_edits_and_revokes_are_events_that_name_their_message() {
    let (stage, account, session) = shop().await;
    let sent = account.send(&session, CUSTOMER, "Good day").await.json();
    let greeting = sent["messageId"].as_str().unwrap().to_owned();
    stage.phone_shows(CUSTOMER, |shown| shown["id"] == greeting.as_str()).await;

    for emoji in ["👍", ""] {
        let reaction = json!({ "reaction": { "message_id": greeting, "emoji": emoji } });
        let id = stage.phone_sends(CUSTOMER, SHOP, reaction).await;
        let data = told(&account, "message.reaction", &id).await;
        let value = &data["content"]["value"];
        assert_eq!((&value["message_id"], &value["emoji"]), (&json!(greeting), &json!(emoji)));
        assert_eq!(value["author"]["phone"], SHOP, "{data:#}");
        assert!(is_lid(&value["author"]["lid"]), "{data:#}");
        assert_eq!((&data["from_phone"], &data["chat_phone"]), (&json!(CUSTOMER), &json!(CUSTOMER)), "{data:#}");
        assert!(is_lid(&data["from_lid"]) && is_lid(&data["chat_lid"]), "{data:#}");
    }
    let text = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "helo" })).await;
    let data = told(&account, "message.received", &text).await;
    assert!(is_lid(&data["from_lid"]) && is_lid(&data["chat_lid"]), "{data:#}");
    for sealed in [false, true] {
        let edit = json!({ "edit": { "message_id": text, "text": "hello", "sealed": sealed } });
        let edit = stage.phone_sends(CUSTOMER, SHOP, edit).await;
        let data = told(&account, "message.edited", &edit).await;
        assert_eq!(data["content"]["value"], json!({ "message_id": text, "text": "hello" }));
    }
    let revoke = stage.phone_sends(CUSTOMER, SHOP, json!({ "revoke": { "message_id": text } })).await;
    let data = told(&account, "message.revoked", &revoke).await;
    assert_eq!(data["content"]["value"], json!({ "message_id": text, "author": null }));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_writes_on_the_phone_is_told_as_from_me() {
    let (stage, account, _) = shop().await;
    // From now on both of the customer's names are known.
    let question = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "Are you there?" })).await;
    told(&account, "message.received", &question).await;
    let id = stage.phone_sends(SHOP, CUSTOMER, json!({ "text": "from my pocket" })).await;
    let data = told(&account, "message.received", &id).await;
    assert_eq!((&data["from_me"], &data["from_phone"], &data["chat_phone"]), (&json!(true), &json!(SHOP), &json!(CUSTOMER)));
    assert!(is_lid(&data["chat_lid"]), "{data:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_told_with_all_that_is_known_of_it_but_not_with_its_key() {
    let (stage, account, _) = shop().await;
    let picture = b"\x89PNG not really a picture".to_vec();
    let image = json!({ "image": { "base64": STANDARD.encode(&picture), "mime": "image/png", "caption": "a cat", "width": 4, "height": 3 } });
    let id = stage.phone_sends(CUSTOMER, SHOP, image).await;
    let data = told(&account, "message.received", &id).await;
    let (content, media) = (&data["content"], &data["content"]["value"]);
    assert_eq!(
        (&content["type"], &media["source"], &media["caption"]),
        (&json!("image"), &json!("whatsapp"), &json!("a cat"))
    );
    assert_eq!((&media["mime"], &media["size"]), (&json!("image/png"), &json!(picture.len())), "{data:#}");
    assert_eq!((&media["width"], &media["height"]), (&json!(4), &json!(3)), "{data:#}");

    let events = stage.host.storage().events(TenantId(account.tenant), 0, 500).await.unwrap();
    let kept = events.iter().find_map(|event| match &event.fact {
        Fact::MessageReceived(incoming) if incoming.whatsapp_id == id => incoming.content.media().cloned(),
        _ => None,
    });
    let kept = kept.unwrap();
    let MediaSource::WhatsApp(place) = &kept.source else { panic!("{kept:?}") };
    assert_eq!((place.media_key.len(), place.enc_sha256.len()), (64, 64), "32 bytes in hex");
    assert!(place.direct_path.starts_with('/'), "{place:?}");
    assert!(!data.to_string().contains(&place.media_key) && !data.to_string().contains(&place.direct_path), "{data:#}");

    let voice = json!({ "voice": { "base64": STANDARD.encode(b"OggS"), "seconds": 7 } });
    let voice = stage.phone_sends(CUSTOMER, SHOP, voice).await;
    let media = told(&account, "message.received", &voice).await["content"]["value"].clone();
    assert_eq!((&media["voice_note"], &media["seconds"]), (&json!(true), &json!(7)), "{media:#}");
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Bo\nTEL;waid=491520000002:+49 1520 000002\nEND:VCARD";
    let card = stage.phone_sends(CUSTOMER, SHOP, json!({ "contact": { "display_name": "Bo", "vcard": card } })).await;
    let cards = told(&account, "message.received", &card).await["content"]["value"].clone();
    assert_eq!((&cards[0]["display_name"], &cards[0]["phones"]), (&json!("Bo"), &json!([FRIEND])), "{cards:#}");
    let place = json!({ "live_location": { "latitude": 52.5, "longitude": 13.4, "sequence": 2 } });
    let place = stage.phone_sends(CUSTOMER, SHOP, place).await;
    let content = told(&account, "message.received", &place).await["content"].clone();
    assert_eq!((&content["type"], &content["value"]["sequence"]), (&json!("live_location"), &json!(2)), "{content:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_in_polls_of_both_sides_are_opened() {
    let (stage, account, session) = shop().await;
    let options = vec!["Soup".to_owned(), "Cake".to_owned()];
    let poll = Content::Poll(Poll {
        name: "Lunch?".to_owned(),
        options: options.clone(),
        selectable_count: 1,
        announcement: false,
    });
    let ours = super::sending::accept(&stage, &account, &session, CUSTOMER, poll, Extras::default()).await;
    stage.phone_shows(CUSTOMER, |shown| shown["id"] == ours.as_str()).await;
    for chosen in [json!(["Cake"]), json!([])] {
        let vote = stage.phone_sends(CUSTOMER, SHOP, json!({ "poll_vote": { "poll_id": ours, "options": chosen } })).await;
        let data = told(&account, "poll.vote", &vote).await;
        let value = &data["content"]["value"];
        assert_eq!((&value["poll_id"], &value["options"]), (&json!(ours), &chosen), "{data:#}");
        assert_eq!((&value["author"]["phone"], &data["from_phone"]), (&json!(SHOP), &json!(CUSTOMER)), "{data:#}");
    }

    let group = stage.sim("POST", "groups", json!({ "subject": "Lunch", "participants": [CUSTOMER, SHOP, FRIEND] })).await;
    let group = group["jid"].as_str().unwrap().to_owned();
    let theirs = json!({ "poll": { "name": "Where?", "options": options, "selectable_count": 0 } });
    let theirs = stage.phone_sends(CUSTOMER, &group, theirs).await;
    told(&account, "message.received", &theirs).await;
    stage.phone_shows(FRIEND, |shown| shown["id"] == theirs.as_str()).await;
    let both = json!({ "poll_vote": { "poll_id": theirs, "options": options } });
    let vote = stage.phone_sends(FRIEND, &group, both).await;
    let data = told(&account, "poll.vote", &vote).await;
    assert_eq!((&data["content"]["value"]["options"], &data["group"]), (&json!(options), &json!(true)), "{data:#}");
    assert_eq!((&data["content"]["value"]["author"]["phone"], &data["from_phone"]), (&json!(CUSTOMER), &json!(FRIEND)));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_groups_and_each_members_receipts_are_events() {
    let (stage, account, session) = shop().await;
    let made = stage.sim("POST", "groups", json!({ "subject": "Club", "participants": [CUSTOMER, SHOP] })).await;
    let group = made["jid"].as_str().unwrap().to_owned();
    let of_group = |change: &'static str| {
        let group = group.clone();
        move |data: &Value| data["chat"] == group.as_str() && data["change"] == change
    };
    let people = format!("groups/{group}/participants");
    stage.sim("PATCH", &format!("groups/{group}"), json!({ "by": CUSTOMER, "subject": "Book club" })).await;
    let data = account.event("group.changed", of_group("subject")).await;
    assert_eq!((&data["value"], &data["by"]["phone"]), (&json!("Book club"), &json!(CUSTOMER)), "{data:#}");
    assert!(is_lid(&data["by"]["lid"]), "{data:#}");
    for (action, change) in [("add", "add"), ("promote", "promote"), ("remove", "remove"), ("add", "add")] {
        stage.sim("POST", &people, json!({ "by": CUSTOMER, "action": action, "numbers": [FRIEND] })).await;
        let data = account.event("group.changed", of_group(change)).await;
        assert_eq!(data["participants"][0]["phone"], FRIEND, "{data:#}");
        assert!(is_lid(&data["participants"][0]["lid"]), "{data:#}");
    }
    let sent = account.send(&session, &group, "Welcome").await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let id = sent.json()["messageId"].as_str().unwrap().to_owned();
    for number in [CUSTOMER, FRIEND] {
        stage.phone_shows(number, |shown| shown["id"] == id.as_str()).await;
        let of = |data: &Value| data["whatsapp_id"] == id.as_str() && data["by"]["phone"] == number;
        let data = account.event("message.receipt", |data| of(data) && data["state"] == "delivered").await;
        assert_eq!(data["chat"], group.as_str());
    }
    stage.sim("POST", &people, json!({ "by": FRIEND, "action": "leave" })).await;
    let data = account.event("group.changed", of_group("leave")).await;
    assert_eq!((&data["by"]["phone"], &data["participants"][0]["phone"]), (&json!(FRIEND), &json!(FRIEND)), "{data:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_typing_are_events() {
    let (stage, account, _) = shop().await;
    let call = stage.sim("POST", &format!("phones/{CUSTOMER}/calls"), json!({ "to": SHOP, "video": true })).await;
    let id = call["id"].as_str().unwrap().to_owned();
    let data = account.event("call.received", |data| data["call_id"] == id.as_str()).await;
    assert_eq!((&data["from"]["phone"], &data["video"]), (&json!(CUSTOMER), &json!(true)), "{data:#}");
    stage.sim("POST", &format!("phones/{CUSTOMER}/calls/{id}"), json!({ "action": "hang_up" })).await;
    let data = account.event("call.ended", |data| data["call_id"] == id.as_str()).await;
    assert_eq!((&data["reason"], &data["from"]["phone"]), (&json!("missed"), &json!(CUSTOMER)), "{data:#}");

    for (state, told) in [("composing", "typing"), ("recording", "recording"), ("paused", "paused")] {
        let body = json!({ "to": SHOP, "state": state });
        stage.sim("POST", &format!("phones/{CUSTOMER}/chatstate"), body).await;
        let data = account.event("chat.state", |data| data["state"] == told).await;
        assert_eq!(data["person"]["phone"], CUSTOMER, "{data:#}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_watched_comes_and_goes_as_events_and_others_do_not() {
    let (stage, account, session) = shop().await;
    let set = async |settings: Value| {
        let path = format!("/switchboard/v1/sessions/{}", session.id);
        let body = json!({ "settings": settings });
        account.http.json("PATCH", &path, Some(&account.tenant_key), Some(&body)).await.unwrap()
    };
    // From now on both of the customer's names are known.
    let question = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "Are you there?" })).await;
    told(&account, "message.received", &question).await;
    let refused = set(json!({ "watch_presence": ["nobody"] })).await;
    assert!(refused.status == 422 && refused.json().to_string().contains("nobody"), "{refused:?}");
    assert_eq!(set(json!({ "watch_presence": [CUSTOMER] })).await.status, 200);
    let comes = async |number: &str, there: bool| {
        stage
            .sim(
                "POST",
                &format!("phones/{number}/presence"),
                json!({ "state": if there { "available" } else { "unavailable" } }),
            )
            .await;
    };
    comes(FRIEND, true).await;
    comes(CUSTOMER, true).await;
    let came = account.event("presence.changed", |data| data["person"]["phone"] == CUSTOMER && data["online"] == true).await;
    assert!(is_lid(&came["person"]["lid"]), "{came:#}");
    comes(CUSTOMER, false).await;
    // How it stood when the watch began has no such moment.
    let went = account.event("presence.changed", |data| data["last_seen"].is_u64()).await;
    assert_eq!((&went["person"]["phone"], &went["online"]), (&json!(CUSTOMER), &json!(false)), "{went:#}");
    // A new connection watches as well.
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    account.wait_for(&session, "connected").await;
    let before = account.events().await.len();
    stage.sim("POST", &format!("phones/{CUSTOMER}/presence"), json!({ "state": "available" })).await;
    let again = async || {
        let events = account.events().await;
        events.iter().skip(before).any(|event| event["type"] == "presence.changed" && event["data"]["online"] == true)
    };
    assert!(until(PATIENCE, again).await, "nobody came: {:#?}", account.events().await);
    let told = account.events().await;
    let friend = told.iter().any(|event| event["data"]["person"]["phone"] == FRIEND);
    assert!(!friend, "nobody watches the friend");
    stage.stop().await;
}
