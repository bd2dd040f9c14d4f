//! `mapweave verify`: whether everything stored is whole, and leads to what is shown.

use super::args::VerifyArgs;
use super::console::Console;
use super::context::Context;
use super::table::{Align, lines, plain, size};
use super::target::{self, Intent};
use crate::room::{Found, Verified, VerifiedMap};
use crate::{Error, Exit};

/// Checks one map or all. Any damage at all makes it fail.
pub(super) fn run(args: &VerifyArgs, context: Context<'_>) -> Result<Exit, Error> {
    context.on(&args.target, Intent::Read, async |target, console| {
        if let Some(map) = &args.map
            && !target.knows(map).await?
        {
            return Err(target::unknown(target, map).await);
        }
        let verified = target.verify(args.map.as_ref()).await?;
        if args.json {
            console.json(&verified)?;
        } else {
            show(&verified, console)?;
        }
        Ok(if verified.ok {
            Exit::Done
        } else {
            Exit::Failed
        })
    })
}

fn show(verified: &Verified, console: &mut Console) -> Result<(), Error> {
    table(&verified.maps)
        .iter()
        .try_for_each(|line| console.line(line))?;
    for map in &verified.maps {
        for found in &map.problems {
            console.line(format_args!(
                "damaged: map {:?}, {}",
                map.name,
                place(found)
            ))?;
        }
    }
    for found in &verified.problems {
        console.line(format_args!("damaged: {}", place(found)))?;
    }
    let damaged = verified.maps.iter().filter(|map| !map.ok).count();
    if verified.ok {
        console.line("everything is whole: checksums, hash chains, and every replayed state equals the stored one")
    } else {
        console.line(format_args!(
            "not everything is whole ({damaged} of {} maps): everything readable is kept and served; restore what is named above from a backup or another replica",
            verified.maps.len()
        ))
    }
}

fn table(maps: &[VerifiedMap]) -> Vec<String> {
    let columns = [
        ("MAP", Align::Left),
        ("STATE", Align::Left),
        ("RECORDS", Align::Right),
        ("BYTES", Align::Right),
        ("SNAPSHOTS", Align::Right),
        ("CHAIN", Align::Left),
    ];
    let row = |map: &VerifiedMap| {
        let chain = map.chain.chars().take(16).collect();
        let state = if map.ok { "ok" } else { "damaged" };
        [
            map.name.clone(),
            state.to_owned(),
            map.records.to_string(),
            size(map.bytes),
            map.snapshots.to_string(),
            chain,
        ]
    };
    if maps.is_empty() {
        Vec::new()
    } else {
        lines(columns, &maps.iter().map(row).collect::<Vec<_>>())
    }
}

/// File, offset and record, as far as they are known, and what is wrong there.
fn place(found: &Found) -> String {
    let file = found.file.iter().map(|file| format!("file {file}"));
    let offset = found.offset.iter().map(|offset| format!("byte {offset}"));
    let seq = found.seq.iter().map(|seq| format!("record {seq}"));
    let place: Vec<String> = file.chain(offset).chain(seq).collect();
    let place = if place.is_empty() {
        String::new()
    } else {
        place.join(", ") + ": "
    };
    plain(&format!("{place}{}", found.what))
}
