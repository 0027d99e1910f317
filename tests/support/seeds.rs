//! Seeds spread over the cores: each is one story, told alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Runs the stories of all seeds below `seeds`; those that break, by seed, and how.
pub fn run(seeds: u64, story: impl Fn(u64) -> Result<(), String> + Sync) -> Vec<(u64, String)> {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            return failed;
                        }
                        if let Err(broken) = story(seed) {
                            failed.push((seed, broken));
                        }
                    }
                })
            })
            .collect();
        runners
            .into_iter()
            .flat_map(|runner| runner.join().expect("a runner reports, it does not panic"))
            .collect()
    });
    failed.sort();
    failed
}
