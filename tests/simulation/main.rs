//! The system against a simple model of itself, under every trouble a seed can think of.
//!
//! The engine, the relay, recovery and snapshots run as in production, on the memory log: virtual time, lost
//! answers, late writes, disconnects, crashes at any await, two owners at once. At the end the named invariants
//! are checked against a reference that applies the same log in the plainest way.
//!
//! `cargo test --test simulation` runs 2,000 seeds; `cargo test --test simulation -- --seeds 100000` more;
//! `-- --seed 42` one, with its story. Each planted bug must be found.

mod invariants;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/reference.rs"]
mod reference;
mod schedule;
#[path = "../support/seeds.rs"]
mod seeds;
#[path = "../support/stories.rs"]
mod stories;
mod story;
mod watcher;

use std::{process::ExitCode, time::Instant};

use aftercall::planted::{self, Bug};

/// Seeds of an ordinary run.
const SEEDS: u64 = 2_000;

/// A planted bug must show within this many seeds.
const SEEDS_TO_FIND: u64 = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("simulation: test");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        return match story::run(seed, true) {
            Ok(()) => {
                println!("seed {seed} holds");
                ExitCode::SUCCESS
            }
            Err(broken) => {
                println!("seed {seed}: {broken}");
                ExitCode::FAILURE
            }
        };
    }
    let began = Instant::now();
    let seeds = number("--seeds").unwrap_or(SEEDS);
    let failed = seeds::run(seeds, |seed| story::run(seed, false));
    println!(
        "simulation: {seeds} seeds in {:.1?}, {} failed",
        began.elapsed(),
        failed.len()
    );
    for (seed, broken) in failed.iter().take(5) {
        println!("seed {seed}: {broken}\n  replay: cargo test --test simulation -- --seed {seed}");
    }
    let mut missed = 0;
    for bug in Bug::ALL {
        match find(bug) {
            Some((seed, broken)) => println!("planted {bug:?} found by seed {seed}: {broken}"),
            None => {
                println!("planted {bug:?} NOT FOUND in {SEEDS_TO_FIND} seeds");
                missed += 1;
            }
        }
    }
    let bad = failed.len() as u64 + missed;
    println!(
        "test result: {} passed; {bad} failed",
        seeds + Bug::ALL.len() as u64 - bad
    );
    if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn find(bug: Bug) -> Option<(u64, String)> {
    planted::plant(Some(bug));
    let found = (0..SEEDS_TO_FIND).find_map(|seed| Some((seed, story::run(seed, false).err()?)));
    planted::plant(None);
    found
}
