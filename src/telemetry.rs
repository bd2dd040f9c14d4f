//! Log messages and figures: set up once, by the binary.
//!
//! Messages go to standard error, as text or JSON. Figures are kept in memory; whoever holds
//! [`metrics()`] writes them out in the Prometheus text format. Nothing here opens a port.

mod figures;

use std::io;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

pub use figures::{FIGURES, Figure, Kind, reference};

/// Upper bounds of the classes of durations, in seconds: from a write to memory to a slow disk.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Upper bounds of the classes of sizes, in bytes: from a keystroke to the largest update.
const BYTES: [f64; 8] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    65_536.0,
    1_048_576.0,
    16_777_216.0,
    67_108_864.0,
];

/// Why telemetry is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is none. A checked configuration has no such.
    #[error("log.filter {filter:?} cannot be read: {why}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// Figures cannot be collected.
    #[error("metrics cannot be collected: {why}")]
    Metrics {
        /// What is wrong.
        why: String,
    },
}

/// Writes log messages to standard error from now on. A second call changes nothing: the first one counts.
///
/// # Errors
/// [`TelemetryError::Filter`].
pub fn start_log(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|e| TelemetryError::Filter {
        filter: log.filter.clone(),
        why: e.to_string(),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // An error says that somebody, perhaps a test, has set up a subscriber before.
    let _ = match log.format {
        LogFormat::Text => builder
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .try_init(),
    };
    Ok(())
}

/// The figures of this process, collected from the first call on. Every call gives the same collection.
///
/// Whoever serves calls [`PrometheusHandle::run_upkeep`] every few seconds, which bounds the memory of durations.
///
/// # Errors
/// [`TelemetryError::Metrics`], where another recorder is installed already.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| install().map_err(|e| e.to_string()));
    handle
        .clone()
        .map_err(|why| TelemetryError::Metrics { why })
}

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?
        .install_recorder()
        .inspect(|_| figures::describe())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_collected_once_and_shown_in_classes() {
        let first = metrics().unwrap();
        ::metrics::histogram!("telemetry_test_seconds").record(0.002);
        ::metrics::counter!("telemetry_test_total").increment(2);
        let text = metrics().unwrap().render();
        assert!(
            text.contains("telemetry_test_seconds_bucket{le=\"0.0025\"} 1"),
            "{text}"
        );
        assert!(first.render().contains("telemetry_test_total 2"));
    }

    #[test]
    fn the_log_can_be_started_twice() {
        // Off, so that the other tests of this process stay quiet.
        let log = Log {
            filter: "off".to_owned(),
            ..Log::default()
        };
        start_log(&log).unwrap();
        start_log(&log).unwrap();
        let wrong = Log {
            filter: "a=b=c=".to_owned(),
            ..log
        };
        assert!(matches!(
            start_log(&wrong),
            Err(TelemetryError::Filter { .. })
        ));
    }
}
