//! All owners of a contact centre, over some partitions, as a host has them.

use std::collections::BTreeMap;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, Event},
        key::{Key, Side},
        time::LogTime,
        value::key_of,
    },
    effect::Effect,
    responses::{Arrival, Facts, Responses},
    rules::RuleSet,
    turn::Turn,
};

use super::{NOW_MS, told};

/// All owners of a contact centre, in some partitions, each of which judges for itself.
pub struct Centre {
    rules: RuleSet,
    pub partitions: Vec<(Responses, BTreeMap<String, Actor>)>,
}

/// What was said or counted, by the actor's key; `` where it was ignored before any actor.
pub type Said = Vec<(String, Effect)>;

impl Centre {
    pub fn new(count: u16, rules: RuleSet) -> Self {
        let partitions = (0..count).map(|_| Default::default()).collect();
        Self { rules, partitions }
    }

    pub fn apply(&mut self, after_ms: i64, body: Body) -> Said {
        let event = Event {
            source: "/test".into(),
            id: "1".into(),
            body,
        };
        let rules = self.rules.clone();
        let now = LogTime(NOW_MS + after_ms);
        let owner = event.body.owner().unwrap();
        let count = self.partitions.len() as u16;
        let ttl_ms = rules.settings().survey_dedupe_ms;
        let mut said = Said::new();
        for (number, (responses, actors)) in (0u16..).zip(&mut self.partitions) {
            let local = Some(owner).filter(|owner| owner.partition(count) == number);
            let actor = |key: Key<'_>| key.to_string();
            let Some(facts) = Facts::of(&event.body) else {
                if let Some(key) = local {
                    let mut effects = Vec::new();
                    let agent = actors.entry(actor(key)).or_insert_with(new_actor);
                    agent.apply(&mut Turn::new(key, now, &rules, &mut effects), &event);
                    said.extend(effects.into_iter().map(|effect| (actor(key), effect)));
                }
                continue;
            };
            let mut effects = Vec::new();
            let turn = responses.judge(&facts, Arrival { now, ttl_ms, local }, &mut effects);
            said.extend(effects.drain(..).map(|effect| (String::new(), effect)));
            let Some(turn) = turn else { continue };
            let owner = local.map(|key| (actor(key), turn.owner));
            let others = turn.others.into_iter();
            let others = others.map(|(name, share)| (name.to_string(), share));
            for (name, share) in owner.into_iter().chain(others) {
                let key = key_of(&name).unwrap();
                assert_eq!(key.partition(count), number, "{name} lives elsewhere");
                let agent = actors.entry(name.clone()).or_insert_with(new_actor);
                let mut turn = Turn::new(key, now, &rules, &mut effects);
                agent.respond(&mut turn, &event, share);
                said.extend(effects.drain(..).map(|effect| (name.clone(), effect)));
            }
        }
        said
    }

    /// As if every partition had been stored and read.
    pub fn store_and_read(&mut self) {
        for (responses, actors) in &mut self.partitions {
            let read = read_again(responses);
            assert_eq!(read, *responses);
            *responses = read;
            for (key, actor) in actors {
                let mut bytes = Vec::new();
                actor.encode(&mut bytes);
                let read = Actor::decode(Side::Agent, key, &bytes).unwrap();
                assert_eq!(read, *actor);
                *actor = read;
            }
        }
    }

    pub fn agent(&self, id: &str) -> Option<&aftercall_actors::agent::Agent> {
        let key = format!("agent/{id}");
        let mut found = self.partitions.iter().filter_map(|(_, all)| all.get(&key));
        match found.next() {
            Some(Actor::Agent(agent)) => Some(agent),
            Some(Actor::Customer(_)) | None => None,
        }
    }

    pub fn points(&self, id: &str) -> i64 {
        self.agent(id).map_or(0, |agent| agent.points())
    }

    /// Responses in the eNPS window, and detractors among them.
    pub fn enps(&self, id: &str) -> (u32, u32) {
        let figures = self.agent(id).map(|agent| agent.enps().figures());
        figures.map_or((0, 0), |(responses, detractors, _)| (responses, detractors))
    }
}

fn new_actor() -> Actor {
    Actor::new(Side::Agent)
}

pub fn read_again(responses: &Responses) -> Responses {
    let stored: BTreeMap<u64, Vec<u8>> = responses
        .segments_from(0)
        .map(|(number, segment)| (number, segment.encode()))
        .collect();
    let stored = stored.iter().map(|(number, bytes)| (*number, &bytes[..]));
    Responses::restore(stored).unwrap()
}

/// Who did what.
pub fn lines(said: &Said) -> Vec<String> {
    let line = |(key, effect): &(String, Effect)| {
        let told = told(std::slice::from_ref(effect)).remove(0);
        format!("{key} {told}").trim_start().to_owned()
    };
    said.iter().map(line).collect()
}
