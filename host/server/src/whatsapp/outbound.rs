//! What goes out: one message, handed to the client under its own id, until the server acknowledged it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Client, Jid, SendError, SendOptions, async_trait};

use switchboard_core::flow::outbox_worker::Sender;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::message::Message;
use switchboard_core::storage::SendOutcome;

use super::barrier::Barrier;
use super::bearings::{Compass, Lost};
use super::content::to_protobuf;
use super::media::{UploadFault, Uploader, has_file};
use super::reasons;
use super::signals::AckWaiters;

/// Tries of a message that the client cannot send although it is on line, before it fails.
const TRIES_MAX: u32 = 6;

/// Sends through a session's client.
pub(super) struct ClientSender {
    pub(super) client: Arc<Client>,
    pub(super) acks: Arc<AckWaiters>,
    pub(super) barrier: Arc<Barrier>,
    pub(super) online: watch::Receiver<bool>,
    pub(super) compass: Compass,
    /// How long the server may take to acknowledge a message before it is sent again.
    pub(super) ack_wait: Duration,
    pub(super) tenant: TenantId,
    pub(super) uploader: Option<Uploader>,
}

impl ClientSender {
    /// Whether what was just sent to `to` was sealed for their phone. When no keys of it are to be had, the client sends to the
    /// other devices alone, and the server acknowledges that.
    async fn is_sealed_for(&self, to: &Jid) -> bool {
        if !(to.is_pn() || to.is_lid()) {
            return true;
        }
        // What cannot be told is not sent again for that.
        self.client.signal().validate_session(to).await.unwrap_or(true)
    }

    /// Whether the server says that nobody has the number that a message goes to. What cannot be told is not held against it.
    async fn is_nobody(&self, to: &Jid) -> bool {
        if !to.is_pn() {
            return false;
        }
        let contacts = self.client.contacts();
        let asked = contacts.is_on_whatsapp(std::slice::from_ref(to));
        match tokio::time::timeout(self.ack_wait, asked).await {
            // Whoever is there may have another name than was asked for, as in countries whose numbers have grown.
            Ok(Ok(found)) => !found.iter().any(|found| found.is_registered),
            _ => false,
        }
    }

    /// The message for WhatsApp; what it brings along is uploaded.
    async fn compose(&self, message: &Message, to: &Jid) -> Result<wa::Message, SendOutcome> {
        let bearings = match self.compass.bearings(message, to).await {
            Ok(bearings) => bearings,
            Err(Lost::Failed(why)) => return Err(SendOutcome::Failed(why)),
            Err(Lost::Again(why)) => return Err(SendOutcome::Again(why)),
        };
        if let Some(uploader) = self.uploader.as_ref().filter(|_| has_file(&message.content)) {
            let uploaded = uploader.message(&self.client, self.tenant, message, &bearings).await;
            return uploaded.map_err(|fault| match fault {
                UploadFault::Refused(why) => SendOutcome::Failed(why),
                // Off line it is nobody's fault and does not count.
                UploadFault::Later(why) if *self.online.borrow() && message.attempts + 1 >= TRIES_MAX => {
                    SendOutcome::Failed(format!("not sent after {TRIES_MAX} tries: {why}"))
                }
                UploadFault::Later(why) => SendOutcome::Again(why),
            });
        }
        to_protobuf(message, &bearings).ok_or_else(|| {
            SendOutcome::Failed(format!("messages of type {} cannot be sent yet", message.content.type_name()))
        })
    }
}

#[async_trait]
impl Sender for ClientSender {
    async fn ready(&self) {
        // The session's task is gone when this fails, and this task is about to be.
        if self.online.clone().wait_for(|online| *online).await.is_err() {
            std::future::pending().await
        }
    }

    async fn show_typing(&self, chat: &str) {
        let Ok(chat) = chat.parse::<Jid>() else { return };
        if let Err(error) = self.client.chatstate().send_composing(&chat).await {
            tracing::debug!(%error, "typing is not shown");
        }
    }

    async fn send(&self, message: &Message) -> SendOutcome {
        let Ok(to) = message.to.parse::<Jid>() else {
            return SendOutcome::Failed(format!("{} is not a JID", message.to));
        };
        let protobuf = match self.compose(message, &to).await {
            Ok(protobuf) => protobuf,
            Err(outcome) => return outcome,
        };
        let acked = self.acks.expect(&message.whatsapp_id);
        let options = SendOptions::default().with_message_id(&message.whatsapp_id);
        let sending = self.barrier.sending();
        let sent = self.client.send_message_with_options(to.clone(), protobuf, options).await;
        drop(sending);
        if let Err(error) = sent {
            self.acks.forget(&message.whatsapp_id);
            let outcome = refused(&error, message.attempts, *self.online.borrow());
            return if *self.online.borrow() && self.is_nobody(&to).await { nobody() } else { outcome };
        }
        if !self.is_sealed_for(&to).await {
            self.acks.forget(&message.whatsapp_id);
            if self.is_nobody(&to).await {
                return nobody();
            }
            let why = "no keys of the receiver's phone are to be had".to_owned();
            return if message.attempts + 1 >= TRIES_MAX { SendOutcome::Failed(why) } else { SendOutcome::Again(why) };
        }
        let outcome = match tokio::time::timeout(self.ack_wait, acked).await {
            Ok(Ok(Ok(()))) => SendOutcome::Acknowledged,
            // Of a group it says that there is no such group.
            Ok(Ok(Err(code))) if code == "404" && to.is_pn() => nobody(),
            Ok(Ok(Err(code))) => nacked(&code),
            Ok(Err(_)) => SendOutcome::Unacknowledged("the session went off line".to_owned()),
            Err(_) => SendOutcome::Unacknowledged(format!("not acknowledged within {} s", self.ack_wait.as_secs())),
        };
        self.acks.forget(&message.whatsapp_id);
        outcome
    }
}

/// There is nobody to send it to.
fn nobody() -> SendOutcome {
    SendOutcome::Failed(reasons::NOT_ON_WHATSAPP.to_owned())
}

/// The client did not send it.
fn refused(error: &SendError, attempts: u32, online: bool) -> SendOutcome {
    match error {
        SendError::InvalidRequest(why) => SendOutcome::Failed(why.clone()),
        // Off line it is nobody's fault and does not count.
        _ if !online => SendOutcome::Again(error.to_string()),
        _ if attempts + 1 >= TRIES_MAX => SendOutcome::Failed(format!("not sent after {TRIES_MAX} tries: {error}")),
        _ => SendOutcome::Again(error.to_string()),
    }
}

/// The server refused it: for good, unless it says that the fault is its own.
fn nacked(code: &str) -> SendOutcome {
    if code.starts_with('5') {
        SendOutcome::Unacknowledged(reasons::failed_to_take(code))
    } else {
        SendOutcome::Failed(reasons::nacked(code))
    }
}
