//! Faults on demand: what goes wrong, for whom, how often; the same requests have the same luck under the same seed.
//!
//! Chance is drawn from the seed, the identity of the request (its idempotency key, else its content) and how often
//! that identity has come, not from the order of arrival: requests that overtake each other do not change who is hit.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::call::{Call, Vendor};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status; nothing is done.
    Status {
        /// HTTP status, 400..=599.
        status: u16,
        /// Seconds in `Retry-After`.
        retry_after: Option<u64>,
    },
    /// The connection is closed before anything is done.
    Drop,
    /// No answer ever, and nothing is done.
    Hang,
    /// Done at once, answered this many milliseconds later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// Done, and the connection is closed instead of the answer.
    Lost,
    /// Done, and no answer ever.
    Late,
    /// A status of success whose body says no.
    Lie,
    /// The answer grows beyond 10 KB.
    Oversize,
    /// Done, and the answer cannot be read at once, or not at all.
    Garbled(Garbling),
}

/// What is done to an answer's body on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbling {
    /// A byte order mark before it.
    Bom,
    /// In UTF-16, with a mark.
    Utf16,
    /// A name with an accent in it, in ISO-8859-1, as declared.
    Latin1,
    /// Half of a surrogate pair in it.
    Surrogate,
    /// Compressed, though nobody asked for that.
    Gzip,
    /// Its second half is missing.
    Cut,
    /// A page of HTML in its place.
    Html,
    /// Nothing in its place.
    Empty,
}

impl Garbling {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Bom,
        Self::Utf16,
        Self::Latin1,
        Self::Surrogate,
        Self::Gzip,
        Self::Cut,
        Self::Html,
        Self::Empty,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bom => "bom",
            Self::Utf16 => "utf16",
            Self::Latin1 => "latin1",
            Self::Surrogate => "surrogate",
            Self::Gzip => "gzip",
            Self::Cut => "cut",
            Self::Html => "html",
            Self::Empty => "empty",
        }
    }

    /// Whether a careful reader still reads the answer.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        match self {
            Self::Bom | Self::Utf16 | Self::Latin1 | Self::Surrogate | Self::Gzip => true,
            Self::Cut | Self::Html | Self::Empty => false,
        }
    }
}

/// The ways to write one, for errors and `--help`.
pub const WAYS: &str = "status=CODE[;retry_after=S], throttle[=S], drop, hang, slow=MS, lost, late, lie, oversize, bom, \
     utf16, latin1, surrogate, gzip, cut, html or empty";

/// Longest that `slow` may take, in milliseconds.
const SLOW_MS_MAX: u64 = 600_000;

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no fault; allowed: {WAYS}");
        let mut parts = text.split(';').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let (name, value) = match first.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (first, None),
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let fault = match (name, value) {
            ("status", Some(value)) => {
                let status = value
                    .parse()
                    .ok()
                    .filter(|status| (400..=599).contains(status))
                    .ok_or_else(|| format!("`{value}` is no status of an error: 400 to 599"))?;
                let retry_after = match parts.next().map(|part| part.split_once('=')) {
                    None => None,
                    Some(Some(("retry_after", seconds))) => Some(number(seconds)?),
                    Some(_) => return Err(wrong()),
                };
                Self::Status {
                    status,
                    retry_after,
                }
            }
            ("throttle", seconds) => Self::Status {
                status: 429,
                retry_after: Some(number(seconds.unwrap_or("1"))?),
            },
            ("slow", Some(ms)) => Self::Slow {
                ms: number(ms)?.min(SLOW_MS_MAX),
            },
            ("drop", None) => Self::Drop,
            ("hang", None) => Self::Hang,
            ("lost", None) => Self::Lost,
            ("late", None) => Self::Late,
            ("lie", None) => Self::Lie,
            ("oversize", None) => Self::Oversize,
            (name, None) => {
                let mut garblings = Garbling::ALL.into_iter();
                let garbling = garblings.find(|garbling| garbling.name() == name);
                Self::Garbled(garbling.ok_or_else(wrong)?)
            }
            _ => return Err(wrong()),
        };
        match parts.next() {
            None => Ok(fault),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status {
                status,
                retry_after: Some(seconds),
            } => write!(f, "status={status};retry_after={seconds}"),
            Self::Status {
                status,
                retry_after: None,
            } => write!(f, "status={status}"),
            Self::Drop => f.write_str("drop"),
            Self::Hang => f.write_str("hang"),
            Self::Slow { ms } => write!(f, "slow={ms}"),
            Self::Lost => f.write_str("lost"),
            Self::Late => f.write_str("late"),
            Self::Lie => f.write_str("lie"),
            Self::Oversize => f.write_str("oversize"),
            Self::Garbled(garbling) => f.write_str(garbling.name()),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// When a fault strikes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of a vendor; not set: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Only requests with this method; not set: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What happens.
    pub fault: Fault,
    /// Chance of a request, 0 to 1; not set: each one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Strikes so often at most; not set: until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of the chance; not set: the sandbox's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Rule {
    /// A fault that strikes each request of a vendor until it is deleted.
    #[must_use]
    pub fn always(vendor: Vendor, fault: Fault) -> Self {
        Self {
            vendor: Some(vendor.name().to_owned()),
            method: None,
            fault,
            probability: None,
            count: None,
            seed: None,
        }
    }

    /// What is wrong with it, for people.
    ///
    /// # Errors
    /// An unknown vendor, or a probability that is none.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.vendor
            && Vendor::named(name).is_none()
        {
            let names = Vendor::ALL.map(Vendor::name).join(", ");
            return Err(format!("there is no vendor `{name}`; there are {names}"));
        }
        match self.probability {
            Some(p) if !(0.0..=1.0).contains(&p) => {
                Err(format!("a probability is 0 to 1, {p} is none"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A rule that is on.
#[derive(Debug, Serialize)]
pub struct Active {
    /// To delete it by.
    pub id: u64,
    #[serde(flatten)]
    rule: Rule,
    /// How often it struck.
    pub struck: u64,
    /// How often each identity came.
    #[serde(skip)]
    seen: HashMap<u64, u32>,
}

/// All rules that are on, in the order they are asked: the first that strikes wins.
#[derive(Debug, Default)]
pub struct Faults {
    active: Vec<Active>,
    last_id: u64,
    seed: u64,
}

impl Faults {
    /// None yet. `seed` is for rules that have none of their own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Turns a rule on; its number.
    ///
    /// # Errors
    /// As [`Rule::check`].
    pub fn add(&mut self, rule: Rule) -> Result<u64, String> {
        rule.check()?;
        self.last_id += 1;
        self.active.push(Active {
            id: self.last_id,
            rule,
            struck: 0,
            seen: HashMap::new(),
        });
        Ok(self.last_id)
    }

    /// The rules that are on.
    #[must_use]
    pub fn list(&self) -> &[Active] {
        &self.active
    }

    /// Turns off one rule; whether there was one.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.id != id);
        self.active.len() < before
    }

    /// Turns off all.
    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// What goes wrong with this request, if anything.
    pub fn strike(&mut self, call: &Call) -> Option<Fault> {
        let mut identity = None;
        for active in &mut self.active {
            let rule = &active.rule;
            let is_meant = rule
                .vendor
                .as_deref()
                .is_none_or(|name| name == call.vendor.name())
                && rule
                    .method
                    .as_deref()
                    .is_none_or(|method| method.eq_ignore_ascii_case(&call.method));
            if !is_meant || rule.count.is_some_and(|count| active.struck >= count) {
                continue;
            }
            if let Some(probability) = rule.probability {
                let identity = *identity
                    .get_or_insert_with(|| xxh3_64_with_seed(call.identity().as_bytes(), 0));
                let time = active.seen.entry(identity).or_insert(0);
                *time = time.saturating_add(1);
                let seed = rule.seed.unwrap_or(self.seed);
                let mut drawn = [0; 20];
                drawn[..8].copy_from_slice(&identity.to_le_bytes());
                drawn[8..16].copy_from_slice(&active.id.to_le_bytes());
                drawn[16..].copy_from_slice(&time.to_le_bytes());
                // The upper 53 bits are a fraction that f64 holds exactly.
                let chance = (xxh3_64_with_seed(&drawn, seed) >> 11) as f64 / (1_u64 << 53) as f64;
                if chance >= probability {
                    continue;
                }
            }
            active.struck += 1;
            return Some(active.rule.fault);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn call(key: u32) -> Call {
        let headers = BTreeMap::from([("idempotency-key".to_owned(), key.to_string())]);
        Call::new("POST", "/rewards/v1/rewards/issue", headers, "{}".into())
    }

    fn chance(probability: f64, seed: u64) -> Faults {
        let mut faults = Faults::new(seed);
        let rule = Rule {
            probability: Some(probability),
            ..Rule::always(Vendor::Rewards, Fault::Hang)
        };
        assert_eq!(faults.add(rule), Ok(1));
        faults
    }

    #[test]
    fn every_fault_reads_back_as_it_is_written() {
        for text in [
            "status=503",
            "status=429;retry_after=7",
            "drop",
            "hang",
            "slow=250",
            "lost",
            "late",
            "lie",
            "oversize",
            "bom",
            "utf16",
            "latin1",
            "surrogate",
            "gzip",
            "cut",
            "html",
            "empty",
        ] {
            assert_eq!(
                text.parse::<Fault>().map(|f| f.to_string()),
                Ok(text.into())
            );
        }
        let throttle = Fault::Status {
            status: 429,
            retry_after: Some(3),
        };
        assert_eq!("throttle=3".parse(), Ok(throttle));
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in [
            "",
            "status",
            "status=200",
            "status=600",
            "status=x",
            "slow",
            "hang=1",
            "lost;x",
            "status=503;after=1",
            "throttle=soon",
            "Hang",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_seed_hits_the_same_requests_in_any_order() {
        let luck = |keys: &mut dyn Iterator<Item = u32>, seed| {
            let mut faults = chance(0.3, seed);
            let mut hit: Vec<u32> = keys
                .filter(|key| faults.strike(&call(*key)).is_some())
                .collect();
            hit.sort_unstable();
            hit
        };
        let forward = luck(&mut (0..1_000), 1);
        assert_eq!(forward, luck(&mut (0..1_000).rev(), 1));
        assert_ne!(forward, luck(&mut (0..1_000), 2));
        assert!((200..400).contains(&forward.len()), "{}", forward.len());
    }

    #[test]
    fn each_attempt_of_one_request_has_luck_of_its_own() {
        let mut faults = chance(0.5, 1);
        let hits = (0..200)
            .filter(|_| faults.strike(&call(7)).is_some())
            .count();
        assert!((60..140).contains(&hits), "{hits}");
    }

    #[test]
    fn a_counted_fault_strikes_so_often_and_only_whom_it_names() {
        let mut faults = Faults::new(0);
        let rule = Rule {
            count: Some(2),
            method: Some("post".into()),
            ..Rule::always(Vendor::Rewards, Fault::Drop)
        };
        assert_eq!(faults.add(rule), Ok(1));
        let other = Call::new("POST", "/crm/v1/customers", BTreeMap::new(), "{}".into());
        let get = Call::new("GET", "/rewards/v1/rewards/1", BTreeMap::new(), "".into());
        assert_eq!(faults.strike(&other), None);
        assert_eq!(faults.strike(&get), None);
        let struck: Vec<_> = (0..3).map(|key| faults.strike(&call(key))).collect();
        assert_eq!(struck, [Some(Fault::Drop), Some(Fault::Drop), None]);
        assert!(faults.remove(1) && !faults.remove(1));
    }

    #[test]
    fn certain_and_impossible_are_what_they_say() {
        let hits = |p| {
            let mut faults = chance(p, 3);
            (0..500)
                .filter(|key| faults.strike(&call(*key)).is_some())
                .count()
        };
        assert_eq!((hits(0.0), hits(1.0)), (0, 500));
        assert!(
            Faults::new(0)
                .add(Rule {
                    probability: Some(1.1),
                    ..Rule::always(Vendor::Crm, Fault::Lie)
                })
                .is_err()
        );
    }
}
