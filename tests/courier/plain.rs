//! Text from customers over the wire: long, from right to left, and full of what means something somewhere (S2.07).

use aftercall::{delivery::attempt::Verdict, sandbox::seen::Seen};
use serde_json::{Value, json};

use super::{
    fixtures::{Office, example},
    smtp::MailServer,
    vendor::{Reply, Vendor},
};

/// Every channel over HTTP, and what it answers.
async fn office(vendor: &Vendor, more: &str) -> Office {
    vendor.on(
        "POST /api/chat.postMessage",
        vec![Reply::Json(
            200,
            json!({ "ok": true, "channel": "C0A", "ts": "1.1" }),
        )],
    );
    vendor.on("POST /hook", vec![Reply::Text(200, "ok")]);
    vendor.on("POST /flow", vec![Reply::Text(202, "")]);
    vendor.on("POST /in", vec![Reply::Json(200, json!({}))]);
    vendor.on("POST /rendered", vec![Reply::Json(200, json!({}))]);
    let url = vendor.url();
    Office::new(&format!(
        "[[destination]]\nname = \"slack\"\non = [\"alert\"]\nchannel = \"slack\"\nurl = \"{url}/api\"\nto = \"C0A\"\n\
         auth = {{ kind = \"bearer\", token = \"env:SLACK\" }}\nthread = \"{{{{ data.alert_id }}}}\"\n\
         [[destination]]\nname = \"hook\"\non = [\"alert\"]\nchannel = \"slack_webhook\"\nurl = \"{url}/hook\"\n{more}\n\
         [[destination]]\nname = \"teams\"\non = [\"alert\"]\nchannel = \"teams\"\nurl = \"{url}/flow\"\n\
         [[destination]]\nname = \"http\"\non = [\"alert\"]\nchannel = \"http\"\nurl = \"{url}/in\"\n\
         [[destination]]\nname = \"rendered\"\non = [\"alert\"]\nchannel = \"http\"\nurl = \"{url}/rendered\"\n\
         body = '{{\"words\": {{{{ data.comment | default(none) }}}}, \"again\": {{{{ data.comment | default(none) }}}}, \
         \"id\": {{{{ data.alert_id }}}}}}'\n"
    ))
}

#[tokio::test]
async fn s2_07_a_long_comment_reaches_every_channel_shortened_where_it_must_be() {
    let vendor = Vendor::start().await;
    let office = office(&vendor, "").await;
    let mut parcel = example("alert.raised");
    for comment in [
        "怒".repeat(4_000),
        "\"\u{1}<&".repeat(1_000),
        "👩\u{200d}👩\u{200d}👧".repeat(800),
    ] {
        parcel.data["comment"] = json!(comment);
        parcel.data["summary"] = json!("s".repeat(4_000));
        for name in ["slack", "hook", "teams", "http", "rendered"] {
            let attempt = office.courier(name).attempt(&parcel, None, 1).await;
            assert_eq!(attempt.verdict, Verdict::Delivered, "{name}: {attempt:?}");
            let received = vendor.only();
            assert!(
                received.body.len() <= 10 * 1024,
                "{name}: {}",
                received.body.len()
            );
            // Control characters are not shown to people, so of the second there is less to show.
            let fits = comment.starts_with('"') && !["http", "rendered"].contains(&name);
            let is_short = received.body.contains("(shortened)");
            assert!(is_short || fits, "{name}: {}", received.body);
            // Who and what it is about is whole.
            assert!(
                received.body.contains("critical_keyword"),
                "{name}: {}",
                received.body
            );
        }
    }
    // A comment that fits is left as it is, to the byte.
    parcel.data["comment"] = json!("*as* it was\u{202e} written");
    parcel.data["summary"] = Value::Null;
    office.courier("http").attempt(&parcel, None, 1).await;
    assert_eq!(vendor.only().json()["comment"], parcel.data["comment"]);
}

#[tokio::test]
async fn s2_07_a_long_comment_reaches_people_by_mail() {
    let mail = MailServer::start(&[]);
    let office = Office::new(&format!(
        "[[destination]]\nname = \"email\"\non = [\"alert\"]\nchannel = \"email\"\nsmtp = \"smtp://localhost:{}\"\n\
         from = \"aftercall@cx.example\"\nto = \"lead@cx.example\"\nehlo = \"alerts.cx.example\"\n\
         tls = {{ ca_file = \"{}\" }}\n",
        mail.port,
        mail.cert_file().display()
    ));
    let mut parcel = example("alert.raised");
    parcel.data["comment"] = json!("怒".repeat(4_000));
    parcel.data["agent_name"] = json!("\u{202e}עדה\r\nBcc: all@cx.example");
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    let got = mail.next_message();
    let html = got["parts"]["text/html"].as_str().expect("html");
    assert!(html.contains("怒… (shortened)</blockquote>"), "{html}");
    assert_eq!(got["ehlo"], "alerts.cx.example");
    let headers = got["headers"].as_array().expect("headers");
    assert!(headers.iter().all(|header| header[0] != "Bcc"));
    let subject = headers
        .iter()
        .find(|header| header[0] == "Subject")
        .expect("a subject");
    assert_eq!(
        subject[1],
        "Critical alert: 1/5 for \u{2068}עדה Bcc: all@cx.example\u{2069} (agent-0417)"
    );
}

#[tokio::test]
async fn s2_07_a_long_comment_reaches_people_by_mail_in_the_operators_own_words() {
    let mail = MailServer::start(&[]);
    let office = Office::new(&format!(
        "[[destination]]\nname = \"email\"\non = [\"alert\"]\nchannel = \"email\"\nsmtp = \"smtp://localhost:{}\"\n\
         from = \"aftercall@cx.example\"\nto = \"lead@cx.example\"\n\
         subject = \"{{{{ data.rule }}}}: {{{{ data.comment | default('') }}}}\"\n\
         html = \"<p>{{{{ data.rule }}}}</p><p>{{{{ data.comment | default('') }}}}</p>\"\n\
         tls = {{ ca_file = \"{}\" }}\n",
        mail.port,
        mail.cert_file().display()
    ));
    let mut parcel = example("alert.raised");
    for comment in ["怒".repeat(4_000), "<&".repeat(2_000)] {
        parcel.data["comment"] = json!(comment);
        let attempt = office.attempt(&parcel).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
        let got = mail.next_message();
        let html = got["parts"]["text/html"].as_str().expect("html");
        assert!(html.starts_with("<p>critical_keyword</p>"), "{html}");
        assert!(html.contains("(shortened)"), "{html}");
        assert!(html.len() <= 10 * 1024, "{}", html.len());
    }
}

#[tokio::test]
async fn s2_07_templates_of_the_operators_own_show_text_and_do_not_obey_it() {
    let vendor = Vendor::start().await;
    let more = "text = '*{{ data.severity }}* {{ data.comment }}'\n\
                blocks = '[{\"type\": \"section\", \"text\": {\"type\": \"mrkdwn\", \"text\": {{ \"*By* \" ~ data.agent_name ~ \": \" ~ data.comment }}}}]'\n\
                when = \"has(data.comment)\"";
    let office = office(&vendor, more).await;
    let mut parcel = example("alert.raised");
    parcel.data["agent_name"] = json!("_Bo_ :smile:");
    parcel.data["comment"] = json!("<!channel> *b* ~s~ `c` :wave:\n> q\nשלום\u{202e}");
    let attempt = office.courier("hook").attempt(&parcel, None, 1).await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    let body = vendor.only().json();
    // The operator's own markup and nothing else.
    assert_eq!(Seen::in_slack(&body).markup, ["bold By"]);
    let text = body["text"].as_str().expect("text");
    assert_eq!(Seen::of_mrkdwn(text).markup, ["bold critical"]);
}

#[tokio::test]
async fn s2_09_teams_says_whom_its_card_is_for_and_what_could_not_be_found_out() {
    let vendor = Vendor::start().await;
    vendor.on("POST /flow", vec![Reply::Text(202, "")]);
    vendor.on(
        "GET /supervisors",
        vec![
            Reply::Json(200, json!([{ "name": "Ann *Byron*", "email": "ann@x.example" }, { "email": "bo@x.example" }])),
            Reply::Json(500, json!({})),
        ],
    );
    let url = vendor.url();
    let office = Office::new(&format!(
        "[[recipient]]\nurl = \"{url}/supervisors\"\ncache = \"0s\"\n\
         people = \"body.map(p, {{'name': has(p.name) ? p.name : null, 'email': p.email}})\"\n\
         [[destination]]\nname = \"teams\"\non = [\"alert\"]\nchannel = \"teams\"\nurl = \"{url}/flow\"\n"
    ));
    let said = async || {
        let attempt = office.attempt(&example("alert.raised")).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
        let card = vendor.take().pop().expect("a card").json();
        Seen::in_teams(&card)
    };
    let seen = said().await;
    assert!(
        seen.words.contains("For: \nAnn *Byron*, bo@x.example\n"),
        "{}",
        seen.words
    );
    assert_eq!(seen.markup, [""; 0]);
    let seen = said().await;
    assert!(
        seen.words.contains("recipients from 127.0.0.1"),
        "{}",
        seen.words
    );
}
