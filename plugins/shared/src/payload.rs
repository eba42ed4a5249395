//! What messages say, read from fields.

use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::types::{ContactCard, Location, Poll};

/// A place: `latitude`, `longitude`, `name`, `address`, where the first two may have other names. `None` after a mistake was
/// written down.
pub fn location(fields: &mut Fields, latitude: &str, longitude: &str) -> Option<Location> {
    for (name, limit) in [(latitude, 90.0), (longitude, 180.0)] {
        fields.require(name);
        if fields.number(name).is_some_and(|degrees| degrees.abs() > limit) {
            fields.refuse(name, format!("must be between -{limit} and {limit}"));
        }
    }
    let (latitude, longitude) = (fields.number(latitude)?, fields.number(longitude)?);
    Some(Location { latitude, longitude, name: fields.text("name"), address: fields.text("address") })
}

/// A card with one telephone number.
pub fn contact(fields: &mut Fields, name: &str, phone: &str) -> ContactCard {
    let display_name = fields.required_text(name);
    ContactCard { display_name, phones: vec![fields.required_text(phone)], vcard: None }
}

/// A poll: its question and its options in fields of these names.
pub fn poll(fields: &mut Fields, question: &str, options: &str, selectable_count: u32) -> Poll {
    let name = fields.required_text(question);
    fields.require(options);
    let choices = fields.texts(options);
    if fields.has(options) && choices.len() < 2 {
        fields.refuse(options, "must have at least 2 entries");
    }
    Poll { name, options: choices, selectable_count, announcement: false }
}
