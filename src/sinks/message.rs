//! What people are told of an output, before any channel has a say in how it looks.
//!
//! Composed once, from data that the field policy has already let through, and then written by each channel in its own
//! form: Slack blocks, an Adaptive Card, an email. So what an alert says stands in one place, and what a channel can
//! bear (lengths, escapes) in another. Nothing here fails: an alert with half its fields is an alert (S2.12).
//!
//! | file | idea |
//! |---|---|
//! | `alert` | what an alert says |
//! | `plain` | what any other output says: its fields, named in words |
//! | `outside` | text from outside: shown, and never obeyed |
//! | `words` | names of fields, as people say them |
//!
//! The forms are the channels': `slack/message`, `teams/card`, `email/message`.

use std::collections::BTreeMap;

use aftercall_actors::alerts::SHORTENED;

use super::template::SEGMENT;
use crate::delivery::parcel::Parcel;

mod alert;
pub mod outside;
mod plain;
#[cfg(test)]
mod tests;
mod words;

/// What people are told, in no channel's form. All text is plain (see `outside`) and without markup, which each form
/// writes as it has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether this is the first word about it.
    pub occasion: Occasion,
    /// How loud to say it.
    pub tone: Tone,
    /// One line that says it all; never empty.
    pub headline: String,
    /// Short things: agent, score, queue, rule.
    pub facts: Vec<Fact>,
    /// Long things in somebody's words: the comment, the summary.
    pub passages: Vec<Fact>,
    /// Where to look further. Web addresses only.
    pub links: Vec<Link>,
    /// What is pending or missing, a sentence each.
    pub notes: Vec<String>,
    /// What names it in our logs.
    pub reference: String,
}

/// Which message about one thing this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The first.
    First,
    /// The same with more known; replaces the first where a channel can edit.
    Update,
    /// Nobody has taken it up: to be noticed anew, so it never only edits.
    Escalation,
}

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Calm,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// Something said under a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// What is said.
    pub text: String,
}

/// A web address with words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What one does by following it.
    pub label: String,
    /// `http` or `https`, free of white space, quotes and angle brackets.
    pub url: String,
}

/// Names in `[vars]` that make links; each holds an address in which `{id}` stands for the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkVar {
    /// To the interaction.
    Interaction,
    /// To the recording, where the output has no address of it.
    Recording,
    /// To the alert, where it can be taken up.
    Alert,
}

impl LinkVar {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Interaction => "interaction_link",
            Self::Recording => "recording_link",
            Self::Alert => "alert_link",
        }
    }
}

impl Message {
    /// What to tell of `parcel`, whose data is what may leave. `vars` may hold link templates (`interaction_link`,
    /// `recording_link`, `alert_link`, with `{id}` in them); `missing` says in words what else could not be found out.
    #[must_use]
    pub fn compose(parcel: &Parcel, vars: &BTreeMap<String, String>, missing: &[String]) -> Self {
        if parcel.event_type.starts_with("alert.") {
            alert::compose(parcel, vars, missing)
        } else {
            plain::compose(parcel, vars, missing)
        }
    }

    /// Says whom it is for, where that does not show by where it stands.
    pub fn address(&mut self, names: impl Iterator<Item = String>) {
        let names: Vec<String> = names.map(|name| outside::line(&name)).collect();
        if !names.is_empty() {
            self.facts.push(Fact {
                label: "For".to_owned(),
                text: names.join(", "),
            });
        }
    }

    /// What identifies what it says, whichever message of its thread it is: one that says the same says nothing new.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let mut message = self.clone();
        message.occasion = Occasion::First;
        xxhash_rust::xxh3::xxh3_64(format!("{message:?}").as_bytes())
    }

    /// What `write` makes of it, shortened until that takes at most `bytes_max` by the size `write` tells with it: the
    /// longest texts first, then the last facts. What cannot be shortened further is returned as it is.
    pub fn fitted<T>(&self, bytes_max: usize, write: impl Fn(&Self) -> (T, usize)) -> T {
        let (mut written, mut bytes) = write(self);
        let mut message = self.clone();
        while bytes > bytes_max && message.shorten(bytes - bytes_max) {
            (written, bytes) = write(&message);
        }
        written
    }

    /// Takes about `excess` bytes away from the longest text, or as many as it can spare; `false` once nothing is left
    /// to take.
    fn shorten(&mut self, excess: usize) -> bool {
        /// What is shorter stays as it is. Unit: bytes as written in JSON.
        const TEXT_BYTES_MIN: usize = 100;
        /// About what a fact takes whose text is that short.
        const FACT_BYTES: usize = 300;
        let long = self
            .passages
            .iter_mut()
            .map(|fact| (&mut fact.text, SHORTENED));
        let short = self
            .facts
            .iter_mut()
            .map(|fact| &mut fact.text)
            .chain(&mut self.notes)
            .chain([&mut self.reference, &mut self.headline])
            .map(|text| (text, ELLIPSIS));
        let longest = long
            .chain(short)
            .map(|(text, mark)| (text.chars().map(bytes_in_json).sum::<usize>(), text, mark))
            .max_by_key(|(bytes, ..)| *bytes);
        if let Some((bytes, text, mark)) = longest
            && bytes > TEXT_BYTES_MIN
        {
            // An escape may take more than it does in JSON, so not all at once: half goes in a step at most.
            let budget = bytes.saturating_sub(excess).max(bytes / 2);
            *text = cut(text, budget.max(TEXT_BYTES_MIN), mark, bytes_in_json);
            return true;
        }
        // Many short things: the last of them go.
        let facts = self.facts.len();
        self.facts
            .truncate(facts.saturating_sub(excess / FACT_BYTES + 1));
        facts > 0 || self.links.pop().is_some()
    }

    /// The headline as it reads where an earlier message stays in sight.
    #[must_use]
    pub fn announcement(&self) -> String {
        match self.occasion {
            Occasion::First => self.headline.clone(),
            Occasion::Update => format!("Update: {}", self.headline),
            Occasion::Escalation => format!("Nobody has taken this up: {}", self.headline),
        }
    }
}

/// The link of a variable, if it is set and its address is one.
fn link(
    vars: &BTreeMap<String, String>,
    var: LinkVar,
    id: Option<&str>,
    label: &str,
) -> Option<Link> {
    let template = vars.get(var.name())?;
    let url = match id {
        Some(id) => {
            let id = percent_encoding::utf8_percent_encode(id, SEGMENT);
            template.replace("{id}", &id.to_string())
        }
        None if template.contains("{id}") => return None,
        None => template.clone(),
    };
    Some(Link {
        label: label.to_owned(),
        url: web_address(&url)?,
    })
}

/// The address, if one may make a link of it: not `javascript:`, nothing that could end an attribute or a link.
fn web_address(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let text = url.to_string();
    let is_plain = !text.contains(|c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\'' | '|' | '`')
    });
    (is_web && is_plain).then_some(text)
}

/// Bytes that a character takes in a JSON string.
pub(super) const fn bytes_in_json(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

/// What a line ends with that was cut.
const ELLIPSIS: &str = "…";

/// The first characters of `text` that `budget` of bytes allows, each costing what `cost` says, with an ellipsis (in
/// the budget) if it was cut.
pub(super) fn shortened(text: &str, budget: usize, cost: impl Fn(char) -> usize) -> String {
    cut(text, budget, ELLIPSIS, cost)
}

/// The same for what people wrote at length: it says in words that it was cut.
#[must_use]
pub fn shortened_words(text: &str, bytes_max: usize) -> String {
    cut(text, bytes_max, SHORTENED, bytes_in_json)
}

/// Cut where a reader sees one character end and the next begin, with `mark` at the end if the budget has room for it.
pub(super) fn cut(text: &str, budget: usize, mark: &str, cost: impl Fn(char) -> usize) -> String {
    /// Characters looked back over for such a place: more of them never belong together.
    const BACK_MAX: usize = 16;
    let total: usize = text.chars().map(&cost).sum();
    if total <= budget {
        return text.to_owned();
    }
    // Cut before: one mark is enough.
    let text = text.strip_suffix(mark).unwrap_or(text);
    let of = |text: &str| text.chars().map(&cost).sum::<usize>();
    let mark = if budget >= of(mark) { mark } else { "" };
    let ends = |text: &str| match text.contains('\u{2068}') {
        true => of(&outside::ends(text)),
        false => 0,
    };
    let room = budget.saturating_sub(of(mark));
    let mut used = 0;
    let kept = text.chars().take_while(|c| {
        used += cost(*c);
        used <= room
    });
    let mut cut: String = kept.collect();
    let next = text[cut.len()..].chars().next();
    if let Some(mut next) = next {
        for _ in 0..BACK_MAX {
            match cut.chars().next_back() {
                Some(last) if outside::belongs_together(last, next) => {
                    cut.pop();
                    next = last;
                }
                Some(_) | None => break,
            }
        }
    }
    while of(&cut) + ends(&cut) > room && cut.pop().is_some() {}
    let ends = outside::ends(&cut);
    format!("{cut}{mark}{ends}")
}
