//! The rows of the matrix: what there is of a tenant, and how another could come at it.
//!
//! A wish of HTTP is `METHOD path`, below the host's own API, and a body; of a plugin, a verb and the id or name that it is tried
//! on; of the command line, its words; of a stream, a path. What stands in braces is taken from the tenant that it belongs to.

use super::{Column, Surface};

/// What is tried, and with what.
pub type Wish = (&'static str, &'static str);

/// Something that belongs to one tenant.
pub struct Row {
    pub name: &'static str,
    pub http: [&'static [Wish]; 3],
    pub plugin: [&'static [Wish]; 3],
    pub cli: [&'static [Wish]; 3],
    pub tail: &'static [Wish],
    /// It answers strangers, so that whoever knows where it is may know that it is there.
    pub public: bool,
    /// Why there is nothing where there is nothing.
    pub why: &'static str,
}

const NONE: Row = Row { name: "", http: [&[]; 3], plugin: [&[]; 3], cli: [&[]; 3], tail: &[], public: false, why: "" };

impl Row {
    /// What is tried in a cell.
    pub fn wishes(&self, column: Column, surface: Surface) -> Vec<&'static Wish> {
        let of = |part: usize| match surface {
            Surface::Http => self.http[part],
            Surface::Plugin | Surface::OwnRouter => self.plugin[part],
            Surface::Cli => self.cli[part],
            Surface::Tail if part == 0 => self.tail,
            Surface::Tail => &[],
        };
        match column {
            Column::Read => of(0).iter().collect(),
            Column::Write => of(1).iter().collect(),
            Column::List => of(2).iter().collect(),
            // Whatever can be asked by id may tell whether it is there.
            Column::Infer if !self.public => of(0).iter().chain(of(1)).collect(),
            Column::Infer | Column::Exhaust => Vec::new(),
        }
    }

    /// Why a cell is empty.
    pub fn no_surface(&self, column: Column, surface: Surface) -> &'static str {
        match (surface, column) {
            (Surface::Http, Column::Infer) if self.public => "it answers strangers: that it is there is no secret",
            (Surface::Tail, Column::Write | Column::List) => "streams are read and name one thing each",
            (Surface::Cli, Column::List) => "no command lists what is of several plugins",
            (Surface::Cli, _) if self.cli.iter().all(|wishes| wishes.is_empty()) => "the command line knows plugins alone",
            _ => self.why,
        }
    }
}

const ONLY_HTTP: &str = "no import and no stream shows it; it is asked for over HTTP";

pub const ROWS: &[Row] = &[
    Row {
        name: "session keys",
        http: [
            &[("GET /tenants/{tenant}/keys/{key}", ""), ("GET /tenants/{tenant}", "")],
            &[
                ("POST /tenants/{tenant}/keys", r#"{"kind":"tenant"}"#),
                ("POST /tenants/{tenant}/keys", r#"{"kind":"session","session_id":{session}}"#),
                ("DELETE /tenants/{tenant}/keys/{key}", ""),
                ("PATCH /tenants/{tenant}", r#"{"name":"mine"}"#),
            ],
            &[("GET /tenants/{tenant}/keys", ""), ("GET /tenants", "")],
        ],
        plugin: [&[("sessions.links", "{session}")], &[], &[]],
        why: "keys are read by the operator's plugins alone, which uploads of tenants cannot be",
        ..NONE
    },
    Row {
        name: "the Signal store of a session",
        http: [
            &[("GET /sessions/{session}", ""), ("GET /sessions/{session}/qr", "")],
            &[
                ("POST /sessions/{session}/connect", ""),
                ("POST /sessions/{session}/disconnect", ""),
                ("POST /sessions/{session}/pairing-code", r#"{"phone_number":"491510000077"}"#),
                ("PATCH /sessions/{session}", r#"{"name":"mine"}"#),
                ("DELETE /sessions/{session}", ""),
            ],
            &[("GET /sessions", "")],
        ],
        plugin: [
            &[("sessions.get", "{session}"), ("sessions.qr", "{session}")],
            &[("sessions.connect", "{session}"), ("sessions.disconnect", "{session}"), ("sessions.delete", "{session}")],
            &[("sessions.all", "")],
        ],
        tail: &[("/switchboard/v1/events/stream?session_id={session}", "")],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "messages",
        http: [
            &[("GET /messages/{message}", ""), ("GET /batches/{batch}", "")],
            &[
                ("DELETE /messages/{message}", ""),
                ("POST /messages", r#"{"session_id":{session},"to":"491520000001","text":"not mine"}"#),
                ("POST /messages/batch", r#"{"session_id":{session},"messages":[{"to":"491520000001","text":"not mine"}]}"#),
            ],
            &[
                ("GET /messages", ""),
                ("GET /messages?session_id={session}", ""),
                ("GET /events", ""),
                ("GET /events?session_id={session}", ""),
            ],
        ],
        plugin: [
            &[
                ("messages.get", "{message}"),
                ("messages.batch", "{batch}"),
                ("messages.count", "{session}"),
                ("messages.quota", "{session}"),
                ("messages.sent-under", "{session} {whatsapp}"),
            ],
            &[
                ("messages.cancel", "{message}"),
                ("messages.resend", "{message}"),
                ("messages.send", "{session} 491520000001"),
            ],
            &[("messages.all", ""), ("messages.find", "{session}"), ("events.all", ""), ("events.find", "{session}")],
        ],
        tail: &[("/switchboard/v1/events/stream?session_id={session}&type=message.*", "")],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "media",
        http: [
            &[("GET /media/{media}", ""), ("GET /media/{media}/content", "")],
            &[
                ("DELETE /media/{media}", ""),
                ("POST /media/{media}/link", r#"{"seconds":60}"#),
                (
                    "POST /messages",
                    r#"{"session_id":{own_session},"to":"491520000001","content":{"type":"document","value":{"source":{"blob":"{media}"}}}}"#,
                ),
            ],
            &[],
        ],
        plugin: [&[("media.info", "{media}")], &[("media.link", "{media}"), ("media.keep", "{media}")], &[]],
        why: "files are found by their handle alone, which nobody lists",
        ..NONE
    },
    Row {
        name: "contacts",
        plugin: [
            &[("contacts.get", "{session} 491520000001")],
            &[("contacts.save", "{session} 491520000001")],
            &[("contacts.find", "{session}"), ("groups.find", "{session}")],
        ],
        why: "contacts are in the dialects, whose plugins come at them by the import",
        ..NONE
    },
    Row {
        name: "what plugins keep",
        plugin: [
            &[("kv.get", "{kept}"), ("kv.usage", "")],
            &[("kv.put", "{kept}"), ("kv.delete", "{kept}")],
            &[("kv.scan", "")],
        ],
        why: "what a plugin keeps is reached by its own imports alone",
        ..NONE
    },
    Row {
        name: "secrets of plugins",
        http: [
            &[("GET /plugins/{plugin}/secrets", "")],
            &[
                ("PUT /plugins/{plugin}/secrets/API_KEY", r#"{"value":"mine"}"#),
                ("DELETE /plugins/{plugin}/secrets/API_KEY", ""),
            ],
            &[("GET /plugins/{plugin}/secrets", "")],
        ],
        plugin: [&[("secrets.get", "CANARY")], &[], &[]],
        why: "a plugin reads its own owner's secrets, and writes none",
        ..NONE
    },
    Row {
        name: "logs of plugins",
        http: [
            &[("GET /plugins/{plugin}/logs", ""), ("GET /plugins/{plugin}/logs/1", "")],
            &[("DELETE /plugins/{plugin}", "")],
            &[("GET /plugins/{plugin}/logs?limit=100", "")],
        ],
        cli: [&[("logs {plugin}", "")], &[], &[]],
        tail: &[("/switchboard/v1/plugins/{plugin}/logs/stream", "")],
        why: "a plugin writes its own log, and reads none",
        ..NONE
    },
    Row {
        name: "the tail stream",
        tail: &[
            ("/switchboard/v1/plugins/{plugin}/logs/stream", ""),
            ("/switchboard/v1/plugins/{plugin}/logs/stream?failed=true", ""),
            ("/switchboard/v1/events/stream?session_id={session}", ""),
        ],
        cli: [&[("logs {plugin} --failed", "")], &[], &[]],
        why: "a stream is opened at its path alone; the rows of what it tells have the rest",
        ..NONE
    },
    Row {
        name: "metrics labels",
        http: [&[("GET //metrics", "")], &[("POST //metrics", "")], &[("GET //metrics", "")]],
        why: "metrics are a page for the operator",
        ..NONE
    },
    Row {
        name: "webhooks and their signing keys",
        http: [
            &[
                ("GET /webhooks/{webhook}", ""),
                ("GET /webhooks/{webhook}/attempts", ""),
                ("GET /webhooks/{webhook}/dead", ""),
            ],
            &[
                ("PATCH /webhooks/{webhook}", r#"{"name":"mine"}"#),
                ("POST /webhooks/{webhook}/rotate", ""),
                ("POST /webhooks/{webhook}/test", ""),
                ("POST /webhooks/{webhook}/enable", ""),
                ("POST /webhooks/{webhook}/replay", r#"{"event":1}"#),
                ("POST /webhooks", r#"{"url":"https://hooks.example.com/","session_id":{session}}"#),
                ("DELETE /webhooks/{webhook}", ""),
            ],
            &[("GET /webhooks", "")],
        ],
        plugin: [
            &[("webhooks.get", "{webhook}"), ("webhooks.attempts", "{webhook}")],
            &[("webhooks.rotate", "{webhook}"), ("webhooks.delete", "{webhook}")],
            &[("webhooks.all", "")],
        ],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "artifacts of plugins",
        http: [
            &[
                ("GET /plugins/{plugin}", ""),
                ("GET /plugins/{plugin}/config", ""),
                ("GET /plugins/{plugin}/grants", ""),
                ("GET /plugins/{plugin}/versions/1", ""),
                ("GET /plugins/{plugin}/versions/{sha}", ""),
                ("GET /plugins/{plugin}/versions/1/component", ""),
            ],
            &[
                ("PUT /plugins/{plugin}/config", "{}"),
                ("PUT /plugins/{plugin}/grants", r#"{"sessions":"all"}"#),
                ("PATCH /plugins/{plugin}", r#"{"stopped":true}"#),
                ("POST /plugins/{plugin}/versions/1/activate", ""),
                ("POST /plugins/{plugin}/rollback", ""),
                ("DELETE /plugins/{plugin}/versions/1", ""),
                ("DELETE /plugins/{plugin}", ""),
            ],
            &[("GET /plugins", ""), ("GET /plugins/{plugin}/versions", "")],
        ],
        cli: [&[("inspect {plugin}", ""), ("versions {plugin}", "")], &[("rollback {plugin}", "")], &[]],
        why: "no import and no stream shows components",
        ..NONE
    },
    Row {
        name: "routers of tenants",
        http: [
            &[
                ("POST //t/{tenant}/{router}/try", r#"{"verb":"sessions.all"}"#),
                ("POST //t/{tenant}/{router}/try", r#"{"verb":"kv.scan"}"#),
            ],
            &[
                ("POST //t/{tenant}/{router}/try", r#"{"verb":"sessions.delete","id":{session}}"#),
                ("POST //t/{tenant}/{router}/try", r#"{"verb":"kv.put","name":"{kept}"}"#),
                ("DELETE /plugins/{router}", ""),
            ],
            &[("GET //t/{tenant}/", ""), ("GET //t/{tenant}/{router}", "")],
        ],
        public: true,
        why: "a router is asked over HTTP",
        ..NONE
    },
    Row {
        name: "the cache of compiled code",
        why: "it is a private folder of the host's, keyed by the hash of components, and no answer tells what is in it",
        ..NONE
    },
    Row {
        name: "runs that wait or were parked, and dead deliveries",
        http: [
            &[
                ("GET /plugins/{plugin}/runs", ""),
                ("GET /plugins/{plugin}/runs/{run}", ""),
                ("GET /webhooks/{webhook}/dead", ""),
            ],
            &[
                ("POST /plugins/{plugin}/runs/release", ""),
                ("POST /plugins/{plugin}/runs/{run}/release", ""),
                ("DELETE /plugins/{plugin}/runs/{run}", ""),
                // Of a plugin of its own of the same name.
                ("DELETE /plugins/{own_plugin}/runs/{run}", ""),
            ],
            &[("GET /plugins/{plugin}/runs?state=waiting", ""), ("GET /plugins/{plugin}/runs?state=parked", "")],
        ],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "schedules",
        http: [
            &[("GET /messages/{scheduled}", "")],
            &[("DELETE /messages/{scheduled}", "")],
            &[("GET /messages?state=queued", "")],
        ],
        plugin: [&[("messages.get", "{scheduled}")], &[("messages.cancel", "{scheduled}")], &[("messages.all", "")]],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "templates",
        http: [
            &[("GET /templates/{template}", "")],
            &[
                ("PATCH /templates/{template}", r#"{"definition":{"body":"mine"}}"#),
                ("POST /templates/{template}/preview", r#"{"parameters":{}}"#),
                ("DELETE /templates/{template}", ""),
                (
                    "POST /messages",
                    r#"{"session_id":{own_session},"to":"491520000001","content":{"type":"template","value":{"name":"{template_name}","language":"en"}}}"#,
                ),
            ],
            &[("GET /templates", ""), ("GET /templates?name={template_name}", "")],
        ],
        why: ONLY_HTTP,
        ..NONE
    },
    Row {
        name: "rate counters and usage",
        http: [
            &[("GET /tenants/{tenant}/usage", "")],
            &[("PATCH /tenants/{tenant}", r#"{"limits":{"messages_per_day":0}}"#)],
            &[("GET /usage", "")],
        ],
        plugin: [&[("messages.quota", "{session}")], &[], &[("account.info", "")]],
        why: "counters are written by what they count",
        ..NONE
    },
    Row {
        name: "connection pools",
        why: "there are none: each request of a webhook or a plugin has a connection of its own",
        ..NONE
    },
    Row {
        name: "the DNS cache",
        why: "there is none: a name is looked up once for each request, and nothing of it is kept",
        ..NONE
    },
    Row {
        name: "texts of errors",
        http: [
            &[
                ("GET /sessions/{session}", ""),
                ("GET /messages/{message}", ""),
                ("GET /media/{media}", ""),
                ("GET /webhooks/{webhook}", ""),
                ("GET /templates/{template}", ""),
                ("GET /plugins/{plugin}", ""),
                ("GET /plugins/{plugin}/runs/{run}", ""),
            ],
            &[
                ("POST /messages", r#"{"session_id":{session},"to":"nobody","text":""}"#),
                ("PATCH /sessions/{session}", r#"{"settings":7}"#),
            ],
            &[("GET /messages?session_id={session}&cursor=x", ""), ("GET /events?after=999999&session_id={session}", "")],
        ],
        plugin: [&[("sessions.get", "{session}"), ("messages.get", "{message}"), ("webhooks.get", "{webhook}")], &[], &[]],
        cli: [&[("inspect {plugin}", "")], &[], &[]],
        why: "errors are told to whoever asked",
        ..NONE
    },
    Row {
        name: "ids",
        http: [
            &[("GET /sessions/{session}", ""), ("GET /batches/{batch}", ""), ("GET /tenants/{tenant}", "")],
            &[("DELETE /sessions/{session}", "")],
            &[("GET /sessions?cursor={session}", ""), ("GET /templates?cursor={template}", "")],
        ],
        plugin: [&[("sessions.get", "{session}"), ("messages.received", "999999")], &[], &[("sessions.all", "")]],
        why: "ids are told to their owner alone",
        ..NONE
    },
];
