//! What agents said of rewards, against the output stream: each request and reversal stands there once, as it was said.

use std::collections::BTreeMap;

use aftercall_actors::contract::output::Kind;
use futures::StreamExt as _;
use serde_json::Value;

use super::{Check, Discrepancy, deliveries::Deliverer, provider::Provider, watch::Said};
use crate::{
    delivery::parcel::Parcel,
    log::{Lane, Log, LogError, PartitionId, Position, Seq, TailFrom, retry::read},
};

const LANE: Lane = Lane::Out(Kind::Reward);

/// What was found in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Outputs about rewards.
    pub(super) found: u64,
    /// Said and not there yet, as far as can be known.
    pub(super) unpublished: u64,
}

/// The sequence of the last output about a reward.
pub(super) async fn last(log: &Log, partitions: &[PartitionId]) -> Result<Seq, LogError> {
    let mut last = 0;
    for &partition in partitions {
        let mark = read(|| log.output_mark(partition, LANE)).await?;
        last = last.max(mark.map_or(0, |mark| mark.seq));
    }
    Ok(last)
}

/// Compares the stream up to `last` with what was `said`. Of what a partition said up to the position in `published`,
/// and before the last of it that is there, all has to be there; what it said later may still be on its way. Each
/// provider is told which rewards are its own.
pub(super) async fn compare(
    log: &Log,
    last: Seq,
    published: &BTreeMap<u16, Position>,
    said: &mut BTreeMap<Box<str>, Said>,
    (providers, deliverers): (&mut [Provider], &mut [Deliverer<'_>]),
    report: &mut impl FnMut(Discrepancy),
) -> Result<Found, LogError> {
    let mut reached: BTreeMap<u16, Position> = BTreeMap::new();
    let mut found = Found::default();
    let mut seq = 0;
    'reading: while seq < last {
        let from = match seq {
            0 => TailFrom::Start,
            seq => TailFrom::After(seq),
        };
        let mut tail = read(|| log.outputs_tail(&[LANE], from)).await?;
        while seq < last {
            let stored = match tail.next().await {
                Some(Ok(stored)) => stored,
                Some(Err(error)) if error.is_transient() => continue 'reading,
                Some(Err(error)) => return Err(error),
                None => continue 'reading,
            };
            seq = stored.seq;
            found.found += 1;
            match Parcel::read(&stored) {
                Ok(parcel) => {
                    if let Some(known) = look(&parcel, said, report) {
                        let reached = reached.entry(known.partition).or_default();
                        *reached = known.position.max(*reached);
                    }
                    for provider in &mut *providers {
                        provider.note(&parcel);
                    }
                    for deliverer in &mut *deliverers {
                        deliverer.note(&stored, &parcel);
                    }
                }
                Err(error) => {
                    let book = "nothing of the kind".to_owned();
                    report(Discrepancy::new(Check::Outputs, book, error.to_string()));
                }
            }
        }
    }
    for (id, said) in said.iter().filter(|(_, said)| said.found == 0) {
        let place = |places: &BTreeMap<u16, Position>| {
            let place = places.get(&said.partition);
            place.copied().unwrap_or(0)
        };
        // Of several that one event made, the first may be there and the others not yet.
        if said.position > place(published) && said.position >= place(&reached) {
            found.unpublished += 1;
            continue;
        }
        let book = format!("{} was said", said.event_type);
        let found = "no such output".to_owned();
        report(about(
            said,
            id,
            Discrepancy::new(Check::Outputs, book, found),
        ));
    }
    Ok(found)
}

/// Looks at one output; what was said of it, if anything was.
fn look<'a>(
    parcel: &Parcel,
    said: &'a mut BTreeMap<Box<str>, Said>,
    report: &mut impl FnMut(Discrepancy),
) -> Option<&'a Said> {
    let id = parcel.id.as_str();
    let Some(said) = said.get_mut(id) else {
        let book = "that it was never said".to_owned();
        let found = format!("{} as output {}", parcel.event_type, parcel.seq);
        let agent = parcel.subject.strip_prefix("agent/");
        let discrepancy = Discrepancy::new(Check::Outputs, book, found).of_reward(id);
        report(discrepancy.of_agent(agent.unwrap_or(&parcel.subject)));
        return None;
    };
    said.found += 1;
    let mut tell = |book: String, found: String| {
        report(about(
            said,
            id,
            Discrepancy::new(Check::Outputs, book, found),
        ));
    };
    if said.found > 1 {
        tell(
            format!("{} was said once", said.event_type),
            format!("it once more as output {}", parcel.seq),
        );
    }
    if parcel.event_type != said.event_type {
        tell(said.event_type.to_owned(), parcel.event_type.clone());
    }
    let subject = format!("agent/{}", said.agent);
    if parcel.subject != subject {
        tell(subject, parcel.subject.clone());
    }
    let data = serde_json::from_slice::<Value>(&said.data).unwrap_or_default();
    let (data, there) = (without_export(data), without_export(parcel.data.clone()));
    if there != data {
        let (book, found) = differing(&data, &there);
        tell(book, format!("{found} in output {}", parcel.seq));
    }
    Some(said)
}

/// The data without the export's version: older programs knew less of where points came from, and it is no money.
fn without_export(mut data: Value) -> Value {
    if let Some(metadata) = data.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("wfm_export_version");
    }
    data
}

fn about(said: &Said, id: &str, discrepancy: Discrepancy) -> Discrepancy {
    discrepancy
        .of_agent(&said.agent)
        .of_reward(id)
        .at(said.position)
}

/// The first field that two objects do not have alike, as each has it.
fn differing(book: &Value, found: &Value) -> (String, String) {
    let empty = serde_json::Map::new();
    let fields = |value: &Value| value.as_object().unwrap_or(&empty).clone();
    let (book, found) = (fields(book), fields(found));
    let mut names = book.keys().chain(found.keys());
    let name = names.find(|name| book.get(*name) != found.get(*name));
    let Some(name) = name else {
        return ("an object".to_owned(), "something else".to_owned());
    };
    let text = |fields: &serde_json::Map<String, Value>| {
        fields
            .get(name)
            .map_or_else(|| format!("no {name}"), |value| format!("{name} {value}"))
    };
    (text(&book), text(&found))
}
