//! What must hold after any run, by name.

use std::collections::BTreeMap;

use aftercall::{
    log::{Lane, PartitionId, clock::NEAR_MS, memory::World},
    shard::{
        engine::publishable,
        record::{Record, identity, link},
    },
};
use aftercall_actors::actor::Actor;

use crate::{reference::Reference, schedule, story::Bounds};

/// Checks everything; the answer names what is broken.
pub fn check(
    world: &World,
    seed: u64,
    states: &BTreeMap<PartitionId, BTreeMap<String, Vec<u8>>>,
) -> Result<(), String> {
    log_time_keeps_pace(world)?;
    let events = world.events();
    let genesis = schedule::genesis();
    for partition in PartitionId::all(world.partition_count()) {
        let records = journal_is_a_chain(world, partition)?;
        records_fit(world, partition, seed)?;
        position_and_outputs_together(world, partition, &records)?;
        each_output_once_and_in_order(world, partition, &records)?;
        let reference = Reference::of(partition, world.partition_count(), &genesis, &events);
        outputs_equal_replay_from_zero(partition, &records, &reference)?;
        state_equals_replay_from_zero(partition, &states[&partition], &reference)?;
    }
    Ok(())
}

/// Log time has come as far as real time, whatever the machine's clock said, and no further.
fn log_time_keeps_pace(world: &World) -> Result<(), String> {
    let off_ms = world.now().since_ms(world.real_time());
    if off_ms.abs() <= 2 * NEAR_MS {
        return Ok(());
    }
    Err(format!(
        "log_time_keeps_pace: it is {off_ms} ms away from real time"
    ))
}

/// Commit numbers without holes, each record naming the one before; epochs and positions never go back.
fn journal_is_a_chain(world: &World, partition: PartitionId) -> Result<Vec<Record>, String> {
    let mut records: Vec<Record> = Vec::new();
    let mut before = bytes::Bytes::new();
    for stored in world.journal(partition) {
        let record =
            Record::read(&stored.bytes).map_err(|error| format!("{partition}: {error}"))?;
        if let Some(last) = records.last() {
            let follows = record.commit == last.commit + 1
                && record.previous == link(&before)
                && record.epoch >= last.epoch
                && record.position >= last.position;
            if !follows {
                return Err(format!(
                    "journal_is_a_chain: {partition} commit {} does not follow {}",
                    record.commit, last.commit
                ));
            }
        }
        before = stored.bytes;
        records.push(record);
    }
    Ok(records)
}

/// No record is longer than the log takes, the first one apart, which holds the rules; and none holds more of states than
/// there is room for.
fn records_fit(world: &World, partition: PartitionId, seed: u64) -> Result<(), String> {
    let bounds = Bounds::of(seed);
    for stored in world.journal(partition).iter().skip(1) {
        let record = Record::read(&stored.bytes).map_err(|error| error.to_string())?;
        let states = record.states.iter();
        let bytes =
            states.map(|state| state.state.len() + state.changes.as_ref().map_or(0, |c| c.len()));
        if stored.bytes.len() > bounds.record_bytes || bytes.sum::<usize>() > bounds.state_room {
            return Err(format!(
                "records_fit: {partition} commit {} has {} bytes",
                record.commit,
                stored.bytes.len()
            ));
        }
    }
    Ok(())
}

/// A record with outputs covers the position of each cause, and names the event it ends at.
fn position_and_outputs_together(
    world: &World,
    partition: PartitionId,
    records: &[Record],
) -> Result<(), String> {
    let events: BTreeMap<u64, _> = world
        .events()
        .into_iter()
        .map(|event| (event.position, event))
        .collect();
    for record in records.iter().filter(|record| record.position > 0) {
        let Some(event) = events.get(&record.position) else {
            return Err(format!(
                "position_and_outputs_together: {partition} is beyond the log"
            ));
        };
        if identity(&event.payload) != record.identity() {
            return Err(format!(
                "position_and_outputs_together: {partition} commit {} names another event at {}",
                record.commit, record.position
            ));
        }
        for output in &record.outputs {
            if output.time_ms > event.time.0.max(record.time_ms) {
                return Err(format!(
                    "position_and_outputs_together: {partition} commit {} holds an output from its future",
                    record.commit
                ));
            }
        }
    }
    Ok(())
}

/// The output stream holds exactly what the journal holds: each once, each lane in order.
fn each_output_once_and_in_order(
    world: &World,
    partition: PartitionId,
    records: &[Record],
) -> Result<(), String> {
    let stored: Vec<_> = world
        .outputs()
        .into_iter()
        .filter(|stored| stored.partition == partition)
        .collect();
    for lane in Lane::all() {
        let committed: Vec<_> = records
            .iter()
            .flat_map(|record| publishable(partition, record))
            .map(|said| said.output)
            .filter(|output| output.lane == lane)
            .collect();
        let standing: Vec<_> = stored
            .iter()
            .map(|stored| &stored.output)
            .filter(|output| output.lane == lane)
            .collect();
        if !committed.iter().eq(standing.iter().copied()) {
            return Err(format!(
                "each_output_once_and_in_order: {partition} lane {} holds {} outputs, the journal {}",
                lane.name(),
                standing.len(),
                committed.len()
            ));
        }
    }
    Ok(())
}

fn outputs_equal_replay_from_zero(
    partition: PartitionId,
    records: &[Record],
    reference: &Reference,
) -> Result<(), String> {
    let said: Vec<_> = records.iter().flat_map(|record| &record.outputs).collect();
    for (number, (said, (lane, id, subject, data))) in said.iter().zip(&reference.said).enumerate()
    {
        let same_data = *lane == Lane::Dead || said.data == *data;
        if said.lane() != Some(*lane) || said.id != *id || said.subject != *subject || !same_data {
            return Err(format!(
                "outputs_equal_replay_from_zero: {partition} output {number} is {} of {}, the model says {id} of {subject}",
                said.id, said.subject
            ));
        }
    }
    if said.len() == reference.said.len() {
        Ok(())
    } else {
        Err(format!(
            "outputs_equal_replay_from_zero: {partition} said {} outputs, the model {}, its last {:?}",
            said.len(),
            reference.said.len(),
            reference.said.last().map(|(_, id, ..)| id),
        ))
    }
}

fn state_equals_replay_from_zero(
    partition: PartitionId,
    states: &BTreeMap<String, Vec<u8>>,
    reference: &Reference,
) -> Result<(), String> {
    let encoded = |actor: &Actor| {
        let mut bytes = Vec::new();
        actor.encode(&mut bytes);
        bytes
    };
    for (key, actor) in &reference.actors {
        let is_same = match states.get(key) {
            Some(held) => *held == encoded(actor),
            None => reference.stored(actor).is_none(),
        };
        if !is_same {
            return Err(format!(
                "state_equals_replay_from_zero: {partition} {key} differs from the model"
            ));
        }
    }
    let responses = reference.responses();
    if let Some((name, _)) = responses
        .iter()
        .find(|(name, state)| states.get(*name) != Some(*state))
    {
        return Err(format!(
            "state_equals_replay_from_zero: {partition} {name} differs from the model"
        ));
    }
    match states
        .keys()
        .find(|key| !reference.actors.contains_key(*key) && !responses.contains_key(*key))
    {
        Some(key) => Err(format!(
            "state_equals_replay_from_zero: {partition} holds {key}, the model does not"
        )),
        None => Ok(()),
    }
}
