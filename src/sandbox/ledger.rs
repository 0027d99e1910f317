//! Every call that was received, in order, and what it made a vendor do: the judge of "once".
//!
//! A line is written under the same lock under which the vendor decided, so what the ledger says and what was done
//! cannot differ, however many requests come at once. Counts are kept for good; of the calls themselves only the
//! newest, or none at all where memory must stay flat.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use aftercall_actors::contract::time::EventTime;
use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    call::{Call, Vendor},
    faults::Fault,
};

/// How much of the calls is kept. Counts are always complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many calls.
    Newest(usize),
    /// None: counts only, for measurements.
    Counts,
}

/// One call, as it was received and decided.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the order of arrival, from 1.
    pub seq: u64,
    /// The request; once it is written down, without the parts of its path, which stand in the path.
    pub call: Call,
    /// Status of the answer that was prepared; `None` if none was to be sent.
    pub status: Option<u16>,
    /// What went wrong on purpose.
    pub fault: Option<Fault>,
    /// The key of what was done for good, if something was.
    pub executed: Option<String>,
    /// Whether the answer repeats an earlier one.
    pub is_replay: bool,
}

/// An entry as JSON has it: credentials masked, the body as JSON if it is.
#[derive(Debug, Serialize)]
struct Line<'a> {
    seq: u64,
    at: EventTime,
    vendor: &'static str,
    method: &'a str,
    path: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    key: Option<&'a str>,
    body: Value,
    status: Option<u16>,
    fault: Option<Fault>,
    executed: Option<&'a str>,
    replay: bool,
}

/// What stands in the place of a credential.
const MASK: &str = "***";

/// Parts of names of headers and fields whose values are credentials.
const SECRET_NAMES: [&str; 5] = ["authorization", "cookie", "secret", "password", "api-key"];

fn is_secret(name: &str) -> bool {
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

impl Entry {
    /// As JSON, without credentials.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let call = &self.call;
        let headers = call.headers.iter().map(|(name, value)| {
            let value = if is_secret(name) { MASK } else { value };
            (name.as_str(), value)
        });
        let line = Line {
            seq: self.seq,
            at: EventTime(call.at_ms),
            vendor: call.vendor.name(),
            method: &call.method,
            path: &call.path,
            headers: headers.collect(),
            key: call.key(),
            body: body_of(call),
            status: self.status,
            fault: self.fault,
            executed: self.executed.as_deref(),
            replay: self.is_replay,
        };
        // Names and plain values: always JSON.
        serde_json::to_value(line).unwrap_or_default()
    }
}

/// The body: JSON if it is, fields if it is a form, else text.
fn body_of(call: &Call) -> Value {
    if call.body.is_empty() {
        return Value::Null;
    }
    if call.content_type() == "application/x-www-form-urlencoded" {
        let fields = call.form().into_iter().map(|(name, value)| {
            let value = if is_secret(&name) {
                MASK.to_owned()
            } else {
                value
            };
            (name, Value::String(value))
        });
        return Value::Object(fields.collect());
    }
    serde_json::from_slice(&call.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&call.body).into_owned()))
}

/// What is asked of the ledger. Unset: everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Calls of this vendor.
    pub vendor: Option<Vendor>,
    /// Calls that carried this key, or did something under it.
    pub key: Option<String>,
    /// Calls that did something, or those that did nothing.
    pub executed: Option<bool>,
    /// Calls after this one.
    pub after: u64,
    /// So many, from the oldest.
    pub limit: Option<usize>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let has_key = |key: &String| {
            entry.call.key() == Some(key) || entry.executed.as_deref() == Some(key.as_str())
        };
        entry.seq > self.after
            && self.vendor.is_none_or(|vendor| vendor == entry.call.vendor)
            && self.key.as_ref().is_none_or(has_key)
            && self
                .executed
                .is_none_or(|executed| executed == entry.executed.is_some())
    }
}

/// What one vendor received and did, complete since the start or the last clearing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Requests received.
    pub calls: u64,
    /// Times something was done for good.
    pub executions: u64,
    /// Different keys under which something was done.
    pub keys: u64,
    /// Keys under which something was done more than once: how many there are.
    pub keys_repeated: u64,
    /// Those keys, the first [`REPEATED_MAX`] of them, and how often.
    pub repeated: BTreeMap<String, u64>,
    /// Times something was done whose request body had been executed before under another key: the sign of a sender
    /// that changes its key between attempts.
    pub bodies_repeated: u64,
    /// Answers that repeated an earlier one.
    pub replays: u64,
    /// Answers prepared, by status; `none` where none was sent.
    pub statuses: BTreeMap<String, u64>,
    /// Faults that struck.
    pub faults: BTreeMap<String, u64>,
}

/// Keys listed by name in [`Summary::repeated`].
pub const REPEATED_MAX: usize = 1_000;

#[derive(Debug, Default)]
struct Count {
    summary: Summary,
    /// Executions by digest of the key: 16 bytes a key instead of the key.
    executions: HashMap<u128, u64>,
    bodies: HashSet<u128>,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    keep: Keep,
    last: u64,
    entries: VecDeque<Arc<Entry>>,
    counts: BTreeMap<Vendor, Count>,
}

impl Ledger {
    /// Empty.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            last: 0,
            entries: VecDeque::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Writes down one call; `seq` is given here.
    pub fn record(&mut self, mut entry: Entry) {
        self.last += 1;
        entry.seq = self.last;
        self.counts
            .entry(entry.call.vendor)
            .or_default()
            .add(&entry);
        if let Keep::Newest(most) = self.keep {
            // Both are in the path, which is kept.
            entry.call.segments = Vec::new();
            entry.call.query = BTreeMap::new();
            self.entries.push_back(Arc::new(entry));
            if self.entries.len() > most {
                self.entries.pop_front();
            }
        }
    }

    /// The calls still held that a filter takes, in order of arrival.
    #[must_use]
    pub fn entries(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        self.entries
            .iter()
            .filter(|entry| filter.takes(entry))
            .take(limit)
            .cloned()
            .collect()
    }

    /// What each vendor received and did; vendors never called are absent.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<&'static str, Summary> {
        self.counts
            .iter()
            .map(|(vendor, count)| (vendor.name(), count.summary.clone()))
            .collect()
    }

    /// How often something was done under a key.
    #[must_use]
    pub fn executions(&self, vendor: Vendor, key: &str) -> u64 {
        self.counts
            .get(&vendor)
            .and_then(|count| count.executions.get(&xxh3_128(key.as_bytes())))
            .copied()
            .unwrap_or(0)
    }

    /// Forgets calls and counts; the numbering goes on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}

impl Count {
    fn add(&mut self, entry: &Entry) {
        let summary = &mut self.summary;
        summary.calls += 1;
        summary.replays += u64::from(entry.is_replay);
        let status = entry
            .status
            .map_or_else(|| "none".to_owned(), |status| status.to_string());
        *summary.statuses.entry(status).or_insert(0) += 1;
        if let Some(fault) = entry.fault {
            *summary.faults.entry(fault.to_string()).or_insert(0) += 1;
        }
        let Some(key) = &entry.executed else {
            return;
        };
        summary.executions += 1;
        let times = self.executions.entry(xxh3_128(key.as_bytes())).or_insert(0);
        *times += 1;
        match *times {
            1 => {
                summary.keys += 1;
                let body = &entry.call.body;
                let is_new = body.is_empty() || self.bodies.insert(xxh3_128(body));
                summary.bodies_repeated += u64::from(!is_new);
            }
            times => {
                summary.keys_repeated += u64::from(times == 2);
                if summary.repeated.len() < REPEATED_MAX || summary.repeated.contains_key(key) {
                    summary.repeated.insert(key.clone(), times);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(key: &str, body: &'static str, executed: bool) -> Entry {
        let headers = BTreeMap::from([
            ("idempotency-key".to_owned(), key.to_owned()),
            ("authorization".to_owned(), "Bearer planted".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ]);
        Entry {
            seq: 0,
            call: Call::new("POST", "/rewards/v1/rewards/issue", headers, body.into()),
            status: Some(201),
            fault: None,
            executed: executed.then(|| key.to_owned()),
            is_replay: false,
        }
    }

    #[test]
    fn executions_are_counted_by_key_and_repeated_ones_named() {
        let mut ledger = Ledger::new(Keep::Counts);
        for (key, body, executed) in [
            ("a", "{}", true),
            ("a", "{}", true),
            ("b", "{}", true),
            ("c", "[]", true),
            ("d", "1", false),
        ] {
            ledger.record(entry(key, body, executed));
        }
        let summary = Summary {
            calls: 5,
            executions: 4,
            keys: 3,
            keys_repeated: 1,
            repeated: BTreeMap::from([("a".to_owned(), 2)]),
            bodies_repeated: 1,
            replays: 0,
            statuses: BTreeMap::from([("201".to_owned(), 5)]),
            faults: BTreeMap::new(),
        };
        assert_eq!(ledger.summary(), BTreeMap::from([("rewards", summary)]));
        assert_eq!(ledger.executions(Vendor::Rewards, "a"), 2);
        assert!(ledger.entries(&Filter::default()).is_empty(), "counts only");
    }

    #[test]
    fn only_the_newest_calls_are_kept_and_all_are_counted() {
        let mut ledger = Ledger::new(Keep::Newest(2));
        for key in ["a", "b", "c"] {
            ledger.record(entry(key, "{}", true));
        }
        let kept: Vec<u64> = ledger
            .entries(&Filter::default())
            .iter()
            .map(|entry| entry.seq)
            .collect();
        assert_eq!(kept, [2, 3]);
        assert_eq!(ledger.summary()["rewards"].calls, 3);
    }

    #[test]
    fn a_line_shows_everything_but_credentials() {
        let mut ledger = Ledger::new(Keep::Newest(9));
        ledger.record(entry("a", "{\"n\":1}", true));
        let line = ledger.entries(&Filter::default())[0].to_json();
        assert_eq!(line["body"], json!({ "n": 1 }));
        assert_eq!(line["headers"]["authorization"], "***");
        assert_eq!(line["key"], "a");
        assert!(!line.to_string().contains("planted"));
        let headers = BTreeMap::from([(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )]);
        let body = "client_id=a&client_secret=planted";
        let call = Call::new("POST", "/oauth/token", headers, body.into());
        assert_eq!(
            body_of(&call),
            json!({ "client_id": "a", "client_secret": "***" })
        );
    }

    #[test]
    fn a_filter_takes_what_it_says() {
        let mut ledger = Ledger::new(Keep::Newest(9));
        for (key, executed) in [("a", true), ("b", false), ("a", false)] {
            ledger.record(entry(key, "{}", executed));
        }
        let seqs = |filter: Filter| -> Vec<u64> {
            ledger.entries(&filter).iter().map(|e| e.seq).collect()
        };
        let all = Filter::default;
        assert_eq!(
            seqs(Filter {
                key: Some("a".into()),
                ..all()
            }),
            [1, 3]
        );
        assert_eq!(
            seqs(Filter {
                executed: Some(false),
                ..all()
            }),
            [2, 3]
        );
        assert_eq!(
            seqs(Filter {
                vendor: Some(Vendor::Crm),
                ..all()
            }),
            [0_u64; 0]
        );
        assert_eq!(
            seqs(Filter {
                after: 1,
                limit: Some(1),
                ..all()
            }),
            [2]
        );
    }
}
