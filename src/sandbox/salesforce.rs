//! Salesforce: upserting collections by an external id (sObject Collections of the REST API).
//!
//! What bites: the answer is 200 with one result a record, and each can have failed for itself; with `allOrNone` one
//! failure takes back the others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    call::{Call, Reply},
    oauth::Refusal,
    store::Store,
};

/// Records of one request.
const RECORDS_MAX: usize = 200;

/// Where things are.
const ROUTES: &str = "PATCH /services/data/vN/composite/sobjects/{object}/{field}, \
                      GET /services/data/vN/sobjects/{object}/{field}/{value}";

/// One organisation.
#[derive(Debug)]
pub struct Salesforce {
    /// By object, field and value.
    records: Store<Value>,
    written: u64,
    control: Control,
}

/// What `POST /control/salesforce` sets: what is absent is as in the beginning.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// Status code of the error by external id, such as `UNABLE_TO_LOCK_ROW`.
    failing: BTreeMap<String, String>,
}

impl Salesforce {
    /// Remembers so many records.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            records: Store::new(keep),
            written: 0,
            control: Control::default(),
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call, token: Result<u64, Refusal>) -> Reply {
        if token.is_err() {
            return error(401, "INVALID_SESSION_ID", "Session expired or invalid");
        }
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            (
                "PATCH",
                [
                    "services",
                    "data",
                    _,
                    "composite",
                    "sobjects",
                    object,
                    field,
                ],
            ) => match self.upsert(call, object, field) {
                Ok(reply) => reply,
                Err(detail) => error(400, "JSON_PARSER_ERROR", &detail),
            },
            ("GET", ["services", "data", _, "sobjects", object, field, value]) => {
                match self.records.get(&place(object, field, value)) {
                    Some(record) => Reply::json(200, record),
                    None => error(404, "NOT_FOUND", "The requested resource does not exist"),
                }
            }
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn upsert(&mut self, call: &Call, object: &str, field: &str) -> Result<Reply, String> {
        let body = call.json()?;
        let records = body["records"].as_array().ok_or("records must be a list")?;
        if records.is_empty() || records.len() > RECORDS_MAX {
            return Err(format!("records must be 1 to {RECORDS_MAX}"));
        }
        let mut ids = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            if record["attributes"]["type"] != object {
                return Err(format!("records[{at}].attributes.type must be {object}"));
            }
            let id = record[field].as_str().filter(|id| !id.is_empty());
            ids.push(id.ok_or_else(|| format!("records[{at}].{field} is missing"))?);
        }
        let failing = &self.control.failing;
        let fails = ids.iter().any(|id| failing.contains_key(*id));
        let is_rolled_back = fails && body["allOrNone"] == true;
        let mut results = Vec::with_capacity(records.len());
        let mut done = Vec::new();
        for (id, record) in ids.into_iter().zip(records) {
            let refused = match (failing.get(id), is_rolled_back) {
                (Some(code), _) => Some((code.as_str(), "the record could not be written")),
                (None, true) => Some((
                    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                    "Record rolled back because not all records were valid",
                )),
                (None, false) => None,
            };
            if let Some((code, message)) = refused {
                let error = json!({ "statusCode": code, "message": message, "fields": [] });
                results.push(json!({ "success": false, "errors": [error] }));
                continue;
            }
            let place = place(object, field, id);
            let is_created = self.records.get(&place).is_none();
            self.records.insert(&place, record.clone());
            done.push(id);
            results.push(json!({
                "id": format!("003{:012x}", xxh3_64(place.as_bytes()) >> 16),
                "success": true,
                "errors": [],
                "created": is_created,
            }));
        }
        let reply = Reply::json(200, &Value::Array(results));
        if done.is_empty() {
            return Ok(reply);
        }
        self.written += 1;
        let executed = call.key().map_or_else(
            || format!("{}#{}", done.join(","), self.written),
            str::to_owned,
        );
        Ok(reply.executed(executed))
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.control = control;
    }
}

fn place(object: &str, field: &str, value: &str) -> String {
    format!("{object}/{field}/{value}")
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!([{ "errorCode": code, "message": message }]))
}
