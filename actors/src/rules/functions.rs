//! The functions conditions have, and what to say of one they do not have.
//!
//! `check` types their calls.

use super::suggest::hint;

/// What functions a condition can call, for suggestions.
const FUNCTIONS: [&str; 8] = [
    "mentions",
    "has",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "double",
];

/// What is wrong with a call that `check` does not know: by its name, or by how it is called.
pub fn unknown_function(name: &str) -> String {
    match name {
        "all" | "exists" | "exists_one" | "filter" | "map" => {
            "conditions have no macros over lists; ask for one element with `\"x\" in event.tags`"
                .into()
        }
        "matches" => "conditions have no regular expressions; look for words with `mentions(..)`, \
                      or for a part with `contains`, `startsWith`, `endsWith`"
            .into(),
        known if FUNCTIONS.contains(&known) => {
            let usage = match known {
                "contains" | "startsWith" | "endsWith" => format!("`event.comment.{known}(\"x\")`"),
                field @ ("has" | "size") => format!("`{field}(event.comment)`"),
                number => format!("`{number}(event.answers.nps)`"),
            };
            format!("`{known}` is called as {usage}")
        }
        unknown => format!("unknown function `{unknown}`; {}", hint(unknown, FUNCTIONS)),
    }
}
