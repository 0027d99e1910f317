//! What every event log must do, whatever stands behind it.
//!
//! A rule is an async function over a [`Factory`], named for what holds. `every_rule!` makes a test of each rule for
//! one adapter, so a failure reads `sqlite::journal_fence_lets_one_of_two_win`. Another adapter needs a factory
//! and one line at the end of this file.

#[path = "conformance/behind.rs"]
mod behind;
#[path = "conformance/dead.rs"]
mod dead;
#[path = "conformance/delivery.rs"]
mod delivery;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/fixtures.rs"]
mod fixtures;
#[path = "conformance/jetstream.rs"]
mod jetstream_server;
#[path = "conformance/journal.rs"]
mod journal;
#[path = "support/nats.rs"]
mod nats;
#[path = "conformance/outputs.rs"]
mod outputs;
#[path = "conformance/snapshots.rs"]
mod snapshots;
#[path = "conformance/stores.rs"]
mod stores;

use aftercall::log::{Log, Position};
use async_trait::async_trait;

/// Partitions a side of every log under test.
const PARTITION_COUNT: u16 = 4;

/// One store of its own for one test, and the ways to it.
#[async_trait]
trait Factory: Send + Sync {
    /// One more client of the store.
    async fn open(&self) -> Log;

    /// Ends whatever serves the store and brings it back. The test has dropped its clients before.
    async fn restart(&self);

    /// Removes the events below `before`, as retention does.
    async fn trim_events(&self, before: Position);

    /// More events than a reader fetches ahead of its caller.
    fn read_ahead(&self) -> usize {
        5_000
    }
}

/// Makes a test of every rule for one adapter. `$make` is an async function that returns a factory.
macro_rules! every_rule {
    ($make:path) => {
        every_rule! { $make;
            crate::events::{
                an_append_of_nothing_answers_nothing,
                an_empty_log_holds_from_one_to_zero,
                positions_are_contiguous_and_in_order,
                log_time_never_runs_backwards_and_is_about_now,
                the_same_message_id_is_stored_once,
                the_same_message_id_in_one_append_is_stored_once,
                a_read_begins_where_it_is_told_to,
                a_read_waits_for_what_is_not_there_yet,
                a_read_beyond_the_end_waits_for_its_position,
                a_read_takes_what_has_arrived_and_no_more_than_asked,
                a_read_given_up_while_waiting_loses_nothing,
                two_readers_see_the_same,
                a_read_of_trimmed_events_is_refused,
                a_reader_overtaken_by_trimming_says_so,
                positions_go_on_after_everything_was_trimmed,
                an_event_is_found_by_its_position,
                an_event_comes_back_as_it_was_written,
                routes_are_the_partitions_of_the_keys,
                an_event_for_all_goes_to_every_partition,
                an_event_that_is_too_large_is_refused_alone,
                appends_from_four_tasks_are_all_kept,
                events_survive_a_restart,
            }
            crate::journal::{
                an_empty_journal_has_no_head_and_nothing_to_scan,
                the_head_is_the_last_record,
                journal_fence_of_zero_holds_on_an_empty_journal_only,
                journal_fence_lets_one_of_two_win,
                journal_fence_refuses_an_older_head_and_one_never_given,
                journals_of_partitions_are_independent,
                a_scan_gives_both_ends_and_what_is_between,
                a_long_scan_is_whole_and_in_order,
                journal_content_comes_back_byte_for_byte,
                a_record_of_the_largest_size_is_taken_and_one_above_refused,
                a_trimmed_journal_keeps_its_first_record_and_its_fence,
                the_journal_survives_a_restart,
            }
            crate::snapshots::{
                snapshot_chunks_come_back_in_order,
                snapshots_of_partitions_are_independent,
                a_trim_keeps_the_chunk_it_names,
                sequences_go_on_after_every_chunk_was_trimmed,
                a_large_generation_comes_back_whole,
            }
            crate::outputs::{
                an_empty_lane_has_no_mark,
                the_mark_is_the_last_output_of_its_lane,
                outputs_are_stored_as_a_prefix_and_fences_move_with_it,
                lanes_have_fences_of_their_own,
                partitions_have_lanes_of_their_own,
                a_stale_writer_is_fenced_and_stores_nothing,
                output_fence_lets_one_of_two_win,
                an_append_of_no_outputs_stores_nothing,
                an_output_comes_back_as_it_was_written,
                a_tail_from_the_start_gives_what_is_held_and_what_comes,
                a_tail_from_now_gives_only_what_comes,
                a_tail_gives_only_the_lanes_asked_for,
                outputs_survive_a_restart,
            }
            crate::delivery::{
                a_destination_without_records_has_no_head_and_nothing_to_scan,
                delivery_records_come_back_in_order_and_the_head_is_the_last,
                delivery_fence_lets_one_of_two_win,
                delivery_fence_refuses_an_older_head_and_one_never_given,
                destinations_have_records_of_their_own,
                a_delivery_trim_keeps_the_checkpoint_it_names_and_the_fence,
                a_delivery_record_of_the_largest_size_is_taken_and_one_above_refused,
                delivery_records_and_dead_letters_survive_a_restart,
                a_name_that_cannot_be_a_destination_is_refused,
            }
            crate::dead::{
                a_dead_letter_comes_back_as_it_was_written,
                a_dead_letter_sent_again_is_stored_once_for_each_destination,
                a_dead_letter_that_is_too_large_is_refused,
                a_scan_of_all_the_dead_gives_quarantined_events_as_well,
                dead_letters_do_not_disturb_the_marks_of_lanes,
                a_long_scan_of_dead_letters_is_whole_and_ends,
                a_dead_tail_gives_what_is_held_behind_a_sequence_and_what_comes,
            }
            crate::behind::{
                a_tail_behind_a_sequence_gives_history_then_live_without_gap_or_repeat,
                a_tail_behind_a_sequence_to_come_waits_for_what_is_after_it,
                quarantined_input_is_followed_behind_a_sequence_of_its_own_alone,
                an_output_is_found_by_its_sequence_and_the_last_one_is_known,
            }
            crate::fixtures::{
                the_log_names_itself_and_accounts_for_its_durability,
            }
        }
    };
    ($make:path; $(crate::$module:ident::{$($rule:ident,)*})*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::$module::$rule(&$make().await).await;
            }
        )*)*
    };
}

mod memory {
    every_rule!(crate::stores::memory);
}

mod jetstream {
    every_rule!(crate::jetstream_server::jetstream);
}

mod sqlite {
    every_rule!(crate::stores::sqlite);
}
