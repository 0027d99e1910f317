//! The year as it passes: each event at its log time, over 365 days of it, straight to the product's actors.
//!
//! What a run of the real program cannot have: workdays that leave the window, thresholds reached because a loss left
//! with them, rejections asked about again on another day, limits whose period ends. Providers and people answer as the
//! seed says, late, twice and out of order; now and then an agent is stored and read back, as a crash would.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
};

use aftercall::{
    envelope,
    log::{Destination, Headers, RawEvent, Speaker},
};
use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{
        key::{Key, Side},
        output::Output,
        time::LogTime,
    },
    effect::Effect,
    rules::RuleSet,
    turn::Turn,
};

use crate::{
    calendar::{DAY_MS, HOUR_MS},
    compare::{differences, is_issued},
    entry::{self, Entry, Read},
    plan::{Export, Kind, METRICS, MONTHS, Plan},
    seeds,
    spreadsheet::{Sheet, Stands, Terms},
};

/// Partitions a side; it matters to routes only.
const PARTITIONS: u16 = 8;

/// The whole page is compared once in so many events; balance, held and debt at each.
const COMPARED_EACH: usize = 40;

/// What a year came to.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub events: u64,
    pub earned: i64,
    pub expired: i64,
    pub consumed: i64,
    pub debt: i64,
    pub stands: BTreeMap<Stands, usize>,
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            earned,
            expired,
            consumed,
            debt,
            stands,
        } = self;
        write!(
            f,
            "{events} events; points: {earned} earned, {expired} expired, {consumed} consumed, {debt} owed; rewards \
             {stands:?}"
        )
    }
}

/// Lets the year pass for every agent. The error names agents and what differs.
pub fn year(plan: &Plan, rules: &RuleSet, terms: &Terms) -> Result<Sums, String> {
    let sums = std::sync::Mutex::new(Sums::default());
    let failed = seeds::run(plan.agents, |number| {
        let sheet = life(plan, rules, terms, number)?;
        let mut sums = sums.lock().map_err(|error| error.to_string())?;
        sums.add(&sheet.0, sheet.1);
        Ok(())
    });
    if let Some((number, broken)) = failed.first() {
        let name = Plan::name(*number);
        return Err(format!("{} agents differ; {name}: {broken}", failed.len()));
    }
    sums.into_inner().map_err(|error| error.to_string())
}

impl Sums {
    pub fn add(&mut self, sheet: &Sheet, events: u64) {
        self.events += events;
        self.earned += sheet.earned;
        self.expired += sheet.expired;
        self.consumed += sheet.consumed();
        self.debt += sheet.debt;
        for reward in &sheet.rewards {
            *self.stands.entry(reward.stands).or_default() += 1;
        }
    }

    /// Those of both.
    pub fn join(&mut self, other: Self) {
        self.events += other.events;
        self.earned += other.earned;
        self.expired += other.expired;
        self.consumed += other.consumed;
        self.debt += other.debt;
        for (stands, count) in other.stands {
            *self.stands.entry(stands).or_default() += count;
        }
    }
}

/// One agent's year; the page at its end, and how many events it took.
fn life(plan: &Plan, rules: &RuleSet, terms: &Terms, number: u64) -> Result<(Sheet, u64), String> {
    let name = Plan::name(number);
    let mut life = Life {
        plan,
        number: number as i64,
        key: Key::Agent(&name),
        agent: Box::default(),
        book: crate::spreadsheet::Book::new(terms.clone()),
        coming: planned(plan, number),
        answers: 0,
        events: 0,
        now_ms: i64::MIN,
    };
    while let Some(Reverse(Coming { at_ms, payload, .. })) = life.next(rules)? {
        life.take(rules, at_ms, &payload)?;
    }
    let sheet = life.book.sheets.remove(&name).ok_or("nothing happened")?;
    let found = differences(&life.agent, &sheet, terms);
    if !found.is_empty() {
        return Err(found.join("\n  "));
    }
    let today = plan.zone.day(sheet.now_ms);
    let given = plan.given(number, today - terms.window_days, terms.points);
    if given != sheet.given() {
        let why = format!("files and events give {given}, the sheet {}", sheet.given());
        return Err(why);
    }
    Ok((sheet, life.events))
}

/// What is on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Coming {
    at_ms: i64,
    order: u64,
    payload: String,
}

type Queue = BinaryHeap<Reverse<Coming>>;

fn planned(plan: &Plan, number: u64) -> Queue {
    let mut queue = Queue::new();
    let mut push = |at_ms: i64, id: &str, entry: &Entry| {
        let payload = entry::event(id, entry).to_string();
        let order = queue.len() as u64;
        queue.push(Reverse(Coming {
            at_ms,
            order,
            payload,
        }));
    };
    for month in 0..MONTHS {
        for kind in Kind::ALL {
            let export = Export { kind, month };
            let at_ms = plan.arrives_ms(export);
            let good = plan.rows(export, number).into_iter();
            for row in good.filter(|row| row.flaw.is_none()) {
                for (metric, value) in METRICS.into_iter().zip(row.values) {
                    let Some(value) = value else { continue };
                    let entry = Entry::Row {
                        agent: Plan::name(number),
                        day: row.day,
                        metric: metric.to_owned(),
                        value,
                        recorded_ms: plan.recorded_ms(export),
                    };
                    push(
                        at_ms,
                        &format!("{kind:?}:{month}:{}:{metric}", row.day),
                        &entry,
                    );
                }
            }
        }
    }
    for told in plan.told(number) {
        push(told.arrives_ms, &told.id, &told.entry);
    }
    queue
}

struct Life<'a> {
    plan: &'a Plan,
    number: i64,
    key: Key<'a>,
    agent: Box<Agent>,
    book: crate::spreadsheet::Book,
    coming: Queue,
    answers: u64,
    events: u64,
    now_ms: i64,
}

impl Life<'_> {
    /// What comes next, the agent woken whenever it wanted to be by then, as a host does with every tick. What waking
    /// brings about may be the next to come: the log only ever goes forward.
    fn next(&mut self, rules: &RuleSet) -> Result<Option<Reverse<Coming>>, String> {
        while let Some(Reverse(next)) = self.coming.peek() {
            let Some(due) = self.agent.deadline().filter(|due| due.0 <= next.at_ms) else {
                return Ok(self.coming.pop());
            };
            self.pass_time(due.0)?;
            let mut effects = Vec::new();
            let mut turn = Turn::new(self.key, due, rules, &mut effects);
            self.agent.wake(&mut turn);
            self.hear(due.0, &effects);
        }
        Ok(None)
    }

    fn pass_time(&mut self, now_ms: i64) -> Result<(), String> {
        if now_ms < self.now_ms {
            return Err(format!(
                "log time goes back from {} to {now_ms}",
                self.now_ms
            ));
        }
        self.now_ms = now_ms;
        Ok(())
    }

    fn take(&mut self, rules: &RuleSet, now_ms: i64, payload: &str) -> Result<(), String> {
        self.pass_time(now_ms)?;
        self.events += 1;
        let route = Destination::Actors {
            owner: self.key.token(),
            customer: "_".to_owned(),
            event_type: String::new(),
        };
        let raw = RawEvent {
            position: self.events,
            time: LogTime(now_ms),
            route: route.route(PARTITIONS),
            speaker: Speaker::Service,
            headers: Headers::Empty,
            payload: payload.as_bytes().to_vec().into(),
        };
        let event = envelope::decode(&raw, PARTITIONS).map_err(|reject| reject.to_string())?;
        let mut effects = Vec::new();
        let mut turn = Turn::new(self.key, LogTime(now_ms), rules, &mut effects);
        self.agent.apply(&mut turn, &event);
        if let Read::Entry(entry) = entry::read(payload.as_bytes()) {
            self.book.enter(now_ms, &entry);
        }
        self.hear(now_ms, &effects);
        let Some(sheet) = self.book.sheets.values().next() else {
            return Err(format!("nobody's: {payload}"));
        };
        let rewards = self.agent.rewards();
        let found = (self.agent.points(), rewards.held(), rewards.debt());
        let booked = (sheet.balance(), sheet.held(), sheet.debt);
        if found != booked {
            let what = "balance, held, debt: the product";
            return Err(format!(
                "{what} {found:?}, the sheet {booked:?} after {payload}"
            ));
        }
        if self.events.is_multiple_of(COMPARED_EACH as u64) {
            let found = differences(&self.agent, sheet, &self.book.terms);
            if !found.is_empty() {
                return Err(format!("{} after {payload}", found.join("\n  ")));
            }
            let mut bytes = Vec::new();
            self.agent.encode(&mut bytes);
            match Actor::decode(Side::Agent, "agent", &bytes) {
                Ok(Actor::Agent(again)) => self.agent = again,
                Ok(Actor::Customer(_)) => return Err("another side".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn hear(&mut self, now_ms: i64, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Emit { id, output } = effect {
                self.answer(now_ms, id, output);
            }
        }
    }

    /// What a provider or a person says to an output, as the seed has it.
    fn answer(&mut self, now_ms: i64, id: &str, output: &Output) {
        let draw = |place: i64| {
            self.plan
                .draw(&[self.number, -7, self.answers as i64, place])
        };
        let agent = Plan::name(self.number as u64);
        let outcome = |status: &str| Entry::Outcome {
            agent: agent.clone(),
            output: id.to_owned(),
            status: status.to_owned(),
        };
        let decided = |reward: &str, approve| Entry::Decided {
            agent: agent.clone(),
            reward: reward.to_owned(),
            approve,
        };
        let minutes = 1 + (draw(0) % 600) as i64;
        let at_ms = now_ms + minutes * 60_000;
        let mut said = Vec::new();
        match output {
            Output::RewardRequested(reward) => match draw(1) % 20 {
                0 | 1 => said.push((at_ms, outcome("rejected"))),
                2 => {
                    // A person was wrong about it.
                    said.push((at_ms, outcome("needs_review")));
                    said.push((at_ms + DAY_MS, decided(&reward.reward_id, false)));
                    said.push((at_ms + 2 * DAY_MS, outcome("issued")));
                }
                3 => {
                    said.push((at_ms, outcome("needs_review")));
                    let approve = draw(2) % 2 == 0;
                    said.push((at_ms + 3 * DAY_MS, decided(&reward.reward_id, approve)));
                }
                4 => {
                    said.push((at_ms, outcome("rejected")));
                    said.push((at_ms + DAY_MS, decided(&reward.reward_id, true)));
                }
                5 => said.extend([(at_ms, outcome("issued")), (at_ms + 1, outcome("issued"))]),
                6 => said.push((at_ms + 12 * DAY_MS, outcome("issued"))),
                _ => said.push((at_ms, outcome("issued"))),
            },
            Output::RewardReversalRequested(_) => match draw(1) % 10 {
                0..=2 => said.push((at_ms, outcome("refused"))),
                3 => {
                    said.push((at_ms, outcome("refused")));
                    said.push((at_ms + DAY_MS, outcome("reversed")));
                }
                4 => {
                    said.push((at_ms, outcome("needs_review")));
                    said.push((at_ms + 2 * HOUR_MS, decided(id, draw(2) % 2 == 0)));
                }
                _ => said.push((at_ms, outcome("reversed"))),
            },
            Output::AlertRaised(alert) if alert.rule == "reward_awaiting_approval" => {
                if let Some((_, reward)) = id.split_once(':') {
                    let at_ms = now_ms + (draw(3) % 10) as i64 * DAY_MS;
                    match draw(4) % 10 {
                        0..=5 => said.push((at_ms, decided(reward, true))),
                        6..=8 => said.push((at_ms, decided(reward, false))),
                        _ => {}
                    }
                }
            }
            // The other alerts tell people; what they do about it comes with the request.
            _told => {}
        }
        for (at_ms, entry) in said {
            self.answers += 1;
            let id = format!("answer-{}", self.answers);
            self.coming.push(Reverse(Coming {
                at_ms,
                order: u64::MAX / 2 + self.answers,
                payload: entry::event(&id, &entry).to_string(),
            }));
        }
    }
}

/// Whether a year is about something: every way a reward can go is gone.
pub fn is_eventful(sums: &Sums) -> bool {
    use Stands::*;
    let all = [Rejected, Closed, Issued, Reversed, Debt];
    let some = |stands: &Stands| sums.stands.get(stands).is_some_and(|count| *count > 0);
    all.iter().all(some) && all.iter().any(|stands| is_issued(*stands)) && sums.expired > 0
}
