//! The OpenAPI document of the host's own API: one file for each resource in `openapi/`, put together here.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use switchboard_core::records::id::TenantId;

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer, with_type};
use super::{Answered, Call, Route, route};

pub(super) const ROUTES: &[Route] = &[
    route("GET", "openapi.json", |door, call| Box::pin(door.show_openapi(call))),
    route("GET", "openapi/{plugin}.json", |door, call| Box::pin(door.show_openapi_of_plugin(call))),
];

/// What the name of a plugin's document ends with.
const SUFFIX: &str = ".json";

/// Each has `paths`, below the base, and `schemas`; some have `responses` and `webhooks`.
const PARTS: [&str; 14] = [
    include_str!("../openapi/common.json"),
    include_str!("../openapi/apis.json"),
    include_str!("../openapi/operator.json"),
    include_str!("../openapi/plugins.json"),
    include_str!("../openapi/plugin_runs.json"),
    include_str!("../openapi/plugin_secrets.json"),
    include_str!("../openapi/sessions.json"),
    include_str!("../openapi/messages.json"),
    include_str!("../openapi/templates.json"),
    include_str!("../openapi/media.json"),
    include_str!("../openapi/events.json"),
    include_str!("../openapi/webhooks.json"),
    include_str!("../openapi/logs.json"),
    include_str!("../openapi/usage.json"),
];
/// The same of the simulated network, in a build that has one.
const SIM_PART: Option<&str> = if cfg!(feature = "sim") { Some(include_str!("../openapi/sim.json")) } else { None };

/// What parts are put together from.
#[derive(Default)]
struct Parts {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    responses: Map<String, Value>,
    webhooks: Map<String, Value>,
}

impl Parts {
    fn add(&mut self, part: &str) -> Result<(), serde_json::Error> {
        let mut part: Map<String, Value> = serde_json::from_str(part)?;
        for (name, into) in [
            ("paths", &mut self.paths),
            ("schemas", &mut self.schemas),
            ("responses", &mut self.responses),
            ("webhooks", &mut self.webhooks),
        ] {
            if let Some(Value::Object(entries)) = part.remove(name) {
                into.extend(entries);
            }
        }
        Ok(())
    }
}

/// The document.
fn document() -> Result<Value, serde_json::Error> {
    let mut parts = Parts::default();
    PARTS.into_iter().try_for_each(|part| parts.add(part))?;
    refuse_bad_requests(&mut parts.paths);
    // What it takes and refuses is the network's own.
    SIM_PART.into_iter().try_for_each(|part| parts.add(part))?;
    let Parts { paths, schemas, responses, webhooks } = parts;
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchboard",
            "summary": "A self-hosted WhatsApp gateway: the host's own API.",
            "description": "Times are milliseconds since 1970-01-01T00:00:00Z. Errors are problem details (RFC 9457). Lists come in pages: ask for the next one with `cursor` set to `next_cursor`, until that is null; a page may be short, or empty, and have a next one all the same. A parameter of a query that an operation does not know, or one that is given twice, is refused with 400.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": "/switchboard/v1" }],
        "security": [{ "key": [] }],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "responses": responses,
            "securitySchemes": { "key": {
                "type": "http", "scheme": "bearer",
                "description": "The operator's key, or a key of a tenant. A key that is bound to a session sees that session alone.",
            } },
            "schemas": schemas,
        },
    }))
}

/// Every operation refuses parameters that it does not know; those that take a body say themselves what else it refuses so.
fn refuse_bad_requests(paths: &mut Map<String, Value>) {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for answers in operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut()) {
        answers.entry("400").or_insert_with(|| json!({ "$ref": "#/components/responses/BadRequest" }));
    }
}

impl FrontDoor {
    /// For everybody: it holds nothing of anybody.
    async fn show_openapi(&self, _call: Call) -> Answered {
        let document = document().map_err(|error| {
            tracing::error!(%error, "the OpenAPI document is damaged");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the document is damaged")
        })?;
        Ok(json_answer(StatusCode::OK, &document))
    }

    /// For everybody too: a router says itself what it wants to be known of it, and tenants have no routers of their own here.
    async fn show_openapi_of_plugin(&self, call: Call) -> Answered {
        let plugin = call.param(0).strip_suffix(SUFFIX).and_then(|name| self.plugins.find(TenantId::OPERATOR, name));
        let document = plugin.and_then(|plugin| plugin.openapi());
        let document =
            document.ok_or_else(|| Problem::not_found("there is no plugin of this name that carries a document"))?;
        Ok(with_type(StatusCode::OK, "application/json", document))
    }
}

#[cfg(test)]
mod tests;
