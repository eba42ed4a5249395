//! Intake: where a wish to send is judged, and where "accepted" is said.
//!
//! Template, policies and quota belong here, before the one commit; policies see what is going to be sent. Invariant: an `Ok` from [`Intake::accept`]
//! means that the message is durable in the outbox under the WhatsApp id that it will keep.

mod checks;
mod wish;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::guards::{Guards, Question};
use super::lasting::lasting;
use super::media::{MediaDesk, MediaRefusal, Moment};
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::account::{Acting, Principal};
use crate::records::content::{Content, Interactive};
use crate::records::id::{BatchId, MessageId, SessionId, TenantId, draw_whatsapp_id};
use crate::records::message::{ApiLimits, BatchRecord, Message, MessageState, Schedule};
use crate::records::once::{Once, OnceMark, OnceStep};
use crate::records::plugin::SendGrant;
use crate::records::session::SessionState;
use crate::rules::address::parse_recipient;
use crate::rules::interactive;
use crate::rules::quota::{self, Charge, Reached};
use crate::rules::session_settings::sends;
use crate::storage::{Acceptance, OUTBOX_MESSAGES_MAX, Storage, StorageError};

use checks::{check_content, check_media, check_schedule, checked_extras};

pub use crate::rules::content_limits::TEXT_CHARS_MAX;
pub use checks::{CAPTION_CHARS_MAX, FILE_NAME_CHARS_MAX, MENTIONS_MAX, QUOTED_ID_CHARS_MAX, SCHEDULE_AHEAD_MAX};
pub use wish::{AcceptedBatch, BatchWish, IntakeError, SendWish};

/// How long after its time a message's file is kept: a session may be off line for days.
const MEDIA_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Most messages of one batch.
pub const BATCH_MESSAGES_MAX: usize = 1000;
/// How often acceptance is tried when a drawn message id is taken already or others use a limit up meanwhile.
const COMMIT_TRIES_MAX: u32 = 16;

/// How a commit went.
enum Committed {
    /// It is durable since now; the limit that cut it short, if one did.
    Now(Box<Acceptance>, Option<Reached>),
    /// The same request had left this mark.
    Before(OnceMark),
}

/// Judges wishes and commits what it accepts.
#[derive(Clone)]
pub struct Intake {
    pub(super) storage: Storage,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    wakes: Arc<Wakes>,
    media: Option<Arc<dyn MediaDesk>>,
    pub(super) guards: Guards,
}

impl Intake {
    /// An intake over `storage`.
    pub fn new(storage: Storage, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, wakes: Arc<Wakes>) -> Self {
        Self { storage, clock, entropy, wakes, media: None, guards: Guards::default() }
    }

    /// The same, where messages with files are sent too.
    #[must_use]
    pub fn with_media(self, media: Arc<dyn MediaDesk>) -> Self {
        Self { media: Some(media), ..self }
    }

    /// The same, where policies are asked and templates rendered.
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// Accepts a wish: the message that is returned is durable.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing was accepted then.
    pub async fn accept(&self, tenant: TenantId, wish: SendWish) -> Result<Message, IntakeError> {
        self.accept_once(tenant, wish, None).await
    }

    /// Accepts a wish of a request that may be under an idempotency key: what the same request was given before is given again,
    /// as it is now, and nothing is accepted a second time.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn accept_once(&self, tenant: TenantId, wish: SendWish, once: Option<&Once>) -> Result<Message, IntakeError> {
        let accepted = self.accept_all_once(tenant, vec![wish], once).await?;
        accepted.into_iter().next().ok_or(IntakeError::Storage(StorageError::Conflict))
    }

    /// Accepts every one of these wishes or none: they are durable in one commit, and limits count them together.
    ///
    /// # Errors
    /// [`IntakeError::BatchSize`] for too many wishes or none; else the first refusal of any of them. Nothing was accepted then.
    pub async fn accept_all_once(
        &self,
        tenant: TenantId,
        wishes: Vec<SendWish>,
        once: Option<&Once>,
    ) -> Result<Vec<Message>, IntakeError> {
        let count = wishes.len();
        if count == 0 || count > BATCH_MESSAGES_MAX {
            return Err(IntakeError::BatchSize { messages: count });
        }
        let step = once.map(Once::next_step);
        if let Some(mark) = self.made_before(step.as_ref()).await? {
            return self.made_messages(tenant, &mark).await;
        }
        let acting = acting(&wishes);
        let (mut messages, mut ids) = (Vec::with_capacity(count), HashSet::new());
        for wish in wishes {
            let mut message = self.judge(tenant, wish).await?;
            while !ids.insert(message.id) {
                message.id = MessageId(message.id.0 + 1);
            }
            messages.push(message);
        }
        if count > 1 {
            // Many files are not to be kept for what a limit refuses. For one, the commit says so soon enough.
            let used = self.storage.used(tenant, self.charges_of(tenant, &messages, acting.as_ref()).await?).await?;
            quota::reached(&used, self.clock.now()).map_or(Ok(()), |reached| Err(IntakeError::QuotaReached(reached)))?;
        }
        for message in &mut messages {
            message.content = self.with_file(tenant, message.content.clone(), &message.schedule).await?;
        }
        let once = step.map(|step| OnceStep { places: (0..).take(count).collect(), ..step });
        match self.commit(tenant, Acceptance { messages, once, ..Acceptance::default() }, acting.as_ref()).await? {
            Committed::Now(accepted, _) => Ok(accepted.messages),
            Committed::Before(mark) => self.made_messages(tenant, &mark).await,
        }
    }

    /// The mark that the same request left at this step.
    async fn made_before(&self, step: Option<&OnceStep>) -> Result<Option<OnceMark>, StorageError> {
        let Some(step) = step else { return Ok(None) };
        let mark = self.storage.once_mark(&step.key, step.n, self.clock.now()).await?;
        Ok(mark.filter(|mark| mark.fingerprint == step.fingerprint))
    }

    async fn made_messages(&self, tenant: TenantId, mark: &OnceMark) -> Result<Vec<Message>, IntakeError> {
        let mut made = Vec::with_capacity(mark.messages.len());
        for (_, id) in &mark.messages {
            made.push(self.storage.message(tenant, *id).await?.ok_or(StorageError::Conflict)?);
        }
        Ok(made)
    }

    /// Accepts a batch: every wish is judged by itself, and those that are taken are durable together. Where a limit ends in
    /// the middle of it, the first are taken and the rest is refused. A batch of which nothing is taken is none.
    ///
    /// # Errors
    /// [`IntakeError::BatchSize`] for too many wishes or none; else when storage fails or the outbox has no room.
    pub async fn accept_batch(&self, tenant: TenantId, wish: BatchWish) -> Result<AcceptedBatch, IntakeError> {
        self.accept_batch_once(tenant, wish, None).await
    }

    /// Accepts a batch of a request that may be under an idempotency key, as [`Intake::accept_once`] does a message.
    ///
    /// # Errors
    /// As [`Intake::accept_batch`].
    pub async fn accept_batch_once(
        &self,
        tenant: TenantId,
        wish: BatchWish,
        once: Option<&Once>,
    ) -> Result<AcceptedBatch, IntakeError> {
        let count = wish.messages.len();
        if count == 0 || count > BATCH_MESSAGES_MAX {
            return Err(IntakeError::BatchSize { messages: count });
        }
        let step = once.map(Once::next_step);
        let before = self.made_before(step.as_ref()).await?;
        let now = self.clock.now();
        let id = BatchId(self.draw_message_id().0);
        let acting = acting(&wish.messages);
        let mut judged: Vec<Result<(), IntakeError>> = Vec::with_capacity(count);
        let mut messages: Vec<Message> = Vec::with_capacity(count);
        let mut ids = HashSet::new();
        for one in wish.messages {
            let verdict = self.judge(tenant, SendWish { session: wish.session, ..one }).await;
            judged.push(verdict.map(|mut message| {
                while !ids.insert(message.id) {
                    message.id = MessageId(message.id.0 + 1);
                }
                message.batch = Some(id);
                messages.push(message);
            }));
        }
        if let Some(mark) = before {
            return self.made_batch(tenant, &mark, judged).await;
        }
        if messages.is_empty() {
            return Ok(AcceptedBatch { record: None, results: judged.into_iter().map(|one| one.map(|()| None)).collect() });
        }
        let record =
            BatchRecord { id, session: wish.session, messages: messages.len() as u64, name: wish.name, accepted_at: now };
        let taken = (0..).zip(&judged).filter(|(_, verdict)| verdict.is_ok()).map(|(place, _)| place).collect();
        let once = step.map(|step| OnceStep { places: taken, ..step });
        let acceptance = Acceptance { messages, batch: Some(record), once, ..Acceptance::default() };
        let (accepted, over) = match self.commit(tenant, acceptance, acting.as_ref()).await {
            Ok(Committed::Now(accepted, over)) => (*accepted, over),
            Ok(Committed::Before(mark)) => return self.made_batch(tenant, &mark, judged).await,
            Err(IntakeError::QuotaReached(reached)) => (Acceptance::default(), Some(reached)),
            Err(error) => return Err(error),
        };
        let mut messages = accepted.messages.into_iter();
        let mut taken = |()| match (messages.next(), over) {
            (None, Some(reached)) => Err(IntakeError::QuotaReached(reached)),
            (message, _) => Ok(message),
        };
        let results = judged.into_iter().map(|one| one.and_then(&mut taken)).collect();
        Ok(AcceptedBatch { record: accepted.batch, results })
    }

    /// The batch that the same request made before. What was refused then is told as it is judged now.
    async fn made_batch(
        &self,
        tenant: TenantId,
        mark: &OnceMark,
        judged: Vec<Result<(), IntakeError>>,
    ) -> Result<AcceptedBatch, IntakeError> {
        let record = match mark.batch {
            Some(id) => self.storage.batch_progress(tenant, id).await?.map(|progress| progress.record),
            None => None,
        };
        let mut results = Vec::with_capacity(judged.len());
        for (place, verdict) in (0..).zip(judged) {
            results.push(match mark.messages.iter().find(|(taken, _)| *taken == place) {
                Some((_, id)) => Ok(self.storage.message(tenant, *id).await?),
                None => verdict.map(|()| None),
            });
        }
        Ok(AcceptedBatch { record, results })
    }

    /// Commits what was judged, under other ids where they are taken. Of a batch that is more than a limit leaves room for, the
    /// first messages are kept.
    async fn commit(
        &self,
        tenant: TenantId,
        mut acceptance: Acceptance,
        acting: Option<&Acting>,
    ) -> Result<Committed, IntakeError> {
        let mut over = None;
        for _ in 0..COMMIT_TRIES_MAX {
            acceptance.charges = self.charges_of(tenant, &acceptance.messages, acting).await?;
            let (storage, wakes) = (self.storage.clone(), Arc::clone(&self.wakes));
            // A caller that is gone by now still has its message sent.
            let kept = lasting(async move {
                let kept = storage.accept(tenant, &acceptance).await;
                if kept.is_ok() {
                    wake(&wakes, &acceptance.messages);
                }
                (kept, acceptance)
            });
            let kept = kept.await;
            acceptance = kept.1;
            match kept.0 {
                Ok(()) => return Ok(Committed::Now(Box::new(acceptance), over)),
                Err(StorageError::Conflict) => {
                    // The same request came twice at once, and the other one was first.
                    if let Some(mark) = self.made_before(acceptance.once.as_ref()).await? {
                        return Ok(Committed::Before(mark));
                    }
                    self.check_sessions(tenant, &acceptance).await?;
                    let used = self.storage.used(tenant, acceptance.charges.clone()).await?;
                    match quota::reached(&used, self.clock.now()) {
                        Some(reached) => over = Some(cut(&mut acceptance, reached, quota::room(&used))?),
                        None => self.draw_ids_anew(&mut acceptance),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Whether a session is gone or its outbox full.
    async fn check_sessions(&self, tenant: TenantId, acceptance: &Acceptance) -> Result<(), IntakeError> {
        let sessions: HashSet<SessionId> = acceptance.messages.iter().map(|message| message.session).collect();
        for session in sessions {
            if self.storage.session(tenant, session).await?.is_none() {
                return Err(IntakeError::NoSuchSession(session));
            }
            let room = OUTBOX_MESSAGES_MAX.saturating_sub(self.storage.outbox_depth(tenant, session).await?);
            if room < acceptance.messages.len() as u64 {
                return Err(IntakeError::OutboxFull { session });
            }
        }
        Ok(())
    }

    fn draw_ids_anew(&self, acceptance: &mut Acceptance) {
        let base = self.draw_message_id();
        for (at, message) in (0..).zip(&mut acceptance.messages) {
            message.id = MessageId(base.0 + at);
            message.batch = message.batch.map(|_| BatchId(base.0));
        }
        if let Some(record) = &mut acceptance.batch {
            record.id = BatchId(base.0);
        }
    }

    /// The content of a single message with its file in the blob store: once accepted, it already has its bytes.
    async fn with_file(&self, tenant: TenantId, content: Content, schedule: &Schedule) -> Result<Content, MediaRefusal> {
        let Some(media) = &self.media else { return Ok(content) };
        let due = schedule.send_at.unwrap_or_default().max(self.clock.now());
        media.prepare(tenant, content, Moment::Acceptance, due.plus(MEDIA_KEPT_FOR)).await
    }

    /// What messages cost their tenant and their sessions, if they are accepted now.
    pub(super) async fn charges(&self, tenant: TenantId, messages: &[Message]) -> Result<Vec<Charge>, StorageError> {
        let figures = self.storage.figures(tenant).await?;
        let mut counts = BTreeMap::<SessionId, u64>::new();
        messages.iter().for_each(|message| *counts.entry(message.session).or_default() += 1);
        let mut sessions = Vec::with_capacity(counts.len());
        for (id, count) in counts {
            sessions.push((id, self.storage.session_rules(tenant, id).await?, count));
        }
        let now = self.clock.now();
        let mut charges = quota::charges(&figures, &sessions, now);
        let mut through = BTreeMap::<(SessionId, ApiLimits), u64>::new();
        for message in messages {
            if let Some(api) = message.schedule.api {
                *through.entry((message.session, api)).or_default() += 1;
            }
        }
        let through: Vec<_> = through.into_iter().map(|((session, api), count)| (session, api, count)).collect();
        charges.extend(quota::api_charges(&through, now));
        Ok(quota::apart(charges, messages.iter().any(|message| message.test)))
    }

    /// The same, and what they cost the plugin that acts.
    async fn charges_of(
        &self,
        tenant: TenantId,
        messages: &[Message],
        acting: Option<&Acting>,
    ) -> Result<Vec<Charge>, StorageError> {
        let mut charges = self.charges(tenant, messages).await?;
        if let Some(Acting { plugin, grants, .. }) = acting {
            // What was given no leave to send is refused before it is a wish.
            let grant = grants.send.unwrap_or(SendGrant { per_minute: 0 });
            let charge = quota::plugin_charge(plugin, grant, messages.len() as u64, self.clock.now());
            charges.extend(quota::apart(vec![charge], messages.iter().any(|message| message.test)));
        }
        Ok(charges)
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id for a message of now.
    pub(super) fn draw_message_id(&self) -> MessageId {
        MessageId::draw(self.clock.now(), &*self.entropy)
    }

    pub(super) fn check_content(&self, content: &Content) -> Result<(), IntakeError> {
        let not_yet = || IntakeError::NotYet { content_type: content.type_name().to_owned() };
        match content {
            Content::Image(media)
            | Content::Video(media)
            | Content::Audio(media)
            | Content::Document(media)
            | Content::Sticker(media)
            | Content::File(media) => {
                check_media(media)?;
                Ok(self.media.as_ref().ok_or_else(not_yet)?.check(content)?)
            }
            Content::Interactive(Interactive { attachment: Some(attachment), .. }) => {
                check_content(content)?;
                // A place was looked at with the rest.
                if attachment.media().is_some() { self.check_content(&attachment.clone().into()) } else { Ok(()) }
            }
            _ => check_content(content),
        }
    }

    /// Judges a wish without accepting it: the message as it would be kept.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub async fn judge(&self, tenant: TenantId, wish: SendWish) -> Result<Message, IntakeError> {
        let session = self.storage.session(tenant, wish.session).await?.ok_or(IntakeError::NoSuchSession(wish.session))?;
        let to = parse_recipient(&wish.to)?.to_string();
        self.check_content(&wish.content)?;
        let (content, template) = self.rendered(tenant, wish.content).await?;
        let content = interactive::as_sent(content);
        let extras = checked_extras(wish.extras)?;
        let now = self.clock.now();
        check_schedule(&wish.schedule, now)?;
        if !matches!(session.state, SessionState::Connected | SessionState::Reconnecting) {
            return Err(IntakeError::NotConnected { session: session.id, state: session.state });
        }
        if !sends(&session.settings).unwrap_or(true) {
            return Err(IntakeError::SwitchedOff(session.id));
        }
        let by = wish.by.as_deref();
        let asked_by = by.and_then(Principal::with_key);
        self.permitted(
            tenant,
            Question {
                by: asked_by,
                session: &session,
                to: &to,
                content: &content,
                extras: &extras,
                template: template.as_ref(),
                now,
                // Looked up only where a policy wants to know.
                zone_minutes: None,
                sent_last_day: 0,
            },
        )
        .await?;
        Ok(Message {
            id: MessageId::draw(now, &*self.entropy),
            session: session.id,
            to,
            content,
            extras,
            whatsapp_id: draw_whatsapp_id(&*self.entropy),
            schedule: wish.schedule,
            batch: None,
            state: MessageState::Queued,
            reason: None,
            attempts: 0,
            accepted_at: now,
            updated_at: now,
            reached: [(MessageState::Queued, now)].into(),
            origin: wish.origin,
            template,
            test: by.is_some_and(|by| by.test),
        })
    }
}

/// The plugin that acts where these are wished for; all of them are one request's.
fn acting(wishes: &[SendWish]) -> Option<Acting> {
    wishes.first()?.by.as_ref()?.acting.clone()
}

/// Leaves of a batch what there is room for; the limit that cut it.
///
/// # Errors
/// [`IntakeError::QuotaReached`] when that is nothing, or when it is no batch.
fn cut(acceptance: &mut Acceptance, reached: Reached, room: u64) -> Result<Reached, IntakeError> {
    let Some(record) = acceptance.batch.as_mut().filter(|_| room > 0) else {
        return Err(IntakeError::QuotaReached(reached));
    };
    acceptance.messages.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    record.messages = acceptance.messages.len() as u64;
    Ok(reached)
}

/// Tells those who send of messages that were accepted.
fn wake(wakes: &Wakes, messages: &[Message]) {
    let sessions: HashSet<SessionId> = messages.iter().map(|message| message.session).collect();
    sessions.into_iter().for_each(|session| wakes.outbox_has_more(session));
    if messages.iter().any(|message| message.test || message.schedule.send_at.or(message.schedule.expires_at).is_some()) {
        wakes.timer_was_set();
    }
}
