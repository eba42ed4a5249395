//! Parameters of a template in JSON: an object by name, or a list of positional ones. Written as an object.

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

use crate::rules::said_back::said_back;

pub(super) fn serialize<S: Serializer>(parameters: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(parameters.len()))?;
    for (name, value) in parameters {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let text = |name: &str, value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Error::custom(format!("parameter {:?} is neither a text nor a number", said_back(name)))),
    };
    match Value::deserialize(deserializer)? {
        Value::Object(named) => named.into_iter().map(|(name, value)| Ok((name.clone(), text(&name, value)?))).collect(),
        Value::Array(listed) => (1..)
            .zip(listed)
            .map(|(place, value): (u32, Value)| {
                let name = place.to_string();
                let value = text(&name, value)?;
                Ok((name, value))
            })
            .collect(),
        _ => Err(Error::custom("an object of named parameters, or a list of positional ones, is expected")),
    }
}

#[cfg(test)]
mod tests {
    use crate::records::content::TemplateCall;

    fn read(parameters: &str) -> Result<Vec<(String, String)>, String> {
        let text = format!(r#"{{"name":"welcome","language":null,"parameters":{parameters}}}"#);
        serde_json::from_str::<TemplateCall>(&text).map(|call| call.parameters).map_err(|error| error.to_string())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters_are_named_or_listed() {
        assert_eq!(read(r#"{"name":"Ada","n":3}"#), Ok(pairs(&[("n", "3"), ("name", "Ada")])));
        assert_eq!(read(r#"["Ada",3]"#), Ok(pairs(&[("1", "Ada"), ("2", "3")])));
        assert_eq!(read("[]"), Ok(vec![]));
    }

    #[test]
    fn parameters_that_are_no_texts_are_refused() {
        assert!(read(r#"{"name":["Ada"]}"#).unwrap_err().contains("\"name\""));
        assert!(read("[null]").unwrap_err().contains("\"1\""));
        assert!(read("\"Ada\"").is_err());
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let parameters = pairs(&[("1", "Ada"), ("2", "x")]);
        let call = TemplateCall { name: "welcome".to_owned(), language: None, parameters };
        let written = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<TemplateCall>(&written).unwrap(), call);
    }
}
