//! Rows to events: which are the same, which are not, and that a bad row's is refused by every reader.

use aftercall_actors::contract::{event::Body, time::EventTime};

use super::*;
use crate::{
    envelope::decode,
    log::{Headers, RawEvent, Route},
};

fn import(text: &str, change: impl FnOnce(&mut Export)) -> Import {
    let mut export = Export {
        name: "emea".into(),
        file: "a.csv".into(),
        version: Some("v1".into()),
        // 2026-11-20T05:00:00Z
        recorded_at: EventTime(1_795_150_800_000),
    };
    change(&mut export);
    let columns = WfmColumns::default();
    let rows = Rows::open(std::io::Cursor::new(text.to_owned()), &columns).unwrap();
    Import::new(rows, export, columns)
}

fn events(text: &str, change: impl FnOnce(&mut Export)) -> Vec<NewEvent> {
    let mut import = import(text, change);
    let mut all = Vec::new();
    while let Some(taken) = import.next_row().unwrap() {
        match taken {
            Taken::Good { new, again } => {
                assert!(again.is_empty(), "{again:?}");
                all.extend(new);
            }
            Taken::Bad(bad, _) => panic!("{bad}"),
        }
    }
    all
}

fn raw(event: &NewEvent) -> RawEvent {
    RawEvent {
        position: 1,
        time: aftercall_actors::contract::time::LogTime(0),
        route: event.destination.route(8),
        speaker: event.destination.speaker(),
        headers: Headers::Empty,
        payload: event.payload.clone(),
    }
}

const ONE: &str = "agentId,date,csat,aht\na,2026-11-19,5,0.5\n";

#[test]
fn s3_01_each_value_becomes_one_event_of_the_contract() {
    let bodies: Vec<Body> = events(ONE, |_| {})
        .iter()
        .map(|event| decode(&raw(event), 8).expect("decodes").body)
        .collect();
    let metric = |name: &str, value: f64| {
        let data = serde_json::json!({
            "agent_id": "a", "date": "2026-11-19", "metric": name, "value": value,
            "export_version": "v1", "recorded_at": "2026-11-20T05:00:00.000Z",
        });
        Body::WfmMetric(serde_json::from_value(data).unwrap())
    };
    assert_eq!(bodies, [metric("csat", 5.0), metric("aht", 0.5)]);
}

#[test]
fn s3_01_an_event_is_the_same_if_all_it_says_is_the_same_and_another_if_not() {
    let ids = |text: &str, change: fn(&mut Export)| -> Vec<String> {
        events(text, change)
            .into_iter()
            .map(|event| event.message_id)
            .collect()
    };
    let first = ids(ONE, |_| {});
    assert!(
        first
            .iter()
            .all(|id| id.starts_with("wfm/emea 2026-11-19:")),
        "{first:?}"
    );
    assert_eq!(
        ids(ONE, |export| export.file = "b.csv".into()),
        first,
        "another name"
    );
    let as_json = r#"[{"aht":0.50,"agentId":"a","date":"2026-11-19"},{"csat":"5","agentId":"a","date":"2026-11-19"}]"#;
    let turned: Vec<_> = first.iter().rev().cloned().collect();
    assert_eq!(ids(as_json, |_| {}), turned, "another form");
    let others = [
        ids(ONE, |export| export.version = Some("v2".into())),
        ids(ONE, |export| export.recorded_at.0 += 1),
        ids(ONE, |export| export.name = "apac".into()),
        ids(&ONE.replace("a,2026", "b,2026"), |_| {}),
        ids(&ONE.replace("-19", "-18"), |_| {}),
        ids(&ONE.replace(",5,0.5", ",4,0.4"), |_| {}),
        ids(&ONE.replace("csat,aht", "acw,fcr"), |_| {}),
    ];
    let mut all: Vec<_> = others.concat();
    all.extend(first);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((count, all.len()), (16, 16));
}

#[test]
fn s3_01_in_one_file_the_first_value_counts_and_another_one_is_a_bad_row() {
    let text = "agentId,date,csat,aht\na,2026-11-19,5,\na,2026-11-19,5,0.5\na,2026-11-19,4,\na,2026-11-18,4,0.5\n\
                b,2026-11-19,,0.5\na,2026-11-19,5,0.6\n";
    let mut import = import(text, |_| {});
    let mut said = Vec::new();
    while let Some(taken) = import.next_row().unwrap() {
        said.push(match taken {
            Taken::Good { new, again } => format!("{} {}", new.len(), again.len()),
            Taken::Bad(bad, event) => {
                assert!(event.is_some(), "shown in quarantine");
                bad.to_string()
            }
        });
    }
    let why = "for this agent and 2026-11-19; it counts, this row does not";
    assert_eq!(
        said,
        [
            "1 0".to_owned(),
            // Handed on, since only hashes say that it stands there already.
            "1 1".to_owned(),
            format!("4, column csat: contradiction: line 2 has another value {why}"),
            "2 0".to_owned(),
            "1 0".to_owned(),
            format!("7, column aht: contradiction: line 3 has another value {why}"),
        ]
    );
    let tally = import.tally();
    assert_eq!(
        (
            tally.rows,
            tally.bad,
            tally.metrics,
            tally.repeated,
            tally.agents
        ),
        (6, 2, 5, 1, 2)
    );
    assert_eq!(
        tally.dates,
        Some(("2026-11-18".into(), "2026-11-19".into()))
    );
    assert_eq!(
        tally.by_metric,
        [("aht".to_owned(), 3), ("csat".to_owned(), 2)].into()
    );
}

#[test]
fn s3_02_every_bad_row_becomes_an_event_that_readers_refuse_with_its_place_in_the_file() {
    let long = "x".repeat(300_000);
    let text = format!(
        "agentId,date,csat\n,2026-11-19,5\na,19.11.2026,5\na,2026-11-22,5\na,2026-11-19,n/a\na,2026-11-19\n\
         b,2026-11-19,5\nb,2026-11-19,4\n\"{long}\",2026-11-19,5\n"
    );
    let mut import = import(&text, |_| {});
    let mut all = Vec::new();
    while let Some(taken) = import.next_row().unwrap() {
        let Taken::Bad(bad, event) = taken else {
            continue;
        };
        let event = event.expect("a place in quarantine");
        let raw = raw(&event);
        assert_eq!(
            raw.route,
            Route::Pair {
                agent: raw_nobody(),
                customer: raw_nobody()
            }
        );
        let refused = decode(&raw, 8).expect_err("refused");
        let stored: serde_json::Value = serde_json::from_slice(&raw.payload).unwrap();
        assert_eq!(stored["importfile"], "a.csv");
        assert_eq!(stored["importline"], bad.line);
        assert!(raw.payload.len() < 32 * 1024, "bounded");
        all.push(format!(
            "{} {} {} ({})",
            bad.line, stored["importreason"], stored["importcolumn"], refused
        ));
    }
    assert_eq!(
        all,
        [
            "2 \"bad_agent\" \"agentId\" (missing_field: data.agent_id: required, but missing)",
            "3 \"bad_date\" \"date\" (missing_field: data.date: required, but missing)",
            "4 \"future_date\" \"date\" (missing_field: data.metric: required, but missing)",
            "5 \"bad_value\" \"csat\" (wrong_type: data.value: found string \"n/a\", expected a number)",
            "6 \"wrong_width\" null (missing_field: data.agent_id: required, but missing)",
            "8 \"contradiction\" \"csat\" (missing_field: data.agent_id: required, but missing)",
            "9 \"bad_agent\" \"agentId\" (missing_field: data.agent_id: required, but missing)",
        ]
    );
}

fn raw_nobody() -> u16 {
    aftercall_actors::contract::key::partition_of_token("_", 8)
}

#[test]
fn s3_02_a_file_that_is_wrong_throughout_does_not_fill_the_quarantine() {
    let rows = usize::try_from(QUARANTINE_MAX).unwrap() + 1;
    let mut import = import(
        &format!("agentId,date,csat\n{}", "a,2026-11-19,x\n".repeat(rows)),
        |_| {},
    );
    let mut shown = Vec::new();
    while let Some(taken) = import.next_row().unwrap() {
        let Taken::Bad(_, event) = taken else {
            panic!("a good row")
        };
        shown.push(event.is_some());
    }
    let (last, before) = shown.split_last().unwrap();
    assert!(before.iter().all(|shown| *shown) && !last);
    assert_eq!(
        (import.tally().bad, import.tally().quarantined),
        (QUARANTINE_MAX + 1, QUARANTINE_MAX)
    );
}
