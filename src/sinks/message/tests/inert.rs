//! Whatever customers and directories write is shown and never obeyed, in every form (S2.07, S2.11).

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{alert, full, vars};
use crate::{
    sandbox::seen::Seen,
    sinks::{email::message as email, message::Message, slack::message as slack, teams::card},
};

/// Pieces that mean something somewhere: markup of Slack and Teams, HTML, headers, and characters that are not seen.
const NASTY: [&str; 44] = [
    "*",
    "_",
    "~",
    "`",
    "```",
    ":smile:",
    ":",
    "<!channel>",
    "<@U1>",
    "<https://e.example|x>",
    "&",
    "&lt;",
    "<",
    ">",
    "\n> ",
    "\n",
    "\r\nBcc: all@x.example\r\n\r\n",
    "[x](https://e.example)",
    "**b**",
    "# ",
    "\n# ",
    "1. ",
    "\n- ",
    "{{DATE(2026-11-20T00:00:00Z)}}",
    "\\",
    "|",
    "</td><script>",
    "\"'",
    "<at>Ann</at>",
    "\u{202e}",
    "\u{2066}",
    "\u{2068}",
    "\u{2069}",
    "\u{200b}",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[31m",
    "\u{2028}",
    "\u{e0041}",
    "\u{301}",
    "שלום",
    "مرحبا",
    "word",
    " ",
];

/// What must not stand in any message but as an isolate of our own.
const UNSEEN: [char; 14] = [
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2066}',
    '\u{2067}',
    '\u{200b}',
    '\u{2060}',
    '\u{feff}',
    '\u{0}',
    '\u{1b}',
    '\u{2028}',
    '\u{e0041}',
];

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&NASTY[..]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,6}",
    ];
    prop::collection::vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

/// The alert with this text wherever text comes from outside.
fn said_of(text: &str) -> Value {
    let mut data = full();
    for field in [
        "agent_name",
        "queue_id",
        "agent_id",
        "comment",
        "summary",
        "rule",
    ] {
        data[field] = json!(text);
    }
    data["keywords"] = json!([text, text]);
    data["missing"] = json!([text]);
    data["recording"] = json!({ "status": "pending" });
    data
}

fn message(text: &str) -> Message {
    let mut parcel = alert("alert.raised", said_of(text));
    parcel.subject = format!("agent/{text}");
    Message::compose(&parcel, &vars(), &[text.to_owned()])
}

/// The names of HTML elements, in their order.
fn elements(html: &str) -> Vec<String> {
    let tags = html.split('<').skip(1);
    let name = |tag: &str| tag.split(['>', ' ']).next().unwrap_or_default().to_owned();
    tags.map(name).collect()
}

fn is_balanced(text: &str) -> bool {
    let mut open = 0;
    text.chars().all(|c| {
        match c {
            '\u{2068}' => open += 1,
            '\u{2069}' => open -= 1,
            _ => {}
        }
        open >= 0
    }) && open == 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn s2_07_s2_11_no_text_from_outside_acts_in_any_channel(text in nasty(), room in 600_usize..20_000) {
        let message = message(&text);
        for bytes_max in [usize::MAX, room] {
            let written = slack::write(&message, bytes_max);
            let seen = Seen::in_slack(&written);
            // Our own labels and links, and nothing else.
            let is_ours = |markup: &String| {
                let (kind, what) = markup.split_once(' ').unwrap_or((markup, ""));
                match kind {
                    "bold" => what.chars().all(|c| c.is_ascii_alphabetic() || c == ' '),
                    "link" => what.starts_with("https://cx.example.com/") || what.starts_with("https://desk.example.com/"),
                    _ => false,
                }
            };
            prop_assert!(seen.markup.iter().all(is_ours), "{:?}: {written}", seen.markup);
            let shown = written["text"].as_str().expect("text");
            prop_assert_eq!(Seen::of_mrkdwn(shown).markup, Vec::<String>::new(), "{}", shown);

            let card = card::write(&message, bytes_max);
            prop_assert_eq!(Seen::in_teams(&card).markup, Vec::<String>::new(), "{}", card);

            let mail = email::write(&message, bytes_max);
            prop_assert!(!mail.subject.contains(char::is_control), "{:?}", mail.subject);
            prop_assert!(is_balanced(&mail.subject), "{:?}", mail.subject);
            let allowed = [
                "!DOCTYPE", "html", "head", "meta", "title", "body", "h1", "h2", "table", "tr", "th", "td", "blockquote", "p",
                "em", "a",
            ];
            for element in elements(&mail.html) {
                prop_assert!(allowed.contains(&element.trim_start_matches('/')), "{element}: {}", mail.html);
            }
            for text in [written.to_string(), card.to_string(), mail.subject, mail.html, mail.text] {
                prop_assert!(!text.contains(UNSEEN), "{text:?}");
            }
        }
    }

    #[test]
    fn s2_07_templates_of_the_operators_own_are_filled_with_what_cannot_act(text in nasty()) {
        let slack = slack::escaped(&text);
        prop_assert_eq!(Seen::of_mrkdwn(&slack).markup, Vec::<String>::new(), "{}", slack);
        let card = card::escaped(&text);
        prop_assert_eq!(Seen::of_markdown(&card).markup, Vec::<String>::new(), "{}", card);
        prop_assert!(!slack.contains(UNSEEN) && !card.contains(UNSEEN));
    }

    #[test]
    fn a_text_that_was_cut_is_within_its_budget_and_whole_to_a_reader(text in nasty(), budget in 0_usize..60) {
        let plain = super::super::outside::isolated(&super::super::outside::plain(&text));
        let short = super::super::shortened(&plain, budget, |_| 1);
        prop_assert!(short.chars().count() <= budget, "{short:?}");
        prop_assert!(short.split('\n').all(is_balanced), "{short:?}");
        let words = super::super::shortened_words(&plain, budget + 20);
        prop_assert!(words.chars().map(super::super::bytes_in_json).sum::<usize>() <= budget + 20);
    }
}

#[test]
fn s2_07_no_emoji_code_is_left_or_comes_of_what_stands_for_markup() {
    for (given, shown) in [
        // What a backtick becomes is a letter, so that with it a name stands between the last two colons.
        (":smile:`:", "∶smile∶ˋ∶"),
        (":`:", "∶ˋ∶"),
        (":smile:", "∶smile∶"),
        (":a:b:", "∶a∶b∶"),
        ("x:+1:y:100:z", "x∶+1∶y∶100∶z"),
        ("so :怒: and :Größe_2:", "so ∶怒∶ and ∶Größe_2∶"),
        // Neither opens nor closes one.
        (":: : a: :b", ":: : a: :b"),
        (
            "at 10:30:00: https://desk.example.com:8443/7",
            "at 10:30:00: https://desk.example.com:8443/7",
        ),
        (":*:", ":∗:"),
    ] {
        let escaped = slack::escaped(given);
        assert_eq!(escaped, shown, "{given}");
        assert_eq!(Seen::of_mrkdwn(&escaped).markup, Vec::<String>::new());
        let written = slack::write(&message(given), usize::MAX);
        let notification = written["text"].as_str().expect("text");
        let markup = Seen::of_mrkdwn(notification).markup;
        assert_eq!(markup, Vec::<String>::new(), "{notification}");
    }
}

#[test]
fn s2_07_a_comment_is_shown_as_it_was_written_in_every_channel() {
    for comment in [
        "*bold* _it_ ~no~ `code` :smile: <!channel> & <b>",
        "השירות היה גרוע (3 שעות!)",
        "الخدمة سيئة جدا، لن أعود",
        "怒怒怒 5 < 6 & 7 > 2",
        "two\nlines",
    ] {
        let mut data = full();
        data["comment"] = json!(comment);
        let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
        let slack = slack::write(&message, usize::MAX);
        assert!(Seen::in_slack(&slack).words.contains(comment), "{slack}");
        let card = Seen::in_teams(&card::write(&message, usize::MAX)).words;
        let bare: String = card
            .chars()
            .filter(|c| !matches!(c, '\u{2068}' | '\u{2069}'))
            .collect();
        assert!(bare.contains(comment), "{card}");
        let mail = email::write(&message, usize::MAX);
        assert!(mail.html.contains(&email::escaped(comment)));
        assert!(mail.html.contains("<blockquote dir=\"auto\""));
        for line in comment.lines() {
            assert!(mail.text.contains(&format!("> {line}\n")), "{}", mail.text);
        }
    }
}

#[test]
fn s2_07_a_name_from_right_to_left_does_not_reorder_the_line_it_stands_in() {
    let mut data = full();
    data["agent_name"] = json!("\u{202e}עדה לוי");
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    let headline = "Critical alert: 1/5 for \u{2068}עדה לוי\u{2069} (agent-0417)";
    assert_eq!(message.headline, headline);
    assert_eq!(email::write(&message, usize::MAX).subject, headline);
}

#[test]
fn s2_07_what_is_cut_says_so() {
    let mut data = full();
    data["comment"] = json!("e\u{301}".repeat(6_000));
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    let mail = email::write(&message, 10 * 1024);
    assert!(
        mail.text.contains("e\u{301}… (shortened)\n"),
        "{}",
        mail.text
    );
    assert_eq!(mail.text.matches("(shortened)").count(), 1);
}
