//! Files that nobody but the service's own user may read: what customers wrote stands in them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};

/// Makes a directory, and those above it, for its owner alone. One that exists keeps the rights that it was given.
///
/// # Errors
/// If it cannot be made.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    builder.recursive(true).create(dir)
}

/// Opens a file to read and write, and makes it if there is none; its owner alone may do so from then on.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    close_to_others(path)?;
    Ok(file)
}

/// Takes from a file that is there what others may do with it. One of another user's stays as it is.
///
/// # Errors
/// If its rights cannot be read or changed.
pub fn close_to_others(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut rights = match fs::metadata(path) {
            Ok(found) => found.permissions(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if rights.mode() & 0o077 != 0 {
            rights.set_mode(rights.mode() & !0o077);
            match fs::set_permissions(path, rights) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                changed => changed?,
            }
        }
    }
    Ok(())
}

/// Whether others than its owner may look into a directory.
#[must_use]
pub fn is_open_to_others(dir: &Path) -> bool {
    #[cfg(unix)]
    {
        fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        false
    }
}
