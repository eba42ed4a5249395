//! Plans as data: what a tenant may send and how fast, and the rules that a session has of its own.
//!
//! A plan's figures are those of the services whose APIs are spoken here. A tenant's `limits` override single figures by
//! name. A session may have rules of its own, under `pacing` in its settings; the strictest of all of them wins.

use serde_json::{Map, Value};

use super::calendar::WindowKind;
use super::pacing::{GAP_MS_MAX, Pace};
use super::plugin_plan::{self, PLUGIN_FIGURES};
use super::said_back::said_back;
use super::typing::Typing;
use crate::records::account::Tenant;

/// Figures of a plan that a tenant's `limits` may override.
pub const FIGURE_NAMES: [&str; 7] = [
    "messages_per_minute",
    "messages_per_day",
    "messages_per_month",
    "gap_ms",
    "jitter_ms",
    "sessions",
    "api_requests_per_minute",
];
/// The figure of a tenant that says how many bytes of media it may keep.
pub const MEDIA_BYTES: &str = "media_bytes";
/// The figure of a tenant that says for how many days its media is kept.
pub const MEDIA_DAYS: &str = "media_days";
/// The fewest days that it may be.
pub const MEDIA_DAYS_MIN: u64 = 1;
/// The most.
pub const MEDIA_DAYS_MAX: u64 = 3650;
/// The setting of a session that holds its own rules.
pub const PACING_SETTING: &str = "pacing";

/// What a tenant may do; `None` is no limit, and a limit of 0 allows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages accepted in a minute of the calendar.
    pub messages_per_minute: Option<u64>,
    /// Messages accepted in a day, UTC.
    pub messages_per_day: Option<u64>,
    /// Messages accepted in a calendar month, UTC.
    pub messages_per_month: Option<u64>,
    /// Least time between two sends of one session, milliseconds.
    pub gap_ms: u64,
    /// Up to this much more, at random, milliseconds.
    pub jitter_ms: u64,
    /// Sessions that exist at once.
    pub sessions: Option<u64>,
    /// Requests to every API in a minute of the calendar.
    pub api_requests_per_minute: Option<u64>,
}

/// No limit at all: the plan of a tenant that was given none.
pub const UNLIMITED: Figures = Figures {
    messages_per_minute: None,
    messages_per_day: None,
    messages_per_month: None,
    gap_ms: 0,
    jitter_ms: 0,
    sessions: None,
    api_requests_per_minute: None,
};

/// Plans that ship, by name.
pub const PLANS: [(&str, Figures); 7] = [
    ("unlimited", UNLIMITED),
    ("free", FREE),
    ("pro", Figures { messages_per_day: Some(10_000), ..UNLIMITED }),
    ("starter", per_minute_and_day(10, 500)),
    ("growth", per_minute_and_day(60, 5_000)),
    ("business", per_minute_and_day(200, 50_000)),
    ("prosendi-1000", Figures { messages_per_month: Some(1_000), ..UNLIMITED }),
];
const FREE: Figures = Figures { messages_per_day: Some(100), sessions: Some(10), ..UNLIMITED };

const fn per_minute_and_day(minute: u64, day: u64) -> Figures {
    Figures { messages_per_minute: Some(minute), messages_per_day: Some(day), ..UNLIMITED }
}

/// Why a figure or a rule cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No figure has this name.
    #[error("{0:?} is not a limit; there are: {names}", names = [&FIGURE_NAMES[..], &[MEDIA_BYTES, MEDIA_DAYS], &PLUGIN_FIGURES].concat().join(", "))]
    UnknownFigure(String),
    /// The value is over what the figure may be.
    #[error("{name} is {value}; the limit is {max}")]
    TooLarge {
        /// The figure.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The most it may be.
        max: u64,
    },
    /// The value is below what the figure may be.
    #[error("{name} is {value}; at least {min} is needed")]
    TooSmall {
        /// The figure.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The least it may be.
        min: u64,
    },
    /// No plan has this name.
    #[error("{0:?} is not a plan; there are: {names}", names = PLANS.map(|(name, _)| name).join(", "))]
    UnknownPlan(String),
    /// The rules of a session are not what rules look like.
    #[error("{why}")]
    Rules {
        /// Names on the way to what is wrong, from the rules on; none for the rules themselves.
        place: Vec<String>,
        /// What is wrong, with its name.
        why: String,
    },
}

impl PlanError {
    /// Where among the rules of a session it is: names on the way there.
    pub fn place(&self) -> Vec<&str> {
        match self {
            Self::Rules { place, .. } => place.iter().map(String::as_str).collect(),
            Self::TooLarge { name, .. } | Self::TooSmall { name, .. } => vec![*name],
            Self::UnknownFigure(_) | Self::UnknownPlan(_) => Vec::new(),
        }
    }
}

/// The figures of the plan of this name.
///
/// # Errors
/// [`PlanError::UnknownPlan`].
pub fn plan(name: &str) -> Result<Figures, PlanError> {
    let found = PLANS.iter().find(|(known, _)| *known == name).map(|(_, figures)| *figures);
    found.ok_or_else(|| PlanError::UnknownPlan(said_back(name)))
}

/// Whether a tenant's limits may say this.
///
/// # Errors
/// [`PlanError::UnknownFigure`] or [`PlanError::TooLarge`].
pub fn check_limit(name: &str, value: u64) -> Result<(), PlanError> {
    if PLUGIN_FIGURES.contains(&name) {
        return plugin_plan::check(name, value);
    }
    if !FIGURE_NAMES.contains(&name) && ![MEDIA_BYTES, MEDIA_DAYS].contains(&name) {
        return Err(PlanError::UnknownFigure(said_back(name)));
    }
    match name {
        "gap_ms" => check_gap("gap_ms", value),
        "jitter_ms" => check_gap("jitter_ms", value),
        // A file that is over as it comes is never sent and never shown: who may keep none has `media_bytes` 0.
        MEDIA_DAYS if value < MEDIA_DAYS_MIN => Err(PlanError::TooSmall { name: MEDIA_DAYS, value, min: MEDIA_DAYS_MIN }),
        MEDIA_DAYS if value > MEDIA_DAYS_MAX => Err(PlanError::TooLarge { name: MEDIA_DAYS, value, max: MEDIA_DAYS_MAX }),
        _ => Ok(()),
    }
}

fn check_gap(name: &'static str, value: u64) -> Result<(), PlanError> {
    if value > GAP_MS_MAX { Err(PlanError::TooLarge { name, value, max: GAP_MS_MAX }) } else { Ok(()) }
}

/// What holds for a tenant: its plan's figures, and its own limits in their places. A plan that this version does not know is
/// as narrow as the narrowest that ships.
pub fn effective(tenant: &Tenant) -> Figures {
    let mut figures = plan(&tenant.plan).unwrap_or(FREE);
    for (name, &value) in &tenant.limits {
        match name.as_str() {
            "messages_per_minute" => figures.messages_per_minute = Some(value),
            "messages_per_day" => figures.messages_per_day = Some(value),
            "messages_per_month" => figures.messages_per_month = Some(value),
            "gap_ms" => figures.gap_ms = value,
            "jitter_ms" => figures.jitter_ms = value,
            "sessions" => figures.sessions = Some(value),
            "api_requests_per_minute" => figures.api_requests_per_minute = Some(value),
            _ => {}
        }
    }
    figures
}

impl Figures {
    /// Messages that may be accepted in a window of this kind.
    pub fn messages_in(&self, kind: WindowKind) -> Option<u64> {
        match kind {
            WindowKind::Minute => self.messages_per_minute,
            WindowKind::Day => self.messages_per_day,
            WindowKind::Month => self.messages_per_month,
        }
    }

    /// How fast each session may send.
    pub fn pace(&self) -> Pace {
        Pace::gap(self.gap_ms, self.jitter_ms)
    }
}

/// Rules that hold for one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionRules {
    /// Messages accepted in a minute of the calendar.
    pub messages_per_minute: Option<u64>,
    /// Messages accepted in a day, UTC.
    pub messages_per_day: Option<u64>,
    /// Messages accepted in a calendar month, UTC.
    pub messages_per_month: Option<u64>,
    /// Least time between two sends, milliseconds.
    pub gap_ms: u64,
    /// Up to this much more, at random, milliseconds.
    pub jitter_ms: u64,
    /// Most sends in any 60 s: the outbox waits, and acceptance does not.
    pub sends_per_minute: Option<u32>,
    /// How typing shows before a text; not at all unless it is set.
    pub typing: Option<Typing>,
}

const NO_RULES: SessionRules = SessionRules {
    messages_per_minute: None,
    messages_per_day: None,
    messages_per_month: None,
    gap_ms: 0,
    jitter_ms: 0,
    sends_per_minute: None,
    typing: None,
};

/// Names of the rules of a session.
const RULE_NAMES: [&str; 7] =
    ["messages_per_minute", "messages_per_day", "messages_per_month", "gap_ms", "jitter_ms", "sends_per_minute", "typing"];
/// Names of what can be set of typing.
const TYPING_NAMES: [&str; 4] = ["ms_per_char", "least_ms", "most_ms", "jitter_percent"];

/// The rules that a JSON value says.
fn read_rules(value: &Value) -> Result<SessionRules, PlanError> {
    let fields = named_fields(&[], value, &RULE_NAMES)?;
    let number = |name| whole_number(&[], fields, name);
    let sends_per_minute = number("sends_per_minute")?;
    let sends_per_minute = sends_per_minute.map(|sends| {
        let max = u64::from(u32::MAX);
        u32::try_from(sends).map_err(|_| PlanError::TooLarge { name: "sends_per_minute", value: sends, max })
    });
    Ok(SessionRules {
        messages_per_minute: number("messages_per_minute")?,
        messages_per_day: number("messages_per_day")?,
        messages_per_month: number("messages_per_month")?,
        gap_ms: number("gap_ms")?.unwrap_or(0),
        jitter_ms: number("jitter_ms")?.unwrap_or(0),
        sends_per_minute: sends_per_minute.transpose()?,
        typing: fields.get("typing").filter(|typing| !typing.is_null()).map(read_typing).transpose()?,
    })
}

fn read_typing(value: &Value) -> Result<Typing, PlanError> {
    let fields = named_fields(&["typing"], value, &TYPING_NAMES)?;
    let (usual, number) = (Typing::default(), |name| whole_number(&["typing"], fields, name));
    Ok(Typing {
        ms_per_char: number("ms_per_char")?.unwrap_or(usual.ms_per_char),
        least_ms: number("least_ms")?.unwrap_or(usual.least_ms),
        most_ms: number("most_ms")?.unwrap_or(usual.most_ms),
        jitter_percent: number("jitter_percent")?.unwrap_or(usual.jitter_percent),
    })
}

/// A refusal of what lies at `place`, and `name` below it.
fn refused(place: &[&str], name: Option<&str>, why: String) -> PlanError {
    PlanError::Rules { place: place.iter().copied().chain(name).map(said_back).collect(), why }
}

/// The fields of an object at `place` that has none but these.
fn named_fields<'a>(place: &[&str], value: &'a Value, names: &[&str]) -> Result<&'a Map<String, Value>, PlanError> {
    let within: String = place.iter().map(|step| format!("{step}: ")).collect();
    let Some(fields) = value.as_object() else {
        let why = format!("{within}an object is expected, with any of: {}", names.join(", "));
        return Err(refused(place, None, why));
    };
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => {
            let why = format!("{within}{:?} is not a rule; there are: {}", said_back(unknown), names.join(", "));
            Err(refused(place, Some(unknown), why))
        }
        None => Ok(fields),
    }
}

/// A whole number from 0 up; `None` where there is none or it is null.
fn whole_number(place: &[&str], fields: &Map<String, Value>, name: &str) -> Result<Option<u64>, PlanError> {
    let Some(value) = fields.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let within: String = place.iter().map(|step| format!("{step}.")).collect();
    let why = || format!("{within}{name} is {}; a whole number from 0 up is expected", said_back(value));
    value.as_u64().map(Some).ok_or_else(|| refused(place, Some(name), why()))
}

impl SessionRules {
    /// The rules in a session's settings; none there are no rules.
    ///
    /// # Errors
    /// [`PlanError`] with what is wrong with them.
    pub fn read(settings: &Map<String, Value>) -> Result<Self, PlanError> {
        let Some(rules) = settings.get(PACING_SETTING).filter(|rules| !rules.is_null()) else { return Ok(NO_RULES) };
        let rules = read_rules(rules)?;
        check_gap("gap_ms", rules.gap_ms)?;
        check_gap("jitter_ms", rules.jitter_ms)?;
        Ok(rules)
    }

    /// The rules of a session whose settings were checked when they were made.
    pub fn of(settings: &Map<String, Value>) -> Self {
        Self::read(settings).unwrap_or_default()
    }

    /// Messages that may be accepted in a window of this kind.
    pub fn messages_in(&self, kind: WindowKind) -> Option<u64> {
        match kind {
            WindowKind::Minute => self.messages_per_minute,
            WindowKind::Day => self.messages_per_day,
            WindowKind::Month => self.messages_per_month,
        }
    }

    /// How fast the session may send.
    pub fn pace(&self) -> Pace {
        Pace { per_minute: self.sends_per_minute, ..Pace::gap(self.gap_ms, self.jitter_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::records::id::TenantId;
    use serde_json::json;

    fn tenant(plan: &str, limits: &[(&str, u64)]) -> Tenant {
        Tenant {
            id: TenantId(1),
            name: "Acme".to_owned(),
            active: true,
            plan: plan.to_owned(),
            limits: limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            created_at: Timestamp(0),
            apis_off: Default::default(),
            hosts: Default::default(),
        }
    }

    fn rules(value: Value) -> Result<SessionRules, PlanError> {
        SessionRules::read(&Map::from_iter([(PACING_SETTING.to_owned(), value)]))
    }

    #[test]
    fn every_plan_has_the_figures_of_its_service() {
        let figures = |name| {
            let Figures { messages_per_minute, messages_per_day, messages_per_month, sessions, .. } = plan(name).unwrap();
            [messages_per_minute, messages_per_day, messages_per_month, sessions]
        };
        assert_eq!(figures("unlimited"), [None; 4]);
        assert_eq!(figures("free"), [None, Some(100), None, Some(10)]);
        assert_eq!(figures("pro"), [None, Some(10_000), None, None]);
        assert_eq!(figures("starter"), [Some(10), Some(500), None, None]);
        assert_eq!(figures("growth"), [Some(60), Some(5_000), None, None]);
        assert_eq!(figures("business"), [Some(200), Some(50_000), None, None]);
        assert_eq!(figures("prosendi-1000"), [None, None, Some(1_000), None]);
        assert_eq!(
            plan("gold").unwrap_err().to_string(),
            r#""gold" is not a plan; there are: unlimited, free, pro, starter, growth, business, prosendi-1000"#
        );
    }

    #[test]
    fn every_figure_can_be_overridden_by_its_name_and_nothing_else() {
        let mut seen = Vec::new();
        for name in FIGURE_NAMES {
            check_limit(name, 7).unwrap();
            let figures = effective(&tenant("unlimited", &[(name, 7)]));
            assert_ne!(figures, UNLIMITED, "{name}");
            assert!(!seen.contains(&figures), "{name} is another figure's name");
            seen.push(figures);
        }
        assert!(check_limit("speed", 1).unwrap_err().to_string().starts_with(r#""speed" is not a limit; there are: "#));
        let starter = effective(&tenant("starter", &[("messages_per_day", 0)]));
        assert_eq!((starter.messages_per_minute, starter.messages_per_day), (Some(10), Some(0)));
    }

    #[test]
    fn a_gap_of_more_than_an_hour_is_refused() {
        assert!(check_limit("gap_ms", GAP_MS_MAX).is_ok());
        let refused = check_limit("jitter_ms", GAP_MS_MAX + 1).unwrap_err();
        assert_eq!(refused.to_string(), "jitter_ms is 3600001; the limit is 3600000");
    }

    #[test]
    fn media_is_kept_for_a_day_at_least_and_for_ten_years_at_most() {
        for days in [MEDIA_DAYS_MIN, MEDIA_DAYS_MAX] {
            assert_eq!(check_limit(MEDIA_DAYS, days), Ok(()));
        }
        assert_eq!(check_limit(MEDIA_DAYS, 0).unwrap_err().to_string(), "media_days is 0; at least 1 is needed");
        assert_eq!(check_limit(MEDIA_DAYS, 3651).unwrap_err().to_string(), "media_days is 3651; the limit is 3650");
        assert_eq!(check_limit(MEDIA_BYTES, 0), Ok(()), "who may keep nothing");
    }

    #[test]
    fn a_plan_that_this_version_does_not_know_is_no_way_around_limits() {
        assert_eq!(effective(&tenant("of the future", &[])), plan("free").unwrap());
    }

    #[test]
    fn a_session_has_the_rules_in_its_settings() {
        assert_eq!(SessionRules::read(&Map::new()), Ok(SessionRules::default()));
        assert_eq!(rules(Value::Null), Ok(SessionRules::default()));
        let read = rules(json!({ "gap_ms": 500, "messages_per_day": 9, "typing": { "most_ms": 2000 } })).unwrap();
        assert_eq!((read.gap_ms, read.jitter_ms, read.messages_per_day), (500, 0, Some(9)));
        assert_eq!(read.typing, Some(Typing { most_ms: 2_000, ..Typing::default() }));
    }

    #[test]
    fn rules_that_cannot_be_kept_are_refused_with_the_reason() {
        for (value, why) in [
            (json!({ "gap": 1 }), "\"gap\" is not a rule; there are: messages_per_minute, "),
            (json!({ "gap_ms": -1 }), "gap_ms is -1; a whole number from 0 up is expected"),
            (json!({ "messages_per_day": "ten" }), "messages_per_day is \"ten\"; a whole number"),
            (json!({ "sends_per_minute": 4_294_967_296_u64 }), "sends_per_minute is 4294967296; the limit is 4294967295"),
            (json!({ "typing": true }), "typing: an object is expected, with any of: ms_per_char, "),
            (json!({ "typing": { "speed": 1 } }), "typing: \"speed\" is not a rule; there are: ms_per_char, "),
            (json!({ "typing": { "most_ms": 1.5 } }), "typing.most_ms is 1.5; a whole number"),
            (json!({ "gap_ms": 3_600_001 }), "gap_ms is 3600001; the limit is 3600000"),
            (json!("slow"), "an object is expected, with any of: messages_per_minute, "),
        ] {
            let refused = rules(value).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn the_place_of_a_rule_that_is_refused_is_told() {
        for (value, place) in [
            (json!("slow"), ""),
            (json!({ "gap": 1 }), "gap"),
            (json!({ "gap_ms": -1 }), "gap_ms"),
            (json!({ "gap_ms": 3_600_001 }), "gap_ms"),
            (json!({ "typing": 1 }), "typing"),
            (json!({ "typing": { "speed": 1 } }), "typing/speed"),
            (json!({ "typing": { "most_ms": 1.5 } }), "typing/most_ms"),
        ] {
            assert_eq!(rules(value).unwrap_err().place().join("/"), place);
        }
    }
}
