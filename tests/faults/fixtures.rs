//! A world with some history, and what can be asked of a process on it.

use std::time::Duration;

use aftercall::{
    log::{
        EventLog as _, Lane, PartitionId, Position, RawEvent,
        memory::{Faults, World},
    },
    shard::{
        board::{PartitionStatus, State},
        drive::Ended,
        record::Record,
    },
    traffic::Traffic,
};
use aftercall_actors::{
    contract::{key::Side, output::Kind, time::EventTime},
    rules::RuleSet,
};

use crate::{
    process::Process, reference::Reference, states::states_equal_the_model, unhappy::bad_survey,
};

/// Partitions a side.
pub const PARTITIONS: u16 = 2;

/// The partition that something happens to.
pub const VICTIM: PartitionId = PartitionId {
    side: Side::Customer,
    index: 1,
};

/// A fault must show within this time of when it can be found.
pub const SOON: Duration = Duration::from_secs(1);

/// A world, and the traffic that it gets.
pub struct Centre {
    pub world: World,
    traffic: Traffic,
    sent: i64,
}

/// Runs a test in virtual time.
pub fn in_virtual_time<F: Future<Output = ()>>(test: impl FnOnce(Centre) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let centre = Centre {
            world: World::new(PARTITIONS, Faults::default()),
            traffic: Traffic::new(7, 6, 12),
            sent: 0,
        };
        // Virtual hours: a test that hangs fails.
        tokio::time::timeout(Duration::from_secs(36_000), test(centre))
            .await
            .expect("the test ends");
    });
}

impl Centre {
    /// Appends made-up events.
    pub async fn feed(&mut self, count: usize) {
        let log = self.world.client();
        for _ in 0..count {
            self.sent += 1;
            let at = EventTime(1_767_225_600_000 + 1_000 * self.sent);
            let event = self.traffic.next_event(at).into_new_event();
            for answer in log.append(vec![event]).await {
                answer.expect("stored");
            }
        }
    }

    /// Appends bad surveys, each of an agent of its own: one alert each. The answer is their response ids.
    pub async fn feed_unhappy(&mut self, count: u64) -> Vec<String> {
        let log = self.world.client();
        let mut ids = Vec::new();
        for _ in 0..count {
            self.sent += 1;
            let id = format!("unhappy-{}", self.sent);
            let event = bad_survey(&id, "faults");
            for answer in log.append(vec![event]).await {
                answer.expect("stored");
            }
            ids.push(id);
        }
        ids
    }

    /// Each of these bad surveys has raised its alert, once.
    pub fn each_alert_once(&self, responses: &[String]) {
        let outputs = self.world.outputs();
        for response in responses {
            let alert = format!("low_csat:{response}");
            let found = outputs
                .iter()
                .filter(|stored| id(&stored.output.attributes) == alert)
                .count();
            assert_eq!(found, 1, "{alert}");
        }
    }

    /// What was said, but for quarantined input, is what a plain model says of these events.
    pub fn kinds_equal_the_model_of(&self, events: &[RawEvent]) {
        let outputs = self.world.outputs();
        for partition in PartitionId::all(PARTITIONS) {
            let model = Reference::of(partition, PARTITIONS, &RuleSet::default_rules(), events);
            for lane in Kind::ALL.map(Lane::Out) {
                let said = model.said.iter().filter(|(of, ..)| *of == lane);
                let said: Vec<_> = said.map(|(_, id, ..)| id.clone()).collect();
                let stored = outputs
                    .iter()
                    .filter(|stored| stored.partition == partition && stored.output.lane == lane);
                let stored: Vec<_> = stored.map(|s| id(&s.output.attributes)).collect();
                assert_eq!(stored, said, "{partition} lane {}", lane.name());
            }
        }
    }

    pub fn start(&self) -> Process {
        Process::start(&self.world, RuleSet::default_rules())
    }

    /// A process that is killed after it has applied `count` events: its journal stands, its snapshot does not.
    pub async fn history_without_snapshot(&mut self, count: usize) {
        let process = self.start();
        self.feed(count / 2).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.feed(count - count / 2).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        process.crash();
    }

    /// A process that stops in order after `count` more events: a generation stands at the end of the log.
    pub async fn history_with_snapshot(&mut self, count: usize) {
        let process = self.start();
        self.feed(count).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        for ended in process.stop().await {
            assert!(matches!(ended, Ended::AsAsked), "{ended}");
        }
    }

    pub fn last(&self) -> Position {
        self.world.events().last().map_or(0, |event| event.position)
    }

    /// Sequences of the partition's journal records, oldest first.
    pub fn journal(&self, partition: PartitionId) -> Vec<u64> {
        let journal = self.world.journal(partition);
        journal.iter().map(|stored| stored.seq).collect()
    }

    /// The newest record of the partition that holds outputs.
    pub fn newest_record_with_outputs(&self, partition: PartitionId) -> u64 {
        let journal = self.world.journal(partition);
        let spoke = journal.iter().rev().find(|stored| {
            Record::read(&stored.bytes).is_ok_and(|record| !record.outputs.is_empty())
        });
        spoke.expect("a record with outputs").seq
    }

    /// As [`Self::only_the_victim_stops`], and starting again does not make it good.
    pub async fn only_the_victim_stops_for_good(&mut self, process: Process, naming: &[&str]) {
        self.only_the_victim_stops(&process, naming).await;
        process.crash();
        let process = self.start();
        self.only_the_victim_stops(&process, naming).await;
    }

    /// After more events: the victim has stopped and said why, everyone else has applied everything.
    pub async fn only_the_victim_stops(&mut self, process: &Process, naming: &[&str]) {
        tokio::time::sleep(SOON).await;
        stopped(process, VICTIM, naming);
        self.feed(20).await;
        tokio::time::sleep(SOON).await;
        let last = self.last();
        for other in process.board.partitions() {
            if other.partition != VICTIM {
                assert_eq!(other.state, State::Running, "{other:?}");
                assert_eq!(other.applied, last, "{other:?}");
            }
        }
        stopped(process, VICTIM, naming);
        let complaints = process.board.complaints(Duration::from_secs(10));
        assert_eq!(complaints.len(), 1, "{complaints:?}");
    }

    /// Everyone has stopped and said why, and starting again does not make it good.
    pub async fn all_stop_for_good(&self, mut process: Process, naming: &[&str]) {
        for _ in 0..2 {
            tokio::time::sleep(SOON).await;
            for partition in PartitionId::all(PARTITIONS) {
                stopped(&process, partition, naming);
            }
            process.crash();
            process = self.start();
        }
    }

    /// Everyone runs and has applied everything; all that was ever said is what the plain model says, each once, and
    /// all that is remembered is what the model remembers.
    pub async fn all_is_well(&self, process: &Process) {
        // Longer than profiles are merged.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let last = self.last();
        for status in process.board.partitions() {
            assert_eq!(status.state, State::Running, "{status:?}");
            assert_eq!(status.applied, last, "{status:?}");
        }
        self.outputs_equal_the_model();
        // This takes the partitions over, so it comes last.
        let (log, genesis) = (self.world.client(), RuleSet::default_rules());
        states_equal_the_model(&log, &self.world.events(), &genesis).await;
    }

    fn outputs_equal_the_model(&self) {
        let (events, outputs) = (self.world.events(), self.world.outputs());
        let mut total = 0;
        for partition in PartitionId::all(PARTITIONS) {
            let genesis = RuleSet::default_rules();
            let model = Reference::of(partition, PARTITIONS, &genesis, &events);
            for lane in Lane::all() {
                let said = model.said.iter().filter(|(of, ..)| *of == lane);
                let said: Vec<_> = said.map(|(_, id, _, data)| (id.clone(), data)).collect();
                let stored = outputs
                    .iter()
                    .filter(|stored| stored.partition == partition && stored.output.lane == lane);
                let bytes: Vec<_> = stored
                    .map(|stored| {
                        (
                            id(&stored.output.attributes),
                            stored.output.payload.to_vec(),
                        )
                    })
                    .collect();
                let stored: Vec<_> = bytes.iter().map(|(id, data)| (id.clone(), data)).collect();
                assert_eq!(stored, said, "{partition} lane {}", lane.name());
                total += said.len();
            }
        }
        assert!(total > 20, "{total} outputs prove little");
    }
}

fn id(attributes: &[(&'static str, String)]) -> String {
    let found = attributes.iter().find(|(name, _)| *name == "ce-id");
    found.expect("an id").1.clone()
}

pub fn status(process: &Process, partition: PartitionId) -> PartitionStatus {
    let mut partitions = process.board.partitions().into_iter();
    partitions
        .find(|status| status.partition == partition)
        .expect("every partition has an account")
}

/// The partition has stopped, and both its account and `/readyz` name what `naming` says.
pub fn stopped(process: &Process, partition: PartitionId, naming: &[&str]) {
    let status = status(process, partition);
    assert_eq!(status.state, State::Stopped, "{status:?}");
    let reason = status.reason.expect("a reason");
    let complaints = process.board.complaints(Duration::from_secs(10));
    let complaint = format!("partition {partition} is stopped: {reason}");
    assert!(complaints.contains(&complaint), "{complaints:?}");
    for words in naming {
        assert!(reason.contains(words), "{reason:?} does not name {words:?}");
    }
}
