//! A view moved by deltas shows what a fresh one does.

use proptest::prelude::*;
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, Map, Out, Text, TextPrelim, Transact, Update, WriteTxn};

use super::reading::any_entry;
use super::{doc, json, put, put_any, update_of};
use crate::formats::feature_json;
use crate::model::{ChangeKind, Changes, MapView, Watch};

/// Everything that a view says, as text.
fn all(view: &MapView) -> Vec<String> {
    let mut lines: Vec<String> = view
        .features()
        .map(|feature| feature_json(&feature))
        .collect();
    lines.extend(view.features().map(|feature| format!("{feature:?}")));
    lines.extend(
        view.report()
            .iter()
            .map(|problem| problem.to_value().to_string()),
    );
    lines.extend(view.layers().map(|layer| format!("{layer:?}")));
    lines.extend(view.notes().map(|note| format!("{note:?}")));
    lines.extend(view.attachments().map(|file| format!("{file:?}")));
    lines.extend(view.who.iter().map(|(sid, raw)| format!("{sid} {raw:?}")));
    let (title, version, writable) = (view.title(), view.version(), view.is_writable());
    lines.push(format!("{title:?} {version} {writable} {}", view.vertices));
    lines.push(view.feature_count().to_string());
    let keys = view.overlays.iter().flat_map(|entries| entries.keys());
    lines.extend(keys.chain(view.feats.keys()).map(ToString::to_string));
    lines
}

/// A document, and a view that follows it.
struct Followed {
    doc: Doc,
    watch: Watch,
    view: MapView,
}

impl Followed {
    fn new(client: u64) -> Self {
        let doc = doc(client);
        let watch = Watch::attach(&doc);
        let view = MapView::new(&doc.transact());
        Self { doc, watch, view }
    }

    fn follow(&mut self) -> Changes {
        let delta = self.watch.take(&self.doc.transact());
        let changes = delta
            .map(|delta| self.view.apply(delta))
            .unwrap_or_default();
        assert!(self.watch.take(&self.doc.transact()).is_none());
        changes
    }

    fn check(&mut self) -> Changes {
        let before = self.view.clone();
        let changes = self.follow();
        let fresh = MapView::new(&self.doc.transact());
        assert_eq!(all(&self.view), all(&fresh));
        // Whoever read the named features again knows all.
        for fid in fresh.fids().union(&before.fids()) {
            if !changes.features.contains_key(*fid) && changes.layers.is_empty() {
                assert_eq!(before.feature(fid), fresh.feature(fid), "{fid}");
                assert_eq!(before.problems_of(fid), fresh.problems_of(fid), "{fid}");
            }
        }
        changes
    }
}

fn names(set: &std::collections::BTreeSet<Box<str>>) -> Vec<&str> {
    set.iter().map(|name| &**name).collect()
}

#[test]
fn changes_name_what_to_read_again() {
    let mut followed = Followed::new(1);
    put(
        &followed.doc,
        &[
            ("feat", "f", json!([1, "maker", 1, [1, 2], "{}", "roads"])),
            ("prop", "g/alice/a", json!([1, 2])),
            ("layer", "roads/alice/name", json!([1, "Roads"])),
            ("note", "n", json!([1, "alice", "hello", null, null, null])),
            (
                "file",
                "a",
                json!([1, "alice", "f", "x.jpg", "image/jpeg", 5, "00"]),
            ),
            ("who", "alice", json!([1, "u1", "Alice"])),
            ("vert", "nonsense", json!([1])),
            ("meta", "title", json!("Fields")),
        ],
    );
    let changes = followed.check();
    let change = |fid: &str| {
        let change = &changes.features[fid];
        (
            change.kinds().collect::<Vec<_>>(),
            change.by().collect::<Vec<_>>(),
        )
    };
    assert_eq!(change("f"), (vec![ChangeKind::Record], vec!["maker"]));
    assert_eq!(change("g"), (vec![ChangeKind::Properties], vec!["alice"]));
    assert_eq!(changes.features.len(), 2);
    assert_eq!(names(&changes.layers), ["roads"]);
    assert_eq!(
        (names(&changes.notes), names(&changes.attachments)),
        (vec!["n"], vec!["a"])
    );
    assert_eq!(names(&changes.sessions), ["alice"]);
    assert!(changes.meta && changes.malformed_keys);
    assert!(followed.check().is_empty());
    assert_eq!(followed.view.title(), Some("Fields"));
}

#[test]
fn a_key_stroke_in_a_text_names_its_feature() {
    let mut followed = Followed::new(1);
    put(
        &followed.doc,
        &[("feat", "f", json!([1, "maker", 0, null, "{}", ""]))],
    );
    let text = {
        let mut txn = followed.doc.transact_mut();
        let texts = txn.get_or_insert_map("text");
        texts.insert(&mut txn, "f/alice/note", TextPrelim::new("typed"))
    };
    assert!(followed.check().features.keys().map(|fid| &**fid).eq(["f"]));
    text.push(&mut followed.doc.transact_mut(), " together");
    assert!(followed.check().features.keys().map(|fid| &**fid).eq(["f"]));
    assert_eq!(
        followed.view.feature("f").unwrap().properties["note"],
        "typed together"
    );
}

#[test]
fn an_entry_without_a_value_is_followed_too() {
    let mut followed = Followed::new(1);
    put(
        &followed.doc,
        &[
            ("feat", "f", json!([1, "maker", 0, null, "{}", ""])),
            ("prop", "f/bobby/b", json!([1, 2])),
            ("prop", "malformed", json!([1, 2])),
        ],
    );
    followed.check();
    // One struct: formatting under a key of a map, which only a hostile client can write.
    let mut update = vec![1, 1, 7, 0, 0x26, 1, 4];
    update.extend(b"prop\x0bf/mallory/a\x01b\x04true\x00");
    followed
        .doc
        .transact_mut()
        .apply_update(Update::decode_v1(&update).unwrap())
        .unwrap();
    put(&followed.doc, &[("prop", "f/alice/c", json!([1, 2]))]);
    {
        let mut txn = followed.doc.transact_mut();
        txn.get_or_insert_map("prop").remove(&mut txn, "malformed");
    }
    let changes = followed.check();
    assert!(changes.features.contains_key("f") && changes.malformed_keys);
}

#[test]
fn a_watch_that_is_gone_leaves_the_document_alone() {
    let doc = doc(1);
    drop(Watch::attach(&doc));
    let second = Watch::attach(&doc);
    put(
        &doc,
        &[("feat", "f", json!([1, "maker", 0, null, "{}", ""]))],
    );
    assert!(second.take(&doc.transact()).is_some());
}

/// One thing that somebody does to a document.
#[derive(Clone, Debug)]
enum Act {
    Put(&'static str, String, Any),
    Remove(prop::sample::Index),
    Type(prop::sample::Index, String),
    /// Bring the other document's state here.
    Sync,
}

fn act() -> impl Strategy<Value = Act> {
    let key = "f[01]/s[01]/(a|b)";
    prop_oneof![
        8 => any_entry().prop_map(|(root, key, value)| Act::Put(root, key, value)),
        2 => any::<prop::sample::Index>().prop_map(Act::Remove),
        2 => (any::<prop::sample::Index>(), key).prop_map(|(at, key)| Act::Type(at, key)),
        1 => Just(Act::Sync),
    ]
}

fn perform(doc: &Doc, other: &Doc, act: &Act) {
    let pick = |txn: &dyn Fn(&str) -> Vec<String>, at: &prop::sample::Index| {
        let roots = [
            "feat", "geom", "part", "vert", "prop", "attr", "gone", "text", "layer", "meta",
        ];
        let keys: Vec<(&str, String)> = roots
            .iter()
            .flat_map(|root| txn(root).into_iter().map(move |key| (*root, key)))
            .collect();
        (!keys.is_empty()).then(|| keys[at.index(keys.len())].clone())
    };
    let keys = |root: &str| super::keys(doc, root);
    match act {
        Act::Put(root, key, value) => put_any(doc, root, key, value.clone()),
        Act::Remove(at) => {
            if let Some((root, key)) = pick(&keys, at) {
                let mut txn = doc.transact_mut();
                txn.get_or_insert_map(root).remove(&mut txn, &key);
            }
        }
        Act::Type(at, key) => {
            let mut txn = doc.transact_mut();
            let texts = txn.get_or_insert_map("text");
            let there = texts.keys(&txn).map(str::to_owned).min();
            let there = there.and_then(|key| texts.get(&txn, &key));
            match there {
                Some(Out::YText(text)) if at.index(3) > 0 => text.push(&mut txn, "x"),
                _ => drop(texts.insert(&mut txn, key.as_str(), TextPrelim::new("new"))),
            }
        }
        Act::Sync => {
            let update = Update::decode_v1(&update_of(other)).unwrap();
            doc.transact_mut().apply_update(update).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_view_moved_by_deltas_equals_a_fresh_one(
        acts in prop::collection::vec((any::<bool>(), act(), any::<bool>()), 1..40),
    ) {
        let mut docs = [Followed::new(1), Followed::new(2)];
        for (first, act, look) in &acts {
            let (at, other) = if *first { (0, 1) } else { (1, 0) };
            perform(&docs[at].doc, &docs[other].doc, act);
            if *look {
                docs[at].check();
            }
        }
        docs.iter_mut().for_each(|followed| drop(followed.check()));
    }
}

#[test]
fn changes_say_what_of_a_feature_changed_and_who_wrote_it() {
    let mut followed = Followed::new(1);
    put(
        &followed.doc,
        &[("feat", "f", json!([1, "maker", 0, null, "{}", ""]))],
    );
    let mut changes = followed.check();
    put(
        &followed.doc,
        &[
            ("gone", "f/bobby", json!([2, 0])),
            ("vert", "f/alice/0/0.0.U000", json!([2, 1, 1])),
            ("attr", "f/alice/style", json!([2, {}])),
        ],
    );
    changes.extend(followed.check());
    let change = changes.features["f"].clone();
    let all = ["Record", "Geometry", "Attributes", "Deletion"];
    assert!(change.kinds().map(|kind| format!("{kind:?}")).eq(all));
    let mut by: Vec<&str> = change.by().collect();
    by.sort_unstable();
    assert_eq!(by, ["alice", "bobby", "maker"]);
    // What only goes was written by nobody.
    {
        let mut txn = followed.doc.transact_mut();
        txn.get_or_insert_map("gone").remove(&mut txn, "f/bobby");
    }
    let changes = followed.check();
    assert!(changes.features["f"].kinds().eq([ChangeKind::Deletion]));
    assert_eq!(changes.features["f"].by().count(), 0);
}
