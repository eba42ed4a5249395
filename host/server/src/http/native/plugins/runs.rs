//! Runs of a plugin's responder: those that wait and those that were parked, which a person lets run anew or drops.

use hyper::StatusCode;
use serde_json::{Value, json};

use switchboard_core::flow::responder_worker::{read_run_id, run_id};
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;
use switchboard_core::rules::said_back::said_back;

use super::super::{Answered, Call, Route, no_content, route};
use super::TENANT;
use crate::http::front_door::FrontDoor;
use crate::http::problem::{Problem, json as json_answer};
use crate::plugins::{PlacedRun, RunPlace, RunState};

/// Most runs of one page.
const PAGE_MAX: usize = 100;
/// The parameters of the list of runs.
const LIST: &[&str] = &["state", "cursor", "limit", TENANT];

pub(in crate::http::native) const ROUTES: &[Route] = &[
    route("GET", "plugins/{name}/runs", |door, call| Box::pin(door.list_runs(call))).asked(LIST),
    route("POST", "plugins/{name}/runs/release", |door, call| Box::pin(door.release_runs(call))).asked(&[TENANT]),
    route("GET", "plugins/{name}/runs/{run}", |door, call| Box::pin(door.show_run(call))).asked(&[TENANT]),
    route("DELETE", "plugins/{name}/runs/{run}", |door, call| Box::pin(door.drop_run(call))).asked(&[TENANT]),
    route("POST", "plugins/{name}/runs/{run}/release", |door, call| Box::pin(door.release_run(call))).asked(&[TENANT]),
];

/// A plugin whose runs are asked for.
struct Asked {
    owner: TenantId,
    name: String,
}

impl Asked {
    fn full_name(&self) -> String {
        Plugin::full_name_of(self.owner, &self.name)
    }

    /// The run that `id` names, if it is this plugin's.
    fn place(&self, id: &str) -> Option<RunPlace> {
        let (tenant, event) = read_run_id(id, &self.full_name())?;
        Some(RunPlace { tenant, event })
    }

    fn run_json(&self, placed: &PlacedRun) -> Value {
        let PlacedRun { place, state, run } = placed;
        let due_at = (*state == RunState::Waiting).then_some(run.work.due_at);
        json!({
            "id": run_id(place.tenant, &self.full_name(), place.event), "state": state.name(), "event": run.event.n,
            "event_type": run.event.fact.type_name(), "event_at": run.event.at, "session_id": run.event.session,
            "tries": run.work.tries, "last_error": run.work.last_error, "due_at": due_at,
        })
    }
}

fn not_parked() -> Problem {
    let why = "the run was not parked: it waits for its turn or its next try, which comes by itself; when it has failed often \
               enough it is parked, and can be released or dropped then";
    Problem::new(StatusCode::CONFLICT, why).with("code", "not_parked")
}

impl FrontDoor {
    async fn runs_of(&self, call: &Call, writes: bool) -> Result<Asked, Problem> {
        let asking = if writes { self.plugins_write(call).await? } else { self.plugins_read(call).await? };
        let plugin = self.stored_plugin(asking.owner, call.param(0)).await?;
        Ok(Asked { owner: asking.owner, name: plugin.name })
    }

    async fn run_named(&self, asked: &Asked, id: &str) -> Result<PlacedRun, Problem> {
        let none = || Problem::not_found("the plugin has no run of this id");
        let place = asked.place(id).ok_or_else(none)?;
        self.plugins.run_at(asked.owner, &asked.name, place).await?.ok_or_else(none)
    }

    /// Oldest first; those of the operator's plugins by tenant.
    async fn list_runs(&self, call: Call) -> Answered {
        let asked = self.runs_of(&call, false).await?;
        let query = call.query();
        let state = match query.get("state") {
            None | Some("parked") => RunState::Parked,
            Some("waiting") => RunState::Waiting,
            Some(other) => {
                let why = format!("{:?} is none of: parked, waiting", said_back(other));
                return Err(Problem::bad_parameter("state", why));
            }
        };
        let after = query.get("cursor").map(|cursor| {
            asked.place(cursor).ok_or_else(|| Problem::bad_parameter("cursor", "is none that a page of these runs gave"))
        });
        let limit = query.limit(PAGE_MAX)?;
        let runs = self.plugins.runs(asked.owner, &asked.name, state, after.transpose()?, limit).await?;
        let shown: Vec<Value> = runs.iter().map(|run| asked.run_json(run)).collect();
        let next = shown.last().filter(|_| shown.len() == limit).map(|last| last["id"].clone());
        Ok(json_answer(StatusCode::OK, &json!({ "runs": shown, "next_cursor": next })))
    }

    async fn show_run(&self, call: Call) -> Answered {
        let asked = self.runs_of(&call, false).await?;
        let run = self.run_named(&asked, call.param(1)).await?;
        Ok(json_answer(StatusCode::OK, &asked.run_json(&run)))
    }

    async fn release_run(&self, call: Call) -> Answered {
        let asked = self.runs_of(&call, true).await?;
        let run = self.run_named(&asked, call.param(1)).await?;
        if run.state != RunState::Parked || !self.plugins.release(asked.owner, &asked.name, &run).await? {
            return Err(not_parked());
        }
        Ok(json_answer(StatusCode::OK, &json!({ "released": 1 })))
    }

    async fn release_runs(&self, call: Call) -> Answered {
        let asked = self.runs_of(&call, true).await?;
        let released = self.plugins.release_all(asked.owner, &asked.name).await?;
        Ok(json_answer(StatusCode::OK, &json!({ "released": released })))
    }

    async fn drop_run(&self, call: Call) -> Answered {
        let asked = self.runs_of(&call, true).await?;
        let run = self.run_named(&asked, call.param(1)).await?;
        if run.state != RunState::Parked || !self.plugins.drop_run(asked.owner, &asked.name, &run).await? {
            return Err(not_parked());
        }
        Ok(no_content())
    }
}
