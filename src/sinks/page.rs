//! A page where a word was due: a proxy, a login or a captive network has answered in the vendor's place.
//!
//! Webhooks of Slack and Teams promise no more than their status, so a page with 200 would pass for a success.

use serde_json::Value;

use crate::delivery::attempt::{Answer, Verdict};

/// What an answer that is a page means: nobody knows whether what it answers has arrived.
#[must_use]
pub fn unread(answer: &Answer) -> Option<Verdict> {
    let Value::String(text) = &answer.body else {
        return None;
    };
    let start = text.trim_start().get(..9).unwrap_or(text.trim_start());
    let start = start.to_ascii_lowercase();
    let is_page = ["<!doctype", "<html", "<head", "<body", "<script", "<?xml"]
        .iter()
        .any(|tag| start.starts_with(tag));
    is_page.then(|| Verdict::Again {
        why: format!("answered {} with a page of HTML", answer.status),
        after: None,
        unknown: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_page(body: &str) -> bool {
        let answer = Answer {
            status: 200,
            headers: Default::default(),
            body: body.into(),
        };
        match unread(&answer) {
            Some(Verdict::Again { unknown: true, .. }) => true,
            None => false,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn s3_16_a_page_is_told_from_the_words_of_a_webhook() {
        for page in [
            "<html>",
            "<!DOCTYPE html><p>Log in",
            " \n<HTML lang='de'>",
            "<?xml version='1.0'?>",
        ] {
            assert!(is_page(page), "{page}");
        }
        for word in [
            "ok",
            "1",
            "",
            "<",
            "<htm",
            "Webhook <html>",
            "\u{fffd}\u{fffd}\u{fffd}é",
        ] {
            assert!(!is_page(word), "{word}");
        }
    }
}
