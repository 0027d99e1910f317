//! What is neither a yes nor a no: never a rejection, and in the end a person's (S3.16).

use super::*;

#[test]
fn s3_16_what_is_neither_yes_nor_no_is_reviewed_at_once_and_never_a_rejection() {
    let settled = |statuses: &[u16]| {
        let mut run = Run::new(rewards());
        run.take(1, None);
        let mut now = 0;
        for status in statuses {
            assert_eq!(run.sends(now).len(), 1);
            let end = match status {
                0 => timed_out(),
                409 | 400 | 422 => unclear(*status),
                _ => again(*status, None),
            };
            run.finish(now + 5, 1, &end);
            now = run.due(1).max(now + 5);
        }
        assert_eq!(run.sends(now + DAY / 2), [], "never retried");
        let settled = run.machine.state().items()[&1].settled.clone();
        let settled = settled.expect("a verdict");
        assert_eq!(settled.ending(), FinalStatus::Failed);
        assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
        settled.reason()
    };
    assert_eq!(settled(&[400]), Reason::Rejected);
    assert_eq!(settled(&[422]), Reason::Rejected);
    assert_eq!(settled(&[503, 400]), Reason::Rejected);
    // It may have been done before.
    assert_eq!(settled(&[409]), Reason::Unknown);
    assert_eq!(settled(&[0, 400]), Reason::Unknown);
    assert_eq!(settled(&[0, 503, 422]), Reason::Unknown);
}

#[test]
fn s3_16_a_success_that_cannot_be_read_is_tried_again_under_the_same_id_and_in_doubt() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &unread());
    let item = &run.machine.state().items()[&1];
    assert!(item.unknown && item.asked && item.settled.is_none());
    assert_eq!(item.failures, 0, "these are ended by the deadline alone");
    assert_eq!(run.machine.state().breaker().name(), "closed");
    let due = run.due(1);
    run.machine.decide(LogTime(due));
    let actions = run.machine.batch(usize::MAX).actions;
    let turn = Turn {
        number: 2,
        in_doubt: true,
        unknown: true,
        ..Turn::default()
    };
    let handle = None;
    let send = Action::Send {
        seq: 1,
        turn,
        handle,
    };
    assert_eq!(actions, [send]);
    // Nobody can read it to the end of its time: a person has to.
    run.finish(due + 5, 1, &unread());
    run.machine.decide(LogTime(DAY));
    let settled = run.machine.state().items()[&1].settled.clone();
    let settled = settled.expect("a verdict");
    assert_eq!(settled.reason(), Reason::Unknown);
    assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
}

#[test]
fn s3_16_a_reward_that_cannot_be_sent_is_nobodys_no() {
    let unsendable = || {
        let fault = Fault::Unsendable("a template".into());
        let why = fault.to_string();
        attempt(Err(fault), Verdict::Rejected { why })
    };
    let settled = |ends: Vec<Attempt>| {
        let mut run = Run::new(rewards());
        run.take(1, None);
        let mut now = 0;
        for end in ends {
            run.sends(now);
            run.finish(now + 5, 1, &end);
            now = run.due(1).max(now + 5);
        }
        let settled = run.machine.state().items()[&1].settled.clone();
        let settled = settled.expect("a verdict");
        assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
        (settled.ending(), settled.reason())
    };
    assert_eq!(
        settled(vec![unsendable()]),
        (FinalStatus::Failed, Reason::Unsendable)
    );
    // The output may have gone with its retention, after an attempt that may have been done.
    assert_eq!(
        settled(vec![timed_out(), unsendable()]),
        (FinalStatus::Failed, Reason::Unknown)
    );
    // Elsewhere nothing hangs on it.
    let mut run = Run::new(policy());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &timed_out());
    let due = run.due(1);
    run.sends(due);
    run.finish(due, 1, &unsendable());
    let settled = run.machine.state().items()[&1].settled.clone();
    assert_eq!(
        settled.expect("a verdict").reason(),
        Reason::Unknown,
        "but it may have been done"
    );
}
