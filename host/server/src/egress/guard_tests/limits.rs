//! Limits: time, head, body, and what unfolds.

use std::io::Write as _;

use bytes::Bytes;

use super::server::Then;
use super::*;
use crate::egress::DownloadSink;

/// Short enough for a test, and nothing that ends in time comes near it.
const SOON: Duration = Duration::from_millis(100);

async fn receiver(reply: Reply) -> (Server, String) {
    let server = Server::answering(move |_| reply.clone()).await;
    let url = format!("http://{RECEIVER}:{}/", server.port());
    (server, url)
}

fn client() -> GuardedClient {
    guard(&[RECEIVER], Answers::default()).0
}

async fn fetch_within(limits: &DownloadLimits, reply: Reply) -> Result<Vec<u8>, GuardError> {
    let (_server, url) = receiver(reply).await;
    let mut bytes = Vec::new();
    client().download(&url, limits, &mut bytes).await.map(|_| bytes)
}

fn chunked(chunk: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
}

/// Bytes that unfold into a thousand times as many.
fn bomb() -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::best());
    encoder.write_all(&vec![0; 8 * 1024 * 1024]).unwrap();
    encoder.finish().unwrap();
    assert!(packed.len() < 16 * 1024);
    packed
}

#[tokio::test]
async fn a_download_is_whole_and_says_what_it_is() {
    let body = vec![7; 300_000];
    let headers = [("content-type", "image/png"), ("content-disposition", "attachment; filename=\"a.png\"")];
    let (_server, url) = receiver(Reply::status(200, &headers, &body)).await;
    let (download, bytes) = fetch(&client(), &url).await.unwrap();
    assert_eq!((download.bytes, bytes == body, &download.url), (300_000, true, &url));
    assert_eq!(download.content_type.as_deref(), Some("image/png"));
    assert_eq!(download.content_disposition.as_deref(), Some("attachment; filename=\"a.png\""));
}

#[tokio::test]
async fn a_download_at_its_limit_passes_and_one_byte_more_does_not() {
    let limits = DownloadLimits { base: WAIT, ..DownloadLimits::of(1000) };
    let unannounced = |bytes: usize| {
        let mut reply = Reply::head(200, &[("transfer-encoding", "chunked")]);
        reply.bytes.extend(chunked(&vec![1; bytes]));
        reply.bytes.extend(b"0\r\n\r\n");
        reply
    };
    let unending = Reply::head(200, &[]).then(Then::Repeat(vec![1; 100]));
    assert_eq!(fetch_within(&limits, Reply::ok(vec![1; 1000])).await.unwrap().len(), 1000);
    assert_eq!(fetch_within(&limits, unannounced(1000)).await.unwrap().len(), 1000);
    // The announced size alone is enough: this one sends nothing.
    let announced = Reply::head(200, &[("content-length", "1001")]).then(Then::Hang);
    for reply in [Reply::ok(vec![1; 1001]), unannounced(1001), unending, announced] {
        let refused = fetch_within(&limits, reply).await.unwrap_err();
        assert!(matches!(refused, GuardError::TooLarge { bytes_max: 1000 }), "{refused:?}");
        assert_eq!(refused.to_string(), "the file is over the limit of 1000 bytes");
    }
}

#[tokio::test]
async fn a_download_that_never_ends_is_given_up() {
    let limits = DownloadLimits { base: SOON, ..DownloadLimits::of(u64::MAX) };
    let mut started = Reply::head(200, &[("transfer-encoding", "chunked")]);
    started.bytes.extend(chunked(b"some"));
    for reply in [
        Reply { bytes: Vec::new(), then: Then::Hang },
        Reply { bytes: b"HTTP/1.1 200 OK\r\na: b\r\n".to_vec(), then: Then::Hang },
        Reply { bytes: Vec::new(), then: Then::Repeat(b"HTTP/1.1 103 Early\r\n\r\n".to_vec()) },
        Reply::head(200, &[("content-length", "10")]).then(Then::Hang),
        started.clone().then(Then::Hang),
        started.then(Then::Repeat(chunked(b"more"))),
    ] {
        let refused = fetch_within(&limits, reply).await.unwrap_err();
        assert!(matches!(refused, GuardError::TimedOut { after: SOON }), "{refused:?}");
        assert_eq!(refused.to_string(), "unreachable: no complete answer within 0.1 s");
    }
}

#[tokio::test]
async fn a_large_announced_file_has_more_time() {
    let limits = DownloadLimits { base: SOON, bytes_per_second_min: 10, total_max: 3 * SOON, ..DownloadLimits::of(1000) };
    for (announced, after) in [("1", 2 * SOON), ("1000", 3 * SOON)] {
        let reply = Reply::head(200, &[("content-length", announced)]).then(Then::Hang);
        match fetch_within(&limits, reply).await.unwrap_err() {
            GuardError::TimedOut { after: waited } => assert_eq!(waited, after),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_download_that_breaks_or_is_no_file_is_refused() {
    let limits = DownloadLimits { base: WAIT, ..DownloadLimits::of(1000) };
    let mut short = Reply::head(200, &[("content-length", "10")]);
    short.bytes.extend(b"12345");
    let mut unfinished = Reply::head(200, &[("transfer-encoding", "chunked")]);
    unfinished.bytes.extend(chunked(b"12345"));
    for reply in [short, unfinished] {
        let refused = fetch_within(&limits, reply).await.unwrap_err();
        assert!(matches!(refused, GuardError::Broken(Broken::Body)), "{refused:?}");
    }
    for status in [204, 206, 304, 401, 404, 500] {
        let refused = fetch_within(&limits, Reply::status(status, &[], "")).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("unreachable: the answer has status {status}"));
    }
    for nonsense in [&b"SSH-2.0-x\r\n"[..], b"+OK redis\r\n", b""] {
        let refused = fetch_within(&limits, Reply { bytes: nonsense.to_vec(), then: Then::Close }).await.unwrap_err();
        assert!(matches!(refused, GuardError::Broken(Broken::Head)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_packed_answer_is_never_unpacked() {
    let limits = DownloadLimits { base: WAIT, ..DownloadLimits::of(1024 * 1024) };
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let packed = Reply::status(200, &[("content-encoding", encoding)], bomb());
        let refused = fetch_within(&limits, packed.clone()).await.unwrap_err();
        assert!(matches!(&refused, GuardError::Encoded { encoding: named } if named == encoding), "{refused:?}");
        let (server, url) = receiver(packed).await;
        let answer = ask(&client(), url).await.unwrap();
        assert_eq!((answer.status, &answer.body_start[..], answer.body_complete), (200, &bomb()[..1024], false));
        assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    }
    // A packed file that does not pretend to be something else is a file.
    let file = fetch_within(&limits, Reply::status(200, &[("content-encoding", "identity")], bomb())).await.unwrap();
    assert_eq!(file, bomb());
}

#[tokio::test]
async fn an_answer_with_too_much_of_a_head_is_refused() {
    let client = client();
    let value = "v".repeat(1000);
    let many: Vec<_> = (0..40).map(|n| (format!("x-{n}"), value.clone())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (count, passes) in [(30, true), (40, false)] {
        let (_server, url) = receiver(Reply::status(200, &many[..count], "")).await;
        let answer = ask(&client, &*url).await;
        match answer {
            Ok(answer) => assert!(passes && answer.header("x-29") == Some(&value)),
            Err(refused) => {
                assert!(!passes);
                assert_eq!(refused.to_string(), "unreachable: the headers of the answer are over the limit of 32768 bytes");
            }
        }
        assert_eq!(fetch(&client, &url).await.is_ok(), passes);
    }
    // More headers, or more bytes, than the library reads, and a head without an end.
    let small = [("a", "b"); 200];
    let endless = Reply { bytes: b"HTTP/1.1 200 OK\r\n".to_vec(), then: Then::Repeat(b"x-header: value\r\n".to_vec()) };
    let large = Reply::status(200, &[("a", &*"v".repeat(1024 * 1024))], "");
    for reply in [Reply::status(200, &small, ""), large, endless] {
        let (_server, url) = receiver(reply).await;
        let refused = ask(&client, url).await.unwrap_err();
        assert!(matches!(refused, GuardError::Broken(Broken::Head)), "{refused:?}");
    }
}

#[tokio::test]
async fn an_exchange_keeps_the_beginning_of_a_body_and_its_status_however_the_rest_goes() {
    let limits = ExchangeLimits { body: SOON, ..ExchangeLimits::default() };
    let mut broken = Reply::head(200, &[("content-length", "100")]);
    broken.bytes.extend(b"12345");
    for (reply, kept, complete) in [
        (Reply::ok(""), 0, true),
        (Reply::ok(vec![1; 1024]), 1024, true),
        (Reply::ok(vec![1; 1025]), 1024, false),
        (Reply::ok(vec![1; 1_000_000]), 1024, false),
        (Reply::head(200, &[]).then(Then::Repeat(vec![1; 100])), 1024, false),
        (broken.clone(), 5, false),
        (broken.then(Then::Hang), 5, false),
        (Reply::head(200, &[("content-length", "9")]).then(Then::Hang), 0, false),
    ] {
        let (_server, url) = receiver(reply).await;
        let answer = client().exchange(&get(url), &limits).await.unwrap();
        assert_eq!((answer.status, answer.body_start.len(), answer.body_complete), (200, kept, complete));
    }
}

#[tokio::test]
async fn an_exchange_without_an_answer_in_time_is_given_up() {
    let limits = ExchangeLimits { total: SOON, ..ExchangeLimits::default() };
    let loops = Server::answering(|_| Reply::moved(302, "/again").then(Then::Hang)).await;
    let unhurried = ExchangeLimits { redirects_max: u32::MAX, ..limits.clone() };
    let looping = get(format!("http://{RECEIVER}:{}/", loops.port()));
    let refused = client().exchange(&looping, &unhurried).await;
    assert!(matches!(refused, Err(GuardError::TimedOut { after: SOON })), "{refused:?}");
    let (_server, url) = receiver(Reply { bytes: Vec::new(), then: Then::Hang }).await;
    let refused = client().exchange(&get(url), &limits).await;
    assert!(matches!(refused, Err(GuardError::TimedOut { after: SOON })), "{refused:?}");
}

struct Silent;

#[async_trait]
impl Resolver for Silent {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_look_up_that_never_ends_is_given_up() {
    let settings = GuardSettings { resolver: Arc::new(Silent), ..GuardSettings::new(AllowList::default(), Vec::new()) };
    let guard = GuardedClient::new(settings).unwrap();
    let limits = ExchangeLimits { total: SOON, ..ExchangeLimits::default() };
    let refused = guard.exchange(&get("https://example.com/"), &limits).await;
    assert!(matches!(refused, Err(GuardError::TimedOut { after: SOON })), "{refused:?}");
    let refused = guard.check_reachable("https://example.com/", SOON).await;
    assert!(matches!(refused, Err(GuardError::TimedOut { after: SOON })), "{refused:?}");
}

struct Full;

#[async_trait]
impl DownloadSink for Full {
    async fn write(&mut self, _: Bytes) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_download_with_its_reason() {
    let (_server, url) = receiver(Reply::head(200, &[]).then(Then::Repeat(vec![1; 100]))).await;
    let failed = client().download(&url, &DownloadLimits::of(u64::MAX), &mut Full).await.unwrap_err();
    assert_eq!(failed.to_string(), "the file cannot be kept: no storage space");
}
