//! What an alert says only after others were asked: the recording and the transcript's summary (S2.08, S2.12).
//!
//! A recording is often still uploading when the customer complains, so each field is asked after again and again:
//! one question at a time, `every` after the last, until it is found, known to be lost, or `for` has passed since the
//! alert was raised. Whatever becomes of the lookups, the alert goes out: before them, or, in mode `hold`, at the
//! latest at that end. So that an update can say everything again, an alert is held here until its lookups are over.
//!
//! A later version of its response may change what an alert says (S2.15): its agent becomes known, a comment comes, a more
//! severe rule holds. The two sources of updates count them together, so no update's id is used twice. Once its lookups
//! are over only what the response itself does not say is kept of an alert ([`Told`]), for as long as the response is.
//!
//! `surveys` raises alerts through here; `agent` brings outcomes and time. The lookups themselves are made by a
//! destination, which takes `enrichment.requested` and answers with `enrichment.outcome`: status `available` (with
//! `response.url` or `response.summary`), `pending`, `failed` or `deleted`; any other is a lookup that failed, and may
//! do better next time.

mod stored;
mod told;

use std::collections::VecDeque;

pub use self::told::TOLD_MAX;
use self::told::Told;
use crate::{
    contract::{
        event::Outcome,
        output::{Alert, EnrichmentRequest, Output, RecordingStatus},
        time::LogTime,
        value::SUMMARY_CHARS_MAX,
    },
    dedupe::KeyHash,
    effect::{Effect, Effects, Ignored},
    rules::{EnrichmentMode, Settings},
    turn::Turn,
};

/// Most alerts of one actor whose lookups go on; above it, those of the oldest end early.
pub const OPEN_MAX: usize = 128;

/// Most bytes that these alerts take, about: they are stored with each output of their actor.
pub const OPEN_BYTES_MAX: usize = 128 * 1024;

/// Longest link to a recording that is passed on, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// What is asked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Recording,
    Summary,
}

impl Field {
    const ALL: [Self; 2] = [Self::Recording, Self::Summary];

    /// As the alert names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Summary => "summary",
        }
    }

    /// Where an outcome's response has it.
    const fn key(self) -> &'static str {
        match self {
            Self::Recording => "url",
            Self::Summary => "summary",
        }
    }
}

/// How far the lookup of one field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// The question of this number is out.
    Asked { number: u32, at: LogTime },
    /// The question of this number brought nothing; the next goes at that time.
    Waiting { number: u32, next_at: LogTime },
    /// Found, lost, or never wanted.
    Over,
}

/// What an outcome says of a field.
enum Answer {
    Found(String),
    NotYet,
    Lost,
}

/// An alert whose lookups go on.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    /// As it would go out now.
    alert: Alert,
    /// Whether it is still to be raised.
    held: bool,
    /// Updates that went out.
    updates: u32,
    /// When the lookups end, found or not.
    ends_at: LogTime,
    recording: Lookup,
    summary: Lookup,
    /// When the last version of its response came.
    revised_at: LogTime,
    /// What [`bytes_of`] says of the alert.
    bytes: usize,
    touched: Touched,
}

/// Whether an alert has changed since it was stored. It is no part of what the alert is.
#[derive(Clone, Copy, Debug, Default)]
struct Touched(bool);

impl Touched {
    const YES: Self = Self(true);
}

impl PartialEq for Touched {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What has left since the alerts were stored.
#[derive(Clone, Debug, Default)]
struct Left {
    /// Ids of alerts whose lookups ended.
    open: Vec<String>,
    /// Responses of those that were forgotten, or that were told anew.
    told: Vec<KeyHash>,
    /// There were too many to list.
    is_lost: bool,
}

/// Most of them that are listed.
const LEFT_MAX: usize = 1_024;

impl PartialEq for Left {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Left {
    fn tidy(&mut self) {
        if self.open.len() + self.told.len() > LEFT_MAX {
            *self = Self {
                is_lost: true,
                ..Self::default()
            };
        }
    }

    fn note_open(&mut self, alert_id: &str) {
        if !self.is_lost {
            self.open.push(alert_id.to_owned());
            self.tidy();
        }
    }

    fn note_told(&mut self, key: KeyHash) {
        if !self.is_lost {
            self.told.push(key);
            self.tidy();
        }
    }
}

/// Alerts of one actor whose lookups go on, in the order in which they were raised.
///
/// Clock: log time. Boundary: a field is asked after again no earlier than `every` after the last question, and never
/// at or after the raising plus `for`. Source: REQUIREMENTS S2.08, S2.12.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Enrichment {
    open: VecDeque<Open>,
    /// Alerts of remembered responses whose lookups are over, in that order; of each response one.
    told: VecDeque<Told>,
    left: Left,
}

impl Enrichment {
    /// Raises an alert, now or after its lookups, and begins them. An alert whose lookups go on is not looked up
    /// twice.
    pub fn raise(&mut self, turn: &mut Turn<'_>, alert: Alert) {
        let (now, settings) = (turn.now, turn.settings());
        let known = self
            .open
            .iter()
            .find(|open| open.alert.alert_id == alert.alert_id);
        let held = match (known, settings.enrichment_mode) {
            // It will be raised with what is found.
            (Some(Open { held: true, .. }), _) => {
                return turn.ignore(Ignored::AlreadyAlerted);
            }
            (Some(Open { held: false, .. }), _) => return turn.effects.push(raised(alert)),
            (None, EnrichmentMode::Off) => {
                let alert = without_lookups(alert);
                self.keep(Told::of(&alert, 0, now), turn.effects);
                return turn.effects.push(raised(alert));
            }
            (None, EnrichmentMode::SendThenUpdate) => false,
            (None, EnrichmentMode::Hold) => true,
        };
        let wanted = |field: Field| alert.missing.iter().any(|name| name == field.name());
        let first = |field| match wanted(field) {
            true => Lookup::Asked { number: 1, at: now },
            false => Lookup::Over,
        };
        let open = Open {
            held,
            updates: 0,
            ends_at: now.plus_ms(settings.enrichment_for_ms),
            recording: first(Field::Recording),
            summary: first(Field::Summary),
            revised_at: now,
            bytes: bytes_of(&alert),
            touched: Touched::YES,
            alert,
        };
        if !held {
            turn.effects.push(raised(open.alert.clone()));
        }
        for field in Field::ALL {
            if let Lookup::Asked { number, .. } = open.lookup(field) {
                turn.effects.push(open.question(field, number));
            }
        }
        self.open.push_back(open);
        self.make_room(turn.effects);
    }

    /// Brings the alert of the response with this key up to what a later version of it says. `draft` is the alert as it
    /// would be raised now: under no rule (``) if none holds. Of two severities the higher stays, with its rule. False if
    /// nothing that people see differs, or if nothing is known of the alert any more.
    pub fn revise(&mut self, turn: &mut Turn<'_>, key: KeyHash, draft: Alert) -> bool {
        let now = turn.now;
        if let Some(open) = self.open.iter_mut().find(|open| open.is_of(key)) {
            open.revised_at = open.revised_at.max(now);
            open.touched = Touched::YES;
            return open.revise(draft, turn.effects);
        }
        match self.told.iter_mut().find(|told| told.is_of(key)) {
            Some(told) => told.revise(turn, draft),
            None => false,
        }
    }

    /// Forgets alerts of responses whose time has passed.
    pub fn expire(&mut self, now: LogTime, settings: &Settings) {
        let Self { told, left, .. } = self;
        told.retain(|told| {
            let is_over = told.is_over(now, settings.survey_dedupe_ms);
            if is_over {
                left.note_told(told.key());
            }
            !is_over
        });
    }

    /// Takes what became of a question.
    pub fn answer(&mut self, turn: &mut Turn<'_>, outcome: &Outcome) {
        self.wake(turn);
        let asked = self.open.iter().enumerate().find_map(|(place, open)| {
            let field = open.field_asked_by(&outcome.output_id)?;
            Some((place, field))
        });
        let Some((place, field)) = asked else {
            return turn.ignore(Ignored::UnknownRequest);
        };
        let Some(open) = self.open.get_mut(place) else {
            return;
        };
        match answer_of(field, outcome, turn.effects) {
            Answer::Found(text) => open.find(field, text, turn.effects),
            Answer::Lost => open.lose(field, turn.effects),
            Answer::NotYet => open.ask_again(turn, field),
        }
        if open.is_over() {
            open.end(turn.effects);
            if let Some(open) = self.open.remove(place) {
                self.left.note_open(&open.alert.alert_id);
                self.keep(open.told(), turn.effects);
            }
        }
    }

    /// Asks again, and ends lookups, where `now` has come to that.
    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        let mut over = Vec::new();
        let Self { open, left, .. } = self;
        open.retain_mut(|open| {
            if open.ends_at <= now {
                left.note_open(&open.alert.alert_id);
                open.end(turn.effects);
                over.push(open.told());
                return false;
            }
            for field in Field::ALL {
                open.ask_if_due(turn, field);
            }
            true
        });
        for told in over {
            self.keep(told, turn.effects);
        }
    }

    /// When the next question goes or lookups end.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        let due = |open: &Open| {
            let next = [open.recording, open.summary].map(|lookup| match lookup {
                Lookup::Waiting { next_at, .. } => next_at,
                Lookup::Asked { .. } | Lookup::Over => open.ends_at,
            });
            open.ends_at.min(next[0]).min(next[1])
        };
        self.open.iter().map(due).min()
    }

    /// Whether, at `now`, no lookup goes on and no alert is remembered.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        let mut told = self.told.iter();
        self.open.is_empty() && told.all(|told| told.is_over(now, settings.survey_dedupe_ms))
    }

    /// Remembers an alert whose lookups are over.
    fn keep(&mut self, told: Told, effects: &mut Effects) {
        let is_same = |other: &Told| other.is_of(told.key());
        if let Some(place) = self.told.iter().position(is_same) {
            self.told.remove(place);
            self.left.note_told(told.key());
        }
        self.told.push_back(told);
        for key in told::make_room(&mut self.told, effects) {
            self.left.note_told(key);
        }
    }

    /// Ends the lookups of the oldest early, until the others fit.
    fn make_room(&mut self, effects: &mut Effects) {
        let mut bytes: usize = self.open.iter().map(|open| open.bytes).sum();
        while self.open.len() > OPEN_MAX || (bytes > OPEN_BYTES_MAX && self.open.len() > 1) {
            let Some(mut oldest) = self.open.pop_front() else {
                return;
            };
            bytes -= oldest.bytes;
            self.left.note_open(&oldest.alert.alert_id);
            effects.push(Effect::Ignore(Ignored::WaitOverflow));
            oldest.end(effects);
            self.keep(oldest.told(), effects);
        }
    }
}

impl Open {
    const fn lookup(&self, field: Field) -> Lookup {
        match field {
            Field::Recording => self.recording,
            Field::Summary => self.summary,
        }
    }

    const fn lookup_mut(&mut self, field: Field) -> &mut Lookup {
        self.touched = Touched::YES;
        match field {
            Field::Recording => &mut self.recording,
            Field::Summary => &mut self.summary,
        }
    }

    /// The field whose open question has this id.
    fn field_asked_by(&self, output_id: &str) -> Option<Field> {
        Field::ALL
            .into_iter()
            .find(|field| match self.lookup(*field) {
                Lookup::Asked { number, .. } => {
                    // Compared without being put together: an actor may hold many.
                    output_id
                        .strip_prefix(REQUEST)
                        .and_then(|rest| rest.strip_prefix(&*self.alert.alert_id))
                        .and_then(|rest| rest.strip_prefix(':'))
                        .and_then(|rest| rest.strip_prefix(field.name()))
                        .and_then(|rest| rest.strip_prefix(':'))
                        .is_some_and(|rest| rest == number.to_string())
                }
                Lookup::Waiting { .. } | Lookup::Over => false,
            })
    }

    fn question(&self, field: Field, number: u32) -> Effect {
        let alert_id = &self.alert.alert_id;
        Effect::Emit {
            id: format!("{REQUEST}{alert_id}:{}:{number}", field.name()),
            output: Output::EnrichmentRequested(EnrichmentRequest {
                alert_id: alert_id.clone(),
                interaction_id: self.alert.interaction_id.clone().unwrap_or_default(),
                fields: vec![field.name().to_owned()],
            }),
        }
    }

    fn find(&mut self, field: Field, text: String, effects: &mut Effects) {
        *self.lookup_mut(field) = Lookup::Over;
        self.alert.missing.retain(|name| name != field.name());
        match field {
            Field::Recording => {
                self.alert.recording.status = RecordingStatus::Available;
                self.alert.recording.url = Some(text);
            }
            Field::Summary => self.alert.summary = Some(text),
        }
        self.bytes = bytes_of(&self.alert);
        self.update(effects);
    }

    fn lose(&mut self, field: Field, effects: &mut Effects) {
        *self.lookup_mut(field) = Lookup::Over;
        match field {
            Field::Recording => {
                self.alert.recording.status = RecordingStatus::Unavailable;
                self.update(effects);
            }
            // It was said to be missing, and stays so.
            Field::Summary => {}
        }
    }

    fn ask_again(&mut self, turn: &mut Turn<'_>, field: Field) {
        let settings = turn.settings();
        if let Lookup::Asked { number, at } = self.lookup(field) {
            let next_at = at.plus_ms(settings.enrichment_every_ms);
            *self.lookup_mut(field) = Lookup::Waiting { number, next_at };
            self.ask_if_due(turn, field);
        }
    }

    fn ask_if_due(&mut self, turn: &mut Turn<'_>, field: Field) {
        let now = turn.now;
        match self.lookup(field) {
            Lookup::Waiting { number, next_at } if next_at <= now => {
                let number = number.saturating_add(1);
                *self.lookup_mut(field) = Lookup::Asked { number, at: now };
                turn.effects.push(self.question(field, number));
            }
            Lookup::Waiting { .. } | Lookup::Asked { .. } | Lookup::Over => {}
        }
    }

    /// Whether this is the alert of the response with this key.
    fn is_of(&self, key: KeyHash) -> bool {
        let response = self.alert.response_id.as_deref();
        response.is_some_and(|id| KeyHash::of(id, 0) == key)
    }

    fn revise(&mut self, draft: Alert, effects: &mut Effects) -> bool {
        let is_news = told::revise(&mut self.alert, draft);
        self.bytes = bytes_of(&self.alert);
        if is_news {
            self.update(effects);
        }
        is_news
    }

    fn told(&self) -> Told {
        Told::of(&self.alert, self.updates, self.revised_at)
    }

    /// Says the alert again, if it was said before.
    fn update(&mut self, effects: &mut Effects) {
        if !self.held {
            self.updates = self.updates.saturating_add(1);
            effects.push(updated(self.alert.clone(), self.updates));
        }
    }

    fn is_over(&self) -> bool {
        matches!((self.recording, self.summary), (Lookup::Over, Lookup::Over))
    }

    /// The last that is said of the alert: that it is raised, if it was held; that the recording stays pending, if it
    /// does; else what was said last holds.
    fn end(&mut self, effects: &mut Effects) {
        match (self.held, self.recording) {
            (true, _) => effects.push(raised(self.alert.clone())),
            (false, Lookup::Asked { .. } | Lookup::Waiting { .. }) => self.update(effects),
            (false, Lookup::Over) => {}
        }
    }
}

/// No fewer bytes than an alert takes as JSON, nor than it may say in one event: every text that comes from outside, and
/// the rest. The ids stand in two questions as well.
fn bytes_of(alert: &Alert) -> usize {
    const REST_BYTES: usize = 512;
    let ids = [Some(&alert.alert_id), alert.interaction_id.as_ref()];
    let ids = ids.into_iter().flatten().map(|id| written(id));
    let texts = [
        &alert.comment,
        &alert.summary,
        &alert.recording.url,
        &alert.agent_id,
        &alert.agent_name,
        &alert.queue_id,
        &alert.response_id,
    ];
    let texts = texts.into_iter().flatten().chain(&alert.keywords);
    let texts = texts.map(|text| written(text)).sum::<usize>();
    let owner = written(&alert.owner.key().to_string());
    REST_BYTES + texts + owner + written(&alert.rule) + 3 * ids.sum::<usize>()
}

/// Bytes that a text takes in JSON.
fn written(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        0..0x20 => "\\u0000".len(),
        b'"' | b'\\' => 2,
        _plain => 1,
    };
    text.bytes().map(byte).sum()
}

/// What is stored of it by changes; `agent` puts them together.
impl Enrichment {
    pub(crate) fn mark(&mut self) {
        self.left = Left::default();
        for open in &mut self.open {
            open.touched = Touched::default();
        }
        for told in &mut self.told {
            told.touched = Touched::default();
        }
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.left.is_lost
    }

    /// Ids of the alerts whose lookups have ended.
    pub(crate) fn ended(&self) -> &[String] {
        &self.left.open
    }

    /// Responses whose alerts were forgotten.
    pub(crate) fn gone(&self) -> &[KeyHash] {
        &self.left.told
    }

    /// The alerts that are new or have changed.
    pub(crate) fn news(&self) -> Self {
        let open = self.open.iter().filter(|open| open.touched.0);
        let told = self.told.iter().filter(|told| told.touched.0);
        Self {
            open: open.cloned().collect(),
            told: told.cloned().collect(),
            left: Left::default(),
        }
    }

    /// Brings stored alerts up to the mark at which the others were taken.
    pub(crate) fn fold(&mut self, ended: &[String], gone: &[KeyHash], news: Self) {
        self.open
            .retain(|open| !ended.contains(&open.alert.alert_id));
        self.told
            .retain(|told| !gone.iter().any(|key| told.is_of(*key)));
        lay_over(&mut self.open, news.open, |a, b| {
            a.alert.alert_id == b.alert.alert_id
        });
        lay_over(&mut self.told, news.told, |a, b| a.is_of(b.key()));
        self.mark();
    }
}

/// Puts news in the place of what they are about, and what is new behind the others.
fn lay_over<T>(held: &mut VecDeque<T>, news: VecDeque<T>, is_same: impl Fn(&T, &T) -> bool) {
    let mut is_behind = false;
    for new in news {
        let place = held.iter().position(|known| is_same(known, &new));
        match place {
            Some(place) if !is_behind => held[place] = new,
            // One that came after one that is missing here stands behind it.
            Some(place) => {
                held.remove(place);
                held.push_back(new);
            }
            None => {
                is_behind = true;
                held.push_back(new);
            }
        }
    }
}

/// What the ids of questions begin with. An alert's id is short enough for what follows it.
const REQUEST: &str = "enrich:";

/// The alert where no lookup follows: what is never asked for is neither pending nor still to be found out.
fn without_lookups(mut alert: Alert) -> Alert {
    alert.recording.status = RecordingStatus::Unavailable;
    let asked_for = |name: &str| Field::ALL.iter().any(|field| field.name() == name);
    alert.missing.retain(|name| !asked_for(name));
    alert
}

fn raised(alert: Alert) -> Effect {
    Effect::Emit {
        id: alert.alert_id.clone(),
        output: Output::AlertRaised(alert),
    }
}

fn updated(alert: Alert, number: u32) -> Effect {
    Effect::Emit {
        id: format!("{}:u{number}", alert.alert_id),
        output: Output::AlertUpdated(alert),
    }
}

/// What is there counts as found only with the thing itself: vendors send placeholders.
fn answer_of(field: Field, outcome: &Outcome, effects: &mut Effects) -> Answer {
    match &*outcome.status {
        "available" => {
            let text = outcome.response.as_ref().and_then(|response| {
                let text = response.get(field.key())?.as_str()?.trim();
                (!text.is_empty()).then_some(text)
            });
            match (field, text) {
                (_, None) => Answer::NotYet,
                (Field::Recording, Some(url)) if url.len() > URL_BYTES_MAX => {
                    effects.push(Effect::Ignore(Ignored::TooLarge));
                    Answer::Lost
                }
                (Field::Recording, Some(url)) => Answer::Found(url.to_owned()),
                (Field::Summary, Some(text)) => {
                    Answer::Found(text.chars().take(SUMMARY_CHARS_MAX).collect())
                }
            }
        }
        "pending" => Answer::NotYet,
        "failed" | "deleted" => Answer::Lost,
        _failed_lookup => {
            effects.push(Effect::Ignore(Ignored::LookupFailed));
            Answer::NotYet
        }
    }
}
