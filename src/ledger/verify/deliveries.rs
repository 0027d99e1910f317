//! Requests for rewards, against the destinations that are to deliver them: what one has looked at, it delivers, or has
//! told what became of it.
//!
//! A destination whose place had moved beyond outputs that it never saw would say nothing of them, be ready, and have no
//! lag. Here each reward that is still asked for is named if its destination is past it and does not have it. What it has
//! told, and the agent has not heard yet, is found among the events behind the book's end.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::contract::output::Kind;
use serde_json::Value;

use super::{
    Check, Discrepancy, VerifyError,
    watch::{Reward, Standing},
};
use crate::{
    delivery::{
        journal, parcel::Parcel, policy::OutcomeRule, record::Spot, state::State,
        transport::Transport as _,
    },
    log::{Lane, Log, LogError, Position, Seq, StoredOutput, retry::read},
    sinks::courier::Courier,
};

const OUTCOME: &str = "reward.outcome";

/// Events read at once.
const READ_MAX: usize = 1_000;

/// A destination, as it stood before the outputs were read.
pub(super) struct Deliverer<'a> {
    courier: &'a Courier,
    state: State,
    /// Ids of the outputs that it is delivering.
    delivering: BTreeSet<Box<str>>,
    /// Requests that it delivers, or has not come to.
    with: BTreeSet<Box<str>>,
    /// Requests that it is past and does not have: by the reward's id, where they stand.
    without: BTreeMap<Box<str>, Seq>,
}

/// A reward that is asked for, and of which it is not known what became.
pub(super) struct Unknown {
    id: Box<str>,
    seq: Seq,
    destination: String,
    agent: Box<str>,
    position: Position,
}

impl<'a> Deliverer<'a> {
    /// Reads the line of a destination that rewards are reported by; `None` if it is none, or never ran.
    ///
    /// # Errors
    /// If the line cannot be read.
    pub(super) async fn of(log: &Log, courier: &'a Courier) -> Result<Option<Self>, VerifyError> {
        let rule = courier.policy().outcome.as_ref();
        if !rule.is_some_and(OutcomeRule::is_of_rewards) {
            return Ok(None);
        }
        let state = journal::standing(&**log, courier).await;
        let state = state.map_err(|error| VerifyError::Line {
            destination: courier.name().to_owned(),
            error,
        })?;
        Ok(state.map(|state| {
            let items = state.items().values();
            let delivering = items.map(|item| item.taken.id.as_str().into()).collect();
            Self {
                courier,
                state,
                delivering,
                with: BTreeSet::new(),
                without: BTreeMap::new(),
            }
        }))
    }

    /// Takes note of an output.
    pub(super) fn note(&mut self, stored: &StoredOutput, parcel: &Parcel) {
        let is_request =
            stored.lane == Lane::Out(Kind::Reward) && parcel.event_type == "reward.requested";
        if !is_request || !self.courier.selects(parcel) {
            return;
        }
        let places = self.state.places();
        let looked = self.state.cursor().output;
        let is_past = match Spot::of(stored) {
            // Of a lane of which it has seen nothing its place decides.
            Some(spot) if places.has_seen(&spot) => true,
            _ => stored.seq.saturating_add(places.outputs_lower()) <= looked,
        };
        let id: Box<str> = parcel.id.as_str().into();
        if !is_past || self.delivering.contains(&id) {
            self.with.insert(id);
        } else {
            self.without.insert(id, stored.seq);
        }
    }
}

/// The rewards that are asked for, and that no destination delivers. What the book had not come to by then is left to the
/// next verification.
pub(super) fn unknown(
    deliverers: &[Deliverer<'_>],
    rewards: &BTreeMap<Box<str>, Reward>,
    settled: Position,
) -> Vec<Unknown> {
    let mut unknown = Vec::new();
    for (number, deliverer) in deliverers.iter().enumerate() {
        for (id, seq) in &deliverer.without {
            let is_with = |other: &Deliverer<'_>| other.with.contains(id);
            let was_named = |other: &Deliverer<'_>| other.without.contains_key(id);
            if deliverers.iter().any(is_with) || deliverers.iter().take(number).any(was_named) {
                continue;
            }
            let asked = rewards
                .get(id)
                .filter(|reward| reward.standing == Standing::Asked && !reward.in_review);
            let Some(reward) = asked.filter(|reward| reward.position <= settled) else {
                continue;
            };
            unknown.push(Unknown {
                id: id.clone(),
                seq: *seq,
                destination: deliverer.courier.name().to_owned(),
                agent: reward.agent.clone(),
                position: reward.position,
            });
        }
    }
    unknown
}

/// Names those of which no event after `end` tells what became of them: up to there the book has heard every one.
///
/// # Errors
/// If the log cannot be read to its end.
pub(super) async fn compare(
    log: &Log,
    unknown: Vec<Unknown>,
    end: Position,
    report: &mut impl FnMut(Discrepancy),
) -> Result<(), LogError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let told = told_after(log, end).await?;
    for Unknown {
        id,
        seq,
        destination,
        agent,
        position,
    } in unknown
    {
        if told.contains(&id) {
            continue;
        }
        let book = "that it is requested".to_owned();
        let found = format!(
            "that {destination} is past output {seq}, and neither delivers it nor has told what became of it"
        );
        let discrepancy = Discrepancy::new(Check::Deliveries, book, found).of_reward(&id);
        report(discrepancy.of_agent(&agent).at(position).by(&destination));
    }
    Ok(())
}

/// Ids of the rewards that outcomes after `end` tell of.
async fn told_after(log: &Log, end: Position) -> Result<BTreeSet<Box<str>>, LogError> {
    let mut told = BTreeSet::new();
    let bounds = read(|| log.bounds()).await?;
    let (mut at, last) = (end.max(bounds.first.saturating_sub(1)), bounds.last);
    'reading: while at < last {
        let mut reader = read(|| log.read(at + 1)).await?;
        while at < last {
            let events = match reader.next(READ_MAX).await {
                Ok(events) => events,
                Err(error) if error.is_transient() => continue 'reading,
                Err(error) => return Err(error),
            };
            for event in events {
                at = event.position;
                let event: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
                if event["type"] == OUTCOME
                    && let Some(id) = event["data"]["output_id"].as_str()
                {
                    told.insert(id.into());
                }
            }
        }
    }
    Ok(told)
}
