//! sled behind the journal: the index that everything reads. The only file that knows sled 0.34.
//!
//! sled may panic, hang at open, lose its newest pages or return an error. None of it reaches a caller:
//! every call is caught and becomes [`StoreError::Index`], and the journal has everything that sled has.
//! sled's own `flush` reaches no disk for sure; [`Index::checkpoint`] adds the `fdatasync` that does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mapweave_proto::{DocId, Seq};

use crate::catalog::MapState;
use crate::journal::{FORMAT_VERSION, Mark, Placed};
use crate::row::{self, LogRow, SnapRow};
use crate::{Known, StoreError};

/// How long another handle of this very process may take to let go of sled's files.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// sled's trees.
#[derive(Debug)]
pub(crate) struct Index {
    db: sled::Db,
    log: sled::Tree,
    doc: sled::Tree,
    snap: sled::Tree,
    known: sled::Tree,
    meta: sled::Tree,
    /// Our own handle of sled's main file, for the sync that sled does not do.
    file: File,
}

/// What stood in sled when it was opened.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Up to where in the journal sled has everything.
    pub(crate) checkpoint: Mark,
    /// Id of the store that sled belongs to.
    pub(crate) store: [u8; 16],
    pub(crate) states: Vec<(DocId, MapState)>,
}

impl Index {
    /// Opens sled in `dir` on a thread of its own, since it may panic or hang, and reads the state of all
    /// maps. `None` where sled is new and empty.
    pub(crate) fn open(
        dir: &Path,
        cache_bytes: u64,
        limit: Duration,
    ) -> Result<(Self, Option<Loaded>), StoreError> {
        let (sender, receiver) = mpsc::channel();
        let dir = dir.to_owned();
        let body = move || {
            let opened = caught(|| {
                let index = Self::open_here(&dir, cache_bytes)?;
                let loaded = index.load()?;
                Ok((index, loaded))
            });
            // Nobody waits any more after the time limit: then sled is dropped here.
            let _ = sender.send(opened);
        };
        let thread = thread::Builder::new().name("sled-open".into()).spawn(body);
        thread.map_err(|e| StoreError::io("start a thread for", Path::new("sled"), e))?;
        receiver.recv_timeout(limit).unwrap_or_else(|_| {
            Err(StoreError::Index {
                what: format!("it did not open within {} s", limit.as_secs()),
            })
        })
    }

    fn open_here(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        remove_unfinished_snapshots(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .use_compression(false);
        let started = Instant::now();
        let db = loop {
            match config.open() {
                // The threads of a handle that was dropped a moment ago may still hold the lock.
                Err(sled::Error::Io(error))
                    if is_lock(&error) && started.elapsed() < RELEASE_LIMIT =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        let path = dir.join("db");
        let file = File::open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        Ok(Self {
            log: db.open_tree("log")?,
            doc: db.open_tree("doc")?,
            snap: db.open_tree("snap")?,
            known: db.open_tree("known")?,
            meta: db.open_tree("meta")?,
            db,
            file,
        })
    }

    /// Says whose sled this is; once, when it is new.
    pub(crate) fn found(&self, store: [u8; 16]) -> Result<(), StoreError> {
        caught(|| {
            self.meta.insert("format", &FORMAT_VERSION.to_le_bytes())?;
            self.meta.insert("store", &store)?;
            Ok(())
        })
    }

    fn load(&self) -> Result<Option<Loaded>, StoreError> {
        let Some(store) = self.meta.get("store")? else {
            if self.doc.is_empty() && self.log.is_empty() {
                return Ok(None);
            }
            return Err(bad("it does not say whose it is"));
        };
        let store =
            <[u8; 16]>::try_from(&store[..]).map_err(|_| bad("it does not say whose it is"))?;
        let version = self
            .meta
            .get("format")?
            .and_then(|v| <[u8; 4]>::try_from(&v[..]).ok());
        if version != Some(FORMAT_VERSION.to_le_bytes()) {
            return Err(bad("it has the format of another version"));
        }
        let checkpoint = match self.meta.get("checkpoint")? {
            Some(row) => row::decode_mark(&row).map_err(bad)?,
            None => Mark::START,
        };
        let mut newest = BTreeMap::new();
        for row in self.snap.iter().keys() {
            let (doc, seq) = row::parse_log_key(&row?).map_err(bad)?;
            newest.insert(doc, seq);
        }
        let mut known: BTreeMap<DocId, Known> = BTreeMap::new();
        for pair in self.known.iter() {
            let (key, value) = pair?;
            let (doc, log) = row::parse_known_key(&key).map_err(bad)?;
            let seq = row::decode_known(&value).map_err(bad)?;
            known.entry(doc).or_default().raise(log, seq);
        }
        let mut states = Vec::new();
        for pair in self.doc.iter() {
            let (key, value) = pair?;
            let doc = <[u8; 16]>::try_from(&key[..]).map_err(|_| bad("a key is too long"))?;
            let doc = DocId::from_bytes(doc);
            let mut state = row::decode_state(doc, &value).map_err(bad)?;
            state.head.newest_snapshot = newest.get(&doc).copied();
            state.known = known.remove(&doc).unwrap_or_default();
            self.check_tail(doc, &state)?;
            states.push((doc, state));
        }
        Ok(Some(Loaded {
            checkpoint,
            store,
            states,
        }))
    }

    /// sled can lose its newest rows without a word: the last record must be the one that the head names.
    fn check_tail(&self, doc: DocId, state: &MapState) -> Result<(), StoreError> {
        let Some(row) = self.log.get(row::log_key(doc, state.head.last))? else {
            return Err(bad("the last record of a map is missing"));
        };
        let row = row::decode_log_row(&row).map_err(bad)?;
        if row.chain() == &state.head.chain {
            Ok(())
        } else {
            Err(bad("the last record of a map is another one"))
        }
    }

    /// Puts records, then the heads that reach over them.
    pub(crate) fn put(
        &self,
        records: &[Placed],
        states: &BTreeMap<DocId, MapState>,
    ) -> Result<(), StoreError> {
        caught(|| {
            for Placed { record, place, .. } in records {
                self.log.insert(
                    row::log_key(record.doc, record.seq),
                    row::encode_log_row(record, *place),
                )?;
                if let Some(relayed) = &record.origin.relayed {
                    // Records come in the order of their log, so that the last one reaches farthest.
                    self.known.insert(
                        row::known_key(record.doc, &relayed.log),
                        row::encode_known(relayed.seq),
                    )?;
                }
            }
            for (doc, state) in states {
                self.doc.insert(doc.to_bytes(), row::encode_state(state))?;
            }
            Ok(())
        })
    }

    /// Makes everything put so far durable, and with it that sled has the journal up to `mark`.
    pub(crate) fn checkpoint(&self, mark: Mark) -> Result<(), StoreError> {
        caught(|| {
            self.meta.insert("checkpoint", row::encode_mark(mark))?;
            self.db.flush()?;
            self.file
                .sync_data()
                .map_err(|e| StoreError::io("sync", Path::new("sled/db"), e))
        })
    }

    /// One row of a log.
    pub(crate) fn row(&self, doc: DocId, seq: Seq) -> Result<Option<LogRow>, StoreError> {
        caught(|| {
            let row = self.log.get(row::log_key(doc, seq))?;
            row.map(|row| row::decode_log_row(&row).map_err(bad))
                .transpose()
        })
    }

    /// Rows of a log in order, until `take` says that it has enough.
    pub(crate) fn rows(
        &self,
        doc: DocId,
        from: Seq,
        to: Seq,
        take: &mut dyn FnMut(Seq, LogRow) -> Result<More, StoreError>,
    ) -> Result<(), StoreError> {
        caught(|| {
            for pair in self
                .log
                .range(row::log_key(doc, from)..=row::log_key(doc, to))
            {
                let (key, value) = pair?;
                let (_, seq) = row::parse_log_key(&key).map_err(bad)?;
                if let More::No = take(seq, row::decode_log_row(&value).map_err(bad)?)? {
                    break;
                }
            }
            Ok(())
        })
    }

    pub(crate) fn put_snapshot(
        &self,
        doc: DocId,
        upto: Seq,
        snap: &SnapRow,
    ) -> Result<(), StoreError> {
        caught(|| {
            self.snap
                .insert(row::log_key(doc, upto), row::encode_snap(snap))
                .map(drop)
                .map_err(Into::into)
        })
    }

    pub(crate) fn remove_snapshot(&self, doc: DocId, upto: Seq) -> Result<(), StoreError> {
        caught(|| {
            self.snap
                .remove(row::log_key(doc, upto))
                .map(drop)
                .map_err(Into::into)
        })
    }

    /// The snapshots of a map, oldest first; `None` for a row that cannot be read.
    pub(crate) fn snapshots(&self, doc: DocId) -> Result<Vec<(Seq, Option<SnapRow>)>, StoreError> {
        caught(|| {
            let mut found = Vec::new();
            for pair in self.snap.scan_prefix(doc.to_bytes()) {
                let (key, value) = pair?;
                let (_, seq) = row::parse_log_key(&key).map_err(bad)?;
                found.push((seq, row::decode_snap(&value).ok()));
            }
            Ok(found)
        })
    }

    /// Lets go of sled's files. sled syncs them and panics where that fails; by then a checkpoint holds.
    pub(crate) fn close(self) {
        if catch_unwind(AssertUnwindSafe(move || drop(self))).is_err() {
            tracing::warn!("sled panicked while it was closed; the next open checks it");
        }
    }
}

/// Whether a reader wants the next row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Yes,
    No,
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self::Index {
            what: error.to_string(),
        }
    }
}

fn bad(what: &str) -> StoreError {
    StoreError::Index {
        what: what.to_owned(),
    }
}

/// Runs `work` so that a panic of sled becomes an error. sled is not used again after one for writing: the
/// store is poisoned and its next open checks or rebuilds sled.
fn caught<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(StoreError::Index {
            what: format!("it panicked: {text}"),
        })
    })
}

/// A process killed while it opened sled leaves one behind, and every later open would fail over it.
fn remove_unfinished_snapshots(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir)
        .map_err(|e| StoreError::io("list", dir, e))?
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.to_string().contains("could not acquire lock")
}

/// How many sleds that were set aside are kept for whoever looks into them.
const SET_ASIDE_MAX: usize = 3;

/// Puts the sled in `root` aside as `sled.damaged-<time>`. Returns its new place, if there was one.
pub(crate) fn set_aside(root: &Path, now_ms: u64) -> Result<Option<PathBuf>, StoreError> {
    let from = root.join("sled");
    if !from.exists() {
        return Ok(None);
    }
    let taken = |to: &PathBuf| !to.exists();
    let name = |n: u64| root.join(format!("sled.damaged-{}", now_ms.saturating_add(n)));
    let to = (0..1000)
        .map(name)
        .find(taken)
        .unwrap_or_else(|| name(1000));
    fs::rename(&from, &to).map_err(|e| StoreError::io("set aside", &from, e))?;
    let mut old: Vec<_> = fs::read_dir(root)
        .map_err(|e| StoreError::io("list", root, e))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("sled.damaged-"))
        })
        .collect();
    old.sort();
    for path in old.iter().rev().skip(SET_ASIDE_MAX) {
        if let Err(error) = fs::remove_dir_all(path) {
            tracing::warn!(path = %path.display(), %error, "an old damaged sled could not be removed");
        }
    }
    sync_real_dir(root)?;
    Ok(Some(to))
}

/// Makes the names in a folder durable, on the machine's own disk.
pub(crate) fn sync_real_dir(dir: &Path) -> Result<(), StoreError> {
    let synced = File::open(dir).and_then(|file| file.sync_all());
    synced.map_err(|e| StoreError::io("sync", dir, e))
}
