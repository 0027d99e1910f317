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
//! | `ask` | what a destination says of what was sent before, and of everything it knows |
//! | `scrub` | what came back, fit to be kept |
//! | `transport` | how a destination's queue drives it |
//!
//! Which request is made of an output and how it is sent is the channel's affair (`super::sink`).

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use serde_json::Value;

use super::{
    client::tls::TlsError,
    destination::{Destination, Destinations},
    drafter::{Drafter, View},
    fields::FieldPolicy,
    judge::{Judged, judge},
    progress::Progress,
    recipients::Recipients,
    scope::Scope,
    sending::{Before, Delivery, Sending, Setup},
    shown::Shown,
    sink::Sender,
    spec::{Request, Text},
};
use crate::delivery::{
    attempt::{Answer, Attempt, Fault, Verdict},
    parcel::Parcel,
    transport::Turn,
};

mod ask;
mod scrub;
mod transport;

/// Takes outputs to one destination.
pub struct Courier {
    destination: Destination,
    fields: Arc<FieldPolicy>,
    drafter: Drafter,
    sender: Box<dyn Sender>,
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
    let recipients = Recipients::new(&destinations.recipients).map_err(|source| CourierError {
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
        let setup = Setup {
            name: &destination.name,
            timeouts: destination.timeouts,
            answer_bytes_max: destination.answer_bytes_max,
            tls: &destination.tls,
            auth: &destination.auth,
            judgement: &destination.judgement,
            fallbacks: &destination.fallbacks,
        };
        let sender = destination.channel.sink().sender(&setup).map_err(failed)?;
        let drafter = Drafter::new(
            (&destination.name, destination.body_bytes_max),
            texts(&destination),
            Arc::clone(vars),
            Arc::clone(recipients),
        );
        Ok(Self {
            drafter,
            destination,
            fields: Arc::clone(fields),
            sender,
        })
    }

    /// The destination.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What lets us in, as it can be read now: another number once a secret is another.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // In order, so that two that change places are noticed too.
        self.drafter.fingerprint().wrapping_mul(31) ^ self.sender.fingerprint()
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
            ..Turn::default()
        };
        self.take_turn(parcel, handle, turn).await
    }

    /// Makes one attempt. `handle` is what the last success of the thread left. Ends within the destination's timeouts,
    /// one for each request, and those of the lookups for its recipients; dropping it abandons the attempt, whose
    /// outcome is then unknown.
    pub async fn take_turn(&self, parcel: &Parcel, handle: Option<&Value>, turn: Turn) -> Attempt {
        let progress = Progress::of(turn.progress.as_ref());
        let (judged, delivery) = match self.view(parcel) {
            Ok(mut view) => {
                view.scope = view
                    .scope
                    .with("in_doubt", turn.unknown.into())
                    .with_kept(&turn.kept);
                let before = Before {
                    handle,
                    progress: Some(&progress),
                };
                let delivery = match turn.in_doubt {
                    false => self.deliver(&view, before, turn.said).await,
                    true => self.deliver_in_doubt(&view, before, turn.said).await,
                };
                let mut delivery = delivery.unwrap_or_else(|fault| Delivery::of(Err(fault)));
                let judged = self.judge_or_ask(&mut view, &mut delivery.result).await;
                (judged, delivery)
            }
            Err(fault) => {
                let delivery = Delivery::of(Err(fault));
                (self.judge(&Scope::default(), &delivery.result), delivery)
            }
        };
        let Delivery {
            result,
            handle,
            said,
            verdict: known,
            several,
        } = delivery;
        let Judged {
            verdict,
            status,
            response,
            kept,
        } = judged;
        let mut verdict = known.unwrap_or(verdict);
        let (mut told, mut lanes) = (None, Vec::new());
        if let Some(several) = several {
            verdict = several.progress.verdict(verdict);
            lanes = several.lanes;
            told = Some(several.progress);
        }
        tracing::debug!(
            destination = self.destination.name,
            output = parcel.id,
            attempt = turn.number,
            verdict = ?self.scrubbed_verdict(&verdict),
            "attempt ended"
        );
        let is_delivered = verdict == Verdict::Delivered;
        for refused in told
            .iter()
            .filter(|_| is_delivered)
            .flat_map(|t| &t.refused)
        {
            tracing::warn!(
                destination = self.destination.name,
                output = parcel.id,
                recipient = refused.to,
                reason = self.fields.scrub_text(&refused.why),
                "recipient left out"
            );
        }
        let some_have_it = is_delivered || told.as_ref().is_some_and(|told| told.done);
        let response = response.or_else(|| told.as_ref()?.response());
        Attempt {
            handle: handle.filter(|_| some_have_it),
            result: self.scrubbed(result),
            verdict: self.scrubbed_verdict(&verdict),
            status,
            response: response.map(|response| self.fields.scrub(&response)),
            // As they are: masked they would find nothing, and the configuration names ids and nothing else.
            kept,
            progress: told.and_then(|told| told.kept()),
            said: said.filter(|_| is_delivered),
            lanes,
        }
    }

    /// The lanes an attempt would take a place in: channels of Slack's, each of which has the rate to itself (S2.11).
    /// Sends nothing; people are looked up.
    pub async fn lanes_of(
        &self,
        parcel: &Parcel,
        handle: Option<&Value>,
        turn: &Turn,
    ) -> Vec<String> {
        if !self.destination.policy.limits.by_lane {
            return Vec::new();
        }
        let Ok(view) = self.view(parcel) else {
            return Vec::new();
        };
        let progress = Progress::of(turn.progress.as_ref());
        let before = Before {
            handle,
            progress: Some(&progress),
        };
        self.sender.lanes(self.sending(&view, before)).await
    }

    /// Judges what came back. After 409 it may have been done before: what can be asked is asked, and else a person is.
    async fn judge_or_ask(&self, view: &mut View, result: &mut Result<Answer, Fault>) -> Judged {
        let first = self.judge(&view.scope, result);
        let Verdict::Unclear { unknown: true, .. } = first.verdict else {
            return first;
        };
        view.scope = view.scope.clone().with_kept(&first.kept);
        *result = match self.look_up(view).await {
            Ok(None) => return first,
            Ok(Some(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        let mut judged = self.judge(&view.scope, result);
        for (name, id) in first.kept {
            judged.kept.entry(name).or_insert(id);
        }
        judged
    }

    fn judge(&self, scope: &Scope, result: &Result<Answer, Fault>) -> Judged {
        let judgement = &self.destination.judgement;
        let mut judged = judge(judgement, scope, result, SystemTime::now());
        if let (Ok(answer), Verdict::Delivered) = (result, &judged.verdict) {
            let other = self.destination.channel.sink().refuted(answer);
            judged.verdict = other.unwrap_or(Verdict::Delivered);
        }
        judged
    }

    /// What would leave in the first request, without sending it. People are looked up for it all the same.
    ///
    /// # Errors
    /// As an attempt.
    pub async fn rehearse(&self, parcel: &Parcel, handle: Option<&Value>) -> Result<Shown, Fault> {
        let view = self.view(parcel)?;
        let before = Before {
            handle,
            progress: None,
        };
        let mut shown = self.sender.show(self.sending(&view, before)).await?;
        if self.sender.exchange().is_some() {
            shown.add_credentials(&self.destination.auth);
        }
        Ok(shown)
    }

    const fn sending<'a>(&'a self, view: &'a View, before: Before<'a>) -> Sending<'a> {
        Sending {
            drafter: &self.drafter,
            view,
            before,
        }
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
        let own_subject = parcel.subject.clone();
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
            subject: own_subject,
            scope,
            inside,
        })
    }

    /// S3.09: what became of the attempts before is asked first, where it can be. An output that is known there is not
    /// sent again; one that is not goes out under the same id.
    async fn deliver_in_doubt(
        &self,
        view: &View,
        before: Before<'_>,
        said: Option<u64>,
    ) -> Result<Delivery, Fault> {
        match self.look_up(view).await? {
            Some(answer) => Ok(Delivery::of(Ok(answer))),
            None => self.deliver(view, before, said).await,
        }
    }

    async fn deliver(
        &self,
        view: &View,
        before: Before<'_>,
        said: Option<u64>,
    ) -> Result<Delivery, Fault> {
        let words = self.destination.channel.sink().words();
        let says = words.and_then(|words| self.drafter.identity(&words, view));
        // S2.08: what stands there already need not be said again.
        let is_news = says.is_none() || says != said || view.parcel.event_type != "alert.updated";
        if !is_news {
            return Ok(Delivery {
                verdict: Some(Verdict::Delivered),
                said: says,
                ..Delivery::of(Ok(Answer {
                    status: 200,
                    headers: BTreeMap::new(),
                    body: Value::Null,
                }))
            });
        }
        let delivery = self.sender.send(self.sending(view, before)).await?;
        Ok(Delivery {
            said: says,
            ..delivery
        })
    }
}

/// All that is written into addresses and headers.
fn texts(destination: &Destination) -> impl Iterator<Item = &Text> {
    let fallbacks = destination
        .fallbacks
        .iter()
        .map(|fallback| &fallback.request);
    let lookup = destination.lookup.iter().map(|lookup| &lookup.request);
    let list = destination.list.iter().map(|list| &list.request);
    let requests = fallbacks.chain(lookup).chain(list);
    let own = destination.channel.sink().texts().into_iter();
    own.chain(requests.flat_map(Request::texts))
        .map(|(_, text)| text)
}
