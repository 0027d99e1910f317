//! The published schemas, the examples, the types and the list of the contract's fields say the same.

use std::{collections::BTreeMap, fs, path::Path};

use aftercall::{
    envelope::{Reason, Reject, decode},
    log::{Headers, RawEvent, Route, Speaker},
    schema,
};
use aftercall_actors::contract::{
    event::{Body, Event},
    key::Key,
    output::{self, Output},
    time::LogTime,
};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

#[test]
fn every_type_has_a_schema_and_an_example_and_there_are_no_others() {
    let names: Vec<&str> = schema::names().collect();
    assert_eq!(names.len(), Body::TYPES.len() + Output::TYPES.len());
    for name in &names {
        assert!(schema::of(name).is_some(), "{name}");
    }
    assert_eq!(schema::of("interaction"), None);

    let mut files: Vec<String> = fs::read_dir(examples())
        .expect("the folder of examples")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    files.sort();
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name}.json")).collect();
    expected.sort();
    assert_eq!(files, expected);
}

#[test]
fn every_example_is_valid_and_an_event_comes_back_from_its_type_with_every_field() {
    let validator = Validator::new();
    for name in Body::TYPES {
        let example = example(name);
        validator
            .check(name, &example)
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        let event = parse(&example).unwrap_or_else(|reject| panic!("{name}: {reject}"));
        assert_eq!(event.body.type_name(), name);
        assert_eq!(data_of(&event.body), example["data"], "{name}");
    }
}

#[test]
fn every_example_of_an_output_is_valid_and_comes_back_from_its_type_with_every_field() {
    let validator = Validator::new();
    for name in Output::TYPES {
        let example = example(name);
        validator
            .check(name, &example)
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        let output = output_of(name, example["data"].clone());
        assert_eq!(output.type_name(), name);
        let mut bytes = Vec::new();
        output.write_json(&mut bytes);
        let back: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(back, example["data"], "{name}");
    }
}

#[test]
fn the_fields_of_the_contract_are_those_of_the_schemas() {
    let listed = fields_listed();
    assert_eq!(listed.len(), schema::names().count());
    for name in schema::names() {
        let schema = schema::of(name).expect("a schema");
        let data = &schema["properties"]["data"];
        assert_eq!(fields_of(&schema, data), listed[name], "{name}");
    }
}

#[test]
fn an_event_without_a_required_field_is_refused_by_schema_and_decoder_alike() {
    let validator = Validator::new();
    for name in Body::TYPES {
        let fields = &fields_listed()[name];
        for (field, known) in fields.0.iter().filter(|(_, known)| known.required) {
            assert!(known.within.0.is_empty(), "no event requires an object");
            let mut event = example(name);
            let data = event["data"].as_object_mut().expect("an object");
            data.remove(field).expect("the example has every field");
            assert!(
                validator.check(name, &event).is_err(),
                "{name} without {field}"
            );
            assert_eq!(
                parse(&event),
                Err(Reject::new(
                    Reason::MissingField,
                    format!("data.{field}: required, but missing")
                ))
            );
        }
        for attribute in ["specversion", "id", "source", "type"] {
            let mut event = example(name);
            event.as_object_mut().expect("an object").remove(attribute);
            assert!(
                validator.check(name, &event).is_err(),
                "{name} without {attribute}"
            );
            let refused = parse(&event).expect_err(attribute);
            assert_eq!(refused.reason, Reason::MissingField);
        }
    }
}

/// Every field in turn holds something else: the schema and the decoder agree on what is allowed.
#[test]
fn schema_and_decoder_agree_on_what_a_field_may_hold() {
    let validator = Validator::new();
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1_000_000_000),
        json!(0.5),
        json!(""),
        json!("x"),
        json!("x".repeat(257)),
        json!("x".repeat(1_001)),
        json!("2026-11-20"),
        json!("2026-11-20T08:00:00+01:00"),
        json!("voice"),
        json!("agent/a"),
        json!(["x"]),
        json!([7]),
        json!({ "x": 1 }),
    ];
    let (mut taken, mut refused) = (0, 0);
    for name in Body::TYPES {
        for path in paths(&fields_listed()[name], "/data") {
            for value in &values {
                let mut event = example(name);
                *event
                    .pointer_mut(&path)
                    .expect("the example has every field") = value.clone();
                let by_schema = validator.check(name, &event);
                let by_decoder = parse(&event);
                assert_eq!(
                    by_schema.is_ok(),
                    by_decoder.is_ok(),
                    "{name}{path} = {value}: {by_schema:?} {by_decoder:?}"
                );
                let count = if by_decoder.is_ok() {
                    &mut taken
                } else {
                    &mut refused
                };
                *count += 1;
                if let Err(reject) = by_decoder {
                    let field = path.trim_start_matches('/').replace('/', ".");
                    assert!(reject.detail.starts_with(&field), "{path}: {reject}");
                }
            }
        }
    }
    assert!(
        taken > 300 && refused > 300,
        "{taken} taken, {refused} refused"
    );
}

/// Schemas compiled once.
struct Validator {
    schemas: Schemas,
    compiled: BTreeMap<&'static str, SchemaIndex>,
}

impl Validator {
    fn new() -> Self {
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let mut compiled = BTreeMap::new();
        for name in schema::names() {
            let place = format!("http://schemas.test/{name}");
            let schema = schema::of(name).expect("a schema");
            compiler.add_resource(&place, schema).expect("a resource");
            let index = compiler.compile(&place, &mut schemas);
            compiled.insert(
                name,
                index.unwrap_or_else(|error| panic!("{name}: {error:#}")),
            );
        }
        Self { schemas, compiled }
    }

    fn check(&self, name: &str, event: &Value) -> Result<(), String> {
        self.schemas
            .validate(event, self.compiled[name])
            .map_err(|error| error.to_string())
    }
}

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples")
}

fn example(name: &str) -> Value {
    let file = examples().join(format!("{name}.json"));
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Decoded as from the log, wherever it belongs.
fn parse(event: &Value) -> Result<Event, Reject> {
    let decode_at = |route| {
        decode(
            &RawEvent {
                position: 1,
                time: LogTime(0),
                route,
                speaker: Speaker::Service,
                headers: Headers::Empty,
                payload: event.to_string().into(),
            },
            1,
        )
    };
    // With one partition a side, every actor is at home in it.
    assert_eq!(Key::Unassigned.partition(1), 0);
    match event["type"].as_str() {
        Some("tick" | "rules.activated") => decode_at(Route::All),
        _ => decode_at(Route::Pair {
            agent: 0,
            customer: 0,
        }),
    }
}

fn data_of(body: &Body) -> Value {
    let data = match body {
        Body::InteractionStarted(e) => serde_json::to_value(e),
        Body::InteractionWrapup(e) => serde_json::to_value(e),
        Body::InteractionCompleted(e) => serde_json::to_value(e),
        Body::InteractionUpdated(e) => serde_json::to_value(e),
        Body::SurveyResponse(e) => serde_json::to_value(e),
        Body::EnpsResponse(e) => serde_json::to_value(e),
        Body::WfmMetric(e) => serde_json::to_value(e),
        Body::PointsAdjusted(e) => serde_json::to_value(e),
        Body::RewardDecided(e) => serde_json::to_value(e),
        Body::AlertAcknowledged(e) => serde_json::to_value(e),
        Body::Outcome(_, e) => serde_json::to_value(e),
        Body::DeadLettered(e) => serde_json::to_value(e),
        Body::ImportQuarantined(e) => serde_json::to_value(e),
        Body::Tick => Ok(json!({})),
        Body::RulesActivated(e) => serde_json::to_value(e),
    };
    data.expect("plain data")
}

fn output_of(name: &str, data: Value) -> Output {
    fn from<T: serde::de::DeserializeOwned>(data: Value) -> T {
        serde_json::from_value(data).unwrap_or_else(|error| panic!("{error}"))
    }
    let output: Option<fn(output::Alert) -> Output> = match name {
        "alert.raised" => Some(Output::AlertRaised),
        "alert.updated" => Some(Output::AlertUpdated),
        "alert.escalated" => Some(Output::AlertEscalated),
        _ => None,
    };
    if let Some(output) = output {
        return output(from(data));
    }
    match name {
        "reward.requested" => Output::RewardRequested(from(data)),
        "reward.reversal.requested" => Output::RewardReversalRequested(from(data)),
        "profile.updated" => Output::ProfileUpdated(from(data)),
        "interaction.outcome" => Output::InteractionOutcome(from(data)),
        "enps.scored" => Output::EnpsScored(from(data)),
        "coaching.requested" => Output::CoachingRequested(from(data)),
        "survey_token.requested" => Output::SurveyTokenRequested(from(data)),
        "identity.requested" => Output::IdentityRequested(from(data)),
        "enrichment.requested" => Output::EnrichmentRequested(from(data)),
        other => panic!("{other} is no output"),
    }
}

/// Fields of an object by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields(BTreeMap<String, Field>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Field {
    required: bool,
    within: Fields,
}

/// Pointers to every field, nested ones included.
fn paths(fields: &Fields, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, field) in &fields.0 {
        let path = format!("{at}/{name}");
        found.extend(paths(&field.within, &path));
        found.push(path);
    }
    found
}

/// `tests/schema/fields.txt`
fn fields_listed() -> BTreeMap<String, Fields> {
    include_str!("schema/fields.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, fields) = line.split_once(':').expect("a type and its fields");
            (name.to_owned(), listed(fields))
        })
        .collect()
}

/// `a* b c{d e}`
fn listed(text: &str) -> Fields {
    let mut fields = Fields::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '{']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let mut field = Field {
            required: word.ends_with('*'),
            within: Fields::default(),
        };
        rest = after;
        if let Some(inner) = after.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').expect("a closing brace");
            field.within = listed(inner);
            rest = after;
        }
        fields
            .0
            .insert(word.trim_end_matches('*').to_owned(), field);
        rest = rest.trim_start();
    }
    fields
}

/// The fields a schema names, objects within it followed.
fn fields_of(root: &Value, schema: &Value) -> Fields {
    let schema = resolve(root, schema);
    let required = |name: &str| {
        let list = schema["required"].as_array();
        list.is_some_and(|list| list.iter().any(|item| item == name))
    };
    let properties = schema["properties"].as_object();
    let fields = properties.into_iter().flatten().map(|(name, property)| {
        let field = Field {
            required: required(name),
            within: fields_of(root, property),
        };
        (name.clone(), field)
    });
    Fields(fields.collect())
}

/// Follows a reference, and the one alternative that is not null.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(place) = schema["$ref"].as_str() {
        let place = place
            .strip_prefix('#')
            .expect("a reference into this schema");
        return resolve(root, root.pointer(place).expect("what is referred to"));
    }
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, null]) if null["type"] == "null" => resolve(root, one),
        Some(_) | None => schema,
    }
}
