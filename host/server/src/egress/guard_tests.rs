//! What the guarded client refuses and where it goes, with real connections and any DNS answer.

mod fetches;
mod limits;
mod redirects;
mod server;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::rules::egress::{AllowList, TargetError};

use self::server::{Reply, Server};
use super::{
    Answer, Broken, DownloadLimits, ExchangeLimits, GuardError, GuardSettings, GuardedClient, GuardedRequest, Resolver,
    SystemResolver,
};

const LIST: &str = include_str!("../../../core/src/rules/egress/forbidden.txt");
/// The name of every test's receiver: allowed, and somewhere on this machine.
const RECEIVER: &str = "hooks.example.com";
const WAIT: Duration = Duration::from_secs(20);

/// The listed values of one kind that can be written without an escape.
fn listed(kind: &str) -> Vec<&'static str> {
    let plain = LIST.lines().filter(|line| !line.starts_with('#') && !line.contains("\\u{"));
    let values: Vec<_> = plain.filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')).collect();
    assert!(values.len() > 10, "{kind}");
    values
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Gives the answers it was told to, one after the other and the last again and again; the receiver is at 127.0.0.1.
#[derive(Default)]
struct Answers {
    of: Mutex<Vec<(String, Vec<IpAddr>)>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn then(self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        self.of.lock().unwrap().push((name.to_owned(), addresses));
        self
    }
}

#[async_trait]
impl Resolver for Answers {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.of.lock().unwrap();
        let mut of_name = answers.iter().enumerate().filter(|(_, (known, _))| known == name).map(|(at, _)| at);
        match (of_name.next(), of_name.next()) {
            (Some(first), Some(_)) => Ok(answers.remove(first).1),
            (Some(last), None) => Ok(answers[last].1.clone()),
            (None, _) if name == RECEIVER => Ok(vec![address("127.0.0.1")]),
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn guard(allow: &[&str], answers: Answers) -> (GuardedClient, Arc<Answers>) {
    let answers = Arc::new(answers);
    let settings = GuardSettings {
        allow: AllowList::parse(allow).unwrap(),
        own: Vec::new(),
        resolver: Arc::clone(&answers) as _,
        extra_roots: Vec::new(),
    };
    (GuardedClient::new(settings).unwrap(), answers)
}

fn get(url: impl Into<String>) -> GuardedRequest {
    GuardedRequest { method: "GET".to_owned(), url: url.into(), ..GuardedRequest::default() }
}

async fn ask(guard: &GuardedClient, url: impl Into<String>) -> Result<Answer, GuardError> {
    guard.exchange(&get(url), &ExchangeLimits { total: WAIT, ..ExchangeLimits::default() }).await
}

async fn fetch(guard: &GuardedClient, url: &str) -> Result<(super::Download, Vec<u8>), GuardError> {
    let mut bytes = Vec::new();
    let limits = DownloadLimits { base: WAIT, ..DownloadLimits::of(1024 * 1024) };
    let download = guard.download(url, &limits, &mut bytes).await?;
    Ok((download, bytes))
}

#[tokio::test]
async fn every_forbidden_literal_is_refused_by_each_way_in() {
    let (guard, answers) = guard(&[RECEIVER], Answers::default());
    let addresses = listed("address").into_iter().map(|text| format!("http://{}/", SocketAddr::new(address(text), 8080)));
    let hosts = listed("host").into_iter().chain(listed("name")).map(|host| format!("http://{host}/"));
    for url in addresses.chain(hosts).chain(listed("url").into_iter().map(str::to_owned)) {
        assert!(matches!(ask(&guard, &*url).await, Err(GuardError::Target(_))), "{url}");
        assert!(matches!(fetch(&guard, &url).await, Err(GuardError::Target(_))), "{url}");
        assert!(matches!(guard.check(&url), Err(GuardError::Target(_))), "{url}");
        let refused = guard.check_reachable(&url, WAIT).await.unwrap_err();
        let (GuardError::Target(why), told) = (&refused, refused.to_string()) else { panic!("{refused}") };
        let verdict = if why.is_mistake() { "cannot be used: " } else { "unreachable: " };
        assert!(refused.is_refusal() && told.starts_with(verdict), "{told}");
    }
    assert_eq!(*answers.asked.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn every_forbidden_dns_answer_is_refused_alone_and_beside_a_public_one() {
    let mut answers = Answers::default();
    let mut expected = Vec::new();
    for (n, text) in listed("address").into_iter().enumerate() {
        let around =
            [vec![text], vec!["8.8.8.8", text], vec![text, "2606:4700:4700::1111"], vec!["8.8.8.8", "9.9.9.9", text]];
        for (m, given) in around.iter().enumerate() {
            let host = format!("n{n}-{m}.example.org");
            answers = answers.then(&host, given);
            expected.push((host, text));
        }
    }
    let (guard, _) = guard(&[RECEIVER], answers);
    for (name, text) in expected {
        let url = format!("http://{name}:8080/");
        for refused in
            [ask(&guard, &*url).await.err(), fetch(&guard, &url).await.err(), guard.check_reachable(&url, WAIT).await.err()]
        {
            let refused = refused.unwrap();
            assert!(matches!(&refused, GuardError::Inward { host } if *host == name), "{text}: {refused}");
            assert!(refused.is_refusal() && !refused.to_string().contains(&format!("{text:?}")), "{refused}");
        }
    }
}

#[tokio::test]
async fn public_answers_pass() {
    let given = listed("public");
    let (guard, _) = guard(&[], Answers::default().then("example.com", &given));
    guard.check_reachable("https://example.com/", WAIT).await.unwrap();
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_unreachable() {
    let (guard, _) = guard(&[], Answers::default().then("empty.example.com", &[]));
    for host in ["missing.example.com", "empty.example.com"] {
        let refused = ask(&guard, format!("https://{host}/")).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("unreachable: no address was found for {host:?}"));
        assert!(!refused.is_refusal());
    }
}

#[tokio::test]
async fn the_allow_list_opens_loopback_by_network_and_by_name_and_nothing_else() {
    let server = Server::answering(|_| Reply::ok("here")).await;
    let port = server.port();
    let answers = || Answers::default().then("other.example.com", &["127.0.0.1"]).then("localhost", &["127.0.0.1"]);
    for (allow, through, refused) in [
        (
            "127.0.0.0/8",
            vec!["127.0.0.1", "2130706433", "other.example.com", RECEIVER],
            vec!["localhost", "[::1]", "10.0.0.1"],
        ),
        ("127.0.0.1", vec!["127.0.0.1", "other.example.com"], vec!["127.0.0.2", "localhost", "[::ffff:127.0.0.1]"]),
        (RECEIVER, vec![RECEIVER, "HOOKS.example.COM."], vec!["127.0.0.1", "other.example.com", "localhost"]),
        ("localhost", vec!["localhost"], vec!["127.0.0.1", "other.example.com", "a.localhost"]),
        ("*.example.com", vec!["other.example.com", RECEIVER], vec!["127.0.0.1", "localhost"]),
    ] {
        let (guard, _) = guard(&[allow], answers());
        for host in through {
            let answer = ask(&guard, format!("http://{host}:{port}/")).await.unwrap();
            assert_eq!((answer.status, &answer.body_start[..]), (200, &b"here"[..]), "{allow}: {host}");
        }
        for host in refused {
            assert!(ask(&guard, format!("http://{host}:{port}/")).await.unwrap_err().is_refusal(), "{allow}: {host}");
        }
        let refused = ask(&guard, "http://169.254.169.254/latest/meta-data").await.unwrap_err();
        assert!(refused.is_refusal());
    }
}

#[tokio::test]
async fn a_connection_goes_to_the_answer_that_was_judged_and_the_name_is_not_looked_up_again() {
    let server = Server::answering(|_| Reply::ok("first")).await;
    let rebinding = Answers::default().then("example.com", &["127.0.0.1"]).then("example.com", &["169.254.169.254"]);
    let (guard, answers) = guard(&["127.0.0.1"], rebinding);
    let url = format!("http://example.com:{}/", server.port());
    assert_eq!(ask(&guard, &*url).await.unwrap().status, 200);
    assert_eq!(*answers.asked.lock().unwrap(), ["example.com"]);
    // The next request asks anew: nothing is remembered, neither the answer nor the connection.
    assert!(matches!(ask(&guard, &*url).await, Err(GuardError::Inward { .. })));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_receiver_is_asked_by_the_name_in_the_url() {
    let server = Server::answering(|_| Reply::ok("")).await;
    let (guard, _) = guard(&[RECEIVER, "127.0.0.1"], Answers::default());
    let port = server.port();
    for (url, host, target) in [
        (format!("http://{RECEIVER}:{port}/a%20b?c=d#e"), format!("{RECEIVER}:{port}"), "/a%20b?c=d"),
        (format!("http://HOOKS.example.com.:{port}"), format!("{RECEIVER}:{port}"), "/"),
        (format!("http://0x7f000001:{port}/"), format!("127.0.0.1:{port}"), "/"),
    ] {
        ask(&guard, url).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!((seen.header("host"), seen.target.as_str()), (Some(host.as_str()), target));
    }
}

#[tokio::test]
async fn a_request_carries_what_the_caller_gave_and_little_else() {
    let server = Server::answering(|_| Reply::status(201, &[("retry-after", "7"), ("x-b", "c")], "made")).await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let request = GuardedRequest {
        method: "POST".to_owned(),
        url: format!("http://{RECEIVER}:{}/hook", server.port()),
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("webhook-id".to_owned(), "msg_1".to_owned()),
        ],
        body: Some("{\"a\":1}".into()),
    };
    let answer = guard.exchange(&request, &ExchangeLimits::default()).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after"), answer.header("missing")), (201, Some("7"), None));
    assert_eq!((&answer.body_start[..], answer.body_complete, answer.url), (&b"made"[..], true, request.url));
    let seen = server.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", "{\"a\":1}"));
    let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "webhook-id"]);
}

#[tokio::test]
async fn a_caller_cannot_take_the_host_or_the_connection_into_its_own_hands() {
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let url = format!("http://{RECEIVER}:1/");
    for (name, value) in [
        ("Host", "127.0.0.1"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "upgrade"),
        ("proxy-authorization", "a"),
        ("accept-encoding", "gzip"),
        ("a b", "c"),
        ("", "c"),
        ("a", "b\r\nhost: c"),
        ("a", "b\0"),
    ] {
        let request = GuardedRequest { headers: vec![(name.to_owned(), value.to_owned())], ..get(url.clone()) };
        let refused = guard.exchange(&request, &ExchangeLimits::default()).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("not a request that can be sent: {name:?}"));
    }
    for method in ["CONNECT", "TRACE", "", "G T", "GET / HTTP/1.1\r\n"] {
        let request = GuardedRequest { method: method.to_owned(), ..get(url.clone()) };
        let refused = guard.exchange(&request, &ExchangeLimits::default()).await;
        assert!(matches!(refused, Err(GuardError::BadRequest(_))), "{method:?}");
    }
}

#[tokio::test]
async fn the_host_itself_is_never_reached_whatever_is_allowed() {
    let server = Server::answering(|_| Reply::ok("")).await;
    let port = server.port();
    for own in
        [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([0; 4], port)), SocketAddr::from(([0_u16; 8], port))]
    {
        let settings = GuardSettings {
            allow: AllowList::parse(&["127.0.0.0/8", "0.0.0.0/8", "::", "::ffff:0:0/96", RECEIVER]).unwrap(),
            own: vec![own],
            resolver: Arc::new(Answers::default()),
            extra_roots: Vec::new(),
        };
        let guard = GuardedClient::new(settings).unwrap();
        for host in ["127.0.0.1", "127.1", "0.0.0.0", "0", "[::]", "[::ffff:127.0.0.1]", RECEIVER] {
            let url = format!("http://{host}:{port}/");
            let refused = ask(&guard, &*url).await;
            if host == "[::]" || host == "[::ffff:127.0.0.1]" || host.starts_with('0') {
                // Two gates: the address itself, and that it leads home.
                assert!(refused.unwrap_err().is_refusal(), "{url}");
            } else {
                assert!(matches!(refused, Err(GuardError::Own)), "{url}: {refused:?}");
            }
        }
        // What is only written down is looked up where it may lead here, and nowhere else.
        for url in [format!("http://{RECEIVER}:{port}/"), format!("http://127.0.0.1:{port}/")] {
            assert!(matches!(guard.check_kept(&url, WAIT).await, Err(GuardError::Own)), "{url}");
        }
        for url in [format!("https://{RECEIVER}/"), format!("http://unknown.example.com:{port}/")] {
            assert!(guard.check_kept(&url, WAIT).await.is_ok(), "{url}");
        }
        let elsewhere = Server::answering(move |_| Reply::moved(302, &format!("http://127.0.0.1:{port}/"))).await;
        let redirected = ask(&guard, format!("http://{RECEIVER}:{}/", elsewhere.port())).await;
        assert!(matches!(redirected, Err(GuardError::Own)), "{redirected:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_is_no_url_is_not_called_unreachable() {
    let (guard, _) = guard(&[], Answers::default());
    let refused = guard.check("hooks.example.com/a").unwrap_err().to_string();
    assert_eq!(refused, "cannot be used: the URL must begin with http:// or https://");
    assert!(guard.check("http://10.0.0.1/").unwrap_err().to_string().starts_with("unreachable: 10.0.0.1 is a private"));
}

#[tokio::test]
async fn a_refused_connection_says_so_and_names_no_address() {
    let server = Server::answering(|_| Reply::ok("")).await;
    let port = server.port();
    server.stop().await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let refused = ask(&guard, format!("http://{RECEIVER}:{port}/")).await.unwrap_err();
    assert!(matches!(refused, GuardError::Broken(Broken::Connect(io::ErrorKind::ConnectionRefused))), "{refused:?}");
    assert_eq!(refused.to_string(), "unreachable: no connection: connection refused");
    assert!(!refused.is_refusal());
}

#[tokio::test]
async fn a_refused_address_is_named_only_as_it_was_given() {
    let (guard, _) = guard(&[], Answers::default());
    let refused = ask(&guard, "http://0x7f.1/").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "unreachable: 127.0.0.1 is a loopback address, which the operator has not allowed ([egress] allow)"
    );
    assert!(matches!(refused, GuardError::Target(TargetError::Address { .. })));
}

#[tokio::test]
async fn the_systems_resolver_answers_with_addresses() {
    let answer = SystemResolver::default().addresses("localhost").await.unwrap();
    assert!(!answer.is_empty() && answer.iter().all(IpAddr::is_loopback), "{answer:?}");
    assert!(SystemResolver::default().addresses("not a name").await.is_err());
}

/// Runs another test of this file with proxies in its environment: nobody listens there.
#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        again.env(variable, "http://127.0.0.1:1");
    }
    again.args(["--exact", "egress::guard_tests::the_receiver_is_asked_by_the_name_in_the_url"]);
    let ran = again.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
