//! `POST /v1/imports/wfm`: an export of workforce management as a request's body (REQUIREMENTS S3.01, S3.02).
//!
//! The body goes into a temporary file first: what it holds is only known at its end, it is read more than once, and a
//! slow sender must not hold up an import. So more may be received at a time than are imported, and a sender keeps up a
//! pace or is told to come back. Then a thread of its own imports it as the command does, and the answer is
//! the report. Few at a time, beside the events of other requests and not in their place. The same request again adds
//! nothing twice, so a sender who got no answer repeats it.

use std::{io, sync::Arc, thread, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Payload},
};
use aftercall_actors::contract::time::EventTime;
use futures::StreamExt as _;
use serde::Deserialize;
use tempfile::NamedTempFile;
use tokio::{
    io::AsyncWriteExt as _,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout},
};

use super::{Desk, access::Route, events, intake, problem::Problem};
use crate::{
    config::import::export_name,
    ingest::wfm::{
        Report,
        carry::CarryError,
        job::{Bytes, Hasher, Job, JobError, milliseconds},
        service::Importer,
    },
};

/// Files received at a time; each is a file on the disk of at most `http.import_max`.
pub const RECEIVED_MAX: usize = 16;

/// Imports at a time.
pub const IMPORTS_MAX: usize = 2;

/// How long a file that was received waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a sender may take for its first bytes, and longest pause of one,
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// and the fewest bytes a second of it otherwise, from the first on: the slowest line anyone has.
const PACE_MIN: u64 = 32 * 1024;

/// How long a body may take in all: 256 MiB over a slow line.
const BODY_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// What a file is called that came under no name.
const NAME: &str = "upload";

/// What the desk needs for imports.
pub struct Imports {
    importer: Arc<Importer>,
    file_bytes_max: u64,
    receiving: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Imports {
    /// Imports through `importer` files of at most `file_bytes_max`.
    #[must_use]
    pub fn new(importer: Arc<Importer>, file_bytes_max: u64) -> Self {
        Self {
            importer,
            file_bytes_max,
            receiving: Arc::new(Semaphore::new(RECEIVED_MAX)),
            places: Arc::new(Semaphore::new(IMPORTS_MAX)),
        }
    }

    /// Imports being received or carried out now.
    pub(super) fn under_way(&self) -> usize {
        RECEIVED_MAX.saturating_sub(self.receiving.available_permits())
    }
}

/// What the query says of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    recorded_at: Option<String>,
    export: Option<String>,
    export_version: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// The same, checked.
struct Order {
    recorded_at: EventTime,
    export: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

/// The handler.
pub async fn post(request: HttpRequest, payload: Payload, desk: web::Data<Desk>) -> HttpResponse {
    let order = desk
        .admit(&request, Route::ImportsWfm)
        .await
        .and_then(|_| check_coding(&request))
        .and_then(|()| order(&request));
    let order = match order {
        Ok(order) => order,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    let Some(imports) = desk.imports.get() else {
        let problem = Problem::NotImported("the service has not started yet".into());
        return intake::refuse(payload, &problem).await;
    };
    // Held until the import has ended, whoever waits for it.
    let Ok(received) = Arc::clone(&imports.receiving).try_acquire_owned() else {
        return intake::refuse(payload, &Problem::TooManyImports).await;
    };
    let mut payload = payload;
    let (file, bytes) = match receive(&request, &mut payload, imports.file_bytes_max).await {
        Ok(received) => received,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    let turn = timeout(TURN_TIMEOUT, Arc::clone(&imports.places).acquire_owned());
    let Ok(Ok(place)) = turn.await else {
        return Problem::TooManyImports.response();
    };
    let held = (received, place);
    match on_thread(Arc::clone(&imports.importer), order, file, bytes, held).await {
        Ok(report) => HttpResponse::Ok().json(report),
        Err(problem) => problem.response(),
    }
}

/// Whether the body is as the sender made it, or compressed in a way that is told from its bytes.
fn check_coding(request: &HttpRequest) -> Result<(), Problem> {
    let coding = request.headers().get(header::CONTENT_ENCODING);
    let coding = coding.map_or(&b"identity"[..], |value| value.as_bytes());
    if [&b"identity"[..], b"gzip", b"x-gzip"]
        .iter()
        .any(|known| coding.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    Err(Problem::UnsupportedType(
        "a body is taken as it is or with Content-Encoding: gzip".into(),
    ))
}

fn order(request: &HttpRequest) -> Result<Order, Problem> {
    let asked = web::Query::<Asked>::from_query(request.query_string());
    let asked = asked.map_err(|error| {
        Problem::Malformed(format!(
            "query: {error}; known are recorded_at, export, export_version and dry_run (true or false)"
        ))
    })?;
    let Asked {
        recorded_at,
        export,
        export_version,
        dry_run,
    } = asked.into_inner();
    let recorded_at = match recorded_at.as_deref() {
        // An export is sent when it was made, unless somebody says otherwise.
        Some("now") | None => milliseconds(std::time::SystemTime::now()),
        // A plus sign in a query stands for a space; there is none in a time.
        Some(text) => text
            .replace(' ', "+")
            .parse()
            .map_err(|why| Problem::Malformed(format!("query: recorded_at: {why}")))?,
    };
    let export = export.as_deref().map(export_name).transpose();
    let export = export
        .map_err(|allowed| Problem::Malformed(format!("query: export: allowed: {allowed}")))?;
    if export_version
        .as_ref()
        .is_some_and(|version| !(1..=256).contains(&version.len()))
    {
        let text = "query: export_version: allowed: 1 to 256 bytes";
        return Err(Problem::Malformed(text.into()));
    }
    Ok(Order {
        recorded_at,
        export,
        version: export_version,
        dry_run,
    })
}

/// Writes the body into a temporary file, which goes with its handle.
async fn receive(
    request: &HttpRequest,
    payload: &mut Payload,
    bytes_max: u64,
) -> Result<(NamedTempFile, Bytes), Problem> {
    let too_large = || {
        Problem::TooLarge(format!(
            "a file has at most {bytes_max} bytes (http.import_max) as it is sent; compress it, or send several"
        ))
    };
    let declared = events::declared_length(request.headers());
    if declared.is_some_and(|length| length as u64 > bytes_max) {
        return Err(too_large());
    }
    let no_room = |error: io::Error| {
        tracing::error!(%error, "an import cannot be kept");
        Problem::NotImported("there is no room for the file at the moment".into())
    };
    let kept = NamedTempFile::new().map_err(no_room)?;
    let mut file = tokio::fs::File::from_std(kept.reopen().map_err(no_room)?);
    let mut hasher = Hasher::default();
    let all = async {
        let mut left = bytes_max;
        let began = Instant::now();
        while let Some(chunk) = timeout(PAUSE_MAX, payload.next())
            .await
            .map_err(|_| Problem::Timeout)?
        {
            let chunk =
                chunk.map_err(|e| Problem::Malformed(format!("the body broke off: {e}")))?;
            left = left.checked_sub(chunk.len() as u64).ok_or_else(too_large)?;
            let due = PAUSE_MAX + Duration::from_secs((bytes_max - left) / PACE_MIN);
            if began.elapsed() > due {
                return Err(Problem::Timeout);
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(no_room)?;
        }
        file.flush().await.map_err(no_room)
    };
    timeout(BODY_TIMEOUT, all)
        .await
        .unwrap_or(Err(Problem::Timeout))?;
    Ok((kept, hasher.finish()))
}

/// Imports on a thread that may block; goes on to its end even if the sender has gone.
async fn on_thread(
    importer: Arc<Importer>,
    order: Order,
    file: NamedTempFile,
    bytes: Bytes,
    held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
) -> Result<Report, Problem> {
    let (answer, answered) = oneshot::channel();
    let work = move || {
        let result = import(&importer, order, &file, bytes);
        drop((file, held));
        // The sender may have gone; what was imported stands all the same.
        let _ = answer.send(result);
    };
    if let Err(error) = thread::Builder::new().name("import".into()).spawn(work) {
        tracing::error!(%error, "no thread for an import");
        return Err(Problem::NotImported("there is no thread for it".into()));
    }
    answered
        .await
        .unwrap_or_else(|_| Err(Problem::Internal("the import broke off".into())))
}

fn import(
    importer: &Importer,
    order: Order,
    file: &NamedTempFile,
    bytes: Bytes,
) -> Result<Report, Problem> {
    let mut columns = importer.columns().clone();
    if let Some(export) = order.export {
        columns.export = export;
    }
    let (path, at) = (file.path(), order.recorded_at);
    let job = Job::of_upload(path, NAME, bytes, at, order.version, &columns);
    let job = job.map_err(|error| match error {
        JobError::Io(error) => internal(&error),
        JobError::Untimed | JobError::Ahead(_) | JobError::TooLarge(_) | JobError::Form(_) => {
            importer.refuse(NAME, &error.to_string());
            Problem::BadFile(error.to_string())
        }
    })?;
    let (report, result) = if order.dry_run {
        importer.preview(&job, &columns)
    } else {
        importer.store(&job, &columns, false)
    };
    match result {
        Ok(()) if report.refused > 0 => Err(Problem::NotImported(format!(
            "the event log refuses {} values at the moment",
            report.refused
        ))),
        Ok(()) => Ok(report),
        Err(CarryError::Unread(error)) if report.found.rows == 0 => {
            Err(Problem::BadFile(error.to_string()))
        }
        Err(CarryError::Unread(error)) => {
            let (rows, bad) = (report.found.rows, report.found.bad);
            let done = match order.dry_run {
                true => "would be imported",
                false => "are imported",
            };
            Err(Problem::CutOffFile(format!(
                "{error}; of the {rows} rows before that {} {done}; the whole file adds none of them twice",
                rows - bad
            )))
        }
        Err(error @ (CarryError::Unconfirmed(_) | CarryError::Stopped)) => {
            Err(Problem::NotImported(error.to_string()))
        }
        Err(CarryError::Io(error)) => Err(internal(&error)),
        Err(error @ (CarryError::Changed | CarryError::Broken(_))) => {
            tracing::error!(%error, "an import broke off");
            Err(Problem::Internal(error.to_string()))
        }
    }
}

fn internal(error: &io::Error) -> Problem {
    tracing::error!(%error, "an import's file cannot be read");
    Problem::Internal("the file that was received cannot be read".into())
}
