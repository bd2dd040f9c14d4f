//! `kill -9` of a process that writes, at random moments, its own opening among them.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use mapweave_proto::DocId;
use tempfile::TempDir;

use super::{open, small};
use crate::contract::{block_on, created, read_all, update};
use crate::{Random, UpdateLog};

const DOC: DocId = DocId::from_bytes([1; 16]);
const FOLDER: &str = "MAPWEAVE_KILL_TEST_FOLDER";

/// What the killed process does: appends for ever and says each place once it is acknowledged. Does nothing
/// unless the test below runs it.
#[test]
fn writer() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let (store, _) = open(Path::new(&folder), small());
    if store.head(DOC).unwrap().is_none() {
        block_on(store.append(DOC, vec![created("m")])).unwrap();
    }
    loop {
        let next = store.head(DOC).unwrap().unwrap().last.0 + 1;
        let size = if next % 40 == 0 { 6_000 } else { 50 };
        block_on(store.append(DOC, vec![update(vec![next as u8; size])])).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nstored {next}")
            .and_then(|()| out.flush())
            .unwrap();
    }
}

#[test]
fn whatever_was_acknowledged_survives_kill_9() {
    let dir = TempDir::new().unwrap();
    let mut random = Random(9);
    let mut stored = 0;
    for round in 0..25 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::kill::writer", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let places =
            lines.filter_map(|line| line.ok()?.strip_prefix("stored ")?.parse::<u64>().ok());
        // At times not a single place is waited for, so that the kill comes while the store opens.
        let wanted = if round % 5 == 0 {
            0
        } else {
            1 + random.below(120)
        };
        for place in places.take(wanted as usize) {
            assert_eq!(
                place,
                stored.max(1) + 1,
                "round {round}: a place was given twice or left out"
            );
            stored = place;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, report) = open(dir.path(), small());
        assert!(
            report.problems.is_empty() && report.rebuilt.is_none(),
            "round {round}: {report:?}"
        );
        let records = read_all(&store, DOC).unwrap_or_default();
        assert!(
            records.len() as u64 >= stored,
            "round {round}: {} of {stored} are left",
            records.len()
        );
        for record in records.iter().skip(1) {
            assert!(
                record
                    .payload
                    .iter()
                    .all(|byte| *byte == record.seq.0 as u8)
            );
        }
        stored = records.len() as u64;
        assert!(block_on(store.verify(None)).unwrap().ok);
        store.close().unwrap();
    }
    assert!(stored > 500, "only {stored} records were written");
}
