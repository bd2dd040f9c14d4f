//! `mapweave import`: features of files into a map.
//!
//! Everything is read and checked against a copy of the map first; the updates that this yields wait in a spool.
//! Only then they are written, each durable before the next. So a file with a wrong record changes nothing, and an
//! import that is cut short leaves whole updates and goes on where it stopped when it is run again.

mod features;
mod input;
mod spool;
mod update;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use mapweave_proto::{MapName, scan};
use serde::Serialize;

pub use input::Source;

use super::args::ImportArgs;
use super::console::{Console, Watched};
use super::context::Context;
use super::table::plain;
use super::target::{Intent, Target};
use crate::formats::Note;
use crate::model::ImportReport;
use crate::room::{HeldLimits, Refused, Replica};
use crate::{Error, Exit};
use input::Input;
use spool::Spool;

/// Wrong records that are named; the others are counted.
const NAMED_MAX: usize = 20;

/// A record that cannot be taken in.
#[derive(Debug, Clone, Serialize)]
struct Wrong {
    file: String,
    /// Its layer, where the file has several.
    layer: Option<String>,
    /// Counted from 1; 0 is the file as a whole.
    record: u64,
    /// From 1; 0 where the format has no lines.
    line: u64,
    id: Option<String>,
    what: String,
    hint: &'static str,
}

/// All wrong records: the first by name.
#[derive(Debug, Default)]
struct Wrongs {
    count: u64,
    named: Vec<Wrong>,
}

/// What an import did, for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    ok: bool,
    map: &'a str,
    /// Whether the map has it: false if a wrong record kept everything back.
    written: bool,
    files: &'a [FileReport],
    /// Updates added to the map's log.
    updates: u64,
    /// Place of the last of them.
    seq: Option<u64>,
    wrong: u64,
    problems: &'a [Wrong],
}

/// What came of one file.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    #[serde(flatten)]
    report: ImportReport,
    /// How many records were put right in shape, by the code of [`crate::formats::Note`].
    notes: BTreeMap<&'static str, u64>,
}

/// Everything that reading the files yielded.
struct Gathered {
    files: Vec<FileReport>,
    wrongs: Wrongs,
    spool: Spool,
}

/// Imports the files in their order.
pub(super) fn run(args: &ImportArgs, context: Context<'_>) -> Result<Exit, Error> {
    let folder = context.environment.folder();
    let inputs = input::open(args, folder, &mut context.console.input)?;
    let update_bytes_max = context.config.limits.update_bytes_max;
    context.on(&args.target, Intent::Create, async |target, console| {
        let replica = present_state(target, &args.map).await?;
        let gathered = match update::only(inputs)? {
            Ok(input) => update::gather(input, replica, update_bytes_max)?,
            Err(inputs) => features::gather(args, inputs, &replica, console.watched)?,
        };
        settle(args, gathered, target, console).await
    })
}

/// A copy of the map, checked on its way in like any other bytes. Empty where there is no map yet.
async fn present_state(target: &dyn Target, map: &MapName) -> Result<Replica, Error> {
    let mut replica = Replica::new(HeldLimits::NONE);
    let Some(state) = target.state(map).await? else {
        return Ok(replica);
    };
    let received = scan(state, usize::MAX)
        .map_err(Refused::from)
        .and_then(|state| replica.receive(state, 0));
    received.map_err(|why| Error::Update {
        what: format!("the state of map {map:?}"),
        why,
    })?;
    Ok(replica)
}

/// Says what is wrong, writes what is to be written, and tells the result.
async fn settle(
    args: &ImportArgs,
    gathered: Gathered,
    target: &dyn Target,
    console: &mut Console,
) -> Result<Exit, Error> {
    let Gathered {
        files,
        wrongs,
        spool,
    } = gathered;
    wrongs.say(console);
    let written = wrongs.count == 0 || args.keep_going;
    let updates = if written { spool.len() } else { 0 };
    let seq = if written {
        submit_all(args, spool, target, console.watched).await?
    } else {
        None
    };
    // Who keeps going has to hear all the same that something was left out.
    let ok = wrongs.count == 0;
    let some_good = updates > 0 || files.iter().any(|file| file.features() > 0);
    if args.json {
        let told = Told {
            ok,
            map: args.map.as_str(),
            written,
            files: &files,
            updates,
            seq,
            wrong: wrongs.count,
            problems: &wrongs.named,
        };
        console.json(&told)?;
    } else if written {
        for file in &files {
            file.tell(console)?;
        }
    }
    match ok {
        true => Ok(Exit::Done),
        false if args.keep_going && some_good => Err(Error::BadInput {
            count: wrongs.count,
            consequence: "everything else was imported",
        }),
        false if args.keep_going => Err(Error::BadInput {
            count: wrongs.count,
            consequence: "there was nothing else to import",
        }),
        false => Err(Error::BadInput {
            count: wrongs.count,
            consequence: "nothing was written (--keep-going imports the good records)",
        }),
    }
}

async fn submit_all(
    args: &ImportArgs,
    spool: Spool,
    target: &dyn Target,
    watched: Watched,
) -> Result<Option<u64>, Error> {
    let total = spool.len();
    let bar = bar(watched, total, "{msg} {wide_bar} {pos}/{len} updates");
    bar.set_message("writing");
    let mut seq = None;
    let mut done = 0;
    for update in spool.into_updates()? {
        let submitted = target.submit(&args.map, Bytes::from(update?)).await;
        let at = submitted.map_err(|source| Error::ImportStopped {
            done,
            total,
            source: Box::new(source),
        })?;
        (seq, done) = (Some(at.0), done + 1);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(seq)
}

fn bar(watched: Watched, length: u64, template: &str) -> ProgressBar {
    if watched == Watched::No {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

impl Wrongs {
    fn add(&mut self, wrong: Wrong) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(wrong);
        }
    }

    fn say(&self, console: &mut Console) {
        for wrong in &self.named {
            let Wrong {
                file,
                layer,
                record,
                line,
                id,
                what,
                hint,
            } = wrong;
            let layer = layer
                .as_ref()
                .map(|layer| format!(" layer {layer:?}:"))
                .unwrap_or_default();
            let place = match (record, line) {
                (0, _) => String::new(),
                (_, 0) => format!(" record {record}:"),
                _ => format!(" record {record}, line {line}:"),
            };
            let id = id
                .as_ref()
                .map(|id| format!(" id {id:?}:"))
                .unwrap_or_default();
            console.say(plain(&format!("{file}:{layer}{place}{id} {what}; {hint}")));
        }
        let unnamed = self.count.saturating_sub(self.named.len() as u64);
        if unnamed > 0 {
            console.say(format_args!("and {unnamed} more like these"));
        }
    }
}

impl FileReport {
    /// Features that were good.
    fn features(&self) -> u64 {
        let r = &self.report;
        r.created + r.changed + r.restored + r.unchanged + r.skipped_deleted + r.skipped_malformed
    }

    fn tell(&self, console: &mut Console) -> Result<(), Error> {
        let r = &self.report;
        let restored = if r.restored > 0 {
            format!(", {} brought back", r.restored)
        } else {
            String::new()
        };
        let file = plain(&self.file);
        console.line(format_args!(
            "{file}: {} created, {} changed, {} unchanged{restored}",
            r.created, r.changed, r.unchanged
        ))?;
        for note in Note::ALL {
            if let Some(count) = self.notes.get(note.code()) {
                console.say(format_args!("{file}: {count} {note}"));
            }
        }
        if r.skipped_deleted > 0 {
            console.say(format_args!(
                "{file}: {} were deleted from the map and stay so (--restore brings them back)",
                r.skipped_deleted
            ));
        }
        if r.skipped_malformed > 0 {
            console.say(format_args!(
                "{file}: {} have an id under which the map holds something unreadable, and were left out",
                r.skipped_malformed
            ));
        }
        for skipped in &r.skipped {
            console.say(plain(&format!(
                "{file}: record {} (id {:?}) was left out",
                skipped.record, skipped.id
            )));
        }
        Ok(())
    }
}

/// The name of a file in messages.
fn shown(path: &std::path::Path) -> String {
    if path == std::path::Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// For an input as a whole.
fn bad_file(input: &Input, why: impl ToString) -> Error {
    Error::BadFile {
        file: PathBuf::from(input.name()),
        why: why.to_string(),
    }
}
