//! What each way of failing is called, and what is refused before or after it costs anything.

use std::{net::TcpListener, time::Duration};

use aftercall::delivery::attempt::{Fault, Verdict};
use serde_json::{Value, json};

use super::{
    fixtures::{Office, answer, example, rejected},
    vendor::{Reply, Vendor},
};

#[tokio::test]
async fn s3_09_what_was_certainly_not_sent_is_told_from_what_nobody_knows() {
    let vendor = Vendor::start().await;
    let office = Office::new(&http(&vendor.url(), ""));
    let parcel = example("alert.raised");
    vendor.on("POST /in", vec![Reply::Hang]);
    let hung = office.attempt(&parcel).await;
    assert_eq!(hung.result, Err(Fault::Timeout(Duration::from_millis(700))));
    assert!(matches!(hung.verdict, Verdict::Again { unknown: true, .. }));
    for reply in [Reply::Break, Reply::Half] {
        vendor.on("POST /in", vec![reply]);
        let lost = office.attempt(&parcel).await;
        assert!(matches!(lost.result, Err(Fault::Lost(_))), "{lost:?}");
        assert!(matches!(lost.verdict, Verdict::Again { unknown: true, .. }));
    }
    assert_eq!(vendor.take().len(), 3);
}

#[tokio::test]
async fn s3_09_no_connection_is_certain_be_it_refused_unknown_or_too_slow() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    // A handshake that never goes on: somebody listens, and speaks no TLS.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let slow = format!("https://{}", mute.local_addr().expect("an address"));
    for url in [refused, slow, "http://nowhere.invalid".to_owned()] {
        let office = Office::new(&http(&url, ""));
        let attempt = office.attempt(&example("alert.raised")).await;
        assert!(
            matches!(attempt.result, Err(Fault::Connect(_))),
            "{url}: {attempt:?}"
        );
        assert!(matches!(
            attempt.verdict,
            Verdict::Again { unknown: false, .. }
        ));
    }
}

#[tokio::test]
async fn s4_07_a_body_of_the_limit_leaves_and_one_byte_more_does_not() {
    let vendor = Vendor::start().await;
    vendor.on("POST /in", vec![Reply::Json(200, json!({}))]);
    let office = Office::new(&http(&vendor.url(), "body_max = \"1KiB\""));
    let mut parcel = example("alert.raised");
    parcel.data = json!({ "comment": "" });
    let empty = parcel.data.to_string().len();
    parcel.data = json!({ "comment": "x".repeat(1_024 - empty) });
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    assert_eq!(vendor.only().body.len(), 1_024);
    // What people wrote is shortened; nothing else is.
    parcel.data = json!({ "comment": "x".repeat(1_025 - empty) });
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    assert!(vendor.only().body.ends_with("x… (shortened)\"}"));
    let empty = json!({ "rule": "" }).to_string().len();
    parcel.data = json!({ "rule": "x".repeat(1_025 - empty) });
    let refused = office.attempt(&parcel).await;
    assert_eq!(
        rejected(&refused),
        "not sent: its body has 1025 bytes, and at most 1024 may leave (body_max)"
    );
    assert!(matches!(refused.result, Err(Fault::Unsendable(_))));
    assert_eq!(vendor.take(), []);
}

#[tokio::test]
async fn s5_05_an_answer_of_the_limit_is_taken_and_one_byte_more_is_refused() {
    let vendor = Vendor::start().await;
    let text = http(&vendor.url(), "answer_max = \"1KiB\"");
    let office = Office::new(&text.replace("\"in\"", "\"talkative\""));
    // Two quotes stand around the text.
    let of_size = |bytes: usize| Reply::Json(200, Value::String("x".repeat(bytes - 2)));
    vendor.on("POST /in", vec![of_size(1_024), of_size(1_025)]);
    let parcel = example("alert.raised");
    let taken = office.attempt(&parcel).await;
    assert_eq!(taken.verdict, Verdict::Delivered);
    assert_eq!(answer(&taken).body.as_str().map(str::len), Some(1_022));
    let refused = office.attempt(&parcel).await;
    // It was an answer to something that may have been done.
    assert_eq!(refused.result, Err(Fault::TooLong(1_024)));
    let counted = aftercall::telemetry::metrics().answers_refused("talkative");
    assert_eq!(counted.get(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let vendor = Vendor::start().await;
    let elsewhere = Vendor::start().await;
    let location: &'static str = format!("{}/in", elsewhere.url()).leak();
    vendor.on(
        "POST /in",
        vec![Reply::With(307, vec![("location", location)], json!({}))],
    );
    let office = Office::new(&http(&vendor.url(), ""));
    let attempt = office.attempt(&example("alert.raised")).await;
    assert!(rejected(&attempt).contains("answered 307"));
    assert_eq!(elsewhere.take(), []);
}

#[tokio::test]
async fn a_withdrawn_token_is_fetched_anew_once_and_no_more() {
    let vendor = Vendor::start().await;
    let token = |value: &str| {
        Reply::Json(
            200,
            json!({"access_token": value, "token_type": "Bearer", "expires_in": 3600}),
        )
    };
    vendor.on(
        "POST /oauth/token",
        vec![token("t-1"), token("t-2"), token("t-3")],
    );
    let no = || Reply::Json(401, json!({}));
    vendor.on(
        "POST /in",
        vec![no(), Reply::Json(200, json!({})), no(), no(), no()],
    );
    let auth = format!(
        "auth = {{ kind = \"oauth2\", token_url = \"{}/oauth/token\", client_id = \"me\", client_secret = \"env:X\" }}",
        vendor.url()
    );
    let office = Office::new(&http(&vendor.url(), &auth));
    let parcel = example("alert.raised");
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    let shown: Vec<String> = vendor
        .take()
        .iter()
        .filter(|received| received.line == "POST /in")
        .map(|received| received.header("authorization").to_owned())
        .collect();
    assert_eq!(shown, ["Bearer t-1", "Bearer t-2"]);
    let refused = office.attempt(&parcel).await;
    let Verdict::Misconfigured { why, .. } = &refused.verdict else {
        panic!("S3.16: {refused:?}");
    };
    assert!(why.contains("answered 401"), "{why}");
    let asked = vendor.lines();
    assert_eq!(asked.iter().filter(|line| *line == "POST /in").count(), 2);
}

#[tokio::test]
async fn a_field_that_may_not_leave_is_no_part_of_any_text() {
    let vendor = Vendor::start().await;
    vendor.on("POST /in", vec![Reply::Json(200, json!({}))]);
    let office = Office::new(&http(&vendor.url(), ""));
    let mut parcel = example("alert.raised");
    parcel.data["planted"] = json!("planted-5e1f");
    assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    let body = vendor.only().body;
    assert!(body.contains("billing-emea") && !body.contains("planted"));
    let asks = "headers = { X-Planted = \"{{ data.planted | default('none') }}\" }";
    let office = Office::new(&http(&vendor.url(), asks));
    office.attempt(&parcel).await;
    assert_eq!(vendor.only().header("x-planted"), "none");
}

#[tokio::test]
async fn a_line_break_does_not_begin_another_header() {
    let vendor = Vendor::start().await;
    vendor.on("POST /in", vec![Reply::Json(200, json!({}))]);
    let asks = "headers = { X-Agent = \"{{ data.agent_name | default('none') }}\" }";
    let office = Office::new(&http(&vendor.url(), asks));
    let mut parcel = example("alert.raised");
    parcel.data["agent_name"] = json!("Bo\r\nX-Evil: yes");
    let refused = office.attempt(&parcel).await;
    assert_eq!(
        rejected(&refused),
        "not sent: the header X-Agent cannot be written"
    );
    assert_eq!(vendor.take(), []);
}

/// One destination for alerts; connect within 300 ms, all within 700 ms.
#[tokio::test]
async fn s3_16_a_page_in_a_webhooks_place_is_no_delivery() {
    for channel in ["slack_webhook", "teams"] {
        let vendor = Vendor::start().await;
        let text = format!(
            "[[destination]]\nname = \"in\"\non = [\"alert\"]\nchannel = {channel:?}\nurl = \"{}/in\"\n",
            vendor.url()
        );
        let office = Office::new(&text);
        let parcel = example("alert.raised");
        let page = "<!DOCTYPE html><title>Sign in</title>an error, says the proxy";
        vendor.on(
            "POST /in",
            vec![Reply::Text(200, page), Reply::Text(200, "ok")],
        );
        let attempt = office.attempt(&parcel).await;
        assert!(
            matches!(attempt.verdict, Verdict::Again { unknown: true, .. }),
            "{channel}: {attempt:?}"
        );
        assert_eq!(office.attempt(&parcel).await.verdict, Verdict::Delivered);
    }
}

fn http(url: &str, more: &str) -> String {
    format!(
        "[[destination]]\nname = \"in\"\non = [\"alert\"]\nchannel = \"http\"\nurl = \"{url}/in\"\n\
         timeout = {{ connect = \"300ms\", total = \"700ms\" }}\n{more}\n"
    )
}
