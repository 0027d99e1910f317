//! Damage to what one partition has stored: that one stops, or does without the damaged part.

use aftercall::{
    envelope,
    log::{EventLog as _, PartitionId},
    shard::{
        checksum,
        record::{Record, StateRecord, link},
        snapshot::{Manifest, PackedActor, Piece},
    },
};
use aftercall_actors::contract::key::Side;
use prost::Message as _;

use crate::fixtures::{Centre, SOON, VICTIM, in_virtual_time, status, stopped};

#[test]
fn a_damaged_journal_record_stops_its_partition_be_it_the_first_one_in_the_middle_or_the_newest() {
    for choose in [
        (|journal| journal[0]) as fn(&[u64]) -> u64,
        |journal| journal[journal.len() / 2],
        |journal| journal[journal.len() - 1],
    ] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_without_snapshot(60).await;
            let seq = choose(&centre.journal(VICTIM));
            assert!(centre.world.corrupt_journal(VICTIM, seq));
            let process = centre.start();
            let naming = format!("journal record {seq}: journal record is damaged");
            centre
                .only_the_victim_stops_for_good(process, &[&naming])
                .await;
        });
    }
}

#[test]
fn a_lost_journal_record_stops_its_partition_be_it_the_first_or_one_in_the_middle() {
    for (middle, naming) in [
        (false, "its first record and every snapshot are gone"),
        (true, "records are lost"),
    ] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_without_snapshot(60).await;
            let journal = centre.journal(VICTIM);
            let place = if middle { journal.len() / 2 } else { 0 };
            assert!(centre.world.lose_journal(VICTIM, journal[place]));
            let process = centre.start();
            let naming = ["journal is broken at record", naming];
            centre
                .only_the_victim_stops_for_good(process, &naming)
                .await;
        });
    }
}

/// What followed would be said a second time: the outputs show that the journal was longer.
#[test]
fn a_journal_that_lost_its_end_is_found_by_the_outputs_that_stand_and_gone_on_with() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(60).await;
        let spoke = centre.newest_record_with_outputs(VICTIM);
        for seq in centre.journal(VICTIM) {
            if seq >= spoke {
                assert!(centre.world.lose_journal(VICTIM, seq));
            }
        }
        let process = centre.start();
        centre.feed(20).await;
        centre.all_is_well(&process).await;
    });
}

/// The power took the end of both: what stood in neither is said once, and no number of a lost commit is given again.
#[test]
fn a_journal_and_outputs_that_lost_their_ends_together_are_gone_on_with() {
    for lost in [1, 5, 30] {
        in_virtual_time(async |mut centre: Centre| {
            centre.history_without_snapshot(60).await;
            let spoke = centre.newest_record_with_outputs(VICTIM);
            for seq in centre.journal(VICTIM) {
                if seq >= spoke {
                    assert!(centre.world.lose_journal(VICTIM, seq));
                }
            }
            let last = centre.world.outputs().last().map_or(0, |output| output.seq);
            centre.world.lose_outputs_after(last - lost);
            let process = centre.start();
            centre.feed(20).await;
            centre.all_is_well(&process).await;
        });
    }
}

/// No output shows it here; the snapshot does, since it is never ahead of the journal.
#[test]
fn a_journal_that_lost_its_end_is_found_by_the_snapshot_that_stands_and_gone_on_with() {
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        centre.feed(40).await;
        tokio::time::sleep(SOON * 10).await;
        let tick = envelope::tick_event(centre.world.now());
        for answer in centre.world.client().append(vec![tick]).await {
            answer.expect("stored");
        }
        tokio::time::sleep(SOON * 2).await;
        process.stop().await;
        let newest = *centre.journal(VICTIM).last().expect("a record");
        assert!(newest > centre.newest_record_with_outputs(VICTIM));
        assert!(centre.world.lose_journal(VICTIM, newest));
        let process = centre.start();
        centre.feed(20).await;
        centre.all_is_well(&process).await;
        process.stop().await;
        let process = centre.start();
        centre.feed(20).await;
        centre.all_is_well(&process).await;
    });
}

#[test]
fn a_journal_that_loses_its_end_while_it_is_written_is_gone_on_with() {
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        centre.feed(40).await;
        tokio::time::sleep(SOON * 10).await;
        let newest = *centre.journal(VICTIM).last().expect("a record");
        for seq in centre
            .journal(VICTIM)
            .into_iter()
            .filter(|seq| *seq + 3 > newest)
        {
            assert!(centre.world.lose_journal(VICTIM, seq));
        }
        centre.feed(20).await;
        centre.all_is_well(&process).await;
        // And the next owner reads the journal as it is now.
        process.crash();
        let process = centre.start();
        centre.feed(20).await;
        centre.all_is_well(&process).await;
    });
}

/// Whichever piece is damaged, an older generation or a longer replay takes its place, and no word is said twice.
#[test]
fn a_damaged_snapshot_piece_is_done_without() {
    for number in 0.. {
        let mut pieces = 0;
        in_virtual_time(async |mut centre: Centre| {
            centre.history_with_snapshot(40).await;
            centre.history_with_snapshot(40).await;
            let snapshots = centre.world.snapshots(VICTIM);
            pieces = snapshots.len();
            if let Some(piece) = snapshots.get(number) {
                assert!(centre.world.corrupt_snapshot(VICTIM, piece.seq));
            } else {
                // Last of all: every one.
                for piece in &snapshots {
                    assert!(centre.world.corrupt_snapshot(VICTIM, piece.seq));
                }
            }
            let process = centre.start();
            centre.feed(20).await;
            centre.all_is_well(&process).await;
        });
        assert!(pieces >= 4, "two generations have {pieces} pieces");
        if number >= pieces {
            break;
        }
    }
}

#[test]
fn an_actor_that_cannot_be_read_from_the_journal_stops_its_partition() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_without_snapshot(40).await;
        let key = add_an_unreadable_actor_to_the_journal(&centre).await;
        let process = centre.start();
        centre
            .only_the_victim_stops_for_good(process, &[&key])
            .await;
    });
}

/// A snapshot's actors stay packed until they are needed, so this is found at the actor's next event.
#[test]
fn an_actor_that_cannot_be_read_from_a_snapshot_stops_its_partition_when_it_is_needed() {
    in_virtual_time(async |mut centre: Centre| {
        centre.history_with_snapshot(40).await;
        make_every_packed_actor_unreadable(&centre).await;
        let process = centre.start();
        tokio::time::sleep(SOON).await;
        assert_eq!(status(&process, VICTIM).reason, None);
        centre.feed(20).await;
        centre
            .only_the_victim_stops(&process, &["state of customer/", "cannot be read"])
            .await;
        stopped(&process, VICTIM, &["state of customer/", "cannot be read"]);
        assert_eq!(status(&process, VICTIM).actors, 0, "it holds none any more");
    });
}

/// A good record with a state in it that no program wrote.
async fn add_an_unreadable_actor_to_the_journal(centre: &Centre) -> String {
    let log = centre.world.client();
    let head = log.journal_head(VICTIM).await.expect("a journal");
    let head = head.expect("a record");
    let last = Record::read(&head.bytes).expect("good");
    let key = "customer/nobody-can-read-me".to_owned();
    let record = Record {
        commit: last.commit + 1,
        previous: link(&head.bytes),
        outputs: Vec::new(),
        states: vec![StateRecord {
            key: key.clone(),
            state: vec![0xff; 40].into(),
            ..StateRecord::default()
        }],
        genesis_rules: String::new(),
        ..last
    };
    log.journal_append(VICTIM, head.seq, record.to_bytes())
        .await
        .expect("committed");
    key
}

/// A good full generation, like the newest one but for the states in it.
async fn make_every_packed_actor_unreadable(centre: &Centre) {
    let log = centre.world.client();
    let pieces = centre.world.snapshots(VICTIM);
    let pieces = pieces.into_iter().map(|stored| {
        let piece = Piece::decode(stored.bytes).expect("good");
        (stored.seq, piece)
    });
    let pieces: Vec<(u64, Piece)> = pieces.collect();
    let manifest = pieces
        .iter()
        .rev()
        .find_map(|(_, piece)| piece.manifest.clone());
    let manifest = manifest.expect("a generation");
    assert!(manifest.is_full());
    let mut chunks = Vec::new();
    for (_, piece) in pieces
        .iter()
        .filter(|(seq, _)| manifest.chunks.contains(seq))
    {
        let actors = piece.actors.iter().map(|actor| PackedActor {
            state: vec![0xff; 40].into(),
            deadline_ms: None,
            ..actor.clone()
        });
        let piece = Piece {
            actors: actors.collect(),
            ..piece.clone()
        };
        let bytes = checksum::add(piece.encode_to_vec());
        chunks.push(log.snapshot_append(VICTIM, bytes).await.expect("stored"));
    }
    assert!(!chunks.is_empty());
    let piece = Piece {
        format: pieces[0].1.format,
        actors: Vec::new(),
        manifest: Some(Manifest { chunks, ..manifest }),
    };
    let bytes = checksum::add(piece.encode_to_vec());
    log.snapshot_append(VICTIM, bytes).await.expect("stored");
}

const _: () = assert!(matches!(
    VICTIM,
    PartitionId {
        side: Side::Customer,
        ..
    }
));
