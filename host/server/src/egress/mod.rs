//! Egress: the host's HTTP to others.
//!
//! Two clients of the host. [`Egress`] serves the WhatsApp client, whose addresses WhatsApp gives. [`GuardedClient`] goes where customers
//! say (webhooks, media by URL, what plugins fetch) and refuses whatever is not on the public internet, in every build. A third, [`ApiClient`], is the command line's: it asks a host.

mod answer;
mod api;
mod error;
mod fetches;
mod guard;
mod limits;
mod resolver;
mod tls;
mod whatsapp;

pub use answer::{Answer, Download, DownloadSink};
pub(crate) use api::{ApiAnswer, ApiClient, ApiError, ApiRequest};
pub use error::{Broken, GuardError};
pub use fetches::{FETCHES_PER_MINUTE_MAX, Fetches};
pub use guard::{GuardSettings, GuardedClient, GuardedRequest};
pub use limits::{DownloadLimits, ExchangeLimits};
pub use resolver::{LOOKUPS_MAX, Resolver, SystemResolver};
pub use whatsapp::{Egress, EgressError};

#[cfg(test)]
mod guard_tests;
