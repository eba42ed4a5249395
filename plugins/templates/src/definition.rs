//! What a template consists of, and the message that it becomes.

use std::collections::BTreeSet;

use serde_json::Value;
use switchboard_guest_sdk::template::{DefinitionFault, TemplateError};
use switchboard_guest_sdk::types::{Attachment, Button, ButtonAction, Content, Interactive, Location, Media, Parameter};
use switchboard_guest_sdk::{media_at, said_back};

use crate::reading::{Faults, Object, fault};
use crate::text::{Place, fill, fixed_chars, names, opens_with};

/// Most buttons that answer, and most that do something else.
const REPLY_BUTTONS_MAX: usize = 3;
const ACTION_BUTTONS_MAX: usize = 2;
/// Most characters of what a button says, and of what comes back from it.
const TITLE_CHARS_MAX: usize = 20;
const ID_CHARS_MAX: usize = 256;
/// Most characters above and below buttons, and in between.
const EDGE_CHARS_MAX: usize = 60;
const BODY_CHARS_MAX: usize = 1024;
/// Most degrees north or south, and east or west.
const LATITUDE_MAX: f64 = 90.0;
const LONGITUDE_MAX: f64 = 180.0;

/// What headers there are, with their fields.
const HEADERS: [(&str, &[&str]); 5] = [
    ("text", &["text"]),
    ("image", &["url"]),
    ("video", &["url"]),
    ("document", &["url", "file_name"]),
    ("location", &["latitude", "longitude", "name", "address"]),
];
/// Most characters of the name or the address of a place.
const PLACE_CHARS_MAX: usize = 1000;
/// The same of buttons.
const BUTTONS: [(&str, &[&str]); 4] =
    [("reply", &["id", "title"]), ("url", &["title", "url"]), ("phone", &["title", "phone"]), ("copy", &["title", "code"])];

pub struct Definition {
    header: Option<Header>,
    body: String,
    footer: Option<String>,
    buttons: Vec<Pressed>,
}

enum Header {
    Text { text: String },
    Image { url: String },
    Video { url: String },
    Document { url: String, file_name: Option<String> },
    Location { latitude: String, longitude: String, name: Option<String>, address: Option<String> },
}

enum Pressed {
    Reply { id: String, title: String },
    Url { title: String, url: String },
    Phone { title: String, phone: String },
    Copy { title: String, code: String },
}

impl Header {
    fn read(value: &Value) -> Result<Self, DefinitionFault> {
        let header = Object::of(value, &["header"])?;
        let read = match header.kind(&HEADERS)?.as_str() {
            "image" => Self::Image { url: header.text("url")? },
            "video" => Self::Video { url: header.text("url")? },
            "document" => Self::Document { url: header.text("url")?, file_name: header.optional_text("file_name")? },
            "location" => Self::read_place(&header)?,
            _ => Self::Text { text: header.text("text")? },
        };
        match &read {
            Self::Text { .. } | Self::Location { .. } => Ok(read),
            Self::Image { url } | Self::Video { url } | Self::Document { url, .. } => {
                check_url(&["header", "url"], url).map(|()| read)
            }
        }
    }
}

impl Header {
    fn read_place(header: &Object<'_>) -> Result<Self, DefinitionFault> {
        for name in ["name", "address"] {
            if let Some(text) = header.optional_text(name)? {
                check_length(&header.place(name), &text, PLACE_CHARS_MAX)?;
            }
        }
        Ok(Self::Location {
            latitude: read_degrees(header, "latitude", LATITUDE_MAX)?,
            longitude: read_degrees(header, "longitude", LONGITUDE_MAX)?,
            name: header.optional_text("name")?,
            address: header.optional_text("address")?,
        })
    }
}

/// Degrees: a number, a text that is one, or a text with parameters.
fn read_degrees(header: &Object<'_>, name: &str, limit: f64) -> Result<String, DefinitionFault> {
    let text = match header.get(name) {
        Some(Value::Number(number)) => number.to_string(),
        _ => header.text(name)?,
    };
    let place = header.place(name);
    if names(&text).map_err(|why| fault(&place, why))?.is_empty() {
        degrees(&text, limit).map_err(|why| fault(&place, why))?;
    }
    Ok(text)
}

/// The number that a text is, at most `limit` on either side of 0.
fn degrees(text: &str, limit: f64) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.abs() <= limit);
    number.ok_or_else(|| format!("is {:?}; a number from -{limit} to {limit} is expected", said_back(text)))
}

impl Pressed {
    fn read(value: &Value, at: usize) -> Result<Self, DefinitionFault> {
        let button = Object::of(value, &["buttons", &at.to_string()])?;
        let kind = button.kind(&BUTTONS)?;
        let title = button.text("title")?;
        check_length(&button.place("title"), &title, TITLE_CHARS_MAX)?;
        Ok(match kind.as_str() {
            "url" => {
                let url = button.text("url")?;
                check_url(&button.place("url"), &url)?;
                Self::Url { title, url }
            }
            "phone" => Self::Phone { title, phone: button.text("phone")? },
            "copy" => Self::Copy { title, code: button.text("code")? },
            _ => {
                let id = button.text("id")?;
                check_length(&button.place("id"), &id, ID_CHARS_MAX)?;
                Self::Reply { id, title }
            }
        })
    }

    fn answers(&self) -> bool {
        matches!(self, Self::Reply { .. })
    }
}

/// A text that says something, and not too much: what parameters add is not known yet.
fn check_length(place: &[&str], text: &str, chars_max: usize) -> Result<(), DefinitionFault> {
    if text.trim().is_empty() {
        return Err(fault(place, "is empty"));
    }
    let chars = fixed_chars(text).map_err(|why| fault(place, why))?;
    if chars > chars_max {
        return Err(fault(place, format!("has {chars} characters, parameters left out; the limit is {chars_max}")));
    }
    Ok(())
}

/// An address of the web, unless a parameter says what it begins with.
fn check_url(place: &[&str], url: &str) -> Result<(), DefinitionFault> {
    let start = opens_with(url).map_err(|why| fault(place, why))?;
    if start.is_none_or(|start| start.starts_with("https://") || start.starts_with("http://")) {
        return Ok(());
    }
    Err(fault(place, format!("{:?} does not begin with https:// or http://", said_back(url))))
}

impl Definition {
    /// Reads a definition; else everything that is wrong with its parts.
    pub fn read(json: &str) -> Result<Self, Vec<DefinitionFault>> {
        let value: Value = serde_json::from_str(json).map_err(|error| vec![fault(&[], format!("is not JSON: {error}"))])?;
        let whole = Object::of(&value, &[]).map_err(|fault| vec![fault])?;
        let mut faults = Faults::default();
        faults.extend(whole.unknown(&["header", "body", "footer", "buttons"]));
        let body = whole.text("body").and_then(|body| match body.trim().is_empty() {
            true => Err(fault(&["body"], "is empty")),
            false => Ok(body),
        });
        let body = faults.take(body);
        let header = faults.take(whole.get("header").map(Header::read).transpose());
        let footer = faults.take(whole.optional_text("footer"));
        let buttons = faults.take(whole.list("buttons")).unwrap_or_default().iter().enumerate();
        let buttons = buttons.filter_map(|(at, button)| faults.take(Pressed::read(button, at))).collect();
        let parts = body.zip(header).zip(footer).map(|((body, header), footer)| Self { header, body, footer, buttons });
        let read = faults.or(parts)?;
        let mut faults = Faults::default();
        if !read.buttons.is_empty() {
            read.check_around_buttons(&mut faults);
        } else if matches!(read.header, Some(Header::Location { .. })) {
            let why = "a place needs buttons below: without them WhatsApp shows no text with a place";
            faults.extend([fault(&["header"], why)]);
        }
        faults.or(Some(read))
    }

    /// What WhatsApp wants of a message with buttons.
    fn check_around_buttons(&self, faults: &mut Faults) {
        if let Some(Header::Text { text }) = &self.header {
            faults.take(check_length(&["header", "text"], text, EDGE_CHARS_MAX));
        }
        faults.take(check_length(&["body"], &self.body, BODY_CHARS_MAX));
        if let Some(footer) = &self.footer {
            faults.take(check_length(&["footer"], footer, EDGE_CHARS_MAX));
        }
        let replies = self.buttons.iter().filter(|button| button.answers()).count();
        for (what, count, most) in [
            ("reply buttons", replies, REPLY_BUTTONS_MAX),
            ("buttons that open, call or copy", self.buttons.len() - replies, ACTION_BUTTONS_MAX),
        ] {
            if count > most {
                faults.extend([fault(&["buttons"], format!("has {count} {what}; the limit is {most}"))]);
            }
        }
    }

    /// Every text that may have parameters, with the way to it.
    fn texts(&self) -> Vec<(Vec<String>, &str)> {
        let mut texts: Vec<(Vec<String>, &str)> = Vec::new();
        let mut add = |place: &[&str], text| texts.push((place.iter().map(ToString::to_string).collect(), text));
        add(&["body"], self.body.as_str());
        if let Some(footer) = &self.footer {
            add(&["footer"], footer);
        }
        match &self.header {
            None => {}
            Some(Header::Text { text }) => add(&["header", "text"], text),
            Some(Header::Image { url } | Header::Video { url }) => add(&["header", "url"], url),
            Some(Header::Document { url, file_name }) => {
                add(&["header", "url"], url);
                if let Some(name) = file_name {
                    add(&["header", "file_name"], name);
                }
            }
            Some(Header::Location { latitude, longitude, name, address }) => {
                add(&["header", "latitude"], latitude);
                add(&["header", "longitude"], longitude);
                for (field, text) in [("name", name), ("address", address)] {
                    if let Some(text) = text {
                        add(&["header", field], text);
                    }
                }
            }
        }
        for (at, button) in self.buttons.iter().enumerate() {
            let both: [(&str, &str); 2] = match button {
                Pressed::Reply { id, title } => [("id", id), ("title", title)],
                Pressed::Url { title, url } => [("title", title), ("url", url)],
                Pressed::Phone { title, phone } => [("title", title), ("phone", phone)],
                Pressed::Copy { title, code } => [("title", title), ("code", code)],
            };
            for (field, text) in both {
                add(&["buttons", &at.to_string(), field], text);
            }
        }
        texts
    }

    /// The names of the parameters, each once: numbered ones in their order, others by the alphabet.
    pub fn parameters(&self) -> Result<Vec<String>, Vec<DefinitionFault>> {
        let (mut numbered, mut named, mut faults) = (BTreeSet::new(), BTreeSet::new(), Faults::default());
        for (place, text) in self.texts() {
            let wrong = |why| DefinitionFault { place: place.clone(), why };
            for name in faults.take(names(text).map_err(wrong)).unwrap_or_default() {
                match name.parse::<u32>() {
                    Ok(number) if number.to_string() == name && number > 0 => drop(numbered.insert(number)),
                    Ok(_) => faults.extend([wrong(format!("has a parameter {name}; numbers begin with 1"))]),
                    Err(_) => drop(named.insert(name.to_owned())),
                }
            }
        }
        if let (Some(number), Some(name)) = (numbered.first(), named.first()) {
            let why = format!("has numbered parameters ({number}) and named ones ({name}); use one or the other");
            faults.extend([fault(&[], why)]);
        }
        faults.or(Some(numbered.iter().map(u32::to_string).chain(named).collect()))
    }

    /// The message with these parameters.
    pub fn render(&self, parameters: &[Parameter]) -> Result<Content, TemplateError> {
        let filled = |text: &str, place| fill(text, place, parameters);
        let body = filled(&self.body, Place::Lines)?;
        let footer = self.footer.as_deref().map(|footer| filled(footer, Place::Line)).transpose()?;
        let (header, attachment) = match &self.header {
            Some(Header::Text { text }) => (Some(filled(text, Place::Line)?), None),
            Some(header) => (None, header.attachment(parameters)?),
            None => (None, None),
        };
        if self.buttons.is_empty() {
            let below = joined([header, Some(body), footer]);
            let captioned = |file| Media { caption: Some(below.clone()), ..file };
            return Ok(match attachment {
                None | Some(Attachment::Location(_)) => Content::Text(below),
                Some(Attachment::Image(file)) => Content::Image(captioned(file)),
                Some(Attachment::Video(file)) => Content::Video(captioned(file)),
                Some(Attachment::Document(file)) => Content::Document(captioned(file)),
            });
        }
        let buttons = self.buttons.iter().map(|button| button.render(parameters)).collect::<Result<_, _>>()?;
        let (sections, list_button, plain_text) = (Vec::new(), None, false);
        let asked = Interactive { header, attachment, body, footer, buttons, sections, list_button, plain_text };
        Ok(Content::Interactive(asked))
    }
}

impl Header {
    /// The file or the place that it is.
    fn attachment(&self, parameters: &[Parameter]) -> Result<Option<Attachment>, TemplateError> {
        let line = |text: &String| fill(text, Place::Line, parameters);
        let file = |url: &str| fill(url, Place::Url, parameters).map(media_at);
        Ok(Some(match self {
            Self::Text { .. } => return Ok(None),
            Self::Image { url } => Attachment::Image(file(url)?),
            Self::Video { url } => Attachment::Video(file(url)?),
            Self::Document { url, file_name } => {
                let file_name = file_name.as_ref().map(line).transpose()?;
                Attachment::Document(Media { file_name, ..file(url)? })
            }
            Self::Location { latitude, longitude, name, address } => {
                let number = |name: &str, text: &String, limit| {
                    degrees(&line(text)?, limit).map_err(|why| TemplateError::Invalid(format!("header.{name} {why}")))
                };
                Attachment::Location(Location {
                    latitude: number("latitude", latitude, LATITUDE_MAX)?,
                    longitude: number("longitude", longitude, LONGITUDE_MAX)?,
                    name: name.as_ref().map(line).transpose()?,
                    address: address.as_ref().map(line).transpose()?,
                })
            }
        }))
    }
}

impl Pressed {
    fn render(&self, parameters: &[Parameter]) -> Result<Button, TemplateError> {
        let line = |text: &str| fill(text, Place::Line, parameters);
        let acts = |title: &str, action| Ok(Button { id: String::new(), title: line(title)?, action: Some(action) });
        match self {
            Self::Reply { id, title } => Ok(Button { id: line(id)?, title: line(title)?, action: None }),
            Self::Url { title, url } => acts(title, ButtonAction::Url(fill(url, Place::Url, parameters)?)),
            Self::Phone { title, phone } => acts(title, ButtonAction::Call(line(phone)?)),
            Self::Copy { title, code } => acts(title, ButtonAction::Copy(line(code)?)),
        }
    }
}

/// What there is of header, body and footer, with an empty line in between.
fn joined(parts: [Option<String>; 3]) -> String {
    let there: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    there.join("\n\n")
}

#[cfg(test)]
mod tests {
    use switchboard_guest_sdk::types::MediaSource;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Vec<Parameter> {
        pairs.iter().map(|(name, value)| Parameter { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
    }

    fn rendered(json: &str, pairs: &[(&str, &str)]) -> Content {
        match Definition::read(json).unwrap().render(&given(pairs)) {
            Ok(content) => content,
            Err(error) => panic!("{json}: {error:?}"),
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let places = |json: &str| -> Vec<String> {
            let read = Definition::read(json).and_then(|read| read.parameters());
            read.unwrap_err().into_iter().map(|fault| fault.place.join("/")).collect()
        };
        let json = r#"{"colour":"red","size":1,"body":" ","header":{"type":"image","url":"ftp://a"},"footer":5,
            "buttons":[{"type":"reply","title":"t"},{"type":"reply","id":"a","title":"t"},{"type":"x","title":"t"}]}"#;
        let all = ["colour", "size", "body", "header/url", "footer", "buttons/0/id", "buttons/2/type"];
        assert_eq!(places(json), all);
        let long = "x".repeat(61);
        let json = format!(
            r#"{{"body":"b","header":{{"type":"text","text":"{long}"}},"footer":"{long}",
                "buttons":[{{"type":"reply","id":"a","title":"t"}}]}}"#
        );
        assert_eq!(places(&json), ["header/text", "footer"]);
        assert_eq!(places(r#"{"body":"{{0}}","footer":"{{y"}"#), ["body", "footer"]);
    }

    #[test]
    fn texts_alone_become_a_text() {
        let json = r#"{"header":{"type":"text","text":"Order {{1}}"},"body":"Hello {{2}}","footer":"Bye"}"#;
        let Content::Text(text) = rendered(json, &[("1", "7\n8"), ("2", "Ada")]) else { panic!("no text") };
        assert_eq!(text, "Order 7 8\n\nHello Ada\n\nBye");
        let Content::Text(text) = rendered(r#"{"body":"{{x}}"}"#, &[("x", "a\nb")]) else { panic!("no text") };
        assert_eq!(text, "a\nb");
    }

    #[test]
    fn a_file_in_the_header_has_the_texts_below_it() {
        let json = r#"{"header":{"type":"document","url":"https://a.example/{{n}}.pdf","file_name":"Bill {{n}}.pdf"},
            "body":"Your bill","footer":"Thanks"}"#;
        let Content::Document(file) = rendered(json, &[("n", "4/5")]) else { panic!("no document") };
        assert!(matches!(&file.source, MediaSource::Url(url) if url == "https://a.example/4%2F5.pdf"));
        assert_eq!(
            (file.file_name.as_deref(), file.caption.as_deref()),
            (Some("Bill 4/5.pdf"), Some("Your bill\n\nThanks"))
        );
        let image = r#"{"header":{"type":"image","url":"{{u}}"},"body":"x"}"#;
        assert!(matches!(rendered(image, &[("u", "https://a.example/p.png")]), Content::Image(_)));
    }

    #[test]
    fn buttons_make_it_interactive() {
        let json = r#"{"header":{"type":"text","text":"H"},"body":"Well?","buttons":[
            {"type":"reply","id":"yes_{{1}}","title":"Yes {{1}}"},
            {"type":"url","title":"Open","url":"https://a.example/{{1}}"},
            {"type":"phone","title":"Call","phone":"+491520000001"}]}"#;
        let Content::Interactive(asked) = rendered(json, &[("1", "a b")]) else { panic!("not interactive") };
        assert_eq!((asked.header.as_deref(), asked.body.as_str()), (Some("H"), "Well?"));
        let [yes, open, call] = asked.buttons.as_slice() else { panic!("{:?}", asked.buttons) };
        assert_eq!((yes.id.as_str(), yes.title.as_str(), yes.action.is_none()), ("yes_a b", "Yes a b", true));
        assert!(matches!(&open.action, Some(ButtonAction::Url(url)) if url == "https://a.example/a%20b"));
        assert!(matches!(&call.action, Some(ButtonAction::Call(number)) if number == "+491520000001"));
        let json = r#"{"body":"Well?","buttons":[{"type":"copy","title":"Code","code":"{{1}}"}]}"#;
        let Content::Interactive(asked) = rendered(json, &[("1", "a b")]) else { panic!("not interactive") };
        assert!(matches!(&asked.buttons[0].action, Some(ButtonAction::Copy(code)) if code == "a b"));
    }

    #[test]
    fn a_file_or_a_place_stands_above_buttons() {
        let below = |header: &str| {
            let json =
                format!(r#"{{"header":{header},"body":"Well?","buttons":[{{"type":"reply","id":"a","title":"Yes"}}]}}"#);
            match rendered(&json, &[("n", "4/5"), ("lat", "52.5"), ("shop", "Ada's")]) {
                Content::Interactive(asked) if asked.header.is_none() && asked.body == "Well?" => asked.attachment,
                other => panic!("{other:?}"),
            }
        };
        let Some(Attachment::Document(file)) =
            below(r#"{"type":"document","url":"https://a.example/{{n}}.pdf","file_name":"{{n}}.pdf"}"#)
        else {
            panic!("no document")
        };
        assert!(matches!(&file.source, MediaSource::Url(url) if url == "https://a.example/4%2F5.pdf"));
        assert_eq!((file.file_name.as_deref(), file.caption), (Some("4/5.pdf"), None));
        assert!(matches!(below(r#"{"type":"image","url":"https://a.example/p.png"}"#), Some(Attachment::Image(_))));
        let place = r#"{"type":"location","latitude":"{{lat}}","longitude":13.4,"name":"{{shop}}","address":"Here 1"}"#;
        let Some(Attachment::Location(place)) = below(place) else { panic!("no place") };
        assert_eq!((place.latitude, place.longitude), (52.5, 13.4));
        assert_eq!((place.name.as_deref(), place.address.as_deref()), (Some("Ada's"), Some("Here 1")));
    }

    #[test]
    fn a_place_that_a_parameter_leads_off_the_earth_is_no_message() {
        let json = r#"{"header":{"type":"location","latitude":"{{1}}","longitude":"0"},"body":"x",
            "buttons":[{"type":"reply","id":"a","title":"Yes"}]}"#;
        let refused = Definition::read(json).map(|read| read.render(&given(&[("1", "91")])));
        assert!(matches!(refused, Ok(Err(TemplateError::Invalid(why))) if why.contains("header.latitude is \"91\"")));
    }

    #[test]
    fn the_parameters_of_every_part_are_named_once() {
        let names = |json: &str| Definition::read(json).and_then(|read| read.parameters()).map_err(|faults| faults.len());
        let json = r#"{"header":{"type":"image","url":"https://a/{{pic}}"},"body":"{{name}} {{name}}","footer":"{{foot}}"}"#;
        assert_eq!(names(json), Ok(vec!["foot".to_owned(), "name".to_owned(), "pic".to_owned()]));
        assert_eq!(names(r#"{"body":"{{10}} {{2}} {{1}}"}"#), Ok(vec!["1".to_owned(), "2".to_owned(), "10".to_owned()]));
        let json = r#"{"body":"x","buttons":[{"type":"copy","title":"t","code":"{{code}}"}]}"#;
        assert_eq!(names(json), Ok(vec!["code".to_owned()]));
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        let refused = |json: &str| Definition::read(json).and_then(|read| read.parameters()).unwrap_err().swap_remove(0);
        let buttons = |buttons: &str| format!(r#"{{"body":"x","buttons":[{buttons}]}}"#);
        let reply = r#"{"type":"reply","id":"a","title":"t"}"#;
        let place = |fields: &str| format!(r#"{{"body":"x","header":{{"type":"location",{fields}}},"buttons":[{reply}]}}"#);
        for (json, place, why) in [
            ("[]", "", "is an array; an object is expected"),
            ("{", "", "is not JSON"),
            ("{}", "body", "is required"),
            (r#"{"body":5}"#, "body", "is 5; a string is expected"),
            (r#"{"body":" "}"#, "body", "is empty"),
            (r#"{"body":"x","colour":"red"}"#, "colour", "is not a field; there are: header, body, footer, buttons"),
            (r#"{"body":"x","header":"H"}"#, "header", "is \"H\"; an object is expected"),
            (r#"{"body":"x","header":{"text":"H"}}"#, "header/type", "is required"),
            (r#"{"body":"x","header":{"type":"hologram"}}"#, "header/type", "\"hologram\" is none of: text, image, video, "),
            (r#"{"body":"x","header":{"type":"text","url":"u"}}"#, "header/url", "is not a field; there are: type, text"),
            (r#"{"body":"x","header":{"type":"image"}}"#, "header/url", "is required"),
            (r#"{"body":"x","header":{"type":"image","url":"ftp://a"}}"#, "header/url", "\"ftp://a\" does not begin with"),
            (r#"{"body":"x","buttons":{}}"#, "buttons", "is an object; an array is expected"),
            (&buttons(r#"{"type":"reply","title":"t"}"#), "buttons/0/id", "is required"),
            (&buttons(&format!("{reply},5")), "buttons/1", "is 5; an object is expected"),
            (&buttons(r#"{"type":"url","title":"t","url":"u"}"#), "buttons/0/url", "\"u\" does not begin with https://"),
            (
                &buttons(&reply.replace("\"t\"", "\"a title that is too long {{1}}\"")),
                "buttons/0/title",
                "has 25 characters, parameters left out; the limit is 20",
            ),
            (&buttons(&[reply; 4].join(",")), "buttons", "has 4 reply buttons; the limit is 3"),
            (r#"{"body":"x","footer":"{{y"}"#, "footer", "has {{ without }}"),
            (r#"{"body":"{{1}} {{name}}"}"#, "", "use one or the other"),
            (r#"{"body":"{{0}}"}"#, "body", "numbers begin with 1"),
            (&place(r#""latitude":1"#), "header/longitude", "is required"),
            (&place(r#""latitude":91,"longitude":1"#), "header/latitude", "is \"91\"; a number from -90 to 90 is expected"),
            (&place(r#""latitude":1,"longitude":"east""#), "header/longitude", "is \"east\"; a number from -180 to 180"),
            (&place(r#""latitude":1,"longitude":1,"name":" ""#), "header/name", "is empty"),
            (
                r#"{"body":"x","header":{"type":"location","latitude":1,"longitude":1}}"#,
                "header",
                "a place needs buttons below",
            ),
        ] {
            let DefinitionFault { place: at, why: told } = refused(json);
            assert_eq!(at.join("/"), place, "{json}: {told}");
            assert!(told.contains(why), "{json}: {told}");
        }
    }
}
