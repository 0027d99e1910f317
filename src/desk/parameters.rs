//! What requests about points and rewards say in their address and body, checked: every mistake is named at once, with
//! what would be right.

use aftercall_actors::{
    contract::{event::Decision, value::Id},
    rewards::points::Workday,
};
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::problem::{BadParameter, Problem};
use crate::shard::ask::{Terms, Wish};

/// Agents listed if nothing is said.
const LIMIT_DEFAULT: usize = 100;

/// Most agents listed.
const LIMIT_MAX: usize = 1_000;

/// What a leaderboard is asked for; a part that is not given follows from what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Whose rewards count.
    pub program: Option<String>,
    /// First workday.
    pub from: Option<Date>,
    /// Last workday.
    pub to: Option<Date>,
    /// Most agents listed.
    pub limit: usize,
}

/// The id that a segment of the path names, which may be percent-encoded.
///
/// # Errors
/// If it is none.
pub fn id(name: &'static str, text: &str) -> Result<Id, Problem> {
    Id::new(text).map_err(|why| Problem::BadParameters(vec![BadParameter::new(name, why)]))
}

impl Listing {
    /// Reads a query string.
    ///
    /// # Errors
    /// Whatever is wrong with it as such: names, dates, numbers.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut listing = Self {
            program: None,
            from: None,
            to: None,
            limit: LIMIT_DEFAULT,
        };
        let (mut bad, mut seen) = (Vec::new(), Vec::new());
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| Problem::Malformed(format!("the query cannot be read: {error}")))?;
        for (name, value) in pairs.into_inner() {
            if seen.contains(&name) {
                bad.push(BadParameter::new(&name, "is given twice"));
                continue;
            }
            let read = match name.as_str() {
                "program" => {
                    listing.program = Some(value);
                    Ok(())
                }
                "from" => date(&value).map(|date| listing.from = Some(date)),
                "to" => date(&value).map(|date| listing.to = Some(date)),
                "limit" => limit(&value).map(|limit| listing.limit = limit),
                _ => Err("is not known here: program, from, to and limit are".to_owned()),
            };
            if let Err(why) = read {
                bad.push(BadParameter::new(&name, why));
            }
            seen.push(name);
        }
        if let (Some(from), Some(to)) = (listing.from, listing.to)
            && to < from
        {
            bad.push(BadParameter::new(
                "to",
                format!("{to} is before from, {from}"),
            ));
        }
        none_bad(bad).map(|()| listing)
    }

    /// The first and the last workday, now that it is known what counts.
    ///
    /// # Errors
    /// If the program is not in force, or workdays are asked for that have left.
    pub fn period(&self, terms: &Terms) -> Result<(Workday, Workday), Problem> {
        let mut bad = Vec::new();
        if let Some(program) = &self.program
            && !terms.programs.contains(program)
        {
            let known = match terms.programs.as_slice() {
                [] => "there is no program in the rules".to_owned(),
                some => format!("the programs in the rules are {}", some.join(", ")),
            };
            bad.push(BadParameter::new(
                "program",
                format!("`{program}` is not known: {known}"),
            ));
        }
        let (held, today) = (terms.window.from.0, terms.window.to.0);
        let from = self.from.unwrap_or(held);
        // Asked for from tomorrow on, the last day cannot be today.
        let to = self.to.unwrap_or(today.max(from));
        if from < held {
            bad.push(BadParameter::new(
                "from",
                format!(
                    "points are held by workday from {held} to {today}; {from} has left the window"
                ),
            ));
        } else if to < from {
            bad.push(BadParameter::new(
                "to",
                format!("{to} is before {from}, the first workday held"),
            ));
        }
        none_bad(bad)?;
        Ok((Workday::from_date(from), Workday::from_date(to)))
    }
}

/// Reads the body of `holder`'s decision about `reward_id`.
///
/// # Errors
/// If it is no JSON object, or whatever is wrong in it.
pub fn wish(reward_id: Id, decision: Decision, holder: Id, body: &[u8]) -> Result<Wish, Problem> {
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        Problem::Malformed(format!(
            "the body is a JSON object, such as {{}} or {{\"agent_id\": \"a-17\"}}: {error}"
        ))
    })?;
    let (mut by, mut agent_id, mut bad) = (None, None, Vec::new());
    for (name, value) in &fields {
        let place = match name.as_str() {
            "by" => &mut by,
            "agent_id" => &mut agent_id,
            _ => {
                bad.push(BadParameter::new(
                    name,
                    "is not known here: by and agent_id are",
                ));
                continue;
            }
        };
        match value.as_str().map(Id::new) {
            Some(Ok(id)) => *place = Some(id),
            Some(Err(why)) => bad.push(BadParameter::new(name, why)),
            None => bad.push(BadParameter::new(name, "is a string")),
        }
    }
    if by.is_some_and(|by| by != holder) {
        let why = format!(
            "is the token's holder, {holder}; leave it out, or send it with the token of the person who decides"
        );
        bad.push(BadParameter::new("by", why));
    }
    none_bad(bad)?;
    Ok(Wish {
        reward_id,
        agent_id,
        decision,
        by: holder,
    })
}

fn date(text: &str) -> Result<Date, String> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    match text.parse() {
        Ok(date) if plain => Ok(date),
        _ => Err(format!("`{}` is not a date like 2026-11-20", short(text))),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!(
            "`{}` is not a whole number from 1 to {LIMIT_MAX}",
            short(text)
        )),
    }
}

/// Enough of a value to know it by.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

fn none_bad(bad: Vec<BadParameter>) -> Result<(), Problem> {
    if bad.is_empty() {
        Ok(())
    } else {
        Err(Problem::BadParameters(bad))
    }
}
