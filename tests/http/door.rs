//! What is refused before it is a request: heads that end lines with a line feed alone, and broken ones, which cost a
//! counter.

use std::io::{Read as _, Write as _};

use super::event;
use super::server::{STRUCTURED, Server, TOKEN, read_head, with_server};

/// What a connection answers to these bytes, up to the end of the first head.
fn head(server: &Server, bytes: &str) -> String {
    let mut stream = server.connect();
    stream.write_all(bytes.as_bytes()).unwrap();
    read_head(&mut stream)
}

async fn broken(server: &Server) -> u64 {
    let request = server.request(reqwest::Method::GET, "/metrics");
    let text = request.send().await.unwrap().text().await.unwrap();
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix("aftercall_http_broken_requests_total "));
    found.unwrap().parse().unwrap()
}

#[test]
fn a_line_feed_alone_in_a_head_is_refused_wherever_it_stands() {
    with_server(|server| async move {
        let before = broken(&server).await;
        let good = "GET /livez HTTP/1.1\r\nHost: t\r\n\r\n";
        assert!(head(&server, good).starts_with("HTTP/1.1 200"));
        let bad = [
            "GET /livez HTTP/1.1\nHost: t\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: t\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: t\r\n\n",
            "GET /livez HTTP/1.1\nHost: t\n\n",
            "\nGET /livez HTTP/1.1\r\nHost: t\r\n\r\n",
        ];
        for bytes in bad {
            let answer = head(&server, bytes);
            assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
        }
        assert!(broken(&server).await >= before + bad.len() as u64);

        // In a body it is a byte as any other, and the request behind that body has a head of its own.
        let body = event("r1", 1).to_string().replace(',', ",\n");
        let mut stream = server.connect();
        write!(
            stream,
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\n\
             Content-Length: {}\r\n\r\n{body}GET /livez HTTP/1.1\nHost: t\r\n\r\n",
            body.len()
        )
        .unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 202"));
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("HTTP/1.1 400"), "{rest}");
        assert_eq!(server.stored_ids(), ["r1"]);
    });
}
