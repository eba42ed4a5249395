//! Policies and what renders templates: what they say is passed on, and what they do wrong is an outcome of that call alone.

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::guards::{DefinitionFault, Question, RenderRefusal};
use switchboard_core::records::content::{Content, Extras, TemplateCall};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_runtime::{GivenTemplate, Limit, LoadedPlugin, Outcome, Owner, Runtime, Verdict};

use crate::stage::{component, context, principal, runtime, session, settings};

async fn loaded(path: &str) -> (Runtime, LoadedPlugin) {
    let runtime = runtime(settings(1));
    let plugin = runtime.load(&component(path), Owner::Tenant, &context(None, "{}")).await.unwrap();
    (runtime, plugin)
}

async fn judged(text: &str, config: &str) -> Outcome<Verdict> {
    let (runtime, plugin) = loaded(env!("GUEST_POLICY")).await;
    assert_eq!(plugin.interfaces, ["auth-policy"]);
    let (session, by) = (session(SessionId(5), TenantId(1)), principal(1));
    let call = TemplateCall { name: "welcome".to_owned(), language: None, parameters: vec![] };
    let question = Question {
        by: Some(&by),
        session: &session,
        to: "15550100001@s.whatsapp.net",
        content: &Content::Text(text.to_owned()),
        extras: &Extras::default(),
        template: Some(&call),
        now: Timestamp(1),
        zone_minutes: Some(-300),
        sent_last_day: 7,
    };
    runtime.judge(&plugin, &context(None, config), &question).await.outcome
}

#[tokio::test]
async fn a_policy_allows_or_denies_by_all_that_it_is_told() {
    let config = r#"{"deny":"bad","reason":"{template}/{who}/{zone}/{sent}"}"#;
    assert_eq!(judged("good", config).await, Outcome::Reply(Verdict::Allow));
    assert_eq!(judged("bad", config).await, Outcome::Reply(Verdict::Deny("welcome/a key/-300/7".to_owned())));
}

#[tokio::test]
async fn a_policy_that_spins_or_traps_ends_at_its_limit_and_its_reason_is_short() {
    assert!(matches!(judged("spin", "{}").await, Outcome::LimitExceeded(Limit::Cpu, _)));
    assert!(matches!(judged("trap", "{}").await, Outcome::Trap(_)));
    let Outcome::Reply(Verdict::Deny(reason)) = judged("reason-huge", "{}").await else { panic!("not denied") };
    assert_eq!(reason.len(), 1000);
}

async fn rendered(definition: &str, parameters: &[(&str, &str)]) -> Outcome<Result<Content, RenderRefusal>> {
    let (runtime, plugin) = loaded(env!("GUEST_LETTERHEAD")).await;
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let call = TemplateCall { name: "letter".to_owned(), language: None, parameters };
    let given = GivenTemplate { name: "letter", language: "en", definition };
    runtime.render_template(&plugin, &context(None, "{}"), given, &call).await.outcome
}

#[tokio::test]
async fn a_template_becomes_content_or_says_what_is_missing() {
    let text = rendered(r#"{"says":"hello"}"#, &[("to", "Ada")]).await;
    assert_eq!(text, Outcome::Reply(Ok(Content::Text("ACME Ltd.\nAda, hello".to_owned()))));
    let missing = rendered(r#"{"says":"hello"}"#, &[]).await;
    assert_eq!(missing, Outcome::Reply(Err(RenderRefusal::MissingParameter("to".to_owned()))));
    let invalid = rendered("{}", &[]).await;
    assert_eq!(invalid, Outcome::Reply(Err(RenderRefusal::Invalid("says is missing".to_owned()))));
}

#[tokio::test]
async fn a_renderer_that_traps_or_says_too_much_ends_at_its_limit() {
    assert!(matches!(rendered(r#"{"says":"trap"}"#, &[]).await, Outcome::Trap(_)));
    assert!(matches!(rendered(r#"{"says":"huge"}"#, &[]).await, Outcome::LimitExceeded(Limit::Bytes, _)));
}

#[tokio::test]
async fn what_a_template_needs_is_asked_before_it_is_stored() {
    let (runtime, plugin) = loaded(env!("GUEST_LETTERHEAD")).await;
    let given = |definition| GivenTemplate { name: "letter", language: "en", definition };
    let checked = runtime.check_template(&plugin, &context(None, "{}"), given(r#"{"says":"x"}"#)).await.outcome;
    assert_eq!(checked, Outcome::Reply(Ok(vec!["to".to_owned()])));
    let checked = runtime.check_template(&plugin, &context(None, "{}"), given("[]")).await.outcome;
    let fault = DefinitionFault { place: vec!["says".to_owned()], why: "says is missing".to_owned() };
    assert_eq!(checked, Outcome::Reply(Err(vec![fault])));
    let endless = GivenTemplate { name: "endless", ..given("[]") };
    let checked = runtime.check_template(&plugin, &context(None, "{}"), endless).await.outcome;
    let place = vec!["x".repeat(60); 16];
    let fault = DefinitionFault { place, why: "says is missing".to_owned() };
    assert_eq!(checked, Outcome::Reply(Err(vec![fault; 50])), "of very many, so many are told");
}

#[tokio::test]
async fn what_a_plugin_does_not_export_is_not_asked_of_it() {
    let (runtime, plugin) = loaded(env!("GUEST_POLICY")).await;
    let given = GivenTemplate { name: "letter", language: "en", definition: "{}" };
    let checked = runtime.check_template(&plugin, &context(None, "{}"), given).await.outcome;
    assert!(matches!(&checked, Outcome::PluginError(why) if why.contains("template")), "{checked:?}");
}
