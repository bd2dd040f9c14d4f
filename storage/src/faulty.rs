//! A disk for tests that fails as real ones do: it fills up, refuses syncs, loses power at a chosen
//! operation, and then keeps of unsynced writes whatever a seed says. In memory; sled's files are not on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

/// What a power cut leaves whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    /// Rings when syncs are held no longer.
    released: Condvar,
}

/// When the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At the n-th sync (of a file or a folder), counted from 1, instead of it.
    AtSync(u64),
    /// When that many bytes were written since the disk was made, in the middle of a write.
    AtByte(u64),
}

#[derive(Debug, Default)]
struct World {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no sync of their folder has made durable, oldest first.
    pending: Vec<(PathBuf, Option<usize>)>,
    dirs: BTreeSet<PathBuf>,
    syncs: u64,
    written: u64,
    capacity: Option<u64>,
    cut: Option<Cut>,
    fail_syncs: bool,
    hold_syncs: bool,
    lie_about_syncs: bool,
    without_power: bool,
    /// Grows with every cut, so that what an old handle does afterwards reaches nothing.
    life: u64,
}

#[derive(Debug, Default, Clone)]
struct Node {
    live: Vec<u8>,
    synced: Vec<u8>,
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the power go at `cut`.
    pub fn cut_power(&self, cut: Cut) {
        self.world().cut = Some(cut);
    }

    /// Whether the power is gone.
    pub fn is_without_power(&self) -> bool {
        self.world().without_power
    }

    /// How many syncs there were, and how many bytes were written.
    pub fn work_done(&self) -> (u64, u64) {
        let world = self.world();
        (world.syncs, world.written)
    }

    /// Lets at most `bytes` be on the disk; `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    /// Makes every sync fail from here on, or work again.
    pub fn fail_syncs(&self, fail: bool) {
        self.world().fail_syncs = fail;
    }

    /// Makes every sync of a file wait from here on, or lets those that wait go on.
    pub fn hold_syncs(&self, hold: bool) {
        self.world().hold_syncs = hold;
        self.0.released.notify_all();
    }

    /// Makes syncs succeed without doing anything: no store survives that, so tests can see that they would notice.
    pub fn lie_about_syncs(&self) {
        self.world().lie_about_syncs = true;
    }

    /// Bytes on the disk.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// Turns the power on again. What was synced is there; of the rest, `seed` decides: any number of bytes
    /// of a file, any sectors of them, any number of the last changes of names.
    pub fn restore_power(&self, seed: u64) {
        let mut random = Random(seed);
        let mut world = self.world();
        for node in &mut world.nodes {
            node.live = survivor(node, &mut random);
            node.synced = node.live.clone();
        }
        let kept = random.below(world.pending.len() as u64 + 1) as usize;
        let pending = std::mem::take(&mut world.pending);
        for (path, node) in pending.into_iter().take(kept) {
            set_name(&mut world.durable_names, path, node);
        }
        world.names = world.durable_names.clone();
        world.without_power = false;
        world.cut = None;
        world.life += 1;
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// What stands in a file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        world
            .names
            .get(path)
            .and_then(|node| world.nodes.get(*node))
            .map(|node| node.live.clone())
    }

    /// Changes a file behind the store's back, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        if let Some(id) = world.names.get(path).copied()
            && let Some(node) = world.nodes.get_mut(id)
        {
            change(&mut node.live);
            node.synced = node.live.clone();
        }
    }

    /// Removes a file behind the store's back, durably.
    pub fn lose(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path);
        world.durable_names.remove(path);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.without_power {
            Err(io::Error::other("the power is gone"))
        } else {
            Ok(world)
        }
    }
}

impl World {
    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|node| self.nodes.get(*node))
            .map(|node| node.live.len() as u64)
            .sum()
    }

    fn node(&self, path: &Path) -> io::Result<&Node> {
        let id = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.nodes.get(*id).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, path: &Path, node: Option<usize>) {
        set_name(&mut self.names, path.to_owned(), node);
        self.pending.push((path.to_owned(), node));
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.cut == Some(Cut::AtSync(self.syncs)) {
            self.without_power = true;
            return Err(io::Error::other("the power is gone"));
        }
        if self.fail_syncs {
            Err(io::Error::other("the disk cannot sync"))
        } else {
            Ok(())
        }
    }

    /// How many of `len` bytes can be written, and the error after them.
    fn admit(&mut self, len: u64) -> (u64, Option<io::Error>) {
        let room = self
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let (mut admitted, mut error) = (len, None);
        if room < admitted {
            admitted = room;
            error = Some(io::ErrorKind::StorageFull.into());
        }
        if let Some(Cut::AtByte(at)) = self.cut
            && at.saturating_sub(self.written) < admitted
        {
            admitted = at.saturating_sub(self.written);
            self.without_power = true;
            error = Some(io::Error::other("the power is gone"));
        }
        self.written += admitted;
        (admitted, error)
    }
}

fn set_name(names: &mut BTreeMap<PathBuf, usize>, path: PathBuf, node: Option<usize>) {
    match node {
        Some(node) => names.insert(path, node),
        None => names.remove(&path),
    };
}

/// What is left of a file: all that was synced, and of the rest what chance keeps.
fn survivor(node: &Node, random: &mut Random) -> Vec<u8> {
    let (old, new) = (node.synced.len(), node.live.len());
    if node.live.get(..old) != Some(&node.synced[..]) || new == old {
        // Cut since the last sync: either state is possible.
        return if random.below(2) == 0 {
            node.synced.clone()
        } else {
            node.live.clone()
        };
    }
    let len = old + random.below((new - old) as u64 + 1) as usize;
    let mut left = node.live.get(..len).unwrap_or_default().to_vec();
    let loses_sectors = random.below(2) == 0;
    let mut sector = old / SECTOR_BYTES * SECTOR_BYTES;
    while loses_sectors && sector < len {
        let end = (sector + SECTOR_BYTES).min(len);
        if random.below(3) == 0
            && let Some(lost) = left.get_mut(sector.max(old)..end)
        {
            lost.fill(0);
        }
        sector = end;
    }
    left
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.powered()?.dirs.insert(path.to_owned());
        Ok(())
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.powered()?;
        if world.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if world
            .capacity
            .is_some_and(|capacity| capacity <= world.used())
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = world.nodes.len();
        world.nodes.push(Node::default());
        world.rename(path, Some(node));
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            node,
            life: world.life,
        }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut world = self.powered()?;
        let id = *world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        world.sync()?;
        let node = world.nodes.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
        node.live
            .truncate(usize::try_from(len).unwrap_or(usize::MAX));
        node.synced = node.live.clone();
        Ok(())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(self.powered()?.node(path)?.live.len() as u64)
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let world = self.powered()?;
        let bytes = &world.node(path)?.live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = bytes.get(start..start.saturating_add(len));
        Ok(range.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.powered()?;
        let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.powered()?;
        let node = *world.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        world.rename(to, Some(node));
        world.rename(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.powered()?;
        world.node(path)?;
        world.rename(path, None);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.powered()?;
        world.sync()?;
        let pending = std::mem::take(&mut world.pending);
        for (name, node) in pending {
            if name.parent() == Some(path) {
                set_name(&mut world.durable_names, name, node);
            } else {
                world.pending.push((name, node));
            }
        }
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let world = self.powered()?;
        Ok(world
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used())))
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    node: usize,
    life: u64,
}

impl FaultyFile {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.powered()?;
        if world.life == self.life {
            Ok(world)
        } else {
            Err(io::Error::other("the power was gone"))
        }
    }
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world()?;
        let (admitted, error) = world.admit(bytes.len() as u64);
        let written = bytes
            .get(..usize::try_from(admitted).unwrap_or(usize::MAX))
            .unwrap_or(bytes);
        if let Some(node) = world.nodes.get_mut(self.node) {
            node.live.extend_from_slice(written);
        }
        error.map_or(Ok(()), Err)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        drop(
            self.disk
                .0
                .released
                .wait_while(self.disk.world(), |world| world.hold_syncs),
        );
        let mut world = self.world()?;
        world.sync()?;
        if world.lie_about_syncs {
            return Ok(());
        }
        if let Some(node) = world.nodes.get_mut(self.node) {
            node.synced = node.live.clone();
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if let Some(node) = self.world()?.nodes.get_mut(self.node) {
            node.live
                .truncate(usize::try_from(len).unwrap_or(usize::MAX));
        }
        Ok(())
    }
}

/// SplitMix64: numbers that a seed gives again.
#[derive(Clone, Debug)]
pub struct Random(
    /// The seed.
    pub u64,
);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }
}
