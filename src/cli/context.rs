//! What a command works with beside its own arguments.

use super::args::TargetArgs;
use super::console::Console;
use super::target::{self, Intent, Target};
use crate::Error;
use crate::config::{Config, Environment};

/// The configuration, the process's environment and its streams.
pub(super) struct Context<'a> {
    /// Flags, environment and file.
    pub(super) config: &'a Config,
    /// Where variables and relative paths come from.
    pub(super) environment: &'a dyn Environment,
    /// Where results and messages go.
    pub(super) console: &'a mut Console,
}

impl Context<'_> {
    /// Runs `command` on what the arguments name, and closes that in any case. Says which it is.
    ///
    /// # Errors
    /// Where that cannot be opened or closed; the command's own.
    pub(super) fn on<T>(
        self,
        args: &TargetArgs,
        intent: Intent,
        command: impl AsyncFnOnce(&dyn Target, &mut Console) -> Result<T, Error>,
    ) -> Result<T, Error> {
        target::block_on(async {
            let target = target::choose(args, intent, self.config, self.environment).await?;
            self.console
                .say(format_args!("using {}", target.describe()));
            let result = command(target.as_ref(), self.console).await;
            let closed = target.close().await;
            result.and_then(|value| closed.map(|()| value))
        })
    }
}
