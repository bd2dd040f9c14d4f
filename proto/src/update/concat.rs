//! Several updates as one, without decoding their content.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::cut::write_delete_set;
use super::error::ConcatError;
use super::ranges::Ranges;
use super::scan::{Outline, Scanned, Section};
use crate::id::ClientId;
use crate::varint::Writer;

/// Joins updates by their bytes: the structs of a client follow each other, clients descend, delete sets are
/// united. The updates must stand in an order in which each continues those before: fresh ones one after the
/// other, or a state and the fresh ones after it.
///
/// The result means the same as the updates in that order. Of one update it is that update with its clients
/// sorted and its delete set in normal form; of none, the empty update.
///
/// # Errors
/// [`ConcatError::NotContiguous`] where a client's structs neither start nor continue where they ended before.
pub fn concat(updates: &[&Scanned]) -> Result<Bytes, ConcatError> {
    join(updates.iter().copied())
}

/// As [`concat()`], of a state and the updates that follow it.
///
/// # Errors
/// As [`concat()`].
pub fn extend(state: &Outline, updates: &[Outline]) -> Result<Bytes, ConcatError> {
    join(
        std::iter::once(state)
            .chain(updates)
            .map(|outline| &outline.0),
    )
}

fn join<'a>(updates: impl Iterator<Item = &'a Scanned>) -> Result<Bytes, ConcatError> {
    let mut clients: BTreeMap<u64, Joined<'_>> = BTreeMap::new();
    let mut deletes: BTreeMap<u64, Vec<(u32, u32)>> = BTreeMap::new();
    let mut bytes = 0;
    for (index, update) in updates.enumerate() {
        bytes += update.bytes().len();
        for section in &update.sections {
            clients
                .entry(section.client)
                .or_default()
                .push(index, update, section)?;
        }
        for (client, ranges) in &update.deletes {
            deletes
                .entry(*client)
                .or_default()
                .extend_from_slice(ranges.as_slice());
        }
    }
    let deletes: Vec<_> = deletes
        .into_iter()
        .rev()
        .map(|(client, ranges)| (client, Ranges::from_unsorted(ranges)))
        .collect();
    let mut writer = Writer::with_capacity(bytes + 16);
    writer.var_uint(clients.len() as u64);
    for (client, joined) in clients.iter().rev() {
        writer.var_uint(joined.structs);
        writer.var_uint(*client);
        writer.var_uint(u64::from(joined.start));
        for part in &joined.parts {
            writer.raw(part);
        }
    }
    write_delete_set(
        &mut writer,
        deletes
            .iter()
            .map(|(client, ranges)| (*client, ranges.as_slice())),
    );
    Ok(writer.finish())
}

/// The structs of one client from several updates.
#[derive(Default)]
struct Joined<'a> {
    structs: u64,
    start: u32,
    end: u32,
    parts: Vec<&'a [u8]>,
}

impl<'a> Joined<'a> {
    fn push(
        &mut self,
        index: usize,
        update: &'a Scanned,
        section: &Section,
    ) -> Result<(), ConcatError> {
        if self.parts.is_empty() {
            self.start = section.start;
        } else if section.start != self.end {
            return Err(ConcatError::NotContiguous {
                index,
                client: ClientId(section.client),
                clock: u64::from(section.start),
                clock_expected: u64::from(self.end),
            });
        }
        self.parts.push(update.structs_of(section));
        self.structs += u64::from(section.structs);
        self.end = section.end;
        Ok(())
    }
}
