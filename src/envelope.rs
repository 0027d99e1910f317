//! CloudEvents 1.0 at the edge of the system: stored bytes to typed events, and outputs to attributes.
//!
//! Events arrive by three doors (a bus that publishes into our stream, HTTP, a file), in structured or binary
//! mode, and are decoded here, once per process, into `aftercall_actors::contract::event`. What does not decode is a
//! [`Reject`] with a stable reason for metrics and a detail for people; nothing here panics, whatever the bytes.
//!
//! One pass over the bytes is the aim: with `type` before `data`, as every SDK writes it, the data is parsed
//! straight into its type. Only for an event that is refused is the work done again, to name the field.
//!
//! Neighbours: `log` carries the bytes, `shard` decodes what it reads, `ingest` and the commands make
//! [`Incoming`] events, `schema` publishes the same types as JSON Schema.

mod attribute;
mod body;
mod decode;
mod encode;
mod incoming;
pub mod ndjson;
mod own;

mod reject;
mod structured;

pub use attribute::to_header;
pub use decode::{decode, name};
pub use encode::{Origin, cause, output_attributes, output_source, structured_output};
pub use incoming::{Checked, Incoming};
pub use own::{
    Storm, Told, dead_lettered_event, import_quarantined_event, outcome_event, outcome_id,
    outcome_source, reward_decided_event, rules_activated_event, tick_event,
};
pub use reject::{Reason, Reject};

/// Largest event that is taken, envelope included.
///
/// Unit: bytes. Transcripts never travel inline (REQUIREMENTS S4.07), so a real event has a few kilobytes.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Longest CloudEvents `id`, in bytes (EVENTS.md: ids).
pub const EVENT_ID_BYTES_MAX: usize = aftercall_actors::contract::value::ID_BYTES_MAX;

/// Longest CloudEvents `source`, in bytes. A URI reference: longer than an id, but it travels with every output.
pub const EVENT_SOURCE_BYTES_MAX: usize = 1_024;

/// Content type of a structured event.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// Content type of a batch of structured events, known on HTTP only.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// Content type of the data in binary mode.
pub const JSON: &str = "application/json";

/// The one version of CloudEvents there is.
pub const SPECVERSION: &str = "1.0";
