//! The warehouse of scored survey responses: rows are added and never changed (S1.08).

use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    shape::Shape,
    store::Store,
};

/// Where things are.
const ROUTES: &str = "POST and GET /api/v1/enps_events";

/// One table.
#[derive(Debug)]
pub struct Warehouse {
    rows: Store<Value>,
}

impl Warehouse {
    /// Remembers so many rows.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            rows: Store::new(keep),
        }
    }

    /// Answers a call whose token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["api", "v1", "enps_events"]) => self.append(call),
            ("GET", ["api", "v1", "enps_events"]) => {
                let rows: Vec<&Value> = self.rows.iter().map(|(_, row)| row).collect();
                let total = self.rows.len();
                Reply::json(200, &json!({ "total": total, "events": rows }))
            }
            (_, ["api", "v1", "enps_events", ..]) => {
                let detail = "rows are added, never changed or removed";
                Reply::problem(405, "append_only", detail).with("Allow", "GET, POST")
            }
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn append(&mut self, call: &Call) -> Reply {
        let row = match call.json() {
            Ok(row) => row,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        let identity = match check(&row) {
            Ok(identity) => identity,
            Err(detail) => return Reply::problem(422, "invalid_body", detail),
        };
        let id = call
            .header("idempotency-key")
            .filter(|key| !key.is_empty())
            .map_or(identity, str::to_owned);
        match self.rows.get(&id) {
            Some(stored) if *stored == row => {
                Reply::json(200, &json!({ "status": "duplicate", "event_id": id })).again()
            }
            Some(_) => {
                let detail = "this event is stored with other values, and rows do not change";
                Reply::problem(409, "immutable", detail)
            }
            None => {
                self.rows.insert(&id, row);
                Reply::json(201, &json!({ "status": "stored", "event_id": id })).executed(id)
            }
        }
    }
}

/// What names a row that is right: score and category together.
fn check(row: &Value) -> Result<String, String> {
    let mut shape = Shape::of(row);
    shape.only(&[
        "event_type",
        "agent_id",
        "interaction_id",
        "raw_score",
        "category",
        "submitted_at",
        "metadata",
    ]);
    let kind = shape.text("event_type");
    shape.demand(kind == "enps_submission", "event_type", "enps_submission");
    let agent = shape.text("agent_id");
    let interaction = shape.text_or_none("interaction_id").unwrap_or_default();
    let score = shape.integer("raw_score", 0..=10);
    let category = shape.text("category");
    let right = match score {
        9.. => "promoter",
        7..=8 => "passive",
        _ => "detractor",
    };
    shape.demand(
        category.eq_ignore_ascii_case(right),
        "category",
        &format!("{right} for a score of {score}"),
    );
    let submitted = shape.time("submitted_at");
    let mut metadata = shape.object("metadata");
    metadata.only(&["queue_id", "wrap_up_code"]);
    metadata.text_or_none("queue_id");
    metadata.text_or_none("wrap_up_code");
    shape.take(metadata);
    shape
        .verdict()
        .map(|()| format!("{agent}/{interaction}/{submitted}"))
}
