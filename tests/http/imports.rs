//! Exports by HTTP: what is stored, what the answer says, and what is refused before anything is (S3.01, S3.02).

use std::{io::Write, sync::Arc};

use aftercall::{
    config::{Config, units::ByteSize},
    desk::{imports::RECEIVED_MAX, tokens::Tokens},
};
use flate2::{Compression, write::GzEncoder};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::server::{Server, TOKEN, read_head, with_server, with_server_of};

const PATH: &str = "/v1/imports/wfm";
const AT: &str = "recorded_at=2026-11-20T05:00:00Z";

fn request(server: &Server, query: &str) -> RequestBuilder {
    let request = server.request(Method::POST, &format!("{PATH}?{query}"));
    request.bearer_auth(TOKEN)
}

async fn sent(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn posted(server: &Server, query: &str, body: &str) -> (StatusCode, Value) {
    sent(request(server, query).body(body.to_owned())).await
}

const EXPORT: &str =
    "agentId,date,points,csat\na,2026-11-19,30,5\nb,2026-11-19,n/a,4\nc,2026-11-18,,4\n";

#[test]
fn s3_01_s3_02_an_export_is_answered_with_its_report_once_it_stands_in_the_log() {
    with_server(|server| async move {
        let (status, report) = posted(&server, AT, EXPORT).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let counts = |report: &Value| {
            ["rows", "bad", "metrics", "stored", "duplicates", "refused"]
                .map(|name| report[name].as_u64().unwrap())
        };
        assert_eq!(counts(&report), [3, 1, 3, 3, 0, 0]);
        assert_eq!(report["done"], true);
        assert_eq!(
            report["bad_rows"],
            json!([{
                "line": 3, "column": "points", "reason": "bad_value",
                "detail": "found `n/a`, expected a number like 0.95 (metrics in [import.wfm] says which columns hold \
                           metrics)",
            }])
        );
        let stored = server.stored();
        assert_eq!(stored.len(), 5, "three values, the bad row, and word of it");
        let told: Value = serde_json::from_str(&stored[4]).unwrap();
        assert_eq!(told["type"], "import.quarantined");
        assert_eq!(told["data"]["import_id"], report["import_id"]);

        let (status, report) = posted(&server, AT, EXPORT).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(counts(&report), [3, 1, 3, 0, 3, 0], "the same bytes again");
        assert_eq!(server.stored().len(), 5);
    });
}

#[test]
fn s3_01_every_form_is_read_packed_or_not_and_the_query_says_what_the_file_does_not() {
    with_server(|server| async move {
        let array = r#"[{"agentId":"a","date":"2026-11-19","points":1}]"#;
        let lines = "{\"agentId\":\"b\",\"date\":\"2026-11-19\",\"points\":1}\n";
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed
            .write_all(b"agentId,date,points\nc,2026-11-19,1\n")
            .unwrap();
        let packed = packed.finish().unwrap();
        let query = format!("{AT}&export=emea&export_version=v7");
        for body in [array.as_bytes(), lines.as_bytes(), &packed] {
            let (status, report) = sent(request(&server, &query).body(body.to_vec())).await;
            assert_eq!((status, &report["stored"]), (StatusCode::OK, &1.into()));
        }
        let declared = request(&server, "recorded_at=2026-11-20T06:00:00+01:00")
            .header("content-encoding", "gzip")
            .body(packed);
        let (status, report) = sent(declared).await;
        assert_eq!((status, &report["stored"]), (StatusCode::OK, &1.into()));
        assert_eq!(report["recorded_at"], "2026-11-20T05:00:00.000Z");
        let first: Value = serde_json::from_str(&server.stored()[0]).unwrap();
        assert_eq!(
            (&first["source"], &first["data"]["export_version"]),
            (&"wfm/emea".into(), &"v7".into())
        );
    });
}

#[test]
fn s3_01_a_dry_run_stores_nothing_and_says_what_would_change() {
    with_server(|server| async move {
        let (status, report) = posted(&server, &format!("{AT}&dry_run=true"), EXPORT).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        assert_eq!(
            (&report["dry_run"], &report["stored"]),
            (&true.into(), &0.into())
        );
        assert_eq!(report["changes"]["not_compared"], Value::Null);
        assert_eq!(server.stored(), [""; 0]);
    });
}

#[test]
fn s3_01_an_export_that_does_not_say_when_it_was_made_was_made_now() {
    with_server(|server| async move {
        let before = jiff::Timestamp::now();
        let (status, report) = posted(&server, "", EXPORT).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let at = report["recorded_at"].as_str().unwrap_or_default();
        let at: jiff::Timestamp = at.parse().unwrap();
        // Its milliseconds are whole.
        let since = at - (before - jiff::SignedDuration::from_millis(1));
        assert!(since.is_positive() && at <= jiff::Timestamp::now(), "{at}");
    });
}

#[test]
fn s3_02_a_request_that_is_wrong_is_refused_with_what_would_be_right_and_stores_nothing() {
    with_server(|server| async move {
        let answer = server.request(Method::POST, PATH).body(EXPORT);
        let (status, problem) = sent(answer).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
        let (status, _) = sent(server.request(Method::GET, PATH).bearer_auth(TOKEN)).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(6);
        let ahead = format!("recorded_at={ahead}");
        for (query, body, status, kind, detail) in [
            (
                "recorded_at=today",
                EXPORT,
                400,
                "malformed",
                "query: recorded_at: ",
            ),
            (
                "recorded_at=now&recorded=1",
                EXPORT,
                400,
                "malformed",
                "query: ",
            ),
            (
                "recorded_at=now&export=a/b",
                EXPORT,
                400,
                "malformed",
                "query: export: allowed: 1 to 64",
            ),
            (
                "recorded_at=now&dry_run=maybe",
                EXPORT,
                400,
                "malformed",
                "query: ",
            ),
            (
                "recorded_at=now&export_version=",
                EXPORT,
                400,
                "malformed",
                "query: export_version: ",
            ),
            (ahead.as_str(), EXPORT, 422, "invalid-file", "recorded at "),
            (AT, "", 422, "invalid-file", "line 1: nothing in it"),
            (
                AT,
                "\nagent,date,points\n",
                422,
                "invalid-file",
                "line 2: header: no column `agentId` (agent in [import.wfm]); did you mean `agent`?",
            ),
        ] {
            let (found, problem) = posted(&server, query, body).await;
            assert_eq!(found.as_u16(), status, "{query}: {problem}");
            assert_eq!(problem["type"], format!("urn:aftercall:problem:{kind}"));
            let text = problem["detail"].as_str().unwrap();
            assert!(text.starts_with(detail), "{query}: {text}");
        }
        let squeezed = request(&server, AT)
            .header("content-encoding", "br")
            .body(EXPORT);
        assert_eq!(sent(squeezed).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(server.stored(), [""; 0]);
    });
}

#[test]
fn s3_02_a_file_that_is_cut_off_is_refused_behind_what_was_imported_and_whole_adds_the_rest() {
    with_server(|server| async move {
        let row =
            |agent: &str| format!(r#"{{"agentId":"{agent}","date":"2026-11-19","points":1}}"#);
        let whole = format!("[{},\n{},\n{}]", row("a"), row("b"), row("c"));
        let (status, problem) = posted(&server, AT, &whole[..whole.len() - 2]).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["type"], "urn:aftercall:problem:cut-off-file");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("cannot be read from line 3 on")
                && detail.contains("of the 2 rows before that 2 are imported"),
            "{detail}"
        );
        let (status, report) = posted(&server, AT, &whole).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&report["stored"], &report["duplicates"]),
            (&1.into(), &2.into())
        );
    });
}

#[test]
fn a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let mut config = Config::default().http;
    config.import_max = ByteSize::kib(1);
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        let body = |length: usize| {
            let start = "agentId,date,points,note\na,2026-11-19,1,";
            format!("{start}{}\n", " ".repeat(length - start.len() - 1))
        };
        let (status, report) = posted(&server, AT, &body(1_024)).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let (status, problem) = posted(&server, AT, &body(1_025)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("1024 bytes (http.import_max)"), "{detail}");
        // Without a length, so that only reading tells.
        let mut stream = server.connect();
        write!(
            stream,
            "POST {PATH}?{AT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\
             Transfer-Encoding: chunked\r\n\r\n401\r\n{}\r\n0\r\n\r\n",
            body(1_025)
        )
        .unwrap();
        let head = tokio::task::spawn_blocking(move || read_head(&mut stream));
        assert!(head.await.unwrap().starts_with("HTTP/1.1 413"));
        assert_eq!(server.stored().len(), 1);
    });
}

/// An upload whose body does not come yet.
fn begin(server: &Arc<Server>) -> std::net::TcpStream {
    let mut stream = server.connect();
    write!(
        stream,
        "POST {PATH}?{AT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        EXPORT.len()
    )
    .unwrap();
    stream
}

#[test]
fn slow_uploads_hold_up_no_import_and_only_many_of_them_another_upload() {
    with_server(|server| async move {
        let mut held: Vec<_> = (0..RECEIVED_MAX - 1).map(|_| begin(&server)).collect();
        // Until all have been noticed.
        while server.desk.importing() < RECEIVED_MAX - 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(posted(&server, AT, EXPORT).await.0, StatusCode::OK);
        held.push(begin(&server));
        while server.desk.importing() < RECEIVED_MAX {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let (status, problem) = posted(&server, AT, EXPORT).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert!(problem["detail"].as_str().unwrap().starts_with("16 files"));
        assert_eq!(server.desk.waiting(), 0, "events have their own places");
        for stream in &mut held {
            stream.write_all(EXPORT.as_bytes()).unwrap();
        }
        for mut stream in held {
            let head = tokio::task::spawn_blocking(move || read_head(&mut stream));
            assert!(head.await.unwrap().starts_with("HTTP/1.1 200"));
        }
        assert_eq!(posted(&server, AT, EXPORT).await.0, StatusCode::OK);
    });
}

#[test]
fn a_sender_that_never_pauses_and_is_all_too_slow_is_told_so() {
    with_server(|server| async move {
        let mut stream = begin(&server);
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(60)))
            .unwrap();
        let mut slow = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            // A byte every five seconds, until the other side has had enough.
            for byte in EXPORT.bytes() {
                if slow.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_secs(5));
            }
        });
        let began = std::time::Instant::now();
        let head = tokio::task::spawn_blocking(move || read_head(&mut stream));
        assert!(head.await.unwrap().starts_with("HTTP/1.1 408"));
        let took = began.elapsed().as_secs();
        assert!((29..50).contains(&took), "{took} s");
    });
}

#[test]
fn s3_02_damaged_gzip_is_422_with_the_place_and_what_was_read_before_it_stands() {
    with_server(|server| async move {
        let packed = |text: &str| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        let whole = packed("agentId,date,points\na,2026-11-19,1\nb,2026-11-19,1\n");
        let mut changed = whole.clone();
        let place = changed.len() - 5;
        changed[place] ^= 0xff;
        for (body, kind, why) in [
            (
                whole[..whole.len() - 4].to_vec(),
                "cut-off-file",
                "was it cut off?",
            ),
            (changed, "cut-off-file", "the checksum is another one"),
            (
                [&whole[..], b"tail"].concat(),
                "cut-off-file",
                "what stands behind",
            ),
            (whole[..11].to_vec(), "invalid-file", "was it cut off?"),
        ] {
            let (status, problem) = sent(request(&server, AT).body(body)).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
            assert_eq!(problem["type"], format!("urn:aftercall:problem:{kind}"));
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains(why) && detail.contains("at byte "),
                "{detail}"
            );
        }
        let (status, report) = sent(request(&server, AT).body(whole)).await;
        assert_eq!((status, &report["stored"]), (StatusCode::OK, &0.into()));
    });
}

#[test]
fn an_import_that_is_stopped_is_answered_503_and_the_same_again_goes_on() {
    with_server(|server| async move {
        let mut body = "agentId,date,points\n".to_owned();
        for agent in 0..5_000 {
            body += &format!("agent-{agent},2026-11-19,1\n");
        }
        server.importer.stop();
        let (status, problem) = posted(&server, AT, &body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("send the same file again"), "{detail}");
        assert_eq!(server.stored().len(), 2_000, "between two batches");
    });
}
