//! Bearer tokens: several may be valid at once, and exchanging one needs no restart (S1.10).
//!
//! Only their hashes are held. A token sent is hashed and compared with every one of them in constant time, so that
//! neither its length nor its place in the list shows in the time an answer takes.

use std::{
    env, fs, io,
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::config::HttpConfig;

/// Fewest bytes of a token: shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

type Hash = [u8; 32];

/// The tokens valid now.
pub struct Tokens {
    env: Option<String>,
    file: Option<PathBuf>,
    valid: RwLock<Vec<Hash>>,
}

/// Tokens that cannot be read. Never names one.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is not there or not readable.
    #[error("http.token_file {}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
    /// A token is too short.
    #[error("{place} holds a token of {length} bytes, at least {TOKEN_BYTES_MIN} are needed")]
    TooShort {
        /// Variable, or file and line.
        place: String,
        /// Its length.
        length: usize,
    },
}

impl Tokens {
    /// Reads the tokens that the configuration names.
    ///
    /// # Errors
    /// If a named file cannot be read, or a token is too short to be one.
    pub fn load(config: &HttpConfig) -> Result<Self, TokenError> {
        let tokens = Self {
            env: config.token_env.clone(),
            file: config.token_file.clone(),
            valid: RwLock::default(),
        };
        tokens.reload()?;
        Ok(tokens)
    }

    /// One token, for the demo and for tests.
    #[must_use]
    pub fn one(token: &str) -> Self {
        Self {
            env: None,
            file: None,
            valid: RwLock::new(vec![hash(token)]),
        }
    }

    /// Reads variable and file again. After an error the tokens valid before stay.
    ///
    /// # Errors
    /// As [`Tokens::load`].
    pub fn reload(&self) -> Result<(), TokenError> {
        let mut valid = Vec::new();
        let mut take = |token: &str, place: String| match token.trim() {
            "" => Ok(()),
            token if token.len() < TOKEN_BYTES_MIN => Err(TokenError::TooShort {
                place,
                length: token.len(),
            }),
            token => {
                valid.push(hash(token));
                Ok(())
            }
        };
        if let Some((name, tokens)) = self.env.as_ref().and_then(|n| Some((n, env::var(n).ok()?))) {
            for token in tokens.split(',') {
                take(token, name.clone())?;
            }
        }
        if let Some(path) = &self.file {
            let text = fs::read_to_string(path).map_err(|why| TokenError::Unreadable {
                path: path.clone(),
                why,
            })?;
            let lines = text
                .lines()
                .zip(1..)
                .filter(|(line, _)| !line.starts_with('#'));
            for (line, number) in lines {
                take(line, format!("{}:{number}", path.display()))?;
            }
        }
        *self.valid.write().unwrap_or_else(PoisonError::into_inner) = valid;
        Ok(())
    }

    /// The file to watch, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Whether there is none, so that every request is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.valid
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether the value of an `Authorization` header holds a valid token.
    #[must_use]
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_once(' ')) else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return false;
        }
        let sent = hash(token.trim());
        let valid = self.valid.read().unwrap_or_else(PoisonError::into_inner);
        let equals = valid.iter().map(|token| token.ct_eq(&sent));
        equals.fold(Choice::from(0), |any, one| any | one).into()
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> (tempfile::TempDir, Result<Tokens, TokenError>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, text).unwrap();
        let mut http = crate::config::Config::default().http;
        http.token_env = None;
        http.token_file = Some(path);
        (dir, Tokens::load(&http))
    }

    #[test]
    fn s1_10_several_tokens_are_valid_and_a_rotation_needs_no_restart() {
        let (dir, tokens) = from_file("# old\nabcdefghijklmnop\n\nABCDEFGHIJKLMNOP\n");
        let tokens = tokens.unwrap();
        assert!(tokens.admits(Some("Bearer abcdefghijklmnop")));
        assert!(tokens.admits(Some("bearer ABCDEFGHIJKLMNOP")));
        fs::write(dir.path().join("tokens"), "0123456789abcdef").unwrap();
        tokens.reload().unwrap();
        assert!(!tokens.admits(Some("Bearer abcdefghijklmnop")));
        assert!(tokens.admits(Some("Bearer 0123456789abcdef")));
        fs::write(dir.path().join("tokens"), "short").unwrap();
        assert!(tokens.reload().is_err());
        assert!(
            tokens.admits(Some("Bearer 0123456789abcdef")),
            "the old ones stay"
        );
    }

    #[test]
    fn nothing_but_a_whole_valid_token_is_admitted() {
        let (_dir, tokens) = from_file("abcdefghijklmnop\n");
        let tokens = tokens.unwrap();
        for wrong in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer abcdefghijklmno"),
            Some("Bearer abcdefghijklmnopq"),
            Some("Basic abcdefghijklmnop"),
            Some("abcdefghijklmnop"),
        ] {
            assert!(!tokens.admits(wrong), "{wrong:?}");
        }
        let (_dir, none) = from_file("# none\n");
        let none = none.unwrap();
        assert!(none.is_empty());
        assert!(
            !none.admits(Some("Bearer ")),
            "without tokens nobody is admitted"
        );
    }

    #[test]
    fn a_token_of_fifteen_bytes_is_too_short_and_the_error_does_not_show_it() {
        let (_dir, tokens) = from_file("abcdefghijklmno\n");
        let error = tokens.err().unwrap().to_string();
        assert!(error.contains(":1 holds a token of 15 bytes"), "{error}");
        assert!(!error.contains("abcdef"), "{error}");
    }
}
