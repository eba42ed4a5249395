//! Decides whether messages are within what a tenant and a session may send in a minute, a day and a month.
//!
//! Pure: limits and counts in, a decision out; `storage` keeps the counts. Windows are those of the calendar in UTC. What is
//! counted is acceptance: a message that is refused costs nothing, and one that was accepted is not given back, whatever
//! becomes of it. At a limit there is a hard stop until its window ends.

use std::fmt;

use sha2::{Digest, Sha256};

use super::calendar::{Window, WindowKind};
use super::plan::{Figures, SessionRules};
use crate::clock::Timestamp;
use crate::records::id::SessionId;
use crate::records::message::ApiLimits;
use crate::records::plugin::SendGrant;

/// What a count is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The whole tenant.
    Tenant,
    /// One of its sessions.
    Session(SessionId),
    /// What one of its sessions sends through one API: the API's number.
    Api(SessionId, u64),
    /// What one of the plugins that serve it sends of its own accord: a number that stands for the plugin.
    Plugin(u64),
}

/// Messages that are to be counted in one window, and how many it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// For whom.
    pub scope: Scope,
    /// In which window.
    pub window: Window,
    /// How many.
    pub count: u64,
    /// The most that the window may hold; `None` only counts.
    pub max: Option<u64>,
    /// For messages of test keys, which are counted apart.
    pub test: bool,
}

impl Charge {
    /// The name of its figure.
    pub fn limit_name(&self) -> &'static str {
        match self.window.kind {
            WindowKind::Minute => "messages_per_minute",
            WindowKind::Day => "messages_per_day",
            WindowKind::Month => "messages_per_month",
        }
    }

    /// What may be in the window already for this charge still to fit; `None` when it fits into no window of this size.
    pub fn used_most(&self) -> Option<u64> {
        self.max.unwrap_or(u64::MAX).checked_sub(self.count)
    }
}

/// What messages of the present cost. `sessions` has, for each session that sends, its rules and how many messages.
///
/// The tenant's day and month are counted also where nothing limits them, so that a tenant can be told what it used, and so
/// that a plan that it gets in the middle of a month finds the month's count.
pub fn charges(figures: &Figures, sessions: &[(SessionId, SessionRules, u64)], now: Timestamp) -> Vec<Charge> {
    let total = sessions.iter().map(|(_, _, count)| count).sum();
    let mut charges = Vec::new();
    for kind in WindowKind::ALL {
        let window = kind.at(now);
        let max = figures.messages_in(kind);
        if max.is_some() || kind != WindowKind::Minute {
            charges.push(Charge { scope: Scope::Tenant, window, count: total, max, test: false });
        }
        for (session, rules, count) in sessions {
            let Some(max) = rules.messages_in(kind) else { continue };
            let scope = Scope::Session(*session);
            charges.push(Charge { scope, window, count: *count, max: Some(max), test: false });
        }
    }
    charges
}

/// What messages of the present cost by the limits of the APIs that they came through: for each session and API, how many.
pub fn api_charges(sent: &[(SessionId, ApiLimits, u64)], now: Timestamp) -> Vec<Charge> {
    let mut charges = Vec::new();
    for kind in WindowKind::ALL {
        for (session, limits, count) in sent {
            let max = match kind {
                WindowKind::Minute => limits.per_minute,
                WindowKind::Day => limits.per_day,
                WindowKind::Month => limits.per_month,
            };
            if max.is_some() {
                let scope = Scope::Api(*session, limits.id);
                charges.push(Charge { scope, window: kind.at(now), count: *count, max, test: false });
            }
        }
    }
    charges
}

/// What messages cost that a plugin, by its full name, sends of its own accord.
pub fn plugin_charge(plugin: &str, grant: SendGrant, count: u64, now: Timestamp) -> Charge {
    let hash: [u8; 32] = Sha256::digest(plugin).into();
    let number = hash.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default();
    let (scope, window) = (Scope::Plugin(number), WindowKind::Minute.at(now));
    Charge { scope, window, count, max: Some(u64::from(grant.per_minute)), test: false }
}

/// The same charges for messages of test keys, if they are.
pub fn apart(charges: Vec<Charge>, test: bool) -> Vec<Charge> {
    charges.into_iter().map(|charge| Charge { test, ..charge }).collect()
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The most.
    pub max: u64,
    /// What is used of it.
    pub used: u64,
    /// When the count begins anew.
    pub resets_at: Timestamp,
}

impl Standing {
    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used)
    }

    /// When the count begins anew, seconds since 1970.
    pub fn resets_at_s(&self) -> u64 {
        self.resets_at.0.div_ceil(1000)
    }

    /// How long until then, whole seconds, at least 1.
    pub fn retry_after_s(&self, now: Timestamp) -> u64 {
        u64::try_from(self.resets_at.since(now).as_millis()).unwrap_or(u64::MAX).div_ceil(1000).max(1)
    }
}

/// A limit that does not let a message through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Name of the figure, such as `messages_per_day`.
    pub limit: &'static str,
    /// Whose limit it is.
    pub scope: Scope,
    /// How it stands.
    pub standing: Standing,
    /// Whole seconds until it is worth another try.
    pub retry_after_s: u64,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { max, used, .. } = self.standing;
        let whose = match self.scope {
            Scope::Tenant => "the account".to_owned(),
            Scope::Session(session) => format!("session {session}"),
            Scope::Api(session, _) => format!("session {session} through this API"),
            Scope::Plugin(_) => "the plugin's grant send".to_owned(),
        };
        let (limit, seconds) = (self.limit, self.retry_after_s);
        write!(f, "the {limit} of {whose} do not allow it: {used} of {max} are used; it resets in {seconds} s")
    }
}

/// The limit that refuses `charges`, each of which comes with what its window holds: of several the one that resets last, for
/// before that there is no point in coming back. `None` when all of them fit.
pub fn reached(charges: &[(Charge, u64)], now: Timestamp) -> Option<Reached> {
    let over = charges.iter().filter(|(charge, used)| charge.used_most().is_none_or(|most| *used > most));
    let (charge, used) = over.max_by_key(|(charge, _)| charge.window.ends_at())?;
    let standing = standing(charge, *used)?;
    let retry_after_s = standing.retry_after_s(now);
    Some(Reached { limit: charge.limit_name(), scope: charge.scope, standing, retry_after_s })
}

/// How many more messages every one of these windows has room for, where each message is charged to all of them.
pub fn room(charges: &[(Charge, u64)]) -> u64 {
    let room = |(charge, used): &(Charge, u64)| charge.max.map(|max| max.saturating_sub(*used));
    charges.iter().filter_map(room).min().unwrap_or(u64::MAX)
}

/// How a limited window stands; `None` for one that only counts.
pub fn standing(charge: &Charge, used: u64) -> Option<Standing> {
    charge.max.map(|max| Standing { max, used, resets_at: charge.window.ends_at() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};
    use crate::rules::plan::UNLIMITED;

    const NOW: Timestamp = Timestamp(1_750_000_040_000);
    const SESSION: SessionId = SessionId(9);

    fn charge(kind: WindowKind, count: u64, max: u64) -> Charge {
        Charge { scope: Scope::Tenant, window: kind.at(NOW), count, max: Some(max), test: false }
    }

    #[test]
    fn a_limit_lets_exactly_its_number_through() {
        let day = charge(WindowKind::Day, 1, 3);
        for used in 0..3 {
            assert_eq!(reached(&[(day, used)], NOW), None, "{used}");
        }
        let refused = reached(&[(day, 3)], NOW).unwrap();
        assert_eq!((refused.limit, refused.standing.used, refused.standing.remaining()), ("messages_per_day", 3, 0));
    }

    #[test]
    fn several_messages_fit_together_or_not_at_all() {
        assert_eq!(reached(&[(charge(WindowKind::Day, 3, 5), 2)], NOW), None);
        assert!(reached(&[(charge(WindowKind::Day, 3, 5), 3)], NOW).is_some());
        let never = charge(WindowKind::Day, 6, 5);
        assert_eq!((never.used_most(), reached(&[(never, 0)], NOW).is_some()), (None, true));
        let month = Charge { max: None, ..charge(WindowKind::Month, 6, 0) };
        assert_eq!([room(&[(never, 2), (month, 100)]), room(&[(never, 9)]), room(&[(month, 1)])], [3, 0, u64::MAX]);
    }

    #[test]
    fn of_several_limits_the_one_that_resets_last_is_named() {
        let charges = [
            (charge(WindowKind::Minute, 1, 1), 1),
            (charge(WindowKind::Month, 1, 100), 99),
            (charge(WindowKind::Day, 1, 10), 10),
        ];
        let refused = reached(&charges, NOW).unwrap();
        assert_eq!(refused.limit, "messages_per_day");
        // 2025-06-15T15:07:20Z.
        assert_eq!(refused.retry_after_s, 8 * 3600 + 52 * 60 + 40);
        assert_eq!(refused.standing.resets_at_s(), 1_750_032_000);
        assert_eq!(
            refused.to_string(),
            "the messages_per_day of the account do not allow it: 10 of 10 are used; it resets in 31960 s"
        );
    }

    #[test]
    fn a_message_is_charged_to_its_tenant_and_to_its_session_where_that_has_rules() {
        let figures = Figures { messages_per_minute: Some(10), ..UNLIMITED };
        let rules = SessionRules { messages_per_day: Some(7), ..SessionRules::default() };
        let charged = charges(&figures, &[(SESSION, rules, 2), (SessionId(10), SessionRules::default(), 1)], NOW);
        let seen: Vec<_> =
            charged.iter().map(|charge| (charge.scope, charge.limit_name(), charge.count, charge.max)).collect();
        let expected = [
            (Scope::Tenant, "messages_per_minute", 3, Some(10)),
            (Scope::Tenant, "messages_per_day", 3, None),
            (Scope::Session(SESSION), "messages_per_day", 2, Some(7)),
            (Scope::Tenant, "messages_per_month", 3, None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_a_plugin_sends_is_counted_by_itself() {
        let charged = |plugin: &str, per_minute| plugin_charge(plugin, SendGrant { per_minute }, 1, NOW);
        let own = charged("7/reply", 2);
        assert_eq!((own.limit_name(), own.count, own.max), ("messages_per_minute", 1, Some(2)));
        assert_eq!(charged("7/reply", 5).scope, own.scope);
        assert_ne!(charged("8/reply", 2).scope, own.scope);
        let words = reached(&[(own, 2)], NOW).unwrap().to_string();
        assert!(words.starts_with("the messages_per_minute of the plugin's grant send do not allow it: 2 of 2"), "{words}");
    }

    #[test]
    fn the_wait_is_in_whole_seconds_and_long_enough() {
        let entropy = SeededEntropy::new(8);
        for _ in 0..5_000 {
            let now = Timestamp(entropy.next_u64() % 10_000_000_000_000);
            let Standing { resets_at, .. } = Standing { max: 1, used: 1, resets_at: WindowKind::Minute.at(now).ends_at() };
            let wait = Standing { max: 1, used: 1, resets_at }.retry_after_s(now);
            assert!((1..=60).contains(&wait) && now.0 + wait * 1000 >= resets_at.0);
        }
    }

    #[test]
    fn a_walk_through_a_month_never_lets_more_through_than_any_limit() {
        let entropy = SeededEntropy::new(9);
        let figures =
            Figures { messages_per_minute: Some(5), messages_per_day: Some(40), messages_per_month: Some(700), ..UNLIMITED };
        let mut counts = std::collections::BTreeMap::<Window, u64>::new();
        // 2024-02-01T00:00:00Z: a month with a leap day.
        let (mut now, end) = (Timestamp(1_706_745_600_000), Timestamp(1_706_745_600_000 + 29 * 86_400_000));
        let mut accepted = 0;
        while now < end {
            let asked = 1 + entropy.next_u64() % 3;
            let charges = charges(&figures, &[(SESSION, SessionRules::default(), asked)], now);
            let held: Vec<(Charge, u64)> =
                charges.iter().map(|charge| (*charge, counts.get(&charge.window).copied().unwrap_or(0))).collect();
            match reached(&held, now) {
                None => {
                    accepted += asked;
                    charges.iter().for_each(|charge| *counts.entry(charge.window).or_default() += asked);
                }
                Some(refused) => {
                    assert!(refused.standing.used + asked > refused.standing.max && refused.standing.resets_at > now)
                }
            }
            now = now.plus(std::time::Duration::from_millis(1 + entropy.next_u64() % 600_000));
        }
        assert!((698..=700).contains(&accepted), "{accepted}");
        for (window, count) in counts {
            assert!(count <= figures.messages_in(window.kind).unwrap(), "{window:?}: {count}");
        }
    }
}
