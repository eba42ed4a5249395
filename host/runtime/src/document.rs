//! Finds the OpenAPI document that a component carries. It is a custom section and no function: nobody has to be called for it,
//! and no instance has it in its memory.

use serde_json::{Map, Value};
use wasmparser::{Parser, Payload};

use crate::inspect::InspectError;

/// The custom section that a router has its document in; of the component itself or of a module in it.
pub const OPENAPI_SECTION: &str = "switchboard-openapi";
/// The longest document.
pub const OPENAPI_BYTES_MAX: usize = 1024 * 1024;
/// The versions of OpenAPI that are taken.
const VERSIONS: &str = "3.1.";

/// The document of a component, if it carries one.
///
/// # Errors
/// [`InspectError::BadDeclaration`] when it is too long, is no document of OpenAPI 3.1, or is not the only one.
pub(crate) fn openapi(component: &[u8]) -> Result<Option<Map<String, Value>>, InspectError> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| InspectError::Invalid { why: error.message().to_owned() })?;
        let Payload::CustomSection(section) = payload else { continue };
        if section.name() == OPENAPI_SECTION && found.replace(section.data()).is_some() {
            return Err(bad(format!("there are several sections {OPENAPI_SECTION}; one is allowed")));
        }
    }
    found.map(read).transpose()
}

fn read(bytes: &[u8]) -> Result<Map<String, Value>, InspectError> {
    if bytes.len() > OPENAPI_BYTES_MAX {
        return Err(bad(format!("{} bytes; the limit is {OPENAPI_BYTES_MAX}", bytes.len())));
    }
    let document: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| bad(format!("it is no JSON object: {error}")))?;
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with(VERSIONS) {
        let shortened: String = version.chars().take(20).collect();
        return Err(bad(format!("its member openapi is {shortened:?}; {VERSIONS}x is expected")));
    }
    if !document.get("paths").is_some_and(Value::is_object) {
        return Err(bad("its member paths is no object".to_owned()));
    }
    Ok(document)
}

fn bad(why: String) -> InspectError {
    InspectError::BadDeclaration { what: "an OpenAPI document".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of custom sections alone.
    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (name, data) in sections {
            bytes.push(0);
            leb128(&mut bytes, 1 + name.len() + data.len());
            leb128(&mut bytes, name.len());
            bytes.extend(name.as_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    fn refusal(document: &[u8]) -> String {
        openapi(&component(&[(OPENAPI_SECTION, document)])).unwrap_err().to_string()
    }

    #[test]
    fn the_document_in_the_section_of_its_name_is_found() {
        let document = br#"{"openapi":"3.1.1","paths":{"/send":{}}}"#;
        let found = openapi(&component(&[("producers", b"?"), (OPENAPI_SECTION, document)])).unwrap().unwrap();
        assert_eq!(Value::Object(found), serde_json::from_slice::<Value>(document).unwrap());
        assert_eq!(openapi(&component(&[("producers", b"?")])), Ok(None));
    }

    #[test]
    fn what_is_no_document_is_refused_with_the_reason() {
        assert!(refusal(b"openapi: 3.1.0").contains("no JSON object"));
        assert!(refusal(br#"{"openapi":"3.0.3","paths":{}}"#).contains("\"3.0.3\"; 3.1.x is expected"));
        assert!(refusal(br#"{"openapi":"3.1.0"}"#).contains("paths is no object"));
        assert!(refusal(&vec![b' '; OPENAPI_BYTES_MAX + 1]).contains("1048577 bytes; the limit is 1048576"));
        let document: (&str, &[u8]) = (OPENAPI_SECTION, br#"{"openapi":"3.1.0","paths":{}}"#);
        let several = openapi(&component(&[document, document])).unwrap_err();
        assert_eq!((several.code(), several.to_string().contains("several")), ("bad_declaration", true));
    }
}
