//! Differences that are planted are found, each by itself, and nothing else is.

use std::{path::Path, process::Output};

use aftercall::{
    delivery::parcel::Parcel,
    log::{Lane, Log, PartitionId},
    sandbox::{self, Settings, Spawned, TOKEN, call::Vendor},
    shard::{
        engine::publishable,
        record::{OutputRecord, Record, StateRecord, link},
        retrace::Retrace,
        witness::Nobody,
    },
};
use aftercall_actors::{
    contract::{
        key::{Key, Side},
        output::Kind,
        time::LogTime,
    },
    rules::RuleSet,
};
use serde_json::{Value, json};

use crate::{
    centre::{Centre, Place, Plan},
    copied::copied,
    program, settings,
    told::Told,
};

/// Gift cards at 500 points, at a vendor that lists its orders.
const PLAN: Plan = Plan {
    destinations: &["tremendous"],
    changes: &[],
    rules: &[
        ("enabled = false", "enabled = true"),
        ("name = \"recognition\"", "name = \"gift_cards\""),
    ],
};

/// A log whose service has stopped: `a-1` had one reward, `a-2` two, the second of them later.
struct Ended {
    centre: Centre,
    /// When all grants took effect: they are of one day, even if midnight passes before the last is posted.
    granted_at: String,
    requests: Vec<Parcel>,
}

impl Ended {
    async fn open() -> Self {
        let mut centre = Centre::open(Place::Embedded, &PLAN).await;
        let granted_at = centre.now();
        for (agent, points) in [("a-1", 510), ("a-2", 520)] {
            grant(&centre, agent, points, &granted_at).await;
        }
        for request in centre.until_outputs("reward.requested", 2).await {
            centre.until_told(&request.id).await;
        }
        grant(&centre, "a-2", 500, &granted_at).await;
        let requests = centre.until_outputs("reward.requested", 3).await;
        centre.until_told(&requests[2].id).await;
        // The book goes as far as the journal: until the last outcome is in it.
        let look = async || {
            let told = Told::of(&centre.run(&["ledger", "verify", "--json"])).good();
            (told.figure("issued") == 3).then_some(())
        };
        centre.until("three rewards in the book", look).await;
        centre.stop().await;
        let told = Told::of(&centre.run(&["ledger", "verify", "--json"])).good();
        assert_eq!(told.figure("open"), 0);
        Self {
            centre,
            granted_at,
            requests,
        }
    }

    /// The log copied, something planted in it, and what is found then: for programs, and for people.
    async fn with(&self, plant: impl AsyncFnOnce(Log, &Path)) -> (Told, Output) {
        let folder = copied(&self.centre, plant).await;
        let dir = folder.path().display().to_string();
        let arguments = [
            "ledger",
            "verify",
            "--dir",
            &dir,
            "--config",
            "aftercall.toml",
        ];
        let shown = program::run_in(self.centre.folder.path(), &arguments, "");
        (self.verify_in(folder.path(), &[]), shown)
    }

    fn verify_in(&self, dir: &Path, more: &[&str]) -> Told {
        let dir = dir.display().to_string();
        let arguments = ["ledger", "verify", "--json", "--dir", &dir];
        let config = ["--config", "aftercall.toml"];
        let all: Vec<&str> = arguments
            .iter()
            .chain(&config)
            .chain(more)
            .copied()
            .collect();
        Told::of(&program::run_in(self.centre.folder.path(), &all, ""))
    }

    /// The first and the later request of `a-2`.
    fn of_second(&self) -> [&Parcel; 2] {
        let own = |parcel: &&Parcel| parcel.subject == "agent/a-2";
        let own: Vec<&Parcel> = self.requests.iter().filter(own).collect();
        own.try_into().expect("two")
    }
}

fn partition_of(log: &Log, agent: &str) -> PartitionId {
    PartitionId {
        side: Side::Agent,
        index: Key::Agent(agent).partition(log.partition_count()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_14_whatever_is_planted_in_the_log_is_found() {
    let ended = Ended::open().await;

    // Another agent's state in the journal: its money is named piece by piece.
    let (told, _) = ended.with(async |log, _| plant_state(&log).await).await;
    let found = told.found();
    let of_first = found
        .iter()
        .all(|(check, agent, _)| check == "state" && agent == "a-1");
    assert!(of_first, "{found:#?}");
    let balance = "20 (available 20, held 0, debt 0) stored";
    assert!(found.iter().any(|(.., text)| text == balance), "{found:#?}");
    let today = &ended.granted_at[..10];
    let cell = format!("1020 points from adjustment on {today} stored");
    assert!(found.iter().any(|(.., text)| *text == cell), "{found:#?}");
    let given = "reward 1 of bronze: Issued for 500 points stored";
    assert!(found.iter().any(|(.., text)| text == given), "{found:#?}");

    // An outcome that no destination told, under its name and under another.
    let first =
        "(SELECT min(position) FROM event WHERE CAST(payload AS TEXT) LIKE '%\"reward.outcome\"%')";
    for (from, to, book) in [
        ("\"proof\":\"", "\"proof\":\"0", "aftercall/deliver/"),
        (
            "\"source\":\"aftercall/deliver/",
            "\"source\":\"/tests/",
            "/tests/",
        ),
    ] {
        let (told, _) = ended
            .with(async |_, file| {
                let sql = format!(
                    "UPDATE event SET payload = CAST(replace(CAST(payload AS TEXT), ?1, ?2) AS BLOB) \
                     WHERE position = {first}"
                );
                alter(file, &sql, (from, to));
            })
            .await;
        let found = told.found();
        assert_eq!(found.len(), 1, "{found:?}");
        let (check, agent, text) = &found[0];
        assert_eq!(check, "outcomes");
        assert!(agent == "a-1" || agent == "a-2", "{agent}");
        assert!(
            text.starts_with(&format!("the outcome `issued` from `{book}")),
            "{text}"
        );
    }

    // A request that was never said.
    let stray = reward_of("a-2", 9, 500);
    let (told, _) = ended
        .with(async |log, _| publish(&log, "a-2", "stray", &stray).await)
        .await;
    let expected = ("outputs".to_owned(), "a-2".to_owned());
    let is_it = |(check, agent, found): &(String, String, String)| {
        (check.clone(), agent.clone()) == expected
            && found.starts_with("reward.requested as output")
    };
    assert!(
        told.found().len() == 1 && is_it(&told.found()[0]),
        "{:?}",
        told.found()
    );

    // One that stands there twice.
    let [first, _] = ended.of_second();
    let (told, _) = ended
        .with(async |log, _| publish(&log, "a-2", &first.id, &first.data).await)
        .await;
    assert_eq!(told.found().len(), 1, "{:?}", told.found());
    assert!(told.found()[0].2.starts_with("it once more as output"));

    // One whose data is not what was said.
    let mut more = first.data.clone();
    more["points_consumed"] = 5_000.into();
    let seq = first.seq;
    let (told, _) = ended
        .with(async |_, file| {
            let sql = "UPDATE output SET payload = ?2 WHERE seq = ?1";
            alter(file, sql, (seq as i64, more.to_string().as_bytes()));
        })
        .await;
    let found = told.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].2, format!("points_consumed 5000 in output {seq}"));

    // And one that is not there, though a later one is.
    let (told, shown) = ended
        .with(async |_, file| alter(file, "DELETE FROM output WHERE seq = ?1", (seq as i64,)))
        .await;
    let expected = ("outputs".into(), "a-2".into(), "no such output".into());
    assert_eq!(told.found(), [expected]);
    assert_eq!(told.differences[0]["reward_id"], first.id.as_str());

    let text = program::text(&shown);
    let line = format!("outputs, agent a-2, reward {}, position ", first.id);
    assert!(
        text.starts_with(&line) && text.ends_with("\n1 difference\n"),
        "{text}"
    );
    assert_eq!(shown.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_14_what_a_provider_has_otherwise_is_found() {
    let ended = Ended::open().await;
    let orders: Vec<Value> = ended
        .centre
        .calls(Vendor::Tremendous)
        .into_iter()
        .filter(|call| call["method"] == "POST")
        .map(|call| match &call["body"] {
            Value::String(text) => serde_json::from_str(text).expect("JSON"),
            body => body.clone(),
        })
        .collect();
    assert_eq!(orders.len(), 3);
    let data = ended.centre.folder.path().join("data");
    let verified = async |orders: &[Value]| {
        let folder = tempfile::tempdir().expect("a folder");
        let other = vendor();
        for order in orders {
            place(&other, order).await;
        }
        let names = PLAN.destinations;
        let destinations = settings::destinations(folder.path(), &other, names, &[]);
        ended.verify_in(&data, &["--destinations", &destinations])
    };
    verified(&orders).await.good();

    let told = verified(&orders[1..]).await;
    let expected = ("provider".into(), "a-1".into(), "no such order".into());
    let missing = orders[0]["external_id"].clone();
    let others: Vec<_> = told.found();
    assert_eq!(others.len(), 1);
    assert_eq!(told.differences[0]["reward_id"], missing);
    assert_eq!(told.differences[0]["destination"], "tremendous");
    if ended.requests[0].subject == "agent/a-1" {
        assert_eq!(others, [expected]);
    }

    let mut dearer = orders.clone();
    dearer[0]["reward"]["value"]["denomination"] = 30.into();
    let told = verified(&dearer).await;
    assert_eq!(told.found().len(), 1, "{:?}", told.found());
    assert_eq!(told.differences[0]["book"], "issued for 500 points");
    assert_eq!(told.differences[0]["found"], "issued for 600 points");

    let mut extra = orders.clone();
    extra.push(orders[0].clone());
    extra[3]["external_id"] = "0192e4a7-0000-8000-8000-0000000000ff".into();
    let told = verified(&extra).await;
    assert_eq!(told.found().len(), 1, "{:?}", told.found());
    let stranger = &told.differences[0];
    assert_eq!(stranger["reward_id"], extra[3]["external_id"]);
    assert_eq!(stranger["book"], "that there is no such reward");

    // A list that cannot be had is no list of nothing.
    let gone = ended.verify_gone(&data);
    assert_eq!(gone.status.code(), Some(1));
    let error = program::errors(&gone);
    assert!(
        error.contains("destination tremendous: page 1 of its list"),
        "{error}"
    );
    // Nor is anybody asked who need not be.
    let dir = data.display().to_string();
    let arguments = ["ledger", "verify", "--offline", "--json", "--dir", &dir];
    let offline = program::run_in(ended.centre.folder.path(), &arguments, "");
    assert_eq!(Told::of(&offline).good().summary["providers"], json!({}));
}

impl Ended {
    /// Verifies against a vendor that is no longer there.
    fn verify_gone(&self, data: &Path) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let destinations = {
            let gone = vendor();
            let change = [(
                "tremendous",
                r#"timeout = { connect = "200ms", total = "200ms" }"#,
            )];
            settings::destinations(folder.path(), &gone, PLAN.destinations, &change)
        };
        let dir = data.display().to_string();
        let arguments = [
            "ledger",
            "verify",
            "--json",
            "--dir",
            &dir,
            "--config",
            "aftercall.toml",
            "--destinations",
            &destinations,
        ];
        program::run_in(self.centre.folder.path(), &arguments, "")
    }
}

fn vendor() -> Spawned {
    let listen = "127.0.0.1:0".parse().expect("an address");
    sandbox::spawn(listen, Settings::default()).expect("a sandbox")
}

async fn place(vendor: &Spawned, order: &Value) {
    let url = vendor.url(Vendor::Tremendous) + "/api/v2/orders";
    let request = reqwest::Client::new().post(url).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/json");
    let answer = request.body(order.to_string()).send().await;
    assert_eq!(answer.expect("an answer").status().as_u16(), 201);
}

/// One more journal record, in which `a-1` has the state of `a-2`.
async fn plant_state(log: &Log) {
    let genesis = RuleSet::default_rules();
    let partitions: Vec<PartitionId> = PartitionId::all(log.partition_count()).collect();
    let retrace = Retrace::stored(log, &partitions, &genesis).await;
    let mut retrace = retrace.expect("what is stored");
    retrace.run(&mut Nobody, |_| {}).await.expect("replay");
    let mut state = Vec::new();
    let look = |_, key: Key<'_>, actor: aftercall_actors::actor::Actor, _: LogTime| {
        if key == Key::Agent("a-2") {
            actor.encode(&mut state);
        }
    };
    retrace.actors(look).expect("actors");
    assert!(!state.is_empty());
    let partition = partition_of(log, "a-1");
    let head = log.journal_head(partition).await.expect("the journal");
    let head = head.expect("a record");
    let last = Record::read(&head.bytes).expect("a record");
    let planted = Record {
        commit: last.commit + 1,
        previous: link(&head.bytes),
        outputs: Vec::new(),
        states: vec![StateRecord {
            key: "agent/a-1".to_owned(),
            state: state.into(),
            ..StateRecord::default()
        }],
        genesis_rules: String::new(),
        ..last
    };
    let appended = log.journal_append(partition, head.seq, planted.to_bytes());
    appended.await.expect("one more record");
}

/// One more output about a reward of an agent's.
async fn publish(log: &Log, agent: &str, id: &str, data: &Value) {
    let partition = partition_of(log, agent);
    let lane = Lane::Out(Kind::Reward);
    let mark = log.output_mark(partition, lane).await.expect("a mark");
    let mark = mark.expect("an output before");
    let record = Record {
        commit: mark.commit + 1,
        outputs: vec![OutputRecord {
            lane: lane.index() as u32,
            id: id.to_owned(),
            output_type: "reward.requested".to_owned(),
            subject: format!("agent/{agent}"),
            data: data.to_string().into(),
            ..OutputRecord::default()
        }],
        ..Record::default()
    };
    let mut fences = [0; Lane::COUNT];
    fences[lane.index()] = mark.seq;
    let outputs = publishable(partition, &record);
    let outputs: Vec<_> = outputs.into_iter().map(|said| said.output).collect();
    let stored = log.outputs_append(partition, &mut fences, &outputs).await;
    assert_eq!(stored.expect("stored"), 1);
}

/// Changes a row of the file behind the program's back.
fn alter(file: &Path, sql: &str, values: impl rusqlite::Params) {
    let connection = rusqlite::Connection::open(file).expect("the file");
    assert_eq!(connection.execute(sql, values).expect("SQL"), 1);
}

fn reward_of(agent: &str, ordinal: u32, points: i64) -> Value {
    json!({
        "reward_id": "stray", "program": "gift_cards", "agent_id": agent, "tier": "bronze", "ordinal": ordinal,
        "reward_type": "gift_card_25", "points_consumed": points,
        "transaction_timestamp": "2026-11-20T00:00:00Z", "metadata": {},
    })
}

async fn grant(centre: &Centre, agent: &str, points: i64, at: &str) {
    let id = format!("{agent}-{points}");
    let data = json!({
        "adjustment_id": id, "agent_id": agent, "points": points, "kind": "grant", "reason": "quarter",
        "effective_at": at,
    });
    centre.post(&[("points.adjusted", &id, data)]).await;
}
