//! One `[[recipient]]`: a way to find the people a message is for (S2.09, S2.10).

use super::auth;
use crate::{
    config::{document::Section, units::Span},
    sinks::{
        reader::{Reader, span},
        scope::{ANSWER, REQUEST},
        spec::{Lookup, RecipientStep},
        template::Escape,
    },
};

/// Reads an entry. `None` if something in it is wrong, which is noted.
pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<RecipientStep> {
    let when = reader.condition(s, "when", &REQUEST);
    let asks = s.has("url");
    let url = reader.template(s, "url", Escape::Url, &REQUEST);
    let known: &[&str] = if asks { &ANSWER } else { &REQUEST };
    let people = reader.expression(s, "people", known);
    if people.is_none() && !s.has("people") {
        s.missing("people", "a CEL list of {name, email, slack}");
    }
    if !asks {
        let why = "belongs to a lookup, and there is no url";
        s.refuse(&["auth", "tls", "timeout", "cache"], why);
        return Some(RecipientStep {
            when,
            lookup: None,
            people: people?,
        });
    }
    let (auth, tls) = (auth::read(reader, s), auth::tls(reader, s));
    let timeout = span(
        s,
        "timeout",
        Span::seconds(2),
        (Span(10), Span::seconds(60)),
    );
    let cache = span(s, "cache", Span::seconds(300), (Span(0), Span::days(1)));
    Some(RecipientStep {
        when,
        lookup: Some(Lookup {
            url: url?,
            auth: auth?,
            tls,
            timeout: timeout.duration(),
            cache: cache.duration(),
        }),
        people: people?,
    })
}
