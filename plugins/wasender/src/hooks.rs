//! The webhook that belongs to a session: its fields on the session, and the endpoint of the host behind them.

use std::collections::BTreeMap;

use serde_json::Value;
use switchboard_dialect::{Failure, Of, What, hooks as shared};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::keys;
use switchboard_guest_sdk::types::{HostError, Session, Setting};
use switchboard_guest_sdk::webhooks::{self as host, Endpoint, EndpointChange, NewEndpoint};

use crate::events::{FORM, Form, NAMES, sources};

/// What the endpoint of a session is called.
const NAME: &str = "session";
/// Fields of a session that say something about its webhook.
const FIELDS: [&str; 4] = ["webhook_url", "webhook_enabled", "webhook_events", "webhook_format"];

/// What a session's fields ask for.
struct Wish {
    url: String,
    active: bool,
    spelled: Vec<String>,
    form: Form,
}

/// Looks at the fields that a client wants to be kept.
pub fn check(fields: &mut Fields) {
    fields.flag("webhook_enabled");
    fields.text("webhook_url");
    let spelled = fields.texts("webhook_events");
    shared::refuse_unknown(fields, "webhook_events", NAMES, &spelled);
    if let Some(form) = fields.text("webhook_format")
        && Form::named(&form).is_none()
    {
        fields.refuse("webhook_format", "must be seed or wasender");
    }
}

fn read(settings: &[Setting], name: &str) -> Value {
    let kept = settings.iter().find(|setting| setting.name == name);
    kept.and_then(|setting| serde_json::from_str(&setting.value).ok()).unwrap_or(Value::Null)
}

impl Wish {
    /// What these settings ask for; nothing without a URL.
    fn of(settings: &[Setting]) -> Option<Self> {
        let url = read(settings, "webhook_url").as_str().unwrap_or_default().trim().to_owned();
        if url.is_empty() {
            return None;
        }
        let events = read(settings, "webhook_events");
        let spelled = events.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let form = read(settings, "webhook_format").as_str().and_then(Form::named).unwrap_or_default();
        Some(Self { url, active: is_enabled(settings), spelled, form })
    }

    fn kept(&self) -> Vec<Setting> {
        let form = Setting { name: FORM.to_owned(), value: Value::from(self.form.name()).to_string() };
        vec![form, shared::keep_events(&self.spelled)]
    }

    /// Names that stand for nothing leave nothing to deliver; a filter is needed all the same.
    fn filters(&self) -> (Vec<String>, bool) {
        let filters = sources(&self.spelled);
        if filters.is_empty() { (vec!["session.state".to_owned()], false) } else { (filters, self.active) }
    }
}

/// Whether anything is delivered: a URL is enough, unless it was switched off.
pub fn is_enabled(settings: &[Setting]) -> bool {
    let has_url = read(settings, "webhook_url").as_str().is_some_and(|url| !url.trim().is_empty());
    read(settings, "webhook_enabled").as_bool().unwrap_or(has_url)
}

/// Whether these settings say anything about the webhook.
pub fn concerned(settings: &[Setting]) -> bool {
    settings.iter().any(|setting| FIELDS.contains(&setting.name.as_str()))
}

/// What the settings of a session are once these are set.
pub fn merged(session: &Session, set: &[Setting]) -> Vec<Setting> {
    let kept = session.settings.iter().filter(|kept| !set.iter().any(|new| new.name == kept.name));
    kept.chain(set).cloned().collect()
}

fn is_of(endpoint: &Endpoint, session: u64) -> bool {
    endpoint.session == Some(session) && endpoint.name == NAME
}

/// Makes, changes or removes the endpoint of a session, so that it is as these settings say.
pub fn follow(session: u64, settings: &[Setting]) -> Result<(), Failure> {
    let there = host::all().of(What::Session)?.into_iter().find(|endpoint| is_of(endpoint, session));
    match (Wish::of(settings), there) {
        (None, None) => Ok(()),
        (None, Some(there)) => host::delete(there.id).of(What::Session),
        (Some(wish), None) => {
            let (events, active) = wish.filters();
            let new = NewEndpoint {
                name: NAME.to_owned(),
                url: wish.url.clone(),
                events,
                session: Some(session),
                settings: wish.kept(),
                reveal_secret: wish.form == Form::Wasender,
                active,
            };
            host::create(&new).map(|_| ()).map_err(of_url)
        }
        (Some(wish), Some(there)) => {
            let (events, active) = wish.filters();
            let change = EndpointChange {
                name: None,
                url: Some(wish.url.clone()),
                events: Some(events),
                settings: wish.kept(),
                reveal_secret: Some(wish.form == Form::Wasender),
                active: Some(active),
            };
            host::change(there.id, &change).map(|_| ()).map_err(of_url)
        }
    }
}

fn of_url(error: HostError) -> Failure {
    match error {
        HostError::Invalid(invalid) if invalid.field == "url" => Failure::field("webhook_url", invalid.why),
        other => Failure::of(other, What::Session),
    }
}

/// The secrets of webhooks by session: of one session, or of all that have any. Only the account is shown them.
pub fn secrets(sessions: &[&Session]) -> Result<BTreeMap<u64, String>, Failure> {
    if !sessions.iter().any(|session| Wish::of(&session.settings).is_some()) {
        return Ok(BTreeMap::new());
    }
    let one = if let [one] = sessions { Some(one.id) } else { None };
    let mut by_endpoint: BTreeMap<u64, String> = match keys::webhook_secrets(one) {
        Ok(secrets) => secrets.into_iter().collect(),
        // The rest of the session is shown to keys that may not see this.
        Err(HostError::Denied(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(Failure::of(error, What::Session)),
    };
    let of_sessions = host::all().of(What::Session)?.into_iter().filter(|endpoint| endpoint.name == NAME);
    Ok(of_sessions.filter_map(|endpoint| Some((endpoint.session?, by_endpoint.remove(&endpoint.id)?))).collect())
}
