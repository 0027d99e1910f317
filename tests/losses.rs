//! A power loss takes the end of a stream: on a real nats-server, each of the six streams, with the service running and
//! stopped, and with something else written where the lost messages stood.
//!
//! The power loss is the server stopped, an older copy of the stream's directory put in its place, and the server started
//! again. What is asked for is always the same: every event that stands in the log raises its alert, every alert is
//! delivered, none of them twice where anything is left to tell, and the service is ready and says what was lost.

#[path = "losses/centre.rs"]
mod centre;
#[path = "support/nats.rs"]
mod nats;
#[path = "losses/receiver.rs"]
mod receiver;
#[path = "support/service.rs"]
mod service;

use centre::{Centre, Loss};

/// How a stream loses its end.
fn losses(stream: &'static str) -> impl Iterator<Item = Loss> {
    [(true, 0), (true, 30), (false, 0), (false, 30)]
        .into_iter()
        .map(move |(running, refilled)| Loss {
            stream,
            running,
            refilled,
        })
}

/// Every alert is delivered once and stands once, whatever end of the stream is lost, and in whichever way.
async fn each_alert_comes_once_without_the_end_of(stream: &'static str) {
    for loss in losses(stream) {
        let mut centre = Centre::open().await;
        centre.live_through(&loss).await;
        centre.each_alert_is_delivered_once(&loss).await;
        centre.each_alert_stands_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lost_its_end_is_gone_on_with() {
    each_alert_comes_once_without_the_end_of("CX_JOURNAL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_are_lost_are_done_without() {
    each_alert_comes_once_without_the_end_of("CX_SNAPSHOT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_are_lost_are_published_again_and_delivered_once() {
    each_alert_comes_once_without_the_end_of("CX_OUT").await;
}

/// Alerts of lost events stand as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_stand_where_lost_ones_stood_are_applied() {
    for loss in losses("CX_EVENTS") {
        let mut centre = Centre::open().await;
        centre.live_through(&loss).await;
        centre.each_alert_is_delivered_once(&loss).await;
        centre.notes("the event log had lost its end", &loss).await;
        let found = "aftercall_log_losses_total{of=\"events\"}";
        assert!(centre.figure(found).await > 0, "{loss:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_records_that_are_lost_are_written_anew() {
    for loss in losses("CX_DELIVERY") {
        let mut centre = Centre::open().await;
        centre.live_through(&loss).await;
        if loss.running {
            centre.each_alert_is_delivered_once(&loss).await;
        } else {
            // That they were delivered stood nowhere else: again, under the same identity.
            centre.each_alert_is_delivered().await;
        }
        centre.each_alert_stands_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantined_input_that_is_lost_is_set_aside_again() {
    for loss in losses("CX_DEAD") {
        let mut centre = Centre::open().await;
        centre.live_through(&loss).await;
        centre.each_alert_is_delivered_once(&loss).await;
        centre.everything_set_aside_stands().await;
    }
}

/// Quarantine and dead letters that the log does not take hold up nothing: they are counted, and stand once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_of_the_dead_holds_up_nothing() {
    let mut centre = Centre::open().await;
    centre.full_of_the_dead().await;
    centre.everything_set_aside_stands().await;
    centre.each_alert_stands_once().await;
}

/// The power takes the end of all of them, each at another place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_streams_that_lost_their_ends_together_pass_nothing_over() {
    for running in [true, false] {
        let mut centre = Centre::open().await;
        centre.lose_everything(running).await;
        centre.each_alert_is_delivered().await;
    }
}
