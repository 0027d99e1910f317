//! Where quiet actors go when memory is short: a file of this process, which nobody else reads and no restart needs.
//!
//! What an actor is stands in the log anyway (snapshots, journal), so the file holds only what would be in memory
//! otherwise, and is gone with the process. A state is read back with its next event; its place is given to others then.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Smallest place, in bytes. Others are twice, four times, eight times as large, and so on.
const PLACE_BYTES_MIN: u64 = 64;

/// A state on the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: u64,
    bytes: u32,
    /// Hash of the state: a disk may give back something else.
    sum: u64,
}

/// States by place.
#[derive(Debug)]
pub struct Shelf {
    file: File,
    end: u64,
    /// Free places by size: of the n-th, of `PLACE_BYTES_MIN << n` bytes.
    free: Vec<Vec<u64>>,
}

impl Shelf {
    /// An empty one: a file in `folder` without a name, or, where that cannot be, one that the next start removes.
    ///
    /// # Errors
    /// If there can be no file there.
    pub fn make(folder: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("actors-{}-{number}.tmp", std::process::id());
        fs::create_dir_all(folder)?;
        let path: PathBuf = folder.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        #[cfg(unix)]
        fs::remove_file(&path)?;
        Ok(Self {
            file,
            end: 0,
            free: Vec::new(),
        })
    }

    /// Puts a state there.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn put(&mut self, state: &[u8]) -> io::Result<Place> {
        let bytes = u32::try_from(state.len()).map_err(io::Error::other)?;
        let class = class_of(bytes);
        let free = self.free.get_mut(class).and_then(Vec::pop);
        let at = free.unwrap_or(self.end);
        let mut file = &self.file;
        let written = file
            .seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(state));
        let place = Place {
            at,
            bytes,
            sum: xxhash_rust::xxh3::xxh3_64(state),
        };
        if at == self.end {
            self.end += PLACE_BYTES_MIN << class;
        }
        if let Err(error) = written {
            self.free(place);
            return Err(error);
        }
        Ok(place)
    }

    /// Reads a state.
    ///
    /// # Errors
    /// If the disk does not give it back as it was.
    pub fn get(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut state = vec![0; place.bytes as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.at))?;
        file.read_exact(&mut state)?;
        if xxhash_rust::xxh3::xxh3_64(&state) != place.sum {
            return Err(io::Error::other("it is not as it was written"));
        }
        Ok(state)
    }

    /// Gives a place to others.
    pub fn free(&mut self, place: Place) {
        let class = class_of(place.bytes);
        if self.free.len() <= class {
            self.free.resize_with(class + 1, Vec::new);
        }
        self.free[class].push(place.at);
    }
}

/// Which size of place so many bytes need.
fn class_of(bytes: u32) -> usize {
    let places = u64::from(bytes).max(1).div_ceil(PLACE_BYTES_MIN);
    places.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_there_comes_back_and_places_are_used_again() {
        let mut shelf = Shelf::make(&std::env::temp_dir()).expect("a folder to write into");
        let state = |n: usize| vec![n as u8; n * 37 % 5_000];
        let mut places: Vec<(usize, Place)> = Vec::new();
        for round in 0..2_000 {
            places.push((round, shelf.put(&state(round)).expect("put")));
            if round % 3 > 0 {
                let (number, place) = places.swap_remove(round * 7 % places.len());
                assert_eq!(shelf.get(place).expect("there"), state(number));
                shelf.free(place);
            }
        }
        for (number, place) in &places {
            assert_eq!(shelf.get(*place).expect("there"), state(*number));
        }
        let held: u64 = places.iter().map(|(_, place)| u64::from(place.bytes)).sum();
        assert!(shelf.end < 4 * held, "{} bytes for {held}", shelf.end);
    }

    #[test]
    fn a_disk_that_gives_back_something_else_is_found_out() {
        let mut shelf = Shelf::make(&std::env::temp_dir()).expect("a folder to write into");
        let place = shelf.put(b"money").expect("put");
        shelf.file.seek(SeekFrom::Start(place.at)).expect("seek");
        shelf.file.write_all(b"honey").expect("write");
        assert!(shelf.get(place).is_err());
        assert!(Shelf::make(Path::new("/dev/null/nowhere")).is_err());
    }
}
