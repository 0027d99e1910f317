//! Where one example is tried: renders what a channel would render, and notes what would fail. Knows no channel.

use aftercall_actors::contract::event::Kept;
use serde_json::{Value, json};

use crate::{
    config::units::ByteSize,
    sinks::{
        email::address::mailbox,
        reader::{address, is_exposed},
        scope::Scope,
        spec::{AuthSpec, Body, Fallback, Inquiry, RecipientStep, Request, Text},
        template::{Template, TemplateError},
    },
};

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

/// What is rehearsed with, and what was found.
pub struct Stage<'a> {
    /// The destination.
    pub name: &'a str,
    /// Largest body sent. Unit: bytes.
    pub body_bytes_max: usize,
    /// Whether it shows credentials.
    pub shows: bool,
    /// How people are found.
    pub recipients: &'a [RecipientStep],
    /// What is tried after certain answers.
    pub fallbacks: &'a [Fallback],
    /// What it is asked about an attempt.
    pub lookup: Option<&'a Inquiry>,
    /// A sample of the ids it may keep of an answer.
    pub kept: Kept,
    /// What was found so far.
    pub found: &'a mut Rehearsed,
}

/// One output to try.
#[derive(Clone, Copy)]
pub struct Example<'a> {
    /// All of it, for decisions that stay here.
    pub inside: &'a Scope,
    /// What may leave of it.
    pub scope: &'a Scope,
    /// As messages call it.
    pub name: &'a str,
}

impl Stage<'_> {
    /// The people that a message template may name. Steps that need no answer are tried; others cannot be.
    pub fn with_people(&mut self, example: Example<'_>) -> Scope {
        let Example {
            inside,
            scope,
            name,
        } = example;
        let sample = json!([{"name": "A. Supervisor", "email": "supervisor@example.com", "slack": "C0SAMPLE"}]);
        for (i, step) in self.recipients.iter().enumerate() {
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

    /// A request, with its headers and body.
    pub fn request(&mut self, request: &Request, scope: &Scope, name: &str) {
        let in_headers = |(_, text): &(String, Text)| matches!(text, Text::Secret(_));
        let shows = self.shows || request.headers.iter().any(in_headers);
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
                self.json(Some(template), (|_: &Value| true, "JSON"), scope, name);
            }
            Body::Template {
                template,
                json: false,
            } => {
                self.render(template, scope, name);
            }
        }
    }

    /// The address of a webhook, which is a credential itself.
    pub fn webhook(&mut self, url: &Text, scope: &Scope, name: &str) {
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
    pub fn address(
        &mut self,
        url: &Text,
        shows: bool,
        scope: &Scope,
        name: &str,
    ) -> Option<String> {
        let Text::Template(template) = url else {
            return None;
        };
        let url = self.render(template, scope, name)?;
        if let Err(why) = address(&url) {
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

    /// A template whose result is JSON of a form.
    pub fn json(
        &mut self,
        template: Option<&Template>,
        (is_right, form): (impl Fn(&Value) -> bool, &str),
        scope: &Scope,
        name: &str,
    ) {
        let Some(template) = template else {
            return;
        };
        let Some(text) = self.render(template, scope, name) else {
            return;
        };
        let most = self.body_bytes_max;
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

    /// Templates whose result is text.
    pub fn all<const N: usize>(&mut self, all: [&Option<Template>; N], scope: &Scope, name: &str) {
        for template in all.into_iter().flatten() {
            self.render(template, scope, name);
        }
    }

    /// A template; nothing if it has no value, which is noted.
    pub fn render(&mut self, template: &Template, scope: &Scope, name: &str) -> Option<String> {
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

    /// Something would fail at a key of the destination.
    pub fn mistake(&mut self, key: &str, text: String) {
        self.note(format!("destination {:?}.{key}", self.name), text);
    }

    /// Something would fail.
    pub fn note(&mut self, key: String, text: String) {
        self.found.mistakes.push(Note { key, text });
    }
}

/// Whether it is a list of people as messages need them.
fn are_people(value: &Value) -> bool {
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
