//! Files go through the host without being held: what its memory grows by while a large one comes in and goes out.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, phone, received};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::process::Process;

const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const MIB: usize = 1024 * 1024;
/// The largest file that is taken.
const FILE_BYTES: usize = 100 * MIB;
/// A file whose text in base64 is just within the 32 MiB that a JSON body may have.
const BASE64_FILE_BYTES: usize = 23 * MIB;
/// What the host's memory may grow by meanwhile, KiB.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_host-under-test"))
}

/// A figure of a process's memory, KiB.
fn memory(pid: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What memory grew by at its height while `work` was done, KiB.
async fn growth(host: &Process, work: impl Future<Output = ()>) -> u64 {
    let before = memory(host.pid(), "VmRSS");
    // From here on the height is counted anew.
    std::fs::write(format!("/proc/{}/clear_refs", host.pid()), "5").unwrap();
    work.await;
    memory(host.pid(), "VmHWM").saturating_sub(before)
}

async fn post(host: &Process, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> LocalAnswer {
    let headers: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    host.http().exchange("POST", path, &headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_never_in_memory_neither_on_its_way_in_nor_on_its_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let sim_dir = folder.path().join("sim").display().to_string();
    let arguments = ["sim", "--listen", "127.0.0.1:0", "--data-dir", &sim_dir];
    let sim = Process::start(program(), &arguments, ADMIN_KEY, &folder.path().join("sim.log")).await;
    let (data_dir, url) = (folder.path().join("data").display().to_string(), format!("ws://{}/ws/chat", sim.address));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir, "--sim", &url];
    let host = Process::start(program(), &arguments, ADMIN_KEY, &folder.path().join("host.log")).await;
    host.ready().await;
    let account = Account::create(host.http(), ADMIN_KEY, "Shop").await;
    let session = account.linked(sim.http(), "Shop", SHOP).await;
    phone(sim.http(), ADMIN_KEY, CUSTOMER).await;

    let uploads = async |bytes: usize| {
        let headers = [("authorization", &*format!("Bearer {}", session.key)), ("content-type", "text/plain")];
        let answer = post(&host, "/api/v1/upload", &headers, vec![b'x'; bytes]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let uploads_in_json = async |bytes: usize| {
        let headers = [("authorization", &*format!("Bearer {}", session.key)), ("content-type", "application/json")];
        let body = json!({ "mimetype": "text/plain", "base64": STANDARD.encode(vec![b'z'; bytes]) });
        let answer = post(&host, "/api/v1/upload", &headers, body.to_string().into_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let sends = async |bytes: usize| {
        let before = received(sim.http(), ADMIN_KEY, CUSTOMER, 0, 0).await.len();
        let head = format!(
            "--x\r\ncontent-disposition: form-data; name=\"number\"\r\n\r\n{CUSTOMER}\r\n--x\r\n\
             content-disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\n"
        );
        let body = [head.as_bytes(), &vec![b'y'; bytes], b"\r\n--x--\r\n"].concat();
        let headers = [("x-api-key", &*session.key), ("content-type", "multipart/form-data; boundary=x")];
        let answer = post(&host, "/api/whatsapp/send/file", &headers, body).await;
        assert_eq!((answer.status, &answer.json()["sent"]), (200, &json!(1)), "{answer:?}");
        let shown = async || received(sim.http(), ADMIN_KEY, CUSTOMER, 0, 0).await.len() > before;
        assert!(until(PATIENCE, shown).await, "the file never came");
    };
    // What is kept from the first of anything is no growth.
    uploads(8 * MIB).await;
    uploads_in_json(8 * MIB).await;
    sends(8 * MIB).await;
    for (what, grown) in [
        ("as the body", growth(&host, uploads(FILE_BYTES)).await),
        ("as base64 in JSON", growth(&host, uploads_in_json(BASE64_FILE_BYTES)).await),
        ("in a form, and on to WhatsApp", growth(&host, sends(FILE_BYTES)).await),
    ] {
        assert!(grown < GROWTH_KIB_MAX, "{what}: {grown} KiB");
    }
    host.kill().await;
    sim.kill().await;
}
