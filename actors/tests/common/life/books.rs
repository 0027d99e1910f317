//! What an agent does and says, against its books: at the right time, what is due, no more, and nothing left undone.

use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{
        output::{Output, Reward},
        time::LogTime,
    },
    effect::{Effect, Ignored},
    rewards::{
        redemption::{IssuedStatus, REVERSE, reward_id},
        statement::StageName,
    },
};

use super::{Life, WINDOW, civil};
use crate::{
    common::*,
    ledger::{Booked, Entry},
};

impl Life<'_> {
    /// Lets time pass, and wakes the agent if it wants to be woken by then.
    pub fn wait_until(&mut self, until: i64) {
        let due = self.stage.deadline();
        self.nothing_is_missed(until, due);
        if until > self.after_ms {
            self.last = None;
        }
        self.after_ms = until;
        let Some(due) = due.filter(|due| *due <= until) else {
            return;
        };
        let effects = self.stage.wake(self.after_ms);
        self.log(None, &effects);
        assert!(self.stage.deadline().is_none_or(|next| next > until));
        let is_looked_at = self.looked == self.set;
        self.pass_time();
        self.moved(0, &effects);
        let view = self.view();
        let is_limited = view.share.is_some() || view.tiers.iter().any(|t| t.cap.is_some());
        let speaks = !effects.is_empty();
        assert!(
            speaks || due < until || is_limited || !is_looked_at,
            "woken in vain"
        );
        if speaks {
            self.seen.insert(match is_limited {
                true => "woken at the end of a limit",
                false => "woken when a loss left",
            });
        }
    }

    /// No reward is to be had before the agent wants to be woken, unless the rules have changed since it was looked at.
    fn nothing_is_missed(&self, until: i64, due: Option<i64>) {
        let view = self.view();
        if self.looked != self.set || view.tiers.is_empty() {
            return;
        }
        let caps = view.tiers.iter().filter_map(|tier| tier.cap);
        let periods: Vec<i64> = caps
            .map(|(_, ms)| ms)
            .chain(view.share.map(|(_, ms)| ms))
            .collect();
        let rewards = self.ledger.rewards.iter();
        let ends =
            rewards.flat_map(|reward| periods.iter().map(move |ms| reward.at_ms + ms - NOW_MS));
        let days = self.day_at(self.after_ms) + 1..=self.day_at(until);
        let midnights = days.map(|day| {
            let begins = self.family.zone.to_timestamp(civil(day).at(0, 0, 0, 0));
            begins.unwrap().as_millisecond() - NOW_MS
        });
        let mut times: Vec<i64> = ends.chain(midnights).collect();
        times.retain(|at| *at > self.after_ms && *at <= until && due.is_none_or(|due| *at < due));
        times.sort_unstable();
        let mut ledger = self.ledger.clone();
        for at in times {
            ledger.pass_time(NOW_MS + at, self.day_at(at), WINDOW);
            ledger.pay_debt();
            for tier in &view.tiers {
                assert!(
                    !ledger.is_due(view, tier, false),
                    "{tier:?} is slept through"
                );
            }
        }
    }

    /// Books so many points, and what follows.
    pub fn points(&mut self, day: i64, change: i64, effects: &[Effect]) {
        if change != 0 {
            self.ledger.earn(day, change);
        }
        self.moved(change, effects);
    }

    pub fn moved(&mut self, change: i64, effects: &[Effect]) {
        self.balance(effects, change > 0, change < 0);
    }

    fn balance(&mut self, effects: &[Effect], gained: bool, claws: bool) {
        self.ledger.forget(self.family.keep_ms);
        self.ledger.pay_debt();
        self.ledger.withdraw();
        self.follow(effects, gained, claws);
        if claws && self.ledger.covered() < 0 {
            assert_eq!(self.ledger.latest(WINDOW * DAY_MS), None, "not taken back");
        }
        let view = self.view();
        for tier in &view.tiers {
            let is_due = self.ledger.is_due(view, tier, gained);
            assert!(!is_due, "{tier:?} is reached and not claimed");
        }
        self.looked = self.set;
    }

    pub fn answer(&mut self, place: usize, is_reversal: bool, word: &str) {
        let id = self.ledger.rewards[place].id.clone();
        let is_decision = matches!(word, "approve" | "reject");
        let body = match is_decision {
            true => decided(&id, word),
            false if is_reversal => reward_outcome(&format!("{id}{REVERSE}"), word),
            false => reward_outcome(&id, word),
        };
        let effects = self.apply(body);
        self.pass_time();
        let is_withdrawn = self.withdraws(is_decision);
        let Booked { entry, program, .. } = self.ledger.rewards[place];
        let is_running = self.view().tiers.iter().any(|tier| tier.program == program);
        if (entry, word, is_running) == (Entry::Awaiting, "approve", false) {
            self.seen.insert("approved while it is stopped");
            assert_eq!(effects[..1], ignored(Ignored::ProgramStopped));
            return self.ignored(&effects, is_withdrawn);
        }
        let rules = &self.family.sets[self.set];
        let frees = rules.frees.contains(&program);
        if !self.ledger.answer(place, is_reversal, word, frees) {
            return self.ignored(&effects, is_withdrawn);
        }
        match self.ledger.rewards[place].entry {
            // The points stay where they are.
            Entry::Locked | Entry::Review | Entry::ReversalReview | Entry::Held
                if !is_withdrawn =>
            {
                self.follow(&effects, false, false);
            }
            after => {
                let claws = match after {
                    Entry::Issued | Entry::Reversed => true,
                    // Not where a person only lets the tier be claimed again.
                    Entry::Cancelled => entry != Entry::Cancelled,
                    // Not where its reversal is refused.
                    Entry::Debt => matches!(entry, Entry::Held | Entry::Cancelled),
                    _ => false,
                };
                self.balance(&effects, false, claws);
            }
        }
    }

    /// Before a decision is taken, what is not covered any more is not claimed any more: whether something was.
    pub fn withdraws(&mut self, is_decision: bool) -> bool {
        let held = self.ledger.held();
        if is_decision {
            self.ledger.withdraw();
        }
        self.ledger.held() != held
    }

    /// An answer that changes nothing, though what it came too late for may have freed points.
    pub fn ignored(&mut self, effects: &[Effect], is_withdrawn: bool) {
        let [Effect::Ignore(_), more @ ..] = effects else {
            panic!("{effects:?}");
        };
        if is_withdrawn {
            return self.balance(more, false, false);
        }
        assert_eq!(more, []);
        self.agrees();
    }

    /// Books what the actor said, and whether it may have.
    fn follow(&mut self, effects: &[Effect], gained: bool, claws: bool) {
        for effect in effects {
            let Effect::Emit { id, output } = effect else {
                assert!(matches!(effect, Effect::Ignore(_)), "{effect:?}");
                continue;
            };
            assert!(self.said.insert(id.clone()), "{id} twice");
            match output {
                Output::RewardRequested(reward) => self.request(id, reward, gained),
                Output::AlertRaised(alert) if alert.rule == "reward_awaiting_approval" => {
                    let id = id.strip_prefix("reward_awaiting_approval:").unwrap();
                    let mut tiers = self.view().tiers.iter();
                    let tier = tiers.find(|tier| self.next_id(tier.program, tier.name) == id);
                    let tier = tier.expect("the next reward of a tier");
                    let name = (tier.program, tier.name);
                    let view = self.view();
                    self.ledger.claim(view, name, (id, Entry::Awaiting), gained);
                }
                Output::RewardReversalRequested(reward) => {
                    assert!(claws && self.ledger.covered() < 0, "{id} without need");
                    let latest = self.ledger.latest(WINDOW * DAY_MS);
                    let latest = &mut self.ledger.rewards[latest.expect("one to take back")];
                    let found = (&reward.reward_id, reward.points_consumed);
                    assert_eq!(found, (&latest.id, latest.cost));
                    latest.entry = Entry::Reversing;
                }
                _alert => assert!(matches!(output, Output::AlertRaised(_)), "{output:?}"),
            }
        }
        self.agrees();
    }

    fn request(&mut self, id: &str, reward: &Reward, gained: bool) {
        assert_eq!(id, reward.reward_id);
        let mut booked = self.ledger.rewards.iter();
        if !booked.any(|r| r.id == *id) {
            let (view, name) = (self.view(), (&*reward.program, &*reward.tier));
            assert_eq!(id, self.next_id(name.0, name.1));
            self.ledger.claim(view, name, (id, Entry::Locked), gained);
        }
        let mut booked = self.ledger.rewards.iter();
        let booked = booked.find(|r| r.id == *id).unwrap();
        assert_eq!(booked.entry, Entry::Locked, "{id} was not agreed to");
        assert_eq!(booked.cost, reward.points_consumed, "{id}");
        assert!(self.ledger.free() >= 0, "{id} below its threshold");
    }

    /// Id of a tier's next reward.
    fn next_id(&self, program: &str, tier: &str) -> String {
        let claimed = self.ledger.rewards.iter();
        let claimed = claimed.filter(|r| (r.program, r.tier) == (program, tier));
        reward_id(program, "a1", tier, claimed.count() as u32)
    }

    /// The agent's figures are the books', in sum, by workday and by reward.
    pub fn agrees(&self) {
        let rewards = rewards(&self.stage);
        let found = (self.stage.points(), rewards.held(), rewards.debt());
        let booked = (self.ledger.balance(), self.ledger.held(), self.ledger.debt);
        assert_eq!(found, booked, "balance, held, debt");
        let Actor::Agent(agent) = &self.stage.actor else {
            panic!("not an agent");
        };
        let by_day = agent.window().by_day();
        let by_day: Vec<(i64, i64)> = by_day.iter().map(|(d, p)| (d.0.into(), *p)).collect();
        let booked = self.ledger.days.iter().map(|(day, points)| (*day, *points));
        let booked: Vec<(i64, i64)> = booked.filter(|(_, points)| *points != 0).collect();
        assert_eq!(by_day, booked, "free points by workday");
        let tiers = rewards.tiers();
        let open = tiers
            .iter()
            .filter_map(|tier| Some((tier, tier.stage.claim()?)));
        let given = rewards.issued().iter();
        let given = given.map(|given| (&tiers[given.tier], &given.claim));
        for (tier, claim) in open.chain(given) {
            let id = reward_id(&tier.program, "a1", &tier.tier, claim.ordinal);
            let booked = self.ledger.rewards.iter().find(|r| r.id == id).unwrap();
            let parts = claim.parts.iter();
            let parts: Vec<(i64, i64)> = parts.map(|p| (p.day.0.into(), p.points)).collect();
            assert_eq!((claim.points, &parts), (booked.cost, &booked.parts), "{id}");
        }
        for given in rewards.issued() {
            let tier = &tiers[given.tier];
            let id = reward_id(&tier.program, "a1", &tier.tier, given.claim.ordinal);
            let booked = self.ledger.rewards.iter().find(|r| r.id == id).unwrap();
            let stands = match given.standing {
                IssuedStatus::Issued => Entry::Issued,
                IssuedStatus::Reversing => Entry::Reversing,
                IssuedStatus::Review => Entry::ReversalReview,
                IssuedStatus::Reversed => Entry::Reversed,
                IssuedStatus::Debt => Entry::Debt,
                IssuedStatus::Held { .. } => Entry::Held,
                IssuedStatus::Cancelled { .. } => Entry::Cancelled,
            };
            // What is forgotten in the books is forgotten by the agent at its next step.
            let known = booked.entry != Entry::Forgotten;
            assert!(
                !known || stands == booked.entry,
                "{id}: {stands:?}, booked {:?}",
                booked.entry
            );
        }
        self.is_told_as_booked(agent);
        self.ledger.check();
    }

    /// The statement says what the books say, and its parts add up.
    fn is_told_as_booked(&self, agent: &Agent) {
        let now = LogTime(NOW_MS + self.after_ms);
        let told = agent.statement("a1", now, self.stage.rules.settings());
        let days: i64 = told.days.iter().map(|day| day.points).sum();
        assert_eq!(days, told.available);
        assert_eq!(told.available + told.held - told.debt, told.balance);
        let booked = (self.ledger.balance(), self.ledger.held());
        assert_eq!((told.balance, told.held), booked);
        let locks = told.locks.iter();
        let locked = locks.filter(|lock| lock.stage != StageName::Rejected);
        assert_eq!(locked.map(|lock| lock.points).sum::<i64>(), told.held);
    }
}
