//! Who a message is for: asked at the time it is sent, in the configured order, until somebody is found (S2.09, S2.10).
//!
//! Whatever goes wrong in one step, the next is asked, and the message says what could not be found out: an alert is
//! never lost for want of a supervisor's name (S2.12). Answers are kept for a few minutes, and of many alerts at once
//! for one queue only one asks. Only what may leave for the destination is asked with.

use std::{sync::Arc, time::Duration};

use lettre::message::Mailbox;
use moka::future::Cache;
use reqwest::{
    Method, Url,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::{
    client::{self, tls::TlsError},
    credentials::exchange::Exchange,
    email::address::mailbox,
    expression::{Condition, Expression},
    scope::Scope,
    spec::{Lookup, RecipientStep},
    template::Template,
};
use crate::delivery::attempt::{Answer, Fault};

/// Longest answer of a lookup. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Most answers kept of one step.
const ANSWERS_KEPT: u64 = 10_000;

/// Most people of one step: a message to more is a mistake in the lookup.
pub const PEOPLE_MAX: usize = 50;

/// Somebody to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Slack channel or user id.
    pub slack: Option<String>,
}

impl Person {
    /// Where their email goes, if they have an address that is one.
    #[must_use]
    pub fn mailbox(&self) -> Option<Mailbox> {
        mailbox(self.name.as_deref(), self.email.as_deref()?).ok()
    }

    /// How a message calls them: by name, else by address.
    #[must_use]
    pub fn called(&self) -> Option<String> {
        self.name.clone().or_else(|| self.email.clone())
    }

    fn of(value: &Value) -> Self {
        let text = |name: &str| {
            let text = value.get(name)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            name: text("name"),
            email: text("email"),
            slack: text("slack"),
        }
    }
}

/// Who was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The people of the first step that had any; empty if none had.
    pub people: Vec<Person>,
    /// Of these steps, people with an email address that none can be sent to.
    pub left_out: Vec<Person>,
    /// What could not be found out on the way, for the message to say.
    pub missing: Vec<String>,
}

/// The configured steps.
pub struct Recipients {
    steps: Vec<Step>,
}

struct Step {
    when: Option<Condition>,
    lookup: Option<Directory>,
    people: Expression,
}

/// A directory that is asked.
struct Directory {
    url: Template,
    /// Whether an answer is of use only if it can be looked into.
    reads_body: bool,
    exchange: Exchange,
    /// Answers by address; `None`: each time anew.
    cache: Option<Cache<String, Arc<Answer>>>,
}

impl Recipients {
    /// Prepares the steps. Asks nobody yet.
    ///
    /// # Errors
    /// If a certificate or key of a lookup cannot be read.
    pub fn new(steps: &[RecipientStep]) -> Result<Self, TlsError> {
        let steps = steps.iter().map(Step::new);
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// The people of the first step that yields anybody `usable`, and what failed before. Both scopes hold `vars` and
    /// the output's variables: `inside` all of its data, by which a step is chosen here; `scope` what may leave of it,
    /// with which others are asked.
    pub async fn find(
        &self,
        inside: &Scope,
        scope: &Scope,
        usable: impl Fn(&Person) -> bool,
    ) -> Found {
        let mut found = Found::default();
        for step in &self.steps {
            if !step.applies(inside) {
                continue;
            }
            match step.people(scope).await {
                Ok(people) => {
                    let (people, others): (Vec<Person>, Vec<Person>) =
                        people.into_iter().partition(&usable);
                    found.people = people;
                    found.people.truncate(PEOPLE_MAX);
                    let unsendable =
                        |person: &Person| person.email.is_some() && person.mailbox().is_none();
                    found.left_out.extend(others.into_iter().filter(unsendable));
                    if !found.people.is_empty() {
                        return found;
                    }
                }
                Err(fault) => {
                    let what = step.what(scope);
                    tracing::warn!(asked = what, error = %fault, "recipients not found");
                    if !found.missing.contains(&what) {
                        found.missing.push(what);
                    }
                }
            }
        }
        found
    }
}

impl Step {
    fn new(step: &RecipientStep) -> Result<Self, TlsError> {
        let lookup = step.lookup.as_ref();
        Ok(Self {
            when: step.when.clone(),
            lookup: lookup
                .map(|lookup| Directory::new(lookup, step.people.reads_body()))
                .transpose()?,
            people: step.people.clone(),
        })
    }

    /// A condition without a value, as of an absent field, does not hold: another step is for such outputs.
    fn applies(&self, inside: &Scope) -> bool {
        let when = self.when.as_ref();
        when.is_none_or(|when| when.holds(inside) == Ok(true))
    }

    async fn people(&self, scope: &Scope) -> Result<Vec<Person>, Fault> {
        let people = match &self.lookup {
            None => self.people.evaluate(scope),
            Some(directory) => {
                let Some(answer) = directory.ask(scope).await? else {
                    return Ok(Vec::new());
                };
                self.people.evaluate(&scope.clone().with_answer(&answer))
            }
        };
        let people = people.map_err(|error| Fault::Unsendable(error.to_string()))?;
        let people = people
            .as_array()
            .ok_or_else(|| Fault::Unsendable("`people` is no list".to_owned()))?;
        Ok(people.iter().map(Person::of).collect())
    }

    /// What is missing if this step fails, in words.
    fn what(&self, scope: &Scope) -> String {
        let host = self.lookup.as_ref().and_then(|directory| {
            let url = Url::parse(&directory.url.render(scope).ok()?).ok()?;
            url.host_str().map(str::to_owned)
        });
        match host {
            Some(host) => format!("recipients from {host}"),
            None => "recipients".to_owned(),
        }
    }
}

impl Directory {
    fn new(lookup: &Lookup, reads_body: bool) -> Result<Self, TlsError> {
        let settings = client::Settings {
            connect_timeout: lookup.timeout,
            total_timeout: lookup.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            roots_pem: None,
            identity_pem: None,
        };
        let cache = (lookup.cache > Duration::ZERO).then(|| {
            Cache::builder()
                .max_capacity(ANSWERS_KEPT)
                .time_to_live(lookup.cache)
                .build()
        });
        Ok(Self {
            url: lookup.url.clone(),
            reads_body,
            exchange: Exchange::new("recipients", settings, lookup.tls.clone(), &lookup.auth)?,
            cache,
        })
    }

    /// The answer, or `None` if the directory knows nothing of what was asked for.
    async fn ask(&self, scope: &Scope) -> Result<Option<Arc<Answer>>, Fault> {
        let url = self
            .url
            .render(scope)
            .map_err(|error| Fault::Unsendable(error.to_string()))?;
        let asked = match &self.cache {
            None => self.fetch(&url).await.map(Arc::new).map_err(Arc::new),
            // One asks for all; a failure is not kept, so the next alert asks again.
            Some(cache) => {
                let fetch = async { self.fetch(&url).await.map(Arc::new) };
                cache.try_get_with(url.clone(), fetch).await
            }
        };
        let answer = asked.map_err(|fault| Fault::clone(&fault))?;
        Ok((answer.status != 404).then_some(answer))
    }

    async fn fetch(&self, url: &str) -> Result<Answer, Fault> {
        let url = Url::parse(url)
            .map_err(|error| Fault::Unsendable(format!("the lookup's address is none: {error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = client::Request {
            method: Method::GET,
            url,
            url_is_secret: false,
            headers,
            body: Vec::new(),
        };
        let answer = self.exchange.send(request, "recipients").await?;
        match answer.status {
            // A page, or half an answer: the next alert asks again.
            200..=299 if self.reads_body && !answer.is_structured() => {
                let why = "the lookup's answer is no JSON that could be looked into";
                Err(Fault::NotReady(why.to_owned()))
            }
            // Not to be there is an answer, and one to keep.
            200..=299 | 404 => Ok(answer),
            status => Err(Fault::NotReady(format!("the lookup answered {status}"))),
        }
    }
}
