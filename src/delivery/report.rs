//! Telling what became of an output: the actor that emitted it, those who look after dead letters, the operators.
//!
//! Everything told has an identity that follows from destination, output and round, so that telling again after a
//! crash changes nothing. What the log does not take for now is told again until it does: the item stays open as long.

use std::{sync::Arc, time::Duration};

use aftercall_actors::contract::{
    output::{Kind, Severity},
    time::LogTime,
};
use backoff::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::sleep;

use super::{
    dead_letter::{self, AttemptNote, Letter, Output},
    original::{letter_of, what_became},
    parcel::Parcel,
    proof::Claim,
    record::{Alarmed, AttemptRecord, FinalStatus, Item, Reason, Seen, Settled},
};
use crate::{
    envelope::{Storm, Told, dead_lettered_event, outcome_event, outcome_id},
    log::{
        AppendError, Kept, Log, LogError, NewDead, NewEvent,
        retry::{doubling, next_pause, read},
    },
    planted::{Bug, is_planted},
    telemetry::metrics,
};

/// Before telling again.
const PAUSES: ExponentialBuilder = doubling(Duration::from_millis(50), Duration::from_secs(5));

/// A dead letter waits this long for its output, if the log has lost it; then it is written with what is known.
/// Unit: milliseconds of log time. The output is published again when its partition next looks at the log.
const OUTPUT_WAIT_MS: i64 = 10 * 60 * 1_000;

/// Pause before such a letter is tried again.
const OUTPUT_PAUSE: Duration = Duration::from_millis(500);

/// What is to be told of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// All of it.
    All,
    /// The rest is told: the dead letter.
    Letter,
}

/// How far telling came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// Everyone who has to know does.
    Done,
    /// The dead letter is not written: the log has lost the output, which is to be published again.
    Waits,
}

/// Tells for one destination.
#[derive(Clone)]
pub struct Reporter {
    /// The log.
    pub log: Log,
    /// The destination.
    pub destination: Arc<str>,
    /// Type of its outcome events, if it has any.
    pub outcome_type: Option<String>,
    /// How much it matters that it gives up; `None`: operators are not told.
    pub alarm: Option<Severity>,
    /// What its outcomes are proven with.
    pub key: Bytes,
}

impl Reporter {
    /// Tells of a verdict; ends when everyone who has to know does, or a dead letter has to wait.
    ///
    /// # Errors
    /// If the output cannot be read for its letter, and never will.
    pub async fn report(
        self,
        item: Box<Item>,
        parcel: Option<Arc<Parcel>>,
        what: Report,
    ) -> Result<Reporting, LogError> {
        let Some(settled) = &item.settled else {
            return Ok(Reporting::Done);
        };
        if what == Report::All
            && let (Some(status), Some(event_type)) = (&settled.outcome, &self.outcome_type)
            && let Some(event) = self.outcome(&item, settled, status, event_type)
        {
            self.append(event).await;
        }
        if settled.has_letter() {
            let Some(output) = self.output(&item, parcel).await? else {
                sleep(OUTPUT_PAUSE).await;
                return Ok(Reporting::Waits);
            };
            // When it was first stored, wherever it was read: told again it is the same letter.
            let output = Output {
                stored_at: LogTime(item.taken.stored_at_ms),
                ..output
            };
            let letter = self.letter(&item, settled, output);
            match letter.entry(self.log.record_bytes_max() / 2) {
                Ok(entry) => self.append_dead(entry).await,
                Err(error) => self.unreported("dead letter", &item.taken.id, &error.to_string()),
            }
        }
        Ok(Reporting::Done)
    }

    /// Tells operators of dead letters, if they want to know of those.
    pub async fn alarm(self, alarmed: Alarmed) {
        let Some(severity) = self.alarm else {
            return;
        };
        let storm = Storm {
            destination: &self.destination,
            number: alarmed.number,
            reason: alarmed.reason().name(),
            detail: Some(&*alarmed.why).filter(|why| !why.is_empty()),
            count: alarmed.count,
            output_id: &alarmed.output_id,
            severity,
            at: LogTime(alarmed.at_ms),
        };
        match dead_lettered_event(&storm) {
            Ok(event) => self.append(event).await,
            Err(reject) => self.unreported("alarm", &alarmed.output_id, &reject.to_string()),
        }
    }

    /// The outcome event; without the vendor's words if they make it too large.
    fn outcome(
        &self,
        item: &Item,
        settled: &Settled,
        status: &str,
        event_type: &str,
    ) -> Option<NewEvent> {
        let response = settled.response.as_deref();
        let claim = Claim {
            destination: &self.destination,
            id: &outcome_id(&self.destination, item.round, &item.taken.id),
            event_type,
            output_id: &item.taken.id,
            subject: &item.taken.subject,
            status,
        };
        let mut told = Told {
            proof: Some(claim.prove(&self.key)),
            destination: &self.destination,
            event_type,
            output_id: &item.taken.id,
            subject: &item.taken.subject,
            round: item.round,
            status,
            attempts: item.attempts,
            reason: why_not(item, settled),
            kept: &item.kept,
            response: response.and_then(|text| serde_json::from_str::<Value>(text).ok()),
            at: LogTime(settled.at_ms),
        };
        let first = outcome_event(&told);
        let event = first.or_else(|reject| {
            tracing::warn!(
                destination = %self.destination, output = %item.taken.id, %reject,
                "an outcome is told without the answer"
            );
            told.response = None;
            outcome_event(&told)
        });
        match event {
            Ok(event) => Some(event),
            Err(reject) => {
                self.unreported("outcome", &item.taken.id, &reject.to_string());
                None
            }
        }
    }

    /// The output for the letter: as it was sent, as the log has it, or what the item knows of it. `None`: the log has lost
    /// it, and it is worth waiting for.
    async fn output(
        &self,
        item: &Item,
        parcel: Option<Arc<Parcel>>,
    ) -> Result<Option<Output>, LogError> {
        if let Some(parcel) = parcel {
            return Ok(Some(Output::from(Arc::unwrap_or_clone(parcel))));
        }
        let stored = read(|| self.log.output_at(item.taken.stands_at())).await?;
        // A log that lost its end may have another output there.
        let parcel = stored
            .and_then(|stored| Parcel::read(&stored).ok())
            .filter(|parcel| parcel.id == item.taken.id)
            .map(|parcel| Parcel {
                seq: item.taken.seq,
                ..parcel
            });
        let parcel = match parcel {
            None if item.round > 1 => letter_of(&self.log, &self.destination, &item.taken).await,
            found => found,
        };
        if let Some(parcel) = parcel {
            return Ok(Some(Output::from(parcel)));
        }
        let settled_ms = item.settled.as_ref().map_or(0, |settled| settled.at_ms);
        let has_waited = self.log.now().since_ms(LogTime(settled_ms)) >= OUTPUT_WAIT_MS;
        if has_waited || is_planted(Bug::LetterWithoutOutput) {
            return Ok(Some(remains(item)));
        }
        Ok(match what_became(&self.log, &item.taken).await {
            // By now its copy may stand there.
            Some(Kept::Lost | Kept::Stands) => None,
            Some(Kept::Removed) | None => Some(remains(item)),
        })
    }

    fn letter(&self, item: &Item, settled: &Settled, output: Output) -> Letter {
        let acted_on = settled.ending() == FinalStatus::Rejected && settled.outcome.is_some();
        let not_retryable = acted_on.then(|| {
            "its rejection was reported to the actor that asked for it, which has acted on that"
                .to_owned()
        });
        Letter {
            destination: self.destination.to_string(),
            round: item.round,
            reason: reason(settled.reason()),
            detail: settled.why.clone(),
            at: LogTime(settled.at_ms),
            not_retryable,
            attempts_total: item.attempts,
            attempts: item.notes.iter().map(attempt).collect(),
            output,
        }
    }

    async fn append(&self, event: NewEvent) {
        let mut pauses = PAUSES.build();
        loop {
            let answers = self.log.append(vec![event.clone()]).await;
            match answers.into_iter().next() {
                Some(Ok(_)) => return,
                Some(Err(AppendError::Refused(why))) => {
                    // Full, or a mistake in its settings: an operator can help, and until then it is not told.
                    self.unreported("event", &event.message_id, &why);
                }
                Some(Err(AppendError::Unknown(_))) | None => {}
            }
            sleep(next_pause(&mut pauses)).await;
        }
    }

    async fn append_dead(&self, entry: NewDead) {
        let mut pauses = PAUSES.build();
        loop {
            match self.log.dead_append(&self.destination, entry.clone()).await {
                Ok(_) => return,
                Err(AppendError::Refused(why)) => {
                    self.unreported("dead letter", &entry.message_id, &why);
                }
                Err(AppendError::Unknown(_)) => {}
            }
            sleep(next_pause(&mut pauses)).await;
        }
    }

    fn unreported(&self, what: &str, id: &str, why: &str) {
        metrics().delivery.untold(&self.destination).inc();
        tracing::error!(destination = %self.destination, what, id, why, "not told");
    }
}

/// Why it was not done, in one word; none if it was.
fn why_not(item: &Item, settled: &Settled) -> Option<&'static str> {
    match settled.reason() {
        Reason::None => None,
        // "Perhaps it was done" would be wrong of what never arrived.
        Reason::Failed if !item.asked => Some("unreached"),
        reason => Some(reason.name()),
    }
}

/// What is left of an output that retention has removed, or the log has lost.
fn remains(item: &Item) -> Output {
    let taken = &item.taken;
    let kind = usize::try_from(taken.kind).ok();
    let kind = kind.and_then(|place| Kind::ALL.get(place)).copied();
    Output {
        seq: taken.seq,
        id: taken.id.clone(),
        // Every item had one when it was taken.
        kind: kind.unwrap_or(Kind::Request),
        event_type: taken.event_type.clone(),
        subject: taken.subject.clone(),
        stored_at: LogTime(taken.stored_at_ms),
        attributes: std::collections::BTreeMap::new(),
        data: None,
    }
}

const fn reason(reason: Reason) -> dead_letter::Reason {
    match reason {
        Reason::Rejected => dead_letter::Reason::Rejected,
        // Nothing is given up for want of credentials.
        Reason::None | Reason::Failed | Reason::Misconfigured => dead_letter::Reason::Failed,
        Reason::Unknown => dead_letter::Reason::Unknown,
        Reason::Unsendable => dead_letter::Reason::Unsendable,
    }
}

fn attempt(note: &AttemptRecord) -> AttemptNote {
    AttemptNote {
        number: note.attempt,
        at: LogTime(note.started_at_ms),
        cause: note.why.clone(),
        status: u16::try_from(note.status).ok().filter(|status| *status > 0),
        answer: note.answer.clone(),
        unknown: note.seen() == Seen::Unknown,
    }
}
