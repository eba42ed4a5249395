//! What is read, and in which words the rest is refused.

use serde_json::json;
use switchboard_core::records::content::Content;
use switchboard_core::records::message::Priority;

use super::*;

#[derive(Debug, Deserialize)]
struct Wish {
    to: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    counts: Vec<u32>,
}

/// Where a body is wrong, and why.
fn fault(body: &Value) -> (String, String) {
    match read::<Wish>(body.to_string().as_bytes()) {
        Err(BodyFault::Shape(fault)) => (fault.path().join("/"), fault.why),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_is_right_is_read_whatever_the_order_of_its_fields() {
    let body = br#"{"content":{"value":{"source":{"url":"https://a.example/b"},"caption":"x"},"type":"image"},"to":"4915","priority":"bulk","counts":[1,2]}"#;
    let wish: Wish = read(body).unwrap();
    assert_eq!((wish.to.as_str(), wish.priority, &*wish.counts), ("4915", Some(Priority::Bulk), &[1, 2][..]));
    assert_eq!(wish.content.unwrap().media().unwrap().caption.as_deref(), Some("x"));
    let nothing: Wish = read(br#"{"to":"4915","content":null,"priority":null}"#).unwrap();
    assert!(nothing.content.is_none() && nothing.priority.is_none());
}

#[test]
fn an_unknown_field_is_refused_by_its_place_however_deep_it_lies() {
    let image = |value: Value| json!({ "to": "1", "content": { "type": "image", "value": value } });
    let source = json!({ "blob": "med_1" });
    for (body, place) in [
        (json!({ "to": "1", "cotent": 1 }), "cotent"),
        (image(json!({ "source": source, "captoin": "x" })), "content/value/captoin"),
        (json!({ "to": "1", "content": { "type": "text", "value": "x", "extra": 1 } }), "content/extra"),
        (
            json!({ "to": "1", "content": { "type": "contacts", "value": [{ "display_name": "A", "fones": [] }] } }),
            "content/value/0/fones",
        ),
        (
            json!({ "to": "1", "content": { "type": "poll", "value": { "name": "?", "options": [], "multi": true } } }),
            "content/value/multi",
        ),
    ] {
        let (at, why) = fault(&body);
        assert_eq!(at, place);
        assert!(why.starts_with("is not a field; there are: "), "{why}");
    }
    let (_, why) = fault(&json!({ "to": "1", "x": 1 }));
    assert_eq!(why, "is not a field; there are: to, content, priority, counts");
}

#[test]
fn what_is_stored_is_read_with_fields_that_this_version_does_not_know() {
    let record = json!({ "type": "location", "value": { "latitude": 1.5, "longitude": 2.5, "altitude": 3.5 } });
    serde_json::from_value::<Content>(record.clone()).unwrap();
    assert_eq!(read_value::<Content>(record).unwrap_err().path(), ["value", "altitude"]);
}

#[test]
fn a_wrong_value_is_told_with_its_place_the_value_and_what_is_allowed() {
    let content =
        |content_type: &str, value: Value| json!({ "to": "1", "content": { "type": content_type, "value": value } });
    for (body, place, why) in [
        (json!({ "to": 5 }), "to", "is 5; a string is expected"),
        (json!({ "to": null }), "to", "is null; a string is expected"),
        (json!({}), "to", "is required"),
        (json!({ "to": "1", "priority": "high" }), "priority", "\"high\" is none of: interactive, bulk"),
        (json!({ "to": "1", "priority": 7 }), "priority", "is 7; one of interactive, bulk is expected"),
        (json!({ "to": "1", "counts": [1, -2] }), "counts/1", "is -2; a whole number from 0 to 4294967295 is expected"),
        (json!({ "to": "1", "counts": {} }), "counts", "is an object; an array is expected"),
        (json!({ "to": "1", "content": ["text", "x"] }), "content", "is an array; an object is expected"),
        (json!({ "to": "1", "content": { "type": "text" } }), "content/value", "is required"),
        (content("text", json!({ "body": "x" })), "content/value", "is an object; a string is expected"),
        (content("image", json!({ "source": { "url": 5 } })), "content/value/source/url", "is 5; a string is expected"),
        (content("image", json!({ "source": {} })), "content/value/source", "needs exactly one of: url, blob, whatsapp"),
        (
            content("location", json!({ "latitude": "1", "longitude": 2 })),
            "content/value/latitude",
            "is \"1\"; a number is expected",
        ),
        (json!([{ "to": "1" }]), "", "is an array; an object is expected"),
    ] {
        assert_eq!(fault(&body), (place.to_owned(), why.to_owned()), "{body}");
    }
    let (at, why) = fault(&content("pigture", json!({})));
    assert!(at == "content/type" && why.starts_with("\"pigture\" is none of: text, image, "), "{at} {why}");
    let (_, why) = fault(&json!({ "to": "1", "priority": "x".repeat(500) }));
    assert!(why.len() < 150, "what is said back is short: {why}");
}

#[test]
fn what_is_no_json_and_what_is_said_twice_is_refused() {
    for (body, words) in [("", "is empty"), (" \n", "is empty"), ("{\"to\":", "is not JSON: EOF"), ("hello", "is not JSON")]
    {
        assert!(matches!(read::<Wish>(body.as_bytes()), Err(BodyFault::Syntax(why)) if why.starts_with(words)), "{body}");
    }
    let twice = read::<Wish>(br#"{"to":"1","to":"2"}"#);
    assert!(matches!(&twice, Err(BodyFault::Shape(fault)) if fault.why.starts_with("\"to\" is given twice")), "{twice:?}");
}

#[test]
fn free_fields_are_read_as_they_are() {
    let body = json!({ "a": [1, -2, 2.5, null, true, "x", { "b": {} }] });
    assert_eq!(read::<Value>(body.to_string().as_bytes()).unwrap(), body);
    let map: Map<String, Value> = read(body.to_string().as_bytes()).unwrap();
    assert_eq!(Value::Object(map), body);
}
