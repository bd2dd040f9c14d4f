//! Features of files, checked and upserted into a copy of the map; what that writes is collected as updates.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use uuid::Uuid;

use super::super::args::ImportArgs;
use super::input::{Input, Source};
use super::spool::{Spool, spool_error};
use super::{FileReport, Gathered, Watched, Wrong, Wrongs, bad_file, bar};
use crate::Error;
use crate::formats::{self, Format, InputFeature, ReadOptions, Records, Rings};
use crate::model::{ImportOptions, Random, Sid, Who, upsert};
use crate::room::Replica;

/// Our name among the observers of the document.
const OBSERVER: &str = "import";

/// Reads all files into the copy. Nothing outside of it changes.
pub(super) fn gather(
    args: &ImportArgs,
    inputs: Vec<Input>,
    replica: &Replica,
    watched: Watched,
) -> Result<Gathered, Error> {
    // The copy is thrown away, so writing past the replica's ledger harms nothing.
    let doc = replica.doc();
    let collected = Arc::new(Mutex::new((Spool::new(), None)));
    let collector = collected.clone();
    let observed = doc.observe_update_v1(OBSERVER, move |_, event| {
        let mut collected = collector.lock().unwrap_or_else(PoisonError::into_inner);
        let (spool, failed) = &mut *collected;
        if failed.is_none() {
            *failed = spool.push(&event.update).err();
        }
    });
    observed.map_err(unwatched)?;
    let total = inputs.iter().map(|input| input.bytes).sum::<Option<u64>>();
    let bar = bar(
        watched,
        total.unwrap_or(0),
        "{msg} {wide_bar} {bytes}/{total_bytes}",
    );
    let (mut files, mut wrongs) = (Vec::new(), Wrongs::default());
    for input in inputs {
        bar.set_message(input.name().to_owned());
        files.push(one(args, input, doc, &mut wrongs, &bar)?);
    }
    bar.finish_and_clear();
    doc.unobserve_update_v1(OBSERVER).map_err(unwatched)?;
    let (spool, failed) = {
        let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *collected, (Spool::new(), None))
    };
    failed.map_or(
        Ok(Gathered {
            files,
            wrongs,
            spool,
        }),
        |error| Err(spool_error(error)),
    )
}

fn unwatched(error: impl ToString) -> Error {
    Error::Internal {
        what: "watching the document",
        why: error.to_string(),
    }
}

fn one(
    args: &ImportArgs,
    mut input: Input,
    doc: &yrs::Doc,
    wrongs: &mut Wrongs,
    bar: &ProgressBar,
) -> Result<FileReport, Error> {
    let Source::Features(format) = input.source else {
        return Err(bad_file(
            &input,
            "updates are imported alone, in a command of their own",
        ));
    };
    let reader = std::mem::replace(&mut input.reader, Box::new(std::io::empty()));
    let options = ReadOptions {
        crs: args.crs.clone(),
        x: args.x.clone(),
        y: args.y.clone(),
        rings: Rings::Turned,
    };
    // A GeoPackage is read where it lies: what another program has not merged into it yet lies beside it.
    let records = match &input.path {
        Some(path) if format == Format::GeoPackage => {
            formats::read_file(path, format, &options).map_err(Error::io("open", path))?
        }
        _ => formats::read_with(bar.wrap_read(reader), format, &options),
    };
    let mut good = Good {
        records,
        file: input.name(),
        wrongs,
        keep_going: args.keep_going,
    };
    let report = upsert(
        doc,
        &mut good,
        &import_options(args, input.name()),
        &mut |_| {},
    );
    let notes = good.records.notes().iter();
    let notes = notes.map(|(note, count)| (note.code(), count)).collect();
    Ok(FileReport {
        file: input.name().to_owned(),
        report: report.map_err(|error| bad_file(&input, error))?,
        notes,
    })
}

/// The writer is new for every import, like any other session.
fn import_options(args: &ImportArgs, file: &str) -> ImportOptions {
    let mut random = Random::new(Uuid::now_v7().as_u64_pair().1);
    ImportOptions {
        layer: args.layer.clone(),
        sid: Sid::from_random(random.bits()),
        who: Some(Who {
            user: String::new(),
            name: format!("import of {file}"),
        }),
        now_s: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        seed: random.bits(),
        restore: args.restore,
    }
}

/// The good records of a file; the others are noted. After the first wrong one of any file nothing will be written, so
/// the rest is only checked, unless the good ones are wanted all the same.
struct Good<'a> {
    records: Records<'a>,
    file: &'a str,
    wrongs: &'a mut Wrongs,
    keep_going: bool,
}

impl Iterator for Good<'_> {
    type Item = InputFeature;

    fn next(&mut self) -> Option<InputFeature> {
        loop {
            match self.records.next()? {
                Ok(feature) if self.keep_going || self.wrongs.count == 0 => return Some(feature),
                Ok(_) => {}
                Err(error) => self.wrongs.add(Wrong {
                    file: self.file.to_owned(),
                    layer: error.layer.clone(),
                    record: error.record(),
                    line: error.place.line,
                    id: error.id.clone(),
                    what: error.fault.to_string(),
                    hint: error.hint(),
                }),
            }
        }
    }
}
