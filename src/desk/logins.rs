//! Slowing down who tries tokens: the answer to an unknown one is held back, and only so many are held at once.
//!
//! A client with a valid token is never slowed by a neighbour behind the same proxy that has a wrong one, unless that
//! one keeps [`HELD_MAX`] attempts in the air; then all of this address are asked to come back in a second, and no
//! token is looked at. So one address tries at most `HELD_MAX` tokens each [`HELD_FOR`]. What is held is a timer and an
//! open request, no thread; memory is bounded by [`HELD_MAX_TOTAL`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long the answer to an unknown token is held back.
pub const HELD_FOR: Duration = Duration::from_millis(500);

/// Answers held back for one address at a time.
pub const HELD_MAX: u16 = 8;

/// Answers held back in all at a time; beyond, the answer is 429 at once.
const HELD_MAX_TOTAL: usize = 1_024;

/// Why a request was not let in, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// No `Authorization` header.
    Missing,
    /// The header holds no bearer token.
    Malformed,
    /// A token that is not valid.
    Unknown,
    /// Not looked at: too many attempts from this address.
    Slowed,
    /// A valid token without the role that is needed.
    Forbidden,
}

impl Failed {
    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Slowed => "slowed",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Attempts whose answers are held back, by address.
#[derive(Debug, Default)]
pub struct Logins {
    held: Mutex<BTreeMap<IpAddr, u16>>,
}

impl Logins {
    fn held(&self) -> MutexGuard<'_, BTreeMap<IpAddr, u16>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address has to wait before a token of it is looked at.
    #[must_use]
    pub fn is_full(&self, address: IpAddr) -> bool {
        let held = self.held();
        held.get(&network(address))
            .is_some_and(|held| *held >= HELD_MAX)
    }

    /// Counts an answer as held back until the guard goes; none if there are too many.
    #[must_use]
    pub fn hold(self: &Arc<Self>, address: IpAddr) -> Option<Held> {
        let network = network(address);
        let mut held = self.held();
        let total: usize = held.values().map(|held| usize::from(*held)).sum();
        if total >= HELD_MAX_TOTAL {
            return None;
        }
        let here = held.entry(network).or_default();
        if *here >= HELD_MAX {
            return None;
        }
        *here += 1;
        Some(Held {
            logins: Arc::clone(self),
            network,
        })
    }
}

/// An answer that is held back.
#[derive(Debug)]
pub struct Held {
    logins: Arc<Logins>,
    network: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.logins.held();
        if let Some(here) = held.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                held.remove(&self.network);
            }
        }
    }
}

/// Who is taken for one: an IPv4 address, or the network of 64 bits that one customer of IPv6 has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_full_with_its_eighth_attempt_and_free_when_one_ends() {
        let logins = Arc::new(Logins::default());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = (0..HELD_MAX).map(|_| logins.hold(one).unwrap()).collect();
        assert!(logins.is_full(one) && logins.hold(one).is_none());
        assert!(!logins.is_full(other) && logins.hold(other).is_some());
        held.pop();
        assert!(!logins.is_full(one));
        drop(held);
        assert!(logins.held().is_empty(), "nothing is kept of them");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_and_a_mapped_ipv4_is_itself() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(
            network_of("2001:db8:1:2::1"),
            network_of("2001:db8:1:2:ffff::9")
        );
        assert_ne!(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
        assert_eq!(network_of("::ffff:10.0.0.1"), network_of("10.0.0.1"));
    }

    #[test]
    fn however_many_addresses_try_what_is_kept_of_them_is_bounded() {
        let logins = Arc::new(Logins::default());
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let held: Vec<_> = (0..5_000).filter_map(|n| logins.hold(address(n))).collect();
        assert_eq!(held.len(), HELD_MAX_TOTAL);
        assert_eq!(logins.held().len(), HELD_MAX_TOTAL);
    }
}
