//! The media hosts over real connections, plain and over TLS, in memory and on a disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::phone::media::{MediaKind, SealedMedia, seal};
use crate::{SimConfig, SimNet};

const ADMIN_KEY: &str = "adm_for-the-media-tests";
const NUMBER: &str = "15550001111";

/// A network, in memory or in a folder that goes away with it.
struct Stage {
    sim: SimNet,
    folder: Option<PathBuf>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn start(data_dir: Option<&Path>) -> SimNet {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let data_dir = data_dir.map(Path::to_owned);
    SimNet::start(SimConfig { data_dir, listen: any, tls_listen: Some(any), admin_key: ADMIN_KEY.to_owned() }).await.unwrap()
}

/// The same network twice: once in memory, once on a disk.
async fn stages(name: &str) -> [Stage; 2] {
    let folder = std::env::temp_dir().join(format!("switchboard-media-{name}-{}", std::process::id()));
    let on_disk = start(Some(&folder)).await;
    [Stage { sim: start(None).await, folder: None }, Stage { sim: on_disk, folder: Some(folder) }]
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Got
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Got { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

impl Stage {
    async fn send(&self, request: Request<Full<Bytes>>) -> Got {
        exchange(TcpStream::connect(self.sim.local_addr()).await.unwrap(), request).await
    }

    fn request(&self, method: &str, target: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(target).header(header::HOST, self.sim.local_addr().to_string())
    }

    async fn post(&self, target: &str, body: &[u8]) -> Got {
        self.send(self.request("POST", target).body(Full::from(body.to_vec())).unwrap()).await
    }

    async fn get(&self, target: &str) -> Got {
        self.send(self.request("GET", target).body(Full::default()).unwrap()).await
    }

    async fn get_part(&self, target: &str, range: &str) -> Got {
        let request = self.request("GET", target).header(header::RANGE, range);
        self.send(request.body(Full::default()).unwrap()).await
    }

    fn auth(&self) -> String {
        self.sim.shared.change(|network| network.grant_media_auth()).unwrap()
    }

    async fn upload(&self, body: &[u8]) -> Got {
        self.post(&target(body, &self.auth()), body).await
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/switchboard/v1/sim/{path}");
        let answer = self.sim.control(method, &path, body.to_string().as_bytes()).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }
}

fn token(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(body))
}

fn target(body: &[u8], auth: &str) -> String {
    let token = token(body);
    format!("/mms/image/{token}?auth={auth}&token={token}")
}

fn direct_path(body: &[u8]) -> String {
    format!("/v/image/{}.enc", hex::encode(Sha256::digest(body)))
}

#[tokio::test]
async fn uploaded_file_is_served_whole_and_in_parts() {
    for stage in stages("roundtrip").await {
        let body: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let uploaded = stage.upload(&body).await;
        assert_eq!(uploaded.status, StatusCode::OK);
        let answer = uploaded.json();
        let path = answer["direct_path"].as_str().unwrap();
        assert_eq!(path, direct_path(&body));
        assert_eq!(answer["url"], format!("https://{}{path}", stage.sim.local_addr()));
        assert!(!answer["handle"].as_str().unwrap().is_empty());

        let whole = stage.get(&format!("{path}?auth={}&token={}", stage.auth(), token(&body))).await;
        assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &body[..]));
        assert_eq!(whole.headers[header::CONTENT_LENGTH], body.len().to_string());
        assert_eq!(stage.get(&format!("{path}&hash=x&mms-type=image&__wa-mms=")).await.body, body);

        let part = stage.get_part(path, "bytes=100000-299999").await;
        assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &body[100_000..300_000]));
        assert_eq!(part.headers[header::CONTENT_RANGE], format!("bytes 100000-299999/{}", body.len()));
        let beyond = stage.get_part(path, &format!("bytes={}-", body.len())).await;
        assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);

        let head = stage.send(stage.request("HEAD", path).body(Full::default()).unwrap()).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.headers[header::CONTENT_LENGTH], body.len().to_string());
        assert_eq!(stage.get("/v/image/unknown.enc").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn upload_that_is_not_what_its_token_says_is_refused_and_not_kept() {
    for stage in stages("token").await {
        let lie = stage.post(&target(b"said", &stage.auth()), b"sent").await;
        assert_eq!(lie.status, StatusCode::BAD_REQUEST);
        assert!(lie.json()["detail"].as_str().unwrap().contains(&hex::encode(Sha256::digest(b"said"))));
        for body in [b"said", b"sent"] {
            assert_eq!(stage.get(&direct_path(body)).await.status, StatusCode::NOT_FOUND);
        }
        let odd = stage.post(&format!("/mms/image/xyz?auth={}", stage.auth()), b"sent").await;
        assert_eq!(odd.status, StatusCode::BAD_REQUEST);
        assert_eq!(stage.post("/mms/melody/xyz", b"sent").await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn hosts_take_no_upload_and_no_forged_download_without_a_good_auth() {
    for stage in stages("auth").await {
        let body = b"sealed";
        let path = direct_path(body);
        assert_eq!(stage.post(&format!("/mms/image/{}", token(body)), body).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.post(&target(body, "made-up"), body).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.get(&path).await.status, StatusCode::NOT_FOUND);

        let auth = stage.auth();
        assert_eq!(stage.post(&target(body, &auth), body).await.status, StatusCode::OK);
        stage.control("POST", "faults", json!({ "fault": "media_expire" })).await;
        assert_eq!(stage.post(&target(body, &auth), body).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.get(&format!("{path}?auth={auth}")).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.get(&format!("{path}?auth={}", stage.auth())).await.status, StatusCode::OK);
        assert_eq!(stage.get(&path).await.status, StatusCode::OK, "Baileys shows no auth when it downloads");
    }
}

#[tokio::test]
async fn upload_over_the_limit_is_refused_before_it_is_sent() {
    for stage in stages("limit").await {
        let mut stream = TcpStream::connect(stage.sim.local_addr()).await.unwrap();
        let target = target(b"", &stage.auth());
        let bytes = super::MEDIA_BYTES_MAX + 1;
        let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        let command = stage.request("POST", "/switchboard/v1/sim/phones");
        let command = command.header(header::AUTHORIZATION, format!("Bearer {ADMIN_KEY}"));
        let large = command.body(Full::from(vec![b' '; 25 << 20])).unwrap();
        assert_eq!(stage.send(large).await.status, StatusCode::PAYLOAD_TOO_LARGE, "commands keep their own limit");
    }
}

/// A phone that has received a picture, which lies on the hosts.
async fn show_image(stage: &Stage, file: &[u8]) -> SealedMedia {
    stage.control("POST", "phones", json!({ "number": NUMBER })).await;
    let sealed = seal(MediaKind::Image, file).unwrap();
    stage.sim.shared.change(|network| network.show_image(NUMBER, "A1", &sealed)).unwrap();
    assert_eq!(stage.upload(&sealed.sealed).await.status, StatusCode::OK);
    sealed
}

#[tokio::test]
async fn operator_gets_the_file_of_a_message_as_its_owner_sees_it() {
    for stage in stages("shown").await {
        let sealed = show_image(&stage, b"lighthouse").await;
        let media = |number: &str, n: u32| format!("/switchboard/v1/sim/phones/{number}/messages/{n}/media");
        let request = stage.request("GET", &media(NUMBER, 1)).header(header::AUTHORIZATION, format!("Bearer {ADMIN_KEY}"));
        let got = stage.send(request.body(Full::default()).unwrap()).await;
        assert_eq!((got.status, &got.body[..]), (StatusCode::OK, &b"lighthouse"[..]));
        for (path, status) in [(media(NUMBER, 2), 404), (media("15550009999", 1), 404), (media(NUMBER, 1) + "/x", 404)] {
            assert_eq!(stage.sim.control("GET", &path, b"").await.status, status, "{path}");
        }
        assert_eq!(stage.sim.control("PUT", &media(NUMBER, 1), b"").await.status, 405);
        let damaged = crate::blobs::Blob { path: sealed.direct_path.clone(), bytes: Bytes::from_static(b"damaged") };
        stage.sim.shared.blobs.put(&damaged).unwrap();
        assert_eq!(stage.sim.control("GET", &media(NUMBER, 1), b"").await.status, 409);
    }
}

#[tokio::test]
async fn file_that_was_taken_away_is_served_elsewhere_once_its_phone_was_asked() {
    for stage in stages("retry").await {
        let sealed = show_image(&stage, b"lighthouse").await;
        let shown = "phones/15550001111/messages/1/media";
        stage.control("POST", "faults", json!({ "fault": "media_missing", "number": NUMBER, "id": "A1" })).await;
        assert_eq!(stage.get(&sealed.direct_path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(stage.control("GET", shown, json!(null)).await.0, 404);

        stage.sim.shared.change(|network| network.ask_for_file(NUMBER, "A1")).unwrap();
        let path = loop {
            let path = stage.sim.shared.look(|network| network.path_of_shown(NUMBER, 1));
            if path != sealed.direct_path {
                break path;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(stage.get(&path).await.body, sealed.sealed);
        assert_eq!(stage.get(&sealed.direct_path).await.status, StatusCode::NOT_FOUND, "the old place stays empty");
        let opened = stage.sim.control("GET", &format!("/switchboard/v1/sim/{shown}"), b"").await;
        assert_eq!((opened.status, &opened.body[..]), (200, &b"lighthouse"[..]));
    }
}

#[tokio::test]
async fn upload_that_broke_off_goes_on_where_it_was() {
    for stage in stages("resume").await {
        let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let probe = |auth: String| format!("{}&resume=1", target(&body, &auth));
        assert_eq!(stage.post(&probe(stage.auth()), b"").await.json(), json!({ "resume": "0" }));

        stage.control("POST", "faults", json!({ "fault": "media_cut", "bytes": 150_000 })).await;
        assert_eq!(stage.upload(&body).await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(stage.post(&probe(stage.auth()), b"").await.json(), json!({ "resume": "150000" }));

        let rest = format!("{}&file_offset=140000", target(&body, &stage.auth()));
        assert_eq!(stage.post(&rest, &body[140_000..]).await.status, StatusCode::OK);
        assert_eq!(stage.get(&direct_path(&body)).await.body, body);
        let complete = stage.post(&probe(stage.auth()), b"").await.json();
        assert_eq!((&complete["resume"], &complete["direct_path"]), (&json!("complete"), &json!(direct_path(&body))));
        assert_eq!(stage.post(&rest, &body[140_000..]).await.status, StatusCode::CONFLICT, "the part is used up");
    }
}

#[tokio::test]
async fn bytes_of_a_client_that_hangs_up_are_kept_for_its_return() {
    for stage in stages("hangup").await {
        let body = vec![7; 50_000];
        let target = target(&body, &stage.auth());
        let mut stream = TcpStream::connect(stage.sim.local_addr()).await.unwrap();
        let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..20_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        drop(stream);
        let mut kept = json!("0");
        while kept == json!("0") {
            kept = stage.post(&format!("{target}&resume=1"), b"").await.json()["resume"].clone();
        }
        assert_eq!(kept, json!("20000"));
    }
}

#[tokio::test]
async fn faults_of_the_hosts_are_what_clients_see() {
    for stage in stages("faults").await {
        let body = vec![3; 1_000];
        let path = direct_path(&body);
        stage.control("POST", "faults", json!({ "fault": "media_fail", "count": 1 })).await;
        assert_eq!(stage.upload(&body).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(stage.upload(&body).await.status, StatusCode::OK);

        let (_, state) = stage.control("POST", "faults", json!({ "fault": "media_missing", "path": path })).await;
        assert_eq!(state["media"]["missing_paths"], json!([path]));
        assert_eq!(stage.get(&path).await.status, StatusCode::NOT_FOUND);
        let probe = format!("{}&resume=1", target(&body, &stage.auth()));
        assert_eq!(stage.post(&probe, b"").await.json(), json!({ "resume": "0" }), "what is missing is not complete");
        assert_eq!(stage.upload(&body).await.status, StatusCode::OK);
        assert_eq!(stage.get(&path).await.status, StatusCode::OK);

        stage.control("POST", "faults", json!({ "fault": "media_slow", "bytes_per_second": 10_000, "count": 1 })).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(stage.get(&path).await.body, body);
        assert!(begun.elapsed().as_millis() >= 100, "a thousand bytes take a tenth of a second");
        assert_eq!(stage.control("POST", "faults", json!({ "fault": "media_slow" })).await.0, 422);
        assert_eq!(stage.control("POST", "faults", json!({ "fault": "media_fail", "bite": 1 })).await.0, 422);
    }
}

async fn over_tls(certificate: &str, address: SocketAddr) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn every_port_speaks_tls_as_well_as_plain_http() {
    let [stage, _other] = stages("tls").await;
    let (_, answer) = stage.control("GET", "certificate", json!(null)).await;
    let certificate = answer["certificate"].as_str().unwrap();
    assert_eq!(certificate, stage.sim.certificate());
    let body = b"sealed";
    for address in [stage.sim.local_addr(), stage.sim.tls_addr().unwrap()] {
        let upload = stage.request("POST", &target(body, &stage.auth())).body(Full::from(&body[..])).unwrap();
        assert_eq!(exchange(over_tls(certificate, address).await, upload).await.status, StatusCode::OK);
        let request = stage.request("GET", &direct_path(body)).body(Full::default()).unwrap();
        assert_eq!(exchange(over_tls(certificate, address).await, request.clone()).await.body, body[..]);
        assert_eq!(exchange(TcpStream::connect(address).await.unwrap(), request).await.body, body[..]);

        let url = format!("wss://{address}/ws/chat");
        let stream = over_tls(certificate, address).await;
        let (_, answer) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    }
}

#[tokio::test]
async fn files_auth_and_certificate_outlive_a_restart() {
    let [_, mut stage] = stages("restart").await;
    let body = b"kept";
    let auth = stage.auth();
    assert_eq!(stage.post(&target(body, &auth), body).await.status, StatusCode::OK);
    let certificate = stage.sim.certificate().to_owned();
    stage.sim.shutdown().await;
    stage.sim = start(stage.folder.as_deref()).await;
    assert_eq!(stage.sim.certificate(), certificate);
    assert_eq!(stage.get(&format!("{}?auth={auth}", direct_path(body))).await.body, body[..]);
}
