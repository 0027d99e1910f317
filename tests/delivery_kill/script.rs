//! What happens to the agents of the story about rewards, and how it must end for each: chosen so that the end does not
//! depend on when the marketplace answers, nor on who is killed when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aftercall::log::{Destination, Headers, Log, NewEvent, retry};
use aftercall_actors::{agent::Agent, contract::key::Key};

use crate::{
    calendar::{self, HOUR_MS, Zone},
    compare,
    entry::{self, Entry, Read},
    spreadsheet::Stands,
};

/// The log takes events within this time, whatever is being killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the scripts go on, each by a step.
const BEAT: Duration = Duration::from_millis(100);

/// Stories, told to the agents in turn.
pub const STORIES: usize = 8;

/// One step of a script.
enum Step {
    Tell(Entry),
    /// Waits until so many outcomes have come.
    UntilTold(usize),
}

/// How it ends: balance, debt, and each reward in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub balance: i64,
    pub debt: i64,
    pub rewards: Vec<(u32, Stands)>,
}

pub fn name(number: usize) -> String {
    format!("agent-{number}")
}

/// Agents whom the marketplace gives nothing, and those whose rewards it does not take back.
pub fn barred_and_redeemed(agents: usize) -> [Vec<String>; 2] {
    let of = |stories: &[usize]| -> Vec<String> {
        let those = (0..agents).filter(|number| stories.contains(&(number % STORIES)));
        those.map(name).collect()
    };
    [of(&[4]), of(&[3, 7])]
}

/// What happens to an agent, and how it ends.
fn script(number: usize, zone: Zone, now_ms: i64) -> (Vec<Step>, End) {
    let agent = name(number);
    let today = zone.day(now_ms);
    let mut adjustments = 0;
    let mut points = |points: i64| {
        adjustments += 1;
        Step::Tell(Entry::Adjusted {
            agent: agent.clone(),
            id: format!("{agent}-{adjustments}"),
            points,
            at_ms: now_ms,
        })
    };
    let row = |value: f64, recorded_ms: i64| {
        Step::Tell(Entry::Row {
            agent: agent.clone(),
            day: today - 1,
            metric: "csat".to_owned(),
            value,
            recorded_ms,
        })
    };
    let survey = |revision, csat| {
        Step::Tell(Entry::Survey {
            agent: agent.clone(),
            response: format!("r-{number}"),
            revision,
            csat,
            at_ms: now_ms,
        })
    };
    let at = |hours: i64| now_ms - hours * HOUR_MS;
    let end = |balance, debt, rewards: &[Stands]| End {
        balance,
        debt,
        rewards: (0..).zip(rewards.iter().copied()).collect(),
    };
    use Stands::*;
    match number % STORIES {
        // Three rewards, however many are being asked for when the points come.
        0 => {
            let steps = vec![points(200), row(30.0, at(3)), points(500), points(500)];
            (steps, end(0, 0, &[Issued, Issued, Issued]))
        }
        // A correction takes away what a reward rests on; what was recorded before it changes nothing.
        1 => {
            let steps = vec![
                row(60.0, at(3)),
                row(30.0, at(1)),
                row(90.0, at(2)),
                row(30.0, at(1)),
            ];
            (steps, end(300, 0, &[Reversed]))
        }
        // A violation, told twice; afterwards one point is lacking.
        2 => {
            let (violation, again) = (points(-300), at_once_more(&agent, -300, now_ms));
            let steps = vec![points(500), violation, again, points(299)];
            (steps, end(499, 0, &[Reversed]))
        }
        // The reward is not taken back, and later points pay a part of the debt.
        3 => {
            let steps = vec![points(500), points(-300), points(100)];
            (steps, end(-200, 200, &[Debt]))
        }
        // The marketplace gives nothing.
        4 => (vec![points(700), points(10)], end(710, 0, &[Rejected])),
        // Two rewards, and a violation that takes both.
        5 => {
            let steps = vec![
                points(500),
                Step::UntilTold(1),
                points(500),
                Step::UntilTold(2),
                points(-600),
            ];
            (steps, end(400, 0, &[Reversed, Reversed]))
        }
        // The customer thought again: a survey's ten points were the last that were lacking.
        6 => {
            let steps = vec![points(490), survey(0, 5), survey(1, 4), survey(0, 5)];
            (steps, end(490, 0, &[Reversed]))
        }
        // Not taken back, and paid in full.
        _ => {
            let steps = vec![points(500), Step::UntilTold(1), points(-200), points(200)];
            (steps, end(0, 0, &[Debt]))
        }
    }
}

/// The adjustment that was told last, in another event.
fn at_once_more(agent: &str, points: i64, at_ms: i64) -> Step {
    Step::Tell(Entry::Adjusted {
        agent: agent.to_owned(),
        id: format!("{agent}-1"),
        points,
        at_ms,
    })
}

/// How it must end for everybody.
pub fn ends(agents: usize, zone: Zone) -> BTreeMap<String, End> {
    let ends = (0..agents).map(|number| (name(number), script(number, zone, 0).1));
    ends.collect()
}

/// How it has ended for an agent, in the words of [`ends`].
pub fn end_of(agent: &Agent) -> End {
    let rewards = agent.rewards();
    let mut all = compare::rewards_of(agent);
    all.sort();
    End {
        balance: agent.points(),
        debt: rewards.debt(),
        rewards: all,
    }
}

/// Outcomes that each agent has been told of.
type Told = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

fn locked(told: &Told) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the scripts: agents begin one after the other over `span`, and each goes on by a step a beat.
pub async fn play(log: Log, agents: usize, zone: Zone, span: Duration) {
    let told = Told::default();
    let listening = tokio::spawn(listen(Arc::clone(&log), Arc::clone(&told)));
    let now_ms = log.now().0;
    let scripts = (0..agents).map(|number| script(number, zone, now_ms).0.into_iter().peekable());
    let mut scripts: Vec<_> = scripts.collect();
    let (began, mut number) = (Instant::now(), 0_u64);
    while scripts.iter_mut().any(|script| script.peek().is_some()) {
        let share = began.elapsed().as_secs_f64() / span.as_secs_f64();
        let begun = ((agents as f64 * share) as usize + 1).min(agents);
        let mut events = Vec::new();
        for (agent, script) in scripts.iter_mut().enumerate().take(begun) {
            let outcomes = || locked(&told).get(&name(agent)).map_or(0, BTreeSet::len);
            if script
                .next_if(|step| matches!(step, Step::UntilTold(n) if outcomes() >= *n))
                .is_some()
            {
                continue;
            }
            if let Some(Step::Tell(entry)) = script.next_if(|step| matches!(step, Step::Tell(_))) {
                number += 1;
                events.push(stored(&format!("e-{number}"), &entry));
            }
        }
        for answer in retry::append(log.as_ref(), events, PATIENCE).await {
            answer.expect("events are stored in the end");
        }
        tokio::time::sleep(BEAT).await;
        assert!(began.elapsed() < span + PATIENCE, "outcomes do not come");
    }
    listening.abort();
}

/// Hears of every outcome in the log.
async fn listen(log: Log, told: Told) {
    let mut reader = log.read(1).await.expect("a reader");
    loop {
        for raw in reader.next(1_000).await.expect("events") {
            if let Read::Entry(Entry::Outcome { agent, output, .. }) = entry::read(&raw.payload) {
                locked(&told).entry(agent).or_default().insert(output);
            }
        }
    }
}

fn stored(id: &str, entry: &Entry) -> NewEvent {
    let event = entry::event(id, entry);
    let event_type = event["type"].as_str().unwrap_or_default().to_owned();
    let (owner, customer) = (Key::Agent(entry.agent()).token(), "_".to_owned());
    let destination = match entry {
        // As the desk stores what people decide.
        Entry::Outcome { .. } | Entry::Decided { .. } => Destination::Own {
            owner,
            customer,
            event_type,
        },
        _ => Destination::Actors {
            owner,
            customer,
            event_type,
        },
    };
    NewEvent {
        destination,
        headers: Headers::Empty,
        payload: event.to_string().into(),
        message_id: format!("office {id}"),
    }
}

/// Where it is about noon, so that no workday ends while a story is told.
pub fn noon(now_ms: i64) -> (Zone, String) {
    let hours = 12 - now_ms.rem_euclid(calendar::DAY_MS) / HOUR_MS;
    // Their names have the sign the other way round.
    let name = match hours {
        0 => "Etc/GMT".to_owned(),
        1.. => format!("Etc/GMT-{hours}"),
        ..0 => format!("Etc/GMT+{}", -hours),
    };
    (Zone::East(hours), name)
}
