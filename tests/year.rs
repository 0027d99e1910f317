//! A year of one contact centre: 1,000 agents, 365 workdays, both changes of the clock; exports with corrections,
//! duplicates, late, stale and bad rows; surveys, grants and violations; a provider that refuses, rejects and fails.
//!
//! It is told twice. Once as it passes, over a year of log time, to the product's actors (`passing`). Once as a year
//! that lies behind, through the real program on a real nats-server with the sandbox's marketplace (`centre`). Both
//! times a spreadsheet that shares nothing with the product (`support/spreadsheet.rs`) takes the same log and has to
//! agree to the point: by agent, by workday, by reward. A spreadsheet with a known mistake has to disagree.
//!
//! `cargo test --test year` tells one year; `-- --seed 7` another; `-- --agents 100` a smaller one; `-- --passing`
//! only the first part, `-- --behind` only the second.

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

use calendar::Zone;
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
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now.expect("after 1970").as_millis() as i64;
    let zone = Zone::Berlin;
    let plan = Plan {
        seed: number("--seed").unwrap_or(1),
        agents: number("--agents").unwrap_or(AGENTS),
        today: zone.day(now_ms),
        zone,
    };
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

/// The second telling.
fn lies_behind(plan: &Plan) -> u32 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let told = std::panic::AssertUnwindSafe(|| runtime.block_on(centre::year(plan)));
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
            println!("a year that passes: {sums}; {:.1?}", began.elapsed());
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
