//! What an actor waits for ends at its deadline, whatever keeps it from being sent (S5.04).

use super::*;

/// Who is calling: two attempts, and nobody waits longer than ten seconds.
fn lookups() -> Policy {
    let policy = policy();
    Policy {
        retry: Retry {
            attempts: NonZeroU32::new(2).expect("not zero"),
            deadline: Duration::from_secs(10),
            ..policy.retry
        },
        outcome: Some(OutcomeRule {
            event_type: "identity.outcome".into(),
            delivered: "resolved".into(),
            rejected: "failed".into(),
            failed: "unavailable".into(),
        }),
        ..policy
    }
}

/// With a breaker that has just opened, at 100.
fn behind_an_open_breaker(policy: Policy) -> Run {
    let mut run = Run::new(policy);
    for seq in 1..=6 {
        run.take(seq, None);
    }
    run.sends(0);
    for seq in 1..=6 {
        run.finish(100, seq, &unavailable());
    }
    assert!(matches!(
        run.machine.state().breaker(),
        Breaker::Open { .. }
    ));
    run
}

/// What the actor hears of an output.
fn word(run: &Run, seq: Seq) -> Option<String> {
    let settled = run.machine.state().items().get(&seq)?.settled.as_ref()?;
    settled.outcome.clone()
}

#[test]
fn s5_04_behind_an_open_breaker_a_lookup_ends_at_its_deadline() {
    let mut run = behind_an_open_breaker(lookups());
    assert!(run.machine.wants_output(LogTime(200)), "its time runs");
    run.take_at(200, 7, None);
    assert_eq!(run.sends(10_199), []);
    assert_eq!(word(&run, 7), None);
    assert_eq!(run.machine.wake_at(), Some(LogTime(10_200)));
    assert_eq!(run.sends(10_200), []);
    assert_eq!(word(&run, 7).as_deref(), Some("unavailable"));
    // Those that were tried have ended when they were ten seconds old.
    assert_eq!(word(&run, 1).as_deref(), Some("unavailable"));
}

#[test]
fn s5_04_a_lookup_ends_at_its_deadline_after_a_restart_too() {
    let mut run = behind_an_open_breaker(lookups());
    run.take_at(200, 7, None);
    let mut run = run.restart(5_000);
    run.sends(10_199);
    assert_eq!(word(&run, 7), None);
    run.sends(10_200);
    assert_eq!(word(&run, 7).as_deref(), Some("unavailable"));
}

#[test]
fn s5_04_without_credentials_a_lookup_ends_at_its_deadline() {
    let mut run = Run::new(lookups());
    run.take(1, None);
    run.sends(0);
    run.finish(10, 1, &shut_out(401, FinalStatus::Failed));
    run.take_at(20, 2, None);
    run.sends(10_000);
    assert_eq!(word(&run, 1).as_deref(), Some("unavailable"));
    run.sends(10_020);
    assert_eq!(word(&run, 2).as_deref(), Some("unavailable"));
}

#[test]
fn s3_09_what_is_not_awaited_waits_for_the_breaker() {
    let mut run = behind_an_open_breaker(Policy {
        outcome: None,
        ..lookups()
    });
    assert!(!run.machine.wants_output(LogTime(200)));
    run.take_at(200, 7, None);
    run.sends(10_200);
    assert!(run.machine.state().items()[&7].settled.is_none());
}
