//! Write Switchboard plugins in Rust.
//!
//! A plugin is a WebAssembly component that exports one or more of Switchboard's interfaces. Implement the trait of each
//! interface you serve for one type, and export it:
//!
//! ```no_run
//! use switchboard_guest_sdk::Reply;
//! use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run};
//!
//! struct Greeter;
//!
//! impl Guest for Greeter {
//!     fn event_kinds() -> Vec<String> {
//!         vec!["message.received".to_owned()]
//!     }
//!
//!     fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
//!         match event.fact {
//!             Fact::MessageReceived(message) if !message.from_me => {
//!                 Ok(vec![Reply::text("Good day!").quoting(&message).in_chat_of(&message)])
//!             }
//!             _ => Ok(vec![]),
//!         }
//!     }
//! }
//!
//! switchboard_guest_sdk::export_responder!(Greeter);
//! # fn main() {}
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2` as a `cdylib`; the file below `target/` is ready to upload.

mod bindings;
pub mod configurable;
mod failure;
pub mod fields;
pub mod hours;
pub mod http;
pub mod log;
mod reply;
pub mod subscriber;

use bindings::switchboard::plugin as host;
use serde::de::DeserializeOwned;

pub use failure::{Context, Failure, refusal};
pub use host::types;
pub use reply::Reply;

use host::types::{Content, Extras, Media, MediaSource, Outgoing};

/// The host's verbs for the account that calls.
pub use host::account;
/// The host's verb for what a session shows of itself.
pub use host::chats;
/// The host's verbs for people.
pub use host::contacts;
/// The host's verb for the tenant's event log.
pub use host::events;
/// The host's verbs for groups.
pub use host::groups;
/// HTTP to the hosts that were granted.
pub use host::http as outbound;
/// The host's verbs for keys; only for plugins that the operator installs.
pub use host::keys;
/// What the plugin keeps for a tenant.
pub use host::kv;
/// The host's verbs for a tenant's files.
pub use host::media;
/// The host's verbs for a tenant's messages.
pub use host::messages;
/// Secrets that people wrote down for the plugin.
pub use host::secrets;
/// The host's verbs for a tenant's sessions.
pub use host::sessions;
/// The host's verbs for webhook endpoints.
pub use host::webhooks;

/// The interface `router`: HTTP request → response.
pub mod router {
    pub use crate::bindings::router_world::exports::switchboard::plugin::router::{
        BodyRule, Credential, CredentialPlace, EventWish, FileKind, FileRefusal, FileRule, FileWhy, FormRule, Guest,
        LiveAnswer, LiveSource, Rate, RatePer, ReceivedFile, Refusal, RefusedRequest, Request, Response, ResponseBody,
        Route, UnauthorizedWhy,
    };
}

/// The interface `streamer`: what happens → bytes of a stream that a router answered with.
pub mod streamer {
    pub use crate::bindings::streamer_world::exports::switchboard::plugin::streamer::{Guest, Moment, SessionLife, Step};
}

/// The interface `responder`: event → commands.
pub mod responder {
    pub use crate::bindings::responder_world::exports::switchboard::plugin::responder::{Command, Guest, Run, SendWish};
    pub use crate::types::{Event, Fact, Incoming};
}

/// The interface `auth-policy`: may this principal do this?
pub mod auth_policy {
    pub use crate::bindings::auth_policy_world::exports::switchboard::plugin::auth_policy::{Guest, Question, Verdict};
}

/// The interface `template`: name and parameters → message content.
pub mod template {
    pub use crate::bindings::template_world::exports::switchboard::plugin::template::{
        DefinitionFault, Guest, StoredTemplate, TemplateError,
    };
}

/// The interface `webhook`: event → outgoing request.
pub mod webhook {
    pub use crate::bindings::webhook_world::exports::switchboard::plugin::webhook::{
        About, Endpoint, Guest, Hmac, HmacContent, OptionTally, Payload, Signing,
    };
}

/// The interface `sender-route`: which session sends this?
pub mod sender_route {
    pub use crate::bindings::sender_route_world::exports::switchboard::plugin::sender_route::{Candidate, Guest, Question};
}

#[doc(hidden)]
pub use bindings::{
    auth_policy_world, configurable_world, responder_world, router_world, sender_route_world, streamer_world,
    subscriber_world, template_world, webhook_world,
};

/// Exports a type as the component's `router`. Paths of routes are below where it is mounted: the operator's at its prefixes, a
/// tenant's own at `/t/<tenant>/<name of the plugin>`, or at the prefixes there that its owner gave it.
#[macro_export]
macro_rules! export_router {
    ($plugin:ident) => {
        $crate::router_world::export_router_world!($plugin with_types_in $crate::router_world);
        $crate::__install_log!();
    };
}

/// Carries the OpenAPI 3.1 document of the component's router, a JSON file beside the source like that of `include_bytes!`. Its
/// paths are those of the routes. The host serves it at `/switchboard/v1/openapi/<plugin>.json`; it may have 1 MiB.
#[macro_export]
macro_rules! openapi {
    ($file:literal) => {
        const _: () = {
            const BYTES: &[u8] = include_bytes!($file);
            // A custom section: it is no part of an instance's memory.
            #[used]
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "switchboard-openapi"))]
            static DOCUMENT: [u8; BYTES.len()] = *include_bytes!($file);
        };
    };
}

/// Says what the plugin asks to be given, as JSON; whoever installs it says yes or no. What is not granted does not work: no event is
/// told, no message sent, no host asked. Ask for what the plugin needs and nothing else, for when it grows people are asked again.
///
/// ```no_run
/// switchboard_guest_sdk::grants!({
///     "sessions": "all",
///     "fields": ["text", "number", "media", "contact_name"],
///     "send": { "per_minute": 60 },
///     "kv_bytes": 1048576,
///     "http": ["api.example.com", "*.example.org"],
///     "secrets": ["SHOP_API_KEY"]
/// });
/// # fn main() {}
/// ```
///
/// - `sessions`: events of the account's sessions, and to send from them.
/// - `fields`: what of messages is seen: what they say, telephone numbers (pseudonyms stand in their place, and are good for
///   answers), their files, and what people call themselves.
/// - `send`: messages of its own accord, so many in a minute.
/// - `kv_bytes`: bytes that it may keep for each account. `http`: hosts that it may ask. `secrets`: those it may read, by name.
///
/// Once in a plugin.
#[macro_export]
macro_rules! grants {
    ({ $($asked:tt)* }) => {
        const _: () = {
            const JSON: &str = stringify!({ $($asked)* });
            // A custom section: it is no part of an instance's memory.
            #[used]
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "switchboard-grants"))]
            static ASKED: [u8; JSON.len()] = match JSON.as_bytes().first_chunk() {
                Some(json) => *json,
                None => [0; JSON.len()],
            };
        };
    };
}

/// Asks for the plugin's instance to be kept between the requests that its router handles, for each tenant one or several: what lies in
/// its memory is still there then, and a request takes less time. Without it, each request has an instance of its own.
///
/// An instance only ever works for one tenant, under one configuration and the same grants; requests of different keys of that tenant
/// may come to the same one. It may be gone at any moment, and others may work beside it: what must last belongs into `kv`. It is given
/// up when a call fails, when it has more than a quarter of the memory that a call may have, and after 1,000 calls. Calls of all other
/// interfaces have fresh instances.
///
/// ```no_run
/// switchboard_guest_sdk::keep_instance!();
/// # fn main() {}
/// ```
///
/// Once in a plugin.
#[macro_export]
macro_rules! keep_instance {
    () => {
        const _: () = {
            // A custom section: it is no part of an instance's memory.
            #[used]
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "switchboard-instance"))]
            static KEPT: [u8; 4] = *b"kept";
        };
    };
}

/// Exports a type as the component's `streamer`.
#[macro_export]
macro_rules! export_streamer {
    ($plugin:ident) => {
        $crate::streamer_world::export_streamer_world!($plugin with_types_in $crate::streamer_world);
        $crate::__install_log!();
    };
}

/// Exports a type as the component's `responder`.
#[macro_export]
macro_rules! export_responder {
    ($plugin:ident) => {
        $crate::responder_world::export_responder_world!($plugin with_types_in $crate::responder_world);
        $crate::__install_log!();
    };
}

/// Exports a type as the component's `auth-policy`.
#[macro_export]
macro_rules! export_auth_policy {
    ($plugin:ident) => {
        $crate::auth_policy_world::export_auth_policy_world!($plugin with_types_in $crate::auth_policy_world);
        $crate::__install_log!();
    };
}

/// Exports a type as the component's `template`.
#[macro_export]
macro_rules! export_template {
    ($plugin:ident) => {
        $crate::template_world::export_template_world!($plugin with_types_in $crate::template_world);
        $crate::__install_log!();
    };
}

/// Exports a type as the component's `webhook`.
#[macro_export]
macro_rules! export_webhook {
    ($plugin:ident) => {
        $crate::webhook_world::export_webhook_world!($plugin with_types_in $crate::webhook_world);
        $crate::__install_log!();
    };
}

/// Exports a type as the component's `configurable`, which takes what a table of [`configurable::Known`] says and refuses all else:
///
/// ```no_run
/// use switchboard_guest_sdk::configurable::{Known, flag, limit};
///
/// struct Courier;
///
/// const KNOWN: &[Known] = &[limit("parcels_per_day", 1, 500), flag("quiet")];
/// switchboard_guest_sdk::export_configurable!(Courier, KNOWN);
/// # fn main() {}
/// ```
///
/// What a table cannot say is found by a function, if one is named: it is asked about a configuration that fits the table.
///
/// ```no_run
/// use serde::Deserialize;
/// use switchboard_guest_sdk::configurable::{ConfigFault, Known, fault_at, texts, word};
///
/// #[derive(Deserialize)]
/// struct Rounds {
///     days: Vec<String>,
///     first: String,
/// }
///
/// struct Courier;
///
/// const KNOWN: &[Known] = &[texts("days", 7, 10).required(), word("first", &["monday", "sunday"]).required()];
///
/// fn days(rounds: &Rounds) -> Vec<ConfigFault> {
///     if rounds.days.contains(&rounds.first) { vec![] } else { vec![fault_at(["first"], "is none of days")] }
/// }
///
/// switchboard_guest_sdk::export_configurable!(Courier, KNOWN, days);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_configurable {
    ($plugin:ident, $known:expr, $further:path) => {
        impl $crate::configurable::Guest for $plugin {
            fn check(configuration: String) -> Vec<$crate::configurable::ConfigFault> {
                $crate::configurable::check_further($known, $further, &configuration)
            }
        }

        $crate::configurable_world::export_configurable_world!($plugin with_types_in $crate::configurable_world);
    };
    ($plugin:ident, $known:expr) => {
        impl $crate::configurable::Guest for $plugin {
            fn check(configuration: String) -> Vec<$crate::configurable::ConfigFault> {
                $crate::configurable::check($known, &configuration)
            }
        }

        $crate::configurable_world::export_configurable_world!($plugin with_types_in $crate::configurable_world);
    };
}

/// Exports a type as the component's `subscriber`: which events its responder is told of, and whether it may end the chain:
///
/// ```no_run
/// use switchboard_guest_sdk::subscriber::{ChatKind, Subscription};
///
/// struct Orders;
///
/// // What people write to us themselves, when it begins with /order.
/// switchboard_guest_sdk::export_subscriber!(Orders, Subscription {
///     chat_kinds: vec![ChatKind::Person],
///     beginnings: vec!["/order".to_owned()],
///     ends_chain: true,
///     ..Subscription::everything()
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_subscriber {
    ($plugin:ident, $subscription:expr) => {
        impl $crate::subscriber::Guest for $plugin {
            fn subscribe() -> $crate::subscriber::Subscription {
                $subscription
            }
        }

        $crate::subscriber_world::export_subscriber_world!($plugin with_types_in $crate::subscriber_world);
    };
}

/// Exports a type as the component's `sender-route`.
#[macro_export]
macro_rules! export_sender_route {
    ($plugin:ident) => {
        $crate::sender_route_world::export_sender_route_world!($plugin with_types_in $crate::sender_route_world);
        $crate::__install_log!();
    };
}

/// Most characters of what was given that an error says back: enough to find it.
const SAID_BACK_MAX: usize = 80;

/// The plugin's configuration.
///
/// # Errors
/// A sentence that names what is wrong with the JSON: return it, and the customer sees it.
pub fn config<T: DeserializeOwned>() -> Result<T, String> {
    serde_json::from_str(&host::config::read()).map_err(|error| format!("configuration: {error}"))
}

/// The beginning of `value`, up to 80 characters, for an error that says back what was given; where it is cut, … says so.
pub fn said_back(value: impl std::fmt::Display) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(SAID_BACK_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A plain text for `to`.
pub fn text_to(to: &str, text: impl Into<String>) -> Outgoing {
    Outgoing { to: to.to_owned(), content: Content::Text(text.into()), extras: no_extras() }
}

/// The file at this place, of which nothing else is said.
pub fn media_from(source: MediaSource) -> Media {
    Media {
        source,
        mime: None,
        caption: None,
        file_name: None,
        voice_note: false,
        gif: false,
        size: None,
        sha256: None,
        width: None,
        height: None,
        seconds: None,
    }
}

/// The file at a URL.
pub fn media_at(url: impl Into<String>) -> Media {
    media_from(MediaSource::Url(url.into()))
}

/// As soon as its turn has come, before everything that is sent in bulk.
pub fn at_once() -> messages::SendOptions {
    messages::SendOptions {
        priority: messages::Priority::Interactive,
        send_at_ms: None,
        expires_at_ms: None,
        gap_ms: None,
        jitter_ms: None,
        sends_per_minute: None,
        limits: None,
    }
}

/// No quote, no mentions, not view-once.
pub fn no_extras() -> Extras {
    Extras { quote: None, mentions: Vec::new(), view_once: false }
}

/// `at_ms` as ISO 8601 in UTC, such as `2026-01-15T12:00:00.000Z`; an empty text when it is out of range.
pub fn iso8601(at_ms: u64) -> String {
    use time::format_description::well_known::Iso8601;
    let moment = i128::from(at_ms) * 1_000_000;
    time::OffsetDateTime::from_unix_timestamp_nanos(moment)
        .ok()
        .and_then(|moment| moment.format(&Iso8601::<{ iso_config() }>).ok())
        .unwrap_or_default()
}

/// The moment that a text names: `2026-01-31T12:00:00Z`, with any offset, or a date alone, which begins at midnight UTC.
/// Milliseconds since 1970; `None` for any other text and what lies before 1970.
pub fn moment(text: &str) -> Option<u64> {
    use time::format_description::well_known::Rfc3339;
    let whole = if text.len() == DATE_CHARS { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment = time::OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Characters of a date: `2026-01-31`.
const DATE_CHARS: usize = 10;

const fn iso_config() -> time::format_description::well_known::iso8601::EncodedConfig {
    use time::format_description::well_known::iso8601::{Config, TimePrecision};
    const DIGITS: Option<std::num::NonZeroU8> = std::num::NonZeroU8::new(3);
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: DIGITS }).encode()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_long_is_cut_between_characters_and_shows_it() {
        assert_eq!(super::said_back(17), "17");
        assert_eq!(super::said_back("ü".repeat(80)), "ü".repeat(80));
        assert_eq!(super::said_back("ü".repeat(81)), format!("{}…", "ü".repeat(80)));
    }

    #[test]
    fn a_time_is_written_as_iso_8601_with_milliseconds() {
        assert_eq!(super::iso8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::iso8601(1_768_478_400_123), "2026-01-15T12:00:00.123Z");
    }

    #[test]
    fn dates_and_moments_are_read() {
        assert_eq!(super::moment("2026-01-15T12:00:00.123Z"), Some(1_768_478_400_123));
        assert_eq!(super::moment("2026-01-15T14:00:00+02:00"), Some(1_768_478_400_000));
        assert_eq!(super::moment("1970-01-02"), Some(86_400_000));
        for other in ["", "yesterday", "2026-13-01", "1969-12-31", "2026-01-15 12:00"] {
            assert_eq!(super::moment(other), None, "{other}");
        }
    }
}
