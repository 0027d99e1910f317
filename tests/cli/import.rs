//! `aftercall import wfm` against real logs: what it stores, what it says, and what the agents have of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Output,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use aftercall::log::{
    EventLog, PartitionId, RawEvent,
    sqlite::{SqliteLog, SqliteSettings},
};
use aftercall_actors::{actor::Actor, rules::RuleSet};
use flate2::{Compression, write::GzEncoder};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{
    nats::Nats,
    program::{done, errors, run_in, text, wait_for, write},
    reference::Reference,
    service::Service,
};

#[path = "import/dry_run.rs"]
mod dry_run;

const HOUR: Duration = Duration::from_secs(3_600);

/// The workday `days` before today: points leave the window, so dates cannot be constants. Today is the day on which
/// the tests began, so that one which runs over midnight means one day by one name.
fn day(days: i64) -> String {
    static TODAY: LazyLock<Date> =
        LazyLock::new(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    TODAY.checked_sub(days.days()).unwrap().to_string()
}

/// A file that was last written `age` ago.
fn export(dir: &Path, name: &str, age: Duration, content: &str) {
    write(dir, name, content);
    touch(dir, name, age);
}

fn touch(dir: &Path, name: &str, age: Duration) {
    let file = File::options().write(true).open(dir.join(name)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// `aftercall import wfm --json` on the log in `data`: exit code and what is said of each file.
fn import(dir: &Path, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = import_said(dir, &[&["--json"], args].concat());
    let reports = text(&output);
    let reports = reports
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (output.status.code(), reports.collect())
}

fn import_said(dir: &Path, args: &[&str]) -> Output {
    run_in(
        dir,
        &[&["import", "wfm", "--dir", "data"], args].concat(),
        "",
    )
}

/// Values stored and values that stood there.
fn counts(report: &Value) -> (u64, u64) {
    (
        report["stored"].as_u64().unwrap(),
        report["duplicates"].as_u64().unwrap(),
    )
}

/// How many events the log holds, and each agent's points by the shipped rules.
fn points(dir: &Path) -> (usize, BTreeMap<String, i64>) {
    let log = SqliteLog::open(&dir.join("data"), SqliteSettings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let events: Vec<RawEvent> = runtime.block_on(async {
        let mut events = Vec::new();
        for position in 1..=log.bounds().await.unwrap().last {
            events.push(log.event_at(position).await.unwrap().unwrap());
        }
        events
    });
    let rules = RuleSet::default_rules();
    let mut all = BTreeMap::new();
    for partition in PartitionId::all(log.partition_count()) {
        let model = Reference::of(partition, log.partition_count(), &rules, &events);
        for (key, actor) in model.actors {
            // Nobody has an actor too: it hears of what was left out.
            if let Actor::Agent(agent) = actor
                && key.starts_with("agent/")
            {
                all.insert(key, agent.points());
            }
        }
    }
    (events.len(), all)
}

fn agents(wanted: &[(&str, i64)]) -> BTreeMap<String, i64> {
    wanted
        .iter()
        .map(|(id, points)| (format!("agent/{id}"), *points))
        .collect()
}

#[test]
fn s3_01_the_value_recorded_last_counts_whatever_is_imported_first_and_how_often() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = |agent: &str, days, points: &str| format!("{agent},{},{points}\n", day(days));
    let header = "agentId,date,points\n";
    let new = [
        header,
        &row("a", 1, "30"),
        &row("a", 2, "20"),
        &row("b", 1, "5"),
    ]
    .concat();
    export(dir, "new.csv", HOUR * 2, &new);
    export(
        dir,
        "old.csv",
        HOUR * 48,
        &[header, &row("a", 2, "100")].concat(),
    );

    let (code, reports) = import(dir, &["new.csv"]);
    assert_eq!((code, counts(&reports[0])), (Some(0), (3, 0)));
    assert_eq!(points(dir), (3, agents(&[("a", 50), ("b", 5)])));

    let (code, reports) = import(dir, &["old.csv"]);
    assert_eq!((code, counts(&reports[0])), (Some(0), (1, 0)));
    assert_eq!(
        points(dir),
        (4, agents(&[("a", 50), ("b", 5)])),
        "an old export does not win"
    );

    let (code, reports) = import(dir, &["new.csv", "old.csv"]);
    assert_eq!(code, Some(0));
    for (report, rows) in reports.iter().zip([3, 1]) {
        assert_eq!(report["imported_before"], true);
        assert_eq!(
            (&report["rows_before"], counts(report)),
            (&rows.into(), (0, 0))
        );
    }
    let (_, reports) = import(dir, &["--again", "new.csv"]);
    assert_eq!(counts(&reports[0]), (0, 3), "the log knows them");
    assert_eq!(points(dir).0, 4, "the same file again adds nothing");
    // Another version makes other events of it, as the log would take them after its two minutes.
    let (_, reports) = import(dir, &["--export-version", "again", "new.csv"]);
    assert_eq!(counts(&reports[0]), (3, 0));
    assert_eq!(
        points(dir),
        (7, agents(&[("a", 50), ("b", 5)])),
        "and the actors know them too"
    );

    let corrected = [header, &row("a", 1, "10"), &row("b", 1, "5")].concat();
    let mut packed = GzEncoder::new(
        File::create(dir.join("corrected.csv.gz")).unwrap(),
        Compression::fast(),
    );
    packed.write_all(corrected.as_bytes()).unwrap();
    packed.finish().unwrap();
    touch(dir, "corrected.csv.gz", HOUR);
    let (_, reports) = import(dir, &["corrected.csv.gz"]);
    assert_eq!(counts(&reports[0]), (2, 0));
    assert_eq!(
        points(dir),
        (9, agents(&[("a", 30), ("b", 5)])),
        "a re-export replaces"
    );
    import(
        dir,
        &["--again", "--export-version", "once-more", "new.csv"],
    );
    assert_eq!(
        points(dir),
        (12, agents(&[("a", 30), ("b", 5)])),
        "and stays"
    );
}

#[test]
fn s3_01_on_a_real_nats_server_the_same_file_again_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let server = Nats::start();
    let url = server.url();
    let rows: String = (0..2_500)
        .map(|agent| {
            format!(
                "{{\"agentId\":{agent},\"date\":\"{}\",\"points\":1,\"csat\":0.5}}\n",
                day(1)
            )
        })
        .collect();
    export(dir, "a.ndjson", HOUR, &rows);
    let run = |args: &[&str]| {
        let args = [
            &["import", "wfm", "--json", "--nats", &url, "a.ndjson"],
            args,
        ]
        .concat();
        let output = run_in(dir, &args, "");
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = run(&[]);
    assert_eq!(counts(&first), (5_000, 0));
    assert_eq!(
        (&first["agents"], &first["by_metric"]["csat"]),
        (&2_500.into(), &2_500.into())
    );
    assert_eq!(run(&[])["imported_before"], true);
    assert_eq!(counts(&run(&["--again"])), (0, 5_000));
}

#[test]
fn s3_02_a_bad_row_is_reported_and_quarantined_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (one, two) = (day(1), day(2));
    let rows = format!(
        "agentId,date,points,csat\na,{one},30,5\na,{two},n/a,5\n,{one},1,1\nb,{one},7\nb,{two},5,\na,{one},31,5\n"
    );
    export(dir, "a.csv", HOUR, &rows);
    let output = import_said(dir, &["a.csv"]);
    assert_eq!(output.status.code(), Some(3));
    let said = errors(&output);
    let wanted = [
        "a.csv:3, column points: bad_value: found `n/a`, expected a number like 0.95 (metrics in [import.wfm] says \
         which columns hold metrics)",
        "a.csv:4, column agentId: bad_agent: missing, expected the agent's id",
        "a.csv:5: wrong_width: found 3 fields, the header has 4",
        &format!(
            "a.csv:7, column points: contradiction: line 2 has another value for this agent and {one}; it counts, this \
             row does not"
        ),
        "aftercall: 4 rows were left out",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    let summary = text(&output);
    for line in [
        "a.csv: 6 rows, 3 values of 2 metrics, 2 agents, ",
        "  3 stored, 0 already there, ",
        "  points: 2\n",
        "  4 rows left out, in quarantine (aftercall dead ls)\n",
        "    1 bad_value in column points: line 3: found `n/a`, ",
    ] {
        assert!(summary.contains(line), "{line}\n{summary}");
    }

    let service = Service::start(dir, &["run", "--listen", "127.0.0.1:0", "--dir", "data"]);
    wait_for("the quarantine", || {
        let metrics = service.get("/metrics");
        metrics.contains("aftercall_quarantined_total{reason=\"wrong_type\"} 1\n")
            && metrics.contains("aftercall_quarantined_total{reason=\"missing_field\"} 3\n")
    });
    let listed = || run_in(dir, &["dead", "ls", "--dir", "data", "--json"], "");
    wait_for("four entries", || text(&listed()).lines().count() == 4);
    service.stop();
    let entries = text(&listed());
    let entries = entries
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let wrong = entries
        .into_iter()
        .find(|entry| entry["reason"] == "wrong_type")
        .unwrap();
    assert!(
        wrong["detail"]
            .as_str()
            .unwrap()
            .contains("found string \"n/a\""),
        "{wrong}"
    );
    let id = wrong["id"].as_str().unwrap();
    let shown = text(&run_in(dir, &["dead", "show", id, "--dir", "data"], ""));
    for place in [
        "importfile",
        "a.csv",
        "importline",
        "importcolumn",
        "wfm/export",
    ] {
        assert!(shown.contains(place), "{place}: {shown}");
    }
    let (events, points) = points(dir);
    // Three values, four bad rows, and word of them.
    assert_eq!((events, points["agent/a"], points["agent/b"]), (8, 30, 5));
}

#[test]
fn s3_01_the_mapping_of_the_configuration_says_what_columns_mean() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mapping = "[import.wfm]\nexport = \"emea\"\nagent = \"Agent\"\ndate = \"Day\"\n\
                   date_formats = [\"%d.%m.%Y\"]\ndecimal = \",\"\nmetrics = { \"Punkte\" = \"points\" }\n";
    write(dir, "aftercall.toml", mapping);
    let german: Vec<_> = day(1).rsplit('-').map(str::to_owned).collect();
    export(
        dir,
        "a.csv",
        HOUR,
        &format!("Agent;Name;Day;Punkte\na;Ada;{};12,0\n", german.join(".")),
    );
    let (code, reports) = import(dir, &["a.csv"]);
    assert_eq!((code, counts(&reports[0])), (Some(0), (1, 0)));
    assert_eq!(points(dir), (1, agents(&[("a", 12)])));
}

#[test]
fn s3_02_a_file_that_is_wrong_as_a_whole_stops_the_run_before_anything_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    export(
        dir,
        "good.csv",
        HOUR,
        &format!("agentId,date,points\na,{},1\n", day(1)),
    );
    export(
        dir,
        "other.csv",
        HOUR,
        "agent,date,points\na,2026-11-20,1\n",
    );
    export(dir, "empty.csv", HOUR, "");
    write(dir, "later.csv", "agentId,date,points\n");
    File::options()
        .write(true)
        .open(dir.join("later.csv"))
        .and_then(|file| file.set_modified(SystemTime::now() + HOUR))
        .unwrap();
    for (file, why) in [
        (
            "other.csv",
            "other.csv: line 1: header: no column `agentId` (agent in [import.wfm])",
        ),
        ("empty.csv", "empty.csv: line 1: nothing in it"),
        ("later.csv", "later.csv: recorded at "),
        ("missing.csv", "missing.csv: "),
        (
            "-",
            "-: nothing tells when an export on standard input was made",
        ),
    ] {
        let output = import_said(dir, &["good.csv", file]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(errors(&output).contains(why), "{}", errors(&output));
    }
    assert!(!dir.join("data").exists(), "nothing was started");
    let help = text(&done(&["import", "wfm", "--help"]));
    assert!(
        help.contains("the one recorded later counts") && help.contains("Examples:"),
        "{help}"
    );
}

#[test]
fn s3_01_an_interrupted_import_goes_on_and_one_that_is_cut_off_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = |agent: &str, points: u8| {
        format!(
            r#"{{"agentId":"{agent}","date":"{}","points":{points}}}"#,
            day(1)
        )
    };
    let whole = format!("[{},\n{},\n{}]", row("a", 1), row("b", 2), row("c", 3));
    export(dir, "a.json", HOUR, &whole);
    import(dir, &["a.json"]);
    // As a run leaves it that is killed behind its second row.
    let note = fs::read_to_string(dir.join("a.json.imported")).unwrap();
    let killed = note.replace("\"rows\":3,\"done\":true", "\"rows\":2,\"done\":false");
    assert_ne!(note, killed);
    fs::write(dir.join("a.json.imported"), killed).unwrap();
    fs::remove_dir_all(dir.join("data")).unwrap();
    let (code, reports) = import(dir, &["a.json"]);
    assert_eq!((code, counts(&reports[0])), (Some(0), (1, 0)));
    assert_eq!(
        (&reports[0]["rows_before"], &reports[0]["done"]),
        (&2.into(), &true.into())
    );
    assert_eq!(points(dir), (1, agents(&[("c", 3)])));

    let input = whole.split_at(whole.len() - 4).0;
    let args = [
        "import",
        "wfm",
        "--dir",
        "data",
        "--recorded-at",
        "now",
        "-",
    ];
    let output = run_in(dir, &args, input);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        errors(&output)
            .contains("-: cannot be read from line 3 on: the file ends within the array")
    );
    assert!(text(&output).contains("2 stored"), "{}", text(&output));
    // The last one tells operators that the rest was not read.
    assert_eq!(points(dir), (4, agents(&[("a", 1), ("b", 2), ("c", 3)])));
}

#[test]
fn s3_02_gzip_that_is_cut_off_is_bad_input_with_its_place_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(b"agentId,date,points\na,2026-11-19,1\n")
        .unwrap();
    let packed = packed.finish().unwrap();
    fs::write(dir.join("cut.csv.gz"), &packed[..packed.len() - 3]).unwrap();
    fs::write(dir.join("tail.csv.gz"), [&packed[..], b"tail"].concat()).unwrap();
    for (file, why) in [
        ("cut.csv.gz", "was it cut off?"),
        ("tail.csv.gz", "what stands behind"),
    ] {
        let output = import_said(dir, &[file]);
        assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
        let said = errors(&output);
        assert!(
            said.contains(&format!(
                "{file}: cannot be unpacked behind line 2, at byte "
            )) && said.contains(why),
            "{said}"
        );
    }
}
