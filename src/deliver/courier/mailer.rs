//! Letters of one destination on their way, and the addresses that templates name.

use lettre::message::Mailbox;

use crate::deliver::{
    answer::{Answer, Fault},
    channel::{
        email::{Sealed, Server, mailbox},
        exchange::Login,
        tls,
    },
    destination::{Destination, TlsSpec},
};

/// Sends letters of one destination.
pub(super) struct Mailer {
    server: Server,
    tls: TlsSpec,
    login: Option<Login>,
}

impl Mailer {
    pub(super) fn new(server: Server, destination: &Destination) -> Self {
        Self {
            server,
            tls: destination.tls.clone(),
            login: Login::of(&destination.auth),
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

/// Addresses separated by commas.
pub(super) fn addresses(text: &str) -> Result<Vec<Mailbox>, Fault> {
    text.split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|address| mailbox(None, address).map_err(Fault::Unsendable))
        .collect()
}

/// `a@b.example` or `Name <a@b.example>`.
pub(super) fn sender(text: &str) -> Result<Mailbox, Fault> {
    let text = text.trim();
    let parts = text.strip_suffix('>').and_then(|t| t.rsplit_once('<'));
    match parts {
        Some((name, address)) => mailbox(Some(name), address),
        None => mailbox(None, text),
    }
    .map_err(|error| Fault::Unsendable(format!("its sender is {error}")))
}
