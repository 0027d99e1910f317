//! The event log has lost something or was trimmed. It is everybody's: of a hole in the middle everybody stops, behind an
//! end that was lost everybody goes on, and passes over nothing that stands there.

use std::time::Duration;

use aftercall::log::PartitionId;

use crate::fixtures::{Centre, PARTITIONS, SOON, VICTIM, in_virtual_time};

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
fn a_log_that_lost_its_end_while_nothing_ran_is_gone_on_with_and_says_so() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(40).await;
        let last = centre.last();
        centre.world.lose_events_after(last - 5);
        let process = centre.start();
        tokio::time::sleep(SOON * 5).await;
        let new = centre.feed_unhappy(20).await;
        tokio::time::sleep(SOON).await;
        let complaints = process.board.complaints(SOON * 10);
        assert_eq!(complaints, Vec::<String>::new());
        for (partition, notes) in PartitionId::all(PARTITIONS).zip(process.board.notes()) {
            let naming = format!("partition {partition}: the event log had lost its end");
            assert!(notes.contains(&naming), "{notes}");
            assert!(
                notes.contains(&format!("to {last} is no longer there")),
                "{notes}"
            );
        }
        assert_eq!(process.board.notes().len(), 2 * usize::from(PARTITIONS));
        centre.each_alert_once(&new);
    });
}

#[test]
fn events_written_where_lost_ones_stood_while_nothing_ran_are_applied() {
    for lost in [1, 5, 40] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_without_snapshot(40).await;
            let last = centre.last();
            centre.world.lose_events_after(last.saturating_sub(lost));
            let new = centre.feed_unhappy(60).await;
            let process = centre.start();
            tokio::time::sleep(SOON * 5).await;
            let complaints = process.board.complaints(SOON * 10);
            assert_eq!(complaints, Vec::<String>::new());
            centre.each_alert_once(&new);
        });
    }
}

#[test]
fn events_written_where_lost_ones_stood_in_a_snapshot_are_applied() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_with_snapshot(40).await;
        let last = centre.last();
        centre.world.lose_events_after(last - 10);
        let new = centre.feed_unhappy(60).await;
        let process = centre.start();
        tokio::time::sleep(SOON * 5).await;
        centre.each_alert_once(&new);
        // And what is packed and committed from here on is of the log as it is now.
        process.stop().await;
        let more = centre.feed_unhappy(10).await;
        let process = centre.start();
        tokio::time::sleep(SOON).await;
        assert_eq!(process.board.complaints(SOON * 10), Vec::<String>::new());
        assert_eq!(process.board.notes(), Vec::<String>::new());
        centre.each_alert_once(&[new, more].concat());
    });
}

/// Nothing that the partitions knew is lost with the log's end: they say what they would have said.
#[test]
fn a_log_that_lost_its_end_while_it_was_read_is_noticed_and_nothing_is_passed_over() {
    for (lost, refilled) in [(1, 0), (20, 0), (20, 5), (20, 20), (20, 60), (200, 100)] {
        in_virtual_time(async |mut centre: Centre| {
            let process = centre.start();
            centre.feed(40).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            let mut all = centre.world.events();
            let kept = centre.last().saturating_sub(lost);
            centre.world.lose_events_after(kept);
            let new = centre.feed_unhappy(refilled).await;
            tokio::time::sleep(SOON * 10).await;
            let more = centre.feed_unhappy(10).await;
            tokio::time::sleep(SOON).await;
            let complaints = process.board.complaints(SOON * 10);
            assert_eq!(complaints, Vec::<String>::new());
            centre.each_alert_once(&[new, more].concat());
            let standing = centre.world.events().into_iter();
            all.extend(standing.filter(|event| event.position > kept));
            centre.kinds_equal_the_model_of(&all);
        });
    }
}

#[test]
fn two_losses_one_after_the_other_pass_nothing_over() {
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        centre.feed(40).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let mut all = Vec::new();
        for lost in [10, 25] {
            centre.world.lose_events_after(centre.last() - lost);
            all = centre.feed_unhappy(30).await;
            tokio::time::sleep(SOON * 10).await;
        }
        centre.each_alert_once(&all);
        process.crash();
        centre.world.lose_events_after(centre.last() - 3);
        let more = centre.feed_unhappy(5).await;
        let process = centre.start();
        tokio::time::sleep(SOON * 10).await;
        assert_eq!(process.board.complaints(SOON * 10), Vec::<String>::new());
        centre.each_alert_once(&more);
    });
}
