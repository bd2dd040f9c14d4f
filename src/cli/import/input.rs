//! Files as they were named on the command line, opened, with what they hold.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use mapweave_proto::UnsentEdits;

use super::super::args::ImportArgs;
use super::shown;
use crate::Error;
use crate::formats::Format;

/// Bytes of a file that tell its format.
const START_BYTES: u64 = 4096;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Features.
    Features(Format),
    /// A Yjs update (v1) of a map document.
    Update,
    /// Unsent edits that a device kept.
    Edits,
}

/// A file to read.
pub(super) struct Input {
    name: String,
    /// Size where it is known, for progress.
    pub(super) bytes: Option<u64>,
    pub(super) source: Source,
    pub(super) reader: Box<dyn Read + Send>,
    /// Where it lies, if it is an ordinary file.
    pub(super) path: Option<PathBuf>,
}

impl Source {
    /// The source of this name.
    ///
    /// # Errors
    /// For a name that is none, with those that are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = || Format::ALL.map(Format::name).join(", ");
        match Format::from_name(name) {
            Some(format) => Ok(Self::Features(format)),
            None if name == "yjs" => Ok(Self::Update),
            None if name == "mapweave-edits" => Ok(Self::Edits),
            None => Err(format!("formats are {}, yjs, mapweave-edits", known())),
        }
    }

    fn from_path(path: &Path) -> Option<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match Format::from_path(path) {
            Some(format) => Some(Self::Features(format)),
            None if ending.is_some_and(|e| e.eq_ignore_ascii_case("yjs")) => Some(Self::Update),
            None if ending.is_some_and(|e| e.eq_ignore_ascii_case("mapweave-edits")) => {
                Some(Self::Edits)
            }
            None => None,
        }
    }
}

impl Input {
    /// What people know it by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Opens all files before anything is done, so that a slip in the last name costs nothing. `-` takes `stdin`.
pub(super) fn open(
    args: &ImportArgs,
    folder: &Path,
    stdin: &mut Box<dyn Read + Send>,
) -> Result<Vec<Input>, Error> {
    if args
        .files
        .iter()
        .filter(|file| file.as_os_str() == "-")
        .count()
        > 1
    {
        return Err(Error::Usage(
            "standard input (-) can be read only once".to_owned(),
        ));
    }
    let open = |file: &Path, stdin: &mut Box<dyn Read + Send>| {
        if file.as_os_str() == "-" {
            let reader = std::mem::replace(stdin, Box::new(io::empty()));
            return known(file, args.format, None, reader);
        }
        let path = folder.join(file);
        let opened = File::open(&path).map_err(Error::io("open", &path))?;
        let found = opened.metadata().map_err(Error::io("look at", &path))?;
        if found.is_dir() {
            let why = "it is a folder: name the files in it".to_owned();
            return Err(Error::BadFile { file: path, why });
        }
        let bytes = found.is_file().then_some(found.len());
        let mut input = known(file, args.format, bytes, Box::new(opened))?;
        input.path = found.is_file().then_some(path);
        Ok(input)
    };
    args.files.iter().map(|file| open(file, stdin)).collect()
}

/// The format as it was given, else by the name, else by the first bytes.
fn known(
    file: &Path,
    given: Option<Source>,
    bytes: Option<u64>,
    reader: Box<dyn Read + Send>,
) -> Result<Input, Error> {
    let name = shown(file);
    let mut reader = BufReader::new(reader);
    if let Some(source) = given.or_else(|| Source::from_path(file)) {
        return Ok(Input {
            name,
            bytes,
            source,
            reader: Box::new(reader),
            path: None,
        });
    }
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(START_BYTES)
        .read_to_end(&mut start)
        .map_err(Error::io("read", file))?;
    let source = if UnsentEdits::is_one(&start) {
        Source::Edits
    } else {
        // The reader of GeoJSON knows best what a file is that is none of ours.
        Source::Features(Format::sniff(&start).unwrap_or(Format::GeoJson))
    };
    Ok(Input {
        name,
        bytes,
        source,
        reader: Box::new(Cursor::new(start).chain(reader)),
        path: None,
    })
}
