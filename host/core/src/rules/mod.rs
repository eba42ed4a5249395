//! Pure rules: facts in, decision out. No clock, no randomness, no storage.

pub mod address;
pub mod backoff;
pub mod calendar;
pub mod client;
pub mod content_limits;
pub mod delivery;
pub mod egress;
pub mod ephemeral;
pub mod event_filter;
pub mod event_json;
pub mod fact_json;
pub mod group_limits;
pub mod liveness;
pub mod pacing;
pub mod plan;
pub mod quota;
pub mod rate;
pub mod retention;
pub mod session_settings;
pub mod spread;
pub mod typing;
pub mod vcard;
pub mod webhook_fields;
pub mod webhook_signature;
