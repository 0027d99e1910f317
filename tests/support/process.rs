//! One process: the product's own reader, partitions, relay and ticker, as tasks that can be ended at any await.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aftercall::{
    log::{Log, PartitionId, health::STALL, memory::World, owner::Owner, watched::WatchedLog},
    shard::{
        batch::Feed,
        board::Board,
        drive::{Ended, Surroundings, acquire, drive},
        memory::MemoryBound,
        overseer::oversee,
        reader::{self, Floors, Inlet, ReadError},
        ticker::Ticker,
    },
};
use aftercall_actors::rules::RuleSet;
use futures::future::LocalBoxFuture;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

static PROCESSES: AtomicU64 = AtomicU64::new(1);

struct Direct(mpsc::Sender<Feed>);

impl Inlet for Direct {
    fn feed(&self, feed: Feed) -> LocalBoxFuture<'static, bool> {
        let feeds = self.0.clone();
        Box::pin(async move { feeds.send(feed).await.is_ok() })
    }
}

/// A running process.
pub struct Process {
    pub board: Arc<Board>,
    pub log: Log,
    stop_reading: watch::Sender<bool>,
    life: JoinHandle<Vec<Ended>>,
}

impl Process {
    /// Starts taking over every partition.
    pub fn start(world: &World, genesis: RuleSet) -> Self {
        Self::start_within(world, genesis, u64::MAX)
    }

    /// The same, with so much memory for actors.
    pub fn start_within(world: &World, genesis: RuleSet, bytes_max: u64) -> Self {
        let log = WatchedLog::around(Arc::new(world.client()));
        let board = Arc::new(Board::new(log.partition_count()));
        let (stop_reading, stopping) = watch::channel(false);
        let life = tokio::task::spawn_local(live(
            Arc::clone(&log),
            (genesis, bytes_max),
            Arc::clone(&board),
            stopping,
        ));
        Self {
            board,
            log,
            stop_reading,
            life,
        }
    }

    /// Why it is not ready, as `/readyz` would say.
    pub fn complaints(&self) -> Vec<String> {
        complaints(&self.board, &self.log)
    }

    /// Ends it at whatever await it is.
    pub fn crash(self) {
        self.life.abort();
    }

    /// Ends it in order.
    pub async fn stop(self) -> Vec<Ended> {
        self.stop_reading.send_replace(true);
        self.life
            .await
            .expect("a process that was told to stop ends by itself")
    }
}

/// Why a process is not ready, as `/readyz` would say.
pub fn complaints(board: &Board, log: &Log) -> Vec<String> {
    let mut complaints = board.complaints(STALL);
    complaints.extend(log.health().expect("an account").complaints());
    complaints
}

/// All of a process is one task, so that ending it ends everything at once. Where the log has lost its end, partitions
/// that run are taken over anew, as the product's hosts do.
async fn live(
    log: Log,
    (genesis, bytes_max): (RuleSet, u64),
    board: Arc<Board>,
    stopping: watch::Receiver<bool>,
) -> Vec<Ended> {
    let mut faults = Vec::new();
    loop {
        let (ended, lost) = one_life(&log, (&genesis, bytes_max), &board, stopping.clone()).await;
        let Some(lost) = lost else {
            faults.extend(ended);
            return faults;
        };
        faults.extend(
            ended
                .into_iter()
                .filter(|ended| !matches!(ended, Ended::AsAsked)),
        );
        drop(board.wants_anew());
        board.begin_anew(&lost);
    }
}

async fn one_life(
    log: &Log,
    (genesis, bytes_max): (&RuleSet, u64),
    board: &Arc<Board>,
    stopping: watch::Receiver<bool>,
) -> (Vec<Ended>, Option<ReadError>) {
    let (log, genesis, board) = (Arc::clone(log), genesis.clone(), Arc::clone(board));
    let ticker = Arc::new(Ticker::default());
    let around = Surroundings {
        log: Arc::clone(&log),
        board: Arc::clone(&board),
        ticker: Arc::clone(&ticker),
        memory: Arc::new(MemoryBound::new(
            log.partition_count(),
            bytes_max,
            std::env::temp_dir(),
        )),
        genesis,
        owner: Arc::new(Owner::new(PROCESSES.fetch_add(1, Ordering::Relaxed))),
    };
    let alive = board
        .partitions()
        .into_iter()
        .filter(|status| status.is_alive());
    let alive: Vec<PartitionId> = alive.map(|status| status.partition).collect();
    let partitions: Vec<PartitionId> = PartitionId::all(log.partition_count()).collect();
    let taking = partitions.iter().map(|partition| async {
        match alive.contains(partition) {
            true => Some(acquire(&around, *partition).await),
            false => None,
        }
    });
    let acquired = futures::future::join_all(taking).await;
    let mut inlets: Vec<Option<Box<dyn Inlet>>> = Vec::new();
    let mut floors = Vec::new();
    let mut ended = Vec::new();
    let mut drives = Vec::new();
    for (partition, outcome) in partitions.into_iter().zip(acquired) {
        match outcome {
            Some(Ok(acquired)) => {
                let (feeds, inlet) = mpsc::channel(2);
                inlets.push(Some(Box::new(Direct(feeds))));
                floors.push((acquired.floor, acquired.committed));
                // Nobody asks here.
                let (_, questions) = mpsc::channel(1);
                let driving = drive(around.clone(), acquired, inlet, questions);
                let board = Arc::clone(&board);
                drives.push(async move {
                    let ended = driving.await;
                    ended.show(&board, partition);
                    ended
                });
            }
            Some(Err(fault)) => {
                fault.show(&board, partition);
                inlets.push(None);
                ended.push(fault);
            }
            None => inlets.push(None),
        }
    }
    let Some(floors) = Floors::of(floors) else {
        return (ended, None);
    };
    let reading = async {
        let read = reader::read(
            Arc::clone(&log),
            floors,
            inlets,
            Arc::clone(&board),
            Arc::clone(&around.memory),
            stopping,
        );
        match read.await {
            Ok(()) => None,
            Err(lost) if lost.is_anew() => Some(lost),
            Err(error) => {
                board.stop_all(&error);
                None
            }
        }
    };
    let work = async { tokio::join!(reading, futures::future::join_all(drives)) };
    tokio::select! {
        biased;
        (lost, drives) = work => {
            ended.extend(drives);
            (ended, lost)
        }
        () = Arc::clone(&ticker).run(Arc::clone(&log)) => (ended, None),
        () = oversee(Arc::clone(&log), Arc::clone(&board), ticker) => (ended, None),
    }
}
