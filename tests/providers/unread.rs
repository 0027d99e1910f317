//! S3.16: answers that nobody can read, keys that are known already, credentials that are wrong: never a no, and never a
//! second order.

use aftercall::{
    delivery::attempt::{Attempt, Fault as Gone, Verdict},
    sandbox::{
        call::Vendor,
        faults::{Fault, Garbling},
    },
};
use serde_json::{Value, json};

use super::office::{Office, reversal, reward};

fn is_unknown(attempt: &Attempt) -> bool {
    matches!(attempt.verdict, Verdict::Again { unknown: true, .. })
}

fn control(office: &Office, body: &Value) {
    let set = office.sandbox.sandbox.control("/control/rewards", body);
    set.expect("the marketplace is told");
}

/// With a way to ask the marketplace, which as shipped has none.
fn with_lookup(one: &mut toml::Table) {
    if one["name"].as_str() == Some("rewards") {
        let lookup = r#"
url = "{{ vars.rewards }}/v1/rewards/{{ data.reward_id }}"
answer = "status == 404 ? null : {'status': status, 'body': {'status': body.status}}"
"#;
        let lookup: toml::Table = lookup.parse().expect("TOML");
        one.insert("lookup".into(), lookup.into());
    }
}

#[tokio::test]
async fn s3_16_an_answer_is_read_however_it_is_written_and_else_unknown() {
    for (number, garbling) in Garbling::ALL.into_iter().enumerate() {
        for (vendor, name, program) in [
            (Vendor::Rewards, "rewards", "recognition"),
            (Vendor::Tremendous, "tremendous", "gift_cards"),
        ] {
            let office = Office::open("10s", |_| {});
            let id = format!("0192e4a7-0000-8000-8000-{number:012}");
            let reward = reward(&id, program);
            office.fault(vendor, "POST", 1, Fault::Garbled(garbling));
            let first = office.turn(name, &reward, 1, false).await;
            if garbling.is_readable() {
                assert_eq!(first.verdict, Verdict::Delivered, "{garbling:?}: {first:?}");
                continue;
            }
            assert!(is_unknown(&first), "{garbling:?}: {first:?}");
            let second = office.turn(name, &reward, 2, true).await;
            assert_eq!(
                second.verdict,
                Verdict::Delivered,
                "{garbling:?}: {second:?}"
            );
            assert_eq!(office.executions(vendor, &id), 1, "{garbling:?}");
        }
    }
}

#[tokio::test]
async fn s3_16_a_question_whose_answer_nobody_can_read_leaves_the_doubt() {
    let office = Office::open("10s", |_| {});
    let id = "0192e4a7-0000-8000-8000-0000000000a1";
    let reward = reward(id, "gift_cards");
    office.fault(Vendor::Tremendous, "POST", 1, Fault::Lost);
    office.turn("tremendous", &reward, 1, false).await;
    for garbling in [Garbling::Html, Garbling::Cut, Garbling::Empty] {
        office.fault(Vendor::Tremendous, "GET", 1, Fault::Garbled(garbling));
        let asked = office.turn("tremendous", &reward, 2, true).await;
        assert!(is_unknown(&asked), "{garbling:?}: {asked:?}");
        assert!(
            matches!(asked.result, Err(Gone::InDoubt { .. })),
            "{asked:?}"
        );
    }
    office.fault(Vendor::Tremendous, "GET", 1, Fault::Garbled(Garbling::Bom));
    let found = office.turn("tremendous", &reward, 5, true).await;
    assert_eq!(found.status.as_deref(), Some("issued"));
    assert_eq!(office.executions(Vendor::Tremendous, id), 1);
}

#[tokio::test]
async fn s3_16_a_key_that_is_known_already_is_looked_up_and_else_a_persons() {
    let id = "0192e4a7-0000-8000-8000-0000000000a2";
    for can_be_asked in [false, true] {
        let office = match can_be_asked {
            true => Office::open("10s", with_lookup),
            false => Office::open("10s", |_| {}),
        };
        control(&office, &json!({ "conflict_on_repeat": true }));
        let reward = reward(id, "recognition");
        office.fault(Vendor::Rewards, "POST", 1, Fault::Garbled(Garbling::Html));
        let first = office.turn("rewards", &reward, 1, false).await;
        assert!(is_unknown(&first), "{first:?}");
        // As an attempt that does not know of the first, too: 409 is not a no.
        for in_doubt in [true, false] {
            let again = office.turn("rewards", &reward, 2, in_doubt).await;
            match can_be_asked {
                true => assert_eq!(again.verdict, Verdict::Delivered, "{again:?}"),
                false => assert!(
                    matches!(again.verdict, Verdict::Unclear { unknown: true, .. }),
                    "{again:?}"
                ),
            }
        }
        assert_eq!(office.executions(Vendor::Rewards, id), 1);
    }
}

#[tokio::test]
async fn s3_16_a_conflict_about_which_nothing_can_be_asked_for_now_is_asked_about_later() {
    let office = Office::open("10s", with_lookup);
    control(&office, &json!({ "conflict_on_repeat": true }));
    let id = "0192e4a7-0000-8000-8000-0000000000a3";
    let reward = reward(id, "recognition");
    office.turn("rewards", &reward, 1, false).await;
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    office.fault(Vendor::Rewards, "GET", 1, unavailable);
    let asked = office.turn("rewards", &reward, 1, false).await;
    assert!(is_unknown(&asked), "{asked:?}");
    let asked = office.turn("rewards", &reward, 2, true).await;
    assert_eq!(asked.verdict, Verdict::Delivered, "{asked:?}");
    assert_eq!(office.executions(Vendor::Rewards, id), 1);
}

#[tokio::test]
async fn s3_12_a_reversal_whose_answer_was_lost_and_that_then_meets_404_is_done() {
    let office = Office::open("10s", |_| {});
    control(&office, &json!({ "forget_reversed": true }));
    let id = "0192e4a7-0000-8000-8000-0000000000a4";
    office
        .turn("rewards", &reward(id, "recognition"), 1, false)
        .await;
    let back = reversal(id, "recognition");
    office.fault(Vendor::Rewards, "DELETE", 1, Fault::Lost);
    let first = office.turn("reward-reversals", &back, 1, false).await;
    assert!(is_unknown(&first), "{first:?}");
    let second = office.turn("reward-reversals", &back, 2, true).await;
    assert_eq!(second.verdict, Verdict::Delivered, "{second:?}");
    // Without an attempt before, nobody has taken back what is not there.
    let unheard = reversal("0192e4a7-0000-8000-8000-0000000000a5", "recognition");
    let first = office.turn("reward-reversals", &unheard, 1, false).await;
    assert!(
        matches!(first.verdict, Verdict::Unclear { unknown: false, .. }),
        "{first:?}"
    );
}

#[tokio::test]
async fn s3_16_wrong_and_missing_credentials_are_the_destinations_and_not_the_rewards() {
    let office = Office::open("10s", |_| {});
    let before = office.courier("rewards").fingerprint();
    let id = "0192e4a7-0000-8000-8000-0000000000a6";
    let reward = reward(id, "recognition");
    office.write_token(Some("a-token-of-yesterday"));
    tokio::time::sleep(aftercall::sinks::secret::LOOK_EVERY).await;
    let refused = office.turn("rewards", &reward, 1, false).await;
    assert!(
        matches!(
            refused.verdict,
            Verdict::Misconfigured { alone: Some(_), .. }
        ),
        "{refused:?}"
    );
    let wrong = office.courier("rewards").fingerprint();
    assert_ne!(before, wrong, "an exchange shows");
    office.write_token(None);
    tokio::time::sleep(aftercall::sinks::secret::LOOK_EVERY).await;
    let missing = office.turn("rewards", &reward, 2, false).await;
    assert!(
        matches!(missing.result, Err(Gone::Misconfigured(_))),
        "{missing:?}"
    );
    assert!(
        matches!(missing.verdict, Verdict::Misconfigured { alone: None, .. }),
        "{missing:?}"
    );
    office.write_token(Some(aftercall::sandbox::TOKEN));
    tokio::time::sleep(aftercall::sinks::secret::LOOK_EVERY).await;
    assert_eq!(office.courier("rewards").fingerprint(), before);
    let issued = office.turn("rewards", &reward, 3, false).await;
    assert_eq!(issued.verdict, Verdict::Delivered, "{issued:?}");
    // The same of a question.
    let asked = Fault::Status {
        status: 403,
        retry_after: None,
    };
    office.fault(Vendor::Tremendous, "GET", 1, asked);
    let card = super::office::reward(id, "gift_cards");
    let asked = office.turn("tremendous", &card, 2, true).await;
    assert!(
        matches!(asked.verdict, Verdict::Misconfigured { .. }),
        "{asked:?}"
    );
}
