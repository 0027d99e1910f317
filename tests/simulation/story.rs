//! One run: a seed's schedule, then peace, then the checks.

use std::{collections::BTreeMap, time::Duration};

use aftercall::{
    log::{
        EventLog as _, PartitionId,
        memory::{Faults, World},
    },
    planted,
    shard::{batch::route, board::State, drive::Ended, engine::Engine, recovery::recover},
};

use crate::{
    invariants,
    process::Process,
    schedule::{self, BEGAN, Step},
    stories::{Draws, in_virtual_time},
    watcher::{Broken, watch},
};

/// Partitions a side: two, so that actors meet and still live apart.
const PARTITIONS: u16 = 2;

/// Far longer than any schedule, in virtual time.
const LIFE_MAX: Duration = Duration::from_secs(3600);

/// Runs a seed; the answer says what is broken.
pub fn run(seed: u64, tell: bool) -> Result<(), String> {
    in_virtual_time(LIFE_MAX, live(seed, tell))
}

async fn live(seed: u64, tell: bool) -> Result<(), String> {
    let mut draws = Draws::new(seed);
    let world = World::new(PARTITIONS, schedule::faults(seed, &mut draws));
    let bounds = Bounds::of(seed);
    bounds.set(&world);
    // Of a run that broke.
    let _ = planted::take_divergences();
    let mut processes: Vec<Process> = Vec::new();
    let broken = Broken::default();
    for step in schedule::steps(&mut draws) {
        if tell {
            println!("{:>8} ms  {step:?}", world.now().since_ms(BEGAN));
        }
        match step {
            Step::Publish(event) => publish(&world, *event).await,
            Step::Start => {
                let genesis = schedule::genesis();
                let process = Process::start_within(&world, genesis, bounds.memory_bytes);
                watch(&world, &process, &broken);
                processes.push(process);
            }
            Step::Crash if !processes.is_empty() => {
                processes
                    .remove(draws.below(processes.len() as u64) as usize)
                    .crash();
            }
            Step::Stop if !processes.is_empty() => {
                let process = processes.remove(draws.below(processes.len() as u64) as usize);
                let faults: Vec<Ended> = process.stop().await;
                no_fault(&faults)?;
            }
            Step::Crash | Step::Stop => {}
            Step::Outage { what, ms, during } => {
                world.set_outage(Some(what));
                if let Some(event) = during {
                    publish(&world, *event).await;
                }
                tokio::time::sleep(Duration::from_millis(ms)).await;
                world.set_outage(None);
            }
            Step::Clock { off_ms } => world.set_clock_off(off_ms),
            Step::Wait { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }
    world.set_faults(Faults::default());
    for process in processes {
        process.crash();
    }
    // Longer than any write is late.
    tokio::time::sleep(Duration::from_secs(5)).await;
    settle(&world, &broken).await?;
    if let Some(broken) = broken.take() {
        return Err(broken);
    }
    if tell {
        show(&world);
    }
    let divergences = planted::take_divergences();
    if divergences > 0 {
        return Err(format!(
            "replay_agrees: {divergences} words were not to be said"
        ));
    }
    let states = states(&world).await?;
    invariants::check(&world, seed, &states)
}

/// How little fits into a record: actors of a run hold little themselves.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub record_bytes: usize,
    pub state_room: usize,
    memory_bytes: u64,
}

impl Bounds {
    /// By the seed alone, so that a run's schedule does not depend on them.
    pub fn of(seed: u64) -> Self {
        Self {
            // So small that every state is written by what has changed in it.
            record_bytes: if seed.is_multiple_of(2) {
                32 << 10
            } else {
                1 << 20
            },
            state_room: match seed % 3 {
                0 => 200 + usize::try_from(seed % 7).unwrap_or(0) * 150,
                _ => usize::MAX,
            },
            // So little that every actor goes to the disk after each batch.
            memory_bytes: if seed % 5 == 1 { 4 << 10 } else { u64::MAX },
        }
    }

    fn set(self, world: &World) {
        world.set_record_bytes_max(self.record_bytes);
        planted::set_state_room(self.state_room);
    }
}

async fn publish(world: &World, event: aftercall::log::NewEvent) {
    let log = world.client();
    while log
        .append(vec![event.clone()])
        .await
        .iter()
        .any(Result::is_err)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A last process catches up, lets every deadline pass, and stops in order.
async fn settle(world: &World, broken: &Broken) -> Result<(), String> {
    let process = Process::start(world, schedule::genesis());
    watch(world, &process, broken);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let complaints = process.complaints();
    if !complaints.is_empty() {
        return Err(format!("settles: {complaints:?}"));
    }
    for status in process.board.partitions() {
        if status.state != State::Running {
            return Err(format!(
                "settles: {} is {:?}: {:?}",
                status.partition, status.state, status.reason
            ));
        }
    }
    let ended = process.stop().await;
    if ended.iter().all(|ended| matches!(ended, Ended::AsAsked)) {
        Ok(())
    } else {
        Err(format!("settles: {ended:?}"))
    }
}

/// Another owner is part of the game; anything else that ends a partition is a fault.
fn no_fault(ended: &[Ended]) -> Result<(), String> {
    match ended
        .iter()
        .find(|ended| !matches!(ended, Ended::AsAsked | Ended::Fenced(_)))
    {
        Some(fault) => Err(format!("no_partition_stops: {fault}")),
        None => Ok(()),
    }
}

/// The actors as one more recovery computes them.
async fn states(world: &World) -> Result<BTreeMap<PartitionId, BTreeMap<String, Vec<u8>>>, String> {
    let log = world.client();
    let mut all = BTreeMap::new();
    for partition in PartitionId::all(PARTITIONS) {
        let recovered = recover(&log, partition, (&schedule::genesis()).into())
            .await
            .map_err(|error| format!("recovers: {partition}: {error}"))?;
        let mut engine = Engine::new(recovered.start);
        engine.set_record_bytes_max(log.record_bytes_max());
        let events: Vec<_> = world
            .events()
            .into_iter()
            .filter(|event| event.position > engine.applied())
            .collect();
        if !events.is_empty() {
            let place = PartitionId::all(PARTITIONS)
                .position(|other| other == partition)
                .unwrap_or(0);
            engine.offer(route(events, log.partition_count()).swap_remove(place));
            engine.apply().map_err(|error| error.to_string())?;
        }
        if engine.has_outputs() || engine.tally.divergences > 0 {
            return Err(format!(
                "replay_is_silent: {partition} says something new after everything was said"
            ));
        }
        all.insert(partition, engine.states());
    }
    Ok(all)
}

/// Prints the log and every journal.
fn show(world: &World) {
    for event in world.events() {
        let text = String::from_utf8_lossy(&event.payload).into_owned();
        println!(
            "{} {} ms {:?} {text}",
            event.position,
            event.time.since_ms(BEGAN),
            event.route
        );
    }
    for partition in PartitionId::all(PARTITIONS) {
        for stored in world.journal(partition) {
            let Ok(record) = aftercall::shard::record::Record::read(&stored.bytes) else {
                continue;
            };
            let said: Vec<_> = record.outputs.iter().map(|output| &output.id).collect();
            println!(
                "{partition} seq {} epoch {} commit {} position {} relayed {} {said:?}",
                stored.seq, record.epoch, record.commit, record.position, record.relayed
            );
        }
    }
}
