//! Coaching tasks: one a request, unless the key says it is the same one again.

use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    replays::{Known, Replays},
    shape::Shape,
    store::Store,
};

/// How long an idempotency key is remembered.
const KEY_MS: i64 = 86_400_000;

/// Where things are.
const ROUTES: &str = "POST and GET /v1/tasks";

/// The list of tasks.
#[derive(Debug)]
pub struct Coaching {
    tasks: Store<Value>,
    created: u64,
    replays: Replays,
}

impl Coaching {
    /// Remembers so many tasks.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            tasks: Store::new(keep),
            created: 0,
            replays: Replays::new(keep, KEY_MS),
        }
    }

    /// Answers a call whose token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "tasks"]) => self.create(call),
            ("GET", ["v1", "tasks"]) => {
                let tasks: Vec<&Value> = self.tasks.iter().map(|(_, task)| task).collect();
                Reply::json(200, &json!({ "total": tasks.len(), "tasks": tasks }))
            }
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn create(&mut self, call: &Call) -> Reply {
        let mut task = match call.json() {
            Ok(task) => task,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        let mut shape = Shape::of(&task);
        shape.text("agent_id");
        shape.text("reason");
        if let Err(detail) = shape.verdict() {
            return Reply::problem(422, "invalid_body", detail);
        }
        let key = call.header("idempotency-key").filter(|key| !key.is_empty());
        if let Some(key) = key {
            match self.replays.look(key, call) {
                Known::Same(reply) => return reply,
                Known::Other(_) => {
                    let detail = "the key was used before, with another body";
                    return Reply::problem(409, "idempotency_conflict", detail);
                }
                Known::New => {}
            }
        }
        self.created += 1;
        let id = format!("task-{}", self.created);
        task["task_id"] = id.clone().into();
        let reply = Reply::json(201, &json!({ "task_id": id, "status": "open" }))
            .executed(key.unwrap_or(&id));
        self.tasks.insert(&id, task);
        match key {
            Some(key) => self.replays.keep(key, call, reply),
            None => reply,
        }
    }
}
