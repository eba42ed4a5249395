//! What one address may try and what one tenant may ask in a minute. Counts are in memory and bounded; the rules are the core's.

use std::net::IpAddr;
use std::sync::Mutex;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{Principal, Tenant};
use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::rules::client::{Network, client_address, limited_part};
use switchboard_core::rules::plan;
use switchboard_core::rules::quota::Standing;
use switchboard_core::rules::rate::Tally;
use switchboard_runtime::types::{RatePer, Route};

use super::own_routes::OwnCalls;
use super::problem::{Answer, Problem};
use crate::plugins::ActivePlugin;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// What failures at the host's own API are counted under; no plugin's full name has this form.
const NATIVE: &str = "native";

/// How the front door treats those who call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Wrong credentials that one address may present to one API in a minute; 0 for any number.
    pub failed_credentials_per_minute: u64,
    /// Whether routes may be asked only as often as their plugins say.
    pub route_rates: bool,
    /// Requests without a good key that one address may send to the routers of one tenant in a minute; 0 for any number.
    pub strangers_per_minute: u64,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

/// Whose requests for routes of one name are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asker {
    Account(TenantId),
    Key(TenantId, KeyId),
    Client(Client),
}

/// The counts of the present minute, and what is under way.
pub struct Limits {
    settings: HttpSettings,
    failures: Mutex<Tally<(Client, String)>>,
    requests: Mutex<Tally<TenantId>>,
    /// Apart from those of its keys: a stranger must not use up what these may ask.
    open_requests: Mutex<Tally<TenantId>>,
    /// To routers of tenants, without a good key.
    strangers: Mutex<Tally<(Client, TenantId)>>,
    /// Requests that the routers of tenants answer.
    pub(super) own_calls: OwnCalls,
    /// By plugin and name of the rate.
    routes: Mutex<Tally<(String, String, Asker)>>,
}

impl Limits {
    /// No counts yet.
    pub fn new(settings: HttpSettings) -> Self {
        let (failures, requests, open_requests) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (strangers, routes) = (Mutex::default(), Mutex::default());
        Self { settings, failures, requests, open_requests, strangers, own_calls: OwnCalls::default(), routes }
    }

    /// Where a request of the connection to `peer` comes from.
    pub(super) fn client<B>(&self, peer: IpAddr, request: &Request<B>) -> Client {
        let values = request.headers().get_all("x-forwarded-for");
        let forwarded: Vec<&str> = values.iter().filter_map(|value| value.to_str().ok()).collect();
        Client(limited_part(client_address(peer, &forwarded, &self.settings.trusted_proxies)))
    }

    /// Notes that a credential was wrong. `api` is the full name of the plugin that it was shown to.
    ///
    /// # Errors
    /// How the address stands, when it has been wrong too often.
    pub(super) fn note_failure(&self, client: Client, api: &str, now: Timestamp) -> Result<(), Standing> {
        let max = self.settings.failed_credentials_per_minute;
        let Ok(mut failures) = self.failures.lock() else { return Ok(()) };
        if max == 0 { Ok(()) } else { failures.count((client, api.to_owned()), max, now).map(|_| ()) }
    }

    /// Counts a request of a tenant; how it stands, if its plan limits that.
    ///
    /// # Errors
    /// How it stands, when its share of the minute is used up.
    pub(super) fn count_request(&self, tenant: &Tenant, now: Timestamp) -> Result<Option<Standing>, Standing> {
        Self::count_of(&self.requests, tenant, now)
    }

    /// Counts a request without a key that a tenant's own router is to answer; how it stands, if the tenant's plan limits that.
    ///
    /// # Errors
    /// How it stands, when the share of the minute is used up.
    pub(super) fn count_open_request(&self, tenant: &Tenant, now: Timestamp) -> Result<Option<Standing>, Standing> {
        Self::count_of(&self.open_requests, tenant, now)
    }

    fn count_of(tally: &Mutex<Tally<TenantId>>, tenant: &Tenant, now: Timestamp) -> Result<Option<Standing>, Standing> {
        let Some(max) = plan::effective(tenant).api_requests_per_minute else { return Ok(None) };
        let Ok(mut requests) = tally.lock() else { return Ok(None) };
        requests.count(tenant.id, max, now).map(Some)
    }

    /// Counts a request to a router of `tenant` that came without a good key.
    ///
    /// # Errors
    /// How the address stands, when it has asked too often.
    pub(super) fn count_stranger(&self, client: Client, tenant: TenantId, now: Timestamp) -> Result<(), Standing> {
        let max = self.settings.strangers_per_minute;
        let Ok(mut strangers) = self.strangers.lock() else { return Ok(()) };
        if max == 0 { Ok(()) } else { strangers.count((client, tenant), max, now).map(|_| ()) }
    }

    /// Counts a request for a route of `plugin`; how its caller stands, if the route has a rate of its own.
    ///
    /// # Errors
    /// How it stands, when its share of the minute is used up.
    pub(super) fn count_route(
        &self,
        plugin: &ActivePlugin,
        route: &Route,
        caller: Option<&Principal>,
        (client, now): (Client, Timestamp),
    ) -> Result<Option<Standing>, Standing> {
        let Some(rate) = route.rate.as_ref().filter(|_| self.settings.route_rates) else { return Ok(None) };
        let asker = match (rate.per, caller) {
            (RatePer::Account, Some(caller)) => Asker::Account(caller.tenant),
            (RatePer::Key, Some(caller)) => Asker::Key(caller.tenant, caller.key),
            (RatePer::Address, _) | (_, None) => Asker::Client(client),
        };
        let Ok(mut routes) = self.routes.lock() else { return Ok(None) };
        routes.count((plugin.full_name(), rate.name.clone(), asker), u64::from(rate.per_minute), now).map(Some)
    }

    /// An answer of the host's own API, or the refusal of who has presented wrong credentials to it too often.
    pub(super) fn watch_native(&self, client: Client, presented: bool, answer: Answer, now: Timestamp) -> Answer {
        if !presented || answer.status() != StatusCode::UNAUTHORIZED {
            return answer;
        }
        match self.note_failure(client, NATIVE, now) {
            Ok(()) => answer,
            Err(standing) => too_many_requests(&standing, "too many wrong credentials", now).answer(),
        }
    }
}

/// Whether a request to the host's own API carries a credential.
pub(super) fn presents_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

/// The refusal of the host's own API.
pub(super) fn too_many_requests(standing: &Standing, what: &str, now: Timestamp) -> Problem {
    let seconds = standing.retry_after_s(now);
    let detail = format!("{what}: {} in a minute are allowed; come back in {seconds} s", standing.max);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with("retry_after", seconds)
}

/// Says in an answer's headers how the caller stands, where a plugin has not said so itself.
pub(super) fn show_standing(answer: &mut Answer, standing: &Standing, now: Timestamp) {
    let headers = answer.headers_mut();
    if !headers.contains_key(LIMIT) {
        headers.insert(LIMIT, standing.max.into());
        headers.insert(REMAINING, standing.remaining().into());
        headers.insert(RESET, standing.resets_at_s().into());
    }
    if answer.status() == StatusCode::TOO_MANY_REQUESTS && !answer.headers().contains_key(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(standing.retry_after_s(now)));
    }
}
