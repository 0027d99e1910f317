//! What people see of a message in Slack or Teams: its words, and what of it was markup. It reads as those clients do,
//! and in doubt finds markup rather than none.

use serde_json::{Value, json};

/// A message as it is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The words, a line for each text.
    pub words: String,
    /// What was more than words, in their order: `bold Agent`, `link https://...`, `mention !channel`, `emoji smile`.
    pub markup: Vec<String>,
}

impl Seen {
    /// A message of Slack's: its blocks, or the text where it has none. `text` is what notifications show.
    #[must_use]
    pub fn in_slack(content: &Value) -> Self {
        let mut seen = Self::default();
        match content["blocks"].as_array() {
            Some(blocks) => blocks.iter().for_each(|block| seen.slack(block)),
            None => seen.mrkdwn(content["text"].as_str().unwrap_or_default()),
        }
        seen
    }

    /// What Slack shows of one text with markup.
    #[must_use]
    pub fn of_mrkdwn(text: &str) -> Self {
        let mut seen = Self::default();
        seen.mrkdwn(text);
        seen
    }

    /// An Adaptive Card in its envelope.
    #[must_use]
    pub fn in_teams(body: &Value) -> Self {
        let mut seen = Self::default();
        for attachment in body["attachments"].as_array().into_iter().flatten() {
            seen.card(&attachment["content"]);
        }
        seen
    }

    /// What Teams shows of one text with Markdown.
    #[must_use]
    pub fn of_markdown(text: &str) -> Self {
        let mut seen = Self::default();
        seen.markdown(text);
        seen
    }

    /// As the control endpoints answer.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "words": self.words, "markup": self.markup })
    }

    fn slack(&mut self, value: &Value) {
        match (value["type"].as_str(), value["text"].as_str()) {
            (Some("mrkdwn"), Some(text)) => self.mrkdwn(text),
            (Some("plain_text"), Some(text)) => {
                if value["emoji"] != false {
                    self.emoji(text);
                }
                self.line(text);
            }
            (Some("text"), Some(text)) => self.line(text),
            _ => match value {
                Value::Object(fields) => fields.values().for_each(|field| self.slack(field)),
                Value::Array(items) => items.iter().for_each(|item| self.slack(item)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            },
        }
    }

    fn card(&mut self, value: &Value) {
        match (value["type"].as_str(), value["text"].as_str()) {
            (Some("TextRun"), Some(text)) => self.line(text),
            (Some(_), Some(text)) => self.markdown(text),
            _ => match value {
                Value::Object(fields) => {
                    // Shown instead of a card that a client cannot show; it may hold Markdown.
                    if let Some(text) = value["fallbackText"].as_str() {
                        let fallback = Self::of_markdown(text);
                        self.markup.extend(fallback.markup);
                    }
                    for title in ["title", "value"] {
                        if let Some(text) = value[title].as_str() {
                            self.markdown(text);
                        }
                    }
                    fields.values().for_each(|field| self.card(field));
                }
                Value::Array(items) => items.iter().for_each(|item| self.card(item)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            },
        }
    }

    fn line(&mut self, text: &str) {
        self.words.push_str(text);
        self.words.push('\n');
    }

    fn mrkdwn(&mut self, text: &str) {
        let mut words = String::new();
        for line in text.split('\n') {
            let start = line.trim_start_matches(|c: char| c == ' ' || is_isolate(c));
            let quoted = start.strip_prefix("&gt;").or(start.strip_prefix('>'));
            if quoted.is_some() {
                self.markup.push("quote".to_owned());
            }
            let mut rest = quoted.unwrap_or(line);
            let mut bare = String::new();
            while let Some(open) = rest.find('<') {
                let (before, after) = rest.split_at(open);
                bare.push_str(before);
                let Some((inside, then)) = after[1..].split_once('>') else {
                    rest = after;
                    break;
                };
                let kind = match inside.chars().next() {
                    Some('!' | '@' | '#') => "mention",
                    Some(_) | None => "link",
                };
                self.markup.push(format!("{kind} {inside}"));
                bare.push_str(inside.split_once('|').map_or(inside, |(_, label)| label));
                rest = then;
            }
            bare.push_str(rest);
            let shown = self.spans(&bare);
            self.code(&bare);
            self.emoji(&bare);
            words.push_str(&entities(&shown));
            words.push('\n');
        }
        self.line(words.trim_end_matches('\n'));
    }

    fn markdown(&mut self, text: &str) {
        for line in text.split('\n') {
            let start = line.trim_start_matches(|c: char| c == ' ' || is_isolate(c));
            let digits = start.trim_start_matches(|c: char| c.is_ascii_digit());
            let is_numbered = digits.len() < start.len() && digits.starts_with(['.', ')']);
            let is_list = start.starts_with("- ") || start.starts_with("+ ") || start == "-";
            if start.starts_with(['#', '>']) || is_numbered || is_list {
                self.markup.push(format!("block {start}"));
            }
            if let Some((_, after)) = line.split_once('[')
                && after.contains(']')
            {
                self.markup.push(format!("link {line}"));
            }
            if line.contains("{{") || line.contains('<') || line.contains('\\') {
                self.markup.push(format!("function {line}"));
            }
            self.spans(line);
            self.code(line);
        }
        self.line(text);
    }

    /// Words between two marks of a sort, if the first begins a word and the second ends one. The answer is the line
    /// without those marks.
    fn spans(&mut self, line: &str) -> String {
        let mut chars: Vec<char> = line.chars().collect();
        for (mark, name) in [('*', "bold"), ('_', "italic"), ('~', "strike")] {
            let word = |at: Option<usize>| {
                let c = at.and_then(|at| chars.get(at));
                c.is_some_and(|c| c.is_alphanumeric())
            };
            let mut at = (0..chars.len()).filter(|at| chars[*at] == mark);
            let begin = at.find(|at| !word(at.checked_sub(1)));
            let end = at.rev().find(|at| !word(Some(*at + 1)));
            if let (Some(begin), Some(end)) = (begin, end) {
                let inside: String = chars[begin + 1..end].iter().collect();
                self.markup.push(format!("{name} {inside}"));
                chars.remove(end);
                chars.remove(begin);
            }
        }
        chars.into_iter().collect()
    }

    fn code(&mut self, line: &str) {
        if line.matches('`').count() > 1 {
            self.markup.push(format!("code {line}"));
        }
    }

    fn emoji(&mut self, text: &str) {
        let pieces: Vec<&str> = text.split(':').collect();
        let between = pieces.len().saturating_sub(1);
        for name in pieces.iter().take(between).skip(1) {
            let is_time = name.len() == 2 && name.bytes().all(|b| b.is_ascii_digit());
            // Workspaces name their own in any script.
            let is_name = name
                .chars()
                .all(|c| c.is_alphanumeric() || "_-+'".contains(c));
            if !name.is_empty() && is_name && !is_time {
                self.markup.push(format!("emoji {name}"));
            }
        }
    }
}

fn is_isolate(c: char) -> bool {
    matches!(c, '\u{2066}'..='\u{2069}')
}

fn entities(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_told_from_words() {
        for (text, markup) in [
            ("a_b *Agent* c", vec!["bold Agent"]),
            ("<!channel> hi", vec!["mention !channel"]),
            (
                "<https://x.example|here>",
                vec!["link https://x.example|here"],
            ),
            ("&gt; so", vec!["quote"]),
            ("fine :smile: at 10:30:00", vec!["emoji smile"]),
            (":smile:ˋ:", vec!["emoji smile", "emoji ˋ"]),
            ("∶smile∶ˋ∶", vec![]),
            (
                "_so_ ~not~ `x`",
                vec!["italic so", "strike not", "code _so_ ~not~ `x`"],
            ),
            ("snake_case_name 2*3*4 a ~ b", vec![]),
            ("&lt;!channel&gt; 5 &amp; 6", vec![]),
        ] {
            assert_eq!(Seen::of_mrkdwn(text).markup, markup, "{text}");
        }
        // Words are as people see them: without the marks that made one bold, with those that made nothing.
        assert_eq!(Seen::of_mrkdwn("&lt;b&gt; *x*").words, "<b> x\n");
        assert_eq!(Seen::of_mrkdwn("2*3*4 a_b").words, "2*3*4 a_b\n");
        for (text, count) in [
            ("# big", 1),
            ("1. one", 1),
            ("- one", 1),
            ("[x](https://x.example)", 1),
            ("**b**", 1),
            ("{{DATE(2026-11-20T00:00:00Z)}}", 1),
            ("plain - and 3.5 of it (x)", 0),
        ] {
            assert_eq!(Seen::of_markdown(text).markup.len(), count, "{text}");
        }
    }
}
