//! Hashes and sealed fields, and the keys they are made with.
//!
//! A sealed field reads `v1.<key id>.<base64url of nonce and ciphertext>`, AES-256-GCM over the value's JSON, with
//! destination and path as associated data: one that is moved to another field or sent on to another destination does
//! not open. The key id is how a rotation goes: `current` names the key that seals, the others still open.
//!
//! The nonce is derived, not drawn: a keyed hash of destination, path, output id and value. So an attempt that is
//! repeated sends the bytes of the first, which a vendor that compares bodies under one idempotency key insists on,
//! and a nonce comes back only for the very same message. Another value, field or output has another, as likely as a
//! random one would.

use std::{collections::BTreeMap, fmt};

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use serde_json::Value;

use super::FieldError;
use crate::{delivery::mac::hmac_sha256, sinks::secret::Secret};

/// What a sealed field begins with.
pub const SEALED_VERSION: &str = "v1";

/// Bytes of an encryption key, and fewest of a hash key.
const KEY_BYTES: usize = 32;

const NONCE_BYTES: usize = 12;

const BAD_ENCRYPT_KEY: &str =
    "a key is 32 bytes in base64, as `openssl rand -base64 32` makes them";
const BAD_HASH_KEY: &str =
    "a key is at least 32 bytes in base64, as `openssl rand -base64 32` makes them";

/// The keys that `[keys]` names.
#[derive(Default)]
pub struct Keys {
    /// Key of the hashes.
    pub hash: Option<Secret>,
    /// Id of the key that seals.
    pub current: Option<String>,
    /// Keys by id: the current one, and those that only open any more.
    pub encrypt: BTreeMap<String, Secret>,
}

impl Keys {
    /// Opens a sealed field.
    pub fn open(&self, destination: &str, path: &str, sealed: &str) -> Result<Value, FieldError> {
        const FAILED: FieldError = FieldError::Sealing("opened");
        let mut parts = sealed.split('.');
        let (Some(SEALED_VERSION), Some(id), Some(text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FAILED);
        };
        let key = self.encrypt.get(id).ok_or(FAILED)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| FAILED)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(FAILED)?;
        let plain = cipher(&*encrypt_key(key)?)
            .decrypt(
                &Nonce::from(*nonce),
                Payload {
                    msg: ciphertext,
                    aad: &associated(destination, path),
                },
            )
            .map_err(|_| FAILED)?;
        serde_json::from_slice(&plain).map_err(|_| FAILED)
    }
}

/// References only.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("hash", &self.hash)
            .field("current", &self.current)
            .field("encrypt", &self.encrypt)
            .finish()
    }
}

/// Hashes and seals the fields of one output for one destination. Keys are read when the first field needs them.
pub struct Sealer<'a> {
    keys: &'a Keys,
    destination: &'a str,
    output_id: &'a str,
}

impl<'a> Sealer<'a> {
    /// For one output.
    pub const fn new(keys: &'a Keys, destination: &'a str, output_id: &'a str) -> Self {
        Self {
            keys,
            destination,
            output_id,
        }
    }

    /// HMAC-SHA256 in hex. Of the value alone: whoever holds the key can compute it from the value they know.
    pub fn hash(&self, text: &str) -> Result<String, FieldError> {
        let secret = self.keys.hash.as_ref().ok_or(FieldError::NoKey("hash"))?;
        let key = decoded(secret)?;
        if key.len() < KEY_BYTES {
            return Err(bad(secret, BAD_HASH_KEY));
        }
        let hash = hmac_sha256(&key, [text.as_bytes()]);
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The sealed form of a value at `path`.
    pub fn seal(&self, path: &str, value: &Value) -> Result<String, FieldError> {
        let none = FieldError::NoKey("encrypt");
        let id = self.keys.current.as_ref().ok_or(none.clone())?;
        let key = encrypt_key(self.keys.encrypt.get(id).ok_or(none)?)?;
        let plain = Zeroizing::new(value.to_string());
        let aad = associated(self.destination, path);
        // A key of its own, so that what is learnt of nonces says nothing of the sealing key.
        let nonce_key = Zeroizing::new(hmac_sha256(key.as_slice(), [&b"aftercall nonce"[..]]));
        let message = framed([self.output_id.as_bytes(), &aad, plain.as_bytes()]);
        let hash = hmac_sha256(nonce_key.as_slice(), [message.as_slice()]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hash[..NONCE_BYTES]);
        let ciphertext = cipher(&key)
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: plain.as_bytes(),
                    aad: &aad,
                },
            )
            .map_err(|_| FieldError::Sealing("sealed"))?;
        let text = BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat());
        Ok(format!("{SEALED_VERSION}.{id}.{text}"))
    }
}

/// Destination and path. A destination's name holds no line end, so it is plain where the path begins.
fn associated(destination: &str, path: &str) -> Vec<u8> {
    format!("{destination}\n{path}").into_bytes()
}

fn cipher(key: &[u8; KEY_BYTES]) -> Aes256Gcm {
    Aes256Gcm::new(&(*key).into())
}

fn encrypt_key(secret: &Secret) -> Result<Zeroizing<[u8; KEY_BYTES]>, FieldError> {
    let bytes = decoded(secret)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
    key.map(Zeroizing::new)
        .map_err(|_| bad(secret, BAD_ENCRYPT_KEY))
}

fn decoded(secret: &Secret) -> Result<Zeroizing<Vec<u8>>, FieldError> {
    let text = secret.read()?;
    BASE64_STANDARD
        .decode(text.expose_secret().trim())
        .map(Zeroizing::new)
        .map_err(|_| bad(secret, BAD_HASH_KEY))
}

fn bad(secret: &Secret, why: &'static str) -> FieldError {
    FieldError::BadKey {
        reference: secret.reference().clone(),
        why,
    }
}

/// The parts with the length of each before it, so that no two lists look the same.
fn framed<const N: usize>(parts: [&[u8]; N]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
