//! Messages to plaintext and back: protobuf, then 1 to 16 bytes that each say how many they are.

use waproto::whatsapp::Message;

use super::error::PhoneError;
use crate::random;

/// Encodes and pads, so that a ciphertext's length tells little about the text's.
pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut plaintext = waproto::codec::message_to_vec(message);
    let [noise] = random::bytes::<1>();
    let padding = (noise & 0x0f) + 1;
    plaintext.resize(plaintext.len() + usize::from(padding), padding);
    plaintext
}

/// Checks and removes the padding, then decodes.
pub(super) fn decode(plaintext: &[u8]) -> Result<Message, PhoneError> {
    let padding = plaintext.last().copied().unwrap_or(0);
    let refused = || PhoneError::Padding { padding, bytes: plaintext.len() };
    let kept = plaintext.len().checked_sub(usize::from(padding)).filter(|_| padding > 0).ok_or_else(refused)?;
    let (content, tail) = plaintext.split_at_checked(kept).ok_or_else(refused)?;
    if tail.iter().any(|byte| *byte != padding) {
        return Err(refused());
    }
    waproto::codec::message_decode(content).map_err(|source| PhoneError::Undecodable { what: "whatsapp", source })
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use waproto::whatsapp::Message;

    #[test]
    fn message_survives_its_padding() {
        let message = Message { conversation: Some("hello".to_owned()), ..Message::default() };
        for _ in 0..64 {
            assert_eq!(decode(&encode(&message)).unwrap().conversation.as_deref(), Some("hello"));
        }
    }

    #[test]
    fn padding_that_lies_is_refused() {
        let lies: [&[u8]; 4] = [&[], &[0], &[5], &[1, 2, 1, 3]];
        for plaintext in lies {
            assert!(decode(plaintext).is_err(), "{plaintext:?}");
        }
    }
}
