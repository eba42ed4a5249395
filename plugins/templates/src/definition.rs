//! What a template consists of, and the message that it becomes.

use std::collections::BTreeSet;

use serde::Deserialize;
use switchboard_guest_sdk::media_at;
use switchboard_guest_sdk::template::TemplateError;
use switchboard_guest_sdk::types::{Button, ButtonAction, Content, Interactive, Media, Parameter};

use crate::text::{Place, fill, names};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    #[serde(default)]
    header: Option<Header>,
    body: String,
    #[serde(default)]
    footer: Option<String>,
    #[serde(default)]
    buttons: Vec<Pressed>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Header {
    Text { text: String },
    Image { url: String },
    Video { url: String },
    Document { url: String, file_name: Option<String> },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Pressed {
    Reply { id: String, title: String },
    Url { title: String, url: String },
    Phone { title: String, phone: String },
    Copy { title: String, code: String },
}

impl Definition {
    pub fn read(json: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if read.body.trim().is_empty() {
            return Err("body is empty".to_owned());
        }
        if !read.buttons.is_empty() && !matches!(read.header, None | Some(Header::Text { .. })) {
            return Err("buttons cannot stand below a file".to_owned());
        }
        Ok(read)
    }

    /// Every text that may have parameters, by what it is called.
    fn texts(&self) -> Vec<(&'static str, &str)> {
        let mut texts = vec![("body", self.body.as_str())];
        texts.extend(self.footer.as_deref().map(|footer| ("footer", footer)));
        match &self.header {
            None => {}
            Some(Header::Text { text }) => texts.push(("header", text)),
            Some(Header::Image { url } | Header::Video { url }) => texts.push(("header", url)),
            Some(Header::Document { url, file_name }) => {
                texts.push(("header", url));
                texts.extend(file_name.as_deref().map(|name| ("header", name)));
            }
        }
        for button in &self.buttons {
            let both: [&str; 2] = match button {
                Pressed::Reply { id, title } => [id, title],
                Pressed::Url { title, url } => [title, url],
                Pressed::Phone { title, phone } => [title, phone],
                Pressed::Copy { title, code } => [title, code],
            };
            texts.extend(both.map(|text| ("buttons", text)));
        }
        texts
    }

    /// The names of the parameters, each once: numbered ones in their order, others by the alphabet.
    pub fn parameters(&self) -> Result<Vec<String>, String> {
        let (mut numbered, mut named) = (BTreeSet::new(), BTreeSet::new());
        for (place, text) in self.texts() {
            for name in names(text).map_err(|why| format!("{place} {why}"))? {
                match name.parse::<u32>() {
                    Ok(number) if number.to_string() == name && number > 0 => drop(numbered.insert(number)),
                    Ok(_) => return Err(format!("{place} has a parameter {name}; numbers begin with 1")),
                    Err(_) => drop(named.insert(name.to_owned())),
                }
            }
        }
        match (numbered.first(), named.first()) {
            (Some(number), Some(name)) => {
                Err(format!("has numbered parameters ({number}) and named ones ({name}); use one or the other"))
            }
            _ => Ok(numbered.iter().map(u32::to_string).chain(named).collect()),
        }
    }

    /// The message with these parameters.
    pub fn render(&self, parameters: &[Parameter]) -> Result<Content, TemplateError> {
        let filled = |text: &str, place| fill(text, place, parameters);
        let body = filled(&self.body, Place::Lines)?;
        let footer = self.footer.as_deref().map(|footer| filled(footer, Place::Line)).transpose()?;
        let file = |url: &str, file_name: Option<String>, caption: String| {
            Ok(Media { caption: Some(caption), file_name, ..media_at(filled(url, Place::Url)?) })
        };
        let below = || joined([None, Some(body.clone()), footer.clone()]);
        let header = match &self.header {
            Some(Header::Image { url }) => return file(url, None, below()).map(Content::Image),
            Some(Header::Video { url }) => return file(url, None, below()).map(Content::Video),
            Some(Header::Document { url, file_name }) => {
                let name = file_name.as_deref().map(|name| filled(name, Place::Line)).transpose()?;
                return file(url, name, below()).map(Content::Document);
            }
            Some(Header::Text { text }) => Some(filled(text, Place::Line)?),
            None => None,
        };
        if self.buttons.is_empty() {
            return Ok(Content::Text(joined([header, Some(body), footer])));
        }
        let buttons = self.buttons.iter().map(|button| button.render(parameters)).collect::<Result<_, _>>()?;
        let (sections, list_button, plain_text) = (Vec::new(), None, false);
        Ok(Content::Interactive(Interactive { header, body, footer, buttons, sections, list_button, plain_text }))
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
            {"type":"phone","title":"Call","phone":"+491520000001"},
            {"type":"copy","title":"Code","code":"{{1}}"}]}"#;
        let Content::Interactive(asked) = rendered(json, &[("1", "a b")]) else { panic!("not interactive") };
        assert_eq!((asked.header.as_deref(), asked.body.as_str()), (Some("H"), "Well?"));
        let [yes, open, call, copy] = asked.buttons.as_slice() else { panic!("{:?}", asked.buttons) };
        assert_eq!((yes.id.as_str(), yes.title.as_str(), yes.action.is_none()), ("yes_a b", "Yes a b", true));
        assert!(matches!(&open.action, Some(ButtonAction::Url(url)) if url == "https://a.example/a%20b"));
        assert!(matches!(&call.action, Some(ButtonAction::Call(number)) if number == "+491520000001"));
        assert!(matches!(&copy.action, Some(ButtonAction::Copy(code)) if code == "a b"));
    }

    #[test]
    fn the_parameters_of_every_part_are_named_once() {
        let names = |json: &str| Definition::read(json)?.parameters();
        let json = r#"{"header":{"type":"image","url":"https://a/{{pic}}"},"body":"{{name}} {{name}}","footer":"{{foot}}"}"#;
        assert_eq!(names(json), Ok(vec!["foot".to_owned(), "name".to_owned(), "pic".to_owned()]));
        assert_eq!(names(r#"{"body":"{{10}} {{2}} {{1}}"}"#), Ok(vec!["1".to_owned(), "2".to_owned(), "10".to_owned()]));
        let json = r#"{"body":"x","buttons":[{"type":"copy","title":"t","code":"{{code}}"}]}"#;
        assert_eq!(names(json), Ok(vec!["code".to_owned()]));
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        let refused = |json: &str| Definition::read(json).and_then(|read| read.parameters()).unwrap_err();
        for (json, why) in [
            ("{}", "body"),
            (r#"{"body":" "}"#, "body is empty"),
            (r#"{"body":"x","colour":"red"}"#, "colour"),
            (r#"{"body":"x","header":{"type":"hologram"}}"#, "hologram"),
            (r#"{"body":"x","buttons":[{"type":"reply","title":"t"}]}"#, "id"),
            (r#"{"body":"x","footer":"{{y"}"#, "footer has {{"),
            (r#"{"body":"{{1}} {{name}}"}"#, "one or the other"),
            (r#"{"body":"{{0}}"}"#, "numbers begin with 1"),
            (
                r#"{"body":"x","header":{"type":"image","url":"u"},"buttons":[{"type":"reply","id":"a","title":"t"}]}"#,
                "below a file",
            ),
        ] {
            assert!(refused(json).contains(why), "{json}: {}", refused(json));
        }
    }
}
