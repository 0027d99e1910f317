//! What each cell may hold, one step each side of every boundary.

use super::*;

fn row(cells: &[(&str, Cell)]) -> Row {
    Row {
        line: 7,
        cells: cells
            .iter()
            .map(|(name, cell)| ((*name).into(), cell.clone()))
            .collect(),
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

fn newest() -> Date {
    Date::constant(2026, 11, 21)
}

/// `metric=value ...`, or `column: flaw: detail`.
fn said(row: &Row, columns: &WfmColumns) -> String {
    match read(row, columns, newest()) {
        Ok(reading) => {
            let metrics = reading
                .metrics
                .iter()
                .map(|m| format!(" {}={}", m.name, m.value));
            format!(
                "{} {}{}",
                reading.agent,
                reading.day,
                metrics.collect::<String>()
            )
        }
        Err(bad) => {
            assert_eq!(bad.line, 7);
            assert_eq!(bad.data["row"], row.to_json(), "the row is kept");
            format!(
                "{}: {}: {}",
                bad.column.unwrap(),
                bad.flaw.name(),
                bad.detail
            )
        }
    }
}

#[test]
fn s3_01_a_row_may_hold_several_metrics_and_an_empty_field_says_nothing() {
    let cells = [
        ("agentId", text("a-1")),
        ("csat", text("5")),
        ("date", text("2026-11-20")),
        ("aht", Cell::Empty),
        ("", text("behind the last delimiter")),
        (
            "adherence",
            Cell::Number(serde_json::Number::from_f64(-0.0).unwrap()),
        ),
    ];
    let columns = WfmColumns::default();
    assert_eq!(
        said(&row(&cells), &columns),
        "a-1 2026-11-20 csat=5 adherence=0"
    );
    let named = WfmColumns {
        metrics: vec![("adherence".into(), "in_adherence".into())],
        ..columns
    };
    assert_eq!(said(&row(&cells), &named), "a-1 2026-11-20 in_adherence=0");
}

#[test]
fn s3_02_what_is_wrong_with_an_agent_a_workday_or_a_value_is_said_with_what_would_be_right() {
    let columns = WfmColumns::default();
    let with = |agent: Cell, date: Cell, csat: Cell| {
        said(
            &row(&[("agentId", agent), ("date", date), ("csat", csat)]),
            &columns,
        )
    };
    let (a, day, five) = (|| text("a"), || text("2026-11-20"), || text("5"));
    let number = |n: f64| Cell::Number(serde_json::Number::from_f64(n).unwrap());
    assert_eq!(
        with(Cell::Number(17.into()), day(), five()),
        "17 2026-11-20 csat=5"
    );
    assert_eq!(
        with(Cell::Empty, day(), five()),
        "agentId: bad_agent: missing, expected the agent's id"
    );
    assert_eq!(
        with(number(1.5), day(), five()),
        "agentId: bad_agent: found 1.5, expected an id"
    );
    assert!(!with(text(&"a".repeat(256)), day(), five()).contains("bad_agent"));
    assert_eq!(
        with(text(&"a".repeat(257)), day(), five()),
        "agentId: bad_agent: an id has at most 256 bytes, this one has 257"
    );

    let plain = "expected a date like 2026-11-20 (date_formats in [import.wfm] allows others)";
    for (found, said) in [
        ("20.11.2026", "`20.11.2026`"),
        ("2026-11-31", "`2026-11-31`"),
        ("2026-1-2", "`2026-1-2`"),
    ] {
        assert_eq!(
            with(a(), text(found), five()),
            format!("date: bad_date: found {said}, {plain}")
        );
    }
    assert_eq!(
        with(a(), Cell::Empty, five()),
        format!("date: bad_date: missing, {plain}")
    );
    assert_eq!(with(a(), text("2026-11-21"), five()), "a 2026-11-21 csat=5");
    assert_eq!(
        with(a(), text("2026-11-22"), five()),
        "date: future_date: 2026-11-22 had not begun when the export was recorded"
    );

    for bad in [
        "n/a", "95%", "NaN", "inf", "1.2.3", "1 000", "1e999", "0x1F",
    ] {
        let said = with(a(), day(), text(bad));
        assert!(
            said.starts_with(&format!(
                "csat: bad_value: found `{bad}`, expected a number like 0.95 (metrics in "
            )),
            "{said}"
        );
    }
    assert_eq!(
        with(a(), day(), text("0,95")),
        "csat: bad_value: found `0,95`, expected a number like 0.95 (decimal = \",\" in [import.wfm] allows this)"
    );
    assert_eq!(
        with(a(), day(), Cell::Other("a boolean")),
        "csat: bad_value: found a boolean, expected a number"
    );
    for (good, value) in [
        ("-1.50", "-1.5"),
        ("+2", "2"),
        ("1e3", "1000"),
        (".5", "0.5"),
    ] {
        assert_eq!(
            with(a(), day(), text(good)),
            format!("a 2026-11-20 csat={value}")
        );
    }
}

#[test]
fn s3_01_dates_and_numbers_are_read_as_the_mapping_says() {
    let columns = WfmColumns {
        date_formats: vec!["%d.%m.%Y".into(), "%Y%m%d".into()],
        decimal: Decimal::Comma,
        ..WfmColumns::default()
    };
    let with = |date: Cell, csat: &str| {
        said(
            &row(&[("agentId", text("a")), ("date", date), ("csat", text(csat))]),
            &columns,
        )
    };
    assert_eq!(with(text("01.02.2026"), "0,95"), "a 2026-02-01 csat=0.95");
    assert_eq!(
        with(Cell::Number(20_261_120.into()), "-1,5e1"),
        "a 2026-11-20 csat=-15"
    );
    assert_eq!(
        with(text("2026-11-20"), "1"),
        "date: bad_date: found `2026-11-20`, expected a date as %d.%m.%Y or %Y%m%d"
    );
    assert_eq!(
        with(text("20.11.2026"), "0.95"),
        "csat: bad_value: found `0.95`, expected a number like 0,95 (decimal = \".\" in [import.wfm] allows this)"
    );
    for bad in ["1.234,5", "1,2,3"] {
        assert!(with(text("20.11.2026"), bad).contains("bad_value"), "{bad}");
    }
    // Issue 9: a year of two digits that is read as one of four is none, nor is any before 2000.
    for bad in ["20.11.26", "20.11.0026", "31.12.1999", "-0261120"] {
        assert!(with(text(bad), "1").contains("bad_date"), "{bad}");
    }
    assert_eq!(with(text("01.01.2000"), "1"), "a 2000-01-01 csat=1");
    assert_eq!(
        with(text("20.11.2026"), "9007199254740991"),
        "a 2026-11-20 csat=9007199254740991"
    );
    for bad in ["9007199254740992", "-9007199254740993", "1e300"] {
        let said = with(text("20.11.2026"), bad);
        assert!(
            said.contains("bad_value") && said.contains("not exact"),
            "{said}"
        );
    }
}
