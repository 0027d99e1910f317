//! Whether somebody pays, and says nothing by mistake: for each tier of a program that is switched on, one destination that takes its requests and
//! answers, and one that takes its reversals.
//!
//! With none, an agent who gets there stays locked for good (S3.04); with two, each would issue the reward. Neither is
//! a mistake of one file alone, so `check` and the start of the service look at rules and destinations together. It is
//! a warning: another program may read the requests from the bus and answer them.

use aftercall_actors::{
    rewards::programs::{OnCancelled, Program, Tier},
    rules::RuleSet,
};

use super::{destination::Destination, examples};
use crate::delivery::{parcel::Parcel, policy::OutcomeRule, transport::Transport};

/// A destination that may take rewards.
pub struct Payer<'a> {
    name: &'a str,
    selects: Box<dyn Fn(&Parcel) -> bool + 'a>,
    answers: bool,
    /// What it says of a request that it gives up.
    gives_up: Option<&'a str>,
}

/// The outcome that a claim waits for.
const OUTCOME: &str = "reward.outcome";

/// What a provider says of an issued reward that the agent does not have.
const GONE: [&str; 5] = ["bounced", "canceled", "cancelled", "failed", "reversed"];

fn answers(outcome: Option<&OutcomeRule>) -> bool {
    outcome.is_some_and(|rule| rule.event_type == OUTCOME)
}

fn gives_up(outcome: Option<&OutcomeRule>) -> Option<&str> {
    outcome.map(|rule| rule.failed.as_str())
}

impl<'a> From<&'a Destination> for Payer<'a> {
    fn from(destination: &'a Destination) -> Self {
        Self {
            name: &destination.name,
            selects: Box::new(|parcel| destination.selector.selects(parcel)),
            answers: answers(destination.policy.outcome.as_ref()),
            gives_up: gives_up(destination.policy.outcome.as_ref()),
        }
    }
}

impl<'a> From<&'a dyn Transport> for Payer<'a> {
    fn from(transport: &'a dyn Transport) -> Self {
        Self {
            name: transport.name(),
            selects: Box::new(|parcel| transport.selects(parcel)),
            answers: answers(transport.policy().outcome.as_ref()),
            gives_up: gives_up(transport.policy().outcome.as_ref()),
        }
    }
}

/// What is amiss, a line each; nothing for programs that are switched off.
#[must_use]
pub fn warnings(rules: &RuleSet, payers: &[Payer<'_>]) -> Vec<String> {
    let programs = rules.settings().programs.iter().filter(|p| p.enabled);
    let tiers = programs.flat_map(|program| program.tiers.iter().map(move |tier| (program, tier)));
    tiers
        .flat_map(|(program, tier)| {
            ["reward.requested", "reward.reversal.requested"]
                .into_iter()
                .flat_map(move |output| {
                    let missing = warning(program, tier, output, payers);
                    missing
                        .into_iter()
                        .chain(frees(program, tier, output, payers))
                })
        })
        .collect()
}

/// A destination whose giving up would free the points of a reward that was issued after all (S3.16).
fn frees(program: &Program, tier: &Tier, output: &str, payers: &[Payer<'_>]) -> Vec<String> {
    if program.on_cancelled != OnCancelled::Free || output != "reward.requested" {
        return Vec::new();
    }
    let Some(parcel) = request(program, tier, output) else {
        return Vec::new();
    };
    let payers = payers
        .iter()
        .filter(|payer| payer.answers && (payer.selects)(&parcel));
    let said = payers.filter_map(|payer| Some((payer, payer.gives_up?)));
    let said = said.filter(|(_, word)| GONE.contains(word));
    let warning = |(payer, word): (&Payer<'_>, &str)| {
        format!(
            "destination {} says `{word}` when it gives up, which frees the points of a reward of program `{}` that is \
             issued by then: write `outcome.failed = \"needs_review\"`",
            payer.name, program.name
        )
    };
    said.map(warning).collect()
}

/// What is asked for of a tier.
fn request(program: &Program, tier: &Tier, output: &str) -> Option<Parcel> {
    let mut parcel = examples::of(output)?;
    let data = parcel.data.as_object_mut()?;
    data.insert("program".into(), program.name.as_str().into());
    data.insert("tier".into(), tier.name.as_str().into());
    data.insert("reward_type".into(), tier.reward_type.as_str().into());
    data.insert("points_consumed".into(), tier.threshold.into());
    Some(parcel)
}

fn warning(program: &Program, tier: &Tier, output: &str, payers: &[Payer<'_>]) -> Option<String> {
    let parcel = request(program, tier, output)?;
    let payers = payers.iter();
    let found: Vec<&str> = payers
        .filter(|payer| payer.answers && (payer.selects)(&parcel))
        .map(|payer| payer.name)
        .collect();
    let of = format!(
        "{output} of tier `{}` of program `{}`",
        tier.name, program.name
    );
    match found.as_slice() {
        [_] => None,
        [] => Some(format!(
            "no destination answers {of}: without a `reward.outcome` the reward stays open; a destination needs it in \
             `on`, and `outcome.event = \"reward.outcome\"`"
        )),
        all => Some(format!(
            "destinations {} all answer {of}, and each would do it: tell them apart with `when`",
            all.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::load;

    const RULES: &str = "[[program]]\nname = \"p\"\nenabled = true\n\
        [[program.tier]]\nname = \"t\"\nthreshold = 500\nreward_type = \"card\"\n";
    const FIELDS: &str =
        "[destination.a]\nprogram = \"plain\"\n[destination.b]\nprogram = \"plain\"\n";

    fn destination(name: &str, on: &str, when: &str, outcome: bool) -> String {
        let outcome = match outcome {
            true => "outcome = { event = \"reward.outcome\" }\n",
            false => "",
        };
        format!(
            "[[destination]]\nname = \"{name}\"\non = [\"{on}\"]\nwhen = \"{when}\"\nchannel = \"http\"\n\
             url = \"https://vendor.example.com/\"\n{outcome}"
        )
    }

    fn warned(rules: &str, destinations: &[String]) -> Vec<String> {
        let rules = RuleSet::parse(rules, "rules.toml").unwrap();
        let loaded = load::parse((&destinations.concat(), "d"), Some((FIELDS, "f"))).unwrap();
        let payers = loaded.destinations().destinations.iter().map(Payer::from);
        warnings(&rules, &payers.collect::<Vec<_>>())
    }

    #[test]
    fn s3_04_each_tier_has_one_destination_that_answers() {
        let both = destination("a", "reward", "true", true);
        assert_eq!(warned(RULES, std::slice::from_ref(&both)), [""; 0]);
        let silent = destination("a", "reward", "true", false);
        let other = destination("a", "reward", "data.program == 'q'", true);
        for nobody in [silent, other] {
            let said = warned(RULES, &[nobody]);
            assert_eq!(said.len(), 2, "{said:?}");
            assert!(
                said[0].starts_with(
                    "no destination answers reward.requested of tier `t` of program `p`"
                )
            );
            assert!(said[1].starts_with("no destination answers reward.reversal.requested"));
        }
        let again = destination("b", "reward.requested", "data.tier == 't'", true);
        let said = warned(RULES, &[both, again]);
        assert_eq!(
            said,
            [
                "destinations a, b all answer reward.requested of tier `t` of program `p`, and each would do it: tell \
              them apart with `when`"
            ]
        );
    }

    #[test]
    fn s3_16_a_word_for_giving_up_that_would_free_points_is_warned_of() {
        let free = RULES.replace("enabled = true", "enabled = true\non_cancelled = \"free\"");
        let usual = destination("a", "reward", "true", true);
        assert_eq!(
            warned(&free, std::slice::from_ref(&usual)),
            [
                "destination a says `failed` when it gives up, which frees the points of a reward of program `p` that is \
                 issued by then: write `outcome.failed = \"needs_review\"`"
            ]
        );
        assert_eq!(warned(RULES, std::slice::from_ref(&usual)), [""; 0]);
        let told = usual.replace("outcome\" }", "outcome\", failed = \"needs_review\" }");
        assert_eq!(warned(&free, &[told]), [""; 0]);
    }

    #[test]
    fn s3_04_a_program_that_is_switched_off_needs_nobody() {
        let rules = RULES.replace("true", "false");
        assert_eq!(
            warned(&rules, &[destination("a", "alert", "true", false)]),
            [""; 0]
        );
    }
}
