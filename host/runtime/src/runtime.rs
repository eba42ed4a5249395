//! Loads plugins and calls their interfaces.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::once::Once;
use switchboard_core::records::plugin::{Grants, SizeClass};
use switchboard_core::rules::narrowing::Narrowing;
use switchboard_core::rules::plugin_plan::PluginFigures;
use tokio::time::Instant;
use wasmtime::Store;

use crate::bindings::router_world::exports::switchboard::plugin::router as wit_router;
use crate::bodies;
use crate::call::{Borrows, CallState, InStore, fresh_store, read_ending, renew_store, report, with_panic};
use crate::classes::{ClassRoom, ClassSettings};
use crate::code_cache::{CodeCache, NewCode};
use crate::compile::{CompileError, Compiler};
use crate::configure::ConfigFault;
use crate::convert;
use crate::declarations::checked_routes;
use crate::imports::{Fetching, Keeping};
use crate::inspect::{InspectError, Owner};
use crate::kept::{ForWhom, Keeps, Kept};
use crate::limits::CallLimits;
use crate::outcome::{CallReport, Called, Limit, Outcome};
use crate::shares::Processors;
use crate::shelf::{LinkedComponent, Shelf};
use crate::stream;
use crate::types::{Refusal, RefusedRequest, Request, Response, Route, UnauthorizedWhy};
use crate::verbs::Verbs;

/// How the runtime is set up.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Where small components run.
    pub small: ClassSettings,
    /// Where large components run.
    pub large: ClassSettings,
    /// Who compiles.
    pub compiler: Compiler,
    /// Where compiled code is kept; nowhere when `None`.
    pub cache_folder: Option<PathBuf>,
    /// The key that marks compiled code as this host's own.
    pub cache_key: [u8; 32],
    /// Components that stay ready when nobody uses them any more: those that were loaded last.
    pub remembered_max: usize,
}

/// Why the runtime does not work: the host's fault, never a plugin's.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine cannot be set up.
    #[error("the plugin engine cannot be set up: {0}")]
    Engine(String),
    /// A file or a thread failed.
    #[error("the plugin runtime failed: {0}")]
    Io(#[from] std::io::Error),
}

impl From<wasmtime::Error> for RuntimeError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

/// A component that passed inspection and its trial, ready to be called. What it is for everybody who loads it is its
/// [`LinkedComponent`].
pub struct LoadedPlugin {
    pub(crate) linked: Arc<LinkedComponent>,
    /// The routes that its router declares.
    pub routes: Vec<Route>,
    /// The event kinds that its responder asked for, and families of them.
    pub event_kinds: Vec<String>,
    /// What it wants of those.
    pub narrowing: Arc<Narrowing>,
    /// What it finds wrong with the configuration that it was loaded with.
    pub config_faults: Vec<ConfigFault>,
    keeps: Option<Keeps>,
}

impl std::fmt::Debug for LoadedPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedPlugin").field("sha256", &self.sha256).field("interfaces", &self.interfaces).finish()
    }
}

impl LoadedPlugin {
    /// Whether it is called when it is loaded.
    fn says_something(&self) -> bool {
        self.configurable.is_some() || self.router.is_some() || self.responder.is_some() || self.subscriber.is_some()
    }
}

/// For whom a call is made.
#[derive(Clone)]
pub struct CallContext {
    /// Whose data the call is about: what the plugin keeps is kept for this tenant.
    pub tenant: TenantId,
    /// Who is calling; nobody for declarations, refusals and responders.
    pub principal: Option<Principal>,
    /// The plugin's full name: what is drawn for it is good for no other.
    pub plugin: Arc<str>,
    /// When the plugin was made: what another of its name keeps later is not its own.
    pub made_at: Timestamp,
    /// The plugin's configuration, JSON.
    pub config: Arc<str>,
    /// What the plugin was given.
    pub grants: Arc<Grants>,
    /// What the plan of the plugin's owner lets it use.
    pub figures: Arc<PluginFigures>,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
    /// The request that is handled, when it came under an idempotency key.
    pub once: Option<Arc<Once>>,
}

/// The plugin runtime.
pub struct Runtime {
    small: ClassRoom,
    large: ClassRoom,
    /// Bytes of an answer, in either class.
    output_bytes_max: usize,
    processors: Processors,
    /// How many plugins were loaded.
    loaded: AtomicU64,
    compiler: Compiler,
    cache: CodeCache,
    shelf: Shelf,
    verbs: Option<Arc<dyn Verbs>>,
}

impl Runtime {
    /// Sets up the engines, their pools and their epoch threads.
    ///
    /// # Errors
    /// When the machine cannot give what the settings ask for.
    pub fn new(settings: RuntimeSettings, verbs: Arc<dyn Verbs>) -> Result<Self, RuntimeError> {
        Self::open(settings, Some(verbs))
    }

    /// The same without a host: components can be loaded, and so tried, and nothing is done for them.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn without_host(settings: RuntimeSettings) -> Result<Self, RuntimeError> {
        Self::open(settings, None)
    }

    fn open(settings: RuntimeSettings, verbs: Option<Arc<dyn Verbs>>) -> Result<Self, RuntimeError> {
        let (small, large) = (ClassRoom::open(settings.small)?, ClassRoom::open(settings.large)?);
        Ok(Self {
            output_bytes_max: small.limits.output_bytes_max,
            small,
            large,
            processors: Processors::new()?,
            loaded: AtomicU64::new(0),
            compiler: settings.compiler,
            cache: CodeCache::open(settings.cache_folder.as_deref(), settings.cache_key)?,
            shelf: Shelf::new(settings.remembered_max),
            verbs,
        })
    }

    /// Most bytes that a call may answer with.
    pub(crate) fn output_bytes_max(&self, context: &CallContext) -> usize {
        let plan = context.figures.output_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        plan.map_or(self.output_bytes_max, |bytes| bytes.min(self.output_bytes_max))
    }

    /// What one call of a component of this class may use.
    pub fn limits(&self, class: SizeClass) -> &CallLimits {
        &self.room(class).limits
    }

    fn room(&self, class: SizeClass) -> &ClassRoom {
        match class {
            SizeClass::Small => &self.small,
            SizeClass::Large => &self.large,
        }
    }

    /// Inspects, compiles and tries a component with the configuration of `context`. Faults of that which do not hinder the
    /// trial are the caller's to judge.
    ///
    /// # Errors
    /// [`CompileError::Refused`] and [`CompileError::Misconfigured`] with the reason for its owner, [`CompileError::Busy`] when
    /// too many wait to be compiled; else the host failed.
    pub async fn load(&self, bytes: &[u8], owner: Owner, context: &CallContext) -> Result<LoadedPlugin, CompileError> {
        let sha256 = hex::encode(Sha256::digest(bytes));
        if let Some(linked) = self.shelf.find(&sha256) {
            return self.adopt(linked, owner, context).await;
        }
        let (linked, new_code) = self.link(sha256, bytes, owner).await?;
        let mut plugin = self.adopt(linked, owner, context).await?;
        if let Some(code) = new_code {
            self.cache.keep(&self.room(plugin.class).engine, &plugin.sha256, code).await;
            self.map(&mut plugin, bytes).await?;
        }
        Ok(plugin)
    }

    /// The same by its hash alone; `None` unless somebody uses it or did so lately.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub async fn load_known(
        &self,
        sha256: &str,
        owner: Owner,
        context: &CallContext,
    ) -> Option<Result<LoadedPlugin, CompileError>> {
        let linked = self.shelf.find(sha256)?;
        Some(self.adopt(linked, owner, context).await)
    }

    /// Tries a component that is linked.
    async fn adopt(
        &self,
        linked: Arc<LinkedComponent>,
        owner: Owner,
        context: &CallContext,
    ) -> Result<LoadedPlugin, CompileError> {
        linked.inspection.permit(owner)?;
        let room = self.room(linked.class);
        let keeps = linked
            .keeps_instance
            .then(|| Keeps { loaded: self.loaded.fetch_add(1, Ordering::Relaxed), room: Arc::clone(&room.kept) });
        let mut plugin = LoadedPlugin {
            linked,
            routes: Vec::new(),
            event_kinds: Vec::new(),
            narrowing: Arc::default(),
            config_faults: Vec::new(),
            keeps,
        };
        plugin.config_faults = self.check_config(&plugin, context).await?;
        match self.ask_declarations(&mut plugin, context).await {
            // What it trips over is the configuration, as it has said itself.
            Err(_) if !plugin.config_faults.is_empty() => Err(CompileError::Misconfigured(plugin.config_faults)),
            declared => Ok(declared.map(|()| plugin)?),
        }
    }

    /// Inspects, compiles and links a component that nobody uses yet; with its code, if that was not kept.
    async fn link(
        &self,
        sha256: String,
        bytes: &[u8],
        owner: Owner,
    ) -> Result<(Arc<LinkedComponent>, Option<NewCode>), CompileError> {
        let inspection = self.processors.inspect(bytes).await?;
        inspection.permit(owner)?;
        let class = inspection.sizes.class(&self.small.limits, &self.large.limits)?;
        let room = self.room(class);
        let (component, new_code) = self.cache.load(room, &self.compiler, &sha256, bytes).await?;
        let linked = LinkedComponent::link(room, (sha256, bytes), (inspection, class), &component)?;
        Ok((self.shelf.put(linked), new_code))
    }

    /// Goes on with the code that was kept, if it was: what is mapped from a file needs memory only where it is used, and gives it
    /// back when others need it.
    async fn map(&self, plugin: &mut LoadedPlugin, bytes: &[u8]) -> Result<(), InspectError> {
        let room = self.room(plugin.class);
        let Some(component) = self.cache.kept(&room.engine, &plugin.sha256).await else { return Ok(()) };
        let (name, found) = ((plugin.sha256.clone(), bytes), (plugin.inspection.clone(), plugin.class));
        plugin.linked = self.shelf.put(LinkedComponent::link(room, name, found, &component)?);
        Ok(())
    }

    /// The trial: the plugin is instantiated and says what it serves, if it has anything to say.
    async fn ask_declarations(&self, plugin: &mut LoadedPlugin, context: &CallContext) -> Result<(), InspectError> {
        let failed = |call| move |why| InspectError::TrialFailed { call, why };
        if !plugin.says_something() {
            let pre = &plugin.pre;
            let called = self
                .call(plugin.class, context, |store, _| {
                    Box::pin(async move { pre.instantiate_async(store).await.map(|_| ()) })
                })
                .await;
            called.outcome.into_result().map_err(failed(InspectError::START))?;
        }
        if let Some(pre) = &plugin.router {
            let called = self
                .call(plugin.class, context, |store, _| {
                    Box::pin(async move {
                        let instance = pre.instantiate_async(&mut *store).await?;
                        instance.switchboard_plugin_router().call_routes(store).await
                    })
                })
                .await;
            let routes = called.outcome.into_result().map_err(failed("routes"))?;
            plugin.routes = checked_routes(routes)?;
        }
        self.ask_subscription(plugin, context).await?;
        Ok(())
    }

    /// Calls `router.handle`, in an instance that was kept if the plugin asks for that.
    pub async fn handle(&self, plugin: &LoadedPlugin, context: &CallContext, request: &Request) -> Called<Response> {
        let Some(pre) = &plugin.router else { return not_served("router") };
        let request = wit_request(request);
        let kept = plugin.keeps.as_ref().map(|keeps| (&keeps.room, ForWhom::new(keeps.loaded, context)));
        let take = || kept.as_ref().and_then(|(room, whom)| room.take(whom)).map(|kept| (kept.store, kept.router));
        let put = |store, router| {
            if let Some((room, whom)) = &kept {
                room.put(whom.clone(), Kept { store, router });
            }
        };
        let called = self
            .call_in(plugin.class, context, take, put, |store, router, _| {
                Box::pin(async move {
                    store.data_mut().keeping = Keeping::AtOnce;
                    store.data_mut().fetching = Fetching::Request(0);
                    let router = match router {
                        Some(router) => router,
                        None => pre.instantiate_async(&mut *store).await?,
                    };
                    let answer = router.switchboard_plugin_router().call_handle(store, &request).await?;
                    Ok((answer, router))
                })
            })
            .await;
        self.checked_response(called, context, plugin.streamer.is_some())
    }

    /// Calls `router.refuse`.
    pub async fn refuse(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        request: &RefusedRequest,
        refusal: &Refusal,
    ) -> Called<Response> {
        let Some(pre) = &plugin.router else { return not_served("router") };
        let request = wit_router::RefusedRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            request_id: request.request_id.clone(),
            now_ms: request.now_ms,
        };
        let refusal = wit_refusal(refusal);
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_router().call_refuse(store, &request, &refusal).await
                })
            })
            .await;
        // A refusal has nobody to whom anything could be told.
        self.checked_response(called, context, false)
    }

    /// Makes one call, in a place of this class, in a fresh store and drops the store with it, however it ends.
    pub(crate) async fn call<'e, T: Send + 'e>(
        &self,
        class: SizeClass,
        context: &CallContext,
        call: impl for<'s> FnOnce(&'s mut Store<CallState>, Borrows<'s, 'e>) -> InStore<'s, T> + Send + 'e,
    ) -> Called<T> {
        self.call_in(
            class,
            context,
            || None,
            |_, ()| (),
            |store, _, borrows| Box::pin(async move { Ok((call(store, borrows).await?, ())) }),
        )
        .await
    }

    /// The same in a store that there is already, if `take` has one, with whatever `put` was given beside it. A store whose call
    /// was answered goes to `put`; all others are dropped. The tenant is charged for that as well.
    async fn call_in<'e, T: Send, I: Send>(
        &self,
        class: SizeClass,
        context: &CallContext,
        take: impl FnOnce() -> Option<(Store<CallState>, I)> + Send,
        put: impl FnOnce(Store<CallState>, I) + Send,
        call: impl for<'s> FnOnce(&'s mut Store<CallState>, Option<I>, Borrows<'s, 'e>) -> InStore<'s, (T, I)> + Send + 'e,
    ) -> Called<T> {
        let room = self.room(class);
        let Some(_place) = room.place(context.tenant).await else {
            let why = format!("no free place within {} ms", room.limits.queue.as_millis());
            return Called { outcome: Outcome::LimitExceeded(Limit::Queue, why), report: CallReport::default() };
        };
        let limits = room.limits_for(&context.figures);
        let begun = Instant::now();
        let whole = async {
            let (mut store, instance) = match take() {
                Some((mut store, instance)) => {
                    renew_store(&mut store, context);
                    (store, Some(instance))
                }
                None => (fresh_store(&room.engine, CallState::new(context, self.verbs.clone(), Arc::clone(&limits))), None),
            };
            let outcome =
                match tokio::time::timeout_at(begun + limits.wall, call(&mut store, instance, Borrows::new())).await {
                    Ok(ended) => read_ending(ended, &limits),
                    Err(_) => {
                        let why = format!("took longer than {} ms", limits.wall.as_millis());
                        Outcome::LimitExceeded(Limit::Wall, why)
                    }
                };
            let report = report(&store, begun.elapsed());
            let outcome = with_panic(outcome, &report.log);
            Called { outcome, report }.and_then(|(answer, instance)| {
                put(store, instance);
                Outcome::Reply(answer)
            })
        };
        self.processors.share(context.tenant, whole).await
    }

    fn core_response(response: wit_router::Response, limit: usize, streams: bool) -> Outcome<Response> {
        let wit_router::Response { status, headers, body } = response;
        let headers: Vec<(String, String)> = headers.into_iter().map(|field| (field.name, field.value)).collect();
        let (body, live) = match body {
            wit_router::ResponseBody::Bytes(body) => (body, None),
            wit_router::ResponseBody::Live(live) => (Vec::new(), Some(stream::core_answer(live))),
        };
        let bytes = body.len() + headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if bytes > limit {
            return Outcome::LimitExceeded(Limit::Bytes, format!("an answer of {bytes} bytes; the limit is {limit}"));
        }
        match live.as_ref().map_or(Ok(()), |live| stream::check(live, streams)) {
            Ok(()) => Outcome::Reply(Response { status, headers, body, live }),
            Err(unfit) => unfit.outcome(),
        }
    }

    fn checked_response(
        &self,
        called: Called<wit_router::Response>,
        context: &CallContext,
        streams: bool,
    ) -> Called<Response> {
        let limit = self.output_bytes_max(context);
        let outcome = match called.outcome {
            Outcome::Reply(response) => Self::core_response(response, limit, streams),
            Outcome::PluginError(why) => Outcome::PluginError(why),
            Outcome::Trap(why) => Outcome::Trap(why),
            Outcome::LimitExceeded(limit, why) => Outcome::LimitExceeded(limit, why),
        };
        Called { outcome, report: called.report }
    }
}

/// How many bytes a value has as JSON.
pub(crate) fn json_bytes(value: &impl serde::Serialize) -> usize {
    let mut size = ByteCount(0);
    // Counting cannot fail, and what cannot be written as JSON would not be accepted either.
    let _ = serde_json::to_writer(&mut size, value);
    size.0
}

/// Counts what is written to it.
struct ByteCount(usize);

impl std::io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn not_served<T>(interface: &str) -> Called<T> {
    let outcome = Outcome::PluginError(format!("does not export {interface}"));
    Called { outcome, report: CallReport::default() }
}

fn wit_request(request: &Request) -> wit_router::Request {
    let fields = |fields: &[(String, String)]| fields.iter().map(convert::field).collect();
    wit_router::Request {
        route: request.route,
        method: request.method.clone(),
        path: request.path.clone(),
        params: fields(&request.params),
        query: fields(&request.query),
        headers: fields(&request.headers),
        body: request.body.clone(),
        form: fields(&request.form),
        files: request.files.iter().map(bodies::wit_file).collect(),
        principal: request.principal.as_ref().map(convert::principal),
        request_id: request.request_id.clone(),
        now_ms: request.now_ms,
        base_url: request.base_url.clone(),
        mount: request.mount.clone(),
    }
}

fn wit_refusal(refusal: &Refusal) -> wit_router::Refusal {
    match refusal {
        Refusal::NotFound => wit_router::Refusal::NotFound,
        Refusal::MethodNotAllowed(methods) => wit_router::Refusal::MethodNotAllowed(methods.clone()),
        Refusal::Unauthorized(why) => wit_router::Refusal::Unauthorized(unauthorized_why(*why)),
        Refusal::BodyTooLarge(limit) => wit_router::Refusal::BodyTooLarge(*limit),
        Refusal::Malformed(why) => wit_router::Refusal::Malformed(why.clone()),
        Refusal::TooManyRequests(seconds) => wit_router::Refusal::TooManyRequests(*seconds),
        Refusal::Internal(why) => wit_router::Refusal::Internal(why.clone()),
        Refusal::IdempotencyMismatch => wit_router::Refusal::IdempotencyMismatch,
        Refusal::IdempotencyUnderWay => wit_router::Refusal::IdempotencyUnderWay,
        Refusal::FileRefused(refused) => wit_router::Refusal::FileRefused(bodies::wit_refusal(refused)),
        Refusal::TooManyFiles(rule) => wit_router::Refusal::TooManyFiles(bodies::wit_file_rule(rule)),
        Refusal::UnsupportedContentType(given) => wit_router::Refusal::UnsupportedContentType(given.clone()),
        Refusal::MalformedForm(why) => wit_router::Refusal::MalformedForm(why.clone()),
    }
}

fn unauthorized_why(why: UnauthorizedWhy) -> wit_router::UnauthorizedWhy {
    match why {
        UnauthorizedWhy::Missing => wit_router::UnauthorizedWhy::Missing,
        UnauthorizedWhy::Unknown => wit_router::UnauthorizedWhy::Unknown,
        UnauthorizedWhy::Expired => wit_router::UnauthorizedWhy::Expired,
        UnauthorizedWhy::Revoked => wit_router::UnauthorizedWhy::Revoked,
        UnauthorizedWhy::WrongKind => wit_router::UnauthorizedWhy::WrongKind,
        UnauthorizedWhy::WrongService => wit_router::UnauthorizedWhy::WrongService,
        UnauthorizedWhy::InactiveAccount => wit_router::UnauthorizedWhy::InactiveAccount,
    }
}
