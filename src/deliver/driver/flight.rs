//! One attempt on its way: the output, read again if it is not at hand, through the carrier and back.

use std::{sync::Arc, time::Duration};

use aftercall_actors::event::Kept;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    deliver::{
        answer::{Attempt, Fault, Verdict},
        carry::{Carry, Turn},
        parcel::Parcel,
        state::Question,
    },
    log::{Log, Seq, retry::read},
};

/// An attempt that is over.
pub struct Landed {
    /// Its item.
    pub seq: Seq,
    /// What came of it.
    pub attempt: Attempt,
    /// From its start to its result.
    pub took: Duration,
}

/// The lanes of an item's next attempt. What cannot be found out holds nothing up: the attempt itself will say.
pub async fn ask(
    log: Log,
    carry: Arc<dyn Carry>,
    parcel: Option<Arc<Parcel>>,
    question: Question,
) -> (Seq, Vec<String>) {
    let Question { seq, turn, handle } = question;
    let parcel = match parcel {
        Some(parcel) => Ok(parcel),
        None => fetch(&log, seq).await,
    };
    let lanes = match parcel {
        Ok(parcel) => carry.lanes_of(&parcel, handle.as_ref(), &turn).await,
        Err(_) => Vec::new(),
    };
    (seq, lanes)
}

/// Makes an attempt to deliver the output `seq`.
pub async fn fly(
    log: Log,
    carry: Arc<dyn Carry>,
    seq: Seq,
    parcel: Option<Arc<Parcel>>,
    handle: Option<Value>,
    turn: Turn,
) -> Landed {
    let parcel = match parcel {
        Some(parcel) => Ok(parcel),
        None => fetch(&log, seq).await,
    };
    let began = Instant::now();
    let attempt = match parcel {
        Ok(parcel) => carry.attempt(&parcel, handle.as_ref(), turn).await,
        Err(why) => unsendable(why),
    };
    let took = began.elapsed();
    Landed { seq, attempt, took }
}

/// Reads an output again; or why it cannot be sent.
async fn fetch(log: &Log, seq: Seq) -> Result<Arc<Parcel>, String> {
    let stored = read(|| log.output_at(seq)).await;
    match stored {
        Ok(Some(stored)) => Parcel::read(&stored)
            .map(Arc::new)
            .map_err(|error| error.to_string()),
        Ok(None) => Err("retention has removed the output".to_owned()),
        Err(error) => Err(format!("the output cannot be read: {error}")),
    }
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
