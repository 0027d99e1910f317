//! Alerts whose lookups are over, for when a later version of the response has something to add.
//!
//! An update says everything again. Most of it comes with the version; kept is what only the alert knows: under which
//! rule and when it was raised, how severe it is, what the lookups found, and a hash of what it said of the response, so
//! that a version that brings nothing new is not told.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use super::{Field, Touched, updated};
use crate::{
    alerts,
    contract::{
        output::{Alert, Recording, RecordingStatus, Severity},
        time::{EventTime, LogTime},
    },
    dedupe::KeyHash,
    effect::{Effect, Effects, Ignored},
    stored::state::StoredTold,
    turn::Turn,
};

/// Most alerts of one actor that are kept for updates after their lookups; of the oldest later versions say nothing.
pub const TOLD_MAX: usize = 128;

/// Most bytes that these take, about: they are stored with each output of their actor.
const TOLD_BYTES_MAX: usize = 32 * 1024;

/// What an alert said that its response does not say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Of the response.
    key: KeyHash,
    /// When the response's last version came.
    at: LogTime,
    /// The rule in the alert's id.
    raised_under: Box<str>,
    /// The rule it names, if a more severe one took the other's place.
    rule: Option<Box<str>>,
    severity: Severity,
    updates: u32,
    raised_at: EventTime,
    recording: Recording,
    summary: Option<String>,
    /// What was looked up and not found: a bit for each of [`Field::ALL`].
    missing: u32,
    /// Hash of what it said of the response.
    said: u64,
    pub(super) touched: Touched,
}

impl Told {
    pub(super) fn of(alert: &Alert, updates: u32, at: LogTime) -> Self {
        let response = alert.response_id.as_deref().unwrap_or_default();
        // The id begins with the rule under which it was raised; a hash may stand for the response.
        let raised_under = alert.alert_id.split_once(':').map_or("", |(rule, _)| rule);
        Self {
            key: KeyHash::of(response, 0),
            at,
            raised_under: raised_under.into(),
            rule: (alert.rule != raised_under).then(|| alert.rule.as_str().into()),
            severity: alert.severity,
            updates,
            raised_at: alert.raised_at,
            recording: alert.recording.clone(),
            summary: alert.summary.clone(),
            missing: (0..).zip(Field::ALL).fold(0, |missing, (bit, field)| {
                let is_missing = alert.missing.iter().any(|name| name == field.name());
                missing | u32::from(is_missing) << bit
            }),
            said: hash_of(alert),
            touched: Touched::YES,
        }
    }

    pub(super) const fn key(&self) -> KeyHash {
        self.key
    }

    pub(super) fn is_of(&self, key: KeyHash) -> bool {
        self.key == key
    }

    pub(super) fn is_over(&self, now: LogTime, ttl_ms: i64) -> bool {
        now.since_ms(self.at) >= ttl_ms
    }

    /// Says the alert again as a later version of its response has it. False if that is as before.
    pub(super) fn revise(&mut self, turn: &mut Turn<'_>, draft: Alert) -> bool {
        self.at = self.at.max(turn.now);
        self.touched = Touched::YES;
        let mut alert = self.alert_of(&draft);
        // What it said before is known by its hash alone, so its own texts cannot be compared.
        revise(&mut alert, draft);
        if hash_of(&alert) == self.said {
            return false;
        }
        let updates = self.updates.saturating_add(1);
        *self = Self::of(&alert, updates, self.at);
        turn.effects.push(updated(alert, updates));
        true
    }

    /// The alert as far as it is known here.
    fn alert_of(&self, draft: &Alert) -> Alert {
        let response = draft.response_id.as_deref().unwrap_or_default();
        let fields = (0..).zip(Field::ALL);
        let fields = fields.filter(|(bit, _)| self.missing >> bit & 1 == 1);
        let missing = fields.map(|(_, field)| field.name().to_owned()).collect();
        Alert {
            missing,
            alert_id: alerts::alert_id(&self.raised_under, response),
            rule: self
                .rule
                .as_deref()
                .unwrap_or(&self.raised_under)
                .to_owned(),
            severity: self.severity,
            recording: self.recording.clone(),
            summary: self.summary.clone(),
            raised_at: self.raised_at,
            ..draft.clone()
        }
    }

    fn bytes(&self) -> usize {
        const REST_BYTES: usize = 64;
        let texts = [self.recording.url.as_ref(), self.summary.as_ref()];
        let texts = texts.into_iter().flatten().map(String::len);
        REST_BYTES + self.raised_under.len() + texts.sum::<usize>()
    }
}

/// Lays a later version over an alert. Whether anything of it that people see, and that comes from the response or the
/// rules, differs.
pub(super) fn revise(alert: &mut Alert, draft: Alert) -> bool {
    let before = visible(alert);
    let is_worse = !draft.rule.is_empty() && draft.severity > alert.severity;
    let is_looked_up = |name: &String| Field::ALL.iter().any(|field| field.name() == name);
    let mut missing = std::mem::take(&mut alert.missing);
    missing.retain(is_looked_up);
    missing.extend(draft.missing.into_iter().filter(|name| !is_looked_up(name)));
    let after = Alert {
        alert_id: std::mem::take(&mut alert.alert_id),
        rule: match is_worse {
            true => draft.rule,
            false => std::mem::take(&mut alert.rule),
        },
        severity: match is_worse {
            true => draft.severity,
            false => alert.severity,
        },
        audience: draft.audience,
        owner: draft.owner,
        agent_id: draft.agent_id,
        agent_name: draft.agent_name,
        queue_id: draft.queue_id,
        interaction_id: draft.interaction_id,
        response_id: draft.response_id,
        csat: draft.csat,
        comment: draft.comment,
        keywords: draft.keywords,
        recording: alert.recording.clone(),
        summary: alert.summary.take(),
        missing,
        raised_at: alert.raised_at,
    };
    let differs = before != visible(&after);
    *alert = after;
    differs
}

/// What people see of the response, and of the rules' judgement of it.
fn visible(alert: &Alert) -> Vec<u8> {
    let seen = (
        (&alert.rule, alert.severity, &alert.interaction_id),
        (&alert.agent_id, &alert.agent_name, &alert.queue_id),
        (alert.csat, &alert.comment, &alert.keywords),
    );
    // Plain data with string keys: writing it into a vector cannot fail.
    serde_json::to_vec(&seen).unwrap_or_default()
}

fn hash_of(alert: &Alert) -> u64 {
    xxh3_64(&visible(alert))
}

/// Forgets the oldest until the others fit; the responses they were of.
pub(super) fn make_room(all: &mut VecDeque<Told>, effects: &mut Effects) -> Vec<KeyHash> {
    let mut gone = Vec::new();
    let mut bytes: usize = all.iter().map(Told::bytes).sum();
    while (all.len() > TOLD_MAX || (bytes > TOLD_BYTES_MAX && all.len() > 1))
        && let Some(oldest) = all.pop_front()
    {
        bytes -= oldest.bytes();
        gone.push(oldest.key);
        effects.push(Effect::Ignore(Ignored::DedupeOverflow));
    }
    gone
}

impl Told {
    pub(super) fn stored(&self) -> StoredTold {
        StoredTold {
            key: self.key.to_bytes().into(),
            at: self.at.0,
            raised_under: self.raised_under.to_string(),
            rule: self.rule.as_deref().map(str::to_owned),
            severity: match self.severity {
                Severity::Info => 0,
                Severity::Warning => 1,
                Severity::Critical => 2,
            },
            updates: self.updates,
            raised_at: self.raised_at.0,
            recording: match self.recording.status {
                RecordingStatus::Pending => 0,
                RecordingStatus::Available => 1,
                RecordingStatus::Unavailable => 2,
            },
            url: self.recording.url.clone(),
            summary: self.summary.clone(),
            missing: self.missing,
            said: self.said,
        }
    }

    /// `None` if a part is none that is ever written.
    pub(super) fn from_stored(stored: &StoredTold) -> Option<Self> {
        Some(Self {
            key: KeyHash::from_bytes(stored.key.as_slice().try_into().ok()?),
            at: LogTime(stored.at),
            raised_under: stored.raised_under.as_str().into(),
            rule: stored.rule.as_deref().map(Into::into),
            severity: match stored.severity {
                0 => Severity::Info,
                1 => Severity::Warning,
                2 => Severity::Critical,
                _unknown => return None,
            },
            updates: stored.updates,
            raised_at: EventTime(stored.raised_at),
            recording: Recording {
                status: match stored.recording {
                    0 => RecordingStatus::Pending,
                    1 => RecordingStatus::Available,
                    2 => RecordingStatus::Unavailable,
                    _unknown => return None,
                },
                url: stored.url.clone(),
            },
            summary: stored.summary.clone(),
            missing: stored.missing,
            said: stored.said,
            touched: Touched::default(),
        })
    }
}
