//! A tenant's own way to render templates: `{"says": "…"}` is a text, below the tenant's letterhead. What the text is decides
//! how it misbehaves.

use serde_json::Value;
use switchboard_guest_sdk::export_template;
use switchboard_guest_sdk::template::{DefinitionFault, Guest, StoredTemplate, TemplateError};
use switchboard_guest_sdk::types::{Content, TemplateCall};

struct Letterhead;

impl Guest for Letterhead {
    fn check(stored: StoredTemplate) -> Result<Vec<String>, Vec<DefinitionFault>> {
        // Somebody who keeps to no measure says where it is, too.
        let place = |long: bool| if long { vec!["x".repeat(100); 20] } else { vec!["says".to_owned()] };
        let endless = stored.name == "endless";
        let wrong = |why| vec![DefinitionFault { place: place(endless), why }; if endless { 60 } else { 1 }];
        says(&stored).map(|_| vec!["to".to_owned()]).map_err(wrong)
    }

    fn render(stored: StoredTemplate, call: TemplateCall) -> Result<Content, TemplateError> {
        let says = says(&stored).map_err(TemplateError::Invalid)?;
        match says.as_str() {
            "trap" => std::process::abort(),
            "huge" => return Ok(Content::Text("x".repeat(8 * 1024 * 1024))),
            "again" => return Ok(Content::Template(call)),
            _ => {}
        }
        let to = call.parameters.iter().find(|given| given.name == "to");
        let to = to.ok_or_else(|| TemplateError::MissingParameter("to".to_owned()))?;
        Ok(Content::Text(format!("ACME Ltd.\n{}, {says}", to.value)))
    }
}

fn says(stored: &StoredTemplate) -> Result<String, String> {
    let definition: Value = serde_json::from_str(&stored.definition).map_err(|error| error.to_string())?;
    definition.get("says").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| "says is missing".to_owned())
}

export_template!(Letterhead);
