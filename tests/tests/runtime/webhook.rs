//! A webhook format: what it shapes is passed on, and what it does wrong is an outcome of that call alone.

use switchboard_core::flow::delivery_worker::{Payload, PayloadSigning};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_runtime::{Limit, Outcome};

use crate::stage::{Stage, context, heard, session};

async fn shape(format: &str) -> Outcome<Option<Payload>> {
    let stage = Stage::shared().await;
    let (event, session) = (heard("good day"), session(SessionId(5), TenantId(1)));
    let called = stage.runtime.shape(&stage.plugin, &context(None, "{}"), &event, &session, format).await;
    stage.assert_well().await;
    called.outcome
}

#[tokio::test]
async fn a_format_is_given_the_event_and_its_session_and_says_body_headers_and_signing() {
    let Outcome::Reply(Some(payload)) = shape("plain").await else { panic!("nothing was shaped") };
    assert_eq!(payload.body, b"message.received 1 of Shop");
    assert_eq!(payload.headers.first(), Some(&("X-Format".to_owned(), "plain".to_owned())));
    assert_eq!(payload.signing, PayloadSigning::HmacSha256("X-Signature".to_owned()));
}

#[tokio::test]
async fn a_format_leaves_an_event_out_or_says_that_it_failed() {
    assert_eq!(shape("leave-out").await, Outcome::Reply(None));
    assert_eq!(shape("error").await, Outcome::PluginError("the format said no".to_owned()));
}

#[tokio::test]
async fn a_format_that_spins_traps_or_says_too_much_ends_at_its_limit() {
    assert!(matches!(shape("spin").await, Outcome::LimitExceeded(Limit::Cpu, _)));
    assert!(matches!(shape("trap").await, Outcome::Trap(_)));
    let over = shape("output-over").await;
    assert!(matches!(&over, Outcome::LimitExceeded(Limit::Bytes, why) if why.contains("262144")), "{over:?}");
}
