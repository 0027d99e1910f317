//! A vendor with a ledger, and the carrier that takes outputs to it. The vendor outlives every process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use aftercall::{
    delivery::{
        attempt::{Answer, Attempt, Fault, Verdict},
        parcel::Parcel,
        policy::{Policy, Start},
        transport::{Transport, Turn},
    },
    log::{Lane, memory::World},
    sinks::{
        file,
        judge::{Judged, judge},
        scope::Scope,
        spec::Judgement,
    },
};
use aftercall_actors::contract::{output::Kind, time::LogTime};
use async_trait::async_trait;
use serde_json::{Value, json};

/// A call the vendor received.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Idempotency key.
    pub id: String,
    /// Number of the attempt, as the caller counts.
    pub number: u32,
    /// Thread.
    pub thread: Option<String>,
    /// Sequence of the output.
    pub seq: u64,
    pub at: LogTime,
    /// Whether it was executed at this call: the first that reaches the vendor's books.
    pub executed: bool,
    /// What was handed in of the call before.
    pub handle: Option<Value>,
    /// Whether it was turned away at the door, for want of the right credentials.
    pub is_shut_out: bool,
}

/// What lasts of the vendor.
#[derive(Debug, Default)]
pub struct Books {
    pub calls: Vec<Call>,
    pub executed: BTreeSet<String>,
    /// Calls so far by id, which the mood of the next one is drawn from.
    count: BTreeMap<String, u64>,
    /// Everything works from now on.
    pub healed: bool,
    /// Nothing is reached until then.
    pub down_until: LogTime,
    /// Nobody is let in until then.
    pub shut_until: LogTime,
    /// How often that began.
    pub shut_count: u32,
}

/// The carrier of one process.
#[derive(Clone)]
pub struct Vendor {
    pub seed: u64,
    pub world: World,
    pub policy: Policy,
    /// What its answers mean, as shipped for the reward marketplace.
    pub judgement: Arc<Judgement>,
    pub start: Start,
    pub threads: bool,
    pub books: Arc<Mutex<Books>>,
}

thread_local! {
    /// Plants a carrier that names no lanes, for the invariant about them to find.
    pub static HIDES_LANES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What the vendor makes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Works,
    Unavailable,
    Throttles,
    /// Executes, and the answer is lost.
    LosesAnswer,
    /// Loses the request, and nobody can tell.
    LosesRequest,
    /// Executes, and answers too late.
    Hangs,
    Unreachable,
    NotReady,
    /// Executes, and answers with what nobody can read.
    Mumbles,
    /// Knows the key already: says so, and no more.
    Conflicts,
    /// Accepts no credentials.
    ShutsOut,
}

impl Vendor {
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no test panics while it holds it")
    }

    /// Outputs that are refused for good, whatever happens: by status, by body, or before they are sent.
    pub fn refuses(&self, id: &str) -> bool {
        hash(self.seed, id, 1).is_multiple_of(9)
    }

    pub fn wants(&self, id: &str) -> bool {
        !hash(self.seed, id, 2).is_multiple_of(6)
    }

    /// The lanes a call takes a place in: one of three, or two.
    pub fn lanes(&self, id: &str) -> Vec<String> {
        let lane = hash(self.seed, id, 5) % 3;
        let also = hash(self.seed, id, 6).is_multiple_of(4);
        let lanes = [lane, (lane + 1) % 3];
        let lanes = &lanes[..1 + usize::from(also)];
        lanes.iter().map(|lane| format!("lane {lane}")).collect()
    }

    /// A few outputs have bad luck for as long as it is allowed.
    fn is_unlucky(&self, id: &str) -> bool {
        hash(self.seed, id, 3).is_multiple_of(10)
    }

    fn mood(&self, books: &Books, id: &str, count: u64) -> Mood {
        if books.healed {
            return Mood::Works;
        }
        if self.world.now() < books.down_until {
            return Mood::Unreachable;
        }
        if self.world.now() < books.shut_until {
            return Mood::ShutsOut;
        }
        let luck = if self.is_unlucky(id) { 10 } else { 20 };
        match hash(self.seed, id, 100 + count) % luck {
            0 | 1 => Mood::Unavailable,
            2 => Mood::Throttles,
            3 => Mood::LosesAnswer,
            4 => Mood::LosesRequest,
            5 => Mood::Hangs,
            6 => Mood::Unreachable,
            7 => Mood::NotReady,
            8 => Mood::Mumbles,
            9 if books.executed.contains(id) => Mood::Conflicts,
            _ => Mood::Works,
        }
    }
}

#[async_trait]
impl Transport for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn start(&self) -> Start {
        self.start
    }

    fn lanes(&self) -> Vec<Lane> {
        vec![Lane::Out(Kind::Reward), Lane::Out(Kind::Profile)]
    }

    fn selects(&self, parcel: &Parcel) -> bool {
        self.wants(&parcel.id)
    }

    fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault> {
        let thread = parcel.data["thread"].as_str().map(str::to_owned);
        Ok(thread.filter(|_| self.threads))
    }

    async fn lanes_of(&self, parcel: &Parcel, _: Option<&Value>, _: &Turn) -> Vec<String> {
        // A lookup takes its time.
        let ms = hash(self.seed, &parcel.id, 7) % 20;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        match HIDES_LANES.get() {
            true => Vec::new(),
            false => self.lanes(&parcel.id),
        }
    }

    async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, turn: Turn) -> Attempt {
        let (mood, travel_ms) = self.receive(parcel, handle, turn.number);
        tokio::time::sleep(Duration::from_millis(travel_ms)).await;
        let says = |status, body: Value| Ok(answer(status, body));
        let result = match mood {
            Mood::Works if self.refuses(&parcel.id) => self.refusal(&parcel.id),
            Mood::Works => says(201, json!({ "status": "ISSUED" })),
            Mood::Unavailable => says(503, Value::Null),
            Mood::Throttles => {
                let ms = hash(self.seed, &parcel.id, 4) % 3_000;
                let mut answer = answer(429, Value::Null);
                let after = (ms / 1_000).to_string();
                answer.headers.insert("retry-after".to_owned(), after);
                Ok(answer)
            }
            Mood::LosesAnswer | Mood::LosesRequest => Err(Fault::Lost("reset".into())),
            Mood::Hangs => {
                let patience = Duration::from_secs(5);
                tokio::time::sleep(patience).await;
                Err(Fault::Timeout(patience))
            }
            Mood::Unreachable => Err(Fault::Connect("refused".into())),
            Mood::NotReady => Err(Fault::NotReady("no token".into())),
            Mood::Mumbles => says(201, self.mumble(&parcel.id)),
            Mood::Conflicts => says(409, json!({ "code": "duplicate" })),
            Mood::ShutsOut => says(401, json!({ "code": "invalid_token" })),
        };
        let scope = Scope::default().with("in_doubt", turn.unknown.into());
        let Judged { verdict, .. } =
            judge(&self.judgement, &scope, &result, SystemTime::UNIX_EPOCH);
        let is_delivered = verdict == Verdict::Delivered;
        Attempt {
            result,
            verdict,
            handle: is_delivered.then(|| json!({ "after": parcel.seq })),
            kept: Default::default(),
            status: None,
            response: is_delivered.then(|| json!({ "id": parcel.id })),
            progress: None,
            said: None,
            lanes: Vec::new(),
        }
    }
}

/// What the answers of the shipped reward marketplace mean.
pub fn judgement() -> Judgement {
    let text = include_str!("../../config/destinations.toml");
    let checked = file::parse(text, "config/destinations.toml").expect("the shipped file");
    let mut all = checked.destinations.destinations.into_iter();
    let rewards = all.find(|destination| destination.name == "rewards");
    rewards.expect("rewards").judgement
}

impl Vendor {
    fn refusal(&self, id: &str) -> Result<Answer, Fault> {
        match hash(self.seed, id, 5) % 3 {
            0 => Ok(answer(400, json!({ "code": "malformed" }))),
            // A 200 that says no.
            1 => Ok(answer(200, json!({ "status": "REJECTED" }))),
            _ => Err(Fault::Unsendable("too large".into())),
        }
    }

    /// A success that nobody can read.
    fn mumble(&self, id: &str) -> Value {
        match hash(self.seed, id, 6) % 4 {
            0 => Value::Null,
            1 => json!("<!DOCTYPE html><title>Sign in</title>"),
            2 => json!("{\"status\":\"ISSUE"),
            _ => json!({}),
        }
    }

    /// The moment a request arrives, if it does: what is executed is executed now, whatever becomes of the caller.
    fn receive(&self, parcel: &Parcel, handle: Option<&Value>, number: u32) -> (Mood, u64) {
        let mut books = self.books();
        let count = books.count.entry(parcel.id.clone()).or_default();
        *count += 1;
        let count = *count;
        let mood = self.mood(&books, &parcel.id, count);
        let executes = match mood {
            Mood::Works => !self.refuses(&parcel.id),
            Mood::LosesAnswer | Mood::Hangs | Mood::Mumbles => !self.refuses(&parcel.id),
            Mood::Conflicts
            | Mood::ShutsOut
            | Mood::Unavailable
            | Mood::Throttles
            | Mood::LosesRequest
            | Mood::Unreachable
            | Mood::NotReady => false,
        };
        let executed = executes && books.executed.insert(parcel.id.clone());
        let thread = parcel.data["thread"].as_str().map(str::to_owned);
        books.calls.push(Call {
            id: parcel.id.clone(),
            number,
            thread: thread.filter(|_| self.threads),
            seq: parcel.seq,
            at: self.world.now(),
            executed,
            handle: handle.cloned(),
            is_shut_out: mood == Mood::ShutsOut,
        });
        (mood, hash(self.seed, &parcel.id, 200 + count) % 60)
    }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        headers: BTreeMap::new(),
        body,
    }
}

/// A draw that belongs to an output, not to the order of things.
pub fn hash(seed: u64, id: &str, salt: u64) -> u64 {
    let mut bytes = id.as_bytes().to_vec();
    bytes.extend_from_slice(&seed.to_le_bytes());
    bytes.extend_from_slice(&salt.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
