//! Rules: what makes an alert, a coaching task, a segment or points, as conditions over events and figures.
//!
//! A rule file (`config/rules.toml` ships the defaults) is compiled once, where a `rules.activated` event sets
//! it in force, and then asked for every event. So everything that can be wrong with it is found at load
//! (`file`, `syntax`, `condition`), and an event costs no more than reading the fields its rules name (`field`, `eval`,
//! `keywords`): rules are kept by event type, and a type no rule listens to costs one comparison.
//! `agent` and `customer` ask [`RuleSet::matching`] and turn hits into outputs.

mod about;
mod check;
mod condition;
mod eval;
mod field;
mod file;
mod functions;
mod keywords;
#[cfg(test)]
mod oracle;
mod programs;
mod reader;
mod settings;
mod suggest;
mod syntax;
mod token;

use std::{fmt, sync::Arc};

use xxhash_rust::xxh3::xxh3_128;

pub use self::{
    condition::CONDITION_BYTES_MAX,
    file::{FILE_BYTES_MAX, RULES_MAX},
    keywords::KEYWORD_BYTES_MAX,
    reader::NAME_BYTES_MAX,
    settings::{EnrichmentMode, Settings},
    syntax::NESTING_MAX,
};
use self::{
    condition::Condition,
    eval::Trouble,
    field::{Scope, Topic},
};
use crate::{
    contract::{event::Event, output::Severity},
    effect::{Effect, Effects},
};

/// The rules that ship with the program.
const DEFAULT_RULES: &str = include_str!("../../config/rules.toml");

/// A compiled rule set. Cheap to clone: the clones share it.
#[derive(Clone, Debug)]
pub struct RuleSet(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    version: String,
    text: String,
    settings: Settings,
    rules: Vec<Rule>,
    /// For each topic, in the order of [`Topic::ALL`], the places of its rules in `rules`.
    by_topic: [Vec<usize>; Topic::ALL.len()],
    segment_reads: Vec<&'static str>,
}

/// What a rule does when its condition holds.
#[derive(Clone, Debug)]
pub enum Action {
    /// Raises an alert (surveys).
    Alert {
        /// How much it matters.
        severity: Severity,
    },
    /// Asks for coaching (eNPS).
    Coaching {
        /// Why, for people.
        reason: String,
    },
    /// Puts the customer into this segment for as long as the condition holds (completions).
    Segment {
        /// The segment's tag.
        tag: String,
    },
    /// Gives, or takes, points (surveys, eNPS, workforce metrics): as many as [`Hit::points`] says.
    Points {
        /// How many.
        award: Award,
    },
}

/// How many points a rule gives.
#[derive(Clone, Debug)]
pub enum Award {
    /// Always as many.
    Fixed(i32),
    /// As many as an expression over the event and the figures says.
    Computed(Expression),
}

/// A compiled expression of a rule.
pub type Expression = condition::Condition;

/// One rule, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its file.
    pub name: String,
    /// What it does.
    pub action: Action,
    topic: Topic,
    when: Condition,
}

impl Rule {
    /// The event type it listens to.
    #[must_use]
    pub const fn on(&self) -> &'static str {
        self.topic.type_name()
    }
}

/// The acting actor's own figures, as conditions see them: `agent.*` or `customer.*`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figures {
    /// `agent.points`, `agent.responses`, ...
    Agent {
        /// Points in the window.
        points: i64,
        /// eNPS responses in their window.
        responses: u32,
        /// Those of them from 0 to 6.
        detractors: u32,
        /// `detractors / responses`, 0 without responses.
        detractor_share: f64,
    },
    /// `customer.contacts`, ...
    Customer {
        /// Completed contacts in the history window.
        contacts: u32,
        /// Completed contacts in the last seven days.
        contacts_7d: u32,
        /// Sentiment of the latest contact that had one, -1 to 1.
        sentiment: Option<f64>,
        /// Mean sentiment over the history window, -1 to 1.
        sentiment_avg: Option<f64>,
    },
}

/// A rule whose condition holds.
#[derive(Clone, Debug)]
pub struct Hit<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Every keyword its `mentions(..)` found, each once, as the rule spells it.
    pub keywords: Vec<String>,
    /// Points it gives; 0 for a rule that does something else.
    pub points: i32,
}

/// Everything wrong with a rule file, one line each: `file:line: what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleErrors {
    /// The file, as it was named.
    pub origin: String,
    /// The mistakes, in the order of their lines.
    pub mistakes: Vec<Located>,
}

/// One mistake and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Line, from 1.
    pub line: usize,
    /// The rule, as messages name it, if it is in one.
    pub rule: Option<String>,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}: ", self.origin, mistake.line)?;
            if let Some(rule) = &mistake.rule {
                write!(f, "rule {rule}: ")?;
            }
            f.write_str(&mistake.what)?;
        }
        Ok(())
    }
}

impl RuleSet {
    /// Compiles a rule file; `origin` names it in errors.
    ///
    /// # Errors
    /// All of its mistakes, with their lines.
    pub fn parse(text: &str, origin: &str) -> Result<Self, RuleErrors> {
        let file = file::read(text).map_err(|mistakes| RuleErrors {
            origin: origin.to_owned(),
            mistakes,
        })?;
        let places = |topic| {
            let rules = file.rules.iter().enumerate();
            let of_topic = rules.filter(|(_, rule)| rule.topic == topic);
            of_topic.map(|(place, _)| place).collect()
        };
        // Of a completion whose disposition changes these two are known without the completion.
        let of_update = ["interaction_id", "disposition"];
        let on_completions = file.rules.iter().filter(|r| r.topic == Topic::Completed);
        let reads = on_completions.flat_map(|rule| rule.when.reads());
        let mut segment_reads: Vec<&'static str> = reads.copied().collect();
        segment_reads.retain(|name| !of_update.contains(name));
        segment_reads.sort_unstable();
        segment_reads.dedup();
        Ok(Self(Arc::new(Compiled {
            segment_reads,
            version: version(text, file.version.as_deref()),
            text: text.to_owned(),
            by_topic: Topic::ALL.map(places),
            settings: file.settings,
            rules: file.rules,
        })))
    }

    /// The rules that ship with the program.
    ///
    /// Cannot fail: the text is a constant of the program, parsing is a function of it alone, and the test
    /// `the_shipped_rules_are_right` parses that very constant, so a build whose tests pass never gets there.
    #[must_use]
    pub fn default_rules() -> Self {
        match Self::parse(DEFAULT_RULES, "config/rules.toml") {
            Ok(rules) => rules,
            Err(errors) => unreachable!("the shipped rules are wrong: {errors}"),
        }
    }

    /// The version stamped on outputs: 16 hexadecimal digits of the text's hash, or, if the file gives itself a
    /// version, that and 8 digits. It changes whenever the text does.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The text this was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Windows, zones and lists.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// All rules, in file order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    /// What segment rules read of a completion besides its interaction id and disposition, as names in its data,
    /// sorted: with it they can be asked again once the disposition changes (S4.09).
    #[must_use]
    pub fn segment_reads(&self) -> &[&'static str] {
        &self.0.segment_reads
    }

    /// Whether any rule listens to this event type.
    #[must_use]
    pub fn listens(&self, type_name: &str) -> bool {
        self.rules().iter().any(|rule| rule.on() == type_name)
    }

    /// Whether some value of this metric may give an agent points.
    #[must_use]
    pub fn gives_points_for(&self, metric: &str) -> bool {
        let places = self.0.by_topic[Topic::Wfm as usize].iter();
        places.map(|place| &self.0.rules[*place]).any(|rule| {
            matches!(rule.action, Action::Points { .. })
                && rule.when.holds_for(metric) != Some(false)
        })
    }

    /// Adds a hit for each rule that listens to this event's type and whose condition holds, in file order.
    ///
    /// A condition that needs an optional field, an answer or a figure that is not there does not hold. One
    /// that cannot be evaluated for another reason does not hold either, and is told as
    /// [`Effect::RuleFailed`]. Rules on surveys, eNPS and workforce metrics are the agent's, rules on
    /// completions the customer's: with the other one's figures there are no hits.
    pub fn matching<'a>(
        &'a self,
        event: &Event,
        figures: &Figures,
        hits: &mut Vec<Hit<'a>>,
        effects: &mut Effects,
    ) {
        let Some(topic) = Topic::of(&event.body) else {
            return;
        };
        if !topic.is_for(figures) {
            return;
        }
        let scope = Scope {
            body: &event.body,
            figures,
        };
        for place in &self.0.by_topic[topic as usize] {
            let rule = &self.0.rules[*place];
            match rule.hit(&scope) {
                Ok(Some(hit)) => hits.push(hit),
                Ok(None) | Err(Trouble::Absent) => {}
                Err(Trouble::Failed(failure)) => effects.push(Effect::RuleFailed {
                    rule: rule.name.as_str().into(),
                    why: failure.to_string().into(),
                }),
            }
        }
    }
}

impl Rule {
    fn hit(&self, scope: &Scope<'_>) -> Result<Option<Hit<'_>>, Trouble> {
        if !self.when.holds(scope)? {
            return Ok(None);
        }
        let points = match &self.action {
            Action::Points {
                award: Award::Fixed(points),
            } => *points,
            Action::Points {
                award: Award::Computed(expression),
            } => expression.points(scope)?,
            Action::Alert { .. } | Action::Coaching { .. } | Action::Segment { .. } => 0,
        };
        Ok(Some(Hit {
            rule: self,
            keywords: self.when.keywords(scope),
            points,
        }))
    }
}

fn version(text: &str, given: Option<&str>) -> String {
    let hash = xxh3_128(text.as_bytes());
    match given {
        Some(given) => format!("{given}+{:08x}", hash >> 96),
        None => format!("{:016x}", hash >> 64),
    }
}
