//! Every metric of the process, in one place, and the set-up of logs.
//!
//! A leaf: hosts, HTTP and commands write here, nothing here knows them. Names carry base units (`_seconds`,
//! `_bytes`, `_total`), and no label ever holds an agent's, a customer's or an event's id, so that the number of
//! series is known beforehand. What is counted per event is resolved to a plain counter once ([`Metrics::applied`],
//! [`Metrics::output`], [`Metrics::ignored`]): an increment is one atomic addition. Gauges that mirror the
//! partitions' board are written at each scrape by `desk/scrape.rs`, so that hosts need not keep them.

use std::{sync::LazyLock, time::Duration};

use aftercall_actors::{
    contract::{key::Side, output::Kind},
    effect::Ignored,
};
use prometheus::{
    Counter, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub mod delivery;
pub mod imports;
pub mod logging;
mod process;
pub mod status;

/// `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Bounds of every latency histogram: 50 us to 10 s.
const SECONDS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// The process's metrics.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &METRICS
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// Every actor: a generation.
    Full,
    /// What changed since the last snapshot.
    Difference,
}

impl SnapshotKind {
    const ALL: [Self; 2] = [Self::Full, Self::Difference];

    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Difference => "difference",
        }
    }
}

/// Handles to all metrics. Increments are atomic additions, usable from any thread.
pub struct Metrics {
    registry: Registry,
    process: process::ProcessMetrics,
    /// Of destinations.
    pub delivery: delivery::DeliveryMetrics,
    /// Of imports.
    pub imports: imports::ImportMetrics,
    /// Events read from the log, each counted once however many partitions apply it.
    pub events_read: IntCounter,
    applied: [IntCounter; Side::ALL.len()],
    outputs: [IntCounter; Kind::ALL.len()],
    ignored: [IntCounter; Ignored::ALL.len()],
    quarantined: IntCounterVec,
    rule_failures: IntCounterVec,
    commits: [IntCounter; Side::ALL.len()],
    /// From a commit's sending to the log's answer.
    pub commit_seconds: Histogram,
    /// From an event's log time to the answer of the commit that covers it.
    pub publish_to_commit_seconds: Histogram,
    /// Commits that lost against another owner's.
    pub fenced_commits: IntCounter,
    /// Commits whose answer was lost, resolved by reading the head.
    pub unknown_commits: IntCounter,
    /// Outputs that replay produced at or before the committed position and that differ from what was committed.
    pub replay_divergence: IntCounter,
    /// Actors' states that did not fit into a journal record.
    pub states_left_out: IntCounter,
    snapshots: [IntCounter; SnapshotKind::ALL.len()],
    /// From the start of a snapshot to its last chunk's answer.
    pub snapshot_seconds: Histogram,
    /// Times the reader waited because resident actors reached the memory bound.
    pub memory_waits: IntCounter,
    log_losses: IntCounterVec,
    /// Panics of any task.
    pub panics: IntCounter,
    restarts: IntCounterVec,
    /// Times the log did not take quarantined input.
    pub quarantine_untold: IntCounter,
    /// Versions of the rule file that were refused while the old rules stayed.
    pub rule_files_refused: IntCounter,
    partition_lag: IntGaugeVec,
    partition_position: IntGaugeVec,
    partition_state: IntGaugeVec,
    /// Partitions of this process that a fault has stopped.
    pub stopped_partitions: IntGauge,
    actors: IntGaugeVec,
    /// Estimated bytes of all resident actors.
    pub actor_bytes: IntGauge,
    snapshot_age: GaugeVec,
    relay_backlog: IntGaugeVec,
    http_requests: IntCounterVec,
    logins_failed: IntCounterVec,
    /// Requests whose head could not be read.
    pub http_broken: IntCounter,
    /// Connections closed at once because there were too many.
    pub http_connections_refused: IntCounter,
    log_failures: IntCounterVec,
    log_failing: IntGaugeVec,
    answers_refused: IntCounterVec,
    /// Events of HTTP requests that wait for the log's answer.
    pub http_appends_waiting: IntGauge,
}

impl Metrics {
    /// Times a task of the service began anew after a panic, by its name: one of a known few.
    pub fn restarts(&self, task: &'static str) -> IntCounter {
        self.restarts.with_label_values(&[task])
    }

    /// Events applied on one side.
    pub const fn applied(&self, side: Side) -> &IntCounter {
        &self.applied[side as usize]
    }

    /// Times something the log had confirmed was found to be lost, by what: `events`, `journal`, `outputs`, ...
    pub fn log_losses(&self, of: &str) -> IntCounter {
        self.log_losses.with_label_values(&[of])
    }

    /// Outputs of one kind, counted when they stand in the output stream.
    pub const fn output(&self, kind: Kind) -> &IntCounter {
        &self.outputs[kind.index()]
    }

    /// Events, or parts of one, that changed nothing.
    pub const fn ignored(&self, reason: Ignored) -> &IntCounter {
        &self.ignored[reason as usize]
    }

    /// Events set aside. The reason is a fixed word (`not_json`, `wrong_subject`, ...), never text from the event.
    pub fn quarantined(&self, reason: &'static str) -> IntCounter {
        self.quarantined.with_label_values(&[reason])
    }

    /// Conditions of a rule that could not be evaluated. Rules are few and named by the operator.
    pub fn rule_failure(&self, rule: &str) -> IntCounter {
        self.rule_failures.with_label_values(&[rule])
    }

    /// Calls of the log that failed and can be repeated, by kind of work: one of a known few.
    pub fn log_failures(&self, work: &'static str) -> IntCounter {
        self.log_failures.with_label_values(&[work])
    }

    /// 1 for work that has failed for so long that the process is not ready, or a note says so.
    pub fn log_failing(&self, work: &'static str) -> IntGauge {
        self.log_failing.with_label_values(&[work])
    }

    /// Commits confirmed on one side.
    pub const fn commits(&self, side: Side) -> &IntCounter {
        &self.commits[side as usize]
    }

    /// Snapshots completed.
    pub const fn snapshots(&self, kind: SnapshotKind) -> &IntCounter {
        &self.snapshots[kind as usize]
    }

    /// Events the log holds beyond what a partition (`agent.3`) has applied.
    pub fn partition_lag(&self, partition: &str) -> IntGauge {
        self.partition_lag.with_label_values(&[partition])
    }

    /// Answers of a destination that were too long to be taken (S5.05).
    pub fn answers_refused(&self, destination: &str) -> IntCounter {
        self.answers_refused.with_label_values(&[destination])
    }

    /// Last position a partition has applied.
    pub fn partition_position(&self, partition: &str) -> IntGauge {
        self.partition_position.with_label_values(&[partition])
    }

    /// 1 for the state a partition is in, 0 for the others.
    pub fn partition_state(&self, partition: &str, state: &'static str) -> IntGauge {
        self.partition_state.with_label_values(&[partition, state])
    }

    /// Actors resident on one side, quiet ones included.
    pub fn actors(&self, side: Side) -> IntGauge {
        self.actors.with_label_values(&[side.name()])
    }

    /// Seconds since a partition's last complete snapshot; written by its host.
    pub fn snapshot_age(&self, partition: &str) -> Gauge {
        self.snapshot_age.with_label_values(&[partition])
    }

    /// Outputs committed but not yet in the output stream; written by the partition's host.
    pub fn relay_backlog(&self, partition: &str) -> IntGauge {
        self.relay_backlog.with_label_values(&[partition])
    }

    /// HTTP requests answered. `route` is the pattern of the route, never the path of the request.
    pub fn http_request(&self, route: &'static str, status: u16) -> IntCounter {
        self.http_requests
            .with_label_values(&[route, &status.to_string()])
    }

    /// Requests that were not let in, by reason: one of a known few.
    pub fn login_failed(&self, reason: &'static str) -> IntCounter {
        self.logins_failed.with_label_values(&[reason])
    }

    /// Adds a latency to a histogram of seconds.
    pub fn observe(histogram: &Histogram, elapsed: Duration) {
        histogram.observe(elapsed.as_secs_f64());
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// If the encoder refuses a family; the cause is in its message.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.process.read();
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn new() -> Self {
        let make = Maker(Registry::new());
        let by_side = |vec: IntCounterVec| Side::ALL.map(|s| vec.with_label_values(&[s.name()]));
        let applied = by_side(make.counters(
            "aftercall_events_applied_total",
            "Events an actor took, by side; one with an owner and a customer counts on both, one set aside on none",
            &["side"],
        ));
        let outputs = make.counters(
            "aftercall_outputs_total",
            "Outputs that stand in the output stream, by kind",
            &["kind"],
        );
        let ignored = make.counters(
            "aftercall_ignored_total",
            "Events, or parts of one, that changed nothing, by reason",
            &["reason"],
        );
        let commits = by_side(make.counters(
            "aftercall_commits_total",
            "Journal records confirmed by the log, by side",
            &["side"],
        ));
        let snapshots = make.counters(
            "aftercall_snapshots_total",
            "Snapshots completed, by kind (full, difference)",
            &["kind"],
        );
        let quarantined = make.counters(
            "aftercall_quarantined_total",
            "Events set aside in the dead letters because they could not be processed, by reason",
            &["reason"],
        );
        make.gauges(
            "aftercall_build_info",
            "Always 1; the version is in the label",
            &["version"],
        )
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
        Self {
            events_read: make.counter(
                "aftercall_events_read_total",
                "Events read from the log, each once however many partitions apply it",
            ),
            applied,
            outputs: Kind::ALL.map(|kind| outputs.with_label_values(&[kind.name()])),
            ignored: Ignored::ALL.map(|reason| ignored.with_label_values(&[reason.name()])),
            quarantined,
            rule_failures: make.counters(
                "aftercall_rule_failures_total",
                "Conditions that could not be evaluated, so that the rule did not fire, by rule",
                &["rule"],
            ),
            commits,
            commit_seconds: make.histogram(
                "aftercall_commit_seconds",
                "Seconds from sending a journal record to the log's answer",
            ),
            publish_to_commit_seconds: make.histogram(
                "aftercall_publish_to_commit_seconds",
                "Seconds from an event's log time to the answer of the commit that covers it",
            ),
            fenced_commits: make.counter(
                "aftercall_fenced_commits_total",
                "Commits that found another owner's commit in their place",
            ),
            unknown_commits: make.counter(
                "aftercall_unknown_commits_total",
                "Commits without an answer, resolved by reading the journal's head",
            ),
            replay_divergence: make.counter(
                "aftercall_replay_divergence_total",
                "Outputs that replay produced at or before the committed position, where it must be silent: the logic changed or is not deterministic",
            ),
            states_left_out: make.counter(
                "aftercall_states_left_out_total",
                "Actors' states that did not fit into a journal record: recovery works them out from the events",
            ),
            snapshots: SnapshotKind::ALL.map(|kind| snapshots.with_label_values(&[kind.name()])),
            snapshot_seconds: make.histogram(
                "aftercall_snapshot_seconds",
                "Seconds from the start of a snapshot to the answer for its last chunk",
            ),
            memory_waits: make.counter(
                "aftercall_memory_waits_total",
                "Times the reader waited because resident actors had reached engine.memory_max",
            ),
            quarantine_untold: make.counter(
                "aftercall_quarantine_untold_total",
                "Times the log did not take quarantined input, which then stays in the journal and is tried again",
            ),
            log_losses: make.counters(
                "aftercall_log_losses_total",
                "Times something the log had confirmed was found to be lost",
                &["of"],
            ),
            panics: make.counter(
                "aftercall_panics_total",
                "Panics of any task of this process: mistakes of the program, to be reported",
            ),
            restarts: make.counters(
                "aftercall_restarts_total",
                "Times a task of the service began anew after a panic, by task",
                &["task"],
            ),
            rule_files_refused: make.counter(
                "aftercall_rule_files_refused_total",
                "Versions of the rule file that were refused while the old rules stayed active",
            ),
            partition_lag: make.gauges(
                "aftercall_partition_lag_events",
                "Events the log holds beyond what the partition has applied",
                &["partition"],
            ),
            partition_position: make.gauges(
                "aftercall_partition_position",
                "Last log position the partition has applied",
                &["partition"],
            ),
            partition_state: make.gauges(
                "aftercall_partition_state",
                "1 for the state the partition is in (recovering, running, fenced, stopped), 0 for the others",
                &["partition", "state"],
            ),
            stopped_partitions: make.gauge(
                "aftercall_stopped_partitions",
                "Partitions that a fault has stopped; an operator has to look",
            ),
            actors: make.gauges(
                "aftercall_actors",
                "Actors resident in memory, quiet ones included, by side",
                &["side"],
            ),
            actor_bytes: make.gauge(
                "aftercall_actor_bytes",
                "Estimated bytes of all resident actors; bounded by engine.memory_max",
            ),
            snapshot_age: make.float_gauges(
                "aftercall_snapshot_age_seconds",
                "Seconds since the partition's last complete snapshot",
                &["partition"],
            ),
            relay_backlog: make.gauges(
                "aftercall_relay_backlog_outputs",
                "Outputs committed but not yet in the output stream",
                &["partition"],
            ),
            answers_refused: make.counters(
                "aftercall_delivery_answers_refused_total",
                "Vendors' answers refused because they were longer than answer_max, by destination",
                &["destination"],
            ),
            http_requests: make.counters(
                "aftercall_http_requests_total",
                "HTTP requests answered, by route and status",
                &["route", "status"],
            ),
            logins_failed: make.counters(
                "aftercall_http_logins_failed_total",
                "Requests to /v1 that were not let in, by reason: missing, malformed, unknown, slowed, forbidden",
                &["reason"],
            ),
            http_broken: make.counter(
                "aftercall_http_broken_requests_total",
                "Requests whose head could not be read, did not come in time, or ended lines with a line feed alone",
            ),
            http_connections_refused: make.counter(
                "aftercall_http_connections_refused_total",
                "Connections closed at once because there were as many as the process's descriptors allow",
            ),
            log_failures: make.counters(
                "aftercall_log_failures_total",
                "Calls of the log that failed and are repeated, by kind of work",
                &["work"],
            ),
            log_failing: make.gauges(
                "aftercall_log_failing",
                "1 while this work has failed for 10 s or more, by kind of work",
                &["work"],
            ),
            http_appends_waiting: make.gauge(
                "aftercall_http_appends_waiting",
                "Requests with events that wait for the log's answer; beyond http.waiting_max they are answered 429",
            ),
            delivery: delivery::DeliveryMetrics::new(&make),
            imports: imports::ImportMetrics::new(&make),
            process: process::ProcessMetrics::new(&make),
            registry: make.0,
        }
    }
}

/// Makes metrics and registers them.
struct Maker(Registry);

impl Maker {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::new(name, help))
    }

    fn float_counter(&self, name: &str, help: &str) -> Counter {
        self.registered(Counter::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.registered(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.registered(Histogram::with_opts(opts))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.registered(HistogramVec::new(opts, labels))
    }

    /// Names and labels are constants of this module, and a test makes them all: neither a malformed nor a repeated
    /// one can reach a user, so a failure here is a mistake of this file and nothing to recover from.
    fn registered<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: Result<T, prometheus::Error>,
    ) -> T {
        #[expect(clippy::expect_used, reason = "see above")]
        let metric = metric.expect("metric names and labels in telemetry.rs are well formed");
        #[expect(clippy::expect_used, reason = "see above")]
        self.0
            .register(Box::new(metric.clone()))
            .expect("metric names in telemetry.rs are unique");
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_renders_with_its_help() {
        // A fresh set: the process's own is shared with other tests.
        let metrics = Metrics::new();
        metrics.applied(Side::Customer).inc_by(3);
        metrics.output(Kind::Request).inc();
        metrics.ignored(Ignored::DedupeOverflow).inc_by(2);
        metrics.snapshots(SnapshotKind::Difference).inc();
        metrics.quarantined("not_json").inc();
        metrics.http_request("/v1/events", 202).inc();
        metrics.partition_state("agent.0", "running").set(1);
        Metrics::observe(&metrics.commit_seconds, Duration::from_micros(310));
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "aftercall_events_applied_total{side=\"agent\"} 0",
            "aftercall_events_applied_total{side=\"customer\"} 3",
            "aftercall_outputs_total{kind=\"request\"} 1",
            "aftercall_ignored_total{reason=\"dedupe_overflow\"} 2",
            "aftercall_ignored_total{reason=\"duplicate\"} 0",
            "aftercall_snapshots_total{kind=\"difference\"} 1",
            "aftercall_snapshots_total{kind=\"full\"} 0",
            "aftercall_quarantined_total{reason=\"not_json\"} 1",
            "aftercall_http_requests_total{route=\"/v1/events\",status=\"202\"} 1",
            "aftercall_partition_state{partition=\"agent.0\",state=\"running\"} 1",
            "aftercall_commit_seconds_bucket{le=\"0.00025\"} 0",
            "aftercall_commit_seconds_bucket{le=\"0.0005\"} 1",
            "# TYPE aftercall_stopped_partitions gauge",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in:\n{text}");
        }
        assert!(text.contains(&format!(
            "aftercall_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        )));
        for family in metrics.registry.gather() {
            assert!(
                family.help().len() > 15,
                "{} needs help text",
                family.name()
            );
        }
    }

    #[test]
    fn labels_by_place_are_the_labels_by_name() {
        for (place, reason) in Ignored::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        for (place, side) in Side::ALL.into_iter().enumerate() {
            assert_eq!(side as usize, place);
        }
        for (place, kind) in SnapshotKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
