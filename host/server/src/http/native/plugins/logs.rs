//! What plugins logged and how their calls ended: the calls that are remembered, and new ones as they come.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{CallEnd, LoggedCall};
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::{CallQuery, Storage};
use switchboard_runtime::INTERFACES;

use super::super::stream::{GREETING, last_event_id, too_many_streams};
use super::super::{Answered, Call, Query, Route, route};
use super::{TENANT, no_plugin};
use crate::http::front_door::FrontDoor;
use crate::http::problem::{Answer, Problem, json as json_answer};
use crate::http::streams::{Reading, Said, Subject, body, set_headers};

/// Most calls of one page.
const PAGE_MAX: usize = 100;
/// Calls that a stream reads together.
const STREAM_PAGE: usize = 100;
/// The parameters of the list.
const LIST: &[&str] = &["limit", "cursor", "after", "failed", "end", "interface", "call", "event", "since", TENANT];

pub(in crate::http::native) const ROUTES: &[Route] = &[
    route("GET", "plugins/{name}/logs", |door, call| Box::pin(door.list_calls(call))).asked(LIST),
    route("GET", "plugins/{name}/logs/stream", |door, call| Box::pin(door.stream_calls(call))).asked(LIST),
    route("GET", "plugins/{name}/logs/{n}", |door, call| Box::pin(door.show_call(call))).asked(&[TENANT]),
];

fn call_json(call: &LoggedCall) -> Value {
    json!({
        "n": call.n, "at": call.at, "tenant": call.tenant, "interface": call.interface, "call": call.call,
        "version": call.version, "event": call.event, "event_type": call.event_type, "attempt": call.attempt,
        "took_us": call.took_us, "memory_bytes": call.memory_bytes, "host_calls": call.host_calls, "end": call.end,
        "why": call.why, "log": call.log, "log_dropped": call.log_dropped, "input": call.input, "effects": call.effects,
    })
}

fn wanted(query: &Query) -> Result<CallQuery, Problem> {
    let failed = match query.get("failed") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Problem::bad_parameter("failed", "is true or false")),
    };
    let named = |name: &str| CallEnd::ALL.into_iter().find(|end| end.name() == name);
    let end = match query.get("end") {
        None => None,
        Some(name) => Some(named(name).ok_or_else(|| {
            let names = CallEnd::ALL.map(CallEnd::name).join(", ");
            Problem::bad_parameter("end", format!("{:?} is none of: {names}", said_back(name)))
        })?),
    };
    let interface = query.get("interface");
    if let Some(name) = interface.filter(|name| !INTERFACES.contains(name)) {
        let why = format!("{:?} is none of: {}", said_back(name), INTERFACES.join(", "));
        return Err(Problem::bad_parameter("interface", why));
    }
    Ok(CallQuery {
        after: query.number("after")?,
        before: query.number("cursor")?,
        failed,
        end,
        interface: interface.map(str::to_owned),
        call: query.get("call").map(str::to_owned),
        event: query.number("event")?,
        since: query.number("since")?.map(Timestamp),
        limit: query.limit(PAGE_MAX)?,
    })
}

impl FrontDoor {
    async fn list_calls(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let plugin = self.storage.plugin(owner, call.param(0)).await?.ok_or_else(no_plugin)?;
        let query = wanted(&call.query())?;
        // Whoever asks right after a call finds it.
        self.plugins.call_log().flush(&self.storage).await;
        let calls = self.storage.logged_calls(owner, &plugin.name, &query).await?;
        let full = calls.len() == query.limit && query.after.is_none();
        let next = calls.last().filter(|last| full && last.n > 1).map(|last| last.n.to_string());
        let shown: Vec<Value> = calls.iter().map(call_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "calls": shown, "next_cursor": next })))
    }

    async fn show_call(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let plugin = self.storage.plugin(owner, call.param(0)).await?.ok_or_else(no_plugin)?;
        let n: u64 = call.id(1)?;
        let query = CallQuery { after: n.checked_sub(1), before: n.checked_add(1), limit: 1, ..CallQuery::default() };
        let found = self.storage.logged_calls(owner, &plugin.name, &query).await?;
        let found = found.iter().find(|call| call.n == n).ok_or_else(|| {
            Problem::not_found(format!("there is no call {n} of the plugin {}, or it is remembered no longer", plugin.name))
        })?;
        Ok(json_answer(StatusCode::OK, &call_json(found)))
    }

    /// New calls as they are written down; those behind `after` or `Last-Event-ID` first.
    async fn stream_calls(&self, call: Call) -> Answered {
        let asking = self.plugins_read(&call).await?;
        let owner = asking.owner;
        let plugin = self.storage.plugin(owner, call.param(0)).await?.ok_or_else(no_plugin)?.name;
        let mut query = wanted(&call.query())?;
        let Some(place) = self.streams.take(owner) else { return Ok(too_many_streams()) };
        let bell = self.plugins.call_log().bell();
        let after = match last_event_id(call.headers())?.or(query.after) {
            Some(after) => after,
            None => self.storage.last_logged_call(owner, &plugin).await?,
        };
        (query.after, query.before, query.limit) = (Some(after), None, STREAM_PAGE);
        let (accounts, clock, ready) = (self.accounts.clone(), Arc::clone(&self.clock), self.ready.clone());
        let reading = Reading { accounts, clock, caller: asking.caller, ready, api: None, _place: place };
        let tail = Tail { storage: self.storage.clone(), owner, plugin, query, bell };
        let mut answer = Answer::new(body(reading, GREETING, Box::new(tail)));
        set_headers(&mut answer);
        Ok(answer)
    }
}

/// A reader's place among the calls of a plugin.
struct Tail {
    storage: Storage,
    owner: TenantId,
    plugin: String,
    query: CallQuery,
    bell: watch::Receiver<()>,
}

#[async_trait]
impl Subject for Tail {
    async fn say(&mut self) -> Said {
        // Whatever rings from here on is behind what is read below.
        self.bell.borrow_and_update();
        match self.storage.plugin(self.owner, &self.plugin).await {
            Ok(Some(_)) => {}
            // Whoever takes the name later is another plugin.
            Ok(None) => return Said::Last(Bytes::new()),
            Err(_) => return Said::Nothing,
        }
        let calls = match self.storage.logged_calls(self.owner, &self.plugin, &self.query).await {
            Ok(calls) => calls,
            Err(error) => {
                tracing::error!(%error, "a stream cannot read the calls of a plugin");
                return Said::Last(Bytes::new());
            }
        };
        let Some(last) = calls.last() else { return Said::Nothing };
        self.query.after = Some(last.n);
        let told = calls.iter().map(|call| format!("id: {}\nevent: call\ndata: {}\n\n", call.n, call_json(call)));
        Said::Bytes(told.collect::<String>().into())
    }

    async fn wait(&mut self) -> bool {
        self.bell.changed().await.is_ok()
    }
}
