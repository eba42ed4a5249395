//! Judges values by JSON Schema (2020-12), as far as the documents of dialects use it. A keyword that is not known here fails the
//! test, so that none is passed over in silence.

use regex_lite::Regex;
use serde_json::Value;

/// Keywords that only tell people something.
const ANNOTATIONS: [&str; 5] = ["default", "deprecated", "description", "examples", "title"];

/// Whether `value` fits `schema`; references lead into `document`.
///
/// # Errors
/// The place of the first thing that does not fit, and why.
pub fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &Value::Bool(false) { Err(format!("{value} is not promised")) } else { Ok(()) };
    };
    keywords.iter().try_for_each(|(keyword, wanted)| judge(document, schema, (keyword, wanted), value))
}

fn judge(document: &Value, schema: &Value, (keyword, wanted): (&str, &Value), value: &Value) -> Result<(), String> {
    match keyword {
        "$ref" => fits(document, referred(document, wanted), value),
        "type" => holds(types(wanted).any(|name| is(name, value)), value, keyword, wanted),
        "const" => holds(value == wanted, value, keyword, wanted),
        "enum" => holds(list(wanted).contains(value), value, keyword, wanted),
        "anyOf" | "oneOf" | "allOf" => of_parts(document, (keyword, wanted), value),
        "not" => holds(fits(document, wanted, value).is_err(), value, keyword, wanted),
        _ => match value {
            Value::String(text) => of_text(keyword, wanted, text),
            Value::Number(_) => of_number(keyword, wanted, value),
            Value::Array(items) => of_list(document, (keyword, wanted), items),
            Value::Object(_) => of_object(document, schema, (keyword, wanted), value),
            _ => known(keyword),
        },
    }
}

/// What a reference such as `#/components/schemas/Session` leads to.
pub fn referred<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let place = reference.as_str().and_then(|text| text.strip_prefix('#')).unwrap_or_else(|| panic!("{reference}"));
    document.pointer(place).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn holds(holds: bool, value: &Value, keyword: &str, wanted: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{value}: {keyword} {wanted}")) }
}

fn list(wanted: &Value) -> &[Value] {
    wanted.as_array().unwrap_or_else(|| panic!("{wanted} is no list"))
}

fn count(wanted: &Value) -> usize {
    wanted.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_else(|| panic!("{wanted} is no count"))
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let one = wanted.as_str();
    let many = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

/// Whether `value` has the type `name`, as schemas call types.
pub(crate) fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => panic!("{name} is no type"),
    }
}

fn of_parts(document: &Value, (keyword, wanted): (&str, &Value), value: &Value) -> Result<(), String> {
    let verdicts: Vec<_> = list(wanted).iter().map(|part| fits(document, part, value)).collect();
    let fitting = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    let holds = match keyword {
        "allOf" => fitting == verdicts.len(),
        "oneOf" => fitting == 1,
        _ => fitting > 0,
    };
    if holds { Ok(()) } else { Err(format!("{value}: {keyword} of {verdicts:?}")) }
}

fn of_text(keyword: &str, wanted: &Value, text: &str) -> Result<(), String> {
    let fit = match keyword {
        "minLength" => text.chars().count() >= count(wanted),
        "maxLength" => text.chars().count() <= count(wanted),
        "pattern" => Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text),
        "format" => of_format(wanted.as_str().unwrap(), text),
        _ => return known(keyword),
    };
    holds(fit, &text.into(), keyword, wanted)
}

fn of_format(format: &str, text: &str) -> bool {
    let pattern = match format {
        "date-time" => r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        "date" => r"^\d{4}-\d\d-\d\d$",
        "uuid" => r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "uri" => r"^[a-z][a-z0-9+.-]*:\S+$",
        "uri-reference" => r"^\S*$",
        "byte" | "binary" => return true,
        _ => panic!("{format} is a format that is not known here"),
    };
    Regex::new(pattern).unwrap().is_match(text)
}

fn of_number(keyword: &str, wanted: &Value, number: &Value) -> Result<(), String> {
    let fit = match keyword {
        "minimum" => number.as_f64() >= wanted.as_f64(),
        "maximum" => number.as_f64() <= wanted.as_f64(),
        _ => return known(keyword),
    };
    holds(fit, number, keyword, wanted)
}

fn of_list(document: &Value, (keyword, wanted): (&str, &Value), items: &[Value]) -> Result<(), String> {
    let fit = match keyword {
        "items" => return items.iter().try_for_each(|item| fits(document, wanted, item)),
        "minItems" => items.len() >= count(wanted),
        "maxItems" => items.len() <= count(wanted),
        _ => return known(keyword),
    };
    holds(fit, &items.into(), keyword, wanted)
}

fn of_object(document: &Value, schema: &Value, (keyword, wanted): (&str, &Value), value: &Value) -> Result<(), String> {
    let Some(members) = value.as_object() else { return Ok(()) };
    match keyword {
        "properties" => {
            let own = |(name, schema): (&String, &Value)| match members.get(name) {
                Some(member) => fits(document, schema, member).map_err(|why| format!("{name}: {why}")),
                None => Ok(()),
            };
            wanted.as_object().into_iter().flatten().try_for_each(own)
        }
        "required" => {
            let missing = types(wanted).find(|name| !members.contains_key(*name));
            missing.map_or(Ok(()), |name| Err(format!("{name} is missing in {value}")))
        }
        "additionalProperties" => {
            let others = members.iter().filter(|(name, _)| schema["properties"].get(name.as_str()).is_none());
            let mut judged = others.map(|(name, member)| (name, fits(document, wanted, member)));
            judged.try_for_each(|(name, verdict)| verdict.map_err(|why| format!("{name}: {why}")))
        }
        "minProperties" => holds(members.len() >= count(wanted), value, keyword, wanted),
        "maxProperties" => holds(members.len() <= count(wanted), value, keyword, wanted),
        _ => known(keyword),
    }
}

/// A keyword that says nothing of a value of this type.
fn known(keyword: &str) -> Result<(), String> {
    const OTHERS: [&str; 15] = [
        "additionalProperties",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "properties",
        "required",
        "contentMediaType",
    ];
    assert!(OTHERS.contains(&keyword) || ANNOTATIONS.contains(&keyword), "the keyword {keyword} is not known here");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fits;

    #[test]
    fn values_are_judged_by_every_keyword() {
        let document =
            json!({ "components": { "schemas": { "Name": { "type": "string", "minLength": 2, "pattern": "^[a-z]+$" } } } });
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "$ref": "#/components/schemas/Name" },
                "count": { "type": ["integer", "null"], "minimum": 1, "maximum": 3 },
                "at": { "type": "string", "format": "date-time" },
                "list": { "type": "array", "items": { "enum": ["a", 1] }, "maxItems": 2 },
                "one": { "oneOf": [{ "const": true }, { "type": "string" }] },
            },
            "additionalProperties": false,
        });
        let judged = |value| fits(&document, &schema, &value);
        let whole = json!({ "name": "ab", "count": null, "at": "2026-01-15T12:00:00.123Z", "list": ["a", 1], "one": true });
        assert_eq!(judged(whole), Ok(()));
        for (wrong, why) in [
            (json!([]), "type"),
            (json!({}), "name is missing"),
            (json!({ "name": "a" }), "minLength"),
            (json!({ "name": "AB" }), "pattern"),
            (json!({ "name": "ab", "count": 0 }), "minimum"),
            (json!({ "name": "ab", "count": 4 }), "maximum"),
            (json!({ "name": "ab", "count": 1.5 }), "type"),
            (json!({ "name": "ab", "at": "yesterday" }), "format"),
            (json!({ "name": "ab", "list": ["b"] }), "enum"),
            (json!({ "name": "ab", "list": [1, 1, 1] }), "maxItems"),
            (json!({ "name": "ab", "one": false }), "oneOf"),
            (json!({ "name": "ab", "other": 1 }), "other: 1 is not promised"),
        ] {
            let verdict = judged(wrong.clone()).unwrap_err();
            assert!(verdict.contains(why), "{wrong}: {verdict}");
        }
    }

    #[test]
    #[should_panic(expected = "the keyword dependentRequired is not known here")]
    fn a_keyword_that_is_not_known_is_not_passed_over() {
        let _ = fits(&json!({}), &json!({ "dependentRequired": {} }), &json!({}));
    }
}
