//! Texts with parameters in double braces.

use switchboard_guest_sdk::said_back;
use switchboard_guest_sdk::template::TemplateError;
use switchboard_guest_sdk::types::Parameter;

/// Most characters of a parameter's name.
const NAME_CHARS_MAX: usize = 64;

/// What a value is put into: it decides what of the value stays as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A text of several lines.
    Lines,
    /// A text of one line.
    Line,
    /// An address: a value is one piece of it and cannot add others.
    Url,
}

enum Part<'a> {
    Plain(&'a str),
    Parameter(&'a str),
}

/// The parts of a text, in their order.
fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = split_at_braces(rest) {
        parts.push(Part::Plain(before));
        if let Some(after) = after.strip_prefix("{{{{") {
            parts.push(Part::Plain("{{"));
            rest = after;
        } else if let Some(after) = after.strip_prefix("}}}}") {
            parts.push(Part::Plain("}}"));
            rest = after;
        } else if let Some(after) = after.strip_prefix("{{") {
            let (name, after) = after.split_once("}}").ok_or("has {{ without }}")?;
            parts.push(Part::Parameter(checked_name(name)?));
            rest = after;
        } else {
            return Err("has }} without {{; the braces themselves are written }}}}".to_owned());
        }
    }
    parts.push(Part::Plain(rest));
    Ok(parts)
}

/// What is before the next pair of braces, and the rest from there on.
fn split_at_braces(text: &str) -> Option<(&str, &str)> {
    let at = match (text.find("{{"), text.find("}}")) {
        (Some(opens), Some(closes)) => opens.min(closes),
        (opens, closes) => opens.or(closes)?,
    };
    text.split_at_checked(at)
}

fn checked_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        return Err(format!(
            "has a parameter {:?}; names are 1 to {NAME_CHARS_MAX} of a-z, A-Z, 0-9 and _",
            said_back(name)
        ));
    }
    Ok(name)
}

/// The names of the parameters in a text, each as often as it stands there.
pub fn names(text: &str) -> Result<Vec<&str>, String> {
    let name = |part| match part {
        Part::Parameter(name) => Some(name),
        Part::Plain(_) => None,
    };
    Ok(parts(text)?.into_iter().filter_map(name).collect())
}

/// How many characters a text has without its parameters.
pub fn fixed_chars(text: &str) -> Result<usize, String> {
    let chars = |part: &Part<'_>| match part {
        Part::Plain(plain) => plain.chars().count(),
        Part::Parameter(_) => 0,
    };
    Ok(parts(text)?.iter().map(chars).sum())
}

/// What a text begins with; `None` where a parameter says that.
pub fn opens_with(text: &str) -> Result<Option<&str>, String> {
    let mut parts = parts(text)?.into_iter().filter(|part| !matches!(part, Part::Plain("")));
    Ok(match parts.next() {
        Some(Part::Parameter(_)) => None,
        Some(Part::Plain(plain)) => Some(plain),
        None => Some(""),
    })
}

/// Most bytes of a text with its values: whatever may be sent has fewer, and a value may stand in thousands of places.
const FILLED_BYTES_MAX: usize = 256 * 1024;

/// The text with the parameters' values. A value is put in as it is: braces in it open nothing.
pub fn fill(text: &str, place: Place, parameters: &[Parameter]) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text).map_err(TemplateError::Invalid)? {
        match part {
            Part::Plain(plain) => filled.push_str(plain),
            Part::Parameter(name) => {
                let given = parameters.iter().find(|parameter| parameter.name == name);
                let value = given.ok_or_else(|| TemplateError::MissingParameter(name.to_owned()))?;
                put(&mut filled, &value.value, place);
                if filled.len() > FILLED_BYTES_MAX {
                    let why = format!("comes to more than {FILLED_BYTES_MAX} bytes with the values of its parameters");
                    return Err(TemplateError::Invalid(why));
                }
            }
        }
    }
    Ok(filled)
}

fn put(filled: &mut String, value: &str, place: Place) {
    match place {
        Place::Lines => filled.extend(value.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t')),
        Place::Line => filled.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c })),
        // At the beginning of an address a value may be all of it.
        Place::Url if filled.is_empty() => filled.extend(value.chars().filter(|c| !c.is_control())),
        Place::Url => value.bytes().for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => filled.push(char::from(byte)),
            byte => filled.push_str(&format!("%{byte:02X}")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Vec<Parameter> {
        pairs.iter().map(|(name, value)| Parameter { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
    }

    fn filled(text: &str, place: Place, pairs: &[(&str, &str)]) -> Result<String, String> {
        fill(text, place, &given(pairs)).map_err(|error| match error {
            TemplateError::MissingParameter(name) => format!("missing {name}"),
            TemplateError::Invalid(why) => why,
        })
    }

    #[test]
    fn parameters_are_replaced_by_their_values() {
        let lines = |text, pairs: &[_]| filled(text, Place::Lines, pairs);
        assert_eq!(lines("Hello {{name}}!", &[("name", "Ada")]), Ok("Hello Ada!".to_owned()));
        assert_eq!(lines("{{1}}{{ 2 }}{{1}}", &[("1", "a"), ("2", "b")]), Ok("aba".to_owned()));
        assert_eq!(lines("no parameter", &[("surplus", "x")]), Ok("no parameter".to_owned()));
        assert_eq!(lines("Hello {{name}}", &[("other", "x")]), Err("missing name".to_owned()));
    }

    #[test]
    fn doubled_braces_are_the_braces_themselves_and_single_ones_nothing_special() {
        let lines = |text| filled(text, Place::Lines, &[("x", "1")]);
        assert_eq!(lines("{{{{x}}}}"), Ok("{{x}}".to_owned()));
        assert_eq!(lines("{x} {{x}} }"), Ok("{x} 1 }".to_owned()));
    }

    #[test]
    fn a_value_opens_no_parameter_and_brings_no_control_characters() {
        let pairs = [("a", "{{b}}\u{7}\nnext"), ("b", "secret")];
        assert_eq!(filled("{{a}}", Place::Lines, &pairs), Ok("{{b}}\nnext".to_owned()));
        assert_eq!(filled("{{a}}", Place::Line, &pairs), Ok("{{b}}  next".to_owned()));
    }

    #[test]
    fn a_value_is_one_piece_of_an_address() {
        let url = |text, value| filled(text, Place::Url, &[("x", value)]);
        assert_eq!(url("https://a.example/{{x}}?q=1", "a/b?c=ü"), Ok("https://a.example/a%2Fb%3Fc%3D%C3%BC?q=1".to_owned()));
        assert_eq!(url("{{x}}", "https://a.example/p?q=1"), Ok("https://a.example/p?q=1".to_owned()));
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for (text, why) in [("{{name", "without }}"), ("name}}", "without {{"), ("{{}}", "\"\""), ("{{a b}}", "\"a b\"")] {
            assert!(names(text).unwrap_err().contains(why), "{text}");
        }
    }
}
