//! What counts as a broken guarantee, what as a risk, and what as no difference at all.

use super::*;

fn of(name: &str) -> Config {
    wanted(&Settings::new("nats://localhost"))
        .into_iter()
        .find(|config| config.name == name)
        .expect("one of ours")
}

/// Fields that break, and fields that are a risk, after one change.
fn after(name: &str, change: impl FnOnce(&mut Config)) -> (Vec<&'static str>, Vec<&'static str>) {
    let wanted = of(name);
    let mut found = wanted.clone();
    change(&mut found);
    let (breaks, risks): (Vec<_>, Vec<_>) = compare(&wanted, &found)
        .into_iter()
        .partition(|difference| difference.breaks);
    (
        breaks.into_iter().map(|d| d.field).collect(),
        risks.into_iter().map(|d| d.field).collect(),
    )
}

#[test]
fn the_streams_as_we_make_them_have_no_differences() {
    for wanted in wanted(&Settings::new("nats://localhost")) {
        assert_eq!(compare(&wanted, &wanted), Vec::new(), "{}", wanted.name);
    }
}

#[test]
fn a_setting_that_breaks_a_guarantee_is_told_from_one_that_is_a_risk() {
    let breaks = |field| (vec![field], Vec::new());
    let risk = |field| (Vec::new(), vec![field]);
    use subjects::{DEAD, DELIVERY, EVENTS, JOURNAL, OUT, SNAPSHOT};
    assert_eq!(
        after(EVENTS, |c| c.deny_delete = false),
        breaks("deny_delete")
    );
    assert_eq!(
        after(JOURNAL, |c| c.deny_purge = false),
        breaks("deny_purge")
    );
    assert_eq!(
        after(SNAPSHOT, |c| c.deny_purge = true),
        breaks("deny_purge")
    );
    assert_eq!(
        after(DELIVERY, |c| c.deny_purge = true),
        breaks("deny_purge")
    );
    // As logs from before had it.
    assert_eq!(
        after(DEAD, |c| c.duplicate_window = Duration::from_secs(1)),
        risk("duplicate_window")
    );
    assert_eq!(
        after(DEAD, |c| c.duplicate_window = Duration::from_secs(600)),
        (vec![], vec![])
    );
    assert_eq!(
        after(OUT, |c| c.allow_atomic_publish = false),
        breaks("allow_atomic")
    );
    assert_eq!(
        after(OUT, |c| c.storage = StorageType::Memory),
        breaks("storage")
    );
    assert_eq!(
        after(OUT, |c| c.max_age = Duration::from_secs(1)),
        breaks("max_age set")
    );
    assert_eq!(
        after(EVENTS, |c| c.max_messages_per_subject = 1),
        breaks("max_msgs_per_subject")
    );
    assert_eq!(
        after(EVENTS, |c| c.max_age = Duration::from_secs(1)),
        risk("max_age")
    );
    assert_eq!(
        after(EVENTS, |c| c.discard = DiscardPolicy::New),
        risk("discard")
    );
    assert_eq!(after(EVENTS, |c| c.max_bytes = -1), (vec![], vec![]));
    // With `discard new` the server refuses what does not fit; with `old` it deletes.
    assert_eq!(after(JOURNAL, |c| c.max_bytes = 1), risk("max_bytes"));
    assert_eq!(
        after(JOURNAL, |c| {
            c.max_bytes = 1;
            c.discard = DiscardPolicy::Old;
        }),
        (vec!["max_bytes with discard old"], vec!["max_bytes"])
    );
}

#[test]
fn a_wrong_transform_is_refused_with_stream_field_found_and_wanted() {
    let mut config = of(subjects::EVENTS);
    assert_eq!(partition_count(&config).ok(), Some((8, true)));
    config.subject_transform = None;
    let error = partition_count(&config)
        .expect_err("no transform")
        .to_string();
    for part in [
        "CX_EVENTS",
        "subject_transform",
        "missing",
        "partition(8,1)",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
