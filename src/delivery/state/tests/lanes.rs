//! A rate for each lane: what waits in one keeps no other waiting (S2.11).

use super::*;

fn by_lane() -> Run {
    Run::new(Policy {
        limits: Limits {
            concurrency: NonZeroU32::new(16).expect("not zero"),
            rate: Some(Rate {
                count: NonZeroU32::MIN,
                per: Duration::from_secs(1),
            }),
            by_lane: true,
        },
        ..policy()
    })
}

impl Run {
    /// Takes an output whose attempt needs these lanes; `update`: one of an alert.
    fn take_for(&mut self, seq: Seq, update: bool) {
        let event_type = if update {
            "alert.updated"
        } else {
            "alert.raised"
        };
        let find = Find {
            event_type: event_type.into(),
            ..find(seq, None)
        };
        self.machine.take(LogTime(0), find);
    }

    /// What begins at this time, once every question for lanes is answered by `lanes`.
    fn begins(&mut self, now: i64, lanes: impl Fn(Seq) -> Vec<&'static str>) -> Vec<Seq> {
        let mut begun = self.sends(now);
        for question in self.machine.questions(LogTime(now)) {
            let lanes = lanes(question.seq).into_iter().map(str::to_owned).collect();
            self.machine.told_lanes(question.seq, lanes);
        }
        begun.extend(self.sends(now));
        begun.into_iter().map(|(seq, _)| seq).collect()
    }
}

#[test]
fn s2_11_twelve_alerts_over_four_channels_take_two_seconds() {
    const CHANNELS: [&str; 4] = ["C0", "C1", "C2", "C3"];
    let lane = |seq: Seq| vec![CHANNELS[seq as usize % 4]];
    let mut run = by_lane();
    for seq in 1..=12 {
        run.take_for(seq, false);
    }
    assert_eq!(run.begins(0, lane), [1, 2, 3, 4]);
    assert_eq!(run.begins(999, lane), [0; 0]);
    assert_eq!(run.machine.wake_at(), Some(LogTime(1_000)));
    assert_eq!(run.begins(1_000, lane), [5, 6, 7, 8]);
    assert_eq!(run.begins(2_000, lane), [9, 10, 11, 12]);
}

#[test]
fn s2_11_first_messages_go_before_updates_that_came_before_them() {
    let mut run = by_lane();
    for (seq, update) in [(1, false), (2, true), (3, true), (4, false), (5, false)] {
        run.take_for(seq, update);
    }
    let same = |_| vec!["C0"];
    assert_eq!(run.begins(0, same), [1]);
    assert_eq!(run.begins(1_000, same), [4]);
    assert_eq!(run.begins(2_000, same), [5]);
    assert_eq!(run.begins(3_000, same), [2]);
    assert_eq!(run.begins(4_000, same), [3]);
}

#[test]
fn s2_11_a_retry_after_pauses_its_channel_alone_and_outlives_a_restart() {
    let lane = |seq: Seq| vec![if seq.is_multiple_of(2) { "C0" } else { "C1" }];
    let mut run = by_lane();
    for seq in 1..=6 {
        run.take_for(seq, false);
    }
    assert_eq!(run.begins(0, lane), [1, 2]);
    let throttled = Attempt {
        lanes: vec!["C1".to_owned()],
        ..again(429, Some(Duration::from_secs(30)))
    };
    run.finish(10, 1, &throttled);
    run.finish(10, 2, &delivered());
    assert_eq!(run.begins(1_000, lane), [4]);
    run.finish(1_100, 4, &delivered());
    let mut run = run.restart(1_200);
    assert_eq!(run.begins(1_999, lane), [0; 0]);
    assert_eq!(run.begins(2_000, lane), [6]);
    run.finish(2_100, 6, &delivered());
    assert_eq!(run.begins(30_009, lane), [0; 0]);
    // As anywhere, a retry goes behind what was due before it.
    assert_eq!(run.begins(30_010, lane), [3]);
    assert_eq!(run.begins(31_010, lane), [5]);
    assert_eq!(run.begins(32_010, lane), [1]);
}

#[test]
fn s2_11_an_output_for_several_channels_waits_for_all_of_them_and_takes_a_place_in_each() {
    let lanes = |seq: Seq| match seq {
        1 => vec!["C0"],
        2 => vec!["C0", "C1"],
        _ => vec!["C1"],
    };
    let mut run = by_lane();
    for seq in 1..=2 {
        run.take_for(seq, false);
    }
    assert_eq!(run.begins(0, lanes), [1]);
    assert_eq!(run.begins(1_000, lanes), [2]);
    run.take_for(3, false);
    assert_eq!(run.begins(1_999, lanes), [0; 0]);
    assert_eq!(run.begins(2_000, lanes), [3]);
}

#[test]
fn nothing_begins_before_its_lanes_are_known_and_a_question_is_asked_once() {
    let mut run = by_lane();
    run.take_for(1, false);
    assert_eq!(run.sends(0), []);
    let asked: Vec<Seq> = run
        .machine
        .questions(LogTime(0))
        .iter()
        .map(|q| q.seq)
        .collect();
    assert_eq!(asked, [1]);
    assert_eq!(run.machine.questions(LogTime(0)), []);
    assert_eq!(run.machine.wake_at(), None, "its answer is what wakes");
    run.machine.told_lanes(1, Vec::new());
    assert_eq!(run.sends(0), [(1, 1)]);
    run.machine.stop();
    run.take_for(2, false);
    assert_eq!(run.machine.questions(LogTime(0)), []);
}

#[test]
fn s2_11_what_is_left_of_an_output_is_handed_to_the_next_attempt_and_outlives_a_restart() {
    let mut run = Run::new(policy());
    run.take(1, Some("alert-1"));
    run.sends(0);
    let progress = json!({ "done": true, "left": ["b@x.example"], "refused": [] });
    let partly = Attempt {
        progress: Some(progress.clone()),
        handle: Some(json!({ "message_id": "<1@x>" })),
        ..again(450, None)
    };
    run.finish(5, 1, &partly);
    let mut run = run.restart(6);
    let due = run.due(1);
    run.machine.decide(LogTime(due));
    let turn = Turn {
        number: 2,
        progress: Some(progress),
        ..Turn::default()
    };
    let send = Action::Send {
        seq: 1,
        turn,
        handle: Some(json!({ "message_id": "<1@x>" })),
    };
    assert_eq!(run.machine.batch(usize::MAX).actions, [send]);
}

#[test]
fn s2_08_what_was_said_last_is_handed_to_the_next_of_the_thread_and_outlives_a_restart() {
    let mut run = Run::new(policy());
    run.take(1, Some("alert-1"));
    run.sends(0);
    let said = Attempt {
        said: Some(7),
        ..delivered()
    };
    run.finish(5, 1, &said);
    run.sends(5);
    let mut run = run.restart(6);
    run.take_at(10, 2, Some("alert-1"));
    run.machine.decide(LogTime(10));
    let actions = run.machine.batch(usize::MAX).actions;
    let Some(Action::Send { turn, .. }) = actions.last() else {
        panic!("{actions:?}");
    };
    assert_eq!(turn.said, Some(7));
}
