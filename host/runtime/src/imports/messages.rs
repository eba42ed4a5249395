//! The imports `messages` and `account`.

use std::sync::Arc;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::id::{BatchId, MessageId, SessionId};
use switchboard_core::records::message::{ApiLimits, Priority, Schedule};
use switchboard_core::records::message_log::{Direction, LogPage, LogQuery, Logged};
use switchboard_core::records::once::Once;
use switchboard_core::records::plugin::Grants;
use switchboard_core::rules::grants::may_send;

use sha2::{Digest, Sha256};

use super::{Answer, NOT_GRANTED};
use crate::bindings::switchboard::plugin::types as wit;
use crate::bindings::switchboard::plugin::{account, messages};
use crate::call::CallState;
use crate::convert;
use crate::verbs::{NewBatch, NewMessage, VerbError};

/// Most messages of one page.
const PAGE_MAX: u32 = 100;
/// Most characters of the name of an API's limits.
const API_NAME_CHARS_MAX: usize = 64;
/// Most characters of a plugin's own key for a message.
const ONCE_KEY_CHARS_MAX: usize = 255;
/// Most messages that a page can be behind.
const OFFSET_MAX: u32 = 50_000;

/// The limits of an API; its name becomes the number that they are counted under.
fn api_limits(limits: &messages::ApiLimits) -> Result<ApiLimits, VerbError> {
    let chars = limits.name.chars().count();
    if chars == 0 || chars > API_NAME_CHARS_MAX {
        let why = format!("has a name of {chars} characters; 1 to {API_NAME_CHARS_MAX} are allowed");
        return Err(VerbError::Invalid { field: "limits".to_owned(), why });
    }
    let hash = Sha256::digest(limits.name.as_bytes());
    let id = hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let (per_minute, per_day) = (limits.messages_per_minute, limits.messages_per_day);
    Ok(ApiLimits { id, per_minute, per_day, per_month: limits.messages_per_month })
}

fn schedule(options: &messages::SendOptions) -> Result<Schedule, VerbError> {
    Ok(Schedule {
        priority: match options.priority {
            messages::Priority::Interactive => Priority::Interactive,
            messages::Priority::Bulk => Priority::Bulk,
        },
        send_at: options.send_at_ms.map(Timestamp),
        expires_at: options.expires_at_ms.map(Timestamp),
        gap_ms: options.gap_ms.map(u64::from),
        jitter_ms: options.jitter_ms.map(u64::from),
        sends_per_minute: options.sends_per_minute,
        api: options.limits.as_ref().map(api_limits).transpose()?,
    })
}

/// Whether a plugin was given leave to send from a session.
fn sender(session: u64) -> impl FnOnce(&Grants) -> Result<(), String> {
    move |grants| may_send(grants, SessionId(session)).map(drop)
}

fn direction(direction: messages::Direction) -> Direction {
    match direction {
        messages::Direction::Sent => Direction::Sent,
        messages::Direction::Received => Direction::Received,
    }
}

fn log_query(query: &messages::MessageQuery) -> Result<LogQuery, VerbError> {
    let invalid = |field: &str, why: String| Err(VerbError::Invalid { field: field.to_owned(), why });
    if query.limit == 0 || query.limit > PAGE_MAX {
        return invalid("limit", format!("is {}; 1 to {PAGE_MAX} are allowed", query.limit));
    }
    if query.offset > OFFSET_MAX {
        return invalid("offset", format!("is {}; the limit is {OFFSET_MAX}", query.offset));
    }
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(LogQuery {
        session: query.session.map(SessionId),
        direction: query.direction.map(direction),
        states: query.states.iter().copied().map(convert::core_message_state).collect(),
        since: query.since_ms.map(Timestamp),
        until: query.until_ms.map(Timestamp),
        offset: number(query.offset),
        limit: number(query.limit),
    })
}

fn page(page: LogPage) -> messages::MessagePage {
    let logged = |one: &Logged| match one {
        Logged::Sent(message) => messages::Logged::Sent(convert::message(message)),
        Logged::Received(event) => messages::Logged::Received(convert::event(event)),
    };
    messages::MessagePage { entries: page.entries.iter().map(logged).collect(), total: page.total }
}

fn outgoing(wishes: Vec<wit::Outgoing>) -> Vec<(String, Content, Extras)> {
    let read = |one: wit::Outgoing| (one.to, convert::core_content(one.content), convert::core_extras(one.extras));
    wishes.into_iter().map(read).collect()
}

impl CallState {
    /// How every limit of a session stands. Of what was accepted the caller is told, whatever becomes of this question.
    async fn limits(
        &mut self,
        session: SessionId,
        options: &messages::SendOptions,
    ) -> wasmtime::Result<Vec<wit::QuotaStanding>> {
        let api = options.limits.as_ref().and_then(|limits| api_limits(limits).ok());
        let asked = self
            .verb_uncounted(|verbs, caller| async move {
                let limits = verbs.quota(&caller, session, api).await?;
                Ok(limits.into_iter().map(convert::quota_standing).collect())
            })
            .await?;
        Ok(asked.unwrap_or_default())
    }

    async fn accepted(
        &mut self,
        answer: Result<wit::Message, wit::HostError>,
        options: &messages::SendOptions,
    ) -> Answer<messages::Accepted> {
        Ok(match answer {
            Ok(message) => {
                let limits = self.limits(SessionId(message.session), options).await?;
                Ok(messages::Accepted { message, limits })
            }
            Err(error) => Err(error),
        })
    }
}

impl messages::Host for CallState {
    async fn send(
        &mut self,
        session: u64,
        message: wit::Outgoing,
        options: messages::SendOptions,
    ) -> Answer<messages::Accepted> {
        let (content, extras) = (convert::core_content(message.content), convert::core_extras(message.extras));
        let (once, asked) = (self.once.clone(), &options);
        let answer = self
            .granted_verb(sender(session), |verbs, caller| async move {
                let (to, once, schedule) = (&*message.to, once.as_deref(), schedule(asked)?);
                let session = SessionId(session);
                let new = NewMessage { session, to, content: &content, extras: &extras, schedule, once };
                Ok(convert::message(&verbs.send(&caller, new).await?))
            })
            .await?;
        self.accepted(answer, &options).await
    }

    async fn send_once(
        &mut self,
        session: u64,
        key: String,
        message: wit::Outgoing,
        options: messages::SendOptions,
    ) -> Answer<messages::Accepted> {
        let (content, extras) = (convert::core_content(message.content), convert::core_extras(message.extras));
        let (plugin, asked) = (Arc::clone(&self.plugin), &options);
        let answer = self
            .granted_verb(sender(session), |verbs, caller| async move {
                let chars = key.chars().count();
                if !(1..=ONCE_KEY_CHARS_MAX).contains(&chars) {
                    let why = format!("has {chars} characters; 1 to {ONCE_KEY_CHARS_MAX} are allowed");
                    return Err(VerbError::Invalid { field: "key".to_owned(), why });
                }
                let once = Once::of_plugin(caller.tenant, &plugin, &key, caller.test);
                let (to, session, schedule) = (&*message.to, SessionId(session), schedule(asked)?);
                let new = NewMessage { session, to, content: &content, extras: &extras, schedule, once: Some(&once) };
                Ok(convert::message(&verbs.send(&caller, new).await?))
            })
            .await?;
        self.accepted(answer, &options).await
    }

    async fn send_all(
        &mut self,
        session: u64,
        wishes: Vec<wit::Outgoing>,
        options: messages::SendOptions,
    ) -> Answer<messages::AcceptedAll> {
        let (once, asked, outgoing) = (self.once.clone(), &options, outgoing(wishes));
        let answer: Result<Vec<wit::Message>, _> = self
            .granted_verb(sender(session), |verbs, caller| async move {
                let (once, session, schedule) = (once.as_deref(), SessionId(session), schedule(asked)?);
                let new = NewBatch { session, name: None, messages: &outgoing, schedule, once };
                Ok(verbs.send_all(&caller, new).await?.iter().map(convert::message).collect())
            })
            .await?;
        Ok(match answer {
            Ok(messages) => {
                let limits = self.limits(SessionId(session), &options).await?;
                Ok(messages::AcceptedAll { messages, limits })
            }
            Err(error) => Err(error),
        })
    }

    async fn send_batch(&mut self, session: u64, wish: messages::BatchWish) -> Answer<messages::BatchAnswer> {
        let (once, options) = (self.once.clone(), wish.options);
        let asked = &options;
        let (name, outgoing) = (wish.name, outgoing(wish.messages));
        let answer = self
            .granted_verb(sender(session), |verbs, caller| async move {
                let (name, once, session) = (name.as_deref(), once.as_deref(), SessionId(session));
                let schedule = schedule(asked)?;
                let outcome =
                    verbs.send_batch(&caller, NewBatch { session, name, messages: &outgoing, schedule, once }).await?;
                let result = |one: Result<_, _>| one.map(|sent| convert::message(&sent)).map_err(convert::host_error);
                Ok((outcome.batch.map(|batch| batch.0), outcome.results.into_iter().map(result).collect()))
            })
            .await?;
        Ok(match answer {
            Ok((batch, results)) => {
                let limits = self.limits(SessionId(session), &options).await?;
                Ok(messages::BatchAnswer { batch, results, limits })
            }
            Err(error) => Err(error),
        })
    }

    async fn get(&mut self, id: u64) -> Answer<wit::Message> {
        // What it did not send itself does not exist for a tenant's own router.
        self.granted_verb(
            |grants| grants.send.map(drop).ok_or_else(|| format!("send: {NOT_GRANTED}")),
            |verbs, caller| async move { Ok(convert::message(&verbs.message(&caller, MessageId(id)).await?)) },
        )
        .await
    }

    async fn received(&mut self, event: u64) -> Answer<wit::Event> {
        self.verb(|verbs, caller| async move { Ok(convert::event(&verbs.received(&caller, event).await?)) }).await
    }

    async fn find(&mut self, query: messages::MessageQuery) -> Answer<messages::MessagePage> {
        self.verb(|verbs, caller| async move { Ok(page(verbs.find_messages(&caller, log_query(&query)?).await?)) }).await
    }

    async fn by_whatsapp_id(&mut self, session: u64, whatsapp_id: String) -> Answer<wit::Message> {
        self.verb(|verbs, caller| async move {
            Ok(convert::message(&verbs.sent_under(&caller, SessionId(session), &whatsapp_id).await?))
        })
        .await
    }

    async fn batch(&mut self, id: u64) -> Answer<messages::BatchProgress> {
        self.verb(|verbs, caller| async move {
            let progress = verbs.batch(&caller, BatchId(id)).await?;
            let count = |(state, messages): (&_, &u64)| messages::StateCount {
                state: convert::message_state(*state),
                messages: *messages,
            };
            Ok(messages::BatchProgress {
                id,
                session: progress.record.session.0,
                name: progress.record.name.clone(),
                messages: progress.record.messages,
                states: progress.states.iter().map(count).collect(),
                accepted_at_ms: progress.record.accepted_at.0,
            })
        })
        .await
    }

    async fn cancel(&mut self, id: u64) -> Answer<wit::Message> {
        self.verb(|verbs, caller| async move { Ok(convert::message(&verbs.cancel(&caller, MessageId(id)).await?)) }).await
    }

    async fn resend(&mut self, id: u64, options: messages::SendOptions) -> Answer<messages::Accepted> {
        let (once, asked) = (self.once.clone(), &options);
        let answer = self
            .verb(|verbs, caller| async move {
                let resent = verbs.resend(&caller, MessageId(id), schedule(asked)?, once.as_deref()).await?;
                Ok(convert::message(&resent))
            })
            .await?;
        self.accepted(answer, &options).await
    }

    async fn count(&mut self, session: u64, of: messages::Direction) -> Answer<u64> {
        self.verb(|verbs, caller| async move { verbs.message_count(&caller, SessionId(session), direction(of)).await }).await
    }

    async fn quota(&mut self, session: u64, limits: Option<messages::ApiLimits>) -> Answer<Vec<wit::QuotaStanding>> {
        self.verb(|verbs, caller| async move {
            let api = limits.as_ref().map(api_limits).transpose()?;
            let limits = verbs.quota(&caller, SessionId(session), api).await?;
            Ok(limits.into_iter().map(convert::quota_standing).collect())
        })
        .await
    }
}

impl account::Host for CallState {
    async fn info(&mut self) -> Answer<account::AccountInfo> {
        self.verb(|verbs, caller| async move {
            let info = verbs.account(&caller).await?;
            let usage = |usage: crate::verbs::Usage| account::Usage {
                limit: usage.limit.to_owned(),
                max: usage.max,
                used: usage.used,
                resets_at_ms: usage.resets_at_ms,
            };
            Ok(account::AccountInfo {
                name: info.name,
                plan: info.plan,
                usage: info.usage.into_iter().map(usage).collect(),
                sessions: info.sessions,
                sessions_max: info.sessions_max,
            })
        })
        .await
    }
}
