//! What people do to a document: map-document writes, and everything else that Yjs types can do.
//!
//! Keys come from small pools, so that edits meet. Values avoid maps with several members, whose bytes would
//! depend on the hash seed of the process.

use std::sync::Arc;

use bytes::Bytes;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, Doc, GetString, Map, MapPrelim, MapRef, OffsetKind, Options,
    Out, ReadTxn, Text, TextPrelim, TextRef, Transact, TransactionMut, Update,
};

use crate::rng::Rng;

/// Root maps that edits write to.
pub(crate) const MAPS: [&str; 9] = [
    "meta", "feat", "vert", "prop", "gone", "layer", "note", "text", "tree",
];

/// Root array and root text.
pub(crate) const LIST: &str = "list";
pub(crate) const TITLE: &str = "title";

/// Marks a transaction of the user in front of the screen.
pub(crate) const LOCAL: &str = "local";

/// Deepest shared type that edits make on purpose.
const DEPTH_MAX: usize = 5;

/// An empty document that counts as JavaScript does.
pub(crate) fn document(client: u64) -> Doc {
    let mut options = Options::with_client_id(yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    let doc = Doc::with_options(options);
    for name in MAPS {
        doc.get_or_insert_map(name);
    }
    doc.get_or_insert_array(LIST);
    doc.get_or_insert_text(TITLE);
    doc
}

/// One action of the user `sid` at `t`: one transaction of one to four writes.
pub(crate) fn edit(doc: &Doc, sid: &str, t: i64, rng: &mut Rng) {
    let roots = Roots::of(doc);
    let mut txn = doc.transact_mut_with(LOCAL);
    for _ in 0..rng.between(1, 4) {
        let mut writer = Writer {
            txn: &mut txn,
            roots: &roots,
            sid,
            t,
        };
        writer.write(rng);
    }
}

/// Updates that two people make who hear of each other now and then, in the order in which they were made.
///
/// # Panics
/// Where yrs refuses an update of its own.
#[allow(clippy::expect_used)]
pub fn updates(seed: u64, count: usize) -> Vec<Bytes> {
    let mut rng = Rng::new(seed);
    let docs = [document(1 + (seed << 1)), document(2 + (seed << 9))];
    let mut updates = Vec::new();
    for t in 0..count {
        let (writer, other) = match rng.below(2) {
            0 => (&docs[0], &docs[1]),
            _ => (&docs[1], &docs[0]),
        };
        let before = writer.transact().state_vector();
        edit(writer, "sid00", t as i64, &mut rng);
        updates.push(Bytes::from(writer.transact().encode_diff_v1(&before)));
        if rng.chance(50) {
            let have = other.transact().state_vector();
            let news = writer.transact().encode_diff_v1(&have);
            let news = Update::decode_v1(&news).expect("yrs reads what it wrote");
            other
                .transact_mut()
                .apply_update(news)
                .expect("yrs takes what it wrote");
        }
    }
    updates
}

struct Roots {
    maps: Vec<MapRef>,
    list: ArrayRef,
    title: TextRef,
}

impl Roots {
    fn of(doc: &Doc) -> Self {
        Self {
            maps: MAPS
                .iter()
                .map(|name| doc.get_or_insert_map(*name))
                .collect(),
            list: doc.get_or_insert_array(LIST),
            title: doc.get_or_insert_text(TITLE),
        }
    }

    #[allow(clippy::expect_used)]
    fn map(&self, name: &str) -> &MapRef {
        let index = MAPS.iter().position(|map| *map == name);
        index
            .and_then(|index| self.maps.get(index))
            .expect("one of MAPS")
    }
}

struct Writer<'a, 'doc> {
    txn: &'a mut TransactionMut<'doc>,
    roots: &'a Roots,
    sid: &'a str,
    t: i64,
}

impl Writer<'_, '_> {
    fn write(&mut self, rng: &mut Rng) {
        let fid = format!("f{}", rng.below(6));
        match rng.below(12) {
            0 => self.create(&fid, rng),
            1 | 2 => self.set("prop", &fid, &format!("p{}", rng.below(3)), rng),
            3 | 4 => self.set("vert", &fid, &format!("0/0.0.U00{}", rng.below(4)), rng),
            5 => self.delete_or_restore(&fid, rng),
            6 => self.type_into_property(&fid, rng),
            7 => {
                let title = self.roots.title.clone();
                self.type_into(&title, rng);
            }
            8 => {
                let list = self.roots.list.clone();
                self.change_list(&list, 1, rng);
            }
            9 | 10 => {
                let tree = self.roots.map("tree").clone();
                self.change_tree(&tree, 1, rng);
            }
            _ => {
                let title = Any::from(format!("by {} at {}", self.sid, self.t));
                self.roots.map("meta").insert(self.txn, "title", title);
            }
        }
    }

    /// A feature record; or, seldom, all keys of one are removed.
    fn create(&mut self, fid: &str, rng: &mut Rng) {
        if rng.chance(15) {
            self.roots.map("feat").remove(self.txn, fid);
            return;
        }
        let packed: Vec<u8> = (0..rng.between(4, 60)).map(|_| rng.bits() as u8).collect();
        let record = [
            Any::from(self.t),
            Any::from(self.sid),
            Any::from(2i64),
            Any::Buffer(packed.into()),
            Any::from(r#"{"name":"Höfe"}"#),
            Any::from(""),
        ];
        let record = Any::Array(Arc::from(record));
        self.roots.map("feat").insert(self.txn, fid, record);
    }

    /// Sets a target: others' entries that are seen go, the own slot is written.
    fn set(&mut self, root: &str, fid: &str, target: &str, rng: &mut Rng) {
        let map = self.roots.map(root).clone();
        let seen: Vec<String> = map
            .keys(self.txn)
            .filter(|key| is_entry(key, fid, target))
            .map(str::to_owned)
            .collect();
        for key in seen {
            map.remove(self.txn, &key);
        }
        let mut entry = vec![Any::from(self.t)];
        if rng.chance(85) {
            entry.push(value(rng, 2));
        }
        let key = format!("{fid}/{}/{target}", self.sid);
        map.insert(self.txn, key, Any::Array(entry.into()));
    }

    fn delete_or_restore(&mut self, fid: &str, rng: &mut Rng) {
        let gone = self.roots.map("gone").clone();
        let seen: Vec<String> = gone
            .keys(self.txn)
            .filter(|key| key.starts_with(fid))
            .map(str::to_owned)
            .collect();
        if seen.is_empty() || rng.chance(40) {
            let entry = Any::Array(Arc::from([Any::from(self.t), Any::from(0i64)]));
            gone.insert(self.txn, format!("{fid}/{}", self.sid), entry);
        }
        for key in seen {
            gone.remove(self.txn, &key);
        }
    }

    fn type_into_property(&mut self, fid: &str, rng: &mut Rng) {
        let texts = self.roots.map("text").clone();
        let mut known: Vec<String> = texts.keys(self.txn).map(str::to_owned).collect();
        known.sort_unstable();
        let text = rng
            .pick(&known)
            .filter(|_| rng.clone().chance(70))
            .and_then(|key| texts.get(self.txn, key))
            .and_then(|out| out.cast::<TextRef>().ok());
        let text = text.unwrap_or_else(|| {
            let key = format!("{fid}/{}/story", self.sid);
            texts.insert(self.txn, key, TextPrelim::new("Es war einmal"))
        });
        self.type_into(&text, rng);
    }

    /// Inserts or deletes between whole characters, as editors do.
    fn type_into(&mut self, text: &TextRef, rng: &mut Rng) {
        let content = text.get_string(self.txn);
        let mut places = vec![0];
        places.extend(content.chars().scan(0, |at, c| {
            *at += c.len_utf16() as u32;
            Some(*at)
        }));
        let from = rng.below(places.len());
        let at = places.get(from).copied().unwrap_or(0);
        if places.len() > 4 && rng.chance(40) {
            let to = (from + rng.between(1, 5)).min(places.len() - 1);
            let end = places.get(to).copied().unwrap_or(at);
            text.remove_range(self.txn, at, end - at);
            return;
        }
        let words = ["a", "Weg ", "🌲", "überall ", "x🚜y", "0123456789"];
        text.insert(self.txn, at, rng.pick(&words).copied().unwrap_or("a"));
    }

    fn change_list(&mut self, list: &ArrayRef, depth: usize, rng: &mut Rng) {
        let len = list.len(self.txn);
        let at = rng.below(len as usize + 1) as u32;
        match rng.below(10) {
            0..=2 if len > 0 => {
                let from = at.min(len - 1);
                let count = (rng.between(1, 3) as u32).min(len - from);
                list.remove_range(self.txn, from, count);
            }
            3 if depth < DEPTH_MAX => {
                let inner = list.insert(self.txn, at, MapPrelim::default());
                self.change_tree(&inner, depth + 1, rng);
            }
            4 if depth < DEPTH_MAX => {
                let inner = list.insert(self.txn, at, ArrayPrelim::default());
                self.change_list(&inner, depth + 1, rng);
            }
            5 | 6 if len > 0 => match list.get(self.txn, at.min(len - 1)) {
                Some(Out::YMap(inner)) => self.change_tree(&inner, depth + 1, rng),
                Some(Out::YArray(inner)) => self.change_list(&inner, depth + 1, rng),
                _ => {}
            },
            _ => {
                let values: Vec<Any> = (0..rng.between(1, 4)).map(|_| value(rng, 1)).collect();
                list.insert_range(self.txn, at, values);
            }
        }
    }

    fn change_tree(&mut self, tree: &MapRef, depth: usize, rng: &mut Rng) {
        let key = format!("k{}", rng.below(4));
        match rng.below(10) {
            0 | 1 => {
                tree.remove(self.txn, &key);
            }
            2 if depth < DEPTH_MAX => {
                let inner = tree.insert(self.txn, key, MapPrelim::default());
                self.change_tree(&inner, depth + 1, rng);
            }
            3 if depth < DEPTH_MAX => {
                let inner = tree.insert(self.txn, key, ArrayPrelim::default());
                self.change_list(&inner, depth + 1, rng);
            }
            4 => {
                let text = tree.insert(self.txn, key, TextPrelim::new("Stamm"));
                self.type_into(&text, rng);
            }
            5..=7 => match tree.get(self.txn, &key) {
                Some(Out::YMap(inner)) => self.change_tree(&inner, depth + 1, rng),
                Some(Out::YArray(inner)) => self.change_list(&inner, depth + 1, rng),
                Some(Out::YText(inner)) => self.type_into(&inner, rng),
                _ => {}
            },
            _ => {
                tree.insert(self.txn, key, value(rng, 3));
            }
        }
    }
}

/// Whether `key` is an entry of `fid` for `target` under any session.
fn is_entry(key: &str, fid: &str, target: &str) -> bool {
    key.strip_prefix(fid)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(_, rest)| rest == target)
}

fn value(rng: &mut Rng, depth: usize) -> Any {
    match rng.below(8) {
        0 => Any::Null,
        1 => Any::from(rng.chance(50)),
        2 => Any::from(rng.below(1 << 40) as f64 / 64.0),
        3 => Any::from(-(rng.below(1000) as i64)),
        4 => Any::from("Straße 🛣"),
        5 if depth > 0 => Any::Array((0..rng.below(3)).map(|_| value(rng, depth - 1)).collect()),
        6 => Any::Buffer(Arc::from([0, 255, rng.bits() as u8])),
        _ => Any::from(rng.below(100) as i64),
    }
}

/// Somebody with a document of their own, for tests that only need edits.
pub struct Crew {
    doc: Doc,
    t: i64,
}

impl Crew {
    /// An empty document of Yjs client `client`.
    pub fn new(client: u64) -> Self {
        Self {
            doc: document(client),
            t: 0,
        }
    }

    /// Takes in what others did. What is no update is passed over.
    pub fn hear(&mut self, update: &[u8]) {
        if let Ok(update) = Update::decode_v1(update) {
            // A document that cannot take it stays as it is.
            let _ = self.doc.transact_mut().apply_update(update);
        }
    }

    /// Draws, as `sid`; the whole document since the last edit as one update.
    pub fn edit(&mut self, sid: &str, rng: &mut Rng) -> Vec<u8> {
        let before = self.doc.transact().state_vector();
        self.t += 1;
        edit(&self.doc, sid, self.t, rng);
        self.doc.transact().encode_diff_v1(&before)
    }
}
