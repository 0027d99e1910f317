//! Which metrics a condition can ever hold for, whatever the rest of the event is.
//!
//! A metric that a points rule is about is recorded even where its value gives nothing: an older record that comes
//! late must not stand in for it (S3.01). One that no rule is about takes no room in an agent. So what a rule is about
//! has to be known apart from whether it holds: three-valued logic over the one thing that is known, `event.metric`.

use super::eval::{Node, TextTest};

/// Whether the node holds for each event of this metric, for none (`Some(false)`), or it depends.
pub fn holds_for(node: &Node, metric: &str) -> Option<bool> {
    match node {
        Node::Bool(b) => Some(*b),
        Node::Not(a) => holds_for(a, metric).map(|b| !b),
        Node::And(parts) => decide(false, parts, metric),
        Node::Or(parts) => decide(true, parts, metric),
        Node::If(abc) => {
            let (yes, no) = (holds_for(&abc[1], metric), holds_for(&abc[2], metric));
            match holds_for(&abc[0], metric) {
                Some(true) => yes,
                Some(false) => no,
                None => yes.filter(|_| yes == no),
            }
        }
        Node::Equal(ab) => texts(ab, metric).map(|(a, b)| a == b),
        Node::Unequal(ab) => texts(ab, metric).map(|(a, b)| a != b),
        Node::InLiterals(a, literals) => {
            let a = text(a, metric)?;
            let literals = literals.iter().map(|literal| text(literal, metric));
            literals
                .collect::<Option<Vec<&str>>>()
                .map(|all| all.contains(&a))
        }
        Node::TextTest(test, ab) => texts(ab, metric).map(|(a, b)| match test {
            TextTest::Contains => a.contains(b),
            TextTest::StartsWith => a.starts_with(b),
            TextTest::EndsWith => a.ends_with(b),
        }),
        Node::Int(_)
        | Node::Double(_)
        | Node::Text(_)
        | Node::Field(_)
        | Node::Answer(_)
        | Node::HasField(_)
        | Node::HasAnswer(_)
        | Node::Compare(..)
        | Node::Arithmetic(..)
        | Node::Negate(_)
        | Node::In(_)
        | Node::Size(_)
        | Node::ToInt(_)
        | Node::ToDouble(_)
        | Node::Mentions(_) => None,
    }
}

/// `&&` and `||`: one part that equals `decisive` decides, or all of the others do.
fn decide(decisive: bool, parts: &[Node], metric: &str) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match holds_for(part, metric) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn texts<'a>(ab: &'a [Node; 2], metric: &'a str) -> Option<(&'a str, &'a str)> {
    Some((text(&ab[0], metric)?, text(&ab[1], metric)?))
}

/// A text that is known: a literal, or the metric.
fn text<'a>(node: &'a Node, metric: &'a str) -> Option<&'a str> {
    match node {
        Node::Text(text) => Some(text),
        // No figure of an agent has this path.
        Node::Field(field) if field.path == "metric" => Some(metric),
        _another_node => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::RuleSet;

    /// Whether points may be given for `adherence`, under a rule with this condition.
    fn is_about(when: &str) -> bool {
        let rule = format!(
            "[[rule]]\nname = \"r\"\non = \"wfm.metric.recorded\"\nwhen = '''{when}'''\npoints = 5\n"
        );
        let rules = RuleSet::parse(&rule, "test").unwrap();
        rules.gives_points_for("adherence")
    }

    #[test]
    fn s3_01_a_rule_is_about_each_metric_it_can_hold_for() {
        for (when, about) in [
            ("true", true),
            ("false", false),
            ("event.value > 1.0", true),
            (r#"event.metric == "adherence""#, true),
            (
                r#""adherence" == event.metric && event.value >= 0.95"#,
                true,
            ),
            (r#"event.metric == "aht" && event.value >= 0.95"#, false),
            (r#"event.value >= 0.95 && event.metric == "aht""#, false),
            (r#"event.metric != "adherence""#, false),
            (r#"event.metric != "aht""#, true),
            (r#"!(event.metric == "aht")"#, true),
            (
                r#"event.metric in ["aht", "adherence"] && event.value > 1.0"#,
                true,
            ),
            (r#"event.metric in ["aht", "csat"]"#, false),
            (
                r#"event.metric.startsWith("adh") && event.value > 1.0"#,
                true,
            ),
            (r#"event.metric.endsWith("csat")"#, false),
            (r#"event.metric.contains("here")"#, true),
            (r#"event.metric == "aht" || event.value > 1.0"#, true),
            (r#"event.metric == "aht" || event.metric == "csat""#, false),
            (
                r#"event.metric == "aht" ? event.value > 1.0 : false"#,
                false,
            ),
            (
                r#"event.value > 1.0 ? event.metric == "aht" : false"#,
                false,
            ),
            (r#"event.value > 1.0 ? true : event.metric == "aht""#, true),
            (r#"event.export_version == "adherence""#, true),
        ] {
            assert_eq!(is_about(when), about, "{when}");
        }
    }

    #[test]
    fn s3_01_a_rule_that_gives_no_points_or_listens_to_others_is_about_no_metric() {
        assert!(
            !RuleSet::parse("", "test")
                .unwrap()
                .gives_points_for("points")
        );
        let shipped = RuleSet::default_rules();
        assert!(shipped.gives_points_for("points"));
        assert!(!shipped.gives_points_for("adherence"));
    }
}
