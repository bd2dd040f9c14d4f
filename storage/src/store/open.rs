//! Opening a store and recovering it. The order of the steps is the procedure in `docs/storage.md`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mapweave_proto::{DocId, Seq};

use super::backlog::Backlog;
use super::queue::Queue;
use super::replay::{Replay, Replayed};
use super::{Access, Core, Durable, StoreOptions};
use crate::catalog::Catalog;
use crate::disk::{Disk, read_whole, write_durable};
use crate::header::Input;
use crate::health::HealthBoard;
use crate::journal::{FILE_HEADER_BYTES, Files, Journal, Mark};
use crate::sled_log::{Index, Loaded, set_aside, sync_real_dir};
use crate::{Damage, Health, Identity, RecoveryReport, StoreError, snapshot};

/// Presence of this file asks the next open to rebuild sled.
const REBUILD: &str = "REBUILD";

/// Free bytes without which sled is not even opened: it would fail half-way.
const OPEN_FREE_BYTES_MIN: u64 = 8 << 20;

pub(crate) struct Opened {
    pub(crate) core: Core,
    /// `None` where no appends are taken.
    pub(crate) journal: Option<Journal>,
    pub(crate) report: RecoveryReport,
    pub(crate) lock: File,
}

pub(crate) fn open(root: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
    let files = Files::new(Arc::clone(&options.disk), root);
    let lock = lock(root, &options)?;
    let mut report = RecoveryReport::default();
    let founded = found(root, &options, &files, &mut report)?;
    let (index, loaded) = open_index(root, &options, &founded, &mut report)?;
    let from = loaded
        .as_ref()
        .map_or(Mark::START, |loaded| loaded.checkpoint);
    if options.access == Access::ReadWrite {
        files.settle(from)?;
    }
    let catalog = catalog_of(loaded);
    let replayed = Replay::new(&index, &files, catalog, from, founded.identity.store).run()?;
    let mut identity = founded.identity;
    if !replayed.problems.is_empty() && options.access == Access::ReadWrite {
        // Places may mean other records than before: whoever resumes by place must start afresh.
        identity.epoch = identity.epoch.saturating_add(1);
        write_identity(&*options.disk, root, identity)?;
    }
    finish(
        root, options, files, index, replayed, identity, report, lock,
    )
}

#[expect(
    clippy::too_many_arguments,
    reason = "the last step of one procedure; each value is made by an earlier one"
)]
fn finish(
    root: &Path,
    options: StoreOptions,
    files: Files,
    index: Index,
    replayed: Replayed,
    identity: Identity,
    mut report: RecoveryReport,
    lock: File,
) -> Result<Opened, StoreError> {
    let Replayed {
        mut catalog,
        end,
        torn,
        count,
        problems,
        unsound,
    } = replayed;
    report.replayed = count;
    report.torn_bytes = torn.map_or(0, |torn| torn.to.saturating_sub(torn.from));
    report.clean =
        !report.created && report.rebuilt.is_none() && count == 0 && torn.is_none() && !unsound;
    report.problems.extend(problems);
    for (_, state) in catalog.states() {
        report.problems.extend(
            state
                .head
                .damaged
                .clone()
                .filter(|damage| !report.problems.contains(damage)),
        );
    }
    if !report.clean && !report.created {
        adopt_snapshots(root, &options, &index, &mut catalog)?;
    }
    let health = HealthBoard::new();
    let (journal, end) = if options.access == Access::ReadWrite {
        if let Some(torn) = torn {
            files.cut(torn.file, torn.from)?;
        }
        let journal = begin_journal(&options, &files, identity, end)?;
        let end = journal.end();
        index.checkpoint(end)?;
        (Some(journal), end)
    } else {
        health.set(Health::ReadOnly(
            "the store was opened for reading only".into(),
        ));
        (None, end)
    };
    if report.rebuilt.is_some() {
        index.checkpoint(end)?;
        remove_rebuild_request(&*options.disk, root)?;
    }
    say(&report);
    let core = Core {
        root: root.to_owned(),
        files,
        identity: Mutex::new(identity),
        health,
        durable: RwLock::new(Durable { catalog, end }),
        queue: Arc::new(Queue::default()),
        backlog: Backlog::new(end.lsn),
        index: RwLock::new(Some(Arc::new(index))),
        closing: AtomicBool::new(false),
        opened_lsn: end.lsn,
        options,
    };
    Ok(Opened {
        core,
        journal,
        report,
        lock,
    })
}

fn say(report: &RecoveryReport) {
    if report.clean || report.created {
        return;
    }
    tracing::warn!(
        replayed = report.replayed,
        torn_bytes = report.torn_bytes,
        rebuilt = report.rebuilt.as_deref().unwrap_or("no"),
        problems = report.problems.len(),
        "the store was recovered"
    );
    for damage in &report.problems {
        tracing::error!(%damage, "damage found");
    }
}

/// Makes the folder where it may, and holds it against other processes.
fn lock(root: &Path, options: &StoreOptions) -> Result<File, StoreError> {
    let (path, above) = (
        root.join("LOCK"),
        root.parent().filter(|above| !above.as_os_str().is_empty()),
    );
    if options.create {
        fs::create_dir_all(root).map_err(|e| StoreError::io("create", root, e))?;
    }
    let opened = File::options()
        .create(options.create)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NoStore {
            path: root.to_owned(),
        },
        _ => StoreError::io("open", &path, error),
    })?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Locked {
                path: root.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path, error)),
    }
    if options.create {
        sync_real_dir(root)?;
        sync_real_dir(above.unwrap_or(Path::new(".")))?;
    }
    Ok(lock)
}

/// What is known before sled is opened.
struct Founded {
    identity: Identity,
    has_journal: bool,
    rebuild_asked: bool,
}

fn found(
    root: &Path,
    options: &StoreOptions,
    files: &Files,
    report: &mut RecoveryReport,
) -> Result<Founded, StoreError> {
    let disk = &*options.disk;
    for dir in [
        files.journal_dir(),
        files.archive_dir(),
        root.join("snapshots"),
    ] {
        disk.create_dir_all(&dir)
            .map_err(|e| StoreError::io("create", &dir, e))?;
    }
    disk.sync_dir(root)
        .map_err(|e| StoreError::io("sync", root, e))?;
    let has_journal = !files.ids()?.is_empty();
    let identity = match read_identity(disk, root)? {
        Some(identity) => identity,
        // Written whole or not at all by us: this is somebody else's file, or the one remnant of a lost store.
        None if !has_journal && disk.len(&identity_path(root)).is_ok() => {
            return Err(StoreError::from(Damage {
                file: "IDENTITY".into(),
                offset: 0,
                doc: None,
                seq: None,
                what: "it is no identity of a store, and no journal is there to tell which store this was: \
                       choose another folder, or restore the whole folder from a backup"
                    .to_owned(),
            }));
        }
        None => {
            let store = if has_journal { files.store_id()? } else { None };
            report.created = !has_journal;
            // An epoch that is lost is behind the present time, as all are that were ever made so.
            let epoch = if has_journal {
                options.clock.now_ms()
            } else {
                1
            };
            let identity = Identity {
                store: store.unwrap_or_else(|| DocId::fresh().to_bytes()),
                epoch,
            };
            write_identity(disk, root, identity)?;
            identity
        }
    };
    check_room(disk, root)?;
    let rebuild_asked = disk.len(&root.join(REBUILD)).is_ok();
    Ok(Founded {
        identity,
        has_journal,
        rebuild_asked,
    })
}

fn check_room(disk: &dyn Disk, root: &Path) -> Result<(), StoreError> {
    match disk.free_bytes(root) {
        Ok(free) if free < OPEN_FREE_BYTES_MIN => Err(StoreError::Full {
            path: root.to_owned(),
            free,
            needed: OPEN_FREE_BYTES_MIN,
        }),
        _ => Ok(()),
    }
}

/// Opens sled, or sets it aside and begins a new one where it is no good.
fn open_index(
    root: &Path,
    options: &StoreOptions,
    founded: &Founded,
    report: &mut RecoveryReport,
) -> Result<(Index, Option<Loaded>), StoreError> {
    let dir = root.join("sled");
    let store = founded.identity.store;
    let why = if founded.rebuild_asked {
        "a read found it damaged".to_owned()
    } else {
        let existed = dir.exists();
        match Index::open(&dir, options.cache_bytes, options.index_open_limit) {
            Ok((index, Some(loaded))) if loaded.store == store => return Ok((index, Some(loaded))),
            Ok((index, None)) if !founded.has_journal => {
                index.found(store)?;
                return Ok((index, None));
            }
            Ok((index, None)) => {
                index.close();
                if existed {
                    "it is empty".into()
                } else {
                    "it is missing".into()
                }
            }
            Ok((index, Some(_))) => {
                index.close();
                "it belongs to another store".into()
            }
            Err(StoreError::Index { what }) => what,
            Err(error) => error.to_string(),
        }
    };
    tracing::error!(%why, "sled cannot be used; it is set aside and rebuilt from archive and journal");
    report.set_aside = set_aside(root, options.clock.now_ms())?;
    report.rebuilt = Some(why);
    let (index, _) = Index::open(&dir, options.cache_bytes, options.index_open_limit)?;
    index.found(store)?;
    Ok((index, None))
}

fn catalog_of(loaded: Option<Loaded>) -> Catalog {
    let mut catalog = Catalog::default();
    for (doc, state) in loaded.map(|loaded| loaded.states).unwrap_or_default() {
        catalog.put(doc, state);
    }
    catalog
}

/// Begins a new journal file: then everything in the files before is known to be durable.
fn begin_journal(
    options: &StoreOptions,
    files: &Files,
    identity: Identity,
    end: Mark,
) -> Result<Journal, StoreError> {
    let dir = files.journal_dir();
    for id in files.journal_ids()? {
        if files.is_unused(id) {
            files.remove(id)?;
        }
    }
    options
        .disk
        .sync_dir(&dir)
        .map_err(|e| StoreError::io("sync", &dir, e))?;
    let last = files
        .ids()?
        .last()
        .copied()
        .unwrap_or(0)
        .max(if end.offset > FILE_HEADER_BYTES {
            end.file
        } else {
            0
        });
    let after = Mark {
        file: last.saturating_add(1),
        ..end
    };
    Journal::create(
        Arc::clone(&options.disk),
        &dir,
        identity.store,
        options.journal_file_bytes,
        after,
    )
}

/// Enters snapshot files that sled does not know, and tells the catalog of the newest.
fn adopt_snapshots(
    root: &Path,
    options: &StoreOptions,
    index: &Index,
    catalog: &mut Catalog,
) -> Result<(), StoreError> {
    let disk = &*options.disk;
    let docs: Vec<_> = catalog.states().map(|(doc, _)| doc).collect();
    for doc in docs {
        let known: Vec<Seq> = index
            .snapshots(doc)?
            .into_iter()
            .map(|(upto, _)| upto)
            .collect();
        let dir = snapshot::dir_of(root, doc);
        let names = disk
            .list(&dir)
            .map_err(|e| StoreError::io("list", &dir, e))?;
        for upto in names
            .iter()
            .filter_map(|name| snapshot::parse_file_name(name))
        {
            if known.contains(&upto) {
                continue;
            }
            // A damaged one is left for `verify` to name; one of another history is never used.
            let Ok(stored) = snapshot::read(disk, root, doc, upto) else {
                continue;
            };
            if index
                .row(doc, upto)?
                .is_some_and(|row| row.chain() == &stored.title.chain)
            {
                index.put_snapshot(doc, upto, &stored.row)?;
                catalog.change_head(doc, |head| {
                    head.newest_snapshot = head.newest_snapshot.max(Some(upto))
                });
            }
        }
    }
    Ok(())
}

const IDENTITY_MAGIC: [u8; 8] = *b"MWstore\0";
const IDENTITY_VERSION: u32 = 1;
const IDENTITY_BYTES_MAX: u64 = 4096;

fn identity_path(root: &Path) -> PathBuf {
    root.join("IDENTITY")
}

fn write_identity(disk: &dyn Disk, root: &Path, identity: Identity) -> Result<(), StoreError> {
    let mut out = Vec::with_capacity(40);
    out.extend_from_slice(&IDENTITY_MAGIC);
    out.extend_from_slice(&IDENTITY_VERSION.to_le_bytes());
    out.extend_from_slice(&identity.store);
    out.extend_from_slice(&identity.epoch.to_le_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    write_durable(disk, &identity_path(root), &out)
}

/// `None` where there is none or it is damaged: the journal knows whose it is as well.
fn read_identity(disk: &dyn Disk, root: &Path) -> Result<Option<Identity>, StoreError> {
    let path = identity_path(root);
    let Some(bytes) = read_whole(disk, &path, IDENTITY_BYTES_MAX)? else {
        return Ok(None);
    };
    let decode = || -> Result<(u32, Identity), &'static str> {
        let (fields, crc) = bytes.split_last_chunk::<4>().ok_or("it is cut short")?;
        let mut input = Input(fields);
        let magic: [u8; 8] = input.array()?;
        let version = input.u32()?;
        if magic != IDENTITY_MAGIC || crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
            return Err("its checksum is wrong");
        }
        Ok((
            version,
            Identity {
                store: input.array()?,
                epoch: input.u64()?,
            },
        ))
    };
    match decode() {
        Ok((IDENTITY_VERSION, identity)) => Ok(Some(identity)),
        Ok((version, _)) => Err(StoreError::Version {
            file: "IDENTITY".into(),
            version,
            known: IDENTITY_VERSION,
        }),
        Err(what) => {
            tracing::error!(
                what,
                "the file IDENTITY is damaged; the journal tells which store this is"
            );
            Ok(None)
        }
    }
}

/// Begins a new life of an open store: the file first, then everybody may see it.
pub(crate) fn renew(core: &Core) -> Result<Identity, StoreError> {
    if core.options.access == Access::ReadOnly {
        let why = "the store was opened for reading only".to_owned();
        return Err(StoreError::ReadOnly { why });
    }
    let mut identity = core.identity.lock().unwrap_or_else(PoisonError::into_inner);
    let renewed = Identity {
        epoch: identity.epoch.saturating_add(1),
        ..*identity
    };
    write_identity(&*core.options.disk, &core.root, renewed)?;
    *identity = renewed;
    Ok(renewed)
}

/// Leaves word for the next open that sled is not to be trusted.
pub(crate) fn ask_for_rebuild(core: &Core) {
    let path = core.root.join(REBUILD);
    if core.options.disk.len(&path).is_err()
        && let Err(error) = write_durable(&*core.options.disk, &path, b"")
    {
        tracing::warn!(%error, "the next open cannot be told to rebuild sled");
    }
}

fn remove_rebuild_request(disk: &dyn Disk, root: &Path) -> Result<(), StoreError> {
    let path = root.join(REBUILD);
    match disk.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &path, error))
        }
        _ => disk
            .sync_dir(root)
            .map_err(|e| StoreError::io("sync", root, e)),
    }
}
