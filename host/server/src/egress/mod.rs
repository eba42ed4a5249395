//! Egress: the host's HTTP to others.
//!
//! Two clients. [`Egress`] serves the WhatsApp client, whose addresses WhatsApp gives. [`GuardedClient`] goes where customers
//! say (webhooks, media by URL, what plugins fetch) and refuses whatever is not on the public internet, in every build.

mod answer;
mod error;
mod fetches;
mod guard;
mod limits;
mod resolver;
mod tls;
mod whatsapp;

pub use answer::{Answer, Download, DownloadSink};
pub use error::{Broken, GuardError};
pub use fetches::{FETCHES_PER_MINUTE_MAX, Fetches};
pub use guard::{GuardSettings, GuardedClient, GuardedRequest};
pub use limits::{DownloadLimits, ExchangeLimits};
pub use resolver::{LOOKUPS_MAX, Resolver, SystemResolver};
pub use whatsapp::{Egress, EgressError};

#[cfg(test)]
mod guard_tests;
