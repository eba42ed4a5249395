//! The document against the code.

use std::collections::BTreeSet;

use super::super::ROUTES;
use super::*;

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

#[test]
fn every_route_is_in_the_document_and_every_path_of_the_document_is_served() {
    let document = document().unwrap();
    let written: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let line = |route: &Route| format!("{} /{}", route.method.to_lowercase(), route.path);
    let served: BTreeSet<String> = ROUTES.iter().copied().flatten().map(line).collect();
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
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, known);
}
