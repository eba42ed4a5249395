//! Identities: of tenants, keys, sessions and messages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::entropy::Entropy;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number_id!(
    /// A customer. 0 is the operator; leads every storage key.
    TenantId
);
number_id!(
    /// An API key.
    KeyId
);
number_id!(
    /// One linked WhatsApp device.
    SessionId
);
number_id!(
    /// An accepted message. Grows with the time of acceptance and fits a JSON number (below 2^53).
    MessageId
);
number_id!(
    /// Messages that were accepted together. Drawn like a [`MessageId`].
    BatchId
);

number_id!(
    /// A place that events are delivered to.
    WebhookId
);

number_id!(
    /// A template of messages.
    TemplateId
);

impl TenantId {
    /// The operator: owner of the shared plugins and of no session.
    pub const OPERATOR: Self = Self(0);
}

impl SessionId {
    /// No session: what happened concerns the tenant as a whole.
    pub const NONE: Self = Self(0);
}

/// First millisecond counted in a [`MessageId`]: 2025-01-01T00:00:00Z.
const MESSAGE_EPOCH_MS: u64 = 1_735_689_600_000;
/// Random low bits of a [`MessageId`]: two messages of one tenant in one millisecond rarely meet, and storage refuses the second.
const MESSAGE_RANDOM_BITS: u32 = 11;

/// An id that says nothing about how many others exist: 10 000 up to 2^31, so that 32-bit clients can hold it.
pub fn draw_public_number(entropy: &dyn Entropy) -> u64 {
    const LOWEST: u64 = 10_000;
    LOWEST + entropy.next_u64() % ((1 << 31) - LOWEST)
}

impl MessageId {
    /// The id of a message accepted at `now`.
    pub fn draw(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let since = now.0.saturating_sub(MESSAGE_EPOCH_MS);
        let random = entropy.next_u64() & ((1 << MESSAGE_RANDOM_BITS) - 1);
        Self((since << MESSAGE_RANDOM_BITS) | random)
    }
}

/// A WhatsApp message id in the form that WhatsApp Web's own clients use: `3EB0` and 18 hexadecimal digits.
pub fn draw_whatsapp_id(entropy: &dyn Entropy) -> String {
    let mut random = [0; 9];
    entropy.fill(&mut random);
    format!("3EB0{}", hex::encode_upper(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn message_ids_grow_with_time_and_fit_a_json_number() {
        let entropy = SeededEntropy::new(1);
        let early = MessageId::draw(Timestamp(MESSAGE_EPOCH_MS + 1), &entropy);
        let late = MessageId::draw(Timestamp(MESSAGE_EPOCH_MS + 2), &entropy);
        assert!(early < late);
        let in_a_century = MessageId::draw(Timestamp(MESSAGE_EPOCH_MS + 100 * 365 * 86_400_000), &entropy);
        assert!(in_a_century.0 < 1 << 53);
    }

    #[test]
    fn public_numbers_fit_31_bits_and_hide_their_order() {
        let entropy = SeededEntropy::new(2);
        let drawn: Vec<u64> = (0..1000).map(|_| draw_public_number(&entropy)).collect();
        assert!(drawn.iter().all(|n| (10_000..1 << 31).contains(n)));
        assert!(!drawn.is_sorted());
    }

    #[test]
    fn whatsapp_ids_have_the_form_of_whatsapp_web() {
        let id = draw_whatsapp_id(&SeededEntropy::new(3));
        assert_eq!(id.len(), 22);
        assert!(id.starts_with("3EB0"));
    }
}
