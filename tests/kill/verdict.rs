//! What must hold at the end, read back through the port that every client uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Mutex,
    thread,
    time::Duration,
};

use aftercall::{
    envelope,
    log::{Lane, Log, PartitionId, Position, RawEvent, StoredOutput, TailFrom, sqlite},
    shard::record::Record,
};
use aftercall_actors::rules::RuleSet;
use futures::StreamExt as _;

use crate::{reference::Reference, states};

/// The log answers each call within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// An output as its reader gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    id: String,
    subject: String,
    /// Log time of the cause.
    time: String,
    commit: u64,
    data: String,
}

/// Everything a log holds.
pub struct Story {
    count: u16,
    events: Vec<RawEvent>,
    /// Position each partition has committed.
    committed: BTreeMap<PartitionId, Position>,
    outputs: BTreeMap<(PartitionId, Lane), Vec<Said>>,
}

/// Reads it all. Nobody may write any more.
pub async fn read(log: &Log) -> Story {
    let count = log.partition_count();
    let last = soon(log.bounds()).await.expect("bounds").last;
    let mut events: Vec<RawEvent> = Vec::new();
    let mut reader = soon(log.read(1)).await.expect("a reader");
    while (events.len() as u64) < last {
        events.extend(soon(reader.next(2_000)).await.expect("events"));
    }
    let mut committed = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for partition in PartitionId::all(count) {
        let head = soon(log.journal_head(partition)).await.expect("a journal");
        let record = Record::read(&head.expect("a record").bytes).expect("a good record");
        committed.insert(partition, record.position);
        for lane in Lane::all() {
            let mark = soon(log.output_mark(partition, lane)).await;
            if let Some(mark) = mark.expect("a mark") {
                ends.insert((partition, lane), mark.seq);
            }
        }
    }
    let mut outputs: BTreeMap<_, Vec<Said>> = BTreeMap::new();
    let tail = soon(log.outputs_tail(&[], TailFrom::Start)).await;
    let mut tail = tail.expect("a tail");
    while !ends.is_empty() {
        let stored = soon(tail.next()).await;
        let stored = stored.expect("no end").expect("an output");
        let place = (stored.partition, stored.lane);
        if ends.get(&place) == Some(&stored.seq) {
            ends.remove(&place);
        }
        outputs.entry(place).or_default().push(said(&stored));
    }
    Story {
        count,
        events,
        committed,
        outputs,
    }
}

/// An answer of the log, which may not hang.
async fn soon<T>(answering: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, answering).await;
    answer.expect("the log answers")
}

fn said(stored: &StoredOutput) -> Said {
    let attribute = |name: &str| {
        let value = stored.headers.get(name);
        value.unwrap_or_else(|| panic!("{stored:?}")).to_owned()
    };
    Said {
        id: attribute("ce-id"),
        // A quarantine entry belongs to no actor.
        subject: stored
            .headers
            .get("ce-subject")
            .unwrap_or_default()
            .to_owned(),
        time: attribute("ce-time"),
        commit: attribute("ce-commit").parse().expect("a number"),
        data: String::from_utf8_lossy(&stored.payload).into_owned(),
    }
}

/// Each event that was acknowledged stands in the log.
pub fn acknowledged_events_stand(story: &Story, acknowledged: &BTreeSet<String>) {
    let names = story.events.iter().filter_map(|raw| {
        let event = envelope::decode(raw, story.count).ok()?;
        Some(format!("{} {}", event.source, event.id))
    });
    let names: Vec<String> = names.collect();
    let standing: BTreeSet<String> = names.iter().cloned().collect();
    let lost: Vec<_> = acknowledged.difference(&standing).take(5).collect();
    assert!(lost.is_empty(), "acknowledged events are lost: {lost:?}");
    let twice = names.len() - standing.len();
    assert!(twice > 0, "nothing was stored twice, so nothing was proved");
}

/// Every partition said what the plain model says, in order, each once.
pub fn outputs_equal_the_model(story: &Story, rules: &str) {
    let genesis = RuleSet::parse(rules, "model").expect("good rules");
    let partitions: Mutex<Vec<_>> = Mutex::new(story.committed.iter().collect());
    let total = Mutex::new(BTreeMap::<Lane, usize>::new());
    let next = || partitions.lock().expect("no partition differs").pop();
    // A long story has millions of events, and each partition's model goes through all of them.
    let workers = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((partition, committed)) = next() {
                    let said = partition_equals_the_model(story, *partition, *committed, &genesis);
                    let mut total = total.lock().expect("no partition differs");
                    for (lane, count) in said {
                        *total.entry(lane).or_default() += count;
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no partition differs");
    println!(
        "{} events, outputs {:?}",
        story.events.len(),
        total.iter().map(|(l, n)| (l.name(), n)).collect::<Vec<_>>()
    );
    for lane in ["alert", "profile", "enps", "request", "dead"] {
        let some = total.iter().any(|(of, n)| of.name() == lane && *n > 0);
        assert!(some, "nothing in lane {lane}, so nothing was proved");
    }
}

/// The same of one partition. The answer is how much it said, by lane.
fn partition_equals_the_model(
    story: &Story,
    partition: PartitionId,
    committed: Position,
    genesis: &RuleSet,
) -> Vec<(Lane, usize)> {
    let events = &story.events[..usize::try_from(committed).expect("a position")];
    let model = Reference::of(partition, story.count, genesis, events);
    let lanes = Lane::all().map(|lane| {
        let none = Vec::new();
        let found = story.outputs.get(&(partition, lane)).unwrap_or(&none);
        let expected = model.said.iter().filter(|(of, ..)| *of == lane);
        let expected: Vec<_> = expected.collect();
        for (number, (found, (_, id, subject, data))) in found.iter().zip(&expected).enumerate() {
            let same_data = lane == Lane::Dead || found.data.as_bytes() == *data;
            assert!(
                found.id == *id && found.subject == *subject && same_data,
                "{partition} lane {} output {number}: found {found:?}, the model says {id} of {subject}: {}",
                lane.name(),
                String::from_utf8_lossy(data),
            );
        }
        assert_eq!(
            found.len(),
            expected.len(),
            "{partition} lane {}",
            lane.name()
        );
        each_once_and_in_order(partition, lane, found);
        (lane, found.len())
    });
    lanes.into_iter().collect()
}

/// What the killed program remembers is what the plain model remembers.
pub async fn states_equal_the_model(log: &Log, story: &Story, rules: &str) {
    let genesis = RuleSet::parse(rules, "model").expect("good rules");
    states::states_equal_the_model(log.as_ref(), &story.events, &genesis).await;
}

fn each_once_and_in_order(partition: PartitionId, lane: Lane, outputs: &[Said]) {
    let mut ids = BTreeSet::new();
    for output in outputs {
        assert!(
            ids.insert(&output.id),
            "{partition} lane {} holds {} twice",
            lane.name(),
            output.id
        );
    }
    for pair in outputs.windows(2) {
        assert!(pair[0].commit <= pair[1].commit, "{pair:?}");
    }
}

/// Two runs over the same events said the same; only the commits may have been cut differently.
pub fn same_outputs(one: &Story, other: &Story) {
    let without_commits = |story: &Story| {
        let mut outputs = story.outputs.clone();
        for output in outputs.values_mut().flatten() {
            output.commit = 0;
        }
        outputs
    };
    let (one, other) = (without_commits(one), without_commits(other));
    for (place, outputs) in &one {
        let again = other.get(place).map_or(&[][..], Vec::as_slice);
        for (output, again) in outputs.iter().zip(again) {
            assert_eq!(output, again, "{place:?}");
        }
        assert_eq!(outputs.len(), again.len(), "{place:?}");
    }
    assert!(other.keys().all(|place| one.contains_key(place)));
}

/// Copies an embedded log and leaves only the events in it.
pub fn copy_of_the_events(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let whole = rusqlite::Connection::open(from.join(sqlite::FILE)).expect("the file");
    let target = to.join(sqlite::FILE);
    whole
        .execute("VACUUM INTO ?1", [target.display().to_string()])
        .expect("a copy");
    let copy = rusqlite::Connection::open(&target).expect("the copy");
    copy.execute_batch(
        "DELETE FROM journal; DELETE FROM snapshot; DELETE FROM output; DELETE FROM output_mark;",
    )
    .expect("an empty journal");
}
