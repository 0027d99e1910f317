//! Email to one server: a message built so that nothing in it can become a header, and an SMTP dialogue led step by
//! step, because the step decides what a fault means.
//!
//! Until the message's last line has been sent the server has promised nothing, so whatever breaks before is certain;
//! from then on nobody knows. A transport that hides the steps could not tell. One connection a message: alerts are
//! few, and an idle connection that died is a fault less.

use std::{
    collections::BTreeMap,
    error::Error as _,
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lettre::{
    Address,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
        response::Response,
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    delivery::attempt::{Answer, Fault},
    sinks::email::message::{Email, subject},
};

/// Longest wait for the server's goodbye. The message is delivered by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// The name said in EHLO; `None`: the machine's.
    pub ehlo: Option<String>,
}

/// How a connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (`smtps://`).
    Tls,
    /// `STARTTLS`, or nothing is sent.
    StartTls,
    /// None.
    Off,
}

/// The server of one destination.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host, as its certificate names it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What is said in EHLO; `None`: the machine's name.
    pub ehlo: Option<String>,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// Certificates to trust besides the system's, in PEM.
    pub roots_pem: Option<Vec<u8>>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the whole dialogue.
    pub total_timeout: Duration,
}

/// What to send to whom. Addresses are parsed, so they hold nothing but an address.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who it is from.
    pub from: Mailbox,
    /// Who it is for; not empty.
    pub to: Vec<Mailbox>,
    /// Identity of the output: the same letter sent again bears the same `Message-ID`.
    pub output_id: String,
    /// `Message-ID` of the first letter about the same thing, for mail programs to show them together.
    pub thread: Option<String>,
    /// What it says.
    pub email: Email,
}

/// A letter as it leaves.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its `Message-ID`, angle brackets included.
    pub message_id: String,
    /// Who it is from.
    pub from: Address,
    /// Who it is for.
    pub to: Vec<Address>,
    /// Headers and body, as RFC 5322 has them.
    pub bytes: Vec<u8>,
    /// The same for those only whose addresses are ASCII, if there are others: not every server takes those.
    pub ascii_bytes: Option<Vec<u8>>,
}

impl Letter {
    /// Headers and body as they leave.
    ///
    /// # Errors
    /// [`Fault::Unsendable`] if no message can be made of it.
    pub fn seal(self) -> Result<Sealed, Fault> {
        let bytes = self.write(|_| true)?;
        let is_ascii = |to: &Mailbox| is_ascii(&to.email);
        let some_are = self.to.iter().any(is_ascii);
        let ascii_bytes = match some_are && !self.to.iter().all(is_ascii) {
            true => Some(self.write(is_ascii)?),
            false => None,
        };
        Ok(Sealed {
            message_id: message_id(&self.output_id, self.from.email.domain()),
            from: self.from.email,
            to: self.to.into_iter().map(|mailbox| mailbox.email).collect(),
            bytes,
            ascii_bytes,
        })
    }

    /// As it is written to some of its recipients.
    fn write(&self, is_for: impl Fn(&Mailbox) -> bool) -> Result<Vec<u8>, Fault> {
        let message_id = message_id(&self.output_id, self.from.email.domain());
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(subject(&self.email.subject))
            .message_id(Some(message_id))
            // Answering machines leave it alone (RFC 3834).
            .header(AutoSubmitted);
        for to in self.to.iter().filter(|to| is_for(to)) {
            builder = builder.to(to.clone());
        }
        // A `Message-ID` of ours and nothing else: what a handle holds came back out of our own log.
        if let Some(first) = self.thread.clone().filter(|id| is_message_id(id)) {
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        let message = builder
            .multipart(MultiPart::alternative_plain_html(
                self.email.text.clone(),
                self.email.html.clone(),
            ))
            .map_err(|error| Fault::Unsendable(format!("no email can be made of it: {error}")))?;
        Ok(message.formatted())
    }
}

fn is_ascii(address: &Address) -> bool {
    let address: &str = address.as_ref();
    address.is_ascii()
}

/// The `Message-ID` of an output: the same at each attempt, so that a repeat can be recognised.
#[must_use]
pub fn message_id(output_id: &str, domain: &str) -> String {
    let digest = Sha256::digest(output_id.as_bytes());
    let mut id = String::with_capacity(34 + domain.len());
    id.push('<');
    for byte in digest.iter().take(16) {
        // Writing into a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut id, format_args!("{byte:02x}"));
    }
    id.push('@');
    id.push_str(if domain.is_ascii() {
        domain
    } else {
        "aftercall.invalid"
    });
    id.push('>');
    id
}

fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
    inner.is_some_and(|inner| {
        inner.contains('@')
            && inner
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
    })
}

/// `Auto-Submitted: auto-generated`
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Server {
    /// Sends a letter once.
    ///
    /// # Errors
    /// [`Fault::Connect`] for all that goes wrong before the message is out, [`Fault::Misconfigured`] if the server does not
    /// know our login, [`Fault::Timeout`] and [`Fault::Lost`] from the message's end on. A refusal is no fault but an
    /// answer, with the server's code.
    pub async fn send(&self, letter: &Sealed, login: Option<Credentials>) -> Result<Answer, Fault> {
        let handed_over = AtomicBool::new(false);
        let dialogue = self.dialogue(letter, login, &handed_over);
        match tokio::time::timeout(self.total_timeout, dialogue).await {
            Ok(result) => result,
            Err(_) if handed_over.load(Ordering::Relaxed) => {
                Err(Fault::Timeout(self.total_timeout))
            }
            Err(_) => Err(Fault::Connect(format!(
                "the server did not get as far as the message within {:?}",
                self.total_timeout
            ))),
        }
    }

    async fn dialogue(
        &self,
        letter: &Sealed,
        login: Option<Credentials>,
        handed_over: &AtomicBool,
    ) -> Result<Answer, Fault> {
        let mut connection = match tokio::time::timeout(self.connect_timeout, self.connect()).await
        {
            Ok(connection) => connection?,
            Err(_) => {
                return Err(Fault::Connect(format!(
                    "no connection within {:?}",
                    self.connect_timeout
                )));
            }
        };
        if let Some(login) = login {
            let said = connection.auth(DEFAULT_MECHANISMS, &login).await;
            let reply = before_message(said)?;
            if !reply.is_positive() {
                // The code only: a server's words may quote what it was given.
                let why = format!("the server refused our login with {}", reply.code);
                return Err(match reply.code {
                    // For a while, it says: its directory may be away.
                    400..=499 => Fault::NotReady(why),
                    _ => Fault::Misconfigured(why),
                });
            }
        }
        let answer = Self::transfer(&mut connection, letter, handed_over).await;
        // Done or failed already: what a goodbye brings changes nothing.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        answer
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Fault> {
        let hello = self
            .ehlo
            .clone()
            .map_or_else(ClientId::default, ClientId::Domain);
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((&*self.host, self.port))
            .await
            .map_err(|error| Fault::Connect(format!("{}: {error}", self.host)))?
            .collect();
        addresses.dedup();
        let implicit = match self.security {
            SmtpSecurity::Tls => Some(self.tls()?),
            SmtpSecurity::StartTls | SmtpSecurity::Off => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(&*addresses, None, &hello, implicit, None)
                .await
                .map_err(|error| unconnected(&error))?;
        match self.security {
            SmtpSecurity::Tls | SmtpSecurity::Off => {}
            SmtpSecurity::StartTls => {
                if !connection.can_starttls() {
                    return Err(Fault::Connect(
                        "the server offers no STARTTLS, and nothing is sent without".to_owned(),
                    ));
                }
                let secured = connection.starttls(self.tls()?, &hello).await;
                secured.map_err(|error| unconnected(&error))?;
            }
        }
        Ok(connection)
    }

    fn tls(&self) -> Result<TlsParameters, Fault> {
        let not_ready = |error: SmtpError| Fault::NotReady(format!("TLS: {error}"));
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.roots_pem {
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(not_ready)?);
        }
        builder.build_rustls().map_err(not_ready)
    }

    async fn transfer(
        connection: &mut AsyncSmtpConnection,
        letter: &Sealed,
        handed_over: &AtomicBool,
    ) -> Result<Answer, Fault> {
        let takes_all = connection
            .server_info()
            .supports_feature(Extension::SmtpUtfEight);
        let is_writable = |address: &Address| takes_all || is_ascii(address);
        let beyond_ascii =
            || Fault::Unsendable("the server takes no addresses beyond ASCII".to_owned());
        let (to, unwritable): (Vec<&Address>, Vec<&Address>) =
            letter.to.iter().partition(|to| is_writable(to));
        if to.is_empty() || !is_writable(&letter.from) {
            return Err(beyond_ascii());
        }
        let mut parameters = Vec::new();
        if !to.iter().all(|to| is_ascii(to)) || !is_ascii(&letter.from) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(Some(letter.from.clone()), parameters);
        let reply = before_message(connection.command(from).await)?;
        if !reply.is_positive() {
            return Ok(reply.answer(&Refusals::default()));
        }
        // One unknown recipient must not keep the alert from the others.
        let mut refused = Refusals::default();
        for to in &unwritable {
            refused.add(to, 553, "the server takes no addresses beyond ASCII");
        }
        let mut worst: Option<Reply> = None;
        let mut taken = 0_usize;
        for to in to {
            let reply = before_message(connection.command(Rcpt::new(to.clone(), vec![])).await)?;
            if reply.is_positive() {
                taken += 1;
                continue;
            }
            refused.add(to, reply.code, &reply.text);
            // "Later" outweighs "never": somebody may get it yet.
            if worst.as_ref().is_none_or(|worst| worst.code >= 500) {
                worst = Some(reply);
            }
        }
        if let (Some(reply), 0) = (worst, taken) {
            return Ok(reply.answer(&refused));
        }
        let reply = before_message(connection.command(Data).await)?;
        if !reply.is_positive() {
            return Ok(reply.answer(&refused));
        }
        handed_over.store(true, Ordering::Relaxed);
        let bytes = match (&letter.ascii_bytes, unwritable.is_empty()) {
            (Some(ascii), false) => ascii,
            (Some(_) | None, _) => &letter.bytes,
        };
        match reply_of(connection.message(bytes).await) {
            Ok(reply) => Ok(reply.answer(&refused)),
            Err(error) => Err(Fault::Lost(error.to_string())),
        }
    }
}

/// What the server said to a command.
struct Reply {
    code: u16,
    text: String,
}

impl Reply {
    const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// As an answer like any other: the code as its status; and of the recipients who was refused, which of them for a
    /// while only, and in what words.
    fn answer(self, refusals: &Refusals) -> Answer {
        let mut body = json!({ "text": self.text, "refused": refusals.all });
        if !refusals.again.is_empty() {
            body["again"] = json!(refusals.again);
        }
        if !refusals.why.is_empty() {
            body["why"] = json!(refusals.why);
        }
        Answer {
            status: self.code,
            headers: BTreeMap::new(),
            body,
        }
    }
}

/// Recipients that the server did not take.
#[derive(Default)]
struct Refusals {
    all: Vec<String>,
    /// Those with a 4xx: greylisted, a mailbox that is busy.
    again: Vec<String>,
    why: BTreeMap<String, String>,
}

impl Refusals {
    fn add(&mut self, to: &Address, code: u16, text: &str) {
        let to = to.to_string();
        self.all.push(to.clone());
        if code < 500 {
            self.again.push(to.clone());
        }
        self.why
            .insert(to, format!("{code} {text}").trim().to_owned());
    }
}

/// A reply, be it a yes or a no; an error only if there was none.
fn reply_of(result: Result<Response, SmtpError>) -> Result<Reply, SmtpError> {
    let (code, text) = match result {
        Ok(response) => {
            let lines: Vec<&str> = response.message().collect();
            (response.code(), lines.join(" "))
        }
        Err(error) => match error.status() {
            Some(code) => {
                let text = error.source().map(ToString::to_string);
                (code, text.unwrap_or_default())
            }
            None => return Err(error),
        },
    };
    Ok(Reply {
        // Three digits, by the type's own making.
        code: code.to_string().parse().unwrap_or(500),
        text,
    })
}

/// The reply to a command before the message: whatever breaks here, nothing was sent.
fn before_message(result: Result<Response, SmtpError>) -> Result<Reply, Fault> {
    reply_of(result).map_err(|error| unconnected(&error))
}

fn unconnected(error: &SmtpError) -> Fault {
    Fault::Connect(error.to_string())
}
