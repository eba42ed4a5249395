//! Looks up what a message must know of others before it can be written: who wrote the message that it is about, and the
//! secret of a poll, which is kept before the poll leaves.

use std::sync::Arc;

use whatsapp_rust::types::message::AddressingMode;
use whatsapp_rust::wacore_binary::JidExt as _;
use whatsapp_rust::{Client, Jid};

use switchboard_core::entropy::Entropy;
use switchboard_core::flow::inbox::Inbox;
use switchboard_core::records::content::{Content, Person, Quote};
use switchboard_core::records::event::KnownPoll;
use switchboard_core::records::message::Message;
use switchboard_core::storage::StorageError;

use super::content::Bearings;
use super::names::Names;

/// Bytes of a poll's secret.
const POLL_SECRET_BYTES: usize = 32;

/// Why a message cannot be written.
pub(super) enum Lost {
    /// It can never be; the reason is for the customer.
    Failed(String),
    /// Not now.
    Again(String),
}

impl From<StorageError> for Lost {
    fn from(error: StorageError) -> Self {
        Self::Again(error.to_string())
    }
}

/// Finds bearings for one session.
pub(super) struct Compass {
    pub(super) client: Arc<Client>,
    pub(super) inbox: Inbox,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// Who wrote a message.
enum Author {
    /// The session's own account.
    Own,
    /// Somebody else, by the JID that the message came from.
    Other(String),
}

impl Compass {
    /// What `message`, which goes to `to`, must know.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) async fn bearings(&self, message: &Message, to: &Jid) -> Result<Bearings, Lost> {
        let mut bearings = Bearings::default();
        if let Some(Quote { message_id, sender: None }) = &message.extras.quote {
            (bearings.quoted_author, bearings.quoted_text) = self.quoted(message_id, to).await?;
        }
        match &message.content {
            Content::Poll(poll) => bearings.poll_secret = Some(self.poll_secret(message, &poll.options).await?),
            Content::Reaction(reaction) => {
                let named = reaction.author.as_ref().map(|author| author.jid.clone());
                let found = self.author(&reaction.message_id, to, named).await?;
                (bearings.own, bearings.author) = match found {
                    Some(Author::Own) => (true, None),
                    Some(Author::Other(jid)) => (false, Some(jid).filter(|_| to.is_group())),
                    // In a talk of two it can only be the other one's: what this session sent is known.
                    None if !to.is_group() => (false, None),
                    None => {
                        let why = format!("message {} is not known in {to}: name its author", reaction.message_id);
                        return Err(Lost::Failed(why));
                    }
                };
            }
            Content::Edit(edit) => {
                if let Some(Author::Other(jid)) = self.author(&edit.message_id, to, None).await? {
                    let why = format!("message {} was written by {jid}; only own messages can be edited", edit.message_id);
                    return Err(Lost::Failed(why));
                }
                bearings.own = true;
                bearings.author = self.own_name(to).await;
            }
            Content::Revoke(revoke) => {
                let named = revoke.author.as_ref().map(|author| author.jid.clone());
                match self.author(&revoke.message_id, to, named).await? {
                    Some(Author::Other(jid)) if to.is_group() => bearings.author = Some(jid),
                    Some(Author::Other(jid)) => {
                        let id = &revoke.message_id;
                        return Err(Lost::Failed(format!("message {id} was written by {jid}, who alone can take it back")));
                    }
                    _ => bearings.own = true,
                }
            }
            _ => {}
        }
        Ok(bearings)
    }

    /// Who wrote a message of the chat; `None` when it is not known here. `named` is who the caller says wrote it.
    async fn author(&self, id: &str, to: &Jid, named: Option<String>) -> Result<Option<Author>, Lost> {
        let Inbox { storage, tenant, session, .. } = &self.inbox;
        let sent = storage.message_of_whatsapp_id(*tenant, *session, id).await?;
        if sent.is_some_and(|sent| sent.to == to.to_non_ad_string()) {
            return Ok(Some(Author::Own));
        }
        let found = match named {
            Some(named) => Some(named),
            None => storage.inbound_author(*tenant, *session, &self.chat_names(to).await, id).await?,
        };
        Ok(found.map(|jid| if self.is_own(&jid) { Author::Own } else { Author::Other(jid) }))
    }

    fn is_own(&self, jid: &str) -> bool {
        let own = [self.client.pn(), self.client.lid()];
        own.into_iter().flatten().any(|own| own.to_non_ad_string() == jid)
    }

    async fn chat_names(&self, to: &Jid) -> Vec<String> {
        let Person { jid, phone, lid } = Names(&self.client).person(to, &[]).await;
        let by_phone = phone.map(|phone| format!("{phone}@s.whatsapp.net"));
        [Some(jid), by_phone, lid].into_iter().flatten().collect()
    }

    /// The account's own JID as the members of a group know it; `None` in a talk of two, where nobody needs it.
    async fn own_name(&self, to: &Jid) -> Option<String> {
        if !to.is_group() {
            return None;
        }
        let info = self.client.groups().query_info(to).await.ok()?;
        let own = if info.addressing_mode == AddressingMode::Lid { self.client.lid() } else { None };
        own.or_else(|| self.client.pn()).map(|own| own.to_non_ad_string())
    }

    /// Who wrote a quoted message, and what it says, as far as that is known.
    async fn quoted(&self, id: &str, to: &Jid) -> Result<(Option<String>, Option<String>), Lost> {
        let Inbox { storage, tenant, session, .. } = &self.inbox;
        let author = match self.author(id, to, None).await? {
            Some(Author::Own) => {
                let by_number = self.client.pn().map(|own| own.to_non_ad_string());
                self.own_name(to).await.or(by_number)
            }
            Some(Author::Other(jid)) => Some(jid),
            None => None,
        };
        let sent = storage.message_of_whatsapp_id(*tenant, *session, id).await?;
        let text = sent.and_then(|sent| match sent.content {
            Content::Text(text) => Some(text),
            _ => None,
        });
        Ok((author, text))
    }

    /// The secret of a poll: the same each time that it is sent, so that a vote in any of its copies opens.
    async fn poll_secret(&self, message: &Message, options: &[String]) -> Result<Vec<u8>, Lost> {
        let Some(own) = self.client.pn() else { return Err(Lost::Again("the session is not logged in".to_owned())) };
        let mut secret = vec![0; POLL_SECRET_BYTES];
        self.entropy.fill(&mut secret);
        let author = Names(&self.client).person(&own, &[self.client.lid().as_ref()]).await;
        let poll = KnownPoll { options: options.to_vec(), secret, author, at: message.accepted_at };
        let Inbox { storage, tenant, session, .. } = &self.inbox;
        let known = storage.remember_poll(*tenant, *session, &message.whatsapp_id, &poll).await?;
        Ok(known.secret)
    }
}
