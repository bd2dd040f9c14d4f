//! The new part of an update that is partly known.

use bytes::Bytes;

use super::content;
use super::ledger::Ledger;
use super::scan::{Id, Links, Piece, Scanned, Section};
use crate::varint::{Cursor, Writer};

/// See [`Ledger::fresh_part`].
pub(super) fn fresh_part(ledger: &Ledger, update: &Scanned) -> Bytes {
    let mut writer = Writer::with_capacity(update.bytes().len() + 16);
    let new = |section: &&Section| section.end > ledger.next(section.client);
    writer.var_uint(update.sections.iter().filter(new).count() as u64);
    for section in update.sections.iter().filter(new) {
        write_section(&mut writer, update, section, ledger.next(section.client));
    }
    write_deletes(&mut writer, ledger, update);
    writer.finish()
}

/// The structs of a section from clock `next` on.
fn write_section(writer: &mut Writer, update: &Scanned, section: &Section, next: u32) {
    let pieces = update.pieces_of(section);
    let known = pieces.partition_point(|piece| piece.end <= next);
    let (before, rest) = pieces.split_at_checked(known).unwrap_or((pieces, &[]));
    let Some(first) = rest.first() else { return };
    let structs_before: u64 = before.iter().map(structs).sum();
    let structs_left = u64::from(section.structs).saturating_sub(structs_before);
    let whole_from = |piece: Option<&Piece>| piece.map_or(section.ends_at, |piece| piece.at);
    match first.start < next {
        true => {
            let behind = whole_from(rest.get(1));
            // What is left of a row of GC structs becomes one of them.
            writer.var_uint(structs_left.saturating_sub(structs(first)) + 1);
            writer.var_uint(section.client);
            writer.var_uint(u64::from(next));
            write_rest(writer, update, section.client, first, next, behind);
            writer.raw(update.bytes_from(section, behind));
        }
        false => {
            writer.var_uint(structs_left);
            writer.var_uint(section.client);
            writer.var_uint(u64::from(first.start));
            writer.raw(update.bytes_from(section, first.at));
        }
    }
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

fn write_deletes(writer: &mut Writer, ledger: &Ledger, update: &Scanned) {
    let mut news = Vec::new();
    for (client, ranges) in &update.deletes {
        let mut new = Vec::new();
        for (start, end) in ranges.as_slice() {
            match ledger.deleted(*client) {
                Some(deleted) => {
                    deleted.for_each_missing(*start, *end, |start, end| new.push((start, end)))
                }
                None => new.push((*start, *end)),
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
