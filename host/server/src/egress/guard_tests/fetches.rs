//! What plugins ask: the guard holds for it, redirects are answers, and what is too much or too late is told.

use switchboard_core::clock::{Clock, ManualClock, Timestamp};
use switchboard_core::records::id::TenantId;
use switchboard_runtime::verbs::{FETCH_ANSWER_BYTES_MAX, FetchError, FetchRequest, FetchVerbs};

use super::server::Then;
use super::*;
use crate::egress::{FETCHES_PER_MINUTE_MAX, Fetches};

const TENANT: TenantId = TenantId(7);

fn fetches(allow: &[&str], answers: Answers) -> (Fetches, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_750_000_000_000)));
    (Fetches::new(&guard(allow, answers).0, Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn request(url: impl Into<String>) -> FetchRequest {
    FetchRequest {
        method: "GET".to_owned(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: WAIT,
        per_minute: None,
    }
}

async fn receiver(reply: Reply) -> (Server, String) {
    let server = Server::answering(move |_| reply.clone()).await;
    let url = format!("http://{RECEIVER}:{}/", server.port());
    (server, url)
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_its_whole_answer_comes_back() {
    let (fetches, _) = fetches(&[RECEIVER], Answers::default());
    let (server, url) = receiver(Reply::status(404, &[("x-kind", "none")], vec![b'x'; FETCH_ANSWER_BYTES_MAX])).await;
    let headers = vec![("Authorization".to_owned(), "Bearer key".to_owned()), ("X-Note".to_owned(), "a".to_owned())];
    let post = FetchRequest { method: "POST".to_owned(), headers, body: b"hello".to_vec(), ..request(url) };
    let answer = fetches.fetch(TENANT, post).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (404, FETCH_ANSWER_BYTES_MAX));
    assert!(answer.headers.contains(&("x-kind".to_owned(), "none".to_owned())));
    let seen = server.seen().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.body.as_str(), seen.header("authorization")),
        ("POST", "hello", Some("Bearer key"))
    );
    assert_eq!((seen.header("x-note"), seen.header("cookie")), (Some("a"), None));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let (fetches, _) = fetches(&[RECEIVER], Answers::default());
    let (server, url) = receiver(Reply::moved(302, "http://169.254.169.254/latest")).await;
    let answer = fetches.fetch(TENANT, request(url)).await.unwrap();
    assert_eq!((answer.status, server.seen().len()), (302, 1));
    assert!(answer.headers.contains(&("location".to_owned(), "http://169.254.169.254/latest".to_owned())));
}

#[tokio::test]
async fn what_leads_inwards_is_denied_whatever_was_granted() {
    let answers = Answers::default().then("inner.example.com", &["10.0.0.1"]);
    let (fetches, _) = fetches(&[], answers);
    for url in ["http://127.0.0.1:8080/", "http://169.254.169.254/", "http://inner.example.com/", "http://printer.local/"] {
        let denied = fetches.fetch(TENANT, request(url)).await.unwrap_err();
        assert!(matches!(denied, FetchError::Denied(_)), "{url}: {denied}");
        assert!(!denied.to_string().contains("10.0.0.1"), "where a name leads is not told: {denied}");
    }
    let wrong = fetches.fetch(TENANT, request("http://a@example.com/")).await.unwrap_err();
    assert!(matches!(wrong, FetchError::Invalid(_)), "{wrong}");
    let nobody = fetches.fetch(TENANT, request("http://nobody.example.com/")).await.unwrap_err();
    assert!(matches!(nobody, FetchError::Unreachable(_)), "{nobody}");
}

#[tokio::test]
async fn an_answer_over_the_limit_or_broken_off_is_none() {
    let (fetches, _) = fetches(&[RECEIVER], Answers::default());
    let endless = Reply::head(200, &[]).then(Then::Repeat(vec![1; 4096]));
    for reply in [Reply::ok(vec![1; FETCH_ANSWER_BYTES_MAX + 1]), endless] {
        let (_server, url) = receiver(reply).await;
        assert_eq!(fetches.fetch(TENANT, request(url)).await, Err(FetchError::TooLarge(FETCH_ANSWER_BYTES_MAX)));
    }
    let (_server, url) = receiver(Reply::head(200, &[("content-length", "10")])).await;
    let broken = fetches.fetch(TENANT, request(url)).await.unwrap_err();
    assert!(matches!(broken, FetchError::Unreachable(_)), "{broken}");
    let (_server, url) = receiver(Reply::status(200, &[("x-long", &"y".repeat(20_000))], "")).await;
    let long = fetches.fetch(TENANT, request(url)).await.unwrap_err();
    assert!(matches!(long, FetchError::TooLarge(_)), "{long}");
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_given_up() {
    let (fetches, _) = fetches(&[RECEIVER], Answers::default());
    let soon = Duration::from_millis(100);
    for reply in
        [Reply { bytes: Vec::new(), then: Then::Hang }, Reply::head(200, &[("content-length", "10")]).then(Then::Hang)]
    {
        let (_server, url) = receiver(reply).await;
        let late = fetches.fetch(TENANT, FetchRequest { timeout: soon, ..request(url) }).await;
        assert_eq!(late, Err(FetchError::TimedOut(soon)));
    }
}

#[tokio::test]
async fn an_answer_is_late_and_not_broken_however_long_nobody_looked() {
    let (fetches, _) = fetches(&[RECEIVER], Answers::default());
    let (server, url) = receiver(Reply::head(200, &[("content-length", "10")]).then(Then::Hang)).await;
    let soon = Duration::from_millis(100);
    let asked = tokio::spawn(async move { fetches.fetch(TENANT, FetchRequest { timeout: soon, ..request(url) }).await });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    // Until the head is read: the whole and its body have both begun.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    // This thread is the whole runtime, which wakes up when everything is long over.
    let (_held, nothing) = std::sync::mpsc::sync_channel::<()>(1);
    assert!(nothing.recv_timeout(3 * soon).is_err());
    assert_eq!(asked.await.unwrap(), Err(FetchError::TimedOut(soon)));
}

#[tokio::test]
async fn a_tenant_asks_so_often_in_a_minute_and_another_is_not_held_up() {
    let (fetches, clock) = fetches(&[], Answers::default());
    let nowhere = || request("http://127.0.0.1:8080/");
    for _ in 0..FETCHES_PER_MINUTE_MAX {
        assert!(matches!(fetches.fetch(TENANT, nowhere()).await, Err(FetchError::Denied(_))));
    }
    let over = fetches.fetch(TENANT, nowhere()).await.unwrap_err();
    assert!(matches!(&over, FetchError::LimitReached(why) if why.contains("600 requests")), "{over}");
    assert!(matches!(fetches.fetch(TenantId(8), nowhere()).await, Err(FetchError::Denied(_))));
    clock.advance(Duration::from_secs(60));
    assert!(matches!(fetches.fetch(TENANT, nowhere()).await, Err(FetchError::Denied(_))));
    // What its plan lets it is less, and never more.
    let planned = fetches.fetch(TENANT, FetchRequest { per_minute: Some(1), ..nowhere() }).await.unwrap_err();
    assert!(matches!(&planned, FetchError::LimitReached(why) if why.contains("more than 1 requests")), "{planned}");
}
