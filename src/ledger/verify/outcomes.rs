//! Each outcome of a reward against the destination that is said to have told it: its delivery records prove that it did.
//!
//! Records are trimmed, so the outcome carries a proof made of what only the records know (`delivery::proof`). Outcomes of
//! a log from before stand where anyone's stood; whether they were told cannot be known any more, and nothing is said
//! of them.

use std::collections::BTreeMap;

use aftercall_actors::contract::event::{Event, Outcome};
use bytes::Bytes;

use super::{Check, Discrepancy, VerifyError};
use crate::{
    delivery::{proof::Claim, record::Record},
    envelope::outcome_source,
    log::{Log, Position, dead::is_destination, retry::read},
};

const OUTCOME: &str = "reward.outcome";

/// An outcome that an agent heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    position: Position,
    agent: Box<str>,
    source: Box<str>,
    id: Box<str>,
    output_id: Box<str>,
    subject: Box<str>,
    status: Box<str>,
    proof: Option<Box<str>>,
}

impl Heard {
    pub(super) fn new(position: Position, agent: &str, event: &Event, outcome: &Outcome) -> Self {
        Self {
            position,
            agent: agent.into(),
            source: event.source.clone(),
            id: event.id.clone(),
            output_id: (&*outcome.output_id).into(),
            subject: outcome.subject.key().to_string().into(),
            status: (&*outcome.status).into(),
            proof: outcome.proof.as_deref().map(Into::into),
        }
    }
}

/// Reports each outcome that no delivery record stands behind.
pub(super) async fn compare(
    log: &Log,
    heard: Vec<Heard>,
    report: &mut impl FnMut(Discrepancy),
) -> Result<(), VerifyError> {
    let mut keys: BTreeMap<String, Option<Bytes>> = BTreeMap::new();
    for outcome in heard {
        let destination = outcome_source(&outcome.source).filter(|name| is_destination(name));
        let key = match destination {
            Some(name) => match keys.get(name) {
                Some(key) => key.clone(),
                None => {
                    let key = key_of(log, name).await?;
                    keys.insert(name.to_owned(), key.clone());
                    key
                }
            },
            None => None,
        };
        let is_proven = destination.zip(key).is_some_and(|(destination, key)| {
            let claim = Claim {
                destination,
                id: &outcome.id,
                event_type: OUTCOME,
                output_id: &outcome.output_id,
                subject: &outcome.subject,
                status: &outcome.status,
            };
            outcome.proof.as_deref() == Some(&*claim.prove(&key))
        });
        if !is_proven {
            report(unproven(&outcome, destination));
        }
    }
    Ok(())
}

fn unproven(outcome: &Heard, destination: Option<&str>) -> Discrepancy {
    let book = match destination {
        Some(name) => format!("that no delivery record of {name} stands behind it"),
        None => "that no destination told it".to_owned(),
    };
    let found = format!("the outcome `{}` from `{}`", outcome.status, outcome.source);
    Discrepancy::new(Check::Outcomes, book, found)
        .of_agent(&outcome.agent)
        .of_reward(&outcome.output_id)
        .at(outcome.position)
}

/// The key of a destination's line; none if it has no records, or none that a version with proofs wrote.
async fn key_of(log: &Log, destination: &str) -> Result<Option<Bytes>, VerifyError> {
    let Some(head) = read(|| log.delivery_head(destination)).await? else {
        return Ok(None);
    };
    let record = Record::read(&head.bytes).map_err(|error| VerifyError::Delivery {
        destination: destination.to_owned(),
        seq: head.seq,
        error,
    })?;
    Ok(Some(record.key).filter(|key| !key.is_empty()))
}
