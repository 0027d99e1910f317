//! Email against a real mail server: what arrives, and what each way of failing is called (S2.11, S3.09).

use std::time::{Duration, Instant};

use aftercall::{
    delivery::attempt::{Answer, Fault},
    sinks::email::{
        address::mailbox,
        message::Email,
        smtp::{Letter, Server, SmtpSecurity, message_id},
    },
};
use lettre::transport::smtp::authentication::Credentials;
use serde_json::{Value, json};
use smtp::MailServer;

#[path = "support/python.rs"]
mod python;
#[path = "support/smtp.rs"]
mod smtp;

#[tokio::test]
async fn s2_11_a_letter_arrives_with_both_parts_and_an_identity_over_starttls() {
    let mail = MailServer::start(&[]);
    let answer = server(&mail)
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert_eq!(
        answer,
        Ok(Answer {
            status: 250,
            headers: Default::default(),
            body: json!({"text": "2.0.0 queued as 4711", "refused": []}),
        })
    );
    let got = mail.next_message();
    assert_eq!(got["sender"], "aftercall@cx.example");
    assert_eq!(got["recipients"], json!(["lead@cx.example"]));
    assert_eq!(got["encrypted"], true);
    assert_eq!(got["type"], "multipart/alternative");
    assert_eq!(got["defects"], json!([]));
    assert_eq!(
        got["parts"],
        json!({
            "text/plain": "Zoë said: <b>no</b>\n.\nend\n",
            "text/html": "<p>Zoë said: &lt;b&gt;no&lt;/b&gt;</p>\n",
        })
    );
    assert_eq!(header(&got, "Subject"), ["Critical alert: 1/5 for Zoë"]);
    assert_eq!(header(&got, "From"), ["Aftercall <aftercall@cx.example>"]);
    assert_eq!(header(&got, "To"), ["\"Lead, of lead\" <lead@cx.example>"]);
    assert_eq!(header(&got, "Auto-Submitted"), ["auto-generated"]);
    // The same output again is the same letter.
    assert_eq!(
        header(&got, "Message-ID"),
        [message_id("alert:1", "cx.example").as_str()]
    );
    assert_ne!(
        message_id("alert:1", "cx.example"),
        message_id("alert:2", "cx.example")
    );
    assert_eq!(header(&got, "In-Reply-To"), [""; 0]);
}

#[tokio::test]
async fn s2_11_no_text_becomes_a_header_or_a_recipient() {
    let mail = MailServer::start(&[]);
    let mut evil = letter("aftercall", &[]);
    evil.to = vec![
        mailbox(
            Some("Lead\r\nBcc: all@cx.example\r\n\r\nbody"),
            "lead@cx.example",
        )
        .expect("a mailbox"),
    ];
    evil.email.subject = "hello\r\nBcc: all@cx.example\r\n\r\nnot a body".to_owned();
    evil.email.text = "one\r\n.\r\nMAIL FROM:<x@cx.example>\r\n".to_owned();
    evil.thread = Some("<a@b>\r\nBcc: all@cx.example".to_owned());
    server(&mail)
        .send(&sealed(evil), None)
        .await
        .expect("taken");
    let got = mail.next_message();
    assert_eq!(got["recipients"], json!(["lead@cx.example"]));
    assert_eq!(header(&got, "Bcc"), [""; 0]);
    assert_eq!(header(&got, "In-Reply-To"), [""; 0]);
    assert_eq!(
        header(&got, "Subject"),
        ["hello Bcc: all@cx.example not a body"]
    );
    assert_eq!(
        got["parts"]["text/plain"],
        "one\n.\nMAIL FROM:<x@cx.example>\n"
    );
    for address in [
        "x@cx.example>\r\nRCPT TO:<y@cx.example",
        "a b@cx.example",
        "",
        "@",
        "x",
    ] {
        assert!(mailbox(None, address).is_err(), "{address:?}");
    }
    assert!(mail.is_quiet());
}

#[tokio::test]
async fn a_later_letter_of_a_thread_answers_the_first() {
    let mail = MailServer::start(&[]);
    let mut later = letter("aftercall", &["lead"]);
    let first = message_id("alert:1", "cx.example");
    later.output_id = "alert:1:updated:1".to_owned();
    later.thread = Some(first.clone());
    server(&mail)
        .send(&sealed(later), None)
        .await
        .expect("taken");
    let got = mail.next_message();
    assert_eq!(header(&got, "In-Reply-To"), [first.as_str()]);
    assert_eq!(header(&got, "References"), [first.as_str()]);
    assert_ne!(header(&got, "Message-ID"), [first.as_str()]);
}

#[tokio::test]
async fn one_recipient_that_is_refused_does_not_keep_it_from_the_others() {
    let mail = MailServer::start(&[]);
    let send = async |to: &[&str]| {
        let answer = server(&mail)
            .send(&sealed(letter("aftercall", to)), None)
            .await;
        answer.map(|answer| (answer.status, answer.body["refused"].clone()))
    };
    assert_eq!(
        send(&["never", "lead", "later"]).await,
        Ok((250, json!(["never@cx.example", "later@cx.example"])))
    );
    assert_eq!(
        mail.next_message()["recipients"],
        json!(["lead@cx.example"])
    );
    // Nobody took it; one may yet.
    assert_eq!(
        send(&["never", "later"]).await,
        Ok((450, json!(["never@cx.example", "later@cx.example"])))
    );
    assert_eq!(
        send(&["never"]).await,
        Ok((550, json!(["never@cx.example"])))
    );
    assert!(mail.is_quiet());
}

#[tokio::test]
async fn the_servers_no_is_an_answer_with_its_code() {
    let mail = MailServer::start(&[]);
    for (from, code) in [("throttled", 451), ("rejected", 554)] {
        let answer = server(&mail)
            .send(&sealed(letter(from, &["lead"])), None)
            .await;
        assert_eq!(answer.map(|answer| answer.status), Ok(code));
        mail.next_message();
    }
}

#[tokio::test]
async fn s3_09_after_the_message_nobody_knows_and_before_it_everybody_does() {
    let mut mail = MailServer::start(&[]);
    let mut quick = server(&mail);
    quick.total_timeout = Duration::from_millis(1_500);
    let silent = quick.send(&sealed(letter("silent", &["lead"])), None).await;
    assert_eq!(silent, Err(Fault::Timeout(Duration::from_millis(1_500))));
    mail.next_message();
    let dropped = quick
        .send(&sealed(letter("dropped", &["lead"])), None)
        .await;
    assert!(matches!(dropped, Err(Fault::Lost(_))), "{dropped:?}");
    mail.next_message();
    mail.kill();
    let gone = quick
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert!(matches!(gone, Err(Fault::Connect(_))), "{gone:?}");
    // Something that listens and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    quick.port = mute.local_addr().expect("an address").port();
    quick.connect_timeout = Duration::from_millis(200);
    let since = Instant::now();
    let mute = quick
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert!(matches!(mute, Err(Fault::Connect(_))), "{mute:?}");
    assert!(since.elapsed() < Duration::from_millis(1_400));
}

#[tokio::test]
async fn nothing_is_said_in_clear_to_a_server_without_starttls_or_with_a_strange_certificate() {
    let plain = MailServer::start(&["--plain"]);
    let refused = server(&plain)
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert!(
        matches!(&refused, Err(Fault::Connect(why)) if why.contains("STARTTLS")),
        "{refused:?}"
    );
    let mut off = server(&plain);
    off.security = SmtpSecurity::Off;
    let answer = off
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert_eq!(answer.map(|answer| answer.status), Ok(250));
    assert_eq!(plain.next_message()["encrypted"], false);

    let secured = MailServer::start(&[]);
    let mut strange = server(&secured);
    strange.roots_pem = None;
    let refused = strange
        .send(&sealed(letter("aftercall", &["lead"])), None)
        .await;
    assert!(matches!(refused, Err(Fault::Connect(_))), "{refused:?}");
    assert!(secured.is_quiet());
}

#[tokio::test]
async fn tls_from_the_first_byte_and_a_login() {
    let mail = MailServer::start(&["--tls", "--login", "aftercall", "planted-9c1e"]);
    let mut server = server(&mail);
    server.security = SmtpSecurity::Tls;
    let login = |password: &str| {
        Some(Credentials::new(
            "aftercall".to_owned(),
            password.to_owned(),
        ))
    };
    let letter = sealed(letter("aftercall", &["lead"]));
    let answer = server.send(&letter, login("planted-9c1e")).await;
    assert_eq!(answer.map(|answer| answer.status), Ok(250));
    assert_eq!(mail.next_message()["login"], true);
    let refused = server.send(&letter, login("wrong-9c1e")).await;
    assert_eq!(
        refused,
        Err(Fault::Misconfigured(
            "the server refused our login with 535".to_owned()
        ))
    );
    assert!(mail.is_quiet());
}

fn server(mail: &MailServer) -> Server {
    Server {
        host: "localhost".to_owned(),
        port: mail.port,
        security: SmtpSecurity::StartTls,
        ehlo: None,
        roots_pem: Some(std::fs::read(mail.cert_file()).expect("the certificate")),
        connect_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(10),
    }
}

fn letter(from: &str, to: &[&str]) -> Letter {
    Letter {
        from: mailbox(Some("Aftercall"), &format!("{from}@cx.example")).expect("a mailbox"),
        to: to
            .iter()
            .map(|name| {
                mailbox(
                    Some(&format!("Lead, of {name}")),
                    &format!("{name}@cx.example"),
                )
                .expect("a mailbox")
            })
            .collect(),
        output_id: "alert:1".to_owned(),
        thread: None,
        email: Email {
            subject: "Critical alert: 1/5 for Zoë".to_owned(),
            html: "<p>Zoë said: &lt;b&gt;no&lt;/b&gt;</p>\n".to_owned(),
            text: "Zoë said: <b>no</b>\n.\nend\n".to_owned(),
        },
    }
}

fn sealed(letter: Letter) -> aftercall::sinks::email::smtp::Sealed {
    letter.seal().expect("a letter")
}

fn header<'a>(message: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = message["headers"].as_array().expect("headers");
    headers
        .iter()
        .filter(|header| header[0] == name)
        .filter_map(|header| header[1].as_str())
        .collect()
}
