//! `GET /v1/leaderboard?program=&from=&to=&limit=`: agents by the points their workdays earned them.
//!
//! Every partition names its best, and the best of these are the best of all. What was earned counts, not what is left:
//! a reward takes nobody down. Days and limits are settled once, by the first partition's window, so that all partitions
//! answer about the same days.

use std::{cmp::Reverse, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, web};
use aftercall_actors::{
    contract::{time::EventTime, value::WorkDate},
    rewards::statement::{Earnings, Period},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Desk, access::Route, parameters::Listing, problem::Problem};
use crate::{
    log::Position,
    shard::ask::{Found, Question},
};

/// Agents by points earned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Leaderboard {
    /// The program whose rewards count; null: all programs'.
    pub program: Option<String>,
    /// First workday.
    pub from: WorkDate,
    /// Last workday.
    pub to: WorkDate,
    /// Position of the log up to which everything is in it.
    pub as_of: Position,
    /// Log time it was made for.
    pub at: EventTime,
    /// Agents who earned, lost or were given anything in that time, listed or not.
    pub agents: u64,
    /// Most points first; of agents with the same points, in the order of their ids.
    pub entries: Vec<Entry>,
}

/// One agent's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// 1 for the most points; the same points, the same rank, and as many ranks are left out after it.
    pub rank: u64,
    /// The agent.
    pub agent_id: String,
    /// Points earned on these workdays; may be negative.
    pub points: i64,
    /// Rewards issued on them and not taken back.
    pub rewards: u32,
    /// Points these rewards cost.
    pub points_redeemed: i64,
}

/// The handler.
pub async fn get(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    match leaderboard(&request, &desk).await {
        Ok(leaderboard) => HttpResponse::Ok().json(leaderboard),
        Err(problem) => problem.response(),
    }
}

async fn leaderboard(request: &HttpRequest, desk: &Desk) -> Result<Leaderboard, Problem> {
    desk.admit(request, Route::Leaderboard).await?;
    let listing = Listing::read(request.query_string())?;
    let asker = desk.asker()?;
    let other = || Problem::Internal("a partition answered something else".into());
    let terms = asker.any(Question::Terms).await?;
    let at = terms.at;
    let Found::Terms(terms) = terms.found else {
        return Err(other());
    };
    let (from, to) = listing.period(&terms)?;
    let Listing { program, limit, .. } = listing;
    let period = Arc::new(Period {
        from,
        to,
        program: program.clone(),
    });
    let answers = asker.all(&Question::Ranking { period, limit }).await?;
    let (mut as_of, mut agents, mut best) = (Position::MAX, 0, Vec::new());
    for answer in answers {
        let Found::Ranking(ranking) = answer.found else {
            return Err(other());
        };
        as_of = as_of.min(answer.as_of);
        agents += ranking.agents;
        best.extend(ranking.best);
    }
    Ok(Leaderboard {
        program,
        from: WorkDate(from.date()),
        to: WorkDate(to.date()),
        as_of,
        at: EventTime(at.0),
        agents,
        entries: ranked(best, limit),
    })
}

/// The best of them, with their ranks.
fn ranked(mut agents: Vec<(String, Earnings)>, limit: usize) -> Vec<Entry> {
    agents.sort_by(|(id, one), (other_id, other)| {
        (Reverse(one.points), id).cmp(&(Reverse(other.points), other_id))
    });
    agents.truncate(limit);
    let mut entries: Vec<Entry> = Vec::with_capacity(agents.len());
    for (place, (agent_id, earned)) in (1..).zip(agents) {
        let same = entries.last().filter(|last| last.points == earned.points);
        entries.push(Entry {
            rank: same.map_or(place, |last| last.rank),
            agent_id,
            points: earned.points,
            rewards: earned.rewards,
            points_redeemed: earned.redeemed,
        });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_03_ties_share_a_rank_leave_the_next_out_and_stand_in_the_order_of_ids() {
        let agents = [("d", 5), ("b", 7), ("a", 7), ("e", -1), ("c", 7)];
        let agents = agents.map(|(id, points)| {
            let earned = Earnings {
                points,
                ..Earnings::default()
            };
            (id.to_owned(), earned)
        });
        let of = |limit| {
            let entries = ranked(agents.to_vec(), limit).into_iter();
            let lines = entries.map(|entry| (entry.rank, entry.agent_id, entry.points));
            lines.collect::<Vec<_>>()
        };
        let line = |rank, id: &str, points| (rank, id.to_owned(), points);
        let all = [
            line(1, "a", 7),
            line(1, "b", 7),
            line(1, "c", 7),
            line(4, "d", 5),
            line(5, "e", -1),
        ];
        assert_eq!(of(9), all);
        assert_eq!(of(2), all[..2]);
    }
}
