//! Ready means working: no process says that it is ready while nothing advances.
//!
//! What there is to do is taken from the world and from how far the partitions are, and not from what the process makes
//! of that: events behind which a partition is, what it has applied and nobody has committed, what is committed and not
//! in the output stream. Quarantined input that is not taken is kept for later: a note of the process, and no complaint.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use aftercall::{
    log::{Lane, PartitionId, memory::World},
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
type Standing = (Vec<u64>, (u64, u64, u64));

/// Watches a process until it has ended.
pub fn watch(world: &World, process: &Process, broken: &Broken) {
    let (board, log) = (Arc::downgrade(&process.board), Arc::clone(&process.log));
    let (world, broken) = (world.clone(), broken.clone());
    tokio::task::spawn_local(async move {
        let (mut seen, mut work) = (None, None);
        let mut since = Instant::now();
        while let Some(board) = board.upgrade() {
            let standing = Some(standing(&world, &board));
            if seen != standing {
                (seen, work) = (standing, work_of(&world, &board));
                since = Instant::now();
            }
            if work.is_none() || !complaints(&board, &log).is_empty() {
                since = Instant::now();
            }
            if since.elapsed() >= STILL_MAX {
                let text = format!("ready_means_working: nothing advances from {seen:?}: {work:?}");
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

/// What there is to do: a partition, and how far it is.
fn work_of(world: &World, board: &Board) -> Option<String> {
    let (end, ..) = world.totals();
    let outputs = world.outputs();
    board.partitions().into_iter().find_map(|status| {
        let published = outputs.iter().filter(|output| {
            output.partition == status.partition && output.output.lane != Lane::Dead
        });
        let published = published.count();
        let (position, said) = committed(world, status.partition);
        let has_work = status.applied < end || position < status.applied || published < said;
        has_work.then(|| {
            format!(
                "{} has applied {} of {end}, committed {position} and published {published} of {said}",
                status.partition, status.applied
            )
        })
    })
}

/// Where the journal ends, and the outputs proper that it holds.
fn committed(world: &World, partition: PartitionId) -> (u64, usize) {
    let records = world.journal(partition).into_iter();
    let records = records.filter_map(|stored| Record::read(&stored.bytes).ok());
    records.fold((0, 0), |(_, said), record| {
        let outputs = publishable(partition, &record).into_iter();
        let proper = outputs.filter(|said| said.output.lane != Lane::Dead);
        (record.position, said + proper.count())
    })
}
