//! Phone numbers, and the key under which the network knows a device.

use crate::phone::DeviceAddress;

/// Fewest digits in a phone number.
pub(crate) const NUMBER_DIGITS_MIN: usize = 7;
/// Most digits in a phone number (E.164).
pub(crate) const NUMBER_DIGITS_MAX: usize = 15;

/// Why a text is not a phone number.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("number {0:?} has something other than digits after an optional plus sign")]
    NotDigits(String),
    #[error("number {number:?} has {digits} digits; {NUMBER_DIGITS_MIN} to {NUMBER_DIGITS_MAX} are allowed")]
    Length { number: String, digits: usize },
}

/// The digits of a number written with or without a plus sign.
pub(crate) fn parse_number(text: &str) -> Result<String, NumberError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::NotDigits(text.to_owned()));
    }
    if !(NUMBER_DIGITS_MIN..=NUMBER_DIGITS_MAX).contains(&digits.len()) {
        return Err(NumberError::Length { number: text.to_owned(), digits: digits.len() });
    }
    Ok(digits.to_owned())
}

/// One device: the account's number and 0 for the phone, 1 and up for companions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DeviceKey {
    pub(crate) number: String,
    pub(crate) device: u16,
}

impl DeviceKey {
    pub(crate) fn new(number: impl Into<String>, device: u16) -> Self {
        Self { number: number.into(), device }
    }

    /// The same device in the phone module's words.
    pub(crate) fn address(&self) -> DeviceAddress {
        DeviceAddress { user: self.number.clone(), device: self.device }
    }
}

/// Which of an account's two names an address uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Number,
    Lid,
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn number_may_carry_a_plus_sign() {
        assert_eq!(parse_number("+15550001111").unwrap(), "15550001111");
        assert_eq!(parse_number("15550001111").unwrap(), "15550001111");
    }

    #[test]
    fn number_outside_its_limits_is_refused() {
        for text in ["", "+", "123456", "1234567890123456", "+1 555 000", "++15550001111"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }
}
