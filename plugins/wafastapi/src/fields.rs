//! What a request says, as JSON or as the fields of a form, where everything is text.

use serde_json::{Map, Value};
use switchboard_guest_sdk::router::Request;

use crate::answer::Failure;

/// The fields of a request. `null` is the same as leaving one out; what nobody asks for is ignored.
pub struct Fields(Map<String, Value>);

fn must(name: &str, what: &str) -> Failure {
    Failure::Bad(format!("{name} must be {what}"))
}

impl Fields {
    /// The fields of a request: of its form, if it has one, else of its JSON.
    pub fn of(request: &Request) -> Result<Self, Failure> {
        if !request.form.is_empty() || !request.files.is_empty() {
            let mut fields = Map::new();
            for field in &request.form {
                // The first of several of one name counts.
                fields.entry(field.name.clone()).or_insert_with(|| Value::String(field.value.clone()));
            }
            return Ok(Self(fields));
        }
        if request.body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&request.body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Failure::Bad("the body must be a JSON object".to_owned())),
            Err(error) => Err(Failure::Bad(format!("the body is not valid JSON: {error}"))),
        }
    }

    /// A field. A name with a point is the member of an object, or is written so.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let nested = || name.split_once('.').and_then(|(outer, inner)| self.0.get(outer)?.get(inner));
        self.0.get(name).or_else(nested).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| must(name, "a string"))
    }

    /// A text that has to be there, with something in it.
    pub fn required_text(&self, name: &str) -> Result<String, Failure> {
        let text = self.text(name)?.ok_or_else(|| Failure::Bad(format!("{name} is required")))?;
        if text.trim().is_empty() { Err(must(name, "a text that is not empty")) } else { Ok(text) }
    }

    /// True or false, also as text; false when it is left out.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "1" => Ok(true),
            Some(Value::String(text)) if matches!(&**text, "false" | "0" | "") => Ok(false),
            Some(_) => Err(must(name, "true or false")),
        }
    }

    /// A number that has to be there, also as text, from -`limit` to `limit`.
    pub fn degrees(&self, name: &str, limit: f64) -> Result<f64, Failure> {
        let value = self.value(name).ok_or_else(|| Failure::Bad(format!("{name} is required")))?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let what = format!("a number from -{limit} to {limit}");
        number.filter(|number| number.abs() <= limit).ok_or_else(|| must(name, &what))
    }

    /// A whole number, also as text.
    pub fn count(&self, name: &str) -> Result<Option<u32>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.map(Some).ok_or_else(|| must(name, "a whole number"))
    }

    /// A list of texts that has to be there.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        let value = self.value(name).ok_or_else(|| Failure::Bad(format!("{name} is required")))?;
        let text = |item: &Value| item.as_str().map(str::to_owned);
        let texts = value.as_array().and_then(|items| items.iter().map(text).collect());
        texts.ok_or_else(|| must(name, "a list of strings"))
    }

    /// To whom it goes: exactly one of `number` and `group`.
    pub fn recipient(&self) -> Result<String, Failure> {
        let named = |name: &str| -> Result<Option<String>, Failure> {
            Ok(self.text(name)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
        };
        match (named("number")?, named("group")?) {
            (Some(number), None) => Ok(number),
            (None, Some(group)) if group.contains('@') => Ok(group),
            (None, Some(group)) => Ok(format!("{group}@g.us")),
            (None, None) => Err(Failure::Bad("Either number or group must be provided".to_owned())),
            (Some(_), Some(_)) => Err(Failure::Bad("Either number or group must be provided, not both".to_owned())),
        }
    }

    /// The message that a reaction or a deletion is about: its id, and who wrote it where the caller says so.
    pub fn message_key(&self) -> Result<(String, Option<String>), Failure> {
        let bad = || must("messageKey", "the id of a message, or its key with an id");
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match self.value("messageKey").ok_or_else(|| Failure::Bad("messageKey is required".to_owned()))? {
            Value::String(id) => Ok((some(id).ok_or_else(bad)?, None)),
            Value::Object(key) => {
                let id = key.get("id").and_then(Value::as_str).and_then(some).ok_or_else(bad)?;
                let own = key.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
                let author = key.get("participant").and_then(Value::as_str).and_then(some).filter(|_| !own);
                Ok((id, author))
            }
            _ => Err(bad()),
        }
    }
}
