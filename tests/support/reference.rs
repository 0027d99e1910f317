//! The model: the same log, applied in the plainest way, with no snapshot, commit, batch or crash in sight.
//!
//! The simulation holds the engine to it under virtual trouble, `kill` the built program under `kill -9`.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::collections::BTreeMap;

use aftercall::{
    envelope,
    log::{Lane, PartitionId, RawEvent, Route, Speaker},
};
use aftercall_actors::{
    actor::{Actor, Context},
    effect::Effect,
    event::Body,
    key::{Key, Side},
    plausible,
    rules::RuleSet,
    time::LogTime,
    value::key_of,
};

/// What one partition should have said, and what its actors should be.
pub struct Reference {
    partition: PartitionId,
    count: u16,
    rules: RuleSet,
    now: LogTime,
    pub actors: BTreeMap<String, Actor>,
    /// Lane, id, subject and data of each output, in order.
    pub said: Vec<(Lane, String, String, Vec<u8>)>,
}

impl Reference {
    /// Applies the whole log; `genesis` are the rules before any activation.
    pub fn of(partition: PartitionId, count: u16, genesis: &RuleSet, events: &[RawEvent]) -> Self {
        let mut reference = Self {
            partition,
            count,
            rules: genesis.clone(),
            now: LogTime(i64::MIN),
            actors: BTreeMap::new(),
            said: Vec::new(),
        };
        for event in events {
            reference.apply(event);
        }
        reference
    }

    /// What must be stored of an actor at the end; `None` if a host may have forgotten it.
    pub fn stored(&self, actor: &Actor) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        actor.encode(&mut bytes);
        let is_blank = actor.is_blank(self.now, self.rules.settings());
        (!is_blank).then_some(bytes)
    }

    fn apply(&mut self, raw: &RawEvent) {
        if let Route::Pair { agent, customer } = raw.route
            && agent != self.partition.index
            && customer != self.partition.index
        {
            return;
        }
        let decoded = envelope::decode(raw, self.count);
        let home = |agent, customer| match self.partition.side {
            Side::Agent => agent == self.partition.index,
            Side::Customer => customer == self.partition.index,
        };
        match decoded {
            Err(_) => {
                let agent = match raw.route {
                    Route::Pair { agent, .. } => agent,
                    Route::All => 0,
                };
                if self.partition
                    == (PartitionId {
                        side: Side::Agent,
                        index: agent,
                    })
                {
                    self.pass_time(raw.time);
                    self.set_aside(raw);
                }
            }
            Ok(event) => match &event.body {
                Body::Tick => self.pass_time(raw.time),
                Body::RulesActivated(new) => {
                    self.pass_time(raw.time);
                    match RuleSet::parse(&new.rules, "reference") {
                        Ok(rules) => self.rules = rules,
                        Err(_)
                            if self.partition
                                == (PartitionId {
                                    side: Side::Agent,
                                    index: 0,
                                }) =>
                        {
                            self.set_aside(raw);
                        }
                        Err(_) => {}
                    }
                }
                body if self.is_in_future(raw, body) => {
                    // Of the two sides one sets it aside: the owner's, if there is one.
                    let side = body.owner().map_or(Side::Customer, |_| Side::Agent);
                    let Route::Pair { agent, customer } = raw.route else {
                        return;
                    };
                    let takes_part = match self.partition.side {
                        Side::Agent => body.owner().is_some(),
                        Side::Customer => body.customer().is_some(),
                    };
                    if takes_part && home(agent, customer) {
                        self.pass_time(raw.time);
                        if self.partition.side == side {
                            self.set_aside(raw);
                        }
                    }
                }
                body => {
                    let Route::Pair { agent, customer } = raw.route else {
                        return;
                    };
                    let key = match self.partition.side {
                        Side::Agent => body.owner(),
                        Side::Customer => body.customer(),
                    };
                    if let Some(key) = key.filter(|_| home(agent, customer)) {
                        self.pass_time(raw.time);
                        self.step(key, |actor, context, effects| {
                            actor.apply(key, context, &event, effects)
                        });
                    }
                }
            },
        }
    }

    /// Whether what anyone may send is dated further ahead than the rules allow.
    fn is_in_future(&self, raw: &RawEvent, body: &Body) -> bool {
        let ahead = plausible::ahead(body, raw.time);
        raw.speaker == Speaker::Anyone
            && plausible::refused(&ahead, &self.rules.settings().ahead_max).is_some()
    }

    fn pass_time(&mut self, time: LogTime) {
        self.now = self.now.max(time);
        let mut due: Vec<(LogTime, String)> = self
            .actors
            .iter()
            .filter_map(|(key, actor)| {
                Some((actor.deadline().filter(|at| *at <= self.now)?, key.clone()))
            })
            .collect();
        due.sort();
        for (_, key) in due {
            let key = key_of(&key).expect("keys are made by Key");
            self.step(key, |actor, context, effects| {
                actor.wake(key, context, effects)
            });
        }
    }

    fn step(&mut self, key: Key<'_>, act: impl FnOnce(&mut Actor, &Context<'_>, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        let actor = self
            .actors
            .entry(key.to_string())
            .or_insert_with(|| Actor::new(self.partition.side));
        act(
            actor,
            &Context {
                now: self.now,
                rules: &self.rules,
            },
            &mut effects,
        );
        for effect in effects {
            if let Effect::Emit { id, output } = effect {
                let mut data = Vec::new();
                output.write_json(&mut data);
                self.said
                    .push((Lane::Out(output.kind()), id, key.to_string(), data));
            }
        }
    }

    fn set_aside(&mut self, raw: &RawEvent) {
        let id = format!("dead:{}", raw.position);
        self.said.push((Lane::Dead, id, String::new(), Vec::new()));
    }
}
