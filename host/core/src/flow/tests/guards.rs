//! What is asked before a message is accepted: templates become what they say, and policies judge that.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;

use super::{Host, NUMBER_JID, SESSION, TENANT, text_of, wish};
use crate::clock::Clock;
use crate::flow::guards::{Guards, Policies, PolicyRefusal, Question, RenderRefusal, Renderer};
use crate::flow::intake::{BatchWish, IntakeError, SendWish};
use crate::records::account::{KeyKind, Principal};
use crate::records::content::{Content, TemplateCall};
use crate::records::id::{KeyId, TemplateId, TenantId};
use crate::records::template::{Template, TemplateSettings};

/// Denies what says "no", fails for what says "fail", and writes down what it was asked.
#[derive(Default)]
struct Censor {
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Policies for Censor {
    fn any(&self, tenant: TenantId) -> bool {
        tenant == TENANT
    }

    async fn judge(&self, _: TenantId, question: &Question<'_>) -> Result<(), PolicyRefusal> {
        let Content::Text(text) = question.content else { return Ok(()) };
        let who = question.by.map_or("nobody".to_owned(), |by| by.key.to_string());
        let template = question.template.map_or("", |call| &call.name);
        let zone = question.zone_minutes.unwrap_or_default();
        let line = format!("{who}|{}|{text}|{template}|{zone}|{}", question.to, question.sent_last_day);
        self.asked.lock().unwrap().push(line);
        match text.as_str() {
            "no" => Err(PolicyRefusal::Denied("not at night".to_owned())),
            "fail" => Err(PolicyRefusal::Failed("it trapped".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Says the body with the first parameter behind it.
struct Plain;

#[async_trait]
impl Renderer for Plain {
    async fn check(&self, _: TenantId, _: &str, _: &str, _: &str) -> Result<Vec<String>, RenderRefusal> {
        Ok(vec!["1".to_owned()])
    }

    async fn render(&self, template: &Template, call: &TemplateCall) -> Result<Content, RenderRefusal> {
        let Some((_, value)) = call.parameters.first() else {
            return Err(RenderRefusal::MissingParameter("1".to_owned()));
        };
        let text = template.definition["body"].as_str().unwrap_or_default();
        match text {
            "again" => Ok(Content::Template(call.clone())),
            text => Ok(Content::Text(format!("{text}{value}"))),
        }
    }
}

async fn guarded() -> (Host, Arc<Censor>) {
    let mut host = Host::start().await;
    let censor = Arc::new(Censor::default());
    let guards = Guards { policies: Some(Arc::clone(&censor) as _), renderer: Some(Arc::new(Plain)), routes: None };
    host.intake = host.intake.with_guards(guards);
    for (id, name, language, body) in
        [(1, "welcome", "en", "Hello "), (2, "welcome", "de", "Hallo "), (3, "loop", "en", "again"), (4, "bare", "en", "")]
    {
        let (name, language, definition) = (name.to_owned(), language.to_owned(), json!({ "body": body }));
        let (id, tenant, at) = (TemplateId(id), TENANT, host.clock.now());
        let parameters = vec![];
        let template = Template { id, tenant, name, language, definition, parameters, created_at: at, updated_at: at };
        host.storage.create_template(&template).await.unwrap();
    }
    (host, censor)
}

fn call(name: &str, language: Option<&str>, parameters: &[&str]) -> SendWish {
    let parameters = (1..).zip(parameters).map(|(n, value): (u32, _)| (n.to_string(), (*value).to_owned())).collect();
    let call = TemplateCall { name: name.to_owned(), language: language.map(str::to_owned), parameters };
    SendWish { content: Content::Template(call), ..wish("") }
}

fn holder(test: bool) -> Arc<Principal> {
    Arc::new(Principal {
        tenant: TENANT,
        key: KeyId(42),
        kind: KeyKind::Tenant,
        session: None,
        scopes: vec![],
        test,
        acting: None,
    })
}

#[tokio::test]
async fn what_a_policy_denies_is_not_accepted_and_its_reason_is_told() {
    let (host, censor) = guarded().await;
    let refused = host.refusal(wish("no")).await;
    assert!(matches!(&refused, IntakeError::RefusedByPolicy(reason) if reason == "not at night"), "{refused}");
    assert_eq!(*censor.asked.lock().unwrap(), [format!("nobody|{NUMBER_JID}|no||120|0")]);
}

#[tokio::test]
async fn a_policy_that_fails_lets_nothing_through() {
    let (host, _) = guarded().await;
    let refused = host.refusal(wish("fail")).await;
    assert!(matches!(&refused, IntakeError::GuardFailed(why) if why == "it trapped"), "{refused}");
}

#[tokio::test]
async fn a_policy_knows_who_asks_and_how_much_the_session_sent() {
    let (host, censor) = guarded().await;
    host.accept_text("first").await;
    let by = SendWish { by: Some(holder(false)), ..wish("second") };
    host.intake.accept(TENANT, by).await.unwrap();
    assert_eq!(censor.asked.lock().unwrap()[1], format!("42|{NUMBER_JID}|second||120|1"));
}

#[tokio::test]
async fn every_message_of_a_batch_is_judged_by_itself() {
    let (host, _) = guarded().await;
    let messages = vec![wish("one"), wish("no"), wish("three")];
    let accepted = host.intake.accept_batch(TENANT, BatchWish { session: SESSION, name: None, messages }).await.unwrap();
    assert!(matches!(accepted.results[1], Err(IntakeError::RefusedByPolicy(_))), "{accepted:?}");
    assert_eq!(accepted.record.unwrap().messages, 2);
}

#[tokio::test]
async fn what_is_refused_for_what_it_is_never_comes_before_a_policy() {
    let (host, censor) = guarded().await;
    host.refusal(wish(" ")).await;
    host.refusal(SendWish { to: "nobody".to_owned(), ..wish("x") }).await;
    assert!(censor.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_template_is_sent_as_what_it_says_and_policies_judge_that() {
    let (host, censor) = guarded().await;
    let message = host.intake.accept(TENANT, call("welcome", Some("en-GB"), &["Ada"])).await.unwrap();
    assert_eq!(text_of(&message), "Hello Ada");
    let template = message.template.unwrap();
    assert_eq!((template.name.as_str(), template.language.as_deref()), ("welcome", Some("en")));
    assert_eq!(*censor.asked.lock().unwrap(), [format!("nobody|{NUMBER_JID}|Hello Ada|welcome|120|0")]);
    let refused = host.intake.accept(TENANT, call("bare", None, &["no"])).await.unwrap_err();
    assert!(matches!(refused, IntakeError::RefusedByPolicy(_)), "a template hides nothing: {refused}");
}

#[tokio::test]
async fn the_tenants_language_is_sent_where_none_is_meant_clearly() {
    let (host, _) = guarded().await;
    let refused = host.refusal(call("welcome", None, &["Ada"])).await.to_string();
    assert!(refused.contains("de, en"), "{refused}");
    let german = TemplateSettings { default_language: Some("de".to_owned()) };
    host.storage.set_template_settings(TENANT, &german).await.unwrap();
    let message = host.intake.accept(TENANT, call("welcome", Some("fr"), &["Ada"])).await.unwrap();
    assert_eq!(text_of(&message), "Hallo Ada");
}

#[tokio::test]
async fn a_template_that_is_missing_or_lacks_a_parameter_is_refused_by_name() {
    let (host, _) = guarded().await;
    let refused = host.refusal(call("farewell", None, &[])).await;
    assert!(matches!(&refused, IntakeError::NoSuchTemplate(why) if why.contains("farewell")), "{refused}");
    let refused = host.refusal(call("bare", None, &[])).await;
    assert!(matches!(&refused, IntakeError::MissingParameter(name) if name == "1"), "{refused}");
    let refused = host.refusal(call("bare", Some("english"), &["x"])).await;
    assert!(matches!(&refused, IntakeError::Invalid { field: "language", .. }), "{refused}");
    let refused = host.refusal(call("loop", None, &["x"])).await;
    assert!(matches!(&refused, IntakeError::Invalid { field: "template", .. }), "{refused}");
    let refused = host.refusal(call("bare", None, &[" "])).await;
    assert!(matches!(&refused, IntakeError::Invalid { field: "text", .. }), "what it says is looked at: {refused}");
}

#[tokio::test]
async fn nothing_is_rendered_where_nobody_renders() {
    let host = Host::start().await;
    let at = host.clock.now();
    let template = Template {
        id: TemplateId(1),
        tenant: TENANT,
        name: "bare".to_owned(),
        language: "en".to_owned(),
        definition: json!({}),
        parameters: vec![],
        created_at: at,
        updated_at: at,
    };
    host.storage.create_template(&template).await.unwrap();
    let refused = host.refusal(call("bare", None, &[])).await;
    assert!(matches!(refused, IntakeError::GuardFailed(_)), "{refused}");
}
