//! Outputs that were committed and not published, found by the next owner long after the log has forgotten their ids.

use std::time::Duration;

use aftercall::{
    log::{
        EventLog as _, Lane, PartitionId,
        memory::{Outage, Part},
    },
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
    let recovered = recover(&log, partition, (&RuleSet::default_rules()).into()).await;
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
    let outputs = sealed.outputs.iter().take(count);
    let outputs: Vec<_> = outputs.map(|said| said.output.clone()).collect();
    if !outputs.is_empty() {
        let stored = log.outputs_append(partition, &mut fences, &outputs).await;
        assert_eq!(stored.expect("stored"), outputs.len());
    }
}

/// While nothing runs, and while the relay has nothing to say: whatever was lost stands again, each once and in order.
#[test]
fn outputs_that_the_log_lost_are_published_again() {
    for is_running in [false, true] {
        for lost in [1, 7, u64::MAX] {
            in_virtual_time(async |mut centre: Centre| {
                let process = centre.start();
                centre.feed(60).await;
                tokio::time::sleep(Duration::from_secs(30)).await;
                let all = centre.world.outputs();
                let last = all.last().map_or(0, |output| output.seq);
                if is_running {
                    centre.world.lose_outputs_after(last.saturating_sub(lost));
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    assert_eq!(centre.world.outputs().len(), all.len());
                    centre.feed(20).await;
                    centre.all_is_well(&process).await;
                } else {
                    process.crash();
                    centre.world.lose_outputs_after(last.saturating_sub(lost));
                    let process = centre.start();
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    assert_eq!(centre.world.outputs().len(), all.len());
                    centre.feed(20).await;
                    centre.all_is_well(&process).await;
                }
            });
        }
    }
}

/// What is lost again while it is published again comes all the same; what an operator removed does not.
#[test]
fn outputs_lost_twice_are_published_again_and_those_that_retention_removed_are_not() {
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        centre.feed(60).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let all = centre.world.outputs();
        let last = all.last().map_or(0, |output| output.seq);
        centre.world.lose_outputs_after(last / 2);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        centre.world.lose_outputs_after(last / 3);
        process.crash();
        let process = centre.start();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(centre.world.outputs().len(), all.len());
        process.crash();
        centre.world.trim_outputs(u64::MAX);
        let process = centre.start();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(centre.world.outputs().len(), 0);
        process.crash();
    });
}

/// Quarantined input waits for nothing and holds up nothing, so that any amount may wait while its stream is full. A taking
/// over leaves it in the journal, and it stands once when there is room again, in order.
#[test]
fn a_taking_over_does_not_collect_the_quarantined_input_that_cannot_get_out() {
    const UNREADABLE: usize = 3_000;
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        let outage = Outage::Full(Part::Dead);
        centre.world.set_outage(Some(outage));
        let alerts = centre.feed_unhappy(50).await;
        centre.feed_unreadable(UNREADABLE).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        process.crash();
        let log = centre.world.client();
        let mut left = 0;
        for partition in PartitionId::all(PARTITIONS) {
            let recovered = recover(&log, partition, (&RuleSet::default_rules()).into()).await;
            let recovered = recovered.expect("recovered");
            let collected: usize = recovered.unrelayed.iter().map(|(_, said)| said.len()).sum();
            assert!(collected < 100, "{partition} collects {collected}");
            left += usize::from(recovered.quarantined_from.is_some());
        }
        assert!(left > 0, "nothing was left in the journal");
        let process = centre.start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(centre.quarantined(), 0);
        centre.world.set_outage(None);
        centre.feed_unreadable(7).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(centre.quarantined(), UNREADABLE + 7);
        centre.each_alert_once(&alerts);
        centre.kinds_equal_the_model_of(&centre.world.events());
        process.crash();
    });
}
