//! What two copies of a document must have in common, however their bytes are cut.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use mapweave_proto::{Scanned, StateVector, scan};
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, Doc, GetString, Map, ReadTxn, Transact, Update};

use crate::edits::{LIST, MAPS, TITLE, document};

/// Clocks, deletions, and what a reader sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    clocks: StateVector,
    deleted: Vec<Range>,
    json: String,
}

impl Content {
    /// The content of a document with the roots of [`document`].
    ///
    /// # Errors
    /// Where the document's own state does not pass the scanner.
    pub(crate) fn of(doc: &Doc) -> Result<Self, String> {
        let txn = doc.transact();
        let state = txn.encode_diff_v1(&yrs::StateVector::default());
        let state = scan(state.into(), usize::MAX).map_err(|error| error.to_string())?;
        let vector = Bytes::from(txn.state_vector().encode_v1());
        let clocks = StateVector::decode(vector).map_err(|error| error.to_string())?;
        let mut json = String::new();
        for name in MAPS {
            if let Some(map) = txn.get_map(name) {
                let entries: BTreeMap<String, Any> = map
                    .iter(&txn)
                    .map(|(key, value)| (key.to_owned(), value.to_json(&txn)))
                    .collect();
                write(&mut json, format_args!("\n{name}"));
                for (key, value) in entries {
                    write(&mut json, format_args!("\n  {key}: "));
                    canonical(&mut json, &value);
                }
            }
        }
        if let Some(list) = txn.get_array(LIST) {
            write(&mut json, format_args!("\n{LIST}: "));
            canonical(&mut json, &list.to_json(&txn));
        }
        if let Some(title) = txn.get_text(TITLE) {
            write(
                &mut json,
                format_args!("\n{TITLE}: {}", title.get_string(&txn)),
            );
        }
        Ok(Self {
            clocks,
            deleted: joined(deletes_of(&state)),
            json,
        })
    }

    /// The content of an encoded state, as somebody sees it who joins with nothing.
    ///
    /// # Errors
    /// Where the state does not decode or does not stand alone.
    pub(crate) fn of_state(state: &[u8], held: &[Bytes]) -> Result<Self, String> {
        let doc = document(u64::from(u32::MAX));
        for bytes in std::iter::once(state).chain(held.iter().map(|held| &**held)) {
            let update = Update::decode_v1(bytes).map_err(|error| error.to_string())?;
            doc.transact_mut()
                .apply_update(update)
                .map_err(|error| error.to_string())?;
        }
        if held.is_empty() && doc.transact().has_missing_updates() {
            return Err("the state has pending parts".to_owned());
        }
        Self::of(&doc)
    }

    /// Where the two differ, for people; `None` where they do not.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.clocks != other.clocks {
            return Some(format!(
                "state vectors differ: {:?} and {:?}",
                self.clocks, other.clocks
            ));
        }
        if self.deleted != other.deleted {
            let only = |a: &Self, b: &Self| -> Vec<_> {
                a.deleted
                    .iter()
                    .filter(|range| !b.deleted.contains(range))
                    .copied()
                    .collect()
            };
            return Some(format!(
                "deletions differ: {:?} and {:?}",
                only(self, other),
                only(other, self)
            ));
        }
        let line = self
            .json
            .lines()
            .zip(other.json.lines())
            .find(|(a, b)| a != b);
        if let Some((a, b)) = line {
            return Some(format!("what is shown differs: {a:?} and {b:?}"));
        }
        (self.json != other.json).then(|| "one shows more than the other".to_owned())
    }
}

/// A client and some of its clocks.
pub(crate) type Range = (u64, u64, u64);

/// The structs of an update.
pub(crate) fn clocks_of(update: &Scanned) -> Vec<Range> {
    let clients = update.clients();
    clients
        .map(|(client, start, end)| (client.0, start, end))
        .collect()
}

/// What an update deletes.
pub(crate) fn deletes_of(update: &Scanned) -> Vec<Range> {
    let deletes = update.deletes();
    deletes
        .map(|range| (range.client.0, range.start, range.end))
        .collect()
}

/// The same clocks, sorted, in as few ranges as possible.
pub(crate) fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut out: Vec<Range> = Vec::new();
    for (client, start, end) in ranges {
        match out.last_mut() {
            Some(last) if last.0 == client && last.2 >= start => last.2 = last.2.max(end),
            _ => out.push((client, start, end)),
        }
    }
    out
}

/// A value as text, members sorted.
fn canonical(out: &mut String, value: &Any) {
    match value {
        Any::Array(items) => {
            out.push('[');
            for item in items.iter() {
                canonical(out, item);
                out.push(',');
            }
            out.push(']');
        }
        Any::Map(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            out.push('{');
            for (key, value) in sorted {
                write(out, format_args!("{key:?}:"));
                canonical(out, value);
                out.push(',');
            }
            out.push('}');
        }
        plain => write(out, format_args!("{plain:?}")),
    }
}

fn write(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(what);
}
