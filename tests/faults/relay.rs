//! Outputs that were committed and not published, found by the next owner long after the log has forgotten their ids.

use std::time::Duration;

use aftercall::{
    log::{EventLog as _, Lane, PartitionId},
    shard::{
        batch::route,
        engine::{Engine, Sealed},
        recovery::recover,
    },
};
use aftercall_actors::rules::RuleSet;

use crate::fixtures::{Centre, PARTITIONS, in_virtual_time};

/// The log remembers message ids for two minutes; the recovery comes after three. `published` outputs of each
/// commit stood already when the owner died.
#[test]
fn outputs_committed_but_unpublished_stand_once_however_late_the_recovery() {
    for published in [0, 1, 3] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_without_snapshot(40).await;
            centre.feed(300).await;
            let mut waiting = 0;
            for partition in PartitionId::all(PARTITIONS) {
                let sealed = commit_without_publishing(&centre, partition).await;
                waiting += sealed.outputs.len().saturating_sub(published);
                publish(&centre, partition, &sealed, published).await;
            }
            assert!(waiting > 10, "{waiting} outputs wait");
            tokio::time::sleep(Duration::from_secs(180)).await;
            let process = centre.start();
            centre.all_is_well(&process).await;
        });
    }
}

/// An owner that applies everything, commits it, and dies before its relay has begun.
async fn commit_without_publishing(centre: &Centre, partition: PartitionId) -> Sealed {
    let log = centre.world.client();
    let recovered = recover(&log, partition, &RuleSet::default_rules()).await;
    let mut engine = Engine::new(recovered.expect("recovered").start);
    let place = PartitionId::all(PARTITIONS).position(|other| other == partition);
    let feeds = route(centre.world.events(), PARTITIONS);
    engine.offer(feeds[place.expect("one of them")].clone());
    engine.apply().expect("applied");
    let sealed = engine.seal();
    log.journal_append(partition, sealed.expected, sealed.bytes.clone())
        .await
        .expect("committed");
    sealed
}

async fn publish(centre: &Centre, partition: PartitionId, sealed: &Sealed, count: usize) {
    let log = centre.world.client();
    let mut fences = [0; Lane::COUNT];
    for lane in Lane::all() {
        let mark = log.output_mark(partition, lane).await.expect("a mark");
        fences[lane.index()] = mark.map_or(0, |mark| mark.seq);
    }
    let outputs = &sealed.outputs[..count.min(sealed.outputs.len())];
    if !outputs.is_empty() {
        let stored = log.outputs_append(partition, &mut fences, outputs).await;
        assert_eq!(stored.expect("stored"), outputs.len());
    }
}
