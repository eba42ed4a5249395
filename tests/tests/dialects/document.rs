//! The OpenAPI document of a dialect, as the host serves it: what is asked and answered in these tests is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};
use switchboard::http::{LocalAnswer, LocalClient};
use switchboard_core::records::id::TenantId;
use switchboard_tests::schema::{fits, referred};

use crate::stage::Cast;

/// The document, and the operations that were asked. By default it is of nobody, and promises nothing.
#[derive(Default)]
pub struct Document {
    whole: Value,
    asked: Mutex<BTreeSet<String>>,
}

/// An endpoint, as its document has it.
pub struct Endpoint {
    /// Such as `GET /sessions/{id}`.
    pub name: String,
    /// Its parameters, and the members of its JSON body.
    pub names: BTreeSet<String>,
    pub takes_body: bool,
    /// Whether an empty object is no body that it takes.
    pub needs_field: bool,
}

impl Document {
    /// What the host serves for a dialect.
    pub async fn of(http: LocalClient, dialect: &str) -> Self {
        let path = format!("/switchboard/v1/openapi/{dialect}.json");
        let answer = http.exchange("GET", &path, &[], Vec::new()).await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
        Self { whole: answer.json(), asked: Mutex::default() }
    }

    /// Every operation, as `GET /path/{of}/it`.
    fn operations(&self) -> impl Iterator<Item = (String, &Value)> {
        let paths = self.whole["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
    }

    /// The operation that serves this method and path, if the document has one. Segments that are written out come first.
    fn operation(&self, method: &str, path: &str) -> Option<(String, &Value)> {
        let path = path.split('?').next()?;
        let servers = self.whole["servers"].as_array()?.iter().filter_map(|server| server["url"].as_str());
        let below = servers.filter_map(|prefix| path.strip_prefix(prefix)).filter(|rest| rest.starts_with('/'));
        let rest = below.min_by_key(|rest| rest.len())?;
        let given: Vec<&str> = rest.split('/').collect();
        let matching = |(name, _): &(String, &Value)| {
            let Some((known, template)) = name.split_once(' ') else { return false };
            let wanted: Vec<&str> = template.split('/').collect();
            let fit = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
            known == method && wanted.len() == given.len() && wanted.iter().zip(&given).all(fit)
        };
        self.operations().filter(matching).min_by_key(|(name, _)| name.matches('{').count())
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        value.get("$ref").map_or(value, |reference| referred(&self.whole, reference))
    }

    /// Fails unless the answer is one that the document promises. What it has no operation for is somebody else's.
    pub fn check(&self, method: &str, path: &str, answer: &LocalAnswer) {
        let Some((name, operation)) = self.operation(method, path) else { return };
        self.asked.lock().unwrap().insert(name.clone());
        let place = format!("{name} {}", answer.status);
        let promised = operation["responses"].get(answer.status.to_string());
        let promised = self.resolved(promised.unwrap_or_else(|| panic!("{place} is not promised: {answer:?}")));
        for (header, about) in promised["headers"].as_object().into_iter().flatten() {
            let about = self.resolved(about);
            match answer.header(&header.to_lowercase()) {
                Some(text) => {
                    let value = if about["schema"]["type"] == "integer" { text.parse().unwrap() } else { Value::from(text) };
                    fits(&self.whole, &about["schema"], &value).unwrap_or_else(|why| panic!("{place}: {header}: {why}"));
                }
                None => assert!(about["required"] != true, "{place}: {header} is missing: {answer:?}"),
            }
        }
        let Some(content) = promised["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place} promises no body: {answer:?}");
            return;
        };
        let given = answer.header("content-type").unwrap_or_default();
        let schema = content.get(given).unwrap_or_else(|| panic!("{place} does not promise {given}: {answer:?}"));
        if given.ends_with("json") {
            fits(&self.whole, &schema["schema"], &answer.json()).unwrap_or_else(|why| panic!("{place}: {why}: {answer:?}"));
        }
    }

    /// The endpoint that this method and path mean, as the document calls it.
    pub fn name_of(&self, method: &str, path: &str) -> Option<String> {
        Some(self.operation(method, path)?.0)
    }

    /// Every endpoint, with what the columns of a table follow from.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.operations().map(|(name, operation)| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let queried = parameters.map(|parameter| self.resolved(parameter)["name"].as_str().unwrap().to_owned());
            let body = self.json_body(operation);
            let mut members = BTreeMap::new();
            body.into_iter().for_each(|schema| self.gather(schema, &mut members));
            let names = queried.chain(members.keys().map(|name| (*name).to_owned())).collect();
            let needs_field = body.is_some_and(|schema| fits(&self.whole, schema, &json!({})).is_err());
            Endpoint { names, takes_body: operation.get("requestBody").is_some(), needs_field, name }
        })
    }

    fn json_body<'a>(&'a self, operation: &'a Value) -> Option<&'a Value> {
        self.resolved(operation.get("requestBody")?)["content"].get("application/json")?.get("schema")
    }

    /// Collects the members of an object with every schema that says something of them.
    fn gather<'a>(&'a self, schema: &'a Value, members: &mut BTreeMap<&'a str, Vec<&'a Value>>) {
        let schema = self.resolved(schema);
        for (name, about) in schema["properties"].as_object().into_iter().flatten() {
            members.entry(name).or_default().push(about);
        }
        for parts in ["allOf", "anyOf", "oneOf"] {
            schema[parts].as_array().into_iter().flatten().for_each(|part| self.gather(part, members));
        }
    }

    /// Members of the JSON body, each with a value that no schema allows for it. What may be anything is left out.
    pub fn wrong_members(&self, method: &str, path: &str) -> Vec<(String, Value)> {
        let Some(schema) = self.operation(method, path).and_then(|(_, operation)| self.json_body(operation)) else {
            return Vec::new();
        };
        let mut members = BTreeMap::new();
        self.gather(schema, &mut members);
        let wrong = |(name, schemas): (&str, Vec<&Value>)| {
            let refused = |value: &Value| schemas.iter().all(|schema| fits(&self.whole, schema, value).is_err());
            let values = [json!({ "a": [5] }), json!(["a"]), json!(true), json!(5.5), json!("a b")];
            Some((name.to_owned(), values.into_iter().find(refused)?))
        };
        members.into_iter().filter_map(wrong).collect()
    }

    /// Members that a JSON body must have in any case.
    pub fn required_members(&self, method: &str, path: &str) -> BTreeSet<String> {
        let Some(schema) = self.operation(method, path).and_then(|(_, operation)| self.json_body(operation)) else {
            return BTreeSet::new();
        };
        let whole = self.resolved(schema);
        let parts = whole["allOf"].as_array().into_iter().flatten().map(|part| self.resolved(part)).chain([whole]);
        let names = parts.flat_map(|part| part["required"].as_array().into_iter().flatten());
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Whether the document allows this JSON body; `None` where it has no such operation, or it takes none.
    pub fn allows(&self, method: &str, path: &str, body: &Value) -> Option<Result<(), String>> {
        let (_, operation) = self.operation(method, path)?;
        let schema = &self.resolved(operation.get("requestBody")?)["content"]["application/json"]["schema"];
        Some(fits(&self.whole, schema, body))
    }

    /// Fails unless every operation was asked.
    pub fn assert_all_asked(&self) {
        let asked = self.asked.lock().unwrap();
        let missing: Vec<String> = self.operations().map(|(name, _)| name).filter(|name| !asked.contains(name)).collect();
        assert!(missing.is_empty(), "the table has no rows of {missing:#?}");
    }

    fn assert_well_formed(&self, dialect: &str) {
        assert!(self.whole["openapi"].as_str().unwrap().starts_with("3.1."), "{dialect}");
        let mut names = BTreeSet::new();
        for (place, operation) in self.operations() {
            let place = format!("{dialect}: {place}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{place}: its name is taken");
            assert!(!operation["summary"].as_str().unwrap().is_empty() && operation["tags"].is_array(), "{place}");
            let answers = operation["responses"].as_object().unwrap();
            for status in ["401", "429", "500"] {
                assert!(answers.contains_key(status), "{place}: {status} is not promised");
            }
            assert!(answers.keys().any(|status| status.starts_with('2')), "{place}");
            let named = |parameter: &Value| {
                let parameter = self.resolved(parameter).clone();
                (parameter["in"] == "path").then(|| parameter["name"].as_str().unwrap().to_owned())
            };
            let named: BTreeSet<String> =
                operation["parameters"].as_array().into_iter().flatten().filter_map(named).collect();
            let braced = place.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect();
            assert_eq!(named, braced, "{place}: parameters");
        }
        self.assert_examples_fit(&self.whole, dialect);
    }

    /// Every example fits the schema that stands beside it.
    fn assert_examples_fit(&self, value: &Value, place: &str) {
        match value {
            Value::Object(members) => {
                if let (Some(schema), Some(example)) = (members.get("schema"), members.get("example")) {
                    fits(&self.whole, schema, example).unwrap_or_else(|why| panic!("{place}: the example: {why}"));
                }
                members.iter().for_each(|(name, member)| self.assert_examples_fit(member, &format!("{place}/{name}")));
            }
            Value::Array(items) => items.iter().for_each(|item| self.assert_examples_fit(item, place)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_has_a_document_of_just_the_routes_that_it_serves() {
    let cast = Cast::start().await;
    for (dialect, servers) in [
        ("prosendi", vec!["/api/whatsapp"]),
        ("sendapi", vec!["/v1"]),
        ("wafastapi", vec!["/api/whatsapp"]),
        ("wamux", vec!["/api/v1"]),
        ("wasender", vec!["/api/v1", "/api"]),
    ] {
        let document = Document::of(cast.stage.http(), dialect).await;
        document.assert_well_formed(dialect);
        let given = document.whole["servers"].as_array().unwrap().iter().map(|server| server["url"].as_str().unwrap());
        assert_eq!(given.collect::<Vec<_>>(), servers, "{dialect}");
        let plugin = cast.stage.host.plugins().find(TenantId::OPERATOR, dialect).unwrap();
        let served = plugin.loaded.routes.iter().map(|route| format!("{} {}", route.method, route.path));
        let written: BTreeSet<String> = document.operations().map(|(name, _)| name).collect();
        assert_eq!(written, served.collect(), "{dialect}");
    }
    for missing in ["nobody.json", "auto-reply.json", "prosendi", ".json"] {
        let path = format!("/switchboard/v1/openapi/{missing}");
        let answer = cast.stage.http().exchange("GET", &path, &[], Vec::new()).await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")), "{answer:?}");
    }
    cast.stage.stop().await;
}
