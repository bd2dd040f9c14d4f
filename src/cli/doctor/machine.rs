//! The machine: clock, data folder, disk, open files.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Resource, getrlimit};

use super::super::table::size;
use super::Check;
use crate::config::Limits;

/// Free space below which the store takes no writes, in bytes (see `StoreOptions::free_bytes_min`).
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Free space below which somebody should do something, in bytes.
const FREE_BYTES_WARN: u64 = 1 << 30;

/// Syncs that are measured.
const SYNCS: usize = 21;

/// Bytes written before each: a disk page.
const SYNC_BYTES: usize = 4096;

/// A sync that takes longer makes people wait for "saved".
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// No disk that keeps what it is given answers faster.
const SYNC_TOO_FAST: Duration = Duration::from_micros(5);

/// Open files besides those of connections: the store, its index, the program itself.
const OTHER_FILES: u64 = 256;

/// A clock before this is wrong: 2026-01-01 in seconds since 1970.
const CLOCK_MIN_S: u64 = 1_767_225_600;

/// A clock after this is wrong, too: 2100-01-01.
const CLOCK_MAX_S: u64 = 4_102_444_800;

/// Files may be this much younger than now: file systems round.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Looks whether the time of day can be true.
pub(super) fn clock(data: &Path, checks: &mut Vec<Check>) {
    const NAME: &str = "clock";
    let advice = "set the clock (timedatectl set-ntp true): edits are stamped with it";
    let now = SystemTime::now();
    let now_s = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let text = crate::time::rfc3339_ms(now_s.saturating_mul(1000));
    let ahead = newest_change(data).and_then(|newest| newest.duration_since(now).ok());
    checks.push(match ahead {
        _ if !(CLOCK_MIN_S..CLOCK_MAX_S).contains(&now_s) => {
            Check::fail(NAME, format!("this machine says that it is {text}"), advice)
        }
        Some(ahead) if ahead > CLOCK_SLACK => {
            let found = format!(
                "this machine says that it is {text}, but the store was last written {} s later",
                ahead.as_secs()
            );
            Check::warn(NAME, found, advice)
        }
        _ => Check::ok(NAME, text),
    });
}

fn newest_change(data: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(data.join("journal")).ok()?.flatten();
    files
        .filter_map(|file| file.metadata().ok()?.modified().ok())
        .max()
}

/// Looks at the data folder: there, ours to write, free, on a disk with room that keeps what it is given.
pub(super) fn folder(data: &Path, checks: &mut Vec<Check>) {
    const NAME: &str = "data folder";
    let shown = data.display();
    match fs::metadata(data) {
        Ok(found) if !found.is_dir() => {
            checks.push(Check::fail(
                NAME,
                format!("{shown} is a file"),
                "name another folder with --data",
            ));
            return;
        }
        Ok(_) => {
            checks.push(Check::ok(NAME, shown));
            lock(data, checks);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            checks.push(Check::ok(
                NAME,
                format!("{shown} does not exist yet; `mapweave serve` makes it"),
            ));
        }
        Err(error) => {
            checks.push(Check::fail(
                NAME,
                format!("{shown}: {error}"),
                "see to its owner and mode, or name another folder with --data",
            ));
            return;
        }
    }
    let Some(existing) = data.ancestors().map(or_here).find(|folder| folder.is_dir()) else {
        return;
    };
    space(&existing, checks);
    disk(&existing, checks);
}

/// The empty path, which stands above a relative one, means the current folder.
fn or_here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        path.to_owned()
    }
}

fn lock(data: &Path, checks: &mut Vec<Check>) {
    const NAME: &str = "lock";
    let opened = match File::options().write(true).open(data.join("LOCK")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            checks.push(Check::ok(NAME, "no store has been opened here yet"));
            return;
        }
        Err(error) => {
            checks.push(Check::fail(
                NAME,
                format!("LOCK: {error}"),
                "see to the owner and mode of the folder's files",
            ));
            return;
        }
    };
    checks.push(match opened.try_lock() {
        Ok(()) => Check::ok(NAME, "no other process uses the folder"),
        Err(TryLockError::WouldBlock) => {
            Check::ok(NAME, "a running process uses the folder (a server, or another command); talk to it with --server")
        }
        Err(TryLockError::Error(error)) => {
            let advice = "put the store on a file system with locks (ext4, xfs, btrfs)";
            Check::fail(NAME, format!("the folder cannot be locked: {error}"), advice)
        }
    });
}

fn space(folder: &Path, checks: &mut Vec<Check>) {
    const NAME: &str = "free space";
    let stat = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat,
        Err(error) => {
            checks.push(Check::warn(
                NAME,
                format!("cannot be told: {error}"),
                "look yourself: df -h",
            ));
            return;
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    checks.push(if free < FREE_BYTES_MIN {
        let advice = "make room: the store takes no edits until there is more";
        Check::fail(
            NAME,
            format!("{} left, {} are needed", size(free), size(FREE_BYTES_MIN)),
            advice,
        )
    } else if free < FREE_BYTES_WARN {
        Check::warn(
            NAME,
            format!("only {} left", size(free)),
            "make room before it is full; edits are then refused, not lost",
        )
    } else {
        Check::ok(NAME, format!("{} left", size(free)))
    });
    if stat.f_favail == 0 && stat.f_files > 0 {
        checks.push(Check::fail(
            "inodes",
            "the file system has none left",
            "remove files on it",
        ));
    }
}

fn disk(folder: &Path, checks: &mut Vec<Check>) {
    const NAME: &str = "disk";
    match sync_times(folder) {
        Err(error) => {
            let found = format!("{} cannot be written: {error}", folder.display());
            checks.push(Check::fail(
                NAME,
                found,
                "see to the folder's owner and mode, or name another one with --data",
            ));
        }
        Ok(times) => {
            let (median, slowest) = (
                at(&times, times.len() / 2),
                at(&times, times.len().saturating_sub(1)),
            );
            let found = format!(
                "a durable write takes {} (median of {SYNCS}; slowest {})",
                ms(median),
                ms(slowest)
            );
            checks.push(if is_memory(folder) || median < SYNC_TOO_FAST {
                let advice = "put the store on a disk: here nothing survives a power cut";
                Check::warn(
                    NAME,
                    format!("{found}: this is memory, or a disk that does not keep what it says"),
                    advice,
                )
            } else if median > SYNC_SLOW {
                Check::warn(
                    NAME,
                    found,
                    "people wait that long for \"saved\": use a faster disk, or expect it",
                )
            } else {
                Check::ok(NAME, found)
            });
        }
    }
}

/// How long a small write takes until the disk has it, shortest first.
fn sync_times(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = tempfile::Builder::new()
        .prefix(".mapweave-doctor-")
        .tempfile_in(folder)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0x5a; SYNC_BYTES])?;
        file.as_file().sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn at(times: &[Duration], index: usize) -> Duration {
    times.get(index).copied().unwrap_or_default()
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Whether the folder lies in memory (`statfs(2)`, `TMPFS_MAGIC` and `RAMFS_MAGIC`).
fn is_memory(folder: &Path) -> bool {
    const TMPFS: i128 = 0x0102_1994;
    const RAMFS: i128 = 0x8584_58f6;
    rustix::fs::statfs(folder).is_ok_and(|stat| [TMPFS, RAMFS].contains(&i128::from(stat.f_type)))
}

/// Looks whether as many connections can be open as the configuration allows.
pub(super) fn open_files(limits: &Limits, checks: &mut Vec<Check>) {
    const NAME: &str = "open files";
    let needed = (limits.connections_max as u64).saturating_add(OTHER_FILES);
    // `serve` raises the soft limit to the hard one by itself.
    checks.push(match getrlimit(Resource::Nofile).maximum {
        Some(hard) if hard < needed => {
            let found = format!("{hard} may be open, {needed} are needed for limits.connections_max = {}", limits.connections_max);
            let advice = format!("allow more (ulimit -Hn {needed}; LimitNOFILE={needed} for systemd), or lower limits.connections_max");
            Check::warn(NAME, found, advice)
        }
        Some(hard) => Check::ok(NAME, format!("{hard} may be open, {needed} are needed at most")),
        None => Check::ok(NAME, "as many as needed may be open"),
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Status;
    use super::*;

    fn folder_checks(data: &Path) -> Vec<(&'static str, Status)> {
        let mut checks = Vec::new();
        folder(data, &mut checks);
        checks
            .into_iter()
            .map(|check| (check.name, check.status))
            .collect()
    }

    #[test]
    fn a_folder_is_looked_at_and_left_as_it_was() {
        let data = tempfile::tempdir().unwrap();
        let names: Vec<&str> = folder_checks(data.path())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["data folder", "lock", "free space", "disk"]);
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
        assert!(
            folder_checks(&data.path().join("new"))
                .iter()
                .all(|(_, status)| *status != Status::Fail)
        );
    }

    #[test]
    fn a_file_is_no_folder_and_a_lock_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("LOCK");
        let held = File::create(&file).unwrap();
        held.lock().unwrap();
        let mut checks = Vec::new();
        lock(data.path(), &mut checks);
        assert!(matches!(&checks[..], [one] if one.found.contains("running process")));
        assert_eq!(folder_checks(&file), [("data folder", Status::Fail)]);
    }

    #[test]
    fn a_store_from_the_future_makes_the_clock_suspect() {
        let data = tempfile::tempdir().unwrap();
        let journal = data.path().join("journal");
        fs::create_dir(&journal).unwrap();
        let file = File::create(journal.join("00000001.log")).unwrap();
        let mut checks = Vec::new();
        clock(data.path(), &mut checks);
        file.set_modified(SystemTime::now() + Duration::from_secs(3600))
            .unwrap();
        clock(data.path(), &mut checks);
        let statuses: Vec<Status> = checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Ok, Status::Warn]);
    }

    #[test]
    fn more_connections_than_files_are_noticed() {
        let mut checks = Vec::new();
        open_files(
            &Limits {
                connections_max: 1,
                ..Limits::default()
            },
            &mut checks,
        );
        open_files(
            &Limits {
                connections_max: usize::MAX,
                ..Limits::default()
            },
            &mut checks,
        );
        assert_eq!(checks[0].status, Status::Ok);
        let unlimited = getrlimit(Resource::Nofile).maximum.is_none();
        assert_eq!(checks[1].status == Status::Warn, !unlimited);
    }
}
