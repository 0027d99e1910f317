//! What would leave for an output: its request, its Slack message, its email. Rendered from what may leave and nothing
//! else; people are looked up here, because who they are is part of what is sent.

use std::{collections::BTreeMap, sync::Arc};

use aftercall_actors::contract::output::Kind;
use lettre::message::Mailbox;
use serde_json::{Map, Value};

use super::{
    mailer::{addresses, sender},
    several::{Progress, Refused},
    slack::{Slack, Target, fields, ids, mentions, of_people},
};
use crate::{
    delivery::{attempt::Fault, parcel::Parcel},
    sinks::{
        client,
        destination::{self, Channel, Destination, Text},
        email::{
            message,
            smtp::{Letter, Sealed},
        },
        message::{
            Message, Occasion,
            outside::{each, isolated, plain},
        },
        recipients::{Found, Person, Recipients},
        scope::Scope,
        secret::Secret,
        secret_ref::SecretRef,
        slack::call::{Content, Place},
        teams::card,
        template::Template,
    },
};

mod request;

pub(super) use request::{address, json_request};

use request::shortened_data;

/// What would leave.
pub(super) enum Draft {
    Web(client::Request),
    Slack(Slack),
    Mail {
        letter: Sealed,
        /// `Message-ID` of the thread's first letter, if this is not it.
        thread: Option<String>,
        /// Addresses that none can be sent to.
        left_out: Vec<Refused>,
    },
}

/// What came before this attempt.
#[derive(Clone, Copy, Default)]
pub(super) struct Before<'a> {
    /// What the last success of the thread left.
    pub(super) handle: Option<&'a Value>,
    /// What earlier attempts at the same output left.
    pub(super) progress: Option<&'a Progress>,
}

impl Before<'_> {
    /// Those who are still to be told, if that was decided before.
    fn left(&self) -> Option<&Vec<Value>> {
        self.progress?.left.as_ref()
    }
}

/// An output as a destination may see it.
pub(super) struct View {
    /// Its data and subject are what may leave.
    pub(super) parcel: Parcel,
    /// The output's own subject, whatever of it may leave: for our log.
    pub(super) subject: String,
    /// The variables of templates: what may leave.
    pub(super) scope: Scope,
    /// All of it, for decisions that stay here.
    pub(super) inside: Scope,
}

/// Renders what is to leave for one destination.
pub(super) struct Drafter {
    vars: Arc<BTreeMap<String, String>>,
    scope: Scope,
    recipients: Arc<Recipients>,
    secrets: BTreeMap<SecretRef, Secret>,
}

impl Drafter {
    pub(super) fn new(
        destination: &Destination,
        vars: Arc<BTreeMap<String, String>>,
        recipients: Arc<Recipients>,
    ) -> Self {
        let mut texts: Vec<&Text> = Vec::new();
        match &destination.channel {
            Channel::Http(request) => texts.extend(texts_of(request)),
            Channel::Slack { api: url, .. }
            | Channel::SlackWebhook { url, .. }
            | Channel::Teams { url, .. } => texts.push(url),
            Channel::Email { .. } => {}
        }
        for fallback in &destination.fallbacks {
            texts.extend(texts_of(&fallback.request));
        }
        let asked = [
            destination.lookup.as_ref().map(|lookup| &lookup.request),
            destination.list.as_ref().map(|list| &list.request),
        ];
        texts.extend(asked.into_iter().flatten().flat_map(texts_of));
        let secrets = texts.into_iter().filter_map(|text| match text {
            Text::Secret(reference) => Some((reference.clone(), Secret::new(reference.clone()))),
            Text::Template(_) => None,
        });
        Self {
            scope: Scope::of_vars(&vars),
            secrets: secrets.collect(),
            vars,
            recipients,
        }
    }

    /// Of the secrets in addresses and headers.
    pub(super) fn fingerprint(&self) -> u64 {
        let secrets = self.secrets.values().map(Secret::fingerprint);
        secrets.fold(0, |all, one| all.wrapping_mul(31) ^ one)
    }

    /// The operator's own variables.
    pub(super) fn vars(&self) -> Scope {
        self.scope.clone()
    }

    /// What identifies what a message to people says; `None` for what is no alert or goes to no people.
    pub(super) fn identity(&self, destination: &Destination, view: &View) -> Option<u64> {
        let templates: Vec<&Template> = match &destination.channel {
            Channel::Http(_) => return None,
            Channel::Slack { text, blocks, .. } | Channel::SlackWebhook { text, blocks, .. } => {
                text.iter().chain(blocks).collect()
            }
            Channel::Teams { card, .. } => card.iter().collect(),
            Channel::Email {
                subject,
                html,
                text,
                ..
            } => subject.iter().chain(html).chain(text).collect(),
        };
        if view.parcel.kind != Kind::Alert {
            return None;
        }
        let message = Message::compose(&view.parcel, &self.vars, &[]).identity();
        let scope = view
            .scope
            .clone()
            .with("recipients", Value::Array(Vec::new()));
        // One that cannot be rendered without recipients is no reason to say it twice, nor to keep it back.
        let written = templates
            .into_iter()
            .map(|template| template.render(&scope).unwrap_or_default());
        let all = written.fold(message.to_string(), |all, text| all + "\n" + &text);
        Some(xxhash_rust::xxh3::xxh3_64(all.as_bytes()))
    }

    /// What would leave of an output for `destination`.
    pub(super) async fn draft(
        &self,
        destination: &Destination,
        view: &View,
        before: Before<'_>,
    ) -> Result<Draft, Fault> {
        let (parcel, scope) = (&view.parcel, &view.scope);
        let handle = before.handle;
        let bytes_max = destination.body_bytes_max;
        match &destination.channel {
            Channel::Http(request) => Ok(Draft::Web(
                self.fitting_request(request, view, scope, bytes_max)?,
            )),
            Channel::Slack {
                api,
                to,
                text,
                blocks,
            } => {
                let places = handle.map(Place::all_of_handle).unwrap_or_default();
                let left: Option<Vec<Target>> = before
                    .left()
                    .map(|left| left.iter().filter_map(Target::of_json).collect());
                let templates = [to.as_ref(), text.as_ref(), blocks.as_ref()];
                let asked = to.is_none() && places.is_empty() && left.is_none();
                let has_id = |person: &Person| person.slack.is_some();
                let (
                    scope,
                    Found {
                        people, missing, ..
                    },
                ) = self.people(view, asked, &templates, has_id).await;
                let mut named = String::new();
                let targets: Vec<Target> = match (left, places.as_slice(), to) {
                    (Some(left), ..) => left,
                    // Their readers may have changed shifts; the messages have not moved.
                    (None, [_, ..], _) => places.iter().map(Target::at).collect(),
                    (None, [], Some(to)) => {
                        let ids = ids(&render(to, &scope)?);
                        ids.into_iter().map(Target::new).collect()
                    }
                    (None, [], None) => {
                        let ids = people.into_iter().filter_map(|person| person.slack);
                        let (targets, others) = of_people(ids.collect());
                        named = mentions(&others);
                        targets
                    }
                };
                if targets.is_empty() {
                    return Err(nobody("a Slack id", &missing));
                }
                let mut message = Message::compose(parcel, &self.vars, &missing);
                if !places.is_empty() && message.occasion == Occasion::Update {
                    // In place of the first message there is nothing to be the update of.
                    message.occasion = Occasion::First;
                }
                let content = |fields| Content {
                    fields,
                    output_id: parcel.id.clone(),
                    occasion: message.occasion,
                };
                // What stands around the message counts too.
                let longest = targets.iter().map(|target| target.channel.len()).max();
                let around = Place {
                    channel: "C".repeat(longest.unwrap_or_default()),
                    ts: "0000000000.000000".to_owned(),
                };
                let around = content(Map::new())
                    .follow_up(&around)
                    .body
                    .to_string()
                    .len()
                    + 64;
                let fields = fields(
                    (text.as_ref(), blocks.as_ref()),
                    &scope,
                    &message,
                    bytes_max.saturating_sub(around),
                    &named,
                )?;
                Ok(Draft::Slack(Slack {
                    api: self.text(api, &scope)?,
                    api_is_secret: is_secret(api),
                    content: content(fields),
                    targets,
                    places,
                }))
            }
            Channel::SlackWebhook { url, text, blocks } => {
                let texts = (text.as_ref(), blocks.as_ref());
                let templates = [text.as_ref(), blocks.as_ref()];
                let (scope, Found { missing, .. }) =
                    self.people(view, false, &templates, |_| true).await;
                let message = Message::compose(parcel, &self.vars, &missing);
                let room = bytes_max.saturating_sub(64);
                let content = Content {
                    fields: fields(texts, &scope, &message, room, "")?,
                    output_id: parcel.id.clone(),
                    occasion: message.occasion,
                };
                self.hook(url, &scope, content.hook().to_string())
            }
            Channel::Teams { url, card } => {
                let templates = [card.as_ref()];
                let (
                    scope,
                    Found {
                        people, missing, ..
                    },
                ) = self.people(view, true, &templates, |_| true).await;
                let body = match card {
                    Some(template) => {
                        let scope = for_people(&scope, &card::escaped);
                        card::envelope(rendered_json(template, &scope)?)
                    }
                    None => {
                        let mut message = Message::compose(parcel, &self.vars, &missing);
                        // The card stands in a channel: it says whom it is for.
                        message.address(people.iter().filter_map(Person::called));
                        card::write(&message, bytes_max)
                    }
                };
                self.hook(url, &scope, body.to_string())
            }
            Channel::Email {
                from,
                to,
                subject,
                html,
                text,
                ..
            } => {
                let templates = [to, subject, html, text].map(Option::as_ref);
                let has_address = |person: &Person| person.mailbox().is_some();
                let left = before.left();
                let asked = to.is_none() && left.is_none();
                let (scope, found) = self.people(view, asked, &templates, has_address).await;
                let Found {
                    people, missing, ..
                } = found;
                let (to, left_out): (Vec<Mailbox>, Vec<Refused>) = match (left, to) {
                    (Some(left), _) => {
                        let left: Vec<&str> = left.iter().filter_map(Value::as_str).collect();
                        addresses(&left.join(","))
                    }
                    (None, Some(to)) => addresses(&render(to, &scope)?),
                    (None, None) => {
                        let unsendable = found.left_out.iter().map(|person| Refused {
                            to: person.email.clone().unwrap_or_default(),
                            why: NO_ADDRESS.to_owned(),
                        });
                        let to = people.iter().filter_map(Person::mailbox).collect();
                        (to, unsendable.collect())
                    }
                };
                if to.is_empty() {
                    return Err(match left_out.first() {
                        Some(Refused { to, why }) if asked => nobody(
                            &format!("an email address but {to:?}, which is {why},"),
                            &missing,
                        ),
                        Some(Refused { to, why }) => Fault::Unsendable(format!("{to:?} is {why}")),
                        None => nobody("an email address", &missing),
                    });
                }
                let message = Message::compose(parcel, &self.vars, &missing);
                let mut email = message::write(&message, bytes_max);
                let mut data = view.parcel.data.clone();
                loop {
                    let scope = scope.clone().with("data", data.clone());
                    let words = for_people(&scope, &|text| isolated(&plain(text)));
                    if let Some(template) = subject {
                        email.subject = message::subject(&render(template, &words)?);
                    }
                    for (template, part) in [(html, &mut email.html), (text, &mut email.text)] {
                        if let Some(template) = template {
                            *part = render(template, &words)?;
                        }
                    }
                    let bytes = email.subject.len() + email.html.len() + email.text.len();
                    let Some(excess) = bytes.checked_sub(bytes_max).filter(|more| *more > 0) else {
                        break;
                    };
                    let is_alert = view.parcel.kind == Kind::Alert;
                    data = is_alert.then(|| shortened_data(&data, excess)).flatten().ok_or_else(|| {
                        Fault::Unsendable(format!(
                            "its email has {bytes} bytes, and at most {bytes_max} may leave (body_max)"
                        ))
                    })?;
                }
                let thread = handle.and_then(|handle| handle.get("message_id")?.as_str());
                let letter = Letter {
                    from: sender(&render(from, &scope)?)?,
                    to,
                    output_id: parcel.id.clone(),
                    thread: thread.map(str::to_owned),
                    email,
                };
                Ok(Draft::Mail {
                    thread: letter.thread.clone(),
                    letter: letter.seal()?,
                    left_out,
                })
            }
        }
    }

    /// The people that a message is for, if it is they who say where it goes (`asked`) or one of its templates names
    /// them: also as the variable `recipients`, whose fields are empty where nothing is known.
    async fn people(
        &self,
        view: &View,
        asked: bool,
        templates: &[Option<&Template>],
        usable: impl Fn(&Person) -> bool,
    ) -> (Scope, Found) {
        let mut named = templates.iter().flatten();
        if !asked && !named.any(|template| template.uses("recipients")) {
            return (view.scope.clone(), Found::default());
        }
        let found = self
            .recipients
            .find(&view.inside, &view.scope, usable)
            .await;
        let people = found.people.iter().map(|person| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            serde_json::json!({
                "name": text(&person.name),
                "email": text(&person.email),
                "slack": text(&person.slack),
            })
        });
        let scope = view.scope.clone().with("recipients", people.collect());
        (scope, found)
    }
}

const fn is_secret(text: &Text) -> bool {
    match text {
        Text::Secret(_) => true,
        Text::Template(_) => false,
    }
}

fn texts_of(request: &destination::Request) -> impl Iterator<Item = &Text> {
    request
        .headers
        .iter()
        .map(|(_, text)| text)
        .chain([&request.url])
}

/// The variables of templates whose words people read: everything that came from outside, made by `make` what may stand
/// there.
pub(super) fn for_people(scope: &Scope, make: &impl Fn(&str) -> String) -> Scope {
    let outside = ["id", "subject", "data", "recipients"];
    outside.into_iter().fold(scope.clone(), |scope, name| {
        match scope.get(name).cloned() {
            Some(value) => scope.with(name, each(value, make)),
            None => scope,
        }
    })
}

pub(super) fn render(template: &Template, scope: &Scope) -> Result<String, Fault> {
    template
        .render(scope)
        .map_err(|error| Fault::Unsendable(error.to_string()))
}

pub(super) fn rendered_json(template: &Template, scope: &Scope) -> Result<Value, Fault> {
    serde_json::from_str(&render(template, scope)?)
        .map_err(|error| Fault::Unsendable(format!("{} is not JSON: {error}", template.key())))
}

/// What an address is that no mail can be sent to.
const NO_ADDRESS: &str = "not an email address that can be written";

fn nobody(what: &str, missing: &[String]) -> Fault {
    let mut text = format!("nobody with {what} was found for it");
    if !missing.is_empty() {
        text.push_str(&format!(" (not known: {})", missing.join(", ")));
    }
    Fault::NotReady(text)
}
