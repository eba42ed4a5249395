//! Templates: one for each name and language, no more than the limit, and every tenant's its own.

use serde_json::json;

use super::{ACME, GLOBEX, LATER, NOW, storage};
use crate::records::id::{TemplateId, TenantId};
use crate::records::template::{Template, TemplateSettings};
use crate::rules::template::TEMPLATES_MAX;
use crate::storage::TemplateStored;

fn template(tenant: TenantId, id: u64, name: &str, language: &str) -> Template {
    Template {
        id: TemplateId(id),
        tenant,
        name: name.to_owned(),
        language: language.to_owned(),
        definition: json!({ "body": "Hello" }),
        parameters: vec![],
        created_at: NOW,
        updated_at: NOW,
    }
}

#[tokio::test]
async fn a_template_is_found_by_its_name_in_every_language_that_it_has() {
    let storage = storage();
    for (id, name, language) in [(3, "welcome", "en"), (1, "welcome", "de"), (2, "welcome_back", "en")] {
        assert_eq!(storage.create_template(&template(ACME, id, name, language)).await.unwrap(), TemplateStored::Done);
    }
    let found = storage.template_languages(ACME, "welcome").await.unwrap();
    assert_eq!(found, [("de".to_owned(), TemplateId(1)), ("en".to_owned(), TemplateId(3))]);
    assert_eq!(storage.template_languages(ACME, "welc").await.unwrap(), []);
    assert_eq!(storage.template_languages(GLOBEX, "welcome").await.unwrap(), []);
    let page = storage.templates(ACME, Some(TemplateId(1)), 1).await.unwrap();
    assert_eq!(page, [template(ACME, 2, "welcome_back", "en")]);
}

#[tokio::test]
async fn a_name_and_a_language_are_taken_once_and_free_again_when_their_template_goes() {
    let storage = storage();
    let first = template(ACME, 1, "welcome", "en");
    storage.create_template(&first).await.unwrap();
    let second = template(ACME, 2, "welcome", "en");
    assert_eq!(storage.create_template(&second).await.unwrap(), TemplateStored::Taken);
    assert_eq!(storage.create_template(&Template { tenant: GLOBEX, ..second.clone() }).await.unwrap(), TemplateStored::Done);

    let moved = Template { language: "de".to_owned(), created_at: LATER, updated_at: LATER, ..first.clone() };
    assert_eq!(storage.replace_template(&moved).await.unwrap(), TemplateStored::Done);
    let kept = storage.template(ACME, first.id).await.unwrap().unwrap();
    assert_eq!((kept.language.as_str(), kept.created_at, kept.updated_at), ("de", NOW, LATER));
    assert_eq!(storage.create_template(&second).await.unwrap(), TemplateStored::Done);
    assert_eq!(storage.replace_template(&first).await.unwrap(), TemplateStored::Taken);

    assert!(storage.delete_template(ACME, second.id).await.unwrap());
    assert!(!storage.delete_template(ACME, second.id).await.unwrap());
    assert_eq!(storage.replace_template(&second).await.unwrap(), TemplateStored::Missing);
    assert_eq!(storage.replace_template(&first).await.unwrap(), TemplateStored::Done);
}

#[tokio::test]
async fn a_tenant_has_so_many_templates_and_no_more() {
    let storage = storage();
    for id in 0..TEMPLATES_MAX as u64 {
        let stored = storage.create_template(&template(ACME, id, &format!("n{id}"), "en")).await.unwrap();
        assert_eq!(stored, TemplateStored::Done);
    }
    let one_more = template(ACME, u64::MAX, "one_more", "en");
    assert_eq!(storage.create_template(&one_more).await.unwrap(), TemplateStored::Full);
    assert!(storage.delete_template(ACME, TemplateId(7)).await.unwrap());
    assert_eq!(storage.create_template(&one_more).await.unwrap(), TemplateStored::Done);
}

#[tokio::test]
async fn settings_of_templates_are_each_tenants_own() {
    let storage = storage();
    let german = TemplateSettings { default_language: Some("de".to_owned()) };
    storage.set_template_settings(ACME, &german).await.unwrap();
    assert_eq!(storage.template_settings(ACME).await.unwrap(), german);
    assert_eq!(storage.template_settings(GLOBEX).await.unwrap(), TemplateSettings::default());
}
