//! What the host's own API says when the rooms behind it refuse.

use hyper::StatusCode;
use serde_json::Value;

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::rules::authority::Denial;
use switchboard_core::rules::grants::GrantFault;
use switchboard_core::storage::StorageError;
use switchboard_runtime::verbs::{LimitStanding, VerbError};
use switchboard_runtime::{ConfigFault, InspectError};

use super::super::body::ShapeFault;
use super::super::idempotency::OnceError;
use super::super::problem::Problem;
use crate::accounts::AccountError;
use crate::plugins::InstallError;

/// When to come back while many components wait to be compiled.
const COMPILE_RETRY_SECONDS: u64 = 10;

fn storage_problem(error: &StorageError) -> Problem {
    tracing::error!(%error, "the host's own API cannot reach storage");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage does not answer")
}

impl From<ShapeFault> for Problem {
    fn from(fault: ShapeFault) -> Self {
        Self::invalid_at(&fault.path(), fault.why.as_str())
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        storage_problem(&error)
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NoSuchTenant(_) | AccountError::NoSuchSession(_) => Self::not_found(error.to_string()),
            AccountError::Invalid { field, why } => Self::invalid(field, why),
            AccountError::InvalidLimit { name, why } => Self::invalid_at(&["limits", &name], why),
            AccountError::Storage(error) => storage_problem(&error),
        }
    }
}

impl From<InstallError> for Problem {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Refused(refused) => refused_component(&refused),
            InstallError::Invalid { field, why } => Self::invalid(field, why),
            InstallError::Config(faults) => config_problem(&["config"], &faults),
            InstallError::Grants(fault) => grant_problem(&["grants"], &fault),
            InstallError::GrantsNeeded { version, ref missing } => Self::new(StatusCode::CONFLICT, error.to_string())
                .with("code", "grants_needed")
                .with("version", version)
                .with("missing", missing.clone()),
            InstallError::Routes(error) => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "routes"),
            InstallError::OpenBody { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).with("code", "open_body")
            }
            InstallError::NoSuchPlugin | InstallError::NoSuchVersion => Self::not_found(error.to_string()),
            InstallError::VersionActive => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "version_active"),
            InstallError::NothingActive => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "nothing_active"),
            InstallError::NothingBefore => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "nothing_before"),
            InstallError::AmbiguousVersion(_) => {
                Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "version_ambiguous")
            }
            InstallError::Full { used, max } => Self::new(StatusCode::FORBIDDEN, error.to_string())
                .with("code", "limit_reached")
                .with("limit", "plugin_store_mib")
                .with("max", max)
                .with("used", used),
            InstallError::OverPlan { figure, value, max } => Self::new(StatusCode::FORBIDDEN, error.to_string())
                .with("code", "limit_reached")
                .with("limit", figure)
                .with("max", max)
                .with("used", value),
            InstallError::Busy { waiting, max } => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                .with("code", "limit_reached")
                .with("limit", "plugin_changes_waiting")
                .with("max", max)
                .with("used", waiting),
            InstallError::CompileBusy { max } => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                .with("code", "compile_busy")
                .with("limit", "plugins.compiles_waiting")
                .with("max", max)
                .with("used", max)
                .with("retry_after", COMPILE_RETRY_SECONDS),
            InstallError::NoComponent => {
                tracing::error!("the component of a version is not stored");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            InstallError::Host(why) => {
                tracing::error!(why, "the host cannot compile");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the host cannot compile now")
            }
            InstallError::Storage(error) => storage_problem(&error),
        }
    }
}

/// What a host answers to an upload that it refuses, as JSON; faults of a configuration are at their place in that.
pub(crate) fn refusal_json(error: InstallError) -> Value {
    match error {
        InstallError::Config(faults) => config_problem(&[], &faults).body(),
        other => Problem::from(other).body(),
    }
}

fn refused_component(refused: &InspectError) -> Problem {
    let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string()).with("code", refused.code());
    if let Some(interface) = refused.interface() {
        problem = problem.with("interface", interface);
    }
    if let Some((asked, offered)) = refused.versions() {
        problem = problem.with("asked", asked).with("offered", offered);
    }
    match refused.change() {
        Some(change) => problem.with("change", change),
        None => problem,
    }
}

/// What a plugin finds wrong with its configuration, which is at `place` of the body.
pub(super) fn config_problem(place: &[&str], faults: &[ConfigFault]) -> Problem {
    Problem::invalid_all(faults.iter().map(|fault| {
        let way = place.iter().copied().chain(fault.path.iter().map(String::as_str));
        (way.collect(), fault.why.as_str())
    }))
    .with("code", "config")
}

/// What is wrong with grants, which are at `place` of the body.
pub(super) fn grant_problem(place: &[&str], fault: &GrantFault) -> Problem {
    let way: Vec<&str> = place.iter().copied().chain(fault.path.iter().map(String::as_str)).collect();
    Problem::invalid_at(&way, fault.why.as_str())
}

/// A limit that is used up: 429 where it resets by itself, 403 where only a deletion makes room.
fn limit_problem(limit: &LimitStanding) -> Problem {
    let status = if limit.retry_after_s.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
    let LimitStanding { limit: name, max, used, .. } = limit;
    let mut problem = Problem::new(status, format!("{name} is used up: {used} of {max}"))
        .with("code", "limit_reached")
        .with("limit", name.as_str())
        .with("max", *max)
        .with("used", *used);
    if let Some(seconds) = limit.retry_after_s {
        problem = problem.with("retry_after", seconds);
    }
    if let Some(moment) = limit.resets_at_ms {
        problem = problem.with("resets_at", moment);
    }
    problem
}

impl From<VerbError> for Problem {
    fn from(error: VerbError) -> Self {
        match error {
            VerbError::NotFound => Self::nothing_of_this_id(),
            VerbError::Denied(why) => Self::new(StatusCode::FORBIDDEN, why),
            VerbError::Invalid { field, why } => Self::invalid(&field, why),
            VerbError::Media(refused) => match refused {
                MediaRefusal::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the media {refused}")),
                refused => Self::invalid("media", refused.to_string()),
            },
            VerbError::NotConnected(state) => {
                Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "not_connected").with("state", state.name())
            }
            VerbError::NotYet(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "not_yet"),
            VerbError::LimitReached(limit) => limit_problem(&limit),
            VerbError::RefusedByWhatsApp { .. } => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
            VerbError::RefusedByPolicy(reason) => Self::new(StatusCode::FORBIDDEN, reason).with("code", "refused_by_policy"),
            VerbError::NoSender(why) => Self::new(StatusCode::CONFLICT, why).with("code", "no_sender"),
            VerbError::NoSuchTemplate(why) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "no_such_template")
            }
            VerbError::MissingParameter(name) => Self::invalid("parameters", format!("{name:?} is missing"))
                .with("code", "missing_parameter")
                .with("parameter", name),
            VerbError::Conflict(why) => Self::new(StatusCode::CONFLICT, why),
            VerbError::Unavailable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

impl From<Denial> for Problem {
    fn from(why: Denial) -> Self {
        Self::new(StatusCode::FORBIDDEN, why.to_string())
    }
}

impl From<OnceError> for Problem {
    fn from(error: OnceError) -> Self {
        let why = error.to_string();
        match error {
            OnceError::BadKey => Self::new(StatusCode::BAD_REQUEST, why).with("code", "idempotency_key"),
            OnceError::Mismatch => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "idempotency_mismatch"),
            OnceError::UnderWay => Self::new(StatusCode::CONFLICT, why).with("code", "idempotency_under_way"),
            OnceError::Storage(error) => storage_problem(&error),
        }
    }
}
