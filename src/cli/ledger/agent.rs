//! `aftercall ledger agent`: one agent's book, as a statement of account.

use std::{fmt::Display, ops::ControlFlow};

use aftercall_actors::{
    agent,
    contract::time::LogTime,
    rewards::redemption::{Claim, IssuedStatus, Stage, TierState, reward_id},
    rules::RuleSet,
};
use clap::Args;
use serde_json::{Value, json};

use super::{Days, Failure, LogArgs, Setting, adds_up, bar};
use crate::{
    app::Bus,
    cli::{render, terminal::Out},
    ledger::{Account, Balance, Books, Entry, Kind, Walk, Who},
};

/// Show one agent's book: every movement, the balance, and how its rewards stand
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall ledger agent a-17
  aftercall ledger agent a-17 --from 2026-11-01 --to 2026-11-30
  aftercall ledger agent a-17 --json | jq 'select(.kind == \"issued\")'

`aftercall ledger export --help` explains every kind of line. The balance is that of the agent's last event up to --to:
what leaves the window later is booked when the agent's next event comes.

With --json each line is an object as `aftercall ledger export --format ndjson` has it, and the last one, of kind
`balance`, is the account: balance and its parts, earned, expired, consumed, and how its rewards stand.")]
pub(super) struct Agent {
    #[command(flatten)]
    log: LogArgs,
    /// The agent's id, as events have it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    days: Days,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is printed.
struct Statement {
    /// The balance before the first line, if there was something before it.
    before: Option<Balance>,
    lines: Vec<Entry>,
    account: Account,
    rewards: Vec<Reward>,
    as_of: LogTime,
}

/// How a reward stands.
struct Reward {
    program: String,
    tier: String,
    id: String,
    standing: Kind,
    points: i64,
    /// When it was claimed or requested; of an issued one, when it was issued.
    since: LogTime,
}

const TITLES: [&str; 10] = [
    "TIME",
    "KIND",
    "POINTS",
    "BALANCE",
    "AVAILABLE",
    "HELD",
    "DEBT",
    "WORKDAY",
    "ABOUT",
    "DETAIL",
];

/// Those of them that hold numbers.
const NUMBERS: std::ops::Range<usize> = 2..7;

impl Agent {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let (from, end) = self.days.bounds()?;
        let config = setting.with_log(&self.log)?.config;
        let (mut before, mut lines) = (None, Vec::new());
        let books = bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            // Rules of a partition that never had an owner, so of one without events.
            let genesis = RuleSet::default_rules();
            let walk = Walk::begin(&log, &genesis, Who::One(&self.id)).await?;
            let mut walk = walk.until(end);
            let bar = bar(walk.retrace.until());
            let sink = |entry: Entry| {
                match from {
                    Some(from) if entry.time < from => before = Some(parts(&entry)),
                    Some(_) | None => lines.push(entry),
                }
                ControlFlow::Continue(())
            };
            let books = walk.run(sink, |position| bar.set_position(position)).await;
            bar.finish_and_clear();
            Ok::<Books, Failure>(books?)
        })?;
        let statement = self.statement(before, lines, &books)?;
        let mut out = Out::new();
        if self.json {
            for line in &statement.lines {
                out.json(line)?;
            }
            out.json(&self.account(&statement))?;
        } else {
            table(&mut out, &statement)?;
            self.tell(&mut out, &statement)?;
        }
        out.flush()?;
        adds_up(&books)
    }

    fn statement(
        &self,
        before: Option<Balance>,
        lines: Vec<Entry>,
        books: &Books,
    ) -> Result<Statement, Failure> {
        let account = books.accounts.get(self.id.as_str());
        let (Some(account), Some((agent, as_of))) = (account, &books.agent) else {
            let until = match self.days.to {
                Some(day) => format!(" up to {day}"),
                None => String::new(),
            };
            return Err(anyhow::anyhow!(
                "no event{until} is about agent `{}`; its id is `agent_id` in the events, and letters matter",
                self.id.escape_debug()
            )
            .into());
        };
        Ok(Statement {
            before,
            lines,
            account: account.clone(),
            rewards: rewards(&self.id, agent),
            as_of: *as_of,
        })
    }

    /// The account as the last line of JSON.
    fn account(&self, statement: &Statement) -> Value {
        let Account {
            balance,
            earned,
            expired,
            consumed,
            lines: _,
        } = &statement.account;
        let reward = |reward: &Reward| {
            json!({
                "program": reward.program, "tier": reward.tier, "reward_id": reward.id,
                "standing": reward.standing, "points": reward.points, "since": reward.since.to_string(),
            })
        };
        json!({
            "kind": "balance", "agent_id": self.id, "time": statement.as_of.to_string(),
            "balance": balance.points(), "available": balance.available, "held": balance.held,
            "debt": balance.debt, "earned": earned, "expired": expired, "consumed": consumed,
            "rewards": statement.rewards.iter().map(reward).collect::<Vec<_>>(),
        })
    }

    /// What stands below the table.
    fn tell(&self, out: &mut Out, statement: &Statement) -> Result<(), Failure> {
        let Account {
            balance,
            earned,
            expired,
            consumed,
            lines: _,
        } = &statement.account;
        field(out, "agent", &self.id)?;
        field(out, "as of", statement.as_of)?;
        field(out, "balance", balance)?;
        let sum = format!(
            "earned {earned} - expired {expired} - spent on rewards {consumed} = {}",
            balance.points()
        );
        field(out, "adds up", sum)?;
        for reward in &statement.rewards {
            let Reward {
                program,
                tier,
                id,
                standing,
                points,
                since,
            } = reward;
            let text = format!("{id}  {program}/{tier}  {points} points  {standing}, of {since}");
            field(out, "reward", text)?;
        }
        Ok(())
    }
}

fn parts(entry: &Entry) -> Balance {
    Balance {
        available: entry.available,
        held: entry.held,
        debt: entry.debt,
    }
}

/// Claims that stand, then issued rewards that are remembered.
fn rewards(id: &str, agent: &agent::Agent) -> Vec<Reward> {
    let tiers = agent.rewards().tiers();
    let reward = |tier: &TierState, claim: &Claim, standing, since| Reward {
        program: tier.program.to_string(),
        tier: tier.tier.to_string(),
        id: reward_id(&tier.program, id, &tier.tier, claim.ordinal),
        standing,
        points: claim.points,
        since,
    };
    let claims = tiers.iter().filter_map(|tier| {
        let claim = tier.stage.claim()?;
        Some(reward(tier, claim, stage(&tier.stage)?, claim.at))
    });
    let given = agent.rewards().issued().iter().filter_map(|given| {
        let tier = tiers.get(given.tier)?;
        Some(reward(
            tier,
            &given.claim,
            standing(given.standing),
            given.at,
        ))
    });
    claims.chain(given).collect()
}

/// A claim's standing is the kind of line that led to it.
const fn stage(stage: &Stage) -> Option<Kind> {
    match stage {
        Stage::Open => None,
        Stage::Awaiting(_) => Some(Kind::Awaiting),
        Stage::Locked(_) => Some(Kind::Requested),
        Stage::Review(_) => Some(Kind::NeedsReview),
        Stage::Rejected { .. } => Some(Kind::Rejected),
    }
}

/// So is that of an issued reward.
const fn standing(standing: IssuedStatus) -> Kind {
    match standing {
        IssuedStatus::Issued => Kind::Issued,
        IssuedStatus::Reversing => Kind::ReversalRequested,
        IssuedStatus::Review => Kind::ReversalNeedsReview,
        IssuedStatus::Reversed => Kind::Reversed,
        IssuedStatus::Debt => Kind::ReversalRefused,
        IssuedStatus::Held { .. } => Kind::CancellationNeedsReview,
        IssuedStatus::Cancelled { .. } => Kind::Cancelled,
    }
}

/// Columns as wide as their widest cell, numbers to the right; the last one is cut to a line's length.
fn table(out: &mut Out, statement: &Statement) -> Result<(), Failure> {
    let before = statement.before.map(|balance| {
        let [points, available, held, debt] = [
            balance.points(),
            balance.available,
            balance.held,
            balance.debt,
        ]
        .map(|number| number.to_string());
        let forward = "brought forward".to_owned();
        [
            String::new(),
            forward,
            String::new(),
            points,
            available,
            held,
            debt,
            String::new(),
            String::new(),
            String::new(),
        ]
    });
    let rows = before.into_iter().chain(statement.lines.iter().map(cells));
    let rows: Vec<[String; 10]> = rows.collect();
    if rows.is_empty() {
        out.line("no points or rewards have moved")?;
        return Ok(());
    }
    let mut widths = TITLES.map(|title| title.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; 10]| {
        let cells = cells.iter().zip(widths).enumerate();
        let cells = cells.map(|(n, (cell, width))| match n {
            n if NUMBERS.contains(&n) => format!("{cell:>width$}"),
            n if n + 1 == TITLES.len() => render::cut(cell),
            _text => format!("{cell:<width$}"),
        });
        let line = render::printable(&cells.collect::<Vec<_>>().join("  "));
        line.trim_end().to_owned()
    };
    out.line(line(TITLES))?;
    for row in &rows {
        out.line(line(row.each_ref().map(String::as_str)))?;
    }
    out.line("")?;
    Ok(())
}

fn cells(entry: &Entry) -> [String; 10] {
    // The id's beginning tells an agent's rewards apart; the whole stands below the table and in --json.
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let about = match (&entry.source, &entry.program, &entry.tier, &entry.reward_id) {
        (Some(source), _, _, _) => source.clone(),
        (None, Some(program), Some(tier), Some(id)) => format!("{program}/{tier} {}", short(id)),
        (None, _, _, _) => String::new(),
    };
    let points = match entry.points {
        0 => "0".to_owned(),
        points => format!("{points:+}"),
    };
    [
        entry.time.to_string(),
        entry.kind.to_string(),
        points,
        entry.balance.to_string(),
        entry.available.to_string(),
        entry.held.to_string(),
        entry.debt.to_string(),
        entry
            .workday
            .map_or_else(String::new, |day| day.0.to_string()),
        about,
        entry.detail.clone().unwrap_or_default(),
    ]
}

fn field(out: &mut Out, name: &str, value: impl Display) -> Result<(), Failure> {
    out.line(render::printable(&format!("{name:<8} {value}")))?;
    Ok(())
}
