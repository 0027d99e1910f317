//! The faults on what delivery keeps: they are the journal's.

use futures::StreamExt;

use super::*;

const CRM: &str = "crm";

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_the_record_and_the_letter() {
    let world = World::new(2, only(|f| f.lose_answer_per_mille = 1000));
    let log = world.client();
    assert!(matches!(
        record(&log, 0).await,
        Err(CommitError::Unknown(_))
    ));
    assert!(matches!(letter(&log).await, Err(AppendError::Unknown(_))));
    assert_eq!((world.delivery(CRM).len(), world.dead().len()), (1, 1));
    // The same again is fenced by itself, and found under its id.
    world.set_faults(Faults::default());
    assert!(matches!(record(&log, 0).await, Err(CommitError::Fenced)));
    let head = log.delivery_head(CRM).await.unwrap().unwrap();
    assert_eq!(head, world.delivery(CRM)[0]);
    assert_eq!(letter(&log).await.unwrap(), world.dead()[0].seq);
    assert_eq!(world.dead().len(), 1);
    let next = record(&log, head.seq).await.unwrap();
    world.set_faults(only(|f| f.lose_answer_per_mille = 1000));
    assert!(log.delivery_trim(CRM, next).await.is_err());
    assert_eq!(world.delivery(CRM).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_no_record_and_no_letter() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    let first = record(&log, 0).await.unwrap();
    world.set_faults(only(|f| f.drop_request_per_mille = 1000));
    assert!(matches!(
        record(&log, first).await,
        Err(CommitError::Unknown(_))
    ));
    assert!(matches!(letter(&log).await, Err(AppendError::Unknown(_))));
    assert!(log.delivery_trim(CRM, first + 1).await.is_err());
    sleep(Duration::from_secs(3600)).await;
    assert_eq!((world.delivery(CRM).len(), world.dead().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_record_is_stored_later_unless_another_came_first() {
    let late = only(|f| {
        f.late_store_per_mille = 1000;
        f.delay_ms_max = 50;
    });
    for overtaken in [false, true] {
        let world = World::new(2, late);
        let log = world.client();
        assert!(matches!(
            record(&log, 0).await,
            Err(CommitError::Unknown(_))
        ));
        assert!(matches!(letter(&log).await, Err(AppendError::Unknown(_))));
        assert_eq!((world.delivery(CRM).len(), world.dead().len()), (0, 0));
        world.set_faults(Faults::default());
        if overtaken {
            record(&log, 0).await.unwrap();
            letter(&log).await.unwrap();
        }
        sleep(Duration::from_secs(5)).await;
        assert_eq!((world.delivery(CRM).len(), world.dead().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_is_told_and_a_tail_goes_on_behind_it() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    letter(&log).await.unwrap();
    record(&log, 0).await.unwrap();
    let mut tail = log.dead_tail(CRM, 0).await.unwrap();
    world.set_faults(only(|f| f.reader_disconnect_per_mille = 1000));
    let told = tail.next().await.unwrap().unwrap_err();
    assert!(told.is_transient(), "{told}");
    assert!(log.delivery_head(CRM).await.is_err());
    assert!(log.delivery_scan(CRM).await.is_err());
    assert!(log.dead_scan(None).await.is_err());
    assert!(log.outputs_last().await.is_err());
    world.set_faults(Faults::default());
    assert_eq!(tail.next().await.unwrap().unwrap().message_id, "l");
}

#[tokio::test(start_paused = true)]
async fn a_letters_id_is_known_for_two_minutes_to_the_millisecond() {
    for (waited_ms, stored) in [(120_000, 1), (120_001, 2)] {
        let world = World::new(2, Faults::default());
        let log = world.client();
        let first = letter(&log).await.unwrap();
        advance(Duration::from_millis(waited_ms)).await;
        let again = letter(&log).await.unwrap();
        assert_eq!(again == first, stored == 1, "after {waited_ms} ms");
        assert_eq!(world.dead().len(), stored);
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_that_retention_took_is_not_found_and_its_place_is_not_given_again() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    let mut fences = [0; Lane::COUNT];
    log.outputs_append(PARTITION, &mut fences, &outputs(3))
        .await
        .unwrap();
    world.trim_outputs(3);
    assert!(log.output_at(2).await.unwrap().is_none());
    assert_eq!(log.output_at(3).await.unwrap().map(|o| o.seq), Some(3));
    world.trim_outputs(4);
    assert_eq!(log.outputs_last().await.unwrap(), 3);
    let mut tail = log.outputs_tail(&[], TailFrom::After(1)).await.unwrap();
    log.outputs_append(PARTITION, &mut fences, &outputs(1))
        .await
        .unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().seq, 4);
}

async fn record(log: &MemoryLog, expected: Seq) -> Result<Seq, CommitError> {
    log.delivery_append(CRM, expected, Bytes::from_static(b"record"))
        .await
}

async fn letter(log: &MemoryLog) -> Result<Seq, AppendError> {
    let letter = NewDead {
        message_id: "l".to_owned(),
        headers: Headers::Empty,
        payload: Bytes::from_static(b"{}"),
    };
    log.dead_append(CRM, letter).await
}
