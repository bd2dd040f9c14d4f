//! A Yjs update from a file: what a client kept that a server would not take, or the state of another map.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use mapweave_proto::scan;

use super::input::{Input, Source};
use super::spool::{Spool, spool_error};
use super::{FileReport, Gathered, Wrongs, bad_file};
use crate::Error;
use crate::model::ImportReport;
use crate::room::{Outcome, Refused, Replica, summarize};

/// The one update among the inputs, if they are that; the inputs back, if they are files of features.
///
/// # Errors
/// Where an update comes together with other files.
pub(super) fn only(mut inputs: Vec<Input>) -> Result<Result<Input, Vec<Input>>, Error> {
    let is_update = |input: &Input| input.source == Source::Update;
    match inputs.len() {
        _ if !inputs.iter().any(is_update) => Ok(Err(inputs)),
        1 => Ok(inputs.pop().ok_or(inputs)),
        _ => Err(Error::Usage(
            "a Yjs update is imported alone: name one file".to_owned(),
        )),
    }
}

/// Tries the update on the copy of the map, and keeps it for writing if it brings anything.
pub(super) fn gather(
    mut input: Input,
    mut replica: Replica,
    bytes_max: usize,
) -> Result<Gathered, Error> {
    let mut update = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    let read = input.reader.by_ref().take(limit).read_to_end(&mut update);
    read.map_err(|error| bad_file(&input, format!("cannot be read: {error}")))?;
    if update.len() > bytes_max {
        let why = format!(
            "it is larger than {bytes_max} bytes (limits.update_bytes_max), the most that one update may have"
        );
        return Err(bad_file(&input, why));
    }
    let update = Bytes::from(update);
    let before = summarize(replica.doc()).features;
    let received = scan(update.clone(), bytes_max)
        .map_err(Refused::from)
        .and_then(|scanned| replica.receive(scanned, 0));
    let mut spool = Spool::new();
    match received.map_err(|why| {
        bad_file(
            &input,
            format!("{why}; this is no Yjs update (v1) that a map can take"),
        )
    })? {
        Outcome::Nothing => {}
        Outcome::Applied { .. } => spool.push(&update).map_err(spool_error)?,
        Outcome::Held { missing, .. } => {
            let clients: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let why = format!(
                "it builds on earlier changes of the clients {} that this map does not have: import those first",
                clients.join(", ")
            );
            return Err(bad_file(&input, why));
        }
    }
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
        wrongs: Wrongs::default(),
        spool,
    })
}
