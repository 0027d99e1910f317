//! The channels. All that tells one from another stands in its folder; here they are counted up, once.

use super::{
    email::{self, Email},
    http::{self, Http},
    reader::Reader,
    sink::{About, Sink},
    slack::{
        self, Slack,
        webhook::{self, SlackWebhook},
    },
    teams::{self, Teams},
};
use crate::config::document::Section;

/// What is sent, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// Any HTTP system.
    Http(Http),
    /// Slack's Web API.
    Slack(Slack),
    /// A Slack incoming webhook, which cannot update.
    SlackWebhook(SlackWebhook),
    /// A Microsoft Teams Workflows webhook.
    Teams(Teams),
    /// Mail over SMTP.
    Email(Email),
}

/// Which channel, before its own keys are read.
pub(super) type Kind = (
    &'static About,
    fn(&mut Reader, &mut Section<'_, '_>) -> Option<Channel>,
);

/// Every channel, by the name that the key `channel` gives it.
pub(super) const CHANNELS: [Kind; 5] = [
    (&http::ABOUT, |r, s| http::read(r, s).map(Channel::Http)),
    (&slack::ABOUT, |r, s| slack::read(r, s).map(Channel::Slack)),
    (&webhook::ABOUT, |r, s| {
        webhook::read(r, s).map(Channel::SlackWebhook)
    }),
    (&teams::ABOUT, |r, s| teams::read(r, s).map(Channel::Teams)),
    (&email::ABOUT, |r, s| email::read(r, s).map(Channel::Email)),
];

impl Channel {
    /// What the channel's folder says of it.
    pub(super) const fn sink(&self) -> &dyn Sink {
        match self {
            Self::Http(sink) => sink,
            Self::Slack(sink) => sink,
            Self::SlackWebhook(sink) => sink,
            Self::Teams(sink) => sink,
            Self::Email(sink) => sink,
        }
    }
}

/// Reads the channel's own keys, and refuses those of others.
pub(super) fn read(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    (about, read): Kind,
) -> Option<Channel> {
    let mut others: Vec<&str> = Vec::new();
    for key in CHANNELS.iter().flat_map(|(other, _)| other.keys) {
        if !about.keys.contains(key) && !others.contains(key) {
            others.push(key);
        }
    }
    let why = format!(
        "channel {:?} has no such key (it has {})",
        about.name,
        about.keys.join(", ")
    );
    s.refuse(&others, &why);
    read(reader, s)
}
