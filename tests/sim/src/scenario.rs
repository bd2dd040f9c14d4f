//! What is simulated, what came of it, and the smallest scenario that still fails.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::simulation::Simulation;

/// A simulation to be run. Everything that happens in it follows from these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Where chance begins.
    pub seed: u64,
    /// Browsers that take part.
    pub clients: usize,
    /// Steps that are taken before everything comes to rest.
    pub steps: usize,
    /// What is broken on purpose.
    pub sabotage: Sabotage,
}

/// A defect put in on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// Updates are called durable when they are heard.
    AcknowledgeEarly,
    /// Every seventh message for many misses one of them.
    DropBroadcasts,
    /// A crash takes the last durable record.
    ForgetDurable,
}

/// What happened in a simulation that kept every promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// A hash of everything that happened, in order.
    pub trace: u64,
    /// How much that was.
    pub events: u64,
    /// Edits that people made.
    pub edits: u64,
    /// Acknowledgements that went out.
    pub acknowledged: u64,
    /// Restarts after a crash.
    pub crashes: u64,
    /// Connections made.
    pub connections: u64,
    /// Times that a slow reader's backlog was dropped.
    pub overflows: u64,
    /// Updates that came before what they build on.
    pub gaps: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Records in the log at the end.
    pub records: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The scenario, to be run again.
    pub scenario: Scenario,
    /// The step at which it showed.
    pub step: usize,
    /// Which promise, and how.
    pub what: String,
}

impl Scenario {
    /// A scenario of ordinary size.
    pub fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            clients: 2 + (seed % 4) as usize,
            steps: 250 + (seed % 5) as usize * 70,
            sabotage: Sabotage::None,
        }
    }

    /// The same with a defect.
    #[must_use]
    pub fn with(self, sabotage: Sabotage) -> Self {
        Self { sabotage, ..self }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The first broken promise; a panic is one.
    pub fn run(&self) -> Result<Report, Failure> {
        let mut simulation = Simulation::new(*self);
        let ran = catch_unwind(AssertUnwindSafe(|| simulation.run()));
        let what = match ran {
            Ok(Ok(report)) => return Ok(report),
            Ok(Err(what)) => what,
            Err(panic) => format!("a panic: {}", panic_text(&*panic)),
        };
        Err(Failure {
            scenario: *self,
            step: simulation.step(),
            what,
        })
    }
}

impl Failure {
    /// A smaller scenario that fails too, found in a bounded number of runs.
    #[must_use]
    pub fn shrunk(self) -> Self {
        let mut smallest = self;
        for _ in 0..SHRINK_ROUNDS_MAX {
            let Scenario { clients, steps, .. } = smallest.scenario;
            let fewer = |clients, steps| Scenario {
                clients,
                steps,
                ..smallest.scenario
            };
            let candidates = [
                fewer(clients.saturating_sub(1).max(1), steps),
                fewer(clients, steps / 2),
                fewer(clients, steps * 3 / 4),
                fewer(clients, steps * 9 / 10),
                fewer(clients, steps.saturating_sub(3)),
                fewer(clients, steps.saturating_sub(1)),
            ];
            let smaller = candidates
                .into_iter()
                .filter(|candidate| *candidate != smallest.scenario)
                .find_map(|candidate| candidate.run().err());
            match smaller {
                Some(failure) => smallest = failure,
                None => break,
            }
        }
        smallest
    }
}

/// Runs of shrinking.
const SHRINK_ROUNDS_MAX: usize = 40;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario {
            seed,
            clients,
            steps,
            sabotage,
        } = self.scenario;
        write!(
            f,
            "seed {seed} with {clients} clients and {steps} steps (sabotage: {sabotage:?}) failed at step {}: {}",
            self.step, self.what
        )
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a text".to_owned())
}
