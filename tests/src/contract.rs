//! The host's own OpenAPI document, as a test reads it: does an answer have the shape that was promised?

use serde_json::Value;
use switchboard::http::{LocalAnswer, LocalClient};

use crate::schema::is;

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
        let mut promised = &operation["responses"][answer.status.to_string()];
        if let Some(name) = promised["$ref"].as_str() {
            promised = self.0.pointer(name.trim_start_matches('#')).unwrap();
        }
        assert!(promised.is_object(), "{place} is not promised: {answer:?}");
        let Some(content) = promised["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place} promises no body: {answer:?}");
            return;
        };
        let given = answer.header("content-type").unwrap_or_default();
        let schema = content.get(given).unwrap_or_else(|| panic!("{place} does not promise {given}"));
        if given.ends_with("json") {
            let fits = self.fits(&schema["schema"], &answer.json());
            fits.unwrap_or_else(|why| panic!("{place}: {why}: {answer:?}"));
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            return self.fits(self.0.pointer(name.trim_start_matches('#')).unwrap(), value);
        }
        let properties = self.properties(schema);
        if let Some(parts) = schema["oneOf"].as_array() {
            let verdicts: Vec<_> = parts.iter().map(|part| self.fits(part, value)).collect();
            return if verdicts.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{verdicts:?}")) };
        }
        if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
            return Err(format!("{value} is none of {}", schema["enum"]));
        }
        if schema.get("const").is_some_and(|only| only != value) {
            return Err(format!("{value} is not {}", schema["const"]));
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
            return Err(format!("{value} is none of {types:?}"));
        }
        for name in self.required(schema) {
            if value.get(name).is_none() {
                return Err(format!("{name} is missing in {value}"));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item)?;
        }
        let Some(members) = value.as_object().filter(|_| !properties.is_empty()) else { return Ok(()) };
        for (name, member) in members {
            let schema = properties.iter().find(|(known, _)| known == name);
            let (_, schema) = schema.ok_or_else(|| format!("{name} is not promised"))?;
            self.fits(schema, member).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        schema["$ref"].as_str().map_or(schema, |name| self.0.pointer(name.trim_start_matches('#')).unwrap())
    }

    /// What an object may have, with what its parts may have.
    fn properties<'a>(&'a self, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let schema = self.resolved(schema);
        let own = schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema));
        let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.properties(part));
        own.chain(parts).collect()
    }

    /// What an object must have, with what its parts must have.
    fn required<'a>(&'a self, schema: &'a Value) -> Vec<&'a str> {
        let schema = self.resolved(schema);
        let own = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.required(part));
        own.chain(parts).collect()
    }
}
