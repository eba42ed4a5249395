//! Reads JSON bodies strictly: what is wrong is told by its place, its value and what is allowed there.
//!
//! An unknown field is refused wherever an object has known ones, whatever the type that is read says itself: records that
//! storage reads leniently, for they outlive versions, come in through here as well.

use std::fmt::{self, Display};
use std::vec;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};
use switchboard_core::rules::said_back::said_back;

/// Why a body is not taken.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// It is not JSON.
    Syntax(String),
    /// It is JSON, and not what is expected.
    Shape(ShapeFault),
}

/// What is wrong within a body, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShapeFault {
    /// Names and indexes on the way there, the innermost first.
    inwards: Vec<String>,
    /// What is wrong.
    pub(super) why: String,
}

/// What a JSON body says.
///
/// # Errors
/// [`BodyFault`].
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyFault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyFault::Syntax("is empty; JSON is expected".to_owned()));
    }
    let Whole(value) = serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => BodyFault::Shape(de::Error::custom(error)),
        false => BodyFault::Syntax(format!("is not JSON: {error}")),
    })?;
    read_value(value).map_err(BodyFault::Shape)
}

/// What a part of a JSON body says.
///
/// # Errors
/// [`ShapeFault`], with its place in that part.
pub(super) fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, ShapeFault> {
    T::deserialize(Reader(value))
}

impl ShapeFault {
    fn at(inwards: Vec<String>, why: String) -> Self {
        Self { inwards, why }
    }

    /// The same, seen from one step further out.
    fn below(mut self, step: impl Display) -> Self {
        self.inwards.push(said_back(step));
        self
    }

    /// The way there, the outermost step first.
    pub(super) fn path(&self) -> Vec<&str> {
        self.inwards.iter().rev().map(String::as_str).collect()
    }
}

/// A value as it is said back.
fn given(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(text) => format!("{:?}", said_back(text)),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        Unexpected::UnitVariant => "a word alone".to_owned(),
        other => other.to_string(),
    }
}

/// What is allowed, in the words of JSON instead of those of the program.
fn allowed(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u64" | "usize" => "a whole number from 0 on".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        "newtype variant" => "an object with that one field".to_owned(),
        _ if ["struct ", "adjacently tagged enum "].iter().any(|start| words.starts_with(start)) => "an object".to_owned(),
        _ => words,
    }
}

impl Display for ShapeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path().join("."), self.why)
    }
}

impl std::error::Error for ShapeFault {}

impl de::Error for ShapeFault {
    fn custom<T: Display>(why: T) -> Self {
        Self::at(Vec::new(), why.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::at(Vec::new(), format!("is {}; {} is expected", given(&unexpected), allowed(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::at(Vec::new(), format!("has {length} entries; {} is expected", allowed(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::at(Vec::new(), format!("{:?} is none of: {}", said_back(variant), expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let why = match expected {
            [] => "is not a field; there are none".to_owned(),
            names => format!("is not a field; there are: {}", names.join(", ")),
        };
        Self::at(vec![said_back(field)], why)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::at(vec![field.to_owned()], "is required".to_owned())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::at(vec![field.to_owned()], "is given twice".to_owned())
    }
}

/// A value that is being read.
struct Reader(Value);

impl<'de> Deserializer<'de> for Reader {
    type Error = ShapeFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeFault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (None, Some(value), _) => visitor.visit_i64(value),
                (None, None, value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { at: 0, items: items.into_iter() }),
            Value::Object(fields) => visitor.visit_map(Fields::of(fields.into_iter().collect())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeFault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ShapeFault> {
        visitor.visit_newtype_struct(self)
    }

    /// Objects alone, and no field that is not known. In the order of the declaration, where a tag precedes what it tells of.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeFault> {
        let mut object = match self.0 {
            Value::Object(object) => object,
            // An array would be taken for the fields, by their places.
            other => return Err(de::Error::invalid_type(kind(&other), &"an object")),
        };
        if let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(de::Error::unknown_field(unknown, known));
        }
        let fields = known.iter().filter_map(|name| Some(((*name).to_owned(), object.remove(*name)?)));
        visitor.visit_map(Fields::of(fields.collect()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeFault> {
        match self.0 {
            Value::String(name) => {
                let name: StringDeserializer<ShapeFault> = name.into_deserializer();
                visitor.visit_enum(name)
            }
            Value::Object(object) if object.len() == 1 => visitor.visit_enum(Variant(object)),
            Value::Object(_) => Err(de::Error::custom(format!("needs exactly one of: {}", variants.join(", ")))),
            other => Err(de::Error::invalid_type(kind(&other), &format!("one of {}", variants.join(", ")).as_str())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// A value as serde names what it did not expect.
fn kind(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Unexpected::Unsigned(value),
            (None, Some(value)) => Unexpected::Signed(value),
            (None, None) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// The entries of an array.
struct Items {
    at: usize,
    items: vec::IntoIter<Value>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = ShapeFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ShapeFault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        seed.deserialize(Reader(item)).map(Some).map_err(|fault| fault.below(at))
    }
}

/// The fields of an object.
struct Fields {
    fields: vec::IntoIter<(String, Value)>,
    /// The field whose name was read last.
    open: Option<(String, Value)>,
}

impl Fields {
    fn of(fields: Vec<(String, Value)>) -> Self {
        Self { fields: fields.into_iter(), open: None }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = ShapeFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ShapeFault> {
        self.open = self.fields.next();
        let Some((name, _)) = &self.open else { return Ok(None) };
        let key: StringDeserializer<ShapeFault> = name.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ShapeFault> {
        let Some((name, value)) = self.open.take() else { return Err(de::Error::custom("a value without a name")) };
        seed.deserialize(Reader(value)).map_err(|fault| fault.below(name))
    }
}

/// An object of one field, whose name says which variant it is.
struct Variant(Map<String, Value>);

impl<'de> EnumAccess<'de> for Variant {
    type Error = ShapeFault;
    type Variant = Chosen;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Chosen), ShapeFault> {
        let Some((name, value)) = self.0.into_iter().next() else { return Err(de::Error::custom("is empty")) };
        let key: StringDeserializer<ShapeFault> = name.clone().into_deserializer();
        Ok((seed.deserialize(key)?, Chosen { name, value }))
    }
}

/// What a variant carries.
struct Chosen {
    name: String,
    value: Value,
}

impl<'de> VariantAccess<'de> for Chosen {
    type Error = ShapeFault;

    fn unit_variant(self) -> Result<(), ShapeFault> {
        Err(de::Error::custom(format!("give the word {:?} alone", said_back(self.name))))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ShapeFault> {
        seed.deserialize(Reader(self.value)).map_err(|fault| fault.below(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ShapeFault> {
        Reader(self.value).deserialize_any(visitor).map_err(|fault| fault.below(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, known: &'static [&'static str], visitor: V) -> Result<V::Value, ShapeFault> {
        Reader(self.value).deserialize_struct("", known, visitor).map_err(|fault| fault.below(self.name))
    }
}

/// JSON of which no object has a name twice: nobody can know which of the two was meant.
struct Whole(Value);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor).map(Self)
    }
}

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Whole(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((name, Whole(value))) = fields.next_entry::<String, _>()? {
            if read.contains_key(&name) {
                return Err(de::Error::custom(format!("{:?} is given twice in one object", said_back(name))));
            }
            read.insert(name, value);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests;
