//! Mail over SMTP: one letter to all it is for, as one transaction.
//!
//! | file | idea |
//! |---|---|
//! | `read` | its keys: the server, the sender, the templates |
//! | `message` | what is told, as subject, HTML and text |
//! | `address` | addresses as people write them |
//! | `smtp` | the letter as it leaves, and the server that takes it |
//! | `mailer` | with which login it goes; what became of each address |

use aftercall_actors::contract::output::Kind;
use async_trait::async_trait;
use lettre::message::Mailbox;
use serde_json::{Value, json};

use super::{
    client::tls::TlsError,
    credentials::exchange::Exchange,
    drafter::{for_people, nobody, render, shortened_data},
    progress::Refused,
    recipients::{Found, Person},
    rehearsal::stage::{Example, Stage},
    sending::{Delivery, Sending, Setup, Several},
    shown::Shown,
    sink::{About, DefaultTests, Sender, Sink, warn_of_repeats},
    spec::{AuthSpec, Text},
    template::Template,
};
use crate::{
    config::document::Section,
    delivery::attempt::Fault,
    sinks::message::outside::{isolated, plain},
};

pub mod address;
mod mailer;
pub mod message;
mod read;
pub mod smtp;

use address::mailboxes;
use mailer::{Mailer, addresses, sender};
use smtp::{Letter, Sealed, Server};

pub use read::Email;
pub(super) use read::read;

/// What is known before the keys are read.
pub(super) const ABOUT: About = About {
    name: "email",
    keys: &[
        "smtp", "starttls", "ehlo", "from", "to", "subject", "html", "text",
    ],
    // SMTP counts the other way round: 4xx passes, 5xx stays. These four are about who we are (RFC 4954).
    tests: DefaultTests {
        again: "status >= 400 && status < 500",
        unauthorized: "status in [530, 534, 535, 538]",
        ..DefaultTests::HTTP
    },
    rate: None,
    by_lane: false,
    refuses: |auth| match auth {
        AuthSpec::None | AuthSpec::Basic { .. } => None,
        AuthSpec::Bearer { .. } | AuthSpec::OAuth2 { .. } | AuthSpec::StandardWebhooks { .. } => {
            Some("channel \"email\" takes kind = \"basic\" only")
        }
    },
};

impl Sink for Email {
    fn texts(&self) -> Vec<(String, &Text)> {
        Vec::new()
    }

    fn words(&self) -> Option<Vec<&Template>> {
        let parts = self.subject.iter().chain(&self.html).chain(&self.text);
        Some(parts.collect())
    }

    fn needs_recipients(&self) -> bool {
        self.to.is_none()
    }

    fn warn(&self, s: &mut Section<'_, '_>, types: &[&str]) {
        warn_of_repeats(s, types);
    }

    fn rehearse(&self, stage: &mut Stage<'_>, example: Example<'_>) {
        let scope = stage.with_people(example);
        let name = example.name;
        for (template, most) in [(Some(&self.from), 1), (self.to.as_ref(), usize::MAX)] {
            if let Some(template) = template
                && let Some(text) = stage.render(template, &scope, name)
            {
                for problem in wrong_addresses(&text, most) {
                    stage.note(template.key().to_owned(), format!("over {name}: {problem}"));
                }
            }
        }
        stage.all([&self.subject, &self.html, &self.text], &scope, name);
    }

    fn sender(&self, setup: &Setup<'_>) -> Result<Box<dyn Sender>, TlsError> {
        let server = Server {
            host: self.smtp.host.clone(),
            port: self.smtp.port,
            security: self.smtp.security,
            ehlo: self.smtp.ehlo.clone(),
            roots_pem: None,
            connect_timeout: setup.timeouts.connect,
            total_timeout: setup.timeouts.total,
        };
        Ok(Box::new(EmailSender {
            email: self.clone(),
            mailer: Mailer::new(server, setup.tls, setup.auth),
        }))
    }
}

/// What is wrong with a list of addresses.
fn wrong_addresses(text: &str, most: usize) -> Vec<String> {
    let all = mailboxes(text);
    let mut found: Vec<String> = all
        .iter()
        .filter_map(|(written, mailbox)| match mailbox {
            Ok(_) => None,
            Err(why) => Some(format!("{written:?} is {why}")),
        })
        .collect();
    if all.is_empty() {
        found.push("renders to no address".to_owned());
    } else if all.len() > most {
        found.push("renders to more than one address".to_owned());
    }
    found
}

struct EmailSender {
    email: Email,
    mailer: Mailer,
}

/// What would leave.
struct Mail {
    letter: Sealed,
    /// `Message-ID` of the thread's first letter, if this is not it.
    thread: Option<String>,
    /// Addresses that none can be sent to.
    left_out: Vec<Refused>,
}

#[async_trait]
impl Sender for EmailSender {
    fn fingerprint(&self) -> u64 {
        self.mailer.fingerprint()
    }

    fn exchange(&self) -> Option<&Exchange> {
        None
    }

    async fn send(&self, out: Sending<'_>) -> Result<Delivery, Fault> {
        let Mail {
            letter,
            thread,
            left_out,
        } = self.draft(out).await?;
        let mut progress = out.before.progress.cloned().unwrap_or_default();
        progress.refused.extend(left_out);
        let result = self.mailer.send(&letter).await;
        let verdict = mailer::note(&mut progress, &letter, &result);
        let first = thread.unwrap_or_else(|| letter.message_id.clone());
        Ok(Delivery {
            handle: Some(json!({ "message_id": first })),
            verdict,
            several: Some(Several {
                progress,
                lanes: Vec::new(),
            }),
            ..Delivery::of(result)
        })
    }

    async fn show(&self, out: Sending<'_>) -> Result<Shown, Fault> {
        let Mail { letter, .. } = self.draft(out).await?;
        let to: Vec<String> = letter.to.iter().map(ToString::to_string).collect();
        Ok(Shown {
            first_line: format!("from {} to {}", letter.from, to.join(", ")),
            headers: Vec::new(),
            body_bytes: letter.bytes.len(),
            body: String::from_utf8_lossy(&letter.bytes).into_owned(),
        })
    }
}

/// What an address is that no mail can be sent to.
const NO_ADDRESS: &str = "not an email address that can be written";

impl EmailSender {
    async fn draft(&self, out: Sending<'_>) -> Result<Mail, Fault> {
        let Sending {
            drafter,
            view,
            before,
        } = out;
        let Email {
            from,
            to,
            subject,
            html,
            text,
            ..
        } = &self.email;
        let bytes_max = drafter.body_bytes_max;
        let templates = [to, subject, html, text].map(Option::as_ref);
        let has_address = |person: &Person| person.mailbox().is_some();
        let left = before.left();
        let asked = to.is_none() && left.is_none();
        let (scope, found) = drafter.people(view, asked, &templates, has_address).await;
        let Found {
            people, missing, ..
        } = found;
        let (to, left_out): (Vec<Mailbox>, Vec<Refused>) = match (left, to) {
            (Some(left), _) => {
                let left: Vec<&str> = left.iter().filter_map(Value::as_str).collect();
                addresses(&left.join(","))
            }
            (None, Some(to)) => addresses(&render(to, &scope)?),
            (None, None) => {
                let unsendable = found.left_out.iter().map(|person| Refused {
                    to: person.email.clone().unwrap_or_default(),
                    why: NO_ADDRESS.to_owned(),
                });
                let to = people.iter().filter_map(Person::mailbox).collect();
                (to, unsendable.collect())
            }
        };
        if to.is_empty() {
            return Err(match left_out.first() {
                Some(Refused { to, why }) if asked => nobody(
                    &format!("an email address but {to:?}, which is {why},"),
                    &missing,
                ),
                Some(Refused { to, why }) => Fault::Unsendable(format!("{to:?} is {why}")),
                None => nobody("an email address", &missing),
            });
        }
        let message = drafter.compose(view, &missing);
        let mut email = message::write(&message, bytes_max);
        let mut data = view.parcel.data.clone();
        loop {
            let scope = scope.clone().with("data", data.clone());
            let words = for_people(&scope, &|text| isolated(&plain(text)));
            if let Some(template) = subject {
                email.subject = message::subject(&render(template, &words)?);
            }
            for (template, part) in [(html, &mut email.html), (text, &mut email.text)] {
                if let Some(template) = template {
                    *part = render(template, &words)?;
                }
            }
            let bytes = email.subject.len() + email.html.len() + email.text.len();
            let Some(excess) = bytes.checked_sub(bytes_max).filter(|more| *more > 0) else {
                break;
            };
            let is_alert = view.parcel.kind == Kind::Alert;
            data = is_alert
                .then(|| shortened_data(&data, excess))
                .flatten()
                .ok_or_else(|| {
                    Fault::Unsendable(format!(
                        "its email has {bytes} bytes, and at most {bytes_max} may leave (body_max)"
                    ))
                })?;
        }
        let thread = before
            .handle
            .and_then(|handle| handle.get("message_id")?.as_str());
        let letter = Letter {
            from: sender(&render(from, &scope)?)?,
            to,
            output_id: view.parcel.id.clone(),
            thread: thread.map(str::to_owned),
            email,
        };
        Ok(Mail {
            thread: letter.thread.clone(),
            letter: letter.seal()?,
            left_out,
        })
    }
}
