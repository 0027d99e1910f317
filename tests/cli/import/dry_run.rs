//! Dry runs: what they say of a file and of the agents, and that they make nothing.

use super::*;

#[test]
fn s3_01_a_dry_run_says_what_would_be_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rows = format!("agentId;date;points\na;{};1\nb;{};x\n", day(3), day(1));
    export(dir, "a.csv", HOUR, &rows);
    let (code, reports) = import(dir, &["--dry-run", "a.csv"]);
    assert_eq!(code, Some(3));
    let report = &reports[0];
    assert_eq!(report["dates"], serde_json::json!([day(3), day(3)]));
    assert_eq!(report["by_metric"], serde_json::json!({ "points": 1 }));
    let bad = &report["bad_by_reason"][0];
    assert_eq!(
        (&bad["reason"], &bad["first_lines"]),
        (&"bad_value".into(), &serde_json::json!([3]))
    );
    assert_eq!((counts(report), &report["dry_run"]), ((0, 0), &true.into()));
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.csv"], "neither a log nor a note");
}

#[test]
fn s3_01_a_dry_run_says_what_would_change_in_the_agents_as_the_log_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rules = RuleSet::default_rules();
    let rules = rules.text().replace("enabled = false", "enabled = true");
    write(dir, "rules.toml", &rules);
    write(dir, "aftercall.toml", "[rules]\nfile = \"rules.toml\"\n");
    let row = |agent: &str, days, points: &str, mood: &str| {
        format!("{agent},{},{points},{mood}\n", day(days))
    };
    let header = "agentId,date,points,mood\n";
    let base = [
        header,
        &row("a", 1, "30", ""),
        &row("a", 2, "20", ""),
        &row("b", 1, "490", ""),
        &row("c", 1, "5", ""),
    ];
    export(dir, "base.csv", HOUR * 2, &base.concat());
    let next = [
        header,
        &row("a", 1, "10", "3"),
        &row("a", 2, "20", ""),
        &row("b", 2, "20", ""),
        &row("c", 1, "5", ""),
        &row("d", 1, "7", ""),
        &row("e", 200, "9", ""),
    ];
    export(dir, "next.csv", HOUR, &next.concat());
    export(
        dir,
        "old.csv",
        HOUR * 48,
        &[header, &row("a", 1, "99", "")].concat(),
    );

    let (_, reports) = import(dir, &["--dry-run", "next.csv"]);
    let why = reports[0]["changes"]["not_compared"].as_str().unwrap();
    assert!(why.contains("there is no log in data yet"), "{why}");
    let (code, _) = import(dir, &["base.csv"]);
    assert_eq!(code, Some(0));

    let wanted = serde_json::json!({
        "not_compared": null,
        "new": 2, "replaced": 1, "unchanged": 2, "superseded": 0, "too_old": 1, "without_rule": 1,
        "points": { "points": { "up": 27, "down": 20 } },
        "agents_changed": 3,
        "balances": [
            { "agent": "a", "from": 50, "to": 30 },
            { "agent": "b", "from": 490, "to": 510 },
            { "agent": "d", "from": 0, "to": 7 },
        ],
        "rewards_requested": 1, "rewards_reversed": 0,
        "rewards": [
            { "program": "recognition", "tier": "bronze", "agent": "b", "points": 500, "reversed": false },
        ],
    });
    let (code, reports) = import(dir, &["--dry-run", "next.csv"]);
    assert_eq!((code, &reports[0]["changes"]), (Some(0), &wanted));

    // The same beside a service that has taken over what was imported, and of the files together.
    let service = Service::start(dir, &["run", "--listen", "127.0.0.1:0", "--dir", "data"]);
    wait_for("the import", || {
        service
            .get("/metrics")
            .contains("aftercall_events_applied_total{side=\"agent\"} 4\n")
    });
    let (_, reports) = import(dir, &["--dry-run", "next.csv", "old.csv"]);
    assert_eq!(reports[0]["changes"], wanted);
    assert_eq!(reports[1]["changes"]["superseded"], 1);
    assert_eq!(reports[1]["changes"]["agents_changed"], 3, "of both files");
    service.stop();

    let said = text(&import_said(dir, &["--dry-run", "next.csv"]));
    for line in [
        "  dry run: nothing was stored\n",
        "  values: 2 new, 1 replaced, 2 unchanged, 0 superseded by a later export, 1 before the window, 1 that no rule \
         gives points for\n",
        "  points for points: +27, -20\n",
        "  3 balances would change\n    a: 50 -> 30\n",
        "  1 reward would be requested\n    b: recognition, bronze, 500 points\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // Four values and the rules of the service: a dry run stores nothing.
    assert_eq!(points(dir).1["agent/a"], 50);
}
