//! Buttons and lists: their limits, WhatsApp's own, and what they are as a plain text.

use super::content_limits::{self, ContentRefusal};
use crate::records::content::{Attachment, Button, ButtonAction, Content, Interactive, ListSection};

/// Most reply buttons of one message.
pub const REPLY_BUTTONS_MAX: usize = 3;
/// Most buttons of one message that do something else.
pub const ACTION_BUTTONS_MAX: usize = 2;
/// Most characters of what a button says.
pub const BUTTON_TITLE_CHARS_MAX: usize = 20;
/// Most characters of what comes back.
pub const CHOICE_ID_CHARS_MAX: usize = 256;
/// Most sections of a list.
pub const SECTIONS_MAX: usize = 10;
/// Most rows of a list, in all of its sections.
pub const ROWS_MAX: usize = 10;
/// Most characters of what a section or a row is called.
pub const ROW_TITLE_CHARS_MAX: usize = 24;
/// Most characters of what stands below the title of a row.
pub const ROW_DESCRIPTION_CHARS_MAX: usize = 72;
/// Most characters of the text.
pub const BODY_CHARS_MAX: usize = 1024;
/// Most characters of what stands above and below.
pub const EDGE_CHARS_MAX: usize = 60;
/// Most bytes of a page's address or a code.
const ACTION_BYTES_MAX: usize = 2048;

/// A refusal of what lies at `place`, a JSON pointer.
fn refuse(field: &'static str, place: impl Into<String>, why: impl Into<String>) -> Result<(), ContentRefusal> {
    Err(ContentRefusal::Invalid { field, place: place.into(), why: why.into() })
}

/// A text that says something, of so many characters at most.
fn words(field: &'static str, place: impl Into<String>, text: &str, chars_max: usize) -> Result<(), ContentRefusal> {
    if text.trim().is_empty() {
        return refuse(field, place, "is empty");
    }
    at_most(field, place, text, chars_max)
}

fn at_most(field: &'static str, place: impl Into<String>, text: &str, chars_max: usize) -> Result<(), ContentRefusal> {
    let chars = text.chars().count();
    if chars > chars_max {
        return refuse(field, place, format!("has {chars} characters; the limit is {chars_max}"));
    }
    Ok(())
}

/// Whether buttons or a list can be sent.
///
/// # Errors
/// [`ContentRefusal`] that names the field, the value and the limit.
pub fn check(asked: &Interactive) -> Result<(), ContentRefusal> {
    words("interactive.body", "/body", &asked.body, BODY_CHARS_MAX)?;
    let edges = [("interactive.header", "/header", &asked.header), ("interactive.footer", "/footer", &asked.footer)];
    for (field, place, text) in edges {
        at_most(field, place, text.as_deref().unwrap_or_default(), EDGE_CHARS_MAX)?;
    }
    if let Some(attachment) = &asked.attachment {
        check_attachment(asked, attachment)?;
    }
    match (asked.buttons.is_empty(), asked.sections.is_empty()) {
        (false, true) => check_buttons(&asked.buttons),
        (true, false) => check_list(asked),
        (true, true) => refuse("interactive.buttons", "/buttons", "there are neither buttons nor sections of a list"),
        (false, false) => refuse("interactive.buttons", "/buttons", "buttons cannot stand beside sections of a list"),
    }
}

/// Whether a file or a place can stand above. Its file is looked at with all files.
fn check_attachment(asked: &Interactive, attachment: &Attachment) -> Result<(), ContentRefusal> {
    let field = "interactive.attachment";
    for (is_so, why) in [
        (asked.header.is_some(), "cannot stand beside a header"),
        (!asked.sections.is_empty(), "cannot stand above a list"),
        (asked.plain_text, "cannot be sent as a plain text"),
    ] {
        if is_so {
            return refuse(field, "/attachment", why);
        }
    }
    match attachment {
        Attachment::Location(place) => {
            content_limits::check(&Content::Location(place.clone())).map_err(|refusal| match refusal {
                ContentRefusal::Invalid { place, why, .. } => {
                    ContentRefusal::Invalid { field, place: format!("/attachment/value{place}"), why }
                }
                ContentRefusal::NotYet => ContentRefusal::NotYet,
            })
        }
        Attachment::Image(media) | Attachment::Video(media) | Attachment::Document(media) if media.caption.is_some() => {
            refuse(field, "/attachment/value/caption", "is not shown: the body is what stands below it")
        }
        Attachment::Image(_) | Attachment::Video(_) | Attachment::Document(_) => Ok(()),
    }
}

fn check_buttons(buttons: &[Button]) -> Result<(), ContentRefusal> {
    let field = "interactive.buttons";
    let actions = buttons.iter().filter(|button| button.action.is_some()).count();
    for (what, count, most) in [
        ("reply buttons", buttons.len() - actions, REPLY_BUTTONS_MAX),
        ("buttons with an action", actions, ACTION_BUTTONS_MAX),
    ] {
        if count > most {
            return refuse(field, "/buttons", format!("has {count} {what}; the limit is {most}"));
        }
    }
    for (at, button) in buttons.iter().enumerate() {
        words("interactive.buttons.title", format!("/buttons/{at}/title"), &button.title, BUTTON_TITLE_CHARS_MAX)?;
        match &button.action {
            Some(action) => check_action(at, action)?,
            None => {
                let field = "interactive.buttons.id";
                words(field, format!("/buttons/{at}/id"), &button.id, CHOICE_ID_CHARS_MAX)?;
                // What comes back names a button by its id alone.
                if buttons.iter().take(at).any(|other| other.action.is_none() && other.id == button.id) {
                    return refuse(field, format!("/buttons/{at}/id"), format!("has the id {:?} twice", button.id));
                }
            }
        }
    }
    Ok(())
}

fn check_action(at: usize, action: &ButtonAction) -> Result<(), ContentRefusal> {
    let field = "interactive.buttons.action";
    let (name, value) = match action {
        ButtonAction::Url(url) => ("url", url),
        ButtonAction::Call(number) => ("call", number),
        ButtonAction::Copy(code) => ("copy", code),
    };
    let place = format!("/buttons/{at}/action/{name}");
    if value.trim().is_empty() || value.len() > ACTION_BYTES_MAX {
        return refuse(field, place, format!("has {} bytes; 1 to {ACTION_BYTES_MAX} are allowed", value.len()));
    }
    let is_web = |url: &str| ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    match action {
        ButtonAction::Url(url) if !is_web(url) => refuse(field, place, "does not begin with https:// or http://"),
        ButtonAction::Call(number) => match super::address::parse_phone(number) {
            Ok(_) => Ok(()),
            Err(error) => refuse(field, place, error.to_string()),
        },
        _ => Ok(()),
    }
}

fn check_list(asked: &Interactive) -> Result<(), ContentRefusal> {
    let field = "interactive.sections";
    let opens = asked.list_button.as_deref().unwrap_or_default();
    words("interactive.list_button", "/list_button", opens, BUTTON_TITLE_CHARS_MAX)?;
    let sections = &asked.sections;
    if sections.len() > SECTIONS_MAX {
        return refuse(field, "/sections", format!("has {} entries; the limit is {SECTIONS_MAX}", sections.len()));
    }
    let rows = sections.iter().map(|section| section.rows.len()).sum::<usize>();
    if rows > ROWS_MAX {
        return refuse(field, "/sections", format!("has {rows} rows in all; the limit is {ROWS_MAX}"));
    }
    let mut ids = Vec::with_capacity(rows);
    for (at, section) in sections.iter().enumerate() {
        let place = format!("/sections/{at}");
        // A single section needs no name: there is nothing to tell it from.
        if sections.len() > 1 || !section.title.is_empty() {
            words("interactive.sections.title", format!("{place}/title"), &section.title, ROW_TITLE_CHARS_MAX)?;
        }
        check_rows(section, &place, &mut ids)?;
    }
    Ok(())
}

fn check_rows<'a>(section: &'a ListSection, place: &str, ids: &mut Vec<&'a str>) -> Result<(), ContentRefusal> {
    if section.rows.is_empty() {
        return refuse("interactive.sections.rows", format!("{place}/rows"), "is empty");
    }
    for (n, row) in section.rows.iter().enumerate() {
        let place = format!("{place}/rows/{n}");
        let field = "interactive.sections.rows.id";
        words(field, format!("{place}/id"), &row.id, CHOICE_ID_CHARS_MAX)?;
        words("interactive.sections.rows.title", format!("{place}/title"), &row.title, ROW_TITLE_CHARS_MAX)?;
        let description = row.description.as_deref().unwrap_or_default();
        let below = "interactive.sections.rows.description";
        at_most(below, format!("{place}/description"), description, ROW_DESCRIPTION_CHARS_MAX)?;
        if ids.contains(&row.id.as_str()) {
            return refuse(field, format!("{place}/id"), format!("has the id {:?} twice", row.id));
        }
        ids.push(&row.id);
    }
    Ok(())
}

/// Content as it is sent: buttons and lists as a text, where that was asked for.
pub fn as_sent(content: Content) -> Content {
    match content {
        Content::Interactive(asked) if asked.plain_text => Content::Text(plain_text(&asked)),
        other => other,
    }
}

/// Buttons or a list as a text: the choices are numbered, in one count.
pub fn plain_text(asked: &Interactive) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(asked.header.clone());
    parts.push(asked.body.clone());
    let mut n = 0;
    let mut numbered = |text: &str| {
        n += 1;
        format!("{n}. {text}")
    };
    if !asked.buttons.is_empty() {
        let lines: Vec<String> = asked.buttons.iter().map(|button| numbered(&button_line(button))).collect();
        parts.push(lines.join("\n"));
    }
    for section in &asked.sections {
        let mut lines = Vec::with_capacity(section.rows.len() + 1);
        lines.extend(Some(&section.title).filter(|title| !title.is_empty()).cloned());
        for row in &section.rows {
            let description = row.description.as_ref().map(|text| format!(" – {text}")).unwrap_or_default();
            lines.push(numbered(&format!("{}{description}", row.title)));
        }
        parts.push(lines.join("\n"));
    }
    parts.extend(asked.footer.clone());
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn button_line(button: &Button) -> String {
    match &button.action {
        None => button.title.clone(),
        Some(ButtonAction::Url(value) | ButtonAction::Call(value) | ButtonAction::Copy(value)) => {
            format!("{}: {value}", button.title)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::content::{ListRow, Location, Media, MediaSource};

    fn reply(id: &str, title: &str) -> Button {
        Button { id: id.to_owned(), title: title.to_owned(), action: None }
    }

    fn acts(title: &str, action: ButtonAction) -> Button {
        Button { id: String::new(), title: title.to_owned(), action: Some(action) }
    }

    fn buttons(buttons: Vec<Button>) -> Interactive {
        Interactive { body: "Which one?".to_owned(), buttons, ..Interactive::default() }
    }

    fn row(id: &str, title: &str, description: Option<&str>) -> ListRow {
        ListRow { id: id.to_owned(), title: title.to_owned(), description: description.map(str::to_owned) }
    }

    fn list(sections: Vec<(&str, Vec<ListRow>)>) -> Interactive {
        let section = |(title, rows): (&str, Vec<ListRow>)| ListSection { title: title.to_owned(), rows };
        Interactive {
            body: "Which one?".to_owned(),
            list_button: Some("Choose".to_owned()),
            sections: sections.into_iter().map(section).collect(),
            ..Interactive::default()
        }
    }

    #[test]
    fn buttons_and_lists_within_their_limits_can_be_sent() {
        let url = ButtonAction::Url("https://shop.example/1".to_owned());
        for asked in [
            buttons(vec![reply("a", "Yes"), reply("b", "No"), reply("c", &"x".repeat(BUTTON_TITLE_CHARS_MAX))]),
            buttons(vec![acts("Open", url), acts("Call", ButtonAction::Call("+49 1520 000001".to_owned()))]),
            list(vec![("", vec![row("1", "Soup", None)])]),
            list(vec![("Warm", vec![row("1", "Soup", Some("of the day"))]), ("Cold", vec![row("2", "Ice", None)])]),
        ] {
            assert_eq!(check(&asked), Ok(()), "{asked:?}");
        }
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_with_its_place() {
        let many = |count: usize| (0..count).map(|n| row(&n.to_string(), "x", None)).collect::<Vec<_>>();
        let body = |body: String| Interactive { body, ..buttons(vec![reply("a", "Yes")]) };
        let edge = Interactive { footer: Some("x".repeat(61)), ..buttons(vec![reply("a", "Yes")]) };
        let both = Interactive { buttons: vec![reply("a", "Yes")], ..list(vec![("", many(1))]) };
        let closed = Interactive { list_button: None, ..list(vec![("", many(1))]) };
        let long_title = "x".repeat(BUTTON_TITLE_CHARS_MAX + 1);
        for (asked, place, why) in [
            (body(String::new()), "/body", "is empty"),
            (body("x".repeat(1025)), "/body", "has 1025 characters; the limit is 1024"),
            (edge, "/footer", "has 61 characters; the limit is 60"),
            (buttons(vec![]), "/buttons", "there are neither buttons nor sections of a list"),
            (both, "/buttons", "buttons cannot stand beside sections of a list"),
            (buttons(vec![reply("a", &long_title)]), "/buttons/0/title", "has 21 characters; the limit is 20"),
            (buttons(vec![reply("", "Yes")]), "/buttons/0/id", "is empty"),
            (buttons(vec![reply("a", "Yes"), reply("a", "No")]), "/buttons/1/id", "has the id \"a\" twice"),
            (
                buttons((0..4).map(|n| reply(&n.to_string(), "x")).collect()),
                "/buttons",
                "has 4 reply buttons; the limit is 3",
            ),
            (
                buttons(vec![acts("Open", ButtonAction::Url("javascript:1".to_owned()))]),
                "/buttons/0/action/url",
                "does not begin with https:// or http://",
            ),
            (closed, "/list_button", "is empty"),
            (list(vec![("", many(11))]), "/sections", "has 11 rows in all; the limit is 10"),
            (list(vec![("A", many(1)), ("", many(1))]), "/sections/1/title", "is empty"),
            (list(vec![("A", many(1)), ("B", many(1))]), "/sections/1/rows/0/id", "has the id \"0\" twice"),
            (list(vec![("A", vec![])]), "/sections/0/rows", "is empty"),
            (
                list(vec![("", vec![row("1", "x", Some(&"x".repeat(73)))])]),
                "/sections/0/rows/0/description",
                "has 73 characters; the limit is 72",
            ),
        ] {
            let Err(ContentRefusal::Invalid { place: at, why: told, .. }) = check(&asked) else { panic!("{asked:?}") };
            assert_eq!((at.as_str(), told.as_str()), (place, why));
        }
    }

    fn picture(caption: Option<&str>) -> Attachment {
        let source = MediaSource::Url("https://a.example/p.png".to_owned());
        Attachment::Image(Media { caption: caption.map(str::to_owned), ..Media::at(source) })
    }

    #[test]
    fn a_file_or_a_place_stands_above_buttons_alone_and_in_place_of_a_header() {
        let place = |latitude| Attachment::Location(Location { latitude, longitude: 13.4, name: None, address: None });
        let below = |attachment| Interactive { attachment: Some(attachment), ..buttons(vec![reply("a", "Yes")]) };
        for asked in [below(picture(None)), below(place(52.5))] {
            assert_eq!(check(&asked), Ok(()), "{asked:?}");
        }
        for (asked, place, why) in [
            (below(place(91.0)), "/attachment/value/latitude", "is 91; -90 to 90 are allowed"),
            (below(picture(Some("x"))), "/attachment/value/caption", "is not shown: the body is what stands below it"),
            (
                Interactive { header: Some("H".to_owned()), ..below(picture(None)) },
                "/attachment",
                "cannot stand beside a header",
            ),
            (Interactive { plain_text: true, ..below(picture(None)) }, "/attachment", "cannot be sent as a plain text"),
            (
                Interactive { attachment: Some(picture(None)), ..list(vec![("", vec![row("1", "x", None)])]) },
                "/attachment",
                "cannot stand above a list",
            ),
        ] {
            let Err(ContentRefusal::Invalid { place: at, why: told, .. }) = check(&asked) else { panic!("{asked:?}") };
            assert_eq!((at.as_str(), told.as_str()), (place, why));
        }
    }

    #[test]
    fn choices_are_numbered_in_a_plain_text() {
        let asked = Interactive {
            header: Some("Lunch".to_owned()),
            footer: Some("until noon".to_owned()),
            ..list(vec![("Warm", vec![row("1", "Soup", Some("of the day"))]), ("Cold", vec![row("2", "Ice", None)])])
        };
        assert_eq!(plain_text(&asked), "Lunch\n\nWhich one?\n\nWarm\n1. Soup – of the day\n\nCold\n2. Ice\n\nuntil noon");
        let asked = buttons(vec![reply("a", "Yes"), acts("Code", ButtonAction::Copy("X1".to_owned()))]);
        assert_eq!(plain_text(&asked), "Which one?\n\n1. Yes\n2. Code: X1");
    }

    #[test]
    fn only_who_asks_for_a_text_gets_one() {
        let asked = buttons(vec![reply("a", "Yes")]);
        assert_eq!(as_sent(Content::Interactive(asked.clone())), Content::Interactive(asked.clone()));
        let plain = Interactive { plain_text: true, ..asked };
        assert_eq!(as_sent(Content::Interactive(plain)), Content::Text("Which one?\n\n1. Yes".to_owned()));
    }
}
