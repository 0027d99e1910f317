//! The manners of Slack, Teams and email, through the courier.

use aftercall::delivery::attempt::{Fault, Verdict};
use serde_json::{Value, json};

use super::{
    fixtures::{Office, example, rejected},
    smtp::MailServer,
    vendor::{Reply, Vendor},
};

#[tokio::test]
async fn s2_08_s2_11_slack_is_told_once_and_then_its_message_edited() {
    let vendor = Vendor::start().await;
    vendor.on("POST /api/chat.postMessage", vec![posted()]);
    vendor.on("POST /api/chat.update", vec![posted()]);
    let office = Office::new(&slack(&vendor.url(), "to = \"C0TEAM\""));
    let raised = office.attempt(&example("alert.raised")).await;
    assert_eq!(raised.verdict, Verdict::Delivered);
    assert_eq!(raised.handle, Some(place()));
    let received = vendor.only();
    assert_eq!(received.line, "POST /api/chat.postMessage");
    assert_eq!(received.header("authorization"), "Bearer secret-SLACK");
    assert_eq!(
        received.header("content-type"),
        "application/json; charset=utf-8"
    );
    let body = received.json();
    assert_eq!(body["channel"], "C0TEAM");
    assert_eq!(
        body["text"],
        "🔴 Critical alert: 1/5 for Ines Kowalczyk (agent-0417)"
    );
    assert_eq!(
        body["metadata"],
        json!({"event_type": "aftercall_output", "event_payload": {"id": "critical_keyword:rsp-184467"}})
    );
    assert!(body.to_string().contains("Recording pending"));

    let updated = office.next(&example("alert.updated"), &place()).await;
    assert_eq!(updated.verdict, Verdict::Delivered);
    assert_eq!(updated.handle, Some(place()));
    let received = vendor.only();
    assert_eq!(received.line, "POST /api/chat.update");
    let body = received.json();
    assert_eq!(body["channel"], "C0PLACE");
    assert_eq!(body["ts"], "1795164312.000200");
    // In place of the first there is nothing to be the update of.
    assert_eq!(
        body["text"],
        "🔴 Critical alert: 1/5 for Ines Kowalczyk (agent-0417)"
    );
    assert!(
        body.to_string()
            .contains("https://recordings.example.com/7c9e6679")
    );
}

#[tokio::test]
async fn s2_08_what_slack_will_not_edit_is_said_in_the_thread() {
    for error in [
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
    ] {
        let vendor = Vendor::start().await;
        let no = Reply::Json(200, json!({"ok": false, "error": error}));
        vendor.on("POST /api/chat.update", vec![no]);
        vendor.on("POST /api/chat.postMessage", vec![posted()]);
        let office = Office::new(&slack(&vendor.url(), "to = \"C0TEAM\""));
        let attempt = office.next(&example("alert.updated"), &place()).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{error}");
        // Whatever comes next still belongs to the first message.
        assert_eq!(attempt.handle, Some(place()));
        let received = vendor.take();
        assert_eq!(received.len(), 2);
        let body = received[1].json();
        assert_eq!(body["thread_ts"], "1795164312.000200");
        assert_eq!(body["channel"], "C0PLACE");
        assert_eq!(body.get("reply_broadcast"), None);
    }
}

#[tokio::test]
async fn an_escalation_is_noticed_and_not_only_edited() {
    let vendor = Vendor::start().await;
    vendor.on("POST /api/chat.postMessage", vec![posted()]);
    let office = Office::new(&slack(&vendor.url(), "to = \"C0TEAM\""));
    let attempt = office.next(&example("alert.escalated"), &place()).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    let body = vendor.only().json();
    assert_eq!(body["thread_ts"], "1795164312.000200");
    assert_eq!(body["reply_broadcast"], true);
    let text = body["text"].as_str().expect("text");
    assert!(text.contains("Nobody has taken this up"), "{text}");
}

#[tokio::test]
async fn s2_11_slacks_no_in_a_200_is_a_rejection_unless_it_is_only_busy() {
    let vendor = Vendor::start().await;
    let office = Office::new(&slack(&vendor.url(), "to = \"C0TEAM\""));
    let parcel = example("alert.raised");
    let no = Reply::Json(200, json!({"ok": false, "error": "invalid_auth"}));
    vendor.on("POST /api/chat.postMessage", vec![no]);
    let refused = office.attempt(&parcel).await.verdict;
    assert!(
        matches!(refused, Verdict::Misconfigured { .. }),
        "S3.16: {refused:?}"
    );
    for error in ["channel_not_found", "not_in_channel"] {
        let no = Reply::Json(200, json!({"ok": false, "error": error}));
        vendor.on("POST /api/chat.postMessage", vec![no]);
        let attempt = office.attempt(&parcel).await;
        assert!(rejected(&attempt).contains(error), "{attempt:?}");
        assert_eq!(attempt.handle, None);
    }
    for status in [200, 429] {
        let busy = Reply::With(
            status,
            vec![("retry-after", "7")],
            json!({"ok": false, "error": "ratelimited"}),
        );
        vendor.on("POST /api/chat.postMessage", vec![busy]);
        let Verdict::Again { after, unknown, .. } = office.attempt(&parcel).await.verdict else {
            panic!("not worth another attempt");
        };
        assert_eq!(after, Some(std::time::Duration::from_secs(7)));
        assert!(!unknown);
    }
}

#[tokio::test]
async fn s2_11_a_slack_webhook_cannot_edit_and_says_that_it_is_an_update() {
    let vendor = Vendor::start().await;
    vendor.on("POST /services/T0/B0/xyz", vec![Reply::Text(200, "ok")]);
    let office = Office::new(&format!(
        "[[destination]]\nname = \"hook\"\non = [\"alert\"]\nchannel = \"slack_webhook\"\n\
         url = \"{}/services/T0/B0/xyz\"\n",
        vendor.url()
    ));
    let attempt = office.next(&example("alert.updated"), &place()).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert_eq!(attempt.handle, None);
    let body = vendor.only().json();
    assert_eq!(
        body["text"],
        "🔴 Update: Critical alert: 1/5 for Ines Kowalczyk (agent-0417)"
    );
    assert_eq!(body["unfurl_links"], false);
    assert_eq!(body.get("metadata"), None);
}

#[tokio::test]
async fn s2_11_slack_templates_cannot_be_made_to_mention() {
    let vendor = Vendor::start().await;
    vendor.on("POST /api/chat.postMessage", vec![posted()]);
    let more = "to = \"C0TEAM\"\ntext = \"{{ data.comment | default('') }}\"\n\
                blocks = '[{\"type\": \"section\", \"text\": {\"type\": \"mrkdwn\", \"text\": {{ data.comment | default(\"\") }}}}]'";
    let office = Office::new(&slack(&vendor.url(), more));
    let mut parcel = example("alert.raised");
    parcel.data["comment"] = json!("<!channel> \"quoted\"");
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    let body = vendor.only().json();
    assert_eq!(body["text"], "&lt;!channel&gt; \"quoted\"");
    assert_eq!(
        body["blocks"][0]["text"]["text"],
        "&lt;!channel&gt; \"quoted\""
    );
}

#[tokio::test]
async fn s2_11_teams_gets_a_card_and_an_error_in_a_200_is_no_success() {
    let vendor = Vendor::start().await;
    vendor.on(
        "POST /workflows/1",
        vec![
            Reply::Text(202, ""),
            Reply::Text(200, "1"),
            Reply::Text(
                200,
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
            ),
            Reply::Text(200, "Webhook message delivery failed with error: bad payload"),
        ],
    );
    let office = Office::new(&format!(
        "[[destination]]\nname = \"teams\"\non = [\"alert\"]\nchannel = \"teams\"\nurl = \"{}/workflows/1\"\n",
        vendor.url()
    ));
    let mut parcel = example("alert.updated");
    let taken = office.attempt(&parcel).await;
    assert_eq!(taken.verdict, Verdict::Delivered);
    let body = vendor.only().json();
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(
        attachment["content"]["fallbackText"],
        "Update: Critical alert: 1/5 for Ines Kowalczyk (agent-0417)"
    );
    // Shortened to what may leave, and not refused.
    parcel.data["comment"] = json!("x".repeat(40_000));
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    assert!(vendor.only().body.len() <= 10 * 1024);
    let busy = office.attempt(&parcel).await.verdict;
    assert!(matches!(busy, Verdict::Again { .. }), "{busy:?}");
    let refused = office.attempt(&parcel).await;
    assert_eq!(
        rejected(&refused),
        "Teams reports an error in the text of a 200"
    );
}

#[tokio::test]
async fn s2_07_s2_11_an_email_goes_to_the_found_people_with_a_login() {
    let mail = MailServer::start(&["--login", "aftercall", "secret-SMTP"]);
    let office = Office::new(&email(&mail, ""));
    let raised = office.attempt(&example("alert.raised")).await;
    assert_eq!(raised.verdict, Verdict::Delivered, "{raised:?}");
    let handle = raised.handle.expect("a handle");
    let got = mail.next_message();
    assert_eq!(got["recipients"], json!(["a@cx.example", "b@cx.example"]));
    assert_eq!(got["login"], true);
    let text = got["parts"]["text/plain"].as_str().expect("text");
    for said in [
        "Critical alert: 1/5 for Ines Kowalczyk (agent-0417)",
        "Agent: Ines Kowalczyk (agent-0417)",
        "Score: 1/5",
        "Queue: billing-emea",
        "Rule: critical_keyword",
        "> Third call about the same fee. If it is not paid back there will be a lawsuit.",
        "Recording pending",
        "Not known yet: summary",
        "https://cx.example.com/i/7c9e6679",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let updated = office.next(&example("alert.updated"), &handle).await;
    assert_eq!(updated.handle, Some(handle.clone()));
    let got = mail.next_message();
    let answers = got["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .find(|header| header[0] == "In-Reply-To")
        .map(|header| header[1].clone());
    assert_eq!(answers.as_ref(), handle.get("message_id"));
}

#[tokio::test]
async fn s2_11_a_mail_servers_4xx_is_for_a_while_and_its_5xx_for_good() {
    let mail = MailServer::start(&[]);
    let to = |address: &str| {
        let text = email(&mail, &format!("to = \"{address}@cx.example\""));
        let (text, _) = text.split_once("auth =").expect("the login stands last");
        Office::new(text)
    };
    let later = to("later").attempt(&example("alert.raised")).await;
    assert!(
        matches!(later.verdict, Verdict::Again { unknown: false, .. }),
        "{later:?}"
    );
    let never = to("never").attempt(&example("alert.raised")).await;
    assert!(rejected(&never).contains("answered 550"), "{never:?}");
    assert_eq!(never.handle, None);
}

#[tokio::test]
async fn s1_10_what_is_shown_of_a_request_has_no_credential_in_it() {
    let vendor = Vendor::start().await;
    let office = Office::new(
        "[[destination]]\nname = \"a\"\non = [\"alert\"]\nchannel = \"teams\"\nurl = \"env:HOOK\"\n\
         [[destination]]\nname = \"b\"\non = [\"alert\"]\nchannel = \"http\"\nurl = \"https://b.example/in\"\n\
         headers = { X-Api-Key = \"env:KEY\" }\nauth = { kind = \"bearer\", token = \"env:TOKEN\" }\n",
    );
    let parcel = example("alert.raised");
    // `secret-HOOK` is no address, and the error does not repeat it.
    let error = office.courier("a").rehearse(&parcel, None).await;
    let Err(Fault::Unsendable(why)) = error else {
        panic!("{error:?}");
    };
    assert!(!why.contains("secret-"), "{why}");
    let shown = office.courier("b").rehearse(&parcel, None).await;
    let shown = shown.expect("a request").to_string();
    assert!(shown.starts_with("POST https://b.example/in\n"), "{shown}");
    assert!(shown.contains("\nx-api-key: ***\n"), "{shown}");
    assert!(shown.contains("\nauthorization: ***\n"), "{shown}");
    assert!(!shown.contains("secret-"), "{shown}");
    assert_eq!(vendor.take(), []);
}

fn slack(url: &str, more: &str) -> String {
    format!(
        "[[destination]]\nname = \"slack\"\non = [\"alert\"]\nchannel = \"slack\"\nurl = \"{url}/api\"\n\
         auth = {{ kind = \"bearer\", token = \"env:SLACK\" }}\n{more}\n"
    )
}

fn email(mail: &MailServer, more: &str) -> String {
    format!(
        "[vars]\ninteraction_link = \"https://cx.example.com/i/{{id}}\"\n\
         [[recipient]]\npeople = \"[{{'name': 'A', 'email': 'a@cx.example'}}, {{'name': 'B', 'email': 'b@cx.example'}}]\"\n\
         [[destination]]\nname = \"email\"\non = [\"alert\"]\nchannel = \"email\"\nsmtp = \"smtp://localhost:{}\"\n\
         from = \"aftercall <aftercall@cx.example>\"\ntls = {{ ca_file = \"{}\" }}\n{more}\n\
         auth = {{ kind = \"basic\", user = \"aftercall\", password = \"env:SMTP\" }}\n",
        mail.port,
        mail.cert_file().display()
    )
}

fn posted() -> Reply {
    Reply::Json(
        200,
        json!({"ok": true, "channel": "C0PLACE", "ts": "1795164312.000200"}),
    )
}

fn place() -> Value {
    json!({"channel": "C0PLACE", "ts": "1795164312.000200"})
}
