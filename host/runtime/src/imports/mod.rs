//! What plugins import: each call is counted, timed and confined to the caller.

mod http;
mod keys;
mod kv;
mod media;
mod messages;
mod people;
mod secrets;
mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use switchboard_core::records::account::Principal;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::plugin::{Grants, MessageField};
use switchboard_core::records::session::Session;
use wasmtime::component::HasSelf;

use crate::bindings::switchboard::plugin::types as wit;
use crate::bindings::switchboard::plugin::{config, contents, log, sessions};
use crate::call::{Breach, CallState};
use crate::convert;
use crate::engine::EPOCH_TICK;
use crate::log::LogLevel;
use crate::outcome::Limit;
use crate::verbs::{CONNECT_WAIT_MAX, NewSession, NewSettings, VerbError, Verbs};

pub(crate) use http::Fetching;
pub(crate) use kv::Keeping;

type Answer<T> = wasmtime::Result<Result<T, wit::HostError>>;

/// What a tenant's own router is told of verbs that no grant speaks of.
const NOT_FOR_OWN_ROUTERS: &str = "a tenant's own router does not have this verb: no grant covers it";
/// What a plugin is told that has not been granted what it asks for.
const NOT_GRANTED: &str = "the plugin has no grant for it";

/// Links everything that a plugin can be given, and WASI with nothing in it.
pub(crate) fn link(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::component::Linker<CallState>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    crate::bindings::HostImports::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

impl CallState {
    /// Counts a host call and traps the guest beyond the limit.
    pub(crate) fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        let limit = self.limits.host_calls_max;
        if self.host_calls > limit {
            return Err(Breach(Limit::HostCalls, format!("more than {limit} host calls")).into());
        }
        Ok(())
    }

    fn not_granted<T>(&mut self, what: &str) -> Answer<T> {
        self.count()?;
        Ok(Err(wit::HostError::Denied(format!("{what}: {NOT_GRANTED}"))))
    }

    /// Runs a verb for the caller, within the time that one host call may take. A tenant's own router does not have it.
    async fn verb<T, F, Fut>(&mut self, verb: F) -> Answer<T>
    where
        F: FnOnce(Arc<dyn Verbs>, Principal) -> Fut + Send,
        Fut: Future<Output = Result<T, VerbError>> + Send,
        T: Send,
    {
        self.granted_verb(|_| Err(NOT_FOR_OWN_ROUTERS.to_owned()), verb).await
    }

    /// The same of a verb that a tenant's own router has where its grants are such.
    async fn granted_verb<T, F, Fut>(&mut self, granted: impl FnOnce(&Grants) -> Result<(), String>, verb: F) -> Answer<T>
    where
        F: FnOnce(Arc<dyn Verbs>, Principal) -> Fut + Send,
        Fut: Future<Output = Result<T, VerbError>> + Send,
        T: Send,
    {
        self.count()?;
        let acting = self.principal.as_ref().and_then(|caller| caller.acting.as_ref());
        if let Some(Err(why)) = acting.map(|acting| granted(&acting.grants)) {
            return Ok(Err(wit::HostError::Denied(why)));
        }
        self.verb_uncounted(verb).await
    }

    /// What a session shows of itself to the plugin.
    fn seen_session(&self) -> impl Fn(&Session) -> wit::Session + Send + use<> {
        let grants = self.principal.as_ref().and_then(|caller| Some(Arc::clone(&caller.acting.as_ref()?.grants)));
        move |session| {
            let mut seen = convert::session(session);
            if let Some(grants) = &grants {
                seen.settings.clear();
                if !grants.fields.contains(&MessageField::Number) {
                    (seen.phone_number, seen.jid, seen.lid) = (String::new(), None, None);
                    // Words of WhatsApp, which may name somebody.
                    seen.reason = None;
                }
            }
            seen
        }
    }

    /// The same as part of a host call that was counted.
    async fn verb_uncounted<T, F, Fut>(&mut self, verb: F) -> Answer<T>
    where
        F: FnOnce(Arc<dyn Verbs>, Principal) -> Fut + Send,
        Fut: Future<Output = Result<T, VerbError>> + Send,
        T: Send,
    {
        let Some(caller) = self.principal.clone() else {
            return Ok(Err(wit::HostError::Denied("nobody is calling: the route asks for no credential".to_owned())));
        };
        let Some(verbs) = self.verbs.clone() else { return Ok(Err(no_host())) };
        Ok(self.timed(verb(verbs, caller)).await)
    }

    /// Waits for what the host does for the guest, within the time that one host call may take.
    async fn timed<T: Send>(
        &mut self,
        done: impl Future<Output = Result<T, VerbError>> + Send,
    ) -> Result<T, wit::HostError> {
        let wait = self.limits.host_call;
        let begun = tokio::time::Instant::now();
        let answered = tokio::time::timeout(wait, done).await;
        self.parked |= begun.elapsed() >= EPOCH_TICK;
        match answered {
            Ok(answer) => answer.map_err(convert::host_error),
            Err(_) => Err(wit::HostError::Unavailable(format!("took longer than {} ms", wait.as_millis()))),
        }
    }
}

/// Whether sessions are granted at all; which ones is the verb's to judge.
fn some_session(grants: &Grants) -> Result<(), String> {
    let why = || format!("sessions: {NOT_GRANTED}");
    if grants.sessions.is_none() { Err(why()) } else { Ok(()) }
}

/// What a guest is told that is tried where no host is.
fn no_host() -> wit::HostError {
    wit::HostError::Unavailable("there is no host here".to_owned())
}

impl wit::Host for CallState {}

impl contents::Host for CallState {}

impl log::Host for CallState {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.count()?;
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl config::Host for CallState {
    async fn read(&mut self) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.config.to_string())
    }
}

impl sessions::Host for CallState {
    async fn all(&mut self) -> Answer<Vec<wit::Session>> {
        let seen = self.seen_session();
        let sessions =
            |verbs: Arc<dyn Verbs>, caller| async move { Ok(verbs.sessions(&caller).await?.iter().map(seen).collect()) };
        self.granted_verb(some_session, sessions).await
    }

    async fn get(&mut self, id: u64) -> Answer<wit::Session> {
        let seen = self.seen_session();
        let session = |verbs: Arc<dyn Verbs>, caller| async move { Ok(seen(&verbs.session(&caller, SessionId(id)).await?)) };
        self.granted_verb(some_session, session).await
    }

    async fn create(&mut self, new: sessions::NewSession) -> Answer<wit::Session> {
        let settings = new.settings.into_iter().map(|setting| (setting.name, setting.value)).collect();
        let new = NewSession { name: new.name, phone_number: new.phone_number, settings };
        self.verb(|verbs, caller| async move { Ok(convert::session(&verbs.create_session(&caller, new).await?)) }).await
    }

    async fn delete(&mut self, id: u64) -> Answer<()> {
        self.verb(|verbs, caller| async move { verbs.delete_session(&caller, SessionId(id)).await }).await
    }

    async fn connect(&mut self, id: u64, wait_ms: u32) -> Answer<wit::Session> {
        let wait = Duration::from_millis(u64::from(wait_ms)).min(CONNECT_WAIT_MAX);
        self.verb(|verbs, caller| async move {
            Ok(convert::session(&verbs.connect_session(&caller, SessionId(id), wait).await?))
        })
        .await
    }

    async fn disconnect(&mut self, id: u64) -> Answer<wit::Session> {
        self.verb(
            |verbs, caller| async move { Ok(convert::session(&verbs.disconnect_session(&caller, SessionId(id)).await?)) },
        )
        .await
    }

    async fn change(&mut self, id: u64, change: sessions::SessionChange) -> Answer<wit::Session> {
        let settings = change.settings.into_iter().map(|setting| (setting.name, setting.value)).collect();
        let change = NewSettings { name: change.name, settings };
        self.verb(|verbs, caller| async move {
            Ok(convert::session(&verbs.change_session(&caller, SessionId(id), change).await?))
        })
        .await
    }

    async fn restart(&mut self, id: u64, wait_ms: u32) -> Answer<wit::Session> {
        let wait = Duration::from_millis(u64::from(wait_ms)).min(CONNECT_WAIT_MAX);
        self.verb(|verbs, caller| async move {
            Ok(convert::session(&verbs.restart_session(&caller, SessionId(id), wait).await?))
        })
        .await
    }

    async fn pairing_code(&mut self, id: u64, phone_number: String) -> Answer<sessions::LinkCode> {
        self.verb(|verbs, caller| async move {
            let code = verbs.pairing_code(&caller, SessionId(id), &phone_number).await?;
            Ok(sessions::LinkCode { code: code.code, expires_at_ms: code.expires_at_ms })
        })
        .await
    }

    async fn draw_links(&mut self, ids: Vec<u64>, ttl_s: u32) -> Answer<Vec<String>> {
        let (plugin, ttl) = (self.plugin.clone(), Duration::from_secs(u64::from(ttl_s)));
        let sessions: Vec<SessionId> = ids.into_iter().map(SessionId).collect();
        self.verb(|verbs, caller| async move { verbs.draw_links(&caller, &plugin, &sessions, ttl).await }).await
    }

    async fn qr(&mut self, id: u64) -> Answer<Option<sessions::QrCode>> {
        self.verb(|verbs, caller| async move {
            let qr = verbs.session_qr(&caller, SessionId(id)).await?;
            Ok(qr.map(|qr| sessions::QrCode { text: qr.text, png: qr.png, expires_at_ms: qr.expires_at_ms }))
        })
        .await
    }
}
