//! Renders the templates that tenants store:
//!
//! ```json
//! {"header": {"type": "text", "text": "Order {{number}}"},
//!  "body": "Hello {{name}}, it is on its way.",
//!  "footer": "Reply STOP to hear no more",
//!  "buttons": [{"type": "reply", "id": "thanks", "title": "Thanks"},
//!              {"type": "url", "title": "Follow it", "url": "https://shop.example/{{number}}"}]}
//! ```
//!
//! Parameters stand in double braces and are either named or numbered from 1. `{{{{` and `}}}}` are the braces themselves. A header is
//! a text, or an image, a video or a document by URL, or above buttons a place: `{"type": "location", "latitude": 52.5, "longitude": 13.4,
//! "name": "Shop", "address": "Street 1"}`. Buttons are `reply`, `url`, `phone` or `copy`.

mod definition;
mod reading;
mod text;

use switchboard_guest_sdk::export_template;
use switchboard_guest_sdk::template::{DefinitionFault, Guest, StoredTemplate, TemplateError};
use switchboard_guest_sdk::types::{Content, TemplateCall};

use definition::Definition;
use reading::sentence;

struct Templates;

impl Guest for Templates {
    fn check(stored: StoredTemplate) -> Result<Vec<String>, Vec<DefinitionFault>> {
        Definition::read(&stored.definition)?.parameters()
    }

    fn render(stored: StoredTemplate, call: TemplateCall) -> Result<Content, TemplateError> {
        let told = |faults: Vec<DefinitionFault>| {
            TemplateError::Invalid(faults.iter().map(sentence).collect::<Vec<_>>().join("; "))
        };
        let definition = Definition::read(&stored.definition).map_err(told)?;
        definition.render(&call.parameters)
    }
}

export_template!(Templates);
