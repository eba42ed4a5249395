//! `/metrics`: who may read it, that it is well-formed, that it counts, and that nothing in it tells who is who.

use std::collections::{BTreeMap, BTreeSet};

use switchboard::http::LocalClient;
use switchboard_tests::account::{phone, shows};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

/// The samples of a page by name and labels. Fails when anything in it is not in Prometheus' text format.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut family = (String::new(), String::new());
    assert!(page.ends_with('\n'), "a page ends with a line feed");
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(!words.is_empty() && families.insert(name.to_owned()), "each family once, with help: {line}");
            continue;
        }
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind) && families.contains(name), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = (name.to_owned(), kind.to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = name.strip_prefix(family.0.as_str()).unwrap_or_else(|| panic!("{line} is not of {family:?}"));
        let allowed: &[&str] = if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty()) {
            let (label, text) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert!(label.chars().all(|c| c.is_ascii_lowercase()), "{line}");
            assert!(text.len() > 2 && text.starts_with('"') && text.ends_with('"'), "{line}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

async fn page(http: LocalClient, key: Option<&str>) -> (u16, String, String) {
    let answer = http.json("GET", "/metrics", key, None).await.unwrap();
    let content_type = answer.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
    (answer.status, content_type.unwrap_or_default(), String::from_utf8(answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_with_what_happens_and_tell_nobody_apart() {
    let stage = Stage::start().await;
    let account = stage.account("Secretive").await;
    let before = parse(&page(stage.http(), Some(ADMIN_KEY)).await.2);
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let sent = account.send(&shop, CUSTOMER, "Your parcel is here").await;
    assert_eq!(sent.status, 200, "{sent:?}");
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "Your parcel is here").await;

    let mut text = String::new();
    let settled = until(PATIENCE, async || {
        text = page(stage.http(), Some(ADMIN_KEY)).await.2;
        // The page is read in several steps: the outbox may be looked at before a message leaves it, and the counts after.
        text.contains("switchboard_messages_total{outcome=\"acknowledged\"} 1\n")
            && text.contains("switchboard_outbox_messages 0\n")
    });
    assert!(settled.await, "{text}");
    let after = parse(&text);
    let grown =
        |series: &str| after.get(series).copied().unwrap_or_default() - before.get(series).copied().unwrap_or_default();
    for series in [
        "switchboard_sessions{state=\"connected\"}",
        "switchboard_messages_total{outcome=\"accepted\"}",
        "switchboard_messages_total{outcome=\"acknowledged\"}",
    ] {
        assert_eq!(grown(series), 1.0, "{series}\n{text}");
    }
    for series in [
        "switchboard_events_total{type=\"session.state\"}",
        "switchboard_session_changes_total{state=\"connected\"}",
        "switchboard_storage_transactions_total",
        "switchboard_storage_batches_total",
        "switchboard_storage_commit_seconds_total",
        "switchboard_http_requests_total{route=\"plugin\",status=\"2xx\"}",
        "switchboard_http_request_seconds_count{route=\"plugin\"}",
        "switchboard_http_request_seconds_bucket{route=\"plugin\",le=\"+Inf\"}",
        "switchboard_plugin_calls_total{interface=\"router\",outcome=\"reply\"}",
    ] {
        assert!(grown(series) > 0.0, "{series}\n{text}");
    }
    assert_eq!(after["switchboard_outbox_messages"], 0.0);
    assert!(after["switchboard_uptime_seconds"] > 0.0 && after["process_resident_memory_bytes"] > 1e6);

    let session = shop.id.to_string();
    let tenant = account.tenant.to_string();
    for secret in [SHOP, CUSTOMER, "Secretive", "s.whatsapp.net", ADMIN_KEY, &account.tenant_key, &shop.key] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    for (series, _) in after {
        assert!(!series.contains(&session) && !series.contains(&tenant), "{series}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_the_operator_or_for_an_address_of_their_own() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let (status, content_type, _) = page(stage.http(), Some(ADMIN_KEY)).await;
    assert_eq!((status, content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for (key, refused) in
        [(None, 401), (Some("nobody's"), 401), (Some(account.tenant_key.as_str()), 403), (Some(&account.token), 403)]
    {
        let (status, _, body) = page(stage.http(), key).await;
        assert_eq!(status, refused, "{key:?}");
        assert!(!body.contains("switchboard_"), "{body}");
    }
    let posted = stage.http().json("POST", "/metrics", Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!(posted.status, 405);

    let own = LocalClient::new(stage.host.metrics_address().unwrap());
    let (status, content_type, body) = page(own, None).await;
    assert_eq!((status, content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(parse(&body).contains_key("switchboard_uptime_seconds"));
    // Nothing else is there.
    for path in ["/", "/healthz", "/switchboard/v1/tenants"] {
        assert_eq!(own.json("GET", path, Some(ADMIN_KEY), None).await.unwrap().status, 404, "{path}");
    }
    stage.stop().await;
}
