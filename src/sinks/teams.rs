//! Microsoft Teams over a Workflows webhook: an Adaptive Card into the channel it was made for.
//!
//! | file | idea |
//! |---|---|
//! | `card` | what is told, in the form of an Adaptive Card |
//! | `answer` | what the text of a 200 says |

use async_trait::async_trait;
use serde_json::Value;

use super::{
    client::{self, tls::TlsError},
    drafter::{for_people, rendered_json},
    page,
    reader::Reader,
    recipients::{Found, Person},
    rehearsal::stage::{Example, Stage},
    scope::MESSAGE,
    sending::{Sending, Setup},
    sink::{About, DefaultTests, Sender, Sink, WEBHOOK_REFUSES, warn_of_repeats},
    spec::Text,
    template::{Escape, Template},
    webhook::{self, Webhook},
};
use crate::{
    config::document::Section,
    delivery::attempt::{Answer, Fault, Verdict},
};

pub mod answer;
pub mod card;

/// What is known before the keys are read.
pub(super) const ABOUT: About = About {
    name: "teams",
    keys: &["url", "card"],
    tests: DefaultTests::HTTP,
    // More than four requests a second are throttled.
    rate: Some(4),
    by_lane: false,
    refuses: WEBHOOK_REFUSES,
};

/// A card into the webhook's channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Teams {
    /// The webhook, in most cases a secret itself.
    pub url: Text,
    /// Adaptive Card, a JSON object; `None`: the built-in card.
    pub card: Option<Template>,
}

pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Teams> {
    let url = reader.webhook(s);
    let card = reader.template(s, "card", Escape::Json, &MESSAGE);
    Some(Teams { url: url?, card })
}

impl Sink for Teams {
    fn texts(&self) -> Vec<(String, &Text)> {
        vec![("url".to_owned(), &self.url)]
    }

    fn words(&self) -> Option<Vec<&Template>> {
        Some(self.card.iter().collect())
    }

    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]) {
        warn_of_repeats(s, types);
    }

    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>) {
        let scope = stage.with_people(example);
        stage.webhook(&self.url, &scope, example.name);
        let card = self.card.as_ref();
        stage.json(
            card,
            (Value::is_object, "a JSON object"),
            &scope,
            example.name,
        );
    }

    fn refuted(&self, answer: &Answer) -> Option<Verdict> {
        page::unread(answer).or_else(|| answer::refusal(answer))
    }

    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
        webhook::sender(self, setup)
    }
}

#[async_trait]
impl Webhook for Teams {
    async fn request(&self, out: Sending<'_>) -> Result<client::Request, Fault> {
        let Sending { drafter, view, .. } = out;
        let Teams { url, card } = self;
        let templates = [card.as_ref()];
        let (
            scope,
            Found {
                people, missing, ..
            },
        ) = drafter.people(view, true, &templates, |_| true).await;
        let body = match card {
            Some(template) => {
                let scope = for_people(&scope, &card::escaped);
                card::envelope(rendered_json(template, &scope)?)
            }
            None => {
                let mut message = drafter.compose(view, &missing);
                // The card stands in a channel: it says whom it is for.
                message.address(people.iter().filter_map(Person::called));
                card::write(&message, drafter.body_bytes_max)
            }
        };
        drafter.hook(url, &scope, body.to_string())
    }
}
