//! Each agent, worked out anew, against its stored form: what differs in terms of money is said in those terms.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::time::LogTime,
    rewards::{
        points::{Origin, PointsWindow},
        redemption::Rewards,
    },
    rules::Settings,
};

use super::{Check, Discrepancy};
use crate::{
    ledger::book::Balance,
    log::PartitionId,
    shard::retrace::{Retrace, RetraceError},
};

/// Most differences told of one agent.
const DIFFERENCES_MAX: usize = 20;

/// Compares every actor of two retraces that have come to the same positions; how many there were.
pub(super) fn compare(
    stored: &mut Retrace,
    anew: &mut Retrace,
    report: &mut impl FnMut(Discrepancy),
) -> Result<u64, RetraceError> {
    let mut kept: BTreeMap<Box<str>, (PartitionId, Actor, LogTime)> = BTreeMap::new();
    stored.actors(|partition, key, actor, now| {
        kept.insert(key.to_string().into(), (partition, actor, now));
    })?;
    let mut settings: BTreeMap<PartitionId, Settings> = BTreeMap::new();
    for (partition, ..) in kept.values() {
        if !settings.contains_key(partition)
            && let Some((rules, _)) = stored.standing(*partition)
        {
            settings.insert(*partition, rules.settings().clone());
        }
    }
    // Of whom nothing is to be remembered: one way may have forgotten it and the other not.
    let is_blank = |partition, actor: &Actor, now| {
        let settings = settings.get(&partition);
        settings.is_some_and(|settings| actor.is_blank(now, settings))
            || *actor == Actor::new(partition.side)
    };
    let mut actors = 0;
    anew.actors(|partition, key, actor, now| {
        actors += 1;
        let name = key.to_string();
        match kept.remove(name.as_str()) {
            Some((_, other, _)) => same(&name, &actor, &other, report),
            None if is_blank(partition, &actor, now) => {}
            None => {
                let book = balance(&actor);
                let found = "that no such agent is stored".to_owned();
                report(Discrepancy::new(Check::State, book, found).of_agent(id(&name)));
            }
        }
    })?;
    for (name, (partition, actor, now)) in kept {
        if !is_blank(partition, &actor, now) {
            let book = "that no event was ever its".to_owned();
            let found = format!("{} stored", balance(&actor));
            report(Discrepancy::new(Check::State, book, found).of_agent(id(&name)));
        }
    }
    Ok(actors)
}

/// `agent/a-17` as people name it; others keep their kind.
fn id(name: &str) -> &str {
    name.strip_prefix("agent/").unwrap_or(name)
}

fn balance(actor: &Actor) -> String {
    match actor {
        Actor::Agent(agent) => Balance::of(agent).to_string(),
        Actor::Customer(_) => "a customer".to_owned(),
    }
}

fn same(name: &str, actor: &Actor, other: &Actor, report: &mut impl FnMut(Discrepancy)) {
    let encoded = |actor: &Actor| {
        let mut bytes = Vec::new();
        actor.encode(&mut bytes);
        bytes
    };
    if encoded(actor) == encoded(other) {
        return;
    }
    // A state that an older program wrote knows less of where its points came from; that is no money.
    if let (Actor::Agent(agent), Actor::Agent(other)) = (actor, other)
        && agent.without_exports() == other.without_exports()
    {
        return;
    }
    let mut told = match (actor, other) {
        (Actor::Agent(agent), Actor::Agent(other)) => money(agent, other),
        (Actor::Agent(_) | Actor::Customer(_), _) => Vec::new(),
    };
    if told.is_empty() {
        let same = "its money is the same".to_owned();
        told.push((same, "that something else of it differs".to_owned()));
    }
    for (book, found) in told.into_iter().take(DIFFERENCES_MAX) {
        report(Discrepancy::new(Check::State, book, found).of_agent(id(name)));
    }
}

/// What of two agents' money differs: what the first has, and what the second.
fn money(agent: &Agent, other: &Agent) -> Vec<(String, String)> {
    let mut told = Vec::new();
    let (balance, stored) = (Balance::of(agent), Balance::of(other));
    if balance != stored {
        told.push((balance.to_string(), format!("{stored} stored")));
    }
    windows(agent.window(), other.window(), &mut told);
    rewards(agent.rewards(), other.rewards(), &mut told);
    told
}

fn windows(anew: &PointsWindow, stored: &PointsWindow, told: &mut Vec<(String, String)>) {
    let cells = |window: &PointsWindow| -> BTreeMap<String, i64> {
        let given = window.given().map(|(day, origin, points)| {
            let source = match origin {
                Origin::Survey => "survey",
                Origin::Adjustment => "adjustment",
                Origin::Metric(name) => name,
            };
            (format!("from {source} on {}", day.date()), points)
        });
        let left = window.by_day().into_iter();
        given
            .chain(left.map(|(day, points)| (format!("left of {}", day.date()), points)))
            .collect()
    };
    differing(&cells(anew), &cells(stored), told, |name, points| {
        format!("{points} points {name}")
    });
}

fn rewards(anew: &Rewards, stored: &Rewards, told: &mut Vec<(String, String)>) {
    let standings = |rewards: &Rewards| -> BTreeMap<String, String> {
        let tiers = rewards.tiers().iter().map(|tier| {
            let name = format!("{}/{}", tier.program, tier.tier);
            let stage = match tier.stage.claim() {
                Some(claim) => format!("{} points held for claim {}", claim.points, claim.ordinal),
                None => "no claim".to_owned(),
            };
            let text = format!("{} claimed, {stage}: {:?}", tier.claimed, tier.stage);
            (name, text)
        });
        let given = rewards.issued().iter().map(|given| {
            let tier = rewards.tiers().get(given.tier);
            let tier = tier.map_or("", |tier| &tier.tier);
            let name = format!("reward {} of {tier}", given.claim.ordinal);
            let text = format!("{:?} for {} points", given.standing, given.claim.points);
            (name, text)
        });
        tiers.chain(given).collect()
    };
    differing(&standings(anew), &standings(stored), told, |name, text| {
        format!("{name}: {text}")
    });
}

/// What two maps do not have alike.
fn differing<V: PartialEq>(
    anew: &BTreeMap<String, V>,
    stored: &BTreeMap<String, V>,
    told: &mut Vec<(String, String)>,
    words: impl Fn(&str, &V) -> String,
) {
    let names: BTreeSet<&String> = anew.keys().chain(stored.keys()).collect();
    for name in names {
        let (book, found) = (anew.get(name), stored.get(name));
        if book != found {
            let text = |value: Option<&V>| {
                value.map_or_else(|| format!("nothing {name}"), |value| words(name, value))
            };
            told.push((text(book), format!("{} stored", text(found))));
        }
    }
}
