//! Everything a destination knows of rewards, page by page: what `ledger verify` holds the book against.
//!
//! Orders are handed out as they come, so a list of any length takes the memory of a page. The number of pages is
//! bounded and a cursor that does not move is an error, because a list that is wrong must not look like a short one.

use std::time::Duration;

use aftercall_actors::contract::event::Kept;
use backoff::BackoffBuilder as _;
use serde_json::Value;

use crate::{
    delivery::attempt::{Answer, Fault},
    log::retry::{doubling, next_pause},
    sinks::{
        judge::{self, retry_after},
        scope::Scope,
        spec::Listing,
    },
};

/// Most pages of a list.
const PAGES_MAX: u64 = 100_000;

/// Times a page is asked for in all.
const TRIES_MAX: u32 = 4;

/// Wait before a page is asked for again, doubled each time,
const PAUSE: Duration = Duration::from_millis(500);

/// and the longest that a destination can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A reward as a destination lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which reward it is.
    pub of: Named,
    /// `issued`, `reversed`, `rejected`, or another word for what is neither yet.
    pub status: String,
    /// Points it cost, where the destination says so.
    pub points: Option<i64>,
    /// The destination's own name for it: of two entries with one name the second is the same order again, which a
    /// list that grows while it is read can show twice.
    pub order: Option<String>,
}

/// How a list names a reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By the reward's id, as it was sent.
    Ours(String),
    /// By ids of the destination's own: the names of its `keep`, and of each the id.
    Theirs(Kept),
}

/// How long a list was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Pages read.
    pub pages: u64,
    /// Orders in them.
    pub orders: u64,
}

/// Why a list is not known.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// A page could not be had.
    #[error("page {page} of its list: {fault}")]
    NoPage {
        /// From 1.
        page: u64,
        /// Why.
        fault: Fault,
    },
    /// A page was refused.
    #[error("page {page} of its list: answered {status}")]
    Refused {
        /// From 1.
        page: u64,
        /// Status of the answer.
        status: u16,
    },
    /// A page is none that the configuration can read.
    #[error("page {page} of its list cannot be read: {why}")]
    Unreadable {
        /// From 1.
        page: u64,
        /// What is wrong.
        why: String,
    },
    /// It has no end.
    #[error("its list does not end: {why}")]
    Endless {
        /// How that shows.
        why: String,
    },
}

/// The variables of the first page: `vars` are the operator's, `from` and `to` are RFC 3339.
#[must_use]
pub fn scope(vars: &Scope, from: &str, to: &str) -> Scope {
    vars.clone().with("from", from.into()).with("to", to.into())
}

/// Reads a list to its end. `ask` gets one page, rendered over the variables it is given.
///
/// # Errors
/// If a page cannot be had after a few tries, is refused, or cannot be read.
pub async fn all(
    listing: &Listing,
    first: Scope,
    ask: impl AsyncFn(&Scope) -> Result<Answer, Fault>,
    mut each: impl FnMut(Order),
) -> Result<Counted, ListingError> {
    let mut counted = Counted::default();
    let mut cursor = Value::Null;
    loop {
        let page = counted.pages + 1;
        if page > PAGES_MAX {
            let why = format!("it has more than {PAGES_MAX} pages");
            return Err(ListingError::Endless { why });
        }
        let scope = match &cursor {
            Value::Null => first.clone(),
            cursor => first.clone().with("cursor", cursor.clone()),
        };
        let answer = patiently(&ask, &scope, page).await?;
        let read = scope.with("cursor", cursor.clone()).with_answer(&answer);
        let orders =
            orders(listing, &read).map_err(|why| ListingError::Unreadable { page, why })?;
        counted.pages = page;
        counted.orders += orders.len() as u64;
        orders.into_iter().for_each(&mut each);
        let next = next(listing, &read).map_err(|why| ListingError::Unreadable { page, why })?;
        match next {
            Value::Null => return Ok(counted),
            next if next == cursor => {
                let why = format!("page {page} names itself as the next one");
                return Err(ListingError::Endless { why });
            }
            next => cursor = next,
        }
    }
}

async fn patiently(
    ask: &impl AsyncFn(&Scope) -> Result<Answer, Fault>,
    scope: &Scope,
    page: u64,
) -> Result<Answer, ListingError> {
    let mut pauses = doubling(PAUSE, PAUSE_MAX).build();
    for tries in 1.. {
        let last = tries >= TRIES_MAX;
        let mut wait = next_pause(&mut pauses);
        match ask(scope).await {
            Ok(answer) => match answer.status {
                200..=299 => return Ok(answer),
                408 | 425 | 429 | 500.. if !last => {
                    let asked = retry_after(&answer, std::time::SystemTime::now());
                    wait = asked.unwrap_or(wait).min(PAUSE_MAX);
                }
                status => return Err(ListingError::Refused { page, status }),
            },
            Err(fault @ Fault::Unsendable(_)) => return Err(ListingError::NoPage { page, fault }),
            Err(fault) if last => return Err(ListingError::NoPage { page, fault }),
            Err(fault) => tracing::debug!(page, %fault, "page asked for again"),
        }
        tokio::time::sleep(wait).await;
    }
    // The last try returns.
    Err(ListingError::Endless {
        why: "it is never there".to_owned(),
    })
}

/// The orders of a page.
fn orders(listing: &Listing, page: &Scope) -> Result<Vec<Order>, String> {
    let items = listing.items.evaluate(page);
    let is_structured = matches!(page.get("body"), Some(Value::Object(_) | Value::Array(_)));
    if listing.items.reads_body() && !is_structured {
        // Whatever the expression makes of it: an empty list would say that nothing was ever ordered.
        return Err("its body is no JSON that could be looked into".to_owned());
    }
    let Value::Array(items) = items.map_err(|error| error.to_string())? else {
        return Err("`items` yields no list".to_owned());
    };
    items.iter().map(order).collect()
}

fn order(item: &Value) -> Result<Order, String> {
    let text = |name: &str| {
        let text = item.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let points = match item.get("points") {
        None | Some(Value::Null) => None,
        Some(points) => Some(whole(points).ok_or("`points` of an item is no whole number")?),
    };
    let of = match text("id") {
        Some(id) => Named::Ours(id),
        None => Named::Theirs(kept(item).ok_or("an item has neither `id` nor `kept`")?),
    };
    Ok(Order {
        of,
        status: text("status").ok_or("an item has no `status`")?,
        points,
        order: text("order"),
    })
}

/// The ids of an item's `kept`; `None` if there is none.
fn kept(item: &Value) -> Option<Kept> {
    let ids = item.get("kept")?.as_object()?;
    let ids = ids
        .iter()
        .filter_map(|(name, id)| Some((name.clone(), judge::id_of(id)?)));
    let kept: Kept = ids.collect();
    (!kept.is_empty()).then_some(kept)
}

/// A whole number, also one that is written as 500.0.
fn whole(value: &Value) -> Option<i64> {
    /// Up to here `f64` holds whole numbers exactly.
    const MOST: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let value = value.as_f64()?;
        (value.fract() == 0.0 && value.abs() <= MOST).then_some(value as i64)
    })
}

/// The cursor of the next page; null if there is none.
fn next(listing: &Listing, page: &Scope) -> Result<Value, String> {
    let Some(next) = &listing.next else {
        return Ok(Value::Null);
    };
    match next.evaluate(page).map_err(|error| error.to_string())? {
        Value::String(text) if text.is_empty() => Ok(Value::Null),
        cursor @ (Value::Null | Value::String(_) | Value::Number(_)) => Ok(cursor),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("`next` yields neither text, number nor null".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
