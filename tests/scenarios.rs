//! Scenarios: events in, outputs out, as files to be read by people (`tests/scenarios/*.json`).
//!
//! Each runs through the product's own intake, decoding, engine and commits, on the memory log, whose clock stands
//! wherever a step says. A step `yields` everything that came of it, in order; `ignored` is what was counted
//! and otherwise left no trace. Outputs are compared whole.
//!
//! A scenario is approved by eye. After a change that is meant, `UPDATE_SCENARIOS=1 cargo test --test scenarios`
//! writes what comes out now, and the difference is what to look at.
//!
//! Steps: `event` comes by the front door (HTTP, `publish`), `stored` is what any NATS client may have put into the
//! log, `rules` activates a rule set, `tick` only moves time on.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf, time::Duration};

use aftercall::{
    envelope::{self, Incoming, Reason, Reject},
    log::{
        Destination, EventLog as _, Headers, Lane, NewEvent, PartitionId,
        memory::{Faults, MemoryLog, World},
    },
    shard::{batch::route, engine::Engine, recovery::recover},
    telemetry::metrics,
};
use aftercall_actors::{
    contract::{key::Key, time::LogTime},
    effect::Ignored,
    rules::RuleSet,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Partitions a side: enough that a wrong subject leads to another.
const PARTITIONS: u16 = 4;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    about: String,
    /// Rows of REQUIREMENTS that it shows to hold.
    requirements: Vec<String>,
    /// Rules in force at the beginning; the shipped ones, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Step {
    /// Log time, counted from 2026-01-01T00:00:00Z: `1d 2h 3m 4s 5ms`.
    at: String,
    /// Why it is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(flatten)]
    input: Input,
    /// Reasons counted, in the order of `Ignored::ALL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    /// What came of it. Keys are written in order of the alphabet, and this is to stand last.
    #[serde(default, rename = "yields")]
    out: Vec<Value>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Input {
    /// Type and data of an event; `specversion`, `id` and `source` are added unless they are there.
    Event(Value),
    Stored(StoredInput),
    /// Text of a rule set.
    Rules(String),
    Tick(bool),
}

/// A message as it stands in the log, without a check of ours before it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredInput {
    /// Who its subject names.
    #[serde(default = "nobody")]
    owner: String,
    #[serde(default = "nobody")]
    customer: String,
    /// Whether it stands on a subject for all partitions instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    for_all: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    /// Texts, and how often each stands in the place of a `<repeat>`: for messages too deep or too large to write
    /// down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    repeat: Vec<(String, usize)>,
    body: String,
}

fn nobody() -> String {
    aftercall_actors::contract::key::UNASSIGNED.to_owned()
}

#[test]
fn every_scenario_comes_out_as_approved() {
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut wrong = String::new();
    for path in files() {
        let approved = fs::read_to_string(&path).expect("a readable scenario");
        let mut scenario = parse(&path, &approved);
        run(&mut scenario);
        let found = text(&scenario);
        if found != approved {
            if update {
                fs::write(&path, &found).expect("a writable scenario");
            } else {
                let _ = writeln!(
                    wrong,
                    "{}\n{}",
                    path.display(),
                    difference(&approved, &found)
                );
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not as approved; if it is meant: UPDATE_SCENARIOS=1 cargo test --test scenarios\n{wrong}"
    );
}

#[test]
fn scenarios_name_their_requirements() {
    for path in files() {
        let scenario = parse(
            &path,
            &fs::read_to_string(&path).expect("a readable scenario"),
        );
        assert!(!scenario.requirements.is_empty(), "{}", path.display());
        for row in &scenario.requirements {
            let shape: String = row
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            assert_eq!(shape, "S0.00", "{}: {row}", path.display());
        }
    }
}

#[test]
fn every_reason_for_quarantine_has_its_scenario() {
    let mut shown = BTreeSet::new();
    for path in files() {
        let scenario = parse(
            &path,
            &fs::read_to_string(&path).expect("a readable scenario"),
        );
        for out in scenario.steps.iter().flat_map(|step| &step.out) {
            let reason = match out["type"].as_str() {
                Some("event.quarantined") => &out["data"]["reason"],
                Some(_) | None => &out["refused"],
            };
            shown.extend(reason.as_str().map(str::to_owned));
        }
    }
    let all: BTreeSet<String> = Reason::ALL.map(|reason| reason.name().to_owned()).into();
    assert_eq!(shown, all);
}

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(folder).expect("tests/scenarios");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn parse(path: &std::path::Path, text: &str) -> Scenario {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the scenario and puts what came out into its steps.
fn run(scenario: &mut Scenario) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let genesis = match &scenario.rules {
            Some(text) => RuleSet::parse(text, "scenario").expect("rules that hold"),
            None => RuleSet::default_rules(),
        };
        let mut centre = Centre::new(&genesis).await;
        for (number, step) in scenario.steps.iter_mut().enumerate() {
            centre.wait_until(&step.at).await;
            (step.out, step.ignored) = match new_event(&step.input, number, centre.world.now()) {
                Ok(event) => centre.apply(event).await,
                Err(reject) => (vec![refusal(&reject)], Vec::new()),
            };
        }
    });
}

/// A log with an engine for each of its partitions.
struct Centre {
    world: World,
    log: MemoryLog,
    began: LogTime,
    genesis: String,
    engines: Vec<Engine>,
    applied: u64,
}

impl Centre {
    async fn new(genesis: &RuleSet) -> Self {
        let world = World::new(PARTITIONS, Faults::default());
        let (began, log) = (world.now(), world.client());
        let mut engines = Vec::new();
        for partition in PartitionId::all(PARTITIONS) {
            let recovered = recover(&log, partition, genesis.into())
                .await
                .expect("a new log");
            engines.push(Engine::new(recovered.start));
        }
        Self {
            world,
            log,
            began,
            genesis: genesis.version().to_owned(),
            engines,
            applied: 0,
        }
    }

    async fn wait_until(&self, at: &str) {
        let at = self.began.plus_ms(milliseconds(at));
        let wait_ms = at.since_ms(self.world.now());
        let wait_ms = u64::try_from(wait_ms).expect("steps in order of time");
        tokio::time::advance(Duration::from_millis(wait_ms)).await;
    }

    /// Stores an event, applies it everywhere, commits, and says what that made: outputs in order of the
    /// partitions, and the reasons counted.
    async fn apply(&mut self, event: NewEvent) -> (Vec<Value>, Vec<String>) {
        for answer in self.log.append(vec![event]).await {
            assert!(!answer.expect("stored").duplicate);
        }
        let before = ignored();
        let events = self.world.events();
        let new = events
            .into_iter()
            .filter(|event| event.position > self.applied);
        let feeds = route(new.collect(), PARTITIONS);
        let mut out = Vec::new();
        for (engine, feed) in self.engines.iter_mut().zip(feeds) {
            engine.offer(feed);
            engine.apply().expect("states that can be read");
        }
        for (engine, partition) in self.engines.iter_mut().zip(PartitionId::all(PARTITIONS)) {
            engine.tally.flush(partition);
            if !engine.has_outputs() {
                continue;
            }
            let sealed = engine.seal();
            let seq = self
                .log
                .journal_append(partition, sealed.expected, sealed.bytes.clone())
                .await
                .expect("a commit that nobody contests");
            engine.committed_at(&sealed, seq);
            out.extend(
                sealed
                    .outputs
                    .iter()
                    .map(|output| shown(&output.output, &self.genesis)),
            );
        }
        self.applied += 1;
        let counted = ignored().into_iter().zip(before).zip(Ignored::ALL);
        let reasons = counted.flat_map(|((after, before), reason)| {
            let times = usize::try_from(after - before).expect("few");
            std::iter::repeat_n(reason.name().to_owned(), times)
        });
        (out, reasons.collect())
    }
}

/// How often each reason has been counted in this process; scenarios run one after the other.
fn ignored() -> [u64; Ignored::ALL.len()] {
    Ignored::ALL.map(|reason| metrics().ignored(reason).get())
}

/// An output without what every one has: content type, specversion, source, partition and commit number.
fn shown(output: &aftercall::log::NewOutput, genesis: &str) -> Value {
    let attribute = |name: &str| {
        let found = output.attributes.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value).to_owned()
    };
    let mut data: Value = serde_json::from_slice(&output.payload).expect("JSON");
    shorten(&mut data);
    let mut shown = json!({
        "lane": output.lane.name(),
        "type": attribute("ce-type"),
        "id": attribute("ce-id"),
        "subject": attribute("ce-subject"),
        "time": attribute("ce-time"),
        "cause": attribute("ce-cause"),
        "data": data,
    });
    if output.lane == Lane::Dead {
        // Bad input has no name that could be read.
        shown.as_object_mut().expect("an object").remove("cause");
    }
    let rules = attribute("ce-rulesversion");
    if rules != genesis {
        shown["rulesversion"] = rules.into();
    }
    shown
}

/// Long texts (a message too large is one) by their beginning and length.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > 2_000 => {
            *text = format!("{}... ({} bytes)", &text[..20], text.len());
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn refusal(reject: &Reject) -> Value {
    json!({ "refused": reject.reason.name(), "detail": reject.detail })
}

fn new_event(input: &Input, number: usize, now: LogTime) -> Result<NewEvent, Reject> {
    let mut event = match input {
        Input::Event(event) => {
            let mut whole = json!({
                "specversion": "1.0", "id": format!("e{number}"), "source": "scenario",
            });
            let fields = event.as_object().expect("an event is an object").clone();
            whole.as_object_mut().expect("an object").extend(fields);
            let event = Incoming::structured(whole.to_string().into()).check()?;
            match event.body().is_own() {
                true => event.into_own_event()?,
                false => event.into_new_event()?,
            }
        }
        Input::Stored(stored) => stored.event(),
        Input::Rules(text) => {
            envelope::rules_activated_event(&format!("step-{number}"), text, now)?
        }
        Input::Tick(_) => envelope::tick_event(now),
    };
    // A repeat within the server's own window shall reach the actors, too.
    event.message_id = format!("step-{number}");
    Ok(event)
}

impl StoredInput {
    fn event(&self) -> NewEvent {
        let token = |name: &str, key: Key<'_>| match name {
            aftercall_actors::contract::key::UNASSIGNED => name.to_owned(),
            _ => key.token(),
        };
        let destination = match self.for_all {
            true => Destination::All {
                event_type: "tick".to_owned(),
            },
            false => Destination::Actors {
                owner: token(&self.owner, Key::Agent(&self.owner)),
                customer: token(&self.customer, Key::Customer(&self.customer)),
                event_type: "any".to_owned(),
            },
        };
        let body = self
            .repeat
            .iter()
            .fold(self.body.clone(), |body, (text, times)| {
                body.replacen("<repeat>", &text.repeat(*times), 1)
            });
        NewEvent {
            destination,
            headers: Headers::from_pairs(
                self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())),
            ),
            payload: body.into(),
            message_id: String::new(),
        }
    }
}

fn milliseconds(text: &str) -> i64 {
    let part = |part: &str| {
        let digits = part.trim_end_matches(char::is_alphabetic);
        let number: i64 = digits.parse().expect("a number and a unit");
        let unit = match &part[digits.len()..] {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            other => panic!("unit `{other}` of `{part}`"),
        };
        number * unit
    };
    text.split(' ').map(part).sum()
}

/// The scenario as its file holds it: what fits on a line stands on one.
fn text(scenario: &Scenario) -> String {
    let mut text = String::new();
    write(&serde_json::to_value(scenario).expect("JSON"), 0, &mut text);
    text.push('\n');
    text
}

const COLUMNS: usize = 116;

fn write(value: &Value, indent: usize, into: &mut String) {
    let line = value.to_string();
    let pad = " ".repeat(indent + 2);
    let items: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(fields) if indent == 0 || line.len() + indent > COLUMNS => fields
            .iter()
            .map(|(name, value)| (Some(name), value))
            .collect(),
        Value::Array(items) if line.len() + indent > COLUMNS => {
            items.iter().map(|item| (None, item)).collect()
        }
        _ => return into.push_str(&line),
    };
    let (open, close) = if value.is_object() {
        ('{', '}')
    } else {
        ('[', ']')
    };
    into.push(open);
    for (place, (name, item)) in items.into_iter().enumerate() {
        into.push_str(if place == 0 { "\n" } else { ",\n" });
        into.push_str(&pad);
        if let Some(name) = name {
            let _ = write!(into, "\"{name}\": ");
        }
        write(item, indent + 2, into);
    }
    into.push('\n');
    into.push_str(&pad[2..]);
    into.push(close);
}

/// The lines that differ, of both.
fn difference(approved: &str, found: &str) -> String {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (approved, found) = (lines(approved), lines(found));
    let same = approved
        .iter()
        .zip(&found)
        .take_while(|(a, f)| a == f)
        .count();
    let mut text = String::new();
    for (sign, lines) in [('-', &approved), ('+', &found)] {
        for line in lines.iter().skip(same).take(12) {
            let _ = writeln!(text, "{sign} {line}");
        }
    }
    text
}
