//! Outputs: from a committed record into their lanes, each once.
//!
//! A lane's last message says how far it got, so every write into a lane is fenced by the sequence of the one
//! before; `groups.rs` is the one writer and says how many go out at once all the same.

use std::{collections::BTreeSet, sync::Arc};

use async_nats::{HeaderMap, Subject, header::HeaderName, jetstream::stream::Stream};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{
    answers, atomic,
    follower::{Follower, Prefetch, log_time},
    groups::{Groups, Message},
    link::Link,
    subjects,
};
use crate::log::{
    CommitError, Headers, Kept, Lane, LaneFences, LogError, NewOutput, OutputMark, PartitionId,
    Seq, StoredOutput, TailFrom,
};

/// Header with the number of the commit an output belongs to.
pub const COMMIT_HEADER: &str = "ce-commit";
/// Header with an output's place among those of its commit.
pub const ORDINAL_HEADER: &str = "Aftercall-Ordinal";

/// Bytes of header lines besides the attributes, for estimates.
const HEADER_BYTES: usize = 256;
/// A tail asks for this much ahead.
const PREFETCH: Prefetch = Prefetch {
    messages: 1_000,
    bytes: 8 << 20,
};

/// The two streams with lanes.
#[derive(Clone, Debug)]
pub struct Outputs {
    link: Link,
    out: Arc<Stream<()>>,
    dead: Arc<Stream<()>>,
    out_groups: Groups,
    dead_groups: Groups,
}

impl Outputs {
    /// The outputs on a server where their streams are known to stand.
    pub fn new(link: Link, out: Stream<()>, dead: Stream<()>) -> Self {
        let (out, dead) = (Arc::new(out), Arc::new(dead));
        Self {
            out_groups: Groups::new(link.clone(), Arc::clone(&out)),
            dead_groups: Groups::new(link.clone(), Arc::clone(&dead)),
            link,
            out,
            dead,
        }
    }

    fn stream(&self, lane: Lane) -> &Stream<()> {
        match lane {
            Lane::Out(_) => &self.out,
            Lane::Dead => &self.dead,
        }
    }

    /// The last output in a lane, from the stream's leader.
    pub async fn mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        let subject = subjects::lane(lane, partition);
        let message = match self
            .stream(lane)
            .get_last_raw_message_by_subject(&subject)
            .await
        {
            Ok(message) => message,
            Err(error) => return answers::read(&error).map_or(Ok(None), Err),
        };
        let number = |name: &'static str| {
            message
                .headers
                .get(HeaderName::from_static(name))
                .and_then(|value| value.as_str().parse::<u64>().ok())
                .ok_or_else(|| {
                    LogError::Corrupt(format!(
                        "the output {} in `{subject}` has no {name}",
                        message.sequence
                    ))
                })
        };
        let ordinal = number(ORDINAL_HEADER)?;
        Ok(Some(OutputMark {
            seq: message.sequence,
            commit: number(COMMIT_HEADER)?,
            ordinal: u32::try_from(ordinal)
                .map_err(|_| LogError::Corrupt(format!("`{subject}` has the ordinal {ordinal}")))?,
        }))
    }

    /// What has become of an output; see [`crate::log::EventLog::output_kept`].
    pub async fn kept(
        &self,
        partition: PartitionId,
        lane: Lane,
        mark: OutputMark,
    ) -> Result<Kept, LogError> {
        let stream = self.stream(lane);
        let error = match stream.get_raw_message(mark.seq).await {
            Ok(message) => {
                let is_it = *message.subject == *subjects::lane(lane, partition)
                    && number(&message.headers, COMMIT_HEADER) == Some(mark.commit)
                    && ordinal(&message.headers) == mark.ordinal;
                return Ok(if is_it { Kept::Stands } else { Kept::Lost });
            }
            Err(error) => error,
        };
        if let Some(error) = answers::read(&error) {
            return Err(error);
        }
        Ok(match last(stream).await? < mark.seq {
            true => Kept::Lost,
            false => Kept::Removed,
        })
    }

    /// Stores a prefix of `outputs`; see [`crate::log::EventLog::outputs_append`].
    pub async fn append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError> {
        let payload_max = self.link.client.max_payload();
        if let Some(output) = outputs.iter().find(|output| bytes(output) > payload_max) {
            // Found before anything is sent: in the middle of a batch it would take the others with it.
            return Err(CommitError::Refused(format!(
                "output {} of commit {} in lane {} has about {} bytes; the server takes {payload_max}",
                output.ordinal,
                output.commit,
                output.lane.name(),
                bytes(output)
            )));
        }
        let outputs = &outputs[..group_len(outputs)];
        let groups = match outputs.first().map(|output| output.lane) {
            Some(Lane::Dead) => &self.dead_groups,
            Some(Lane::Out(_)) => &self.out_groups,
            None => return Ok(0),
        };
        let mut lanes: [Option<Subject>; Lane::COUNT] = Default::default();
        let mut total = 0;
        let mut messages = Vec::with_capacity(outputs.len());
        for output in outputs {
            total += bytes(output);
            let index = output.lane.index();
            let fence = lanes[index].is_none().then_some(fences[index]);
            let subject = lanes[index]
                .get_or_insert_with(|| Subject::from(subjects::lane(output.lane, partition)))
                .clone();
            messages.push(Message {
                line: (partition, output.lane),
                subject,
                headers: headers(output),
                payload: output.payload.clone(),
                fence,
            });
        }
        for (seq, output) in groups
            .store(messages, total)
            .await?
            .into_iter()
            .zip(outputs)
        {
            fences[output.lane.index()] = seq;
        }
        Ok(outputs.len())
    }

    /// Outputs of all partitions as they are stored.
    pub async fn tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        let lanes: BTreeSet<Lane> = from.lanes(lanes)?.into_iter().collect();
        let mut tails = Vec::new();
        for (name, handle) in [(subjects::OUT, &self.out), (subjects::DEAD, &self.dead)] {
            let filters: Vec<String> = lanes
                .iter()
                .filter(|lane| subjects::lane_stream(**lane) == name)
                .map(|lane| subjects::lane_filter(*lane))
                .collect();
            if filters.is_empty() {
                continue;
            }
            let next = match from {
                TailFrom::Start => 1,
                TailFrom::Now => last(handle).await? + 1,
                TailFrom::After(seq) => seq.saturating_add(1),
            };
            let follower = Follower::new(self.link.clone(), name, filters, next, PREFETCH);
            tails.push(stream::unfold(follower, next_output).boxed());
        }
        Ok(stream::select_all(tails).boxed())
    }

    /// One output of a kind, read from the stream's leader.
    pub async fn at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError> {
        if seq == 0 {
            return Ok(None);
        }
        let message = match self.out.get_raw_message(seq).await {
            Ok(message) => message,
            Err(error) => return answers::read(&error).map_or(Ok(None), Err),
        };
        // Whatever else stands in the stream is not an output.
        let Some((lane, partition)) = subjects::parse_lane(&message.subject) else {
            return Ok(None);
        };
        Ok(Some(StoredOutput {
            seq: message.sequence,
            time: log_time(message.time.unix_timestamp_nanos()),
            lane,
            partition,
            commit: number(&message.headers, COMMIT_HEADER).unwrap_or(0),
            ordinal: ordinal(&message.headers),
            headers: Headers::Nats(message.headers),
            payload: message.payload,
        }))
    }

    /// The last sequence of the kinds' stream.
    pub async fn last(&self) -> Result<Seq, LogError> {
        last(&self.out).await
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Option<u64> {
    let value = headers.get(HeaderName::from_static(name))?;
    value.as_str().parse().ok()
}

fn ordinal(headers: &HeaderMap) -> u32 {
    let ordinal = number(headers, ORDINAL_HEADER);
    ordinal
        .and_then(|ordinal| u32::try_from(ordinal).ok())
        .unwrap_or(0)
}

/// The last sequence of a stream, as its leader knows it.
async fn last(stream: &Stream<()>) -> Result<Seq, LogError> {
    let info = stream.get_info().await;
    let info = info.map_err(|error| answers::unreachable(&error))?;
    Ok(info.state.last_sequence)
}

/// The next output of a tail. A fault is told, and the tail goes on behind it.
async fn next_output(mut follower: Follower) -> Option<(Result<StoredOutput, LogError>, Follower)> {
    loop {
        match follower.wait().await {
            Ok(Some(delivery)) => {
                let message = delivery.message;
                // Whatever else stands in these streams is not an output.
                let Some((lane, partition)) = subjects::parse_lane(&message.subject) else {
                    continue;
                };
                let headers = message.headers.unwrap_or_default();
                let output = StoredOutput {
                    seq: delivery.seq,
                    time: delivery.time,
                    lane,
                    partition,
                    commit: number(&headers, COMMIT_HEADER).unwrap_or(0),
                    ordinal: ordinal(&headers),
                    headers: Headers::Nats(headers),
                    payload: message.payload,
                };
                return Some((Ok(output), follower));
            }
            Ok(None) => {}
            Err(error) => return Some((Err(error), follower)),
        }
    }
}

/// How many of `outputs` one group can take: of one stream, and within the server's limits.
fn group_len(outputs: &[NewOutput]) -> usize {
    let Some(first) = outputs.first() else {
        return 0;
    };
    let stream = subjects::lane_stream(first.lane);
    let mut total = 0;
    outputs
        .iter()
        .take(atomic::MESSAGES_MAX)
        .take_while(|output| {
            total += bytes(output);
            subjects::lane_stream(output.lane) == stream && total <= atomic::BYTES_MAX
        })
        .count()
        // One that is larger than a batch should be still goes, alone.
        .max(1)
}

/// About how many bytes an output takes in a message.
fn bytes(output: &NewOutput) -> usize {
    let attributes: usize = output
        .attributes
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    attributes + output.payload.len() + HEADER_BYTES
}

/// The headers of an output, its place for [`Outputs::mark`] included.
fn headers(output: &NewOutput) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in &output.attributes {
        map.insert(HeaderName::from_static(name), answers::header_value(value));
    }
    map.insert(
        HeaderName::from_static(COMMIT_HEADER),
        output.commit.to_string(),
    );
    map.insert(
        HeaderName::from_static(ORDINAL_HEADER),
        output.ordinal.to_string(),
    );
    map
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::output::Kind;
    use bytes::Bytes;

    use super::*;

    fn output(lane: Lane, size: usize) -> NewOutput {
        NewOutput {
            lane,
            commit: 1,
            ordinal: 0,
            attributes: Vec::new(),
            payload: Bytes::from(vec![0; size]),
        }
    }

    #[test]
    fn a_batch_ends_where_the_stream_changes() {
        let alert = Lane::Out(Kind::Alert);
        let reward = Lane::Out(Kind::Reward);
        let list = [alert, reward, Lane::Dead, alert].map(|lane| output(lane, 10));
        assert_eq!(group_len(&list), 2);
        assert_eq!(group_len(&list[2..]), 1);
        assert_eq!(group_len(&list[3..]), 1);
        assert_eq!(group_len(&[]), 0);
    }

    #[test]
    fn a_batch_has_at_most_a_thousand_messages_and_about_four_megabytes() {
        let small = vec![output(Lane::Dead, 1); atomic::MESSAGES_MAX + 1];
        assert_eq!(
            group_len(&small[..atomic::MESSAGES_MAX]),
            atomic::MESSAGES_MAX
        );
        assert_eq!(group_len(&small), atomic::MESSAGES_MAX);
        let quarter = atomic::BYTES_MAX / 4 - HEADER_BYTES;
        assert_eq!(group_len(&vec![output(Lane::Dead, quarter); 6]), 4);
        assert_eq!(group_len(&vec![output(Lane::Dead, quarter + 1); 6]), 3);
        assert_eq!(group_len(&[output(Lane::Dead, atomic::BYTES_MAX)]), 1);
    }
}
