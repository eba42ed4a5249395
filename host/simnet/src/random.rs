//! Random bytes, ids and numbers, all from the operating system.

use getrandom::SysRng;
use getrandom::rand_core::{Rng, UnwrapErr};

/// A generator for key and signature calls that want one.
pub(crate) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}

/// `count` random decimal digits; the first is never zero, so the text keeps its length as a number.
pub(crate) fn digits(count: usize) -> String {
    let mut raw = vec![0; count];
    rng().fill_bytes(&mut raw);
    let mut digits = String::with_capacity(count);
    for (position, byte) in raw.into_iter().enumerate() {
        let digit = if position == 0 { 1 + byte % 9 } else { byte % 10 };
        digits.push(char::from(b'0' + digit));
    }
    digits
}

/// An id for a message that a phone sends.
pub(crate) fn message_id() -> String {
    format!("3A{}", hex::encode_upper(bytes::<9>()))
}

/// An id for a call that a phone begins.
pub(crate) fn call_id() -> String {
    hex::encode_upper(bytes::<16>())
}

/// An id for a stanza that the server itself starts.
pub(crate) fn stanza_id() -> String {
    hex::encode(bytes::<8>())
}
