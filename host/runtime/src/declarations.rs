//! What components declare in their trial: the routes of routers, within their limits.

use crate::bindings::router_world::exports::switchboard::plugin::router as wit_router;
use crate::bindings::switchboard::plugin::types::KeyKind as WitKeyKind;
use crate::bodies;
use crate::convert;
use crate::inspect::InspectError;
use crate::log::short_words;
use crate::types::{Credential, CredentialPlace, Rate, RatePer, Route};

/// Routes that one plugin may declare.
const ROUTES_MAX: usize = 256;
/// Characters of a declared path or name.
const NAME_CHARS_MAX: usize = 256;
/// Credentials that one route may accept.
const CREDENTIALS_MAX: usize = 8;
/// Characters of the name of a rate, and most requests in a minute that one may allow.
const RATE_NAME_CHARS_MAX: usize = 64;
const RATE_PER_MINUTE_MAX: u32 = 1_000_000;

pub(crate) fn checked_routes(routes: Vec<wit_router::Route>) -> Result<Vec<Route>, InspectError> {
    if routes.len() > ROUTES_MAX {
        let why = format!("{}; the limit is {ROUTES_MAX}", routes.len());
        return Err(InspectError::BadDeclaration { what: "routes".to_owned(), why });
    }
    routes.into_iter().map(checked_route).collect()
}

fn checked_route(route: wit_router::Route) -> Result<Route, InspectError> {
    let refuse = |why: &str| {
        let what = format!("the route {} {}", shortened(&route.method), shortened(&route.path));
        Err(InspectError::BadDeclaration { what, why: why.to_owned() })
    };
    if !matches!(route.method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
        return refuse("the method must be GET, POST, PUT, PATCH or DELETE");
    }
    if !route.path.starts_with('/') || route.path.chars().count() > NAME_CHARS_MAX {
        return refuse("the path must begin with / and have at most 256 characters");
    }
    let body = bodies::core_rule(route.body);
    if let Err(why) = bodies::check(&body, !route.credentials.is_empty()) {
        return refuse(why);
    }
    if route.credentials.len() > CREDENTIALS_MAX {
        return refuse("it may accept at most 8 credentials");
    }
    let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let bad_name = route.credentials.iter().any(|credential| match &credential.place {
        wit_router::CredentialPlace::Bearer => false,
        wit_router::CredentialPlace::Header(name) | wit_router::CredentialPlace::Query(name) => {
            name.is_empty() || name.len() > 64 || !name.chars().all(token)
        }
    });
    if bad_name {
        return refuse("the name of a credential's header or parameter must be 1 to 64 letters, digits, - or _");
    }
    let link = |kind: &WitKeyKind| matches!(kind, WitKeyKind::Link);
    let misplaced = route.credentials.iter().any(|credential| match &credential.place {
        // Queries end up in logs and histories: nothing that lasts may be in one.
        wit_router::CredentialPlace::Query(_) => !credential.kinds.iter().all(link),
        _ => credential.kinds.iter().any(link),
    });
    if misplaced {
        return refuse("keys of the kind link are taken in queries, and no others are");
    }
    let rate_fits = |rate: &wit_router::Rate| {
        let name = (1..=RATE_NAME_CHARS_MAX).contains(&rate.name.chars().count());
        name && (1..=RATE_PER_MINUTE_MAX).contains(&rate.per_minute)
    };
    if !route.rate.as_ref().is_none_or(rate_fits) {
        return refuse("its rate needs a name of 1 to 64 characters, and 1 to 1000000 requests in a minute");
    }
    let credentials = route.credentials.iter().map(|credential| Credential {
        place: match &credential.place {
            wit_router::CredentialPlace::Bearer => CredentialPlace::Bearer,
            wit_router::CredentialPlace::Header(name) => CredentialPlace::Header(name.to_ascii_lowercase()),
            wit_router::CredentialPlace::Query(name) => CredentialPlace::Query(name.clone()),
        },
        kinds: credential.kinds.iter().copied().map(convert::core_key_kind).collect(),
        service: credential.service.clone(),
    });
    let (credentials, rate) = (credentials.collect(), route.rate.map(core_rate));
    Ok(Route { credentials, method: route.method, path: route.path, body, rate })
}

fn shortened(text: &str) -> String {
    short_words(text).chars().take(60).collect()
}

fn core_rate(rate: wit_router::Rate) -> Rate {
    let per = match rate.per {
        wit_router::RatePer::Account => RatePer::Account,
        wit_router::RatePer::Key => RatePer::Key,
        wit_router::RatePer::Address => RatePer::Address,
    };
    Rate { name: rate.name, per_minute: rate.per_minute, per }
}
