//! Imports of which something was left out: one alert to operators for each, not one a row (REQUIREMENTS S3.02).
//!
//! An import says at its end what it left out, and says it again when it is repeated: after a crash, with the same file
//! in the folder once more, from another machine. It is known by its id, so within [`DEDUPE_MS`] it alerts once. No
//! owner of interactions has part in it, so the actor of unassigned work
//! remembers. Used by `agent`; like `dead_letters`.

use crate::{
    alerts,
    contract::{
        event::ImportQuarantined,
        output::{Output, Severity},
        time::LogTime,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Ignored},
    stored::{changes::stores_changes_of, state::StoredAgent},
    turn::Turn,
};

/// How long an import that has alerted is remembered, in milliseconds of log time.
///
/// Boundary: the same import this long after its alert raises another one.
pub const DEDUPE_MS: i64 = 24 * 60 * 60 * 1_000;

/// Most of a file's name, and of a reason, that an alert repeats, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// The rule these alerts name, though no file has it.
const RULE: &str = "bad_rows";

/// Imports that have alerted, by the ids of their alerts, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportAlerts {
    alerted: Dedupe<()>,
}

impl ImportAlerts {
    /// Takes word of an import, and raises an alert if it is the first of it.
    pub fn tell(&mut self, turn: &mut Turn<'_>, told: &ImportQuarantined) {
        let now = turn.now;
        self.alerted.expire(now, DEDUPE_MS);
        let id = alerts::alert_id(RULE, &told.import_id);
        let known = KeyHash::of(&id, 0);
        if self.alerted.get(known).is_some() {
            return turn.ignore(Ignored::AlreadyAlerted);
        }
        if !self.alerted.add(now, known, ()) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        let alert = alerts::notice(turn, id, (RULE, Severity::Warning), summary(told));
        turn.effects.push(Effect::Emit {
            id: alert.alert_id.clone(),
            output: Output::AlertRaised(alert),
        });
    }

    /// Whether an alert of this id was raised and is still remembered.
    #[must_use]
    pub fn has_alerted(&self, now: LogTime, alert_id: &str) -> bool {
        let known = KeyHash::of(alert_id, 0);
        let mut alerted = self.alerted.iter();
        alerted.any(|entry| entry.key == known && now.since_ms(entry.at) < DEDUPE_MS)
    }

    /// Whether nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime) -> bool {
        self.alerted.is_blank(now, DEDUPE_MS)
    }
}

stores_changes_of!(alerted of ImportAlerts);

/// The sentence for people.
fn summary(told: &ImportQuarantined) -> String {
    let file = cut(&told.file);
    let left_out = format!(
        "{} of {} {} {} left out, see the quarantine",
        grouped(told.bad),
        grouped(told.rows),
        if told.rows == 1 { "row" } else { "rows" },
        if told.bad == 1 { "was" } else { "were" },
    );
    let mut text = match &told.unread {
        None => format!("{file}: {left_out}"),
        Some(why) if told.rows == 0 => {
            return format!("{file}: refused, nothing of it was imported: {}", cut(why));
        }
        Some(why) => {
            let read = format!("{file}: {}, and the rest was not imported", cut(why));
            if told.bad == 0 {
                return read;
            }
            format!("{read}; {left_out}")
        }
    };
    if let Some(first) = &told.first {
        text.push_str("; first: ");
        text.push_str(&cut(first));
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// `1,234,567`
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Tags in the stored agent.
const KEYS: u32 = 46;
const AT: u32 = 47;

impl ImportAlerts {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        self.alerted.encode(KEYS, AT, into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(stored: &StoredAgent) -> Option<Self> {
        let alerted = Dedupe::decode(&stored.import_alert_keys, &stored.import_alert_at)?;
        Some(Self { alerted })
    }
}
