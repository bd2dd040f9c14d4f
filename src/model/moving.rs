//! A view that moves with its document: what changed is collected where the document lives, and applied where the
//! view lives.
//!
//! A [`Watch`] is attached to the document once. After each transaction [`Watch::take`] yields a [`Delta`], which can
//! be sent to another thread; [`MapView::apply`] takes it in time logarithmic in the view's entries per changed key.
//! A view moved so equals [`MapView::new`] of the same document, whatever the document holds.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use yrs::types::PathSegment;
use yrs::types::map::MapEvent;
use yrs::{DeepObservable, Doc, Map, Observable, ReadTxn, TransactionMut};

use super::changes::{ChangeKind, Changes};
use super::json::text;
use super::layer::Layer;
use super::schema::{FEAT, FILE, Key, LAYER, META, NOTE, Raw, Root, WHO};
use super::view::{Entries, MapView, Meta, entries, malformed_key, raw_at, vertices};

/// A root whose values a view keeps by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keyed {
    Overlay(Root),
    Feat,
    Layer,
    Note,
    File,
    Who,
}

impl Keyed {
    fn all() -> impl Iterator<Item = Self> {
        let overlays = Root::ALL.into_iter().map(Self::Overlay);
        overlays.chain([Self::Feat, Self::Layer, Self::Note, Self::File, Self::Who])
    }

    /// The root with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|keyed| keyed.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Overlay(root) => root.name(),
            Self::Feat => FEAT,
            Self::Layer => LAYER,
            Self::Note => NOTE,
            Self::File => FILE,
            Self::Who => WHO,
        }
    }
}

/// What changed since it was last asked.
#[derive(Debug, Default)]
struct Pending {
    keys: BTreeSet<(Keyed, Arc<str>)>,
    /// Roots of which yrs could not say what changed.
    whole: BTreeSet<Keyed>,
    meta: bool,
}

type Shared = Mutex<Pending>;

/// Collects the changed keys of a document's roots until they are taken, each once: take after each transaction.
/// Once it is dropped nothing is collected any more; [`Watch::detach`] takes its callbacks out of the document as well.
#[derive(Debug)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// Starts to watch. The document must not be in a transaction. Take the first [`MapView`] after this.
    #[must_use]
    pub fn attach(doc: &Doc) -> Self {
        let shared = Arc::new(Shared::default());
        let name = name(&shared);
        for keyed in Keyed::all() {
            let root = doc.get_or_insert_map(keyed.name());
            let weak = Arc::downgrade(&shared);
            root.observe(&name[..], move |txn, event| {
                note_keys(&weak, keyed, txn, event)
            });
        }
        let weak = Arc::downgrade(&shared);
        doc.get_or_insert_map(Root::Text.name())
            .observe_deep(&name[..], move |_, events| {
                for event in events.iter() {
                    // A change of the root itself has an empty path and is noted with its key.
                    if let Some(PathSegment::Key(key)) = event.path().front() {
                        let text = (Keyed::Overlay(Root::Text), key.clone());
                        with(&weak, |pending| pending.keys.extend([text]));
                    }
                }
            });
        let weak = Arc::downgrade(&shared);
        doc.get_or_insert_map(META).observe(&name[..], move |_, _| {
            with(&weak, |pending| pending.meta = true)
        });
        Self(shared)
    }

    /// Ends watching and leaves nothing of it in `doc`, to which it was attached. The document must not be in a
    /// transaction.
    pub fn detach(self, doc: &Doc) {
        let name = name(&self.0);
        for keyed in Keyed::all() {
            doc.get_or_insert_map(keyed.name()).unobserve(&name[..]);
        }
        let texts = doc.get_or_insert_map(Root::Text.name());
        texts.unobserve_deep(&name[..]);
        doc.get_or_insert_map(META).unobserve(&name[..]);
    }

    /// What changed since the last call, read from the document as the transaction sees it; `None` if nothing did.
    #[must_use]
    pub fn take(&self, txn: &impl ReadTxn) -> Option<Delta> {
        let pending = std::mem::take(&mut *lock(&self.0));
        let keys = pending
            .keys
            .into_iter()
            .filter(|(keyed, _)| !pending.whole.contains(keyed));
        let changed = keys.map(|(keyed, key)| {
            let map = txn.get_map(keyed.name());
            let map = map.filter(|map| map.contains_key(txn, &key));
            let raw = map.map(|map| raw_at(&map, &key, txn));
            (keyed, Box::from(&*key), raw)
        });
        let delta = Delta {
            changed: changed.collect(),
            whole: pending
                .whole
                .iter()
                .map(|keyed| (*keyed, entries(txn, keyed.name())))
                .collect(),
            meta: pending.meta.then(|| Meta::read(txn)),
        };
        let empty = delta.changed.is_empty() && delta.whole.is_empty() && delta.meta.is_none();
        (!empty).then_some(delta)
    }
}

/// Asking yrs for the changed keys panics where somebody put an entry without a value into a map, as only a hostile
/// update can; the root is then read anew.
fn note_keys(weak: &Weak<Shared>, keyed: Keyed, txn: &TransactionMut<'_>, event: &MapEvent) {
    with(weak, |pending| {
        match catch_unwind(AssertUnwindSafe(|| event.keys(txn))) {
            Ok(keys) => pending
                .keys
                .extend(keys.keys().map(|key| (keyed, key.clone()))),
            Err(_) => pending.whole.extend([keyed]),
        }
    });
}

/// What the callbacks of a watch are called: unique while one of them may still hold on to the allocation.
fn name(shared: &Arc<Shared>) -> [u8; size_of::<usize>()] {
    (Arc::as_ptr(shared) as usize).to_be_bytes()
}

fn with(weak: &Weak<Shared>, act: impl FnOnce(&mut Pending)) {
    if let Some(shared) = weak.upgrade() {
        act(&mut lock(&shared));
    }
}

/// Whoever panicked with the lock left sets of keys that are still what they were.
fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Pending> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys of a document with their new values. Needs neither document nor transaction; values are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    changed: Vec<(Keyed, Box<str>, Option<Raw>)>,
    whole: Vec<(Keyed, Entries)>,
    meta: Option<Meta>,
}

impl Delta {
    /// Ids of the features that it may change.
    #[must_use]
    pub fn fids(&self) -> BTreeSet<Box<str>> {
        let of_feature = |keyed: &Keyed| matches!(keyed, Keyed::Overlay(_) | Keyed::Feat);
        let changed = self.changed.iter().filter(|(keyed, ..)| of_feature(keyed));
        let changed = changed.map(|(_, key, _)| key);
        let whole = self.whole.iter().filter(|(keyed, _)| of_feature(keyed));
        let whole = whole.flat_map(|(_, entries)| entries.keys());
        let keys = changed.chain(whole);
        keys.map(|key| key.split('/').next().unwrap_or_default().into())
            .collect()
    }

    /// About how many bytes it keeps: keys, values and what holds them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        /// A key and a value in a list.
        const ENTRY_BYTES: usize = 64;
        let changed = self.changed.iter().map(|(_, key, raw)| (key, raw.as_ref()));
        let whole = self.whole.iter().flat_map(|(_, entries)| entries);
        let whole = whole.map(|(key, raw)| (key, Some(raw)));
        let bytes = changed
            .chain(whole)
            .map(|(key, raw)| ENTRY_BYTES + key.len() + raw.map_or(0, Raw::size));
        bytes.sum::<usize>() as u64
    }
}

impl MapView {
    /// Moves the view to where the delta was taken. Deltas are applied in the order in which they were taken.
    pub fn apply(&mut self, delta: Delta) -> Changes {
        let mut changes = Changes::default();
        for (keyed, now) in delta.whole {
            for key in self.keys_of(keyed) {
                if !now.contains_key(&key) {
                    self.put(keyed, key, None, &mut changes);
                }
            }
            for (key, raw) in now {
                self.put(keyed, key, Some(raw), &mut changes);
            }
        }
        for (keyed, key, raw) in delta.changed {
            self.put(keyed, key, raw, &mut changes);
        }
        if let Some(meta) = delta.meta {
            self.meta = meta;
            changes.meta = true;
        }
        self.read_layers(&changes.layers);
        changes
    }

    /// Reads these layers anew from their entries.
    pub(super) fn read_layers(&mut self, lids: &BTreeSet<Box<str>>) {
        for lid in lids {
            match Layer::read(lid, &self.targets_of_layer(lid)) {
                Some(layer) => drop(self.layers.insert(lid.clone(), layer)),
                None => drop(self.layers.remove(lid)),
            }
        }
    }

    pub(super) fn put(
        &mut self,
        keyed: Keyed,
        key: Box<str>,
        raw: Option<Raw>,
        changes: &mut Changes,
    ) {
        match keyed {
            Keyed::Overlay(root) => match Key::split(root, &key) {
                Some(fields) => {
                    // The key of a text names who began it, not who types.
                    let writes = raw.is_some() && root != Root::Text;
                    let sid = Some(fields.sid).filter(|_| writes);
                    changes.feature(fields.fid).note(ChangeKind::of(root), sid);
                    if let Some(entries) = self.overlays.get_mut(root as usize) {
                        set(entries, key, raw);
                    }
                }
                None => self.put_malformed(root.name(), &key, raw, changes),
            },
            Keyed::Layer => match Key::split_layer(&key).map(|key| Box::from(key.fid)) {
                Some(lid) => {
                    set(&mut self.layer_entries, key, raw);
                    changes.layers.insert(lid);
                }
                None => self.put_malformed(LAYER, &key, raw, changes),
            },
            Keyed::Feat => {
                self.vertices += raw.as_ref().map_or(0, vertices);
                let items = raw.as_ref().and_then(Raw::array);
                let sid = items.and_then(|items| text(items.get(1)?));
                let change = changes.feature(&key);
                change.note(ChangeKind::Record, sid.map(|sid| &**sid));
                let before = set(&mut self.feats, key, raw);
                self.vertices -= before.as_ref().map_or(0, vertices);
            }
            Keyed::Note => {
                changes.notes.insert(key.clone());
                set(&mut self.notes, key, raw);
            }
            Keyed::File => {
                changes.attachments.insert(key.clone());
                set(&mut self.files, key, raw);
            }
            Keyed::Who => {
                changes.sessions.insert(key.clone());
                set(&mut self.who, key, raw);
            }
        }
    }

    fn put_malformed(&mut self, root: &str, key: &str, raw: Option<Raw>, changes: &mut Changes) {
        let name = malformed_key(root, key);
        changes.malformed_keys |= match raw {
            Some(_) => self.malformed_keys.insert(name),
            None => self.malformed_keys.remove(&name),
        };
    }

    /// Every key that the view has of a root, malformed ones too.
    fn keys_of(&self, keyed: Keyed) -> Vec<Box<str>> {
        let entries = self.entries_of(keyed);
        let malformed = self
            .malformed_keys
            .iter()
            .filter_map(|name| name.strip_prefix(keyed.name())?.strip_prefix(':'));
        let keys = entries
            .into_iter()
            .flat_map(Entries::keys)
            .map(|key| &**key);
        keys.chain(malformed).map(Box::from).collect()
    }
}

/// Sets or removes a key; what was there.
fn set(entries: &mut Entries, key: Box<str>, raw: Option<Raw>) -> Option<Raw> {
    match raw {
        Some(raw) => entries.insert(key, raw),
        None => entries.remove(&key),
    }
}
