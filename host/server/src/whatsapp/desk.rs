//! Where WhatsApp is asked something on behalf of a caller, while a session is connected: a few questions at once, none for long.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use whatsapp_rust::{AppStateError, BlockingError, Client, ContactError, GroupError, IqError};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::people::Group;

use super::sessions::Sessions;

/// Questions of one session that are under way at once.
const QUESTIONS_AT_ONCE: usize = 4;
/// Questions of one session that are under way or wait for their turn.
const QUESTIONS_MAX: usize = 64;
/// How long one may take, its turn included.
const QUESTION_WAIT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The session is not connected.
    NotConnected,
    /// WhatsApp does not do it.
    Refused {
        /// Such as 403, 404 or 409.
        code: u16,
        /// WhatsApp's own word.
        text: String,
    },
    /// Nobody of this name is on WhatsApp.
    Nobody,
    /// It cannot be asked.
    Invalid {
        /// Which part of the question.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no answer now.
    Unavailable(String),
}

/// One session's desk: its client once it has one, and what is under way.
pub(super) struct Desk {
    client: OnceLock<Weak<Client>>,
    places: Semaphore,
    turns: Semaphore,
    groups: Mutex<KnownGroups>,
    pub(super) endings: Mutex<Endings>,
}

/// The groups as they were told last.
#[derive(Default)]
struct KnownGroups {
    /// Grows whenever something about a group has changed.
    changes: u64,
    told: Option<(Timestamp, Arc<Vec<Group>>)>,
}

/// What was begun in chats and ends by itself, by chat; each with its number.
#[derive(Default)]
pub(super) struct Endings {
    pub(super) count: u64,
    pub(super) by_chat: HashMap<String, (u64, AbortHandle)>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            client: OnceLock::new(),
            places: Semaphore::new(QUESTIONS_MAX),
            turns: Semaphore::new(QUESTIONS_AT_ONCE),
            groups: Mutex::default(),
            endings: Mutex::default(),
        }
    }
}

impl Desk {
    /// The first client stays: each run of a session has a desk of its own.
    pub(super) fn seat(&self, client: Weak<Client>) {
        let _ = self.client.set(client);
    }

    pub(super) fn client(&self) -> Option<Arc<Client>> {
        self.client.get()?.upgrade()
    }

    /// The groups, if they were told less than `age` before `now`; else how much has changed so far.
    pub(super) fn groups(&self, now: Timestamp, age: Duration) -> Result<Arc<Vec<Group>>, u64> {
        let Ok(known) = self.groups.lock() else { return Err(0) };
        let told = known.told.as_ref().filter(|(at, _)| now.since(*at) < age);
        told.map(|(_, groups)| Arc::clone(groups)).ok_or(known.changes)
    }

    /// Keeps the groups, unless something about one has changed since they were asked for.
    pub(super) fn keep_groups(&self, now: Timestamp, changes: u64, groups: &Arc<Vec<Group>>) {
        if let Ok(mut known) = self.groups.lock()
            && known.changes == changes
        {
            known.told = Some((now, Arc::clone(groups)));
        }
    }

    /// Something about a group has changed.
    pub(super) fn group_changed(&self) {
        if let Ok(mut known) = self.groups.lock() {
            known.changes += 1;
            known.told = None;
        }
    }

    /// Asks when it is this one's turn, and has an answer within `wait` or none.
    async fn ask<T>(&self, wait: Duration, question: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
        let crowded = |_| AskError::Unavailable(format!("{QUESTIONS_MAX} questions of this session wait already"));
        let _place = self.places.try_acquire().map_err(crowded)?;
        let asked = async {
            let _turn = self.turns.acquire().await.map_err(|_| AskError::NotConnected)?;
            question.await
        };
        let late = || AskError::Unavailable(format!("WhatsApp did not answer within {} s", wait.as_secs()));
        tokio::time::timeout(wait, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Sessions {
    /// Asks with the client of a session of this tenant. Whoever asks may go away: the question is carried to its end.
    pub(super) async fn ask<T, F, Asking>(&self, tenant: TenantId, id: SessionId, question: F) -> Result<T, AskError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Client>, Arc<Desk>) -> Asking,
        Asking: Future<Output = Result<T, AskError>> + Send + 'static,
    {
        let (client, desk) = self.desk(tenant, id).ok_or(AskError::NotConnected)?;
        let question = question(client, Arc::clone(&desk));
        match tokio::spawn(async move { desk.ask(QUESTION_WAIT, question).await }).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(session = %id, %error, "a question to WhatsApp broke down");
                Err(AskError::Unavailable("the host failed".to_owned()))
            }
        }
    }
}

impl From<IqError> for AskError {
    fn from(error: IqError) -> Self {
        match error {
            IqError::ServerError { code, text, .. } => Self::Refused { code, text },
            IqError::NotConnected | IqError::Disconnected(_) | IqError::InternalChannelClosed => {
                Self::Unavailable("the connection to WhatsApp broke".to_owned())
            }
            other => unanswered(&other),
        }
    }
}

fn unanswered(error: &dyn std::fmt::Display) -> AskError {
    tracing::warn!(%error, "WhatsApp gave no answer");
    AskError::Unavailable("WhatsApp gave no answer that could be read".to_owned())
}

impl From<GroupError> for AskError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            GroupError::DescriptionConflict => Self::Refused { code: 409, text: "conflict".to_owned() },
            GroupError::InvalidRequest(why) => Self::Invalid { field: "group", why },
            other => unanswered(&other),
        }
    }
}

impl From<ContactError> for AskError {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            ContactError::InvalidJid(why) => Self::Invalid { field: "who", why },
            other => unanswered(&other),
        }
    }
}

impl From<BlockingError> for AskError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            // Both of somebody's names are needed, and WhatsApp told none for this one.
            BlockingError::InvalidJid(_) => Self::Nobody,
            other => unanswered(&other),
        }
    }
}

impl From<AppStateError> for AskError {
    fn from(error: AppStateError) -> Self {
        match error {
            AppStateError::InvalidRequest(why) => Self::Invalid { field: "who", why },
            other => unanswered(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);
    const AGE: Duration = Duration::from_secs(5);

    #[test]
    fn groups_are_believed_for_a_while_and_not_once_one_has_changed() {
        let desk = Desk::default();
        let changes = desk.groups(NOW, AGE).unwrap_err();
        desk.keep_groups(NOW, changes, &Arc::default());
        assert!(desk.groups(NOW.plus(AGE / 2), AGE).is_ok());
        assert!(desk.groups(NOW.plus(AGE), AGE).is_err(), "they are too old");
        desk.group_changed();
        let later = desk.groups(NOW, AGE).unwrap_err();
        desk.keep_groups(NOW, changes, &Arc::default());
        assert_eq!(desk.groups(NOW, AGE), Err(later), "what was asked before the change is not kept");
    }

    #[tokio::test]
    async fn only_a_few_questions_are_asked_at_once_and_too_many_are_refused() {
        let desk = Arc::new(Desk::default());
        let gate = Arc::new(Semaphore::new(0));
        let begun = Arc::new(Semaphore::new(0));
        let asked: Vec<_> = (0..QUESTIONS_MAX)
            .map(|_| {
                let (desk, gate, begun) = (Arc::clone(&desk), Arc::clone(&gate), Arc::clone(&begun));
                tokio::spawn(async move {
                    desk.ask(QUESTION_WAIT, async {
                        begun.add_permits(1);
                        gate.acquire().await.unwrap().forget();
                        Ok(())
                    })
                    .await
                })
            })
            .collect();
        begun.acquire_many(u32::try_from(QUESTIONS_AT_ONCE).unwrap()).await.unwrap().forget();
        while desk.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.available_permits(), 0, "the rest waits for its turn");
        let refused = desk.ask(QUESTION_WAIT, async { Ok(()) }).await;
        assert!(matches!(&refused, Err(AskError::Unavailable(why)) if why.contains("64")), "{refused:?}");
        gate.add_permits(QUESTIONS_MAX);
        for asked in asked {
            assert_eq!(asked.await.unwrap(), Ok(()));
        }
        assert_eq!(desk.ask(QUESTION_WAIT, async { Ok(1) }).await, Ok(1));
    }

    #[tokio::test]
    async fn a_question_that_nobody_answers_ends_and_so_does_one_that_has_no_turn() {
        let desk = Desk::default();
        let soon = Duration::from_millis(5);
        let answer = desk.ask(soon, std::future::pending::<Result<(), AskError>>()).await;
        assert!(matches!(&answer, Err(AskError::Unavailable(why)) if why.contains("did not answer")), "{answer:?}");
        let _turns = desk.turns.acquire_many(u32::try_from(QUESTIONS_AT_ONCE).unwrap()).await.unwrap();
        assert!(matches!(desk.ask(soon, async { Ok(()) }).await, Err(AskError::Unavailable(_))));
        assert_eq!(desk.places.available_permits(), QUESTIONS_MAX, "whoever gave up waits no more");
    }

    #[test]
    fn what_whatsapp_refuses_keeps_its_code() {
        let refused = IqError::ServerError { code: 403, text: "forbidden".to_owned(), error_type: None, backoff: None };
        let expected = AskError::Refused { code: 403, text: "forbidden".to_owned() };
        assert_eq!(AskError::from(GroupError::from(refused)), expected);
        assert!(matches!(AskError::from(IqError::Timeout), AskError::Unavailable(_)));
        assert_eq!(AskError::from(BlockingError::InvalidJid("no mapping".to_owned())), AskError::Nobody);
    }
}
