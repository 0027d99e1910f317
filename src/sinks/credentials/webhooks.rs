//! Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, so that a receiver knows who sent a
//! request, that nobody changed it, and that it is not an old one sent again.
//!
//! While a secret is exchanged the reference holds both, separated by blanks or lines; the request is signed with each,
//! and a receiver takes it if it knows one of them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, zeroize::Zeroizing};

use super::missing;
use crate::{
    delivery::{attempt::Fault, mac::hmac_sha256},
    sinks::{client::Request, secret::Secret},
};

/// What a secret may begin with; no part of the key.
const PREFIX: &str = "whsec_";

/// How long a key is, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Blanks and what is no ASCII cannot stand in a header, and the full stop separates what is signed.
const UNFIT: AsciiSet = CONTROLS.add(b' ').add(b'.').add(b'%');

/// Signs requests.
#[derive(Debug)]
pub struct Signer {
    secret: Secret,
}

impl Signer {
    /// With the secrets that `secret` holds.
    pub const fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// Adds `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    pub fn sign(&self, request: &mut Request, id: &str) -> Result<(), Fault> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.sign_at(request, id, now)
    }

    fn sign_at(&self, request: &mut Request, id: &str, seconds: u64) -> Result<(), Fault> {
        let id = utf8_percent_encode(id, &UNFIT).to_string();
        let signed = format!("{id}.{seconds}.");
        let value = self.secret.read().map_err(missing)?;
        let mut signatures = Vec::new();
        for text in value.expose_secret().split_whitespace() {
            let key = key(text).ok_or_else(|| self.unfit())?;
            let mac = hmac_sha256(&key, [signed.as_bytes(), &request.body]);
            signatures.push(format!("v1,{}", BASE64_STANDARD.encode(mac)));
        }
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        for (name, text) in headers {
            let value = HeaderValue::from_str(&text).map_err(|_| self.unfit())?;
            request.headers.insert(name, value);
        }
        Ok(())
    }

    /// Of the secret.
    pub fn fingerprint(&self) -> u64 {
        self.secret.fingerprint()
    }

    fn unfit(&self) -> Fault {
        let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
        Fault::Misconfigured(format!(
            "secret {}: a signing secret is {PREFIX} and {least} to {most} bytes in base64",
            self.secret.reference()
        ))
    }
}

/// The key of a secret, padded or not.
fn key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    let bytes = BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    bytes
        .ok()
        .map(Zeroizing::new)
        .filter(|key| KEY_BYTES.contains(&key.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use reqwest::{Method, header::HeaderMap};

    use super::*;
    use crate::sinks::secret_ref::SecretRef;

    /// The published example: secret, id, time and body, and the signature that belongs to them.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn signed(secrets: &str, id: &str) -> Result<[String; 3], Fault> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, secrets).unwrap();
        let signer = Signer::new(Secret::new(SecretRef::File(path)));
        let mut request = Request {
            method: Method::POST,
            url: "http://127.0.0.1/".parse().unwrap(),
            url_is_secret: false,
            headers: HeaderMap::new(),
            body: BODY.into(),
        };
        signer.sign_at(&mut request, id, 1_614_265_330)?;
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        Ok([
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
        ])
    }

    #[test]
    fn s3_06_the_signature_is_that_of_the_published_example() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        for secret in [SECRET, &SECRET[PREFIX.len()..]] {
            assert_eq!(
                signed(secret, id).unwrap(),
                [id, "1614265330", SIGNATURE].map(str::to_owned)
            );
        }
    }

    #[test]
    fn s1_10_during_a_rotation_every_secret_signs() {
        let other = format!("whsec_{}", BASE64_STANDARD.encode([7; 24]));
        let [_, _, both] = signed(
            &format!("{SECRET}\n{other}\n"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
        )
        .unwrap();
        let [_, _, alone] = signed(&other, "msg_p5jXN8AQM9LWM0D4loKWxJek").unwrap();
        assert_eq!(both, format!("{SIGNATURE} {alone}"));
    }

    #[test]
    fn s1_10_a_key_of_24_to_64_bytes_signs_and_any_other_is_refused_without_being_shown() {
        for length in [23, 24, 64, 65] {
            let text = BASE64_STANDARD.encode(vec![7; length]);
            let result = signed(&format!("whsec_{text}"), "m");
            assert_eq!(result.is_ok(), KEY_BYTES.contains(&length), "{length}");
        }
        let error = signed("whsec_planted!", "m").unwrap_err();
        assert!(matches!(error, Fault::Misconfigured(_)));
        assert!(!error.to_string().contains("planted"), "{error}");
    }

    #[test]
    fn an_id_that_a_header_cannot_have_is_encoded_and_signed_as_it_is_sent() {
        let [id, _, signature] = signed(SECRET, "alert.raised:a b:ü").unwrap();
        assert_eq!(id, "alert%2Eraised:a%20b:%C3%BC");
        let [_, _, of_encoded] = signed(SECRET, "x").unwrap();
        assert_ne!(signature, of_encoded);
    }
}
