//! The text of the QR code that a companion shows and the phone scans.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::PhoneError;

/// Newer clients show a link that a phone's own camera app opens; what follows it is the same as ever.
const CAMERA_LINK: &str = "https://wa.me/settings/linked_devices#";

/// A real code is some 240 bytes; this leaves room for longer references.
const CODE_BYTES_MAX: usize = 2048;

/// What a companion tells the phone about itself, outside the network.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode {
    /// Which of the references the server gave to the waiting client.
    pub reference: String,
    /// The public key of the client's Noise handshake.
    pub noise_public: [u8; 32],
    /// The client's public Signal identity.
    pub identity_public: [u8; 32],
    /// Proves to the client that the answer comes from whoever scanned the code.
    pub adv_secret: [u8; 32],
}

impl PairingCode {
    /// Reads `ref,noise,identity,secret[,platform]`, keys in base64, with or without the camera link before it.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let text = text.trim();
        if text.len() > CODE_BYTES_MAX {
            return Err(PhoneError::CodeTooLong { bytes: text.len(), bytes_max: CODE_BYTES_MAX });
        }
        let body = text.strip_prefix(CAMERA_LINK).unwrap_or(text);
        let mut fields = body.split(',');
        let (Some(reference), Some(noise), Some(identity), Some(secret)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(PhoneError::CodeFields { fields: body.split(',').count() });
        };
        if reference.is_empty() {
            return Err(PhoneError::CodeField { field: "reference", problem: "it is empty".to_owned() });
        }
        Ok(Self {
            reference: reference.to_owned(),
            noise_public: key("noise key", noise)?,
            identity_public: key("identity key", identity)?,
            adv_secret: key("adv secret", secret)?,
        })
    }
}

/// The secret stays out of logs, even of a simulated network.
impl fmt::Debug for PairingCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PairingCode").field("reference", &self.reference).finish_non_exhaustive()
    }
}

fn key(field: &'static str, text: &str) -> Result<[u8; 32], PhoneError> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| PhoneError::CodeField { field, problem: error.to_string() })?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| PhoneError::CodeField { field, problem: format!("{length} bytes; expected 32") })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::{BASE64_STANDARD, CAMERA_LINK, CODE_BYTES_MAX, PairingCode, PhoneError};

    fn text() -> String {
        let key = |byte: u8| BASE64_STANDARD.encode([byte; 32]);
        format!("2@abc,{},{},{}", key(1), key(2), key(3))
    }

    #[test]
    fn code_is_read_in_every_spelling() {
        let plain = PairingCode::parse(&text()).unwrap();
        assert_eq!(plain.reference, "2@abc");
        assert_eq!(plain.noise_public, [1; 32]);
        assert_eq!(plain.identity_public, [2; 32]);
        assert_eq!(plain.adv_secret, [3; 32]);
        for spelling in [format!("{},1", text()), format!("{CAMERA_LINK}{},9", text()), format!("{}\n", text())] {
            assert_eq!(PairingCode::parse(&spelling).unwrap(), plain, "{spelling}");
        }
    }

    #[test]
    fn code_that_is_not_whole_is_refused() {
        assert!(matches!(PairingCode::parse(""), Err(PhoneError::CodeFields { fields: 1 })));
        assert!(matches!(PairingCode::parse("2@abc,a,b"), Err(PhoneError::CodeFields { fields: 3 })));
        let no_reference = text().replace("2@abc", "");
        assert!(matches!(PairingCode::parse(&no_reference), Err(PhoneError::CodeField { field: "reference", .. })));
        assert!(matches!(PairingCode::parse("2@abc,!!,b,c"), Err(PhoneError::CodeField { field: "noise key", .. })));
        assert!(matches!(PairingCode::parse("2@abc,AQID,b,c"), Err(PhoneError::CodeField { field: "noise key", .. })));
    }

    #[test]
    fn code_longer_than_the_limit_is_refused() {
        let long = "x".repeat(CODE_BYTES_MAX + 1);
        assert!(matches!(PairingCode::parse(&long), Err(PhoneError::CodeTooLong { .. })));
    }
}
