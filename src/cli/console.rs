//! Where a command reads and writes: the process's own streams, or a test's.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Read, Write};

use crate::Error;

/// The three streams of a command.
pub struct Console {
    /// For `import MAP -`.
    pub input: Box<dyn Read + Send>,
    /// Results.
    pub out: Box<dyn Write + Send>,
    /// What is said about them: which store is used, warnings, errors.
    pub err: Box<dyn Write + Send>,
    /// Whether a person watches `err`, and is shown progress.
    pub watched: Watched,
}

/// Whether a person watches the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// On a terminal.
    Yes,
    /// They go to a file or a program.
    No,
}

impl Console {
    /// The process's own streams.
    pub fn standard() -> Self {
        Self {
            input: Box::new(io::stdin()),
            out: Box::new(BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            watched: if io::stderr().is_terminal() {
                Watched::Yes
            } else {
                Watched::No
            },
        }
    }

    /// Writes a line of the result.
    ///
    /// # Errors
    /// Where nobody reads it.
    pub(super) fn line(&mut self, line: impl fmt::Display) -> Result<(), Error> {
        writeln!(self.out, "{line}").map_err(Error::Output)
    }

    /// Writes the result as one line of JSON.
    ///
    /// # Errors
    /// As [`Console::line`].
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, value).map_err(|error| Error::Output(error.into()))?;
        writeln!(self.out).map_err(Error::Output)
    }

    /// Says something beside the result. That nobody hears it is no reason to stop.
    pub(super) fn say(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.err, "{line}");
    }

    /// Hands over what was written so far.
    ///
    /// # Errors
    /// As [`Console::line`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(Error::Output)
    }
}
