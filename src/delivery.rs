//! The durable queue of a destination: takes outputs from the log and hands them to a transport, each at least once
//! under one identity, each with exactly one verdict, and none held up by another's destination.
//!
//! What is decided stands in the destination's own journal before it is done, fenced, so that a crash or a takeover goes
//! on where the last one stopped. How an output is sent is the transport's affair: nothing here knows HTTP or a vendor
//! (`crate::sinks` does). The simulation drives the same queue with a scripted transport.
//!
//! | file | idea |
//! |---|---|
//! | `state` | what is known of its deliveries, and what comes next: decides, purely |
//! | `record` | the same as it stands in the log |
//! | `journal` | reads and appends records, fenced |
//! | `driver` | performs what `state` decides: reads, sends, commits, reports |
//! | `host` | the actix actor around the driver, supervised |
//! | `inputs` | outputs and operators' decisions, read from the log |
//! | `report` | outcome events, dead letters and alarms, written to the log |
//! | `dead_letter` | outputs given up, and what operators decide about them |
//! | `original` | an output that is needed once more: what the log or its dead letter has of it |
//! | `parcel` | an output as a destination sees it |
//! | `transport`, `attempt` | what takes an output there; what came back, and what that means |
//! | `policy` | start, concurrency, rate, retries, breaker, outcome of a destination |
//! | `proof`, `mac` | what shows that an outcome was reported by its destination; keyed hashes |
//! | `status`, `metrics` | what a destination says of itself, for people and for metrics |

pub mod attempt;
pub mod dead_letter;
pub mod driver;
pub mod host;
pub mod inputs;
pub mod journal;
pub mod mac;
pub mod metrics;
pub mod original;
pub mod parcel;
pub mod policy;
pub mod proof;
pub mod record;
pub mod report;
pub mod state;
pub mod status;
pub mod transport;
