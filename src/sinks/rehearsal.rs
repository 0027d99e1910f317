//! Tries every template and condition of a destination on the example of every output type it is for, with and without
//! the optional fields: what would fail on the first real output fails here.
//!
//! Nothing is sent. `file` rehearses over the examples' whole data; `aftercall check` again over what the field policy
//! leaves of it, since a template cannot print what may not leave.

use aftercall_actors::contract::event::Kept;
use serde_json::{Value, json};

use super::{
    destination::{AuthSpec, Body, Channel, Destination, Destinations, Request, Text},
    email::address::mailbox,
    examples,
    fields::{Allowed, FieldPolicy},
    file::{is_address, is_exposed},
    http::listing,
    scope::Scope,
    template::{Template, TemplateError},
};
use crate::{
    config::units::ByteSize,
    delivery::{attempt::Fault, parcel::Parcel},
};

mod addresses;

/// What to say of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// `destination "crm".body`
    pub key: String,
    /// What is wrong, or unwise.
    pub text: String,
}

/// What a rehearsal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// What would fail.
    pub mistakes: Vec<Note>,
    /// What would work and is unwise.
    pub warnings: Vec<Note>,
}

/// What may leave of an output.
pub struct Leaving {
    /// Its subject; empty if that may not leave.
    pub subject: String,
    /// Its data.
    pub data: Value,
}

/// Why it is not known what may leave.
pub enum Withheld {
    /// Nothing may, so no attempt would ever be sent.
    ForGood(String),
    /// It takes a key that is not here. It may well be where the program runs.
    ForNow(String),
}

/// What may leave for a destination: the field policy's answer, or everything.
pub type Leaves<'a> = dyn Fn(&str, &Parcel) -> Result<Leaving, Withheld> + 'a;

/// Everything leaves: what templates and conditions can see at most.
///
/// # Errors
/// None.
pub fn everything(_: &str, parcel: &Parcel) -> Result<Leaving, Withheld> {
    Ok(Leaving {
        subject: parcel.subject.clone(),
        data: parcel.data.clone(),
    })
}

/// What a field policy lets leave.
pub fn by_policy(policy: &FieldPolicy) -> impl Fn(&str, &Parcel) -> Result<Leaving, Withheld> + '_ {
    |destination, parcel| match policy.allow(destination, parcel) {
        Ok(Allowed { subject, data, .. }) => Ok(Leaving {
            subject: subject
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            data,
        }),
        Err(error) => Err(match error.fault() {
            Fault::NotReady(_) | Fault::Misconfigured(_) => Withheld::ForNow(error.to_string()),
            Fault::Unsendable(_)
            | Fault::Connect(_)
            | Fault::Timeout(_)
            | Fault::Lost(_)
            | Fault::TooLong(_)
            | Fault::InDoubt { .. } => Withheld::ForGood(error.to_string()),
        }),
    }
}

/// Rehearses all destinations and the recipients they need.
#[must_use]
pub fn rehearse(destinations: &Destinations, leaves: &Leaves<'_>) -> Rehearsed {
    let mut all = Rehearsed::default();
    for destination in &destinations.destinations {
        let mut stage = Stage {
            destinations,
            destination,
            leaves,
            found: &mut all,
        };
        stage.rehearse();
    }
    all.mistakes.sort();
    all.mistakes.dedup();
    all.warnings.sort();
    all.warnings.dedup();
    all
}

struct Stage<'a> {
    destinations: &'a Destinations,
    destination: &'a Destination,
    leaves: &'a Leaves<'a>,
    found: &'a mut Rehearsed,
}

impl Stage<'_> {
    fn rehearse(&mut self) {
        if let Some(list) = &self.destination.list {
            let vars = Scope::of_vars(&self.destinations.vars);
            let first = listing::scope(&vars, "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z");
            self.request(&list.request, &first, "the first page");
            let later = first.with("cursor", json!("100"));
            self.request(&list.request, &later, "a later page");
        }
        let mut tried = false;
        for event_type in self.destination.selector.types() {
            let full = (
                examples::of(event_type),
                format!("the example of {event_type}"),
            );
            let bare = (
                examples::bare(event_type),
                format!("the example of {event_type} without its optional fields"),
            );
            for (parcel, name) in [full, bare] {
                if let Some(parcel) = parcel {
                    tried |= self.on(&parcel, &name, true);
                }
            }
        }
        if !tried {
            self.rehearse_unselected();
        }
    }

    /// No example is of the sort that the destination takes, so what fails on them may well work on those it takes.
    fn rehearse_unselected(&mut self) {
        let mistakes = self.found.mistakes.len();
        let mut parcels = self.destination.selector.types().filter_map(examples::of);
        if let Some(parcel) = parcels.next() {
            let name = format!("the example of {}", parcel.event_type);
            self.on(&parcel, &name, false);
        }
        let doubtful = self.found.mistakes.split_off(mistakes);
        self.found
            .warnings
            .extend(doubtful.into_iter().map(|Note { key, text }| Note {
                key,
                text: format!("`when` holds for no example, so this may be right: {text}"),
            }));
    }

    /// Tries one output; false if the destination does not take it.
    fn on(&mut self, parcel: &Parcel, name: &str, only_selected: bool) -> bool {
        let parcel = &self.with_every_kept_id(parcel);
        if let Some(when) = self.destination.selector.when()
            && only_selected
        {
            let scope = Scope::default().with_output(parcel, parcel.data.clone());
            match when.holds(&scope) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    self.mistake("when", format!("over {name}: {error}"));
                    return false;
                }
            }
        }
        // Whatever stays inside sees everything: threads, and who a message is for.
        let inside =
            Scope::of_vars(&self.destinations.vars).with_output(parcel, parcel.data.clone());
        if let Some(thread) = &self.destination.thread {
            self.render(thread, &inside, name);
        }
        let scope = match (self.leaves)(&self.destination.name, parcel) {
            Ok(Leaving { subject, data }) => {
                let subject = Value::String(subject);
                inside.clone().with("subject", subject).with_data(data)
            }
            Err(Withheld::ForGood(why)) => {
                self.mistake("on", format!("over {name}: {why}"));
                return true;
            }
            Err(Withheld::ForNow(why)) => {
                self.found.warnings.push(Note {
                    key: format!("destination {:?}.on", self.destination.name),
                    text: format!("not tried: {why}"),
                });
                return true;
            }
        };
        match &self.destination.channel {
            Channel::Http(request) => {
                // The first attempt, and one after an answer with ids in it.
                let own = sample(self.destination);
                let later = (!own.is_empty()).then(|| scope.clone().with_kept(&own));
                for scope in std::iter::once(&scope).chain(&later) {
                    self.request(request, scope, name);
                    for fallback in &self.destination.fallbacks {
                        self.request(&fallback.request, scope, name);
                    }
                    if let Some(lookup) = &self.destination.lookup {
                        self.request(&lookup.request, scope, name);
                    }
                }
            }
            Channel::Slack {
                api,
                to,
                text,
                blocks,
            } => {
                let scope = self.with_people(&inside, &scope, name);
                self.address(api, true, &scope, name);
                if let Some(to) = to
                    && let Some(ids) = self.render(to, &scope, name)
                {
                    self.channels(to, &ids, name);
                }
                self.all([text], &scope, name);
                self.json(
                    blocks.as_ref(),
                    Value::is_array,
                    "a JSON array",
                    &scope,
                    name,
                );
            }
            Channel::SlackWebhook { url, text, blocks } => {
                let scope = self.with_people(&inside, &scope, name);
                self.webhook(url, &scope, name);
                self.all([text], &scope, name);
                self.json(
                    blocks.as_ref(),
                    Value::is_array,
                    "a JSON array",
                    &scope,
                    name,
                );
            }
            Channel::Teams { url, card } => {
                let scope = self.with_people(&inside, &scope, name);
                self.webhook(url, &scope, name);
                self.json(
                    card.as_ref(),
                    Value::is_object,
                    "a JSON object",
                    &scope,
                    name,
                );
            }
            Channel::Email {
                from,
                to,
                subject,
                html,
                text,
                ..
            } => {
                let scope = self.with_people(&inside, &scope, name);
                for (template, most) in [(Some(from), 1), (to.as_ref(), usize::MAX)] {
                    if let Some(template) = template
                        && let Some(text) = self.render(template, &scope, name)
                    {
                        self.mailboxes(template, &text, most, name);
                    }
                }
                self.all([subject, html, text], &scope, name);
            }
        }
        true
    }

    /// Where an output has ids that were kept, those that any destination keeps: a reversal may go to another than its
    /// reward.
    fn with_every_kept_id(&self, parcel: &Parcel) -> Parcel {
        let mut parcel = parcel.clone();
        if let Some(kept) = parcel.data.get_mut("kept") {
            let all = self.destinations.destinations.iter();
            let all: Kept = all.flat_map(sample).collect();
            *kept = json!(all);
        }
        parcel
    }

    /// The people that a message template may name. Steps that need no answer are tried; others cannot be.
    fn with_people(&mut self, inside: &Scope, scope: &Scope, name: &str) -> Scope {
        let sample = json!([{"name": "A. Supervisor", "email": "supervisor@example.com", "slack": "C0SAMPLE"}]);
        for (i, step) in self.destinations.recipients.iter().enumerate() {
            let key = |field: &str| format!("recipient {}.{field}", i + 1);
            let holds = step
                .when
                .as_ref()
                .map_or(Ok(true), |when| when.holds(inside));
            match (holds, &step.lookup) {
                (Err(error), _) => self.note(key("when"), format!("over {name}: {error}")),
                (Ok(false), _) => {}
                (Ok(true), Some(lookup)) => {
                    let shows = lookup.auth != AuthSpec::None;
                    self.address(&Text::Template(lookup.url.clone()), shows, scope, name);
                }
                (Ok(true), None) => match step.people.evaluate(scope) {
                    Ok(people) if are_people(&people) => {
                        let people = people.as_array().into_iter().flatten();
                        for email in people.filter_map(|person| person["email"].as_str()) {
                            if let Err(why) = mailbox(None, email) {
                                self.note(key("people"), format!("{email:?} is {why}"));
                            }
                        }
                    }
                    Ok(_) => self.note(
                        key("people"),
                        "its value is no list of {name, email, slack}, all strings".to_owned(),
                    ),
                    Err(error) => self.note(key("people"), format!("over {name}: {error}")),
                },
            }
        }
        scope.clone().with("recipients", sample)
    }

    fn request(&mut self, request: &Request, scope: &Scope, name: &str) {
        let in_headers = |(_, text): &(String, Text)| matches!(text, Text::Secret(_));
        let shows =
            self.destination.auth != AuthSpec::None || request.headers.iter().any(in_headers);
        self.address(&request.url, shows, scope, name);
        for (_, text) in &request.headers {
            let Text::Template(template) = text else {
                continue;
            };
            if let Some(value) = self.render(template, scope, name)
                && value.chars().any(|c| c.is_control() && c != '\t')
            {
                let text =
                    format!("over {name}: a line break or another control character in a header");
                self.note(template.key().to_owned(), text);
            }
        }
        match &request.body {
            Body::None | Body::Data => {}
            Body::Template {
                template,
                json: true,
            } => {
                self.json(Some(template), |_| true, "JSON", scope, name);
            }
            Body::Template {
                template,
                json: false,
            } => {
                self.render(template, scope, name);
            }
        }
    }

    fn webhook(&mut self, url: &Text, scope: &Scope, name: &str) {
        let rendered = self.address(url, false, scope, name);
        if let (Some(url), Text::Template(template)) = (rendered, url)
            && is_exposed_or_public(&url)
        {
            let text = "the address of a webhook lets anyone post: keep it as \"env:NAME\" or \"file:/path\"";
            self.found.warnings.push(Note {
                key: template.key().to_owned(),
                text: text.to_owned(),
            });
        }
    }

    /// Renders an address. `shows`: credentials go there.
    fn address(&mut self, url: &Text, shows: bool, scope: &Scope, name: &str) -> Option<String> {
        let Text::Template(template) = url else {
            return None;
        };
        let url = self.render(template, scope, name)?;
        if let Err(why) = is_address(&url) {
            self.note(template.key().to_owned(), format!("over {name}: {why}"));
            return None;
        }
        if shows && is_exposed(&url) {
            self.found.warnings.push(Note {
                key: template.key().to_owned(),
                text: "credentials over http to another machine can be read on the way; use https"
                    .to_owned(),
            });
        }
        Some(url)
    }

    fn json(
        &mut self,
        template: Option<&Template>,
        is_right: impl Fn(&Value) -> bool,
        form: &str,
        scope: &Scope,
        name: &str,
    ) {
        let Some(template) = template else {
            return;
        };
        let Some(text) = self.render(template, scope, name) else {
            return;
        };
        let most = self.destination.body_bytes_max;
        let problem = match serde_json::from_str::<Value>(&text) {
            Err(error) => format!(
                "renders to no JSON ({error}); values bring their own quotes: write {{{{ data.x }}}}, not \"{{{{ data.x }}}}\""
            ),
            Ok(value) if !is_right(&value) => format!("does not render to {form}"),
            Ok(_) if text.len() > most => {
                let most = ByteSize(most as u64);
                format!("renders to {} bytes, body_max is {most}", text.len())
            }
            Ok(_) => return,
        };
        self.note(template.key().to_owned(), format!("over {name}: {problem}"));
    }

    fn all<const N: usize>(&mut self, all: [&Option<Template>; N], scope: &Scope, name: &str) {
        for template in all.into_iter().flatten() {
            self.render(template, scope, name);
        }
    }

    fn render(&mut self, template: &Template, scope: &Scope, name: &str) -> Option<String> {
        match template.render(scope) {
            Ok(text) => Some(text),
            Err(TemplateError { key, line, why }) => {
                self.note(
                    key,
                    format!("over {name}, line {line} of the template: {why}"),
                );
                None
            }
        }
    }

    fn mistake(&mut self, key: &str, text: String) {
        self.note(
            format!("destination {:?}.{key}", self.destination.name),
            text,
        );
    }

    fn note(&mut self, key: String, text: String) {
        self.found.mistakes.push(Note { key, text });
    }
}

/// What a destination may keep of an answer.
fn sample(destination: &Destination) -> Kept {
    let names = destination.judgement.keep.iter().map(|(name, _)| name);
    names
        .map(|name| (name.clone(), "SAMPLE-1".to_owned()))
        .collect()
}

/// Whether it is a list of people as messages need them.
#[must_use]
pub fn are_people(value: &Value) -> bool {
    let is_person = |person: &Value| {
        person.as_object().is_some_and(|fields| {
            fields.iter().all(|(name, value)| {
                ["name", "email", "slack"].contains(&name.as_str())
                    && (value.is_string() || value.is_null())
            })
        })
    };
    value
        .as_array()
        .is_some_and(|people| people.iter().all(is_person))
}

/// Whether an address leads to another machine.
fn is_exposed_or_public(url: &str) -> bool {
    is_exposed(&url.replacen("https://", "http://", 1))
}
