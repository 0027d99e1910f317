//! Completions in, profile updates out (S4.01 to S4.05).

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::key::{Key, Side},
    effect::{Effect, Ignored},
    rules::RuleSet,
};
use common::*;
use serde_json::{Value, json};

#[test]
fn s4_03_a_completion_updates_the_profile_with_all_that_is_known() {
    let mut customer = Stage::customer();
    let more = json!({
        "summary": "Asked about an upgrade", "sentiment": 0.35, "disposition": "upgrade_inquiry",
    });
    let effects = customer.apply(7, completed("i1", 0, more));
    assert_eq!(ids(&effects), ["profile:c1:i1:1795168500000"]);
    assert_eq!(
        data(&effects),
        json!({
            "customer_id": "c1",
            "attributes": {
                "last_interaction_summary": "Asked about an upgrade", "sentiment": 0.35,
                "segmentation_tags": ["upsell_opportunity"], "contacts_7d": 1,
            },
            "last_updated": "2026-11-20T10:00:00.007Z",
            "idempotency_key": "i1-2026-11-20T09:55:00.000Z",
        })
    );
}

#[test]
fn s4_04_a_completion_counts_once_until_one_tick_before_the_dedupe_time() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    let again = || completed("i1", 0, json!({}));
    assert_eq!(customer.apply(0, again()).len(), 1);
    assert_eq!(
        customer.apply(HOUR_MS - 1, again()),
        ignored(Ignored::Duplicate)
    );
    let effects = customer.apply(HOUR_MS, again());
    assert_eq!(ids(&effects), ["profile:c1:i1:1795168500000"]);
    // An update, as S4.04 has it, but the same contact.
    assert_eq!(data(&effects)["attributes"]["contacts_7d"], 1);
    // The same interaction, begun again after a transfer, is another.
    let transferred = json!({ "started_at": NOW_MS });
    assert_eq!(
        customer
            .apply(HOUR_MS, completed("i1", 1, transferred))
            .len(),
        1
    );
}

#[test]
fn s4_01_only_listed_queues_or_skills_update_profiles() {
    let rules = rules_with(
        "queues = []\nskills = []",
        "queues = [\"vip\"]\nskills = [\"sales\"]",
    );
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let none = completed("i1", 0, json!({ "skills": ["billing"] }));
    assert_eq!(customer.apply(0, none), ignored(Ignored::NotListed));
    assert_eq!(customer.actor, Stage::customer().actor);
    let skill = completed("i2", 0, json!({ "skills": ["billing", "sales"] }));
    assert_eq!(customer.apply(0, skill).len(), 1);
    let queue = completed("i3", 0, json!({ "queue_id": "vip" }));
    assert_eq!(customer.apply(5 * SECOND_MS, queue).len(), 1);
}

#[test]
fn s4_01_a_completion_without_a_customer_id_is_counted_by_its_owner() {
    let mut agent = Stage::agent();
    let nobody = completed("i1", 0, json!({ "customer": { "phone": "+4930123" } }));
    assert_eq!(agent.apply(0, nobody), ignored(Ignored::NoCustomer));
    assert_eq!(agent.apply(0, completed("i2", 0, json!({}))), []);
    assert_eq!(agent.actor, Stage::agent().actor);
}

#[test]
fn s4_01_other_events_leave_no_trace() {
    let mut customer = Stage::customer();
    assert_eq!(customer.apply(0, started("i1")), []);
    assert_eq!(customer.apply(0, updated("i1", 0, "sold")), []);
    assert_eq!(customer.apply(0, survey("r1", json!({}))), []);
    assert_eq!(customer.actor, Stage::customer().actor);
}

#[test]
fn s4_05_updates_within_the_merge_time_are_one_at_its_end() {
    let mut customer = Stage::customer();
    assert_eq!(
        customer
            .apply(0, completed("i1", 0, json!({ "sentiment": -0.5 })))
            .len(),
        1
    );
    assert_eq!(customer.deadline(), None);
    assert_eq!(
        customer.apply(1, completed("i2", 1, json!({ "summary": "two" }))),
        []
    );
    assert_eq!(customer.apply(4_999, completed("i3", 4_999, json!({}))), []);
    assert_eq!(customer.deadline(), Some(5_000));
    assert_eq!(customer.wake(4_999), []);
    let effects = customer.wake(5_000);
    assert_eq!(ids(&effects), ["profile:c1:i3:1795168504999"]);
    let update = data(&effects);
    assert_eq!(update["idempotency_key"], "i3-2026-11-20T09:55:04.999Z");
    assert_eq!(
        update["attributes"],
        json!({
            "last_interaction_summary": "two", "sentiment": -0.5, "contacts_7d": 3,
            "segmentation_tags": ["churn_risk", "repeat_contact"],
        })
    );
    // The merged update began a merge time of its own.
    assert_eq!(customer.apply(9_999, completed("i4", 0, json!({}))), []);
    assert_eq!(ids(&customer.wake(10_000)).len(), 1);
}

#[test]
fn s4_05_a_completion_at_the_end_of_the_merge_time_goes_at_once_with_what_waited() {
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 0, json!({})));
    customer.apply(1, completed("i2", 1, json!({})));
    let effects = customer.apply(5_000, completed("i3", 5_000, json!({})));
    assert_eq!(ids(&effects), ["profile:c1:i3:1795168505000"]);
    assert_eq!(data(&effects)["attributes"]["contacts_7d"], 3);
    // What still wakes it is the end of its segment, far off.
    assert_eq!(customer.deadline(), Some(5_000 + 7 * DAY_MS));
}

#[test]
fn s4_05_without_a_merge_time_each_completion_makes_an_update() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    for n in 0..3 {
        let id = format!("i{n}");
        assert_eq!(customer.apply(0, completed(&id, 0, json!({}))).len(), 1);
    }
}

#[test]
fn s4_05_log_time_that_jumps_back_delays_an_update_by_a_merge_time_at_most() {
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 0, json!({})));
    assert_eq!(customer.apply(-HOUR_MS, completed("i2", 0, json!({}))), []);
    assert_eq!(customer.deadline(), Some(5_000 - HOUR_MS));
    assert_eq!(customer.wake(5_000 - HOUR_MS).len(), 1);
}

#[test]
fn s4_02_a_later_completion_that_no_longer_qualifies_ends_a_segment() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    let tags = |effects: Vec<Effect>| data(&effects)["attributes"]["segmentation_tags"].clone();
    let complaint = completed("i1", 0, json!({ "disposition": "complaint" }));
    assert_eq!(tags(customer.apply(0, complaint)), json!(["churn_risk"]));
    assert_eq!(customer.deadline(), Some(7 * DAY_MS));
    assert_eq!(
        tags(customer.apply(1, completed("i2", 1, json!({})))),
        json!([])
    );
    assert_eq!(customer.deadline(), None);
}

#[test]
fn s4_02_segments_end_when_the_last_contact_leaves_the_history() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    let more = json!({ "disposition": "complaint", "summary": "angry", "sentiment": -1.0 });
    customer.apply(HOUR_MS, completed("i1", 0, more));
    let end = 7 * DAY_MS;
    assert_eq!(customer.deadline(), Some(end));
    assert_eq!(customer.wake(end - 1), []);
    assert!(!customer.is_blank(end));
    let effects = customer.wake(end);
    assert_eq!(ids(&effects), ["profile:c1:left:1795773600000"]);
    assert_eq!(
        data(&effects),
        json!({
            "customer_id": "c1",
            "attributes": {
                "last_interaction_summary": "angry", "sentiment": -1.0, "segmentation_tags": [],
                "contacts_7d": 0,
            },
            "last_updated": "2026-11-27T10:00:00.000Z",
            "idempotency_key": "c1-left-2026-11-27T10:00:00.000Z",
        })
    );
    assert_eq!(customer.deadline(), None);
    assert!(customer.is_blank(end));
    assert_eq!(customer.actor, Stage::customer().actor);
}

#[test]
fn s4_02_a_contact_is_in_the_history_until_one_tick_before_the_windows_length() {
    for (after_ms, contacts) in [(7 * DAY_MS - 1, 2), (7 * DAY_MS, 1)] {
        let mut customer = Stage::customer();
        customer.apply(0, completed("i1", 0, json!({})));
        let effects = customer.apply(after_ms, completed("i2", after_ms, json!({})));
        assert_eq!(
            data(&effects)["attributes"]["contacts_7d"],
            contacts,
            "{after_ms}"
        );
    }
}

#[test]
fn s4_02_a_late_completion_finds_its_place_and_overwrites_nothing_newer() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    customer.apply(
        0,
        completed("i1", 0, json!({ "summary": "new", "sentiment": 0.5 })),
    );
    let late = completed(
        "i2",
        -HOUR_MS,
        json!({ "summary": "old", "sentiment": -0.5 }),
    );
    let attributes = data(&customer.apply(1, late))["attributes"].clone();
    assert_eq!(attributes["last_interaction_summary"], "new");
    assert_eq!(attributes["sentiment"], 0.5);
    assert_eq!(attributes["contacts_7d"], 2);
}

#[test]
fn s4_02_a_completion_from_before_the_history_updates_the_profile_and_enters_no_segment() {
    let mut customer = Stage::customer();
    let old = completed(
        "i1",
        -7 * DAY_MS,
        json!({ "disposition": "complaint", "summary": "old" }),
    );
    let effects = customer.apply(0, old);
    assert_eq!(effects[0], Effect::Ignore(Ignored::TooOld));
    let attributes = data(&effects[1..])["attributes"].clone();
    let expected =
        json!({ "last_interaction_summary": "old", "segmentation_tags": [], "contacts_7d": 0 });
    assert_eq!(attributes, expected);
    assert_eq!(customer.deadline(), None);
}

#[test]
fn s4_02_a_completion_that_ended_in_the_future_counts_as_of_now() {
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 30 * DAY_MS, json!({})));
    let effects = customer.apply(7 * DAY_MS, completed("i2", 7 * DAY_MS, json!({})));
    assert_eq!(data(&effects)["attributes"]["contacts_7d"], 1);
}

#[test]
fn s4_02_the_history_holds_the_newest_256_contacts() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    let mut last = Value::Null;
    for n in 0..300 {
        last = data(&customer.apply(n, completed(&n.to_string(), n, json!({}))));
    }
    assert_eq!(last["attributes"]["contacts_7d"], 256);
}

#[test]
fn s4_09_a_changed_disposition_is_noted_once() {
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 0, json!({ "disposition": "open" })));
    let before = customer.actor.clone();
    assert_eq!(customer.apply(1, updated("i1", 1, "sold")), []);
    assert_ne!(customer.actor, before);
    assert_eq!(
        customer.apply(2, updated("i1", 1, "sold")),
        ignored(Ignored::Duplicate)
    );
    // Neither is an update taken for a completion that began when it was made.
    let same_ms = completed("i1", 3, json!({ "started_at": NOW_MS + 1 }));
    assert_eq!(customer.apply(3, same_ms), []);
    assert_eq!(customer.deadline(), Some(5_000));
}

/// Id and tags of the one update among the effects.
fn segments(effects: &[Effect]) -> (String, Value) {
    let update = data(effects);
    let tags = update["attributes"]["segmentation_tags"].clone();
    (ids(effects)[0].to_owned(), tags)
}

#[test]
fn s4_09_a_disposition_that_comes_or_changes_decides_the_segments_again_and_updates_the_profile() {
    for first in [
        json!({}),
        json!({ "disposition": "open" }),
        json!({ "disposition": "NO disposition" }),
    ] {
        let mut customer = Stage::new(Key::Customer("c1"), unmerged());
        let effects = customer.apply(0, completed("i1", 0, first));
        assert_eq!(segments(&effects).1, json!([]));
        let effects = customer.apply(10, updated("i1", 5, "cancellation"));
        assert_eq!(
            data(&effects),
            json!({
                "customer_id": "c1",
                "attributes": { "segmentation_tags": ["churn_risk"], "contacts_7d": 1 },
                "last_updated": "2026-11-20T10:00:00.010Z",
                "idempotency_key": "i1-updated-2026-11-20T10:00:00.005Z",
            })
        );
        assert_eq!(ids(&effects), ["profile:c1:i1:updated:1795168800005"]);
        assert_eq!(customer.deadline(), Some(7 * DAY_MS));
        // The same again, older news, what says nothing, and the same under a newer time.
        assert_eq!(
            customer.apply(11, updated("i1", 5, "cancellation")),
            ignored(Ignored::Duplicate)
        );
        assert_eq!(
            customer.apply(12, updated("i1", 4, "solved")),
            ignored(Ignored::Superseded)
        );
        assert_eq!(customer.apply(13, updated("i1", 13, "No Disposition")), []);
        assert_eq!(customer.apply(14, updated("i1", 14, "cancellation")), []);
        // And out of the segment again.
        let effects = customer.apply(HOUR_MS, updated("i1", 15, "solved"));
        let expected = ("profile:c1:i1:updated:1795168800015".to_owned(), json!([]));
        assert_eq!(segments(&effects), expected);
        assert_eq!(customer.deadline(), None);
    }
}

#[test]
fn s4_09_a_change_within_the_merge_time_goes_at_its_end_and_is_stored_meanwhile() {
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 0, json!({})));
    assert_eq!(customer.apply(1, updated("i1", 1, "complaint")), []);
    assert_eq!(customer.deadline(), Some(5_000));
    let bytes = customer.encoded();
    customer.actor = Actor::decode(Side::Customer, "c1", &bytes).unwrap();
    assert_eq!(customer.encoded(), bytes);
    let effects = customer.wake(5_000);
    let expected = (
        "profile:c1:i1:updated:1795168800001".to_owned(),
        json!(["churn_risk"]),
    );
    assert_eq!(segments(&effects), expected);
}

#[test]
fn s4_09_an_older_contact_or_an_unlisted_one_decides_nothing() {
    let mut customer = Stage::new(Key::Customer("c1"), unmerged());
    customer.apply(0, completed("i1", 0, json!({})));
    customer.apply(1, completed("i2", 1, json!({})));
    assert_eq!(customer.apply(2, updated("i1", 2, "complaint")), []);
    assert_eq!(customer.apply(3, updated("i3", 3, "complaint")), []);
    let effects = customer.apply(4, updated("i2", 4, "complaint"));
    assert_eq!(segments(&effects).1, json!(["churn_risk"]));
}

#[test]
fn s4_09_a_change_that_comes_before_its_completion_counts_if_it_is_later_than_its_end() {
    for (changed_ms, own, tags) in [
        (1, Some("open"), json!(["churn_risk"])),
        (0, Some("open"), json!([])),
        (-1, None, json!(["churn_risk"])),
    ] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, updated("i1", changed_ms, "complaint"));
        let more = own.map_or(json!({}), |own| json!({ "disposition": own }));
        let effects = customer.apply(1, completed("i1", 0, more));
        assert_eq!(segments(&effects[..1]).1, tags, "{changed_ms}");
    }
}

#[test]
fn s4_09_rules_that_read_more_of_the_completion_are_asked_with_what_it_said() {
    let more = r#"
        [[rule]]
        name = "angry_vip"
        on = "interaction.completed"
        when = '''
        event.disposition == "complaint" && event.queue_id == "vip" && "gold" in event.tags
        && event.sentiment < 0.0 && !has(event.summary) && size(event.skills) == 0
        && event.ended_at - event.started_at == 300000 && event.customer.customer_id == "c1"
        '''
        segment = "angry_vip"
    "#;
    let rules = rules_and(more);
    let mut customer = Stage::new(Key::Customer("c1"), rules.clone());
    let said = json!({ "queue_id": "vip", "tags": ["gold"], "sentiment": -0.5 });
    customer.apply(0, completed("i1", 0, said.clone()));
    let bytes = customer.encoded();
    customer.actor = Actor::decode(Side::Customer, "c1", &bytes).unwrap();
    let effects = customer.apply(5_000, updated("i1", 1, "complaint"));
    assert_eq!(segments(&effects).1, json!(["angry_vip", "churn_risk"]));

    // Decided by rules that read less: segments stay until the next completion.
    let mut customer = Stage::customer();
    customer.apply(0, completed("i1", 0, said));
    customer.rules = rules;
    assert_eq!(
        customer.apply(5_000, updated("i1", 1, "complaint")),
        ignored(Ignored::RulesChanged)
    );
}

#[test]
fn s5_07_a_disposition_that_stands_for_none_is_none_in_conditions() {
    let more = r#"
        [[rule]]
        name = "unnamed"
        on = "interaction.completed"
        when = "!has(event.disposition)"
        segment = "unnamed"
    "#;
    for (disposition, tags) in [
        ("No Disposition", json!(["unnamed"])),
        (" no disposition ", json!(["unnamed"])),
        (" ", json!(["unnamed"])),
        ("No Dispositions", json!([])),
    ] {
        let mut customer = Stage::new(Key::Customer("c1"), rules_and(more));
        let effects = customer.apply(0, completed("i1", 0, json!({ "disposition": disposition })));
        assert_eq!(segments(&effects).1, tags, "{disposition}");
    }
}

#[test]
fn s4_05_a_customer_is_blank_once_nothing_of_them_matters() {
    let mut customer = Stage::customer();
    assert!(customer.is_blank(0));
    customer.apply(0, completed("i1", -7 * DAY_MS, json!({})));
    assert!(!customer.is_blank(HOUR_MS - 1));
    assert!(customer.is_blank(HOUR_MS));
    customer.apply(0, completed("i2", 0, json!({ "summary": "text" })));
    // An update waits.
    assert!(!customer.is_blank(7 * DAY_MS));
    customer.wake(5_000);
    assert!(!customer.is_blank(7 * DAY_MS - 1));
    assert!(customer.is_blank(7 * DAY_MS));
}

/// The shipped rules without merging.
fn unmerged() -> RuleSet {
    rules_with("merge = \"5s\"", "merge = \"0s\"")
}
