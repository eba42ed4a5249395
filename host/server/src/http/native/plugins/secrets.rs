//! Secrets of a plugin: written and removed by its owner, listed without their values, read by the plugin alone.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use switchboard_core::records::plugin::{PLUGIN_SECRET_BYTES_MAX, PLUGIN_SECRETS_MAX};
use switchboard_core::rules::grants::{SECRET_NAME_CHARS_MAX, is_secret_name};
use switchboard_core::storage::SecretKept;

use super::super::{Answered, Call, JSON_BYTES_MAX, Route, no_content, route};
use super::{TENANT, no_plugin};
use crate::http::front_door::FrontDoor;
use crate::http::problem::{Problem, json as json_answer};

pub(in crate::http::native) const ROUTES: &[Route] = &[
    route("GET", "plugins/{name}/secrets", |door, call| Box::pin(door.list_plugin_secrets(call))).asked(&[TENANT]),
    route("PUT", "plugins/{name}/secrets/{secret}", |door, call| Box::pin(door.set_plugin_secret(call))),
    route("DELETE", "plugins/{name}/secrets/{secret}", |door, call| Box::pin(door.delete_plugin_secret(call))),
];

/// A secret as it is written. No error says any of it back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretWish {
    value: String,
}

impl FrontDoor {
    async fn list_plugin_secrets(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let plugin = self.stored_plugin(owner, call.param(0)).await?;
        let secrets = self.storage.plugin_secrets(owner, &plugin.name).await?;
        Ok(json_answer(StatusCode::OK, &json!({ "secrets": secrets })))
    }

    async fn set_plugin_secret(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let (plugin, name) = (call.param(0).to_owned(), call.param(1).to_owned());
        if !is_secret_name(&name) {
            let why = format!("must be 1 to {SECRET_NAME_CHARS_MAX} of A-Z, a-z, 0-9, _, - and .");
            return Err(Problem::bad_parameter("secret", why));
        }
        let SecretWish { value } = call.json(JSON_BYTES_MAX).await?;
        if !(1..=PLUGIN_SECRET_BYTES_MAX).contains(&value.len()) {
            let why = format!("has {} bytes; 1 to {PLUGIN_SECRET_BYTES_MAX} are taken", value.len());
            return Err(Problem::invalid("value", why));
        }
        match self.storage.keep_plugin_secret(owner, &plugin, &name, &value, self.clock.now()).await? {
            SecretKept::Created(secret) => Ok(json_answer(StatusCode::CREATED, &json!(secret))),
            SecretKept::Replaced(secret) => Ok(json_answer(StatusCode::OK, &json!(secret))),
            SecretKept::NoPlugin => Err(no_plugin()),
            SecretKept::TooMany => {
                let why = format!("the plugin has {PLUGIN_SECRETS_MAX} secrets, which is the limit");
                let problem = Problem::new(StatusCode::FORBIDDEN, why).with("code", "limit_reached");
                let problem = problem.with("limit", "plugin_secrets").with("max", PLUGIN_SECRETS_MAX);
                Err(problem.with("used", PLUGIN_SECRETS_MAX))
            }
        }
    }

    async fn delete_plugin_secret(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        if self.storage.delete_plugin_secret(owner, call.param(0), call.param(1)).await? {
            return Ok(no_content());
        }
        self.stored_plugin(owner, call.param(0)).await?;
        Err(Problem::not_found("the plugin has no secret of this name"))
    }
}
