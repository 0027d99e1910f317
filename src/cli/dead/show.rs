//! `aftercall dead show`: one letter whole.

use std::fmt::Display;

use clap::Args;
use serde_json::json;

use super::{
    Failure, LogArgs, Setting,
    book::{Book, Found, Quarantined},
};
use crate::{
    app::Bus,
    cli::{render, terminal::Out},
    delivery::dead_letter::{AttemptNote, Choice, Decision, Entry, Letter, fold::Case},
    log::{Log, Seq},
};

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    log: LogArgs,
    /// The letter's number, its output's id, or a quarantined event's id
    #[arg(value_name = "ID")]
    id: String,
    /// Look only among this destination's
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// What an id led to.
enum Shown {
    Letter(Box<Letter>, Seq, Option<Case>),
    Event(Quarantined),
}

impl Show {
    pub(super) fn run(&self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let shown = bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            self.look(&log).await
        })?;
        let mut out = Out::new();
        match shown {
            Shown::Letter(letter, seq, case) if self.json => {
                let decision = case.as_ref().and_then(|case| decision(&letter, case));
                out.json_pretty(&json!({"id": seq, "letter": letter, "decision": decision}))?;
            }
            Shown::Letter(letter, seq, case) => tell(&mut out, seq, &letter, case.as_ref())?,
            Shown::Event(event) if self.json => {
                out.json_pretty(&json!({"id": event.id, "where": "event", "data": event.data}))?;
            }
            Shown::Event(event) => tell_event(&mut out, &event)?,
        }
        out.flush()?;
        Ok(())
    }

    async fn look(&self, log: &Log) -> Result<Shown, Failure> {
        // By its number a letter is found whatever was decided about it since.
        if let Ok(seq) = self.id.parse::<Seq>()
            && let Some(stored) = log.dead_at(seq).await?
        {
            return match Entry::read(&stored)? {
                Entry::Letter(letter) => {
                    let book = Book::read(log, Some(&letter.destination)).await?;
                    Ok(shown(*letter, seq, &book))
                }
                Entry::Decision(decision) => Err(usage(format!(
                    "{seq} is a decision, by {}; the letter is {}",
                    decision.by, decision.letter
                ))),
            };
        }
        let book = Book::read(log, self.destination.as_deref()).await?;
        let mut found = book.find(&self.id);
        let one = match (found.pop(), found.is_empty()) {
            (Some(one), true) => one,
            (Some(_), false) => {
                return Err(usage(format!(
                    "{} was given up by several destinations: add --destination, or name a letter by its number",
                    self.id
                )));
            }
            (None, _) => {
                return Err(usage(format!(
                    "there is no dead letter {}; `aftercall dead ls` lists them",
                    self.id
                )));
            }
        };
        let seq = match one {
            Found::Open(open) => open.seq,
            Found::Closed(decision) => decision.letter,
            Found::Event(event) => return Ok(Shown::Event(event.clone())),
        };
        let stored = log.dead_at(seq).await?;
        match stored.as_ref().map(Entry::read).transpose()? {
            Some(Entry::Letter(letter)) => Ok(shown(*letter, seq, &book)),
            Some(Entry::Decision(_)) | None => Err(anyhow::anyhow!(
                "letter {seq} is no longer held by the log; what was decided about it is"
            )
            .into()),
        }
    }
}

fn shown(letter: Letter, seq: Seq, book: &Book) -> Shown {
    let case = book.letters.case(&letter.destination, &letter.output.id);
    Shown::Letter(Box::new(letter), seq, case.cloned())
}

/// What was decided about this very letter.
fn decision<'a>(letter: &Letter, case: &'a Case) -> Option<&'a Decision> {
    match case {
        Case::Closed(decision) if decision.round == letter.round => Some(decision),
        Case::Closed(_) | Case::Open(_) => None,
    }
}

/// How a letter's case stands, in words.
fn state(letter: &Letter, case: Option<&Case>) -> String {
    match case {
        Some(case) if case.round() > letter.round => {
            format!(
                "tried again since: round {} was given up as well",
                case.round()
            )
        }
        Some(Case::Closed(decision)) => {
            let done = match decision.choice {
                Choice::Retry => "retry asked for",
                Choice::Drop => "dropped",
            };
            format!("{done} by {} at {}", decision.by, decision.at)
        }
        Some(Case::Open(_)) | None => "open".to_owned(),
    }
}

fn tell(out: &mut Out, seq: Seq, letter: &Letter, case: Option<&Case>) -> Result<(), Failure> {
    let output = &letter.output;
    field(out, "letter", seq)?;
    field(out, "where", &letter.destination)?;
    field(out, "state", state(letter, case))?;
    field(out, "given up", letter.at)?;
    let reason = format!("{}: {}", letter.reason.name(), letter.detail);
    field(out, "reason", reason)?;
    let retry = match &letter.not_retryable {
        Some(why) => format!("no: {why}"),
        None => "allowed".to_owned(),
    };
    field(out, "retry", retry)?;
    field(
        out,
        "output",
        format!("{} {}", output.event_type, output.id),
    )?;
    field(out, "subject", &output.subject)?;
    let stored = format!("{} as {}", output.stored_at, output.seq);
    field(out, "stored", stored)?;
    field(out, "round", letter.round)?;
    field(out, "attempts", letter.attempts_total)?;
    let mut before = 0;
    for attempt in &letter.attempts {
        let between = attempt.number.saturating_sub(before + 1);
        if between > 0 {
            out.line(format_args!("       ... {between} more"))?;
        }
        before = attempt.number;
        tell_attempt(out, attempt)?;
    }
    match &output.data {
        Some(data) => {
            out.line("data")?;
            out.json_pretty(data)?;
        }
        None => {
            let text = format!(
                "too large for the letter; the output itself is {}",
                output.seq
            );
            field(out, "data", text)?;
        }
    }
    Ok(())
}

fn tell_attempt(out: &mut Out, attempt: &AttemptNote) -> Result<(), Failure> {
    let known = if attempt.unknown {
        "  (it may have acted)"
    } else {
        ""
    };
    let line = format!(
        "  {:>3}  {}  {}{known}",
        attempt.number, attempt.at, attempt.cause
    );
    out.line(render::printable(&line))?;
    if let Some(answer) = &attempt.answer {
        let status = attempt
            .status
            .map_or_else(String::new, |status| format!("{status} "));
        out.line(render::printable(&format!("       {status}{answer}")))?;
    }
    Ok(())
}

fn tell_event(out: &mut Out, event: &Quarantined) -> Result<(), Failure> {
    field(out, "event", &event.id)?;
    field(out, "where", "event: input that could not be processed")?;
    field(out, "set aside", event.at)?;
    field(out, "reason", format!("{}: {}", event.reason, event.detail))?;
    field(
        out,
        "retry",
        "no: its source must correct it and send it again",
    )?;
    out.line("data")?;
    out.json_pretty(&event.data)?;
    Ok(())
}

fn field(out: &mut Out, name: &str, value: impl Display) -> Result<(), Failure> {
    out.line(render::printable(&format!("{name:<10} {value}")))?;
    Ok(())
}

fn usage(text: String) -> Failure {
    Failure::usage(anyhow::Error::msg(text))
}
