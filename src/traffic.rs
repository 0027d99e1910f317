//! A made-up contact centre: realistic events at any rate, the same for the same seed.
//!
//! For `demo`, `load`, benches and tests. Every contact is a number, and all that is true of it (agent, customer,
//! topic, channel, ending) follows from the number and the seed; so its start, its completion, its survey and its
//! eNPS answer fit together without anything being kept. JSON is put together from pieces: a generator slower than
//! what it feeds would measure itself.
//!
//! Mix: half completions, a quarter starts, a fifth surveys (a tenth of them below 3; of fifty one corrects the agent of
//! one before it), the rest WFM figures and eNPS answers. About 800 bytes an event.

use aftercall_actors::contract::{key::Key, time::EventTime};
use bytes::Bytes;

use crate::log::{Destination, Headers, NewEvent};

mod contact;
mod json;
mod words;

use contact::Contact;
use json::Json;

/// An event of the made-up centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedEvent {
    /// CloudEvents type.
    pub event_type: &'static str,
    /// The whole event, structured, in one line.
    pub event: String,
    /// Subject token of the owner.
    pub owner: String,
    /// Subject token of the customer, `_` for none.
    pub customer: String,
    /// `source` and `id`, as the log takes them against repeats.
    pub message_id: String,
}

impl GeneratedEvent {
    /// The event as the log takes it.
    #[must_use]
    pub fn into_new_event(self) -> NewEvent {
        NewEvent {
            destination: Destination::Actors {
                owner: self.owner,
                customer: self.customer,
                event_type: self.event_type.to_owned(),
            },
            headers: Headers::Empty,
            payload: Bytes::from(self.event),
            message_id: self.message_id,
        }
    }
}

/// The generator.
#[derive(Clone, Debug)]
pub struct Traffic {
    random: Random,
    centre: Centre,
    events: u64,
    starts: u64,
    completions: u64,
    surveys: u64,
}

/// Who there is.
#[derive(Clone, Copy, Debug)]
struct Centre {
    seed: u64,
    agents: u64,
    customers: u64,
}

/// The first contact that completes. Those before it are the past, of which surveys still come.
const FIRST_CONTACT: u64 = 1_000;
/// How many contacts starts run ahead of completions, and surveys behind.
const LEAD: u64 = 200;

/// One survey in so many is a correction of the one so many before it.
const CORRECTED_EACH: u64 = 50;
const CORRECTED_BEHIND: u64 = 20;

const INTERACTIONS: &str = "https://cx.example.com/interactions";
const SURVEYS: &str = "https://cx.example.com/surveys";
const ENPS: &str = "https://cx.example.com/enps";
const WFM: &str = "https://wfm.example.com/exports";

impl Traffic {
    /// A centre of so many agents and customers (at least one of each).
    #[must_use]
    pub fn new(seed: u64, agents: u32, customers: u32) -> Self {
        Self {
            random: Random(seed),
            centre: Centre {
                seed: mix(seed),
                agents: u64::from(agents.max(1)),
                customers: u64::from(customers.max(1)),
            },
            events: 0,
            starts: 0,
            completions: 0,
            surveys: 0,
        }
    }

    /// The next event, happening at `at`.
    pub fn next_event(&mut self, at: EventTime) -> GeneratedEvent {
        self.events += 1;
        match self.random.below(100) {
            0..50 => {
                let contact = self.contact(FIRST_CONTACT + self.completions);
                self.completions += 1;
                self.completed(&contact, at)
            }
            // Every second contact is seen to start; the others were handed over by a platform that does not say.
            50..75 => {
                let contact = self.contact(FIRST_CONTACT + LEAD + 2 * self.starts);
                self.starts += 1;
                self.started(&contact, at)
            }
            // Two of five contacts answer.
            75..95 => {
                let number = self.surveys;
                self.surveys += 1;
                let answered = |survey: u64| FIRST_CONTACT - LEAD + survey * 5 / 2;
                if number % CORRECTED_EACH == CORRECTED_EACH - 1 {
                    let behind = answered(number - CORRECTED_BEHIND);
                    let (mut contact, other) = (self.contact(behind), self.contact(behind + 1));
                    // It turns out that another agent had it.
                    (contact.agent, contact.agent_name) = (other.agent, other.agent_name);
                    (contact.bot, contact.topic) = (other.bot, other.topic);
                    return self.survey(&contact, 1, at);
                }
                self.survey(&self.contact(answered(number)), 0, at)
            }
            95..98 => self.wfm(at),
            _ => {
                let behind = FIRST_CONTACT + self.completions - 1 - self.random.below(LEAD);
                let contact = self.contact(behind);
                self.enps(&contact, at)
            }
        }
    }

    fn contact(&self, number: u64) -> Contact {
        Contact::new(self.centre, number)
    }

    /// Opens an event; `close` ends it.
    fn open(&mut self, source: &str, event_type: &'static str, at: &str) -> (Json, String) {
        let id = self.event_id();
        let mut json = Json::new();
        json.raw(r#"{"specversion":"1.0","id":""#).raw(&id);
        json.raw(r#"","source":""#).raw(source);
        json.raw(r#"","type":""#).raw(event_type);
        json.raw(r#"","time":""#).raw(at);
        json.raw(r#"","datacontenttype":"application/json","traceparent":"00-"#)
            .hex(mix(self.centre.seed ^ self.events))
            .hex(mix(self.events))
            .raw("-")
            .hex(self.random.next())
            .raw(r#"-01","data":{"#);
        let message_id = format!("{source} {id}");
        (json, message_id)
    }

    /// Unique in a run by its last part, between runs by the others.
    fn event_id(&self) -> String {
        let h = mix(self.centre.seed.wrapping_add(self.events));
        let (a, b, c, d) = (
            h >> 32,
            (h >> 16) & 0xffff,
            h & 0xfff,
            self.centre.seed & 0xfff,
        );
        format!("{a:08x}-{b:04x}-4{c:03x}-8{d:03x}-{:012x}", self.events)
    }

    fn started(&mut self, contact: &Contact, at: EventTime) -> GeneratedEvent {
        let time = at.to_string();
        let (mut json, id) = self.open(INTERACTIONS, "interaction.started", &time);
        json.field("interaction_id", &contact.interaction);
        json.field("channel", contact.channel);
        json.field("queue_id", contact.topic.queue);
        if let Some(agent) = &contact.agent {
            json.field("agent_id", agent);
        }
        if let Some(bot) = contact.bot {
            json.field("bot_id", bot);
        }
        contact.write_customer(&mut json);
        json.field("started_at", &time);
        generated(
            "interaction.started",
            json,
            id,
            contact.owner(),
            contact.customer(),
        )
    }

    fn completed(&mut self, contact: &Contact, at: EventTime) -> GeneratedEvent {
        let time = at.to_string();
        let (mut json, id) = self.open(INTERACTIONS, "interaction.completed", &time);
        let ending = contact.ending;
        json.field("interaction_id", &contact.interaction);
        json.field("channel", contact.channel);
        json.field("queue_id", contact.topic.queue);
        json.raw(r#""skills":[""#).raw(contact.topic.skill);
        json.raw(r#"",""#).raw(contact.language).raw(r#""],"#);
        if let Some(agent) = &contact.agent {
            json.field("agent_id", agent);
        }
        if let Some(bot) = contact.bot {
            json.field("bot_id", bot);
        }
        contact.write_customer(&mut json);
        let started = EventTime(at.0.saturating_sub(contact.duration_ms));
        json.field("started_at", &started.to_string());
        json.field("ended_at", &time);
        json.raw(r#""duration_s":"#)
            .thousandths(contact.duration_ms)
            .raw(",");
        json.field("disposition", ending.disposition);
        json.field("wrap_up_code", contact.topic.wrap_up);
        json.raw(r#""summary":""#).text(contact.opening).raw(" ");
        json.text(contact.closing).raw(r#"","#);
        json.raw(r#""sentiment":"#)
            .hundredths(contact.sentiment)
            .raw(",");
        json.raw(r#""tags":[""#).raw(contact.topic.tag).raw(r#"","#);
        json.raw(r#""post_contact"],"#);
        generated(
            "interaction.completed",
            json,
            id,
            contact.owner(),
            contact.customer(),
        )
    }

    fn survey(&mut self, contact: &Contact, revision: u64, at: EventTime) -> GeneratedEvent {
        let time = at.to_string();
        let (mut json, id) = self.open(SURVEYS, "survey.response.created", &time);
        let csat = match self.random.below(100) {
            0..4 => 1,
            4..10 => 2,
            10..22 => 3,
            22..50 => 4,
            _ => 5,
        };
        json.raw(r#""response_id":"rsp-"#).raw(&contact.interaction);
        json.raw(r#"","revision":"#).number(revision);
        json.raw(r#","survey_id":"post-contact-v4","#);
        json.field("interaction_id", &contact.interaction);
        json.field("submitted_at", &time);
        json.raw(r#""csat":"#).number(csat).raw(",");
        if let Some(comment) = self.comment(csat) {
            json.field("comment", comment);
        }
        json.raw(r#""answers":{"effort":"#)
            .number(1 + self.random.below(7));
        json.raw(r#","recommend":"#).number(self.random.below(11));
        json.raw(r#","resolved":"#)
            .raw(if csat > 2 { "true" } else { "false" });
        json.raw(r#"},"routing":{"#);
        json.field("queue_id", contact.topic.queue);
        if let (Some(agent), Some((first, last))) = (&contact.agent, contact.agent_name) {
            json.field("agent_id", agent);
            json.raw(r#""agent_name":""#)
                .text(first)
                .raw(" ")
                .text(last)
                .raw(r#"","#);
        }
        if let Some(bot) = contact.bot {
            json.field("bot_id", bot);
        }
        json.end_object();
        contact.write_customer(&mut json);
        generated("survey.response.created", json, id, contact.owner(), None)
    }

    /// The unhappy write more often; one comment in fifty holds a critical keyword.
    fn comment(&mut self, csat: u64) -> Option<&'static str> {
        let (list, percent) = match csat {
            1 | 2 => (0, 85),
            3 => (1, 60),
            _ => (2, 50),
        };
        if self.random.below(100) >= percent {
            return None;
        }
        let keyword = self.random.below(50) == 0;
        Some(if keyword {
            self.random.pick(&words::KEYWORD_COMMENTS)
        } else {
            self.random.pick(&words::COMMENTS[list])
        })
    }

    fn wfm(&mut self, at: EventTime) -> GeneratedEvent {
        let time = at.to_string();
        let agent = contact::agent_id(self.random.below(self.centre.agents));
        let metric = self.random.pick(&words::METRICS);
        let (mut json, id) = self.open(WFM, "wfm.metric.recorded", &time);
        // A percentage with one digit after the point, or points as they are.
        let value = match metric {
            "points" => self.random.below(41).cast_signed() * 1_000,
            _ => 700 * 100 + self.random.below(301).cast_signed() * 100,
        };
        let date = time.get(..10).unwrap_or("1970-01-01");
        json.field("agent_id", &agent);
        json.field("date", date);
        json.field("metric", metric);
        json.raw(r#""value":"#).thousandths(value).raw(",");
        json.raw(r#""export_version":"daily-"#)
            .raw(date)
            .raw(r#"-r1","#);
        json.field("recorded_at", &time);
        generated("wfm.metric.recorded", json, id, Key::Agent(&agent), None)
    }

    fn enps(&mut self, contact: &Contact, at: EventTime) -> GeneratedEvent {
        let time = at.to_string();
        let (mut json, id) = self.open(ENPS, "enps.response.submitted", &time);
        let agent = match &contact.agent {
            Some(agent) => agent.clone(),
            None => contact::agent_id(contact.number % self.centre.agents),
        };
        let score = match self.random.below(100) {
            0..18 => self.random.below(7),
            18..45 => 7 + self.random.below(2),
            _ => 9 + self.random.below(2),
        };
        json.raw(r#""response_id":"enps-"#).number(self.events);
        json.raw("-").hex(self.centre.seed).raw(r#"","#);
        json.field("agent_id", &agent);
        json.raw(r#""score":"#).number(score).raw(",");
        if self.random.below(3) == 0 {
            let comment = match score {
                0..7 => {
                    "Back to back all day, and the knowledge base is out of date again. Nobody asks us before a tool changes."
                }
                _ => "Good team, fair shifts. The new desktop saves me two clicks on each contact.",
            };
            json.field("comment", comment);
        }
        json.field("submitted_at", &time);
        json.field("interaction_id", &contact.interaction);
        json.field("queue_id", contact.topic.queue);
        json.field("wrap_up_code", contact.topic.wrap_up);
        generated(
            "enps.response.submitted",
            json,
            id,
            Key::Agent(&agent),
            None,
        )
    }
}

fn generated(
    event_type: &'static str,
    mut json: Json,
    message_id: String,
    owner: Key<'_>,
    customer: Option<Key<'_>>,
) -> GeneratedEvent {
    json.end_object();
    GeneratedEvent {
        event_type,
        event: json.finish(),
        owner: owner.token(),
        customer: customer.map_or_else(
            || aftercall_actors::contract::key::UNASSIGNED.to_owned(),
            Key::token,
        ),
        message_id,
    }
}

/// The splitmix64 generator: small, fast, and the same on every machine.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, which is small against 2^64: the bias is of no matter.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }
}

/// splitmix64's output function: a bijection that spreads neighbours.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests;
