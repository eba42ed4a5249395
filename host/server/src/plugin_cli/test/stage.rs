//! The host in memory that one case runs on: the plugin installed as by an upload, with what the case gives.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::flow::responder_worker::{Command, Responders, RunAnswer, RunTry, Subscription};
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::{KeyId, MessageId, SessionId, TenantId};
use switchboard_core::records::message::Schedule;
use switchboard_core::records::plugin::{KvValue, KvWrite, Mount, Plugin, own_place};
use switchboard_core::records::session::Session;
use switchboard_core::rules::address::parse_recipient;
use switchboard_core::rules::event_json::iso_8601;
use switchboard_core::storage::{NewKey, SecretKept};
use switchboard_runtime::{Compiler, ConfigFault, inspect};

use super::super::Failed;
use super::case::{Case, GivenSession, as_text};
use super::mocks::Mocks;
use crate::accounts::KeyWish;
use crate::app::rehearsal::{Rehearsal, RehearsalSettings, account, connected};
use crate::plugins::{GrantWish, Install, InstallError, Plugins};

/// The account that everything happens to.
pub(super) const TENANT: TenantId = TenantId(1);
/// Where routes are unless the case says so.
const MOUNT: &str = "/plugin";
/// The session of a case that has none of its own.
const SESSION: u64 = 1;
const PHONE_NUMBER: &str = "15550100000";

/// A component that is tested.
pub(super) struct Tested {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// It is the operator's.
    pub(super) operator: bool,
}

impl Tested {
    fn is_router(&self) -> bool {
        inspect(&self.bytes).is_ok_and(|found| found.interfaces.iter().any(|name| name == "router"))
    }

    fn owner(&self) -> TenantId {
        if self.operator { TenantId::OPERATOR } else { TENANT }
    }
}

/// Why a case cannot begin.
pub(super) enum NoStage {
    /// No host takes the component.
    Component(Failed),
    /// The plugin cannot follow the configuration.
    Config(Vec<ConfigFault>),
    /// What the case gives cannot be given.
    Case(String),
}

impl NoStage {
    fn case(error: impl std::fmt::Display) -> Self {
        Self::Case(error.to_string())
    }
}

impl From<InstallError> for NoStage {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Refused(refused) => Self::Component(Failed::refused(refused.code(), refused.to_string())),
            InstallError::Config(faults) => Self::Config(faults),
            InstallError::Host(why) => Self::Component(Failed::refused("host", why)),
            other => Self::case(other),
        }
    }
}

/// A host on which a case runs.
pub(super) struct Stage {
    pub(super) host: Rehearsal,
    pub(super) observed: Arc<Observed>,
    pub(super) mocks: Arc<Mocks>,
    pub(super) owner: TenantId,
    pub(super) name: String,
    pub(super) mount: String,
    /// The session of what names none.
    pub(super) session: SessionId,
    /// What stands in headers for keys, and the keys.
    pub(super) keys: Vec<(&'static str, String)>,
    /// Messages that earlier steps had accepted.
    pub(super) seen: HashSet<MessageId>,
    /// The number of the newest call that earlier steps had made.
    pub(super) last_call: u64,
}

impl Stage {
    /// Sets a case up. `folder` is for files, `program` compiles.
    pub(super) async fn open(case: &mut Case, tested: &Tested, folder: &Path, program: PathBuf) -> Result<Self, NoStage> {
        let mocks = Arc::new(Mocks::new(std::mem::take(&mut case.http)));
        let now = case.begins_at().map_err(NoStage::Case)?;
        let (fetches, folder) = (Arc::clone(&mocks) as _, folder.to_owned());
        let compiler = Compiler::Child { program: program.clone() };
        let settings = RehearsalSettings { now, folder, program, compiler, fetches };
        let mut host = Rehearsal::open(settings).map_err(NoStage::case)?;
        let observed = Arc::new(Observed { plugins: Arc::clone(&host.plugins), kept: Mutex::default() });
        host.responders.responders = Arc::clone(&observed) as _;
        let (name, owner) = (tested.name.clone(), tested.owner());
        let below = if tested.operator { String::new() } else { own_place(TENANT) };
        let mount = format!("{below}{}", case.mount.as_deref().unwrap_or(MOUNT));
        let (seen, keys, session) = (HashSet::new(), Vec::new(), SessionId(SESSION));
        let mut stage = Self { host, observed, mocks, owner, name, mount, session, keys, seen, last_call: 0 };
        stage.make_account(&case.sessions).await?;
        stage.install(case, tested).await?;
        stage.fill(case).await?;
        Ok(stage)
    }

    /// What the plugin is called by everywhere.
    pub(super) fn full_name(&self) -> String {
        Plugin::full_name_of(self.owner, &self.name)
    }

    /// Somebody with a key that acts for the whole account.
    pub(super) fn principal() -> Principal {
        let (tenant, key, kind) = (TENANT, KeyId(1), KeyKind::Tenant);
        Principal { tenant, key, kind, session: None, scopes: Vec::new(), test: false, acting: None }
    }

    async fn make_account(&mut self, given: &[GivenSession]) -> Result<(), NoStage> {
        self.host.storage.create_tenant(&account(TENANT, self.now())).await.map_err(NoStage::case)?;
        let one = [GivenSession { id: SESSION, name: None, phone_number: None, state: None, settings: Default::default() }];
        let given = if given.is_empty() { &one } else { given };
        for (at, session) in given.iter().enumerate() {
            let own_key = self.key(json!({ "kind": "session", "session_id": session.id }))?;
            if at == 0 {
                self.session = SessionId(session.id);
                self.keys.push(("{session_key}", own_key.text.clone()));
            }
            self.host.storage.create_session(&self.record(session), &own_key).await.map_err(NoStage::case)?;
        }
        for (place, kind) in [("{tenant_key}", "tenant"), ("{personal_key}", "personal")] {
            let key = self.key(json!({ "kind": kind }))?;
            self.host.storage.create_key(&key).await.map_err(NoStage::case)?;
            self.keys.push((place, key.text));
        }
        Ok(())
    }

    fn key(&self, wish: Value) -> Result<NewKey, NoStage> {
        let wish: KeyWish = serde_json::from_value(wish).map_err(NoStage::case)?;
        Ok(self.host.accounts.draw_key(TENANT, &wish))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    fn record(&self, given: &GivenSession) -> Session {
        let phone_number = given.phone_number.clone().unwrap_or_else(|| PHONE_NUMBER.to_owned());
        let session = connected(TENANT, SessionId(given.id), phone_number, self.now());
        Session {
            name: given.name.clone().unwrap_or_else(|| session.name.clone()),
            state: given.state.unwrap_or(session.state),
            settings: given.settings.clone(),
            ..session
        }
    }

    async fn install(&self, case: &Case, tested: &Tested) -> Result<(), NoStage> {
        let prefix = case.mount.clone().unwrap_or_else(|| MOUNT.to_owned());
        let mounts = || vec![Mount { prefix, owner: true, host: None }];
        let install = Install {
            tenant: self.owner,
            name: self.name.clone(),
            component: tested.bytes.clone(),
            mounts: tested.is_router().then(mounts),
            config: case.config.clone(),
            grants: Some(GrantWish::Asked),
            activate: true,
            note: String::new(),
            by: None,
        };
        self.host.plugins.install(install).await?;
        if let Some(grants) = &case.grants {
            // As an owner does who gives more than is asked, or takes something back.
            self.host.plugins.set_grants(self.owner, &self.name, grants.clone()).await?;
        }
        Ok(())
    }

    /// Writes down what the plugin has already: its secrets and what it keeps.
    async fn fill(&self, case: &Case) -> Result<(), NoStage> {
        let (storage, now) = (&self.host.storage, self.now());
        for (name, value) in &case.secrets {
            let kept = storage.keep_plugin_secret(self.owner, &self.name, name, value, now).await.map_err(NoStage::case)?;
            if matches!(kept, SecretKept::TooMany | SecretKept::NoPlugin) {
                return Err(NoStage::Case(format!("secrets: {name} cannot be kept: there are too many")));
            }
        }
        let grants = self.host.plugins.find(self.owner, &self.name).map(|plugin| plugin.grants());
        let bytes_max = grants.map_or(0, |grants| grants.kv_bytes);
        if bytes_max == 0 && !case.kv.is_empty() {
            return Err(NoStage::Case("kv: the plugin was not granted any: kv_bytes is 0".to_owned()));
        }
        let kv = storage.kv(TENANT, &self.full_name(), bytes_max);
        for (key, value) in &case.kv {
            let value = KvValue { bytes: as_text(value).into_bytes(), expires_at: None };
            let kept = kv.write(key, KvWrite::Put(value), None, now).await;
            kept.map_err(|error| NoStage::Case(format!("kv: {key}: {error}")))?;
        }
        Ok(())
    }
}

/// The plugins, watched as they answer: what is sent is what runs that were kept wanted.
pub(super) struct Observed {
    plugins: Arc<Plugins>,
    kept: Mutex<Vec<(String, Vec<Value>)>>,
}

impl Observed {
    /// What runs wanted that were kept since the last look, in the order in which they ran.
    pub(super) fn take(&self) -> Vec<Value> {
        let Ok(mut kept) = self.kept.lock() else { return Vec::new() };
        std::mem::take(&mut *kept).into_iter().flat_map(|(_, commands)| commands).collect()
    }

    fn forget(&self, run: &str) {
        if let Ok(mut kept) = self.kept.lock() {
            kept.retain(|(kept, _)| kept != run);
        }
    }
}

#[async_trait]
impl Responders for Observed {
    fn subscriptions(&self, tenant: TenantId) -> Vec<Subscription> {
        self.plugins.subscriptions(tenant)
    }

    async fn run(&self, tenant: TenantId, subscription: &str, run: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String> {
        let answer = self.plugins.run(tenant, subscription, run, event).await?;
        // A run is repeated when what it read has changed.
        self.forget(run.id);
        let wanted = answer.commands.iter().map(|command| shown_command(command, event.session)).collect();
        if let Ok(mut kept) = self.kept.lock() {
            kept.push((run.id.to_owned(), wanted));
        }
        Ok(answer)
    }

    async fn refused(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &RunTry<'_>,
        event: &Event,
        wanted: &[Command],
        why: &str,
    ) {
        self.forget(run.id);
        self.plugins.refused(tenant, subscription, run, event, wanted, why).await;
    }
}

fn shown_command(command: &Command, session: SessionId) -> Value {
    let session = command.session.unwrap_or(session);
    shown(session, &command.to, (&command.content, &command.extras), &command.schedule)
}

/// A message that is sent, as cases expect it.
pub(super) fn shown(session: SessionId, to: &str, (content, extras): (&Content, &Extras), schedule: &Schedule) -> Value {
    let to = parse_recipient(to).map_or_else(|_| to.to_owned(), |jid| jid.to_string());
    let text = match content {
        Content::Text(text) => Some(text),
        _ => None,
    };
    json!({
        "session_id": session, "to": to, "content": content, "text": text, "quote": extras.quote, "mentions": extras.mentions,
        "view_once": extras.view_once, "send_at": schedule.send_at.map(iso_8601), "expires_at": schedule.expires_at.map(iso_8601),
    })
}
