//! The steps of the demonstration. Each one asks the running host through HTTP, as a client would, and says what it proves.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use switchboard_core::records::id::TenantId;

use crate::cli::{CommandError, Opened, say};
use crate::http::{LocalAnswer, LocalClient};

/// Whose phones are simulated: the shop that answers, and the customer who asks.
const SHOP_NUMBER: &str = "491510000001";
const CUSTOMER_NUMBER: &str = "491510000002";
/// What is asked and answered.
const QUESTION: &str = "What are your opening hours?";
const ANSWER: &str = "We are open from 9 to 17.";
/// How long one step may take.
const STEP_WAIT: Duration = Duration::from_secs(30);
/// How often a state is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A demonstration under way.
pub(super) struct Demo<'a> {
    opened: &'a Opened,
    client: LocalClient,
    address: SocketAddr,
    step: u32,
}

/// What there is to try once every step held.
struct Scene {
    account: Account,
    shop: Linked,
    customer: Linked,
    /// The number of the last message that the customer's phone shows.
    customer_saw: u64,
}

struct Linked {
    id: u64,
    key: String,
}

struct Account {
    tenant: u64,
    tenant_key: String,
    token: String,
}

impl<'a> Demo<'a> {
    pub(super) fn new(opened: &'a Opened) -> Self {
        let address = opened.host.address();
        Self { opened, client: LocalClient::new(address), address, step: 0 }
    }

    fn begin(&mut self, what: &str) {
        self.step += 1;
        say(&format!("\n{}. {what}", self.step));
    }

    fn proves(what: &str) {
        say(&format!("   {what}"));
    }

    /// Shows every step.
    ///
    /// # Errors
    /// Names the step that did not hold.
    /// Shows all steps, and then what can be tried unless everything ends with them (`once`).
    pub(super) async fn show(mut self, once: bool) -> Result<(), CommandError> {
        let shown = tokio::time::timeout(STEP_WAIT * 4, self.show_all()).await;
        match shown {
            Ok(Ok(scene)) => {
                say("\nEvery step held.");
                if !once {
                    self.invite(&scene);
                }
                Ok(())
            }
            Ok(Err(error)) => Err(format!("step {} did not hold: {error}", self.step).into()),
            Err(_) => Err(format!("step {} did not end in time", self.step).into()),
        }
    }

    async fn show_all(&mut self) -> Result<Scene, CommandError> {
        self.begin("The host serves");
        self.expect(200, self.get("/readyz", None).await?)?;
        Self::proves(&format!("GET http://{}/readyz answered 200", self.address));

        self.begin("Two tenants and their keys");
        let account = self.make_account("Shop").await?;
        // What the shop's plugins answer must not be answered by them again.
        let buyer = self.make_account("Customer").await?;

        self.begin("The plugin auto-reply, uploaded for this tenant and configured with JSON");
        self.upload_auto_reply(&account).await?;

        self.begin("Two sessions, linked by scanning their QR codes");
        let shop = self.link(&account, "Shop", SHOP_NUMBER).await?;
        let customer = self.link(&buyer, "Customer", CUSTOMER_NUMBER).await?;

        self.begin("The customer asks the shop, through the wasender dialect");
        // A folder that was used before has phones that have seen the same before.
        let (shop_saw, customer_saw) = (self.last_shown(SHOP_NUMBER).await?, self.last_shown(CUSTOMER_NUMBER).await?);
        let message_id = self.ask(&customer).await?;

        self.begin("The shop's phone shows the question");
        let asked = self.phone_shows(SHOP_NUMBER, shop_saw, QUESTION).await?;
        self.proves_encryption(&message_id, &asked).await?;

        self.begin("The auto-reply comes back");
        let answered = self.phone_shows(CUSTOMER_NUMBER, customer_saw, ANSWER).await?;
        self.proves_reply(&account, &answered)?;

        let customer_saw = self.last_shown(CUSTOMER_NUMBER).await?;
        Ok(Scene { account, shop, customer, customer_saw })
    }

    async fn get(&self, path: &str, key: Option<&str>) -> Result<LocalAnswer, CommandError> {
        Ok(self.client.json("GET", path, key, None).await?)
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<LocalAnswer, CommandError> {
        Ok(self.client.json("POST", path, Some(key), Some(body)).await?)
    }

    fn expect(&self, status: u16, answer: LocalAnswer) -> Result<Value, CommandError> {
        if answer.status == status {
            return Ok(answer.json());
        }
        let body = String::from_utf8_lossy(&answer.body).chars().take(500).collect::<String>();
        Err(format!("expected status {status}, got {} with {body}", answer.status).into())
    }

    async fn make_account(&self, name: &str) -> Result<Account, CommandError> {
        let admin = self.opened.admin_key.reveal();
        let tenant = self.post("/switchboard/v1/tenants", admin, &json!({ "name": name })).await?;
        let tenant = number(&self.expect(201, tenant)?, "/id")?;
        let path = format!("/switchboard/v1/tenants/{tenant}/keys");
        let tenant_key = self.post(&path, admin, &json!({ "kind": "tenant" })).await?;
        let tenant_key = text(&self.expect(201, tenant_key)?, "/key")?;
        let token = self.post(&path, admin, &json!({ "kind": "personal" })).await?;
        let token = text(&self.expect(201, token)?, "/key")?;
        Self::proves(&format!("tenant {tenant} ({name}); of its keys only SHA-256 hashes are stored"));
        Ok(Account { tenant, tenant_key, token })
    }

    async fn upload_auto_reply(&self, account: &Account) -> Result<(), CommandError> {
        let config = json!({ "replies": [{ "keyword": "opening hours", "reply": ANSWER }] });
        let upload = json!({ "name": "auto-reply", "builtin": "auto-reply", "config": config });
        let plugin = self.post("/switchboard/v1/plugins", &account.tenant_key, &upload).await?;
        let plugin = self.expect(201, plugin)?;
        let (bytes, sha256) = (number(&plugin, "/bytes")?, text(&plugin, "/sha256")?);
        let short: String = sha256.chars().take(16).collect();
        Self::proves(&format!("a component of {bytes} bytes, sha256 {short}…, inspected, compiled, tried and active"));
        Ok(())
    }

    async fn link(&self, account: &Account, name: &str, phone: &str) -> Result<Linked, CommandError> {
        let admin = self.opened.admin_key.reveal();
        let answer = self.post("/switchboard/v1/sim/phones", admin, &json!({ "number": phone, "name": name })).await?;
        if answer.status != 200 {
            self.expect(201, answer)?;
        }
        let new = json!({ "name": name, "phone_number": phone });
        let session = self.post("/api/v1/whatsapp-sessions", &account.token, &new).await?;
        let session = self.expect(201, session)?;
        let (id, key) = (number(&session, "/data/id")?, text(&session, "/data/api_key")?);
        let connect = format!("/api/v1/whatsapp-sessions/{id}/connect");
        let code = self.expect(200, self.post(&connect, &account.token, &json!({})).await?)?;
        let code = text(&code, "/data/qrCode")?;
        let scan = format!("/switchboard/v1/sim/phones/{phone}/scan");
        let linked = self.expect(200, self.post(&scan, admin, &json!({ "code": code })).await?)?;
        self.wait_until_connected(&key).await?;
        let device = linked.pointer("/device").cloned().unwrap_or_default();
        Self::proves(&format!("session {id} ({name}) is device {device} of +{phone}, and connected"));
        Ok(Linked { id, key })
    }

    async fn wait_until_connected(&self, key: &str) -> Result<(), CommandError> {
        let connected = async {
            loop {
                let status = self.expect(200, self.get("/api/v1/status", Some(key)).await?)?;
                if status.pointer("/status").and_then(Value::as_str) == Some("connected") {
                    return Ok::<(), CommandError>(());
                }
                #[expect(clippy::disallowed_methods, reason = "a client of the dialect can only look again")]
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(STEP_WAIT, connected).await.map_err(|_| "the session did not connect in time")?
    }

    async fn ask(&self, customer: &Linked) -> Result<String, CommandError> {
        let before = self.opened.host.storage().commit_stats();
        let message = json!({ "to": format!("+{SHOP_NUMBER}"), "text": QUESTION });
        let answer = self.expect(200, self.post("/api/v1/send-message", &customer.key, &message).await?)?;
        let id = text(&answer, "/messageId")?;
        let after = self.opened.host.storage().commit_stats();
        let transactions = after.transactions.saturating_sub(before.transactions).max(1);
        let fsync_us = after.total_us.saturating_sub(before.total_us) / transactions;
        let router = self.opened.host.plugins().find(TenantId::OPERATOR, "wasender");
        let router_us = router.map_or(0, |plugin| plugin.usage().1);
        Self::proves(&format!("accepted as {id}, message {}", number(&answer, "/data/msgId")?));
        Self::proves(&format!(
            "the router plugin took {router_us} µs in a fresh sandbox, the durable commit {}.{:03} ms (two-phase, synced)",
            fsync_us / 1000,
            fsync_us % 1000
        ));
        Ok(id)
    }

    /// The number of the last message that a phone shows.
    async fn last_shown(&self, phone: &str) -> Result<u64, CommandError> {
        let admin = self.opened.admin_key.reveal();
        let mut after = 0;
        loop {
            let path = format!("/switchboard/v1/sim/phones/{phone}/messages?after={after}");
            let page = self.expect(200, self.get(&path, Some(admin)).await?)?;
            match page.pointer("/messages").and_then(Value::as_array).and_then(|messages| messages.last()) {
                Some(last) => after = number(last, "/n")?,
                None => return Ok(after),
            }
        }
    }

    /// Waits until the phone shows `wanted` after message number `after`.
    async fn phone_shows(&self, phone: &str, mut after: u64, wanted: &str) -> Result<Value, CommandError> {
        let admin = self.opened.admin_key.reveal();
        let shown = async {
            loop {
                let path = format!("/switchboard/v1/sim/phones/{phone}/messages?after={after}&wait_ms=5000");
                let page = self.expect(200, self.get(&path, Some(admin)).await?)?;
                for message in page.pointer("/messages").and_then(Value::as_array).into_iter().flatten() {
                    after = number(message, "/n")?;
                    if message.pointer("/text").and_then(Value::as_str) == Some(wanted) {
                        return Ok::<Value, CommandError>(message.clone());
                    }
                }
            }
        };
        let message =
            tokio::time::timeout(STEP_WAIT, shown).await.map_err(|_| format!("+{phone} never showed {wanted:?}"))??;
        Self::proves(&format!("+{phone} decrypted {:?}, id {}", wanted, text(&message, "/id")?));
        Ok(message)
    }

    async fn proves_encryption(&self, message_id: &str, shown: &Value) -> Result<(), CommandError> {
        if text(shown, "/id")? != message_id {
            return Err(format!("the phone shows id {}, accepted was {message_id}", text(shown, "/id")?).into());
        }
        let admin = self.opened.admin_key.reveal();
        let journal = self.expect(200, self.get("/switchboard/v1/sim/journal?after=0&limit=10000", Some(admin)).await?)?;
        let entries = journal.pointer("/entries").and_then(Value::as_array).cloned().unwrap_or_default();
        let entry = entries.iter().find(|entry| entry.pointer("/id").and_then(Value::as_str) == Some(message_id));
        let entry = entry.ok_or("the network's journal has no such message")?;
        let sealed = entry.pointer("/enc").and_then(Value::as_array).cloned().unwrap_or_default();
        let bytes: Vec<String> =
            sealed.iter().map(|enc| enc.pointer("/bytes").cloned().unwrap_or_default().to_string()).collect();
        Self::proves(&format!(
            "the network relayed it as {} ciphertexts of {} bytes, one per device, for {} bytes of text",
            sealed.len(),
            bytes.join(", "),
            QUESTION.len()
        ));
        Ok(())
    }

    fn proves_reply(&self, account: &Account, answered: &Value) -> Result<(), CommandError> {
        let plugin = self.opened.host.plugins().find(TenantId(account.tenant), "auto-reply");
        let plugin = plugin.ok_or("the plugin is gone")?;
        let (calls, last_us) = plugin.usage();
        Self::proves(&format!(
            "the responder ran {calls} times, the last run took {last_us} µs; its reply {} took the same outbox",
            text(answered, "/id")?
        ));
        Ok(())
    }

    fn invite(&self, scene: &Scene) {
        let Scene { account, shop, customer, customer_saw } = scene;
        let base = format!("http://{}", self.address);
        let admin = self.opened.admin_key.reveal();
        say("\nYours to try; Ctrl-C ends it:");
        say(&format!("   base URL                {base}"));
        say(&format!("   operator's key          {admin}"));
        say(&format!("   the shop's tenant key   {}", account.tenant_key));
        say(&format!("   personal access token   {}", account.token));
        say(&format!("   session {} (shop)      {}", shop.id, shop.key));
        say(&format!("   session {} (customer)  {}", customer.id, customer.key));
        say(&format!("\ncurl -s {base}/api/v1/whatsapp-sessions -H 'X-API-Token: {}'", account.token));
        say(&format!(
            "curl -s {base}/api/v1/send-message -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
             -d '{{\"to\":\"+{SHOP_NUMBER}\",\"text\":\"{QUESTION}\"}}'",
            customer.key
        ));
        say(&format!(
            "curl -s '{base}/switchboard/v1/sim/phones/{CUSTOMER_NUMBER}/messages?after={customer_saw}&wait_ms=1000' \
             -H 'Authorization: Bearer {admin}'"
        ));
        say("\nThe same for the commands of README, to paste into another terminal:");
        say(&format!(
            "export BASE={base} ADMIN={admin} TENANT_KEY={} SHOP={SHOP_NUMBER} CUSTOMER={CUSTOMER_NUMBER} SEEN={customer_saw}",
            account.tenant_key
        ));
    }
}

fn text(value: &Value, pointer: &str) -> Result<String, CommandError> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("no text at {pointer} in {value}").into())
}

fn number(value: &Value, pointer: &str) -> Result<u64, CommandError> {
    value.pointer(pointer).and_then(Value::as_u64).ok_or_else(|| format!("no number at {pointer} in {value}").into())
}
