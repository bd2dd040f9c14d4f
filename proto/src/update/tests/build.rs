//! Updates written by hand, rules broken on demand.

use bytes::Bytes;

use crate::varint::Writer;

/// Where an item says that it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    Root(&'a str),
    Parent(u64, u64),
    After(u64, u64),
    Before(u64, u64),
    Between((u64, u64), (u64, u64)),
}

/// The bytes of one item.
pub(super) fn item(at: At<'_>, key: Option<&str>, content: (u8, &[u8])) -> Vec<u8> {
    let mut writer = Writer::new();
    let bits = match at {
        At::Root(_) | At::Parent(..) => 0,
        At::After(..) => 0x80,
        At::Before(..) => 0x40,
        At::Between(..) => 0xc0,
    };
    writer.byte(content.0 | bits | if key.is_some() { 0x20 } else { 0 });
    match at {
        At::Root(name) => {
            writer.byte(1);
            writer.string(name);
        }
        At::Parent(client, clock) => {
            writer.byte(0);
            id(&mut writer, (client, clock));
        }
        At::After(client, clock) | At::Before(client, clock) => id(&mut writer, (client, clock)),
        At::Between(left, right) => {
            id(&mut writer, left);
            id(&mut writer, right);
        }
    }
    if bits == 0
        && let Some(key) = key
    {
        writer.string(key);
    }
    writer.raw(content.1);
    writer.finish().into()
}

pub(super) fn gc(length: u64) -> Vec<u8> {
    counted(0, length)
}

pub(super) fn skip(length: u64) -> Vec<u8> {
    counted(10, length)
}

pub(super) fn text(text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.string(text);
    writer.finish().into()
}

/// An update of `(client, clock, structs)` and `(client, ranges as clock and length)`.
pub(super) fn update(
    sections: &[(u64, u64, Vec<Vec<u8>>)],
    deletes: &[(u64, Vec<(u64, u64)>)],
) -> Bytes {
    let mut writer = Writer::new();
    writer.var_uint(sections.len() as u64);
    for (client, clock, structs) in sections {
        writer.var_uint(structs.len() as u64);
        writer.var_uint(*client);
        writer.var_uint(*clock);
        structs.iter().for_each(|bytes| writer.raw(bytes));
    }
    writer.var_uint(deletes.len() as u64);
    for (client, ranges) in deletes {
        writer.var_uint(*client);
        writer.var_uint(ranges.len() as u64);
        for (clock, length) in ranges {
            writer.var_uint(*clock);
            writer.var_uint(*length);
        }
    }
    writer.finish()
}

fn id(writer: &mut Writer, (client, clock): (u64, u64)) {
    writer.var_uint(client);
    writer.var_uint(clock);
}

fn counted(info: u8, length: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.byte(info);
    writer.var_uint(length);
    writer.finish().into()
}
