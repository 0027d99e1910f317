//! Genesys Cloud: conversations, their recordings, supervisors of a queue, superiors of a user.
//!
//! What bites: a recording is `UPLOADING` for a while and has no media then; it can fail, be deleted, or never have
//! been made; the chain of superiors is a plain list, while supervisors come as a page of entities.

use std::{collections::BTreeMap, time::Duration};

use aftercall_actors::contract::time::EventTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Call, Reply},
    oauth::Refusal,
    store::Store,
};

/// How long a made-up conversation lasted, in milliseconds.
const LENGTH_MS: i64 = 240_000;

/// Where things are.
const ROUTES: &str = "GET /api/v2/conversations/{id}, GET /api/v2/conversations/{id}/recordings, \
                      GET /api/v2/conversations/{id}/summaries, \
                      GET /api/v2/routing/queues/{id}/supervisors, GET /api/v2/users/{id}/superiors";

/// One organisation. Conversations nobody told it of exist as soon as they are asked for.
#[derive(Debug)]
pub struct Genesys {
    /// When each conversation was first asked for.
    seen: Store<i64>,
    recording_after: Duration,
    told: Control,
}

/// Somebody who can be told of an alert.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Slack channel or member; no field of the vendor's, but handy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slack: Option<String>,
}

/// What becomes of the recording of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Recording {
    /// Uploaded a while after it is first asked for.
    Uploading,
    /// There from the first.
    Available,
    /// It could not be stored.
    Failed,
    /// It was there, and was deleted.
    Deleted,
    /// None was made.
    None,
    /// There is no such conversation.
    Unknown,
}

/// What `POST /control/genesys` sets; what was set before stays unless it is set anew.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// By conversation.
    recordings: BTreeMap<String, Recording>,
    /// By conversation; `null` is still being made. Those not named have one made up.
    summaries: BTreeMap<String, Option<String>>,
    /// By queue; queues not named have one supervisor, an empty list is a queue without.
    supervisors: BTreeMap<String, Vec<Person>>,
    /// By user, nearest first; users not named have one manager.
    superiors: BTreeMap<String, Vec<Person>>,
    /// How long recordings are being uploaded, in milliseconds.
    recording_after_ms: Option<u64>,
}

impl Genesys {
    /// Remembers so many conversations.
    #[must_use]
    pub fn new(keep: usize, recording_after: Duration) -> Self {
        Self {
            seen: Store::new(keep),
            recording_after,
            told: Control::default(),
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call, token: Result<u64, Refusal>) -> Reply {
        if let Err(refusal) = token {
            let code = match refusal {
                Refusal::Missing => "authentication.required",
                Refusal::Unknown | Refusal::Expired | Refusal::Revoked => "bad.credentials",
            };
            return error(call, 401, code, refusal.detail());
        }
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("GET", ["api", "v2", "conversations", id]) => self.conversation(call, id),
            ("GET", ["api", "v2", "conversations", id, "recordings"]) => self.recordings(call, id),
            ("GET", ["api", "v2", "conversations", id, "summaries"]) => self.summaries(call, id),
            ("GET", ["api", "v2", "routing", "queues", id, "supervisors"]) => {
                let people = self.told.supervisors.get(*id).cloned();
                let people = people.unwrap_or_else(|| vec![made_up(id, "supervisor")]);
                let body = json!({
                    "entities": people,
                    "pageSize": 25,
                    "pageNumber": 1,
                    "total": people.len(),
                    "pageCount": 1,
                });
                Reply::json(200, &body)
            }
            ("GET", ["api", "v2", "users", id, "superiors"]) => {
                let people = self.told.superiors.get(*id).cloned();
                let people = people.unwrap_or_else(|| vec![made_up(id, "manager")]);
                Reply::json(200, &json!(people))
            }
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn conversation(&mut self, call: &Call, id: &str) -> Reply {
        let Some(since_ms) = self.since(call, id) else {
            return error(call, 404, "not.found", "the conversation was not found");
        };
        let (start, end) = (EventTime(since_ms - LENGTH_MS), EventTime(since_ms));
        let body = json!({
            "id": id,
            "startTime": start,
            "endTime": end,
            "recordingState": "active",
            "participants": [
                { "id": format!("{id}-c"), "purpose": "customer", "startTime": start, "endTime": end },
                { "id": format!("{id}-a"), "purpose": "agent", "startTime": start, "endTime": end },
            ],
            "selfUri": format!("/api/v2/conversations/{id}"),
        });
        Reply::json(200, &body)
    }

    fn recordings(&mut self, call: &Call, id: &str) -> Reply {
        let Some(since_ms) = self.since(call, id) else {
            return error(call, 404, "not.found", "the conversation was not found");
        };
        let told = self.told.recordings.get(id).copied();
        let waited_ms = call.at_ms - since_ms;
        let is_uploaded = waited_ms >= self.recording_after.as_millis() as i64;
        let state = match told.unwrap_or(Recording::Uploading) {
            Recording::Uploading if is_uploaded => "AVAILABLE",
            Recording::Uploading => "UPLOADING",
            Recording::Available => "AVAILABLE",
            Recording::Failed => "ERROR",
            Recording::Deleted => "DELETED",
            Recording::None | Recording::Unknown => return Reply::json(200, &json!([])),
        };
        let recording_id = format!("{id}-r1");
        let mut recording = json!({
            "id": recording_id,
            "conversationId": id,
            "startTime": EventTime(since_ms - LENGTH_MS),
            "endTime": EventTime(since_ms),
            "media": "audio",
            "fileState": state,
            "selfUri": format!("/api/v2/conversations/{id}/recordings/{recording_id}"),
        });
        match state {
            "AVAILABLE" => {
                let uri = format!("https://recordings.example.com/{recording_id}.opus");
                recording["mediaUris"] = json!({ "S": { "mediaUri": uri } });
                recording["actualTranscodeTimeMs"] = 1_500.into();
            }
            "UPLOADING" => recording["estimatedTranscodeTimeMs"] = 1_500.into(),
            "DELETED" => recording["deleteDate"] = json!(EventTime(call.at_ms)),
            _ => {}
        }
        Reply::json(200, &json!([recording]))
    }

    fn summaries(&mut self, call: &Call, id: &str) -> Reply {
        let Some(since_ms) = self.since(call, id) else {
            return error(call, 404, "not.found", "the conversation was not found");
        };
        let text = match self.told.summaries.get(id) {
            Some(Some(text)) => text.as_str(),
            Some(None) => return Reply::json(202, &json!({})),
            None => "The customer asked for help. The agent explained the next steps.",
        };
        let body = json!({
            "conversation": { "id": id },
            "summary": { "text": text, "status": "Completed", "dateCreated": EventTime(since_ms) },
        });
        Reply::json(200, &body)
    }

    /// When a conversation was first asked for; `None` if there is no such one.
    fn since(&mut self, call: &Call, id: &str) -> Option<i64> {
        if self.told.recordings.get(id) == Some(&Recording::Unknown) {
            return None;
        }
        if let Some(since_ms) = self.seen.get(id) {
            return Some(*since_ms);
        }
        self.seen.insert(id, call.at_ms);
        Some(call.at_ms)
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.told.recordings.extend(control.recordings);
        self.told.summaries.extend(control.summaries);
        self.told.supervisors.extend(control.supervisors);
        self.told.superiors.extend(control.superiors);
        if let Some(ms) = control.recording_after_ms {
            self.recording_after = Duration::from_millis(ms);
        }
    }
}

/// Somebody for a queue or a user of whom nothing was told; with the same address and channel each time.
fn made_up(id: &str, role: &str) -> Person {
    let plain: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    Person {
        id: format!("{role}-{id}"),
        name: format!("The {role} of {id}"),
        email: Some(format!("{role}.{plain}@example.com")),
        slack: Some(format!("C0{}", plain.to_ascii_uppercase())),
    }
}

fn error(call: &Call, status: u16, code: &str, message: &str) -> Reply {
    let body = json!({
        "message": message,
        "code": code,
        "status": status,
        "contextId": format!("{:032x}", xxhash_rust::xxh3::xxh3_128(call.path.as_bytes())),
        "details": [],
        "errors": [],
    });
    Reply::json(status, &body)
}
