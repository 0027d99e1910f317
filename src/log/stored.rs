//! Reading a stored record that has a checksum and a format: journal records and delivery records alike.
//!
//! Bytes that are not as they were written must never be taken for a record, and neither must one of a newer program,
//! whose fields this one does not know: what it would leave out may be money. Checked in this order, each with an
//! error that names the sort of record. `checksum` holds the sum itself.

use bytes::Bytes;

use super::checksum;

/// A message that is stored with its format in front and its checksum behind.
pub trait Stored: prost::Message + Default {
    /// What errors call it.
    const NAME: &'static str;
    /// The newest format this program knows; the first is 1.
    const FORMAT: u32;

    /// The format it was written in; 0 if it names none.
    fn format(&self) -> u32;
}

/// A record that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not as it was written.
    #[error("{name} is damaged: its checksum does not hold")]
    Damaged {
        /// What it is.
        name: &'static str,
    },
    /// Not a record at all.
    #[error("{name} cannot be decoded: {source}")]
    Undecodable {
        /// What it should be.
        name: &'static str,
        /// Why not.
        source: prost::DecodeError,
    },
    /// Decodes by accident, but names no format.
    #[error("{name} names no format: it is damaged or not ours")]
    Formless {
        /// What it should be.
        name: &'static str,
    },
    /// Written by a newer program.
    #[error("{name} has format {found}, this program knows {known}: upgrade before starting")]
    Newer {
        /// What it is.
        name: &'static str,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
}

/// Reads a record.
///
/// # Errors
/// If it is damaged or of a newer format.
pub fn read<R: Stored>(bytes: &Bytes) -> Result<R, RecordError> {
    let name = R::NAME;
    if !checksum::holds(bytes) {
        return Err(RecordError::Damaged { name });
    }
    let record =
        R::decode(bytes.clone()).map_err(|source| RecordError::Undecodable { name, source })?;
    match record.format() {
        0 => Err(RecordError::Formless { name }),
        found if found > R::FORMAT => Err(RecordError::Newer {
            name,
            found,
            known: R::FORMAT,
        }),
        _known => Ok(record),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Note {
        #[prost(uint32, tag = "1")]
        format: u32,
        #[prost(string, tag = "2")]
        text: String,
    }

    impl Stored for Note {
        const NAME: &'static str = "note";
        const FORMAT: u32 = 2;

        fn format(&self) -> u32 {
            self.format
        }
    }

    fn note(format: u32) -> Note {
        let text = "some text".to_owned();
        Note { format, text }
    }

    fn why(bytes: &Bytes) -> String {
        read::<Note>(bytes).unwrap_err().to_string()
    }

    #[test]
    fn formats_up_to_the_newest_known_one_are_read_and_no_other() {
        let stored = |format| checksum::add(note(format).encode_to_vec());
        for format in 1..=2 {
            assert_eq!(read::<Note>(&stored(format)).unwrap(), note(format));
        }
        let formless = "note names no format: it is damaged or not ours";
        assert_eq!(why(&stored(0)), formless);
        let newer = "note has format 3, this program knows 2: upgrade before starting";
        assert_eq!(why(&stored(3)), newer);
    }

    #[test]
    fn what_is_damaged_or_no_record_is_said_so() {
        let mut bytes = checksum::add(note(1).encode_to_vec()).to_vec();
        bytes[3] ^= 1;
        let damaged = "note is damaged: its checksum does not hold";
        assert_eq!(why(&bytes.into()), damaged);
        let no_record = checksum::add(vec![0xff; 3]);
        assert!(why(&no_record).starts_with("note cannot be decoded: "));
    }
}
