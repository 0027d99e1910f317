//! One destination's life: take over, then take, send, settle and tell until told to stop.
//!
//! The loop performs what the machine decides. One record is in flight while more facts gather; attempts and tidings
//! of committed facts run beside it. All of it is one task: dropped at any await, it leaves nothing that the next owner
//! cannot read from the journal. The simulation runs this same code.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aftercall_actors::contract::time::LogTime;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{LocalBoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::{
    inputs::{self, Follow, OperatorChoice, OperatorDecision},
    journal::{Journal, JournalError},
    metrics::Account,
    parcel::Parcel,
    record::{Case, Fact, Item, Sighting, Spot, Taken},
    report::{Report, Reporter, Reporting},
    state::{Action, Batch, Decision, Find, Machine},
    status::DestinationBoard,
    transport::{Transport, Turn},
};
use crate::log::{Log, LogError, Seq, StoredOutput};

mod again;
mod attempt;
mod commit;
mod ended;
mod kept;
mod secrets;

pub use ended::Ended;

use again::Seen;
use attempt::{Finished, Wanted, ask, attempt};
use ended::Stage;
use kept::Kept;

/// What was merely passed over is noted at least this often.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// A checkpoint is written this long after the last one, if anything was,
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// or once this many records have been, so that a journal stays short.
const CHECKPOINT_RECORDS: u64 = 1_000;

/// A stopping driver waits at most this long for what is out.
const STOP_MAX: Duration = Duration::from_secs(3);

/// Things taken in before the next look at what may begin.
const DRAIN_MAX: usize = 256;

/// Outputs kept in memory while they are unfinished; the rest is read again when its turn comes.
const PARCELS_MAX: usize = 4_096;

/// Streams nobody wants to read from are let go after this long.
const UNWANTED_MAX: Duration = Duration::from_secs(5);

/// Drives one destination until it is told to stop or must. `owner` tells this process from every other.
pub async fn drive(
    log: Log,
    transport: Arc<dyn Transport>,
    board: Arc<DestinationBoard>,
    owner: u64,
    stopping: watch::Receiver<bool>,
) -> Ended {
    let mut stopped = stopping.clone();
    let taking = Journal::take_over(&*log, &*transport, owner);
    let taken = tokio::select! {
        biased;
        // A dropped sender is a stop as well.
        _ = stopped.wait_for(|stop| *stop) => return Ended::AsAsked,
        taken = taking => taken,
    };
    let (journal, state) = match taken {
        Ok(taken) => taken,
        Err(error) => return error.into(),
    };
    let destination: Arc<str> = transport.name().into();
    let doubts = log.doubts();
    let mut machine = Machine::resume(state, log.now());
    let looking = again::look(&log, &destination, machine.places(), machine.follows());
    let moved = tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => return Ended::AsAsked,
        moved = looking => moved,
    };
    match moved {
        Ok(Some(moved)) => machine.moved(log.now(), moved),
        Ok(None) => {}
        Err(error) => return error.into(),
    }
    // The former owner's environment and files may have been others.
    machine.try_credentials();
    let driver = Driver {
        account: Account::new(Arc::clone(&destination), board, journal.epoch()),
        outputs: inputs::outputs(&log, &transport.lanes()),
        decisions: inputs::decisions(&log, &destination),
        reporter: Reporter {
            key: journal.key().clone(),
            log: Arc::clone(&log),
            destination: Arc::clone(&destination),
            outcome_type: transport
                .policy()
                .outcome
                .as_ref()
                .map(|rule| rule.event_type.clone()),
            alarm: transport.alarm(),
        },
        destination,
        machine,
        journal: Some(journal),
        commit: None,
        again: Batch::default(),
        attempts: FuturesUnordered::new(),
        errands: FuturesUnordered::new(),
        questions: FuturesUnordered::new(),
        parcels: BTreeMap::new(),
        marked_at: Instant::now(),
        wanted_at: Instant::now(),
        checkpoint_at: Instant::now(),
        records: 0,
        kept: Kept::new(log.is_shared(), Instant::now()),
        refused: None,
        doubts,
        looking: None,
        stage: Stage::Running,
        log,
        transport,
    };
    driver.run(stopping).await
}

struct Driver {
    log: Log,
    transport: Arc<dyn Transport>,
    destination: Arc<str>,
    machine: Machine,
    account: Account,
    reporter: Reporter,
    /// Gone while a record is on its way.
    journal: Option<Journal>,
    commit: Option<LocalBoxFuture<'static, Result<Committed, Uncommitted>>>,
    /// What was not committed with a record that the log lost, and comes with the checkpoint that follows.
    again: Batch,
    attempts: FuturesUnordered<LocalBoxFuture<'static, Finished>>,
    errands: FuturesUnordered<LocalBoxFuture<'static, Result<Errand, LogError>>>,
    /// For the lanes of items that are due.
    questions: FuturesUnordered<LocalBoxFuture<'static, (Seq, Vec<String>)>>,
    outputs: Follow<StoredOutput>,
    decisions: Follow<OperatorDecision>,
    /// Of unfinished items, as far as there is room.
    parcels: BTreeMap<Seq, Arc<Parcel>>,
    marked_at: Instant,
    wanted_at: Instant,
    checkpoint_at: Instant,
    /// Records since the last checkpoint.
    records: u64,
    /// The checkpoints that stay in the journal.
    kept: Kept,
    /// What was refused, and when it was last looked at.
    refused: Option<(u64, Instant)>,
    /// The log's doubts when it was last looked whether it still holds what was looked at.
    doubts: u64,
    /// That look. Until it is over nothing is taken in.
    looking: Option<LocalBoxFuture<'static, Result<Seen, LogError>>>,
    stage: Stage,
}

struct Committed {
    journal: Journal,
    batch: Batch,
    /// Sequence of a checkpoint's first record.
    checkpoint: Option<Seq>,
}

struct Uncommitted {
    /// As it was before.
    journal: Journal,
    batch: Batch,
    error: JournalError,
}

/// What is done beside the attempts.
enum Errand {
    Reported(Case),
    /// Its dead letter waits for the output, which the log has lost.
    Unreported(Case),
    AlarmTold,
    Trimmed,
}

/// What the loop waits for.
enum Event {
    Committed(Result<Committed, Uncommitted>),
    Finished(Finished),
    Lanes(Seq, Vec<String>),
    Done(Result<Errand, LogError>),
    OperatorDecision(Result<OperatorDecision, LogError>),
    Output(Result<StoredOutput, LogError>),
    Cursor(Result<Seen, LogError>),
    Stop,
    Time,
}

impl Driver {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) -> Ended {
        loop {
            let now = self.log.now();
            self.watch_secrets();
            self.watch_log();
            self.machine.decide(now);
            self.ask(now);
            if let Some(ended) = self.begin_commit() {
                return ended;
            }
            self.account.show(self.machine.state(), now);
            let event = self.wait(now, &mut stopping).await;
            if let Err(ended) = self.handle(event).and_then(|()| self.drain()) {
                return ended;
            }
        }
    }

    async fn wait(&mut self, now: LogTime, stopping: &mut watch::Receiver<bool>) -> Event {
        let cursor = self.machine.follows();
        let is_sure = self.looking.is_none();
        let wants_decision = is_sure && self.machine.wants_decision();
        let wants_output = is_sure && self.machine.wants_output(now);
        if wants_output {
            self.wanted_at = Instant::now();
        } else if self.wanted_at.elapsed() > UNWANTED_MAX {
            self.outputs.close();
        }
        let wake = self.wake_at(now);
        tokio::select! {
            biased;
            Some(done) = OptionFuture::from(self.commit.as_mut()), if self.commit.is_some() => {
                Event::Committed(done)
            }
            Some(finished) = self.attempts.next(), if !self.attempts.is_empty() => Event::Finished(finished),
            Some((seq, lanes)) = self.questions.next(), if !self.questions.is_empty() => {
                Event::Lanes(seq, lanes)
            }
            Some(done) = self.errands.next(), if !self.errands.is_empty() => Event::Done(done),
            _ = stopping.wait_for(|stop| *stop), if self.stage == Stage::Running => Event::Stop,
            Some(moved) = OptionFuture::from(self.looking.as_mut()), if self.looking.is_some() => {
                Event::Cursor(moved)
            }
            decision = self.decisions.next(cursor.dead), if wants_decision => Event::OperatorDecision(decision),
            output = self.outputs.next(cursor.output), if wants_output => Event::Output(output),
            () = tokio::time::sleep_until(wake) => Event::Time,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Committed(done) => {
                self.commit = None;
                match done {
                    Ok(done) => self.committed(done),
                    Err(failed) => self.uncommitted(failed)?,
                }
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Lanes(seq, lanes) => self.machine.told_lanes(seq, lanes),
            Event::Done(done) => match done? {
                Errand::Reported(case) => self.machine.reported(case),
                Errand::Unreported(case) => self.report_again(case),
                Errand::AlarmTold => self.machine.alarm_told(),
                Errand::Trimmed => {}
            },
            Event::OperatorDecision(decision) => self.decide(decision?),
            Event::Output(stored) => self.look(stored?),
            Event::Cursor(moved) => self.looked_again(moved?)?,
            Event::Stop => {
                self.machine.stop();
                self.stage = Stage::Stopping {
                    since: Instant::now(),
                };
            }
            Event::Time => {}
        }
        Ok(())
    }

    /// Takes in whatever else is ready, so that it is decided on and committed together.
    fn drain(&mut self) -> Result<(), Ended> {
        for _ in 0..DRAIN_MAX {
            let Some(Some(finished)) = self.attempts.next().now_or_never() else {
                break;
            };
            self.finished(finished);
        }
        while let Some(Some((seq, lanes))) = self.questions.next().now_or_never() {
            self.machine.told_lanes(seq, lanes);
        }
        for _ in 0..DRAIN_MAX {
            let Some(Some(done)) = self.errands.next().now_or_never() else {
                break;
            };
            self.handle(Event::Done(done))?;
        }
        let now = self.log.now();
        for _ in 0..DRAIN_MAX {
            if self.looking.is_some() || !self.machine.wants_output(now) {
                break;
            }
            let after = self.machine.follows().output;
            let Some(stored) = self.outputs.next(after).now_or_never() else {
                break;
            };
            self.look(stored?);
        }
        Ok(())
    }

    /// Starts the next record, if one is due and the one before is through. The answer is the end, once all is said.
    fn begin_commit(&mut self) -> Option<Ended> {
        if self.commit.is_some() {
            return None;
        }
        let half = self.log.record_bytes_max() / 2;
        match self.stage {
            Stage::Running => {}
            Stage::Stopping { since } => {
                let idle = self.attempts.is_empty() && self.errands.is_empty();
                let done = idle && !self.machine.has_facts();
                if done || since.elapsed() >= STOP_MAX {
                    // Whatever is still out has an outcome nobody knows; whoever comes next says so.
                    self.attempts.clear();
                    self.errands.clear();
                    self.stage = Stage::Closing;
                    self.begin_checkpoint(half);
                    return None;
                }
            }
            Stage::Closing => return Some(Ended::AsAsked),
        }
        let is_due = self.records >= CHECKPOINT_RECORDS
            || (self.records > 0 && self.checkpoint_at.elapsed() >= CHECKPOINT_EVERY);
        let mark_due = self.machine.has_passed() && self.marked_at.elapsed() >= MARK_EVERY;
        if is_due {
            self.begin_checkpoint(half);
        } else if self.machine.has_facts() || mark_due {
            self.marked_at = Instant::now();
            let batch = self.machine.batch(half);
            if batch.facts.is_empty() {
                self.perform(batch.actions);
            } else {
                self.begin_record(batch);
            }
        }
        None
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { seq, turn, handle } => self.send(seq, turn, handle),
                Action::Report { item } => self.report(item, Report::All),
                Action::Alarm(alarmed) => {
                    let reporting = self.reporter.clone().alarm(alarmed);
                    let errand = async move {
                        reporting.await;
                        Ok(Errand::AlarmTold)
                    };
                    self.errands.push(errand.boxed_local());
                }
            }
        }
    }

    fn report(&self, item: Box<Item>, what: Report) {
        let case = Case {
            output: item.taken.seq,
            round: item.round,
        };
        let parcel = self.parcels.get(&case.output).cloned();
        let reporting = self.reporter.clone().report(item, parcel, what);
        let errand = async move {
            Ok(match reporting.await? {
                Reporting::Done => Errand::Reported(case),
                Reporting::Waits => Errand::Unreported(case),
            })
        };
        self.errands.push(errand.boxed_local());
    }

    /// By now the output may have been found where it was published again. A process that stops leaves it to the next.
    fn report_again(&self, case: Case) {
        let item = self.machine.state().items().get(&case.output);
        let item = item.filter(|item| item.settled.is_some() && item.round == case.round);
        if let Some(item) = item.filter(|_| self.stage == Stage::Running) {
            self.report(Box::new(item.clone()), Report::Letter);
        }
    }

    /// Asks for the lanes of what is due.
    fn ask(&mut self, now: LogTime) {
        for question in self.machine.questions(now) {
            let parcel = self.parcels.get(&question.seq).cloned();
            let (log, transport) = (Arc::clone(&self.log), Arc::clone(&self.transport));
            let asking = ask(
                log,
                transport,
                (self.wanted(question.seq), parcel),
                question,
            );
            self.questions.push(asking.boxed_local());
        }
    }

    fn send(&mut self, seq: Seq, turn: Turn, handle: Option<Value>) {
        let parcel = self.parcels.get(&seq).cloned();
        let (log, transport) = (Arc::clone(&self.log), Arc::clone(&self.transport));
        let attempt = attempt(log, transport, (self.wanted(seq), parcel), handle, turn);
        self.attempts.push(attempt.boxed_local());
    }

    fn finished(&mut self, finished: Finished) {
        self.account.attempt_took(finished.took);
        let now = self.log.now();
        match &finished.attempt {
            Some(attempt) => self.machine.finished(now, finished.seq, attempt),
            None => self.machine.unmade(now, finished.seq),
        }
    }

    /// What is known of an item's output.
    fn wanted(&self, seq: Seq) -> Wanted {
        let state = self.machine.state();
        let item = state.items().get(&seq);
        Wanted {
            taken: item.map_or_else(Taken::default, |item| item.taken.clone()),
            lower: state.places().outputs_lower(),
            letters_of: item
                .filter(|item| item.round > 1)
                .map(|_| Arc::clone(&self.destination)),
        }
    }

    fn look(&mut self, mut stored: StoredOutput) {
        if self.is_in_doubt() {
            return;
        }
        let (at, spot) = (stored.seq, Spot::of(&stored));
        stored.seq += self.machine.state().places().outputs_lower();
        let sighting = spot.map(|spot| Sighting {
            spot,
            at,
            stored_ms: Some(stored.time.0),
        });
        if sighting.is_some_and(|sighting| !self.machine.sees(sighting)) {
            return self.machine.pass(stored.seq);
        }
        match Parcel::read(&stored) {
            Ok(parcel) if self.transport.selects(&parcel) => {
                let find = Find {
                    spot,
                    at: if at == stored.seq { 0 } else { at },
                    ..inputs::find(&*self.transport, &parcel)
                };
                if self.machine.adopts(&find, at) {
                    return self.machine.pass(parcel.seq);
                }
                if let Some(seq) = self.machine.take(self.log.now(), find) {
                    self.keep(Parcel { seq, ..parcel });
                }
            }
            Ok(_) => self.machine.pass(stored.seq),
            Err(error) => {
                tracing::error!(destination = %self.destination, %error, "output passed over");
                self.account.unreadable();
                self.machine.pass(stored.seq);
            }
        }
    }

    fn decide(&mut self, decision: OperatorDecision) {
        if self.is_in_doubt() {
            return;
        }
        let seq = decision.seq + self.machine.state().places().dead_lower();
        if !self.machine.sees_dead(decision.time) {
            return self.machine.pass_dead(seq);
        }
        let (case, parcel) = match decision.choice {
            OperatorChoice::None => return self.machine.pass_dead(seq),
            OperatorChoice::Drop(case) => (case, None),
            OperatorChoice::Retry(case, wanted) => (case, Some(wanted)),
        };
        let (parcel, spot) = parcel.unzip();
        let retry = parcel.as_ref().map(|parcel| Find {
            spot: spot.flatten(),
            ..inputs::find(&*self.transport, parcel)
        });
        let decision = Decision { seq, case, retry };
        self.machine.decided(self.log.now(), decision);
        if let Some(parcel) = parcel {
            self.keep(*parcel);
        }
    }

    /// Keeps an output at hand, if it became an item.
    fn keep(&mut self, parcel: Parcel) {
        let is_item = self.machine.state().items().contains_key(&parcel.seq);
        if is_item && self.parcels.len() < PARCELS_MAX {
            self.parcels.insert(parcel.seq, Arc::new(parcel));
        }
    }

    fn stored_at(&self, fact: &Fact) -> Option<LogTime> {
        let parcel = self.parcels.get(&fact.ends()?)?;
        Some(parcel.stored_at)
    }

    /// When to look again though nothing has come.
    fn wake_at(&self, now: LogTime) -> Instant {
        const LOOK_EVERY: Duration = Duration::from_millis(250);
        let due = self.machine.wake_at().map(|at| {
            // Log time counts whole milliseconds; a wait of none would spin.
            let ms = u64::try_from(at.since_ms(now)).unwrap_or(0).max(1);
            Duration::from_millis(ms)
        });
        Instant::now() + due.map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY))
    }
}
