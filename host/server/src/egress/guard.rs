//! The client that goes where customers say, and nowhere else.
//!
//! Each hop: judge the URL, look the name up once, judge every address of the answer, and connect to exactly those
//! addresses. Redirects are followed by hand, so that each is judged anew. Nothing is shared between two hops: no pool, no
//! cookies, no resumed TLS, no look-up; so nothing can be learned from another tenant's requests, nor ride on them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION,
};
use reqwest::{Method, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use switchboard_core::rules::egress::{AllowList, CONNECTION_HEADERS, CheckedUrl, TargetHost, is_own};
use switchboard_core::rules::said_back::said_back;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, Download, DownloadSink};
use super::error::{Broken, GuardError};
use super::limits::{DownloadLimits, ExchangeLimits};
use super::resolver::{Resolver, SystemResolver};
use super::tls;

/// Most addresses of one name.
const ADDRESSES_MAX: usize = 64;
/// How the host names itself.
const USER_AGENT: &str = concat!("Switchboard/", env!("CARGO_PKG_VERSION"));

/// What a guarded client is made of.
pub struct GuardSettings {
    /// What the operator lets through.
    pub allow: AllowList,
    /// Where the host itself listens; never reached, whatever is let through.
    pub own: Vec<SocketAddr>,
    /// Who looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Certificates to trust beside the machine's own.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl GuardSettings {
    /// With the system's resolver and the machine's certificates.
    pub fn new(allow: AllowList, own: Vec<SocketAddr>) -> Self {
        Self { allow, own, resolver: Arc::new(SystemResolver::default()), extra_roots: Vec::new() }
    }
}

/// A request to somewhere a customer named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardedRequest {
    /// `GET`, `POST` and so on; not `CONNECT` or `TRACE`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers; sent to the origin of the URL alone. Those of the connection, and `host`, are not the caller's.
    pub headers: Vec<(String, String)>,
    /// The body. With one, a redirect is followed only within its origin and only by 307 and 308, which repeat it;
    /// any other is the answer.
    pub body: Option<Bytes>,
}

/// The client. Clones are the same client.
#[derive(Clone)]
pub struct GuardedClient {
    parts: Arc<Parts>,
}

struct Parts {
    allow: AllowList,
    own: Vec<SocketAddr>,
    resolver: Arc<dyn Resolver>,
    tls: rustls::ClientConfig,
}

/// One request on the way to its answer.
struct Hop {
    method: Method,
    target: CheckedUrl,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// The limits that hold for every hop.
struct HopLimits {
    connect: Duration,
    header_bytes_max: usize,
    redirects_max: u32,
}

impl GuardedClient {
    /// A client with these settings.
    ///
    /// # Errors
    /// [`GuardError::Tls`] when an extra root is no certificate.
    pub fn new(settings: GuardSettings) -> Result<Self, GuardError> {
        let tls = tls::client_config(settings.extra_roots).map_err(GuardError::Tls)?;
        let GuardSettings { allow, own, resolver, .. } = settings;
        Ok(Self { parts: Arc::new(Parts { allow, own, resolver, tls }) })
    }

    /// Judges a URL as it is written, without looking its name up: for when it is only written down.
    ///
    /// # Errors
    /// [`GuardError::Target`].
    pub fn check(&self, url: &str) -> Result<CheckedUrl, GuardError> {
        let target = CheckedUrl::read(url, &self.parts.allow)?;
        if let TargetHost::Address(address) = target.host()
            && is_own(&self.parts.own, SocketAddr::new(*address, target.port()), is_local)
        {
            return Err(GuardError::Own);
        }
        Ok(target)
    }

    /// The same for a URL that is kept for later, and, where its port is one that the host itself listens at, whether its name
    /// leads back here: it is looked up for at most `wait`. Wherever else it leads now is judged when it is asked.
    ///
    /// # Errors
    /// [`GuardError::Target`] and [`GuardError::Own`].
    pub async fn check_kept(&self, url: &str, wait: Duration) -> Result<(), GuardError> {
        let target = self.check(url)?;
        if !self.parts.own.iter().any(|own| own.port() == target.port()) {
            return Ok(());
        }
        match timeout(wait, self.pin(&target)).await {
            Ok(Err(GuardError::Own)) => Err(GuardError::Own),
            _ => Ok(()),
        }
    }

    /// Judges a URL and, within `wait`, where its name leads to now, without connecting.
    ///
    /// # Errors
    /// As [`Self::exchange`], as far as it can be told without a request.
    pub async fn check_reachable(&self, url: &str, wait: Duration) -> Result<(), GuardError> {
        let target = self.check(url)?;
        timeout(wait, self.pin(&target)).await.map_err(|_| GuardError::TimedOut { after: wait })??;
        Ok(())
    }

    /// Asks, and keeps the beginning of the answer. Any status is an answer, also one whose body never ends or breaks.
    ///
    /// # Errors
    /// [`GuardError`] when there was none.
    pub async fn exchange(&self, request: &GuardedRequest, limits: &ExchangeLimits) -> Result<Answer, GuardError> {
        let started = Instant::now();
        let hop = self.first_hop(request)?;
        let hop_limits = HopLimits {
            connect: limits.connect,
            header_bytes_max: limits.header_bytes_max,
            redirects_max: limits.redirects_max,
        };
        let travelled = timeout(limits.total, self.travel(hop, &hop_limits));
        let (answer, target) = travelled.await.map_err(|_| GuardError::TimedOut { after: limits.total })??;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = answer.status().as_u16();
        let text = |(name, value): (&HeaderName, &reqwest::header::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        let (body_start, body_complete) = beginning(answer, limits).await;
        Ok(Answer { status, headers, body_start, body_complete, elapsed_ms, url: target.url().as_str().to_owned() })
    }

    /// Fetches `url` into `sink`, byte for byte as it comes.
    ///
    /// # Errors
    /// [`GuardError`] unless every byte of an answer with status 200 is in the sink.
    pub async fn download(
        &self,
        url: &str,
        limits: &DownloadLimits,
        sink: &mut dyn DownloadSink,
    ) -> Result<Download, GuardError> {
        let started = Instant::now();
        let request = GuardedRequest { method: "GET".to_owned(), url: url.to_owned(), ..GuardedRequest::default() };
        let hop = self.first_hop(&request)?;
        let hop_limits = HopLimits {
            connect: limits.connect,
            header_bytes_max: limits.header_bytes_max,
            redirects_max: limits.redirects_max,
        };
        let head_time = limits.time_for(None);
        let travelled = timeout_at(started + head_time, self.travel(hop, &hop_limits));
        let (answer, target) = travelled.await.map_err(|_| GuardError::TimedOut { after: head_time })??;
        check_download(&answer, limits)?;
        let text = |name| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let (content_type, content_disposition) = (text(CONTENT_TYPE), text(CONTENT_DISPOSITION));
        let time = limits.time_for(answer.content_length());
        let poured = timeout_at(started + time, pour(answer, limits.bytes_max, sink));
        let bytes = poured.await.map_err(|_| GuardError::TimedOut { after: time })??;
        Ok(Download { bytes, content_type, content_disposition, url: target.url().as_str().to_owned() })
    }

    fn first_hop(&self, request: &GuardedRequest) -> Result<Hop, GuardError> {
        let bad = |what: &str| GuardError::BadRequest(format!("{:?}", said_back(what)));
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| bad(&request.method))?;
        if [Method::CONNECT, Method::TRACE].contains(&method) {
            return Err(bad(&request.method));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let known: HeaderName = name.parse().map_err(|_| bad(name))?;
            // Answers are never unpacked: nobody asks for packed ones.
            if known == ACCEPT_ENCODING || CONNECTION_HEADERS.contains(&known.as_str()) {
                return Err(bad(name));
            }
            // The value may be a secret: only the name is repeated.
            headers.append(known, value.parse().map_err(|_| bad(name))?);
        }
        Ok(Hop { method, target: self.check(&request.url)?, headers, body: request.body.clone() })
    }

    /// Asks, and goes where it is sent, until there is an answer that is no redirect.
    async fn travel(&self, mut hop: Hop, limits: &HopLimits) -> Result<(Response, CheckedUrl), GuardError> {
        let mut redirects = 0;
        loop {
            let answer = self.ask(&hop, limits).await?;
            if limits.redirects_max == 0 {
                return Ok((answer, hop.target));
            }
            match self.next_hop(hop, &answer)? {
                Next::Arrived(target) => return Ok((answer, target)),
                Next::Hop(_) if redirects == limits.redirects_max => {
                    return Err(GuardError::Redirects { redirects_max: limits.redirects_max });
                }
                Next::Hop(next) => hop = *next,
            }
            redirects += 1;
        }
    }

    /// One request to one place.
    async fn ask(&self, hop: &Hop, limits: &HopLimits) -> Result<Response, GuardError> {
        let addresses = self.pin(&hop.target).await?;
        let client = self.client(addresses, limits.connect)?;
        let mut request = client.request(hop.method.clone(), hop.target.url().clone()).headers(hop.headers.clone());
        // What comes is kept as it comes, so nothing small can unfold into something large.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(body) = &hop.body {
            request = request.body(body.clone());
        }
        let answer = request.send().await.map_err(|error| Broken::before_the_answer(&error, limits.connect))?;
        // Name, value, and the ": " and end of line between and after them.
        let header_bytes: usize = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if header_bytes > limits.header_bytes_max {
            return Err(GuardError::HeaderBytes { header_bytes_max: limits.header_bytes_max });
        }
        Ok(answer)
    }

    /// The addresses that a connection to `target` may go to: all that there are, or none.
    async fn pin(&self, target: &CheckedUrl) -> Result<Vec<SocketAddr>, GuardError> {
        let addresses = match target.host() {
            TargetHost::Address(address) => vec![*address],
            TargetHost::Name(name) => self.look_up(name).await?,
        };
        let pinned: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, target.port())).collect();
        if pinned.iter().any(|address| is_own(&self.parts.own, *address, is_local)) {
            return Err(GuardError::Own);
        }
        Ok(pinned)
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, GuardError> {
        let host = || name.to_owned();
        let mut addresses = self.parts.resolver.addresses(name).await.map_err(|error| {
            tracing::debug!(name, %error, "a name was not found");
            GuardError::NoAddress { host: host() }
        })?;
        if addresses.is_empty() {
            return Err(GuardError::NoAddress { host: host() });
        }
        for address in &addresses {
            if let Err(why) = self.parts.allow.judge(Some(name), *address) {
                // For the operator alone.
                tracing::debug!(name, %address, %why, "a name leads inwards");
                return Err(GuardError::Inward { host: host() });
            }
        }
        addresses.truncate(ADDRESSES_MAX);
        Ok(addresses)
    }

    /// A client for one request, which can reach `addresses` and nothing else.
    fn client(&self, addresses: Vec<SocketAddr>, connect: Duration) -> Result<reqwest::Client, GuardError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.parts.tls.clone())
            .dns_resolver(Pinned(addresses))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(connect)
            .user_agent(USER_AGENT)
            .build()
            .map_err(GuardError::Client)
    }

    fn next_hop(&self, hop: Hop, answer: &Response) -> Result<Next, GuardError> {
        let repeats = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&answer.status());
        let moves = [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::SEE_OTHER].contains(&answer.status());
        let Some(location) = answer.headers().get(LOCATION).filter(|_| repeats || moves) else {
            return Ok(Next::Arrived(hop.target));
        };
        let reads = [Method::GET, Method::HEAD].contains(&hop.method) && hop.body.is_none();
        if !reads && !repeats {
            // Followed as browsers do, it would arrive as a GET without its body, and nobody would notice.
            return Ok(Next::Arrived(hop.target));
        }
        let location = location.to_str().map_err(|_| GuardError::Location)?;
        let target = hop.target.follow(location, &self.parts.allow).map_err(GuardError::RedirectTarget)?;
        if hop.target.is_https() && !target.is_https() {
            return Err(GuardError::Downgrade);
        }
        if target.is_same_origin(&hop.target) {
            return Ok(Next::Hop(Box::new(Hop { target, ..hop })));
        }
        if !reads {
            return Ok(Next::Arrived(hop.target));
        }
        // What the caller sends was meant for the origin that it named.
        Ok(Next::Hop(Box::new(Hop { target, headers: HeaderMap::new(), ..hop })))
    }
}

/// Where a hop leads to.
enum Next {
    Arrived(CheckedUrl),
    Hop(Box<Hop>),
}

/// Answers every look-up with the addresses that were judged; there is only one name that its client asks for.
struct Pinned(Vec<SocketAddr>);

impl reqwest::dns::Resolve for Pinned {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses = self.0.clone();
        Box::pin(std::future::ready(Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)))
    }
}

/// Whether `address` belongs to this machine: only such an address can be bound to. Nothing is sent.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

fn check_download(answer: &Response, limits: &DownloadLimits) -> Result<(), GuardError> {
    if answer.status() != StatusCode::OK {
        return Err(GuardError::Status { status: answer.status().as_u16() });
    }
    for encoding in answer.headers().get_all(CONTENT_ENCODING) {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(GuardError::Encoded { encoding: said_back(String::from_utf8_lossy(encoding.as_bytes())) });
        }
    }
    match answer.content_length() {
        Some(bytes) if bytes > limits.bytes_max => Err(GuardError::TooLarge { bytes_max: limits.bytes_max }),
        _ => Ok(()),
    }
}

/// The first bytes of a body, and whether they are all of it.
async fn beginning(mut answer: Response, limits: &ExchangeLimits) -> (Bytes, bool) {
    let mut kept = BytesMut::new();
    let read = async {
        loop {
            let Some(chunk) = answer.chunk().await.ok()? else { return Some(()) };
            let room = limits.body_bytes_kept - kept.len();
            kept.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                return None;
            }
        }
    };
    let complete = matches!(timeout(limits.body, read).await, Ok(Some(())));
    (kept.freeze(), complete)
}

async fn pour(mut answer: Response, bytes_max: u64, sink: &mut dyn DownloadSink) -> Result<u64, GuardError> {
    let mut bytes: u64 = 0;
    while let Some(chunk) = answer.chunk().await.map_err(|_| Broken::Body)? {
        bytes = bytes.saturating_add(chunk.len() as u64);
        if bytes > bytes_max {
            return Err(GuardError::TooLarge { bytes_max });
        }
        sink.write(chunk).await.map_err(GuardError::Sink)?;
    }
    Ok(bytes)
}
