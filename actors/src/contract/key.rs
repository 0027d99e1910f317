//! Which actor an event is for: the key of an actor, the subject token that names it on the bus, and its partition.

use std::fmt;

/// The two families of actors. An event may have one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Agents and, for work without an agent, bots and queues.
    Agent,
    /// Customers.
    Customer,
}

impl Side {
    /// Both sides, in the order of their subject tokens.
    pub const ALL: [Self; 2] = [Self::Agent, Self::Customer];

    /// The name in subjects, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An actor's key, borrowed from the event that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key<'a> {
    /// An agent, by id.
    Agent(&'a str),
    /// A bot that handled an interaction alone.
    Bot(&'a str),
    /// A queue whose interaction no agent or bot has (had).
    Queue(&'a str),
    /// Work without an owner: one actor takes all of it, so that an alert is raised all the same. Its token is [`UNASSIGNED`].
    Unassigned,
    /// A customer, by id.
    Customer(&'a str),
    /// A customer without an id, by a hash of the number or address they came with (`CustomerRef::caller`). The bus
    /// knows them all under the token for "no customer", so they are in one partition.
    Caller(u128),
}

impl<'a> Key<'a> {
    /// The family this key belongs to.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Agent(_) | Self::Bot(_) | Self::Queue(_) | Self::Unassigned => Side::Agent,
            Self::Customer(_) | Self::Caller(_) => Side::Customer,
        }
    }

    /// Prefix and id of the token: `bot:` and the bot's id, for example.
    const fn parts(self) -> (&'static str, &'a str) {
        match self {
            Self::Agent(id) | Self::Customer(id) => ("", id),
            Self::Bot(id) => ("bot:", id),
            Self::Queue(id) => ("queue:", id),
            Self::Unassigned | Self::Caller(_) => ("", UNASSIGNED),
        }
    }

    /// The token that stands for this key in a subject: percent-encoded where NATS forbids a character.
    #[must_use]
    pub fn token(self) -> String {
        let mut token = String::new();
        self.token_bytes(|byte| token.push(char::from(byte)));
        token
    }

    /// The partition of `n` that owns this key: FNV-1a (32 bit) of the token, modulo `n`, as the server's
    /// `partition(n, token)` computes it.
    #[must_use]
    pub fn partition(self, n: u16) -> u16 {
        let mut hash = FNV_BASIS;
        self.token_bytes(|byte| hash = fnv1a(hash, byte));
        reduce(hash, n)
    }

    fn token_bytes(self, mut emit: impl FnMut(u8)) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let (prefix, id) = self.parts();
        for byte in prefix.bytes() {
            emit(byte);
        }
        // An id that is literally `_` must not read as "unassigned".
        let escape_all = id == UNASSIGNED && !matches!(self, Self::Unassigned | Self::Caller(_));
        for byte in id.bytes() {
            let forbidden = matches!(byte, b'.' | b'*' | b'>' | b'%' | 0..=b' ' | 127..);
            if forbidden || escape_all {
                emit(b'%');
                emit(HEX[usize::from(byte >> 4)]);
                emit(HEX[usize::from(byte & 15)]);
            } else {
                emit(byte);
            }
        }
    }
}

/// The partition of `n` that a subject token belongs to; the same as [`Key::partition`] of the key it stands for.
#[must_use]
pub fn partition_of_token(token: &str, n: u16) -> u16 {
    reduce(token.bytes().fold(FNV_BASIS, fnv1a), n)
}

const FNV_BASIS: u32 = 0x811c_9dc5;

const fn fnv1a(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

fn reduce(hash: u32, n: u16) -> u16 {
    u16::try_from(hash % u32::from(n.max(1))).unwrap_or(0)
}

/// The token for "no owner" and "no customer".
pub const UNASSIGNED: &str = "_";

/// The CloudEvents `subject` of an actor's outputs: `agent/<id>`, `bot/<id>`, `queue/<id>`, `customer/<id>`, and
/// `caller/<hash>` for a customer without an id.
impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent/{id}"),
            Self::Bot(id) => write!(f, "bot/{id}"),
            Self::Queue(id) => write!(f, "queue/{id}"),
            Self::Unassigned => write!(f, "queue/{UNASSIGNED}"),
            Self::Customer(id) => write!(f, "customer/{id}"),
            Self::Caller(hash) => write!(f, "caller/{hash:032x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_character_is_percent_encoded_and_an_underscore_id_is_not_nobody() {
        assert_eq!(Key::Agent("a.b *>%é").token(), "a%2Eb%20%2A%3E%25%C3%A9");
        assert_eq!(Key::Customer("_").token(), "%5F");
        assert_eq!(Key::Unassigned.token(), "_");
        assert_eq!(Key::Queue("q1").token(), "queue:q1");
        assert_eq!(Key::Caller(7).token(), "_");
    }

    #[test]
    fn partition_is_fnv1a_of_the_token() {
        // FNV-1a 32 of "a" is 0xe40c292c.
        assert_eq!(
            Key::Agent("a").partition(1000),
            (0xe40c_292c_u32 % 1000) as u16
        );
        for key in [
            Key::Agent("a.b é"),
            Key::Queue("q"),
            Key::Unassigned,
            Key::Customer("_"),
        ] {
            assert_eq!(
                partition_of_token(&key.token(), 7),
                key.partition(7),
                "{key}"
            );
        }
    }
}
