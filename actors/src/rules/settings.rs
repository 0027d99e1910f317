//! What a rule file sets besides its rules: windows, dedupe times, the time zone, the lists of queues and skills.
//!
//! They stand with the rules because they decide outcomes too, and so have to change at a position of the log.
//! Every key may be left out and then has its default; `config/rules.toml` shows them all.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use toml::de::DeTable;

use super::{
    reader::{DAY_MS, Entry, HOUR_MS, Reader, SECOND_MS, get},
    suggest::nearest,
};
use crate::programs::Program;

/// What a rule file sets besides its rules: all that decides outcomes takes effect at a log position with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The business unit's time zone: workdays are calendar dates in it.
    pub time_zone: TimeZone,
    /// Length of the rolling points window, in workdays.
    pub points_window_days: u16,
    /// How long a survey or eNPS response id is remembered, in milliseconds of log time (S2.05).
    pub survey_dedupe_ms: i64,
    /// How long a completion is remembered, in milliseconds of log time (S4.04).
    pub completion_dedupe_ms: i64,
    /// Window of the eNPS figures, in milliseconds of event time against log time (S1.09).
    pub enps_window_ms: i64,
    /// Window of a customer's recent history, in milliseconds (S4.02).
    pub history_window_ms: i64,
    /// Shortest time between two profile updates of one customer, in milliseconds; 0 turns merging off (S4.05).
    pub profile_merge_ms: i64,
    /// Queues whose completions update profiles; empty for all (S4.01).
    pub queues: Vec<String>,
    /// Skills whose completions update profiles; empty for all (S4.01).
    pub skills: Vec<String>,
    /// Reward programs, in file order.
    pub programs: Vec<Program>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
            points_window_days: 90,
            survey_dedupe_ms: DAY_MS,
            completion_dedupe_ms: HOUR_MS,
            enps_window_ms: 7 * DAY_MS,
            history_window_ms: 7 * DAY_MS,
            profile_merge_ms: 5_000,
            queues: Vec::new(),
            skills: Vec::new(),
            programs: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the sections of a file. Windows and dedupe memory are per actor, so each has an end that keeps an
    /// actor small.
    pub(super) fn read(reader: &mut Reader<'_>, file: &DeTable<'_>) -> Self {
        let mut settings = Self::default();
        if let Some(section) = reader.section(file, "business_unit", &["time_zone"])
            && let Some(entry) = get(section, "time_zone")
            && let Some(zone) = reader.time_zone(entry)
        {
            settings.time_zone = zone;
        }
        if let Some(section) = reader.section(file, "points", &["window"]) {
            let allowed = DAY_MS..=730 * DAY_MS;
            let window = reader.duration(("points", section), "window", allowed);
            match window.zip(get(section, "window")) {
                Some((ms, _)) if ms % DAY_MS == 0 => {
                    // At most 730, as just checked.
                    settings.points_window_days = u16::try_from(ms / DAY_MS).unwrap_or(u16::MAX);
                }
                Some((_, entry)) => {
                    let what = "`window` in `[points]` is whole days, such as \"90d\"";
                    reader.wrong(&entry.span(), what);
                }
                None => {}
            }
        }
        let set = |value_ms: &mut i64, read: Option<i64>| *value_ms = read.unwrap_or(*value_ms);
        if let Some(section) = reader.section(file, "survey", &["dedupe"]) {
            let allowed = 60 * SECOND_MS..=30 * DAY_MS;
            let read = reader.duration(("survey", section), "dedupe", allowed);
            set(&mut settings.survey_dedupe_ms, read);
        }
        if let Some(section) = reader.section(file, "enps", &["window"]) {
            let allowed = HOUR_MS..=90 * DAY_MS;
            let read = reader.duration(("enps", section), "window", allowed);
            set(&mut settings.enps_window_ms, read);
        }
        if let Some(section) = reader.section(file, "completion", &["dedupe", "queues", "skills"]) {
            let allowed = 60 * SECOND_MS..=7 * DAY_MS;
            let read = reader.duration(("completion", section), "dedupe", allowed);
            set(&mut settings.completion_dedupe_ms, read);
            settings.queues = reader.texts(section, "queues");
            settings.skills = reader.texts(section, "skills");
        }
        if let Some(section) = reader.section(file, "profile", &["merge", "history"]) {
            let read = reader.duration(("profile", section), "merge", 0..=HOUR_MS);
            set(&mut settings.profile_merge_ms, read);
            let allowed = HOUR_MS..=90 * DAY_MS;
            let read = reader.duration(("profile", section), "history", allowed);
            set(&mut settings.history_window_ms, read);
        }
        settings.programs = reader.programs(file);
        settings
    }
}

impl Reader<'_> {
    fn time_zone(&mut self, entry: &Entry<'_>) -> Option<TimeZone> {
        let name = self.text_of(entry, "time_zone")?;
        // The zones compiled in, whatever the machine has: workdays decide payouts.
        let zones = TimeZoneDatabase::bundled();
        match zones.get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                let known: Vec<String> = zones
                    .available()
                    .map(|zone| zone.as_str().to_owned())
                    .collect();
                let near = nearest(name, known.iter().map(String::as_str));
                let near = near.map_or_else(
                    || "use an IANA name, such as `Europe/Berlin`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.wrong(&entry.span(), format!("unknown time zone `{name}`; {near}"));
                None
            }
        }
    }
}
