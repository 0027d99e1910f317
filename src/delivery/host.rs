//! The actix actor of one destination: supervises the loop in `driver.rs`.
//!
//! Nothing is sent to it but the word to stop: outputs are pulled from the log by the loop, at its own pace, so there
//! is no mailbox to fill. A loop that panics ends alone; its actor is then started again by its supervisor, after a
//! pause that grows, and reads its journal anew. So a mistake that one output brings out delays one destination.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use backoff::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::{sync::watch, time::Instant};

use super::{
    driver::{Ended, drive},
    status::{DestinationBoard, DriverState},
    transport::Transport,
};
use crate::{
    log::{
        Log,
        owner::Owner,
        retry::{doubling, next_pause},
    },
    supervise::Panicked,
    telemetry::metrics,
};

/// Messages the mailbox holds.
const MAILBOX_MAX: usize = 4;

/// Before a driver that panicked is started again.
const PAUSES: ExponentialBuilder = doubling(Duration::from_millis(200), Duration::from_secs(30));

/// A driver that has lived this long has got over whatever it was.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// A start waits this long for destinations to take their journals over,
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// and looks this often.
const SETTLE_STEP: Duration = Duration::from_millis(2);

/// It is looked this often whether another process has the log.
const OWNED_EVERY: Duration = Duration::from_secs(1);

/// A host answers this late at most when the process stops.
const RELEASE_MAX: Duration = Duration::from_secs(4);

/// All destinations of this process, running.
pub struct Deliveries {
    board: Arc<DestinationBoard>,
    hosts: Vec<Addr<DestinationHost>>,
    arbiters: Vec<Arbiter>,
}

impl Deliveries {
    /// Starts an actor for each destination; each takes its journal over by itself. Must be called within an actix
    /// system.
    #[must_use]
    pub fn start(log: &Log, destinations: Vec<Arc<dyn Transport>>, owner: &Arc<Owner>) -> Self {
        let board = Arc::new(DestinationBoard::new(
            destinations.iter().map(|transport| transport.name()),
        ));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(destinations.len());
        let arbiters: Vec<Arbiter> = (0..threads).map(|_| Arbiter::new()).collect();
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        let hosts = destinations
            .into_iter()
            .zip(handles.iter().cycle())
            .map(|(transport, arbiter)| {
                let (log, board) = (Arc::clone(log), Arc::clone(&board));
                let owner = Arc::clone(owner);
                Supervisor::start_in_arbiter(arbiter, move |_| {
                    DestinationHost::new(log, transport, board, owner)
                })
            })
            .collect();
        Self {
            board,
            hosts,
            arbiters,
        }
    }

    /// Waits until each destination has taken its journal over, or has ended, but no longer than a start may take: one that
    /// comes later begins where it left off.
    pub async fn settled(&self) {
        let is_starting = || {
            let states = self.board.destinations();
            states
                .iter()
                .any(|status| status.state == DriverState::Starting)
        };
        let since = Instant::now();
        while is_starting() && since.elapsed() < SETTLE_MAX {
            tokio::time::sleep(SETTLE_STEP).await;
        }
    }

    /// How the destinations are.
    #[must_use]
    pub fn board(&self) -> Arc<DestinationBoard> {
        Arc::clone(&self.board)
    }

    /// Takes no more, waits a little for what is out, and leaves a checkpoint behind.
    pub async fn stop(self) {
        let releasing = futures::future::join_all(self.hosts.iter().map(|host| host.send(Release)));
        if tokio::time::timeout(RELEASE_MAX, releasing).await.is_err() {
            tracing::warn!(
                "some destinations did not finish in time; the next start goes on from their records"
            );
        }
        for arbiter in self.arbiters {
            arbiter.stop();
            // A thread that panicked has nothing left to stop.
            let _ = arbiter.join();
        }
    }
}

/// The host of one destination.
pub struct DestinationHost {
    log: Log,
    transport: Arc<dyn Transport>,
    board: Arc<DestinationBoard>,
    owner: Arc<Owner>,
    /// Another process has taken the destination over, or all of the log.
    stands_by: bool,
    /// The process stops.
    released: bool,
    stopping: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// Pauses behind panics in a row, and the last of them.
    pauses: ExponentialBackoff,
    pause: Duration,
    began: Instant,
}

impl DestinationHost {
    fn new(
        log: Log,
        transport: Arc<dyn Transport>,
        board: Arc<DestinationBoard>,
        owner: Arc<Owner>,
    ) -> Self {
        Self {
            log,
            transport,
            board,
            owner,
            stands_by: false,
            released: false,
            stopping: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            pauses: PAUSES.build(),
            pause: Duration::ZERO,
            began: Instant::now(),
        }
    }

    /// The process that has the log has its destinations as well; the others stand by.
    fn own(&mut self, ctx: &mut Context<Self>) {
        if self.released {
            return;
        }
        let has_ended = *self.ended.borrow();
        if has_ended && self.stands_by && self.owner.is_this() {
            self.stands_by = false;
            self.ended.send_replace(false);
            self.stopping.send_replace(false);
            // The supervisor starts the actor again.
            return ctx.stop();
        }
        if self.owner.is_another() && !self.stopping.send_replace(true) {
            self.stands_by = true;
            if has_ended {
                self.show_that_it_stands_by();
            }
        }
    }

    fn show_that_it_stands_by(&self) {
        let (destination, state) = (self.transport.name(), DriverState::Fenced);
        let reason = "another process has taken over, and this one stands by";
        super::metrics::show_state(destination, Some(state));
        self.board.end(destination, state, &reason);
    }

    fn finished(
        &mut self,
        outcome: Result<Ended, tokio::task::JoinError>,
        ctx: &mut Context<Self>,
    ) {
        match outcome {
            Ok(ended) => {
                ended.show(&self.board, self.transport.name());
                if self.stands_by && !self.released {
                    // Until now its driver gave account of itself.
                    self.show_that_it_stands_by();
                }
                self.stands_by |= ended.is_fenced();
                self.ended.send_replace(true);
            }
            Err(error) => {
                let destination = self.transport.name();
                let panicked = Panicked::from(error);
                tracing::error!(destination, %panicked, "the driver is started again");
                metrics().delivery.restarts(destination).inc();
                super::metrics::show_state(destination, Some(DriverState::Starting));
                let reason = format!("its driver is started again: it {panicked}");
                self.board.end(destination, DriverState::Starting, &reason);
                if self.began.elapsed() >= SOUND_AFTER {
                    self.pauses = PAUSES.build();
                }
                self.pause = next_pause(&mut self.pauses);
                // The supervisor starts the actor again.
                ctx.stop();
            }
        }
    }
}

impl Actor for DestinationHost {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        let pause = self.pause;
        self.began = Instant::now() + pause;
        let (log, transport) = (Arc::clone(&self.log), Arc::clone(&self.transport));
        let (board, owner) = (Arc::clone(&self.board), self.owner.id());
        let stopping = self.stopping.subscribe();
        // A task of its own: its panic is an answer here, and not the end of the arbiter's other actors.
        let driving = actix::spawn(async move {
            let mut stop = stopping.clone();
            tokio::select! {
                biased;
                // A dropped sender is a stop as well.
                _ = stop.wait_for(|stop| *stop) => Ended::AsAsked,
                () = tokio::time::sleep(pause) => drive(log, transport, board, owner, stopping).await,
            }
        });
        ctx.run_interval(OWNED_EVERY, Self::own);
        let waiting = driving
            .into_actor(self)
            .map(|outcome, host, ctx| host.finished(outcome, ctx));
        ctx.spawn(waiting);
    }
}

impl Supervised for DestinationHost {}

/// Ends the destination: what is out is waited for a little before the answer comes.
#[derive(Message)]
#[rtype(result = "()")]
struct Release;

impl Handler<Release> for DestinationHost {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Release, _: &mut Self::Context) -> Self::Result {
        self.released = true;
        self.stopping.send_replace(true);
        let mut ended = self.ended.subscribe();
        Box::pin(async move {
            // The sender lives in the host, which outlives this answer.
            let _ = ended.wait_for(|ended| *ended).await;
        })
    }
}
