//! Reads definitions strictly: what is wrong is told by its place, with the value and what is allowed there.

use serde_json::{Map, Value};
use switchboard_guest_sdk::said_back;
use switchboard_guest_sdk::template::DefinitionFault;

/// Most faults that are told at once, as many as the host shows.
const FAULTS_MAX: usize = 50;

/// What is wrong at the end of this way.
pub fn fault(place: &[&str], why: impl Into<String>) -> DefinitionFault {
    DefinitionFault { place: place.iter().map(ToString::to_string).collect(), why: why.into() }
}

/// The same as one sentence, for those who know no places.
pub fn sentence(fault: &DefinitionFault) -> String {
    if fault.place.is_empty() { fault.why.clone() } else { format!("{}: {}", fault.place.join("."), fault.why) }
}

/// Collects what is wrong with the parts of a whole, so that it is told at once.
#[derive(Default)]
pub struct Faults(Vec<DefinitionFault>);

impl Faults {
    /// What was read, unless it is wrong.
    pub fn take<T>(&mut self, read: Result<T, DefinitionFault>) -> Option<T> {
        read.map_err(|fault| self.0.push(fault)).ok()
    }

    /// More that is wrong.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = DefinitionFault>) {
        self.0.extend(faults);
    }

    /// The whole, if nothing was wrong.
    pub fn or<T>(self, whole: Option<T>) -> Result<T, Vec<DefinitionFault>> {
        match whole {
            Some(whole) if self.0.is_empty() => Ok(whole),
            _ => Err(self.0.into_iter().take(FAULTS_MAX).collect()),
        }
    }
}

/// A value, in the words of JSON.
fn given(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("{:?}", said_back(text)),
        Value::Bool(_) | Value::Number(_) => said_back(value),
    }
}

/// An object, and the way to it.
pub struct Object<'a> {
    place: Vec<String>,
    fields: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The object that is to be at this place.
    pub fn of(value: &'a Value, place: &[&str]) -> Result<Self, DefinitionFault> {
        let place: Vec<String> = place.iter().map(ToString::to_string).collect();
        match value.as_object() {
            Some(fields) => Ok(Self { place, fields }),
            None => Err(DefinitionFault { place, why: format!("is {}; an object is expected", given(value)) }),
        }
    }

    /// The way to a field.
    pub fn place<'b>(&'b self, name: &'b str) -> Vec<&'b str> {
        self.place.iter().map(String::as_str).chain([name]).collect()
    }

    /// Every field that is none of these.
    pub fn unknown(&self, known: &[&str]) -> Vec<DefinitionFault> {
        let why = format!("is not a field; there are: {}", known.join(", "));
        let unknown = self.fields.keys().filter(|name| !known.contains(&name.as_str()));
        unknown.map(|name| fault(&self.place(&said_back(name)), why.as_str())).collect()
    }

    /// Whether it has no field but these.
    fn only(&self, known: &[&str]) -> Result<(), DefinitionFault> {
        self.unknown(known).into_iter().next().map_or(Ok(()), Err)
    }

    /// A field that may be left out; null is as good as that.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A text that may be left out.
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, DefinitionFault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(fault(&self.place(name), format!("is {}; a string is expected", given(other)))),
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<String, DefinitionFault> {
        self.optional_text(name)?.ok_or_else(|| fault(&self.place(name), "is required"))
    }

    /// The entries of a list that may be left out.
    pub fn list(&self, name: &str) -> Result<&'a [Value], DefinitionFault> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(fault(&self.place(name), format!("is {}; an array is expected", given(other)))),
        }
    }

    /// The field `type`, which is one of `known`: each with the fields that such an object has besides.
    pub fn kind(&self, known: &[(&str, &[&str])]) -> Result<String, DefinitionFault> {
        let name = self.text("type")?;
        let Some((_, fields)) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let why = format!("{:?} is none of: {}", said_back(&name), names.join(", "));
            return Err(fault(&self.place("type"), why));
        };
        self.only(&[&["type"][..], fields].concat())?;
        Ok(name)
    }
}
