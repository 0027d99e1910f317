//! Names of streams and subjects, and the way between them and our own terms.
//!
//! Producers write `cx.events.<owner>.<customer>.<type>`; the stream stores `cx.in.<ap>.<cp>.<type>`, where its
//! subject transform has put partitions in the place of tokens. Few distinct subjects keep the server fast, and
//! the reader learns an event's route without looking into it.
//!
//! What only the service says goes to `cx.control.<ap>.<cp>.<type>`, or `cx.control.<type>` if it is for all: a space of
//! its own, which every stream ever made for events carries, so that the server's permissions can keep it. A log from
//! before that holds everything under `cx.ev.<ap>.<cp>.<type>`: whose an event there is cannot be told any more.

use aftercall_actors::contract::{
    key::{Side, partition_of_token},
    output::Kind,
};

use crate::log::{DeadPlace, Destination, Lane, PartitionId, Route, Speaker, dead::is_destination};

/// Events: the truth, append only.
pub const EVENTS: &str = "CX_EVENTS";
/// A record per commit.
pub const JOURNAL: &str = "CX_JOURNAL";
/// Packed generations.
pub const SNAPSHOT: &str = "CX_SNAPSHOT";
/// Outputs.
pub const OUT: &str = "CX_OUT";
/// Quarantined input and dead letters.
pub const DEAD: &str = "CX_DEAD";
/// Delivery records of destinations.
pub const DELIVERY: &str = "CX_DELIVERY";
/// Raw vendor payloads from a bus that does not know our shape.
pub const INBOX: &str = "CX_INBOX";

/// What producers of events publish to.
pub const EVENTS_SOURCE: &str = "cx.events.*.*.>";
/// What only the service says.
pub const CONTROL: &str = "cx.control.>";
/// Beginning of the stored subjects of producers' events.
const STORED: &str = "cx.in.";
/// The same, as versions before stored the service's own with them.
const STORED_BEFORE: &str = "cx.ev.";

/// Everything in [`DEAD`].
pub const ALL_DEAD: &str = "cx.dead.>";
/// Beginning of the subjects of dead letters.
const LETTERS: &str = "cx.dead.delivery.";

/// Longest subject we send, in bytes. The server ends the connection of whoever sends a protocol line above 4,096.
const SUBJECT_BYTES_MAX: usize = 3_072;

/// Where the subject transform of [`EVENTS`] sends events, for `count` partitions a side.
pub fn transform_destination(count: u16) -> String {
    transform(STORED, count)
}

fn transform(stored: &str, count: u16) -> String {
    format!("{stored}{{{{partition({count},1)}}}}.{{{{partition({count},2)}}}}.>")
}

/// The partition count of a transform made by [`transform_destination`], and whether this version made it: one of
/// before stores producers' events where the service's own stood as well.
pub fn transform_count(destination: &str) -> Option<(u16, bool)> {
    let text: String = destination.chars().filter(|c| !c.is_whitespace()).collect();
    [(STORED, true), (STORED_BEFORE, false)]
        .into_iter()
        .find_map(|(stored, is_ours)| {
            let rest = text.strip_prefix(stored)?.strip_prefix("{{partition(")?;
            let count = rest.split(',').next()?.parse().ok()?;
            (count > 0 && text == transform(stored, count)).then_some((count, is_ours))
        })
}

/// The subject an event is published to, in a log of `count` partitions a side.
///
/// # Errors
/// What is wrong with the destination, for the producer.
pub fn event(destination: &Destination, count: u16) -> Result<String, String> {
    let tokens = |owner: &str, customer: &str| {
        let wrong = [owner, customer].into_iter().find(|token| !is_token(token));
        wrong.map_or(Ok(()), |token| {
            Err(format!("`{token}` is not a subject token"))
        })
    };
    let (subject, event_type) = match destination {
        Destination::Actors {
            owner,
            customer,
            event_type,
        } => {
            tokens(owner, customer)?;
            (format!("cx.events.{owner}.{customer}."), event_type)
        }
        Destination::Own {
            owner,
            customer,
            event_type,
        } => {
            tokens(owner, customer)?;
            let of = |token| partition_of_token(token, count);
            let (agent, customer) = (of(owner), of(customer));
            (format!("cx.control.{agent}.{customer}."), event_type)
        }
        Destination::All { event_type } => ("cx.control.".to_owned(), event_type),
    };
    if event_type.is_empty() {
        return Err("the event type is empty".to_owned());
    }
    let subject = with_type(subject, event_type);
    if subject.len() > SUBJECT_BYTES_MAX {
        return Err(format!(
            "owner, customer and type take {} bytes in the subject; at most {SUBJECT_BYTES_MAX} are allowed",
            subject.len()
        ));
    }
    Ok(subject)
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| !matches!(b, b'.' | b'*' | b'>' | 0..=b' ' | 127..))
}

/// Appends the type with its dots, so that one can subscribe by type; percent-encoded where NATS forbids a byte.
fn with_type(mut subject: String, event_type: &str) -> String {
    use std::fmt::Write as _;
    // An empty token is forbidden too: then the dots are encoded as well.
    let dots = !event_type.split('.').any(str::is_empty);
    for byte in event_type.bytes() {
        match byte {
            b'.' if dots => subject.push('.'),
            b'.' | b'*' | b'>' | b'%' | 0..=b' ' | 127.. => {
                // Writing into a string cannot fail.
                let _ = write!(subject, "%{byte:02X}");
            }
            byte => subject.push(char::from(byte)),
        }
    }
    subject
}

/// The route of a stored event and whose place it stands in, from its subject; `None` if no producer of ours can have
/// made it.
pub fn route(subject: &str, count: u16) -> Option<(Route, Speaker)> {
    if let Some(rest) = subject.strip_prefix(STORED) {
        return Some((pair(rest, count)?, Speaker::Anyone));
    }
    if let Some(rest) = subject.strip_prefix(STORED_BEFORE) {
        return Some((pair(rest, count)?, Speaker::Unknown));
    }
    let rest = subject.strip_prefix("cx.control.")?;
    // What is not for one partition a side is for all, or in the wrong place, which reading it tells.
    let is_typed = rest
        .splitn(3, '.')
        .nth(2)
        .is_some_and(|rest| !rest.is_empty());
    let route = pair(rest, count).filter(|_| is_typed);
    Some((route.unwrap_or(Route::All), Speaker::Service))
}

fn pair(rest: &str, count: u16) -> Option<Route> {
    let mut tokens = rest.splitn(3, '.');
    let mut partition = || -> Option<u16> {
        let number = tokens.next()?.parse().ok()?;
        (number < count).then_some(number)
    };
    let (agent, customer) = (partition()?, partition()?);
    Some(Route::Pair { agent, customer })
}

/// Subject of a partition's journal.
pub fn journal(partition: PartitionId) -> String {
    format!("cx.journal.{partition}")
}

/// Subject of a partition's snapshots.
pub fn snapshot(partition: PartitionId) -> String {
    format!("cx.snapshot.{partition}")
}

/// Subject of a destination's delivery records.
pub fn delivery(destination: &str) -> String {
    format!("cx.delivery.{destination}")
}

/// Subject of a destination's dead letters.
pub fn letters(destination: &str) -> String {
    format!("{LETTERS}{destination}")
}

/// Subject of a partition's lane.
pub fn lane(lane: Lane, partition: PartitionId) -> String {
    match lane {
        Lane::Out(kind) => format!("cx.out.{}.{partition}", kind.name()),
        Lane::Dead => format!("cx.dead.event.{partition}"),
    }
}

/// Subjects of a lane in all partitions.
pub fn lane_filter(lane: Lane) -> String {
    match lane {
        Lane::Out(kind) => format!("cx.out.{}.*.*", kind.name()),
        Lane::Dead => "cx.dead.event.*.*".to_owned(),
    }
}

/// The stream a lane is in.
pub const fn lane_stream(lane: Lane) -> &'static str {
    match lane {
        Lane::Out(_) => OUT,
        Lane::Dead => DEAD,
    }
}

/// Lane and partition of a stored output.
pub fn parse_lane(subject: &str) -> Option<(Lane, PartitionId)> {
    let mut tokens = subject.strip_prefix("cx.")?.split('.');
    let lane = match (tokens.next()?, tokens.next()?) {
        ("out", name) => Lane::Out(Kind::ALL.into_iter().find(|kind| kind.name() == name)?),
        ("dead", "event") => Lane::Dead,
        _ => return None,
    };
    let side = tokens.next()?;
    let side = Side::ALL.into_iter().find(|s| s.name() == side)?;
    let index = tokens.next()?.parse().ok()?;
    tokens
        .next()
        .is_none()
        .then_some((lane, PartitionId { side, index }))
}

/// The line a message of [`DEAD`] stands in.
pub fn parse_dead(subject: &str) -> Option<DeadPlace> {
    if let Some(destination) = subject.strip_prefix(LETTERS) {
        return is_destination(destination).then(|| DeadPlace::Delivery(destination.to_owned()));
    }
    match parse_lane(subject)? {
        (Lane::Dead, partition) => Some(DeadPlace::Event(partition)),
        (Lane::Out(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actors(owner: &str, customer: &str, event_type: &str) -> Result<String, String> {
        let destination = Destination::Actors {
            owner: owner.to_owned(),
            customer: customer.to_owned(),
            event_type: event_type.to_owned(),
        };
        event(&destination, 8)
    }

    #[test]
    fn s1_10_what_the_service_says_goes_to_a_space_of_its_own_by_partition() {
        let own = |owner: &str, customer: &str| {
            let destination = Destination::Own {
                owner: owner.to_owned(),
                customer: customer.to_owned(),
                event_type: "reward.outcome".to_owned(),
            };
            let subject = event(&destination, 8)?;
            assert_eq!(
                route(&subject, 8),
                Some((destination.route(8), Speaker::Service))
            );
            Ok(subject)
        };
        // As the server hashes the tokens of a producer's event.
        assert_eq!(
            own("a-17", "_"),
            Ok("cx.control.3.6.reward.outcome".to_owned())
        );
        assert!(own("a.b", "_").is_err_and(|why: String| why.contains("subject token")));
        for all in ["tick", "rules.activated", "3.8.x", "3.4", "3.4.", "99.1.a"] {
            let found = route(&format!("cx.control.{all}"), 8);
            assert_eq!(found, Some((Route::All, Speaker::Service)), "{all}");
        }
    }

    #[test]
    fn a_type_keeps_its_dots_unless_they_would_make_an_empty_token() {
        assert_eq!(
            actors("a%2E1", "_", "survey.response.created"),
            Ok("cx.events.a%2E1._.survey.response.created".to_owned())
        );
        assert_eq!(
            actors("a", "c", "a..b"),
            Ok("cx.events.a.c.a%2E%2Eb".to_owned())
        );
        assert_eq!(
            actors("a", "c", "x > *%é"),
            Ok("cx.events.a.c.x%20%3E%20%2A%25%C3%A9".to_owned())
        );
    }

    #[test]
    fn a_destination_that_would_shift_the_tokens_is_an_error() {
        for owner in ["", "a.b", "a b", "*", "a>", "é"] {
            assert!(actors(owner, "c", "t").is_err(), "{owner}");
            assert!(actors("o", owner, "t").is_err(), "{owner}");
        }
        assert!(actors("a", "c", "").is_err());
    }

    #[test]
    fn a_subject_of_the_longest_length_is_taken_and_one_byte_more_is_not() {
        let room = SUBJECT_BYTES_MAX - "cx.events.a.c.".len();
        assert!(actors("a", "c", &"t".repeat(room)).is_ok());
        assert!(actors("a", "c", &"t".repeat(room + 1)).is_err());
    }

    #[test]
    fn a_transform_tells_its_partition_count() {
        assert_eq!(
            transform_destination(8),
            "cx.in.{{partition(8,1)}}.{{partition(8,2)}}.>"
        );
        assert_eq!(
            transform_count(&transform_destination(16)),
            Some((16, true))
        );
        assert_eq!(
            transform_count("cx.ev.{{ partition(8, 1) }}.{{partition(8,2)}}.>"),
            Some((8, false))
        );
        assert_eq!(
            transform_count("cx.ev.{{partition(8,1)}}.{{partition(4,2)}}.>"),
            None
        );
        assert_eq!(transform_count("cx.ev.{{wildcard(1)}}.>"), None);
        assert_eq!(
            transform_count("cx.ev.{{partition(0,1)}}.{{partition(0,2)}}.>"),
            None
        );
    }

    #[test]
    fn a_stored_subject_tells_the_route() {
        let pair = |agent, customer, speaker| Some((Route::Pair { agent, customer }, speaker));
        let (before, anyone) = (Speaker::Unknown, Speaker::Anyone);
        for (stored, speaker) in [("cx.ev", before), ("cx.in", anyone)] {
            let of = |rest: &str| route(&format!("{stored}.{rest}"), 8);
            assert_eq!(of("0.7.survey.response.created"), pair(0, 7, speaker));
            assert_eq!(of("3.4.t"), pair(3, 4, speaker));
            assert_eq!(of("3.8.t"), None);
            assert_eq!(of("3"), None);
        }
        assert_eq!(route("cx.other", 8), None);
    }

    #[test]
    fn every_lane_is_found_again_in_its_subject() {
        for partition in PartitionId::all(2) {
            for lane in Lane::all() {
                let subject = super::lane(lane, partition);
                assert_eq!(parse_lane(&subject), Some((lane, partition)), "{subject}");
            }
        }
        for other in [
            "cx.out.alert.agent",
            "cx.out.x.agent.1",
            "cx.dead.delivery.agent.1",
        ] {
            assert_eq!(parse_lane(other), None, "{other}");
        }
    }

    #[test]
    fn every_line_of_the_dead_is_found_again_in_its_subject() {
        let partition = PartitionId {
            side: Side::Agent,
            index: 3,
        };
        for (subject, place) in [
            (letters("event"), DeadPlace::Delivery("event".to_owned())),
            (lane(Lane::Dead, partition), DeadPlace::Event(partition)),
        ] {
            assert_eq!(parse_dead(&subject), Some(place), "{subject}");
        }
        for other in [
            "cx.dead.delivery.a.b",
            "cx.dead.delivery.",
            "cx.dead.event.agent",
            "cx.out.alert.agent.3",
        ] {
            assert_eq!(parse_dead(other), None, "{other}");
        }
    }
}
