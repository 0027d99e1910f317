//! `aftercall dead` on real logs, beside a running service and without one.

use std::{path::Path, process::Command, sync::Arc};

use aftercall::{
    delivery::dead_letter::{
        AttemptNote, Choice, Decision, Entry, Letter, Output as Original, Reason,
    },
    log::{
        Destination, Headers, Log, NewDead, NewEvent, Seq,
        jetstream::{JetStreamLog, Settings},
        sqlite::{SqliteLog, SqliteSettings},
    },
};
use aftercall_actors::contract::{output::Kind, time::LogTime};
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    nats::Nats,
    program::{command, errors, text, wait_for},
    service::Service,
};

const AT: LogTime = LogTime(1_795_163_400_250);

#[test]
fn dead_letters_are_decided_about_while_the_service_holds_the_embedded_log() {
    let place = Place::embedded();
    let service = Service::start(
        place.dir.path(),
        &place.args(&["run", "--listen", "127.0.0.1:0"]),
    );
    letters_are_listed_and_decided_about(&place);
    service.stop();
}

#[test]
fn dead_letters_are_decided_about_on_a_real_nats_server() {
    let place = Place::nats();
    let service = Service::start(
        place.dir.path(),
        &place.args(&["run", "--listen", "127.0.0.1:0"]),
    );
    letters_are_listed_and_decided_about(&place);
    service.stop();
}

fn letters_are_listed_and_decided_about(place: &Place) {
    assert_eq!(place.done(&["dead", "ls"]), "no dead letters\n");
    let failed = place.store(&letter("crm", "a1", Reason::Failed));
    let rejected = Letter {
        not_retryable: Some("its agent was told".into()),
        ..letter("rewards", "r1", Reason::Rejected)
    };
    let rejected = place.store(&rejected);
    let unknown = place.store(&letter("slack", "a1", Reason::Unknown));
    place.store_bad_event();
    wait_for("the quarantine", || place.listed(&[]).len() == 4);

    // Oldest first; what was quarantined came after the letters' times, which lie in the past or the future.
    let list = place.listed(&[]);
    let line = list.iter().find(|line| line["id"] == failed).unwrap();
    assert_eq!(
        *line,
        json!({
            "id": failed, "where": "crm", "at": "2026-11-20T08:30:00.250Z", "reason": "failed",
            "detail": "status 503", "attempts": 1, "round": 1, "retryable": true, "not_retryable": null,
            "output": {"id": "a1", "seq": 42, "type": "alert.raised", "subject": "agent/7"},
        })
    );
    let event = list.iter().find(|line| line["where"] == "event").unwrap();
    assert_eq!(
        (&event["reason"], &event["retryable"]),
        (&json!("unknown_type"), &json!(false))
    );
    let event = event["id"].as_str().unwrap().to_owned();
    assert!(event.starts_with("dead:"), "{event}");

    let ids = |args: &[&str]| -> Vec<Value> {
        place
            .listed(args)
            .into_iter()
            .map(|mut line| line["id"].take())
            .collect()
    };
    assert_eq!(ids(&["--destination", "crm"]), [failed]);
    assert_eq!(ids(&["--destination", "crm,slack"]), [failed, unknown]);
    assert_eq!(ids(&["--reason", "rejected,unknown"]), [rejected, unknown]);
    assert_eq!(ids(&["--reason", "unknown_type"]), [json!(event)]);
    let table = place.done(&["dead", "ls"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("ID "), "{table}");
    let is_listed = |words: &[&str]| {
        lines
            .iter()
            .any(|line| words.iter().all(|w| line.contains(w)))
    };
    assert!(is_listed(&[
        "rewards",
        "rejected",
        " no ",
        "alert.raised agent/7 r1: status 503"
    ]));
    assert!(is_listed(&[&event, "event", "unknown_type", " no "]));

    // Quarantined input is no letter, and what an actor knows of is not sent again.
    place.refused(
        &["dead", "retry", &event],
        2,
        "its source must correct it and send it again",
    );
    place.refused(
        &["dead", "drop", &event],
        2,
        "its source must correct it and send it again",
    );
    let told = format!("{rejected} (rewards) cannot be tried again: its agent was told");
    let rejected = rejected.to_string();
    place.refused(&["dead", "retry", &rejected], 2, &told);
    // One wrong among several: nothing is done about the others either.
    place.refused(
        &["dead", "retry", &failed.to_string(), &rejected],
        2,
        "nothing was done",
    );
    place.refused(
        &["dead", "retry", "nobody's"],
        2,
        "there is no letter nobody's",
    );
    place.refused(&["dead", "retry", "a1"], 2, "several destinations");
    place.refused(&["dead", "retry"], 2, "which letters?");
    place.refused(
        &["dead", "drop", "--reason", "failed"],
        2,
        "1 letter would be meant: add --all",
    );
    place.refused(
        &["dead", "retry", "--all", "--by", "a\nb"],
        2,
        "printable characters",
    );
    assert_eq!(place.decisions("crm"), []);
    assert_eq!(place.listed(&[]).len(), 4);

    // By its output's id, where that leaves no doubt.
    let noted = place.done(&["dead", "retry", "a1", "--destination", "crm", "--by", "ann"]);
    assert_eq!(noted, format!("{failed}  crm  a1  retry noted\n"));
    let decisions = place.decisions("crm");
    assert_eq!(decisions.len(), 1);
    let expected = Decision {
        choice: Choice::Retry,
        destination: "crm".into(),
        letter: failed,
        output_id: "a1".into(),
        output_seq: 42,
        round: 1,
        by: "ann".into(),
        at: decisions[0].at,
    };
    assert_eq!(decisions, [expected]);
    assert_eq!(ids(&["--destination", "crm"]), Vec::<Value>::new());
    place.refused(
        &["dead", "drop", &failed.to_string()],
        2,
        "is no longer open: retry was decided by ann",
    );

    // All: what cannot be tried again is left out, and said to be.
    let retried = place.run(&["dead", "retry", "--all", "--by", "ben", "--json"]);
    assert_eq!(retried.status.code(), Some(3), "{}", errors(&retried));
    assert!(errors(&retried).contains(&format!("1 letter left out; {told}")));
    let noted: Value = serde_json::from_str(&text(&retried)).unwrap();
    assert_eq!(noted["noted"]["letter"], unknown);
    assert_eq!(noted["noted"]["by"], "ben");
    assert_eq!(
        ids(&["--destination", "crm,rewards,slack"]),
        [json!(rejected.parse::<Seq>().unwrap())]
    );
    let mut nobody = place.command(&["dead", "drop", "--all"]);
    for name in ["USER", "LOGNAME", "USERNAME"] {
        nobody.env_remove(name);
    }
    let refused = nobody.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("say --by NAME"),
        "{}",
        errors(&refused)
    );
    assert_eq!(place.decisions("rewards"), []);
    place.done(&["dead", "drop", "--all"]);
    let dropped = place.decisions("rewards").remove(0);
    assert_eq!((dropped.choice, &*dropped.by), (Choice::Drop, "olga"));
    assert_eq!(
        place.done(&["dead", "ls", "--destination", "crm,rewards,slack"]),
        "no dead letters\n"
    );
    assert_eq!(place.done(&["dead", "drop", "--all"]), "no dead letters\n");

    // Given up once more, it waits once more.
    let again = place.store(&Letter {
        round: 2,
        ..letter("crm", "a1", Reason::Failed)
    });
    assert_eq!(ids(&["--destination", "crm"]), [again]);
}

#[test]
fn a_letter_is_shown_whole_with_what_was_decided() {
    let place = Place::embedded();
    let mut notes = Vec::new();
    for number in 1..=30 {
        AttemptNote::interrupted(number, AT).add_to(&mut notes);
    }
    notes.push(AttemptNote {
        number: 31,
        at: AT,
        cause: "status 503".into(),
        status: Some(503),
        answer: Some("busy\u{1b}[2J".into()),
        unknown: false,
    });
    let first = place.store(&Letter {
        attempts_total: 31,
        attempts: notes,
        ..letter("crm", "a1", Reason::Unknown)
    });
    let number = first.to_string();
    let shown = place.done(&["dead", "show", &number]);
    for part in [
        "state      open\n",
        "reason     unknown: status 503\n",
        "retry      allowed\n",
        "output     alert.raised a1\n",
        "stored     2026-11-20T08:30:00.250Z as 42\n",
        "attempts   31\n",
        "    1  2026-11-20T08:30:00.250Z  interrupted: the program ended before the answer  (it may have acted)\n",
        "       ... 10 more\n",
        "   14  ",
        "   31  2026-11-20T08:30:00.250Z  status 503\n       503 busy\\u{1b}[2J\n",
        "\"csat\": 1",
    ] {
        assert!(shown.contains(part), "{part:?} is missing:\n{shown}");
    }
    assert_eq!(place.done(&["dead", "show", "a1"]), shown);
    place.done(&["dead", "retry", "a1", "--by", "ann"]);
    let shown = place.done(&["dead", "show", "a1"]);
    assert!(
        shown.contains("state      retry asked for by ann at "),
        "{shown}"
    );
    let json: Value =
        serde_json::from_str(&place.done(&["dead", "show", &number, "--json"])).unwrap();
    assert_eq!(json["letter"]["output"]["data"], json!({"csat": 1}));
    assert_eq!(json["decision"]["by"], "ann");
    // The decision has a number as well, and is no letter.
    place.refused(
        &["dead", "show", &(first + 1).to_string()],
        2,
        "is a decision, by ann; the letter is",
    );

    let second = place.store(&Letter {
        round: 2,
        ..letter("crm", "a1", Reason::Failed)
    });
    let shown = place.done(&["dead", "show", &number]);
    assert!(
        shown.contains("tried again since: round 2 was given up as well"),
        "{shown}"
    );
    let shown = place.done(&["dead", "show", "a1"]);
    assert!(shown.contains(&format!("letter     {second}\n")), "{shown}");
    place.refused(&["dead", "show", "a2"], 2, "there is no dead letter a2");
}

#[test]
fn without_a_log_nothing_is_made_and_an_entry_that_cannot_be_read_is_told() {
    let place = Place::embedded();
    let none = place.run(&["dead", "ls"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        errors(&none).contains("there is no log"),
        "{}",
        errors(&none)
    );
    assert!(!place.dir.path().join("data").exists());

    let good = place.store(&letter("crm", "a1", Reason::Failed));
    let strange = NewDead {
        message_id: "strange".into(),
        headers: Headers::from_pairs([("ce-type", "weather.changed")]),
        payload: Bytes::from_static(b"{}"),
    };
    place.with_log(async |log| log.dead_append("crm", strange).await.unwrap());
    let list = place.run(&["dead", "ls", "--json"]);
    assert_eq!(list.status.code(), Some(3));
    assert!(
        errors(&list).contains("its type is weather.changed"),
        "{}",
        errors(&list)
    );
    let line: Value = serde_json::from_str(&text(&list)).unwrap();
    assert_eq!(line["id"], good);
}

/// A log, and the arguments that name it.
struct Place {
    dir: tempfile::TempDir,
    server: Option<Nats>,
    runtime: Runtime,
}

impl Place {
    fn embedded() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            server: None,
            runtime: Runtime::new().unwrap(),
        }
    }

    fn nats() -> Self {
        Self {
            server: Some(Nats::start()),
            ..Self::embedded()
        }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        // The server's address is needed for as long as the arguments; a test may leak it.
        let log: [&str; 2] = match &self.server {
            Some(server) => ["--nats", server.url().leak()],
            None => ["--dir", "data"],
        };
        [args, &log].concat()
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        self.command(args).env("USER", "olga").output().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        command(self.dir.path(), &self.args(args))
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        text(&output)
    }

    fn refused(&self, args: &[&str], code: i32, told: &str) {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            text(&output)
        );
        assert!(
            errors(&output).contains(told),
            "{args:?}: {}",
            errors(&output)
        );
        assert_eq!(text(&output), "", "{args:?}");
    }

    fn listed(&self, filter: &[&str]) -> Vec<Value> {
        let list = self.done(&[&["dead", "ls", "--json"], filter].concat());
        list.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Does something as another client of the log.
    fn with_log<T>(&self, work: impl AsyncFnOnce(&Log) -> T) -> T {
        self.runtime.block_on(async {
            let log: Log = match &self.server {
                Some(server) => {
                    let settings = Settings::new(server.url());
                    Arc::new(JetStreamLog::connect(settings).await.unwrap())
                }
                None => {
                    let folder: &Path = &self.dir.path().join("data");
                    Arc::new(SqliteLog::open(folder, SqliteSettings::default()).unwrap())
                }
            };
            work(&log).await
        })
    }

    /// As the driver of a destination does it.
    fn store(&self, letter: &Letter) -> Seq {
        let entry = letter.entry(usize::MAX).unwrap();
        self.with_log(async |log| log.dead_append(&letter.destination, entry).await.unwrap())
    }

    /// What any client of the bus may have put into the log.
    fn store_bad_event(&self) {
        let event = NewEvent {
            destination: Destination::Actors {
                owner: "a1".into(),
                customer: "_".into(),
                event_type: "weather.changed".into(),
            },
            headers: Headers::Empty,
            payload: Bytes::from_static(
                br#"{"specversion":"1.0","id":"w1","source":"t","type":"weather.changed","data":{}}"#,
            ),
            message_id: "w1".into(),
        };
        self.with_log(async |log| log.append(vec![event]).await.remove(0).unwrap());
    }

    /// The decisions in a destination's line.
    fn decisions(&self, destination: &str) -> Vec<Decision> {
        let entries: Vec<_> = self.with_log(async |log| {
            let entries = log.dead_scan(Some(destination)).await.unwrap();
            entries.try_collect().await.unwrap()
        });
        let decision = |stored| match Entry::read(&stored).unwrap() {
            Entry::Decision(decision) => Some(decision),
            Entry::Letter(_) => None,
        };
        entries.into_iter().filter_map(decision).collect()
    }
}

fn letter(destination: &str, output_id: &str, reason: Reason) -> Letter {
    Letter {
        destination: destination.into(),
        round: 1,
        reason,
        detail: "status 503".into(),
        at: AT,
        not_retryable: None,
        attempts_total: 1,
        attempts: vec![AttemptNote {
            number: 1,
            at: AT,
            cause: "status 503".into(),
            status: Some(503),
            answer: None,
            unknown: false,
        }],
        output: Original {
            seq: 42,
            id: output_id.into(),
            kind: Kind::Alert,
            event_type: "alert.raised".into(),
            subject: "agent/7".into(),
            stored_at: AT,
            attributes: [("source".to_owned(), "aftercall".to_owned())].into(),
            data: Some(json!({"csat": 1})),
        },
    }
}
