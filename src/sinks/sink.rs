//! What a channel has to say and do. Each folder implements the two traits: one for what the configuration says of it,
//! one for its connection.

use async_trait::async_trait;

use super::{
    client::tls::TlsError,
    credentials::exchange::Exchange,
    rehearsal::stage::{Example, Stage},
    sending::{Delivery, Sending, Setup},
    shown::Shown,
    spec::{AuthSpec, Request, Text},
    template::Template,
};
use crate::{
    config::document::Section,
    delivery::attempt::{Answer, Fault, Verdict},
};

/// What is known of a channel before its keys are read.
pub struct About {
    /// As the key `channel` names it.
    pub name: &'static str,
    /// The keys that not all channels have.
    pub keys: &'static [&'static str],
    /// What an answer means where the configuration does not say.
    pub tests: DefaultTests,
    /// Attempts begun each second where the configuration does not say; `None`: no limit.
    pub rate: Option<u32>,
    /// Whether each lane (a channel of Slack's) has the rate to itself.
    pub by_lane: bool,
    /// Why credentials of this kind are none that it can show.
    pub refuses: fn(&AuthSpec) -> Option<&'static str>,
}

/// Conditions over an answer, as the configuration would write them.
#[derive(Clone, Copy)]
pub struct DefaultTests {
    /// It was done.
    pub success: &'static str,
    /// Another attempt is worth it.
    pub again: &'static str,
    /// Our credentials are not accepted.
    pub unauthorized: &'static str,
}

impl DefaultTests {
    /// What the status of an HTTP answer says.
    pub const HTTP: Self = Self {
        success: "status >= 200 && status < 300",
        again: "status in [408, 425, 429] || status >= 500",
        unauthorized: "status in [401, 403, 407]",
    };
}

/// A channel as it is configured.
pub trait Sink {
    /// Addresses and headers, which may be secrets, each with the end of its key.
    fn texts(&self) -> Vec<(String, &Text)>;

    /// The templates of what people read; `None`: it tells no people.
    fn words(&self) -> Option<Vec<&Template>>;

    /// Whether it goes to people who have to be found.
    fn needs_recipients(&self) -> bool {
        false
    }

    /// The request that fallbacks take over from, where it is one.
    fn request(&self) -> Option<&Request> {
        None
    }

    /// Warns of keys that are each right and do not go together, for outputs of these types.
    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]);

    /// Renders everything over an example, and notes what would fail.
    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>);

    /// What an answer means that passed for a success, if it was none.
    fn refuted(&self, _: &Answer) -> Option<Verdict> {
        None
    }

    /// Prepares client and credentials; connects to nothing yet.
    ///
    /// # Errors
    /// If a certificate or key cannot be read.
    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError>;
}

/// A channel with the client and the credentials of one destination.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Of the credentials as they can be read now: another number once one is another.
    fn fingerprint(&self) -> u64;

    /// HTTP, where it is what the channel speaks.
    fn exchange(&self) -> Option<&Exchange>;

    /// The lanes that an attempt would take a place in. Sends nothing; people are looked up.
    async fn lanes(&self, _: Sending<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Sends an output.
    async fn send(&self, out: Sending<'_>) -> Result<Delivery, Fault>;

    /// What would leave in the first request.
    async fn show(&self, out: Sending<'_>) -> Result<Shown, Fault>;
}

/// Credentials that a webhook has no use for.
pub const WEBHOOK_REFUSES: fn(&AuthSpec) -> Option<&'static str> = |auth| match auth {
    AuthSpec::None => None,
    AuthSpec::Bearer { .. }
    | AuthSpec::Basic { .. }
    | AuthSpec::OAuth2 { .. }
    | AuthSpec::StandardWebhooks { .. } => {
        Some("a webhook is let in by its address, so there is nothing to show besides")
    }
};

/// Whether these types hold news of what was told before.
pub fn has_updates(types: &[&str]) -> bool {
    let is_update = |name: &&str| matches!(*name, "alert.updated" | "alert.escalated");
    types.iter().any(is_update)
}

/// For channels that cannot edit: what stands there already is not said again within a thread.
pub fn warn_of_repeats(s: &mut Section<'_, '_>, types: &[&str]) {
    if has_updates(types) && !s.has("thread") {
        s.warn(
            "thread",
            "not set, so an update of an alert that says nothing new is sent all the same; \
             write \"{{ data.alert_id }}\""
                .to_owned(),
        );
    }
}
