//! Whether what only the service says can be said by others: asked of the server, since it tells no one whose
//! permissions are what.
//!
//! The question is a publish that the stream cannot take (behind a sequence it will never have): a server that allows
//! the subject answers with that, one that does not says so on the connection. Nothing is stored either way.

use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, Event, HeaderMap, Request};
use tokio::sync::mpsc;

use super::{
    Settings,
    link::{self, Login},
};
use crate::log::{Finding, Level};

/// The subject that is asked about.
const ASKED: &str = "cx.control.doctor";

/// A sequence no stream has.
const NEVER: &str = "4611686018427387903";

/// Wait for the server's answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Allowed,
    Denied,
    NotLetIn,
    Nothing(String),
}

/// Whether this user may speak for the service, and whether anyone may who has no login.
pub async fn finding(settings: &Settings) -> Finding {
    let own = match link::options(settings).await {
        Ok(options) => ask(options, &settings.url).await,
        Err(error) => Said::Nothing(error.to_string()),
    };
    let anyone = match &settings.login {
        Login::Anonymous => own.clone(),
        Login::CredentialsFile(_) | Login::Password { .. } | Login::Token(_) => {
            let options = link::trusting(ConnectOptions::new(), settings);
            ask(options, &settings.url).await
        }
    };
    let (level, text) = judge(&own, &anyone);
    Finding {
        level,
        subject: "own events".to_owned(),
        text,
    }
}

fn judge(own: &Said, anyone: &Said) -> (Level, String) {
    const SAMPLE: &str = "config/nats-permissions.conf is a sample";
    match (own, anyone) {
        (Said::Denied | Said::NotLetIn, _) => (
            Level::Bad,
            format!(
                "this user may not publish to cx.control.>, where aftercall says what became of its outputs; allow it: \
                 {SAMPLE}"
            ),
        ),
        (_, Said::Allowed) => (
            Level::Risk,
            format!(
                "anyone who reaches the server may publish to cx.control.> without a login, and so report outcomes and \
                 decide about rewards in aftercall's name; give aftercall a user of its own: {SAMPLE}"
            ),
        ),
        (Said::Allowed, Said::Denied | Said::NotLetIn) => (
            Level::Good,
            "cx.control.> takes events of this user and of none without a login; which other users may publish there is \
             the server's configuration"
                .to_owned(),
        ),
        (Said::Nothing(why), _) | (_, Said::Nothing(why)) => (
            Level::Risk,
            format!("cannot be seen who may publish to cx.control.> ({why}); {SAMPLE}"),
        ),
    }
}

async fn ask(options: ConnectOptions, url: &str) -> Said {
    let (denials, mut denied) = mpsc::unbounded_channel();
    let options = options
        .name("aftercall doctor")
        .event_callback(move |event| {
            if let Event::ServerError(error) = event
                && error
                    .to_string()
                    .to_lowercase()
                    .contains("permissions violation")
            {
                // Whoever asked may have gone.
                let _ = denials.send(());
            }
            std::future::ready(())
        });
    let servers = match link::servers(url) {
        Ok(servers) => servers,
        Err(error) => return Said::Nothing(error.to_string()),
    };
    let client = match options.connect(servers).await {
        Ok(client) => client,
        Err(error) => {
            return match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    Said::NotLetIn
                }
                _ => Said::Nothing(error.to_string()),
            };
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", NEVER);
    let request = Request::new()
        .headers(headers)
        .payload("".into())
        .timeout(Some(TIMEOUT));
    tokio::select! {
        Some(()) = denied.recv() => Said::Denied,
        answer = client.send_request(ASKED, request) => match answer {
            Ok(_) => Said::Allowed,
            Err(error) => Said::Nothing(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_may_not_speak_is_bad_and_others_that_may_are_a_risk() {
        let level = |own: Said, anyone: Said| judge(&own, &anyone).0;
        let nothing = || Said::Nothing("no answer".to_owned());
        assert_eq!(level(Said::Allowed, Said::NotLetIn), Level::Good);
        assert_eq!(level(Said::Allowed, Said::Denied), Level::Good);
        assert_eq!(level(Said::Allowed, Said::Allowed), Level::Risk);
        assert_eq!(level(Said::Denied, Said::Denied), Level::Bad);
        assert_eq!(level(Said::Denied, Said::Allowed), Level::Bad);
        assert_eq!(level(nothing(), Said::NotLetIn), Level::Risk);
        assert_eq!(level(Said::Allowed, nothing()), Level::Risk);
    }
}
