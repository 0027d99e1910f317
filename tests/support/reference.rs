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
    actor::Actor,
    contract::{
        event::{Body, Event},
        key::{Key, Side},
        plausible,
        time::LogTime,
        value::key_of,
    },
    effect::Effect,
    responses::{Arrival, Facts, Responses, Share, Version, name_of},
    rules::RuleSet,
    turn::Turn,
};

/// What one partition should have said, and what its actors should be.
pub struct Reference {
    partition: PartitionId,
    count: u16,
    rules: RuleSet,
    now: LogTime,
    pub actors: BTreeMap<String, Actor>,
    /// Every survey and eNPS response, whoever owns it.
    chains: BTreeMap<(&'static str, String), Chain>,
    /// What the engine keeps of them, made by the log alone: to compare what is stored, not to decide anything.
    register: Responses,
    /// Lane, id, subject and data of each output, in order.
    pub said: Vec<(Lane, String, String, Vec<u8>)>,
}

/// A response, with all that its events said.
struct Chain {
    at: LogTime,
    home: String,
    last: String,
    revision: u64,
    contents: Vec<String>,
}

/// Versions of one revision that are told apart.
const VERSIONS: usize = 8;

impl Reference {
    /// Applies the whole log; `genesis` are the rules before any activation.
    pub fn of(partition: PartitionId, count: u16, genesis: &RuleSet, events: &[RawEvent]) -> Self {
        let mut reference = Self {
            partition,
            count,
            rules: genesis.clone(),
            now: LogTime(i64::MIN),
            actors: BTreeMap::new(),
            chains: BTreeMap::new(),
            register: Responses::default(),
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

    /// What must be stored of the responses at the end, by name.
    pub fn responses(&self) -> BTreeMap<String, Vec<u8>> {
        let is_used = !self.register.is_untouched();
        let segments = self.register.segments_from(0).filter(|_| is_used);
        segments
            .map(|(number, segment)| (name_of(number), segment.encode()))
            .collect()
    }

    /// The response an event is about, its revision, and all else that it says.
    fn response_of(body: &Body) -> Option<((&'static str, String), u64, String)> {
        match body {
            Body::SurveyResponse(event) => {
                let mut rest = event.clone();
                rest.revision = 0;
                let slot = ("survey", event.response_id.to_string());
                Some((slot, event.revision, format!("{rest:?}")))
            }
            Body::EnpsResponse(event) => {
                let slot = ("enps", event.response_id.to_string());
                Some((slot, 0, format!("{event:?}")))
            }
            _ => None,
        }
    }

    /// Looks through all responses for the event's, and tells each of its owners.
    fn respond(&mut self, event: &Event) {
        let ttl_ms = self.rules.settings().survey_dedupe_ms;
        let facts = Facts::of(&event.body).expect("it is about a response");
        let owner = event.body.owner().expect("a response has an owner");
        let is_here = |key: Key<'_>| key.partition(self.count) == self.partition.index;
        let local = Some(owner).filter(|owner| is_here(*owner));
        let mut ignored = Vec::new();
        self.register.judge(
            &facts,
            Arrival {
                now: self.now,
                ttl_ms,
                local,
            },
            &mut ignored,
        );

        let (slot, revision, content) = Self::response_of(&event.body).expect("the same");
        let owner = owner.to_string();
        let now = self.now;
        let chain = self.chains.remove(&slot);
        let chain = chain.filter(|chain| now.since_ms(chain.at) < ttl_ms);
        let is_first = chain.is_none();
        let mut chain = chain.unwrap_or_else(|| Chain {
            at: now,
            home: owner.clone(),
            last: owner.clone(),
            revision,
            contents: Vec::new(),
        });
        let is_new = revision > chain.revision
            || (revision == chain.revision && !chain.contents.contains(&content));
        if is_new {
            if revision > chain.revision {
                chain.contents.clear();
            }
            chain.contents.push(content);
            if chain.contents.len() > VERSIONS {
                chain.contents.remove(0);
            }
            let before = std::mem::replace(&mut chain.last, owner.clone());
            (chain.at, chain.revision) = (now, revision);
            let version = Version {
                is_first,
                content: facts.content(),
            };
            let mut parties = vec![owner.clone()];
            for other in [&chain.home, &before] {
                if !parties.contains(other) {
                    parties.push(other.clone());
                }
            }
            for party in parties {
                let share = Share {
                    counts: party == owner,
                    alerts: party == chain.home,
                    version,
                };
                let key = key_of(&party).expect("keys are made by Key");
                if key.partition(self.count) == self.partition.index {
                    self.step(key, |actor, turn| actor.respond(turn, event, share));
                }
            }
        }
        self.chains.insert(slot, chain);
    }

    fn apply(&mut self, raw: &RawEvent) {
        let is_about_response = || {
            let event = envelope::decode(raw, self.count);
            event.is_ok_and(|event| Self::response_of(&event.body).is_some())
        };
        if let Route::Pair { agent, customer } = raw.route
            && agent != self.partition.index
            && customer != self.partition.index
            // Whose a response is, all partitions of a side work out.
            && !(self.partition.side == Side::Agent && is_about_response())
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
                    let is_home = home(agent, customer);
                    let reads = match self.partition.side {
                        Side::Agent => {
                            body.owner().is_some() && (is_home || Self::response_of(body).is_some())
                        }
                        Side::Customer => body.customer().is_some() && is_home,
                    };
                    if reads {
                        self.pass_time(raw.time);
                    }
                    if reads && is_home && self.partition.side == side {
                        self.set_aside(raw);
                    }
                }
                _ if self.partition.side == Side::Agent
                    && Self::response_of(&event.body).is_some() =>
                {
                    self.pass_time(raw.time);
                    self.respond(&event);
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
                        self.step(key, |actor, turn| actor.apply(turn, &event));
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
            self.step(key, Actor::wake);
        }
    }

    fn step(&mut self, key: Key<'_>, act: impl FnOnce(&mut Actor, &mut Turn<'_>)) {
        let mut effects = Vec::new();
        let actor = self
            .actors
            .entry(key.to_string())
            .or_insert_with(|| Actor::new(self.partition.side));
        act(
            actor,
            &mut Turn::new(key, self.now, &self.rules, &mut effects),
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
