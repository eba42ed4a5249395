//! What a key may do: what its scopes say and, with a test key, nothing to what is live.

use crate::records::account::Principal;
use crate::records::event::{Event, Fact};

/// What serves the whole account, live messages as well: none of it is a test key's.
const WHOLLY_LIVE: [&str; 2] = ["plugins", "templates"];

/// Why a key may not do something. The words are for its holder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Its scopes do not cover it.
    #[error("the key lacks the scope {resource}:{action}")]
    Scope {
        /// On what.
        resource: String,
        /// `read` or `write`.
        action: String,
    },
    /// It is a test key, and what it asks for would change what is live.
    #[error("this is a test key, which changes nothing that is live: for {0} a live key is needed")]
    Live(String),
    /// The plugin that acts was given nothing that covers it.
    #[error("no grant of the plugin covers {0}")]
    Grant(String),
}

/// Whether a key may do `action` on `resource` at all.
///
/// # Errors
/// [`Denial`].
pub fn check(caller: &Principal, resource: &str, action: &str) -> Result<(), Denial> {
    if !caller.may(resource, action) {
        if caller.acting.is_some() && (Principal { acting: None, ..caller.clone() }).may(resource, action) {
            return Err(Denial::Grant(format!("{resource}:{action}")));
        }
        return Err(Denial::Scope { resource: resource.to_owned(), action: action.to_owned() });
    }
    if action == "write" && WHOLLY_LIVE.contains(&resource) {
        return check_change(caller, false, resource);
    }
    Ok(())
}

/// Whether a key may do one of these `actions` on `resource`; where it may none, what is said is said of the first.
///
/// # Errors
/// [`Denial`].
pub fn check_any(caller: &Principal, resource: &str, actions: &[&str]) -> Result<(), Denial> {
    let checks = actions.iter().map(|action| check(caller, resource, action));
    checks.reduce(|first, next| if next.is_ok() { next } else { first }).unwrap_or(Ok(()))
}

/// Whether a key may change or remove something: one that is for tests only what was made with a test key (`made_in_test`).
/// `what` names it.
///
/// A plugin that acts has no leave to change any of it.
///
/// # Errors
/// [`Denial::Live`] and [`Denial::Grant`].
pub fn check_change(caller: &Principal, made_in_test: bool, what: &str) -> Result<(), Denial> {
    if caller.acting.is_some() {
        return Err(Denial::Grant(what.to_owned()));
    }
    if caller.test && !made_in_test {
        return Err(Denial::Live(what.to_owned()));
    }
    Ok(())
}

/// Whether a key may see an event of its tenant. Codes that link a phone are for live keys: whoever has one can link their own.
pub fn sees(caller: &Principal, event: &Event) -> bool {
    caller.may_use(event.session) && !(caller.test && matches!(event.fact, Fact::SessionQr { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::records::account::KeyKind;
    use crate::records::id::{KeyId, SessionId, TenantId};
    use crate::records::session::SessionState;

    fn caller(test: bool, scopes: &[&str]) -> Principal {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Principal { tenant: TenantId(1), key: KeyId(1), kind: KeyKind::Tenant, session: None, scopes, test, acting: None }
    }

    #[test]
    fn a_test_key_reads_what_is_live_and_changes_only_what_a_test_key_made() {
        let (test, live) = (caller(true, &[]), caller(false, &[]));
        for resource in WHOLLY_LIVE {
            let refused = check(&test, resource, "write").unwrap_err();
            assert!(refused.to_string().contains("test key") && refused.to_string().contains(resource), "{refused}");
            assert_eq!((check(&test, resource, "read"), check(&live, resource, "write")), (Ok(()), Ok(())));
        }
        assert_eq!(check(&test, "messages", "write"), Ok(()), "what it sends never leaves the host");
        assert_eq!(check_change(&test, false, "session 5"), Err(Denial::Live("session 5".to_owned())));
        assert_eq!((check_change(&test, true, "session 5"), check_change(&live, false, "session 5")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_test_key_sees_every_event_but_codes_that_link_a_phone() {
        let event = |fact| Event { n: 1, at: Timestamp(1), session: SessionId(5), fact };
        let code = event(Fact::SessionQr { text: "2@x".to_owned(), expires_at: Timestamp(2) });
        let (test, live) = (caller(true, &[]), caller(false, &[]));
        assert_eq!((sees(&test, &code), sees(&live, &code)), (false, true));
        let elsewhere = Principal { session: Some(SessionId(6)), ..live };
        assert!(!sees(&elsewhere, &code));
        let other = event(Fact::SessionState { state: SessionState::Connected, reason: None });
        assert_eq!((sees(&test, &other), sees(&elsewhere, &other)), (true, false));
    }

    #[test]
    fn a_plugin_that_acts_is_told_which_grant_is_missing_and_changes_nothing_that_no_grant_speaks_of() {
        let alone = Principal::of_plugin(TenantId(1), "1/shop".into(), Default::default());
        let refused = check(&alone, "messages", "write").unwrap_err();
        assert_eq!(refused.to_string(), "no grant of the plugin covers messages:write");
        assert_eq!(check_change(&alone, false, "session 5"), Err(Denial::Grant("session 5".to_owned())));
        let by_key = Principal { scopes: vec!["sessions:read".to_owned()], ..alone };
        assert!(matches!(check(&by_key, "messages", "write"), Err(Denial::Scope { .. })), "the key's lack is told first");
    }

    #[test]
    fn a_scope_that_is_missing_is_named() {
        let refused = check(&caller(false, &["messages:read"]), "messages", "write").unwrap_err();
        assert_eq!(refused.to_string(), "the key lacks the scope messages:write");
        let writer = caller(false, &["plugins:write"]);
        assert_eq!(check_any(&writer, "plugins", &["read", "write"]), Ok(()));
        let refused = check_any(&writer, "messages", &["read", "write"]).unwrap_err();
        assert_eq!(refused.to_string(), "the key lacks the scope messages:read");
    }
}
