//! Slack's Web API: `chat.postMessage`, and `chat.update` for later outputs of a thread.
//!
//! | file | idea |
//! |---|---|
//! | `webhook` | an incoming webhook, which cannot update |
//! | `message` | what is told, in the form of Block Kit |
//! | `draft` | what is said, where, and whom it names |
//! | `call` | which call to make, and when an edit has to become a new message |
//! | `post` | the message on its way into each place it is for |

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    client::tls::TlsError,
    credentials::exchange::Exchange,
    drafter::{is_secret, nobody, render},
    reader::{Reader, template},
    recipients::{Found, Person},
    rehearsal::stage::{Example, Stage},
    scope::{MESSAGE, REQUEST, Scope},
    sending::{Delivery, Sending, Setup},
    shown::Shown,
    sink::{About, DefaultTests, Sender, Sink, has_updates},
    spec::{AuthSpec, Judgement, Text},
    template::{Escape, Template},
};
use crate::{config::document::Section, delivery::attempt::Fault, sinks::message::Occasion};

pub mod call;
mod draft;
pub mod message;
mod post;
pub mod webhook;

use call::{Content, Place};
use draft::{Draft, Target, fields, ids, mentions, of_people};

/// What is known before the keys are read.
pub(super) const ABOUT: About = About {
    name: "slack",
    keys: &["url", "to", "text", "blocks"],
    tests: DefaultTests {
        success: "status == 200 && has(body.ok) && body.ok",
        again: AGAIN,
        unauthorized: UNAUTHORIZED,
    },
    // Slack takes a message a second for each channel.
    rate: Some(1),
    by_lane: true,
    refuses: |auth| match auth {
        AuthSpec::Bearer { .. } => None,
        AuthSpec::None => Some(
            "channel \"slack\" needs auth = { kind = \"bearer\", token = \"env:...\" }, the bot token",
        ),
        AuthSpec::Basic { .. } | AuthSpec::OAuth2 { .. } | AuthSpec::StandardWebhooks { .. } => {
            Some("channel \"slack\" takes kind = \"bearer\" only, the bot token")
        }
    },
};

/// What Slack answers in a 200 when it is merely busy.
const AGAIN: &str = "status in [408, 425, 429] || status >= 500 || (status == 200 && has(body.error) && \
     body.error in ['ratelimited', 'rate_limited', 'internal_error', 'fatal_error', 'service_unavailable', 'request_timeout'])";

/// What Slack answers in a 200 when our token is not good, or not good enough.
const UNAUTHORIZED: &str = "status in [401, 403, 407] || (status == 200 && has(body.error) && \
     body.error in ['invalid_auth', 'not_authed', 'token_revoked', 'token_expired', 'account_inactive', \
     'missing_scope', 'not_allowed_token_type', 'org_login_required'])";

/// A message into one or several channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Slack {
    /// Base of the API; `https://slack.com/api` unless set.
    pub api: Text,
    /// Channel or user ids, each of which is told; `None`: those of the recipients.
    pub to: Option<Template>,
    /// Plain text, also the notification; `None`: the built-in words.
    pub text: Option<Template>,
    /// Block Kit blocks, a JSON array; `None`: the built-in message.
    pub blocks: Option<Template>,
}

pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Slack> {
    let written = reader.text(s, "url", Escape::Url, &REQUEST);
    let api = match s.has("url") {
        true => written,
        false => template("slack api", "https://slack.com/api", Escape::Url, &[])
            .ok()
            .map(Text::Template),
    };
    let to = reader.template(s, "to", Escape::Text, &MESSAGE);
    let (text, blocks) = message_keys(reader, s);
    Some(Slack {
        api: api?,
        to,
        text,
        blocks,
    })
}

/// `text` and `blocks`, of messages and webhooks alike.
fn message_keys(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
) -> (Option<Template>, Option<Template>) {
    (
        reader.template(s, "text", Escape::Text, &MESSAGE),
        reader.template(s, "blocks", Escape::Json, &MESSAGE),
    )
}

impl Sink for Slack {
    fn texts(&self) -> Vec<(String, &Text)> {
        vec![("url".to_owned(), &self.api)]
    }

    fn words(&self) -> Option<Vec<&Template>> {
        Some(self.text.iter().chain(&self.blocks).collect())
    }

    fn needs_recipients(&self) -> bool {
        self.to.is_none()
    }

    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]) {
        if has_updates(types) && !s.has("thread") {
            s.warn(
                "thread",
                "not set, so later news of an alert become new messages instead of updates; \
                 write \"{{ data.alert_id }}\""
                    .to_owned(),
            );
        }
    }

    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>) {
        let scope = stage.with_people(example);
        let name = example.name;
        stage.address(&self.api, true, &scope, name);
        if let Some(to) = &self.to
            && let Some(ids) = stage.render(to, &scope, name)
        {
            rehearse_channels(stage, to, &ids, name);
        }
        rehearse_message(stage, (&self.text, &self.blocks), &scope, name);
    }

    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
        Ok(Box::new(SlackSender {
            slack: self.clone(),
            judgement: setup.judgement.clone(),
            exchange: setup.exchange()?,
        }))
    }
}

/// A list of channels and users.
fn rehearse_channels(stage: &mut Stage<'_>, template: &Template, text: &str, name: &str) {
    let ids = text.split([',', ';', '\n']).map(str::trim);
    let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        let problem = format!("over {name}: renders to no channel or user");
        stage.note(template.key().to_owned(), problem);
    }
    for id in ids {
        // Names are taken as well, though ids are what lasts.
        let plain = |c: char| c.is_alphanumeric() || "#-_.".contains(c);
        if !id.chars().all(plain) {
            let problem = format!("over {name}: {id:?} is no id of a channel or user");
            stage.note(template.key().to_owned(), problem);
        }
    }
}

fn rehearse_message(
    stage: &mut Stage<'_>,
    (text, blocks): (&Option<Template>, &Option<Template>),
    scope: &Scope,
    name: &str,
) {
    stage.all([text], scope, name);
    stage.json(
        blocks.as_ref(),
        (Value::is_array, "a JSON array"),
        scope,
        name,
    );
}

struct SlackSender {
    slack: Slack,
    judgement: Judgement,
    exchange: Exchange,
}

#[async_trait]
impl Sender for SlackSender {
    fn fingerprint(&self) -> u64 {
        self.exchange.fingerprint()
    }

    fn exchange(&self) -> Option<&Exchange> {
        Some(&self.exchange)
    }

    /// Channels, each of which has the rate to itself (S2.11).
    async fn lanes(&self, out: Sending<'_>) -> Vec<String> {
        match self.slack.draft(out).await {
            Ok(draft) => draft.lanes(),
            // The attempt itself will say what is wrong.
            Err(_) => Vec::new(),
        }
    }

    async fn send(&self, out: Sending<'_>) -> Result<Delivery, Fault> {
        let draft = self.slack.draft(out).await?;
        let post = post::Post {
            draft: &draft,
            exchange: &self.exchange,
            judgement: &self.judgement,
        };
        Ok(post.tell(out).await)
    }

    async fn show(&self, out: Sending<'_>) -> Result<Shown, Fault> {
        let draft = self.slack.draft(out).await?;
        // The others get the same.
        match draft.targets.first() {
            Some(target) => Ok(Shown::of(&draft.request(&draft.first(target))?)),
            None => Ok(Shown::default()),
        }
    }
}

impl Slack {
    /// What would leave of an output.
    async fn draft(&self, out: Sending<'_>) -> Result<Draft, Fault> {
        let Sending {
            drafter,
            view,
            before,
        } = out;
        let Self {
            api,
            to,
            text,
            blocks,
        } = self;
        let places = before.handle.map(Place::all_of_handle).unwrap_or_default();
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
        ) = drafter.people(view, asked, &templates, has_id).await;
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
        let mut message = drafter.compose(view, &missing);
        if !places.is_empty() && message.occasion == Occasion::Update {
            // In place of the first message there is nothing to be the update of.
            message.occasion = Occasion::First;
        }
        let content = |fields| Content {
            fields,
            output_id: view.parcel.id.clone(),
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
            drafter.body_bytes_max.saturating_sub(around),
            &named,
        )?;
        Ok(Draft {
            api: drafter.text(api, &scope)?,
            api_is_secret: is_secret(api),
            content: content(fields),
            targets,
            places,
        })
    }
}
