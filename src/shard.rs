//! The host of actors: reads the log, applies events, commits what they caused, snapshots what stays quiet.
//!
//! | file | idea |
//! |---|---|
//! | `reader` | one reader a process; each event decoded once (`batch`) |
//! | `host` | the actix actor of a partition: its mailbox and back pressure |
//! | `drive` | a partition's life as one loop: performs what the engine decides |
//! | `engine` | decides: applies events to actors (`table`), seals records (`record`) |
//! | `ask`, `answering` | questions about actors, answered between batches without a change to any |
//! | `relay` | publishes committed outputs, each once |
//! | `snapshot`, `recovery` | quiet state behind the events, and the way back |
//! | `retrace`, `witness` | a partition's state worked out by somebody who does not own it, step by step |
//! | `overseer` | notices that nothing gets done, though everyone tries |
//! | `owning` | which of several processes has the log; the others stand by |
//! | `memory`, `shelf` | the bound on memory, and the disk that quiet actors go to when it is reached |
//! | `ticker`, `board`, `tally`, `quarantine`, `checksum` | time, bounds, accounts, counts, what cannot be processed, damage |

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::{Actor as _, Addr, Arbiter, ArbiterHandle};
use aftercall_actors::rules::RuleSet;
use tokio::sync::watch;

use crate::{
    envelope,
    log::{AppendError, Log, LogError, PartitionId, Position, owner::Owner},
    supervise::{Panicked, caught, restarted},
};

pub mod answering;
pub mod ask;
pub mod batch;
pub mod board;
pub mod drive;
pub mod engine;
pub mod host;
pub mod memory;
pub mod overseer;
mod owning;
pub mod quarantine;
pub mod reader;
pub mod record;
pub mod recovery;
pub mod relay;
pub mod retrace;
pub mod shelf;
pub mod snapshot;
pub mod table;
pub mod tally;
pub mod ticker;
pub mod witness;

pub use crate::log::checksum;

use ask::Asker;
use board::{Board, State};
use drive::Surroundings;
use host::{Begin, HostInlet, PartitionHost, Release, TakeOver};
use memory::MemoryBound;
use reader::{Floors, Inlet};

/// What an operator may turn.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Bound on the memory of resident actors, in bytes; reached, quiet ones go to the disk.
    pub actor_bytes_max: u64,
    /// Folder of the file they go to.
    pub shelf_folder: PathBuf,
}

/// All partitions of this process, running.
pub struct Hosts {
    log: Log,
    board: Arc<Board>,
    hosts: Vec<Addr<PartitionHost>>,
    arbiters: Vec<Arbiter>,
    stop_reading: watch::Sender<bool>,
    reading: tokio::task::JoinHandle<()>,
    ticking: tokio::task::JoinHandle<()>,
    owning: tokio::task::JoinHandle<()>,
    overseeing: tokio::task::JoinHandle<()>,
}

/// A host answers this late at most when the process stops.
const RELEASE_MAX: Duration = Duration::from_secs(4);

impl Hosts {
    /// Takes over every partition and starts them; returns once each has been acquired or stopped. Must be called
    /// within an actix system.
    ///
    /// # Errors
    /// If the log cannot be read at all. A fault of one partition stops that one and shows on the board.
    pub async fn start(
        log: Log,
        settings: HostSettings,
        genesis: RuleSet,
        owner: Arc<Owner>,
    ) -> Result<Self, LogError> {
        tally::show_reasons();
        let count = log.partition_count();
        let around = Surroundings {
            log: Arc::clone(&log),
            board: Arc::new(Board::new(count)),
            ticker: Arc::default(),
            memory: Arc::new(MemoryBound::new(
                count,
                settings.actor_bytes_max,
                settings.shelf_folder,
            )),
            genesis,
            owner,
        };
        let overseeing = start("overseer", &around, |around| {
            overseer::oversee(around.log, around.board, around.ticker)
        });
        let arbiters = arbiters(usize::from(count) * 2);
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        let hosts: Vec<Addr<PartitionHost>> = PartitionId::all(count)
            .zip(handles.iter().cycle())
            .map(|(partition, arbiter)| {
                let around = around.clone();
                PartitionHost::start_in_arbiter(arbiter, move |_| {
                    PartitionHost::new(partition, around)
                })
            })
            .collect();
        let (stop_reading, stopping) = watch::channel(false);
        let board = Arc::clone(&around.board);
        let begun = begin(&hosts, &around).await;
        let ticking = start("ticker", &around, |around| around.ticker.run(around.log));
        let owning = start("owning", &around, owning::own);
        let reading = read(around.clone(), hosts.clone(), begun, stopping);
        let reading = actix::spawn(async move {
            if let Err(panicked) = caught(reading).await {
                let error = format!("the reader of the log {panicked}");
                tracing::error!(%error, "reading the log has ended");
                around.board.stop_all(&error);
            }
        });
        Ok(Self {
            log,
            board,
            hosts,
            arbiters,
            stop_reading,
            reading,
            ticking,
            owning,
            overseeing,
        })
    }

    /// How the partitions are.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// The way to ask agents how they stand.
    #[must_use]
    pub fn asker(&self) -> Asker {
        // Agents' partitions come first, by number.
        let agents = usize::from(self.log.partition_count());
        let hosts = self.hosts.iter().take(agents).cloned();
        Asker::new(hosts.map(Addr::recipient).collect())
    }

    /// Makes `rules` active at a position of the log, unless they already are in every partition that runs.
    ///
    /// # Errors
    /// If the log did not take the event.
    pub async fn activate(&self, rules: &RuleSet) -> Result<Option<Position>, AppendError> {
        let partitions = self.board.partitions();
        if partitions
            .iter()
            .all(|status| status.rules == rules.version())
        {
            return Ok(None);
        }
        let event = envelope::rules_activated_event(rules.version(), rules.text(), self.log.now())
            .map_err(|reject| AppendError::Refused(reject.to_string()))?;
        let mut position = None;
        for appended in self.log.append(vec![event]).await {
            position = Some(appended?.position);
        }
        Ok(position)
    }

    /// Finishes what is in hand, snapshots, releases.
    pub async fn stop(self) {
        self.ticking.abort();
        self.owning.abort();
        self.overseeing.abort();
        self.stop_reading.send_replace(true);
        // The reader ends by itself.
        let _ = self.reading.await;
        let releasing = futures::future::join_all(self.hosts.iter().map(|host| host.send(Release)));
        if tokio::time::timeout(RELEASE_MAX, releasing).await.is_err() {
            tracing::warn!("some partitions did not finish in time; the next start recovers them");
        }
        for arbiter in self.arbiters {
            arbiter.stop();
            // A thread that panicked has nothing left to stop.
            let _ = arbiter.join();
        }
    }
}

/// Starts a loop without state of its own; one that panics begins anew, and is a complaint until it has.
fn start<F>(
    name: &'static str,
    around: &Surroundings,
    run: impl Fn(Surroundings) -> F + 'static,
) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + 'static,
{
    let around = around.clone();
    actix::spawn(async move {
        let told = |panicked: Option<&Panicked>| around.board.set_restarting(name, panicked);
        restarted(name, told, || run(around.clone())).await;
    })
}

/// Takes over the partitions that can run, and starts them. The answer is where reading begins and where it leads.
async fn begin(
    hosts: &[Addr<PartitionHost>],
    around: &Surroundings,
) -> (Option<Floors>, Vec<Option<Box<dyn Inlet>>>) {
    let alive = around.board.partitions();
    let taking = hosts.iter().zip(&alive).map(|(host, status)| async {
        match status.is_alive() {
            true => host.send(TakeOver).await.unwrap_or_else(|error| {
                let reason = format!("its host is gone: {error}");
                around.board.end(status.partition, State::Stopped, &reason);
                None
            }),
            false => None,
        }
    });
    let taken = futures::future::join_all(taking).await;
    if let Some(Some(_first)) = taken.first() {
        // Should another have taken it since, the next look finds that out.
        around.owner.took();
    }
    let inlets = hosts
        .iter()
        .zip(&taken)
        .map(|(host, taken)| taken.map(|_| Box::new(HostInlet(host.clone())) as Box<dyn Inlet>));
    let inlets: Vec<_> = inlets.collect();
    for host in hosts {
        // A host that could not take over has nothing to begin.
        let _ = host.send(Begin).await;
    }
    (Floors::of(taken.into_iter().flatten()), inlets)
}

/// Reads the log for the partitions until told to stop. A log that has lost its end is taken over anew.
async fn read(
    around: Surroundings,
    hosts: Vec<Addr<PartitionHost>>,
    begun: (Option<Floors>, Vec<Option<Box<dyn Inlet>>>),
    stopping: watch::Receiver<bool>,
) {
    let (mut floors, mut inlets) = begun;
    let board = &around.board;
    loop {
        let (log, memory) = (Arc::clone(&around.log), Arc::clone(&around.memory));
        let ended = match floors {
            Some(begins) => {
                let board = Arc::clone(board);
                reader::read(log, begins, inlets, board, memory, stopping.clone()).await
            }
            // With no partition to feed there is nothing to read.
            None => reader::wait(board, stopping.clone()).await,
        };
        match ended {
            Ok(()) => return,
            Err(error) if error.is_anew() => {
                if around.owner.is_another() {
                    tracing::warn!(%error, "partitions are released");
                } else {
                    tracing::error!(%error, "partitions take over anew");
                    board.begin_anew(&error);
                }
                // What they have applied is committed and packed first: the log may have lost it, they have not.
                futures::future::join_all(hosts.iter().map(|host| host.send(Release))).await;
                // What they found while they were released is what they are taken over for.
                drop(board.wants_anew());
                (floors, inlets) = begin(&hosts, &around).await;
            }
            Err(error) => {
                tracing::error!(%error, "reading the log has ended");
                return board.stop_all(&error);
            }
        }
    }
}

/// An arbiter (a thread with its own event loop) per partition, as far as cores allow.
fn arbiters(partitions: usize) -> Vec<Arbiter> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..cores.min(partitions)).map(|_| Arbiter::new()).collect()
}
