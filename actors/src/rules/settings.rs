//! What a rule file sets besides its rules: windows, dedupe times, the time zone, the lists of queues and skills.
//!
//! They stand with the rules because they decide outcomes too, and so have to change at a position of the log.
//! Every key may be left out and then has its default; `config/rules.toml` shows them all.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use toml::de::DeTable;

use super::{
    reader::{DAY_MS, Entry, HOUR_MS, Reader, SECOND_MS, get},
    suggest::{hint, nearest},
};
use crate::{
    contract::{identifier::IdentifierType, plausible::AheadMax},
    rewards::programs::Program,
};

/// What a rule file sets besides its rules: all that decides outcomes takes effect at a log position with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The business unit's time zone: workdays are calendar dates in it.
    pub time_zone: TimeZone,
    /// How far ahead of the log's clock an event may be dated (S1.07).
    pub ahead_max: AheadMax,
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
    /// Dispositions that say that none was chosen, in lower case (S5.07).
    pub no_dispositions: Vec<String>,
    /// Reward programs, in file order.
    pub programs: Vec<Program>,
    /// Whether an alert goes before or after what is looked up for it (S2.08).
    pub enrichment_mode: EnrichmentMode,
    /// Time from one question after an alert's field to the next, in milliseconds of log time (S2.08).
    pub enrichment_every_ms: i64,
    /// How long an alert's fields are asked after, in milliseconds of log time from its raising (S2.08).
    pub enrichment_for_ms: i64,
    /// Whether a wrap-up asks for a survey token (S1.01).
    pub survey_token_requested: bool,
    /// How long a wrap-up is remembered, in milliseconds of log time (S1.01).
    pub survey_token_dedupe_ms: i64,
    /// Whether the start of an interaction asks who the customer is (S5.01).
    pub identity_requested: bool,
    /// What a customer is resolved by, the first that an event has (S5.11).
    pub identify_by: Vec<IdentifierType>,
    /// How long a resolved identity holds, in milliseconds of log time from the question (S5.03).
    pub identity_keep_ms: i64,
    /// Whether outcomes of interactions are told to the customer data platform (S5.06).
    pub outcome_tracked: bool,
    /// How long a completion waits for its disposition and for who the customer is, in milliseconds of log time (S5.07,
    /// S5.13).
    pub outcome_wait_ms: i64,
    /// How long after it was told an outcome is told again when its disposition changes, in milliseconds of log time
    /// (S5.13).
    pub outcome_changes_ms: i64,
}

/// Whether an alert goes before or after what is looked up for it (S2.08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrichmentMode {
    /// At once; an update follows for each thing found.
    SendThenUpdate,
    /// Once all is found or given up.
    Hold,
    /// At once, and nothing is looked up.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
            ahead_max: AheadMax::default(),
            points_window_days: 90,
            survey_dedupe_ms: DAY_MS,
            completion_dedupe_ms: HOUR_MS,
            enps_window_ms: 7 * DAY_MS,
            history_window_ms: 7 * DAY_MS,
            profile_merge_ms: 5_000,
            queues: Vec::new(),
            skills: Vec::new(),
            no_dispositions: vec!["no disposition".to_owned()],
            programs: Vec::new(),
            enrichment_mode: EnrichmentMode::SendThenUpdate,
            enrichment_every_ms: 30 * SECOND_MS,
            enrichment_for_ms: 300 * SECOND_MS,
            survey_token_requested: true,
            survey_token_dedupe_ms: HOUR_MS,
            identity_requested: true,
            identify_by: IdentifierType::ALL.to_vec(),
            identity_keep_ms: 7 * DAY_MS,
            outcome_tracked: true,
            outcome_wait_ms: 900 * SECOND_MS,
            outcome_changes_ms: DAY_MS,
        }
    }
}

impl Settings {
    /// A disposition that says something: one that is not blank and none of those that stand for none (S5.07).
    #[must_use]
    pub fn said<'a>(&self, disposition: Option<&'a str>) -> Option<&'a str> {
        let text = disposition?;
        let name = text.trim();
        let is_listed = |none: &String| {
            let lower = name.chars().flat_map(char::to_lowercase);
            lower.eq(none.chars())
        };
        let says_nothing = name.is_empty() || self.no_dispositions.iter().any(is_listed);
        (!says_nothing).then_some(text)
    }

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
        if let Some(section) = reader.section(file, "ahead", &["time", "workday", "effective"]) {
            let (named, max) = (("ahead", section), &mut settings.ahead_max);
            let mut set = |value_ms: &mut i64, key, allowed| {
                *value_ms = reader.duration(named, key, allowed).unwrap_or(*value_ms);
            };
            set(&mut max.time_ms, "time", 0..=DAY_MS);
            set(&mut max.workday_ms, "workday", DAY_MS..=31 * DAY_MS);
            set(&mut max.effective_ms, "effective", 0..=366 * DAY_MS);
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
        let keys = ["dedupe", "queues", "skills", "no_disposition"];
        if let Some(section) = reader.section(file, "completion", &keys) {
            let allowed = 60 * SECOND_MS..=7 * DAY_MS;
            let read = reader.duration(("completion", section), "dedupe", allowed);
            set(&mut settings.completion_dedupe_ms, read);
            settings.queues = reader.texts(section, "queues");
            settings.skills = reader.texts(section, "skills");
            if get(section, "no_disposition").is_some() {
                let texts = reader.texts(section, "no_disposition").into_iter();
                settings.no_dispositions = texts.map(|text| text.trim().to_lowercase()).collect();
            }
        }
        if let Some(section) = reader.section(file, "profile", &["merge", "history"]) {
            let read = reader.duration(("profile", section), "merge", 0..=HOUR_MS);
            set(&mut settings.profile_merge_ms, read);
            let allowed = HOUR_MS..=90 * DAY_MS;
            let read = reader.duration(("profile", section), "history", allowed);
            set(&mut settings.history_window_ms, read);
        }
        settings.programs = reader.programs(file);
        settings.read_requests(reader, file);
        settings
    }

    /// The sections about what others are asked and told.
    fn read_requests(&mut self, reader: &mut Reader<'_>, file: &DeTable<'_>) {
        const MODES: [(&str, EnrichmentMode); 3] = [
            ("send_then_update", EnrichmentMode::SendThenUpdate),
            ("hold", EnrichmentMode::Hold),
            ("off", EnrichmentMode::Off),
        ];
        const REQUESTED: [(&str, bool); 2] = [("request", true), ("off", false)];
        const TRACKED: [(&str, bool); 2] = [("track", true), ("off", false)];
        fn set<T>(value: &mut T, read: Option<T>) {
            if let Some(read) = read {
                *value = read;
            }
        }
        if let Some(section) = reader.section(file, "enrichment", &["mode", "every", "for"]) {
            let named = ("enrichment", section);
            set(&mut self.enrichment_mode, reader.mode(named, &MODES));
            // What is asked after is held in the actor, so not for long; and each question is an output.
            let every = reader.duration(named, "every", SECOND_MS..=600 * SECOND_MS);
            set(&mut self.enrichment_every_ms, every);
            let until = reader.duration(named, "for", SECOND_MS..=HOUR_MS);
            set(&mut self.enrichment_for_ms, until);
        }
        if let Some(section) = reader.section(file, "survey_token", &["mode", "dedupe"]) {
            let named = ("survey_token", section);
            let mode = reader.mode(named, &REQUESTED);
            set(&mut self.survey_token_requested, mode);
            let dedupe = reader.duration(named, "dedupe", 60 * SECOND_MS..=7 * DAY_MS);
            set(&mut self.survey_token_dedupe_ms, dedupe);
        }
        if let Some(section) = reader.section(file, "identity", &["mode", "by", "keep"]) {
            let named = ("identity", section);
            set(&mut self.identity_requested, reader.mode(named, &REQUESTED));
            set(&mut self.identify_by, reader.identifiers(section));
            let keep = reader.duration(named, "keep", 60 * SECOND_MS..=90 * DAY_MS);
            set(&mut self.identity_keep_ms, keep);
        }
        if let Some(section) = reader.section(file, "outcome", &["mode", "wait", "changes"]) {
            let named = ("outcome", section);
            set(&mut self.outcome_tracked, reader.mode(named, &TRACKED));
            let wait = reader.duration(named, "wait", 0..=DAY_MS);
            set(&mut self.outcome_wait_ms, wait);
            let changes = reader.duration(named, "changes", 0..=7 * DAY_MS);
            set(&mut self.outcome_changes_ms, changes);
        }
    }
}

impl Reader<'_> {
    /// The `mode` of a section, if it is there and one of these.
    fn mode<T: Copy>(
        &mut self,
        (name, section): (&str, &DeTable<'_>),
        modes: &[(&str, T)],
    ) -> Option<T> {
        let entry = get(section, "mode")?;
        let text = self.text_of(entry, "mode")?;
        let found = modes.iter().find(|(mode, _)| *mode == text);
        if found.is_none() {
            let near = hint(text, modes.iter().map(|(mode, _)| *mode));
            let what = format!("unknown `mode` `{text}` in `[{name}]`; {near}");
            self.wrong(&entry.span(), what);
        }
        found.map(|(_, mode)| *mode)
    }

    /// What customers are resolved by, if that is set: an order of types, each once.
    fn identifiers(&mut self, section: &DeTable<'_>) -> Option<Vec<IdentifierType>> {
        let entry = get(section, "by")?;
        let names = self.texts(section, "by");
        let mut types: Vec<IdentifierType> = Vec::new();
        for name in &names {
            let found = IdentifierType::ALL.into_iter().find(|of| of.name() == name);
            match found {
                Some(of) if types.contains(&of) => {
                    let what = format!("`by` in `[identity]` names `{name}` twice");
                    self.wrong(&entry.span(), what);
                }
                Some(of) => types.push(of),
                None => {
                    let near = hint(name, IdentifierType::ALL.map(IdentifierType::name));
                    let what =
                        format!("unknown identifier `{name}` in `by` in `[identity]`; {near}");
                    self.wrong(&entry.span(), what);
                }
            }
        }
        if entry
            .get_ref()
            .as_array()
            .is_some_and(|list| list.is_empty())
        {
            let what = "`by` in `[identity]` is empty; to ask nothing, write `mode = \"off\"`";
            self.wrong(&entry.span(), what);
        }
        Some(types)
    }

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
