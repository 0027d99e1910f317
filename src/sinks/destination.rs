//! What `destinations.toml` says, checked: each value here is in range, each template and expression parses and uses
//! variables that exist. `file` makes them; the driver reads `policy`, the courier the rest.

use std::collections::BTreeMap;

use aftercall_actors::contract::output::Severity;

use super::{
    channel::Channel,
    selector::Selector,
    spec::{AuthSpec, Fallback, Inquiry, Judgement, Listing, RecipientStep, Timeouts, TlsSpec},
    template::Template,
};
use crate::delivery::policy::{Policy, Start};

/// Everything that outputs are delivered to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Destinations {
    /// The operator's own words for templates: `{{ vars.crm }}`.
    pub vars: BTreeMap<String, String>,
    /// How the people a message is for are found, in the order they are asked (S2.09, S2.10).
    pub recipients: Vec<RecipientStep>,
    /// The destinations, in the order of the file; names are unique.
    pub destinations: Vec<Destination>,
}

/// One place that outputs go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Its name, `[a-z0-9_-]{1,40}`: part of subjects in the log, label of metrics. Fixed once it has delivered.
    pub name: String,
    /// Which outputs it takes.
    pub selector: Selector,
    /// Where it begins the first time it ever runs.
    pub start: Start,
    /// What is sent, and how.
    pub channel: Channel,
    /// Outputs that render to the same text here go one at a time, in their order; `None`: each on its own.
    pub thread: Option<Template>,
    /// How it is driven.
    pub policy: Policy,
    /// How much it matters to operators that it gives up on outputs; `None`: they are not told.
    pub alarm: Option<Severity>,
    /// How long an attempt may take.
    pub timeouts: Timeouts,
    /// What is shown to be let in.
    pub auth: AuthSpec,
    /// Whom to trust, and what to be trusted by.
    pub tls: TlsSpec,
    /// Largest body sent (S4.07). Unit: bytes.
    pub body_bytes_max: usize,
    /// Largest answer taken (S5.05). Unit: bytes.
    pub answer_bytes_max: usize,
    /// What an answer means.
    pub judgement: Judgement,
    /// What is tried in the same attempt after certain answers, in this order (S4.06).
    pub fallbacks: Vec<Fallback>,
    /// How it is asked what became of an attempt (S3.09); `None`: it cannot be, and the same is sent again.
    pub lookup: Option<Inquiry>,
    /// How it is asked for all rewards it knows, for `ledger verify`; `None`: it cannot be.
    pub list: Option<Listing>,
}
