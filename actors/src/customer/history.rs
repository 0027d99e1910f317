//! A customer's recent contacts: what segment rules see of the past (S4.02).
//!
//! Event time orders them, log time lets them leave, so a completion that comes late finds its place. Kept to
//! what figures need; ids and dispositions are hashes. Used by `customer`.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    contract::{
        event::InteractionCompleted,
        time::{EventTime, LogTime},
    },
    effect::Ignored,
    rules::{Figures, Settings},
    stored::wire,
};

/// Most contacts kept of one customer; above it the oldest leaves early.
pub const CONTACTS_MAX: usize = 256;

const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// One completed contact.
#[derive(Clone, Copy, Debug)]
struct Contact {
    /// When it ended, but never after the log time at which it arrived.
    ended_at: EventTime,
    /// Hash of the interaction's id.
    interaction: u64,
    /// Not a number for none. Cheaper than an option: a customer has many contacts, and the figures read all.
    sentiment: f64,
    /// Hash of the disposition; 0 for none.
    disposition: u32,
}

impl Contact {
    fn sentiment(&self) -> Option<f64> {
        (!self.sentiment.is_nan()).then_some(self.sentiment)
    }
}

/// By bits, so that no sentiment equals no sentiment.
impl PartialEq for Contact {
    fn eq(&self, other: &Self) -> bool {
        let parts = |c: &Self| {
            (
                c.ended_at,
                c.interaction,
                c.sentiment.to_bits(),
                c.disposition,
            )
        };
        parts(self) == parts(other)
    }
}

/// Completed contacts, in the order in which they ended.
///
/// Clock: event time against log time. Boundary: a contact that ended at `t` is in a window while
/// `now - t < window`. They are held for the history window or seven days, whichever is longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    contacts: VecDeque<Contact>,
}

/// How long contacts are held, in milliseconds.
fn held_ms(settings: &Settings) -> i64 {
    settings.history_window_ms.max(WEEK_MS)
}

fn hash_of_disposition(disposition: Option<&str>) -> u32 {
    disposition.map_or(0, |text| xxh3_64(text.as_bytes()) as u32)
}

impl History {
    /// Lets the contacts leave that neither window holds any more.
    pub fn expire(&mut self, now: LogTime, settings: &Settings) {
        while let Some(oldest) = self.contacts.front()
            && now.since_ms(LogTime(oldest.ended_at.0)) >= held_ms(settings)
        {
            self.contacts.pop_front();
        }
    }

    /// Takes a completion in. The same interaction with the same end counts once, however late it returns.
    ///
    /// # Errors
    /// If it ended before the window.
    pub fn add(
        &mut self,
        now: LogTime,
        event: &InteractionCompleted,
        settings: &Settings,
    ) -> Result<(), Ignored> {
        let contact = Contact {
            ended_at: event.ended_at.min(EventTime(now.0)),
            interaction: xxh3_64(event.interaction_id.as_bytes()),
            disposition: hash_of_disposition(event.disposition.as_deref()),
            sentiment: event.sentiment.map_or(f64::NAN, |sentiment| sentiment.0),
        };
        if now.since_ms(LogTime(contact.ended_at.0)) >= held_ms(settings) {
            return Err(Ignored::TooOld);
        }
        // Nearly every completion is the latest.
        let is_latest = |last: &Contact| last.ended_at < contact.ended_at;
        if self.contacts.back().is_none_or(is_latest) {
            self.contacts.push_back(contact);
        } else if !self.insert(contact) {
            return Ok(());
        }
        if self.contacts.len() > CONTACTS_MAX {
            self.contacts.pop_front();
        }
        Ok(())
    }

    /// Puts a contact into its place, or into that of the same one. True if there is one more now.
    fn insert(&mut self, contact: Contact) -> bool {
        let first = self
            .contacts
            .partition_point(|c| c.ended_at < contact.ended_at);
        let end = self
            .contacts
            .partition_point(|c| c.ended_at <= contact.ended_at);
        let mut alike = self.contacts.range_mut(first..end);
        match alike.find(|c| c.interaction == contact.interaction) {
            Some(same) => {
                *same = contact;
                false
            }
            None => {
                self.contacts.insert(end, contact);
                true
            }
        }
    }

    /// Notes the disposition of an interaction, in each of its contacts. False if it has none here.
    pub fn set_disposition(&mut self, interaction_id: &str, disposition: &str) -> bool {
        let interaction = xxh3_64(interaction_id.as_bytes());
        let mut is_known = false;
        for contact in self
            .contacts
            .iter_mut()
            .filter(|c| c.interaction == interaction)
        {
            contact.disposition = hash_of_disposition(Some(disposition));
            is_known = true;
        }
        is_known
    }

    /// Whether the disposition of an interaction that has a contact here is this one.
    #[must_use]
    pub fn has_disposition(&self, interaction_id: &str, disposition: &str) -> bool {
        let interaction = xxh3_64(interaction_id.as_bytes());
        let wanted = hash_of_disposition(Some(disposition));
        let mut contacts = self.contacts.iter();
        contacts.any(|c| c.interaction == interaction && c.disposition == wanted)
    }

    /// Whether an interaction has a contact here.
    #[must_use]
    pub fn knows(&self, interaction_id: &str) -> bool {
        let interaction = xxh3_64(interaction_id.as_bytes());
        self.contacts.iter().any(|c| c.interaction == interaction)
    }

    /// What segment rules see: contacts, and latest and mean sentiment, in the history window.
    #[must_use]
    pub fn figures(&self, now: LogTime, settings: &Settings) -> Figures {
        let recent = self.recent(now, settings.history_window_ms);
        let (mut sum, mut rated, mut latest) = (0.0, 0u32, None);
        for sentiment in recent.clone().filter_map(Contact::sentiment) {
            sum += sentiment;
            rated += 1;
            latest = Some(sentiment);
        }
        Figures::Customer {
            // At most `CONTACTS_MAX`.
            contacts: recent.len() as u32,
            contacts_7d: self.contacts_7d(now),
            sentiment: latest,
            sentiment_avg: (rated > 0).then(|| sum / f64::from(rated)),
        }
    }

    /// Contacts that ended in the last seven days.
    #[must_use]
    pub fn contacts_7d(&self, now: LogTime) -> u32 {
        self.recent(now, WEEK_MS).len() as u32
    }

    /// Sentiment of the latest contact held that had one.
    #[must_use]
    pub fn latest_sentiment(&self) -> Option<f64> {
        self.contacts.iter().rev().find_map(Contact::sentiment)
    }

    /// When the history window will be empty, if nothing comes; `None` if it is.
    #[must_use]
    pub fn empty_at(&self, now: LogTime, settings: &Settings) -> Option<LogTime> {
        let newest = LogTime(self.contacts.back()?.ended_at.0);
        let empty_at = newest.plus_ms(settings.history_window_ms);
        (empty_at > now).then_some(empty_at)
    }

    /// Whether no contact is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// Whether no contact would be left after [`Self::expire`].
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.contacts
            .back()
            .is_none_or(|newest| now.since_ms(LogTime(newest.ended_at.0)) >= held_ms(settings))
    }

    /// When the newest contact held ended; the origin of stored times that lie near it.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.contacts.back().map_or(0, |newest| newest.ended_at.0)
    }

    /// How many contacts are newer than the newest one of an interaction, by the hash of its id.
    pub(crate) fn place_of(&self, interaction: u64) -> Option<usize> {
        let newest_first = self.contacts.iter().rev();
        newest_first
            .map(|c| c.interaction)
            .position(|known| known == interaction)
    }

    /// The inverse of [`Self::place_of`].
    pub(crate) fn interaction_at(&self, place: usize) -> Option<u64> {
        self.contacts.iter().rev().nth(place).map(|c| c.interaction)
    }

    fn recent(
        &self,
        now: LogTime,
        window_ms: i64,
    ) -> impl ExactSizeIterator<Item = &Contact> + Clone {
        let first = self
            .contacts
            .partition_point(|c| now.since_ms(LogTime(c.ended_at.0)) >= window_ms);
        self.contacts.range(first..)
    }
}

/// Tags of the columns in the stored customer.
const ENDED: u32 = 4;
const INTERACTIONS: u32 = 5;
const DISPOSITIONS: u32 = 6;
const SENTIMENTS: u32 = 7;

/// The stored form: a column a field; dispositions and sentiments only if there are any.
impl History {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let contacts = || self.contacts.iter();
        wire::sints(ENDED, wire::deltas(contacts().map(|c| c.ended_at.0)), into);
        wire::pieces(
            INTERACTIONS,
            contacts().map(|c| c.interaction.to_le_bytes()),
            into,
        );
        if contacts().any(|c| c.disposition != 0) {
            wire::pieces(
                DISPOSITIONS,
                contacts().map(|c| c.disposition.to_le_bytes()),
                into,
            );
        }
        if contacts().any(|c| !c.sentiment.is_nan()) {
            let sentiment = |c: &Contact| c.sentiment.to_le_bytes();
            wire::pieces(SENTIMENTS, contacts().map(sentiment), into);
        }
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(
        ended: &[i64],
        interactions: &[u64],
        dispositions: &[u32],
        sentiments: &[f64],
    ) -> Option<Self> {
        let fits = |length: usize| length == 0 || length == ended.len();
        if ended.len() != interactions.len() || !fits(dispositions.len()) || !fits(sentiments.len())
        {
            return None;
        }
        let contacts: VecDeque<Contact> = wire::undelta(ended)
            .enumerate()
            .map(|(n, ended_ms)| Contact {
                ended_at: EventTime(ended_ms),
                interaction: interactions[n],
                disposition: dispositions.get(n).copied().unwrap_or(0),
                sentiment: sentiments.get(n).copied().unwrap_or(f64::NAN),
            })
            .collect();
        contacts
            .iter()
            .is_sorted_by_key(|contact| contact.ended_at)
            .then_some(Self { contacts })
    }
}
