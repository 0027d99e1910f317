//! Channels whose sending is one request to a webhook: they say what the request is, and it is posted here.

use async_trait::async_trait;

use super::{
    client::{self, tls::TlsError},
    credentials::exchange::Exchange,
    sending::{Delivery, Sending, Setup},
    shown::Shown,
    sink::Sender,
};
use crate::delivery::attempt::Fault;

/// A channel of which an output is one request.
#[async_trait]
pub trait Webhook: Clone + Send + Sync + 'static {
    /// What would be sent of an output. People are looked up for it.
    ///
    /// # Errors
    /// If no request can be made of the output.
    async fn request(&self, out: Sending<'_>) -> Result<client::Request, Fault>;
}

/// Posts a webhook's requests.
struct Poster<W> {
    webhook: W,
    exchange: Exchange,
}

/// A sender for this webhook.
///
/// # Errors
/// If a certificate or key cannot be read.
pub fn sender(webhook: &impl Webhook, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
    Ok(Box::new(Poster {
        webhook: webhook.clone(),
        exchange: setup.exchange()?,
    }))
}

#[async_trait]
impl<W: Webhook> Sender for Poster<W> {
    fn fingerprint(&self) -> u64 {
        self.exchange.fingerprint()
    }

    fn exchange(&self) -> Option<&Exchange> {
        Some(&self.exchange)
    }

    async fn send(&self, out: Sending<'_>) -> Result<Delivery, Fault> {
        out.post(&self.exchange, self.webhook.request(out).await?)
            .await
    }

    async fn show(&self, out: Sending<'_>) -> Result<Shown, Fault> {
        Ok(Shown::of(&self.webhook.request(out).await?))
    }
}
