//! Reading `[[program]]` and `[[program.tier]]` of a rule file: what `crate::rewards::programs` defines.
//!
//! As with rules, every mistake is told at once, with its line. What two keys say together is checked here too: a
//! limit that no reward fits in, without a person who could approve one, is a mistake and not a slow surprise.

use toml::de::{DeTable, DeValue};

use super::{
    reader::{DAY_MS, Entry, Reader, get},
    suggest::hint,
};
use crate::rewards::programs::{
    Amount, Approval, LIMIT_MAX, Limit, OnCancelled, PROGRAMS_MAX, Program, Tier,
};

const PROGRAM_KEYS: [&str; 6] = [
    "name",
    "enabled",
    "approval",
    "on_cancelled",
    "budget",
    "tier",
];
const TIER_KEYS: [&str; 4] = ["name", "threshold", "reward_type", "cap"];
const APPROVALS: [(&str, Approval); 3] = [
    ("none", Approval::Unneeded),
    ("over_cap", Approval::OverCap),
    ("always", Approval::Always),
];
const ON_CANCELLED: [(&str, OnCancelled); 2] =
    [("hold", OnCancelled::Hold), ("free", OnCancelled::Free)];
/// Longest reward type, in bytes.
const REWARD_TYPE_BYTES_MAX: usize = 256;

impl Reader<'_> {
    /// The programs of a file, in its order.
    pub(super) fn programs(&mut self, file: &DeTable<'_>) -> Vec<Program> {
        let Some(entry) = get(file, "program") else {
            return Vec::new();
        };
        let mut programs: Vec<Program> = Vec::new();
        for (entry, table) in self.tables(entry, "program", "[[program]]") {
            if let Some(program) = self.program(entry, table) {
                self.unique(
                    entry,
                    "program",
                    &program.name,
                    programs.iter().map(|p| &*p.name),
                );
                programs.push(program);
            }
        }
        programs
    }

    fn program(&mut self, entry: &Entry<'_>, table: &DeTable<'_>) -> Option<Program> {
        let name = self.needed_name(entry, table, "a program");
        self.known_keys(table, "a program", &PROGRAM_KEYS);
        let enabled = match get(table, "enabled") {
            Some(value) => value.get_ref().as_bool().or_else(|| {
                let what = "`enabled` is true or false";
                self.wrong(&value.span(), what);
                None
            }),
            None => {
                let what =
                    "`enabled` is missing: false stops every request and keeps what was earned";
                self.wrong(&entry.span(), what);
                None
            }
        };
        let approval = self.one_of(table, "approval", &APPROVALS, Approval::OverCap);
        let on_cancelled = self.one_of(table, "on_cancelled", &ON_CANCELLED, OnCancelled::Hold);
        let share = match get(table, "budget") {
            Some(value) => self.share(value).map(Some),
            None => Some(None),
        };
        let mut tiers: Vec<Tier> = Vec::new();
        match get(table, "tier") {
            Some(list) => {
                for (entry, table) in self.tables(list, "tier", "[[program.tier]]") {
                    if let Some(tier) = self.tier(entry, table) {
                        self.unique(entry, "tier", &tier.name, tiers.iter().map(|t| &*t.name));
                        if tiers.iter().any(|other| other.threshold == tier.threshold) {
                            let what = format!("another tier has the threshold {}", tier.threshold);
                            self.wrong(&entry.span(), what);
                        }
                        tiers.push(tier);
                    }
                }
            }
            None => self.wrong(&entry.span(), "a program has tiers: add `[[program.tier]]`"),
        }
        tiers.sort_by_key(|tier| std::cmp::Reverse(tier.threshold));
        let program = Program {
            name: name?,
            enabled: enabled?,
            approval: approval?,
            on_cancelled: on_cancelled?,
            share: share?,
            tiers,
        };
        self.possible(entry, &program);
        Some(program)
    }

    /// One of a few words; `default` where the key is not set.
    fn one_of<T: Copy>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        words: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        let Some(value) = get(table, key) else {
            return Some(default);
        };
        let name = self.text_of(value, key)?;
        let found = words.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let near = hint(name, words.iter().map(|(known, _)| *known));
            self.wrong(&value.span(), format!("unknown {key} `{name}`; {near}"));
        }
        found.map(|(_, word)| *word)
    }

    fn tier(&mut self, entry: &Entry<'_>, table: &DeTable<'_>) -> Option<Tier> {
        let name = self.needed_name(entry, table, "a tier");
        self.known_keys(table, "a tier", &TIER_KEYS);
        let threshold = match get(table, "threshold") {
            Some(value) => self.count(value, "threshold"),
            None => {
                self.wrong(
                    &entry.span(),
                    "`threshold` is missing: points that reach the tier",
                );
                None
            }
        };
        let reward_type = match get(table, "reward_type") {
            Some(value) => {
                let text = self.text_of(value, "reward_type");
                if text.is_some_and(|t| t.is_empty() || t.len() > REWARD_TYPE_BYTES_MAX) {
                    let what = format!(
                        "`reward_type` is the provider's word: 1 to {REWARD_TYPE_BYTES_MAX} bytes"
                    );
                    self.wrong(&value.span(), what);
                }
                text.map(str::to_owned)
            }
            None => {
                self.wrong(
                    &entry.span(),
                    "`reward_type` is missing: what the provider is asked for",
                );
                None
            }
        };
        let cap = match get(table, "cap") {
            Some(value) => self.limit(value, "cap", &[]).map(|(limit, _)| Some(limit)),
            None => Some(None),
        };
        Some(Tier {
            name: name?,
            threshold: threshold?,
            reward_type: reward_type?,
            cap: cap?,
        })
    }

    /// `budget = { points = 50_000, per = "30d", agents = 100 }`, as what it leaves each of the agents.
    fn share(&mut self, entry: &Entry<'_>) -> Option<Limit> {
        let (limit, table) = self.limit(entry, "budget", &["agents"])?;
        let Some(value) = get(table, "agents") else {
            let what = "`agents` is missing in `budget`: how many agents share it; each is held to its part";
            self.wrong(&entry.span(), what);
            return None;
        };
        let agents = self.count(value, "agents")?;
        let most = match limit.most {
            Amount::Points(points) => Amount::Points(points / agents),
            Amount::Rewards(rewards) => Amount::Rewards(rewards / agents),
        };
        Some(Limit { most, ..limit })
    }

    /// `{ points = N, per = "30d" }` or `{ rewards = N, per = "30d" }`, and other keys for the caller.
    fn limit<'t>(
        &mut self,
        entry: &'t Entry<'_>,
        key: &str,
        more: &[&str],
    ) -> Option<(Limit, &'t DeTable<'t>)> {
        let example = format!("`{key} = {{ rewards = 2, per = \"30d\" }}`");
        let Some(table) = entry.get_ref().as_table() else {
            self.wrong(&entry.span(), format!("`{key}` is a table: {example}"));
            return None;
        };
        let known: Vec<&str> = ["points", "rewards", "per"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        self.known_keys(table, &format!("`{key}`"), &known);
        let most = match (get(table, "points"), get(table, "rewards")) {
            (Some(value), None) => self.count(value, "points").map(Amount::Points),
            (None, Some(value)) => self.count(value, "rewards").map(Amount::Rewards),
            (None, None) | (Some(_), Some(_)) => {
                let what = format!("`{key}` counts either `points` or `rewards`: {example}");
                self.wrong(&entry.span(), what);
                None
            }
        };
        if get(table, "per").is_none() {
            let what =
                format!("`per` is missing in `{key}`: the length of its period, as in {example}");
            self.wrong(&entry.span(), what);
        }
        let period_ms = self.duration((key, table), "per", DAY_MS..=730 * DAY_MS);
        let limit = Limit {
            most: most?,
            period_ms: period_ms?,
        };
        Some((limit, table))
    }

    /// A limit within which no reward fits makes sense only if a person can let one pass.
    fn possible(&mut self, entry: &Entry<'_>, program: &Program) {
        if program.approval != Approval::Unneeded {
            return;
        }
        for tier in &program.tiers {
            let cost = i64::from(tier.threshold);
            for (limit, name) in [
                (tier.cap, "cap"),
                (program.share, "an agent's part of the budget"),
            ] {
                if limit.is_some_and(|limit| !limit.admits(cost, [].into_iter())) {
                    let what = format!(
                        "tier `{}` of program `{}` can never be had: {name} is less than one reward, and `approval = \"none\"`",
                        tier.name, program.name
                    );
                    self.wrong(&entry.span(), what);
                }
            }
        }
    }

    /// The tables of a list.
    fn tables<'t>(
        &mut self,
        entry: &'t Entry<'_>,
        key: &str,
        begin: &str,
    ) -> Vec<(&'t Entry<'t>, &'t DeTable<'t>)> {
        let Some(entries) = entry.get_ref().as_array() else {
            let what = format!("`{key}` is a list: begin each with `{begin}`");
            self.wrong(&entry.span(), what);
            return Vec::new();
        };
        if entries.len() > PROGRAMS_MAX {
            let found = entries.len();
            let what = format!("there are {found} of `{begin}`; allowed are {PROGRAMS_MAX}");
            self.wrong(&entry.span(), what);
            return Vec::new();
        }
        let mut tables = Vec::new();
        for entry in entries.iter() {
            match entry.get_ref().as_table() {
                Some(table) => tables.push((entry, table)),
                None => self.wrong(
                    &entry.span(),
                    format!("`{key}` is a table: begin it with `{begin}`"),
                ),
            }
        }
        tables
    }

    fn needed_name(
        &mut self,
        entry: &Entry<'_>,
        table: &DeTable<'_>,
        what: &str,
    ) -> Option<String> {
        match get(table, "name") {
            Some(value) => self.name(value, "name"),
            None => {
                self.wrong(&entry.span(), format!("`name` of {what} is missing"));
                None
            }
        }
    }

    fn unique<'n>(
        &mut self,
        entry: &Entry<'_>,
        what: &str,
        name: &str,
        mut others: impl Iterator<Item = &'n str>,
    ) {
        if others.any(|other| other == name) {
            let what = format!("another {what} is called `{name}`; names are unique");
            self.wrong(&entry.span(), what);
        }
    }

    /// A whole number from 1 on.
    fn count(&mut self, entry: &Entry<'_>, key: &str) -> Option<u32> {
        let found = match entry.get_ref() {
            DeValue::Integer(number) => {
                let read = u32::from_str_radix(number.as_str(), number.radix()).ok();
                match read.filter(|n| (1..=LIMIT_MAX).contains(n)) {
                    Some(count) => return Some(count),
                    None => number.to_string(),
                }
            }
            other => format!("of type {}", other.type_str()),
        };
        let what = format!("`{key}` is {found}; allowed are whole numbers from 1 to {LIMIT_MAX}");
        self.wrong(&entry.span(), what);
        None
    }
}
