//! Components that toolchains of JavaScript and Python make, each with an interpreter in it: they answer as any other does.

use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::content::Content;
use switchboard_core::records::plugin::SizeClass;
use switchboard_runtime::{Called, LoadedPlugin, Outcome, Owner, Runtime, inspect};
use switchboard_tests::toolchains::{python, quickjs, spidermonkey};

use switchboard_core::flow::responder_worker::Command;

use crate::stage::{context, heard, runtime, said, settings};

async fn respond(runtime: &Runtime, plugin: &LoadedPlugin, text: &str) -> Called<Vec<Command>> {
    let run = RunTry { id: "run-1", attempt: 1 };
    let called = runtime.respond(plugin, &context(None, "{}"), &run, &heard(text)).await;
    called.and_then(|answer| Outcome::Reply(answer.commands))
}

/// The component is of this class, is kept, and answers a message with its own text.
async fn assert_answers(component: &[u8], class: SizeClass) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(2);
    settings.cache_folder = Some(folder.path().to_owned());
    let first = runtime(settings.clone());
    let loaded = first.load(component, Owner::Tenant, &context(None, "{}")).await.unwrap();
    assert_eq!((loaded.class, loaded.interfaces.as_slice()), (class, ["responder".to_owned()].as_slice()));
    assert_eq!(loaded.event_kinds, ["message.received"]);
    // And from its compiled code, as after a restart.
    let second = runtime(settings);
    let kept = second.load(component, Owner::Tenant, &context(None, "{}")).await.unwrap();
    for (runtime, plugin) in [(&first, &loaded), (&second, &kept)] {
        for text in ["good day", "Straße 😀", ""] {
            assert_eq!(respond(runtime, plugin, text).await.outcome, Outcome::Reply(vec![said(text)]));
        }
        assert_eq!(respond(runtime, plugin, "fail").await.outcome, Outcome::PluginError("told to fail".to_owned()));
    }
}

#[tokio::test]
async fn javascript_with_quickjs_answers() {
    assert_answers(&quickjs("responder.mjs"), SizeClass::Small).await;
}

#[tokio::test]
async fn javascript_with_spidermonkey_answers() {
    assert_answers(&spidermonkey("responder.mjs"), SizeClass::Large).await;
}

#[tokio::test]
async fn python_answers() {
    assert_answers(&python(), SizeClass::Large).await;
}

#[tokio::test]
async fn a_component_that_asks_others_through_wasi_http_is_told_that_it_may_not() {
    let component = spidermonkey("asks.mjs");
    let imports = inspect(&component).unwrap().imports;
    assert!(imports.iter().any(|item| item.name.starts_with("wasi:http/outgoing-handler@0.2.")), "{imports:?}");
    let runtime = runtime(settings(1));
    let plugin = runtime.load(&component, Owner::Tenant, &context(None, "{}")).await.unwrap();
    let called = respond(&runtime, &plugin, "ask").await;
    let Outcome::Reply(commands) = &called.outcome else { panic!("{called:?}") };
    let [Command { content: Content::Text(answer), .. }] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(answer.starts_with("refused: "), "{answer}");
}
