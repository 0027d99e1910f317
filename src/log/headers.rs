//! Message headers, in whichever form a log holds them.
//!
//! An event's headers are looked at once, by name, when it is decoded; so they stay in the form they arrived in.

use bytes::Bytes;

/// Headers of a message. Names are compared without case.
#[derive(Clone, Debug, Default)]
pub enum Headers {
    /// None.
    #[default]
    Empty,
    /// As the NATS client parsed them.
    Nats(async_nats::HeaderMap),
    /// Lines `name: value\r\n`, as the embedded log stores them. Values hold no line breaks.
    Block(Bytes),
}

impl Headers {
    /// Headers from names and values. Line breaks in a value become spaces: no header can forge another.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::Block(Self::block(pairs))
    }

    fn block<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bytes {
        let mut block = Vec::with_capacity(256);
        for (name, value) in pairs {
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b": ");
            block.extend(
                value
                    .bytes()
                    .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }),
            );
            block.extend_from_slice(b"\r\n");
        }
        block.into()
    }

    /// The same headers as one block of lines, as [`Headers::Block`] holds them.
    #[must_use]
    pub fn to_block(&self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::Nats(_) => {
                let pairs = self.pairs();
                let pairs = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                Self::block(pairs)
            }
            Self::Block(block) => block.clone(),
        }
    }

    /// The value of the first header of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Nats(map) => map.get(name).map(|value| value.as_str()).or_else(|| {
                // Names are written in lower case by nearly everyone; a scan is for the rest.
                map.iter()
                    .find(|(key, _)| AsRef::<str>::as_ref(*key).eq_ignore_ascii_case(name))
                    .and_then(|(_, values)| values.first())
                    .map(|value| value.as_str())
            }),
            Self::Block(block) => lines(block)
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, v)| v),
        }
    }

    /// All names and values, sorted, so that no hash order shows.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = match self {
            Self::Empty => Vec::new(),
            Self::Nats(map) => map
                .iter()
                .flat_map(|(name, values)| {
                    values.iter().map(move |v| {
                        (AsRef::<str>::as_ref(name).to_owned(), v.as_str().to_owned())
                    })
                })
                .collect(),
            Self::Block(block) => lines(block)
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
        };
        pairs.sort_unstable();
        pairs
    }
}

fn lines(block: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let text = std::str::from_utf8(block).unwrap_or_default();
    text.split("\r\n").filter_map(|line| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_without_case_and_a_line_break_cannot_forge_a_header() {
        let headers = Headers::from_pairs([("ce-id", "1\r\nce-type: forged"), ("Ce-Source", "s")]);
        assert_eq!(headers.get("ce-source"), Some("s"));
        assert_eq!(headers.get("ce-id"), Some("1  ce-type: forged"));
        assert_eq!(headers.get("ce-type"), None);
    }

    #[test]
    fn every_form_becomes_the_same_block() {
        let mut map = async_nats::HeaderMap::new();
        map.insert("ce-source", "s");
        map.insert("ce-id", "1");
        let block = Headers::from_pairs([("ce-id", "1"), ("ce-source", "s")]).to_block();
        assert_eq!(&block[..], b"ce-id: 1\r\nce-source: s\r\n");
        assert_eq!(Headers::Nats(map).to_block(), block);
        assert_eq!(Headers::Block(block.clone()).to_block(), block);
        assert!(Headers::Empty.to_block().is_empty());
    }
}
