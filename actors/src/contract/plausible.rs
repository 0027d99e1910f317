//! Whether what an event says can be so, where its types alone allow it: a time that is none, a date far ahead, a number
//! that is not exact.
//!
//! Seconds since 1970 in the place of milliseconds make a day in January 1970; a year of two digits one in Roman times;
//! a typing error points for 2099. None of it may move a window or money. What can never be so is refused by [`check`],
//! from every sender outside. What lies ahead is weighed against the log's own clock, which is the same at every
//! replay, and the rules in force say how much is too much ([`AheadMax`]).
//!
//! History stays importable: everything from the year 2000 on.

use std::fmt;

use jiff::{civil::Date, tz::TimeZone};

use crate::contract::{
    event::Body,
    time::{EventTime, LogTime},
};

/// The first moment an event may be of: the year 2000 in UTC. No contact centre's records are older, and no seconds
/// taken for milliseconds come near it before the year 31,969.
///
/// Unit: milliseconds since 1970.
pub const EARLIEST_MS: i64 = 946_684_800_000;

/// The first year of workdays.
const EARLIEST_YEAR: i16 = 2000;

/// The last year that is written with four digits.
const LATEST_YEAR: i16 = 9999;

/// The largest number, either way, up to which every whole one has a double of its own: 2^53 - 1.
pub const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Whether a number is within what doubles hold exactly.
#[must_use]
pub fn is_exact(number: f64) -> bool {
    number.abs() <= EXACT_MAX
}

/// Whether a date can be a workday.
#[must_use]
pub fn is_workday(date: Date) -> bool {
    (EARLIEST_YEAR..=LATEST_YEAR).contains(&date.year())
}

/// Something that cannot be.
#[derive(Clone, Debug, PartialEq)]
pub enum Implausible {
    /// A moment before [`EARLIEST_MS`].
    TooOld {
        /// The field.
        field: &'static str,
        /// What it says.
        found: EventTime,
    },
    /// A workday before 2000.
    NoWorkday {
        /// The field.
        field: &'static str,
        /// What it says.
        found: Date,
    },
    /// A number beyond [`EXACT_MAX`].
    Inexact {
        /// The field.
        field: &'static str,
        /// What it says.
        found: f64,
    },
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { field, found } => {
                write!(f, "data.{field}: {found} is before the year 2000")?;
                // What a clock of today says in seconds.
                let seconds = EventTime(found.0.saturating_mul(1_000));
                if (EARLIEST_MS..=4 * EARLIEST_MS).contains(&seconds.0) {
                    write!(
                        f,
                        "; a number is in milliseconds since 1970, and as seconds it would be {seconds}"
                    )?;
                }
                Ok(())
            }
            Self::NoWorkday { field, found } => {
                write!(f, "data.{field}: {found} is before the year 2000")
            }
            Self::Inexact { field, found } => write!(
                f,
                "data.{field}: {found} is beyond {EXACT_MAX} either way, up to which numbers are exact"
            ),
        }
    }
}

/// Whether all that an event says can be.
///
/// # Errors
/// The first field that cannot.
pub fn check(body: &Body) -> Result<(), Implausible> {
    for (field, when) in whens(body) {
        match when {
            When::Moment(found) | When::Effective(found) if found.0 < EARLIEST_MS => {
                return Err(Implausible::TooOld { field, found });
            }
            When::Workday(found) if !is_workday(found) => {
                return Err(Implausible::NoWorkday { field, found });
            }
            When::Moment(_) | When::Effective(_) | When::Workday(_) => {}
        }
    }
    let number = match body {
        Body::WfmMetric(e) => Some(("value", e.value)),
        Body::InteractionCompleted(e) => e.duration_s.map(|found| ("duration_s", found)),
        _ => None,
    };
    match number {
        Some((field, found)) if !is_exact(found) => Err(Implausible::Inexact { field, found }),
        Some(_) | None => Ok(()),
    }
}

/// How far ahead of the log's clock an event may be dated.
///
/// Unit: milliseconds of log time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AheadMax {
    /// What has happened: clocks differ by a little.
    pub time_ms: i64,
    /// From the log time to the beginning of a workday, in UTC: somewhere it is already tomorrow.
    pub workday_ms: i64,
    /// Points that are given for a later day.
    pub effective_ms: i64,
}

const DAY_MS: i64 = 86_400_000;

impl Default for AheadMax {
    fn default() -> Self {
        Self {
            time_ms: 15 * 60_000,
            workday_ms: DAY_MS,
            effective_ms: 31 * DAY_MS,
        }
    }
}

/// One field that is dated ahead of the log's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    field: &'static str,
    when: When,
    by_ms: i64,
}

/// What of an event is dated ahead of `now`, the log time of its storing. Nearly always nothing.
#[must_use]
pub fn ahead(body: &Body, now: LogTime) -> Vec<Ahead> {
    let whens = whens(body);
    let ahead = whens.map(|(field, when)| Ahead {
        field,
        when,
        by_ms: when.ms().saturating_sub(now.0),
    });
    ahead.filter(|ahead| ahead.by_ms > 0).collect()
}

/// Why an event is not taken that is dated so far ahead; `None` if it is taken.
#[must_use]
pub fn refused(ahead: &[Ahead], max: &AheadMax) -> Option<String> {
    let found = ahead
        .iter()
        .find(|ahead| ahead.by_ms > ahead.when.max(max))?;
    let (key, max_ms) = (found.when.key(), found.when.max(max));
    let (when, hours) = (found.when, found.by_ms / 3_600_000);
    Some(format!(
        "data.{}: {when} is {hours} h {} min ahead of the log's clock; at most {} min are allowed (`{key}` in [ahead] of \
         the rules)",
        found.field,
        found.by_ms / 60_000 % 60,
        max_ms / 60_000,
    ))
}

/// A date or time in an event, by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When something happened.
    Moment(EventTime),
    /// A workday.
    Workday(Date),
    /// From when something counts.
    Effective(EventTime),
}

impl When {
    /// Unit: milliseconds since 1970; of a day its beginning in UTC.
    fn ms(self) -> i64 {
        match self {
            Self::Moment(time) | Self::Effective(time) => time.0,
            Self::Workday(day) => TimeZone::UTC
                .to_timestamp(day.at(0, 0, 0, 0))
                .map_or(i64::MAX, |begins| begins.as_millisecond()),
        }
    }

    const fn max(self, max: &AheadMax) -> i64 {
        match self {
            Self::Moment(_) => max.time_ms,
            Self::Workday(_) => max.workday_ms,
            Self::Effective(_) => max.effective_ms,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Moment(_) => "time",
            Self::Workday(_) => "workday",
            Self::Effective(_) => "effective",
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moment(time) | Self::Effective(time) => write!(f, "{time}"),
            Self::Workday(day) => write!(f, "{day}"),
        }
    }
}

/// Every date and time an event holds, with its field.
fn whens(body: &Body) -> impl Iterator<Item = (&'static str, When)> {
    let moment = |field, time: EventTime| Some((field, When::Moment(time)));
    let found = match body {
        Body::InteractionStarted(e) => [moment("started_at", e.started_at), None],
        Body::InteractionCompleted(e) => [
            moment("started_at", e.started_at),
            moment("ended_at", e.ended_at),
        ],
        Body::InteractionUpdated(e) => [moment("updated_at", e.updated_at), None],
        Body::SurveyResponse(e) => [moment("submitted_at", e.submitted_at), None],
        Body::EnpsResponse(e) => [moment("submitted_at", e.submitted_at), None],
        Body::WfmMetric(e) => [
            Some(("date", When::Workday(e.date.0))),
            e.recorded_at.and_then(|time| moment("recorded_at", time)),
        ],
        Body::PointsAdjusted(e) => [
            Some(("effective_at", When::Effective(e.effective_at))),
            None,
        ],
        Body::RewardDecided(e) => [moment("at", e.at), None],
        Body::AlertAcknowledged(e) => [moment("at", e.at), None],
        Body::DeadLettered(e) => [moment("at", e.at), None],
        Body::ImportQuarantined(e) => [moment("at", e.at), None],
        Body::InteractionWrapup(_) | Body::Outcome(..) | Body::Tick | Body::RulesActivated(_) => {
            [None, None]
        }
    };
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn survey(submitted_at: Value) -> Body {
        let data = json!({
            "response_id": "r", "interaction_id": "i", "submitted_at": submitted_at, "csat": 5,
        });
        Body::SurveyResponse(serde_json::from_value(data).unwrap())
    }

    fn metric(date: &str, value: Value) -> Body {
        let data = json!({ "agent_id": "a", "date": date, "metric": "points", "value": value });
        Body::WfmMetric(serde_json::from_value(data).unwrap())
    }

    fn adjusted(effective_at: &str) -> Body {
        let data = json!({
            "adjustment_id": "a", "agent_id": "a", "points": 1, "kind": "grant", "reason": "r",
            "effective_at": effective_at,
        });
        Body::PointsAdjusted(serde_json::from_value(data).unwrap())
    }

    fn said(body: &Body) -> Option<String> {
        check(body).err().map(|found| found.to_string())
    }

    #[test]
    fn s1_07_seconds_taken_for_milliseconds_are_refused_and_say_what_they_would_be() {
        let text = said(&survey(json!(1_795_167_000))).unwrap();
        assert_eq!(
            text,
            "data.submitted_at: 1970-01-21T18:39:27.000Z is before the year 2000; a number is in milliseconds since 1970, \
             and as seconds it would be 2026-11-20T09:30:00.000Z"
        );
        assert_eq!(said(&survey(json!(1_795_167_000_000_i64))), None);
    }

    #[test]
    fn s1_07_the_first_moment_of_2000_is_a_time_and_the_one_before_is_none() {
        assert_eq!(said(&survey(json!("2000-01-01T00:00:00Z"))), None);
        assert_eq!(said(&survey(json!(EARLIEST_MS))), None);
        for before in [
            json!("1999-12-31T23:59:59.999Z"),
            json!("2000-01-01T00:00:00+01:00"),
            json!(EARLIEST_MS - 1),
            json!(0),
            json!(-1),
            json!("0026-11-20T09:30:00Z"),
            json!("-000001-11-20T09:30:00Z"),
        ] {
            let text = said(&survey(before.clone())).unwrap_or_else(|| panic!("{before}"));
            assert!(text.starts_with("data.submitted_at: "), "{text}");
        }
    }

    #[test]
    fn s3_13_a_workday_before_2000_is_none() {
        assert_eq!(said(&metric("2000-01-01", json!(1))), None);
        assert_eq!(
            said(&metric("1999-12-31", json!(1))).unwrap(),
            "data.date: 1999-12-31 is before the year 2000"
        );
        assert!(said(&metric("0026-11-20", json!(1))).is_some());
    }

    #[test]
    fn s3_01_a_value_beyond_exact_numbers_is_refused_either_way() {
        for exact in [
            json!(9_007_199_254_740_991_i64),
            json!(-9_007_199_254_740_991_i64),
            json!(0.1),
        ] {
            assert_eq!(said(&metric("2026-11-20", exact)), None);
        }
        for beyond in [
            json!(9_007_199_254_740_992_i64),
            json!(-9_007_199_254_740_993_i64),
            json!(1e300),
        ] {
            let text = said(&metric("2026-11-20", beyond)).unwrap();
            assert!(
                text.contains("data.value") && text.contains("9007199254740991"),
                "{text}"
            );
        }
    }

    #[test]
    fn s1_07_an_event_may_be_a_quarter_of_an_hour_ahead_and_a_workday_tomorrow() {
        let now: EventTime = "2026-11-20T10:00:00Z".parse().unwrap();
        let max = AheadMax::default();
        let refused = |body: &Body| refused(&ahead(body, LogTime(now.0)), &max);
        for taken in [
            survey(json!("2026-11-20T10:15:00Z")),
            survey(json!("2019-01-01T00:00:00Z")),
            metric("2026-11-21", json!(1)),
            adjusted("2026-12-21T10:00:00Z"),
        ] {
            assert_eq!(refused(&taken), None, "{taken:?}");
        }
        let text = refused(&survey(json!("2026-11-20T10:15:00.001Z"))).unwrap();
        assert_eq!(
            text,
            "data.submitted_at: 2026-11-20T10:15:00.001Z is 0 h 15 min ahead of the log's clock; at most 15 min are allowed \
             (`time` in [ahead] of the rules)"
        );
        let text = refused(&metric("2026-11-22", json!(1))).unwrap();
        assert!(text.starts_with("data.date: 2026-11-22 is 38 h"), "{text}");
        let text = refused(&adjusted("2099-01-01T00:00:00Z")).unwrap();
        assert!(text.contains("`effective`"), "{text}");
        assert!(refused(&adjusted("2026-12-21T10:00:00.001Z")).is_some());
        // The farthest of an event's fields decides, whichever it is.
        let mut late = metric("2026-11-20", json!(1));
        if let Body::WfmMetric(metric) = &mut late {
            metric.recorded_at = Some("2027-01-01T00:00:00Z".parse().unwrap());
        }
        assert!(refused(&late).unwrap().starts_with("data.recorded_at: "));
    }

    #[test]
    fn nothing_is_said_of_an_event_that_is_not_ahead() {
        assert_eq!(
            ahead(
                &survey(json!("2026-11-20T10:00:00Z")),
                LogTime(1_795_168_800_000)
            ),
            []
        );
        assert_eq!(
            ahead(
                &survey(json!("2026-11-20T10:00:00.001Z")),
                LogTime(1_795_168_800_000)
            )
            .len(),
            1
        );
    }
}
