//! One turn of an actor: the actor whose turn it is, when, under which rules, and what it asks for.
//!
//! Made by the host for each event or deadline, and handed down to every part of the actor. Nothing in it may come from
//! anywhere but the log, so that the same turn has the same outcome at every replay.

use crate::{
    contract::{
        key::Key,
        time::{EventTime, LogTime},
    },
    effect::{Effect, Effects, Ignored},
    rewards::points::Workday,
    rules::{RuleSet, Settings},
};

/// What an actor is given besides the event, and where it puts its effects.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The actor.
    pub key: Key<'a>,
    /// Log time of the event or tick being applied.
    pub now: LogTime,
    /// The rules active at this position of the log.
    pub rules: &'a RuleSet,
    /// Effects so far, in the order in which they were asked for. Those of earlier turns stay in front.
    pub effects: &'a mut Effects,
    /// Worked out once: finding the day in a time zone takes longer than most turns.
    today: Option<Workday>,
}

impl<'a> Turn<'a> {
    /// A turn of the actor `key` at `now`; its effects are appended to `effects`.
    #[must_use]
    pub const fn new(
        key: Key<'a>,
        now: LogTime,
        rules: &'a RuleSet,
        effects: &'a mut Effects,
    ) -> Self {
        Self {
            key,
            now,
            rules,
            effects,
            today: None,
        }
    }

    /// What the rule file sets besides the rules.
    #[must_use]
    pub fn settings(&self) -> &'a Settings {
        self.rules.settings()
    }

    /// The workday that `now` falls in, in the rules' time zone.
    pub fn today(&mut self) -> Workday {
        let (now, settings) = (self.now, self.settings());
        *self
            .today
            .get_or_insert_with(|| Workday::of(EventTime(now.0), &settings.time_zone))
    }

    /// The oldest workday whose points count.
    pub fn window_start(&mut self) -> Workday {
        let days = self.settings().points_window_days;
        self.today().window_start(days)
    }

    /// Counts the event, or a part of it, as one that changed nothing.
    pub fn ignore(&mut self, why: Ignored) {
        self.effects.push(Effect::Ignore(why));
    }
}
