//! Documents to try updates on, and editors who make honest ones.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayPrelim, Doc, GetString, Map, MapPrelim, OffsetKind, Options, Out, ReadTxn,
    StateVector, Text, TextPrelim, Transact, Update, XmlElementPrelim, XmlFragment, XmlTextPrelim,
};

use crate::limits::UPDATE_BYTES_MAX;
use crate::update::{Ledger, Scanned, Verdict, scan};
use crate::{ClientId, StateVector as OurVector};

pub(in crate::update) fn scanned(bytes: impl Into<Bytes>) -> Scanned {
    scan(bytes.into(), UPDATE_BYTES_MAX).unwrap()
}

/// A document as a room opens it.
pub(in crate::update) fn doc() -> Doc {
    doc_of(999)
}

/// Counts text as Yjs does: in bytes, a deletion that cuts a character in two would make yrs count wrongly.
/// Does not tidy up formatting by itself: yrs would delete marks on its own, differently on every replica.
fn doc_of(client: u64) -> Doc {
    let mut options = Options::with_client_id(yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    options.cleanup_formatting = false;
    Doc::with_options(options)
}

pub(in crate::update) fn apply(doc: &Doc, update: &[u8]) {
    let update = Update::decode_v1(update).unwrap();
    doc.transact_mut().apply_update(update).unwrap();
}

/// The whole document; must not fail whatever was applied.
pub(in crate::update) fn state(doc: &Doc) -> Bytes {
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
        .into()
}

pub(in crate::update) fn vector(doc: &Doc) -> OurVector {
    doc.transact()
        .state_vector()
        .iter()
        .map(|(client, clock)| (ClientId(client.get()), u64::from(*clock)))
        .collect()
}

/// Clocks, deletions and everything visible, for comparing documents.
///
/// A root is read as what the editors use it for: yrs 0.28.1 never comes to an end when it reads text beyond
/// the Basic Multilingual Plane as an array.
pub(in crate::update) fn content(doc: &Doc) -> String {
    let roots = [
        Out::YMap(doc.get_or_insert_map("map")),
        Out::YArray(doc.get_or_insert_array("list")),
        Out::YText(doc.get_or_insert_text("text")),
        Out::YXmlFragment(doc.get_or_insert_xml_fragment("xml")),
    ];
    let txn = doc.transact();
    let roots = roots.map(|root| text_of(&txn, &root));
    let snapshot = txn.snapshot();
    let mut clocks: Vec<_> = snapshot
        .state_map
        .iter()
        .map(|(client, clock)| (client.get(), *clock))
        .collect();
    clocks.sort_unstable();
    format!("{clocks:?} {:?} {roots:?}", snapshot.delete_set)
}

pub(in crate::update) fn text_of<T: ReadTxn>(txn: &T, value: &Out) -> String {
    match value {
        Out::Any(any) => format!("{any:?}"),
        Out::YText(text) => {
            format!(
                "{:?}",
                text.diff(txn, yrs::types::text::YChange::identity).len()
            ) + &text.get_string(txn)
        }
        Out::YArray(array) => {
            format!(
                "{:?}",
                array
                    .iter(txn)
                    .map(|value| text_of(txn, &value))
                    .collect::<Vec<_>>()
            )
        }
        Out::YMap(map) => {
            let mut entries: Vec<_> = map
                .iter(txn)
                .map(|(key, value)| format!("{key}={}", text_of(txn, &value)))
                .collect();
            entries.sort();
            format!("{entries:?}")
        }
        Out::YXmlElement(xml) => xml.get_string(txn),
        Out::YXmlFragment(xml) => xml.get_string(txn),
        Out::YXmlText(xml) => xml.get_string(txn),
        other => format!("{other:?}").chars().take(12).collect(),
    }
}

/// A server with one document: every update goes through the door. A second document gets the updates whole,
/// where the first gets only what is new in them.
pub(in crate::update) struct Server {
    pub(in crate::update) ledger: Ledger,
    pub(in crate::update) doc: Doc,
    pub(in crate::update) whole: Doc,
    pub(in crate::update) held: Vec<Scanned>,
    /// What was logged: one update each, in the order of their application.
    pub(in crate::update) log: Vec<Scanned>,
}

impl Server {
    pub(in crate::update) fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            doc: doc(),
            whole: doc(),
            held: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Judges an update, applies it if nothing is missing, and tries those held again.
    pub(in crate::update) fn receive(&mut self, update: Scanned) {
        self.held.push(update);
        loop {
            let before = (self.held.len(), self.log.len());
            for update in std::mem::take(&mut self.held) {
                match self.ledger.judge(&update).unwrap() {
                    Verdict::Gap { missing } => {
                        assert!(!missing.is_empty());
                        for (client, clock) in missing {
                            assert_eq!(clock, self.ledger.clock(client));
                        }
                        let ready = scanned(self.ledger.ready_part(&update).unwrap());
                        if !ready.is_empty() {
                            self.apply(&Verdict::Fresh, &ready);
                        }
                        self.held.push(update);
                    }
                    verdict => self.apply(&verdict, &update),
                }
            }
            if (self.held.len(), self.log.len()) == before || self.held.is_empty() {
                return;
            }
        }
    }

    /// Applies an update as its verdict says and checks what the verdict promised.
    pub(in crate::update) fn apply(&mut self, verdict: &Verdict, update: &Scanned) {
        let fresh = match verdict {
            Verdict::Gap { .. } => panic!("{verdict:?} is not applied"),
            Verdict::Nothing => {
                let before = content(&self.doc);
                apply(&self.whole, update.bytes());
                assert_eq!(
                    content(&self.whole),
                    before,
                    "an update that was said to bring nothing brought something"
                );
                return;
            }
            Verdict::Fresh => update.clone(),
            Verdict::Overlap => scanned(self.ledger.fresh_part(update)),
        };
        assert_eq!(
            self.ledger.judge(&fresh),
            Ok(Verdict::Fresh),
            "the new part is fresh"
        );
        assert_eq!(
            self.ledger.only_deletes_are_new(update),
            fresh.clients().next().is_none()
        );
        apply(&self.doc, fresh.bytes());
        apply(&self.whole, update.bytes());
        let mut other = self.ledger.clone();
        other.admit(&fresh);
        self.ledger.admit(update);
        assert_eq!(other.state_vector(), self.ledger.state_vector());
        assert_eq!(
            self.ledger.judge(update),
            Ok(Verdict::Nothing),
            "once admitted it brings nothing"
        );
        self.log.push(fresh);
        self.check();
    }

    fn check(&self) {
        for doc in [&self.doc, &self.whole] {
            assert!(
                !doc.transact().has_missing_updates(),
                "something is pending in yrs"
            );
            assert_eq!(vector(doc), self.ledger.state_vector());
        }
        assert!(self.ledger.covers(&self.ledger.state_vector()));
    }

    /// Everything that was logged, joined.
    pub(in crate::update) fn joined(&self) -> Bytes {
        crate::update::concat(&self.log.iter().collect::<Vec<_>>()).unwrap()
    }
}

/// An editor with a document of its own.
pub(in crate::update) struct Replica {
    pub(in crate::update) doc: Doc,
    outbox: Arc<Mutex<Vec<Bytes>>>,
}

impl Replica {
    pub(in crate::update) fn new(client: u64) -> Self {
        let doc = doc_of(client);
        let outbox = Arc::new(Mutex::new(Vec::new()));
        let sender = outbox.clone();
        doc.observe_update_v1("outbox", move |_, event| {
            sender
                .lock()
                .unwrap()
                .push(Bytes::from(event.update.clone()));
        })
        .unwrap();
        Self { doc, outbox }
    }

    pub(in crate::update) fn sent(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.outbox.lock().unwrap())
    }

    /// What it would answer to a SyncStep1 of somebody who has `vector`.
    pub(in crate::update) fn step2(&self, vector: &OurVector) -> Bytes {
        let vector = StateVector::decode_v1(&vector.encode()).unwrap();
        self.doc
            .transact()
            .encode_state_as_update_v1(&vector)
            .into()
    }

    /// One edit, chosen by `what` and `n`. Text stays in the Basic Multilingual Plane: an edit within a character
    /// of two units destroys it, and whether it does depends on the order in which a replica learns of edits.
    pub(in crate::update) fn edit(&self, what: u8, n: u32) {
        let map = self.doc.get_or_insert_map("map");
        let list = self.doc.get_or_insert_array("list");
        let text = self.doc.get_or_insert_text("text");
        let xml = self.doc.get_or_insert_xml_fragment("xml");
        let mut txn = self.doc.transact_mut();
        let key = format!("k{}", n % 4);
        let (listed, written, tags) = (list.len(&txn), text.len(&txn), xml.len(&txn));
        match what % 14 {
            0 => _ = map.insert(&mut txn, key, f64::from(n)),
            1 => _ = map.remove(&mut txn, &key),
            2 => _ = list.insert(&mut txn, n % (listed + 1), Any::from(i64::from(n % 1000))),
            3 if listed > 0 => list.remove(&mut txn, n % listed),
            4 => text.insert(
                &mut txn,
                n % (written + 1),
                ["a", "ü€", "→b", "long text here"][n as usize % 4],
            ),
            5 if written > 1 => {
                let at = n % (written - 1);
                text.remove_range(&mut txn, at, 1 + n % (written - at));
            }
            6 => {
                _ = map.insert(
                    &mut txn,
                    key,
                    MapPrelim::from([("deep", ArrayPrelim::from([1, 2, 3]))]),
                )
            }
            7 => {
                if let Some(Out::YMap(inner)) = map.get(&txn, &key) {
                    inner.insert(
                        &mut txn,
                        format!("i{}", n % 3),
                        MapPrelim::from([("x", i64::from(n % 1000))]),
                    );
                }
            }
            8 => {
                if let Some(Out::YMap(inner)) = map.get(&txn, &key)
                    && let Some(Out::YArray(array)) = inner.get(&txn, "deep")
                {
                    array.push_back(&mut txn, TextPrelim::new("inner"));
                }
            }
            9 => _ = xml.insert(&mut txn, 0, XmlElementPrelim::empty("p")),
            10 => _ = xml.push_back(&mut txn, XmlTextPrelim::new("words")),
            11 if tags > 0 => xml.remove_range(&mut txn, n % tags, 1),
            12 => list.insert_range(
                &mut txn,
                n % (listed + 1),
                (0..1 + n % 5).map(i64::from).collect::<Vec<_>>(),
            ),
            13 if written > 3 => {
                let attributes = [("bold".into(), Any::from(n.is_multiple_of(2)))]
                    .into_iter()
                    .collect();
                text.format(&mut txn, n % (written - 2), 2, attributes);
            }
            _ => {}
        }
    }
}
