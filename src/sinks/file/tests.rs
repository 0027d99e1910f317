//! The reference, and what is said of each mistake.

use std::time::Duration;

use aftercall_actors::{breaker::Trip, contract::output::Severity};

use super::*;
use crate::{
    delivery::policy::{Policy, Start},
    sinks::{
        channel::Channel,
        email::{Email, smtp::SmtpSecurity},
        http::Http,
        spec::{Body, Method, Text, Timeouts},
    },
};

const REFERENCE: &str = include_str!("../../../config/destinations.toml");

#[test]
fn the_reference_is_right_and_nothing_in_it_is_unwise() {
    let checked = parse(REFERENCE, "config/destinations.toml").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(checked.warnings().collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(checked.destinations.recipients.len(), 6);
}

/// What is lost with it, and who is waited for.
#[test]
fn s3_16_what_a_destination_carries_says_how_much_its_alarm_matters() {
    let checked = parse(REFERENCE, "config/destinations.toml").unwrap();
    for destination in &checked.destinations.destinations {
        let is_question = ["survey-tokens", "recordings", "summaries", "identity"]
            .contains(&destination.name.as_str());
        let expected = match is_question {
            true => Severity::Warning,
            false => Severity::Critical,
        };
        assert_eq!(destination.alarm, Some(expected), "{}", destination.name);
    }
    let with = |on: &str, alarm: &str| {
        let keys = "channel = \"http\"\nurl = \"https://a.example/\"";
        one(&format!("on = [\"{on}\"]\n{keys}\n{alarm}\n")).alarm
    };
    assert_eq!(with("request", ""), Some(Severity::Warning));
    assert_eq!(
        with("request", "alarm = \"critical\""),
        Some(Severity::Critical)
    );
    assert_eq!(with("enps", "alarm = \"warning\""), Some(Severity::Warning));
    assert_eq!(with("enps", "alarm = \"off\""), None);
    let keys = "channel = \"http\"\nurl = \"https://a.example/\"\nalarm = \"info\"";
    assert_eq!(
        mistakes(&entry("enps", keys)),
        [
            "d.toml:6: destination \"x\".alarm: found \"info\", allowed: \"critical\", \"warning\" or \"off\""
        ]
    );
}

/// The three destinations through which money goes.
#[test]
fn s3_08_s3_09_s3_10_the_shipped_marketplaces_have_the_figures_of_the_rows() {
    let checked = parse(REFERENCE, "config/destinations.toml").unwrap();
    let all = checked.destinations.destinations;
    for name in ["rewards", "reward-reversals", "tremendous"] {
        let found = all.iter().find(|d| d.name == name).unwrap();
        let seconds = Duration::from_secs;
        let timeouts = Timeouts {
            connect: seconds(10),
            total: seconds(45),
        };
        assert_eq!(found.timeouts, timeouts, "{name}");
        let Policy { retry, breaker, .. } = &found.policy;
        let waits = (retry.attempts.get(), retry.first, retry.factor.get());
        assert_eq!(waits, (4, seconds(1), 2), "{name}");
        assert!(!retry.unknown_counts, "{name}: only the deadline ends it");
        assert_eq!(breaker.trip, Trip::FailingFor { ms: 300_000 }, "{name}");
        let outcome = found.policy.outcome.as_ref().unwrap();
        let told = (&*outcome.event_type, &*outcome.failed);
        assert_eq!(told, ("reward.outcome", "needs_review"), "{name}");
    }
}

#[test]
fn every_key_that_is_read_is_documented_and_every_documented_key_is_read() {
    let checked = parse(REFERENCE, "config/destinations.toml").unwrap();
    let documented: std::collections::BTreeSet<&str> = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_whitespace().next())
        .filter(|word| word.starts_with("destination.") || word.starts_with("recipient."))
        .collect();
    // What recipients have of auth and tls is as of destinations, and documented there.
    let known: std::collections::BTreeSet<&str> = checked
        .known
        .iter()
        .map(String::as_str)
        .filter(|key| !key.starts_with("recipient.auth.") && !key.starts_with("recipient.tls."))
        .filter(|key| {
            ![
                "destination.timeout",
                "destination.limit",
                "destination.retry",
                "destination.breaker",
                "destination.auth",
                "destination.tls",
                "destination.outcome",
                "destination.lookup",
                "destination.list",
            ]
            .contains(key)
        })
        .collect();
    assert_eq!(documented, known);
}

fn mistakes(text: &str) -> Vec<String> {
    let errors = parse(text, "d.toml").expect_err("it holds mistakes");
    errors.to_string().lines().map(str::to_owned).collect()
}

fn one(text: &str) -> Destination {
    let text = format!("[[destination]]\nname = \"x\"\n{text}");
    let checked = parse(&text, "d.toml").unwrap_or_else(|e| panic!("{e}"));
    checked
        .destinations
        .destinations
        .into_iter()
        .next()
        .unwrap()
}

#[test]
fn what_is_not_set_has_the_documented_default() {
    let d = one("on = [\"enps\"]\nchannel = \"http\"\nurl = \"https://a.example/x\"\n");
    assert_eq!(d.start, Start::Now);
    assert_eq!(
        (d.body_bytes_max, d.answer_bytes_max),
        (10 * 1024, 64 * 1024)
    );
    assert_eq!(
        (d.timeouts.connect.as_secs(), d.timeouts.total.as_secs()),
        (5, 15)
    );
    assert_eq!(
        d.judgement.success.source(),
        "status >= 200 && status < 300"
    );
    assert_eq!(
        d.judgement.again.source(),
        "status in [408, 425, 429] || status >= 500"
    );
    let Channel::Http(Http { request }) = &d.channel else {
        panic!("{:?}", d.channel)
    };
    assert_eq!((request.method, &request.body), (Method::Post, &Body::Data));
    let retry = &d.policy.retry;
    assert_eq!(
        (
            retry.attempts.get(),
            retry.factor.get(),
            retry.unknown_counts
        ),
        (5, 2, true)
    );
    assert_eq!(
        (
            retry.first.as_millis(),
            retry.max.as_secs(),
            retry.deadline.as_secs()
        ),
        (500, 30, 86_400)
    );
    assert_eq!(
        (d.policy.limits.concurrency.get(), d.policy.limits.rate),
        (16, None)
    );
    assert_eq!(d.policy.breaker.open_ms, 30_000);
    assert_eq!(
        (d.policy.merge, d.policy.outcome, d.thread),
        (None, None, None)
    );
}

#[test]
fn s4_06_a_fallback_takes_over_what_it_does_not_say() {
    let d = one(
        "on = [\"profile\"]\nchannel = \"http\"\nmethod = \"PUT\"\nurl = \"https://a.example/{{ data.customer_id }}\"\n\
         headers = { A = \"1\", Idempotency-Key = \"{{ id }}\" }\nbody = \"{}\"\n\
         [[destination.fallback]]\nwhen = \"status == 404\"\nmethod = \"POST\"\nurl = \"https://a.example/\"\n\
         headers = { a = \"2\" }\n",
    );
    let [fallback] = d.fallbacks.as_slice() else {
        panic!("{:?}", d.fallbacks)
    };
    let Channel::Http(Http { request: base }) = &d.channel else {
        panic!("{:?}", d.channel)
    };
    assert_eq!(fallback.request.method, Method::Post);
    assert_eq!(fallback.request.body, base.body);
    let headers: Vec<(&str, String)> = fallback
        .request
        .headers
        .iter()
        .map(|(name, text)| match text {
            Text::Template(t) => (name.as_str(), t.source().to_owned()),
            Text::Secret(r) => (name.as_str(), r.to_string()),
        })
        .collect();
    assert_eq!(
        headers,
        [
            ("a", "2".to_owned()),
            ("Idempotency-Key", "{{ id }}".to_owned())
        ]
    );
}

#[test]
fn mail_servers_are_read_with_their_ports_and_security() {
    let server = |smtp: &str| {
        let d = one(&format!(
            "on = [\"alert\"]\nchannel = \"email\"\nfrom = \"a@b.example\"\nto = \"c@d.example\"\nsmtp = {smtp:?}\n"
        ));
        match d.channel {
            Channel::Email(Email { smtp, .. }) => (smtp.host, smtp.port, smtp.security),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        server("smtp://m.example"),
        ("m.example".into(), 587, SmtpSecurity::StartTls)
    );
    assert_eq!(
        server("smtp://m.example:25"),
        ("m.example".into(), 25, SmtpSecurity::StartTls)
    );
    assert_eq!(
        server("smtps://m.example/"),
        ("m.example".into(), 465, SmtpSecurity::Tls)
    );
    assert_eq!(
        server("smtps://[::1]:2465"),
        ("::1".into(), 2465, SmtpSecurity::Tls)
    );
    assert_eq!(
        server("smtp://[::1]"),
        ("::1".into(), 587, SmtpSecurity::StartTls)
    );
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_key_finding_and_what_is_allowed() {
    let text = r#"
[vars]
crm = "https://crm.example.com"
api_token = "hunter2"

[[destination]]
name = "CRM"
on = ["profil", "reward"]
channel = "http"
url = "{{ vars.crm }}/v1/{{ dta.id }}"
methd = "PUT"
timeout = { connect = "20s", total = "10s" }
retry = { first = "1s", attempts = 0, unknwn = "count" }

[[destination]]
name = "second"
on = ["enps"]
when = "data.raw_score >"
channel = "pigeon"
card = "{}"

[[destination]]
on = ["enps"]
channel = "http"
url = "https://user:hunter2@a.example/"
card = "{}"
auth = { kind = "bearer", token = "hunter2" }
headers = { X-Api-Key = "hunter2", Host = "a", "b c" = "d" }
success = "stats == 200"
limit = { rate = "fast" }
breaker = { failing_for = "5m", failures = 3, open = "5s" }
merge = "5s"
outcome = { event = "reward.outcome", status = "1 +" }

[[destinations]]
name = "third"
"#;
    assert_eq!(mistakes(text), MISTAKES.lines().collect::<Vec<_>>());
}

/// What is said of the text above, a line each.
const MISTAKES: &str = r#"d.toml:4: vars.api_token: no place for a secret (its value is not shown); where one is used, write a reference to a secret: "env:NAME", "file:/path" or "credential:NAME", never the secret itself
d.toml:7: destination 1.name: found "CRM", allowed: 1 to 40 of a-z, 0-9, _ and -
d.toml:8: destination 1.on: found "profil", allowed: a kind (alert, reward, profile, outcome, enps, coaching, request) or a type (alert.raised, alert.updated, alert.escalated, reward.requested, reward.reversal.requested, profile.updated, interaction.outcome, enps.scored, coaching.requested, survey_token.requested, identity.requested, enrichment.requested)
d.toml:10: destination 1.url: in line 1 of the template: unknown variable `dta` (known: id, type, subject, time, data, kept, vars)
d.toml:11: destination 1.methd: unknown key; did you mean `method`? (known: name, on, when, channel, start, thread, timeout, auth, tls, outcome, body_max, answer_max, method, url, headers, body, success, again, unauthorized, rejected, keep, fallback, lookup, list, limit, retry, breaker, merge, alarm)
d.toml:12: destination 1.timeout.connect: found 20s, allowed: at most timeout.total, which is 10s
d.toml:13: destination 1.retry.attempts: found 0, allowed: a whole number from 1 to 100
d.toml:13: destination 1.retry.unknwn: unknown key; did you mean `unknown`? (known: attempts, first, factor, max, deadline, unknown)
d.toml:18: destination "second".when: not a CEL expression (line 1, column 17: Syntax error: mismatched input '<EOF>')
d.toml:19: destination "second".channel: found "pigeon", allowed: "http", "slack", "slack_webhook", "teams" or "email"
d.toml:22: destination 3.name: missing; each destination has one of its own
d.toml:22: destination 3.thread: missing; merge keeps the newest of each thread, so it has to say what a thread is
d.toml:26: destination 3.card: channel "http" has no such key (it has url, method, headers, body, fallback, lookup, list)
d.toml:27: destination 3.auth.token: a literal is not taken (and not shown), allowed: a reference to a secret: "env:NAME", "file:/path" or "credential:NAME", never the secret itself
d.toml:28: destination 3.headers.Host: is set by the program itself
d.toml:28: destination 3.headers.X-Api-Key: a literal is not taken (and not shown), allowed: a reference to a secret: "env:NAME", "file:/path" or "credential:NAME", never the secret itself, or `auth`
d.toml:28: destination 3.headers.b c: not the name of a header
d.toml:29: destination 3.success: unknown variable `stats` (known: status, headers, body, in_doubt, id, type, subject, time, data, kept, vars)
d.toml:30: destination 3.limit.rate: found "fast", allowed: a rate such as "4/s", "100/m" or "1/5s", or "unlimited"
d.toml:31: destination 3.breaker.failures: counts failures, while failing_for looks at time: only one of them can be
d.toml:31: destination 3.breaker.open: found 5s, allowed: more than timeout.total, which is 15s
d.toml:33: destination 3.outcome: "reward.outcome" does not fit "enps.scored": nothing waits for its outcome
d.toml:33: destination 3.outcome.status: not a CEL expression (line 1, column 4: Syntax error: mismatched input '<EOF>')
d.toml:35: destinations: unknown section; did you mean `destination`? (known: vars, recipient, destination)"#;

/// A destination `x` on `on` with more keys, and what `parse` makes of it.
fn entry(on: &str, keys: &str) -> String {
    format!("[[destination]]\nname = \"x\"\non = [\"{on}\"]\n{keys}\n")
}

#[test]
fn one_mistake_each() {
    let http = "channel = \"http\"\nurl = \"https://a.example/\"\n";
    let slack = "channel = \"slack\"\nthread = \"{{ data.alert_id }}\"\n";
    let bot = "auth = { kind = \"bearer\", token = \"env:T\" }\n";
    let nine: Vec<String> = (0..9).map(|n| format!("id{n} = \"body.id\"")).collect();
    for (on, keys, expected) in [
        // Ids of the destination's own.
        (
            "reward",
            format!("{http}keep = {{ Order = \"body.id\" }}"),
            "d.toml:6: destination \"x\".keep.Order: not a name, allowed: 1 to 40 of a-z, 0-9 and _",
        ),
        (
            "reward",
            format!("{http}keep = {{ order = \"answer.id\" }}"),
            "d.toml:6: destination \"x\".keep.order: unknown variable `answer` (known: status, headers, body, in_doubt, id, type, subject, time, data, kept, vars)",
        ),
        (
            "reward",
            format!("{http}keep = {{ {} }}", nine.join(", ")),
            "d.toml:6: destination \"x\".keep: found 9 names, allowed: at most 8",
        ),
        // Channels.
        (
            "alert",
            format!("{slack}to = \"C1\""),
            "d.toml:1: destination \"x\".auth: channel \"slack\" needs auth = { kind = \"bearer\", token = \"env:...\" }, the bot token",
        ),
        (
            "alert",
            format!("{slack}{bot}"),
            "d.toml:1: destination \"x\".to: missing; where the message goes, or entries [[recipient]] that find people for it",
        ),
        (
            "alert",
            "channel = \"teams\"".into(),
            "d.toml:1: destination \"x\".url: missing; the webhook, best as a reference such as \"env:NAME\": who knows it can post",
        ),
        (
            "alert",
            format!("channel = \"teams\"\nurl = \"env:U\"\n{bot}"),
            "d.toml:6: destination \"x\".auth: a webhook is let in by its address, so there is nothing to show besides",
        ),
        (
            "alert",
            "channel = \"teams\"\nurl = \"env:a b\"".into(),
            "d.toml:5: destination \"x\".url: allowed: a reference to a secret: \"env:NAME\", \"file:/path\" or \"credential:NAME\", never the secret itself",
        ),
        (
            "alert",
            "channel = \"teams\"\nurl = \"env:U\"\ncard = \"[1]\"".into(),
            "d.toml:6: destination \"x\".card: over the example of alert.escalated without its optional fields: does not render to a JSON object",
        ),
        (
            "alert",
            "channel = \"email\"\nfrom = \"a@b.c\"\nto = \"d@e.f\"\nsmtp = \"mail.example\"".into(),
            "d.toml:7: destination \"x\".smtp: found \"mail.example\", allowed: a mail server such as \"smtp://mail.example.com:587\" or \"smtps://mail.example.com\"",
        ),
        (
            "enps",
            "channel = \"http\"".into(),
            "d.toml:1: destination \"x\".url: missing; the address, such as \"{{ vars.crm }}/v1/customers\"",
        ),
        (
            "enps",
            format!("{http}method = \"GET\"\nbody = \"{{}}\""),
            "d.toml:7: destination \"x\".body: a GET request carries no body",
        ),
        (
            "enps",
            format!("{http}headers = {{ Content-Type = \"text/plain\" }}"),
            "d.toml:1: destination \"x\".body: missing; without one the data is sent as JSON, and content-type says otherwise",
        ),
        (
            "enps",
            format!("{http}headers = {{ A = \"1\", a = \"2\" }}"),
            "d.toml:6: destination \"x\".headers: a stands there twice; case makes no difference",
        ),
        (
            "enps",
            format!("{http}[[destination.fallback]]\nurl = \"https://a.example/\""),
            "d.toml:6: destination \"x\".fallback[0].when: missing; the answers after which it is tried, such as \"status == 404\"",
        ),
        // Credentials.
        (
            "enps",
            format!("{http}auth = {{ token = \"env:T\" }}"),
            "d.toml:6: destination \"x\".auth.kind: missing; \"bearer\", \"basic\", \"oauth2\", \"standard_webhooks\" or \"none\"",
        ),
        (
            "enps",
            format!("{http}auth = {{ kind = \"bearer\", token = \"env:T\", secret = \"env:S\" }}"),
            "d.toml:6: destination \"x\".auth.secret: belongs to kind = \"standard_webhooks\", not to \"bearer\"",
        ),
        (
            "enps",
            format!("{http}auth = {{ kind = \"basic\", user = \"u\" }}"),
            "d.toml:6: destination \"x\".auth.password: missing; a reference to a secret: \"env:NAME\", \"file:/path\" or \"credential:NAME\", never the secret itself",
        ),
        (
            "enps",
            format!("{http}tls = {{ cert_file = \"c.pem\" }}"),
            "d.toml:6: destination \"x\".tls.key_file: missing; the private key of cert_file",
        ),
        // S5.04: the call timeout is shorter than the breaker's.
        (
            "enps",
            format!("{http}timeout = {{ total = \"30s\" }}"),
            "d.toml:1: destination \"x\".breaker.open: found 30s, allowed: more than timeout.total, which is 30s",
        ),
        // Sums: 3 attempts of 15s and waits of 10s and 20s are 75s.
        (
            "enps",
            format!("{http}retry = {{ attempts = 3, first = \"10s\", deadline = \"74s\" }}"),
            "d.toml:6: destination \"x\".retry.deadline: found 74s, allowed: at least 75s, which 3 attempts of up to 15s and the waits between them can take",
        ),
        (
            "enps",
            format!("{http}retry = {{ first = \"31s\" }}"),
            "d.toml:6: destination \"x\".retry.first: found 31s, allowed: at most retry.max, which is 30s",
        ),
        // Questions.
        (
            "reward.requested",
            format!("{http}lookup = {{ headers = {{}} }}"),
            "d.toml:6: destination \"x\".lookup.url: missing; the address, such as \"https://api.example.com/orders?external_id={{ data.reward_id }}\"",
        ),
        (
            "reward.requested",
            format!("{http}lookup = {{ url = \"https://a.example/{{{{ id }}}}\" }}"),
            "d.toml:6: destination \"x\".lookup.answer: missing; a CEL map {status, body}, as the request itself would have been answered, or null",
        ),
        (
            "reward.requested",
            format!(
                "{http}lookup = {{ url = \"https://a.example/{{{{ data.agent_id }}}}\", answer = \"null\" }}"
            ),
            "d.toml:6: destination \"x\".lookup: neither address nor headers hold `id` or `data.reward_id`: its answer would be about another reward",
        ),
        (
            "reward.requested",
            format!(
                "{http}lookup = {{ url = \"https://a.example/{{{{ id }}}}/{{{{ data.nobody }}}}\", answer = \"null\" }}"
            ),
            "d.toml:6: destination \"x\".lookup.url: over the example of reward.requested, line 1 of the template: `data.nobody` is absent; write `{{ ... | default(...) }}` if it may be",
        ),
        (
            "enps",
            format!("{http}list = {{ url = \"https://a.example/\", items = \"[]\" }}"),
            "d.toml:6: destination \"x\".list: lists rewards, so `on` has to take \"reward.requested\"",
        ),
        (
            "reward.requested",
            format!(
                "{http}list = {{ url = \"https://a.example/{{{{ cursor }}}}\", items = \"[]\" }}"
            ),
            "d.toml:6: destination \"x\".list.url: over the first page, line 1 of the template: `cursor` is absent; write `{{ ... | default(...) }}` if it may be",
        ),
        (
            "reward.requested",
            format!(
                "{http}list = {{ url = \"https://a.example/{{{{ data.x }}}}\", items = \"[data]\" }}"
            ),
            "d.toml:6: destination \"x\".list.items: unknown variable `data` (known: status, headers, body, vars, from, to, cursor)",
        ),
        (
            "alert.raised",
            "channel = \"teams\"\nurl = \"env:U\"\nlookup = {}".into(),
            "d.toml:6: destination \"x\".lookup: channel \"teams\" has no such key (it has url, card)",
        ),
        // Found by trying.
        (
            "enps",
            "channel = \"http\"\nurl = \"ftp://a.example/\"".into(),
            "d.toml:5: destination \"x\".url: over the example of enps.scored: not an address such as \"https://crm.example.com/v1\"",
        ),
        (
            "enps",
            "channel = \"http\"\nurl = \"https://user:hunter2@a.example/\"".into(),
            "d.toml:5: destination \"x\".url: over the example of enps.scored: an address with a login in it (not shown); write it as `auth`",
        ),
        (
            "enps",
            format!("{http}body = '{{\"q\": {{{{ data.interaction_id }}}}}}'"),
            "d.toml:6: destination \"x\".body: over the example of enps.scored without its optional fields, line 1 of the template: `data.interaction_id` is absent; write `{{ ... | default(...) }}` if it may be",
        ),
        (
            "enps",
            format!("{http}when = \"data.interaction_id == ''\""),
            "d.toml:6: destination \"x\".when: over the example of enps.scored without its optional fields: `data.interaction_id == ''` has no value: `interaction_id` is absent; ask `has(...)` before",
        ),
        (
            "enps",
            format!(
                "{http}body_max = \"1KiB\"\nbody = '\"{}\"'",
                "x".repeat(1023)
            ),
            "d.toml:7: destination \"x\".body: over the example of enps.scored: renders to 1025 bytes, body_max is 1KiB",
        ),
    ] {
        let found = mistakes(&entry(on, &keys));
        assert!(
            found.iter().any(|line| line == expected),
            "wanted {expected}\nfound  {}",
            found.join("\n       ")
        );
        assert!(!found.join("").contains("hunter2"));
    }
}

#[test]
fn names_are_unique() {
    let one = entry("enps", "channel = \"http\"\nurl = \"https://a.example/\"");
    assert_eq!(
        mistakes(&format!("{one}{one}")),
        ["d.toml:7: destination \"x\".name: the destination of line 2 has this name too"]
    );
}

mod unwise;
