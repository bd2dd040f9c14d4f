//! `mapweave export`: a map, or a part of it, as a file.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mapweave_proto::scan;
use yrs::Transact;

use super::args::ExportArgs;
use super::context::Context;
use super::target::{self, Intent};
use crate::formats::{self, ExportError, ExportFilter, ExportOptions, Format};
use crate::model::MapView;
use crate::room::{HeldLimits, Refused, Replica};
use crate::{Error, Exit};

/// Mode of a new file before the process's mask, as of any program's output. One that is replaced gives its own.
const FILE_MODE: u32 = 0o666;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Features.
    Features(Format),
    /// The document as one Yjs update (v1).
    Update,
}

impl Sink {
    /// The sink of this name.
    ///
    /// # Errors
    /// For a name that is none, with those that are.
    pub fn parse(name: &str) -> Result<Self, String> {
        match Format::from_name(name) {
            Some(format) if format.is_writable() => Ok(Self::Features(format)),
            None if name == "yjs" => Ok(Self::Update),
            _ => {
                let writable = Format::ALL
                    .into_iter()
                    .filter(|format| format.is_writable());
                let names: Vec<&str> = writable.map(Format::name).collect();
                Err(format!("formats to write are {}, yjs", names.join(", ")))
            }
        }
    }

    /// As it was given, else by the name of the file, else GeoJSON.
    fn of(args: &ExportArgs) -> Self {
        let by_name = |path: &PathBuf| match Format::from_path(path) {
            Some(format) => Some(Self::Features(format)),
            None => path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("yjs"))
                .then_some(Self::Update),
        };
        args.format
            .or_else(|| args.output.as_ref().and_then(by_name))
            .unwrap_or(Self::Features(Format::GeoJson))
    }
}

/// Writes the map. A file appears under its name only once it is whole.
pub(super) fn run(args: &ExportArgs, context: Context<'_>) -> Result<Exit, Error> {
    let sink = Sink::of(args);
    if sink == Sink::Update && (args.layer.is_some() || args.bbox.is_some()) {
        let why = "yjs is the whole document: --layer and --bbox go with the other formats";
        return Err(Error::Usage(why.to_owned()));
    }
    let output = args.output.as_ref().filter(|path| path.as_os_str() != "-");
    let output = output.map(|path| context.environment.folder().join(path));
    context.on(&args.target, Intent::Read, async |target, console| {
        let Some(state) = target.state(&args.map).await? else {
            return Err(target::unknown(target, &args.map).await);
        };
        let content = Content::of(args, sink, state)?;
        match &output {
            None => {
                content.write(&mut console.out, &Error::Output)?;
            }
            Some(path) => {
                let written = write_file(path, &content)?;
                console.say(format_args!("{written} to {}", path.display()));
            }
        }
        Ok(Exit::Done)
    })
}

/// What is to be written, ready but for the bytes.
enum Content {
    Update(Bytes),
    Features {
        view: Box<MapView>,
        format: Format,
        filter: ExportFilter,
        options: ExportOptions,
    },
}

impl Content {
    fn of(args: &ExportArgs, sink: Sink, state: Bytes) -> Result<Self, Error> {
        let Sink::Features(format) = sink else {
            return Ok(Self::Update(state));
        };
        let mut replica = Replica::new(HeldLimits::NONE);
        let received = scan(state, usize::MAX)
            .map_err(Refused::from)
            .and_then(|state| replica.receive(state, 0));
        received.map_err(|why| Error::Update {
            what: format!("the state of map {:?}", args.map),
            why,
        })?;
        let view = Box::new(MapView::new(&replica.doc().transact()));
        let filter = ExportFilter {
            layer: args.layer.clone(),
            bbox: args.bbox,
        };
        let options = ExportOptions {
            precision: args.precision,
            with_bbox: args.with_bbox,
        };
        Ok(Self::Features {
            view,
            format,
            filter,
            options,
        })
    }

    /// Writes everything; tells what, for people. `failed` turns a failure of `out` into an error.
    fn write(
        &self,
        out: &mut dyn Write,
        failed: &dyn Fn(io::Error) -> Error,
    ) -> Result<String, Error> {
        match self {
            Self::Update(state) => {
                out.write_all(state).map_err(failed)?;
                Ok(format!("{} bytes written", state.len()))
            }
            Self::Features {
                view,
                format,
                filter,
                options,
            } => match formats::export_with(view, *format, filter, *options, out) {
                Ok(report) if report.left_out > 0 => Ok(format!(
                    "{} features written, {} left out because {} cannot hold their geometry,",
                    report.features,
                    report.left_out,
                    format.name()
                )),
                Ok(report) => Ok(format!("{} features written", report.features)),
                Err(ExportError::Io(error)) => Err(failed(error)),
                Err(other) => Err(Error::Export(other)),
            },
        }
    }
}

/// Beside the file first, then in its place; durable before it has the name.
fn write_file(path: &Path, content: &Content) -> Result<String, Error> {
    // A link stays one, and what it points to is replaced. Devices and pipes are written as they are.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match path.metadata() {
        Ok(found) if found.is_dir() => {
            let why = "it is a folder: name a file".to_owned();
            return Err(Error::BadFile { file: path, why });
        }
        Ok(found) if !found.is_file() => {
            let file = std::fs::File::options()
                .write(true)
                .open(&path)
                .map_err(Error::io("open", &path))?;
            let mut out = BufWriter::new(file);
            let written = content.write(&mut out, &write_error(&path))?;
            out.flush().map_err(write_error(&path))?;
            return Ok(written);
        }
        _ => {}
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mode = path
        .metadata()
        .map_or(FILE_MODE, |found| found.permissions().mode());
    let mode = Permissions::from_mode(mode);
    let temporary = tempfile::Builder::new()
        .prefix(".mapweave-export-")
        .permissions(mode)
        .tempfile_in(folder);
    let temporary = temporary.map_err(Error::io("write in", folder))?;
    let mut out = BufWriter::new(temporary);
    let written = content.write(&mut out, &write_error(&path))?;
    let temporary = out
        .into_inner()
        .map_err(|error| write_error(&path)(error.into_error()))?;
    temporary.as_file().sync_all().map_err(write_error(&path))?;
    temporary
        .persist(&path)
        .map_err(|error| write_error(&path)(error.error))?;
    Ok(written)
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Io {
        what: "write",
        path: path.to_owned(),
        source,
    }
}
