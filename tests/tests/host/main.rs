//! Whole hosts on the simulated network, driven through HTTP as clients drive them.

mod admin;
mod apis;
#[cfg(feature = "clients")]
mod clients;
mod errors;
mod events;
mod facts;
mod faults;
mod first_party;
mod forms;
mod grants;
mod groups;
#[expect(non_snake_case, reason = "two underscores stand between what a case does and how it must end")]
mod hostile;
mod idempotency;
mod keeping;
mod logs;
mod matrix;
mod media;
mod metrics;
mod misuse;
mod native;
mod own_plugin;
mod path;
mod people;
mod plugin_commands;
mod plugin_secrets;
mod plugin_test;
mod plugins;
mod policies;
mod quota;
mod received_media;
mod runs;
#[cfg(feature = "clients")]
mod samples;
mod sending;
mod session_streams;
mod sessions;
mod start;
mod stop;
mod streams;
mod strict;
mod templates;
mod tenant_mounts;
mod test_keys;
#[cfg(feature = "toolchains")]
mod toolchains;
mod versions;
mod webhooks;
