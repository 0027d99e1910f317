//! `lookup` and `list`: what a destination can be asked about outputs that were sent to it.

use aftercall_actors::contract::output::Kind;

use super::read::{headers, names_the_reward};
use crate::{
    config::document::Section,
    sinks::{
        reader::Reader,
        scope::{ANSWER, LISTED, LISTING, REQUEST},
        selector::Selector,
        spec::{Body, Inquiry, Listing, Method, Request},
        template::Escape,
    },
};

/// Reads both.
pub(in crate::sinks) fn read(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    selector: &Selector,
) -> (Option<Inquiry>, Option<Listing>) {
    reader.place(s, "lookup");
    let inquiry = s.table("lookup", |s| lookup(reader, s));
    reader.place(s, "list");
    let listing = s.table("list", |s| list(reader, s));
    let mut types = selector.types();
    if s.has("list") && !types.any(|name| name == "reward.requested") {
        let why = "lists rewards, so `on` has to take \"reward.requested\"";
        s.conflict("list", why.to_owned());
    }
    if let Some(inquiry) = &inquiry
        && selector.types().any(|t| Kind::of(t) == Some(Kind::Reward))
        && !names_the_reward(&inquiry.request)
    {
        let why = "neither address nor headers hold `id` or `data.reward_id`: its answer would be about another reward";
        s.conflict("lookup", why.to_owned());
    }
    (inquiry, listing)
}

fn lookup(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Inquiry> {
    let example = "\"https://api.example.com/orders?external_id={{ data.reward_id }}\"";
    let request = get(reader, s, &REQUEST, example);
    let answer = reader.expression(s, "answer", &ANSWER);
    if s.is_there() && !s.has("answer") {
        s.missing(
            "answer",
            "a CEL map {status, body}, as the request itself would have been answered, or null",
        );
    }
    Some(Inquiry {
        request: request?,
        answer: answer?,
    })
}

fn list(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Listing> {
    let example = "\"https://api.example.com/orders?offset={{ cursor | default(0) }}\"";
    let request = get(reader, s, &LISTING, example);
    let items = reader.expression(s, "items", &LISTED);
    if s.is_there() && !s.has("items") {
        s.missing("items", "a CEL list of {id, status, points, order}");
    }
    let next = reader.expression(s, "next", &LISTED);
    Some(Listing {
        request: request?,
        items: items?,
        next,
    })
}

fn get(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    known: &[&str],
    example: &str,
) -> Option<Request> {
    let url = reader.text(s, "url", Escape::Url, known);
    if s.is_there() && !s.has("url") {
        s.missing("url", &format!("the address, such as {example}"));
    }
    let headers = headers(reader, s, None, known);
    Some(Request {
        method: Method::Get,
        url: url?,
        headers,
        body: Body::None,
    })
}
