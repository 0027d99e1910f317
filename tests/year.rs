//! A year of one contact centre: 1,000 agents, 365 workdays, both changes of the clock; exports with corrections,
//! duplicates, late, stale and bad rows; surveys, grants and violations; a provider that refuses, rejects and fails.
//!
//! It is told twice. Once as it passes, over a year of log time, to the product's actors (`passing`). Once as a year
//! that lies behind, through the real program on a real nats-server with the sandbox's marketplace (`centre`). Both
//! times a spreadsheet that shares nothing with the product (`support/spreadsheet.rs`) takes the same log and has to
//! agree to the point: by agent, by workday, by reward. A spreadsheet with a known mistake has to disagree.
//!
//! The seed says on which days the year is, so it is the same whenever it is told. Only the second telling knows today,
//! by the clock of a real server: its year is the last one that ended on the seed's date, and its window is as long as
//! it takes to begin in the sixth week.
//!
//! `cargo test --test year` tells one year; `-- --seed 7` another; `-- --agents 100` a smaller one; `-- --passing`
//! only the first part, `-- --behind` only the second. `-- --seeds 50 --days 60` lets the years of so many seeds pass,
//! each ending on the first day of `--from 2027-10-01` and on so many after it, a week apart with `--step 7`.

#[path = "support/calendar.rs"]
mod calendar;
#[path = "year/centre.rs"]
mod centre;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/entry.rs"]
mod entry;
#[path = "kill/lives.rs"]
mod lives;
#[path = "support/marketplace.rs"]
mod marketplace;
#[path = "support/nats.rs"]
mod nats;
#[path = "year/passing.rs"]
mod passing;
#[path = "year/plan.rs"]
mod plan;
#[path = "cli/program.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "year/rules.rs"]
mod rules;
#[path = "support/seeds.rs"]
mod seeds;
#[path = "support/service.rs"]
mod service;
#[path = "support/spreadsheet.rs"]
mod spreadsheet;
#[path = "support/terms.rs"]
mod terms;
#[path = "year/written.rs"]
mod written;

use std::{process::ExitCode, time::Instant};

use calendar::{City, Day, HOUR_MS, Zone};
use plan::Plan;
use spreadsheet::{Slip, Terms};

/// Agents of an ordinary run.
const AGENTS: u64 = 1_000;

/// Agents among whom a mistake has to show.
const AGENTS_TO_FIND: u64 = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--list") {
        println!("year: test");
        return ExitCode::SUCCESS;
    }
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    let seed = number("--seed").unwrap_or(1);
    let agents = number("--agents").unwrap_or(AGENTS);
    let plan = Plan::new(seed, agents, Zone::In(City::Berlin));
    if has("--seeds") || has("--days") {
        let days = number("--days").unwrap_or(1) as Day;
        let from = value("--from").map_or(plan.today, |day| calendar::read(day));
        let step = number("--step").unwrap_or(1) as usize;
        let last_days = (from..).step_by(step).take(days as usize);
        return sweep(&plan, number("--seeds").unwrap_or(1), last_days);
    }
    let mut failed = 0;
    if !has("--behind") {
        failed += passes(&plan);
    }
    if !has("--passing") {
        failed += lies_behind(&plan);
    }
    println!("test result: {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        println!("  replay: cargo test --test year -- --seed {}", plan.seed);
        ExitCode::FAILURE
    }
}

/// Lets many years pass: those of `seeds` seeds from the plan's on, each ending on each of `days`.
fn sweep(plan: &Plan, seeds: u64, days: impl Iterator<Item = Day>) -> ExitCode {
    let rules = rules::rules(&rules::PASSING);
    let terms = rules::terms(&rules::PASSING);
    let (mut told, mut failed) = (0, 0);
    for today in days {
        let date = calendar::written(today);
        let mut all = passing::Sums::default();
        for seed in plan.seed..plan.seed + seeds {
            let plan = Plan {
                seed,
                today,
                ..plan.clone()
            };
            told += 1;
            match passing::year(&plan, &rules, &terms) {
                Ok(sums) => all.join(sums),
                Err(broken) => {
                    println!("seed {seed} to {date}: {broken}");
                    failed += 1;
                }
            }
        }
        if !passing::is_eventful(&all) {
            println!("to {date}: too little happened");
            failed += 1;
        }
        println!("to {date}: {told} years told, {failed} failed; {all}");
    }
    ExitCode::from(u8::from(failed > 0))
}

/// Where it is not midnight within the hour: a workday that ends while the year is told would be another story.
fn city(now_ms: i64) -> City {
    let berlin = Zone::In(City::Berlin);
    let midnight_ms = berlin.midnight_ms(berlin.day(now_ms) + 1);
    match midnight_ms - now_ms < HOUR_MS {
        // It is past there.
        true => City::Helsinki,
        false => City::Berlin,
    }
}

/// The second telling.
fn lies_behind(plan: &Plan) -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now.expect("after 1970").as_millis() as i64;
    let city = city(now_ms);
    let zone = Zone::In(city);
    let today = zone.day(now_ms);
    let plan = Plan {
        zone,
        ..plan.ended_before(today)
    };
    let numbers = rules::at_once(&plan, city, today);
    println!(
        "a year behind: it ended on {} in {city:?}, the window is {} days",
        calendar::written(plan.today),
        numbers.window_days
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let told = std::panic::AssertUnwindSafe(|| runtime.block_on(centre::year(&plan, numbers)));
    // The panic has said what does not hold.
    u32::from(std::panic::catch_unwind(told).is_err())
}

/// The first telling, and the mistakes that it has to find.
fn passes(plan: &Plan) -> u32 {
    let began = Instant::now();
    let rules = rules::rules(&rules::PASSING);
    let terms = rules::terms(&rules::PASSING);
    let mut failed = 0;
    match passing::year(plan, &rules, &terms) {
        Ok(sums) => {
            let date = calendar::written(plan.today);
            println!(
                "a year that passes, to {date}: {sums}; {:.1?}",
                began.elapsed()
            );
            if !passing::is_eventful(&sums) {
                println!("too little happened");
                failed += 1;
            }
        }
        Err(broken) => {
            println!("a year that passes: {broken}");
            failed += 1;
        }
    }
    let few = Plan {
        agents: AGENTS_TO_FIND,
        ..plan.clone()
    };
    for slip in Slip::ALL {
        let slipped = Terms {
            slip: Some(slip),
            ..terms.clone()
        };
        match passing::year(&few, &rules, &slipped) {
            Ok(_) => {
                println!("{slip:?} NOT FOUND");
                failed += 1;
            }
            Err(found) => {
                let line = found.lines().next().unwrap_or_default();
                println!("{slip:?} found: {}", &line[..line.floor_char_boundary(110)]);
            }
        }
    }
    failed
}
