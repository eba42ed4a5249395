//! Connections that break, stop, or stand open and carry nothing.

use serde_json::json;
use switchboard::whatsapp::SessionSettings;
use switchboard_tests::account::{Account, phone, shows};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

use super::{CUSTOMER, HOUR_MS, Shop};

/// A figure of the host's metrics.
async fn metric(shop: &Shop, series: &str) -> u64 {
    let page = shop.account.get("/metrics", ADMIN_KEY).await;
    let page = String::from_utf8(page.body).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_told_with_its_reason_and_comes_back_by_itself() {
    let shop = Shop::open().await;
    for (abrupt, reason) in [(false, ""), (true, "the connection ")] {
        let mark = shop.mark().await;
        shop.fault(json!({ "fault": "drop", "abrupt": abrupt })).await;
        shop.comes_to(mark, "reconnecting", reason).await;
        // Accepted at any time, and sent when it can be.
        let (text, missed) = (shop.text(), shop.text());
        let id = shop.sends(&text).await;
        shop.hears_from(CUSTOMER, &missed).await;
        shop.comes_back(mark).await;
        shop.arrives(&text).await;
        shop.is_heard(&missed).await;
        shop.message_is(&id, "delivered").await;
    }
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_is_found_by_its_silence_and_replaced() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    // Nothing passes, and nobody closes anything: only asking tells.
    shop.fault(json!({ "fault": "half_open", "ms": HOUR_MS })).await;
    let (text, missed) = (shop.text(), shop.text());
    let id = shop.sends(&text).await;
    shop.hears_from(CUSTOMER, &missed).await;
    shop.comes_to(mark, "reconnecting", "the server has not answered for ").await;
    shop.comes_back(mark).await;
    shop.arrives(&text).await;
    shop.is_heard(&missed).await;
    shop.message_is(&id, "delivered").await;
    shop.trades().await;

    assert!(metric(&shop, "switchboard_session_probes_total{outcome=\"unanswered\"}").await > 0);
    assert_eq!(metric(&shop, "switchboard_sessions{state=\"connected\"}").await, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_that_answers_stays_connected_however_long_it_is_silent() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    // It is asked again and again, and each answer is good for a while.
    let answered = async || metric(&shop, "switchboard_session_probes_total{outcome=\"answered\"}").await;
    let before = answered().await;
    assert!(until(PATIENCE, async || answered().await >= before + 3).await, "nobody asked it");
    assert_eq!(shop.states_since(mark).await, [], "none of that is news");
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_stalls_goes_on_or_is_replaced_and_loses_nothing_either_way() {
    let shop = Shop::open().await;
    for ms in [200, HOUR_MS] {
        let mark = shop.mark().await;
        shop.fault(json!({ "fault": "stall", "ms": ms })).await;
        let (text, missed) = (shop.text(), shop.text());
        let id = shop.sends(&text).await;
        shop.hears_from(CUSTOMER, &missed).await;
        shop.arrives(&text).await;
        shop.is_heard(&missed).await;
        shop.message_is(&id, "delivered").await;
        if ms == HOUR_MS {
            shop.comes_to(mark, "reconnecting", "the server has not answered for ").await;
            shop.comes_back(mark).await;
        }
    }
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_is_come_back_to() {
    let shop = Shop::open().await;
    for fault in [json!({ "fault": "stream_error", "code": 503 }), json!({ "fault": "stream_end" })] {
        let mark = shop.mark().await;
        shop.fault(fault).await;
        shop.comes_to(mark, "reconnecting", "").await;
        shop.comes_back(mark).await;
        shop.trades().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_an_outage_or_a_restart_struck_together_all_come_back_one_by_one() {
    const NUMBERS: [&str; 4] = ["491510000001", "491510000002", "491510000003", "491510000004"];
    let one_by_one = SessionSettings { connects_at_once: 1, connects_per_second: 4, ..SessionSettings::default() };
    let stage = Stage::start_with(one_by_one).await;
    let account = stage.account("Shops").await;
    let mut sessions = Vec::new();
    for number in NUMBERS {
        sessions.push(account.linked(stage.control(), number, number).await);
    }
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;

    let outage = json!({ "fault": "drop", "abrupt": true });
    let struck = stage.control().json("POST", "/switchboard/v1/sim/faults", Some(ADMIN_KEY), Some(&outage)).await.unwrap();
    assert_eq!(struck.status / 100, 2, "{struck:?}");
    for session in &sessions {
        account.wait_for(session, "connecting").await;
    }
    for session in &sessions {
        account.wait_for(session, "connected").await;
    }
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    for (session, number) in sessions.iter().zip(NUMBERS) {
        account.wait_for(session, "connected").await;
        let text = format!("from {number}");
        assert_eq!(account.send(session, CUSTOMER, &text).await.status, 200);
        shows(stage.control(), ADMIN_KEY, CUSTOMER, &text).await;
    }
    stage.stop().await;
}
