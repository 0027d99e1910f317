//! `aftercall dead retry` and `drop`: a decision about each letter chosen, appended to its line.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Failure, Filter, LogArgs, Setting,
    book::{Book, Found},
    ls,
};
use crate::{
    app::Bus,
    cli::{render, terminal::Out},
    delivery::dead_letter::{Choice, Decision, Entry, fold::Open},
    log::{AppendError, Log, Seq},
};

/// How long a decision without an answer is repeated: it is stored once all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause before trying again.
const PAUSE: Duration = Duration::from_millis(250);

/// Longest name of an operator, in characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Decide {
    #[command(flatten)]
    log: LogArgs,
    /// Letters by number, or by the id of their output
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All open letters that the filter lets through
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Who decides [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print each decision as a JSON object on a line
    #[arg(long)]
    json: bool,
}

/// What became of one decision.
enum Told {
    /// Stored.
    Noted(Seq),
    /// Somebody else's came first.
    Second(Decision),
}

impl Decide {
    pub(super) fn run(self, choice: Choice, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        if self.ids.is_empty() && !self.all && self.filter.is_empty() {
            return Err(usage(format!(
                "which letters? Name them by id, or say --all; `aftercall dead ls` lists them, \
                 `aftercall dead {} --help` tells how",
                choice.name()
            )));
        }
        let config = setting.with_log(&self.log)?.config;
        bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            let book = Book::read(&log, self.filter.line()).await?;
            let (chosen, refused) = self.choose(choice, &book)?;
            let by = self.operator()?;
            self.carry_out(choice, &log, &by, chosen, &refused).await?;
            ls::left_out(&book)
        })
    }

    fn operator(&self) -> Result<String, Failure> {
        let name = self.by.clone().or_else(|| {
            let names = ["USER", "LOGNAME", "USERNAME"].into_iter();
            names
                .filter_map(|name| std::env::var(name).ok())
                .find(|name| !name.is_empty())
        });
        match name {
            Some(name) if is_name(&name) => Ok(name),
            Some(name) => Err(usage(format!(
                "--by `{}`: allowed are 1 to {NAME_CHARS_MAX} printable characters",
                name.escape_debug()
            ))),
            None => Err(usage(
                "who decides? The environment names no user: say --by NAME".into(),
            )),
        }
    }

    /// The letters to decide about, and what is said of those that cannot be.
    fn choose<'a>(
        &self,
        choice: Choice,
        book: &'a Book,
    ) -> Result<(Vec<&'a Open>, Vec<String>), Failure> {
        if self.ids.is_empty() {
            return self.choose_all(choice, book);
        }
        let (mut chosen, mut refused) = (Vec::new(), Vec::new());
        for id in &self.ids {
            match self.by_id(choice, book, id) {
                Ok(open) => chosen.push(open),
                Err(why) => refused.push(why),
            }
        }
        if !refused.is_empty() {
            // What was named one by one is done as a whole or not at all.
            return Err(usage(format!("{}; nothing was done", refused.join("; "))));
        }
        chosen.sort_by_key(|open| open.seq);
        chosen.dedup_by_key(|open| open.seq);
        Ok((chosen, refused))
    }

    fn choose_all<'a>(
        &self,
        choice: Choice,
        book: &'a Book,
    ) -> Result<(Vec<&'a Open>, Vec<String>), Failure> {
        let matching = book.letters.open().filter(|open| {
            self.filter
                .takes(Some(&open.destination), open.reason.name())
        });
        let (mut chosen, mut refused) = (Vec::new(), Vec::new());
        for open in matching {
            match refusal(choice, open) {
                None => chosen.push(open),
                Some(why) => refused.push(why),
            }
        }
        if !self.all {
            let count = chosen.len();
            return Err(usage(format!(
                "{count} {} would be meant: add --all for all of them, or name some by id; nothing was done",
                letters(count)
            )));
        }
        chosen.sort_by_key(|open| open.seq);
        Ok((chosen, refused))
    }

    /// The open letter that an id stands for, or why it cannot be decided about.
    fn by_id<'a>(&self, choice: Choice, book: &'a Book, id: &str) -> Result<&'a Open, String> {
        let mut found = book.find(id);
        found.retain(|found| match found {
            Found::Open(open) => self
                .filter
                .takes(Some(&open.destination), open.reason.name()),
            Found::Closed(..) | Found::Event(_) => true,
        });
        match found.as_slice() {
            [Found::Open(open)] => match refusal(choice, open) {
                None => Ok(open),
                Some(why) => Err(why),
            },
            [Found::Closed(before)] => Err(format!(
                "{id} is no longer open: {} was decided by {} at {}",
                before.choice.name(),
                before.by,
                before.at
            )),
            [Found::Event(event)] => Err(format!(
                "{id} is quarantined input ({}), not a letter: its source must correct it and send it again \
                 under a new id, and what came first is kept as it is",
                event.reason
            )),
            [] => Err(format!("there is no letter {id} among these")),
            [..] => {
                let open = found.iter().filter_map(|found| match found {
                    Found::Open(open) => Some(format!("{} ({})", open.seq, open.destination)),
                    Found::Closed(..) | Found::Event(_) => None,
                });
                let open: Vec<_> = open.collect();
                Err(format!(
                    "{id} was given up by several destinations: name its letter by number, one of {}",
                    open.join(", ")
                ))
            }
        }
    }

    async fn carry_out(
        &self,
        choice: Choice,
        log: &Log,
        by: &str,
        chosen: Vec<&Open>,
        refused: &[String],
    ) -> Result<(), Failure> {
        let mut out = Out::new();
        let mut second = 0;
        for open in &chosen {
            let decision = open.decide(choice, by, log.now());
            let line = match store(log, &decision).await? {
                Told::Noted(seq) if self.json => {
                    out.json(&json!({"decision": seq, "noted": decision}))?;
                    continue;
                }
                Told::Noted(_) => format!("{} noted", choice.name()),
                Told::Second(first) if self.json => {
                    second += 1;
                    out.json(&json!({"letter": open.seq, "decided_before": first}))?;
                    continue;
                }
                Told::Second(first) => {
                    second += 1;
                    format!(
                        "left alone: {} was decided by {}",
                        first.choice.name(),
                        first.by
                    )
                }
            };
            let text = format!(
                "{}  {}  {}  {line}",
                open.seq, open.destination, open.output_id
            );
            out.line(render::printable(&text))?;
        }
        if chosen.is_empty() && refused.is_empty() && !self.json {
            out.line("no dead letters")?;
        }
        out.flush()?;
        if refused.is_empty() && second == 0 {
            return Ok(());
        }
        let mut text = format!(
            "{} {} left out",
            refused.len() + second,
            letters(refused.len() + second)
        );
        if let Some(first) = refused.first() {
            text.push_str(&format!("; {first}"));
        }
        Err(Failure::bad_input(text))
    }
}

/// Why a letter may not be decided about so.
fn refusal(choice: Choice, open: &Open) -> Option<String> {
    match (choice, &open.not_retryable) {
        (Choice::Retry, Some(why)) => Some(format!(
            "{} ({}) cannot be tried again: {why}",
            open.seq, open.destination
        )),
        (Choice::Retry, None) | (Choice::Drop, _) => None,
    }
}

/// Stores a decision, and looks which one the log then holds: of two at the same time it takes the first.
async fn store(log: &Log, decision: &Decision) -> Result<Told, Failure> {
    let began = Instant::now();
    let seq = loop {
        match log
            .dead_append(&decision.destination, decision.entry()?)
            .await
        {
            Ok(seq) => break seq,
            Err(AppendError::Unknown(_)) if began.elapsed() < PATIENCE => sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    };
    let stands = log.dead_at(seq).await?;
    match stands.as_ref().map(Entry::read).transpose()? {
        Some(Entry::Decision(first)) if first != *decision => Ok(Told::Second(first)),
        Some(Entry::Decision(_)) => Ok(Told::Noted(seq)),
        Some(Entry::Letter(_)) | None => {
            Err(anyhow::anyhow!("the log does not hold the decision it answered with {seq}").into())
        }
    }
}

fn is_name(text: &str) -> bool {
    let chars = text.chars().count();
    (1..=NAME_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control)
}

const fn letters(count: usize) -> &'static str {
    if count == 1 { "letter" } else { "letters" }
}

fn usage(text: String) -> Failure {
    Failure::usage(anyhow::Error::msg(text))
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::time::LogTime;

    use super::*;
    use crate::{
        delivery::dead_letter::Reason,
        log::memory::{Faults, World},
    };

    #[tokio::test(start_paused = true)]
    async fn of_two_decisions_at_once_the_first_holds_and_the_second_is_told() {
        let world = World::new(2, Faults::default());
        let log: Log = std::sync::Arc::new(world.client());
        let ann = open().decide(Choice::Retry, "ann", LogTime(1));
        let ben = open().decide(Choice::Drop, "ben", LogTime(1));
        assert_eq!(told(&log, &ann).await, Ok(1));
        assert_eq!(told(&log, &ben).await, Err("ann".to_owned()));
        // The same once more is the same.
        assert_eq!(told(&log, &ann).await, Ok(1));
        assert_eq!(world.dead().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_without_an_answer_is_repeated_and_stands_once() {
        for seed in 0..50 {
            let faults = Faults {
                seed,
                lose_answer_per_mille: 300,
                drop_request_per_mille: 300,
                ..Faults::default()
            };
            let world = World::new(2, faults);
            let log: Log = std::sync::Arc::new(world.client());
            let decision = open().decide(Choice::Drop, "ann", LogTime(1));
            assert_eq!(told(&log, &decision).await, Ok(1), "seed {seed}");
            assert_eq!(world.dead().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_never_answers_is_a_fault_in_the_end() {
        let faults = Faults {
            drop_request_per_mille: 1_000,
            ..Faults::default()
        };
        let log: Log = std::sync::Arc::new(World::new(2, faults).client());
        let began = Instant::now();
        let decision = open().decide(Choice::Drop, "ann", LogTime(1));
        let failure = store(&log, &decision).await.err();
        let failure = failure.expect("a fault").to_string();
        assert!(failure.starts_with("no answer from the log"), "{failure}");
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2);
    }

    #[test]
    fn a_name_of_a_hundred_printable_characters_is_taken() {
        assert!(is_name("p\u{e4}ivi m"));
        assert!(is_name(&"\u{e4}".repeat(100)));
        assert!(!is_name(&"a".repeat(101)));
        assert!(!is_name(""));
        assert!(!is_name("a\tb"));
    }

    /// The sequence of the decision, or who decided before.
    async fn told(log: &Log, decision: &Decision) -> Result<Seq, String> {
        match store(log, decision).await {
            Ok(Told::Noted(seq)) => Ok(seq),
            Ok(Told::Second(first)) => Err(first.by),
            Err(failure) => panic!("{failure}"),
        }
    }

    fn open() -> Open {
        Open {
            seq: 7,
            at: LogTime(0),
            destination: "crm".into(),
            output_id: "a1".into(),
            output_seq: 42,
            event_type: "alert.raised".into(),
            subject: "agent/7".into(),
            round: 1,
            attempts_total: 3,
            reason: Reason::Failed,
            detail: "status 503".into(),
            not_retryable: None,
        }
    }
}
