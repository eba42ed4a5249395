//! The host's own OpenAPI document, as a test reads it: does an answer have the shape that was promised?

use serde_json::Value;
use switchboard::http::{LocalAnswer, LocalClient};

/// The document of a host.
pub struct Contract(Value);

impl Contract {
    /// Asks a host for it.
    pub async fn of(http: LocalClient) -> Self {
        let answer = http.json("GET", "/switchboard/v1/openapi.json", None, None).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        Self(answer.json())
    }

    /// Fails unless `answer` is one that the document promises for `method` on the path `template`.
    pub fn check(&self, method: &str, template: &str, answer: &LocalAnswer) {
        let place = format!("{method} {template} {}", answer.status);
        let operation = &self.0["paths"][template][method.to_lowercase()];
        let promised = &operation["responses"][answer.status.to_string()];
        assert!(promised.is_object(), "{place} is not promised: {answer:?}");
        let Some(content) = promised["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place} promises no body: {answer:?}");
            return;
        };
        let given = answer.header("content-type").unwrap_or_default();
        let schema = content.get(given).unwrap_or_else(|| panic!("{place} does not promise {given}"));
        if given.ends_with("json") {
            self.fits(&schema["schema"], &answer.json(), &place);
        }
    }

    fn fits(&self, schema: &Value, value: &Value, place: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.fits(&self.0["components"]["schemas"][name], value, place);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fits(part, value, place);
        }
        if let Some(parts) = schema["oneOf"].as_array() {
            // Of the alternatives that the document has, one is always null.
            let other = parts.iter().find(|part| part["type"] != "null").unwrap();
            assert_eq!(parts.len(), 2, "{place}");
            if !value.is_null() {
                self.fits(other, value, place);
            }
            return;
        }
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(allowed.contains(value), "{place}: {value} is not one of {allowed:?}");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
            _ => Vec::new(),
        };
        assert!(types.is_empty() || types.iter().any(|name| is(name, value)), "{place}: {value} is none of {types:?}");
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: {name} is missing in {value}");
        }
        let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
            for item in value.as_array().into_iter().flatten() {
                self.fits(&schema["items"], item, place);
            }
            return;
        };
        for (name, member) in members {
            match properties.get(name) {
                Some(schema) => self.fits(schema, member, &format!("{place} {name}")),
                // A problem may add what its endpoint has to say.
                None => assert!(place.contains(" 4"), "{place}: {name} is not promised"),
            }
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => panic!("{name} is not a type"),
    }
}
