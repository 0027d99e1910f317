//! Rewards under fifty `kill -9`: corrections, violations, revisions, reversals and refusals, at a marketplace that
//! fails. It has to end for every agent as it ends without a kill: as the script says, which a calm run confirms, and
//! to the point as a spreadsheet has it that takes the log as it became.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use aftercall::{
    log::{
        Log,
        jetstream::{JetStreamLog, Settings},
        sqlite::{SqliteLog, SqliteSettings},
    },
    sandbox::Spawned,
};
use aftercall_actors::{rewards::redemption::reward_id, rules::RuleSet};
use serde_json::json;

use crate::{
    calendar::Zone,
    lives,
    marketplace::{self, Patience},
    nats::Nats,
    script::{self, End},
    seed,
    service::Service,
    spreadsheet::{Book, Stands, Terms, Tier},
};

/// Agents of a story.
const AGENTS: usize = 800;

/// Nothing fails for certain so often that it is given up: that would be chance, and chance is not the same twice.
const PATIENCE: Patience = Patience {
    timeout: "800ms",
    attempts: 40,
};

const WINDOW_DAYS: i64 = 90;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_05_s3_12_rewards_end_as_the_script_says_without_kills() {
    let story = Story::embedded(false).await;
    let calm = story.told(AGENTS, Duration::from_secs(4), 0).await;
    assert!(calm.contains("Reversed") && calm.contains("Debt"), "{calm}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_05_s3_12_rewards_end_the_same_after_fifteen_kills_on_sqlite() {
    let story = Story::embedded(true).await;
    story.told(AGENTS / 2, Duration::from_secs(12), 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_05_s3_12_rewards_end_the_same_after_fifty_kills_on_nats() {
    let server = Nats::start();
    let arguments = ["--nats".to_owned(), server.url()];
    let mut story = Story::begun(&arguments, true).await;
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    story.log = Some(Arc::new(log.expect("a log")));
    story.told(AGENTS, Duration::from_secs(40), 50).await;
}

struct Story {
    /// They go with it.
    folders: Vec<tempfile::TempDir>,
    sandbox: Spawned,
    service: Service,
    log_arguments: Vec<String>,
    log: Option<Log>,
    rules: String,
    zone: Zone,
}

impl Story {
    async fn embedded(is_troubled: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("data");
        let arguments = ["--dir".to_owned(), dir.display().to_string()];
        let mut story = Self::begun(&arguments, is_troubled).await;
        // The program makes the file; a second process may have it open then.
        let opening =
            tokio::task::spawn_blocking(move || SqliteLog::open(&dir, SqliteSettings::default()));
        story.log = Some(Arc::new(opening.await.expect("opened").expect("a log")));
        story.folders.push(folder);
        story
    }

    async fn begun(log_arguments: &[String], is_troubled: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = marketplace::opened();
        if is_troubled {
            // No lies: whom they hit would hang on how often was asked.
            marketplace::make_unreliable(&sandbox, 0.0);
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = now.expect("after 1970").as_millis();
        let (zone, name) = script::noon(i64::try_from(now_ms).expect("a time"));
        let rules = rules(&name);
        let service =
            marketplace::service(folder.path(), log_arguments, &sandbox, PATIENCE, &rules);
        let mut service = service.started();
        service.until_ready().await;
        Self {
            folders: vec![folder],
            sandbox,
            service,
            log_arguments: log_arguments.to_vec(),
            log: None,
            rules,
            zone,
        }
    }

    /// Tells the story over `span`, kills the service `kills` times meanwhile, and holds its end to what was promised.
    /// What it came to.
    async fn told(mut self, agents: usize, span: Duration, kills: u32) -> String {
        let log = self.log.take().expect("a log");
        let [barred, redeemed] = script::barred_and_redeemed(agents);
        let mut control = marketplace::quirks();
        control["barred_agents"] = json!(barred);
        control["redeemed_agents"] = json!(redeemed);
        let set = self.sandbox.sandbox.control("/control/rewards", &control);
        set.expect("the marketplace is told");
        let playing = tokio::spawn(script::play(Arc::clone(&log), agents, self.zone, span));
        let folder = self.folders[0].path().to_owned();
        let shutting_out = tokio::spawn(async move {
            tokio::time::sleep(span / 4).await;
            marketplace::shut_out(&folder, span / 8).await;
        });
        lives::kill_often(&mut self.service, kills, seed()).await;
        shutting_out.await.expect("the token is right again");
        playing.await.expect("the scripts end");
        marketplace::until_settled(&mut self.service, marketplace::PATIENCE).await;
        lives::end(&mut self.service, &log).await;

        let genesis = RuleSet::parse(&self.rules, "story").expect("good rules");
        let states = marketplace::agents(&log, &genesis).await;
        let ends = states
            .iter()
            .map(|(name, agent)| (name.clone(), script::end_of(agent)));
        let ends: BTreeMap<String, End> = ends.collect();
        for (name, expected) in script::ends(agents, self.zone) {
            assert_eq!(
                ends.get(&name),
                Some(&expected),
                "{name} after {kills} kills"
            );
        }
        let mut book = Book::new(terms(self.zone));
        assert_eq!(marketplace::book(&log, &mut book).await, 0);
        marketplace::states_agree(&states, &book);
        marketplace::marketplace_agrees(&log, &self.sandbox, &book).await;
        let log_arguments: Vec<&str> = self.log_arguments.iter().map(String::as_str).collect();
        marketplace::ledger_agrees(self.folders[0].path(), &log_arguments);
        summary(&ends, kills)
    }
}

fn summary(ends: &BTreeMap<String, End>, kills: u32) -> String {
    let mut counts = BTreeMap::<Stands, usize>::new();
    for (_, stands) in ends.values().flat_map(|end| &end.rewards) {
        *counts.entry(*stands).or_default() += 1;
    }
    let mut text = String::new();
    let debt: i64 = ends.values().map(|end| end.debt).sum();
    write!(
        text,
        "{} agents, {kills} kills: {counts:?}, {debt} owed",
        ends.len()
    )
    .expect("a string takes it");
    println!("{text}");
    text
}

fn rules(time_zone: &str) -> String {
    format!(
        r#"
[business_unit]
time_zone = "{time_zone}"

[points]
window = "{WINDOW_DAYS}d"

[[program]]
name = "recognition"
enabled = true
approval = "none"

[[program.tier]]
name = "bronze"
threshold = 500
reward_type = "gift_card_25"

[[rule]]
name = "five_star"
on = "survey.response.created"
when = "event.csat == 5"
points = 10

[[rule]]
name = "csat_count"
on = "wfm.metric.recorded"
when = 'event.metric == "csat"'
points = "event.value * 10.0"
"#
    )
}

fn terms(zone: Zone) -> Terms {
    Terms {
        zone,
        window_days: WINDOW_DAYS,
        tiers: vec![Tier {
            name: "bronze",
            cost: 500,
            cap: None,
        }],
        points: |_, value| 10 * value as i64,
        name: |agent, tier, ordinal| reward_id("recognition", agent, tier, ordinal),
        slip: None,
    }
}
