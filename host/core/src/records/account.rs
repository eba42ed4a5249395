//! Tenants and their API keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{KeyId, SessionId, TenantId};
use super::plugin::Grants;
use crate::clock::Timestamp;

/// A customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The name that people gave it.
    pub name: String,
    /// An inactive tenant's keys are refused.
    pub active: bool,
    /// Name of its plan; `unlimited` unless set.
    pub plan: String,
    /// Figures that override the plan's, by name.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The operator's APIs, by name, that it has switched off for itself.
    #[serde(default)]
    pub apis_off: BTreeSet<String>,
    /// Host names, in lower case, that the operator approved for its own routers.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Acts for the whole tenant.
    Tenant,
    /// Acts for one session.
    Session,
    /// A person's access token: account calls.
    Personal,
    /// A token in a link, drawn by the host under another key: never kept and never asked for.
    #[serde(skip)]
    Link,
}

impl KeyKind {
    /// Every kind that is kept.
    pub const ALL: [Self; 3] = [Self::Tenant, Self::Session, Self::Personal];

    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Session => "session",
            Self::Personal => "personal",
            Self::Link => "link",
        }
    }

    /// The first part of a key of this kind, so that people and secret scanners can tell keys apart.
    pub fn prefix(self, test: bool) -> &'static str {
        match (self, test) {
            (Self::Tenant, false) => "sk_live_",
            (Self::Tenant, true) => "sk_test_",
            (Self::Session, false) => "ses_live_",
            (Self::Session, true) => "ses_test_",
            (Self::Personal, false) => "pat_live_",
            (Self::Personal, true) => "pat_test_",
            (Self::Link, _) => "lnk_",
        }
    }
}

/// An API key, without the key: only its SHA-256 is kept, except for session keys, which are also kept sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: KeyKind,
    /// The session it is bound to; always set for [`KeyKind::Session`].
    pub session: Option<SessionId>,
    /// The name that people gave it.
    pub name: String,
    /// What people noted about it.
    #[serde(default)]
    pub description: String,
    /// What its text begins with after the prefix of its kind, so that people can tell keys apart; empty for older keys.
    #[serde(default)]
    pub hint: String,
    /// The service it was issued for.
    pub service: String,
    /// `<resource>:read|write|*`; empty means everything.
    pub scopes: Vec<String>,
    /// A test key: nothing it asks for leaves the host.
    pub test: bool,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Hexadecimal SHA-256 of the key.
    pub sha256: String,
    /// When it was revoked. Such a key is remembered for a time, so that its holder is told what happened to it.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

/// How often a key was used, as far as that has been written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// Requests.
    pub requests: u64,
    /// When the last of them was.
    pub last_used_at: Option<Timestamp>,
}

/// Who is calling, after the credential was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The tenant that everything is confined to.
    pub tenant: TenantId,
    /// The key that was presented.
    pub key: KeyId,
    /// What the key is for.
    pub kind: KeyKind,
    /// The one session that the key may act on, if it is bound to one.
    pub session: Option<SessionId>,
    /// The key's scopes; empty means everything.
    pub scopes: Vec<String>,
    /// Whether it is a test key.
    pub test: bool,
    /// The tenant's own plugin that acts, where there is one: verbs do no more than both it and the key may.
    pub acting: Option<Acting>,
}

/// A tenant's own router that answers a request: what it asks for is judged by its grants as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Acting {
    /// The plugin's full name.
    pub plugin: Arc<str>,
    /// What it was given.
    pub grants: Arc<Grants>,
    /// No key was presented: what it does is its own affair.
    pub alone: bool,
}

impl Acting {
    /// Whether its grants cover `action` on `resource`. What no grant speaks of is not covered.
    fn may(&self, resource: &str, action: &str) -> bool {
        match (resource, action) {
            ("sessions", "read") => !self.grants.sessions.is_none(),
            ("messages", "write") => self.grants.send.is_some(),
            _ => false,
        }
    }
}

impl Principal {
    /// A plugin of `tenant` that acts of itself, without anybody's key.
    pub fn of_plugin(tenant: TenantId, plugin: Arc<str>, grants: Arc<Grants>) -> Self {
        let acting = Some(Acting { plugin, grants, alone: true });
        let (key, kind, scopes) = (KeyId(0), KeyKind::Tenant, Vec::new());
        Self { tenant, key, kind, session: None, scopes, test: false, acting }
    }

    /// Whose key was presented; nobody's where a plugin acts of itself.
    pub fn with_key(&self) -> Option<&Self> {
        Some(self).filter(|caller| caller.acting.as_ref().is_none_or(|acting| !acting.alone))
    }

    /// Whether the key's scopes cover `action` (`read` or `write`) on `resource`, and the grants of the plugin that acts.
    pub fn may(&self, resource: &str, action: &str) -> bool {
        let covers = |(on, what): (&str, &str)| -> bool { on == resource && (what == "*" || what == action) };
        let scoped = self.scopes.is_empty() || self.scopes.iter().any(|scope| scope.split_once(':').is_some_and(covers));
        scoped && self.acting.as_ref().is_none_or(|acting| acting.may(resource, action))
    }

    /// Whether the key may act on `session`, and the plugin that acts.
    pub fn may_use(&self, session: SessionId) -> bool {
        self.session.is_none_or(|bound| bound == session)
            && self.acting.as_ref().is_none_or(|acting| acting.grants.sessions.covers(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::plugin::{SendGrant, SessionGrant};

    fn principal(scopes: &[&str], session: Option<u64>) -> Principal {
        Principal {
            tenant: TenantId(1),
            key: KeyId(1),
            kind: KeyKind::Tenant,
            session: session.map(SessionId),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            test: false,
            acting: None,
        }
    }

    #[test]
    fn a_plugin_that_acts_does_no_more_than_both_it_and_the_key_may() {
        let only = |session| SessionGrant::Only([SessionId(session)].into());
        let send = Some(SendGrant { per_minute: 1 });
        let grants = |sessions, send| Arc::new(Grants { sessions, send, ..Grants::default() });
        let alone = |grants| Principal::of_plugin(TenantId(1), "1/shop".into(), grants);
        let sender = alone(grants(only(7), send));
        assert!(sender.may("messages", "write") && sender.may("sessions", "read"));
        assert!(sender.may_use(SessionId(7)) && !sender.may_use(SessionId(8)));
        for (resource, action) in [("messages", "read"), ("sessions", "write"), ("keys", "read"), ("plugins", "write")] {
            assert!(!sender.may(resource, action), "{resource}:{action}");
        }
        let nothing = alone(Arc::default());
        assert!(!nothing.may("messages", "write") && !nothing.may("sessions", "read") && !nothing.may_use(SessionId(7)));
        assert_eq!(nothing.with_key(), None);

        let acting = sender.acting.map(|acting| Acting { alone: false, ..acting });
        let reader = Principal { acting, ..principal(&["sessions:read"], Some(8)) };
        assert!(reader.may("sessions", "read") && !reader.may("messages", "write"), "the key's scopes hold as well");
        assert!(!reader.may_use(SessionId(7)) && !reader.may_use(SessionId(8)), "each may use another session");
        assert!(reader.with_key().is_some());
    }

    #[test]
    fn no_scopes_mean_everything_and_a_scope_means_only_itself() {
        assert!(principal(&[], None).may("messages", "write"));
        let reader = principal(&["messages:read", "sessions:*"], None);
        assert!(reader.may("messages", "read") && !reader.may("messages", "write"));
        assert!(reader.may("sessions", "write") && !reader.may("webhooks", "read"));
    }

    #[test]
    fn a_key_bound_to_a_session_acts_on_no_other() {
        assert!(principal(&[], Some(7)).may_use(SessionId(7)));
        assert!(!principal(&[], Some(7)).may_use(SessionId(8)));
        assert!(principal(&[], None).may_use(SessionId(8)));
    }
}
