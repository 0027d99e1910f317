//! Letters of one destination on their way, and the addresses that templates name.

use lettre::message::Mailbox;
use serde_json::Value;

use super::{
    address::mailboxes,
    smtp::{Sealed, Server},
};
use crate::{
    delivery::attempt::{Answer, Fault, Verdict},
    sinks::{
        client::tls,
        credentials::exchange::Login,
        progress::{Progress, Refused},
        spec::{AuthSpec, TlsSpec},
    },
};

/// Sends letters of one destination.
pub(super) struct Mailer {
    server: Server,
    tls: TlsSpec,
    login: Option<Login>,
}

impl Mailer {
    pub(super) fn new(server: Server, tls: &TlsSpec, auth: &AuthSpec) -> Self {
        Self {
            server,
            tls: tls.clone(),
            login: Login::of(auth),
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.login.as_ref().map_or(0, Login::fingerprint)
    }

    pub(super) async fn send(&self, letter: &Sealed) -> Result<Answer, Fault> {
        let mut server = self.server.clone();
        server.roots_pem =
            tls::roots(&self.tls).map_err(|error| Fault::Misconfigured(error.to_string()))?;
        let Some(login) = &self.login else {
            return server.send(letter, None).await;
        };
        let (login, conceal) = login.credentials()?;
        match server.send(letter, Some(login)).await {
            Ok(answer) => Ok(conceal.answer(answer)),
            Err(fault) => Err(conceal.fault(fault)),
        }
    }
}

/// Notes what became of each address of a letter. The verdict, where some have it and some were put off: those are
/// written to again, and no other.
pub(super) fn note(
    progress: &mut Progress,
    letter: &Sealed,
    result: &Result<Answer, Fault>,
) -> Option<Verdict> {
    let all = || letter.to.iter().map(ToString::to_string);
    let Ok(answer) = result else {
        progress.left = Some(all().map(Value::String).collect());
        return None;
    };
    let of = |list: &str, address: &str| {
        let list = answer.body.get(list).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|item| item == address))
    };
    let is_taken = (200..300).contains(&answer.status);
    progress.done |= is_taken;
    let mut left = Vec::new();
    for address in all() {
        let (refused, again) = (of("refused", &address), of("again", &address));
        if again || !(is_taken || refused) {
            left.push(Value::String(address));
        } else if refused {
            let why = answer.body["why"][&address].as_str().unwrap_or_default();
            progress.refused.push(Refused {
                why: why.to_owned(),
                to: address,
            });
        }
    }
    let put_off = left.first().map(|address| {
        let address = address.as_str().unwrap_or_default();
        let why = answer.body["why"][address].as_str().unwrap_or_default();
        format!(
            "{} of {} addresses put off: {address}: {why}",
            left.len(),
            letter.to.len()
        )
    });
    progress.left = Some(left);
    let why = put_off.filter(|_| is_taken)?;
    Some(Verdict::Again {
        why,
        after: None,
        unknown: false,
    })
}

/// The addresses of a list, and what in it is none.
pub(super) fn addresses(text: &str) -> (Vec<Mailbox>, Vec<Refused>) {
    let (mut to, mut left_out) = (Vec::new(), Vec::new());
    for (written, address) in mailboxes(text) {
        match address {
            Ok(address) => to.push(address),
            Err(why) => left_out.push(Refused { to: written, why }),
        }
    }
    (to, left_out)
}

/// `a@b.example` or `Name <a@b.example>`.
pub(super) fn sender(text: &str) -> Result<Mailbox, Fault> {
    let mut all = mailboxes(text).into_iter();
    match (all.next(), all.next()) {
        (Some((_, Ok(sender))), None) => Ok(sender),
        (Some((_, Err(why))), None) => Err(Fault::Unsendable(format!("its sender is {why}"))),
        (_, _) => Err(Fault::Unsendable(
            "its sender is not one address".to_owned(),
        )),
    }
}
