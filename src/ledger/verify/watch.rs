//! Looks on while the book is written: what was said of rewards, how each stands, and whether it was reached.

use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow, rc::Rc};

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, Kept, OutcomeKind},
        key::Key,
        output::Kind as OutputKind,
    },
    effect::Effect,
};

use super::{Check, Discrepancy, outcomes::Heard};
use crate::{
    ledger::{
        book::{Book, Books},
        entry::{Entry, Kind},
    },
    log::{Position, Speaker},
    shard::witness::{Step, Witness},
};

/// An output about a reward, as the agent said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// CloudEvents type.
    pub(super) event_type: &'static str,
    /// The agent.
    pub(super) agent: Box<str>,
    /// Its partition.
    pub(super) partition: u16,
    /// The event at which it was said.
    pub(super) position: Position,
    /// JSON.
    pub(super) data: Box<[u8]>,
    /// How often it was found in the output stream.
    pub(super) found: u32,
}

/// How a reward stands, in terms of who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Claimed; nobody was asked.
    Claimed,
    /// Requested, or for a person to find out.
    Asked,
    /// The agent's.
    Issued,
    /// To be taken back, or for a person to find out.
    TakingBack,
    /// Its provider says that the agent does not have it; for a person to find out.
    Doubted,
    /// Taken back, or cancelled by its provider.
    TakenBack,
    /// Not given.
    Refused,
}

impl Standing {
    pub(super) const fn is_issued(self) -> bool {
        match self {
            Self::Issued => true,
            Self::Claimed
            | Self::Asked
            | Self::TakingBack
            | Self::Doubted
            | Self::TakenBack
            | Self::Refused => false,
        }
    }

    pub(super) const fn is_open(self) -> bool {
        match self {
            Self::Claimed | Self::Asked | Self::TakingBack | Self::Doubted => true,
            Self::Issued | Self::TakenBack | Self::Refused => false,
        }
    }

    /// In words, for differences.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Claimed => "never requested",
            Self::Asked => "requested",
            Self::Issued => "issued",
            Self::TakingBack => "being taken back",
            Self::Doubted => "said to be cancelled",
            Self::TakenBack => "reversed",
            Self::Refused => "not given",
        }
    }

    /// After a line of the book about the reward.
    const fn after(self, kind: Kind) -> Self {
        match kind {
            Kind::Claimed | Kind::Awaiting => Self::Claimed,
            Kind::Requested | Kind::NeedsReview => Self::Asked,
            Kind::Issued | Kind::ReversalRefused | Kind::Restored => Self::Issued,
            Kind::CancellationNeedsReview => Self::Doubted,
            Kind::ReversalRequested | Kind::ReversalNeedsReview => Self::TakingBack,
            Kind::Reversed | Kind::Cancelled => Self::TakenBack,
            Kind::Rejected | Kind::Withdrawn => Self::Refused,
            // Of a reversal: then what it leads to follows.
            Kind::Declined => match self {
                Self::Claimed | Self::Asked | Self::Refused => Self::Refused,
                Self::Issued | Self::TakingBack | Self::Doubted | Self::TakenBack => self,
            },
            // What they lead to follows; or they are about no reward.
            Kind::Approved
            | Kind::Earned
            | Kind::Replaced
            | Kind::Adjusted
            | Kind::Expired
            | Kind::DebtPaid => self,
        }
    }
}

/// A reward, as the book has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reward {
    pub(super) agent: Box<str>,
    /// Points it costs.
    pub(super) points: i64,
    pub(super) standing: Standing,
    /// What became of its request is known, and a person has to decide.
    pub(super) in_review: bool,
    /// The event of its last line.
    pub(super) position: Position,
    /// The ids that its provider has given it, by name.
    pub(super) kept: Kept,
}

/// Everything the book says of rewards.
pub(super) struct Verified {
    pub(super) books: Books,
    /// By the reward's id.
    pub(super) rewards: BTreeMap<Box<str>, Reward>,
    /// By the output's id.
    pub(super) said: BTreeMap<Box<str>, Said>,
    /// Outcomes from the service's own place, in order.
    pub(super) heard: Vec<Heard>,
}

type Lines = Rc<RefCell<Vec<Entry>>>;

/// Thresholds by program and tier.
type Tiers = BTreeMap<(Box<str>, Box<str>), i64>;

type Sink = Box<dyn FnMut(Entry) -> ControlFlow<()>>;

/// The witness.
pub(super) struct Watch<R> {
    count: u16,
    book: Book<'static, Sink>,
    lines: Lines,
    /// By the rules' version.
    thresholds: BTreeMap<Box<str>, Tiers>,
    /// Points held by each agent's claims.
    held: BTreeMap<Box<str>, i64>,
    rewards: BTreeMap<Box<str>, Reward>,
    said: BTreeMap<Box<str>, Said>,
    heard: Vec<Heard>,
    /// The ids that providers have given, by the reward's: lines of the book come later than the events.
    kept: BTreeMap<Box<str>, Kept>,
    report: R,
}

impl<R: FnMut(Discrepancy)> Watch<R> {
    /// Of a log with `count` partitions a side.
    pub(super) fn new(count: u16, report: R) -> Self {
        let lines = Lines::default();
        let written = Rc::clone(&lines);
        let sink: Sink = Box::new(move |entry| {
            written.borrow_mut().push(entry);
            ControlFlow::Continue(())
        });
        Self {
            count,
            book: Book::new(None, None, sink),
            lines,
            thresholds: BTreeMap::new(),
            held: BTreeMap::new(),
            rewards: BTreeMap::new(),
            said: BTreeMap::new(),
            heard: Vec::new(),
            kept: BTreeMap::new(),
            report,
        }
    }

    /// What the book says in the end.
    pub(super) fn finish(mut self) -> Verified {
        // What was written has been handed over: everybody has passed the last position.
        self.take_lines();
        for (id, kept) in std::mem::take(&mut self.kept) {
            if let Some(reward) = self.rewards.get_mut(&id) {
                reward.kept = kept;
            }
        }
        let books = self.book.finish();
        for difference in &books.differences {
            let found = format!("that the agent has {}", difference.agent);
            let discrepancy = Discrepancy::new(Check::Books, difference.book.to_string(), found);
            (self.report)(
                discrepancy
                    .of_agent(&difference.agent_id)
                    .at(difference.position),
            );
        }
        let more = books.differences_total - books.differences.len() as u64;
        if more > 0 {
            let found = format!("{more} more differences of this kind");
            (self.report)(Discrepancy::new(Check::Books, "no more".to_owned(), found));
        }
        Verified {
            books,
            rewards: self.rewards,
            said: self.said,
            heard: self.heard,
        }
    }

    fn take_lines(&mut self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        for line in &lines {
            self.line(line);
        }
    }

    fn line(&mut self, line: &Entry) {
        let before = match self.held.get_mut(&*line.agent_id) {
            Some(held) => std::mem::replace(held, line.held),
            None => {
                self.held.insert(line.agent_id.as_str().into(), line.held);
                0
            }
        };
        let Some(id) = &line.reward_id else {
            return;
        };
        if line.kind == Kind::Claimed {
            self.claim(line, id, line.held.saturating_sub(before));
        }
        let reward = self
            .rewards
            .entry(id.as_str().into())
            .or_insert_with(|| Reward {
                agent: line.agent_id.as_str().into(),
                points: 0,
                standing: Standing::Claimed,
                in_review: false,
                position: line.position,
                kept: Kept::new(),
            });
        if line.kind == Kind::Claimed {
            reward.points = line.held.saturating_sub(before);
        }
        reward.standing = reward.standing.after(line.kind);
        reward.in_review = line.kind == Kind::NeedsReview;
        reward.position = line.position;
    }

    /// S3.04: a claim takes what its threshold says, and no more than there was.
    fn claim(&mut self, line: &Entry, id: &str, points: i64) {
        let tier = (
            line.program.as_deref().unwrap_or_default().into(),
            line.tier.as_deref().unwrap_or_default().into(),
        );
        let threshold = self.thresholds.get(line.rules.as_str());
        let threshold = threshold.and_then(|tiers| tiers.get(&tier)).copied();
        if threshold == Some(points) && line.available >= 0 {
            return;
        }
        let book = format!(
            "{points} points were claimed of {}",
            line.available.saturating_add(points)
        );
        let found = match threshold {
            Some(threshold) => format!("a threshold of {threshold}"),
            None => "no such tier in the rules of that moment".to_owned(),
        };
        let discrepancy = Discrepancy::new(Check::Claims, book, found);
        (self.report)(
            discrepancy
                .of_agent(&line.agent_id)
                .of_reward(id)
                .at(line.position),
        );
    }

    /// Keeps the thresholds of a version of the rules, the first time it is seen.
    fn note_rules(&mut self, step: &Step<'_>) {
        let version = step.rules.version();
        if self.thresholds.contains_key(version) {
            return;
        }
        let programs = step.rules.settings().programs.iter();
        let tiers = programs.flat_map(|program| {
            let named = |tier: &aftercall_actors::rewards::programs::Tier| {
                let place = (program.name.as_str().into(), tier.name.as_str().into());
                (place, i64::from(tier.threshold))
            };
            program.tiers.iter().map(named)
        });
        self.thresholds.insert(version.into(), tiers.collect());
    }
}

impl<R: FnMut(Discrepancy)> Witness for Watch<R> {
    fn before(&mut self, key: Key<'_>, actor: &Actor) {
        self.book.before(key, actor);
    }

    fn after(&mut self, step: &Step<'_>) {
        self.note_rules(step);
        if let (Some(event), Key::Agent(agent)) = (step.event, step.key)
            && let Body::Outcome(OutcomeKind::Reward, outcome) = &event.body
        {
            if !outcome.kept.is_empty() {
                let kept = self.kept.entry((&*outcome.output_id).into()).or_default();
                kept.extend(outcome.kept.clone());
            }
            if step.entry.speaker == Speaker::Service {
                let heard = Heard::new(step.entry.position, agent, event, outcome);
                self.heard.push(heard);
            }
        }
        for effect in step.effects {
            let Effect::Emit { id, output } = effect else {
                continue;
            };
            let (OutputKind::Reward, Key::Agent(agent)) = (output.kind(), step.key) else {
                continue;
            };
            let mut data = Vec::new();
            output.write_json(&mut data);
            let said = Said {
                event_type: output.type_name(),
                agent: agent.into(),
                partition: step.key.partition(self.count),
                position: step.entry.position,
                data: data.into(),
                found: 0,
            };
            if let Some(first) = self.said.insert(id.as_str().into(), said) {
                let book = format!("that it was said at position {}", first.position);
                let found = "that it was said again".to_owned();
                let discrepancy = Discrepancy::new(Check::Claims, book, found);
                (self.report)(
                    discrepancy
                        .of_agent(agent)
                        .of_reward(id)
                        .at(step.entry.position),
                );
            }
        }
        self.book.after(step);
    }

    fn passed(&mut self, position: Position) -> ControlFlow<()> {
        let flow = self.book.passed(position);
        self.take_lines();
        flow
    }
}

#[cfg(test)]
mod tests;
