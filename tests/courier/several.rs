//! Messages for several: each channel and each address is told once, whatever becomes of the others (S2.11).

use aftercall::delivery::{
    attempt::{Attempt, Verdict},
    transport::Turn,
};
use serde_json::{Value, json};

use super::{
    fixtures::{Office, example, rejected},
    smtp::MailServer,
    vendor::{Reply, Vendor},
};

const POST: &str = "POST /api/chat.postMessage";
const UPDATE: &str = "POST /api/chat.update";

fn slack(vendor: &Vendor, to: &str) -> Office {
    Office::new(&format!(
        "[[destination]]\nname = \"slack\"\non = [\"alert\"]\nchannel = \"slack\"\nurl = \"{}/api\"\nto = \"{to}\"\n\
         auth = {{ kind = \"bearer\", token = \"env:SLACK\" }}\nthread = \"{{{{ data.alert_id }}}}\"\n",
        vendor.url()
    ))
}

fn posted(channel: &str, ts: &str) -> Reply {
    Reply::Json(200, json!({ "ok": true, "channel": channel, "ts": ts }))
}

fn channels(vendor: &Vendor) -> Vec<(String, String)> {
    let calls = vendor.take();
    let call = |call: &super::vendor::Received| {
        let channel = call.json()["channel"]
            .as_str()
            .expect("a channel")
            .to_owned();
        (call.line.clone(), channel)
    };
    calls.iter().map(call).collect()
}

async fn again(
    office: &Office,
    event_type: &str,
    handle: Option<&Value>,
    before: &Attempt,
) -> Attempt {
    let turn = Turn {
        number: 2,
        progress: before.progress.clone(),
        ..Turn::default()
    };
    let parcel = example(event_type);
    office
        .courier("slack")
        .take_turn(&parcel, handle, turn)
        .await
}

#[tokio::test]
async fn s2_11_each_channel_and_user_of_a_list_gets_the_message_and_its_own_updates() {
    for to in ["C0AAA, U0BBB", "C0AAA; U0BBB", "C0AAA,U0BBB,C0AAA"] {
        let vendor = Vendor::start().await;
        vendor.on(POST, vec![posted("C0AAA", "1.1"), posted("D0BBB", "2.2")]);
        vendor.on(UPDATE, vec![posted("C0AAA", "1.1"), posted("D0BBB", "2.2")]);
        let office = slack(&vendor, to);
        let raised = office.attempt(&example("alert.raised")).await;
        assert_eq!(raised.verdict, Verdict::Delivered, "{to}");
        let to = |line: &str, to: &str| (line.to_owned(), to.to_owned());
        assert_eq!(channels(&vendor), [to(POST, "C0AAA"), to(POST, "U0BBB")]);
        let places = json!({ "places": [
            { "channel": "C0AAA", "ts": "1.1" }, { "channel": "D0BBB", "ts": "2.2" },
        ] });
        assert_eq!(raised.handle, Some(places.clone()));
        let updated = office.next(&example("alert.updated"), &places).await;
        assert_eq!(
            (updated.verdict, updated.handle),
            (Verdict::Delivered, Some(places))
        );
        assert_eq!(
            channels(&vendor),
            [to(UPDATE, "C0AAA"), to(UPDATE, "D0BBB")]
        );
    }
}

#[tokio::test]
async fn s2_11_one_channel_that_fails_is_tried_again_and_no_other() {
    let vendor = Vendor::start().await;
    let office = slack(&vendor, "C0AAA, C0BBB, C0CCC");
    let down = Reply::Json(503, json!({}));
    vendor.on(
        POST,
        vec![
            posted("C0AAA", "1.1"),
            down,
            posted("C0CCC", "3.3"),
            posted("C0BBB", "2.2"),
        ],
    );
    let first = office.attempt(&example("alert.raised")).await;
    assert!(
        matches!(first.verdict, Verdict::Again { unknown: false, .. }),
        "{first:?}"
    );
    assert_eq!(channels(&vendor).len(), 3);
    let second = again(&office, "alert.raised", first.handle.as_ref(), &first).await;
    assert_eq!(second.verdict, Verdict::Delivered);
    assert_eq!(channels(&vendor), [(POST.to_owned(), "C0BBB".to_owned())]);
    let places = second.handle.expect("places");
    let named = |n: usize| places["places"][n]["channel"].as_str();
    assert_eq!(
        [named(0), named(1), named(2)],
        [Some("C0AAA"), Some("C0CCC"), Some("C0BBB")]
    );

    // The same of an update.
    vendor.on(
        UPDATE,
        vec![
            posted("C0AAA", "1.1"),
            Reply::Break,
            posted("C0BBB", "2.2"),
            posted("C0CCC", "3.3"),
        ],
    );
    let update = office.next(&example("alert.updated"), &places).await;
    assert!(
        matches!(update.verdict, Verdict::Again { unknown: true, .. }),
        "{update:?}"
    );
    vendor.take();
    let update = again(&office, "alert.updated", Some(&places), &update).await;
    assert_eq!(update.verdict, Verdict::Delivered);
    assert_eq!(channels(&vendor), [(UPDATE.to_owned(), "C0CCC".to_owned())]);
}

#[tokio::test]
async fn s2_11_a_channel_that_is_not_there_is_named_and_the_others_have_the_message() {
    let vendor = Vendor::start().await;
    let office = slack(&vendor, "C0AAA, C0GONE");
    let gone = || Reply::Json(200, json!({ "ok": false, "error": "channel_not_found" }));
    vendor.on(POST, vec![posted("C0AAA", "1.1"), gone()]);
    let attempt = office.attempt(&example("alert.raised")).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    let refused = &attempt.response.expect("a response")["refused"];
    assert_eq!(refused[0]["to"], "C0GONE");
    assert!(
        refused[0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("channel_not_found"))
    );
    assert_eq!(
        attempt.handle,
        Some(json!({ "channel": "C0AAA", "ts": "1.1" }))
    );
    // Where none has it, it is refused.
    vendor.on(POST, vec![gone()]);
    let attempt = office.attempt(&example("alert.raised")).await;
    assert!(rejected(&attempt).contains("channel_not_found"));
    assert_eq!((attempt.handle, attempt.progress), (None, None));
}

#[tokio::test]
async fn s2_11_a_retry_after_is_for_its_channel_and_edits_have_a_lane_of_their_own() {
    let vendor = Vendor::start().await;
    let office = slack(&vendor, "C0AAA, C0BBB");
    let busy = Reply::With(
        429,
        vec![("retry-after", "7")],
        json!({ "ok": false, "error": "ratelimited" }),
    );
    vendor.on(POST, vec![posted("C0AAA", "1.1"), busy]);
    let attempt = office.attempt(&example("alert.raised")).await;
    assert_eq!(attempt.lanes, ["C0BBB"]);
    let courier = office.courier("slack");
    vendor.take();
    let lanes = async |event_type: &str, handle: Option<&Value>| {
        courier
            .lanes_of(&example(event_type), handle, &Turn::default())
            .await
    };
    assert_eq!(lanes("alert.raised", None).await, ["C0AAA", "C0BBB"]);
    let place = json!({ "channel": "C0AAA", "ts": "1.1" });
    assert_eq!(lanes("alert.updated", Some(&place)).await, ["chat.update"]);
    assert_eq!(lanes("alert.escalated", Some(&place)).await, ["C0AAA"]);
    assert_eq!(vendor.take(), [], "nothing is sent for it");
}

#[tokio::test]
async fn s2_08_an_update_that_says_nothing_new_is_not_sent() {
    let vendor = Vendor::start().await;
    let office = slack(&vendor, "C0AAA");
    vendor.on(POST, vec![posted("C0AAA", "1.1")]);
    vendor.on(UPDATE, vec![posted("C0AAA", "1.1")]);
    let raised = office.attempt(&example("alert.raised")).await;
    vendor.take();
    let mut last = example("alert.raised");
    last.event_type = "alert.updated".to_owned();
    let after = |attempt: &Attempt| Turn {
        number: 1,
        said: attempt.said,
        ..Turn::default()
    };
    let courier = office.courier("slack");
    let same = courier
        .take_turn(&last, raised.handle.as_ref(), after(&raised))
        .await;
    assert_eq!(same.verdict, Verdict::Delivered);
    assert_eq!(vendor.take(), []);
    last.data["summary"] = json!("Now we know.");
    let more = courier
        .take_turn(&last, raised.handle.as_ref(), after(&raised))
        .await;
    assert_eq!(more.verdict, Verdict::Delivered);
    assert_eq!(vendor.only().line, UPDATE);
    assert_ne!(more.said, raised.said);
}

#[tokio::test]
async fn s2_09_several_supervisors_without_a_channel_each_get_the_message() {
    let vendor = Vendor::start().await;
    vendor.on(POST, vec![posted("D1", "1.1"), posted("D2", "2.2")]);
    for (people, to) in [
        ("[{'slack': 'U1'}, {'slack': 'U2'}]", vec!["U2", "U1"]),
        (
            "[{'slack': 'U1'}, {'slack': 'C2'}, {'slack': 'C3'}]",
            vec!["C2", "C3"],
        ),
    ] {
        let office = Office::new(&format!(
            "[[recipient]]\npeople = \"{people}\"\n\
             [[destination]]\nname = \"slack\"\non = [\"alert\"]\nchannel = \"slack\"\nurl = \"{}/api\"\n\
             auth = {{ kind = \"bearer\", token = \"env:SLACK\" }}\n",
            vendor.url()
        ));
        let attempt = office.attempt(&example("alert.raised")).await;
        assert_eq!(attempt.verdict, Verdict::Delivered);
        let calls = vendor.take();
        assert!(calls.iter().all(|call| call.body.contains("<@U1>")));
        let channels: Vec<Value> = calls
            .iter()
            .map(|call| call.json()["channel"].clone())
            .collect();
        assert_eq!(channels, to);
    }
}

fn email(mail: &MailServer, to: &str) -> Office {
    Office::new(&format!(
        "[[recipient]]\npeople = \"[{{'name': 'Ann', 'email': 'ann@cx.example'}}]\"\n\
         [[destination]]\nname = \"email\"\non = [\"alert\"]\nchannel = \"email\"\nsmtp = \"smtp://localhost:{}\"\n\
         from = \"aftercall <aftercall@cx.example>\"\ntls = {{ ca_file = \"{}\" }}\n{to}\n",
        mail.port,
        mail.cert_file().display()
    ))
}

#[tokio::test]
async fn s2_11_a_list_of_addresses_is_read_as_people_write_it() {
    let mail = MailServer::start(&[]);
    for (to, expected) in [
        ("to = 'Ann Byron <ann@cx.example>'", vec!["ann@cx.example"]),
        (
            "to = 'ann@cx.example; bob@cx.example'",
            vec!["ann@cx.example", "bob@cx.example"],
        ),
        (
            "to = '\"Byron, Ann\" <ann@cx.example>, \"O\\\"Neil; Bob\" <bob@cx.example>;Zoë <zoe@cx.example>'",
            vec!["ann@cx.example", "bob@cx.example", "zoe@cx.example"],
        ),
        (
            "to = 'joerg@münchen.example'",
            vec!["joerg@xn--mnchen-3ya.example"],
        ),
        (
            "to = '用户支持 <help@例え.テスト>'",
            vec!["help@xn--r8jz45g.xn--zckzah"],
        ),
    ] {
        let attempt = email(&mail, to).attempt(&example("alert.raised")).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{to}: {attempt:?}");
        let got = mail.next_message();
        assert_eq!(got["recipients"], json!(expected), "{to}");
        assert_eq!(got["defects"], json!([]), "{to}");
    }
    assert!(mail.is_quiet());
}

#[tokio::test]
async fn s2_11_an_address_that_cannot_be_written_leaves_out_that_one_and_is_named() {
    let mail = MailServer::start(&[]);
    // The server takes no addresses beyond ASCII before the @; the other is none at all.
    let to = "to = \"ann@cx.example, jörg@cx.example, {{ 'no address' }}\"";
    let text = to.replace(
        "{{ 'no address' }}",
        "{{ data.rule ~ ' x@y z' if data.csat | default(1) == 2 else '' }}",
    );
    let mut parcel = example("alert.raised");
    let office = email(&mail, &text);
    parcel.data["csat"] = json!(2);
    let attempt = office.attempt(&parcel).await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    let got = mail.next_message();
    assert_eq!(got["recipients"], json!(["ann@cx.example"]));
    let to = got["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .find(|h| h[0] == "To");
    assert_eq!(to.map(|h| h[1].clone()), Some(json!("ann@cx.example")));
    let response = attempt.response.expect("a response");
    let named: Vec<&str> = response["refused"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|refused| refused["to"].as_str())
        .collect();
    assert_eq!(named, ["critical_keyword x@y z", "jörg@cx.example"]);
}

#[tokio::test]
async fn s2_11_one_put_off_is_written_to_again_alone_and_one_refused_is_named() {
    let mail = MailServer::start(&[]);
    let office = email(
        &mail,
        "to = 'lead@cx.example, later@cx.example, never@cx.example'",
    );
    let first = office.attempt(&example("alert.raised")).await;
    let Verdict::Again {
        why,
        unknown: false,
        ..
    } = &first.verdict
    else {
        panic!("{first:?}");
    };
    assert!(
        why.contains("later@cx.example") && why.contains("450"),
        "{why}"
    );
    assert_eq!(
        mail.next_message()["recipients"],
        json!(["lead@cx.example"])
    );
    let progress = first.progress.clone().expect("progress");
    assert_eq!(progress["left"], json!(["later@cx.example"]));
    let turn = Turn {
        number: 2,
        progress: Some(progress),
        ..Turn::default()
    };
    // Put off again: the others hear nothing of it.
    let second = office
        .courier("email")
        .take_turn(&example("alert.raised"), None, turn)
        .await;
    assert!(
        matches!(second.verdict, Verdict::Again { .. }),
        "{second:?}"
    );
    assert!(mail.is_quiet());
    // Somebody has it, and the last one is refused in the end: delivered, with the names of those who were not told.
    let turn = Turn {
        number: 3,
        progress: Some(json!({ "done": true, "left": ["never@cx.example"], "refused": [] })),
        ..Turn::default()
    };
    let third = office
        .courier("email")
        .take_turn(&example("alert.raised"), None, turn)
        .await;
    assert_eq!(third.verdict, Verdict::Delivered);
    let refused = &third.response.expect("a response")["refused"];
    assert_eq!(refused[0]["to"], "never@cx.example");
    assert!(
        refused[0]["why"]
            .as_str()
            .is_some_and(|why| why.starts_with("550")),
        "{refused}"
    );
}
