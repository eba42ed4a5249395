//! Shapes payloads: the standard format natively, every other through the plugin of its name.

use std::sync::Arc;

use async_trait::async_trait;
use switchboard_core::clock::Clock;
use switchboard_core::flow::delivery_worker::{Payload, PayloadSigning, Shaper};
use switchboard_core::records::content::Content;
use switchboard_core::records::event::{Event, Fact};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::message::Message;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::records::webhook::{STANDARD_FORMAT, WebhookEndpoint};
use switchboard_core::rules::event_json::{TEST_TYPE, event_json, standard_body, test_body};
use switchboard_core::rules::redact::Sight;
use switchboard_core::storage::{OptionTally, Storage, StorageError};
use switchboard_runtime::Matter;

use crate::plugins::{ActivePlugin, CallAbout, Plugins};

/// The interface that a format's plugin exports.
const INTERFACE: &str = "webhook";

/// Shapes what webhooks carry.
pub(super) struct FormatShaper {
    /// Where sessions are.
    pub(super) storage: Storage,
    /// Where formats are.
    pub(super) plugins: Arc<Plugins>,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
}

/// What a format is told.
struct Told {
    event: Event,
    message: Option<Message>,
    poll: Vec<OptionTally>,
    standard: Vec<u8>,
}

impl Told {
    /// As much of it as a plugin sees that was not given everything. The operator's formats serve every tenant, and see all.
    fn seen_by(self, sight: &Sight<'_>) -> Self {
        let event = sight.event(&self.event);
        // The body of a test has nothing of anybody's.
        let standard = if event.n == 0 { self.standard } else { standard_body(&event) };
        let tally = |tally: OptionTally| OptionTally {
            option: sight.words(&tally.option),
            voters: tally.voters.iter().map(|voter| sight.person(voter)).collect(),
        };
        let poll = self.poll.into_iter().map(tally).collect();
        Self { message: self.message.as_ref().map(|message| sight.message(message)), event, poll, standard }
    }
}

/// The plugin that shapes `format` for a tenant: its own, or the operator's.
pub(super) fn format_plugin(plugins: &Plugins, tenant: TenantId, format: &str) -> Option<Arc<ActivePlugin>> {
    let serves = |plugin: &Arc<ActivePlugin>| plugin.loaded.interfaces.iter().any(|interface| interface == INTERFACE);
    [tenant, TenantId::OPERATOR].into_iter().find_map(|owner| plugins.find(owner, format).filter(serves))
}

#[async_trait]
impl Shaper for FormatShaper {
    async fn shape(&self, endpoint: &WebhookEndpoint, event: Option<&Event>) -> Result<Vec<Payload>, String> {
        let standard = event.map_or_else(|| test_body(endpoint.id.0, self.clock.now()), standard_body);
        if endpoint.format == STANDARD_FORMAT {
            let body = standard;
            let name = event.map_or(TEST_TYPE, |event| event.fact.type_name()).to_owned();
            return Ok(vec![Payload { name, headers: Vec::new(), body, signing: PayloadSigning::Standard }]);
        }
        let tenant = endpoint.tenant;
        let plugin = format_plugin(&self.plugins, tenant, &endpoint.format)
            .ok_or_else(|| format!("there is no plugin that shapes format {}", endpoint.format))?;
        let (event, session) = match event {
            Some(event) => (event.clone(), self.session(tenant, event.session).await?),
            None => self.test_event(endpoint).await?,
        };
        let message = self.message(tenant, &event.fact).await.map_err(|error| error.to_string())?;
        let poll = self.poll(tenant, &event).await.map_err(|error| error.to_string())?;
        let mut told = Told { event, message, poll, standard };
        if plugin.record.tenant != TenantId::OPERATOR {
            let names = self.plugins.names_for(tenant, &plugin, &told.event).await.map_err(|error| error.to_string())?;
            let grants = plugin.grants();
            told = told.seen_by(&Sight { fields: &grants.fields, names: &names });
        }
        let Told { event, message, poll, standard } = &told;
        let (session, message) = (&session, message.as_ref());
        let matter = Matter { event, session, message, poll, standard, endpoint };
        let context = plugin.context(tenant, self.clock.now().0);
        let runtime = self.plugins.runtime();
        let called = runtime.shape(&plugin.loaded, &context, &matter).await;
        let input = || event_json(event);
        let about = CallAbout::new(tenant, "webhook", "shape").of_event(event.n, event.fact.type_name());
        self.plugins.note_call(&plugin, &about.given(&input), &called);
        called.outcome.into_result()
    }
}

impl FormatShaper {
    /// The session of an event; what is left of it when it was deleted.
    async fn session(&self, tenant: TenantId, id: SessionId) -> Result<Session, String> {
        let found = self.storage.session(tenant, id).await.map_err(|error| error.to_string())?;
        Ok(found.unwrap_or_else(|| no_session(tenant, id)))
    }

    /// The accepted message that came further.
    async fn message(&self, tenant: TenantId, fact: &Fact) -> Result<Option<Message>, StorageError> {
        match fact {
            Fact::MessageState { message, .. } | Fact::Receipt { message, .. } => {
                self.storage.message(tenant, *message).await
            }
            _ => Ok(None),
        }
    }

    /// How the poll of a vote stands.
    async fn poll(&self, tenant: TenantId, event: &Event) -> Result<Vec<OptionTally>, StorageError> {
        let Fact::MessageReceived(incoming) = &event.fact else { return Ok(Vec::new()) };
        let Content::PollVote(vote) = &incoming.content else { return Ok(Vec::new()) };
        self.storage.poll_tally(tenant, event.session, &vote.poll_id).await
    }

    /// What a plugin is given for a test: the state of a session as it is, under the number 0.
    async fn test_event(&self, endpoint: &WebhookEndpoint) -> Result<(Event, Session), String> {
        let tenant = endpoint.tenant;
        let session = match endpoint.session {
            Some(id) => self.session(tenant, id).await?,
            None => {
                let sessions = self.storage.sessions(tenant).await.map_err(|error| error.to_string())?;
                sessions.into_iter().next().unwrap_or_else(|| no_session(tenant, SessionId(0)))
            }
        };
        let fact = Fact::SessionState { state: session.state, reason: Some("a test of this webhook".to_owned()) };
        Ok((Event { n: 0, at: self.clock.now(), session: session.id, fact }, session))
    }
}

fn no_session(tenant: TenantId, id: SessionId) -> Session {
    let never = switchboard_core::clock::Timestamp(0);
    Session {
        id,
        tenant,
        name: String::new(),
        phone_number: String::new(),
        state: SessionState::LoggedOut,
        reason: Some("the session was deleted".to_owned()),
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: never,
        updated_at: never,
        last_active_at: None,
        test: false,
    }
}
