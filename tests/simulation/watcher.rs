//! Ready means working: no process says that it is ready while nothing advances.
//!
//! What there is to do is taken from the world and from how far the partitions are, and not from what the process makes
//! of that: events behind which a partition is, what it has applied and nobody has committed, what is committed and not
//! in the output stream.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use aftercall::{
    log::{PartitionId, memory::World},
    shard::{board::Board, engine::publishable, record::Record},
};
use tokio::time::Instant;

use crate::process::{Process, complaints};

/// The first thing found, if any.
#[derive(Clone, Default)]
pub struct Broken(Rc<RefCell<Option<String>>>);

impl Broken {
    pub fn take(&self) -> Option<String> {
        self.0.take()
    }
}

/// How long nothing may advance while a process says that it is ready.
const STILL_MAX: Duration = Duration::from_secs(15);

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// All that can advance: positions applied, and what stands in the world.
type Standing = (Vec<u64>, (u64, usize, usize));

/// Watches a process until it has ended.
pub fn watch(world: &World, process: &Process, broken: &Broken) {
    let (board, log) = (Arc::downgrade(&process.board), Arc::clone(&process.log));
    let (world, broken) = (world.clone(), broken.clone());
    tokio::task::spawn_local(async move {
        let (mut seen, mut works) = (None, false);
        let mut since = Instant::now();
        while let Some(board) = board.upgrade() {
            let standing = Some(standing(&world, &board));
            if seen != standing {
                (seen, works) = (standing, has_work(&world, &board));
                since = Instant::now();
            }
            if !works || !complaints(&board, &log).is_empty() {
                since = Instant::now();
            }
            if since.elapsed() >= STILL_MAX {
                let text = format!("ready_means_working: nothing advances from {seen:?}");
                broken.0.borrow_mut().get_or_insert(text);
                return;
            }
            drop(board);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}

fn standing(world: &World, board: &Board) -> Standing {
    let applied = board.partitions().into_iter().map(|status| status.applied);
    (applied.collect(), world.totals())
}

fn has_work(world: &World, board: &Board) -> bool {
    let (end, ..) = world.totals();
    let outputs = world.outputs();
    board.partitions().into_iter().any(|status| {
        let published = outputs
            .iter()
            .filter(|output| output.partition == status.partition);
        let (position, said) = committed(world, status.partition);
        status.applied < end || position < status.applied || published.count() < said
    })
}

/// Where the journal ends, and the outputs it holds.
fn committed(world: &World, partition: PartitionId) -> (u64, usize) {
    let records = world.journal(partition).into_iter();
    let records = records.filter_map(|stored| Record::read(&stored.bytes).ok());
    records.fold((0, 0), |(_, said), record| {
        (
            record.position,
            said + publishable(partition, &record).len(),
        )
    })
}
