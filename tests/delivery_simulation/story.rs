//! One run: a seed's troubles, then peace, then the checks.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use aftercall::{
    delivery::{
        dead_letter::{Choice, Entry, fold::Letters},
        driver::{Ended, drive},
        journal::JournalError,
        policy::{Limits, Merge, OutcomeRule, Policy, Rate, Retry, Start},
        status::{DestinationBoard, DriverState},
        transport::Transport,
    },
    envelope::{Origin, output_attributes},
    log::{
        EventLog as _, Lane, LaneFences, Log, NewOutput, PartitionId, StoredDead,
        memory::{Faults, World},
    },
    shard::record::{FORMAT, Record},
};
use aftercall_actors::{
    breaker::{self, Trip},
    contract::{key::Side, output::Kind, time::LogTime},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use crate::stories::{Draws, in_virtual_time};

use crate::{
    invariants,
    vendor::{Books, Call, Vendor, hash, judgement},
};

const NAME: &str = "vendor";

/// The one partition that outputs come from here.
const PARTITION: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};

/// Log time at which every simulation begins.
pub const BEGAN: LogTime = LogTime(1_767_225_600_000);

/// Far longer than any story, in virtual time.
const LIFE_MAX: Duration = Duration::from_secs(6 * 3_600);

/// How long everything may take to be finished once all troubles are over.
const PEACE_MAX: Duration = Duration::from_secs(1_800);

/// What can be said of a run from outside, when it is over.
pub struct Aftermath {
    pub world: World,
    pub vendor: Vendor,
    /// Ids of all outputs, with their threads, in order of their sequences from 1.
    pub outputs: Vec<(String, Option<String>)>,
    /// Two processes ran at the same time.
    pub shared: bool,
    /// Dead letters and decisions that stood in the log until it lost them.
    pub dead_lost: Vec<StoredDead>,
    /// Delivery records were lost while no process knew what they said.
    pub forgot: bool,
    /// The log did as it was told.
    pub calm: bool,
}

/// Runs a seed; the answer says what is broken.
pub fn run(seed: u64, tell: bool) -> Result<(), String> {
    in_virtual_time(LIFE_MAX, async move {
        let aftermath = live(seed, tell).await?;
        if tell {
            show(&aftermath);
        }
        invariants::check(&aftermath)
    })
}

/// The vendor's calls in a run.
pub fn ledger(seed: u64) -> Vec<Call> {
    let calls = in_virtual_time(LIFE_MAX, async move {
        let aftermath = live(seed, false).await?;
        let calls = aftermath.vendor.books().calls.clone();
        Ok(calls)
    });
    calls.expect("the seed holds")
}

struct Process {
    life: JoinHandle<Ended>,
    stop: watch::Sender<bool>,
    board: Arc<DestinationBoard>,
}

struct Play {
    world: World,
    vendor: Vendor,
    processes: Vec<Process>,
    started: u64,
    shared: bool,
    dead_lost: Vec<StoredDead>,
    /// Delivery records may be lost with the process.
    forgets: bool,
    forgot: bool,
    fences: LaneFences,
    outputs: Vec<(String, Option<String>)>,
}

async fn live(seed: u64, tell: bool) -> Result<Aftermath, String> {
    let mut draws = Draws::new(seed);
    let faults = faults(seed, &mut draws);
    let world = World::new(1, faults);
    let merging = draws.one_in(4);
    let vendor = Vendor {
        seed,
        world: world.clone(),
        policy: policy(&mut draws, merging),
        judgement: Arc::new(judgement()),
        start: Start::Beginning,
        threads: merging || draws.below(3) > 0,
        books: Arc::new(Mutex::new(Books::default())),
    };
    let mut play = Play {
        world,
        vendor,
        processes: Vec::new(),
        started: 0,
        shared: false,
        dead_lost: Vec::new(),
        forgets: draws.one_in(4),
        forgot: false,
        fences: LaneFences::default(),
        outputs: Vec::new(),
    };
    play.keep_a_journal().await;
    play.start();
    let sharing = draws.one_in(3);
    for _ in 0..30 + draws.below(40) {
        play.step(&mut draws, sharing, tell).await?;
    }
    play.peace(tell).await?;
    Ok(Aftermath {
        world: play.world,
        vendor: play.vendor,
        outputs: play.outputs,
        shared: play.shared,
        dead_lost: play.dead_lost,
        forgot: play.forgot,
        calm: faults.delay_ms_max == 0,
    })
}

impl Play {
    /// Of the journals that outputs come from only their ends count here: they are beyond all that is published.
    async fn keep_a_journal(&self) {
        let log = self.world.client();
        let record = Record {
            format: FORMAT,
            commit: 1 << 40,
            ..Record::default()
        };
        for index in 0..2 {
            let partition = PartitionId {
                side: Side::Agent,
                index,
            };
            while self.world.journal(partition).is_empty() {
                let _unknown = log.journal_append(partition, 0, record.to_bytes()).await;
            }
        }
    }

    async fn step(&mut self, draws: &mut Draws, sharing: bool, tell: bool) -> Result<(), String> {
        let what = match draws.below(20) {
            18 => {
                self.lose_dead(draws);
                "dead letters and decisions lost"
            }
            19 if self.forgets && self.processes.len() < 2 => {
                self.lose_power(draws).await;
                "power lost"
            }
            16 => {
                self.lose_outputs(draws).await;
                "outputs lost and published again"
            }
            17 if self.processes.len() == 1 => {
                self.lose_deliveries(draws).await;
                "delivery records lost"
            }
            0 if self.processes.is_empty() || sharing => {
                self.start();
                "start"
            }
            1 | 2 if !self.processes.is_empty() => {
                let which = draws.below(self.processes.len() as u64) as usize;
                self.processes.remove(which).life.abort();
                if self.processes.is_empty() || sharing {
                    self.start();
                }
                "crash, start"
            }
            3 if !self.processes.is_empty() => {
                let which = draws.below(self.processes.len() as u64) as usize;
                self.stop(which).await?;
                "stop"
            }
            4 => {
                let ms = draws.below(20_000) as i64;
                let until = self.world.now().plus_ms(ms);
                self.vendor.books().down_until = until;
                "vendor down"
            }
            5 | 6 => {
                self.decide(draws).await;
                "operator"
            }
            8 => {
                let ms = draws.below(200_000) as i64;
                let until = self.world.now().plus_ms(ms);
                let mut books = self.vendor.books();
                books.shut_until = until;
                books.shut_count += 1;
                "credentials are wrong"
            }
            7 => {
                tokio::time::sleep(Duration::from_millis(draws.below(20_000))).await;
                "wait"
            }
            _ => {
                let count = 1 + draws.below(4);
                for _ in 0..count {
                    self.publish(draws).await;
                }
                "publish"
            }
        };
        if tell {
            println!("{:>8} ms  {what}", self.world.now().since_ms(BEGAN));
        }
        if draws.one_in(2) {
            tokio::time::sleep(Duration::from_millis(draws.below(2_000))).await;
        }
        Ok(())
    }

    fn start(&mut self) {
        self.started += 1;
        let log: Log = Arc::new(self.world.client());
        let board = Arc::new(DestinationBoard::new([NAME]));
        let transport: Arc<dyn Transport> = Arc::new(self.vendor.clone());
        let (stop, stopping) = watch::channel(false);
        let life = drive(log, transport, Arc::clone(&board), self.started, stopping);
        self.processes.push(Process {
            life: tokio::task::spawn_local(life),
            stop,
            board,
        });
        self.shared |= self.processes.len() > 1;
    }

    async fn stop(&mut self, which: usize) -> Result<(), String> {
        let process = self.processes.remove(which);
        process.stop.send_replace(true);
        match process.life.await {
            Ok(Ended::AsAsked | Ended::Journal(JournalError::Fenced(_))) => Ok(()),
            Ok(fault) => Err(format!("no_driver_stops: {fault}")),
            Err(error) => Err(format!("no_driver_panics: {error}")),
        }
    }

    /// The end of the outputs is lost; something else may come to stand there before the relay publishes them again.
    async fn lose_outputs(&mut self, draws: &mut Draws) {
        // No server is back within the millisecond.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let all = self.world.outputs();
        let back = draws.below(12) as usize;
        let lost: Vec<_> = all[all.len().saturating_sub(back)..].to_vec();
        let Some(first) = lost.first() else { return };
        self.world.lose_outputs_after(first.seq - 1);
        if draws.one_in(2) {
            tokio::time::sleep(Duration::from_millis(draws.below(3_000))).await;
        }
        // Each partition's relay goes by its own order; which comes first is chance.
        let (elsewhere, here): (Vec<_>, Vec<_>) = lost
            .into_iter()
            .partition(|stored| stored.partition != PARTITION);
        let (mut elsewhere, mut here) = (VecDeque::from(elsewhere), VecDeque::from(here));
        let mut new = match self.vendor.policy.merge {
            None => draws.below(4),
            Some(_) => 0,
        };
        loop {
            // What is new elsewhere comes behind what was lost there.
            let is_here =
                !here.is_empty() && ((elsewhere.is_empty() && new == 0) || draws.one_in(2));
            let next = match is_here {
                true => here.pop_front(),
                false => elsewhere.pop_front(),
            };
            match next {
                Some(stored) => self.store(stored.partition, &stored.output).await,
                None if new > 0 => {
                    new -= 1;
                    self.publish_from_elsewhere().await;
                }
                None => break,
            }
        }
    }

    /// The end of the dead letters and decisions is lost. What was written there stays written: nothing says it again.
    fn lose_dead(&mut self, draws: &mut Draws) {
        let all = self.world.dead();
        let back = draws.below(6) as usize;
        let lost = &all[all.len().saturating_sub(back)..];
        let Some(first) = lost.first() else { return };
        self.world.lose_dead_after(first.seq - 1);
        self.dead_lost.extend_from_slice(lost);
    }

    /// The process goes, if one runs, and with it the end of the line: what that said is known to none.
    async fn lose_power(&mut self, draws: &mut Draws) {
        let runs = !self.processes.is_empty();
        for process in self.processes.drain(..) {
            process.life.abort();
        }
        let before = self.world.delivery(NAME).len();
        self.world.lose_deliveries(draws.below(30));
        self.forgot |= self.world.delivery(NAME).len() != before;
        if draws.one_in(2) {
            self.lose_outputs(draws).await;
        }
        if runs {
            self.start();
        }
    }

    /// The end of the line is lost. Its owner knows what it said, and has to live until it has written that down.
    async fn lose_deliveries(&mut self, draws: &mut Draws) {
        let status = self.processes[0].board.destinations().remove(0);
        if status.state != DriverState::Running || self.processes[0].life.is_finished() {
            return;
        }
        let before = self.world.delivery(NAME).len();
        self.world.lose_deliveries(draws.below(30));
        let left = self.world.delivery(NAME);
        if left.len() == before {
            return;
        }
        while self.world.delivery(NAME).last() == left.last()
            && !self.processes[0].life.is_finished()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A checkpoint may have several pieces.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// An output of another partition, about nothing that others are about.
    async fn publish_from_elsewhere(&mut self) {
        let number = self.outputs.len() + 1;
        let id = format!("out-{number}");
        let partition = PartitionId {
            side: Side::Agent,
            index: 1,
        };
        let origin = Origin {
            partition,
            subject: "agent/8",
            time: self.world.now(),
            cause: "sim 1",
            rules_version: "1",
            commit: number as u64,
        };
        let output = NewOutput {
            lane: Lane::Out(Kind::Reward),
            commit: number as u64,
            ordinal: 0,
            attributes: output_attributes("reward.requested", &id, &origin),
            payload: json!({ "number": number, "thread": null })
                .to_string()
                .into(),
        };
        self.store(partition, &output).await;
        self.outputs.push((id, None));
    }

    /// Stores an output once, in order, as a relay does.
    async fn store(&mut self, partition: PartitionId, output: &NewOutput) {
        let log = self.world.client();
        loop {
            let mut fences = LaneFences::default();
            let mut stands = false;
            for lane in Lane::all() {
                if let Ok(Some(mark)) = log.output_mark(partition, lane).await {
                    fences[lane.index()] = mark.seq;
                    stands |= lane == output.lane && mark.commit >= output.commit;
                }
            }
            self.fences = fences;
            let some = std::slice::from_ref(output);
            if stands
                || log
                    .outputs_append(partition, &mut fences, some)
                    .await
                    .is_ok()
            {
                break;
            }
        }
        for lane in Lane::all() {
            if let Ok(mark) = log.output_mark(PARTITION, lane).await {
                self.fences[lane.index()] = mark.map_or(0, |mark| mark.seq);
            }
        }
    }

    async fn publish(&mut self, draws: &mut Draws) {
        let number = self.outputs.len() + 1;
        let id = format!("out-{number}");
        let thread = (draws.below(4) > 0).then(|| format!("t{}", draws.below(5)));
        let thread = thread.or_else(|| self.vendor.policy.merge.is_some().then(|| "t0".to_owned()));
        let kind = [Kind::Reward, Kind::Profile][draws.below(2) as usize];
        let origin = Origin {
            partition: PARTITION,
            subject: "agent/7",
            time: self.world.now(),
            cause: "sim 1",
            rules_version: "1",
            commit: number as u64,
        };
        let output = NewOutput {
            lane: Lane::Out(kind),
            commit: number as u64,
            ordinal: 0,
            attributes: output_attributes("reward.requested", &id, &origin),
            payload: json!({ "number": number, "thread": thread })
                .to_string()
                .into(),
        };
        // The shards' relay has a simulation of its own: here each output is stored once.
        let log = self.world.client();
        while log
            .outputs_append(PARTITION, &mut self.fences, std::slice::from_ref(&output))
            .await
            .is_err()
        {
            for lane in Lane::all() {
                if let Ok(mark) = log.output_mark(PARTITION, lane).await {
                    self.fences[lane.index()] = mark.map_or(0, |mark| mark.seq);
                }
            }
            let stands = self.world.outputs();
            if stands
                .iter()
                .any(|stored| stored.output.commit == number as u64)
            {
                break;
            }
        }
        self.outputs
            .push((id, thread.filter(|_| self.vendor.threads)));
    }

    /// An operator looks through the open letters and decides about one, retryable or not.
    async fn decide(&self, draws: &mut Draws) {
        let mut letters = Letters::default();
        let entries = self.world.dead();
        for stored in &entries {
            if let Ok(entry) = Entry::read(stored) {
                letters.take(stored.seq, &entry);
            }
        }
        let open: Vec<_> = letters.open().collect();
        if open.is_empty() {
            return;
        }
        let chosen = open[draws.below(open.len() as u64) as usize];
        let choice = if draws.one_in(4) {
            Choice::Drop
        } else {
            Choice::Retry
        };
        let decision = chosen.decide(choice, "sim", self.world.now());
        let entry = decision.entry().expect("plain data");
        let log = self.world.client();
        // An answer lost is a decision that may or may not stand; and some are sent twice.
        for _ in 0..1 + draws.below(2) {
            let _unknown = log.dead_append(NAME, entry.clone()).await;
        }
    }

    /// All troubles end; one last process finishes what there is.
    async fn peace(&mut self, tell: bool) -> Result<(), String> {
        self.world.set_faults(Faults::default());
        for process in self.processes.drain(..) {
            if process.life.is_finished() {
                match process.life.await {
                    Ok(Ended::AsAsked | Ended::Journal(JournalError::Fenced(_))) => {}
                    Ok(fault) => return Err(format!("no_driver_stops: {fault}")),
                    Err(error) => return Err(format!("no_driver_panics: {error}")),
                }
            } else {
                process.life.abort();
            }
        }
        // Longer than any write is late.
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.vendor.books().healed = true;
        if tell {
            println!("{:>8} ms  peace", self.world.now().since_ms(BEGAN));
        }
        self.start();
        let last = self.world.client().outputs_last().await;
        let last = last.map_err(|error| error.to_string())?;
        let board = Arc::clone(&self.processes[0].board);
        let began = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.processes[0].life.is_finished() {
                break;
            }
            let status = board.destinations().remove(0);
            if status.looked >= last && status.unfinished == 0 {
                break;
            }
            if began.elapsed() > PEACE_MAX {
                return Err(format!("settles: {status:?}"));
            }
        }
        // The last alarm may have to wait for its minute, behind one about credentials.
        tokio::time::sleep(Duration::from_secs(140)).await;
        self.stop(0).await
    }
}

/// Faults of a run: one seed in four has none.
fn faults(seed: u64, draws: &mut Draws) -> Faults {
    if draws.one_in(4) {
        return Faults {
            seed,
            ..Faults::default()
        };
    }
    Faults {
        seed,
        delay_ms_max: 1 + draws.below(40),
        lose_answer_per_mille: draws.below(80) as u32,
        drop_request_per_mille: draws.below(80) as u32,
        late_store_per_mille: draws.below(60) as u32,
        reader_disconnect_per_mille: draws.below(30) as u32,
        duplicate_append_per_mille: draws.below(60) as u32,
    }
}

fn policy(draws: &mut Draws, merging: bool) -> Policy {
    let some = |number: u64| NonZeroU32::new(number as u32).unwrap_or(NonZeroU32::MIN);
    Policy {
        limits: Limits {
            concurrency: some(1 + draws.below(8)),
            rate: draws.one_in(3).then(|| Rate {
                count: some(1 + draws.below(20)),
                per: Duration::from_secs(1),
            }),
            by_lane: draws.one_in(3),
        },
        retry: Retry {
            attempts: some(1 + draws.below(4)),
            first: Duration::from_millis(500),
            factor: some(2),
            max: Duration::from_secs(8),
            deadline: Duration::from_secs(20 + draws.below(100)),
            unknown_counts: draws.one_in(2),
        },
        breaker: breaker::Policy {
            trip: if draws.one_in(2) {
                Trip::Failures {
                    failures: some(2 + draws.below(6)),
                    within_ms: 10_000,
                }
            } else {
                Trip::FailingFor { ms: 5_000 }
            },
            open_ms: 3_000,
        },
        merge: merging.then_some(Merge {
            every: Duration::from_secs(5),
        }),
        outcome: draws.one_in(2).then(|| OutcomeRule {
            event_type: "reward.outcome".into(),
            delivered: "issued".into(),
            rejected: "rejected".into(),
            failed: "needs_review".into(),
        }),
    }
}

/// Prints the vendor's ledger, the letters and what was told.
fn show(aftermath: &Aftermath) {
    println!("{:#?}", aftermath.vendor.policy);
    for call in &aftermath.vendor.books().calls {
        println!("{} ms {call:?}", call.at.since_ms(BEGAN));
    }
    for event in aftermath.world.events() {
        println!("{}", String::from_utf8_lossy(&event.payload));
    }
    for stored in aftermath.world.dead() {
        println!("{} {:?}", stored.seq, Entry::read(&stored));
    }
    let moods: BTreeMap<&str, u64> = aftermath
        .outputs
        .iter()
        .map(|(id, _)| (id.as_str(), hash(aftermath.vendor.seed, id, 2)))
        .collect();
    println!("{} outputs", moods.len());
}
