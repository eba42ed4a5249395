//! Templates of messages: stored, listed, tried out and removed. They belong to the tenant as a whole.

use std::iter;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use switchboard_core::flow::guards::{RenderRefusal, Renderer};
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::TemplateCall;
use switchboard_core::records::id::{TemplateId, TenantId, draw_public_number};
use switchboard_core::records::template::{Template, TemplateSettings};
use switchboard_core::rules::content_limits::{self, ContentRefusal};
use switchboard_core::rules::fact_json::content_json;
use switchboard_core::rules::template::{self, DEFINITION_BYTES_MAX, TEMPLATES_MAX};
use switchboard_core::storage::{StorageError, TemplateStored};

use super::super::body::read_value;
use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, JSON_BYTES_MAX, Route, no_content, route};

/// The resource that scopes name.
const RESOURCE: &str = "templates";
/// Templates in one answer.
const PAGE_MAX: usize = 200;
/// How often a drawn id may be taken already.
const DRAW_TRIES_MAX: u32 = 8;

pub(super) const ROUTES: &[Route] = &[
    route("GET", "templates", |door, call| Box::pin(door.list_templates(call))).asked(&["name", "cursor", "limit"]),
    route("POST", "templates", |door, call| Box::pin(door.create_template(call))),
    route("GET", "templates/settings", |door, call| Box::pin(door.show_template_settings(call))),
    route("PUT", "templates/settings", |door, call| Box::pin(door.set_template_settings(call))),
    route("GET", "templates/{template}", |door, call| Box::pin(door.show_template(call))),
    route("PATCH", "templates/{template}", |door, call| Box::pin(door.change_template(call))),
    route("DELETE", "templates/{template}", |door, call| Box::pin(door.delete_template(call))),
    route("POST", "templates/{template}/preview", |door, call| Box::pin(door.preview_template(call))),
];

/// A template to store.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateWish {
    name: String,
    language: String,
    definition: Map<String, Value>,
}

/// What of a template is to be different.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateChange {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    definition: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsWish {
    default_language: Option<String>,
}

/// What a template is tried out with: an object of named parameters, or a list of positional ones.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PreviewWish {
    parameters: Option<Value>,
}

fn template_json(template: &Template) -> Value {
    json!({
        "id": template.id, "name": template.name, "language": template.language, "definition": template.definition,
        "parameters": template.parameters, "created_at": template.created_at, "updated_at": template.updated_at,
    })
}

fn missing() -> Problem {
    Problem::not_found("there is no template of this id")
}

/// What became of storing `template`.
fn stored(outcome: TemplateStored, template: &Template) -> Result<(), Problem> {
    match outcome {
        TemplateStored::Done => Ok(()),
        TemplateStored::Taken => {
            let why = format!("there is a template {} in {} already", template.name, template.language);
            Err(Problem::new(StatusCode::CONFLICT, why).with("code", "taken"))
        }
        TemplateStored::Full => {
            let why = format!("there are {TEMPLATES_MAX} templates; that is the limit");
            Err(Problem::new(StatusCode::CONFLICT, why).with("code", "full"))
        }
        TemplateStored::Missing => Err(missing()),
    }
}

/// What is wrong with a template, or with what it was given.
fn refused(refusal: RenderRefusal) -> Problem {
    match refusal {
        RenderRefusal::MissingParameter(name) => Problem::invalid("parameters", format!("{name:?} is missing"))
            .with("code", "missing_parameter")
            .with("parameter", name),
        RenderRefusal::Invalid(why) => Problem::invalid("definition", why),
        RenderRefusal::Definition(faults) if faults.is_empty() => Problem::invalid("definition", "cannot be stored"),
        RenderRefusal::Definition(faults) => Problem::invalid_all(faults.iter().map(|fault| {
            let place = iter::once("definition").chain(fault.place.iter().map(String::as_str));
            (place.collect(), fault.why.as_str())
        })),
        RenderRefusal::Failed(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// Only who acts for the whole tenant changes what all of its sessions send.
fn for_all_sessions(caller: &Principal) -> Result<(), Problem> {
    if caller.session.is_none() {
        return Ok(());
    }
    let why = "a key that is bound to one session cannot change templates, which are those of all sessions";
    Err(Problem::new(StatusCode::FORBIDDEN, why))
}

impl FrontDoor {
    async fn list_templates(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), RESOURCE, "read").await?.tenant;
        let query = call.query();
        let (limit, after) = (query.limit(PAGE_MAX)?, query.number("cursor")?.map(TemplateId));
        let page = match query.get("name") {
            Some(name) => self.templates_of_name(tenant, name, after, limit).await?,
            None => self.storage.templates(tenant, after, limit).await?,
        };
        let next = page.last().filter(|_| page.len() == limit).map(|last| last.id.to_string());
        let page: Vec<Value> = page.iter().map(template_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "templates": page, "next_cursor": next })))
    }

    async fn templates_of_name(
        &self,
        tenant: TenantId,
        name: &str,
        after: Option<TemplateId>,
        limit: usize,
    ) -> Result<Vec<Template>, StorageError> {
        let mut ids: Vec<TemplateId> =
            self.storage.template_languages(tenant, name).await?.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        let mut page = Vec::new();
        for id in ids.into_iter().filter(|id| after.is_none_or(|after| *id > after)).take(limit) {
            page.extend(self.storage.template(tenant, id).await?);
        }
        Ok(page)
    }

    async fn create_template(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), RESOURCE, "write").await?;
        for_all_sessions(&caller)?;
        let wish: TemplateWish = call.json(JSON_BYTES_MAX).await?;
        let now = self.clock.now();
        let template = Template {
            id: TemplateId(draw_public_number(&*self.verbs.entropy)),
            tenant: caller.tenant,
            name: wish.name,
            language: wish.language,
            definition: wish.definition.into(),
            parameters: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let mut template = self.checked_template(template).await?;
        for _ in 0..DRAW_TRIES_MAX {
            match self.storage.create_template(&template).await {
                Err(StorageError::Conflict) => template.id = TemplateId(draw_public_number(&*self.verbs.entropy)),
                outcome => {
                    stored(outcome?, &template)?;
                    return Ok(json_answer(StatusCode::CREATED, &template_json(&template)));
                }
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// The same with its language in one spelling, and the parameters that it needs, if it can be stored.
    async fn checked_template(&self, template: Template) -> Result<Template, Problem> {
        template::check_name(&template.name).map_err(|error| Problem::invalid("name", error.to_string()))?;
        let language = template::language(&template.language);
        let language = language.map_err(|error| Problem::invalid("language", error.to_string()))?;
        let definition = template.definition.to_string();
        if definition.len() > DEFINITION_BYTES_MAX {
            let why = format!("has {} bytes; the limit is {DEFINITION_BYTES_MAX}", definition.len());
            return Err(Problem::invalid("definition", why));
        }
        let checked = self.verbs.guards.check(template.tenant, &template.name, &language, &definition).await;
        let parameters = checked.map_err(refused)?;
        Ok(Template { language, parameters, ..template })
    }

    async fn show_template(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), RESOURCE, "read").await?.tenant;
        let template = self.storage.template(tenant, call.id(0)?).await?.ok_or_else(missing)?;
        Ok(json_answer(StatusCode::OK, &template_json(&template)))
    }

    async fn change_template(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), RESOURCE, "write").await?;
        for_all_sessions(&caller)?;
        let id: TemplateId = call.id(0)?;
        let change: TemplateChange = call.json(JSON_BYTES_MAX).await?;
        let before = self.storage.template(caller.tenant, id).await?.ok_or_else(missing)?;
        let changed = Template {
            name: change.name.unwrap_or(before.name),
            language: change.language.unwrap_or(before.language),
            definition: change.definition.map_or(before.definition, Value::from),
            updated_at: self.clock.now(),
            ..before
        };
        let changed = self.checked_template(changed).await?;
        stored(self.storage.replace_template(&changed).await?, &changed)?;
        Ok(json_answer(StatusCode::OK, &template_json(&changed)))
    }

    async fn delete_template(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), RESOURCE, "write").await?;
        for_all_sessions(&caller)?;
        if self.storage.delete_template(caller.tenant, call.id(0)?).await? { Ok(no_content()) } else { Err(missing()) }
    }

    /// What the template says with these parameters. Nothing is sent.
    async fn preview_template(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), RESOURCE, "read").await?.tenant;
        let id: TemplateId = call.id(0)?;
        let wish: PreviewWish = call.json_or_nothing(JSON_BYTES_MAX).await?;
        let template = self.storage.template(tenant, id).await?.ok_or_else(missing)?;
        let given = json!({
            "name": template.name, "language": template.language, "parameters": wish.parameters.unwrap_or_else(|| json!({})),
        });
        let parsed: TemplateCall = read_value(given)?;
        if let Some(why) = template::surplus(&template.parameters, &parsed.parameters) {
            return Err(Problem::invalid("parameters", why));
        }
        let content = self.verbs.guards.render(&template, &parsed).await;
        let content = content.map_err(refused)?;
        if let Err(ContentRefusal::Invalid { field, why, .. }) = content_limits::check(&content) {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("it cannot be sent: {field}: {why}")));
        }
        Ok(json_answer(StatusCode::OK, &json!({ "content": content_json(&content) })))
    }

    async fn show_template_settings(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), RESOURCE, "read").await?.tenant;
        Ok(json_answer(StatusCode::OK, &json!(self.storage.template_settings(tenant).await?)))
    }

    async fn set_template_settings(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), RESOURCE, "write").await?;
        for_all_sessions(&caller)?;
        let wish: SettingsWish = call.json(JSON_BYTES_MAX).await?;
        let default_language = wish.default_language.as_deref().map(template::language).transpose();
        let wrong = |error: template::TemplateNameError| Problem::invalid("default_language", error.to_string());
        let settings = TemplateSettings { default_language: default_language.map_err(wrong)? };
        self.storage.set_template_settings(caller.tenant, &settings).await?;
        Ok(json_answer(StatusCode::OK, &json!(settings)))
    }
}
