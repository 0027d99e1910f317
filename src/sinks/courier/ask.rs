//! What a destination can be asked: what became of one output (S3.09), and everything it knows of rewards.
//!
//! A question is sent with the destination's own credentials, certificates and timeouts, and sees what may leave for it.
//! Whatever goes wrong with the question about an output leaves its outcome as unknown as it was: nothing is sent
//! again on the strength of an answer that could not be had.

use std::time::SystemTime;

use serde_json::Value;

use super::{Courier, View};
use crate::{
    delivery::attempt::{Answer, Fault},
    sinks::{
        client,
        credentials::exchange::Exchange,
        http::{
            listing::{self, Counted, ListingError, Order},
            request::request_of,
        },
        judge::retry_after,
        scope::Scope,
        spec::Inquiry,
    },
};

/// Longest page of a list. Unit: bytes.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Courier {
    /// What the destination says became of an output: the answer its request would have got, or `None` if it does not
    /// know the output, or cannot be asked.
    pub(super) async fn look_up(&self, view: &View) -> Result<Option<Answer>, Fault> {
        let (Some(lookup), Some(exchange)) = (&self.destination.lookup, self.sender.exchange())
        else {
            return Ok(None);
        };
        let request = request_of(&self.drafter, &lookup.request, &view.scope);
        let asked = match request {
            Ok(request) => exchange.send(request, &view.parcel.id).await,
            Err(fault) => Err(fault),
        };
        let told = asked
            .map_err(|fault| still_in_doubt(&fault))
            .and_then(|answer| told(lookup, &view.scope, &answer));
        tracing::debug!(
            destination = self.destination.name,
            output = view.parcel.id,
            known = ?told.as_ref().ok().map(Option::is_some),
            "outcome looked up"
        );
        told
    }

    /// Hands every reward that the destination lists to `each`; `None` if it has no list. `from` and `to` are RFC 3339,
    /// for destinations that list a period.
    ///
    /// # Errors
    /// If a page cannot be had, or is none. What was handed out until then is a part of the list.
    pub async fn list(
        &self,
        from: &str,
        to: &str,
        each: impl FnMut(Order),
    ) -> Option<Result<Counted, ListingError>> {
        let listing = self.destination.list.as_ref()?;
        let settings = client::Settings {
            connect_timeout: self.destination.timeouts.connect,
            total_timeout: self.destination.timeouts.total,
            answer_bytes_max: PAGE_BYTES_MAX,
            roots_pem: None,
            identity_pem: None,
        };
        let (name, auth) = (&self.destination.name, &self.destination.auth);
        let exchange = match Exchange::new(name, settings, self.destination.tls.clone(), auth) {
            Ok(exchange) => exchange,
            Err(error) => {
                let fault = Fault::NotReady(error.to_string());
                return Some(Err(ListingError::NoPage { page: 1, fault }));
            }
        };
        let ask = async |scope: &Scope| {
            let request = request_of(&self.drafter, &listing.request, scope)?;
            exchange.send(request, "list").await
        };
        let scope = listing::scope(&self.drafter.vars(), from, to);
        Some(listing::all(listing, scope, ask, each).await)
    }
}

/// What the answer to a question says of the output it is about.
fn told(lookup: &Inquiry, output: &Scope, answer: &Answer) -> Result<Option<Answer>, Fault> {
    let doubt = |why: String, is_down: bool| Fault::InDoubt {
        why,
        after: retry_after(answer, SystemTime::now()),
        is_down,
    };
    let status = answer.status;
    // Nothing about the output can be read from these, whatever the expression would make of them.
    if matches!(status, 401 | 403 | 407) {
        let why = format!("answered {status} when asked about an earlier attempt");
        return Err(Fault::Misconfigured(why));
    }
    if matches!(status, 408 | 425 | 429 | 500..) {
        return Err(doubt(format!("answered {status}"), status >= 500));
    }
    // A page or half a list does not say that it is not in it.
    if answer.is_2xx() && lookup.answer.reads_body() && !answer.is_structured() {
        let why = format!("answered {status} with what is no JSON that could be looked into");
        return Err(doubt(why, false));
    }
    let said = lookup.answer.evaluate(&output.clone().with_answer(answer));
    match said.map_err(|error| doubt(format!("answered {status}: {error}"), false))? {
        Value::Null => Ok(None),
        Value::Object(mut said) => {
            let status = said.get("status").and_then(Value::as_u64);
            let status = status.and_then(|status| u16::try_from(status).ok());
            match status.filter(|status| (100..=599).contains(status)) {
                Some(status) => Ok(Some(Answer {
                    status,
                    headers: Default::default(),
                    body: said.remove("body").unwrap_or_default(),
                })),
                None => Err(doubt("`lookup.answer` yields no status".to_owned(), false)),
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(doubt(
            "`lookup.answer` yields neither null nor {status, body}".to_owned(),
            false,
        )),
    }
}

/// A question that brought no answer.
fn still_in_doubt(fault: &Fault) -> Fault {
    let is_down = match fault {
        // About the destination; the output stays as it is.
        Fault::Misconfigured(why) => return Fault::Misconfigured(why.clone()),
        Fault::Connect(_) | Fault::Timeout(_) | Fault::Lost(_) => true,
        Fault::Unsendable(_) | Fault::NotReady(_) | Fault::TooLong(_) | Fault::InDoubt { .. } => {
            false
        }
    };
    Fault::InDoubt {
        why: fault.to_string(),
        after: None,
        is_down,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sinks::{
        expression::Expression,
        scope::{ANSWER, REQUEST},
        spec::{Body, Method, Request, Text},
        template::{Escape, Template},
    };

    const SHIPPED: &str = "status == 200 && size(body.orders) == 0 ? null : \
        {'status': 201, 'body': {'order': body.orders[0]}}";

    fn ask(expression: &str, status: u16, body: Value) -> Result<Option<Answer>, Fault> {
        let url = Template::parse("url", "https://a.example/", Escape::Url, &REQUEST).unwrap();
        let lookup = Inquiry {
            request: Request {
                method: Method::Get,
                url: Text::Template(url),
                headers: Vec::new(),
                body: Body::None,
            },
            answer: Expression::parse(expression, &ANSWER).unwrap(),
        };
        let answer = Answer {
            status,
            headers: [("retry-after".to_owned(), "7".to_owned())].into(),
            body,
        };
        told(&lookup, &Scope::default(), &answer)
    }

    #[test]
    fn s3_09_an_answer_null_and_nothing_to_go_by_are_told_apart() {
        let order = json!({"status": "EXECUTED"});
        assert_eq!(
            ask(SHIPPED, 200, json!({"orders": [order]})),
            Ok(Some(Answer {
                status: 201,
                headers: Default::default(),
                body: json!({"order": order}),
            }))
        );
        assert_eq!(ask(SHIPPED, 200, json!({"orders": []})), Ok(None));
        // No orders in what is no list of orders: nobody said that the id is unknown.
        for (status, body) in [
            (200, json!({})),
            (400, json!({"errors": {}})),
            (404, json!({"orders": []})),
        ] {
            let asked = ask(SHIPPED, status, body);
            assert!(
                matches!(asked, Err(Fault::InDoubt { is_down: false, .. })),
                "{status}: {asked:?}"
            );
        }
    }

    #[test]
    fn s3_09_no_status_of_a_refusal_or_a_fault_says_that_an_order_is_unknown() {
        let after = Some(Duration::from_secs(7));
        for status in [401, 403, 407] {
            let asked = ask("null", status, Value::Null);
            assert!(matches!(asked, Err(Fault::Misconfigured(_))), "{asked:?}");
        }
        for (status, is_down) in [(429, false), (500, true), (503, true)] {
            let asked = ask("null", status, Value::Null);
            let why = format!("answered {status}");
            let expected = Fault::InDoubt {
                why,
                after,
                is_down,
            };
            assert_eq!(asked, Err(expected));
        }
        // The others are the expression's to read.
        assert_eq!(ask("null", 404, Value::Null), Ok(None));
    }

    #[test]
    fn s3_16_a_page_or_half_a_list_does_not_say_that_an_order_is_unknown() {
        let careless = "has(body.orders) && size(body.orders) > 0 ? {'status': 201} : null";
        for body in [
            json!("<html>"),
            json!("{\"orders\":["),
            Value::Null,
            json!(1),
        ] {
            for expression in [SHIPPED, careless] {
                let asked = ask(expression, 200, body.clone());
                assert!(
                    matches!(asked, Err(Fault::InDoubt { is_down: false, .. })),
                    "{body}: {asked:?}"
                );
            }
        }
        assert_eq!(
            ask(careless, 200, json!({})),
            Ok(None),
            "said by the configuration"
        );
    }

    #[test]
    fn an_answer_that_is_none_is_no_answer() {
        for expression in ["true", "{'body': 1}", "{'status': 99}", "{'status': 'x'}"] {
            assert!(ask(expression, 200, Value::Null).is_err(), "{expression}");
        }
        let bare = ask("{'status': 200}", 200, Value::Null).unwrap().unwrap();
        assert_eq!((bare.status, bare.body), (200, Value::Null));
    }
}
