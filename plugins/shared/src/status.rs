//! Where sessions and messages stand, in a dialect's words.

use switchboard_guest_sdk::types::{MessageState, Session, SessionState};

/// A dialect's word for each state of a session.
pub struct SessionWords {
    /// It was never connected.
    pub created: &'static str,
    /// It is being linked, and no code waits yet.
    pub pairing: &'static str,
    /// A QR code waits to be scanned.
    pub qr: &'static str,
    /// Round trips prove it.
    pub connected: &'static str,
    /// The connection is being made again.
    pub reconnecting: &'static str,
    /// It was taken off line.
    pub disconnected: &'static str,
    /// The phone has removed the device.
    pub logged_out: &'static str,
    /// Another client took the device over.
    pub replaced: &'static str,
    /// WhatsApp has locked the account out.
    pub banned: &'static str,
    /// It cannot go on.
    pub failed: &'static str,
}

impl SessionWords {
    /// The word for a state; `qr_waits` says whether a session that is being linked has a code.
    pub fn of(&self, state: SessionState, qr_waits: bool) -> &'static str {
        match state {
            SessionState::Created => self.created,
            SessionState::Pairing if qr_waits => self.qr,
            SessionState::Pairing => self.pairing,
            SessionState::Connected => self.connected,
            SessionState::Reconnecting => self.reconnecting,
            SessionState::Disconnected => self.disconnected,
            SessionState::LoggedOut => self.logged_out,
            SessionState::Replaced => self.replaced,
            SessionState::Banned => self.banned,
            SessionState::Failed => self.failed,
        }
    }
}

/// Whether messages of a session are accepted: its link holds, even where the connection is just being made again.
pub fn is_ready(session: &Session) -> bool {
    matches!(session.state, SessionState::Connected | SessionState::Reconnecting)
}

/// A dialect's word for how far a message has come.
pub struct MessageWords {
    /// WhatsApp has not taken it yet.
    pub pending: &'static str,
    /// WhatsApp's server took it.
    pub sent: &'static str,
    /// The receiver has it.
    pub delivered: &'static str,
    /// The receiver looked at it.
    pub read: &'static str,
    /// The receiver played it.
    pub played: &'static str,
    /// It will not be sent.
    pub failed: &'static str,
}

impl MessageWords {
    /// The word for a state.
    pub fn of(&self, state: MessageState) -> &'static str {
        match state {
            MessageState::Queued | MessageState::Leased | MessageState::Sent => self.pending,
            MessageState::Acknowledged => self.sent,
            MessageState::Delivered => self.delivered,
            MessageState::Read => self.read,
            MessageState::Played => self.played,
            MessageState::Failed | MessageState::Expired | MessageState::Cancelled => self.failed,
        }
    }

    /// The states that a word stands for; none when it is no word of this dialect.
    pub fn states(&self, word: &str) -> Vec<MessageState> {
        MESSAGE_STATES.into_iter().filter(|state| self.of(*state) == word).collect()
    }
}

const MESSAGE_STATES: [MessageState; 10] = [
    MessageState::Queued,
    MessageState::Leased,
    MessageState::Sent,
    MessageState::Acknowledged,
    MessageState::Delivered,
    MessageState::Read,
    MessageState::Played,
    MessageState::Failed,
    MessageState::Expired,
    MessageState::Cancelled,
];

/// When a message reached a state, milliseconds since 1970.
pub fn reached_at(message: &switchboard_guest_sdk::types::Message, state: MessageState) -> Option<u64> {
    message.reached.iter().find(|reached| reached.state == state).map(|reached| reached.at_ms)
}
