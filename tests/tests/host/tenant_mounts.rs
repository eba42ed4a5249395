//! Routers of tenants: reached below `/t/<tenant>/`, each as its tenant and within its grants, from uploads to swaps under load.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard::http::{HttpSettings, LocalAnswer};
use switchboard_tests::account::{Account, TestSession, phone, received, shows};
use switchboard_tests::components::stamped;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
/// Where orders have a number: the first has none.
const TO: [&str; 2] = ["/customer/phone", "/shipping_address/phone"];
const KEEPER: &str = env!("GUEST_KEEPER");

/// Uploads a component for the tenant.
async fn upload(account: &Account, name: &str, component: &[u8], more: Value) -> LocalAnswer {
    let mut wish = json!({ "name": name, "component_base64": STANDARD.encode(component), "grants": "asked" });
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    account.post(PLUGINS, &account.tenant_key, wish).await
}

async fn keeper(account: &Account, name: &str) {
    let made = upload(account, name, &std::fs::read(KEEPER).unwrap(), json!({})).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// Writes down a secret of a plugin.
async fn secret(account: &Account, plugin: &str, name: &str, value: &str) {
    let path = format!("{PLUGINS}/{plugin}/secrets/{name}");
    let put = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&json!({ "value": value }))).await.unwrap();
    assert_eq!(put.status, 201, "{put:?}");
}

/// Lets a keeper act, asked by nobody.
async fn acts(account: &Account, plugin: &str, acts: Value) -> String {
    let path = format!("/t/{}/{plugin}/open/acts", account.tenant);
    let said = account.http.exchange("POST", &path, &[], acts.to_string().into_bytes()).await.unwrap();
    assert_eq!(said.status, 200, "{said:?}");
    String::from_utf8(said.body).unwrap()
}

async fn ask(account: &Account, method: &str, path: &str, key: Option<&str>) -> (u16, String) {
    let answer = account.http.json(method, path, key, Some(&json!([]))).await.unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// A shop, which tells of orders.
struct Shop {
    account: Account,
    secret: &'static str,
}

impl Shop {
    /// Installs the carried plugin, and gives it the shop's secret.
    async fn open(account: Account, secret_text: &'static str, config: Value) -> Self {
        let wish = json!({ "name": "shop-order", "builtin": "shop-order", "config": config });
        let made = account.post(PLUGINS, &account.tenant_key, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["urls"], json!([format!("/t/{}/shop-order", account.tenant)]), "{made:?}");
        secret(&account, "shop-order", "SHOP_SECRET", secret_text).await;
        Self { account, secret: secret_text }
    }

    async fn tells_as(&self, order: &Value, signed_with: &str) -> LocalAnswer {
        let body = order.to_string().into_bytes();
        let mut hmac = Hmac::<Sha256>::new_from_slice(signed_with.as_bytes()).unwrap();
        hmac.update(&body);
        let headers = [("X-Shopify-Hmac-Sha256", STANDARD.encode(hmac.finalize().into_bytes()))];
        let path = format!("/t/{}/shop-order/orders", self.account.tenant);
        self.account.http.exchange("POST", &path, &headers, body).await.unwrap()
    }

    async fn tells(&self, order: &Value) -> LocalAnswer {
        self.tells_as(order, self.secret).await
    }
}

fn order(id: u64) -> Value {
    json!({
        "id": id, "name": format!("#{id}"), "customer": { "first_name": "Ada", "phone": null },
        "shipping_address": { "phone": format!("+{CUSTOMER}") },
    })
}

async fn linked(stage: &Stage, name: &str, number: &str) -> (Account, TestSession) {
    let account = stage.account(name).await;
    let session = account.linked(stage.control(), name, number).await;
    (account, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_signed_order_becomes_one_message_however_often_it_is_told() {
    let stage = Stage::start().await;
    let (account, session) = linked(&stage, "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let shop =
        Shop::open(account, "shpss_0123456789", json!({ "text": "Thanks {/customer/first_name}: {/name}", "to": TO })).await;
    let told = shop.tells(&order(1001)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let id = told.json()["message_id"].as_u64().unwrap();
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "Thanks Ada: #1001").await;
    let again = shop.tells(&order(1001)).await;
    assert_eq!((again.status, &again.json()["message_id"]), (200, &json!(id)), "{again:?}");
    let both = futures_util::future::join_all((0..8).map(|_| async { shop.tells(&order(1002)).await.json() })).await;
    assert!(both.iter().all(|told| *told == both[0]), "{both:?}");
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "Thanks Ada: #1002").await;

    // Nothing of what is refused is sent, and nothing says the secret.
    let mut nameless = order(1003);
    nameless["customer"]["first_name"] = json!("");
    let mut unreachable = order(1004);
    unreachable["shipping_address"]["phone"] = json!("call me");
    for (refused, status, why) in [
        (shop.tells_as(&order(1005), "shpss_another").await, 401, "signature"),
        (shop.tells(&nameless).await, 422, "/customer/first_name is missing"),
        (shop.tells(&unreachable).await, 422, "to: "),
        (shop.tells(&json!({ "id": 1 })).await, 422, "no number in: /customer/phone, /shipping_address/phone"),
        (shop.tells(&json!({})).await, 422, "/id is missing"),
    ] {
        let said = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(refused.status == status && said.contains(why), "{refused:?}");
        assert!(!said.contains("shpss_"), "{said}");
    }
    let path = format!("/t/{}/shop-order/orders", shop.account.tenant);
    let (status, said) = ask(&shop.account, "POST", &path, Some(&shop.account.tenant_key)).await;
    assert!(status == 401 && said.contains("x-shopify-hmac-sha256 is missing"), "{status} {said}");

    let message = shop.account.get(&format!("/switchboard/v1/messages/{id}"), &shop.account.tenant_key).await.json();
    let origin = format!("{}/shop-order", shop.account.tenant);
    assert_eq!((&message["origin"], &message["session_id"]), (&json!(origin), &json!(session.id)), "{message}");
    let shown = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    let stage = stage.restart().await;
    let shop = Shop { account: Account { http: stage.http(), ..shop.account }, ..shop };
    shop.account.wait_for(&session, "connected").await;
    let again = shop.tells(&order(1001)).await;
    assert_eq!((again.status, &again.json()["message_id"]), (200, &json!(id)), "{again:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_plugins_of_one_name_have_nothing_to_do_with_each_other() {
    let stage = Stage::start().await;
    let ((ours, our_session), theirs) = (linked(&stage, "Ours", SHOP).await, stage.account("Theirs").await);
    for account in [&ours, &theirs] {
        keeper(account, "keeper").await;
    }
    let config = json!({ "text": "Order {/name}", "to": TO });
    let our_shop = Shop::open(ours.clone(), "our-secret", config.clone()).await;
    let their_shop = Shop::open(theirs.clone(), "their-secret", config).await;
    assert_eq!(our_shop.tells_as(&order(1), their_shop.secret).await.status, 401, "another tenant's secret");
    assert_eq!(their_shop.tells_as(&order(1), our_shop.secret).await.status, 401);
    // Its tenant has no session: another's is none of its.
    let none = their_shop.tells(&order(1)).await;
    assert_eq!((none.status, &none.json()["error"]), (503, &json!("no session is connected")), "{none:?}");

    assert_eq!(acts(&ours, "keeper", json!([{ "put": ["k", "ours"] }])).await, "kept");
    assert_eq!(acts(&theirs, "keeper", json!([{ "get": "k" }])).await, "none");
    assert_eq!(acts(&ours, "keeper", json!([{ "get": "k" }])).await, "ours");
    let sent = acts(&theirs, "keeper", json!([{ "send": [our_session.id, CUSTOMER, "from another"] }])).await;
    assert_eq!(sent, "not found");
    assert_eq!(acts(&theirs, "keeper", json!(["sessions"])).await, "");

    // A key is known at its own tenant's routers alone: any other is as unknown as what nobody drew.
    let path = |account: &Account| format!("/t/{}/keeper/acts", account.tenant);
    let unknown = ask(&ours, "POST", &path(&ours), Some("sk_live_nobody")).await;
    assert_eq!(unknown.0, 400, "as the plugin renders it: {unknown:?}");
    assert_eq!(ask(&ours, "POST", &path(&ours), Some(&theirs.tenant_key)).await, unknown);
    assert_eq!(ask(&ours, "POST", &path(&ours), Some(&ours.tenant_key)).await, (200, String::new()));
    let keys = format!("/switchboard/v1/tenants/{}/keys", theirs.tenant);
    let revoked = theirs.post(&keys, ADMIN_KEY, json!({ "kind": "tenant" })).await.json();
    let key = format!("{keys}/{}", revoked["id"]);
    assert_eq!(theirs.http.json("DELETE", &key, Some(ADMIN_KEY), None).await.unwrap().status, 204);
    assert_eq!(ask(&ours, "POST", &path(&ours), revoked["key"].as_str()).await, unknown, "nor is it said what became of it");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_of_ones_own_does_what_it_was_granted_and_nothing_else() {
    let stage = Stage::start().await;
    let (account, session) = linked(&stage, "A", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let component = std::fs::read(KEEPER).unwrap();
    let refused = upload(&account, "keeper", &component, json!({ "grants": {} })).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("grants_needed")), "{refused:?}");
    let place = format!("/t/{}/keeper/open/acts", account.tenant);
    assert_eq!(ask(&account, "POST", &place, None).await.0, 404, "what is kept out is not there");
    let yes = json!({ "grants": "asked" });
    let made = account.post(&format!("{PLUGINS}/keeper/versions/1/activate"), &account.tenant_key, yes).await;
    assert_eq!(made.status, 200, "{made:?}");

    // It was not given numbers.
    assert_eq!(acts(&account, "keeper", json!(["sessions"])).await, format!("{}:", session.id));
    let id = acts(&account, "keeper", json!([{ "send": [session.id, CUSTOMER, "one"] }])).await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "one").await;
    assert_ne!(acts(&account, "keeper", json!([{ "message": id.parse::<u64>().unwrap() }])).await, "not found");
    let foreign = account.send(&session, CUSTOMER, "not its own").await;
    assert_eq!(foreign.status, 200, "{foreign:?}");
    let listed = account.get("/switchboard/v1/messages", &account.tenant_key).await.json();
    let foreign = listed["messages"].as_array().unwrap().iter().find(|message| message["origin"].is_null()).unwrap();
    assert_eq!(acts(&account, "keeper", json!([{ "message": foreign["id"] }])).await, "not found");
    let once = json!([{ "send_once": [session.id, "k", CUSTOMER, "once"] }]);
    assert_eq!(acts(&account, "keeper", once.clone()).await, acts(&account, "keeper", once).await);
    let denied = acts(&account, "keeper", json!([{ "forbidden": session.id }])).await;
    assert_eq!(denied, "denied: a tenant's own router does not have this verb: no grant covers it");

    // Nor does a key give it more, and a key's scopes hold as well.
    let keyed = async |key: &str, acts: Value| {
        let path = format!("/t/{}/keeper/acts", account.tenant);
        let said = account.http.json("POST", &path, Some(key), Some(&acts)).await.unwrap();
        String::from_utf8(said.body).unwrap()
    };
    assert_eq!(keyed(&account.tenant_key, json!([{ "forbidden": session.id }])).await, denied);
    let reader = account.key(json!({ "kind": "tenant", "scopes": ["sessions:read"] })).await;
    let said = keyed(&reader, json!([{ "send": [session.id, CUSTOMER, "no"] }])).await;
    assert_eq!(said, "denied: the key lacks the scope messages:write");

    let give = async |grants: Value| {
        let path = format!("{PLUGINS}/keeper/grants");
        let set = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&grants)).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
    };
    give(json!({ "sessions": "all", "send": { "per_minute": 1 } })).await;
    // Whenever a minute of the calendar ends, one more is let through.
    let mut said = Vec::new();
    for n in 0..3 {
        said.push(acts(&account, "keeper", json!([{ "send": [session.id, CUSTOMER, format!("{n}")] }])).await);
    }
    assert!(said.iter().any(|said| said.starts_with("limit: messages_per_minute")), "{said:?}");
    give(json!({ "sessions": { "only": [session.id + 1] }, "send": { "per_minute": 100 } })).await;
    let send = json!([{ "send": [session.id, CUSTOMER, "no"] }]);
    let why = format!("denied: it may not send from session {}: its grant sessions does not have it", session.id);
    assert_eq!(acts(&account, "keeper", send.clone()).await, why);
    give(json!({})).await;
    let why = "denied: it may not send anything: it was not given the grant send";
    assert_eq!(acts(&account, "keeper", send).await, why);
    let nothing = acts(&account, "keeper", json!(["sessions", { "get": "k" }, { "secret": "API_KEY" }])).await;
    assert_eq!(nothing.matches("the plugin has no grant for it").count(), 3, "{nothing}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_a_tenants_own_and_do_not_meet() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    keeper(&account, "keeper").await;
    let own = format!("/t/{}", account.tenant);
    // The router renders what it does not serve; where there is none, everything is answered alike.
    assert_eq!(ask(&account, "POST", &format!("{own}/keeper/nope"), None).await, (400, "Refusal::NotFound".to_owned()));
    let wrong = account.http.json("GET", &format!("{own}/keeper/acts"), None, None).await.unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (400, Some("POST")), "{wrong:?}");
    let empty = stage.account("Empty").await;
    let mut nothing = Vec::new();
    for path in [
        "/t/12345/keeper/acts".to_owned(),
        format!("/t/{}/keeper/acts", empty.tenant),
        format!("/t/0{}/keeper/acts", account.tenant),
        format!("{own}/kept/acts"),
        own.clone(),
        "/t/".to_owned(),
    ] {
        nothing.push(ask(&account, "POST", &path, Some(&account.tenant_key)).await);
    }
    assert!(nothing.iter().all(|answer| *answer == nothing[0] && answer.0 == 404), "{nothing:?}");

    // Prefixes of its own, none within another.
    let component = std::fs::read(KEEPER).unwrap();
    for (mounts, why) in [
        (json!([{ "prefix": "/keeper" }]), "keeper is reached at"),
        (json!([{ "prefix": "/keeper/more" }]), "keeper is reached at"),
        (json!([{ "prefix": "/a" }, { "prefix": "/a/b" }]), "second is reached at"),
    ] {
        let refused = upload(&account, "second", &component, json!({ "mounts": mounts })).await;
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("routes")), "{refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains(why), "{refused:?}");
    }
    for prefix in ["/..", "/{id}", "keeper", "/K", "/"] {
        let refused = upload(&account, "second", &component, json!({ "mounts": [{ "prefix": prefix }] })).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/mounts")), "{refused:?}");
    }
    let bound = json!({ "mounts": [{ "prefix": "/a", "host": "wa.example.com" }] });
    assert_eq!(upload(&account, "second", &component, bound).await.status, 422);
    let made = upload(&account, "second", &component, json!({ "mounts": [{ "prefix": "/a" }, { "prefix": "/b/c" }] })).await;
    assert_eq!((made.status, &made.json()["urls"]), (201, &json!([format!("{own}/a"), format!("{own}/b/c")])), "{made:?}");
    for place in ["a", "b/c"] {
        assert_eq!(acts(&account, place, json!([{ "get": "k" }])).await, "none", "{place}");
    }
    // A place that was left is free, also to whom it was refused before.
    let stop = async |name: &str, stopped: bool| {
        let (path, change) = (format!("{PLUGINS}/{name}"), json!({ "stopped": stopped }));
        account.http.json("PATCH", &path, Some(&account.tenant_key), Some(&change)).await.unwrap()
    };
    assert_eq!(stop("keeper", true).await.status, 200);
    assert_eq!(ask(&account, "POST", &format!("{own}/keeper/open/acts"), None).await, nothing[0]);
    let moved = upload(&account, "second", &component, json!({ "mounts": [{ "prefix": "/keeper" }] })).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let back = stop("keeper", false).await;
    assert_eq!((back.status, &back.json()["code"]), (409, &json!("routes")), "{back:?}");
    let path = format!("{PLUGINS}/second");
    assert_eq!(account.http.json("DELETE", &path, Some(&account.tenant_key), None).await.unwrap().status, 204);
    assert_eq!(stop("keeper", false).await.status, 200);
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    assert_eq!(acts(&account, "keeper", json!([{ "get": "k" }])).await, "none");

    // Nobody of a tenant that is switched off is there.
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let off = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&json!({ "active": false }))).await.unwrap();
    assert_eq!(off.status, 200, "{off:?}");
    assert_eq!(ask(&account, "POST", &format!("{own}/keeper/open/acts"), None).await, nothing[0]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_cannot_mount_where_tenants_routers_are() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let component = STANDARD.encode(std::fs::read(KEEPER).unwrap());
    for prefix in ["/t", "/t/12345/keeper"] {
        let wish =
            json!({ "name": "keeper", "component_base64": component, "grants": "asked", "mounts": [{ "prefix": prefix }] });
        let refused = account.post(PLUGINS, ADMIN_KEY, wish).await;
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("routes")), "{refused:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_held_to_their_share_before_a_plugin_runs_and_bodies_to_their_limit() {
    let http = HttpSettings { strangers_per_minute: 4, failed_credentials_per_minute: 2, ..HttpSettings::default() };
    let stage = Stage::start_behind(http).await;
    let account = stage.account("A").await;
    keeper(&account, "keeper").await;
    let large = vec![b' '; 1024 * 1024 + 1];
    let path = format!("/t/{}/keeper/open/acts", account.tenant);
    let over = account.http.exchange("POST", &path, &[], large).await.unwrap();
    let said = String::from_utf8(over.body).unwrap();
    assert_eq!((over.status, said.as_str()), (400, "Refusal::BodyTooLarge(1048576)"));

    let calls = async || {
        let shown = account.get(&format!("{PLUGINS}/keeper"), &account.tenant_key).await;
        shown.json()["calls"].as_u64().unwrap()
    };
    // Whenever a minute of the calendar ends, four more are let through.
    let before = calls().await;
    let mut stopped = 0;
    for n in 0..12 {
        let (method, path) = match n % 3 {
            0 => ("POST", path.clone()),
            1 => ("POST", format!("/t/{}/keeper/nope", account.tenant)),
            _ => ("GET", path.clone()),
        };
        let answer = account.http.json(method, &path, None, None).await.unwrap();
        stopped += u64::from(answer.status == 429);
        assert!(answer.status != 429 || answer.json()["retry_after"].is_u64(), "{answer:?}");
    }
    assert!(stopped >= 4, "{stopped}");
    assert_eq!(calls().await - before, 12 - stopped, "none ran for who was stopped");
    let keyed = format!("/t/{}/keeper/acts", account.tenant);
    assert_eq!(ask(&account, "POST", &keyed, Some(&account.tenant_key)).await.0, 200, "whoever has a key is no stranger");
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let limits = json!({ "limits": { "api_requests_per_minute": 1 } });
    assert_eq!(account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&limits)).await.unwrap().status, 200);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&account, "POST", &keyed, Some(&account.tenant_key)).await.1);
    }
    assert!(statuses.iter().any(|said| said.starts_with("Refusal::TooManyRequests")), "{statuses:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_swapped_under_requests_and_none_is_lost() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    keeper(&account, "keeper").await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let ask = async || {
        let mut asked = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(acts(&account, "keeper", json!([{ "get": "k" }])).await, "none");
            asked += 1;
        }
        asked
    };
    let swap = async {
        for n in 1..=4 {
            let made = upload(&account, "keeper", &stamped(KEEPER, n), json!({})).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        let back = account.post(&format!("{PLUGINS}/keeper/rollback"), &account.tenant_key, json!({})).await;
        assert_eq!(back.status, 200, "{back:?}");
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (asked, ()) = futures_util::future::join(futures_util::future::join_all((0..4).map(|_| ask())), swap).await;
    assert!(asked.iter().all(|asked| *asked > 0), "{asked:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_routers_take_no_others_places() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    for account in [&ours, &theirs] {
        keeper(account, "keeper").await;
    }
    // Each of these computes until it is ended.
    let path = format!("/t/{}/keeper/open/acts", ours.tenant);
    let spin = || ours.http.exchange("POST", &path, &[], b"[\"spin\"]".to_vec());
    let flood = futures_util::future::join_all((0..40).map(|_| spin()));
    let (answers, other) = futures_util::future::join(flood, acts(&theirs, "keeper", json!([{ "get": "k" }]))).await;
    assert_eq!(other, "none");
    let answers: Vec<LocalAnswer> = answers.into_iter().map(Result::unwrap).collect();
    let busy: Vec<&LocalAnswer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!((1..=24).contains(&busy.len()), "16 have a place: {answers:?}");
    assert!(busy.iter().all(|answer| answer.header("retry-after") == Some("1")), "{busy:?}");
    assert_eq!(acts(&ours, "keeper", json!([{ "get": "k" }])).await, "none", "places are given back");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_of_ones_own_knows_where_it_is_and_has_neither_streams_nor_links() {
    let stage = Stage::start().await;
    let (account, session) = linked(&stage, "A", SHOP).await;
    let made = upload(&account, "live", &std::fs::read(env!("GUEST_LIVE")).unwrap(), json!({})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let own = format!("/t/{}/live", account.tenant);
    let ask = async |path: &str| {
        let answer = account.get(&format!("{own}{path}"), &account.tenant_key).await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(ask("/query").await, (200, format!("[] below {own}")));
    assert_eq!(ask("/events").await, (500, "failed".to_owned()));
    assert_eq!(ask("/anybody").await, (500, "failed".to_owned()));
    assert_eq!(ask(&format!("/life/{}", session.id)).await, (500, "failed".to_owned()));
    assert_eq!(ask(&format!("/link/{}", session.id)).await, (403, "denied".to_owned()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_is_its_tenants_once_the_operator_approved_it() {
    let stage = Stage::start().await;
    let (account, other) = (stage.account("A").await, stage.account("B").await);
    keeper(&account, "keeper").await;
    let approve = async |account: &Account, hosts: Value, key: &str| {
        let path = format!("/switchboard/v1/tenants/{}", account.tenant);
        account.http.json("PATCH", &path, Some(key), Some(&json!({ "hosts": hosts }))).await.unwrap()
    };
    let asked = async |host: &str, path: &str, key: Option<&str>| {
        let mut headers = vec![("host", host.to_owned()), ("content-type", "application/json".to_owned())];
        headers.extend(key.map(|key| ("authorization", format!("Bearer {key}"))));
        let answer = account.http.exchange("POST", path, &headers, b"[]".to_vec()).await.unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let own_place = format!("/t/{}/keeper/open/acts", account.tenant);
    assert_eq!(asked("hooks.shop.example", "/keeper/open/acts", None).await.0, 404);
    assert_eq!(approve(&account, json!(["hooks.shop.example"]), &account.tenant_key).await.status, 403);
    let approved = approve(&account, json!(["Hooks.Shop.example.", "b.example"]), ADMIN_KEY).await;
    assert_eq!((approved.status, &approved.json()["hosts"]), (200, &json!(["b.example", "hooks.shop.example"])));
    let shown = account.http.json("GET", "/switchboard/v1/plugins/keeper", Some(&account.tenant_key), None).await.unwrap();
    let urls = [format!("/t/{}/keeper", account.tenant), "//b.example/keeper".into(), "//hooks.shop.example/keeper".into()];
    assert_eq!(shown.json()["urls"], json!(urls));
    for host in ["hooks.shop.example", "HOOKS.shop.example:8443", "b.example"] {
        assert_eq!(asked(host, "/keeper/open/acts", None).await, (200, String::new()), "{host}");
        assert_eq!(asked(host, "/keeper/acts", Some(&account.tenant_key)).await.0, 200, "{host}");
        let foreign = asked(host, "/keeper/acts", Some(&other.tenant_key)).await;
        assert!(foreign.0 == 400 && foreign.1.contains("Unauthorized"), "{foreign:?}");
        // Nothing else of the shared APIs is there, and what is the host's is.
        assert_eq!(asked(host, "/api/v1/send-message", Some(&account.tenant_key)).await.0, 404, "{host}");
        assert_eq!(asked(host, &own_place, None).await.0, 200);
        assert_eq!(asked(host, "/switchboard/v1/tenants", Some(ADMIN_KEY)).await.0, 422, "no tenant is in it");
    }
    for (hosts, status) in [
        (json!(["b.example"]), 409),
        (json!(["a b"]), 422),
        (json!(["localhost"]), 422),
        (json!(["127.0.0.1"]), 422),
        (json!(vec!["a.example"; 17]), 422),
    ] {
        let refused = approve(&other, hosts, ADMIN_KEY).await;
        assert_eq!(refused.status, status, "{refused:?}");
    }
    // Where a plugin of the operator's is bound, no tenant is.
    let component_base64 = STANDARD.encode(std::fs::read(KEEPER).unwrap());
    let mounts = json!([{ "prefix": "/shared", "host": "c.example" }]);
    let wish = json!({ "name": "shared", "component_base64": component_base64, "mounts": mounts, "grants": "asked" });
    let made = account.http.json("POST", PLUGINS, Some(ADMIN_KEY), Some(&wish)).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let refused = approve(&other, json!(["c.example"]), ADMIN_KEY).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("host_taken")), "{refused:?}");

    // What was approved lasts, and what was taken back does not.
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let asked = async |host: &str| {
        let headers = [("host", host.to_owned())];
        account.http.exchange("POST", "/keeper/open/acts", &headers, b"[]".to_vec()).await.unwrap().status
    };
    assert_eq!((asked("b.example").await, asked("hooks.shop.example").await), (200, 200));
    assert_eq!(approve(&account, json!(["b.example"]), ADMIN_KEY).await.status, 200);
    assert_eq!((asked("b.example").await, asked("hooks.shop.example").await), (200, 404));
    assert_eq!(approve(&other_at(&stage, other), json!(["hooks.shop.example"]), ADMIN_KEY).await.status, 200);
    stage.stop().await;
}

fn other_at(stage: &Stage, account: Account) -> Account {
    Account { http: stage.http(), ..account }
}
