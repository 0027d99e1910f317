//! Tests against two authorities outside of this module: the interpreter of the crate `cel`, which says what a
//! condition means, and the JSON Schemas of the contract's types, which say what fields there are.

#![expect(
    clippy::disallowed_types,
    reason = "maps of the crate cel are hash maps; this is part of the tests only"
)]

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{
    Figures,
    condition::Condition,
    eval::{Failure, Trouble},
    field::{Field, Kind, Scope, Topic, Value},
};
use crate::contract::event::{
    Body, CustomerRef, EnpsResponse, InteractionCompleted, Routing, SurveyResponse, WfmMetric,
};

/// What the interpreter answers; `None` if it cannot.
fn interpreted(text: &str, topic: Topic, scope: &Scope<'_>) -> Option<cel::Value> {
    let (actor, figures) = topic.figures();
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", object(topic.fields(), "", scope));
    context.add_variable_from_value(actor, object(figures, "", scope));
    // The crate's parser takes far more stack than the two megabytes of a test's thread.
    std::thread::scope(|threads| {
        let builder = std::thread::Builder::new().stack_size(64 << 20);
        let run = || cel::Program::compile(text).unwrap().execute(&context).ok();
        builder.spawn_scoped(threads, run).unwrap().join().unwrap()
    })
}

/// The fields below `path` that are there, as a CEL map.
fn object(fields: &[Field], path: &str, scope: &Scope<'_>) -> cel::Value {
    let mut map: HashMap<String, cel::Value> = HashMap::new();
    for field in fields {
        let Some(name) = field
            .path
            .strip_prefix(path)
            .filter(|name| !name.contains('.'))
        else {
            continue;
        };
        let Some(value) = (field.get)(scope) else {
            continue;
        };
        let value = match value {
            Value::Object => object(fields, &format!("{}.", field.path), scope),
            Value::Bool(b) => b.into(),
            Value::Int(n) => n.into(),
            Value::Double(n) => n.into(),
            Value::Text(text) => text.into(),
            Value::Day(day) => std::str::from_utf8(&day).unwrap().into(),
            Value::Texts(texts) => texts.to_vec().into(),
            Value::Answers(answers) => {
                let answers = answers
                    .iter()
                    .map(|(key, json)| (key.clone(), of_json(json)));
                answers.collect::<HashMap<_, _>>().into()
            }
            Value::Json(json) => of_json(json),
        };
        map.insert(name.to_owned(), value);
    }
    map.into()
}

fn of_json(json: &Json) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(b) => (*b).into(),
        Json::Number(number) => number.as_f64().unwrap().into(),
        Json::String(text) => text.as_str().into(),
        Json::Array(elements) => cel::Value::List(Arc::new(elements.iter().map(of_json).collect())),
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, json)| (key.clone(), of_json(json)));
            fields.collect::<HashMap<_, _>>().into()
        }
    }
}

fn event() -> impl Strategy<Value = Body> {
    let field = |values: Vec<Json>| proptest::option::weighted(0.7, prop::sample::select(values));
    (
        field(vec![json!(1), json!(3), json!(5)]),
        field(vec![json!("rude"), json!("Straße 3"), json!("")]),
        field(vec![
            json!(3),
            json!(-2.5),
            json!("3"),
            json!("rude"),
            json!(true),
            json!(null),
            json!(["rude", 3, null]),
            json!({ "rude": 1 }),
            json!(1e300),
        ]),
        field(vec![json!({}), json!({ "phone": "3" })]),
        field(vec![json!("q1")]),
        prop::sample::select(vec![0_u32, 1, u32::MAX]),
    )
        .prop_map(|(csat, comment, answer, customer, queue, revision)| {
            let mut data = json!({
                "response_id": "r", "interaction_id": "i", "revision": revision, "answers": {},
                "submitted_at": "2026-11-20T10:00:00Z", "routing": {},
            });
            let fields = [("csat", csat), ("comment", comment), ("customer", customer)];
            for (name, value) in fields {
                if let Some(value) = value {
                    data[name] = value;
                }
            }
            if let Some(answer) = answer {
                data["answers"]["q"] = answer;
            }
            if let Some(queue) = queue {
                data["routing"]["queue_id"] = queue;
            }
            Body::SurveyResponse(serde_json::from_value(data).unwrap())
        })
}

fn figures() -> impl Strategy<Value = Figures> {
    let points = prop::sample::select(vec![0, 3, -1, i64::MAX, i64::MIN]);
    let share = prop::sample::select(vec![0.0, 0.5, 1.0]);
    (points, 0..4_u32, share).prop_map(|(points, detractors, detractor_share)| Figures::Agent {
        points,
        responses: 3,
        detractors,
        detractor_share,
    })
}

/// Writes expressions, led by random bytes; when those are used up, the simplest ones.
struct Writer<'a>(std::slice::Iter<'a, u8>);

type Write<'a> = fn(&mut Writer<'a>, u32) -> String;

const ORDERS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

impl<'a> Writer<'a> {
    fn pick(&mut self, choices: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % choices)
    }

    fn one_of(&mut self, texts: &[&str]) -> String {
        texts[self.pick(texts.len())].to_owned()
    }

    fn answer(&mut self, _depth: u32) -> String {
        self.one_of(&["event.answers.q", "event.answers['q']"])
    }

    fn int(&mut self, depth: u32) -> String {
        match if depth == 0 { 0 } else { self.pick(8) } {
            0..=2 => self.one_of(&[
                "0",
                "3",
                "-1",
                "5",
                "9223372036854775807",
                "(-9223372036854775808)",
                "0x1F",
                "event.csat",
                "event.revision",
                "event.submitted_at",
                "agent.points",
                "agent.detractors",
                "size(event.comment)",
                "size(event.answers)",
                "size(event.answers.q)",
                "int(event.answers.q)",
                "event.comment.size()",
                "event['csat']",
            ]),
            3..=4 => self.between(Self::int, &["+", "-", "*", "/", "%"], Self::int, depth),
            5 => format!("-{}", self.int(depth - 1)),
            6 => format!("int({})", self.double(depth - 1)),
            _ => self.ternary(Self::int, depth),
        }
    }

    fn double(&mut self, depth: u32) -> String {
        match if depth == 0 { 0 } else { self.pick(6) } {
            0..=1 => self.one_of(&[
                "0.0",
                "3.0",
                "-2.5",
                "1e300",
                ".5",
                "2.5E-1",
                "agent.detractor_share",
                "double(event.answers.q)",
                "double(event.comment)",
            ]),
            2..=3 => self.between(Self::double, &["+", "-", "*", "/"], Self::double, depth),
            4 => format!("(event.answers.q * {})", self.double(depth - 1)),
            _ => format!("double({})", self.int(depth - 1)),
        }
    }

    fn text(&mut self, _depth: u32) -> String {
        self.one_of(&[
            "'rude'",
            "\"3\"",
            "''",
            r"'Stra\u00dfe \x33'",
            r"r'\d'",
            "event.comment",
            "event.response_id",
            "event.survey_id",
            "event.routing.queue_id",
            "event.customer.phone",
            "'''ru'''",
            r"'\162ude'",
        ])
    }

    fn bool(&mut self, depth: u32) -> String {
        match self.pick(if depth == 0 { 5 } else { 16 }) {
            0..=1 => self.one_of(&[
                "true",
                "false",
                "event.answers.q",
                "has(event.csat)",
                "has(event.comment)",
                "has(event.answers.q)",
                "has(event.answers.x)",
                "has(event.customer)",
                "has(event.customer.phone)",
                "has(event.routing.queue_id)",
                "has(event.routing)",
                "has(agent.points)",
                "'q' in event.answers",
                "event.response_id in event.answers",
                "event.csat in [1, 3.0]",
                "event.answers.q in [1, 3]",
                "event.answers.q in ['rude', true,]",
                "event.comment in []",
                "3 in event.answers.q",
                "2.5 in event.answers.q",
                "true in event.answers.q",
                "event.answers.q in event.answers.q",
                "event.answers.q in event.answers",
                "'rude' in event.answers.q",
                "event.answers.q == event.answers.q",
                "event.answers.q < event.answers.q",
            ]),
            2 => {
                let (a, b) = (self.text(0), self.text(0));
                let test = self.one_of(&["contains", "startsWith", "endsWith"]);
                format!("{a}.{test}({b})")
            }
            3 => self.between(Self::text, ORDERS, Self::text, 1),
            4 => {
                let others: [Write<'a>; 3] = [Self::text, Self::int, Self::double];
                let other = others[self.pick(3)];
                self.between(Self::answer, ORDERS, other, depth.max(1))
            }
            5..=7 => {
                let numbers: [Write<'a>; 2] = [Self::int, Self::double];
                let (a, b) = (numbers[self.pick(2)], numbers[self.pick(2)]);
                self.between(a, ORDERS, b, depth)
            }
            8..=12 => self.between(Self::bool, &["&&", "||", "==", "!="], Self::bool, depth),
            13..=14 => format!("!{}", self.bool(depth - 1)),
            _ => self.ternary(Self::bool, depth),
        }
    }

    /// Now and then without brackets, so that precedence is tested too; what is no condition then is skipped.
    fn between(&mut self, a: Write<'a>, signs: &[&str], b: Write<'a>, depth: u32) -> String {
        let (a, sign, b) = (a(self, depth - 1), self.one_of(signs), b(self, depth - 1));
        match self.pick(4) {
            1 => format!("{a} {sign} {b}"),
            _ => format!("({a} {sign} {b})"),
        }
    }

    fn ternary(&mut self, of: Write<'a>, depth: u32) -> String {
        let (a, b, c) = (
            self.bool(depth - 1),
            of(self, depth - 1),
            of(self, depth - 1),
        );
        format!("({a} ? {b} : {c})")
    }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_condition_means_what_the_cel_interpreter_says(
        choices in choices(),
        body in event(),
        figures in figures(),
    ) {
        let text = Writer(choices.iter()).bool(4);
        let scope = Scope { body: &body, figures: &figures };
        let condition = Condition::compile(&text, Topic::Survey);
        prop_assume!(condition.is_ok());
        let expected = match interpreted(&text, Topic::Survey, &scope) {
            Some(cel::Value::Bool(b)) => Some(b),
            // An answer that is no bool is no error of CEL, but no condition either.
            Some(_) | None => None,
        };
        prop_assert_eq!(condition.unwrap().holds(&scope).ok(), expected, "{} on {:?}", text, body);
    }

    #[test]
    fn points_are_what_the_cel_interpreter_says(
        choices in choices(),
        body in event(),
        figures in figures(),
    ) {
        let mut writer = Writer(choices.iter());
        let text = if writer.pick(2) == 0 { writer.int(4) } else { writer.double(4) };
        let scope = Scope { body: &body, figures: &figures };
        let points = Condition::compile_points(&text, Topic::Survey);
        prop_assume!(points.is_ok());
        let expected = match interpreted(&text, Topic::Survey, &scope) {
            Some(cel::Value::Int(n)) => i32::try_from(n).ok(),
            Some(cel::Value::Float(n)) => Some(n.round() as i32).filter(|points| f64::from(*points) == n.round()),
            Some(_) | None => None,
        };
        prop_assert_eq!(points.unwrap().points(&scope).ok(), expected, "{} on {:?}", text, body);
    }
}

#[test]
fn an_absent_field_is_no_failure_unless_something_else_is() {
    let body = Body::SurveyResponse(
        serde_json::from_value(json!({
            "response_id": "r", "interaction_id": "i", "submitted_at": 0, "comment": "x",
        }))
        .unwrap(),
    );
    let figures = Figures::Agent {
        points: 0,
        responses: 0,
        detractors: 0,
        detractor_share: 0.0,
    };
    let scope = Scope {
        body: &body,
        figures: &figures,
    };
    let holds = |text| {
        Condition::compile(text, Topic::Survey)
            .unwrap()
            .holds(&scope)
    };
    let failed = Err(Trouble::Failed(Failure::DivisionByZero));
    assert_eq!(holds("event.csat < 3"), Err(Trouble::Absent));
    assert_eq!(holds("!(event.csat < 3)"), Err(Trouble::Absent));
    assert_eq!(holds("event.csat < 3 || event.comment == 'x'"), Ok(true));
    assert_eq!(holds("event.comment == 'x' || event.csat < 3"), Ok(true));
    assert_eq!(
        holds("event.csat < 3 || event.comment == 'y'"),
        Err(Trouble::Absent)
    );
    assert_eq!(holds("!has(event.csat) && event.comment == 'x'"), Ok(true));
    assert_eq!(holds("has(event.customer.phone)"), Err(Trouble::Absent));
    assert_eq!(holds("!has(event.routing.queue_id)"), Ok(true));
    assert_eq!(holds("1 / agent.points > 0"), failed);
    assert_eq!(
        holds("1 / agent.points > 0 || event.comment == 'y'"),
        failed
    );
    assert_eq!(
        holds("1 / agent.points > 0 || event.comment == 'x'"),
        Ok(true)
    );
    assert_eq!(
        holds("1 / agent.points > 0 || event.csat < 3"),
        Err(Trouble::Absent)
    );
}

#[test]
fn the_tables_name_exactly_the_fields_of_the_contract() {
    let fields = |schema: schemars::Schema| -> Vec<String> {
        let properties = schema.get("properties").and_then(Json::as_object);
        properties.unwrap().keys().cloned().collect()
    };
    let customer = fields(schemars::schema_for!(CustomerRef));
    let routing = fields(schemars::schema_for!(Routing));
    for (topic, schema) in [
        (Topic::Survey, schemars::schema_for!(SurveyResponse)),
        (Topic::Enps, schemars::schema_for!(EnpsResponse)),
        (Topic::Wfm, schemars::schema_for!(WfmMetric)),
        (
            Topic::Completed,
            schemars::schema_for!(InteractionCompleted),
        ),
    ] {
        let mut expected = fields(schema);
        for (object, parts) in [("customer", &customer), ("routing", &routing)] {
            if expected.iter().any(|field| field == object) {
                expected.extend(parts.iter().map(|part| format!("{object}.{part}")));
            }
        }
        expected.sort();
        let mut named: Vec<String> = topic.fields().iter().map(|f| f.path.to_owned()).collect();
        named.sort();
        assert_eq!(named, expected, "{topic:?}");
    }
}

#[test]
fn every_field_reads_its_own_value_and_is_of_the_type_it_says() {
    for (topic, body, data) in full() {
        let figures = match topic.figures().0 {
            "agent" => Figures::Agent {
                points: 1,
                responses: 2,
                detractors: 3,
                detractor_share: 0.25,
            },
            _customer => Figures::Customer {
                contacts: 1,
                contacts_7d: 2,
                sentiment: Some(0.25),
                sentiment_avg: Some(0.5),
            },
        };
        let scope = Scope {
            body: &body,
            figures: &figures,
        };
        for field in topic.fields() {
            let value = (field.get)(&scope).unwrap_or_else(|| panic!("{} is there", field.path));
            let expected = field.path.split('.').fold(&data, |json, key| &json[key]);
            let (kind, read) = match value {
                Value::Bool(b) => (Kind::Bool, json!(b)),
                Value::Int(ms) if expected.is_string() => {
                    let time: crate::contract::time::EventTime =
                        serde_json::from_value(expected.clone()).unwrap();
                    assert_eq!(time.0, ms, "{}", field.path);
                    (Kind::Int, expected.clone())
                }
                Value::Int(n) => (Kind::Int, json!(n)),
                Value::Double(n) => (Kind::Double, json!(n)),
                Value::Text(text) => (Kind::Text, json!(text)),
                Value::Day(day) => (Kind::Text, json!(std::str::from_utf8(&day).unwrap())),
                Value::Texts(texts) => (Kind::Texts, json!(texts)),
                Value::Answers(answers) => (Kind::Answers, json!(answers)),
                Value::Object => (Kind::Object, expected.clone()),
                Value::Json(json) => (Kind::Any, json.clone()),
            };
            assert_eq!((kind, &read), (field.kind, expected), "{}", field.path);
        }
        let (_, figures) = topic.figures();
        let read: Vec<f64> = figures
            .iter()
            .map(|field| match (field.get)(&scope) {
                Some(Value::Int(n)) => n as f64,
                Some(Value::Double(n)) => n,
                other => panic!("{}: {other:?}", field.path),
            })
            .collect();
        let expected = match topic.figures().0 {
            "agent" => [1.0, 2.0, 3.0, 0.25],
            _customer => [1.0, 2.0, 0.25, 0.5],
        };
        assert_eq!(read, expected);
    }
}

/// One event of each topic with every field set, each to another value.
fn full() -> Vec<(Topic, Body, Json)> {
    let customer =
        json!({ "customer_id": "c1", "phone": "+49", "email": "c@x", "cdp_user_id": "u1" });
    let survey = json!({
        "response_id": "r1", "revision": 7, "survey_id": "s1", "interaction_id": "i1",
        "channel": "chat", "submitted_at": "2026-11-20T10:00:00.000Z", "csat": 4, "comment": "fine", "answers": { "q": 1 },
        "routing": { "queue_id": "q1", "agent_id": "a1", "agent_name": "Ada", "bot_id": "b1" },
        "customer": customer,
    });
    let enps = json!({
        "response_id": "r2", "agent_id": "a2", "score": 9, "comment": "good",
        "submitted_at": "2026-11-20T11:00:00.000Z", "interaction_id": "i2", "queue_id": "q2",
        "wrap_up_code": "w2",
    });
    let wfm = json!({
        "agent_id": "a3", "date": "2026-01-02", "metric": "aht", "value": 1.5, "export_version": "v3",
        "recorded_at": "2026-11-20T12:00:00.000Z",
    });
    let completed = json!({
        "interaction_id": "i4", "channel": "voice", "queue_id": "q4", "skills": ["k4"], "agent_id": "a4",
        "bot_id": "b4", "customer": customer, "started_at": "2026-11-20T13:00:00.000Z",
        "ended_at": "2026-11-20T14:00:00.000Z", "duration_s": 3600.5, "disposition": "d4",
        "wrap_up_code": "w4", "summary": "s4", "sentiment": -0.5, "tags": ["t4"],
    });
    let of = |json: &Json| json.clone();
    vec![
        (
            Topic::Survey,
            Body::SurveyResponse(serde_json::from_value(of(&survey)).unwrap()),
            survey,
        ),
        (
            Topic::Enps,
            Body::EnpsResponse(serde_json::from_value(of(&enps)).unwrap()),
            enps,
        ),
        (
            Topic::Wfm,
            Body::WfmMetric(serde_json::from_value(of(&wfm)).unwrap()),
            wfm,
        ),
        (
            Topic::Completed,
            Body::InteractionCompleted(serde_json::from_value(of(&completed)).unwrap()),
            completed,
        ),
    ]
}
