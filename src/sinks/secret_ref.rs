//! Where a secret is kept. The configuration holds this and never the secret; `secret` reads it.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:/path`: a file, without the line break at its end; read again when it changes.
    File(PathBuf),
    /// `credential:NAME`: a file of that name in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl SecretRef {
    /// What a reference looks like, for messages.
    pub const FORM: &str = "a reference to a secret: \"env:NAME\", \"file:/path\" or \"credential:NAME\", never the secret itself";

    /// Whether a text means to be a reference, well formed or not.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }
}

const SCHEMES: [&str; 3] = ["env:", "file:", "credential:"];

impl FromStr for SecretRef {
    type Err = String;

    /// Reads a reference. The error does not repeat the text, which may be the secret itself.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || Self::FORM.to_owned();
        let (scheme, place) = text.split_once(':').ok_or_else(refused)?;
        let plain = |extra: &str| {
            !place.is_empty()
                && place
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        match scheme {
            "env" if plain("_") => Ok(Self::Env(place.to_owned())),
            "file" if place.starts_with('/') => Ok(Self::File(place.into())),
            // A name within the directory; `..` would lead out of it.
            "credential" if plain("_-.") && !place.starts_with('.') => {
                Ok(Self::Credential(place.to_owned()))
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_10_a_reference_reads_back_and_a_literal_is_refused_without_repeating_it() {
        for text in [
            "env:CRM_TOKEN",
            "file:/run/secrets/crm",
            "credential:crm-token.2",
        ] {
            assert_eq!(
                text.parse::<SecretRef>().map(|r| r.to_string()),
                Ok(text.to_owned())
            );
            assert!(SecretRef::is_meant(text));
        }
        for text in [
            "xoxb-hunter2",
            "env:",
            "env:a b",
            "env:hunter2=",
            "file:relative",
            "file:",
            "credential:../etc/shadow",
            "credential:.hidden",
            "https://hunter2",
            "",
        ] {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert_eq!(error, SecretRef::FORM, "{text}");
        }
    }
}
