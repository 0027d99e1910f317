//! Takes one output to one destination, once: what may leave of it, in the form wanted, with credentials, and what came
//! back of it.
//!
//! The driver says when; this says what, where and what that meant. The order matters: the field policy comes first, so
//! that no template, recipient lookup or message ever sees what may not leave; the size check comes before credentials,
//! so that what cannot leave costs no token; the judgement sees the vendor's answer whole, and everybody after it sees
//! the answer scrubbed.
//!
//! | file | idea |
//! |---|---|
//! | `draft` | what would leave, for each channel |
//! | `ask` | what a destination says of what was sent before, and of everything it knows |
//! | `slack`, `mailer` | what Slack and email need besides |
//! | `show` | the same for people, without credentials |

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use serde_json::Value;

use super::{
    answer::{Answer, Attempt, Fault, Verdict},
    carry::Turn,
    channel::{
        email::Server,
        exchange::Exchange,
        http,
        slack::{Call, Place, error, is_uneditable},
        teams,
        tls::TlsError,
    },
    destination::{Channel, Destination, Destinations},
    fields::FieldPolicy,
    judge::{Judged, judge},
    parcel::Parcel,
    recipients::Recipients,
    scope::Scope,
};

mod ask;
mod draft;
mod mailer;
pub mod show;
mod slack;

use draft::{Draft, Drafter, View};
use mailer::Mailer;

/// Takes outputs to one destination.
pub struct Courier {
    destination: Destination,
    fields: Arc<FieldPolicy>,
    drafter: Drafter,
    way: Way,
}

/// How a destination is reached.
enum Way {
    Web(Exchange),
    Mail(Mailer),
}

/// Why there is no courier for a destination.
#[derive(Debug, thiserror::Error)]
#[error("destination {destination}: {source}")]
pub struct CourierError {
    /// Its name, or `recipients`.
    pub destination: String,
    /// Why.
    pub source: TlsError,
}

/// A courier for each destination, in their order.
///
/// # Errors
/// If a certificate or key of one cannot be read.
pub fn couriers(
    destinations: Destinations,
    fields: &Arc<FieldPolicy>,
) -> Result<Vec<Courier>, CourierError> {
    let recipients = Recipients::new(&destinations).map_err(|source| CourierError {
        destination: "recipients".to_owned(),
        source,
    })?;
    let recipients = Arc::new(recipients);
    let vars = Arc::new(destinations.vars);
    destinations
        .destinations
        .into_iter()
        .map(|destination| Courier::new(destination, &vars, &recipients, fields))
        .collect()
}

impl Courier {
    /// A courier for one destination. Connects to nothing yet.
    ///
    /// # Errors
    /// If a certificate or key cannot be read.
    pub fn new(
        destination: Destination,
        vars: &Arc<BTreeMap<String, String>>,
        recipients: &Arc<Recipients>,
        fields: &Arc<FieldPolicy>,
    ) -> Result<Self, CourierError> {
        let failed = |source| CourierError {
            destination: destination.name.clone(),
            source,
        };
        let way = match &destination.channel {
            Channel::Email { smtp, .. } => {
                let server = Server {
                    host: smtp.host.clone(),
                    port: smtp.port,
                    security: smtp.security,
                    roots_pem: None,
                    connect_timeout: destination.timeouts.connect,
                    total_timeout: destination.timeouts.total,
                };
                Way::Mail(Mailer::new(server, &destination))
            }
            Channel::Http(_)
            | Channel::Slack { .. }
            | Channel::SlackWebhook { .. }
            | Channel::Teams { .. } => {
                let settings = http::Settings {
                    connect_timeout: destination.timeouts.connect,
                    total_timeout: destination.timeouts.total,
                    answer_bytes_max: destination.answer_bytes_max,
                    roots_pem: None,
                    identity_pem: None,
                };
                let exchange = Exchange::new(
                    &destination.name,
                    settings,
                    destination.tls.clone(),
                    &destination.auth,
                );
                Way::Web(exchange.map_err(failed)?)
            }
        };
        Ok(Self {
            drafter: Drafter::new(&destination, Arc::clone(vars), Arc::clone(recipients)),
            destination,
            fields: Arc::clone(fields),
            way,
        })
    }

    /// The destination.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The thread that an output belongs to; outputs of one thread go in order. The key stays here, so it may be made
    /// of what may not leave.
    ///
    /// # Errors
    /// [`Fault::Unsendable`] if the template has no value for it.
    pub fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault> {
        let Some(template) = &self.destination.thread else {
            return Ok(None);
        };
        let scope = self.drafter.vars().with_output(parcel, parcel.data.clone());
        let key = template
            .render(&scope)
            .map_err(|error| Fault::Unsendable(error.to_string()))?;
        Ok(Some(key))
    }

    /// Makes one attempt, of which none before it can have been done. Otherwise as [`Courier::take_turn`].
    pub async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, number: u32) -> Attempt {
        let turn = Turn {
            number,
            in_doubt: false,
        };
        self.take_turn(parcel, handle, turn).await
    }

    /// Makes one attempt. `handle` is what the last success of the thread left. Ends within the destination's timeouts,
    /// one for each request, and those of the lookups for its recipients; dropping it abandons the attempt, whose
    /// outcome is then unknown.
    pub async fn take_turn(&self, parcel: &Parcel, handle: Option<&Value>, turn: Turn) -> Attempt {
        let (scope, outcome) = match self.view(parcel) {
            Ok(view) => {
                let outcome = match turn.in_doubt {
                    false => self.deliver(&view, handle).await,
                    true => self.deliver_in_doubt(&view, handle).await,
                };
                (view.scope, outcome)
            }
            Err(fault) => (Scope::default(), Err(fault)),
        };
        let (result, handle) = match outcome {
            Ok(Delivery { answer, handle }) => (Ok(answer), handle),
            Err(fault) => (Err(fault), None),
        };
        let Judged {
            mut verdict,
            status,
            response,
        } = judge(
            &self.destination.judgement,
            &scope,
            &result,
            SystemTime::now(),
        );
        if let (Channel::Teams { .. }, Ok(answer), Verdict::Delivered) =
            (&self.destination.channel, &result, &verdict)
            && let Some(refusal) = teams::refusal(answer)
        {
            verdict = refusal;
        }
        tracing::debug!(
            destination = self.destination.name,
            output = parcel.id,
            attempt = turn.number,
            verdict = ?self.scrubbed_verdict(&verdict),
            "attempt ended"
        );
        Attempt {
            handle: handle.filter(|_| verdict == Verdict::Delivered),
            result: self.scrubbed(result),
            verdict: self.scrubbed_verdict(&verdict),
            status,
            response: response.map(|response| self.fields.scrub(&response)),
        }
    }

    /// What would leave in the first request, without sending it. People are looked up for it all the same.
    ///
    /// # Errors
    /// As an attempt.
    pub async fn rehearse(
        &self,
        parcel: &Parcel,
        handle: Option<&Value>,
    ) -> Result<show::Shown, Fault> {
        let view = self.view(parcel)?;
        let draft = self.drafter.draft(&self.destination, &view, handle);
        show::shown(&self.destination, draft.await?)
    }

    /// The output as the destination may see it.
    fn view(&self, parcel: &Parcel) -> Result<View, Fault> {
        let allowed = self
            .fields
            .allow(&self.destination.name, parcel)
            .map_err(|error| error.fault())?;
        let subject = allowed
            .subject
            .as_ref()
            .and_then(Value::as_str)
            .unwrap_or_default();
        let inside = self.drafter.vars().with_output(parcel, parcel.data.clone());
        let parcel = Parcel {
            seq: parcel.seq,
            id: parcel.id.clone(),
            kind: parcel.kind,
            event_type: parcel.event_type.clone(),
            subject: subject.to_owned(),
            stored_at: parcel.stored_at,
            attributes: parcel.attributes.clone(),
            data: allowed.data,
        };
        let scope = self
            .drafter
            .vars()
            .with_output(&parcel, parcel.data.clone());
        Ok(View {
            parcel,
            scope,
            inside,
        })
    }

    /// S3.09: what became of the attempts before is asked first, where it can be. An output that is known there is not
    /// sent again; one that is not goes out under the same id.
    async fn deliver_in_doubt(
        &self,
        view: &View,
        handle: Option<&Value>,
    ) -> Result<Delivery, Fault> {
        match self.look_up(view).await? {
            Some(answer) => Ok(Delivery {
                answer,
                handle: None,
            }),
            None => self.deliver(view, handle).await,
        }
    }

    async fn deliver(&self, view: &View, handle: Option<&Value>) -> Result<Delivery, Fault> {
        let draft = self.drafter.draft(&self.destination, view, handle);
        match (draft.await?, &self.way) {
            (Draft::Web(request), Way::Web(exchange)) => {
                self.sendable(&request)?;
                let answer = exchange.send(request, &view.parcel.id).await?;
                let answer = self.fall_back(view, exchange, answer).await?;
                Ok(Delivery {
                    answer,
                    handle: None,
                })
            }
            (Draft::Slack(slack), Way::Web(exchange)) => self.post(&slack, exchange).await,
            (Draft::Mail { letter, thread }, Way::Mail(mailer)) => {
                let answer = mailer.send(&letter).await?;
                let first = thread.unwrap_or_else(|| letter.message_id.clone());
                Ok(Delivery {
                    answer,
                    handle: Some(serde_json::json!({ "message_id": first })),
                })
            }
            // Both come of the same channel.
            (Draft::Web(_) | Draft::Slack(_), Way::Mail(_)) | (Draft::Mail { .. }, Way::Web(_)) => {
                Err(Fault::Unsendable(
                    "it has no way to this channel".to_owned(),
                ))
            }
        }
    }

    /// S4.06: what the destination wants tried instead, after certain answers.
    async fn fall_back(
        &self,
        view: &View,
        exchange: &Exchange,
        mut answer: Answer,
    ) -> Result<Answer, Fault> {
        for fallback in &self.destination.fallbacks {
            let scope = view.scope.clone().with_answer(&answer);
            if fallback.when.holds(&scope) != Ok(true) {
                continue;
            }
            let first = answer.status;
            let request = self.drafter.request(&fallback.request, &scope)?;
            let method = request.method.clone();
            self.sendable(&request)?;
            answer = exchange.send(request, &view.parcel.id).await?;
            // Operators look for customers whom the CRM did not have, so with the actor's id, and at a level that is on.
            tracing::info!(
                destination = self.destination.name,
                subject = %view.parcel.subject,
                %method,
                after = first,
                status = answer.status,
                "another request instead"
            );
        }
        Ok(answer)
    }

    /// Edits the first message of the thread, or says it anew where there is none or it cannot be edited.
    async fn post(&self, draft: &slack::Slack, exchange: &Exchange) -> Result<Delivery, Fault> {
        let answer = self.call(draft, &draft.first(), exchange).await?;
        let Some(place) = &draft.place else {
            let handle = Place::of_answer(&answer).map(|place| place.handle());
            return Ok(Delivery { answer, handle });
        };
        let refused = error(&answer).is_some_and(is_uneditable);
        let answer = if draft.edits() && refused {
            let call = draft.content.follow_up(place);
            self.call(draft, &call, exchange).await?
        } else {
            answer
        };
        // Whatever comes later still belongs to the first message.
        Ok(Delivery {
            answer,
            handle: Some(place.handle()),
        })
    }

    async fn call(
        &self,
        draft: &slack::Slack,
        call: &Call,
        exchange: &Exchange,
    ) -> Result<Answer, Fault> {
        let request = draft.request(call)?;
        self.sendable(&request)?;
        exchange.send(request, &draft.content.output_id).await
    }

    /// S4.07: refused before anything of it has left.
    fn sendable(&self, request: &http::Request) -> Result<(), Fault> {
        let (bytes, most) = (request.body.len(), self.destination.body_bytes_max);
        if bytes > most {
            return Err(Fault::Unsendable(format!(
                "its body has {bytes} bytes, and at most {most} may leave (body_max)"
            )));
        }
        Ok(())
    }

    /// What came back, without what has no place in dead letters and logs (S5.09).
    fn scrubbed(&self, result: Result<Answer, Fault>) -> Result<Answer, Fault> {
        let text = |text: String| self.fields.scrub_text(&text);
        match result {
            Ok(mut answer) => {
                answer.body = self.fields.scrub(&answer.body);
                // A session is a credential.
                answer.headers.remove("set-cookie");
                for value in answer.headers.values_mut() {
                    *value = self.fields.scrub_text(value);
                }
                Ok(answer)
            }
            Err(fault) => Err(match fault {
                Fault::Unsendable(why) => Fault::Unsendable(text(why)),
                Fault::NotReady(why) => Fault::NotReady(text(why)),
                Fault::Connect(why) => Fault::Connect(text(why)),
                Fault::Timeout(after) => Fault::Timeout(after),
                Fault::Lost(why) => Fault::Lost(text(why)),
                Fault::InDoubt {
                    why,
                    after,
                    is_down,
                } => Fault::InDoubt {
                    why: text(why),
                    after,
                    is_down,
                },
            }),
        }
    }

    fn scrubbed_verdict(&self, verdict: &Verdict) -> Verdict {
        match verdict {
            Verdict::Delivered => Verdict::Delivered,
            Verdict::Rejected { why } => Verdict::Rejected {
                why: self.fields.scrub_text(why),
            },
            Verdict::Again {
                why,
                after,
                unknown,
            } => Verdict::Again {
                why: self.fields.scrub_text(why),
                after: *after,
                unknown: *unknown,
            },
        }
    }
}

/// An answer, and what is to be handed to the next output of the thread if it was a yes.
struct Delivery {
    answer: Answer,
    handle: Option<Value>,
}
