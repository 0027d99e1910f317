//! The event log has lost something, was trimmed, or is another one: it is everybody's, so everybody stops.

use std::time::Duration;

use crate::fixtures::{Centre, SOON, VICTIM, in_virtual_time};

#[test]
fn a_lost_event_stops_everyone_and_its_place_is_named() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_with_snapshot(40).await;
        let lost = centre.last() + 11;
        centre.feed(20).await;
        assert!(centre.world.lose_event(lost));
        let process = centre.start();
        let naming = format!(
            "log lost events: expected position {lost}, found {}",
            lost + 1
        );
        centre.all_stop_for_good(process, &[&naming]).await;
    });
}

#[test]
fn an_event_lost_before_the_newest_snapshot_is_not_needed_and_stops_nobody() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_with_snapshot(40).await;
        let whole = centre.world.clone();
        assert!(whole.lose_event(11));
        let process = centre.start();
        centre.feed(20).await;
        tokio::time::sleep(SOON).await;
        let complaints = process.board.complaints(Duration::from_secs(10));
        assert_eq!(complaints, Vec::<String>::new());
    });
}

#[test]
fn events_trimmed_before_they_were_applied_stop_everyone_with_the_way_out() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(40).await;
        centre.world.trim_events(20);
        let process = centre.start();
        let naming = [
            "position 1 is gone: retention has trimmed the log up to 20",
            "raise the retention",
        ];
        centre.all_stop_for_good(process, &naming).await;
    });
}

/// The boundary: the floor's own event may go, the one behind it may not.
#[test]
fn trimming_up_to_the_floor_harms_nobody_and_one_further_stops_everyone() {
    for (behind, harmed) in [(1, false), (2, true)] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_with_snapshot(40).await;
            let floor = centre.last();
            centre.feed(10).await;
            centre.world.trim_events(floor + behind);
            let process = centre.start();
            if harmed {
                let naming = format!("position {} is gone", floor + 1);
                centre.all_stop_for_good(process, &[&naming]).await;
            } else {
                tokio::time::sleep(SOON).await;
                let complaints = process.board.complaints(Duration::from_secs(10));
                assert_eq!(complaints, Vec::<String>::new());
            }
        });
    }
}

#[test]
fn events_trimmed_below_one_partitions_floor_stop_that_one_only() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_with_snapshot(40).await;
        for piece in centre.world.snapshots(VICTIM) {
            assert!(centre.world.corrupt_snapshot(VICTIM, piece.seq));
        }
        centre.world.trim_events(20);
        let process = centre.start();
        let naming = ["position 1 is gone", "up to 20"];
        centre
            .only_the_victim_stops_for_good(process, &naming)
            .await;
    });
}

#[test]
fn an_event_log_that_lost_its_end_is_found_by_the_journal() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(40).await;
        let last = centre.last();
        centre.world.lose_events_after(last - 1);
        let process = centre.start();
        let naming = format!(
            "it ends at position {}, the journal has committed {last}: acknowledged events were lost",
            last - 1
        );
        centre.all_stop_for_good(process, &[&naming]).await;
    });
}

#[test]
fn an_event_log_rolled_back_and_written_anew_is_found_by_the_events_identity() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(40).await;
        let last = centre.last();
        centre.world.lose_events_after(last - 5);
        centre.feed(30).await;
        let process = centre.start();
        let naming = format!("another event stands at committed position {last}");
        centre.all_stop_for_good(process, &[&naming]).await;
    });
}
