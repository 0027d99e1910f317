//! Rules of going on behind an output: what is held, what comes, and one output by its sequence.

use aftercall::log::{Lane, LogError, Seq, StoredOutput, TailFrom};
use futures::StreamExt;

use crate::{
    Factory,
    dead::{NO_FENCES, store, take},
    fixtures::{AGENT_0, AGENT_3, ALERT, REWARD, nothing_from, output, soon},
};

pub async fn a_tail_behind_a_sequence_gives_history_then_live_without_gap_or_repeat(
    factory: &dyn Factory,
) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    let mut held = Vec::new();
    for commit in 1..=400 {
        let lane = if commit % 2 == 0 { ALERT } else { REWARD };
        // Quarantined input in between is not counted in.
        let outputs = [output(lane, commit, 0), output(Lane::Dead, commit, 1)];
        store(&log, AGENT_0, &mut fences, &outputs).await;
        held.push(fences[lane.index()]);
    }
    let after = held[149];
    let mut all = soon(log.outputs_tail(&[], TailFrom::After(after)))
        .await
        .unwrap();
    let mut alerts = soon(log.outputs_tail(&[ALERT], TailFrom::After(after)))
        .await
        .unwrap();
    let mut begin = soon(log.outputs_tail(&[], TailFrom::After(0)))
        .await
        .unwrap();
    // Stored while the tails are on their way: nothing may fall between history and what comes.
    let other = factory.open().await;
    let writing = async {
        for commit in 401..=800 {
            let lane = if commit % 2 == 0 { ALERT } else { REWARD };
            store(&other, AGENT_0, &mut fences, &[output(lane, commit, 0)]).await;
        }
    };
    let reading = async {
        let all = take(&mut all, 650).await;
        let alerts = take(&mut alerts, 325).await;
        (all, alerts, take(&mut begin, 800).await)
    };
    let ((), (all_found, alerts_found, begin_found)) = tokio::join!(writing, reading);
    assert_eq!(commits(&all_found), (151..=800).collect::<Vec<_>>());
    let even = (151..=800).filter(|n| n % 2 == 0);
    assert_eq!(commits(&alerts_found), even.collect::<Vec<_>>());
    assert_eq!(commits(&begin_found), (1..=800).collect::<Vec<_>>());
    assert!(all_found.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert!(all_found[0].seq > after);
    nothing_from(all.next()).await;
}

pub async fn a_tail_behind_a_sequence_to_come_waits_for_what_is_after_it(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    let last = fences[ALERT.index()];
    let mut tail = soon(log.outputs_tail(&[], TailFrom::After(last)))
        .await
        .unwrap();
    nothing_from(tail.next()).await;
    store(&log, AGENT_0, &mut fences, &[output(REWARD, 2, 0)]).await;
    assert_eq!(commits(&take(&mut tail, 1).await), [2]);
}

pub async fn quarantined_input_is_followed_behind_a_sequence_of_its_own_alone(
    factory: &dyn Factory,
) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    let mut held = Vec::new();
    for commit in 1..=4 {
        let outputs = [output(ALERT, commit, 0), output(Lane::Dead, commit, 1)];
        store(&log, AGENT_0, &mut fences, &outputs).await;
        held.push(fences[Lane::Dead.index()]);
    }
    let mut tail = soon(log.outputs_tail(&[Lane::Dead], TailFrom::After(held[1])))
        .await
        .unwrap();
    assert_eq!(commits(&take(&mut tail, 2).await), [3, 4]);
    let refused = soon(log.outputs_tail(&[ALERT, Lane::Dead], TailFrom::After(0)))
        .await
        .err();
    assert!(
        matches!(refused, Some(LogError::Settings(_))),
        "{refused:?}"
    );
}

pub async fn an_output_is_found_by_its_sequence_and_the_last_one_is_known(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(soon(log.outputs_last()).await.unwrap(), 0);
    assert!(soon(log.output_at(1)).await.unwrap().is_none());
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    store(
        &log,
        AGENT_3,
        &mut NO_FENCES.clone(),
        &[output(REWARD, 7, 3)],
    )
    .await;
    let other = factory.open().await;
    let last = soon(other.outputs_last()).await.unwrap();
    let mut tail = soon(log.outputs_tail(&[], TailFrom::After(0)))
        .await
        .unwrap();
    let tailed = take(&mut tail, 2).await;
    assert_eq!(last, tailed[1].seq);
    for expected in tailed {
        let found = soon(other.output_at(expected.seq)).await.unwrap().unwrap();
        assert_eq!(
            (found.seq, found.time, found.lane, found.partition),
            (
                expected.seq,
                expected.time,
                expected.lane,
                expected.partition
            )
        );
        assert_eq!(found.headers.pairs(), expected.headers.pairs());
        assert_eq!(found.payload, expected.payload);
    }
    for none in [0, last + 1, Seq::MAX >> 1] {
        assert!(
            soon(other.output_at(none)).await.unwrap().is_none(),
            "{none}"
        );
    }
    // Quarantined input is no output: it moves no place, and is not found as one.
    store(&log, AGENT_0, &mut fences, &[output(Lane::Dead, 2, 0)]).await;
    assert_eq!(soon(other.outputs_last()).await.unwrap(), last);
    let dead = fences[Lane::Dead.index()];
    let found = soon(other.output_at(dead)).await.unwrap();
    assert!(found.is_none_or(|found| found.lane != Lane::Dead));
}

/// The commits of outputs as [`output`] makes them.
fn commits(outputs: &[StoredOutput]) -> Vec<u64> {
    let commit = |output: &StoredOutput| {
        let id = output.headers.get("ce-id").expect("an id");
        let mut parts = id.rsplit('-').skip(1);
        parts.next().expect("a commit").parse().expect("a number")
    };
    outputs.iter().map(commit).collect()
}
