//! What the environment sets, read once when the network starts.

use std::env::{self, VarError};

/// How long typing lasts that nobody renews, in seconds.
const TYPING_TTL_VARIABLE: &str = "CHATSTATE_TTL_SECS";
const TYPING_TTL_S: u64 = 15;
const TYPING_TTL_S_MAX: u64 = 3_600;

/// Why a setting cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {variable} is {value:?}; a number from 0 to {max} is expected")]
pub struct SettingError {
    variable: &'static str,
    value: String,
    max: u64,
}

/// The settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) typing_ttl_ms: u64,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn read() -> Result<Self, SettingError> {
        let typing_ttl = match env::var(TYPING_TTL_VARIABLE) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
        };
        Self::of(typing_ttl)
    }

    fn of(typing_ttl: Option<String>) -> Result<Self, SettingError> {
        let typing_ttl_s = match typing_ttl {
            None => TYPING_TTL_S,
            Some(value) => match value.parse() {
                Ok(seconds) if seconds <= TYPING_TTL_S_MAX => seconds,
                _ => return Err(SettingError { variable: TYPING_TTL_VARIABLE, value, max: TYPING_TTL_S_MAX }),
            },
        };
        Ok(Self { typing_ttl_ms: typing_ttl_s * 1_000 })
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn typing_lasts_as_long_as_the_environment_says() {
        assert_eq!(Settings::of(None).unwrap().typing_ttl_ms, 15_000);
        assert_eq!(Settings::of(Some("3".to_owned())).unwrap().typing_ttl_ms, 3_000);
        for value in ["", "-1", "3601", "soon"] {
            assert!(Settings::of(Some(value.to_owned())).is_err(), "{value:?}");
        }
    }
}
