//! Bearer tokens: each with its holder and roles, several valid at once, and exchanging one needs no restart (S1.10).
//!
//! Only their hashes are held. A token sent is hashed and compared with every one of them in constant time, so that
//! neither its length nor its place in the list shows in the time an answer takes.
//!
//! A token file has a line for each token: holder, roles, and the token or its hash. A line with nothing but a token,
//! and the tokens of the environment variable, name no holder: they hand in events and read. Deciding about money
//! takes a name.

use std::{
    env, fmt, fs, io,
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use aftercall_actors::contract::value::Id;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::access::{Grant, Role, Roles};
use crate::config::HttpConfig;

/// Fewest bytes of a token: shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Longest name of a holder, in bytes.
const HOLDER_BYTES_MAX: usize = 64;

/// Before the hash of a token in a file.
const HASHED: &str = "sha256:";

type Hash = [u8; 32];

/// The tokens valid now.
pub struct Tokens {
    env: Option<String>,
    file: Option<PathBuf>,
    valid: RwLock<Vec<Token>>,
}

#[derive(Clone)]
struct Token {
    hash: Hash,
    grant: Grant,
}

/// Tokens that cannot be read. Never shows one.
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
    /// Everything that is wrong, a line each.
    #[error("{}", lines(.0))]
    Mistakes(Vec<Mistake>),
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Variable, or file and line.
    place: String,
    flaw: Flaw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    TooShort(usize),
    Words(usize),
    Holder,
    UnknownRole {
        place: usize,
        near: Option<&'static str>,
    },
    RoleTwice(&'static str),
    Hash,
    Twice(String),
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    lines.join("\n")
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        // What stands on the line is not repeated: where columns were mixed up, any of them may be the token.
        match &self.flaw {
            Flaw::TooShort(length) => write!(
                f,
                "{place} holds a token of {length} bytes, at least {TOKEN_BYTES_MIN} are needed"
            ),
            Flaw::Words(found) => write!(
                f,
                "{place} holds {found} words; a line is `holder roles token`, or one token alone"
            ),
            Flaw::Holder => write!(
                f,
                "{place}: a holder is 1 to {HOLDER_BYTES_MAX} letters, digits and any of . _ @ + -"
            ),
            Flaw::UnknownRole {
                place: number,
                near,
            } => {
                write!(f, "{place}: role {number} is not known")?;
                if let Some(near) = near {
                    write!(f, ", did you mean `{near}`?")?;
                }
                write!(
                    f,
                    "; roles are {}, with commas between them",
                    Roles::of(&Role::ALL)
                )
            }
            Flaw::RoleTwice(role) => write!(f, "{place}: role `{role}` stands there twice"),
            Flaw::Hash => write!(
                f,
                "{place}: behind {HASHED} stand 64 hexadecimal digits, as sha256sum prints them"
            ),
            Flaw::Twice(first) => write!(f, "{place} holds the same token as {first}"),
        }
    }
}

impl Tokens {
    /// Reads the tokens that the configuration names.
    ///
    /// # Errors
    /// If a named file cannot be read, or all that is wrong in it or in the variable.
    pub fn load(config: &HttpConfig) -> Result<Self, TokenError> {
        let tokens = Self {
            env: config.token_env.clone(),
            file: config.token_file.clone(),
            valid: RwLock::default(),
        };
        tokens.reload()?;
        Ok(tokens)
    }

    /// One token as the environment variable holds it: to hand in events and to read.
    #[must_use]
    pub fn one(token: &str) -> Self {
        let grant = plain();
        let hash = hash(token);
        Self {
            env: None,
            file: None,
            valid: RwLock::new(vec![Token { hash, grant }]),
        }
    }

    /// This one as well, until tokens are read again: for services put together by hand.
    ///
    /// # Errors
    /// If the holder is no id.
    pub fn and(self, holder: &str, roles: &[Role], token: &str) -> Result<Self, String> {
        let grant = Grant {
            holder: Some(Id::new(holder)?),
            roles: Roles::of(roles),
        };
        let hash = hash(token);
        let mut valid = self.valid.write().unwrap_or_else(PoisonError::into_inner);
        valid.push(Token { hash, grant });
        drop(valid);
        Ok(self)
    }

    /// Reads variable and file again. After an error the tokens valid before stay.
    ///
    /// # Errors
    /// As [`Tokens::load`].
    pub fn reload(&self) -> Result<(), TokenError> {
        let mut found = Found::default();
        if let Some((name, tokens)) = self.env.as_ref().and_then(|n| Some((n, env::var(n).ok()?))) {
            for token in tokens.split(',') {
                found.take(name, token, plain_token);
            }
        }
        if let Some(path) = &self.file {
            let text = fs::read_to_string(path).map_err(|why| TokenError::Unreadable {
                path: path.clone(),
                why,
            })?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            for (line, number) in text.lines().zip(1..) {
                if !line.starts_with('#') {
                    found.take(&format!("{}:{number}", path.display()), line, token_of_line);
                }
            }
        }
        let valid = found.finish()?;
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

    /// What the token may do that a request sent, if it is valid.
    #[must_use]
    pub fn grant(&self, token: &str) -> Option<Grant> {
        let sent = hash(token);
        let valid = self.valid.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for token in valid.iter() {
            if bool::from(token.hash.ct_eq(&sent)) {
                found = Some(&token.grant);
            }
        }
        found.cloned()
    }
}

/// The token in the value of an `Authorization` header, if it holds one.
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What was read so far, and what was wrong with it.
#[derive(Default)]
struct Found {
    tokens: Vec<(String, Token)>,
    mistakes: Vec<Mistake>,
}

impl Found {
    fn take(
        &mut self,
        place: &str,
        text: &str,
        read: impl FnOnce(&str, &mut Vec<Flaw>) -> Option<Token>,
    ) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let mut flaws = Vec::new();
        let token = read(text, &mut flaws);
        if let Some(token) = token {
            let first = self.tokens.iter().find(|(_, t)| t.hash == token.hash);
            match first {
                // The same again, as when a file repeats the variable's, says nothing new.
                Some((_, first)) if first.grant == token.grant => {}
                Some((first, _)) => flaws.push(Flaw::Twice(first.clone())),
                None => self.tokens.push((place.to_owned(), token)),
            }
        }
        let named = flaws.into_iter().map(|flaw| Mistake {
            place: place.to_owned(),
            flaw,
        });
        self.mistakes.extend(named);
    }

    fn finish(self) -> Result<Vec<Token>, TokenError> {
        if self.mistakes.is_empty() {
            Ok(self.tokens.into_iter().map(|(_, token)| token).collect())
        } else {
            Err(TokenError::Mistakes(self.mistakes))
        }
    }
}

/// What a token may do that names no holder.
fn plain() -> Grant {
    Grant {
        holder: None,
        roles: Roles::of(&[Role::Ingest, Role::Read]),
    }
}

fn plain_token(text: &str, flaws: &mut Vec<Flaw>) -> Option<Token> {
    let hash = read_hash(text, flaws)?;
    let grant = plain();
    Some(Token { hash, grant })
}

fn token_of_line(line: &str, flaws: &mut Vec<Flaw>) -> Option<Token> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [token] => plain_token(token, flaws),
        [holder, roles, token] => {
            let holder = read_holder(holder, flaws);
            let roles = read_roles(roles, flaws);
            let hash = read_hash(token, flaws)?;
            let grant = Grant {
                holder: Some(holder?),
                roles: roles?,
            };
            Some(Token { hash, grant })
        }
        words => {
            flaws.push(Flaw::Words(words.len()));
            None
        }
    }
}

fn read_holder(text: &str, flaws: &mut Vec<Flaw>) -> Option<Id> {
    let plain = |c: char| c.is_alphanumeric() || "._@+-".contains(c);
    let fits = text.len() <= HOLDER_BYTES_MAX && text.chars().all(plain);
    let holder = Id::new(text).ok().filter(|_| fits);
    if holder.is_none() {
        flaws.push(Flaw::Holder);
    }
    holder
}

fn read_roles(text: &str, flaws: &mut Vec<Flaw>) -> Option<Roles> {
    let mut roles = Roles::default();
    let before = flaws.len();
    for (name, place) in text.split(',').zip(1..) {
        match Role::ALL.into_iter().find(|role| role.name() == name) {
            Some(role) if roles.add(role) => {}
            Some(role) => flaws.push(Flaw::RoleTwice(role.name())),
            None => flaws.push(Flaw::UnknownRole {
                place,
                near: near(name),
            }),
        }
    }
    (flaws.len() == before).then_some(roles)
}

fn near(name: &str) -> Option<&'static str> {
    let names = Role::ALL.into_iter().map(Role::name);
    // A long one is near to none, and may be a token.
    let distances = names
        .filter(|_| name.len() <= 24)
        .map(|known| (strsim::damerau_levenshtein(name, known), known));
    let nearest = distances.min()?;
    (nearest.0 * 3 <= nearest.1.len()).then_some(nearest.1)
}

fn read_hash(text: &str, flaws: &mut Vec<Flaw>) -> Option<Hash> {
    let Some(digits) = text.strip_prefix(HASHED) else {
        if text.len() < TOKEN_BYTES_MIN {
            flaws.push(Flaw::TooShort(text.len()));
            return None;
        }
        return Some(hash(text));
    };
    let mut bytes = [0; 32];
    let is_hex = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    if !is_hex {
        flaws.push(Flaw::Hash);
    }
    is_hex.then_some(bytes)
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
