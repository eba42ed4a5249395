//! Reads a JSON object field by field, and collects what is wrong with it instead of stopping at the first mistake.
//!
//! `null` is the same as leaving a field out; fields that nobody asks for are ignored.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What kind of mistake a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It is required and was left out.
    Missing,
    /// It is of another type; the name of the one that is needed: `string`, `bool`, `int`, `float`, `list`, `object`.
    Type(&'static str),
    /// Its value will not do.
    Value,
}

/// One mistake of a field. In JSON it is its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What kind of mistake.
    pub mistake: Mistake,
    /// What is wrong, without the field's name: `must not be empty`.
    pub why: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Serialize for FieldError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.why)
    }
}

impl<T: Into<String>> From<T> for FieldError {
    fn from(why: T) -> Self {
        Self { mistake: Mistake::Value, why: why.into() }
    }
}

/// What is wrong, by field.
pub type FieldErrors = BTreeMap<String, Vec<FieldError>>;

/// The mistakes of a single field.
pub fn one_error(name: &str, error: impl Into<FieldError>) -> FieldErrors {
    FieldErrors::from([(name.to_owned(), vec![error.into()])])
}

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

    /// The fields of a query, where every value is a text.
    pub fn of_query(query: &[crate::types::Field]) -> Self {
        let value = |field: &crate::types::Field| (field.name.clone(), Value::String(field.value.clone()));
        Self { values: query.iter().map(value).collect(), ..Self::default() }
    }

    /// The fields of a form, where every value is a text. The first of several of one name counts.
    pub fn of_form(form: &[crate::types::Field]) -> Self {
        let mut values = Map::new();
        for field in form {
            values.entry(field.name.as_str()).or_insert_with(|| Value::String(field.value.clone()));
        }
        Self { values, ..Self::default() }
    }

    /// The object of this name. Its members may also be fields of their own, `name.member`, as they are in forms.
    pub fn nested(&mut self, name: &str) -> Option<Fields> {
        if self.has(name) {
            return self.object(name);
        }
        let prefix = format!("{}{name}.", self.prefix);
        let member = |(field, value): (&String, &Value)| {
            Some((field.strip_prefix(name)?.strip_prefix('.')?.to_owned(), value.clone()))
        };
        let values: Map<String, Value> = self.values.iter().filter_map(member).collect();
        let found = Fields { values, prefix, errors: FieldErrors::new() };
        Some(found).filter(|found| !found.values.is_empty())
    }

    /// Whether the field is there, also as `null`.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Writes down that a field is wrong.
    pub fn refuse(&mut self, name: &str, why: impl Into<FieldError>) {
        self.errors.entry(format!("{}{name}", self.prefix)).or_default().push(why.into());
    }

    /// Writes down that a field is missing, if it is.
    pub fn require(&mut self, name: &str) {
        if !self.has(name) {
            self.refuse(name, FieldError { mistake: Mistake::Missing, why: "is required".to_owned() });
        }
    }

    fn read<T>(&mut self, name: &str, what: (&'static str, &str), read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let found = read(self.value(name)?);
        if found.is_none() {
            let (mistake, why) = (Mistake::Type(what.0), format!("must be {}", what.1));
            self.refuse(name, FieldError { mistake, why });
        }
        found
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, ("string", "a string"), |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there and not empty; an empty one after a mistake was written down.
    pub fn required_text(&mut self, name: &str) -> String {
        self.require(name);
        let text = self.text(name).unwrap_or_default();
        if self.value(name).is_some_and(|value| value.as_str().is_some_and(|text| text.trim().is_empty())) {
            self.refuse(name, "must not be empty");
        }
        text
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, ("bool", "true or false"), Value::as_bool)
    }

    /// True or false, also as text (`true`, `1`, `false`, `0` or empty): forms have nothing else.
    pub fn switch(&mut self, name: &str) -> Option<bool> {
        let read = |value: &Value| match value {
            Value::String(text) => match &**text {
                "true" | "1" => Some(true),
                "false" | "0" | "" => Some(false),
                _ => None,
            },
            other => other.as_bool(),
        };
        self.read(name, ("bool", "true or false"), read)
    }

    /// A whole number from 0.
    pub fn integer(&mut self, name: &str) -> Option<u64> {
        self.read(name, ("int", "a whole number"), Value::as_u64)
    }

    /// A whole number from 0, also as text: queries have nothing else.
    pub fn whole(&mut self, name: &str) -> Option<u64> {
        let read = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        self.read(name, ("int", "a whole number"), read)
    }

    /// A whole number from `min` to `max`, also as text; `unset` when it is left out.
    pub fn within(&mut self, name: &str, min: u64, max: u64, unset: u64) -> u64 {
        match self.whole(name) {
            Some(number) if (min..=max).contains(&number) => number,
            Some(number) => {
                self.refuse(name, format!("is {number}; {min} to {max} are allowed"));
                unset
            }
            None => unset,
        }
    }

    /// Refuses a text of more than `max` characters.
    pub fn at_most(&mut self, name: &str, max: usize) {
        let chars = self.value(name).and_then(Value::as_str).map_or(0, |text| text.chars().count());
        if chars > max {
            self.refuse(name, format!("must not be longer than {max} characters; it has {chars}"));
        }
    }

    /// A number, also as text: old clients quote coordinates.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        let read = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite());
        self.read(name, ("float", "a number"), read)
    }

    /// A list of texts; empty when it is left out.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let read = |value: &Value| value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        self.read(name, ("list", "a list of strings"), read).unwrap_or_default()
    }

    /// An object, whose mistakes are written down here when [`Fields::absorb`] takes it back.
    pub fn object(&mut self, name: &str) -> Option<Fields> {
        let prefix = format!("{}{name}.", self.prefix);
        let values = self.read(name, ("object", "an object"), |value| value.as_object().cloned())?;
        Some(Fields { values, prefix, errors: FieldErrors::new() })
    }

    /// A list of objects, each of which is taken back with [`Fields::absorb`]. `None` when it is left out or no such list.
    pub fn objects(&mut self, name: &str) -> Option<Vec<Fields>> {
        let read = |value: &Value| value.as_array()?.iter().map(|item| item.as_object().cloned()).collect();
        let items: Vec<Map<String, Value>> = self.read(name, ("list", "a list of objects"), read)?;
        let prefix = |at: usize| format!("{}{name}.{at}.", self.prefix);
        let inner = |(at, values)| Fields { values, prefix: prefix(at), errors: FieldErrors::new() };
        Some(items.into_iter().enumerate().map(inner).collect())
    }

    /// Takes over what was found wrong in an object of this one.
    pub fn absorb(&mut self, inner: Fields) {
        for (name, mut errors) in inner.errors {
            self.errors.entry(name).or_default().append(&mut errors);
        }
    }

    /// Whether a mistake was written down.
    pub fn is_wrong(&self) -> bool {
        !self.errors.is_empty()
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
        assert_eq!(errors["to"][0].why, "must be a string");
        assert_eq!(errors["to"][0].mistake, Mistake::Type("string"));
        assert_eq!(errors["text"][0], FieldError { mistake: Mistake::Missing, why: "is required".to_owned() });
    }

    #[test]
    fn a_form_says_in_texts_what_json_says_in_types() {
        let field = |name: &str, value: &str| crate::types::Field { name: name.to_owned(), value: value.to_owned() };
        let form = [("place.x", "1.5"), ("place.y", "2"), ("gif", "true"), ("hd", "0"), ("gif", "no"), ("odd", "yes")];
        let mut fields = Fields::of_form(&form.map(|(name, value)| field(name, value)));
        let mut place = fields.nested("place").unwrap();
        assert!(fields.nested("plan").is_none());
        assert_eq!((place.number("x"), place.number("y")), (Some(1.5), Some(2.0)));
        assert_eq!((fields.switch("gif"), fields.switch("hd"), fields.switch("gone")), (Some(true), Some(false), None));
        assert_eq!(fields.switch("odd"), None);
        assert_eq!(fields.finish().unwrap_err()["odd"][0].why, "must be true or false");
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
