//! Proof that a destination told an outcome, which stays checkable when its delivery records are trimmed.
//!
//! A journal has a key that stands in each of its records, the newest of which is always held. An outcome
//! is told with a hash of what it says under that key. So an outcome that somebody else put into the log, whoever may write
//! there, has no proof, or that of another outcome; only who can read the records could make one.

use bytes::Bytes;

use super::mac::hmac_sha256;

/// Bytes of a key, and of a proof.
const BYTES: usize = 16;

/// What an outcome says.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Name of the destination that is said to have told it.
    pub destination: &'a str,
    /// CloudEvents `id`, which names the output's round as well.
    pub id: &'a str,
    /// CloudEvents `type`.
    pub event_type: &'a str,
    /// The output.
    pub output_id: &'a str,
    /// The actor that hears of it.
    pub subject: &'a str,
    /// The verdict.
    pub status: &'a str,
}

impl Claim<'_> {
    /// The proof under a journal's key, in hexadecimal.
    #[must_use]
    pub fn prove(&self, key: &[u8]) -> String {
        let parts = [
            self.destination,
            self.id,
            self.event_type,
            self.output_id,
            self.subject,
            self.status,
        ];
        // With their lengths, so that no text runs into the next.
        let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
        let all = lengths.iter().zip(parts);
        let all = all.flat_map(|(length, part)| [&length[..], part.as_bytes()]);
        let hash = hmac_sha256(key, all);
        hash[..BYTES].iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// A key for a journal that has none. `owner` is drawn anew by each process.
#[must_use]
pub fn new_key(destination: &str, owner: u64) -> Bytes {
    let hash = hmac_sha256(
        &owner.to_be_bytes(),
        [&b"proof of "[..], destination.as_bytes()],
    );
    Bytes::copy_from_slice(&hash[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim<'_> = Claim {
        destination: "rewards",
        id: "outcome:rewards:1:r",
        event_type: "reward.outcome",
        output_id: "r",
        subject: "agent/a-1",
        status: "issued",
    };

    #[test]
    fn s3_14_a_proof_holds_for_one_outcome_under_one_key() {
        let key = new_key("rewards", 7);
        let proof = CLAIM.prove(&key);
        assert_eq!(proof.len(), 2 * BYTES);
        assert_eq!(proof, CLAIM.prove(&key));
        let others = [
            Claim {
                status: "rejected",
                ..CLAIM
            },
            Claim {
                output_id: "r2",
                ..CLAIM
            },
            Claim {
                subject: "agent/a-2",
                ..CLAIM
            },
            Claim {
                id: "outcome:rewards:2:r",
                ..CLAIM
            },
            Claim {
                destination: "reward",
                ..CLAIM
            },
            Claim {
                event_type: "alert.outcome",
                ..CLAIM
            },
            // The same letters, cut elsewhere.
            Claim {
                output_id: "ra",
                subject: "gent/a-1",
                ..CLAIM
            },
        ];
        for other in others {
            assert_ne!(other.prove(&key), proof, "{other:?}");
        }
        for other in [new_key("rewards", 8), new_key("crm", 7)] {
            assert_ne!(CLAIM.prove(&other), proof);
        }
    }
}
