//! Parts of an update: what is new of one that is partly known, what can be applied of one with a gap.

use bytes::Bytes;

use super::content;
use super::error::DoorError;
use super::ledger::Ledger;
use super::scanned::{Id, Links, Piece, Scanned, Section};
use super::walk::Walk;
use crate::varint::{Cursor, Writer};

/// See [`Ledger::fresh_part`].
pub(super) fn fresh_part(ledger: &Ledger, update: &Scanned) -> Bytes {
    let reached: Vec<u32> = update.sections.iter().map(|section| section.end).collect();
    part(ledger, update, &reached, |_| u32::MAX)
}

/// See [`Ledger::ready_part`].
pub(super) fn ready_part(ledger: &Ledger, update: &Scanned) -> Result<Bytes, DoorError> {
    let walk = Walk::new(ledger, update)?;
    let reached: Vec<u32> = update
        .sections
        .iter()
        .map(|section| walk.reached(section.client))
        .collect();
    Ok(part(ledger, update, &reached, |client| {
        walk.reached(client)
    }))
}

/// What is above the ledger's clocks and below `reached`, which stands beside the update's sections, and
/// the unknown deletions below `deleted_to` of their client.
fn part(
    ledger: &Ledger,
    update: &Scanned,
    reached: &[u32],
    deleted_to: impl Fn(u64) -> u32,
) -> Bytes {
    let mut writer = Writer::with_capacity(update.bytes().len() + 16);
    let news = || {
        let clocks = |(section, reached): (&Section, &u32)| (ledger.next(section.client), *reached);
        let with_clocks = update
            .sections
            .iter()
            .zip(reached)
            .map(move |both| (both.0, clocks(both)));
        with_clocks.filter(|(section, (next, reached))| next.max(&section.start) < reached)
    };
    writer.var_uint(news().count() as u64);
    for (section, (next, reached)) in news() {
        write_section(&mut writer, update, section, next, reached);
    }
    write_deletes(&mut writer, ledger, update, deleted_to);
    writer.finish()
}

/// The structs of a section from clock `next` to clock `reached`.
fn write_section(
    writer: &mut Writer,
    update: &Scanned,
    section: &Section,
    next: u32,
    reached: u32,
) {
    let pieces = update.pieces_of(section);
    let known = pieces.partition_point(|piece| piece.end <= next);
    let past = pieces.partition_point(|piece| piece.end <= reached);
    let ends_at = pieces.get(past).map_or(section.ends_at, |piece| piece.at);
    let Some([first, rest @ ..]) = pieces.get(known..past) else {
        return;
    };
    let structs_after: u64 = rest.iter().map(structs).sum();
    let whole_from = if first.start < next {
        // What is left of a row of GC structs becomes one of them.
        writer.var_uint(structs_after + 1);
        writer.var_uint(section.client);
        writer.var_uint(u64::from(next));
        let behind = rest.first().map_or(ends_at, |piece| piece.at);
        write_rest(writer, update, section.client, first, next, behind);
        behind
    } else {
        writer.var_uint(structs_after + structs(first));
        writer.var_uint(section.client);
        writer.var_uint(u64::from(first.start));
        first.at
    };
    writer.raw(
        update
            .bytes()
            .get(whole_from as usize..ends_at as usize)
            .unwrap_or_default(),
    );
}

/// How many structs on the wire a piece is.
fn structs(piece: &Piece) -> u64 {
    if piece.kind == content::GC {
        piece.place
    } else {
        1
    }
}

/// One piece without its clocks below `next`: as Yjs splits items, its rest is an item whose left origin is
/// the last of the clocks cut off, and a character cut in two becomes U+FFFD.
fn write_rest(
    writer: &mut Writer,
    update: &Scanned,
    client: u64,
    piece: &Piece,
    next: u32,
    ends_at: u32,
) {
    if piece.kind == content::GC || piece.kind == content::SKIP {
        writer.byte(piece.kind);
        writer.var_uint(u64::from(piece.end - next));
        return;
    }
    let bytes = update.bytes().get(..ends_at as usize).unwrap_or_default();
    let mut cursor = Cursor::new(bytes, piece.at as usize);
    let info = cursor.byte().unwrap_or(piece.kind);
    writer.byte(info | 0x80);
    write_id(
        writer,
        Id {
            client,
            clock: next.saturating_sub(1),
        },
    );
    if matches!(piece.links, Links::Right | Links::Both) {
        write_id(writer, piece.right());
    }
    // The bytes were walked before, so that nothing fails here; if it did, the rest would be empty and refused.
    _ = skip_links(&mut cursor, info, piece.links);
    _ = write_content(writer, &mut cursor, piece, next);
}

fn skip_links(cursor: &mut Cursor<'_>, info: u8, links: Links) -> Option<()> {
    let ids = match links {
        Links::None => 0,
        Links::Left | Links::Right => 1,
        Links::Both => 2,
        Links::Parent => {
            cursor.byte().ok()?;
            1
        }
        Links::Root => {
            cursor.byte().ok()?;
            cursor.string().ok()?;
            0
        }
    };
    for _ in 0..ids {
        cursor.var_uint().ok()?;
        cursor.var_uint().ok()?;
    }
    if matches!(links, Links::Root | Links::Parent) && info & 0x20 != 0 {
        cursor.string().ok()?;
    }
    Some(())
}

fn write_content(
    writer: &mut Writer,
    cursor: &mut Cursor<'_>,
    piece: &Piece,
    next: u32,
) -> Option<()> {
    let known = next.checked_sub(piece.start)?;
    match piece.kind {
        content::DELETED => writer.var_uint(u64::from(piece.end - next)),
        content::STRING => write_text(writer, cursor.string().ok()?, known as usize),
        content::ANY => {
            let values = cursor.var_uint().ok()?;
            for _ in 0..known {
                content::value(cursor).ok()?;
            }
            writer.var_uint(values.checked_sub(u64::from(known))?);
            writer.raw(cursor.take(cursor.left()).ok()?);
        }
        // All other content takes one clock and is never cut.
        _ => {}
    }
    Some(())
}

/// `text` without its first `units` UTF-16 code units.
fn write_text(writer: &mut Writer, text: &str, units: usize) {
    let mut seen = 0;
    for (at, character) in text.char_indices() {
        if seen == units {
            return writer.string(text.get(at..).unwrap_or_default());
        }
        seen += character.len_utf16();
        if seen > units {
            let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
            let replacement = "\u{fffd}";
            writer.var_uint((replacement.len() + rest.len()) as u64);
            writer.raw(replacement.as_bytes());
            return writer.raw(rest.as_bytes());
        }
    }
}

fn write_id(writer: &mut Writer, id: Id) {
    writer.var_uint(id.client);
    writer.var_uint(u64::from(id.clock));
}

fn write_deletes(
    writer: &mut Writer,
    ledger: &Ledger,
    update: &Scanned,
    deleted_to: impl Fn(u64) -> u32,
) {
    let mut news = Vec::new();
    for (client, ranges) in &update.deletes {
        let mut new = Vec::new();
        let to = deleted_to(*client);
        for (start, end) in ranges
            .as_slice()
            .iter()
            .map(|(start, end)| (*start, *end.min(&to)))
        {
            match ledger.deleted(*client) {
                _ if start >= end => {}
                Some(deleted) => {
                    deleted.for_each_missing(start, end, |start, end| new.push((start, end)));
                }
                None => new.push((start, end)),
            }
        }
        if !new.is_empty() {
            news.push((*client, new));
        }
    }
    write_delete_set(
        writer,
        news.iter()
            .map(|(client, ranges)| (*client, ranges.as_slice())),
    );
}

/// A delete set; every client has ranges.
pub(super) fn write_delete_set<'a>(
    writer: &mut Writer,
    clients: impl ExactSizeIterator<Item = (u64, &'a [(u32, u32)])>,
) {
    writer.var_uint(clients.len() as u64);
    for (client, ranges) in clients {
        writer.var_uint(client);
        writer.var_uint(ranges.len() as u64);
        for (start, end) in ranges {
            writer.var_uint(u64::from(*start));
            writer.var_uint(u64::from(end - start));
        }
    }
}
