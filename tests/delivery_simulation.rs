//! Deliveries under every trouble a seed can think of: crashes at any await, two owners at once, a log that loses
//! answers, stores late and loses the ends of its outputs, dead letters and delivery records, a vendor that fails, hangs,
//! throttles, lies and loses answers.
//!
//! Driver, machine and line run as in production, on the memory log with virtual time. At the end the vendor's own
//! ledger, the events, the dead letters and the line are held to named invariants (`invariants`). Each planted bug
//! must be found.
//!
//! One seed with its story: `DELIVERY_SEED=42 cargo test --test delivery_simulation -- --nocapture one_seed`; more of
//! them: `DELIVERY_SEEDS=20000 cargo test --test delivery_simulation seeds`.

#[path = "delivery_simulation/invariants.rs"]
mod invariants;
#[path = "support/seeds.rs"]
mod seeds;
#[path = "support/stories.rs"]
mod stories;
#[path = "delivery_simulation/story.rs"]
mod story;
#[path = "delivery_simulation/vendor.rs"]
mod vendor;

use aftercall::planted::Bug;

use stories::number;

/// Seeds of an ordinary run.
const SEEDS: u64 = 1_500;

/// A planted bug must show within this many seeds.
const SEEDS_TO_FIND: u64 = 1_500;

#[test]
fn seeds_hold() {
    stories::all_hold("DELIVERY_SEEDS", SEEDS, |seed| story::run(seed, false));
}

#[test]
fn each_planted_bug_is_found() {
    stories::each_is_found(&Bug::OF_DELIVERY, SEEDS_TO_FIND, |seed| {
        story::run(seed, false)
    });
}

#[test]
fn s2_11_a_rate_that_is_not_kept_in_each_lane_is_found() {
    vendor::HIDES_LANES.set(true);
    let found = (0..SEEDS_TO_FIND).find_map(|seed| story::run(seed, false).err());
    vendor::HIDES_LANES.set(false);
    let broken = found.expect("found");
    assert!(broken.contains("lanes_keep_their_distance"), "{broken}");
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(story::ledger(7), story::ledger(7));
    assert_ne!(story::ledger(7), story::ledger(8));
}

#[test]
fn one_seed() {
    let seed = number("DELIVERY_SEED").unwrap_or(1);
    story::run(seed, true).expect("the seed holds");
}
