//! Finds what a component carries in custom sections: its OpenAPI document, and what it asks to be given. They are no functions:
//! nobody has to be called for them, and no instance has them in its memory.

use serde_json::{Map, Value};
use switchboard_core::records::plugin::Grants;
use switchboard_core::rules::grants::read_asked;
use wasmparser::{Parser, Payload};

use crate::inspect::InspectError;
use crate::log::short_words;

/// The custom section that a router has its document in; of the component itself or of a module in it.
pub const OPENAPI_SECTION: &str = "switchboard-openapi";
/// The longest document.
pub const OPENAPI_BYTES_MAX: usize = 1024 * 1024;
/// The custom section in which a component says what it asks to be given: JSON in the shape of [`Grants`].
pub const GRANTS_SECTION: &str = "switchboard-grants";
/// The longest wish.
pub const GRANTS_BYTES_MAX: usize = 16 * 1024;
/// The versions of OpenAPI that are taken.
const VERSIONS: &str = "3.1.";

/// The custom section in which a component asks for its instances to be kept between requests; it says `kept`.
pub const INSTANCE_SECTION: &str = "switchboard-instance";
/// What that section says.
pub const INSTANCE_KEPT: &[u8] = b"kept";

/// What a component says in its sections.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sections {
    /// Its OpenAPI document, if it carries one.
    pub(crate) openapi: Option<Map<String, Value>>,
    /// What it asks to be given: nothing, if it does not say.
    pub(crate) asked: Grants,
    /// Whether it asks for its instances to be kept.
    pub(crate) keeps_instance: bool,
}

/// Reads the sections of a component, its own and those of modules in it.
///
/// # Errors
/// [`InspectError::BadDeclaration`] when one is too long, says what it cannot say, or is not the only one of its name.
pub(crate) fn sections(component: &[u8]) -> Result<Sections, InspectError> {
    let [mut document, mut grants, mut instance] = [None; 3];
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| InspectError::Invalid { why: error.message().to_owned() })?;
        let Payload::CustomSection(section) = payload else { continue };
        let found = match section.name() {
            OPENAPI_SECTION => &mut document,
            GRANTS_SECTION => &mut grants,
            INSTANCE_SECTION => &mut instance,
            _ => continue,
        };
        if found.replace(section.data()).is_some() {
            let why = format!("there are several sections {}; one is allowed", section.name());
            return Err(InspectError::BadDeclaration { what: "too much".to_owned(), why });
        }
    }
    Ok(Sections {
        openapi: document.map(read_document).transpose()?,
        asked: grants.map(read_grants).transpose()?.unwrap_or_default(),
        keeps_instance: instance.map(read_instance).transpose()?.is_some(),
    })
}

fn read_instance(bytes: &[u8]) -> Result<(), InspectError> {
    if bytes == INSTANCE_KEPT {
        return Ok(());
    }
    let said = short_words(&String::from_utf8_lossy(bytes.get(..bytes.len().min(20)).unwrap_or_default()));
    let why = format!("it says {said:?}; \"kept\" is expected");
    Err(InspectError::BadDeclaration { what: format!("a section {INSTANCE_SECTION}"), why })
}

fn read_grants(bytes: &[u8]) -> Result<Grants, InspectError> {
    let bad = |why| InspectError::BadDeclaration { what: format!("grants in the section {GRANTS_SECTION}"), why };
    if bytes.len() > GRANTS_BYTES_MAX {
        return Err(bad(format!("{} bytes; the limit is {GRANTS_BYTES_MAX}", bytes.len())));
    }
    read_asked(bytes).map_err(bad)
}

/// Puts a custom section behind a component: its id, its size, its name and its content
/// (<https://webassembly.github.io/spec/core/binary/modules.html#custom-section>).
pub fn add_section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let body = [leb128(name.len()), name.as_bytes().to_vec(), content.to_vec()].concat();
    component.push(0);
    component.extend(leb128(body.len()));
    component.extend(body);
}

/// An unsigned number in as many bytes of seven bits as it needs.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read_document(bytes: &[u8]) -> Result<Map<String, Value>, InspectError> {
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
    use switchboard_core::records::plugin::SessionGrant;

    use super::*;

    /// A component of custom sections alone.
    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (name, data) in sections {
            add_section(&mut bytes, name, data);
        }
        bytes
    }

    fn refusal(document: &[u8]) -> String {
        sections(&component(&[(OPENAPI_SECTION, document)])).unwrap_err().to_string()
    }

    #[test]
    fn the_document_in_the_section_of_its_name_is_found() {
        let document = br#"{"openapi":"3.1.1","paths":{"/send":{}}}"#;
        let found = sections(&component(&[("producers", b"?"), (OPENAPI_SECTION, document)])).unwrap().openapi.unwrap();
        assert_eq!(Value::Object(found), serde_json::from_slice::<Value>(document).unwrap());
        assert_eq!(sections(&component(&[("producers", b"?")])), Ok(Sections::default()));
    }

    #[test]
    fn what_is_no_document_is_refused_with_the_reason() {
        assert!(refusal(b"openapi: 3.1.0").contains("no JSON object"));
        assert!(refusal(br#"{"openapi":"3.0.3","paths":{}}"#).contains("\"3.0.3\"; 3.1.x is expected"));
        assert!(refusal(br#"{"openapi":"3.1.0"}"#).contains("paths is no object"));
        assert!(refusal(&vec![b' '; OPENAPI_BYTES_MAX + 1]).contains("1048577 bytes; the limit is 1048576"));
        let document: (&str, &[u8]) = (OPENAPI_SECTION, br#"{"openapi":"3.1.0","paths":{}}"#);
        let several = sections(&component(&[document, document])).unwrap_err();
        assert_eq!((several.code(), several.to_string().contains("several")), ("bad_declaration", true));
    }

    #[test]
    fn what_a_component_asks_for_is_found_and_read_strictly() {
        let wish = br#"{"sessions":"all","fields":["text"]}"#;
        let found = sections(&component(&[("producers", b"?"), (GRANTS_SECTION, wish)])).unwrap().asked;
        assert_eq!((found.sessions, found.fields.len()), (SessionGrant::All, 1));
        let refused = |wish: &[u8]| sections(&component(&[(GRANTS_SECTION, wish)])).unwrap_err().to_string();
        let unknown = refused(br#"{"telephone":true}"#);
        assert!(unknown.contains(GRANTS_SECTION) && unknown.contains("`telephone`"), "{unknown}");
        assert!(refused(&vec![b' '; GRANTS_BYTES_MAX + 1]).contains("16385 bytes; the limit is 16384"));
        assert!(sections(&component(&[(INSTANCE_SECTION, b"kept")])).unwrap().keeps_instance);
        assert!(!sections(&component(&[(GRANTS_SECTION, wish)])).unwrap().keeps_instance);
        let other = sections(&component(&[(INSTANCE_SECTION, b"for ever")])).unwrap_err().to_string();
        assert!(other.contains("\"for ever\"") && other.contains("\"kept\" is expected"), "{other}");
        let several = sections(&component(&[(GRANTS_SECTION, wish), (GRANTS_SECTION, wish)])).unwrap_err();
        assert_eq!((several.code(), several.to_string().contains("several")), ("bad_declaration", true));
    }

    #[test]
    fn a_custom_section_is_written_as_the_specification_has_it() {
        let mut component = vec![7];
        add_section(&mut component, "ab", b"xyz");
        assert_eq!(component, [7, 0, 6, 2, b'a', b'b', b'x', b'y', b'z']);
        assert_eq!((leb128(0), leb128(127), leb128(300)), (vec![0], vec![127], vec![0xac, 2]));
    }
}
