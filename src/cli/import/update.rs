//! Yjs updates from a file: what a client kept that a server would not take, one by one (`.mapweave-edits`) or as one
//! update, or the state of another map.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use mapweave_proto::{UnsentEdits, scan};

use super::input::{Input, Source};
use super::spool::{Spool, spool_error};
use super::{FileReport, Gathered, Wrong, Wrongs, bad_file};
use crate::Error;
use crate::model::ImportReport;
use crate::room::{Outcome, Refused, Replica, summarize};

/// What to do about an edit that a map does not take.
const REFUSED_HINT: &str = "with --keep-going the others go in";

/// The one file of updates among the inputs, if they are that; the inputs back, if they are files of features.
///
/// # Errors
/// Where updates come together with other files.
pub(super) fn only(mut inputs: Vec<Input>) -> Result<Result<Input, Vec<Input>>, Error> {
    let is_update = |input: &Input| matches!(input.source, Source::Update | Source::Edits);
    match inputs.len() {
        _ if !inputs.iter().any(is_update) => Ok(Err(inputs)),
        1 => Ok(inputs.pop().ok_or(inputs)),
        _ => Err(Error::Usage(
            "a Yjs update or a file of unsent edits is imported alone: name one file".to_owned(),
        )),
    }
}

/// Tries the updates on the copy of the map, and keeps for writing those that bring anything.
pub(super) fn gather(
    mut input: Input,
    mut replica: Replica,
    bytes_max: usize,
) -> Result<Gathered, Error> {
    let file = read(&mut input, bytes_max)?;
    let before = summarize(replica.doc()).features;
    let mut trial = Trial {
        replica: &mut replica,
        bytes_max,
        spool: Spool::new(),
    };
    let mut wrongs = Wrongs::default();
    match input.source {
        Source::Edits => {
            let file = UnsentEdits::read(file).map_err(|why| bad_file(&input, why))?;
            for (number, edit) in (1..).zip(file.edits) {
                if let Err(what) = trial.take(&edit.update)? {
                    wrongs.add(Wrong {
                        file: input.name().to_owned(),
                        layer: None,
                        record: number,
                        line: 0,
                        id: None,
                        what: format!("{what} (made in map {:?} of {})", file.map, file.origin),
                        hint: REFUSED_HINT,
                    });
                }
            }
        }
        _ => {
            if let Err(why) = trial.take(&file)? {
                return Err(bad_file(&input, why));
            }
        }
    }
    let spool = trial.spool;
    let created = summarize(replica.doc()).features.saturating_sub(before);
    let report = ImportReport {
        created,
        transactions: spool.len(),
        ..ImportReport::default()
    };
    let files = vec![FileReport {
        file: input.name().to_owned(),
        report,
        notes: BTreeMap::new(),
    }];
    Ok(Gathered {
        files,
        wrongs,
        spool,
    })
}

/// The whole file.
fn read(input: &mut Input, bytes_max: usize) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    let read = input.reader.by_ref().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| bad_file(input, format!("cannot be read: {error}")))?;
    if bytes.len() > bytes_max {
        let why = format!(
            "it is larger than {bytes_max} bytes (limits.update_bytes_max), the most that one update may have"
        );
        return Err(bad_file(input, why));
    }
    Ok(bytes.into())
}

/// Updates on their way into a copy of the map.
struct Trial<'a> {
    replica: &'a mut Replica,
    bytes_max: usize,
    spool: Spool,
}

impl Trial<'_> {
    /// Takes in one; the inner error says why the map cannot take it.
    fn take(&mut self, update: &Bytes) -> Result<Result<(), String>, Error> {
        let received = scan(update.clone(), self.bytes_max)
            .map_err(Refused::from)
            .and_then(|scanned| self.replica.receive(scanned, 0));
        match received {
            Err(why) => Ok(Err(format!(
                "{why}; this is no Yjs update (v1) that a map can take"
            ))),
            Ok(Outcome::Nothing) => Ok(Ok(())),
            Ok(Outcome::Applied { .. }) => {
                self.spool.push(update).map_err(spool_error)?;
                Ok(Ok(()))
            }
            Ok(Outcome::Held { missing, .. }) => {
                let clients: Vec<String> = missing.iter().map(ToString::to_string).collect();
                Ok(Err(format!(
                    "it builds on earlier changes of the clients {} that this map does not have: import those first",
                    clients.join(", ")
                )))
            }
        }
    }
}
