//! `limit`, `retry`, `breaker`, `merge`: how a destination is driven, and the sums that have to come out.

use std::{num::NonZeroU32, time::Duration};

use aftercall_actors::breaker::{self, Trip};

use crate::{
    config::{document::Section, units::Span},
    delivery::policy::{Limits, Merge, OutcomeRule, Policy, Rate, Retry},
    sinks::{
        reader::{one_of, span},
        sink::About,
    },
};

/// Reads what drives a destination whose attempts take up to `total`.
pub(super) fn read(
    s: &mut Section<'_, '_>,
    about: &About,
    total: Duration,
    outcome: Option<OutcomeRule>,
) -> Policy {
    let total = Span(u64::try_from(total.as_millis()).unwrap_or(u64::MAX));
    let limits = s.table("limit", |s| limits(s, about));
    let retry = s.table("retry", |s| retry(s, total));
    let breaker = s.table("breaker", |s| breaker(s, total));
    let merge = s.word("merge", |text| {
        let (least, most) = (Span(100), Span::seconds(3600));
        text.parse()
            .ok()
            .filter(|every| (least..=most).contains(every))
            .map(|every| Merge {
                every: every.duration(),
            })
            .ok_or_else(|| format!("{} from {least} to {most}", Span::FORM))
    });
    if merge.is_some() && !s.has("thread") {
        s.missing(
            "thread",
            "merge keeps the newest of each thread, so it has to say what a thread is",
        );
    }
    Policy {
        limits,
        retry,
        breaker,
        merge,
        outcome,
    }
}

const fn count(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

fn whole(s: &mut Section<'_, '_>, key: &'static str, default: u32, most: u32) -> NonZeroU32 {
    let n = s.integer(key, default.into(), 1..=most.into());
    count(u32::try_from(n).unwrap_or(default))
}

fn limits(s: &mut Section<'_, '_>, about: &About) -> Limits {
    let default = about.rate.map(|n| Rate {
        count: count(n),
        per: Duration::from_secs(1),
    });
    Limits {
        concurrency: whole(s, "concurrency", 16, 1_000),
        rate: s.string("rate", default, rate),
        by_lane: about.by_lane,
    }
}

/// `"4/s"`, `"100/m"`, `"1/5s"` or `"unlimited"`.
fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let allowed = || "a rate such as \"4/s\", \"100/m\" or \"1/5s\", or \"unlimited\"".to_owned();
    let (n, per) = text.split_once('/').ok_or_else(allowed)?;
    let n: NonZeroU32 = n.trim().parse().map_err(|_| allowed())?;
    let per = per.trim();
    let per: Span = match per.chars().next() {
        Some(c) if c.is_ascii_digit() => per.parse(),
        Some(_) | None => format!("1{per}").parse(),
    }
    .map_err(|_| allowed())?;
    if per.0 == 0 {
        return Err(allowed());
    }
    Ok(Some(Rate {
        count: n,
        per: per.duration(),
    }))
}

fn retry(s: &mut Section<'_, '_>, total: Span) -> Retry {
    let attempts = whole(s, "attempts", 5, 100);
    let first = span(s, "first", Span(500), (Span(10), Span::seconds(3600)));
    let factor = whole(s, "factor", 2, 100);
    let max = span(s, "max", Span::seconds(30), (Span(10), Span::days(1)));
    let deadline = span(
        s,
        "deadline",
        Span::days(1),
        (Span::seconds(1), Span::days(30)),
    );
    let unknown_counts = s.string("unknown", true, |text| {
        one_of(text, &[("count", true), ("until_deadline", false)])
    });
    if first > max {
        s.conflict(
            "first",
            format!("found {first}, allowed: at most retry.max, which is {max}"),
        );
    }
    let longest = longest(attempts, first, factor, max, total);
    if longest > deadline {
        s.conflict(
            "deadline",
            format!(
                "found {deadline}, allowed: at least {longest}, which {attempts} attempts of up to {total} and the waits \
                 between them can take"
            ),
        );
    }
    Retry {
        attempts,
        first: first.duration(),
        factor,
        max: max.duration(),
        deadline: deadline.duration(),
        unknown_counts,
    }
}

/// Attempts that all run into their timeout, with the waits between them undiminished by jitter.
fn longest(attempts: NonZeroU32, first: Span, factor: NonZeroU32, max: Span, total: Span) -> Span {
    let mut sum = total.0;
    let mut wait = first.0;
    for _ in 1..attempts.get() {
        sum = sum.saturating_add(wait.min(max.0)).saturating_add(total.0);
        wait = wait.saturating_mul(factor.get().into());
    }
    Span(sum)
}

fn breaker(s: &mut Section<'_, '_>, total: Span) -> breaker::Policy {
    let open = span(
        s,
        "open",
        Span::seconds(30),
        (Span::seconds(1), Span::days(1)),
    );
    if open <= total {
        // Else a probe could still be out when the next is due, and the breaker would never be what shields (S5.04).
        s.conflict(
            "open",
            format!("found {open}, allowed: more than timeout.total, which is {total}"),
        );
    }
    let hour = Span::seconds(3600);
    let failing_for = s.word("failing_for", |text| {
        text.parse()
            .ok()
            .filter(|span| (Span::seconds(1)..=Span::days(1)).contains(span))
            .ok_or_else(|| format!("{} from 1s to 1d", Span::FORM))
    });
    let trip = match failing_for {
        Some(span) => {
            let why = "counts failures, while failing_for looks at time: only one of them can be";
            s.refuse(&["failures", "within"], why);
            Trip::FailingFor { ms: ms(span) }
        }
        None => Trip::Failures {
            failures: whole(s, "failures", 6, 10_000),
            within_ms: ms(span(
                s,
                "within",
                Span::seconds(10),
                (Span::seconds(1), hour),
            )),
        },
    };
    breaker::Policy {
        trip,
        open_ms: ms(open),
    }
}

fn ms(span: Span) -> i64 {
    i64::try_from(span.0).unwrap_or(i64::MAX)
}
