//! Rules of the outputs: each lane in order, fenced by its last message, so that its mark says how far it got.

use std::sync::Arc;

use aftercall::log::{
    CommitError, Lane, LaneFences, Log, NewOutput, OutputMark, PartitionId, StoredOutput, TailFrom,
};
use aftercall_actors::contract::output::Kind;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use crate::{
    Factory,
    fixtures::{AGENT_0, AGENT_3, ALERT, CUSTOMER_0, REWARD, nothing_from, output, pattern, soon},
};

const NO_FENCES: LaneFences = [0; Lane::COUNT];

pub async fn an_empty_lane_has_no_mark(factory: &dyn Factory) {
    let log = factory.open().await;
    for lane in Lane::all() {
        let mark = soon(log.output_mark(AGENT_0, lane)).await.unwrap();
        assert_eq!(mark, None, "{}", lane.name());
    }
}

pub async fn the_mark_is_the_last_output_of_its_lane(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &one_of_each_lane(1)).await;
    let second = [
        output(ALERT, 2, 0),
        output(ALERT, 2, 1),
        output(Lane::Dead, 2, 2),
    ];
    store(&log, AGENT_0, &mut fences, &second).await;
    let other = factory.open().await;
    for lane in Lane::all() {
        let (commit, ordinal) = match lane {
            Lane::Out(Kind::Alert) => (2, 1),
            Lane::Dead => (2, 2),
            Lane::Out(kind) => (1, kind.index() as u32),
        };
        let seq = fences[lane.index()];
        let expected = Some(OutputMark {
            seq,
            commit,
            ordinal,
        });
        assert_eq!(mark(&log, AGENT_0, lane).await, expected, "{}", lane.name());
        assert_eq!(mark(&other, AGENT_0, lane).await, expected);
    }
}

pub async fn outputs_are_stored_as_a_prefix_and_fences_move_with_it(factory: &dyn Factory) {
    let log = factory.open().await;
    let outputs: Vec<_> = (0..1_200)
        .map(|n| {
            let lane = [ALERT, REWARD][n as usize % 2];
            output(lane, 1 + u64::from(n / 3), n % 3)
        })
        .collect();
    let mut fences = NO_FENCES;
    let mut done = 0;
    while done < outputs.len() {
        let before = fences;
        let stored = soon(log.outputs_append(AGENT_0, &mut fences, &outputs[done..])).await;
        let stored = stored.unwrap();
        assert!((1..=outputs.len() - done).contains(&stored), "{stored}");
        done += stored;
        for lane in [ALERT, REWARD] {
            let last = outputs[..done].iter().rev().find(|o| o.lane == lane);
            let mark = mark(&log, AGENT_0, lane).await;
            assert_eq!(
                mark.map(|m| (m.commit, m.ordinal)),
                last.map(|o| (o.commit, o.ordinal))
            );
            assert_eq!(mark.map_or(0, |m| m.seq), fences[lane.index()]);
        }
        assert_ne!(fences, before);
    }
    for lane in [ALERT, REWARD] {
        let mut tail = tail(&log, &[lane], TailFrom::Start).await;
        let expected: Vec<_> = outputs.iter().filter(|o| o.lane == lane).collect();
        let found = take(&mut tail, expected.len()).await;
        let ids = |id: Option<&str>| id.map(str::to_owned);
        assert_eq!(
            found
                .iter()
                .map(|o| ids(o.headers.get("ce-id")))
                .collect::<Vec<_>>(),
            expected
                .iter()
                .map(|o| ids(Some(&o.attributes[0].1)))
                .collect::<Vec<_>>()
        );
        assert!(found.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    }
}

pub async fn lanes_have_fences_of_their_own(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    // Knows nothing of the alert, and need not to write a reward.
    let mut others = NO_FENCES;
    store(&log, AGENT_0, &mut others, &[output(REWARD, 1, 1)]).await;
    assert_eq!(others[ALERT.index()], 0);
    fences[REWARD.index()] = others[REWARD.index()];
    store(
        &log,
        AGENT_0,
        &mut fences,
        &[output(ALERT, 2, 0), output(REWARD, 2, 1)],
    )
    .await;
}

pub async fn partitions_have_lanes_of_their_own(factory: &dyn Factory) {
    let log = factory.open().await;
    for (commit, partition) in [(1, AGENT_0), (2, AGENT_3), (3, CUSTOMER_0)] {
        let mut fences = NO_FENCES;
        store(&log, partition, &mut fences, &[output(ALERT, commit, 0)]).await;
        let found = mark(&log, partition, ALERT).await.unwrap();
        assert_eq!((found.seq, found.commit), (fences[ALERT.index()], commit));
    }
    let mut tail = tail(&log, &[], TailFrom::Start).await;
    let found = take(&mut tail, 3).await;
    assert_eq!(
        found.iter().map(|o| o.partition).collect::<Vec<_>>(),
        [AGENT_0, AGENT_3, CUSTOMER_0]
    );
}

pub async fn a_stale_writer_is_fenced_and_stores_nothing(factory: &dyn Factory) {
    let (old, new) = (factory.open().await, factory.open().await);
    let mut fences = NO_FENCES;
    store(&old, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    let mut stale = fences;
    store(&new, AGENT_0, &mut fences, &[output(ALERT, 2, 0)]).await;
    let late = [output(ALERT, 2, 0), output(ALERT, 2, 1)];
    let refused = soon(old.outputs_append(AGENT_0, &mut stale, &late)).await;
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    // One that believes in a sequence nobody was given is no better.
    stale[ALERT.index()] = fences[ALERT.index()] + 1_000;
    let refused = soon(old.outputs_append(AGENT_0, &mut stale, &late)).await;
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    let expected = OutputMark {
        seq: fences[ALERT.index()],
        commit: 2,
        ordinal: 0,
    };
    assert_eq!(mark(&old, AGENT_0, ALERT).await, Some(expected));
    let mut tail = tail(&old, &[], TailFrom::Start).await;
    assert_eq!(take(&mut tail, 2).await.len(), 2);
    nothing_from(tail.next()).await;
}

pub async fn output_fence_lets_one_of_two_win(factory: &dyn Factory) {
    let (one, two) = (factory.open().await, factory.open().await);
    let mut fences = NO_FENCES;
    for commit in 1..=10 {
        let (mut a, mut b) = (fences, fences);
        let outputs = [output(REWARD, commit, 0), output(REWARD, commit, 1)];
        let (first, second) = tokio::join!(
            one.outputs_append(AGENT_0, &mut a, &outputs[..1]),
            two.outputs_append(AGENT_0, &mut b, &outputs[1..]),
        );
        fences = match (first, second) {
            (Ok(1), Err(CommitError::Fenced)) => a,
            (Err(CommitError::Fenced), Ok(1)) => b,
            other => panic!("one wins and the other is fenced, not {other:?}"),
        };
    }
    let mut tail = tail(&one, &[], TailFrom::Start).await;
    assert_eq!(take(&mut tail, 10).await.len(), 10);
    nothing_from(tail.next()).await;
}

pub async fn an_append_of_no_outputs_stores_nothing(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    let stored = soon(log.outputs_append(AGENT_0, &mut fences, &[])).await;
    assert_eq!((stored.unwrap(), fences), (0, NO_FENCES));
}

pub async fn an_output_comes_back_as_it_was_written(factory: &dyn Factory) {
    let log = factory.open().await;
    let written = NewOutput {
        attributes: vec![
            ("ce-id", "alert:low-score:räsp 1".into()),
            ("ce-subject", "agent/päivi mäkinen: 100%".into()),
            ("ce-cause", "/vendor/a b#7".into()),
        ],
        payload: pattern(600),
        ..output(ALERT, 7, 0)
    };
    let before = log.now();
    store(
        &log,
        CUSTOMER_0,
        &mut NO_FENCES.clone(),
        std::slice::from_ref(&written),
    )
    .await;
    let mut tail = tail(&log, &[], TailFrom::Start).await;
    let found = take(&mut tail, 1).await.remove(0);
    assert_eq!((found.lane, found.partition), (ALERT, CUSTOMER_0));
    assert!(found.time.since_ms(before).abs() < 10_000);
    for (name, value) in &written.attributes {
        assert_eq!(found.headers.get(name), Some(value.as_str()), "{name}");
    }
    assert_eq!(found.payload, written.payload);
}

pub async fn a_tail_from_the_start_gives_what_is_held_and_what_comes(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &one_of_each_lane(1)).await;
    let mut tail = tail(&log, &[], TailFrom::Start).await;
    let held = take(&mut tail, Lane::COUNT).await;
    assert_eq!(lanes(&held), Lane::all().collect::<Vec<_>>());
    nothing_from(tail.next()).await;
    let other = factory.open().await;
    store(&other, AGENT_0, &mut fences, &[output(REWARD, 2, 0)]).await;
    assert_eq!(lanes(&take(&mut tail, 1).await), [REWARD]);
}

pub async fn a_tail_from_now_gives_only_what_comes(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &one_of_each_lane(1)).await;
    let mut tail = tail(&log, &[], TailFrom::Now).await;
    store(&log, AGENT_0, &mut fences, &[output(REWARD, 2, 0)]).await;
    let found = take(&mut tail, 1).await;
    assert_eq!(found[0].headers.get("ce-id"), Some("reward-2-0"));
    nothing_from(tail.next()).await;
}

pub async fn a_tail_gives_only_the_lanes_asked_for(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut tail = tail(&log, &[Lane::Dead, REWARD], TailFrom::Start).await;
    let mut fences = NO_FENCES;
    for commit in 1..=3 {
        store(&log, AGENT_0, &mut fences, &one_of_each_lane(commit)).await;
    }
    let found = take(&mut tail, 6).await;
    let expected = [[REWARD; 3], [Lane::Dead; 3]].concat();
    assert_eq!(lanes(&found), expected);
    let ids: Vec<_> = found.iter().map(|o| o.headers.get("ce-id")).collect();
    assert_eq!(
        ids[..3],
        ["reward-1-1", "reward-2-1", "reward-3-1"].map(Some)
    );
    nothing_from(tail.next()).await;
}

pub async fn outputs_survive_a_restart(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &one_of_each_lane(1)).await;
    let before = mark(&log, AGENT_0, REWARD).await;
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    assert_eq!(mark(&log, AGENT_0, REWARD).await, before);
    store(&log, AGENT_0, &mut fences, &[output(REWARD, 2, 0)]).await;
    let mut tail = tail(&log, &[REWARD], TailFrom::Start).await;
    assert_eq!(lanes(&take(&mut tail, 2).await), [REWARD, REWARD]);
}

/// An output for each lane, in the order of the lanes.
fn one_of_each_lane(commit: u64) -> Vec<NewOutput> {
    Lane::all()
        .zip(0..)
        .map(|(lane, n)| output(lane, commit, n))
        .collect()
}

/// Stores all of `outputs`, in as many calls as the log wants.
async fn store(
    log: &Log,
    partition: PartitionId,
    fences: &mut LaneFences,
    mut outputs: &[NewOutput],
) {
    while !outputs.is_empty() {
        let stored = soon(log.outputs_append(partition, fences, outputs)).await;
        outputs = &outputs[stored.expect("the fences hold")..];
    }
}

async fn mark(log: &Log, partition: PartitionId, lane: Lane) -> Option<OutputMark> {
    soon(log.output_mark(partition, lane)).await.unwrap()
}

type Tail = BoxStream<'static, Result<StoredOutput, aftercall::log::LogError>>;

async fn tail(log: &Log, lanes: &[Lane], from: TailFrom) -> Tail {
    soon(Arc::clone(log).outputs_tail(lanes, from))
        .await
        .unwrap()
}

/// The next `count` outputs, lane by lane: order is promised within a lane only.
async fn take(tail: &mut Tail, count: usize) -> Vec<StoredOutput> {
    let mut outputs: Vec<StoredOutput> = soon(tail.take(count).try_collect()).await.unwrap();
    outputs.sort_by_key(|output| output.lane);
    outputs
}

fn lanes(outputs: &[StoredOutput]) -> Vec<Lane> {
    outputs.iter().map(|output| output.lane).collect()
}
