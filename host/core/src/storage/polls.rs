//! What people chose in polls: the latest vote of each, kept in the commit of the event that tells of it.

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, KeyRange};
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::content::{Content, Person};
use crate::records::event::{Fact, Incoming};
use crate::records::id::{SessionId, TenantId};

/// Most votes of a poll that are counted: more than a group has members.
const VOTES_MAX: usize = 4096;

/// What somebody chose last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vote {
    /// Who.
    pub(super) voter: Person,
    /// The options; none when the vote was taken back.
    pub(super) options: Vec<String>,
    /// When WhatsApp says it was cast.
    pub(super) at: Timestamp,
}

/// Who chose an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionTally {
    /// The option.
    pub option: String,
    /// Who chose it.
    pub voters: Vec<Person>,
}

impl Storage {
    /// Lets `batch` keep the vote that a fact tells of, if it does and is not older than what is kept.
    pub(super) async fn put_vote(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        session: SessionId,
        fact: &Fact,
    ) -> Result<(), StorageError> {
        let Fact::MessageReceived(incoming) = fact else { return Ok(()) };
        let Content::PollVote(vote) = &incoming.content else { return Ok(()) };
        let Some(options) = &vote.options else { return Ok(()) };
        let key = |voter: &str| keys::poll_vote(tenant, session, &vote.poll_id, voter);
        let (phone, lid) = (&incoming.from_phone, &incoming.from_lid);
        let name = lid.as_ref().or(phone.as_ref()).unwrap_or(&incoming.from);
        let place = key(name);
        if let Some(kept) = self.read::<Vote>(&place).await?
            && kept.at > incoming.sent_at
        {
            return Ok(());
        }
        let now = Vote { voter: voter(incoming), options: options.clone(), at: incoming.sent_at };
        batch.put(place.clone(), encode(&place, &now)?);
        if let (Some(phone), Some(_)) = (phone, lid) {
            // Before the LID was known it lay under the number.
            batch.delete(key(phone));
        }
        Ok(())
    }

    /// How a poll stands: its options in their order, and who chose each. None at all when the poll is not known.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn poll_tally(
        &self,
        tenant: TenantId,
        session: SessionId,
        poll: &str,
    ) -> Result<Vec<OptionTally>, StorageError> {
        let Some(known) = self.known_poll(tenant, session, poll).await? else { return Ok(Vec::new()) };
        let range = KeyRange::prefix(&keys::poll_votes(tenant, session, poll), VOTES_MAX);
        let votes: Result<Vec<Vote>, StorageError> =
            self.engine.range(&range).await?.iter().map(|(key, value)| decode(key, value)).collect();
        let votes = votes?;
        let tally = |option: String| {
            let chose = |vote: &&Vote| vote.options.contains(&option);
            let voters = votes.iter().filter(chose).map(|vote| vote.voter.clone()).collect();
            OptionTally { option, voters }
        };
        Ok(known.options.into_iter().map(tally).collect())
    }
}

fn voter(incoming: &Incoming) -> Person {
    Person { jid: incoming.from.clone(), phone: incoming.from_phone.clone(), lid: incoming.from_lid.clone() }
}
