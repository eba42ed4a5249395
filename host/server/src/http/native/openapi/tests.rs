//! The document against the code.

use std::collections::BTreeSet;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::event::EVENT_TYPES;
use switchboard_core::rules::content_limits::{self, ContentRefusal};
use switchboard_core::rules::event_filter;
use switchboard_core::rules::event_json::{event_json, standard_body, test_body};
use switchboard_core::rules::fact_json::content_json;

use super::super::ROUTES;
use super::*;

/// Where refusals of components have their names.
const INSPECT: &str = include_str!("../../../../../runtime/src/inspect/error.rs");
/// Every room that makes problems.
const SOURCES: [&str; 20] = [
    include_str!("../../problem.rs"),
    include_str!("../../limits.rs"),
    include_str!("../../front_door.rs"),
    include_str!("../events.rs"),
    include_str!("../filter.rs"),
    include_str!("../media.rs"),
    include_str!("../messages.rs"),
    include_str!("../mod.rs"),
    include_str!("../plugins/grants.rs"),
    include_str!("../plugins/mod.rs"),
    include_str!("../plugins/runs.rs"),
    include_str!("../plugins/secrets.rs"),
    include_str!("../plugins/versions.rs"),
    include_str!("../refusals.rs"),
    include_str!("../sessions.rs"),
    include_str!("../stream.rs"),
    include_str!("../templates.rs"),
    include_str!("../../upload.rs"),
    include_str!("../usage.rs"),
    include_str!("../webhooks.rs"),
];

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            found.push((format!("{method} {path}"), operation));
        }
    }
    found
}

/// What the simulated network adds.
#[cfg(feature = "sim")]
fn controls() -> impl Iterator<Item = String> {
    let controls = switchboard_simnet::CONTROL_ROUTES.into_iter();
    controls.map(|(method, path)| format!("{} /sim/{path}", method.to_lowercase()))
}

#[cfg(not(feature = "sim"))]
fn controls() -> impl Iterator<Item = String> {
    std::iter::empty()
}

#[test]
fn every_route_is_in_the_document_and_every_path_of_the_document_is_served() {
    let document = document().unwrap();
    let written: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let line = |route: &Route| format!("{} /{}", route.method.to_lowercase(), route.path);
    let served: BTreeSet<String> = ROUTES.iter().copied().flatten().map(line).chain(controls()).collect();
    assert_eq!(written, served);
}

#[test]
fn the_document_has_the_version_of_the_host_and_names_every_operation_once() {
    let document = document().unwrap();
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION"))));
    let mut names = BTreeSet::new();
    for (place, operation) in operations(&document) {
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{place}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{place}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{place}");
    }
}

#[test]
fn the_names_in_a_path_are_its_parameters() {
    let document = document().unwrap();
    for (place, operation) in operations(&document) {
        let braced: BTreeSet<&str> = place.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none).iter();
        let named = parameters.filter(|parameter| parameter["in"] == "path").map(|parameter| {
            assert_eq!(parameter["required"], true, "{place}");
            parameter["name"].as_str().unwrap()
        });
        assert_eq!(named.collect::<BTreeSet<_>>(), braced, "{place}");
    }
}

#[test]
fn the_parameters_of_a_query_are_those_that_the_routing_table_takes() {
    let document = document().unwrap();
    for route in ROUTES.iter().copied().flatten() {
        let operation = &document["paths"][format!("/{}", route.path)][route.method.to_lowercase()];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let written: Vec<&str> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(written, route.query, "{} {}", route.method, route.path);
        assert!(operation["responses"]["400"].is_object(), "{} {}", route.method, route.path);
    }
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| match member {
            Value::String(text) if name == "$ref" => found.push(text),
            _ => references(member, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document().unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    for kind in ["schemas", "responses"] {
        let names = document["components"][kind].as_object().unwrap().keys();
        known.extend(names.map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(found, known);
}

#[test]
fn every_operation_that_takes_a_key_says_what_it_answers_to_a_wrong_one_and_to_too_many_requests() {
    let document = document().unwrap();
    for (place, operation) in operations(&document) {
        let open = operation["security"] == json!([]);
        for status in ["401", "403", "429", "503"] {
            let mut promised = &operation["responses"][status];
            if let Some(name) = promised["$ref"].as_str() {
                promised = document.pointer(name.trim_start_matches('#')).unwrap();
            }
            assert_eq!(promised.is_object(), !open, "{place} {status}");
            assert!(open || status != "429" || promised["headers"]["Retry-After"].is_object(), "{place} {status}");
        }
    }
}

/// Whether `value` has all of the shape that `schema` promises and nothing else.
fn agrees(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        return agrees(document, document.pointer(name.trim_start_matches('#')).unwrap(), value);
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        let verdicts: Vec<_> = parts.iter().map(|part| agrees(document, part, value)).collect();
        let agreeing = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        return if agreeing == 1 { Ok(()) } else { Err(format!("{agreeing} of oneOf take {value}: {verdicts:?}")) };
    }
    let types = match &schema["type"] {
        Value::Array(names) => names.clone(),
        Value::Null => Vec::new(),
        name => vec![name.clone()],
    };
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.is_empty() && !types.iter().any(|name| name == own) {
        return Err(format!("{value} is none of {types:?}"));
    }
    let listed = schema["enum"].as_array().is_none_or(|allowed| allowed.contains(value));
    if !listed || schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{value} is not {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        agrees(document, &schema["items"], item)?;
    }
    let Some(members) = value.as_object() else { return Ok(()) };
    let properties = properties(document, schema);
    let (written, given): (BTreeSet<&str>, BTreeSet<&str>) =
        (properties.iter().map(|(name, _)| *name).collect(), members.keys().map(String::as_str).collect());
    if written != given {
        return Err(format!("the document has {written:?}, the code {given:?}"));
    }
    for (name, schema) in properties {
        agrees(document, schema, &members[name]).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// The properties of an object, with those of its parts.
fn properties<'a>(document: &'a Value, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let schema = schema["$ref"].as_str().map_or(schema, |name| document.pointer(name.trim_start_matches('#')).unwrap());
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema));
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| properties(document, part));
    own.chain(parts).collect()
}

fn check(document: &Value, schema: &str, value: &Value) {
    let schema = &document["components"]["schemas"][schema];
    agrees(document, schema, value).unwrap_or_else(|why| panic!("{value}: {why}"));
}

mod samples;

#[test]
fn contents_of_every_type_have_the_shape_that_the_document_gives_them() {
    let document = document().unwrap();
    for content in samples::contents() {
        let shown = content_json(&content);
        check(&document, "Content", &shown);
        let can_be_sent =
            !matches!(content_limits::check(&content), Err(ContentRefusal::NotYet)) || content.media().is_some();
        let wish = &document["components"]["schemas"]["ContentWish"];
        assert_eq!(agrees(&document, wish, &shown).is_ok(), can_be_sent, "{shown}");
    }
}

#[test]
fn events_and_webhook_bodies_of_every_type_have_the_shape_that_the_document_gives_them() {
    let document = document().unwrap();
    let mut seen = BTreeSet::new();
    for event in samples::events() {
        check(&document, "Event", &event_json(&event));
        check(&document, "WebhookBody", &serde_json::from_slice(&standard_body(&event)).unwrap());
        seen.insert(event.fact.type_name());
    }
    check(&document, "WebhookBody", &serde_json::from_slice(&test_body(7, Timestamp(0))).unwrap());
    assert_eq!(seen, EVENT_TYPES.into_iter().collect(), "there is a sample of every type");
    let filters = document["components"]["schemas"]["EventFilter"]["enum"].as_array().unwrap();
    let filters: Vec<String> = filters.iter().map(|filter| filter.as_str().unwrap().to_owned()).collect();
    assert_eq!(event_filter::checked(&filters).unwrap(), filters);
    let named: Vec<&str> = filters.iter().map(String::as_str).filter(|filter| !filter.ends_with('*')).collect();
    assert_eq!(named, EVENT_TYPES);
}

#[test]
fn members_and_codes_of_problems_are_those_that_the_document_has() {
    let document = document().unwrap();
    let schemas = &document["components"]["schemas"];
    let known: BTreeSet<&str> = schemas["Problem"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let rfc = ["type", "title", "status", "detail"];
    let own: BTreeSet<&str> = known.iter().copied().filter(|name| !rfc.contains(name)).collect();
    let (mut members, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for source in SOURCES {
        for call in source.split(".with(\"").skip(1) {
            let (name, rest) = call.split_once('"').unwrap();
            members.insert(name);
            if name == "code"
                && let Some(text) = rest.strip_prefix(", \"")
            {
                codes.insert(text.split('"').next().unwrap());
            }
        }
    }
    assert_eq!(members, own);
    let written: BTreeSet<&str> =
        schemas["ProblemCode"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let (_, of_components) = INSPECT.split_once("pub fn code(&self)").unwrap();
    let (of_components, _) = of_components.split_once("\n    }\n").unwrap();
    codes.extend(of_components.split('"').skip(1).step_by(2));
    assert_eq!(codes, written);
}
