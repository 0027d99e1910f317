//! What the configuration points at outside of itself, looked at where `check` runs: certificates, keys and secrets.
//!
//! A certificate that is not there keeps the program from starting, so it is a mistake. A secret that is not there is
//! waited for while everything else goes on, and `check` may well run where secrets are not: it is worth a warning.

use super::{
    client::tls,
    destination::Destinations,
    rehearsal::{Note, Rehearsed},
    secret::Secret,
    secret_ref::SecretRef,
    spec::{AuthSpec, Identity, Text, TlsSpec},
};

/// Looks at everything that is pointed at. Connects to nothing.
#[must_use]
pub fn look(destinations: &Destinations) -> Rehearsed {
    let mut found = Rehearsed::default();
    for (i, step) in destinations.recipients.iter().enumerate() {
        if let Some(lookup) = &step.lookup {
            let path = format!("recipient {}", i + 1);
            of_tls(&lookup.tls, &path, &mut found);
            of_auth(&lookup.auth, &path, &mut found);
        }
    }
    for destination in &destinations.destinations {
        let path = format!("destination {:?}", destination.name);
        of_tls(&destination.tls, &path, &mut found);
        of_auth(&destination.auth, &path, &mut found);
        let texts = destination.channel.sink().texts();
        of_texts(&texts, &[], &path, &mut found);
        for (i, fallback) in destination.fallbacks.iter().enumerate() {
            let path = format!("{path}.fallback[{i}]");
            of_texts(&fallback.request.texts(), &texts, &path, &mut found);
        }
        if let Some(lookup) = &destination.lookup {
            let path = format!("{path}.lookup");
            of_texts(&lookup.request.texts(), &[], &path, &mut found);
        }
        if let Some(list) = &destination.list {
            let path = format!("{path}.list");
            of_texts(&list.request.texts(), &[], &path, &mut found);
        }
    }
    for notes in [&mut found.mistakes, &mut found.warnings] {
        notes.sort();
        notes.dedup();
    }
    found
}

fn of_tls(spec: &TlsSpec, path: &str, found: &mut Rehearsed) {
    let problems = tls::problems(spec).into_iter();
    found.mistakes.extend(problems.map(|(key, error)| Note {
        key: format!("{path}.tls.{key}"),
        text: error.to_string(),
    }));
}

fn of_auth(auth: &AuthSpec, path: &str, found: &mut Rehearsed) {
    let mut secret = |key: &str, reference: &SecretRef| {
        of_secret(reference, format!("{path}.auth.{key}"), found);
    };
    let of_identity = |identity: &Identity| match identity {
        Identity::Plain(_) => None,
        Identity::Reference(reference) => Some(reference.clone()),
    };
    match auth {
        AuthSpec::None => {}
        AuthSpec::Bearer { token } => secret("token", token),
        AuthSpec::Basic { user, password } => {
            if let Some(user) = of_identity(user) {
                secret("user", &user);
            }
            secret("password", password);
        }
        AuthSpec::OAuth2 {
            client_id,
            client_secret,
            ..
        } => {
            if let Some(id) = of_identity(client_id) {
                secret("client_id", &id);
            }
            secret("client_secret", client_secret);
        }
        AuthSpec::StandardWebhooks { secret: kept } => secret("secret", kept),
    }
}

/// `base`: those of the request that a fallback takes over from, which have been looked at.
fn of_texts(
    texts: &[(String, &Text)],
    base: &[(String, &Text)],
    path: &str,
    found: &mut Rehearsed,
) {
    for text in texts.iter().filter(|text| !base.contains(text)) {
        if let (key, Text::Secret(reference)) = text {
            of_secret(reference, format!("{path}.{key}"), found);
        }
    }
}

fn of_secret(reference: &SecretRef, key: String, found: &mut Rehearsed) {
    if let Err(error) = Secret::new(reference.clone()).read() {
        let text = format!("{error}, here and now; nothing is sent without it");
        found.warnings.push(Note { key, text });
    }
}
