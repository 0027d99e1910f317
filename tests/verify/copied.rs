//! The log of a service that has stopped, copied, with something planted in the copy.

use std::{fs, path::Path, sync::Arc};

use aftercall::log::{Log, sqlite::SqliteLog, sqlite::SqliteSettings};

use crate::centre::Centre;

pub async fn copied(centre: &Centre, plant: impl AsyncFnOnce(Log, &Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(centre.folder.path().join("data")).expect("the log") {
        let file = file.expect("a file").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("a copy");
    }
    let log = SqliteLog::open(folder.path(), SqliteSettings::default()).expect("a log");
    plant(Arc::new(log), &folder.path().join("aftercall.db")).await;
    folder
}
