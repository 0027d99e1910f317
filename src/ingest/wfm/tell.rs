//! Telling operators what an import left out (REQUIREMENTS S3.02): one event, of which the actor of nobody makes one alert.

use aftercall_actors::contract::{event::ImportQuarantined, time::EventTime, value::Id};

use super::{
    carry::{CarryError, Target, append, wait},
    job::Bytes,
};
use crate::{config::WfmColumns, envelope::import_quarantined_event, log::AppendError};

/// Tells operators of a file that was refused as a whole; nothing of it is in the log.
///
/// # Errors
/// If the log did not confirm.
pub fn tell_refused(
    target: &Target,
    file: &str,
    bytes: &Bytes,
    columns: &WfmColumns,
    why: &str,
) -> Result<(), CarryError> {
    // Of bytes that could not be read in this way, so there is no export to tell it by.
    let how = format!("refused {bytes:?} {columns:?}");
    let id = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(how.as_bytes()));
    let told = Told {
        file,
        rows: 0,
        bad: 0,
        first: None,
        unread: Some(why.to_owned()),
    };
    tell(target, &id, &columns.export, told)
}

/// What operators are told of an import.
pub(super) struct Told<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Rows read.
    pub rows: u64,
    /// Rows left out.
    pub bad: u64,
    /// The first of them.
    pub first: Option<String>,
    /// Why the rest was not read.
    pub unread: Option<String>,
}

/// Tells operators of the import `id`; returns once that is durable.
///
/// # Errors
/// If the log did not confirm.
pub(super) fn tell(
    target: &Target,
    id: &str,
    export: &str,
    told: Told<'_>,
) -> Result<(), CarryError> {
    let now = target.log.now();
    // Both are short, and neither is empty.
    let (Ok(import_id), Ok(source)) = (Id::new(id), Id::new(format!("wfm/{export}"))) else {
        return Ok(());
    };
    let told = ImportQuarantined {
        import_id,
        source,
        file: told.file.to_owned(),
        rows: u32::try_from(told.rows).unwrap_or(u32::MAX),
        bad: u32::try_from(told.bad).unwrap_or(u32::MAX),
        first: told.first,
        unread: told.unread,
        at: EventTime(now.0),
    };
    let event = import_quarantined_event(&told, now)
        .map_err(|reject| CarryError::Broken(format!("the alert cannot be told: {reject}")))?;
    let sending = append(target, vec![event]);
    for answer in wait(target, sending)? {
        match answer {
            Ok(_) => {}
            Err(AppendError::Refused(why)) => {
                let text = format!("the log refuses to tell operators of it: {why}");
                return Err(CarryError::Unconfirmed(text));
            }
            Err(AppendError::Unknown(why)) => return Err(CarryError::Unconfirmed(why)),
        }
    }
    Ok(())
}
