//! One object has one number, and each API spells it in its own way: as it is, as a UUID, or behind a prefix. Every spelling
//! can be read back.

#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::str::FromStr;

/// What an id names. The same number of two kinds has two UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session.
    Session = 1,
    /// A message that was accepted.
    Message = 2,
    /// An API key.
    Key = 3,
    /// A webhook endpoint.
    Webhook = 4,
    /// A batch.
    Batch = 5,
    /// An event.
    Event = 6,
}

/// The largest number that has a UUID: 62 bits.
pub const NUMBER_MAX: u64 = (1 << 62) - 1;

/// Spreads every bit of `n` over all of them (the finalizer of SplitMix64).
const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The bits that number and kind are hidden and checked with.
const fn mask(kind: Kind, salt: u64) -> u64 {
    mixed(salt ^ ((kind as u64) << 56) ^ 0x5377_6974_6368_626f)
}

/// The UUID of a number: version 8, RFC 9562 §5.8. The low 62 bits carry the number, the others follow from it, so that no
/// UUID but this one is read as the number. `None` for a number over [`NUMBER_MAX`].
pub fn uuid(kind: Kind, number: u64) -> Option<String> {
    if number > NUMBER_MAX {
        return None;
    }
    let low = ((number ^ mask(kind, 0)) & NUMBER_MAX) | (0b10 << 62);
    let check = mask(kind, number.wrapping_add(1));
    let (a, b, c) = (check >> 32, (check >> 16) & 0xffff, check & 0x0fff);
    let (d, e) = (low >> 48, low & 0xffff_ffff_ffff);
    Some(format!("{a:08x}-{b:04x}-8{c:03x}-{d:04x}-{e:012x}"))
}

/// The number of a UUID of this kind; `None` for any other text.
pub fn from_uuid(kind: Kind, text: &str) -> Option<u64> {
    let low = u64::from_str_radix(&[text.get(19..23)?, text.get(24..36)?].concat(), 16).ok()?;
    let number = (low & NUMBER_MAX) ^ (mask(kind, 0) & NUMBER_MAX);
    uuid(kind, number).filter(|own| own.eq_ignore_ascii_case(text)).map(|_| number)
}

/// A number behind a prefix: `sess_12`.
pub fn prefixed(prefix: &str, number: u64) -> String {
    format!("{prefix}{number}")
}

/// The number behind a prefix, written in the one way that [`prefixed`] writes it; `None` for any other text.
pub fn from_prefixed(prefix: &str, text: &str) -> Option<u64> {
    strict(text.strip_prefix(prefix)?)
}

/// A number in decimal digits without sign or leading zeros; `None` for any other text.
pub fn strict(text: &str) -> Option<u64> {
    let number = u64::from_str(text).ok()?;
    (format!("{number}") == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 6] = [Kind::Session, Kind::Message, Kind::Key, Kind::Webhook, Kind::Batch, Kind::Event];
    const NUMBERS: [u64; 7] = [0, 1, 2, 4_503_599_627_370_495, 9_007_199_254_740_991, 1 << 61, NUMBER_MAX];

    #[test]
    fn a_uuid_is_read_back_and_only_as_its_own_kind() {
        for kind in KINDS {
            for number in NUMBERS {
                let text = uuid(kind, number).unwrap();
                assert_eq!(text.len(), 36);
                assert_eq!(
                    (text.get(14..15), text.chars().nth(19).map(|c| "89ab".contains(c))),
                    (Some("8"), Some(true)),
                    "{text}"
                );
                for other in KINDS {
                    assert_eq!(from_uuid(other, &text), (other == kind).then_some(number), "{text}");
                }
                assert_eq!(from_uuid(kind, &text.to_uppercase()), Some(number));
            }
            assert_eq!(uuid(kind, NUMBER_MAX + 1), None);
        }
    }

    #[test]
    fn a_uuid_in_which_anything_was_changed_names_nothing() {
        let text = uuid(Kind::Session, 77).unwrap();
        for at in 0..text.len() {
            for digit in ['0', '1', 'f', '-', 'g'] {
                let changed: String = text.chars().enumerate().map(|(n, old)| if n == at { digit } else { old }).collect();
                assert!(changed == text || from_uuid(Kind::Session, &changed).is_none(), "{changed}");
            }
        }
        for other in ["", "77", "not-a-uuid", "ü5b5b5b5-0000-8000-8000-000000000000", "00000000-0000-0000-0000-000000000000"]
        {
            assert_eq!(from_uuid(Kind::Session, other), None, "{other}");
        }
    }

    #[test]
    fn a_prefixed_number_has_one_spelling() {
        assert_eq!(prefixed("sess_", 12), "sess_12");
        assert_eq!(from_prefixed("sess_", "sess_12"), Some(12));
        for other in ["12", "sess_", "sess_012", "sess_+12", "sess_-1", "sess_1.0", "SESS_12", "sess_99999999999999999999"] {
            assert_eq!(from_prefixed("sess_", other), None, "{other}");
        }
        assert_eq!(strict("0"), Some(0));
    }
}
