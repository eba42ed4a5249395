//! What the fields of this dialect mean: to whom a message goes, and which message another one is about.

use serde_json::Value;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::types::Contact;

/// The name of mistakes that are of several fields.
const SEVERAL: &str = "";

/// To whom it goes: exactly one of `number` and `group`. Empty after a mistake was written down.
pub fn recipient(fields: &mut Fields) -> String {
    let mut named = |name: &str| fields.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match (named("number"), named("group")) {
        (Some(number), None) => return number,
        (None, Some(group)) if group.contains('@') => return group,
        (None, Some(group)) => return format!("{group}@g.us"),
        // A mistake in one of them was written down already.
        (None, None) if fields.is_wrong() => {}
        (None, None) => fields.refuse(SEVERAL, "Either number or group must be provided"),
        (Some(_), Some(_)) => fields.refuse(SEVERAL, "Either number or group must be provided, not both"),
    }
    String::new()
}

/// The message that a reaction or a deletion is about: its id, and who wrote it where the caller says so. An empty id after a
/// mistake was written down.
pub fn message_key(fields: &mut Fields) -> (String, Option<Contact>) {
    fields.require("messageKey");
    let Some(key) = fields.json("messageKey") else { return (String::new(), None) };
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let found = match serde_json::from_str(&key) {
        Ok(Value::String(id)) => some(&id).map(|id| (id, None)),
        Ok(Value::Object(key)) => {
            let own = key.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
            let author = key.get("participant").and_then(Value::as_str).and_then(some).filter(|_| !own);
            key.get("id").and_then(Value::as_str).and_then(some).map(|id| (id, author.map(person)))
        }
        _ => None,
    };
    found.unwrap_or_else(|| {
        fields.refuse("messageKey", "must be the id of a message, or its key with an id");
        (String::new(), None)
    })
}

/// Somebody of whom no more is known than a JID.
fn person(jid: String) -> Contact {
    Contact { jid, phone: None, lid: None, push_name: None }
}
