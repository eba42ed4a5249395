//! Plugins that send too much, for ever, or for others.

use serde_json::json;
use switchboard_tests::account::write;
use switchboard_tests::stage::ADMIN_KEY;

use super::{ATTACKERS, CUSTOMER, NEIGHBOURS, OTHER_CUSTOMER, Street, bot, grant, run_fails, upload};

#[tokio::test(flavor = "multi_thread")]
async fn sends_more_at_once_than_its_rate__nothing_of_it_goes_out() {
    let street = Street::with_bot().await;
    grant(&street.attacker, json!({ "sessions": "all", "fields": ["text"], "send": { "per_minute": 5 } })).await;
    street.tell(CUSTOMER, "flood 6").await;
    street.run_fails("5").await;
    // Within its rate it is heard, in another chat.
    street.tell(OTHER_CUSTOMER, "flood 2").await;
    assert_eq!(street.shown_times(OTHER_CUSTOMER, 2).await, ["flood 0", "flood 1"]);
    assert!(street.shown(CUSTOMER).await.is_empty());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_65_commands__nothing_of_it_goes_out() {
    let street = Street::with_bot().await;
    street.tell(CUSTOMER, "flood 65").await;
    street.run_fails("64").await;
    assert!(street.shown(CUSTOMER).await.is_empty());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bots_answer_each_other__both_stop_at_their_rate() {
    const THIRD: &str = "491510000003";
    let street = Street::with_bot().await;
    let other = street.stage.account("Other").await;
    other.linked(street.stage.control(), "O", THIRD).await;
    assert_eq!(upload(&other, "bot", bot()).await.status, 201);
    let few = json!({ "sessions": "all", "fields": ["text"], "send": { "per_minute": 5 } });
    grant(&street.attacker, few.clone()).await;
    grant(&other, few).await;
    let begun = street.attacker.send(&street.attackers_session, THIRD, "hello, bot").await;
    assert_eq!(begun.status, 200, "{begun:?}");
    // One of them comes to its limit first; the other has nothing to answer then.
    let stopped = tokio::select! {
        stopped = run_fails(&street.attacker, "5") => stopped,
        stopped = run_fails(&other, "5") => stopped,
    };
    assert!(stopped["last_error"].as_str().unwrap().contains("minute"), "{stopped}");
    // The minute may have changed once meanwhile.
    let sent = street.shown(THIRD).await.len() + street.shown(ATTACKERS).await.len();
    assert!(sent <= 1 + 4 * 5, "{sent} messages");
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_what_its_own_account_writes__it_hears_itself_not() {
    let street = Street::with_bot().await;
    // The owner writes to a customer with the phone: the bot says the same again, and does not hear that.
    write(street.stage.control(), ADMIN_KEY, ATTACKERS, CUSTOMER, "to whom it may concern").await;
    assert_eq!(street.shown_times(CUSTOMER, 2).await, ["to whom it may concern"; 2]);
    street.tell(CUSTOMER, "and now").await;
    assert_eq!(street.shown_times(CUSTOMER, 3).await[2], "and now");
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_from_the_session_of_another_account__its_run_fails_as_for_one_that_never_was() {
    let street = Street::with_bot().await;
    street.tell(CUSTOMER, &format!("from {}", street.neighbours_session.id)).await;
    street.tell(OTHER_CUSTOMER, "from 2147480000").await;
    let (theirs, nobodys) = (street.neighbours_session.id.to_string(), "2147480000");
    let (first, second) = tokio::join!(street.run_fails(&theirs), street.run_fails(nobodys));
    let words = |run: &serde_json::Value, id: &str| run["last_error"].as_str().unwrap().replace(id, "ID");
    assert_eq!(words(&first, &theirs), words(&second, nobodys));
    assert!(street.shown(CUSTOMER).await.is_empty());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_after_half_of_its_effects__nothing_of_it_is_kept() {
    let street = Street::with_bot().await;
    street.tell(CUSTOMER, "half").await;
    street.run_fails("trap").await;
    street.tell(OTHER_CUSTOMER, "get half").await;
    assert_eq!(street.shown_times(OTHER_CUSTOMER, 1).await, ["none"]);
    assert!(street.shown(CUSTOMER).await.is_empty());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_expands__is_refused_by_its_limit() {
    let street = Street::start().await;
    let key = &street.attacker.tenant_key;
    let definition = json!({ "body": "{{a}}".repeat(4_000) });
    let stored = json!({ "name": "bomb", "language": "en", "definition": definition });
    assert_eq!(street.attacker.post("/switchboard/v1/templates", key, stored).await.status, 201);
    let call = json!({ "name": "bomb", "language": "en", "parameters": { "a": "{{a}}".repeat(10_000) } });
    let content = json!({ "type": "template", "value": call });
    let wish = json!({ "session_id": street.attackers_session.id, "to": CUSTOMER, "content": content });
    let refused = street.attacker.post("/switchboard/v1/messages", key, wish).await;
    assert!(matches!(refused.status, 413 | 422), "{} {}", refused.status, refused.body.len());
    assert!(refused.body.len() < 4096, "what is said of it is short: {} bytes", refused.body.len());
    // Filled in once, and not again.
    let small = json!({ "name": "small", "language": "en", "definition": { "body": "<{{a}}>" } });
    assert_eq!(street.attacker.post("/switchboard/v1/templates", key, small).await.status, 201);
    let call = json!({ "name": "small", "language": "en", "parameters": { "a": "{{a}}" } });
    let content = json!({ "type": "template", "value": call });
    let wish = json!({ "session_id": street.attackers_session.id, "to": CUSTOMER, "content": content });
    assert_eq!(street.attacker.post("/switchboard/v1/messages", key, wish).await.status, 202);
    assert_eq!(street.shown_times(CUSTOMER, 1).await, ["<{{a}}>"]);
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_to_the_neighbours_number__it_is_a_message_like_any_other() {
    let street = Street::with_bot().await;
    let sent = street.attacker.send(&street.attackers_session, NEIGHBOURS, "nothing to answer").await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(street.shown_times(NEIGHBOURS, 1).await, ["nothing to answer"]);
    let events = street.neighbour.events().await;
    assert!(events.iter().all(|event| event["session_id"] == street.neighbours_session.id), "{events:?}");
    street.stage.stop().await;
}
