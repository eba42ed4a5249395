//! What is uploaded: refused by name, with the cure, before it can do anything; and the trial of what is not.

use switchboard_core::storage::ARTIFACT_BYTES_MAX;
use switchboard_runtime::types::Request;
use switchboard_runtime::{CompileError, InspectError, Outcome, Owner, Runtime};

use crate::stage::{Stage, component, context, principal, runtime, settings};

const HOSTILE: &str = env!("GUEST_HOSTILE");
const IMPORTS_KEYS: &str = env!("GUEST_IMPORTS_KEYS");
const NO_INTERFACE: &str = env!("GUEST_NO_INTERFACE");
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const WASENDER: &str = env!("PLUGIN_WASENDER");

/// Why `bytes` are refused to `owner` with `config`.
async fn refused(runtime: &Runtime, bytes: &[u8], owner: Owner, config: &str) -> InspectError {
    match runtime.load(bytes, owner, &context(None, config)).await {
        Err(CompileError::Refused(error)) => error,
        other => panic!("{config}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_by_name() {
    let runtime = runtime(settings(1));
    let garbage = [b"\0asm\x0d\0\x01\0".as_slice(), &[0xff; 100]].concat();
    let too_large = vec![0; ARTIFACT_BYTES_MAX + 1];
    let uploads: [(&[u8], &str); 9] = [
        (b"", "empty"),
        (b"PK\x03\x04 a zip file", "not_wasm"),
        (b"\0asm", "not_wasm"),
        (b"\0asm\x01\0\0\0", "core_module"),
        (b"\x7fELF\x02\x01\x01\0", "precompiled"),
        (b"\0asm\x0e\0\x01\0", "unknown_encoding"),
        (&garbage, "invalid_component"),
        (&too_large, "too_large"),
        // A component, and nothing in it.
        (b"\0asm\x0d\0\x01\0", "no_known_interface"),
    ];
    for (bytes, code) in uploads {
        assert_eq!(refused(&runtime, bytes, Owner::Operator, "{}").await.code(), code);
    }
}

#[tokio::test]
async fn a_component_that_was_cut_off_is_refused_wherever_it_was_cut() {
    let runtime = runtime(settings(1));
    let whole = component(HOSTILE);
    for part in 0..64 {
        let cut = &whole[..whole.len() * part / 64];
        let error = refused(&runtime, cut, Owner::Operator, "{}").await;
        let codes = ["empty", "not_wasm", "truncated", "no_known_interface"];
        assert!(codes.contains(&error.code()), "{part}/64: {error}");
    }
}

#[tokio::test]
async fn a_component_without_a_known_interface_is_refused() {
    let runtime = runtime(settings(1));
    let error = refused(&runtime, &component(NO_INTERFACE), Owner::Operator, "{}").await;
    assert_eq!(error.code(), "no_known_interface", "{error}");
}

#[tokio::test]
async fn a_plugin_tells_what_is_wrong_with_its_configuration_and_is_loaded_all_the_same() {
    let stage = Stage::shared().await;
    let faults = async |path: &str, config: &str| {
        let loaded = stage.runtime.load(&component(path), Owner::Operator, &context(None, config)).await.unwrap();
        assert!(!loaded.interfaces.iter().any(|interface| interface == "configurable"));
        loaded.config_faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(faults(WASENDER, r#"{"requests_per_minute":null,"messages_per_minute":1}"#).await.is_empty());
    let found = faults(WASENDER, r#"{"requests_per_minutes":5}"#).await;
    assert_eq!(found, ["requests_per_minutes: is not known; there are: requests_per_minute, messages_per_minute"]);
    let found = faults(AUTO_REPLY, r#"{"match":"sounds","replies":[{"keyword":"x","reply":7}]}"#).await;
    assert_eq!(found[0], "match: is \"sounds\"; one of word, exact, contains is expected");
    assert_eq!(found[1], "replies.0.reply: is 7; a text of 1 to 65536 characters is expected");
    assert!(faults(IMPORTS_KEYS, r#"{"anything":"goes"}"#).await.is_empty(), "it checks nothing");
}

#[tokio::test]
async fn only_the_operators_plugins_may_read_keys() {
    let stage = Stage::shared().await;
    let bytes = component(IMPORTS_KEYS);
    let error = refused(&stage.runtime, &bytes, Owner::Tenant, "{}").await;
    let InspectError::ForbiddenImport { interface } = &error else { panic!("{error}") };
    assert_eq!(interface, "switchboard:plugin/keys@0.1.0");

    let caller = context(Some(principal(1)), "{}");
    let plugin = stage.runtime.load(&bytes, Owner::Operator, &context(None, "{}")).await.unwrap();
    let Outcome::Reply(response) = stage.runtime.handle(&plugin, &caller, &Request::default()).await.outcome else {
        panic!()
    };
    assert_eq!(response.body, b"ses_live_7");
}

#[tokio::test]
async fn the_first_party_plugins_pass() {
    let stage = Stage::shared().await;
    let auto_reply = stage.runtime.load(&component(AUTO_REPLY), Owner::Tenant, &context(None, "{}")).await.unwrap();
    assert_eq!(auto_reply.interfaces, ["responder"]);
    assert_eq!(auto_reply.event_kinds, ["message.received"]);
    let wasender = stage.runtime.load(&component(WASENDER), Owner::Operator, &context(None, "{}")).await.unwrap();
    assert_eq!(wasender.interfaces, ["router", "webhook"]);
    assert!(!wasender.routes.is_empty());

    let outcome = stage.runtime.handle(&auto_reply, &context(None, "{}"), &Request::default()).await.outcome;
    assert_eq!(outcome, Outcome::PluginError("does not export router".to_owned()));
}

#[tokio::test]
async fn one_component_may_serve_several_interfaces() {
    let plugin = &Stage::shared().await.plugin;
    let mut interfaces = plugin.interfaces.clone();
    interfaces.sort();
    assert_eq!(interfaces, ["responder", "router", "webhook"]);
    assert_eq!(plugin.bytes, component(HOSTILE).len());
}

#[tokio::test]
async fn a_trial_that_fails_and_a_declaration_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(1);
    settings.cache_folder = Some(folder.path().to_owned());
    let stage = Stage::new(settings).await;
    let bytes = component(HOSTILE);
    let declarations = [
        ("spin", "trial_failed", "over the cpu limit"),
        ("trap", "trial_failed", "unreachable"),
        ("many-routes", "bad_declaration", "257; the limit is 256"),
        ("bad-method", "bad_declaration", "the route TRACE /trace"),
        ("bad-path", "bad_declaration", "must begin with /"),
        ("long-path", "bad_declaration", "at most 256 characters"),
        ("big-body", "bad_declaration", "33554432"),
        ("files-of-nobody", "bad_declaration", "need a credential"),
        ("many-files", "bad_declaration", "1 to 10 files"),
        ("big-files", "bad_declaration", "104857600"),
        ("big-fields", "bad_declaration", "1048576"),
        ("nothing-but-no-form", "bad_declaration", "no form"),
        ("many-chats", "bad_declaration", "the subscription: chats has 1001 entries; the limit is 1000"),
        ("no-chat", "bad_declaration", "chats: \"Ann\" is not a telephone number"),
        ("many-event-kinds", "bad_declaration", "has 65 entries; 1 to 64 are allowed"),
    ];
    for (config, code, words) in declarations {
        let error = refused(&stage.runtime, &bytes, Owner::Tenant, &format!("{config:?}")).await;
        assert_eq!(error.code(), code, "{config}: {error}");
        assert!(error.to_string().contains(words), "{config}: {error}");
        stage.assert_well().await;
    }
}

#[tokio::test]
async fn an_event_kind_may_be_no_longer_than_other_names() {
    let stage = Stage::shared().await;
    let error = refused(&stage.runtime, &component(HOSTILE), Owner::Tenant, "\"long-event-kind\"").await;
    assert_eq!(error.code(), "bad_declaration", "{error}");
    assert!(error.to_string().len() < 1000);
}
