//! Logins that are refused, for a while or for good, and sessions that others end.

use serde_json::json;

use super::{CUSTOMER, SHOP, Shop};

/// A message from a customer while the session is away, and one to it, which is refused with what the customer reads.
async fn is_away(shop: &Shop) -> String {
    let sent = shop.account.send(&shop.session, CUSTOMER, "into the void").await;
    assert_eq!(sent.status, 409, "{sent:?}");
    let missed = shop.text();
    shop.hears_from(CUSTOMER, &missed).await;
    missed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_for_the_time_being_is_tried_again_until_it_is_taken() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    shop.fault(json!({ "fault": "refuse_login", "code": 503, "count": 2 })).await;
    shop.fault(json!({ "fault": "drop" })).await;
    shop.comes_to(mark, "reconnecting", "WhatsApp refused the login (503: it is not available now)").await;
    let (text, missed) = (shop.text(), shop.text());
    shop.sends(&text).await;
    shop.hears_from(CUSTOMER, &missed).await;
    shop.comes_back(mark).await;
    shop.arrives(&text).await;
    shop.is_heard(&missed).await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_no_longer_known_is_logged_out_and_can_be_linked_again() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    shop.fault(json!({ "fault": "refuse_login", "code": 401 })).await;
    shop.fault(json!({ "fault": "drop" })).await;
    shop.comes_to(mark, "logged_out", "WhatsApp no longer knows this device (401): link it again").await;
    assert_eq!(shop.account.send(&shop.session, CUSTOMER, "into the void").await.status, 409);
    shop.clear().await;
    shop.link().await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_unlinks_the_device_is_told_of_and_can_link_it_again() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    shop.fault(json!({ "fault": "log_out", "device": 1 })).await;
    shop.comes_to(mark, "logged_out", "the device was unlinked: link it again").await;
    assert_eq!(shop.account.send(&shop.session, CUSTOMER, "into the void").await.status, 409);
    shop.link().await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_needs_a_person_stops_the_session_and_keeps_its_link() {
    let shop = Shop::open().await;
    for (code, state, reason) in [
        (403, "banned", "WhatsApp has locked the account (403)"),
        (405, "failed", "WhatsApp no longer takes this client version (405)"),
        (409, "failed", "WhatsApp refused the login (409: it does not take what this client says of itself)"),
    ] {
        let mark = shop.mark().await;
        shop.fault(json!({ "fault": "refuse_login", "code": code })).await;
        shop.fault(json!({ "fault": "drop" })).await;
        shop.comes_to(mark, state, reason).await;
        let missed = is_away(&shop).await;
        shop.clear().await;
        shop.connect().await;
        shop.comes_back(mark).await;
        shop.is_heard(&missed).await;
        shop.trades().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_replaced_says_so_stays_away_and_comes_when_it_is_told_to() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    shop.fault(json!({ "fault": "replace", "device": 1 })).await;
    shop.comes_to(mark, "replaced", "another connection took this device's place").await;
    let missed = is_away(&shop).await;
    assert_eq!(shop.states_since(mark).await.len(), 1, "it does not fight");
    shop.connect().await;
    shop.comes_back(mark).await;
    shop.is_heard(&missed).await;
    shop.trades().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_back_by_itself_when_its_ban_is_over_even_if_the_host_restarted_meanwhile() {
    let mut shop = Shop::open().await;
    for restart in [false, true] {
        let mark = shop.mark().await;
        let ban = json!({ "fault": "temp_ban", "number": SHOP, "code": 104, "expire": 4, "message": "slow down" });
        shop.fault(ban).await;
        shop.comes_to(mark, "banned", "WhatsApp has banned the account for ").await;
        let missed = is_away(&shop).await;
        if restart {
            shop = shop.restart().await;
        }
        shop.comes_back(mark).await;
        shop.is_heard(&missed).await;
        shop.trades().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_session_that_the_customer_takes_off_line_stays_there() {
    let shop = Shop::open().await;
    let mark = shop.mark().await;
    shop.fault(json!({ "fault": "temp_ban", "expire": 3_600 })).await;
    shop.comes_to(mark, "banned", "WhatsApp has banned the account for ").await;
    let path = format!("/api/v1/whatsapp-sessions/{}/disconnect", shop.session.id);
    assert_eq!(shop.account.post(&path, &shop.session.key, json!({})).await.status, 200);
    shop.comes_to(mark, "disconnected", "").await;
    shop.clear().await;
    shop.connect().await;
    shop.comes_back(mark).await;
    shop.trades().await;
    shop.close().await;
}
