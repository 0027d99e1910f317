//! Reading a secret as it is now, so that a rotation needs no restart (S1.10).
//!
//! A file is looked at, not watched: its times, length and inode, at most once a second and only when the secret is
//! needed. That works the same for a file written in place, one renamed over another and the swapped links of a
//! container's mounts, where watchers miss one or the other. Looking costs one `stat`, so it may block a worker.
//!
//! A secret that has gone or become empty is an error at once, not the old value for a while longer: removing it is
//! how an operator takes it out of use. Values are [`SecretString`]s; no message, `Debug` or error holds one.

use std::{
    env, fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use xxhash_rust::xxh3::xxh3_64;

use super::secret_ref::SecretRef;

/// How long a value is used before its place is looked at again.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest secret, in bytes: a private key with its chain is far below, and `/dev/zero` is far above.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Variable in which systemd names the directory of a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A secret that cannot be had. Names its reference, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or the file is not there.
    #[error("secret {reference}: there is none")]
    Absent {
        /// Where it should be.
        reference: SecretRef,
    },
    /// systemd gave this process no credentials.
    #[error(
        "secret {reference}: ${CREDENTIALS_DIRECTORY} is not set, so systemd gave this process no credentials"
    )]
    NoCredentials {
        /// Where it should be.
        reference: SecretRef,
    },
    /// The file is there and cannot be read.
    #[error("secret {reference}: cannot be read: {why}")]
    Unreadable {
        /// Where it is.
        reference: SecretRef,
        /// What the system says.
        why: String,
    },
    /// Nothing is in it.
    #[error("secret {reference}: it is empty")]
    Empty {
        /// Where it is.
        reference: SecretRef,
    },
    /// It is no text.
    #[error("secret {reference}: it is not UTF-8")]
    NotText {
        /// Where it is.
        reference: SecretRef,
    },
    /// It is too long to be one.
    #[error("secret {reference}: it is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong {
        /// Where it is.
        reference: SecretRef,
    },
}

/// One secret: where it is kept, and the value last read.
pub struct Secret {
    reference: SecretRef,
    /// Where systemd keeps this process' credentials.
    directory: Option<PathBuf>,
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    looked_at: Instant,
    /// What the file was when it was read; `None` for a variable.
    stamp: Option<Stamp>,
    value: SecretString,
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last write, and of the last change of the inode: a tool that copies times
    /// changes only the latter.
    written: (i64, i64),
    changed: (i64, i64),
}

impl Secret {
    /// A secret that is read when it is first needed.
    #[must_use]
    pub fn new(reference: SecretRef) -> Self {
        Self::with_directory(
            reference,
            env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from),
        )
    }

    const fn with_directory(reference: SecretRef, directory: Option<PathBuf>) -> Self {
        Self {
            reference,
            directory,
            seen: Mutex::new(None),
        }
    }

    /// Where it is kept.
    #[must_use]
    pub const fn reference(&self) -> &SecretRef {
        &self.reference
    }

    /// Its value, at most [`LOOK_EVERY`] old. Trailing line ends are no part of it.
    ///
    /// # Errors
    /// If it is not there, not readable, empty, too long or no text.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.read_if_older(LOOK_EVERY)
    }

    /// Its value now: for when a destination has refused the one last read.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn read_now(&self) -> Result<SecretString, SecretError> {
        self.read_if_older(Duration::ZERO)
    }

    /// A number that is another once the value is, or once it can be read or no longer can; at most [`LOOK_EVERY`] old.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.read()
            .map_or(0, |value| xxh3_64(value.expose_secret().as_bytes()))
    }

    fn read_if_older(&self, age: Duration) -> Result<SecretString, SecretError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = seen.as_ref()
            && last.looked_at.elapsed() < age
        {
            return Ok(last.value.clone());
        }
        let looked_at = Instant::now();
        // Whatever goes wrong below, the old value is not to be used any more.
        let last = seen.take();
        let (stamp, value) = match self.path()? {
            None => (None, self.variable()?),
            Some(path) => {
                let stamp = self.stamp(&path)?;
                match last {
                    Some(last) if last.stamp == Some(stamp) => (Some(stamp), last.value),
                    // Read after the stamp was taken: a write in between shows at the next look.
                    Some(_) | None => (Some(stamp), self.content(&path)?),
                }
            }
        };
        *seen = Some(Seen {
            looked_at,
            stamp,
            value: value.clone(),
        });
        Ok(value)
    }

    /// The file to read, if it is one.
    fn path(&self) -> Result<Option<PathBuf>, SecretError> {
        match &self.reference {
            SecretRef::Env(_) => Ok(None),
            SecretRef::File(path) => Ok(Some(path.clone())),
            SecretRef::Credential(name) => match &self.directory {
                Some(directory) => Ok(Some(directory.join(name))),
                None => Err(SecretError::NoCredentials {
                    reference: self.reference.clone(),
                }),
            },
        }
    }

    fn variable(&self) -> Result<SecretString, SecretError> {
        let SecretRef::Env(name) = &self.reference else {
            return Err(self.absent());
        };
        let value = env::var_os(name).ok_or_else(|| self.absent())?;
        self.checked(value.into_encoded_bytes())
    }

    fn stamp(&self, path: &Path) -> Result<Stamp, SecretError> {
        let meta = fs::metadata(path).map_err(|error| self.unreadable(&error))?;
        Ok(Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    fn content(&self, path: &Path) -> Result<SecretString, SecretError> {
        let file = fs::File::open(path).map_err(|error| self.unreadable(&error))?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, SECRET_BYTES_MAX + 1), &mut bytes)
            .map_err(|error| self.unreadable(&error))?;
        self.checked(bytes)
    }

    fn checked(&self, bytes: Vec<u8>) -> Result<SecretString, SecretError> {
        let reference = || self.reference.clone();
        if bytes.len() as u64 > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong {
                reference: reference(),
            });
        }
        let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NotText {
            reference: reference(),
        })?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        if text.trim().is_empty() {
            return Err(SecretError::Empty {
                reference: reference(),
            });
        }
        Ok(SecretString::from(text))
    }

    fn absent(&self) -> SecretError {
        SecretError::Absent {
            reference: self.reference.clone(),
        }
    }

    fn unreadable(&self, error: &io::Error) -> SecretError {
        if error.kind() == io::ErrorKind::NotFound {
            return self.absent();
        }
        SecretError::Unreadable {
            reference: self.reference.clone(),
            why: error.to_string(),
        }
    }
}

/// Where it is kept, nothing else.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    fn in_file(content: &[u8]) -> (tempfile::TempDir, PathBuf, Secret) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        let secret = Secret::new(SecretRef::File(path.clone()));
        (dir, path, secret)
    }

    fn value(secret: &Secret) -> String {
        secret.read().unwrap().expose_secret().to_owned()
    }

    #[test]
    fn s1_10_a_rotated_file_is_read_again_within_a_second_and_not_before_it() {
        let (dir, path, secret) = in_file(b"first-value\n");
        assert_eq!(value(&secret), "first-value");
        let read_at = Instant::now();
        fs::write(&path, "other-value\r\n").unwrap();
        let early = value(&secret);
        // On a machine that stood still for a second the look was due.
        if read_at.elapsed() < LOOK_EVERY {
            assert_eq!(early, "first-value", "looked at too often");
        }
        sleep(LOOK_EVERY);
        assert_eq!(value(&secret), "other-value");
        // Of the same length, and moved over it as a link swap does.
        let next = dir.path().join("next");
        fs::write(&next, "third-value").unwrap();
        fs::rename(&next, &path).unwrap();
        sleep(LOOK_EVERY);
        assert_eq!(value(&secret), "third-value");
    }

    #[test]
    fn s1_10_a_refused_secret_is_looked_at_at_once() {
        let (_dir, path, secret) = in_file(b"first");
        assert_eq!(value(&secret), "first");
        fs::write(&path, "later").unwrap();
        assert_eq!(secret.read_now().unwrap().expose_secret(), "later");
        assert_eq!(value(&secret), "later");
    }

    #[test]
    fn s1_10_a_secret_taken_away_is_an_error_and_not_the_old_value() {
        let (_dir, path, secret) = in_file(b"planted-7f3a");
        assert_eq!(value(&secret), "planted-7f3a");
        fs::remove_file(&path).unwrap();
        let absent = Err(SecretError::Absent {
            reference: SecretRef::File(path.clone()),
        });
        assert_eq!(secret.read_now().map(|_| ()), absent);
        assert_eq!(
            secret.read().map(|_| ()),
            absent,
            "asked again within the second"
        );
        fs::write(&path, "\n").unwrap();
        assert_eq!(
            secret.read().unwrap_err().to_string(),
            format!("secret file:{}: it is empty", path.display())
        );
        fs::write(&path, "back").unwrap();
        assert_eq!(value(&secret), "back");
    }

    #[test]
    fn s1_10_only_line_ends_at_the_end_are_trimmed() {
        for (content, expected) in [
            (&b" a b \n"[..], " a b "),
            (b"a\nb\n\n", "a\nb"),
            (b"a\r\n", "a"),
            (b"a", "a"),
        ] {
            let (_dir, _path, secret) = in_file(content);
            assert_eq!(value(&secret), expected);
        }
    }

    #[test]
    fn s1_10_a_secret_of_64_kib_is_read_and_one_byte_more_is_not() {
        let most = usize::try_from(SECRET_BYTES_MAX).unwrap();
        let (_dir, _path, secret) = in_file(&vec![b'x'; most]);
        assert_eq!(value(&secret).len(), most);
        let (_dir, path, secret) = in_file(&vec![b'x'; most + 1]);
        assert_eq!(
            secret.read().unwrap_err(),
            SecretError::TooLong {
                reference: SecretRef::File(path)
            }
        );
    }

    #[test]
    fn s1_10_what_cannot_be_read_is_named_by_its_place() {
        let (_dir, path, secret) = in_file(b"planted-\xff");
        assert_eq!(
            secret.read().unwrap_err(),
            SecretError::NotText {
                reference: SecretRef::File(path.clone())
            }
        );
        let folder = Secret::new(SecretRef::File(path.parent().unwrap().to_owned()));
        assert!(matches!(
            folder.read().unwrap_err(),
            SecretError::Unreadable { .. }
        ));
        let unset = Secret::new(SecretRef::Env("AFTERCALL_TEST_NOT_SET".to_owned()));
        assert_eq!(
            unset.read().unwrap_err().to_string(),
            "secret env:AFTERCALL_TEST_NOT_SET: there is none"
        );
        // Set for every test by cargo itself.
        let set = Secret::new(SecretRef::Env("CARGO_MANIFEST_DIR".to_owned()));
        assert_eq!(value(&set), env!("CARGO_MANIFEST_DIR"));
        let reference = SecretRef::Credential("oauth".to_owned());
        let credential = Secret::with_directory(reference.clone(), None);
        assert_eq!(
            credential.read().unwrap_err().to_string(),
            "secret credential:oauth: $CREDENTIALS_DIRECTORY is not set, so systemd gave this process no credentials"
        );
        let directory = path.parent().unwrap().to_owned();
        fs::write(directory.join("oauth"), "given\n").unwrap();
        assert_eq!(
            value(&Secret::with_directory(reference, Some(directory))),
            "given"
        );
    }

    #[test]
    fn s1_10_nothing_shown_of_a_secret_holds_its_value() {
        let (_dir, _path, secret) = in_file(b"planted-7f3a");
        let read = secret.read().unwrap();
        for shown in [format!("{secret:?}"), format!("{read:?}")] {
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}
