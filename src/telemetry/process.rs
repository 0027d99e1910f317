//! What the operating system says of this process, under the names every Prometheus client uses.
//!
//! Read from `/proc` at each scrape; elsewhere than on Linux the figures stay 0. No crate is needed for four files.

use std::fs;

use prometheus::{Counter, IntGauge};

use super::Maker;

/// Clock ticks a second in `/proc/self/stat`: a constant of the kernel's interface on every platform we build for.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) struct ProcessMetrics {
    resident_bytes: IntGauge,
    cpu_seconds: Counter,
    open_files: IntGauge,
    threads: IntGauge,
}

impl ProcessMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            resident_bytes: make.gauge(
                "process_resident_memory_bytes",
                "Resident memory of this process in bytes",
            ),
            cpu_seconds: make.float_counter(
                "process_cpu_seconds_total",
                "User and system CPU time this process has used, in seconds",
            ),
            open_files: make.gauge(
                "process_open_fds",
                "File descriptors this process holds open",
            ),
            threads: make.gauge("process_threads", "Threads of this process"),
        }
    }

    /// Takes new readings. What cannot be read keeps its last value.
    pub(super) fn read(&self) {
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            if let Some(kib) = field(&status, "VmRSS:") {
                self.resident_bytes.set(kib.saturating_mul(1024));
            }
            if let Some(threads) = field(&status, "Threads:") {
                self.threads.set(threads);
            }
        }
        if let Some(ticks) = fs::read_to_string("/proc/self/stat")
            .ok()
            .as_deref()
            .and_then(cpu_ticks)
        {
            // Two scrapes at once may both add a difference; the next one finds nothing to add and time catches up.
            let seconds = ticks as f64 / TICKS_PER_SECOND;
            self.cpu_seconds
                .inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files
                .set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}

fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time, fields 14 and 15. The program's name, field 2, may hold spaces and parentheses, so fields
/// are counted from its closing one.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 500 0 0 0 123 45 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn a_field_of_status_is_found_by_its_name() {
        let status = "Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(2048));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
