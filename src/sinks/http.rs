//! Any HTTP system: one configured request an output, others after certain answers, and what it can be asked about the
//! outputs it was sent.
//!
//! | file | idea |
//! |---|---|
//! | `read`, `asks` | its keys: the request and its fallbacks; what it can be asked |
//! | `request` | a configured request, rendered |
//! | `listing` | every reward it knows, page by page |

use std::iter::once;

use aftercall_actors::contract::output::Kind;
use async_trait::async_trait;

use super::{
    client::tls::TlsError,
    credentials::exchange::Exchange,
    reader::Reader,
    rehearsal::stage::{Example, Stage},
    sending::{Delivery, Sending, Setup},
    shown::Shown,
    sink::{About, DefaultTests, Sender, Sink},
    spec::{Body, Fallback, Request, Text},
    template::Template,
};
use crate::{
    config::document::Section,
    delivery::attempt::{Answer, Fault},
};

pub(super) mod asks;
pub mod listing;
pub(super) mod read;
pub(super) mod request;

use read::names_the_reward;
use request::fitting_request;

/// What is known before the keys are read.
pub(super) const ABOUT: About = About {
    name: "http",
    keys: &[
        "url", "method", "headers", "body", "fallback", "lookup", "list",
    ],
    tests: DefaultTests::HTTP,
    rate: None,
    by_lane: false,
    refuses: |_| None,
};

/// One request an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// The request.
    pub request: Request,
}

pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Http> {
    read::request(reader, s, None).map(|request| Http { request })
}

impl Sink for Http {
    fn texts(&self) -> Vec<(String, &Text)> {
        self.request.texts()
    }

    fn words(&self) -> Option<Vec<&Template>> {
        None
    }

    fn request(&self) -> Option<&Request> {
        Some(&self.request)
    }

    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]) {
        let in_body = match &self.request.body {
            Body::Template { template, .. } => {
                template.uses("id") || template.source().contains("reward_id")
            }
            Body::Data => true,
            Body::None => false,
        };
        let is_reward = types.iter().any(|t| Kind::of(t) == Some(Kind::Reward));
        if is_reward && !in_body && !names_the_reward(&self.request) {
            s.warn(
                "headers",
                "neither address, headers nor body hold `id` or `data.reward_id`: the destination cannot tell a \
                 repeated request from a second reward"
                    .to_owned(),
            );
        }
    }

    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>) {
        // The first attempt, and one after an answer with ids in it.
        let kept = &stage.kept;
        let later = (!kept.is_empty()).then(|| example.scope.clone().with_kept(kept));
        let (fallbacks, lookup) = (stage.fallbacks, stage.lookup);
        for scope in once(example.scope).chain(&later) {
            stage.request(&self.request, scope, example.name);
            for fallback in fallbacks {
                stage.request(&fallback.request, scope, example.name);
            }
            if let Some(lookup) = lookup {
                stage.request(&lookup.request, scope, example.name);
            }
        }
    }

    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
        Ok(Box::new(HttpSender {
            request: self.request.clone(),
            fallbacks: setup.fallbacks.to_vec(),
            exchange: setup.exchange()?,
        }))
    }
}

struct HttpSender {
    request: Request,
    fallbacks: Vec<Fallback>,
    exchange: Exchange,
}

#[async_trait]
impl Sender for HttpSender {
    fn fingerprint(&self) -> u64 {
        self.exchange.fingerprint()
    }

    fn exchange(&self) -> Option<&Exchange> {
        Some(&self.exchange)
    }

    async fn send(&self, out: Sending<'_>) -> Result<Delivery, Fault> {
        let request = fitting_request(out, &self.request, &out.view.scope)?;
        out.sendable(&request)?;
        let answer = self.exchange.send(request, &out.view.parcel.id).await?;
        Ok(Delivery::of(Ok(self.fall_back(out, answer).await?)))
    }

    async fn show(&self, out: Sending<'_>) -> Result<Shown, Fault> {
        let request = fitting_request(out, &self.request, &out.view.scope)?;
        Ok(Shown::of(&request))
    }
}

impl HttpSender {
    /// S4.06: what the destination wants tried instead, after certain answers.
    async fn fall_back(&self, out: Sending<'_>, mut answer: Answer) -> Result<Answer, Fault> {
        for fallback in &self.fallbacks {
            let scope = out.view.scope.clone().with_answer(&answer);
            if fallback.when.holds(&scope) != Ok(true) {
                continue;
            }
            let first = answer.status;
            let request = fitting_request(out, &fallback.request, &scope)?;
            let method = request.method.clone();
            out.sendable(&request)?;
            answer = self.exchange.send(request, &out.view.parcel.id).await?;
            // Operators look for customers whom the CRM did not have, so with the actor's id, whether or not it may
            // leave, and at a level that is on.
            tracing::info!(
                destination = out.drafter.name,
                subject = %out.view.subject,
                %method,
                after = first,
                status = answer.status,
                "another request instead"
            );
        }
        Ok(answer)
    }
}
