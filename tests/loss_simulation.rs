//! A log that loses its ends: events, outputs, journal and snapshots, each for itself and together, while processes run,
//! crash and take over, and a log that is full for a while.
//!
//! The engine, the relay, recovery and snapshots run as in production, on the memory log with virtual time. Every event
//! is a bad survey of an agent of its own, or no event at all, so that what must stand in the end is plain: the alert, or
//! the quarantined original, of each event that the log holds, once. Each planted bug must be found.
//!
//! One seed with its story: `LOSS_SEED=42 cargo test --test loss_simulation -- --nocapture one_seed`; more of them:
//! `LOSS_SEEDS=20000 cargo test --test loss_simulation seeds`.

#[path = "support/process.rs"]
mod process;
#[path = "support/seeds.rs"]
mod seeds;
#[path = "support/stories.rs"]
mod stories;
#[path = "support/unhappy.rs"]
mod unhappy;

use std::{collections::BTreeMap, time::Duration};

use aftercall::{
    log::{
        EventLog as _, Lane, PartitionId,
        memory::{Faults, Outage, Part, World},
    },
    planted::Bug,
    shard::{board::State, drive::Ended, record::Record},
};
use aftercall_actors::rules::RuleSet;
use serde_json::Value;

use process::Process;
use stories::{Draws, number};

/// Seeds of an ordinary run.
const SEEDS: u64 = 600;

/// A planted bug must show within this many seeds.
const SEEDS_TO_FIND: u64 = 300;

/// Partitions a side.
const PARTITIONS: u16 = 2;

/// What can be full for a while, and still be fed.
const PARTS: [Part; 4] = [Part::Journal, Part::Snapshots, Part::Outputs, Part::Dead];

/// Far longer than any story, in virtual time.
const LIFE_MAX: Duration = Duration::from_secs(36_000);

#[test]
fn seeds_hold() {
    stories::all_hold("LOSS_SEEDS", SEEDS, |seed| run(seed, false));
}

#[test]
fn each_planted_bug_is_found() {
    stories::each_is_found(&Bug::OF_LOSS, SEEDS_TO_FIND, |seed| run(seed, false));
}

#[test]
fn one_seed() {
    let seed = number("LOSS_SEED").unwrap_or(1);
    if std::env::var_os("LOSS_SEED").is_some() {
        tracing_subscriber::fmt().with_test_writer().init();
    }
    run(seed, true).expect("the seed holds");
}

fn run(seed: u64, tell: bool) -> Result<(), String> {
    stories::in_virtual_time(LIFE_MAX, live(seed, tell))
}

async fn live(seed: u64, tell: bool) -> Result<(), String> {
    let mut draws = Draws::new(seed);
    let world = World::new(PARTITIONS, faults(seed, &mut draws));
    // A journal that is removed behind its snapshots cannot lose those; a log that can lose its end removes nothing.
    world.keep_journals();
    let mut process = Some(Process::start(&world, RuleSet::default_rules()));
    let mut sent = 0;
    for _ in 0..20 + draws.below(30) {
        let what = match draws.below(14) {
            0 => {
                lose(&world, &mut draws, tell);
                "lost"
            }
            // And something written there before anyone can look.
            1 => {
                lose(&world, &mut draws, tell);
                feed(&world, &mut sent, 1 + draws.below(30)).await;
                "lost, written anew"
            }
            2 => {
                // The power goes for all of it.
                if let Some(process) = process.take() {
                    process.crash();
                }
                for _ in 0..1 + draws.below(4) {
                    lose(&world, &mut draws, tell);
                }
                feed(&world, &mut sent, draws.below(20)).await;
                process = Some(Process::start(&world, RuleSet::default_rules()));
                "power lost"
            }
            3 => {
                if let Some(process) = process.take() {
                    process.crash();
                }
                process = Some(Process::start(&world, RuleSet::default_rules()));
                "crash, start"
            }
            4 => {
                if tell {
                    println!("to be stopped");
                }
                if let Some(process) = process.take() {
                    for ended in process.stop().await {
                        if !matches!(ended, Ended::AsAsked | Ended::JournalLost(_)) {
                            return Err(format!("no_partition_stops: {ended}"));
                        }
                    }
                }
                process = Some(Process::start(&world, RuleSet::default_rules()));
                "stop, start"
            }
            5 => {
                let full = PARTS[draws.below(PARTS.len() as u64) as usize];
                world.set_outage(Some(Outage::Full(full)));
                feed(&world, &mut sent, 3).await;
                tokio::time::sleep(Duration::from_millis(draws.below(30_000))).await;
                world.set_outage(None);
                "full for a while"
            }
            6 | 7 => {
                tokio::time::sleep(Duration::from_millis(draws.below(60_000))).await;
                "wait"
            }
            _ => {
                feed(&world, &mut sent, 1 + draws.below(10)).await;
                "feed"
            }
        };
        if tell {
            println!(
                "{what}: last event {}",
                world.events().last().map_or(0, |e| e.position)
            );
        }
        if draws.one_in(2) {
            tokio::time::sleep(Duration::from_millis(draws.below(4_000))).await;
        }
    }
    world.set_faults(Faults::default());
    // Longer than any write is late, any pause lasts, and any doubt takes.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let ready = process.as_ref().map(|process| process.board.partitions());
    for status in ready.into_iter().flatten() {
        if status.state != State::Running {
            return Err(format!("runs: {status:?}"));
        }
    }
    if tell {
        show(&world);
    }
    each_event_has_its_alert_once(&world)?;
    each_original_is_quarantined_once(&world)
}

/// Prints the events, every journal and the outputs.
fn show(world: &World) {
    for event in world.events() {
        let data: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        println!(
            "event {} {} {:?}",
            event.position, data["response_id"], event.route
        );
    }
    for partition in PartitionId::all(PARTITIONS) {
        for stored in world.journal(partition) {
            let Ok(record) = Record::read(&stored.bytes) else {
                continue;
            };
            let outputs = record.outputs.iter();
            let said: Vec<_> = outputs
                .map(|output| (&output.id, output.stood.is_some()))
                .collect();
            println!(
                "   lanes {:?} lost from {:?}",
                record
                    .lanes
                    .iter()
                    .map(|l| (l.lane, l.commit, l.ordinal))
                    .collect::<Vec<_>>(),
                record.lost_from
            );
            println!(
                "{partition} seq {} commit {} position {} rewound from {} lost after {:?} relayed {} {said:?}",
                stored.seq,
                record.commit,
                record.position,
                record.rewound_from,
                record.lost_after,
                record.relayed,
            );
        }
    }
    for stored in world.outputs() {
        let output = &stored.output;
        println!(
            "output {} of {} commit {} ordinal {} {:?}",
            stored.seq,
            stored.partition,
            output.commit,
            output.ordinal,
            output.attributes.iter().find(|(name, _)| *name == "ce-id")
        );
    }
}

/// As NATS does: some streams lose more than others.
fn lose(world: &World, draws: &mut Draws, tell: bool) {
    let back = draws.below(25);
    let what = match draws.below(5) {
        0 => {
            let last = world.events().last().map_or(0, |event| event.position);
            world.lose_events_after(last.saturating_sub(back));
            "events"
        }
        1 | 2 => {
            let last = world.outputs().last().map_or(0, |output| output.seq);
            world.lose_outputs_after(last.saturating_sub(back));
            "outputs"
        }
        3 => {
            world.lose_journals(back);
            "journal records"
        }
        _ => {
            world.lose_snapshots(back);
            "snapshot pieces"
        }
    };
    if tell {
        println!("  the last {back} {what} are lost");
    }
}

fn faults(seed: u64, draws: &mut Draws) -> Faults {
    if draws.one_in(2) {
        return Faults {
            seed,
            ..Faults::default()
        };
    }
    Faults {
        seed,
        delay_ms_max: draws.below(20),
        lose_answer_per_mille: draws.below(40) as u32,
        drop_request_per_mille: draws.below(40) as u32,
        reader_disconnect_per_mille: draws.below(20) as u32,
        ..Faults::default()
    }
}

async fn feed(world: &World, sent: &mut u64, count: u64) {
    let log = world.client();
    for _ in 0..count {
        *sent += 1;
        let id = format!("r{sent}");
        let mut event = unhappy::bad_survey(&id, "losses");
        if *sent % 9 == 4 {
            event.payload = format!("no event {id}").into();
        }
        while log
            .append(vec![event.clone()])
            .await
            .iter()
            .any(Result::is_err)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn each_event_has_its_alert_once(world: &World) -> Result<(), String> {
    let mut standing: BTreeMap<String, u32> = BTreeMap::new();
    for stored in world.outputs() {
        if stored.output.lane == Lane::Dead {
            continue;
        }
        let id = stored
            .output
            .attributes
            .iter()
            .find(|(name, _)| *name == "ce-id");
        *standing
            .entry(id.map_or_else(String::new, |(_, id)| id.clone()))
            .or_insert(0) += 1;
    }
    if let Some((id, count)) = standing.iter().find(|(_, count)| **count > 1) {
        return Err(format!("each_alert_once: {id} stands {count} times"));
    }
    for event in world.events() {
        let data: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        let Some(response) = data["response_id"].as_str() else {
            continue;
        };
        if !standing.contains_key(&format!("low_csat:{response}")) {
            return Err(format!(
                "each_event_has_its_alert: {response} at position {} has none",
                event.position
            ));
        }
    }
    Ok(())
}

fn each_original_is_quarantined_once(world: &World) -> Result<(), String> {
    let outputs = world.outputs().into_iter();
    let dead = outputs.filter(|stored| stored.output.lane == Lane::Dead);
    let mut standing: BTreeMap<(u64, String), u32> = BTreeMap::new();
    for stored in dead {
        let data: Value = serde_json::from_slice(&stored.output.payload).unwrap_or_default();
        let original = data["original"]["body"].as_str().unwrap_or_default();
        let position = data["position"].as_u64().unwrap_or_default();
        *standing.entry((position, original.to_owned())).or_insert(0) += 1;
    }
    if let Some((of, count)) = standing.iter().find(|(_, count)| **count > 1) {
        return Err(format!("each_original_once: {of:?} stands {count} times"));
    }
    for event in world.events() {
        let text = String::from_utf8_lossy(&event.payload).into_owned();
        let of = (event.position, text);
        if of.1.starts_with("no event") && !standing.contains_key(&of) {
            return Err(format!("each_original_is_quarantined: {of:?} is not"));
        }
    }
    Ok(())
}
