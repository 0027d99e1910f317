//! How a service lives and dies: when it is killed, and how it ends at last.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::time::{Duration, Instant};

use aftercall::log::Log;

use crate::service::Service;

/// What a supervisor grants a process between SIGTERM and `kill -9`.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Longer than profiles are merged, and a tick on its way: after so long nothing is due any more, or something always is.
const QUIET: Duration = Duration::from_millis(2_500);

/// Something is applied within this time until all is, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// After so many stops in order, each of which a tick came before, no further one is tried.
const STOPS_MAX: u32 = 50;

/// Kills the service `times` times at moments drawn from `seed`, and starts it each time again.
///
/// Some lives end while they recover, most while they apply, and each fourth while it finishes: a snapshot is
/// written then, so the kill falls into it. Each seventh stops in order first, so that later lives recover from a
/// whole generation.
pub async fn kill_often(service: &mut Service, times: u32, seed: u64) {
    let mut random = Random(seed);
    for number in 0..times {
        let life = match number % 4 {
            0 => random.between(20, 200),
            1 | 2 => random.between(300, 1_900),
            _ => random.between(700, 1_500),
        };
        tokio::time::sleep(life).await;
        if number % 7 == 6 {
            service.until_ready().await;
            stop(service).await;
            service.start();
            tokio::time::sleep(random.between(100, 900)).await;
        }
        if number % 4 == 3 {
            service.until_ready().await;
            service.ask_to_stop();
            tokio::time::sleep(random.between(0, 60)).await;
            // Whether it was quicker than we does not matter: its stopping was cut off, or it had stopped.
            service.kill();
        } else {
            assert!(service.kill(), "it ended by itself: {}", service.log());
        }
        service.start();
    }
}

/// Lets the service apply everything and what is due pass, and stops it.
///
/// Over long traffic something is always due: a tick may come between the last look and the stop, and who stops does not
/// apply it any more. Then it lives once more.
pub async fn end(service: &mut Service, log: &Log) {
    for _ in 0..STOPS_MAX {
        service.until_ready().await;
        let applied = apply_all(service, log).await;
        let diverged = service.figures("aftercall_replay_divergence_total").await;
        assert_eq!(diverged, [(String::new(), 0)]);
        let (_, text) = service.readiness().await.expect("it answers");
        assert!(text.contains("\"ready\""), "{text}");
        stop(service).await;
        if log.bounds().await.expect("the log's bounds").last == applied {
            return;
        }
        service.start();
    }
    panic!("a tick before each of {STOPS_MAX} stops");
}

/// Until all that stands in the log is applied, and nothing has come for a while if there are whiles. The answer is the
/// log's end then.
async fn apply_all(service: &Service, log: &Log) -> u64 {
    let mut moved = Instant::now();
    let (mut stood, mut end) = (Vec::new(), 0);
    let (mut quiet_since, mut applied_since) = (Instant::now(), None);
    loop {
        let last = log.bounds().await.expect("the log's bounds").last;
        let positions = service.figures("aftercall_partition_position").await;
        let all = positions.len() == usize::from(log.partition_count()) * 2;
        let applied = all && positions.iter().all(|(_, applied)| *applied >= last);
        if last != end || !applied {
            (end, quiet_since) = (last, Instant::now());
        }
        if applied {
            let since = applied_since.get_or_insert_with(Instant::now).elapsed();
            if quiet_since.elapsed() > QUIET || since > QUIET * 4 {
                return last;
            }
        }
        if positions != stood {
            (stood, moved) = (positions, Instant::now());
        }
        assert!(
            moved.elapsed() < PATIENCE,
            "the log ends at {last}, partitions stand at {stood:?}: {}",
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stop(service: &mut Service) {
    let (status, took) = service.stop().await;
    println!("stopped with {status} after {took:?}");
    assert!(status.success(), "{status}: {}", service.log());
    assert!(took < STOP_MAX, "stopping took {took:?}: {}", service.log());
}

/// A seeded sequence of draws (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn between(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(from_ms + self.below(to_ms - from_ms))
    }
}
