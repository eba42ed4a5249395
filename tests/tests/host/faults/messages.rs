//! Messages that are not acknowledged, come late, twice, in another order or damaged, and devices without keys.

use serde_json::{Value, json};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::ADMIN_KEY;

use super::{CUSTOMER, HOUR_MS, OTHER_CUSTOMER, SHOP, Shop};

impl Shop {
    /// How often the network took the message of this id.
    async fn taken(&self, whatsapp_id: &str) -> usize {
        let path = "/switchboard/v1/sim/journal?after=0&limit=1000";
        let journal = self.stage.control().json("GET", path, Some(ADMIN_KEY), None).await.unwrap().json();
        let entries = journal["entries"].as_array().unwrap_or_else(|| panic!("{journal}"));
        entries.iter().filter(|entry| entry["id"] == whatsapp_id).count()
    }

    /// Sends a file to the customer; the WhatsApp id of the message.
    async fn sends_a_file(&self) -> String {
        let key = &self.account.tenant_key;
        let file = self.account.post("/switchboard/v1/media", key, json!({ "base64": "c2xvdw==" })).await;
        assert_eq!(file.status, 201, "{file:?}");
        let document = json!({ "source": { "blob": file.json()["id"] }, "file_name": "slow.txt" });
        let content = json!({ "type": "document", "value": document });
        let wish = json!({ "session_id": self.session.id, "to": CUSTOMER, "content": content });
        let sent = self.account.post("/switchboard/v1/messages", key, wish).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.json()["whatsapp_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_acknowledges_is_sent_again_under_its_id_and_shown_once() {
    let shop = Shop::open().await;
    shop.fault(json!({ "fault": "no_ack" })).await;
    let text = shop.text();
    let id = shop.sends(&text).await;
    shop.arrives(&text).await;
    // The phone has it, and the server has not said so.
    shop.clear().await;
    let again = until(2 * PATIENCE, async || shop.taken(&id).await > 1).await;
    assert!(again, "it was never sent again");
    shop.message_is(&id, "delivered").await;
    shop.arrives(&text).await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_is_late_is_waited_for() {
    let shop = Shop::open().await;
    shop.fault(json!({ "fault": "late_ack", "ms": 1_500 })).await;
    let (text, next) = (shop.text(), shop.text());
    let (id, next_id) = (shop.sends(&text).await, shop.sends(&next).await);
    shop.arrives(&text).await;
    shop.arrives(&next).await;
    for id in [&id, &next_id] {
        shop.message_is(id, "delivered").await;
    }
    shop.clear().await;
    shop.trades().await;
    assert_eq!((shop.taken(&id).await, shop.taken(&next_id).await), (1, 1), "nothing was sent twice");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_twice_is_one_event() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        shop.fault(json!({ "fault": "duplicate" })).await;
        let (twice, once) = (shop.text(), shop.text());
        shop.hears_from(CUSTOMER, &twice).await;
        // Behind both copies, in the same chat.
        shop.hears_from(CUSTOMER, &once).await;
        shop.is_heard(&once).await;
        shop.is_heard(&twice).await;
    }
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_another_overtakes_keeps_its_order() {
    let shop = Shop::open().await;
    shop.fault(json!({ "fault": "reorder", "ms": HOUR_MS })).await;
    let [first, second, other] = [shop.text(), shop.text(), shop.text()];
    shop.hears_from(CUSTOMER, &first).await;
    shop.hears_from(CUSTOMER, &second).await;
    shop.hears_from(OTHER_CUSTOMER, &other).await;
    for text in [&first, &second, &other] {
        shop.is_heard(text).await;
    }
    let heard = shop.heard().await;
    let place = |text: &String| heard.iter().position(|heard| heard == text).unwrap();
    assert!(place(&first) < place(&second), "{heard:?}");
    shop.clear().await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_message_is_asked_for_again_and_is_one_event_with_its_text() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        shop.fault(json!({ "fault": "corrupt" })).await;
        let text = shop.text();
        shop.hears_from(CUSTOMER, &text).await;
        shop.is_heard(&text).await;
    }
    shop.trades().await;
    let heard = shop.heard().await;
    assert!(heard.iter().all(|text| !text.is_empty()), "{heard:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_without_one_time_keys_is_written_to_all_the_same() {
    let shop = Shop::open().await;
    // Nobody has written to this one yet.
    shop.fault(json!({ "fault": "missing_prekeys", "number": OTHER_CUSTOMER, "device": 0 })).await;
    let text = shop.text();
    let sent = shop.account.send(&shop.session, OTHER_CUSTOMER, &text).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    switchboard_tests::account::shows(shop.stage.control(), ADMIN_KEY, OTHER_CUSTOMER, &text).await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_server_has_another_clock_works() {
    let shop = Shop::open().await;
    for skew_ms in [-90_000_i64, 86_400_000] {
        shop.fault(json!({ "fault": "clock_skew", "device": 1, "ms": skew_ms })).await;
        let mark = shop.mark().await;
        // It logs in under that clock, too.
        shop.fault(json!({ "fault": "drop" })).await;
        shop.comes_back(mark).await;
        shop.trades().await;
    }
    let events: Vec<Value> = shop.events().await;
    let times: Vec<u64> = events.iter().map(|event| event["at"].as_u64().unwrap()).collect();
    let (first, last) = (times.first().unwrap(), times.last().unwrap());
    assert!(last - first < 3_600_000, "events carry the host's own time: {times:?}");
    assert!(events.iter().any(|event| event["data"]["chat"].as_str().is_some_and(|chat| !chat.contains(SHOP))));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_without_any_keys_is_written_to_as_soon_as_there_are_some() {
    let shop = Shop::open().await;
    // Nobody has written to this one yet.
    let nothing = json!({ "fault": "missing_prekeys", "number": OTHER_CUSTOMER, "device": 0, "keys": "all" });
    shop.fault(nothing).await;
    let (text, to_another) = (shop.text(), shop.text());
    let sent = shop.account.send(&shop.session, OTHER_CUSTOMER, &text).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    // Another chat does not wait for it.
    shop.sends(&to_another).await;
    shop.arrives(&to_another).await;
    let way = shop.way_of(sent.json()["messageId"].as_str().unwrap()).await;
    assert_eq!(way, [""; 0], "what was sealed for nobody is not acknowledged");
    shop.fault(json!({ "fault": "clear", "number": OTHER_CUSTOMER, "device": 0 })).await;
    switchboard_tests::account::shows(shop.stage.control(), ADMIN_KEY, OTHER_CUSTOMER, &text).await;
    shop.message_is(sent.json()["messageId"].as_str().unwrap(), "delivered").await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_a_slow_media_host_holds_up_no_other_chat_and_arrives() {
    let shop = Shop::open().await;
    shop.sim_fault(json!({ "fault": "media_slow", "delay_ms": 3_000, "count": 1 })).await;
    let id = shop.sends_a_file().await;
    let text = shop.text();
    let sent = shop.account.send(&shop.session, OTHER_CUSTOMER, &text).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    switchboard_tests::account::shows(shop.stage.control(), ADMIN_KEY, OTHER_CUSTOMER, &text).await;
    assert!(!shop.way_of(&id).await.contains(&"acknowledged".to_owned()), "the text came while the file was on its way");
    shop.message_is(&id, "delivered").await;
    shop.sim_fault(json!({ "fault": "media_clear" })).await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_upload_fails_breaks_off_or_finds_its_permission_expired_is_uploaded_again() {
    let shop = Shop::open().await;
    for fault in [
        json!({ "fault": "media_fail", "count": 1 }),
        json!({ "fault": "media_cut", "bytes": 8, "count": 1 }),
        json!({ "fault": "media_expire" }),
    ] {
        shop.sim_fault(fault.clone()).await;
        let id = shop.sends_a_file().await;
        shop.message_is(&id, "delivered").await;
        assert_eq!(shop.taken(&id).await, 1, "{fault}");
    }
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_network_delays_comes_late_in_order_and_once() {
    let shop = Shop::open().await;
    shop.fault(json!({ "fault": "delay", "ms": 1_000 })).await;
    let texts = [shop.text(), shop.text(), shop.text()];
    for text in &texts {
        shop.hears_from(CUSTOMER, text).await;
    }
    let answer = shop.text();
    let id = shop.sends(&answer).await;
    shop.arrives(&answer).await;
    for text in &texts {
        shop.is_heard(text).await;
    }
    let heard = shop.heard().await;
    assert!(heard.ends_with(&texts), "{heard:?}");
    shop.message_is(&id, "delivered").await;
    shop.clear().await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_on_under_faults_at_random_and_loses_and_repeats_nothing() {
    let shop = Shop::open().await;
    let kinds = ["drop", "duplicate", "delay", "corrupt"];
    shop.fault(json!({ "fault": "random", "seed": 7, "rate": 0.1, "kinds": kinds, "ms": 200 })).await;
    let (mut sent, mut written) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let (to, from) = (shop.text(), shop.text());
        shop.sends(&to).await;
        shop.hears_from(CUSTOMER, &from).await;
        sent.push(to);
        written.push(from);
    }
    let all_heard = async || {
        let heard = shop.heard().await;
        written.iter().all(|text| heard.contains(text))
    };
    assert!(until(3 * PATIENCE, all_heard).await, "{written:?} but {:?}", shop.heard().await);
    shop.clear().await;
    for text in &sent {
        shop.arrives(text).await;
    }
    for text in &written {
        shop.is_heard(text).await;
    }
    shop.trades().await;
    shop.close().await;
}
