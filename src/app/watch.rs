//! Files that may change while the service runs: the rules and the tokens.
//!
//! The content is compared every second. No notification of the file system is relied on: they differ between
//! platforms and miss what configuration volumes do (a link is swapped), and reading a small file costs nothing.

use std::{io, path::PathBuf, sync::Arc};

use aftercall_actors::rules::RuleSet;

use super::Engine;
use crate::{desk::tokens::Tokens, log::AppendError, telemetry};

/// A file and what it held when last looked at.
struct Watched {
    path: PathBuf,
    last: Option<String>,
    /// Whether it has been said that the file cannot be read.
    complained: bool,
}

impl Watched {
    /// The new content, if it is another than last time.
    fn changed(&mut self) -> Option<&str> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => {
                self.complained = false;
                if self.last.as_ref() == Some(&text) {
                    return None;
                }
                Some(self.last.insert(text))
            }
            Err(error) => {
                if !self.complained {
                    self.complained = true;
                    unreadable(&self.path, &error);
                }
                None
            }
        }
    }
}

fn unreadable(path: &std::path::Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "watched file cannot be read; what it held stays in force");
}

/// The rule file: a changed one is activated, a bad one refused while the old rules stay.
pub struct RulesWatch {
    file: Option<Watched>,
    /// Good rules that the log has not confirmed yet.
    pending: Option<RuleSet>,
}

impl RulesWatch {
    /// Watches `path`, whose content `rules` are in force already.
    #[must_use]
    pub fn new(path: Option<PathBuf>, rules: &RuleSet) -> Self {
        Self {
            file: path.map(|path| Watched {
                path,
                last: Some(rules.text().to_owned()),
                complained: false,
            }),
            pending: None,
        }
    }

    /// Looks once.
    pub async fn look(&mut self, engine: &Engine) {
        if let Some(rules) = self.read() {
            self.pending = Some(rules);
        }
        let Some(rules) = &self.pending else {
            return;
        };
        match engine.activate(rules).await {
            Ok(_) => self.pending = None,
            // The same again would be refused again.
            Err(AppendError::Refused(why)) => {
                telemetry::metrics().rule_files_refused.inc();
                tracing::error!("rules refused by the log, the old ones stay: {why}");
                self.pending = None;
            }
            Err(error @ AppendError::Unknown(_)) => {
                tracing::debug!(%error, "rules not activated yet; will try again");
            }
        }
    }

    /// The new rules, if the file holds other ones and they are good.
    fn read(&mut self) -> Option<RuleSet> {
        let file = self.file.as_mut()?;
        let origin = file.path.display().to_string();
        match super::parse_rules(file.changed()?, &origin) {
            Ok(rules) => Some(rules),
            Err(errors) => {
                telemetry::metrics().rule_files_refused.inc();
                for error in errors.to_string().lines() {
                    tracing::error!("rules refused, the old ones stay: {error}");
                }
                None
            }
        }
    }
}

/// The token file: a changed one counts from the next request on.
pub struct TokensWatch {
    file: Option<Watched>,
    tokens: Arc<Tokens>,
}

impl TokensWatch {
    /// Watches the file of `tokens`, if they come from one.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self {
            file: tokens.file().map(|path| Watched {
                path: path.clone(),
                last: std::fs::read_to_string(path).ok(),
                complained: false,
            }),
            tokens,
        }
    }

    /// Looks once.
    pub fn look(&mut self) {
        if self
            .file
            .as_mut()
            .is_some_and(|file| file.changed().is_some())
        {
            match self.tokens.reload() {
                Ok(()) => tracing::info!("tokens read again"),
                Err(error) => tracing::error!(%error, "tokens refused, the old ones stay"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_rule_file_is_taken_once_and_a_bad_or_missing_one_leaves_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        let rules = RuleSet::default_rules();
        std::fs::write(&path, rules.text()).unwrap();
        let mut watch = RulesWatch::new(Some(path.clone()), &rules);
        let refused = || telemetry::metrics().rule_files_refused.get();
        let before = refused();
        assert!(watch.read().is_none(), "unchanged");

        std::fs::write(&path, format!("{}\n# more", rules.text())).unwrap();
        let other = watch.read().unwrap();
        assert_ne!(other.version(), rules.version());
        assert!(watch.read().is_none(), "only once");

        std::fs::write(&path, "[[rule]]\nnme = 1").unwrap();
        assert!(watch.read().is_none());
        assert!(watch.read().is_none());
        assert_eq!(refused(), before + 1, "a bad file is counted once");

        std::fs::remove_file(&path).unwrap();
        assert!(watch.read().is_none());
        std::fs::write(&path, rules.text()).unwrap();
        assert_eq!(watch.read().unwrap().version(), rules.version());
    }
}
