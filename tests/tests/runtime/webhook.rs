//! A webhook format: what it shapes is passed on, and what it does wrong is an outcome of that call alone.

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::delivery_worker::{HmacContent, HmacHeader, Payload, PayloadSigning};
use switchboard_core::records::id::{SessionId, TenantId, WebhookId};
use switchboard_core::records::webhook::WebhookEndpoint;
use switchboard_runtime::{Limit, Matter, Outcome};

use crate::stage::{Stage, context, heard, session};

pub(crate) fn endpoint(format: &str) -> WebhookEndpoint {
    let url = "https://shop.example/".to_owned();
    WebhookEndpoint { format: format.to_owned(), ..WebhookEndpoint::new(WebhookId(1), TenantId(1), url, Timestamp(0)) }
}

async fn shape(format: &str) -> Outcome<Vec<Payload>> {
    let stage = Stage::shared().await;
    let (event, session) = (heard("good day"), session(SessionId(5), TenantId(1)));
    let endpoint = endpoint(format);
    let (event, session, standard) = (&event, &session, br#"{"type":"message.received"}"#);
    let matter = Matter { event, session, message: None, poll: &[], standard, endpoint: &endpoint };
    let called = stage.runtime.shape(&stage.plugin, &context(None, "{}"), &matter).await;
    stage.assert_well().await;
    called.outcome
}

#[tokio::test]
async fn a_format_is_given_the_event_and_its_session_and_says_body_headers_and_signing() {
    let Outcome::Reply(payloads) = shape("plain").await else { panic!("nothing was shaped") };
    let [payload] = payloads.as_slice() else { panic!("one was asked for: {payloads:?}") };
    assert_eq!(payload.name, "message.received");
    assert_eq!(payload.body, b"message.received 1 of Shop");
    assert_eq!(payload.headers.first(), Some(&("X-Format".to_owned(), "plain".to_owned())));
    let (header, prefix) = ("X-Signature".to_owned(), String::new());
    let hmac = HmacHeader { header, prefix, content: HmacContent::Body, timestamp_header: None };
    assert_eq!(payload.signing, PayloadSigning::Hmac(hmac));
}

#[tokio::test]
async fn a_format_is_given_the_body_that_the_hosts_own_format_has() {
    let Outcome::Reply(payloads) = shape("as-standard").await else { panic!("nothing was shaped") };
    assert_eq!(payloads[0].body, br#"{"type":"message.received"}"#);
}

#[tokio::test]
async fn a_format_leaves_an_event_out_or_says_that_it_failed() {
    assert_eq!(shape("leave-out").await, Outcome::Reply(Vec::new()));
    assert_eq!(shape("error").await, Outcome::PluginError("the format said no".to_owned()));
}

#[tokio::test]
async fn a_format_that_spins_traps_or_says_too_much_ends_at_its_limit() {
    assert!(matches!(shape("spin").await, Outcome::LimitExceeded(Limit::Cpu, _)));
    assert!(matches!(shape("trap").await, Outcome::Trap(_)));
    let many = shape("many").await;
    assert_eq!(many, Outcome::PluginError("5 requests of one event; the limit is 4".to_owned()));
    let over = shape("output-over").await;
    assert!(matches!(&over, Outcome::LimitExceeded(Limit::Bytes, why) if why.contains("262144")), "{over:?}");
}
