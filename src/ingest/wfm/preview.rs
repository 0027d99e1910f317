//! What an import would change: the rows of a dry run, applied to the agents as the log has them (REQUIREMENTS S3.01).
//!
//! The agents are brought to the log's last event in memory, by those who do it for recovery (`shard::retrace`), and
//! nobody's ownership is touched. Then they are given the events that an import would store, under the rules in force,
//! at the log's time. What they say is not sent anywhere, but told: balances, and rewards that would be asked for.

use std::collections::{BTreeMap, HashMap};

use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{
        event::{Body, Event, WfmMetric},
        key::{Key, Side},
        output::{Output, Reward},
        time::LogTime,
        value::{Id, WorkDate},
    },
    effect::{Effect, Ignored},
    rewards::points::Workday,
    rules::RuleSet,
    turn::Turn,
};
use jiff::civil::Date;
use serde::Serialize;

use crate::{
    envelope,
    log::{Log, NewEvent, PartitionId, RawEvent},
    shard::{
        retrace::{Retrace, RetraceError},
        witness::Nobody,
    },
};

/// Most balances and rewards told one by one; the others are counted.
const NAMED_MAX: usize = 1_000;

/// Most metrics told apart: names come from the file.
const METRICS_MAX: usize = 500;

/// Agents to compare with, or why there are none.
pub struct Preview {
    compared: Result<Compared, String>,
    changes: Changes,
}

struct Compared {
    partition_count: u16,
    /// By partition of the agents' side.
    rules: Vec<RuleSet>,
    now: LogTime,
    /// By agent; those who were given something know their balance before.
    agents: HashMap<String, (Agent, Option<i64>), foldhash::fast::FixedState>,
}

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Why nothing is known to compare with, if so; then all the rest is empty.
    pub not_compared: Option<String>,
    /// Values for an agent, workday and metric that has none.
    pub new: u64,
    /// Values that give other points than those that stand.
    pub replaced: u64,
    /// Values that give the points that stand.
    pub unchanged: u64,
    /// Values recorded before those that stand.
    pub superseded: u64,
    /// Values of workdays before the window.
    pub too_old: u64,
    /// Values that no rule gives points for.
    pub without_rule: u64,
    /// Points by metric.
    pub points: BTreeMap<String, UpAndDown>,
    /// Agents whose balance would be another one.
    pub agents_changed: usize,
    /// The first of them, by id.
    pub balances: Vec<Balance>,
    /// Rewards that would be requested.
    pub rewards_requested: usize,
    /// Rewards that would be taken back.
    pub rewards_reversed: usize,
    /// The first of both.
    pub rewards: Vec<NamedReward>,
}

/// Points that would come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpAndDown {
    /// Points given.
    pub up: i64,
    /// Points taken.
    pub down: i64,
}

/// A balance that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The agent.
    pub agent: String,
    /// What it is.
    pub from: i64,
    /// What it would be.
    pub to: i64,
}

/// A reward that would be requested or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedReward {
    /// Program.
    pub program: String,
    /// Tier.
    pub tier: String,
    /// The agent.
    pub agent: String,
    /// Points it costs.
    pub points: i64,
    /// Whether it would be taken back.
    pub reversed: bool,
}

impl Preview {
    /// Nothing is known to compare with.
    #[must_use]
    pub fn without(why: String) -> Self {
        Self {
            compared: Err(why),
            changes: Changes::default(),
        }
    }

    /// The agents as `log` has them. `genesis` holds where a partition never had an owner.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    pub async fn of(log: &Log, genesis: &RuleSet) -> Result<Self, RetraceError> {
        let count = log.partition_count();
        let partitions: Vec<PartitionId> = PartitionId::of(Side::Agent, count).collect();
        let mut retrace = Retrace::ahead(log, &partitions, genesis).await?;
        retrace.run(&mut Nobody, |_| {}).await?;
        let mut now = log.now();
        let mut rules = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            let (in_force, come_to) = match retrace.standing(*partition) {
                Some((rules, come_to)) => (rules.clone(), come_to),
                None => (genesis.clone(), now),
            };
            rules.push(in_force);
            now = now.max(come_to);
        }
        let mut agents = HashMap::default();
        retrace.actors(|_, key, actor, _| {
            if let (Key::Agent(id), Actor::Agent(agent)) = (key, actor) {
                agents.insert(id.to_owned(), (*agent, None));
            }
        })?;
        Ok(Self {
            compared: Ok(Compared {
                partition_count: count,
                rules,
                now,
                agents,
            }),
            changes: Changes::default(),
        })
    }

    /// Takes an event that an import would store.
    pub(super) fn apply(&mut self, event: &NewEvent) {
        if let Ok(compared) = &mut self.compared {
            compared.apply(event, &mut self.changes);
        }
    }

    /// What all of them would change.
    pub(super) fn changes(&self) -> Changes {
        let mut changes = self.changes.clone();
        match &self.compared {
            Err(why) => changes.not_compared = Some(why.clone()),
            Ok(compared) => {
                let mut balances = compared.balances();
                balances.sort_by(|a, b| a.agent.cmp(&b.agent));
                changes.agents_changed = balances.len();
                balances.truncate(NAMED_MAX);
                changes.balances = balances;
            }
        }
        changes
    }
}

impl Compared {
    fn apply(&mut self, event: &NewEvent, changes: &mut Changes) {
        let raw = RawEvent {
            position: 0,
            time: self.now,
            route: event.destination.route(self.partition_count),
            speaker: event.destination.speaker(),
            headers: event.headers.clone(),
            payload: event.payload.clone(),
        };
        // What is stored of an import has been checked to be such an event.
        let Ok(event) = envelope::decode(&raw, self.partition_count) else {
            return;
        };
        let Body::WfmMetric(metric) = &event.body else {
            return;
        };
        let key = Key::Agent(&metric.agent_id);
        let Some(rules) = self
            .rules
            .get(usize::from(key.partition(self.partition_count)))
        else {
            return;
        };
        let (agent, before) = self.agents.entry(metric.agent_id.to_string()).or_default();
        if before.is_none() {
            let mut effects = Vec::new();
            bring_up_to_date(agent, Turn::new(key, self.now, rules, &mut effects), metric);
            *before = Some(agent.points());
        }
        let day = Workday::from_date(metric.date.0);
        let stood = agent.window().of_metric(day, &metric.metric);
        let mut effects = Vec::new();
        let mut turn = Turn::new(key, self.now, rules, &mut effects);
        agent.apply(&mut turn, &event);
        changes.note_rewards(&effects);
        let ignored = effects.iter().find_map(|effect| match effect {
            Effect::Ignore(why) => Some(*why),
            Effect::Emit { .. } | Effect::RuleFailed { .. } => None,
        });
        match (ignored, stood) {
            (Some(Ignored::TooOld), _) => changes.too_old += 1,
            (Some(Ignored::Superseded), _) => changes.superseded += 1,
            (Some(Ignored::UnknownMetric), _) => changes.without_rule += 1,
            (Some(Ignored::Duplicate), _) => changes.unchanged += 1,
            (_, None) => changes.new += 1,
            (_, Some(stood)) => {
                let stands = agent.window().of_metric(day, &metric.metric);
                if stands == Some(stood) {
                    changes.unchanged += 1;
                } else {
                    changes.replaced += 1;
                }
            }
        }
        let stands = agent.window().of_metric(day, &metric.metric);
        changes.note_points(&metric.metric, stands.unwrap_or(0) - stood.unwrap_or(0));
    }

    fn balances(&self) -> Vec<Balance> {
        let given = self.agents.iter().filter_map(|(id, (agent, before))| {
            let (from, to) = ((*before)?, agent.points());
            (from != to).then(|| Balance {
                agent: id.clone(),
                from,
                to,
            })
        });
        given.collect()
    }
}

/// Lets workdays leave the window that have left it by now, so that they are not taken for the import's doing: a value
/// older than any window changes nothing else.
fn bring_up_to_date(agent: &mut Agent, mut turn: Turn<'_>, like: &WfmMetric) {
    let event = Event {
        source: "".into(),
        id: "".into(),
        body: Body::WfmMetric(WfmMetric {
            date: WorkDate(Date::constant(1, 1, 1)),
            ..like.clone()
        }),
    };
    agent.apply(&mut turn, &event);
}

impl Changes {
    fn note_points(&mut self, metric: &Id, change: i64) {
        if change == 0 {
            return;
        }
        let is_known = self.points.len() < METRICS_MAX || self.points.contains_key(&**metric);
        let name = if is_known { metric } else { "(others)" };
        let sum = self.points.entry(name.to_owned()).or_default();
        sum.up += change.max(0);
        sum.down += change.min(0).saturating_neg();
    }

    fn note_rewards(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Emit {
                    output: Output::RewardRequested(reward),
                    ..
                } => {
                    self.rewards_requested += 1;
                    self.name(reward, false);
                }
                Effect::Emit {
                    output: Output::RewardReversalRequested(reward),
                    ..
                } => {
                    self.rewards_reversed += 1;
                    self.name(reward, true);
                }
                Effect::Emit { .. } | Effect::Ignore(_) | Effect::RuleFailed { .. } => {}
            }
        }
    }

    fn name(&mut self, reward: &Reward, reversed: bool) {
        if self.rewards.len() < NAMED_MAX {
            self.rewards.push(NamedReward {
                program: reward.program.clone(),
                tier: reward.tier.clone(),
                agent: reward.agent_id.clone(),
                points: reward.points_consumed,
                reversed,
            });
        }
    }

    /// Balances and rewards shown to people.
    const SHOWN: usize = 20;

    /// As people read it, to stand under the file's name.
    pub(super) fn lines(&self) -> Vec<String> {
        if let Some(why) = &self.not_compared {
            return vec![format!("  nothing is known to compare with: {why}")];
        }
        let Self {
            new,
            replaced,
            unchanged,
            superseded,
            too_old,
            without_rule,
            ..
        } = self;
        let mut lines = vec![format!(
            "  values: {new} new, {replaced} replaced, {unchanged} unchanged, {superseded} superseded by a later \
             export, {too_old} before the window, {without_rule} that no rule gives points for"
        )];
        for (metric, UpAndDown { up, down }) in &self.points {
            lines.push(format!("  points for {metric}: +{up}, -{down}"));
        }
        lines.push(match self.agents_changed {
            0 => "  no balance would change".to_owned(),
            1 => "  1 balance would change".to_owned(),
            n => format!("  {n} balances would change"),
        });
        let shown = self.balances.iter().take(Self::SHOWN);
        lines.extend(
            shown.map(|Balance { agent, from, to }| format!("    {agent}: {from} -> {to}")),
        );
        lines.extend(more(self.agents_changed));
        for (count, what, reversed) in [
            (self.rewards_requested, "requested", false),
            (self.rewards_reversed, "taken back", true),
        ] {
            if count == 0 {
                continue;
            }
            let noun = if count == 1 { "reward" } else { "rewards" };
            lines.push(format!("  {count} {noun} would be {what}"));
            let named = self.rewards.iter().filter(|r| r.reversed == reversed);
            lines.extend(named.take(Self::SHOWN).map(|reward| {
                let NamedReward {
                    program,
                    tier,
                    agent,
                    points,
                    ..
                } = reward;
                format!("    {agent}: {program}, {tier}, {points} points")
            }));
            lines.extend(more(count));
        }
        lines
    }
}

fn more(count: usize) -> Option<String> {
    let left = count.checked_sub(Changes::SHOWN).filter(|left| *left > 0)?;
    Some(format!(
        "    and {left} more (--json names the first {NAMED_MAX})"
    ))
}
