//! Versions of plugins: uploaded, gone back to and removed while requests come, over restarts, and seen by their owner alone.

use base64::Engine;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, phone, received, shows, write};
use switchboard_tests::components::{saying, stamped};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::io::AsyncWriteExt;

use crate::policies::damage;

const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const BASE: &str = "/switchboard/v1/plugins";
const CUSTOMER: &str = "491520000001";
const OURS: &str = "491510000001";
/// What versions of the misbehaving router answer to what they do not serve.
const SAYS: [&[u8; 9]; 2] = [b"version 1", b"version 2"];

/// The misbehaving router, which says which version it is.
fn version(n: usize) -> Vec<u8> {
    saying(env!("GUEST_HOSTILE"), SAYS[n])
}

/// An upload of it for the operator.
fn hostile(n: usize) -> Value {
    let component_base64 = base64::engine::general_purpose::STANDARD.encode(version(n));
    json!({ "name": "hostile", "component_base64": component_base64, "mounts": [{ "prefix": "/hostile", "owner": true }] })
}

/// A host with a connected session, and the phone of a customer.
async fn with_customer() -> (Stage, Account) {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", OURS).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    (stage, account)
}

async fn upload(account: &Account, key: &str, query: &str, component: Vec<u8>) -> LocalAnswer {
    let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/wasm".to_owned())];
    // What is only kept is given nothing.
    let grants = if query.contains("activate=") { "" } else { "&grants=asked" };
    account.http.exchange("POST", &format!("{BASE}?{query}{grants}"), &headers, component).await.unwrap()
}

async fn ask(account: &Account, method: &str, path: &str) -> LocalAnswer {
    account.http.json(method, &format!("{BASE}/{path}"), Some(&account.tenant_key), None).await.unwrap()
}

async fn versions(account: &Account, name: &str) -> Vec<Value> {
    let listed = ask(account, "GET", &format!("{name}/versions")).await;
    assert_eq!((listed.status, &listed.json()["next_cursor"]), (200, &Value::Null), "{listed:?}");
    listed.json()["versions"].as_array().unwrap().clone()
}

fn numbers(versions: &[Value]) -> Vec<u64> {
    versions.iter().map(|version| version["n"].as_u64().unwrap()).collect()
}

async fn configured(account: &Account, name: &str, reply: &str) {
    let config = json!({ "replies": [{ "keyword": "hi", "reply": reply }] });
    let path = format!("{BASE}/{name}/config");
    let put = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&config)).await.unwrap();
    assert_eq!(put.status, 200, "{put:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_uploaded_gone_back_to_and_removed_and_all_of_it_outlives_a_restart() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let key = &account.tenant_key;
    let first = upload(&account, key, "name=mine&note=the%20first", stamped(AUTO_REPLY, 1)).await;
    assert_eq!((first.status, &first.json()["version"], &first.json()["state"]), (201, &json!(1), &json!("active")));
    assert_eq!(first.json()["uploaded"]["note"], "the first");
    let second = upload(&account, key, "name=mine", stamped(AUTO_REPLY, 2)).await;
    assert_eq!((second.status, &second.json()["version"]), (201, &json!(2)), "{second:?}");
    let kept = upload(&account, key, "name=mine&activate=false", stamped(AUTO_REPLY, 3)).await;
    assert_eq!((kept.status, &kept.json()["version"], &kept.json()["uploaded"]["n"]), (201, &json!(2), &json!(3)));

    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let listed = versions(&account, "mine").await;
    assert_eq!(numbers(&listed), [3, 2, 1]);
    assert_eq!(listed.iter().map(|version| version["active"].clone()).collect::<Vec<_>>(), [false, true, false]);
    let back = ask(&account, "POST", "mine/rollback").await;
    assert_eq!((back.status, &back.json()["version"], &back.json()["latest"]), (200, &json!(1), &json!(3)), "{back:?}");
    let nothing = ask(&account, "POST", "mine/rollback").await;
    assert_eq!((nothing.status, &nothing.json()["code"]), (409, &json!("nothing_before")), "{nothing:?}");
    let active = ask(&account, "DELETE", "mine/versions/1").await;
    assert_eq!((active.status, &active.json()["code"]), (409, &json!("version_active")), "{active:?}");
    let sha256 = listed[0]["sha256"].as_str().unwrap();
    let activated = ask(&account, "POST", &format!("mine/versions/{}/activate", &sha256[..12])).await;
    assert_eq!((activated.status, &activated.json()["version"]), (200, &json!(3)), "{activated:?}");
    assert_eq!(ask(&account, "DELETE", "mine/versions/2").await.status, 204);

    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let shown = ask(&account, "GET", "mine").await.json();
    assert_eq!((&shown["version"], &shown["state"], &shown["sha256"]), (&json!(3), &json!("active"), &json!(sha256)));
    assert_eq!(numbers(&versions(&account, "mine").await), [3, 1]);
    let component = ask(&account, "GET", "mine/versions/1/component").await;
    assert_eq!((component.status, component.body), (200, stamped(AUTO_REPLY, 1)));
    assert_eq!(ask(&account, "GET", "mine/versions/2").await.status, 404);
    assert_eq!(ask(&account, "DELETE", "mine").await.status, 204);
    for path in ["mine", "mine/versions", "mine/versions/1", "mine/versions/1/component"] {
        assert_eq!(ask(&account, "GET", path).await.status, 404, "{path}");
    }
    assert_eq!(stage.host.storage().artifact_bytes(TenantId(account.tenant)).await.unwrap(), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_twice_are_one_version_and_an_older_one_again_is_active() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let key = &account.tenant_key;
    for (n, status, version) in [(1, 201, 1), (1, 200, 1), (2, 201, 2), (1, 200, 1), (3, 201, 3)] {
        let answer = upload(&account, key, "name=mine", stamped(AUTO_REPLY, n)).await;
        assert_eq!((answer.status, &answer.json()["version"]), (status, &json!(version)), "{answer:?}");
    }
    assert_eq!(numbers(&versions(&account, "mine").await), [3, 2, 1]);
    let page = ask(&account, "GET", "mine/versions?limit=2").await.json();
    assert_eq!((numbers(page["versions"].as_array().unwrap()), &page["next_cursor"]), (vec![3, 2], &json!("2")));
    let rest = ask(&account, "GET", "mine/versions?limit=2&cursor=2").await.json();
    assert_eq!((numbers(rest["versions"].as_array().unwrap()), &rest["next_cursor"]), (vec![1], &Value::Null));
    for query in ["name=mine&activate=no", "name=mine&note=x&tenant=1"] {
        let refused = upload(&account, key, query, stamped(AUTO_REPLY, 4)).await;
        assert!((400..=422).contains(&refused.status), "{query}: {refused:?}");
    }
    let kept = json!({ "name": "mine", "builtin": "auto-reply", "activate": false, "config": {} });
    let refused = account.post(BASE, key, kept).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/activate")), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_are_one_version_and_whoever_may_not_wait_is_told_the_limit() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let uploads = (0..40).map(|_| upload(&account, &account.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)));
    let answers = futures_util::future::join_all(uploads).await;
    for refused in answers.iter().filter(|answer| !matches!(answer.status, 200 | 201)) {
        assert_eq!((refused.status, &refused.json()["limit"]), (429, &json!("plugin_changes_waiting")), "{refused:?}");
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "the first one");
    assert_eq!(numbers(&versions(&account, "mine").await), [1]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_stopped_answers_nothing_and_later_what_happened_meanwhile() {
    let (stage, account) = with_customer().await;
    assert_eq!(upload(&account, &account.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)).await.status, 201);
    configured(&account, "mine", "hello").await;
    let patch = async |account: &Account, key: &str, stopped: bool, query: &str| {
        let path = format!("{BASE}/mine{query}");
        account.http.json("PATCH", &path, Some(key), Some(&json!({ "stopped": stopped }))).await.unwrap()
    };
    let kept = upload(&account, &account.tenant_key, "name=other&activate=false", stamped(AUTO_REPLY, 3)).await;
    assert_eq!((kept.status, &kept.json()["state"]), (201, &json!("stopped")), "{kept:?}");
    let other = format!("{BASE}/other");
    let early =
        account.http.json("PATCH", &other, Some(&account.tenant_key), Some(&json!({ "stopped": false }))).await.unwrap();
    assert_eq!((early.status, &early.json()["code"]), (409, &json!("nothing_active")), "{early:?}");
    let of_tenant = format!("?tenant={}", account.tenant);
    let stopped = patch(&account, ADMIN_KEY, true, &of_tenant).await;
    assert_eq!((stopped.status, &stopped.json()["state"]), (200, &json!("stopped")), "the operator stops it: {stopped:?}");
    write(stage.control(), ADMIN_KEY, CUSTOMER, OURS, "hi").await;

    // Neither an upload nor a restart lets it go on.
    let uploaded = upload(&account, &account.tenant_key, "name=mine", stamped(AUTO_REPLY, 2)).await;
    assert_eq!((uploaded.status, &uploaded.json()["state"]), (201, &json!("stopped")), "{uploaded:?}");
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let shown = ask(&account, "GET", "mine").await.json();
    assert_eq!((&shown["state"], &shown["version"], &shown["why"]), (&json!("stopped"), &json!(2), &Value::Null));
    account.event("message.received", |_| true).await;
    assert!(received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await.is_empty());
    let goes_on = patch(&account, &account.tenant_key, false, "").await;
    assert_eq!((goes_on.status, &goes_on.json()["state"]), (200, &json!("active")), "{goes_on:?}");
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hello").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responders_of_a_tenant_that_is_switched_off_wait_until_it_is_on_again() {
    let (stage, account) = with_customer().await;
    account.auto_reply(json!({ "replies": [{ "keyword": "hi", "reply": "hello" }] })).await;
    let switch = async |active: bool| {
        let path = format!("/switchboard/v1/tenants/{}", account.tenant);
        let switched = stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&json!({ "active": active }))).await;
        assert_eq!(switched.unwrap().status, 200);
    };
    switch(false).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, OURS, "hi").await;
    let tenant = TenantId(account.tenant);
    let arrived = until(PATIENCE, async || {
        let events = stage.host.storage().events(tenant, 0, 99).await.unwrap();
        events.iter().any(|event| event.fact.type_name() == "message.received")
    })
    .await;
    assert!(arrived);
    assert!(received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await.is_empty());
    switch(true).await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hello").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_plugins_and_versions_do_not_exist() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    assert_eq!(upload(&ours, &ours.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)).await.status, 201);
    let sha256 = versions(&ours, "mine").await[0]["sha256"].as_str().unwrap().to_owned();
    let before = ask(&ours, "GET", "mine").await.json();
    let of_mine = format!("mine/versions/{sha256}");
    for (method, below) in [
        ("GET", String::new()),
        ("DELETE", String::new()),
        ("GET", "/config".to_owned()),
        ("GET", "/versions".to_owned()),
        ("GET", format!("/versions/{sha256}")),
        ("DELETE", format!("/versions/{sha256}")),
        ("POST", format!("/versions/{sha256}/activate")),
        ("GET", format!("/versions/{sha256}/component")),
        ("POST", "/rollback".to_owned()),
    ] {
        let one = ask(&theirs, method, &format!("mine{below}")).await;
        let nobodys = ask(&theirs, method, &format!("nobodys{below}")).await;
        assert_eq!((one.status, &one.body), (404, &nobodys.body), "{method} {below}: {one:?}");
        let named = ask(&theirs, method, &format!("mine{below}?tenant={}", ours.tenant)).await;
        assert!(matches!(named.status, 400 | 403), "{method} {below}: {named:?}");
    }
    assert_eq!(ask(&ours, "GET", "mine").await.json(), before);
    // Whoever uploads the same bytes learns nothing of others who did.
    let same = upload(&theirs, &theirs.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)).await;
    assert_eq!((same.status, &same.json()["version"]), (201, &json!(1)));
    assert_eq!(ask(&theirs, "DELETE", "mine").await.status, 204);
    assert_eq!(ask(&ours, "GET", &format!("{of_mine}/component")).await.status, 200);

    let reader = ours.key(json!({ "kind": "tenant", "scopes": ["plugins:read"] })).await;
    let path = format!("{BASE}/{of_mine}");
    assert_eq!(ours.get(&path, &reader).await.status, 200);
    let refused = ours.http.json("DELETE", &path, Some(&reader), None).await.unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    let support = ours.get(&format!("{BASE}?tenant={}", ours.tenant), ADMIN_KEY).await.json();
    assert_eq!(support["plugins"][0]["name"], "mine");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_upgrades_under_requests_refuse_none_and_each_answer_is_of_one_version() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    for n in 0..SAYS.len() {
        assert_eq!(account.post(BASE, ADMIN_KEY, hostile(n)).await.status, 201);
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let requests = async |n: usize| {
        let mut answered = 0_u32;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = match n {
                0 => account.http.json("POST", "/hostile/echo", None, Some(&json!({ "n": answered }))).await.unwrap(),
                _ => account.get("/hostile/nothing", "").await,
            };
            match n {
                0 => assert_eq!((answer.status, answer.json()), (200, json!({ "n": answered }))),
                _ => assert!(answer.status == 404 && SAYS.iter().any(|text| answer.body == *text), "{answer:?}"),
            }
            answered += 1;
        }
        answered
    };
    let upgrades = async {
        for n in 1..=200_usize {
            let path = format!("{BASE}/hostile/versions/{}/activate", 1 + n % 2);
            let swapped = account.http.json("POST", &path, Some(ADMIN_KEY), None).await.unwrap();
            assert_eq!(swapped.status, 200, "{swapped:?}");
            let answer = account.get("/hostile/nothing", "").await;
            assert_eq!(answer.body, SAYS[n % 2], "whoever was told of a version is answered by it");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (one, other, ()) = tokio::join!(requests(0), requests(1), upgrades);
    assert!(one > 0 && other > 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_deleted_while_calls_run_lets_them_finish() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    for _ in 0..10 {
        let made = account.post(BASE, ADMIN_KEY, hostile(0)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let body = json!({ "a": 1 });
        let echo = || account.http.json("POST", "/hostile/echo", None, Some(&body));
        let delete = account.http.json("DELETE", "/switchboard/v1/plugins/hostile", Some(ADMIN_KEY), None);
        let (one, two, deleted) = tokio::join!(echo(), echo(), delete);
        assert_eq!(deleted.unwrap().status, 204);
        for answer in [one.unwrap(), two.unwrap()] {
            // One that came after the deletion finds nobody; none is broken off.
            assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        }
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_client_hangs_up_anywhere_leaves_the_version_or_nothing() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let component = stamped(AUTO_REPLY, 1);
    let head = format!(
        "POST {BASE}?name=mine&grants=asked HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/wasm\r\n\
         content-length: {}\r\n\r\n",
        account.tenant_key,
        component.len()
    );
    let request = [head.into_bytes(), component.clone()].concat();
    for tenths in 1..=10 {
        let mut socket = tokio::net::TcpStream::connect(stage.host.address()).await.unwrap();
        socket.write_all(&request[..request.len() * tenths / 10]).await.unwrap();
        drop(socket);
        let there = ask(&account, "GET", "mine").await;
        match there.status {
            404 => assert!(tenths == 10 || ask(&account, "GET", "mine/versions").await.status == 404, "{tenths}"),
            200 => {
                assert_eq!(tenths, 10, "what did not come whole is nothing");
                let stored = ask(&account, "GET", "mine/versions/1/component").await;
                assert_eq!((stored.status, &stored.body), (200, &component));
            }
            _ => panic!("{there:?}"),
        }
    }
    let again = upload(&account, &account.tenant_key, "name=mine", component.clone()).await;
    assert!(matches!(again.status, 200 | 201), "{again:?}");
    assert_eq!((again.json()["version"].clone(), numbers(&versions(&account, "mine").await)), (json!(1), vec![1]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_carries_is_not_uploaded_again_and_the_operators_choice_of_a_version_stays() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let path = format!("{BASE}/templates");
    let carried = account.get(&path, ADMIN_KEY).await.json();
    assert_eq!((&carried["version"], &carried["latest"]), (&json!(1), &json!(1)));
    let own = upload(&account, ADMIN_KEY, "name=templates", stamped(env!("GUEST_LETTERHEAD"), 1)).await;
    assert_eq!((own.status, &own.json()["version"]), (201, &json!(2)), "{own:?}");
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let kept = account.get(&path, ADMIN_KEY).await.json();
    assert_eq!(
        (&kept["version"], &kept["latest"], &kept["activated_at"]),
        (&json!(2), &json!(2), &own.json()["activated_at"])
    );
    let back = account.http.json("POST", &format!("{path}/rollback"), Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!((back.status, &back.json()["sha256"]), (200, &carried["sha256"]), "{back:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_broken_until_another_version_is_activated() {
    let (stage, account) = with_customer().await;
    assert_eq!(upload(&account, &account.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)).await.status, 201);
    configured(&account, "mine", "hello").await;
    assert_eq!(account.post(BASE, ADMIN_KEY, hostile(0)).await.status, 201);
    let tenant = TenantId(account.tenant);
    damage(stage.host.storage(), tenant, "mine").await;
    damage(stage.host.storage(), TenantId::OPERATOR, "hostile").await;

    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let shown = ask(&account, "GET", "mine").await.json();
    assert_eq!((&shown["state"], &shown["version"]), (&json!("broken"), &json!(2)), "{shown}");
    assert_eq!(account.get("/hostile/connect", "").await.status, 503);
    assert_eq!(account.get("/elsewhere", "").await.status, 404);
    write(stage.control(), ADMIN_KEY, CUSTOMER, OURS, "hi").await;
    account.event("message.received", |_| true).await;
    // It leaves events, and the version before answers them.
    let back = ask(&account, "POST", "mine/rollback").await;
    assert_eq!((back.status, &back.json()["state"]), (200, &json!("active")), "{back:?}");
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hello").await;
    let path = format!("{BASE}/hostile/rollback");
    assert_eq!(account.http.json("POST", &path, Some(ADMIN_KEY), None).await.unwrap().status, 200);
    let answer = account.http.json("POST", "/hostile/echo", None, Some(&json!({ "a": 1 }))).await.unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({ "a": 1 })));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_owner_are_in_memory_up_to_a_limit_and_hold_up_no_other() {
    let stage = Stage::start().await;
    let (account, other) = (stage.account("A").await, stage.account("B").await);
    let head = format!(
        "POST {BASE}?name=large HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/wasm\r\n\
         content-length: {}\r\n\r\nand so on",
        account.tenant_key,
        32 * 1024 * 1024 - 1
    );
    let begin = async || {
        let mut socket = tokio::net::TcpStream::connect(stage.host.address()).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    };
    let mut coming = vec![begin().await, begin().await, begin().await];
    let small = async |account: &Account| upload(account, &account.tenant_key, "name=mine", stamped(AUTO_REPLY, 1)).await;
    let mut last = None;
    let refused = until(PATIENCE, async || {
        // Which of two comes first nobody knows: a large one that finds a small one there is followed by another.
        coming.push(begin().await);
        let answer = small(&account).await;
        let refused = answer.status == 429 && answer.json()["limit"] == "uploads_mib";
        last = Some(answer);
        refused
    });
    assert!(refused.await, "{last:?}");
    assert_eq!(small(&other).await.status, 201);
    drop(coming);
    assert!(until(PATIENCE, async || matches!(small(&account).await.status, 200 | 201)).await, "no room became free");
    stage.stop().await;
}
