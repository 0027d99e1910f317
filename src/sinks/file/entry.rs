//! One `[[destination]]`: what it listens to, its channel and its answers; the rules between its keys.

use aftercall_actors::contract::{
    event::KEPT_MAX,
    output::{Kind, Output, Severity},
};

use super::{auth, cross, outcome, policy};
use crate::{
    config::{
        document::Section,
        units::{ByteSize, Span},
    },
    delivery::policy::Start,
    sinks::{
        channel::{self, CHANNELS, Channel},
        destination::Destination,
        expression::{Condition, Expression},
        http::{asks, read::fallbacks},
        reader::{Reader, one_of, span},
        scope::{ANSWER, OUTPUT, REQUEST},
        selector::{Listen, Selector},
        sink::Sink,
        spec::{Judgement, Refusals, Timeouts},
        template::Escape,
    },
};

/// Reads an entry. `None` if something in it is wrong, which is noted.
pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Destination> {
    let name = s.word("name", name);
    match &name {
        Some(name) => s.called(name),
        None if !s.has("name") => s.missing("name", "each destination has one of its own"),
        None => {}
    }
    let on = s.words("on", listen);
    if on.is_empty() && !s.has("on") {
        s.missing(
            "on",
            "kinds or types of outputs, such as [\"alert\"] or [\"reward.requested\"]",
        );
    } else if on.is_empty() {
        s.conflict(
            "on",
            "names no outputs, so nothing would ever be delivered".to_owned(),
        );
    }
    let when = reader.condition(s, "when", &OUTPUT);
    let selector = Selector::new(on, when);
    let kinds = CHANNELS.map(|kind| (kind.0.name, kind));
    let kind = s.word("channel", |text| one_of(text, &kinds));
    if kind.is_none()
        && !s.has("channel")
        && let Err(names) = one_of("", &kinds)
    {
        s.missing("channel", &names);
    }
    let start = s.string("start", Start::Now, |text| {
        one_of(
            text,
            &[("now", Start::Now), ("beginning", Start::Beginning)],
        )
    });
    let thread = reader.template(s, "thread", Escape::Text, &REQUEST);
    let timeouts = s.table("timeout", timeouts);
    reader.lines.insert(s.path().to_owned(), s.line("name"));
    let (auth, tls) = (auth::read(reader, s), auth::tls(reader, s));
    reader.place(s, "outcome");
    let outcome = s.table("outcome", |s| outcome::read(reader, s));
    let body_bytes_max = size(s, "body_max", ByteSize::kib(10), ByteSize::mib(4));
    let answer_bytes_max = size(s, "answer_max", ByteSize::kib(64), ByteSize::mib(4));
    let Some(kind) = kind else {
        // Which keys belong here depends on it.
        s.take_all();
        return None;
    };
    let (about, _) = kind;
    let channel = channel::read(reader, s, kind);
    if let Some(problem) = auth.as_ref().and_then(about.refuses) {
        s.conflict("auth", problem.to_owned());
    }
    let tests = about.tests;
    let success = judge_condition(reader, s, "success", tests.success);
    let again = judge_condition(reader, s, "again", tests.again);
    let unauthorized = judge_condition(reader, s, "unauthorized", tests.unauthorized);
    let is_money = selector.types().any(|t| Kind::of(t) == Some(Kind::Reward));
    let refusals = match (s.has("rejected"), reader.condition(s, "rejected", &ANSWER)) {
        (true, refused) => refused.map(Refusals::When),
        (false, _) if is_money => Some(Refusals::OtherStatus),
        (false, _) => Some(Refusals::Rest),
    };
    let keep = keep(reader, s);
    let sink = channel.as_ref().map(Channel::sink);
    let fallbacks = fallbacks(reader, s, sink.and_then(Sink::request));
    let (lookup, list) = match about.keys.contains(&"lookup") {
        true => asks::read(reader, s, &selector),
        false => (None, None),
    };
    let policy = policy::read(s, about, timeouts.total, outcome.rule);
    let alarm = s.string("alarm", usual_alarm(&selector), |text| {
        one_of(text, &ALARMS)
    });
    cross::check(s, &selector, &policy, sink);
    Some(Destination {
        name: name?,
        selector,
        start,
        channel: channel?,
        thread,
        policy,
        alarm,
        timeouts,
        auth: auth?,
        tls,
        body_bytes_max,
        answer_bytes_max,
        judgement: Judgement {
            success: success?,
            again: again?,
            unauthorized: unauthorized?,
            refusals: refusals?,
            status: outcome.status,
            response: outcome.response,
            keep,
        },
        fallbacks,
        lookup,
        list,
    })
}

/// What may be said of alarms.
const ALARMS: [(&str, Option<Severity>); 3] = [
    ("critical", Some(Severity::Critical)),
    ("warning", Some(Severity::Warning)),
    ("off", None),
];

/// A look-up or a token that is not had is gone without (S1.03, S2.12, S5.03); of anything else that is given up,
/// somebody has to know soon.
fn usual_alarm(selector: &Selector) -> Option<Severity> {
    let is_asked = |name| Kind::of(name) == Some(Kind::Request);
    Some(match selector.types().all(is_asked) {
        true => Severity::Warning,
        false => Severity::Critical,
    })
}

/// `keep`: expressions by name.
fn keep(reader: &mut Reader, s: &mut Section<'_, '_>) -> Vec<(String, Expression)> {
    let path = reader.place(s, "keep");
    let line = s.line("keep");
    let lines = &mut reader.lines;
    let keep = s.pairs("keep", |name, text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !(1..=40).contains(&name.len()) || !name.bytes().all(plain) {
            return Err("not a name, allowed: 1 to 40 of a-z, 0-9 and _".to_owned());
        }
        lines.insert(format!("{path}.{name}"), line);
        let id = Expression::parse(text, &ANSWER).map_err(|error| error.to_string())?;
        Ok((name.to_owned(), id))
    });
    if keep.len() > KEPT_MAX {
        let found = keep.len();
        s.conflict(
            "keep",
            format!("found {found} names, allowed: at most {KEPT_MAX}"),
        );
    }
    keep
}

/// `[a-z0-9_-]{1,40}`: it becomes part of a subject in the log.
fn name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=40).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("1 to 40 of a-z, 0-9, _ and -".to_owned())
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
    let event_type = Output::TYPES.into_iter().find(|name| *name == text);
    kind.map(Listen::Kind)
        .or_else(|| event_type.map(Listen::Type))
        .ok_or_else(|| {
            format!(
                "a kind ({}) or a type ({})",
                Kind::ALL.map(Kind::name).join(", "),
                Output::TYPES.join(", ")
            )
        })
}

fn size(s: &mut Section<'_, '_>, key: &'static str, default: ByteSize, most: ByteSize) -> usize {
    let least = ByteSize::kib(1);
    s.string(key, default, |text| {
        text.parse()
            .ok()
            .filter(|size| (least..=most).contains(size))
            .ok_or_else(|| format!("{} from {least} to {most}", ByteSize::FORM))
    })
    .as_usize()
}

fn timeouts(s: &mut Section<'_, '_>) -> Timeouts {
    let bounds = (Span(10), Span::seconds(300));
    let total = span(s, "total", Span::seconds(15), bounds);
    // A total below the default connect timeout is a shorter one, not a contradiction.
    let connect = span(s, "connect", total.min(Span::seconds(5)), bounds);
    if connect > total {
        s.conflict(
            "connect",
            format!("found {connect}, allowed: at most timeout.total, which is {total}"),
        );
    }
    Timeouts {
        connect: connect.duration(),
        total: total.duration(),
    }
}

fn judge_condition(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    key: &'static str,
    default: &str,
) -> Option<Condition> {
    if s.has(key) {
        return reader.condition(s, key, &ANSWER);
    }
    // Asked for all the same, so that the key is known.
    reader.condition(s, key, &ANSWER);
    Condition::parse(default, &ANSWER).ok()
}
