//! Linking by number: a code that people type into their phone instead of scanning a QR code.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use whatsapp_rust::pair_code::{PairCodeOptions, PairError};
use whatsapp_rust::wacore::pair_code::{PairCodeError, PairCodeUtils};
use whatsapp_rust::{Client, IqError};

use switchboard_core::clock::{Clock, Timestamp};

/// Requests for a code that may wait for their session.
pub(super) const LINK_REQUESTS_MAX: usize = 4;

/// A code to type into a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingCode {
    /// The code, 8 characters.
    pub code: String,
    /// The number of the phone, digits only.
    pub phone_number: String,
    /// When it is no longer good.
    pub expires_at: Timestamp,
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingCodeError {
    /// The session does not wait for a phone to link it.
    #[error("the session is not pairing")]
    NotPairing,
    /// The number cannot be linked.
    #[error("{0}")]
    Number(String),
    /// WhatsApp gives none now.
    #[error("WhatsApp gives no code: {0}")]
    Refused(String),
}

/// Somebody asks for a code.
pub(super) struct LinkRequest {
    pub(super) phone_number: String,
    pub(super) reply: oneshot::Sender<Result<PairingCode, PairingCodeError>>,
}

/// Answers requests for codes until nobody can ask any longer.
pub(super) async fn answer(client: Arc<Client>, clock: Arc<dyn Clock>, mut requests: mpsc::Receiver<LinkRequest>) {
    while let Some(LinkRequest { phone_number, reply }) = requests.recv().await {
        // Whoever asks again has lost the code before; the phone takes only one.
        client.cancel_pair_code().await;
        let expires_at = clock.now().plus(PairCodeUtils::code_validity());
        let options = PairCodeOptions { phone_number: phone_number.clone(), ..PairCodeOptions::default() };
        let answer = match client.pair_with_code(options).await {
            Ok(code) => Ok(PairingCode { code, phone_number, expires_at }),
            Err(error) => Err(refused(&phone_number, &error)),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }
}

/// What WhatsApp answers for a number that it does not know, and for one that codes were asked for too often.
const BAD_REQUEST: u16 = 400;

fn refused(phone_number: &str, error: &PairError) -> PairingCodeError {
    match error {
        PairError::RequestFailed(IqError::ServerError { code: BAD_REQUEST, .. }) => PairingCodeError::Refused(format!(
            "{phone_number} is not on WhatsApp, or codes were asked for too often: check the number, or ask again in some \
             minutes (code {BAD_REQUEST})"
        )),
        PairError::PairCode(
            PairCodeError::PhoneNumberRequired
            | PairCodeError::PhoneNumberTooShort
            | PairCodeError::PhoneNumberNotInternational,
        ) => PairingCodeError::Number(error.to_string()),
        _ => PairingCodeError::Refused(error.to_string()),
    }
}
