//! How long to wait: before an attempt is made again, and between attempts under a rate limit.
//!
//! The wait before a retry is drawn from the output's id and the attempt's number, not from a clock or dice, so the same
//! history always waits the same. It is never less than half its step, else a retry could come at once (S1.02); the
//! other half spreads what failed together.

use std::{collections::BTreeMap, time::Duration};

use aftercall_actors::contract::time::LogTime;

use crate::delivery::{
    policy::{Rate, Retry},
    record::LaneRecord,
};

/// Whole milliseconds of a duration, as log time counts.
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The wait after the attempt of this number (from 1): half to all of the step `first` × `factor`^(n-1), which is no
/// more than `max` (S1.02, S3.08).
pub fn backoff(retry: &Retry, output_id: &str, attempt: u32) -> Duration {
    let factor = retry.factor.get().saturating_pow(attempt.saturating_sub(1));
    let longest = retry.first.saturating_mul(factor).min(retry.max);
    let mut seed = output_id.as_bytes().to_vec();
    seed.extend_from_slice(&attempt.to_le_bytes());
    let draw = xxhash_rust::xxh3::xxh3_64(&seed);
    // Where in the interval the draw falls: its share of all 64-bit numbers.
    let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let least_ms = longest_ms.div_ceil(2);
    let room = u128::from(longest_ms - least_ms) + 1;
    let drawn_ms = (u128::from(draw) * room) >> 64;
    Duration::from_millis(least_ms + u64::try_from(drawn_ms).unwrap_or(0))
}

/// Keeps attempts apart under a rate limit, evenly: no burst at the beginning of a period.
///
/// Log time counts milliseconds, and timers wake late. So a rate whose attempts are less than [`COARSE_US`] apart may
/// make up for that much; a slower one (a vendor that counts seconds) keeps to its grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Spacing {
    /// Between attempts; 0: no limit.
    interval_us: i64,
    /// The next attempt may begin then.
    pub free_at_us: i64,
}

const COARSE_US: i64 = 10_000;

const US_PER_MS: i64 = 1_000;

impl Spacing {
    pub fn new(rate: Option<Rate>) -> Self {
        let interval_us = rate.map_or(0, |rate| {
            let us = rate.per.as_micros() / u128::from(rate.count.get());
            i64::try_from(us).unwrap_or(i64::MAX).max(1)
        });
        Self {
            interval_us,
            free_at_us: i64::MIN,
        }
    }

    /// Between attempts, in microseconds; 0 without a limit.
    pub const fn interval_us(&self) -> i64 {
        self.interval_us
    }

    /// The first millisecond in which an attempt may begin.
    pub fn free_at(&self) -> LogTime {
        if self.interval_us == 0 {
            return LogTime(i64::MIN);
        }
        if self.interval_us < COARSE_US {
            // What falls into a millisecond may go when it begins.
            return LogTime(self.free_at_us.div_euclid(US_PER_MS));
        }
        LogTime(
            self.free_at_us
                .saturating_add(US_PER_MS - 1)
                .div_euclid(US_PER_MS),
        )
    }

    /// Notes an attempt begun at `at`.
    pub fn note(&mut self, at: LogTime) {
        if self.interval_us == 0 {
            return;
        }
        let at_us = at.0.saturating_mul(US_PER_MS);
        // Of a slow one only what rounding to whole milliseconds cost, or the grid would drift.
        let lateness = if self.interval_us < COARSE_US {
            COARSE_US
        } else {
            US_PER_MS - 1
        };
        // After a rest the grid begins anew: rest is not saved up for a burst.
        let is_late = self.free_at_us < at_us.saturating_sub(lateness);
        let from = if is_late { at_us } else { self.free_at_us };
        self.free_at_us = from.saturating_add(self.interval_us);
    }
}

/// Places within a destination that each have the rate to themselves, and are paused by themselves: channels of
/// Slack's (S2.11). A lane is remembered while it is not free.
#[derive(Clone, Debug, PartialEq)]
pub struct Lanes {
    rate: Option<Rate>,
    by_name: BTreeMap<String, Lane>,
    /// Free lanes are forgotten once there are so many.
    tidy_at: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Lane {
    spacing: Spacing,
    paused_until: LogTime,
}

impl Lane {
    fn free_at(&self) -> LogTime {
        self.spacing.free_at().max(self.paused_until)
    }
}

impl Lanes {
    const TIDY_MIN: usize = 64;

    pub const fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            by_name: BTreeMap::new(),
            tidy_at: Self::TIDY_MIN,
        }
    }

    /// The first millisecond in which an attempt may begin that needs all of these.
    pub fn free_at(&self, names: &[String]) -> LogTime {
        let lanes = names.iter().filter_map(|name| self.by_name.get(name));
        let free = lanes.map(Lane::free_at).max();
        free.unwrap_or(LogTime(i64::MIN))
    }

    /// Notes an attempt begun at `at`.
    pub fn note(&mut self, names: &[String], at: LogTime) {
        for name in names {
            self.lane(name).spacing.note(at);
        }
        self.tidy(at);
    }

    /// Keeps these from being used before `until`.
    pub fn pause(&mut self, names: &[String], until: LogTime) {
        for name in names {
            let lane = self.lane(name);
            lane.paused_until = lane.paused_until.max(until);
        }
    }

    pub fn records(&self) -> Vec<LaneRecord> {
        let record = |(name, lane): (&String, &Lane)| LaneRecord {
            name: name.clone(),
            free_at_us: lane.spacing.free_at_us,
            paused_until_ms: lane.paused_until.0,
        };
        self.by_name.iter().map(record).collect()
    }

    pub fn remember(&mut self, records: &[LaneRecord]) {
        self.by_name.clear();
        for record in records {
            let lane = self.lane(&record.name);
            lane.spacing.free_at_us = record.free_at_us;
            lane.paused_until = LogTime(record.paused_until_ms);
        }
        self.tidy_at = Self::TIDY_MIN.max(self.by_name.len() * 2);
    }

    /// Changes the spacing and the pause of each.
    pub fn each(&mut self, mut change: impl FnMut(&mut Spacing, &mut LogTime)) {
        for lane in self.by_name.values_mut() {
            change(&mut lane.spacing, &mut lane.paused_until);
        }
    }

    fn lane(&mut self, name: &str) -> &mut Lane {
        let rate = self.rate;
        self.by_name.entry(name.to_owned()).or_insert_with(|| Lane {
            spacing: Spacing::new(rate),
            paused_until: LogTime(i64::MIN),
        })
    }

    fn tidy(&mut self, now: LogTime) {
        if self.by_name.len() >= self.tidy_at {
            self.by_name.retain(|_, lane| lane.free_at() > now);
            self.tidy_at = Self::TIDY_MIN.max(self.by_name.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate(count: u32, per: Duration) -> Spacing {
        let count = NonZeroU32::new(count).expect("not zero");
        Spacing::new(Some(Rate { count, per }))
    }

    /// Begins of `wanted` attempts from 0 on, each as soon as it may.
    fn begins(mut spacing: Spacing, wanted: usize) -> Vec<i64> {
        let mut now = LogTime(0);
        (0..wanted)
            .map(|_| {
                now = now.max(spacing.free_at());
                spacing.note(now);
                now.0
            })
            .collect()
    }

    #[test]
    fn s2_11_one_a_second_is_never_sooner_than_a_second() {
        assert_eq!(
            begins(rate(1, Duration::from_secs(1)), 3),
            [0, 1_000, 2_000]
        );
        assert_eq!(
            begins(rate(3, Duration::from_secs(1)), 4),
            [0, 334, 667, 1_000]
        );
        // Late for one: the next keeps its distance from it.
        let mut spacing = rate(4, Duration::from_secs(1));
        spacing.note(LogTime(0));
        spacing.note(LogTime(400));
        assert_eq!(spacing.free_at(), LogTime(650));
    }

    #[test]
    fn four_thousand_a_second_are_four_a_millisecond_and_make_up_for_ten_late_ones() {
        let spacing = rate(4_000, Duration::from_secs(1));
        let begun = begins(spacing.clone(), 4_000);
        assert!(begun.iter().all(|at| *at < 1_000));
        assert_eq!(begins(spacing.clone(), 4_001).last(), Some(&1_000));
        for (late, soon) in [(10, true), (11, false)] {
            let mut spacing = spacing.clone();
            spacing.note(LogTime(0));
            spacing.note(LogTime(late));
            assert_eq!(spacing.free_at() < LogTime(late), soon, "{late} ms late");
        }
    }

    #[test]
    fn s2_11_each_lane_has_the_rate_and_the_pauses_to_itself() {
        let rate = Rate {
            count: NonZeroU32::MIN,
            per: Duration::from_secs(1),
        };
        let mut lanes = Lanes::new(Some(rate));
        let [a, b] = [["A".to_owned()], ["B".to_owned()]];
        let both = [a[0].clone(), b[0].clone()];
        lanes.note(&a, LogTime(0));
        lanes.pause(&b, LogTime(300));
        assert_eq!(lanes.free_at(&a), LogTime(1_000));
        assert_eq!(lanes.free_at(&b), LogTime(300));
        assert_eq!(lanes.free_at(&both), LogTime(1_000));
        assert_eq!(lanes.free_at(&["C".to_owned()]), LogTime(i64::MIN));
        let mut again = Lanes::new(Some(rate));
        again.remember(&lanes.records());
        assert_eq!(again.free_at(&both), LogTime(1_000));
        // Lanes that are free are not kept for ever.
        for n in 0..10_000_i64 {
            lanes.note(&[n.to_string()], LogTime(n * 1_000));
        }
        assert!(lanes.records().len() <= 2 * Lanes::TIDY_MIN);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(begins(Spacing::new(None), 3), [0, 0, 0]);
    }
}
