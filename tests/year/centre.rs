//! The year as one that lies behind: exports imported, events published and rewards asked for by the real program, on a
//! real nats-server, at a marketplace that fails.
//!
//! Log time is the server's, so everything happens now, and a row counts by how long ago its workday was. What differs
//! between two runs is in which order answers come; so the spreadsheet takes the log as it became.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    log::{
        Log,
        jetstream::{JetStreamLog, Settings},
    },
    sandbox::{Spawned, call::Vendor},
};
use percent_encoding::NON_ALPHANUMERIC;
use serde_json::{Value, json};

use crate::{
    calendar,
    compare::is_issued,
    entry::{self, Entry},
    lives,
    marketplace::{self, Patience},
    nats::Nats,
    passing::Sums,
    plan::{Export, Kind, MONTHS, Plan},
    program,
    rules::{self, Numbers},
    service::{Service, TOKEN},
    spreadsheet::{Book, Sheet, Stands},
    written::{self, Counts},
};

/// As S3.08 has the attempts; seconds instead of the day and the minute of production.
const PATIENCE: Patience = Patience {
    timeout: "1500ms",
    attempts: 4,
};

/// Orders that the marketplace answers with a success that is none.
const LIES: f64 = 0.03;

/// The month in which the marketplace does not know the service's token, and for how long.
const SHUT_OUT_IN: i64 = 7;
const SHUT_OUT_FOR: Duration = Duration::from_secs(3);

/// Exit code of an import that left rows out.
const LEFT_OUT: i32 = 3;

/// Where all of it is.
struct Centre<'a> {
    plan: &'a Plan,
    numbers: Numbers,
    url: String,
    /// Where exports and events lie, and commands are run.
    desk: PathBuf,
    log: Log,
    sandbox: Spawned,
    service: Service,
    imported: Counts,
    published: u64,
    /// Outputs up to here were looked at by people.
    read: u64,
    decided: BTreeSet<String>,
}

/// Tells the year, which has ended, under rules with these numbers; panics where something does not hold.
pub async fn year(plan: &Plan, numbers: Numbers) {
    let began = Instant::now();
    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = marketplace::opened();
    marketplace::make_unreliable(&sandbox, LIES);
    let arguments = ["--nats", &server.url()].map(str::to_owned);
    let text = rules::text(&numbers);
    let mut service =
        marketplace::service(folder.path(), &arguments, &sandbox, PATIENCE, &text).started();
    service.until_ready().await;
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    let desk = folder.path().join("desk");
    fs::create_dir(&desk).expect("a folder");
    let mut centre = Centre {
        plan,
        numbers,
        url: server.url(),
        desk,
        log: Arc::new(log.expect("a log")),
        sandbox,
        service,
        imported: Counts::default(),
        published: 0,
        read: 0,
        decided: BTreeSet::new(),
    };
    for month in 0..MONTHS {
        centre.change_the_marketplace(month);
        let shut_out = (month == SHUT_OUT_IN).then(|| {
            let folder = folder.path().to_owned();
            tokio::spawn(async move { marketplace::shut_out(&folder, SHUT_OUT_FOR).await })
        });
        centre.import(month);
        centre.publish_what_is_told(month);
        centre.decide().await;
        if let Some(shut_out) = shut_out {
            shut_out.await.expect("the token is right again");
        }
    }
    let told = began.elapsed();
    centre.until_nobody_waits().await;
    let statements = centre.statements().await;
    lives::end(&mut centre.service, &centre.log).await;
    println!(
        "a year behind: told in {told:.1?}, settled in {:.1?}",
        began.elapsed()
    );
    centre.judge(&statements).await;
    println!("a year behind: judged after {:.1?}", began.elapsed());
}

impl Centre<'_> {
    /// Who gets nothing, and of what there is none left, for some months; and who keeps what they have.
    fn change_the_marketplace(&self, month: i64) {
        let named = |is_one: fn(u64) -> bool| -> Vec<String> {
            (0..self.plan.agents)
                .filter(|n| is_one(*n))
                .map(Plan::name)
                .collect()
        };
        let inventory = match month {
            4..=6 => json!({ "gift_card_50": 3 }),
            _ => json!({}),
        };
        let barred = if month < 9 {
            named(|n| n % 40 == 5)
        } else {
            Vec::new()
        };
        let mut control = marketplace::quirks();
        control["barred_agents"] = json!(barred);
        control["redeemed_agents"] = json!(named(|n| n % 12 == 3));
        control["inventory"] = inventory;
        let set = self.sandbox.sandbox.control("/control/rewards", &control);
        set.expect("the marketplace is told");
    }

    /// Imports a month's files in one go; every fourth month its first file once more.
    fn import(&mut self, month: i64) {
        let exports = Kind::ALL.map(|kind| Export { kind, month });
        let files = exports.map(|export| written::export(self.plan, export, &self.desk));
        let mut files: Vec<(PathBuf, Counts)> = files.into_iter().flatten().collect();
        let again = month % 4 == 0;
        files.extend(again.then(|| files[0].clone()));
        let names = files.iter().map(|(path, _)| path.display().to_string());
        let names: Vec<String> = names.collect();
        let arguments = ["import", "wfm", "--json", "--nats", &self.url];
        let arguments = arguments
            .into_iter()
            .chain(names.iter().map(String::as_str));
        let arguments: Vec<&str> = arguments.collect();
        let output = program::run_in(&self.desk, &arguments, "");
        let text = program::text(&output);
        let reports = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let reports: Vec<Value> = reports.collect();
        assert_eq!(reports.len(), files.len(), "{}", program::errors(&output));
        let last = files.len() - 1;
        for (place, ((path, counts), report)) in files.iter().zip(&reports).enumerate() {
            if again && place == last {
                assert_eq!(report["imported_before"], true, "{report}");
                continue;
            }
            let number = |name: &str| report[name].as_u64().expect("a number");
            let found = Counts {
                rows: number("rows"),
                values: number("stored") + number("duplicates"),
                bad: number("bad"),
            };
            assert_eq!(found, *counts, "{}: {report}", path.display());
            self.imported.rows += counts.rows;
            self.imported.values += counts.values;
            self.imported.bad += counts.bad;
        }
        let has_bad = files[..=last].iter().any(|(_, counts)| counts.bad > 0);
        let code = if has_bad { LEFT_OUT } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            program::errors(&output)
        );
    }

    fn publish_what_is_told(&mut self, month: i64) {
        let told = (0..self.plan.agents).flat_map(|agent| self.plan.told(agent));
        let mut told: Vec<_> = told.filter(|told| told.month == month).collect();
        told.sort_by_key(|told| told.arrives_ms);
        let events = told.iter().map(|told| entry::event(&told.id, &told.entry));
        let events: Vec<Value> = events.collect();
        self.publish(&format!("told-{month}.ndjson"), &events);
    }

    fn publish(&mut self, name: &str, events: &[Value]) {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        program::write(&self.desk, name, &lines);
        let output = self.command(&["publish", "--own", "--nats", &self.url, "--json", name]);
        let summary: Value = serde_json::from_str(&program::text(&output)).expect("JSON");
        assert_eq!(summary["stored"], events.len(), "{summary}");
        self.published += events.len() as u64;
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let output = program::run_in(&self.desk, arguments, "");
        let errors = program::errors(&output);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        output
    }

    /// People decide about what waits for them. Where nobody knows whether something was done they look at the
    /// marketplace. Says how many decisions that made.
    async fn decide(&mut self) -> usize {
        let outputs = marketplace::outputs_after(&self.log, self.read).await;
        self.read = outputs.last().map_or(self.read, |output| output.seq);
        let mut decisions = Vec::new();
        for output in outputs {
            let Some((rule, id)) = output.id.split_once(':') else {
                continue;
            };
            let done = |key: &str| self.sandbox.sandbox.executions(Vendor::Rewards, key) > 0;
            let approve = match rule {
                "reward_awaiting_approval" => match fate(id) % 10 {
                    0..=5 => true,
                    6..=7 => false,
                    _ => continue,
                },
                "reward_needs_review" => match id.strip_suffix(":reverse") {
                    Some(id) => done(&format!("reversal:{id}")),
                    None => done(id),
                },
                _ => continue,
            };
            if self.decided.insert(output.id.clone()) {
                let agent = entry::agent_of(&output.subject).expect("an agent");
                let reward = id.to_owned();
                let entry = Entry::Decided {
                    agent,
                    reward,
                    approve,
                };
                decisions.push(entry::event(&format!("decided-{}", output.id), &entry));
            }
        }
        if !decisions.is_empty() {
            self.publish(&format!("decided-{}.ndjson", self.read), &decisions);
        }
        decisions.len()
    }

    async fn until_nobody_waits(&mut self) {
        loop {
            marketplace::until_settled(&mut self.service, marketplace::PATIENCE).await;
            if self.decide().await == 0 {
                return;
            }
        }
    }

    /// What the service tells of every agent over HTTP.
    async fn statements(&self) -> Vec<Value> {
        let client = reqwest::Client::new();
        let mut statements = Vec::new();
        for number in 0..self.plan.agents {
            let name = Plan::name(number);
            let name = percent_encoding::utf8_percent_encode(&name, NON_ALPHANUMERIC);
            let url = self.service.url(&format!("/v1/agents/{name}/points"));
            let answer = client.get(url).bearer_auth(TOKEN).send().await;
            let text = answer.expect("an answer").text().await.expect("its body");
            statements.push(serde_json::from_str(&text).expect("JSON"));
        }
        statements
    }

    async fn judge(&self, statements: &[Value]) {
        let began = Instant::now();
        let terms = rules::terms(&self.numbers);
        let mut book = Book::new(terms);
        let bad = marketplace::book(&self.log, &mut book).await;
        assert_eq!(bad, self.imported.bad, "rows set aside");
        let events = self.log.bounds().await.expect("bounds").last;
        println!(
            "a year behind: {:?}, {} events published, {events} in the log; the sheet took {:.1?}",
            self.imported,
            self.published,
            began.elapsed()
        );

        let genesis = rules::rules(&self.numbers);
        let agents = marketplace::agents(&self.log, &genesis).await;
        assert_eq!(agents.len() as u64, self.plan.agents);
        marketplace::states_agree(&agents, &book);
        marketplace::marketplace_agrees(&self.log, &self.sandbox, &book).await;
        let folder = self.desk.parent().expect("the folder around it");
        let summary = marketplace::ledger_agrees(folder, &["--nats", &self.url]);
        println!("ledger verify: {summary}");
        let booked: usize = book.sheets.values().map(|sheet| sheet.rewards.len()).sum();
        assert_eq!(summary["rewards"], booked, "{summary}");
        let mut sums = Sums::default();
        for number in 0..self.plan.agents {
            let sheet = &book.sheets[&Plan::name(number)];
            let oldest = self.plan.zone.day(sheet.now_ms) - self.numbers.window_days;
            let given = self.plan.given(number, oldest, book.terms.points);
            assert_eq!(given, sheet.given(), "{}", Plan::name(number));
            let found = told(&statements[usize::try_from(number).expect("a place")]);
            assert_eq!(found, booked_of(sheet), "over HTTP");
            sums.add(sheet, 0);
        }
        println!("a year behind: {sums}");
        let least = self.plan.agents as usize / 100;
        for stands in [
            Stands::Issued,
            Stands::Rejected,
            Stands::Reversed,
            Stands::Debt,
        ] {
            let count = sums.stands.get(&stands).copied().unwrap_or(0);
            assert!(count >= least, "{stands:?}: {count}, so little was proved");
        }
        assert!(sums.debt > 0, "nobody owes anything");
    }
}

/// Balance, held, debt, points by workday, and how issued rewards stand.
type Told = ([i64; 3], BTreeMap<String, i64>, BTreeMap<String, String>);

fn told(statement: &Value) -> Told {
    let number = |value: &Value| value.as_i64().expect("a number");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |name: &str| statement[name].as_array().expect("a list").iter();
    let days = list("days").map(|day| (text(&day["date"]), number(&day["points"])));
    let history = list("history").map(|r| (text(&r["reward_id"]), text(&r["standing"])));
    (
        ["balance", "held", "debt"].map(|name| number(&statement[name])),
        days.filter(|day| day.1 != 0).collect(),
        history.collect(),
    )
}

fn booked_of(sheet: &Sheet) -> Told {
    let days = sheet.days.iter().filter(|day| *day.1 != 0);
    let issued = sheet.rewards.iter().filter(|r| is_issued(r.stands));
    (
        [sheet.balance(), sheet.held(), sheet.debt],
        days.map(|day| (calendar::written(*day.0), *day.1))
            .collect(),
        issued
            .map(|r| (r.id.clone(), format!("{:?}", r.stands).to_lowercase()))
            .collect(),
    )
}

/// What becomes of a claim that waits: the same, whenever it is asked.
fn fate(id: &str) -> u64 {
    id.bytes()
        .fold(7, |fate, byte| fate * 31 % 1_000_003 + u64::from(byte))
}
