//! What a year of one contact centre brings, drawn from a seed: every value is a function of the seed and of what it is
//! about, so a year needs no memory and any agent's can be told alone.
//!
//! The workforce management writes one export a month (31 days), and with it what such systems send besides: a
//! preliminary one that was made before and comes after, corrections of the month before, rows that were late, and the
//! same rows in another file. Other systems tell of surveys and of adjustments, many of them at the midnights and the
//! changes of the clock where a workday is easily taken for its neighbour.

use std::collections::BTreeMap;

use crate::{
    calendar::{self, DAY_MS, Day, HOUR_MS, Zone},
    entry::Entry,
};

/// Workdays of a year.
pub const DAYS: i64 = 365;

/// Workdays of an export.
const MONTH: i64 = 31;

/// Exports of a year.
pub const MONTHS: i64 = (DAYS + MONTH - 1) / MONTH;

/// Columns of metrics, in the order of [`Row::values`].
pub const METRICS: [&str; 2] = ["csat", "adherence"];

/// Years in which a seed's year may end; two of them are leap years.
const YEARS: [i64; 2] = [2021, 2028];

/// A year.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub agents: u64,
    /// The day after its last workday.
    pub today: Day,
    pub zone: Zone,
}

/// Sorts of files, in the order in which those of a month arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The month, and the last two days of the one before.
    Month,
    /// Rows of earlier months that were missing.
    Late,
    /// Made before the month's own, arriving after it.
    Preliminary,
    /// Other values for the month before.
    Correction,
    /// Some rows of the month, once more.
    Copy,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Month,
        Self::Late,
        Self::Preliminary,
        Self::Correction,
        Self::Copy,
    ];
}

/// One file of a month.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    pub kind: Kind,
    pub month: i64,
}

/// What stands in a file for one agent and workday.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub day: Day,
    /// By column; an empty field says nothing.
    pub values: [Option<f64>; 2],
    pub flaw: Option<Flaw>,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    NoAgent,
    NoDate,
    NoNumber,
    StillToCome,
    /// The row before says something else.
    Contradiction,
}

const FLAWS: [Flaw; 5] = [
    Flaw::NoAgent,
    Flaw::NoDate,
    Flaw::NoNumber,
    Flaw::StillToCome,
    Flaw::Contradiction,
];

/// Something that other systems tell, when it arrives where time passes, and in which month.
#[derive(Clone, Debug)]
pub struct Told {
    pub arrives_ms: i64,
    pub month: i64,
    pub entry: Entry,
    /// Of the event that tells it.
    pub id: String,
}

impl Plan {
    /// The year of a seed, on days of its own: it is the same whenever it is told.
    pub fn new(seed: u64, agents: u64, zone: Zone) -> Self {
        let [from, to] = [
            calendar::day(YEARS[0], 1, 1),
            calendar::day(YEARS[1] + 1, 1, 1),
        ];
        let place = mix(mix(seed) ^ mix(DAYS as u64)) % (to - from) as u64;
        Self {
            seed,
            agents,
            today: from + place as i64,
            zone,
        }
    }

    /// The same year, ended the last time that its date came round before `today`. What is drawn hangs on the place in
    /// the year, so only the weekdays and the changes of the clock are another year's.
    pub fn ended_before(&self, today: Day) -> Self {
        let (_, month, day) = calendar::date(self.today);
        let (year, ..) = calendar::date(today);
        let ends = [year, year - 1].map(|year| calendar::day(year, month, day));
        let ended = ends.into_iter().find(|end| *end < today);
        Self {
            today: ended.unwrap_or(today - 1),
            ..self.clone()
        }
    }

    pub fn first(&self) -> Day {
        self.today - DAYS
    }

    /// The place of a day in the year, for what is drawn about it.
    fn nth(&self, day: Day) -> i64 {
        day - self.first()
    }

    /// The id of an agent; some need care in files and in subjects.
    pub fn name(number: u64) -> String {
        match number {
            7 => "zoë.k".to_owned(),
            11 => "smith, j".to_owned(),
            13 => "a/13 \"x\"".to_owned(),
            _ => format!("agent-{number:04}"),
        }
    }

    pub fn draw(&self, about: &[i64]) -> u64 {
        about
            .iter()
            .fold(mix(self.seed), |drawn, part| mix(drawn ^ mix(*part as u64)))
    }

    /// One in so many.
    fn one_in(&self, sides: u64, about: &[i64]) -> bool {
        self.draw(about).is_multiple_of(sides)
    }

    fn share(&self, about: &[i64]) -> f64 {
        (self.draw(about) >> 11) as f64 / (1_u64 << 53) as f64
    }

    // Files.

    fn days_of(&self, month: i64) -> std::ops::Range<Day> {
        let begin = self.first() + month * MONTH;
        begin..(begin + MONTH).min(self.today)
    }

    /// When the last workday of a month ends.
    fn end_ms(&self, month: i64) -> i64 {
        self.zone.midnight_ms(self.days_of(month).end)
    }

    /// When an export was recorded.
    pub fn recorded_ms(&self, export: Export) -> i64 {
        let minutes = |after: i64| self.end_ms(export.month) + after * 60_000;
        match export.kind {
            Kind::Preliminary => self.end_ms(export.month) - 20 * HOUR_MS,
            Kind::Month | Kind::Copy => minutes(1),
            Kind::Late => minutes(2),
            Kind::Correction => minutes(3),
        }
    }

    /// When it arrives where time passes.
    pub fn arrives_ms(&self, export: Export) -> i64 {
        let place = Kind::ALL.iter().position(|kind| *kind == export.kind);
        self.end_ms(export.month) + HOUR_MS * (1 + place.unwrap_or(0) as i64)
    }

    fn values(&self, agent: i64, day: Day, version: i64) -> [Option<f64>; 2] {
        let day = self.nth(day);
        let talent = self.share(&[agent, -1]);
        let is_good = self.share(&[agent, day, version, 1]) < 0.25 + 0.6 * talent;
        let is_better = self.one_in(4, &[agent, day, version, 2]);
        let csat = f64::from(u8::from(is_good) * (1 + u8::from(is_better)));
        let has_adherence = self.one_in(4, &[agent, day, 3]);
        let hundredths = 88 + self.draw(&[agent, day, version, 4]) % 12;
        [
            Some(csat),
            has_adherence.then_some(hundredths as f64 / 100.0),
        ]
    }

    /// How many months late a row is.
    fn delay(&self, agent: i64, day: Day) -> i64 {
        let day = self.nth(day);
        match self.one_in(150, &[agent, day, 5]) {
            true => 1 + (self.draw(&[agent, day, 6]) % 8) as i64,
            false => 0,
        }
    }

    /// What stands in a file for an agent.
    pub fn rows(&self, export: Export, agent: u64) -> Vec<Row> {
        let (agent, month) = (agent as i64, export.month);
        let days = self.days_of(month);
        let row = |day, version| Row {
            day,
            values: self.values(agent, day, version),
            flaw: None,
        };
        match export.kind {
            Kind::Month => {
                let begin = if month > 0 {
                    days.start - 2
                } else {
                    days.start
                };
                let there = (begin..days.end).filter(|day| self.delay(agent, *day) == 0);
                there
                    .flat_map(|day| {
                        let bad = self
                            .one_in(2_000, &[agent, day, 7])
                            .then(|| self.bad(agent, day));
                        let good = row(day, 0);
                        match bad {
                            // It stands in the place of a good one, but a contradiction follows it.
                            Some(bad) if bad.flaw == Some(Flaw::Contradiction) => vec![good, bad],
                            Some(bad) => vec![bad],
                            None => vec![good],
                        }
                    })
                    .collect()
            }
            Kind::Late => (self.first()..days.start)
                .filter(|day| self.delay(agent, *day) > 0)
                .filter(|day| (day - self.first()) / MONTH + self.delay(agent, *day) == month)
                .map(|day| row(day, 0))
                .collect(),
            Kind::Preliminary => (days.start..days.end - 2)
                .filter(|day| self.one_in(30, &[agent, self.nth(*day), 8]))
                .map(|day| row(day, 1))
                .collect(),
            Kind::Correction if month == 0 => Vec::new(),
            Kind::Correction => self
                .days_of(month - 1)
                .filter(|day| self.one_in(30, &[agent, self.nth(*day), 9]))
                .map(|day| row(day, 2))
                .collect(),
            Kind::Copy if agent % 20 != month % 20 => Vec::new(),
            Kind::Copy => days
                .filter(|day| self.delay(agent, *day) == 0)
                .filter(|day| !self.one_in(2_000, &[agent, self.nth(*day), 7]))
                .map(|day| row(day, 0))
                .collect(),
        }
    }

    fn bad(&self, agent: i64, day: Day) -> Row {
        let flaw = FLAWS[(self.draw(&[agent, self.nth(day), 10]) % 5) as usize];
        let [csat, adherence] = self.values(agent, day, 0);
        let csat = match flaw {
            Flaw::Contradiction => csat.map(|value| value + 3.0),
            _ => csat,
        };
        Row {
            day,
            values: [csat, adherence],
            flaw: Some(flaw),
        }
    }

    // What other systems tell.

    /// Everything that is told of an agent besides the files.
    pub fn told(&self, number: u64) -> Vec<Told> {
        let mut told = self.surveys(number);
        told.extend(self.adjustments(number));
        told
    }

    fn some_day(&self, about: &[i64]) -> Day {
        self.first() + (self.draw(about) % DAYS as u64) as i64
    }

    fn month_of(&self, day: Day) -> i64 {
        ((day - self.first()) / MONTH).clamp(0, MONTHS - 1)
    }

    fn surveys(&self, number: u64) -> Vec<Told> {
        let (agent, name) = (number as i64, Self::name(number));
        let mut told = Vec::new();
        for n in 0..8 {
            let day = self.some_day(&[agent, n, 20]);
            let in_day = (self.draw(&[agent, n, 21]) % DAY_MS as u64) as i64;
            let at_ms = self.zone.midnight_ms(day) + in_day;
            let csat = [5, 5, 5, 4, 3][(self.draw(&[agent, n, 22]) % 5) as usize];
            let response = format!("r-{number}-{n}");
            let mut say = |revision: u64, csat, after_ms: i64, id: &str| {
                told.push(Told {
                    arrives_ms: at_ms + after_ms,
                    month: self.month_of(day),
                    entry: Entry::Survey {
                        agent: name.clone(),
                        response: response.clone(),
                        revision,
                        csat,
                        at_ms,
                    },
                    id: format!("{response}-{id}"),
                });
            };
            let revised = if csat == 5 { 4 } else { 5 };
            match self.draw(&[agent, n, 23]) % 12 {
                0 | 1 => {
                    say(0, csat, HOUR_MS, "first");
                    say(1, revised, 3 * HOUR_MS, "revised");
                }
                2 => {
                    say(1, revised, HOUR_MS, "revised");
                    say(0, csat, 2 * HOUR_MS, "first");
                }
                3 => {
                    say(0, csat, HOUR_MS, "first");
                    say(0, csat, 4 * HOUR_MS, "again");
                }
                _ => say(0, csat, HOUR_MS, "first"),
            }
        }
        told
    }

    /// The instants at which the clock is changed, of those within the year.
    pub fn changes(&self) -> Vec<i64> {
        let (from, _, _) = calendar::date(self.first());
        let all = [from, from + 1]
            .map(calendar::changes)
            .into_iter()
            .flatten();
        let within = self.zone.midnight_ms(self.first())..self.zone.midnight_ms(self.today);
        all.filter(|at_ms| within.contains(at_ms)).collect()
    }

    fn adjustments(&self, number: u64) -> Vec<Told> {
        let (agent, name) = (number as i64, Self::name(number));
        let mut all: Vec<(i64, i64)> = Vec::new();
        if number.is_multiple_of(8) {
            for (place, at_ms) in self.changes().into_iter().enumerate() {
                let day = self.zone.day(at_ms);
                let [begin, end] = [day, day + 1].map(|day| self.zone.midnight_ms(day));
                let points = 3 + 10 * place as i64;
                all.extend([
                    (begin - 1, points),
                    (begin, points + 1),
                    (at_ms - 1, points + 2),
                    (at_ms, -points),
                    (end - 1, points + 3),
                    (end, -points - 1),
                ]);
            }
        }
        for n in 0..2 {
            let midnight_ms = self.zone.midnight_ms(self.some_day(&[agent, n, 30]));
            all.push((midnight_ms - n, 5 - 3 * n));
        }
        let some_ms = |about| self.zone.midnight_ms(self.some_day(&[agent, about])) + 9 * HOUR_MS;
        if number % 4 == 1 {
            all.push((some_ms(31), 60));
        }
        if number % 5 == 2 {
            all.push((some_ms(32), -25));
        }
        if number % 6 == 3 {
            // Violations, late enough that something was issued.
            for n in 0..2 {
                let late = (self.draw(&[agent, n, 33]) % 190) as i64;
                let day = self.today - 1 - late;
                let points = 500 + (self.draw(&[agent, n, 34]) % 800) as i64;
                all.push((self.zone.midnight_ms(day) + 10 * HOUR_MS, -points));
            }
        }
        if number.is_multiple_of(50) {
            // Nobody counts that any more.
            all.push((self.zone.midnight_ms(self.first() - 40), 1_000));
        }
        let mut told = Vec::new();
        for (n, (at_ms, points)) in all.into_iter().enumerate() {
            let id = format!("adj-{number}-{n}");
            let day = self.zone.day(at_ms);
            let after_ms = (self.draw(&[agent, n as i64, 35]) % (2 * DAY_MS as u64)) as i64;
            let times = 1 + usize::from(self.one_in(7, &[agent, n as i64, 36]));
            for time in 0..times {
                told.push(Told {
                    arrives_ms: at_ms.max(self.zone.midnight_ms(self.first())) + after_ms,
                    month: self.month_of(day),
                    entry: Entry::Adjusted {
                        agent: name.clone(),
                        id: id.clone(),
                        points,
                        at_ms,
                    },
                    id: format!("{id}-{time}"),
                });
            }
        }
        told
    }

    // The office's own sum.

    /// What files, surveys and adjustments give an agent in the workdays from `start` on: of several values the one
    /// recorded last, whatever arrived when. Knows nothing of rewards.
    pub fn given(&self, number: u64, start: Day, points: fn(&str, f64) -> i64) -> i64 {
        let mut rows = BTreeMap::<(Day, usize), (i64, f64)>::new();
        for month in 0..MONTHS {
            for kind in Kind::ALL {
                let export = Export { kind, month };
                let recorded_ms = self.recorded_ms(export);
                let good = self.rows(export, number).into_iter();
                for row in good.filter(|row| row.flaw.is_none() && row.day >= start) {
                    for (column, value) in row.values.into_iter().enumerate() {
                        let Some(value) = value else { continue };
                        let old = rows.entry((row.day, column)).or_insert((i64::MIN, 0.0));
                        if recorded_ms >= old.0 {
                            *old = (recorded_ms, value);
                        }
                    }
                }
            }
        }
        let rows = rows
            .iter()
            .map(|((_, column), (_, value))| points(METRICS[*column], *value));
        let (mut surveys, mut adjustments) = (BTreeMap::new(), BTreeMap::new());
        for told in self.told(number) {
            match told.entry {
                Entry::Survey {
                    response,
                    revision,
                    csat,
                    at_ms,
                    ..
                } if self.zone.day(at_ms) >= start => {
                    let best = surveys.entry(response).or_insert((revision, csat));
                    *best = (*best).max((revision, csat));
                }
                Entry::Adjusted {
                    id, points, at_ms, ..
                } if self.zone.day(at_ms) >= start => {
                    adjustments.insert(id, points);
                }
                _ => {}
            }
        }
        let stars = surveys.values().filter(|(_, csat)| *csat == 5).count() as i64;
        rows.sum::<i64>() + 10 * stars + adjustments.values().sum::<i64>()
    }
}

/// SplitMix64's finish: neighbours in, strangers out.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
