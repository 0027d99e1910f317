//! What must hold whatever happened, by name.

use std::collections::{BTreeMap, BTreeSet};

use aftercall::{
    delivery::{
        dead_letter::{Choice, Entry, Letter, Reason},
        policy::Policy,
    },
    log::Seq,
};
use serde_json::Value;

use crate::story::Aftermath;

/// A life of an output: its CloudEvents id and its round.
type Round = (String, u32);

/// What was said, from everything that stands in the log.
struct Said {
    /// Outcome events by CloudEvents id: what they say, and of which round.
    outcomes: BTreeMap<Round, Value>,
    letters: BTreeMap<Round, Letter>,
    /// The first decision about each round that ended with a letter.
    decisions: BTreeMap<Round, Choice>,
    /// Decisions that the log has lost: whether they were heard before is not known.
    decisions_lost: BTreeSet<(Round, bool)>,
    alarms: Vec<Value>,
}

pub fn check(run: &Aftermath) -> Result<(), String> {
    let said = said(run)?;
    if run.forgot {
        return nothing_is_passed_over(run, &said);
    }
    each_round_has_one_end(run, &said)?;
    what_is_delivered_was_executed(run, &said)?;
    letters_are_what_was_not_delivered(run, &said)?;
    no_attempt_is_made_twice(run, &said)?;
    no_attempt_goes_uncounted(run, &said)?;
    nothing_is_given_up_for_want_of_credentials(run, &said)?;
    threads_go_in_order(run, &said)?;
    merging_keeps_its_distance(run)?;
    lanes_keep_their_distance(run)?;
    operators_hear_of_every_letter(&said)
}

fn said(run: &Aftermath) -> Result<Said, String> {
    let mut said = Said {
        outcomes: BTreeMap::new(),
        letters: BTreeMap::new(),
        decisions: BTreeMap::new(),
        decisions_lost: BTreeSet::new(),
        alarms: Vec::new(),
    };
    let mut alarms = BTreeMap::new();
    for event in run.world.events() {
        let value: Value = serde_json::from_slice(&event.payload).map_err(|e| e.to_string())?;
        let id = value["id"].as_str().unwrap_or_default().to_owned();
        let seen = match value["type"].as_str() {
            Some("reward.outcome") => {
                let mut parts = id.splitn(4, ':');
                let round = parts.nth(2).and_then(|text| text.parse().ok()).unwrap_or(0);
                let output = parts.next().unwrap_or_default().to_owned();
                said.outcomes.insert((output, round), value.clone())
            }
            Some("delivery.dead_lettered") => alarms.insert(id, value.clone()),
            other => return Err(format!("only_known_events: {other:?}")),
        };
        if let Some(before) = seen
            && before != value
            && !run.forgot
        {
            return Err(format!(
                "what_is_said_stays_said: {before} and then {value}"
            ));
        }
    }
    said.alarms = alarms.into_values().collect();
    said.alarms.sort_by_key(|alarm| alarm["time"].to_string());
    let lost = run.dead_lost.iter().map(|stored| (true, stored.clone()));
    let held = run.world.dead().into_iter().map(|stored| (false, stored));
    for (is_lost, stored) in lost.chain(held) {
        match Entry::read(&stored).map_err(|error| error.to_string())? {
            Entry::Letter(letter) => {
                let round = (letter.output.id.clone(), letter.round);
                if let Some(before) = said.letters.insert(round, (*letter).clone())
                    && before != *letter
                    && !run.forgot
                {
                    return Err(format!(
                        "what_is_said_stays_said: {before:?} and then {letter:?}"
                    ));
                }
            }
            Entry::Decision(decision) => {
                let round = (decision.output_id, decision.round);
                let choice = decision.choice;
                if is_lost {
                    let retries = choice == Choice::Retry;
                    said.decisions_lost.insert((round, retries));
                } else {
                    said.decisions.entry(round).or_insert(choice);
                }
            }
        }
    }
    Ok(said)
}

/// How many rounds an output may have lived: the first, and one for each retry that could be carried out.
fn rounds(said: &Said, id: &str) -> u32 {
    count_rounds(said, id, |round| {
        let retries = said.decisions.get(round) == Some(&Choice::Retry);
        retries || said.decisions_lost.contains(&(round.clone(), true))
    })
}

/// How many it has lived for certain: of decisions that the log has lost it is not known.
fn rounds_for_certain(said: &Said, id: &str) -> u32 {
    count_rounds(said, id, |round| {
        let retries = said.decisions.get(round) == Some(&Choice::Retry);
        retries && !said.decisions_lost.contains(&(round.clone(), false))
    })
}

fn count_rounds(said: &Said, id: &str, is_retried: impl Fn(&Round) -> bool) -> u32 {
    let mut rounds = 1;
    loop {
        let round = (id.to_owned(), rounds);
        let letter = said.letters.get(&round);
        if !is_retried(&round) || letter.is_none_or(|letter| letter.not_retryable.is_some()) {
            return rounds;
        }
        rounds += 1;
    }
}

/// Where delivery records are gone for good, outputs may be delivered once more, under the same ids; none is passed over.
fn nothing_is_passed_over(run: &Aftermath, said: &Said) -> Result<(), String> {
    let books = run.vendor.books();
    let ended: BTreeSet<&str> = said
        .outcomes
        .keys()
        .chain(said.letters.keys())
        .map(|(id, _)| id.as_str())
        .chain(books.executed.iter().map(String::as_str))
        .collect();
    for (number, (id, thread)) in run.outputs.iter().enumerate() {
        let newer = run.outputs[number + 1..]
            .iter()
            .any(|(other, its)| its == thread && run.vendor.wants(other));
        let mergeable = run.vendor.policy.merge.is_some() && newer;
        if run.vendor.wants(id) && !mergeable && !ended.contains(id.as_str()) {
            return Err(format!("nothing_is_passed_over: {id}"));
        }
    }
    let known = |id: &str| run.outputs.iter().any(|(output, _)| output == id);
    match books.calls.iter().find(|call| !known(&call.id)) {
        Some(call) => Err(format!("nothing_is_made_up: {call:?}")),
        None => Ok(()),
    }
}

/// Every output that was selected has exactly one end in each of its rounds, and no other has any.
fn each_round_has_one_end(run: &Aftermath, said: &Said) -> Result<(), String> {
    let Policy { merge, outcome, .. } = &run.vendor.policy;
    let mut expected = BTreeSet::new();
    for (number, (id, thread)) in run.outputs.iter().enumerate() {
        if !run.vendor.wants(id) {
            continue;
        }
        let later = &run.outputs[number + 1..];
        let newer = later
            .iter()
            .any(|(other, its)| its == thread && run.vendor.wants(other));
        for round in 1..=rounds(said, id) {
            let key = (id.clone(), round);
            let has_outcome = said.outcomes.contains_key(&key);
            let has_letter = said.letters.contains_key(&key);
            let executed = run.vendor.books().executed.contains(id);
            let mergeable = merge.is_some() && newer;
            let ended = if outcome.is_some() {
                has_outcome
            } else {
                has_letter || executed
            };
            let is_certain = round <= rounds_for_certain(said, id);
            if !ended && !mergeable && is_certain {
                return Err(format!("each_round_has_one_end: {key:?} has none"));
            }
            expected.insert(key);
        }
    }
    let ends = said.outcomes.keys().chain(said.letters.keys());
    match ends.into_iter().find(|end| !expected.contains(*end)) {
        Some(end) => Err(format!("each_round_has_one_end: {end:?} ended unasked")),
        None => Ok(()),
    }
}

/// Once, that is: the vendor's books know a key or do not; and nothing is called delivered that is not in them.
fn what_is_delivered_was_executed(run: &Aftermath, said: &Said) -> Result<(), String> {
    let books = run.vendor.books();
    for ((id, round), outcome) in &said.outcomes {
        let status = outcome["data"]["status"].as_str();
        let executed = books.executed.contains(id);
        if status == Some("issued") && !executed {
            return Err(format!(
                "what_is_delivered_was_executed: {id} in round {round}"
            ));
        }
        // Points are freed on this word (S3.16).
        if status == Some("rejected") && executed {
            return Err(format!(
                "what_is_rejected_was_not_done: {id} in round {round}"
            ));
        }
    }
    for ((id, round), letter) in &said.letters {
        // With a second round nobody can tell in which it was executed.
        let only = rounds(said, id) == 1 && *round == 1;
        if letter.reason == Reason::Failed && only && books.executed.contains(id) {
            return Err(format!("a_plain_failure_did_nothing: {id}: {letter:?}"));
        }
    }
    Ok(())
}

/// Dead letters are exactly what was failed or rejected.
fn letters_are_what_was_not_delivered(run: &Aftermath, said: &Said) -> Result<(), String> {
    for letter in said.letters.values() {
        let refused = run.vendor.refuses(&letter.output.id);
        let says_refused = matches!(letter.reason, Reason::Rejected | Reason::Unsendable);
        // A round after the first may have its output from the letter before alone, which the log has lost then.
        let may_be_lost = letter.round > 1 && !run.dead_lost.is_empty();
        let is_unsendable = letter.reason == Reason::Unsendable;
        // What is not let in twice, while others were between, is taken to be refused itself.
        let not_let_in = run.vendor.books().shut_count > 1
            && letter.detail.contains("credentials are not accepted");
        let may_say_so = refused || not_let_in || (may_be_lost && is_unsendable);
        if says_refused && !may_say_so {
            return Err(format!("letters_are_what_was_not_delivered: {letter:?}"));
        }
        if letter.output.data.is_none() && !may_be_lost {
            return Err(format!("letters_are_whole: {letter:?}"));
        }
    }
    if run.vendor.policy.outcome.is_none() {
        return Ok(());
    }
    for (round, outcome) in &said.outcomes {
        let delivered = outcome["data"]["status"] == "issued";
        if delivered == said.letters.contains_key(round) {
            return Err(format!(
                "letters_are_what_was_not_delivered: {round:?}: {outcome}"
            ));
        }
    }
    match said
        .letters
        .keys()
        .find(|r| !said.outcomes.contains_key(*r))
    {
        Some(round) => Err(format!(
            "letters_are_what_was_not_delivered: {round:?} has a letter and no outcome"
        )),
        None => Ok(()),
    }
}

/// Each attempt is on record before it is sent, so no process sends one that another has sent.
fn no_attempt_is_made_twice(run: &Aftermath, said: &Said) -> Result<(), String> {
    let mut calls: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    let books = run.vendor.books();
    for call in &books.calls {
        let count = calls.entry((&call.id, call.number)).or_default();
        *count += 1;
        if *count > rounds(said, &call.id) {
            return Err(format!("no_attempt_is_made_twice: {call:?}"));
        }
    }
    Ok(())
}

/// What the vendor saw is never more than what is on record.
fn no_attempt_goes_uncounted(run: &Aftermath, said: &Said) -> Result<(), String> {
    if run.vendor.policy.outcome.is_none() || run.vendor.policy.merge.is_some() {
        return Ok(());
    }
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for ((id, _), outcome) in &said.outcomes {
        *counted.entry(id).or_default() += outcome["data"]["attempts"].as_u64().unwrap_or(0);
    }
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let books = run.vendor.books();
    for call in &books.calls {
        *seen.entry(&call.id).or_default() += 1;
    }
    for (id, seen) in seen {
        let counted = counted.get(id).copied().unwrap_or(0);
        if seen > counted {
            return Err(format!(
                "no_attempt_goes_uncounted: {id}: {seen} seen, {counted} on record"
            ));
        }
    }
    Ok(())
}

/// S3.16: an attempt that is turned away at the door is none of those that may fail, so a plain failure took as many
/// others as the policy allows, or its time.
fn nothing_is_given_up_for_want_of_credentials(run: &Aftermath, said: &Said) -> Result<(), String> {
    let Policy { retry, .. } = &run.vendor.policy;
    let books = run.vendor.books();
    for ((id, round), letter) in &said.letters {
        if letter.reason != Reason::Failed || *round > 1 || rounds(said, id) > 1 {
            continue;
        }
        let calls = || books.calls.iter().filter(|call| call.id == *id);
        let tried = calls().filter(|call| !call.is_shut_out).count();
        let Some(first) = calls().map(|call| call.at).min() else {
            continue;
        };
        // The longest wait, one that was asked for, and what the log may take.
        let slack_ms = 8_000 + 3_000 + 2_000;
        let lasted_ms = letter.at.since_ms(first);
        let deadline_ms = i64::try_from(retry.deadline.as_millis()).unwrap_or(i64::MAX);
        if tried < retry.attempts.get() as usize && lasted_ms < deadline_ms - slack_ms {
            return Err(format!(
                "nothing_is_given_up_for_want_of_credentials: {id} after {tried} of {} in {lasted_ms} ms: {letter:?}",
                retry.attempts
            ));
        }
    }
    Ok(())
}

/// Within a thread the vendor books in order, retries by operators aside.
fn threads_go_in_order(run: &Aftermath, said: &Said) -> Result<(), String> {
    if run.shared {
        // A former owner's attempt may arrive after the new one's: nothing on this side can prevent that.
        return Ok(());
    }
    let mut last: BTreeMap<&str, Seq> = BTreeMap::new();
    let books = run.vendor.books();
    for call in &books.calls {
        let Some(thread) = &call.thread else {
            continue;
        };
        if !call.executed || rounds(said, &call.id) > 1 {
            continue;
        }
        let last = last.entry(thread).or_default();
        if call.seq < *last {
            return Err(format!("threads_go_in_order: {call:?} after {last}"));
        }
        *last = call.seq;
    }
    Ok(())
}

/// S4.05: at most one call of a thread within five seconds, restarts or not.
fn merging_keeps_its_distance(run: &Aftermath) -> Result<(), String> {
    // Where the log takes its time, a call is later than its record by that much.
    if run.vendor.policy.merge.is_none() || !run.calm {
        return Ok(());
    }
    let mut last = BTreeMap::new();
    let books = run.vendor.books();
    for call in &books.calls {
        let before = last.insert(call.thread.clone(), call.at);
        if let Some(before) = before
            && call.at.since_ms(before) < 5_000
        {
            return Err(format!("merging_keeps_its_distance: {call:?}, {before:?}"));
        }
    }
    Ok(())
}

/// S2.11: where each lane has the rate to itself, its calls keep their distance, restarts or not.
fn lanes_keep_their_distance(run: &Aftermath) -> Result<(), String> {
    let limits = &run.vendor.policy.limits;
    let Some(rate) = limits.rate.filter(|_| limits.by_lane) else {
        return Ok(());
    };
    if !run.calm || run.shared {
        return Ok(());
    }
    // Rounded to the whole milliseconds that log time counts.
    let distance_ms = 1_000 * rate.per.as_secs() as i64 / i64::from(rate.count.get()) - 1;
    let mut last = BTreeMap::new();
    let books = run.vendor.books();
    for call in &books.calls {
        for lane in run.vendor.lanes(&call.id) {
            let before = last.insert(lane, call.at);
            if let Some(before) = before
                && call.at.since_ms(before) < distance_ms
            {
                return Err(format!("lanes_keep_their_distance: {call:?}, {before:?}"));
            }
        }
    }
    Ok(())
}

/// Alarms count each letter once, and come at most once a minute.
fn operators_hear_of_every_letter(said: &Said) -> Result<(), String> {
    let of_letters = |alarm: &&Value| alarm["data"]["reason"] != "misconfigured";
    let counted: u64 = said
        .alarms
        .iter()
        .filter(of_letters)
        .filter_map(|alarm| alarm["data"]["count"].as_u64())
        .sum();
    if counted != said.letters.len() as u64 {
        return Err(format!(
            "operators_hear_of_every_letter: {counted} counted, {} letters",
            said.letters.len()
        ));
    }
    let times: Vec<aftercall_actors::contract::time::EventTime> = said
        .alarms
        .iter()
        .filter_map(|alarm| alarm["data"]["at"].as_str()?.parse().ok())
        .collect();
    match times.windows(2).find(|pair| pair[1].0 - pair[0].0 < 60_000) {
        Some(pair) => Err(format!("alarms_come_once_a_minute: {pair:?}")),
        None => Ok(()),
    }
}
