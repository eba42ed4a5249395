//! The HTTP front door: the only room that knows hyper.
//!
//! `listener` takes connections (which end by `lingering`), `front_door` sends each request to the host's own API or to the plugin whose route it is,
//! `mounts` is the table of those routes, `bodies` takes what comes with requests to them (`forms`, files in JSON by `extract`,
//! bytes by `upload`), `admission` says who may pass, `limits` counts what callers try and ask, `places` what each tenant has
//! under way, `own_routes` are the routers of tenants, `own_hosts` their host names, `streams` are answers that go on, `native` is the host's own API, a room for each of its resources.

mod admission;
mod bodies;
mod body;
mod extract;
mod forms;
mod front_door;
mod idempotency;
mod in_process;
mod input;
mod limits;
mod lingering;
mod listener;
#[cfg(feature = "sim")]
mod local_client;
mod media_links;
mod metrics;
mod mounts;
mod native;
mod own_hosts;
mod own_routes;
mod places;
mod problem;
mod request_ids;
mod streams;
mod upload;

pub(crate) use bodies::FilePlaces;
pub(crate) use idempotency::OnceRuns;
pub(crate) use in_process::ask;
#[cfg(test)]
pub(crate) use in_process::ask_holding;
pub(crate) use native::{UploadRoom, refusal_json};
pub(crate) use own_hosts::OwnHosts;
pub(crate) use request_ids::RequestIds;
pub(crate) use streams::Streams;

pub use front_door::{FrontDoor, SimControl, SimControlAnswer};
pub use in_process::{LocalAnswer, LocalClientError};
pub use limits::{HttpSettings, Limits};
pub use listener::{Listener, ListenerError};
#[cfg(feature = "sim")]
pub use local_client::LocalClient;
pub use metrics::MetricsDoor;
pub use mounts::{MountTable, RouteError};
pub(crate) use mounts::{check_own_mounts, host_name};
