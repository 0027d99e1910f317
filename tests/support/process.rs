//! One process: the product's own reader, partitions, relay and ticker, as tasks that can be ended at any await.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::sync::Arc;

use aftercall::{
    log::{Log, PartitionId, health::STALL, memory::World, watched::WatchedLog},
    shard::{
        batch::Feed,
        board::Board,
        drive::{Ended, Surroundings, acquire, drive},
        memory::MemoryBound,
        overseer::oversee,
        reader::{self, Inlet},
        ticker::Ticker,
    },
};
use aftercall_actors::rules::RuleSet;
use futures::future::LocalBoxFuture;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

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

/// All of a process is one task, so that ending it ends everything at once.
async fn live(
    log: Log,
    (genesis, bytes_max): (RuleSet, u64),
    board: Arc<Board>,
    stopping: watch::Receiver<bool>,
) -> Vec<Ended> {
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
    };
    let partitions: Vec<PartitionId> = PartitionId::all(log.partition_count()).collect();
    let acquired = futures::future::join_all(partitions.iter().map(|p| acquire(&around, *p))).await;
    let mut inlets: Vec<Option<Box<dyn Inlet>>> = Vec::new();
    let mut floors = Vec::new();
    let mut ended = Vec::new();
    let mut drives = Vec::new();
    for (partition, outcome) in partitions.into_iter().zip(acquired) {
        match outcome {
            Ok(acquired) => {
                let (feeds, inlet) = mpsc::channel(2);
                inlets.push(Some(Box::new(Direct(feeds))));
                floors.push(acquired.floor);
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
            Err(fault) => {
                fault.show(&board, partition);
                inlets.push(None);
                ended.push(fault);
            }
        }
    }
    let Some(floor) = floors.into_iter().min() else {
        return ended;
    };
    let reading = async {
        if let Err(error) = reader::read(
            Arc::clone(&log),
            floor,
            inlets,
            Arc::clone(&board),
            Arc::clone(&around.memory),
            stopping,
        )
        .await
        {
            board.stop_all(&error);
        }
    };
    let work = async {
        let (_, drives) = tokio::join!(reading, futures::future::join_all(drives));
        drives
    };
    tokio::select! {
        biased;
        drives = work => ended.extend(drives),
        () = Arc::clone(&ticker).run(Arc::clone(&log)) => {}
        () = oversee(Arc::clone(&log), Arc::clone(&board), ticker) => {}
    }
    ended
}
