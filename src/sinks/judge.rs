//! What an answer, or the lack of one, means: pure, so that every row of the requirements is a line of a test.
//!
//! The vendor's status alone does not tell: a marketplace rejects with 200 (S3.07), Slack throttles with 200. So the
//! destination's own tests decide, in this order: done; worth another attempt; refused, if the configuration says which
//! answers refuse; our credentials are wrong. Of what is left, a 2xx that cannot be tested is an outcome nobody knows
//! (S3.16), and the rest is a rejection, or where money hangs on it a case for a person.

use std::time::{Duration, SystemTime};

use aftercall_actors::contract::event::{KEPT_BYTES_MAX, Kept};
use serde_json::Value;

use super::{
    scope::Scope,
    spec::{Judgement, Refusals},
};
use crate::{
    delivery::{
        attempt::{Answer, Fault, Verdict},
        record::FinalStatus,
    },
    planted::{Bug, is_planted},
};

/// What one attempt means, and what of it the outcome event shall say.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What it means.
    pub verdict: Verdict,
    /// The outcome's `status`, if the destination computes one and could.
    pub status: Option<String>,
    /// The outcome's `response`, likewise. Not scrubbed yet.
    pub response: Option<Value>,
    /// The destination's own ids, as far as the answer has them.
    pub kept: Kept,
}

/// Longest wait that `Retry-After` can ask for; deadlines are shorter.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Judges what came back. `output` holds the output's variables and `in_doubt`; `now` dates a `Retry-After` that is a
/// date, where the answer does not say what time it is there.
#[must_use]
pub fn judge(
    judgement: &Judgement,
    output: &Scope,
    result: &Result<Answer, Fault>,
    now: SystemTime,
) -> Judged {
    let answer = match result {
        Ok(answer) => answer,
        Err(fault) => {
            return Judged {
                verdict: without_answer(judgement, fault),
                status: None,
                response: None,
                kept: Kept::new(),
            };
        }
    };
    let scope = output.clone().with_answer(answer);
    let computed = |expression: &Option<super::expression::Expression>| {
        let value = expression.as_ref()?.evaluate(&scope).ok()?;
        (!value.is_null()).then_some(value)
    };
    Judged {
        verdict: of_answer(judgement, &scope, answer, now),
        status: computed(&judgement.status)
            .and_then(|status| status.as_str().map(str::to_owned))
            .filter(|status| !status.is_empty()),
        response: computed(&judgement.response),
        kept: judgement
            .keep
            .iter()
            .filter_map(|(name, id)| Some((name.clone(), id_of(&id.evaluate(&scope).ok()?)?)))
            .collect(),
    }
}

/// An id as text; `None` for what cannot be one.
pub(super) fn id_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let is_id = (1..=KEPT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    is_id.then_some(text)
}

/// How long the answer asks to wait (RFC 9110, 10.2.3): seconds, or a date.
#[must_use]
pub fn retry_after(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let text = answer.headers.get("retry-after")?.trim();
    // Some send fractions; to wait a little longer is as good.
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|s| s.is_finite() && *s >= 0.0);
    let wait = match seconds {
        Some(seconds) => Duration::from_secs(seconds.ceil() as u64),
        None => {
            let at = httpdate::parse_http_date(text).ok()?;
            // Their clock told the date; only the difference to their clock is a wait.
            let theirs = answer.headers.get("date");
            let theirs = theirs.and_then(|date| httpdate::parse_http_date(date).ok());
            at.duration_since(theirs.unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn without_answer(judgement: &Judgement, fault: &Fault) -> Verdict {
    let why = fault.to_string();
    let after = match fault {
        // It would be as long once more. Where money hangs on it, asking again is how to find out what became of it.
        Fault::TooLong(_) if matches!(judgement.refusals, Refusals::Rest) => {
            return Verdict::Unclear { why, unknown: true };
        }
        Fault::Unsendable(_) => return Verdict::Rejected { why },
        Fault::Misconfigured(_) => return Verdict::Misconfigured { why, alone: None },
        Fault::NotReady(_)
        | Fault::Connect(_)
        | Fault::Timeout(_)
        | Fault::Lost(_)
        | Fault::TooLong(_) => None,
        Fault::InDoubt { after, .. } => *after,
    };
    Verdict::Again {
        why,
        after,
        unknown: fault.is_unknown(),
    }
}

fn of_answer(judgement: &Judgement, scope: &Scope, answer: &Answer, now: SystemTime) -> Verdict {
    let success = judgement.success.holds(scope);
    if success == Ok(true) {
        return Verdict::Delivered;
    }
    // A test that expects another body than an overloaded proxy sends must not make its 503 final.
    let again = judgement.again.holds(scope);
    if again.unwrap_or_else(|_| is_transient(answer.status)) {
        return Verdict::Again {
            why: said(answer),
            after: retry_after(answer, now),
            unknown: false,
        };
    }
    let failed = || {
        let test = judgement.success.source();
        format!("{}, which is no success by `{test}`", said(answer))
    };
    let rest = match &judgement.refusals {
        Refusals::Rest => FinalStatus::Rejected,
        Refusals::OtherStatus => FinalStatus::Failed,
        Refusals::When(refused) if refused.holds(scope) == Ok(true) => {
            return Verdict::Rejected { why: failed() };
        }
        Refusals::When(_) => FinalStatus::Failed,
    };
    if judgement.unauthorized.holds(scope) == Ok(true) {
        return Verdict::Misconfigured {
            why: format!("{}: our credentials are not accepted", said(answer)),
            alone: Some(rest),
        };
    }
    if answer.is_2xx() {
        let looks_inside = judgement.success.reads_body() && !answer.is_structured();
        let untestable = match &success {
            Err(error) => Some(error.to_string()),
            Ok(_) if looks_inside => {
                Some("its body is no JSON that could be looked into".to_owned())
            }
            Ok(_) => None,
        };
        let is_refusal = match &judgement.refusals {
            Refusals::Rest => true,
            Refusals::OtherStatus => has_other_status(judgement.success.source(), answer),
            Refusals::When(_) => false,
        };
        if untestable.is_some() && is_planted(Bug::UnreadableRejects) {
            return Verdict::Rejected { why: failed() };
        }
        return match untestable {
            None if is_refusal => Verdict::Rejected { why: failed() },
            // Done or not: it may have been, so it is never a no.
            untestable => Verdict::Again {
                why: untestable.map_or_else(failed, |error| {
                    format!("{}, which cannot be tested: {error}", said(answer))
                }),
                after: retry_after(answer, now),
                unknown: true,
            },
        };
    }
    // Only its body says whether a conflict refuses or was done before: one that cannot be read says neither (S3.16).
    if answer.status == CONFLICT
        && let Refusals::When(refused) = &judgement.refusals
        && refused.reads_body()
        && !answer.is_structured()
    {
        return Verdict::Again {
            why: format!("{}, and its body cannot be read", said(answer)),
            after: retry_after(answer, now),
            unknown: true,
        };
    }
    match rest {
        FinalStatus::Failed => Verdict::Unclear {
            why: failed(),
            unknown: answer.status == CONFLICT,
        },
        FinalStatus::Rejected | FinalStatus::Delivered => Verdict::Rejected { why: failed() },
    }
}

/// What may say that an attempt before has done it.
const CONFLICT: u16 = 409;

/// Words for what is not decided yet, or was decided before: neither is a refusal.
const UNDECIDED: [&str; 11] = [
    "PENDING",
    "PROCESSING",
    "IN_PROGRESS",
    "QUEUED",
    "ACCEPTED",
    "RECEIVED",
    "SUBMITTED",
    "CREATED",
    "UNKNOWN",
    "DUPLICATE",
    "ALREADY",
];

/// S3.07: a 200 with another status. One that the test of a success names itself is not another.
fn has_other_status(success: &str, answer: &Answer) -> bool {
    let status = answer.body.get("status").and_then(Value::as_str);
    let status = status.map(|status| status.trim().to_ascii_uppercase());
    let Some(status) = status.filter(|status| !status.is_empty()) else {
        return false;
    };
    let is_named = |quote: char| {
        let quoted = format!("{quote}{status}{quote}");
        success.to_ascii_uppercase().contains(&quoted)
    };
    let is_undecided = UNDECIDED.iter().any(|word| status.starts_with(word));
    matches!(answer.status, 200 | 201) && !is_undecided && !is_named('\'') && !is_named('"')
}

/// What is worth another attempt of HTTP's own accord.
const fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

/// What it answered, without a word that could be a customer's: the status, and codes that look like codes.
fn said(answer: &Answer) -> String {
    let codes: Vec<String> = ["status", "error", "code", "error_code"]
        .into_iter()
        .filter_map(|name| {
            let code = answer.body.get(name)?.as_str()?;
            let plain = |c: char| c.is_ascii_alphabetic() || c == '_';
            let is_code = (1..=40).contains(&code.len()) && code.chars().all(plain);
            is_code.then(|| format!("{name} {code}"))
        })
        .collect();
    match codes.as_slice() {
        [] => format!("answered {}", answer.status),
        codes => format!("answered {} with {}", answer.status, codes.join(", ")),
    }
}

#[cfg(test)]
mod tests;
