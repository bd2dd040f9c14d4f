//! `mapweave compact`: snapshots, so that maps load fast.

use serde::Serialize;

use super::args::CompactArgs;
use super::context::Context;
use super::target::{self, Intent, Target};
use crate::{Error, Exit};
use mapweave_proto::MapName;

/// What was done to one map.
#[derive(Debug, Serialize)]
struct Compacted {
    name: String,
    seq: u64,
}

/// Stores a snapshot of one map or of all. No history is removed.
pub(super) fn run(args: &CompactArgs, context: Context<'_>) -> Result<Exit, Error> {
    context.on(&args.target, Intent::Change, async |target, console| {
        let mut done = Vec::new();
        for name in names(target, args.map.as_ref()).await? {
            let seq = target.compact(&name).await?;
            if !args.json {
                console.line(format_args!("{name}: snapshot up to record {seq}"))?;
            }
            done.push(Compacted {
                name: name.as_str().to_owned(),
                seq: seq.0,
            });
        }
        if args.json {
            console.json(&done)?;
        }
        Ok(Exit::Done)
    })
}

async fn names(target: &dyn Target, only: Option<&MapName>) -> Result<Vec<MapName>, Error> {
    let names = target
        .maps()
        .await?
        .into_iter()
        .filter_map(|map| MapName::parse(&map.name).ok());
    let Some(only) = only else {
        return Ok(names.collect());
    };
    let found: Vec<MapName> = names.filter(|name| name == only).collect();
    if found.is_empty() {
        Err(target::unknown(target, only).await)
    } else {
        Ok(found)
    }
}
