//! Seeds as stories: what each is drawn from, the virtual time it is told in, and that all hold and each planted bug is
//! found.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::time::Duration;

use aftercall::planted::{self, Bug};

use crate::seeds;

/// A seeded sequence of draws (xorshift64*).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

/// Tells a story on one thread, in time that passes only while all wait; one that is longer than `life_max` is broken.
pub fn in_virtual_time<T>(
    life_max: Duration,
    story: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let life = tokio::time::timeout(life_max, story).await;
        life.unwrap_or_else(|_| Err("ends: it never did".to_owned()))
    })
}

/// A number from the environment, if it is set there.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs as many seeds as the variable says, else `seeds`.
pub fn all_hold(variable: &str, seeds: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let seeds = number(variable).unwrap_or(seeds);
    let began = std::time::Instant::now();
    let failed = seeds::run(seeds, run);
    println!("{seeds} seeds in {:.1?}", began.elapsed());
    for (seed, broken) in failed.iter().take(5) {
        println!("seed {seed}: {broken}");
    }
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "broken in seeds {seeds:?}");
}

/// Each bug, planted alone, breaks one of the first `within` seeds.
pub fn each_is_found(bugs: &[Bug], within: u64, run: impl Fn(u64) -> Result<(), String>) {
    for bug in bugs {
        planted::plant(Some(*bug));
        let found = (0..within).find_map(|seed| Some((seed, run(seed).err()?)));
        planted::plant(None);
        let (seed, broken) = found.unwrap_or_else(|| panic!("{bug:?} not found in {within} seeds"));
        println!("planted {bug:?} found by seed {seed}: {broken}");
    }
}
