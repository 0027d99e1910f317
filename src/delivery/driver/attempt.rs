//! One attempt on its way: the output, read again if it is not at hand, through the transport and back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aftercall_actors::contract::{event::Kept, time::LogTime};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    delivery::{
        attempt::{Attempt, Fault, Verdict},
        original::{letter_of, what_became},
        parcel::Parcel,
        record::Taken,
        state::Question,
        transport::{Transport, Turn},
    },
    log::{Kept as Standing, Log, Seq, retry::read},
};

/// An output that may have to be read again.
pub struct Wanted {
    /// What is known of it.
    pub taken: Taken,
    /// How much lower outputs stand now than they are counted.
    pub lower: Seq,
    /// The destination among whose letters it is, if it came back from there.
    pub letters_of: Option<Arc<str>>,
}

/// An attempt that is over.
pub struct Finished {
    /// Its item.
    pub seq: Seq,
    /// What came of it; nothing if it was not made, since the log has lost the output.
    pub attempt: Option<Attempt>,
    /// From its start to its result.
    pub took: Duration,
}

/// The lanes of an item's next attempt. What cannot be found out holds nothing up: the attempt itself will say.
pub async fn ask(
    log: Log,
    transport: Arc<dyn Transport>,
    (wanted, parcel): (Wanted, Option<Arc<Parcel>>),
    question: Question,
) -> (Seq, Vec<String>) {
    let Question { seq, turn, handle } = question;
    let parcel = match parcel {
        Some(parcel) => Ok(parcel),
        None => fetch(&log, &wanted).await,
    };
    let lanes = match parcel {
        Ok(parcel) => transport.lanes_of(&parcel, handle.as_ref(), &turn).await,
        Err(_) => Vec::new(),
    };
    (seq, lanes)
}

/// Makes an attempt to deliver an output.
pub async fn attempt(
    log: Log,
    transport: Arc<dyn Transport>,
    (wanted, parcel): (Wanted, Option<Arc<Parcel>>),
    handle: Option<Value>,
    turn: Turn,
) -> Finished {
    let seq = wanted.taken.seq;
    let parcel = match parcel {
        Some(parcel) => Ok(parcel),
        None => fetch(&log, &wanted).await,
    };
    let began = Instant::now();
    let attempt = match parcel {
        Ok(parcel) => Some(transport.attempt(&parcel, handle.as_ref(), turn).await),
        Err(why) => match what_became(&log, &wanted.taken).await {
            // Its copy may have come to its place since it was read: the next attempt finds out.
            Some(Standing::Lost) => None,
            Some(Standing::Stands) if fetch(&log, &wanted).await.is_ok() => None,
            Some(Standing::Stands | Standing::Removed) | None => Some(unsendable(why)),
        },
    };
    let took = began.elapsed();
    Finished { seq, attempt, took }
}

/// Reads an output again; or why it cannot be sent.
async fn fetch(log: &Log, wanted: &Wanted) -> Result<Arc<Parcel>, String> {
    let Wanted { taken, lower, .. } = wanted;
    let mut why = "retention has removed the output".to_owned();
    // Of what came back from a letter it is not known whether it was stored before the log lost its end, or since.
    let places = BTreeSet::from([taken.stands_at(), taken.seq.saturating_sub(*lower)]);
    for seq in places.into_iter().rev() {
        let stored = read(|| log.output_at(seq)).await;
        let parcel = match stored {
            Ok(Some(stored)) => Parcel::read(&stored).map_err(|error| error.to_string()),
            Ok(None) => continue,
            Err(error) => Err(format!("the output cannot be read: {error}")),
        };
        match parcel {
            Ok(parcel) if parcel.id == taken.id => {
                return Ok(Arc::new(Parcel {
                    seq: taken.seq,
                    stored_at: LogTime(taken.stored_at_ms),
                    ..parcel
                }));
            }
            Ok(other) => {
                why = format!(
                    "the log has lost the output: `{}` stands in its place",
                    other.id
                );
            }
            Err(error) => why = error,
        }
    }
    match from_letter(log, wanted).await {
        Some(parcel) => Ok(Arc::new(parcel)),
        None => Err(why),
    }
}

/// The output as its dead letter has it, for an item that an operator had tried again.
async fn from_letter(log: &Log, wanted: &Wanted) -> Option<Parcel> {
    letter_of(log, wanted.letters_of.as_deref()?, &wanted.taken).await
}

fn unsendable(why: String) -> Attempt {
    Attempt {
        result: Err(Fault::Unsendable(why.clone())),
        verdict: Verdict::Rejected { why },
        handle: None,
        kept: Kept::new(),
        status: None,
        response: None,
        progress: None,
        said: None,
        lanes: Vec::new(),
    }
}
