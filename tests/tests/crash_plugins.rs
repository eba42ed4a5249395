//! Kill -9 of the host at seeded points of uploads, activations, rollbacks and deletions: after each start the plugin is as it was
//! before or after what was under way, answers so, and nothing that no version has is left.
//!
//! `CRASH_SEED` repeats a run, `CRASH_POINTS` sets how often the host is killed (100 unless set).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use switchboard::app::STORAGE_FILE;
use switchboard::http::{LocalAnswer, LocalClient};
use switchboard::secrets::master_key_file;
use switchboard_core::entropy::{Entropy, SeededEntropy, SystemEntropy};
use switchboard_core::records::id::TenantId;
use switchboard_core::storage::{MasterKey, Storage};
use switchboard_tests::components::saying;
use switchboard_tests::patience::pause;
use switchboard_tests::process::Process;
use tokio::time::Instant;

const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
const PLUGINS: &str = "/switchboard/v1/plugins";
const PLUGIN: &str = "/switchboard/v1/plugins/changing";
/// Components that the plugin may have; the last one is never compiled before it is uploaded under kills.
const COMPONENTS: usize = 5;
/// The longest that a host is changed before it is killed.
const LIFE_MS_MAX: u64 = 700;
/// How much of the hosts are killed while they start, percent.
const KILLED_EARLY: u64 = 25;

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is done to the plugin. Numbers are those of components.
#[derive(Clone, Copy, Debug)]
enum Change {
    Upload(usize),
    Keep(usize),
    Activate(usize),
    RollBack,
    DeleteVersion(usize),
    Delete,
}

/// The plugin as it has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    there: bool,
    versions: BTreeSet<usize>,
    active: Option<usize>,
    before: Vec<usize>,
}

impl Model {
    fn activate(&mut self, component: usize) {
        let Some(old) = self.active.replace(component).filter(|old| *old != component) else { return };
        self.before.retain(|before| *before != component && *before != old);
        self.before.insert(0, old);
    }

    /// After a change, and what is answered to it.
    fn after(&self, change: Change) -> (Self, u16) {
        let mut next = self.clone();
        let status = match change {
            Change::Upload(component) | Change::Keep(component) => {
                let is_new = next.versions.insert(component);
                next.there = true;
                if matches!(change, Change::Upload(_)) {
                    next.activate(component);
                }
                if is_new { 201 } else { 200 }
            }
            Change::Activate(component) if self.versions.contains(&component) => {
                next.activate(component);
                200
            }
            Change::RollBack if !self.there => 404,
            Change::RollBack if self.before.is_empty() => 409,
            Change::RollBack => {
                next.active = Some(next.before.remove(0));
                200
            }
            Change::DeleteVersion(component) if self.active == Some(component) => 409,
            Change::DeleteVersion(component) if next.versions.remove(&component) => {
                next.before.retain(|before| *before != component);
                204
            }
            Change::Delete if self.there => {
                next = Self::default();
                204
            }
            Change::Activate(_) | Change::DeleteVersion(_) | Change::Delete => 404,
        };
        (next, status)
    }
}

struct Scene {
    components: Vec<Vec<u8>>,
    /// Their hashes.
    sha256: Vec<String>,
    entropy: SeededEntropy,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let component = |n: usize| saying(env!("GUEST_HOSTILE"), format!("version {n}").as_bytes().try_into().unwrap());
        let components: Vec<Vec<u8>> = (0..COMPONENTS).map(component).collect();
        let sha256 = components.iter().map(|component| hex::encode(Sha256::digest(component))).collect();
        Self { components, sha256, entropy: SeededEntropy::new(seed) }
    }

    fn draw(&self, most: usize) -> usize {
        usize::try_from(self.entropy.next_u64()).unwrap() % most
    }

    fn change(&self) -> Change {
        let component = self.draw(COMPONENTS);
        match self.draw(12) {
            0..4 => Change::Upload(component),
            4 => Change::Keep(component),
            5..7 => Change::Activate(component),
            7..9 => Change::RollBack,
            9..11 => Change::DeleteVersion(component),
            _ => Change::Delete,
        }
    }

    /// Asks for a change of what is there; `None` when the host was killed meanwhile.
    async fn ask(&self, http: LocalClient, change: Change, model: &Model) -> Option<LocalAnswer> {
        let version = |component: usize| format!("{PLUGIN}/versions/{}", self.sha256[component]);
        let (method, path, body) = match change {
            Change::Upload(component) | Change::Keep(component) => {
                let component_base64 = STANDARD.encode(&self.components[component]);
                let mut wish = json!({ "name": "changing", "component_base64": component_base64 });
                wish["activate"] = json!(matches!(change, Change::Upload(_)));
                if !model.there {
                    wish["mounts"] = json!([{ "prefix": "/changing", "owner": true }]);
                }
                ("POST", PLUGINS.to_owned(), Some(wish))
            }
            Change::Activate(component) => ("POST", format!("{}/activate", version(component)), None),
            Change::RollBack => ("POST", format!("{PLUGIN}/rollback"), None),
            Change::DeleteVersion(component) => ("DELETE", version(component), None),
            Change::Delete => ("DELETE", PLUGIN.to_owned(), None),
        };
        http.json(method, &path, Some(ADMIN_KEY), body.as_ref()).await.ok()
    }

    /// Whether the plugin is there, its versions and the active one, as the host shows them and as it answers.
    async fn look(&self, http: LocalClient) -> (bool, BTreeSet<usize>, Option<usize>) {
        let number = |sha256: &str| self.sha256.iter().position(|known| known == sha256);
        let get = async |path: &str| http.json("GET", path, Some(ADMIN_KEY), None).await.unwrap();
        let (shown, answer) = (get(PLUGIN).await, get("/changing/nothing").await);
        if shown.status == 404 {
            assert!(!answer.body.starts_with(b"version"), "a plugin answers that is not there: {answer:?}");
            return (false, BTreeSet::new(), None);
        }
        let (shown, listed) = (shown.json(), get(&format!("{PLUGIN}/versions")).await.json());
        let sha256 = |version: &serde_json::Value| version["sha256"].as_str().unwrap().to_owned();
        let versions = listed["versions"].as_array().unwrap().iter().map(|version| number(&sha256(version)).unwrap());
        let active = number(&sha256(&shown));
        assert_eq!(shown["state"], if active.is_some() { "active" } else { "stopped" }, "{shown}");
        if let Some(active) = active {
            assert_eq!((answer.status, answer.body), (404, format!("version {active}").into_bytes()));
        }
        (true, versions.collect(), active)
    }

    /// Changes the plugin until the host is killed: what was under way then, and how many changes were answered.
    async fn change_until_killed(&self, http: LocalClient, model: &mut Model) -> (Option<Change>, usize) {
        for answered in 0.. {
            let change = self.change();
            let (next, status) = model.after(change);
            let Some(answer) = self.ask(http, change, model).await else { return (Some(change), answered) };
            assert_eq!(answer.status, status, "{change:?} of {model:?}: {answer:?}");
            *model = next;
        }
        unreachable!("it changes until it is killed")
    }

    /// The one of what may be that is there.
    async fn find(&self, http: LocalClient, may_be: &[Model]) -> Model {
        let (there, versions, active) = self.look(http).await;
        let is = |model: &&Model| (model.there, &model.versions, model.active) == (there, &versions, active);
        may_be.iter().find(is).unwrap_or_else(|| panic!("{there}, {versions:?}, {active:?} is none of {may_be:?}")).clone()
    }

    /// Nothing is stored of what no version has, and everything of what one has.
    async fn nothing_is_left(&self, data_dir: &Path, model: &Model) {
        let key = std::fs::read_to_string(master_key_file(data_dir)).unwrap();
        let storage = Storage::open(&data_dir.join(STORAGE_FILE), MasterKey::parse(&key).unwrap()).await.unwrap();
        // The last life may have ended before its housekeeper came to what the ones before it left.
        storage.finish_cleanups().await.unwrap();
        let mut bytes = BTreeMap::new();
        for plugin in storage.plugins(TenantId::OPERATOR).await.unwrap() {
            for version in storage.plugin_versions(TenantId::OPERATOR, &plugin.name).await.unwrap() {
                bytes.insert(version.sha256, version.bytes);
            }
        }
        assert_eq!(storage.artifact_bytes(TenantId::OPERATOR).await.unwrap(), bytes.values().sum::<u64>());
        for (n, sha256) in self.sha256.iter().enumerate() {
            let stored = storage.artifact(TenantId::OPERATOR, sha256).await.unwrap();
            assert_eq!(stored.as_ref(), Some(&self.components[n]).filter(|_| model.versions.contains(&n)), "component {n}");
        }
    }
}

async fn start(folder: &Path) -> Process {
    let data_dir = folder.join("data").display().to_string();
    // Nobody is there: no session will connect.
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir, "--sim", "ws://127.0.0.1:9/ws/chat"];
    Process::start(Path::new(env!("CARGO_BIN_EXE_host-under-test")), &arguments, ADMIN_KEY, &folder.join("host.log")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_while_plugins_change_leaves_one_version_that_was_asked_for_and_nothing_else() {
    let seed = number_of("CRASH_SEED", SystemEntropy.next_u64());
    let points = number_of("CRASH_POINTS", 100);
    println!("CRASH_SEED={seed} CRASH_POINTS={points}");
    let (scene, folder, begun) = (Scene::new(seed), tempfile::tempdir().unwrap(), Instant::now());
    let mut host = start(folder.path()).await;
    host.ready().await;
    let mut model = Model::default();
    // What is compiled is kept: changes under kills are quick then.
    for change in (0..COMPONENTS - 1).map(Change::Upload).chain([Change::Delete]) {
        let (next, status) = model.after(change);
        let answer = scene.ask(host.http(), change, &model).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        model = next;
    }
    let (mut changes, mut broken_off, mut finished) = (0, 0, 0);
    for _ in 0..points {
        let http = host.http();
        let life = Duration::from_millis(scene.entropy.next_u64() % LIFE_MS_MAX);
        let killed = async {
            pause(life).await;
            host.kill().await;
        };
        let ((under_way, answered), ()) = tokio::join!(scene.change_until_killed(http, &mut model), killed);
        changes += answered;
        let mut may_be = vec![model.clone()];
        may_be.extend(under_way.map(|change| model.after(change).0));
        host = start(folder.path()).await;
        while scene.entropy.next_u64() % 100 < KILLED_EARLY {
            pause(life).await;
            host.kill().await;
            host = start(folder.path()).await;
        }
        host.ready().await;
        model = scene.find(host.http(), &may_be).await;
        let [before, after] = [may_be.first(), may_be.last()].map(|one| one == Some(&model));
        broken_off += usize::from(before && !after);
        finished += usize::from(after && !before);
    }
    assert_eq!(host.terminate().await, Some(0), "SIGTERM must end the host in order");
    scene.nothing_is_left(&folder.path().join("data"), &model).await;
    let took = begun.elapsed().as_secs();
    println!("{points} kills in {took} s: {changes} changes, {broken_off} broken off, {finished} done and not answered");
}
