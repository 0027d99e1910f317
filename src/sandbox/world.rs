//! All vendors, the faults and the ledger behind one lock: each request is decided in one step.
//!
//! What a request does is done when it arrives; slowness delays only the answer. So a sender that gives up waiting
//! meets what it meets in the world: the vendor has done it all the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Settings,
    call::{Call, Reply, Vendor},
    cdp::Cdp,
    coaching::Coaching,
    control,
    crm::Crm,
    faults::{Fault, Faults},
    garble,
    genesys::Genesys,
    hooks::Hooks,
    ledger::{Entry, Keep, Ledger},
    mail::Mail,
    oauth::{Oauth, Refusal},
    rewards::Rewards,
    salesforce::Salesforce,
    slack::Slack,
    survey::Survey,
    teams::Teams,
    tremendous::Tremendous,
    warehouse::Warehouse,
};

/// Header that switches a fault on for one request.
pub const FAULT_HEADER: &str = "x-sandbox-fault";

/// Bytes that an oversized answer has at least.
const OVERSIZE_BYTES: usize = 11 * 1_024;

/// How a request is answered.
#[derive(Debug)]
pub struct Plan {
    /// Wait before that.
    pub delay: Duration,
    /// What then.
    pub then: Then,
}

/// How a request ends.
#[derive(Debug)]
pub enum Then {
    /// With this answer.
    Answer(Reply),
    /// The connection is closed without one.
    Close,
    /// It does not.
    Hang,
}

/// Everything that changes.
#[derive(Debug)]
pub struct World {
    pub(super) oauth: Oauth,
    pub(super) genesys: Genesys,
    pub(super) slack: Slack,
    pub(super) teams: Teams,
    pub(super) rewards: Rewards,
    pub(super) tremendous: Tremendous,
    pub(super) crm: Crm,
    pub(super) cdp: Cdp,
    pub(super) survey: Survey,
    pub(super) warehouse: Warehouse,
    pub(super) coaching: Coaching,
    pub(super) salesforce: Salesforce,
    pub(super) hooks: Hooks,
    pub(super) mail: Mail,
    pub(super) faults: Faults,
    pub(super) ledger: Ledger,
    pub(super) latency: Duration,
    now_ms: i64,
}

impl World {
    /// Vendors to whom nothing has happened yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let keep = settings.keep;
        let ledger = if settings.counts_only {
            Keep::Counts
        } else {
            Keep::Newest(keep)
        };
        Self {
            oauth: Oauth::new(
                &settings.client_id,
                &settings.client_secret,
                &settings.tokens,
                settings.seed,
            ),
            genesys: Genesys::new(keep, settings.recording_after),
            slack: Slack::new(keep, settings.has_limits),
            teams: Teams::new(keep, settings.has_limits),
            rewards: Rewards::new(keep),
            tremendous: Tremendous::new(keep),
            crm: Crm::new(keep),
            cdp: Cdp::new(keep),
            survey: Survey::new(keep, settings.seed),
            warehouse: Warehouse::new(keep),
            coaching: Coaching::new(keep),
            salesforce: Salesforce::new(keep),
            hooks: Hooks::new(keep, &settings.webhook_secret),
            mail: Mail::new(keep),
            faults: Faults::new(settings.seed),
            ledger: Ledger::new(ledger),
            latency: settings.latency,
            now_ms: 0,
        }
    }

    /// Receives one request: decides, does and writes it down.
    pub fn receive(&mut self, mut call: Call, now_ms: i64) -> Plan {
        self.now_ms = self.now_ms.max(now_ms);
        call.at_ms = self.now_ms;
        let fault = match call.header(FAULT_HEADER).map(str::parse::<Fault>) {
            None => self.faults.strike(&call),
            Some(Ok(fault)) => Some(fault),
            Some(Err(detail)) => {
                let reply = Reply::problem(400, "unknown_fault", detail);
                return self.refuse(call, reply);
            }
        };
        let mut delay = self.latency;
        let (reply, then) = match fault {
            None => answered(self.ask(&call)),
            Some(Fault::Status {
                status,
                retry_after,
            }) => answered(struck(status, retry_after)),
            Some(Fault::Drop) => (None, Then::Close),
            Some(Fault::Hang) => (None, Then::Hang),
            Some(Fault::Slow { ms }) => {
                delay += Duration::from_millis(ms);
                answered(self.ask(&call))
            }
            Some(Fault::Lost) => (Some(self.ask(&call)), Then::Close),
            Some(Fault::Late) => (Some(self.ask(&call)), Then::Hang),
            Some(Fault::Lie) => {
                call.is_lied_to = true;
                answered(self.ask(&call))
            }
            Some(Fault::Oversize) => answered(oversized(self.ask(&call))),
            Some(Fault::Garbled(garbling)) => answered(garble::garbled(self.ask(&call), garbling)),
        };
        let is_sent = matches!(then, Then::Answer(_));
        self.ledger.record(Entry {
            seq: 0,
            call,
            status: reply.as_ref().filter(|_| is_sent).map(|reply| reply.status),
            fault,
            is_replay: reply.as_ref().is_some_and(|reply| reply.is_replay),
            executed: reply.and_then(|reply| reply.executed),
        });
        Plan { delay, then }
    }

    /// Writes down a request that cannot be taken, and answers so.
    pub fn refuse(&mut self, call: Call, reply: Reply) -> Plan {
        self.ledger.record(Entry {
            seq: 0,
            call,
            status: Some(reply.status),
            fault: None,
            executed: None,
            is_replay: false,
        });
        Plan {
            delay: Duration::ZERO,
            then: Then::Answer(reply),
        }
    }

    /// A request to the sandbox itself: `/ledger` and `/control`. It is not in the ledger.
    pub fn own(&mut self, call: &Call) -> Reply {
        control::answer(self, call)
    }

    /// The vendor's own decision.
    fn ask(&mut self, call: &Call) -> Reply {
        let token = self.oauth.check(call);
        let refused = match (call.vendor, token) {
            // Its refusals bind: they are remembered by key, so it words them itself.
            (Vendor::Rewards, Ok(_)) if !call.is_lied_to || call.method == "POST" => {
                return self.rewards.answer(call);
            }
            _ if call.is_lied_to => return lie(call),
            // What has a form of its own for a token that is not good.
            (Vendor::Slack, token) => return self.slack.answer(call, token),
            (Vendor::Tremendous, token) => return self.tremendous.answer(call, token),
            (Vendor::Genesys, token) => return self.genesys.answer(call, token),
            (Vendor::Salesforce, token) => return self.salesforce.answer(call, token),
            // What wants none.
            (Vendor::Oauth, _) => return self.oauth.answer(call),
            (Vendor::Teams, _) => return self.teams.answer(call),
            (Vendor::Hooks, _) => return self.hooks.answer(call),
            (Vendor::Mail, _) => return self.mail.answer(call),
            (Vendor::Nobody, _) => return nobody(call),
            (Vendor::Crm, Ok(_)) => return self.crm.answer(call),
            (Vendor::Cdp, Ok(_)) => return self.cdp.answer(call),
            (Vendor::Survey, Ok(_)) => return self.survey.answer(call),
            (Vendor::Warehouse, Ok(_)) => return self.warehouse.answer(call),
            (Vendor::Coaching, Ok(_)) => return self.coaching.answer(call),
            (Vendor::Rewards, Ok(_)) => return self.rewards.answer(call),
            (
                Vendor::Rewards
                | Vendor::Crm
                | Vendor::Cdp
                | Vendor::Survey
                | Vendor::Warehouse
                | Vendor::Coaching,
                Err(refusal),
            ) => refusal,
        };
        Refusal::reply(refused)
    }
}

fn answered(reply: Reply) -> (Option<Reply>, Then) {
    (Some(reply.clone()), Then::Answer(reply))
}

fn struck(status: u16, retry_after: Option<u64>) -> Reply {
    let reply = Reply::problem(status, "fault", "a fault of the sandbox, asked for");
    match retry_after {
        Some(seconds) => reply.with("Retry-After", seconds),
        None => reply,
    }
}

/// A success that is none, as that vendor words it. Nothing is done.
fn lie(call: &Call) -> Reply {
    match call.vendor {
        Vendor::Slack => Reply::json(200, &json!({ "ok": false, "error": "internal_error" })),
        Vendor::Teams => Reply::text(
            200,
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        ),
        Vendor::Rewards => Reply::json(200, &json!({ "status": "REJECTED" })),
        Vendor::Tremendous => Reply::json(200, &json!({ "order": { "status": "FAILED" } })),
        Vendor::Cdp => Reply::json(200, &json!({ "status": "error" })),
        Vendor::Salesforce => {
            let error = json!({ "statusCode": "UNKNOWN_EXCEPTION", "message": "a lie" });
            Reply::json(200, &json!([{ "success": false, "errors": [error] }]))
        }
        Vendor::Oauth
        | Vendor::Hooks
        | Vendor::Mail
        | Vendor::Genesys
        | Vendor::Crm
        | Vendor::Survey
        | Vendor::Warehouse
        | Vendor::Coaching
        | Vendor::Nobody => {
            let error = json!({ "code": "internal_error" });
            Reply::json(200, &json!({ "success": false, "errors": [error] }))
        }
    }
}

/// The same answer, grown beyond what a careful reader takes.
fn oversized(mut reply: Reply) -> Reply {
    let padding = "x".repeat(OVERSIZE_BYTES);
    let body = match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(mut body)) => {
            body.insert("padding".to_owned(), padding.into());
            Value::Object(body)
        }
        Ok(other) => json!({ "body": other, "padding": padding }),
        Err(_) => json!({ "padding": padding }),
    };
    reply.body = body.to_string().into();
    reply
}

fn nobody(call: &Call) -> Reply {
    let names = Vendor::ALL.map(Vendor::name);
    let known = names[..names.len() - 1].join(", /");
    let detail = format!("no vendor has {}; there are /{known}", call.path);
    Reply::problem(404, "no_such_vendor", detail)
}
