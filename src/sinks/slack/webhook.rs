//! A Slack incoming webhook: it posts into the one channel it was made for, and cannot update.

use async_trait::async_trait;

use super::{call::Content, draft::fields, message_keys, rehearse_message};
use crate::{
    config::document::Section,
    delivery::attempt::{Answer, Fault, Verdict},
    sinks::{
        client::{self, tls::TlsError},
        page,
        reader::Reader,
        recipients::Found,
        rehearsal::stage::{Example, Stage},
        sending::{Sending, Setup},
        sink::{About, DefaultTests, Sender, Sink, WEBHOOK_REFUSES, warn_of_repeats},
        spec::Text,
        template::Template,
        webhook::{self, Webhook},
    },
};

/// What is known before the keys are read.
pub(in crate::sinks) const ABOUT: About = About {
    name: "slack_webhook",
    keys: &["url", "text", "blocks"],
    tests: DefaultTests::HTTP,
    rate: Some(1),
    by_lane: false,
    refuses: WEBHOOK_REFUSES,
};

/// A message into the webhook's channel.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackWebhook {
    /// The webhook, in most cases a secret itself.
    pub url: Text,
    /// Plain text, also the notification; `None`: the built-in words.
    pub text: Option<Template>,
    /// Block Kit blocks, a JSON array; `None`: the built-in message.
    pub blocks: Option<Template>,
}

pub(in crate::sinks) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<SlackWebhook> {
    let url = reader.webhook(s);
    let (text, blocks) = message_keys(reader, s);
    Some(SlackWebhook {
        url: url?,
        text,
        blocks,
    })
}

impl Sink for SlackWebhook {
    fn texts(&self) -> Vec<(String, &Text)> {
        vec![("url".to_owned(), &self.url)]
    }

    fn words(&self) -> Option<Vec<&Template>> {
        Some(self.text.iter().chain(&self.blocks).collect())
    }

    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]) {
        warn_of_repeats(s, types);
    }

    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>) {
        let scope = stage.with_people(example);
        stage.webhook(&self.url, &scope, example.name);
        rehearse_message(stage, (&self.text, &self.blocks), &scope, example.name);
    }

    /// It promises no more than its status, so a page with 200 would pass for a success.
    fn refuted(&self, answer: &Answer) -> Option<Verdict> {
        page::unread(answer)
    }

    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
        webhook::sender(self, setup)
    }
}

#[async_trait]
impl Webhook for SlackWebhook {
    async fn request(&self, out: Sending<'_>) -> Result<client::Request, Fault> {
        let Sending { drafter, view, .. } = out;
        let SlackWebhook { url, text, blocks } = self;
        let templates = [text.as_ref(), blocks.as_ref()];
        let (scope, Found { missing, .. }) =
            drafter.people(view, false, &templates, |_| true).await;
        let message = drafter.compose(view, &missing);
        let room = drafter.body_bytes_max.saturating_sub(64);
        let texts = (text.as_ref(), blocks.as_ref());
        let content = Content {
            fields: fields(texts, &scope, &message, room, "")?,
            output_id: view.parcel.id.clone(),
            occasion: message.occasion,
        };
        drafter.hook(url, &scope, content.hook().to_string())
    }
}
