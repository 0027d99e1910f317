//! What a token endpoint can answer with: tokens however they are written, refusals, and what is neither.

use super::*;

#[actix_web::test]
async fn s1_02_a_token_is_taken_from_any_success_and_however_it_is_written() {
    let text = r#"{"access_token":"T","token_type":"Bearer","expires_in":3599}"#;
    let marked = format!("\u{feff}{text}");
    let wide = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = b"{\"access_token\":\"T\",\"owner\":\"Jos\xe9\"}".to_vec();
    for (status, content_type, body) in [
        (201, "application/json", text.as_bytes().to_vec()),
        (202, "text/plain", text.as_bytes().to_vec()),
        (200, "application/json", marked.into_bytes()),
        (200, "application/json; charset=utf-16", wide),
        (200, "application/json; charset=iso-8859-1", latin),
    ] {
        let server = Server::start().await;
        server.set(|endpoint| {
            endpoint.status = status;
            endpoint.raw = Some((content_type, body));
        });
        let credentials = server.credentials();
        assert_eq!(
            header(&credentials).await,
            "Bearer T",
            "{status} {content_type}"
        );
        server.stop().await;
    }
}

#[actix_web::test]
async fn s3_16_an_endpoint_that_refuses_us_is_told_from_one_that_is_not_well() {
    for (status, body, is_refusal) in [
        (400, r#"{"error":"invalid_client"}"#, true),
        (401, "", true),
        (403, "<html>", true),
        (404, "", true),
        (408, "", false),
        (429, "", false),
        (500, "", false),
        (503, "", false),
        (200, "<!doctype html><title>Sign in</title>", false),
        (200, r#"{"access_token":"T","expi"#, false),
        (200, r#"{"access_token":""}"#, false),
        (200, r#"{"access_token":"T","token_type":"mac"}"#, true),
        // No token is given with these, whatever their body says.
        (302, r#"{"access_token":"T"}"#, false),
    ] {
        let server = Server::start().await;
        server.set(|endpoint| {
            endpoint.status = status;
            endpoint.raw = Some(("application/json", body.as_bytes().to_vec()));
        });
        let fault = apply(&server.credentials()).await.unwrap_err();
        match fault {
            Fault::Misconfigured(_) => assert!(is_refusal, "{status} {body}"),
            Fault::NotReady(_) => assert!(!is_refusal, "{status} {body}"),
            other => panic!("{status} {body}: {other}"),
        }
        server.stop().await;
    }
}
