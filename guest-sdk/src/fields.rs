//! Reads a JSON object field by field, and collects what is wrong with it instead of stopping at the first mistake.
//!
//! `null` is the same as leaving a field out; fields that nobody asks for are ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is wrong, by field.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// A JSON object that is being read.
#[derive(Debug, Default)]
pub struct Fields {
    values: Map<String, Value>,
    /// Put in front of names in errors: `image.` for the fields of `image`.
    prefix: String,
    errors: FieldErrors,
}

impl Fields {
    /// The object in `body`; an empty body is an empty object.
    ///
    /// # Errors
    /// A sentence: what is wrong with the JSON, or that it is no object.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(values)) => Ok(Self { values, ..Self::default() }),
            Ok(_) => Err("the body must be a JSON object".to_owned()),
            Err(error) => Err(format!("the body is not valid JSON: {error}")),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Writes down that a field is wrong.
    pub fn refuse(&mut self, name: &str, why: impl Into<String>) {
        self.errors.entry(format!("{}{name}", self.prefix)).or_default().push(why.into());
    }

    fn read<T>(&mut self, name: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let found = read(self.value(name)?);
        if found.is_none() {
            self.refuse(name, format!("must be {what}"));
        }
        found
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there and not empty; an empty one after a mistake was written down.
    pub fn required_text(&mut self, name: &str) -> String {
        if !self.has(name) {
            self.refuse(name, "is required");
        }
        let text = self.text(name).unwrap_or_default();
        if self.value(name).is_some_and(|value| value.as_str().is_some_and(|text| text.trim().is_empty())) {
            self.refuse(name, "must not be empty");
        }
        text
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// A whole number from 0.
    pub fn integer(&mut self, name: &str) -> Option<u64> {
        self.read(name, "a whole number", Value::as_u64)
    }

    /// A number, also as text: old clients quote coordinates.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        let read = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite());
        self.read(name, "a number", read)
    }

    /// A list of texts; empty when it is left out.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let read = |value: &Value| value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        self.read(name, "a list of strings", read).unwrap_or_default()
    }

    /// An object, whose mistakes are written down here when [`Fields::absorb`] takes it back.
    pub fn object(&mut self, name: &str) -> Option<Fields> {
        let prefix = format!("{}{name}.", self.prefix);
        let values = self.read(name, "an object", |value| value.as_object().cloned())?;
        Some(Fields { values, prefix, errors: FieldErrors::new() })
    }

    /// Takes over what was found wrong in an object of this one.
    pub fn absorb(&mut self, inner: Fields) {
        for (name, mut errors) in inner.errors {
            self.errors.entry(name).or_default().append(&mut errors);
        }
    }

    /// The JSON of a field, whatever its type.
    pub fn json(&self, name: &str) -> Option<String> {
        self.value(name).map(Value::to_string)
    }

    /// Whether nothing was wrong so far; else what was.
    ///
    /// # Errors
    /// The mistakes by field.
    pub fn finish(self) -> Result<(), FieldErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent_and_unknown_fields_are_ignored() {
        let mut fields = Fields::parse(br#"{"a":null,"zzz":1}"#).unwrap();
        assert_eq!(fields.text("a"), None);
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn every_mistake_is_named_with_its_field() {
        let mut fields = Fields::parse(br#"{"to":5,"image":{"url":true},"latitude":"x"}"#).unwrap();
        fields.required_text("to");
        fields.required_text("text");
        fields.number("latitude");
        let mut image = fields.object("image").unwrap();
        image.required_text("url");
        fields.absorb(image);
        let errors = fields.finish().unwrap_err();
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["image.url", "latitude", "text", "to"]);
        assert_eq!(errors["to"], ["must be a string"]);
        assert_eq!(errors["text"], ["is required"]);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_in_words() {
        assert!(Fields::parse(b"{").unwrap_err().starts_with("the body is not valid JSON"));
        assert!(Fields::parse(b"[]").is_err());
        assert!(Fields::parse(b"  ").is_ok());
    }

    #[test]
    fn coordinates_may_be_quoted() {
        let mut fields = Fields::parse(br#"{"a":"37.77","b":-122.4,"c":"nan"}"#).unwrap();
        assert_eq!(fields.number("a"), Some(37.77));
        assert_eq!(fields.number("b"), Some(-122.4));
        assert_eq!(fields.number("c"), None);
        assert!(fields.finish().is_err());
    }
}
