//! Rewards that are asked for and that no destination delivers are named, and none that waits for good reason.

use aftercall::{
    delivery::{
        parcel::Parcel,
        record::{Checkpoint, Cursor, Fact, Item, Piece, Record, Step, Taken},
    },
    envelope::{self, outcome_event},
    log::Log,
    sandbox::{call::Vendor, faults::Fault},
};
use serde_json::json;

use crate::{
    centre::{Centre, Place, Plan},
    copied::copied,
    program,
    told::Told,
};

const DESTINATION: &str = "tremendous";

const PLAN: Plan = Plan {
    destinations: &[DESTINATION],
    changes: &[],
    rules: &[
        ("enabled = false", "enabled = true"),
        ("name = \"recognition\"", "name = \"gift_cards\""),
    ],
};

/// Beyond every output.
const BEYOND: Cursor = Cursor {
    output: 1_000,
    dead: 0,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_14_a_reward_that_was_never_delivered_is_named() {
    let mut centre = Centre::open(Place::Embedded, &PLAN).await;
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    centre.break_down(Vendor::Tremendous, unavailable);
    let grant = json!({
        "adjustment_id": "g-1", "agent_id": "a-1", "points": 510, "kind": "grant", "reason": "quarter",
        "effective_at": centre.now(),
    });
    centre.post(&[("points.adjusted", "g-1", grant)]).await;
    let request = centre
        .until_outputs("reward.requested", 1)
        .await
        .swap_remove(0);
    let asked = async || (!centre.calls(Vendor::Tremendous).is_empty()).then_some(());
    centre.until("an attempt", asked).await;

    // It waits for the vendor, beside the service and after it.
    let arguments = ["ledger", "verify", "--offline", "--json"];
    Told::of(&centre.run(&arguments)).good();
    centre.stop().await;
    let told = Told::of(&centre.run(&arguments)).good();
    assert_eq!(told.figure("open"), 1);

    // Its destination is past it, and knows nothing of it.
    let past = Checkpoint {
        cursor: BEYOND,
        ..Checkpoint::default()
    };
    let told = verified(&centre, &[Fact::Checkpoint(past.clone())], None).await;
    let found = format!(
        "that {DESTINATION} is past output {}, and neither delivers it nor has told what became of it",
        request.seq
    );
    assert_eq!(
        told.found(),
        [("deliveries".to_owned(), "a-1".to_owned(), found)]
    );
    let difference = &told.differences[0];
    assert_eq!(difference["reward_id"], request.id.as_str());
    assert_eq!(difference["destination"], DESTINATION);

    // It has not come to it.
    let before = Checkpoint::default();
    verified(&centre, &[Fact::Checkpoint(before)], None)
        .await
        .good();
    // It delivers it.
    let item = Item {
        taken: Taken {
            seq: request.seq,
            id: request.id.clone(),
            subject: request.subject.clone(),
            event_type: request.event_type.clone(),
            ..Taken::default()
        },
        round: 1,
        ..Item::default()
    };
    let facts = [Fact::Checkpoint(past.clone()), Fact::Held(item)];
    verified(&centre, &facts, None).await.good();
    // It has told, and the agent has not heard yet.
    verified(&centre, &[Fact::Checkpoint(past)], Some(&request))
        .await
        .good();
}

/// What is found where the destination's line says this and no more, and an outcome of an output came last.
async fn verified(centre: &Centre, facts: &[Fact], told: Option<&Parcel>) -> Told {
    let folder = copied(centre, async |log, _| {
        say(&log, facts).await;
        if let Some(request) = told {
            tell(&log, request).await;
        }
    })
    .await;
    let dir = folder.path().display().to_string();
    let arguments = ["ledger", "verify", "--offline", "--json", "--dir", &dir];
    let config = ["--config", "aftercall.toml"];
    let all: Vec<&str> = arguments.iter().chain(&config).copied().collect();
    Told::of(&program::run_in(centre.folder.path(), &all, ""))
}

/// A checkpoint behind what stands in the line.
async fn say(log: &Log, facts: &[Fact]) {
    let head = log.delivery_head(DESTINATION).await.expect("the line");
    let head = head.expect("a record");
    let last = Record::read(&head.bytes).expect("a record");
    let checkpoint = Record {
        number: last.number + 1,
        piece: Some(Piece { index: 0, count: 1 }),
        steps: facts.iter().cloned().map(Step::from).collect(),
        ..last
    };
    let appended = log.delivery_append(DESTINATION, head.seq, checkpoint.to_bytes());
    appended.await.expect("one more record");
}

async fn tell(log: &Log, request: &Parcel) {
    let told = envelope::Told {
        destination: DESTINATION,
        event_type: "reward.outcome",
        output_id: &request.id,
        subject: &request.subject,
        round: 1,
        status: "issued",
        attempts: 1,
        reason: None,
        kept: &Default::default(),
        response: None,
        proof: None,
        at: log.now(),
    };
    let event = outcome_event(&told).expect("an outcome");
    let answers = log.append(vec![event]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}
