//! Ids of sessions in every spelling that callers know them by: the number, and what the dialects make of it.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use switchboard_core::records::id::SessionId;
use switchboard_core::rules::said_back::said_back;
use switchboard_ids::{Kind, from_prefixed, from_uuid, strict};

/// What the number stands behind in `sendapi`.
const PREFIX: &str = "sess_";
/// What a caller is told to write.
const EXPECTED: &str = "the id of a session: its number, its UUID, or sess_ and its number";

/// The session that a text names.
pub(crate) fn session(text: &str) -> Option<SessionId> {
    strict(text).or_else(|| from_prefixed(PREFIX, text)).or_else(|| from_uuid(Kind::Session, text)).map(SessionId)
}

/// A session in JSON: a number, or a text that names one.
struct Spelled(SessionId);

struct AnySpelling;

impl Visitor<'_> for AnySpelling {
    type Value = Spelled;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Spelled, E> {
        Ok(Spelled(SessionId(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Spelled, E> {
        session(text).map(Spelled).ok_or_else(|| E::custom(format!("{:?} is not {EXPECTED}", said_back(text))))
    }
}

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnySpelling)
    }
}

/// Reads a field that may name a session.
pub(crate) fn optional_session<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SessionId>, D::Error> {
    Ok(Option::<Spelled>::deserialize(deserializer)?.map(|Spelled(session)| session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_ids::uuid;

    #[test]
    fn a_session_is_named_by_its_number_its_uuid_and_its_prefixed_number_alone() {
        let number = 1_234_567;
        let spelt = [number.to_string(), format!("sess_{number}"), uuid(Kind::Session, number).unwrap()];
        for text in &spelt {
            assert_eq!(session(text), Some(SessionId(number)), "{text}");
        }
        for other in ["", "first", "+5", "05", "sess_05", "msg_5", "-1", &uuid(Kind::Message, number).unwrap()] {
            assert_eq!(session(other), None, "{other}");
        }
    }
}
