//! The journal's files, whether still as written or archived: which there are, single records from them,
//! all records in order, and their archiving.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::DocId;

use super::archive::{self, Fault, JOURNAL_FILE_BYTES_MAX, pack};
use super::frame::{FILE_HEADER_BYTES, FORMAT_VERSION, Frame, HeaderFault, parse_frame};
use super::scan::{Found, Known, Scan};
use super::{Claim, Mark, Place, Placed, file_path};
use crate::disk::{Disk, write_durable};
use crate::{Damage, Record, StoreError};

/// Reads journal files of one store.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

/// What a walk over the files meets, in order.
#[derive(Debug)]
pub(crate) enum Walked {
    /// A record; whether more of the same append follow; id of the store as its file's header says it.
    Record { placed: Placed, continues: bool },
    /// The start of a file whose header could be read.
    File { store: [u8; 16] },
    /// Something that is not what was written, and costs no record by itself.
    Damage(Damage),
    /// A place where a record, or several, cannot be read, and what it says to be.
    Lost {
        damage: Damage,
        claim: Option<Claim>,
    },
    /// An unfinished write at the very end.
    Torn { file: u64, from: u64, to: u64 },
}

/// From where to where to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// The first place; [`Mark::START`] for everything.
    pub(crate) from: Mark,
    /// Everything before this place is known to be durable, so that nothing there is an unfinished write.
    pub(crate) durable: Mark,
    /// Nothing at or behind this place is read.
    pub(crate) until: Option<Mark>,
}

impl Files {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            root: root.to_owned(),
        }
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(crate) fn archive_dir(&self) -> PathBuf {
        self.root.join("archive")
    }

    fn log_path(&self, id: u64) -> PathBuf {
        file_path(&self.journal_dir(), id)
    }

    fn archive_path(&self, id: u64) -> PathBuf {
        self.archive_dir().join(format!("{id:08}.mwj"))
    }

    /// Numbers of all files, archived or not.
    pub(crate) fn ids(&self) -> Result<BTreeSet<u64>, StoreError> {
        let mut ids = self.list(&self.journal_dir(), ".log")?;
        ids.extend(self.list(&self.archive_dir(), ".mwj")?);
        Ok(ids)
    }

    /// Numbers of the files that are not archived, or not known to be.
    pub(crate) fn journal_ids(&self) -> Result<BTreeSet<u64>, StoreError> {
        self.list(&self.journal_dir(), ".log")
    }

    fn list(&self, dir: &Path, suffix: &str) -> Result<BTreeSet<u64>, StoreError> {
        let names = self
            .disk
            .list(dir)
            .map_err(|e| StoreError::io("list", dir, e))?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix(suffix)?.parse().ok())
            .collect())
    }

    /// Id of the store as the first readable file header says it.
    pub(crate) fn store_id(&self) -> Result<Option<[u8; 16]>, StoreError> {
        for id in self.ids()? {
            let (bytes, _) = self.load(id)?;
            if let Ok(header) = super::FileHeader::decode(&bytes) {
                return Ok(Some(header.store));
            }
        }
        Ok(None)
    }

    /// The path of `file` for people, relative to the store.
    pub(crate) fn shown(&self, id: u64) -> PathBuf {
        let log = self.log_path(id);
        let path = if self.disk.len(&log).is_ok() {
            log
        } else {
            self.archive_path(id)
        };
        self.relative(&path)
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    fn damage(&self, file: u64, offset: u64, what: impl Into<String>) -> Damage {
        Damage {
            file: self.shown(file),
            offset,
            doc: None,
            seq: None,
            what: what.into(),
        }
    }

    fn lost(&self, file: u64, offset: u64, what: impl Into<String>) -> Walked {
        let damage = self.damage(file, offset, what);
        Walked::Lost {
            damage,
            claim: None,
        }
    }

    /// The record whose frame lies at `place`.
    pub(crate) fn record_at(&self, place: Place) -> Result<Record, StoreError> {
        let bytes = self.bytes_at(place)?;
        match parse_frame(&bytes, 0) {
            Ok(frame) if frame.head.file == place.file && frame.len == bytes.len() => {
                Ok(frame.record)
            }
            Ok(_) => Err(self
                .damage(place.file, place.offset, "another record stands here")
                .into()),
            Err(what) => Err(self.damage(place.file, place.offset, what).into()),
        }
    }

    fn bytes_at(&self, place: Place) -> Result<Bytes, StoreError> {
        let (path, len) = (self.log_path(place.file), place.len as usize);
        match self.disk.read_at(&path, place.offset, len) {
            Ok(bytes) => return Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self
                    .damage(place.file, place.offset, "the file is cut short")
                    .into());
            }
            Err(error) => return Err(StoreError::io("read", &path, error)),
        }
        let path = self.archive_path(place.file);
        let (index, _) = archive::Index::read(&*self.disk, &path, place.file)
            .map_err(|f| self.fault(place.file, &path, f))?;
        index
            .read_at(&*self.disk, &path, place.offset, len)
            .map_err(|damage| self.named(damage).into())
    }

    fn named(&self, damage: Damage) -> Damage {
        Damage {
            file: self.relative(&damage.file),
            ..damage
        }
    }

    fn fault(&self, id: u64, path: &Path, fault: Fault) -> StoreError {
        match fault {
            Fault::Store(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                self.damage(id, 0, "the file is missing").into()
            }
            Fault::Store(error) => error,
            Fault::Header(_, HeaderFault::Version(version)) => self.version(path, version),
            Fault::Header(offset, HeaderFault::Damaged(what)) => {
                self.damage(id, offset, what).into()
            }
        }
    }

    fn version(&self, path: &Path, version: u32) -> StoreError {
        StoreError::Version {
            file: self.relative(path),
            version,
            known: FORMAT_VERSION,
        }
    }

    /// The bytes of journal file `id`, and what is wrong with the archive file that they came from.
    fn load(&self, id: u64) -> Result<(Bytes, Vec<Damage>), StoreError> {
        let path = self.log_path(id);
        if let Some(bytes) = crate::disk::read_whole(&*self.disk, &path, JOURNAL_FILE_BYTES_MAX)? {
            return Ok((bytes.into(), Vec::new()));
        }
        let path = self.archive_path(id);
        match archive::Index::read(&*self.disk, &path, id) {
            Ok((index, header_fault)) => {
                let (bytes, problems) = index.read_all(&*self.disk, &path);
                let mut problems: Vec<_> = problems
                    .into_iter()
                    .map(|damage| self.named(damage))
                    .collect();
                if let Some(fault) = header_fault {
                    problems.extend(self.as_damage(self.fault(id, &path, fault)));
                }
                Ok((bytes, problems))
            }
            Err(fault) => match self.fault(id, &path, fault) {
                StoreError::Damaged(damage) => Ok((Bytes::new(), vec![*damage])),
                error => Err(error),
            },
        }
    }

    fn as_damage(&self, error: StoreError) -> Option<Damage> {
        if let StoreError::Damaged(damage) = error {
            Some(*damage)
        } else {
            None
        }
    }

    /// Goes over all records in order and hands what it meets to `meet`. Holds one file in memory at a time.
    ///
    /// # Errors
    /// The disk failed, a file is of a later version, or `meet` said to stop.
    pub(crate) fn walk(
        &self,
        walk: &Walk,
        meet: &mut dyn FnMut(Walked) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let ids: Vec<_> = self
            .ids()?
            .into_iter()
            .filter(|id| *id >= walk.from.file)
            .collect();
        let mut last = (walk.from.lsn, walk.from.prev_crc);
        let mut expected = if walk.from == Mark::START {
            ids.first().copied()
        } else {
            Some(walk.from.file)
        };
        for (index, id) in ids.iter().enumerate() {
            if walk.until.is_some_and(|until| *id > until.file) {
                break;
            }
            if let Some(missing) = expected.filter(|missing| missing < id) {
                let what = format!("journal files {missing:08} to {:08} are missing", id - 1);
                meet(self.lost(missing, 0, what))?;
            }
            expected = id.checked_add(1);
            let is_last = index + 1 == ids.len();
            last = self.walk_file(walk, *id, is_last, last, meet)?;
        }
        let durable = walk.durable;
        if durable.offset > FILE_HEADER_BYTES && ids.last().is_none_or(|last| *last < durable.file)
        {
            meet(self.lost(durable.file, 0, "the file is missing"))?;
        }
        Ok(())
    }

    fn walk_file(
        &self,
        walk: &Walk,
        id: u64,
        is_last: bool,
        (mut lsn, prev_crc): (u64, u32),
        meet: &mut dyn FnMut(Walked) -> Result<(), StoreError>,
    ) -> Result<(u64, u32), StoreError> {
        let (mut bytes, problems) = self.load(id)?;
        let nothing_left = bytes.is_empty();
        problems.into_iter().try_for_each(|damage| {
            meet(if nothing_left {
                let claim = None;
                Walked::Lost { damage, claim }
            } else {
                Walked::Damage(damage)
            })
        })?;
        let durable = if !is_last || walk.durable.file > id {
            u64::MAX
        } else if walk.durable.file == id {
            walk.durable.offset
        } else {
            0
        };
        if let Some(until) = walk.until.filter(|until| until.file == id) {
            bytes.truncate(usize::try_from(until.offset).unwrap_or(usize::MAX));
        }
        if durable != u64::MAX && (bytes.len() as u64) < durable {
            let what = format!(
                "the file ends at byte {}, it was {durable} bytes long",
                bytes.len()
            );
            meet(self.lost(id, bytes.len() as u64, what))?;
        }
        let (mut scan, header) = Scan::whole(bytes.clone(), Known { file: id, durable });
        match header {
            Ok(header) => {
                meet(Walked::File {
                    store: header.store,
                })?;
                if lsn > 0
                    && (header.prev_crc, header.first_lsn) != (prev_crc, lsn + 1)
                    && walk.from.file != id
                {
                    meet(Walked::Damage(self.damage(
                        id,
                        0,
                        "the file does not follow the one before it",
                    )))?;
                }
            }
            Err(HeaderFault::Version(version)) => {
                return Err(self.version(&self.log_path(id), version));
            }
            Err(HeaderFault::Damaged(_))
                if durable == 0 && bytes.len() as u64 <= FILE_HEADER_BYTES =>
            {
                meet(Walked::Torn {
                    file: id,
                    from: 0,
                    to: bytes.len() as u64,
                })?;
                return Ok((lsn, prev_crc));
            }
            Err(HeaderFault::Damaged(what)) if !bytes.is_empty() => {
                meet(Walked::Damage(self.damage(id, 0, what)))?;
            }
            Err(HeaderFault::Damaged(_)) => {}
        }
        if walk.from.file == id && walk.from.offset > FILE_HEADER_BYTES {
            scan.skip_to(walk.from.offset, walk.from.prev_crc);
        }
        // Where a bad place was named, the records missing behind it need no second word.
        let mut explained = false;
        while let Some(found) = scan.next() {
            match found {
                Found::Frame(offset, frame) => {
                    let before = if std::mem::take(&mut explained) {
                        frame.head.lsn.saturating_sub(1)
                    } else {
                        lsn
                    };
                    lsn = self.meet_frame(id, offset, frame, before.max(lsn), meet)?;
                }
                Found::Damage { from, to, what } => {
                    explained = true;
                    let claims = scan.claims(from, to);
                    if claims.is_empty() {
                        meet(self.lost(id, from, what))?;
                    }
                    for (at, what, claim) in claims {
                        let damage = self.damage(id, at, what);
                        let claim = Some(claim);
                        meet(Walked::Lost { damage, claim })?;
                    }
                }
                Found::OutOfOrder { at } => {
                    let what = "a record does not follow the one before it";
                    meet(Walked::Damage(self.damage(id, at, what)))?;
                }
                Found::Torn { from, to } => meet(Walked::Torn { file: id, from, to })?,
            }
        }
        Ok((lsn, scan.prev_crc().unwrap_or(prev_crc)))
    }

    fn meet_frame(
        &self,
        file: u64,
        offset: u64,
        frame: Frame,
        lsn: u64,
        meet: &mut dyn FnMut(Walked) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (expected, found) = (lsn.saturating_add(1), frame.head.lsn);
        if found != expected {
            meet(match found.checked_sub(expected) {
                Some(missing) => {
                    let what =
                        format!("{missing} records before this one cannot be read or are missing");
                    self.lost(file, offset, what)
                }
                None => {
                    let what = "a record stands behind one that was written after it";
                    Walked::Damage(self.damage(file, offset, what))
                }
            })?;
        }
        let len = u32::try_from(frame.len).unwrap_or(u32::MAX);
        let end = Mark {
            file,
            offset: offset + u64::from(len),
            lsn: found,
            prev_crc: frame.crc,
        };
        let placed = Placed {
            record: frame.record,
            place: Place { file, offset, len },
            end,
        };
        meet(Walked::Record {
            placed,
            continues: frame.head.continues,
        })?;
        Ok(found.max(lsn))
    }

    /// Cuts journal file `id` to `len` bytes, or removes it where nothing of it counts, and makes that durable.
    pub(crate) fn cut(&self, id: u64, len: u64) -> Result<(), StoreError> {
        let path = self.log_path(id);
        if len <= FILE_HEADER_BYTES {
            return self.remove(id);
        }
        self.disk
            .truncate(&path, len)
            .map_err(|e| StoreError::io("cut", &path, e))
    }

    /// Makes what stands behind `durable` durable, before anything rests on it: the only file that can hold
    /// unsynced bytes, the last, is written anew.
    ///
    /// A sync would not do: after a sync that failed, the machine's memory has the bytes, the disk does
    /// not, and the next sync says that all is well.
    pub(crate) fn settle(&self, durable: Mark) -> Result<(), StoreError> {
        let ids = self.journal_ids()?;
        let Some(last) = ids.into_iter().rfind(|id| !self.is_unused(*id)) else {
            return Ok(());
        };
        let path = self.log_path(last);
        let len = self
            .disk
            .len(&path)
            .map_err(|e| StoreError::io("read", &path, e))?;
        if (last, len) <= (durable.file, durable.offset) {
            return Ok(());
        }
        match crate::disk::read_whole(&*self.disk, &path, JOURNAL_FILE_BYTES_MAX)? {
            Some(bytes) => write_durable(&*self.disk, &path, &bytes),
            None => Ok(()),
        }
    }

    /// Whether journal file `id` is one that was begun and never written to.
    pub(crate) fn is_unused(&self, id: u64) -> bool {
        self.disk
            .len(&self.log_path(id))
            .is_ok_and(|len| len <= FILE_HEADER_BYTES)
    }

    pub(crate) fn remove(&self, id: u64) -> Result<(), StoreError> {
        let path = self.log_path(id);
        self.disk
            .remove(&path)
            .map_err(|e| StoreError::io("remove", &path, e))?;
        let dir = self.journal_dir();
        self.disk
            .sync_dir(&dir)
            .map_err(|e| StoreError::io("sync", &dir, e))
    }

    /// Moves journal file `id` into the archive: packed, durable, read back and compared, and only then
    /// removed. Bytes that are damaged already are kept as they are.
    pub(crate) fn archive(&self, id: u64) -> Result<(), StoreError> {
        let (log, path) = (self.log_path(id), self.archive_path(id));
        let Some(raw) = crate::disk::read_whole(&*self.disk, &log, JOURNAL_FILE_BYTES_MAX)? else {
            return Ok(());
        };
        let packed = pack(id, &raw).map_err(|e| StoreError::io("compress", &log, e))?;
        write_durable(&*self.disk, &path, &packed)?;
        let (index, header_fault) =
            archive::Index::read(&*self.disk, &path, id).map_err(|f| self.fault(id, &path, f))?;
        let (back, problems) = index.read_all(&*self.disk, &path);
        if header_fault.is_some()
            || !problems.is_empty()
            || index.raw_len() != raw.len() as u64
            || back != raw
        {
            return Err(self
                .damage(
                    id,
                    0,
                    "the archive file does not read back as it was written",
                )
                .into());
        }
        self.remove(id)
    }

    /// All readable records of `doc` in the order of the files: the slow way, where sled is no help.
    pub(crate) fn records_of(
        &self,
        doc: DocId,
        until: Mark,
        take: &mut dyn FnMut(Placed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let walk = Walk {
            from: Mark::START,
            durable: until,
            until: Some(until),
        };
        self.walk(&walk, &mut |walked| match walked {
            Walked::Record { placed, .. } if placed.record.doc == doc => take(placed),
            _ => Ok(()),
        })
    }
}
