//! Rules: what makes an alert, a coaching task, a segment or points, as conditions over events and figures.

use crate::{effect::Effects, event::Event, output::Severity};

/// A compiled rule set.
#[derive(Clone, Debug)]
pub struct RuleSet {
    settings: Settings,
}

/// What a rule file sets besides its rules: all that decides outcomes takes effect at a log position with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The business unit's time zone: workdays are calendar dates in it.
    pub time_zone: jiff::tz::TimeZone,
    /// Length of the rolling points window, in workdays.
    pub points_window_days: u16,
    /// How long a survey or eNPS response id is remembered, in milliseconds of log time (S2.05).
    pub survey_dedupe_ms: i64,
    /// How long a completion is remembered, in milliseconds of log time (S4.04).
    pub completion_dedupe_ms: i64,
    /// Window of the eNPS figures, in milliseconds of event time against log time (S1.09).
    pub enps_window_ms: i64,
    /// Window of a customer's recent history, in milliseconds (S4.02).
    pub history_window_ms: i64,
    /// Shortest time between two profile updates of one customer, in milliseconds; 0 turns merging off (S4.05).
    pub profile_merge_ms: i64,
    /// Queues whose completions update profiles; empty for all (S4.01).
    pub queues: Vec<String>,
    /// Skills whose completions update profiles; empty for all (S4.01).
    pub skills: Vec<String>,
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_zone: jiff::tz::TimeZone::UTC,
            points_window_days: 90,
            survey_dedupe_ms: DAY_MS,
            completion_dedupe_ms: 60 * MINUTE_MS,
            enps_window_ms: 7 * DAY_MS,
            history_window_ms: 7 * DAY_MS,
            profile_merge_ms: 5_000,
            queues: Vec::new(),
            skills: Vec::new(),
        }
    }
}

/// What a rule does when its condition holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Raises an alert (surveys).
    Alert { severity: Severity },
    /// Asks for coaching (eNPS).
    Coaching { reason: String },
    /// Puts the customer into this segment for as long as the condition holds.
    Segment { tag: String },
    /// Gives (or takes) points.
    Points { points: i32 },
}

/// One rule, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub action: Action,
}

/// A rule that holds for an event.
#[derive(Clone, Debug)]
pub struct Hit<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Critical keywords found in the comment, as the rule spells them.
    pub keywords: Vec<String>,
    /// Points it gives.
    pub points: i32,
}

/// The acting actor's own figures, as conditions see them: `agent.*` or `customer.*`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figures {
    /// `agent.points`, `agent.responses`, ...
    Agent {
        points: i64,
        responses: u32,
        detractors: u32,
        detractor_share: f64,
    },
    /// `customer.contacts`, ...
    Customer {
        contacts: u32,
        contacts_7d: u32,
        sentiment: Option<f64>,
        sentiment_avg: Option<f64>,
    },
}

/// Everything wrong with a rule file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RuleErrors(pub String);

impl RuleSet {
    /// Compiles a rule file; `origin` names it in errors.
    pub fn parse(_text: &str, _origin: &str) -> Result<Self, RuleErrors> {
        Ok(Self {
            settings: Settings::default(),
        })
    }

    /// Windows, zones and lists.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The version stamped on outputs.
    pub fn version(&self) -> &str {
        ""
    }

    /// The text this was compiled from.
    pub fn text(&self) -> &str {
        ""
    }

    /// Calls `hit` for each rule that listens to this event's type and whose condition holds, in file order.
    pub fn matching<'a>(
        &'a self,
        _event: &Event,
        _figures: &Figures,
        _hits: &mut Vec<Hit<'a>>,
        _effects: &mut Effects,
    ) {
    }
}
