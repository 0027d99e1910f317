//! One contact of the made-up centre, as its number and the seed have it.

use aftercall_actors::contract::key::Key;

use super::{
    Centre, Random,
    json::Json,
    mix,
    words::{CHANNELS, ENDINGS, Ending, FIRST_NAMES, LAST_NAMES, TOPICS, Topic},
};

/// Everything that is true of a contact, whoever asks.
pub struct Contact {
    pub number: u64,
    pub interaction: String,
    pub topic: &'static Topic,
    pub channel: &'static str,
    pub language: &'static str,
    pub agent: Option<String>,
    pub agent_name: Option<(&'static str, &'static str)>,
    pub bot: Option<&'static str>,
    pub ending: &'static Ending,
    pub opening: &'static str,
    pub closing: &'static str,
    /// In hundredths, -100 to 100.
    pub sentiment: i32,
    pub duration_ms: i64,
    customer: Option<String>,
    phone: u64,
}

impl Contact {
    pub fn new(centre: Centre, number: u64) -> Self {
        let h = mix(centre.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut random = Random(h);
        let channel = weighted(&mut random, &CHANNELS, |(_, weight)| *weight).0;
        // Three in a hundred are handled by a bot alone, two by nobody: they left the queue.
        let (agent, bot) = match random.below(100) {
            0..3 => (None, Some("assistant-1")),
            3..5 => (None, None),
            _ => {
                // The lower of two draws: the first agents have about twice the average load.
                let index = random.below(centre.agents).min(random.below(centre.agents));
                (Some(index), None)
            }
        };
        // One contact in a hundred is of an unknown caller; one in ten of the few who call often.
        let often = (centre.customers / 100).max(1);
        let customer = match random.below(100) {
            0 => None,
            1..11 => Some(random.below(often)),
            _ => Some(random.below(centre.customers)),
        };
        let topic = match agent {
            // An agent works in one queue.
            Some(index) => &TOPICS[place(index, TOPICS.len())],
            None => &TOPICS[place(random.next(), TOPICS.len())],
        };
        let ending = weighted(&mut random, &ENDINGS, |ending| ending.weight);
        let spread = i32::try_from(random.below(60)).unwrap_or(0);
        Self {
            number,
            interaction: format!(
                "{:08x}-{:04x}-4{:03x}-9{:03x}-{number:012x}",
                h >> 32,
                (h >> 16) & 0xffff,
                h & 0xfff,
                centre.seed & 0xfff,
            ),
            topic,
            channel,
            language: random.pick(&["english", "german", "spanish"]),
            agent: agent.map(agent_id),
            agent_name: agent.map(|index| {
                let h = mix(index);
                let first = FIRST_NAMES[place(h, FIRST_NAMES.len())];
                (first, LAST_NAMES[place(h >> 32, LAST_NAMES.len())])
            }),
            bot,
            ending,
            opening: random.pick(&topic.openings),
            closing: random.pick(&ending.closings),
            sentiment: ending.sentiment_from + spread,
            // Half a minute to about twenty.
            duration_ms: (30_000 + random.below(1_200_000)).cast_signed(),
            customer: customer.map(|index| format!("customer-{index:07}")),
            phone: random.below(10_000_000),
        }
    }

    pub fn owner(&self) -> Key<'_> {
        match (&self.agent, self.bot) {
            (Some(agent), _) => Key::Agent(agent),
            (None, Some(bot)) => Key::Bot(bot),
            (None, None) => Key::Queue(self.topic.queue),
        }
    }

    pub fn customer(&self) -> Option<Key<'_>> {
        self.customer.as_deref().map(Key::Customer)
    }

    pub fn write_customer(&self, json: &mut Json) {
        json.raw(r#""customer":{"#);
        if let Some(customer) = &self.customer {
            json.field("customer_id", customer);
        }
        match self.channel {
            "email" | "chat" => {
                json.raw(r#""email":"c"#)
                    .number(self.phone)
                    .raw(r#"@example.org","#);
            }
            _ => {
                json.raw(r#""phone":"+49301"#)
                    .number(self.phone)
                    .raw(r#"","#);
            }
        }
        json.end_object();
    }
}

pub fn agent_id(index: u64) -> String {
    format!("agent-{index:04}")
}

/// A place in a list of this length.
fn place(n: u64, length: usize) -> usize {
    usize::try_from(n % length as u64).unwrap_or(0)
}

/// One of `from`, each as likely as its weight says.
fn weighted<'a, T>(random: &mut Random, from: &'a [T], weight: impl Fn(&T) -> u64) -> &'a T {
    let total: u64 = from.iter().map(&weight).sum();
    let mut left = random.below(total.max(1));
    for item in from {
        match left.checked_sub(weight(item)) {
            Some(rest) => left = rest,
            None => return item,
        }
    }
    &from[0]
}
