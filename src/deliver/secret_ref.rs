//! Where a secret is kept. Configurations hold only such references, so that one can be shown, exported and
//! committed as it is (S1.10).
//!
//! Reading what a reference leads to is `secret`'s work.

use std::{fmt, path::PathBuf};

/// A place that holds a secret, never the secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:/path`: a file.
    File(PathBuf),
    /// `credential:NAME`: a systemd credential, a file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl SecretRef {
    /// What a reference looks like, for messages.
    pub const FORM: &str =
        "a reference to a secret: \"env:NAME\", \"file:/path\" or \"credential:NAME\"";

    /// Reads a reference.
    ///
    /// # Errors
    /// What is allowed, without what was found: someone who wrote the secret itself must not see it in a message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_name = |name: &str, more: &str| {
            !name.is_empty()
                && name.len() <= 256
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        match text.split_once(':') {
            Some(("env", name)) if is_name(name, "_") => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') && path.len() > 1 => {
                Ok(Self::File(PathBuf::from(path)))
            }
            Some(("credential", name)) if is_name(name, "_-.") && !name.starts_with('.') => {
                Ok(Self::Credential(name.to_owned()))
            }
            Some(_) | None => Err(Self::FORM.to_owned()),
        }
    }
}

/// As it stands in a configuration.
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
    fn s1_10_a_reference_reads_back_as_it_was_written() {
        for text in ["env:A_1", "file:/run/secrets/x", "credential:oauth.secret"] {
            assert_eq!(SecretRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn s1_10_a_literal_is_refused_and_not_repeated() {
        for text in [
            "",
            "hunter2hunter2",
            "env:",
            "env:A-B",
            "env:hunter2 hunter2",
            "file:",
            "file:/",
            "file:relative",
            "credential:",
            "credential:../passwd",
            "credential:a/b",
            "https://hunter2",
            "ENV:A",
        ] {
            assert_eq!(
                SecretRef::parse(text),
                Err(SecretRef::FORM.to_owned()),
                "{text}"
            );
        }
    }
}
