//! `aftercall ledger` on real logs: a reward from its points to its debt, told, exported, and the same in every format.

use std::{fs, path::Path};

use aftercall::ledger::{Entry, Kind, columns::COLUMNS};
use aftercall_actors::rewards::redemption::{REVERSE, reward_id};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use serde_json::{Value, json};

use super::{
    nats::Nats,
    program::{done, errors, run_in, text},
    service::Service,
};

/// The agent of the story, and one whose id a spreadsheet would run.
const AGENT: &str = "a.1";
const FORMULA: &str = "=1+1";

#[test]
fn s3_14_every_movement_is_told_and_exported_the_same_on_the_embedded_log() {
    let dir = tempfile::tempdir().unwrap();
    a_ledger_is_told(dir.path(), &["--dir", "data"]);
}

#[test]
fn s3_14_every_movement_is_told_and_exported_the_same_on_a_real_nats_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Nats::start();
    a_ledger_is_told(dir.path(), &["--nats", &server.url()]);
}

fn a_ledger_is_told(dir: &Path, log: &[&str]) {
    let shipped = include_str!("../../config/rules.toml");
    let rules = shipped.replace("enabled = false", "enabled = true");
    fs::write(dir.join("rules.toml"), rules).unwrap();
    let run = ["run", "--listen", "127.0.0.1:0", "--rules", "rules.toml"];
    let service = Service::start(dir, &[&run, log].concat());
    let published = run_in(dir, &[&["publish", "--own", "-"], log].concat(), &story());
    assert!(published.status.success(), "{}", errors(&published));
    let ledger = |args: &[&str]| run_in(dir, &[&["ledger"], args, log].concat(), "");

    // Beside the service, as soon as it has committed what was published.
    let wanted = expected();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let (lines, account) = loop {
        let output = ledger(&["agent", AGENT, "--json"]);
        let (lines, account) = statement(&text(&output));
        if lines.len() >= wanted.len() {
            assert!(output.status.success(), "{}", errors(&output));
            break (lines, account);
        }
        let said = errors(&output);
        assert!(std::time::Instant::now() < deadline, "{lines:?} {said}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    service.stop();

    let shown: Vec<_> = lines
        .iter()
        .map(|e| (e.kind, e.points, e.available, e.held, e.debt))
        .collect();
    assert_eq!(shown, wanted);
    assert_eq!(
        lines.iter().map(|line| line.points).sum::<i64>(),
        account["balance"].as_i64().unwrap()
    );
    let figures = [
        "balance",
        "available",
        "held",
        "debt",
        "earned",
        "expired",
        "consumed",
    ];
    let figures = figures.map(|name| account[name].as_i64().unwrap());
    assert_eq!(figures, [5, 5, 0, 0, 505, 0, 500]);
    assert_eq!(account["rewards"][0]["standing"], "reversal_refused");
    assert_eq!(account["rewards"][0]["reward_id"], reward().as_str());

    the_table_says_the_same(&text(&ledger(&["agent", AGENT])), &lines);
    days_are_picked(&ledger, lines.len());
    formats_agree(dir, log, &lines);
}

fn reward() -> String {
    reward_id("recognition", AGENT, "bronze", 0)
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// What happens, an event a line.
fn story() -> String {
    let yesterday = today().checked_sub(1.days()).unwrap().to_string();
    let now = Timestamp::now().to_string();
    let row = |agent: &str, points: i64| {
        let data =
            json!({"agent_id": agent, "date": yesterday, "metric": "points", "value": points});
        ("wfm.metric.recorded", data)
    };
    let adjusted = |id: &str, points: i64, kind: &str, reason: &str| {
        let data = json!({
            "adjustment_id": id, "agent_id": AGENT, "points": points, "kind": kind, "reason": reason,
            "effective_at": now,
        });
        ("points.adjusted", data)
    };
    let outcome = |id: String, status: &str| {
        let subject = format!("agent/{AGENT}");
        let data = json!({
            "output_id": id, "subject": subject, "status": status, "response": {"status": "OK, \"so\""},
        });
        ("reward.outcome", data)
    };
    let events = [
        row(AGENT, 440),
        row(AGENT, 450),
        row(FORMULA, 30),
        adjusted("one", 60, "grant", "=HYPERLINK(\"http://x\")"),
        outcome(reward(), "issued"),
        adjusted("two", -20, "violation", "late,\nagain"),
        outcome(reward() + REVERSE, "rejected"),
        adjusted("three", 15, "correction", "was not late"),
    ];
    let lines = events.into_iter().enumerate().map(|(n, (name, data))| {
        json!({
            "specversion": "1.0", "id": format!("e{n}"), "source": "/tests", "type": name, "data": data,
        })
        .to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Kind, points, and available, held and debt after it.
fn expected() -> Vec<(Kind, i64, i64, i64, i64)> {
    vec![
        (Kind::Earned, 440, 440, 0, 0),
        (Kind::Replaced, 10, 450, 0, 0),
        (Kind::Adjusted, 60, 510, 0, 0),
        (Kind::Claimed, 0, 10, 500, 0),
        (Kind::Requested, 0, 10, 500, 0),
        (Kind::Issued, -500, 10, 0, 0),
        (Kind::Adjusted, -20, -10, 0, 0),
        (Kind::ReversalRequested, 0, -10, 0, 0),
        (Kind::ReversalRefused, 0, 0, 0, 10),
        (Kind::Adjusted, 15, 15, 0, 10),
        (Kind::DebtPaid, 0, 5, 0, 0),
    ]
}

/// The lines of `--json`, and the account that ends them.
fn statement(json: &str) -> (Vec<Entry>, Value) {
    let mut lines: Vec<&str> = json.lines().collect();
    let account = lines
        .pop()
        .map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
    let lines = lines
        .into_iter()
        .map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), account)
}

fn the_table_says_the_same(table: &str, lines: &[Entry]) {
    let shown: Vec<&str> = table.lines().collect();
    assert!(shown[0].starts_with("TIME "), "{table}");
    for (line, shown) in lines.iter().zip(&shown[1..]) {
        let words: Vec<&str> = shown.split_whitespace().collect();
        let points = match line.points {
            0 => "0".to_owned(),
            points => format!("{points:+}"),
        };
        let said = [
            line.time.to_string(),
            line.kind.to_string(),
            points,
            line.balance.to_string(),
        ];
        assert_eq!(words[..4], said.each_ref().map(String::as_str), "{table}");
    }
    let end = shown[lines.len() + 1..].join("\n");
    for said in [
        "agent    a.1",
        "balance  5 (available 5, held 0, debt 0)",
        "adds up  earned 505 - expired 0 - spent on rewards 500 = 5",
        &format!(
            "reward   {}  recognition/bronze  500 points  reversal_refused, of ",
            reward()
        ),
    ] {
        assert!(end.contains(said), "{said}: {table}");
    }
    // A line break in a reason breaks no line of the table.
    assert!(table.contains("violation: late,\\u{a}again"), "{table}");
}

fn days_are_picked(ledger: &dyn Fn(&[&str]) -> std::process::Output, lines: usize) {
    let day = |days: i64| today().saturating_add(days.days()).to_string();
    let (before, yesterday, tomorrow, after) = (day(-3), day(-2), day(1), day(2));
    let all = text(&ledger(&[
        "agent", AGENT, "--from", &before, "--to", &tomorrow, "--json",
    ]));
    assert_eq!(statement(&all).0.len(), lines);

    let later = ledger(&["agent", AGENT, "--from", &after]);
    let later = text(&later);
    let row: Vec<&str> = later.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["brought", "forward", "5", "5", "0", "0"], "{later}");
    assert!(later.contains("balance  5 "), "{later}");

    let earlier = ledger(&["agent", AGENT, "--to", &yesterday]);
    assert_eq!(earlier.status.code(), Some(1));
    let said = errors(&earlier);
    assert!(
        said.contains(&format!("no event up to {yesterday} is about agent `a.1`")),
        "{said}"
    );
    let unknown = ledger(&["agent", "A.1"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        errors(&unknown).contains("no event is about agent `A.1`"),
        "{}",
        errors(&unknown)
    );
    let twisted = ledger(&["agent", AGENT, "--from", &tomorrow, "--to", &yesterday]);
    assert_eq!(twisted.status.code(), Some(2));
    let nothing = ledger(&["export", "--format", "ndjson", "--to", &yesterday]);
    assert_eq!(
        (nothing.status.code(), text(&nothing).as_str()),
        (Some(0), "")
    );
}

fn formats_agree(dir: &Path, log: &[&str], lines: &[Entry]) {
    let export = |args: &[&str]| {
        let output = run_in(dir, &[&["ledger", "export"], args, log].concat(), "");
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        output.stdout
    };
    let ndjson = export(&["--format", "ndjson"]);
    let entries: Vec<Entry> = serde_json::Deserializer::from_slice(&ndjson)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(entries.is_sorted_by_key(|entry| (entry.position, entry.line)));
    let of_agent: Vec<&Entry> = entries.iter().filter(|e| e.agent_id == AGENT).collect();
    assert_eq!(of_agent, lines.iter().collect::<Vec<_>>());
    assert_eq!(entries.len(), lines.len() + 1, "and one of the other agent");

    for name in ["book.csv", "book.ndjson", "book.parquet"] {
        let said = export(&["--out", name]);
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said, format!("{} lines in {name}\n", entries.len()));
        let format = name.rsplit_once('.').unwrap().1;
        let piped = export(&["--format", format]);
        assert_eq!(
            fs::read(dir.join(name)).unwrap(),
            piped,
            "the same, whenever it is made"
        );
    }
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("book"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["book.csv", "book.ndjson", "book.parquet"],
        "and nothing besides"
    );

    let shown: Vec<Vec<String>> = entries.iter().map(cells).collect();
    assert_eq!(parquet(&dir.join("book.parquet")), shown);
    let csv = fs::read_to_string(dir.join("book.csv")).unwrap();
    assert!(
        csv.contains("'=1+1,earned") && csv.contains("grant: =HYPER"),
        "{csv}"
    );
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let plain = |text: &str| text.strip_prefix('\'').unwrap_or(text).to_owned();
        row.iter().map(plain).collect::<Vec<_>>()
    });
    assert_eq!(rows.collect::<Vec<_>>(), shown);

    for (args, code) in [
        (&["--out", "no/such/folder/book.csv"][..], 1),
        (&["--out", "book"], 2),
        (&["--format", "xml"], 2),
    ] {
        let output = run_in(dir, &[&["ledger", "export"], args, log].concat(), "");
        assert_eq!(output.status.code(), Some(code), "{}", errors(&output));
    }
}

/// A line's cells, from its JSON.
fn cells(entry: &Entry) -> Vec<String> {
    let json = serde_json::to_value(entry).unwrap();
    let cell = |name: &str| match &json[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    COLUMNS.iter().map(|column| cell(column.name)).collect()
}

fn parquet(file: &Path) -> Vec<Vec<String>> {
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let cell = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Long(number) => number.to_string(),
        Field::Str(text) => text.clone(),
        Field::Date(days) => Date::new(1970, 1, 1)
            .unwrap()
            .saturating_add(i64::from(*days).days())
            .to_string(),
        Field::TimestampMillis(ms) => aftercall_actors::contract::time::LogTime(*ms).to_string(),
        other => panic!("{other:?}"),
    };
    rows.map(|row| {
        row.unwrap()
            .get_column_iter()
            .map(|(_, field)| cell(field))
            .collect()
    })
    .collect()
}

#[test]
fn s3_14_help_explains_every_kind_and_column_and_a_missing_log_is_said() {
    let help = text(&done(&["ledger", "export", "--help"]));
    let named = |name: &str| {
        let mut lines = help.lines();
        lines
            .any(|line| line.trim_start().starts_with(name) || line.contains(&format!(", {name} ")))
    };
    for kind in Kind::ALL {
        assert!(named(kind.name()), "{kind}: {help}");
    }
    for column in COLUMNS {
        assert!(named(column.name), "{}: {help}", column.name);
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run_in(dir.path(), &["ledger", "agent", "a", "--dir", "none"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("there is no log in"),
        "{}",
        errors(&output)
    );
}
