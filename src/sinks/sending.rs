//! One output on its way through a channel: what is known of it, and what came of sending it.

use serde_json::Value;

use super::{
    client::{self, tls::TlsError},
    credentials::exchange::Exchange,
    drafter::{Drafter, View},
    progress::Progress,
    spec::{AuthSpec, Fallback, Judgement, Timeouts, TlsSpec},
};
use crate::delivery::attempt::{Answer, Fault, Verdict};

/// What a channel needs to know of its destination to connect.
pub struct Setup<'a> {
    /// The destination's name.
    pub name: &'a str,
    /// How long an attempt may take.
    pub timeouts: Timeouts,
    /// Longest answer taken. Unit: bytes.
    pub answer_bytes_max: usize,
    /// Whom to trust, and what to be trusted by.
    pub tls: &'a TlsSpec,
    /// What is shown to be let in.
    pub auth: &'a AuthSpec,
    /// What an answer means.
    pub judgement: &'a Judgement,
    /// What is tried in the same attempt after certain answers.
    pub fallbacks: &'a [Fallback],
}

impl Setup<'_> {
    /// HTTP with these credentials and certificates.
    ///
    /// # Errors
    /// If a certificate or key cannot be read.
    pub fn exchange(&self) -> Result<Exchange, TlsError> {
        let settings = client::Settings {
            connect_timeout: self.timeouts.connect,
            total_timeout: self.timeouts.total,
            answer_bytes_max: self.answer_bytes_max,
            roots_pem: None,
            identity_pem: None,
        };
        Exchange::new(self.name, settings, self.tls.clone(), self.auth)
    }
}

/// An output that is to be sent.
#[derive(Clone, Copy)]
pub struct Sending<'a> {
    /// Makes what leaves.
    pub drafter: &'a Drafter,
    /// The output as the destination may see it.
    pub view: &'a View,
    /// What came before.
    pub before: Before<'a>,
}

impl Sending<'_> {
    /// S4.07: refused before anything of it has left.
    ///
    /// # Errors
    /// If the body is too long.
    pub fn sendable(&self, request: &client::Request) -> Result<(), Fault> {
        let (bytes, most) = (request.body.len(), self.drafter.body_bytes_max);
        if bytes > most {
            return Err(Fault::Unsendable(format!(
                "its body has {bytes} bytes, and at most {most} may leave (body_max)"
            )));
        }
        Ok(())
    }

    /// Sends a request that is for one.
    ///
    /// # Errors
    /// As [`Exchange::send`], and if the body is too long.
    pub async fn post(
        &self,
        exchange: &Exchange,
        request: client::Request,
    ) -> Result<Delivery, Fault> {
        self.sendable(&request)?;
        let answer = exchange.send(request, &self.view.parcel.id).await?;
        Ok(Delivery::of(Ok(answer)))
    }
}

/// What came before this attempt.
#[derive(Clone, Copy, Default)]
pub struct Before<'a> {
    /// What the last success of the thread left.
    pub handle: Option<&'a Value>,
    /// What earlier attempts at the same output left.
    pub progress: Option<&'a Progress>,
}

impl Before<'_> {
    /// Those who are still to be told, if that was decided before.
    pub fn left(&self) -> Option<&Vec<Value>> {
        self.progress?.left.as_ref()
    }
}

/// What came of sending an output.
pub struct Delivery {
    /// The answer, or why there is none.
    pub result: Result<Answer, Fault>,
    /// For the next output of the thread.
    pub handle: Option<Value>,
    /// What identifies the content.
    pub said: Option<u64>,
    /// Where that is not for the destination's own tests to say.
    pub verdict: Option<Verdict>,
    /// Where it is for several.
    pub several: Option<Several>,
}

/// What came of it for each of those it is for.
pub struct Several {
    /// Who has it, who is left.
    pub progress: Progress,
    /// Lanes that asked to be left alone.
    pub lanes: Vec<String>,
}

impl Delivery {
    /// What the destination's own tests have to judge.
    pub const fn of(result: Result<Answer, Fault>) -> Self {
        Self {
            result,
            handle: None,
            said: None,
            verdict: None,
            several: None,
        }
    }
}
