//! What intake asks of plugins before it accepts: what a template says, and whether policies let a message through. Which session
//! sends is asked in `sender_route`.
//!
//! All fail closed: what cannot be asked is refused.

use std::sync::Arc;

use async_trait::async_trait;

use super::intake::{Intake, IntakeError};
use super::sender_route::SenderRoutes;
use crate::clock::Timestamp;
use crate::records::account::Principal;
use crate::records::content::{Content, Extras, TemplateCall};
use crate::records::id::{SessionId, TenantId};
use crate::records::message_log::{Direction, LogQuery};
use crate::records::session::Session;
use crate::records::template::Template;
use crate::rules::{template, zones};
use crate::storage::{Storage, StorageError};

/// How far back a policy is told how much a session sent.
const DAY_MS: u64 = 86_400_000;

/// What is about to be accepted, and what a policy may want to know about it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Who asks; nobody, where a responder answers.
    pub by: Option<&'a Principal>,
    /// The session that is to send.
    pub session: &'a Session,
    /// JID of the chat.
    pub to: &'a str,
    /// What is going to be sent: a template has become what it says.
    pub content: &'a Content,
    /// What goes with it.
    pub extras: &'a Extras,
    /// The template that it was made of.
    pub template: Option<&'a TemplateCall>,
    /// The time.
    pub now: Timestamp,
    /// Minutes east of UTC where the recipient is, when their number tells.
    pub zone_minutes: Option<i32>,
    /// Messages of this session in the last 24 hours.
    pub sent_last_day: u64,
}

/// Why a message may not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRefusal {
    /// A policy says no; its reason is for the caller.
    Denied(String),
    /// A policy that holds could not be asked. The words are for people.
    Failed(String),
}

/// Asks the policies of a tenant.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Whether there is one that holds for `tenant`, well or not: only then is it looked up what policies want to know.
    fn any(&self, tenant: TenantId) -> bool;

    /// Asks them in their order; the first that denies ends it.
    ///
    /// # Errors
    /// [`PolicyRefusal`].
    async fn judge(&self, tenant: TenantId, question: &Question<'_>) -> Result<(), PolicyRefusal>;
}

/// What is wrong with a template's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionFault {
    /// Names and indexes on the way there, the outermost first; none for the definition itself.
    pub place: Vec<String>,
    /// What is wrong there. The words are for the customer.
    pub why: String,
}

/// Why a template does not become a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderRefusal {
    /// It needs a parameter of this name.
    MissingParameter(String),
    /// It, or a parameter, will not do. The words are for the customer.
    Invalid(String),
    /// Its definition cannot be stored, for all of these.
    Definition(Vec<DefinitionFault>),
    /// Whoever renders templates could not be asked.
    Failed(String),
}

/// Renders templates.
#[async_trait]
pub trait Renderer: Send + Sync {
    /// The names of the parameters that a template needs.
    ///
    /// # Errors
    /// [`RenderRefusal`].
    async fn check(
        &self,
        tenant: TenantId,
        name: &str,
        language: &str,
        definition: &str,
    ) -> Result<Vec<String>, RenderRefusal>;

    /// What a template says with these parameters.
    ///
    /// # Errors
    /// [`RenderRefusal`].
    async fn render(&self, template: &Template, call: &TemplateCall) -> Result<Content, RenderRefusal>;
}

/// Whom intake asks.
#[derive(Clone, Default)]
pub struct Guards {
    /// May this be sent?
    pub policies: Option<Arc<dyn Policies>>,
    /// What does this template say?
    pub renderer: Option<Arc<dyn Renderer>>,
    /// Which session sends this?
    pub routes: Option<Arc<dyn SenderRoutes>>,
}

impl From<RenderRefusal> for IntakeError {
    fn from(refusal: RenderRefusal) -> Self {
        match refusal {
            RenderRefusal::MissingParameter(name) => Self::MissingParameter(name),
            RenderRefusal::Invalid(why) => Self::Invalid { field: "template", why },
            RenderRefusal::Definition(faults) => {
                let why: Vec<String> = faults.into_iter().map(|fault| fault.why).collect();
                Self::Invalid { field: "template", why: why.join("; ") }
            }
            RenderRefusal::Failed(why) => Self::GuardFailed(why),
        }
    }
}

/// The template that a call means.
///
/// # Errors
/// [`IntakeError::NoSuchTemplate`]; [`IntakeError::Invalid`] for a language that is none; else when storage fails.
pub async fn find_template(storage: &Storage, tenant: TenantId, call: &TemplateCall) -> Result<Template, IntakeError> {
    let invalid = |error: template::TemplateNameError| IntakeError::Invalid { field: "language", why: error.to_string() };
    let asked = call.language.as_deref().map(template::language).transpose().map_err(invalid)?;
    let has = storage.template_languages(tenant, &call.name).await?;
    let languages: Vec<String> = has.iter().map(|(language, _)| language.clone()).collect();
    let default = match languages.len() {
        0 | 1 => None,
        _ => storage.template_settings(tenant).await?.default_language,
    };
    let chosen = template::choose(&languages, asked.as_deref(), default.as_deref());
    let missing = || IntakeError::NoSuchTemplate(template::no_such(&call.name, asked.as_deref(), &languages));
    let (_, id) = has.iter().find(|(language, _)| Some(language) == chosen).ok_or_else(missing)?;
    storage.template(tenant, *id).await?.ok_or_else(missing)
}

impl Intake {
    /// What a template says; any other content as it is.
    pub(super) async fn rendered(
        &self,
        tenant: TenantId,
        content: Content,
    ) -> Result<(Content, Option<TemplateCall>), IntakeError> {
        let Content::Template(call) = content else { return Ok((content, None)) };
        let failed = || IntakeError::GuardFailed("nothing renders templates".to_owned());
        let renderer = self.guards.renderer.as_ref().ok_or_else(failed)?;
        let template = find_template(&self.storage, tenant, &call).await?;
        let content = renderer.render(&template, &call).await?;
        if matches!(content, Content::Template(_)) {
            let why = format!("template {} was rendered to another template", call.name);
            return Err(IntakeError::Invalid { field: "template", why });
        }
        self.check_content(&content)?;
        Ok((content, Some(TemplateCall { language: Some(template.language), ..call })))
    }

    /// Whether every policy lets a message through that is otherwise fit to be accepted.
    pub(super) async fn permitted(&self, tenant: TenantId, question: Question<'_>) -> Result<(), IntakeError> {
        let Some(policies) = self.guards.policies.as_ref().filter(|policies| policies.any(tenant)) else { return Ok(()) };
        let question = Question {
            zone_minutes: zones::minutes_east(question.to, question.now),
            sent_last_day: self.sent_last_day(tenant, question.session.id, question.now).await?,
            ..question
        };
        policies.judge(tenant, &question).await.map_err(|refusal| match refusal {
            PolicyRefusal::Denied(reason) => IntakeError::RefusedByPolicy(reason),
            PolicyRefusal::Failed(why) => IntakeError::GuardFailed(why),
        })
    }

    /// How many messages a session accepted in the last 24 hours, as far as they are kept.
    pub(super) async fn sent_last_day(
        &self,
        tenant: TenantId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<u64, StorageError> {
        let query = LogQuery {
            session: Some(session),
            direction: Some(Direction::Sent),
            states: Vec::new(),
            since: Some(Timestamp(now.0.saturating_sub(DAY_MS))),
            until: None,
            offset: 0,
            limit: 1,
        };
        Ok(self.storage.message_log(tenant, &query).await?.total)
    }
}
