//! Every figure of `/metrics`, declared once: name, kind, labels and meaning. `docs/metrics.md` is written from it.
//!
//! The code that counts names a figure in place; a test finds every such name here, so that none is without a meaning.

use metrics::Unit;

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What is done with it.
    pub kind: Kind,
    /// What tells its series apart; empty for a figure with one.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub meaning: &'static str,
}

/// What is done with a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its rate matters.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It sorts values into classes.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

const fn figure(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Figure {
    Figure {
        name,
        kind,
        labels,
        meaning,
    }
}

use Kind::{Counter, Gauge, Histogram};

/// All figures, by name.
#[rustfmt::skip]
pub const FIGURES: &[Figure] = &[
    figure(Histogram, "mapweave_append_seconds", &[], "From handing records of a map to the store until they are durable: what a client waits for its acknowledgement, without the network"),
    figure(Counter, "mapweave_appended_bytes_total", &[], "Bytes of updates that became durable"),
    figure(Counter, "mapweave_appended_records_total", &[], "Records that became durable: edits, and what became of maps"),
    figure(Counter, "mapweave_auth_refused_total", &["reason"], "Requests and connections that were not let in, by reason"),
    figure(Counter, "mapweave_auth_revocations_total", &[], "Rights that were taken back"),
    figure(Counter, "mapweave_auth_webhook_total", &["answer"], "Questions to the service that knows other tokens, by what came of them"),
    figure(Gauge, "mapweave_build_info", &["version"], "1, for the version that runs"),
    figure(Counter, "mapweave_connections_gave_way_total", &[], "Connections closed because they had asked for nothing yet and too many others waited like them"),
    figure(Gauge, "mapweave_connections_open", &[], "Open TCP connections that still speak HTTP; sockets are counted apart"),
    figure(Counter, "mapweave_connections_total", &["scheme"], "Connections taken, `http` or `https`"),
    figure(Counter, "mapweave_event_resets_total", &[], "Listeners to events that were too far behind and were told to read the map anew"),
    figure(Counter, "mapweave_held_expired_total", &[], "Updates that waited for others which never came, and were given up"),
    figure(Counter, "mapweave_http_problems_total", &["status"], "Requests answered with a problem, by status"),
    figure(Counter, "mapweave_http_requests_total", &["status"], "Requests answered, by status; 101 are sockets"),
    figure(Histogram, "mapweave_http_seconds", &[], "From the head of a request until the head of its answer"),
    figure(Gauge, "mapweave_maps_live", &[], "Maps in memory"),
    figure(Gauge, "mapweave_maps_live_bytes", &[], "Memory of those maps, estimated; see `limits.live_maps_bytes_max`"),
    figure(Counter, "mapweave_messages_received_total", &[], "WebSocket messages received"),
    figure(Counter, "mapweave_person_pauses_total", &[], "Times that a socket was read more slowly because the person behind it sends faster than one may, over all their connections"),
    figure(Gauge, "mapweave_pinned_states_bytes", &[], "States kept so that downloads which broke go on with the same bytes"),
    figure(Counter, "mapweave_presence_gave_way_total", &[], "Times that the presence of the session showing most was taken out because its map showed too much"),
    figure(Gauge, "mapweave_process_cpu_seconds", &[], "Processor time used since the start; only grows"),
    figure(Gauge, "mapweave_process_memory_bytes", &[], "Memory of the process that is in RAM"),
    figure(Gauge, "mapweave_process_open_files_max", &[], "Open files that the process may have; each connection is one"),
    figure(Counter, "mapweave_quota_refused_total", &["what"], "Connections and requests refused because one person or address has as many as it may, or a person sends faster than one may (`pace`)"),
    figure(Gauge, "mapweave_relay_behind_records", &["way", "of"], "Records that a store still lacks of this one's (`of` is `here`) or that this one lacks (`there`), about; by which end made the connection"),
    figure(Gauge, "mapweave_relay_connected", &["way"], "Connections to other stores: `upstream` to head office, `downstream` those that came here"),
    figure(Counter, "mapweave_relay_received_bytes_total", &[], "Bytes that other stores sent"),
    figure(Counter, "mapweave_relay_received_records_total", &[], "Records that other stores sent, known ones included"),
    figure(Counter, "mapweave_relay_sent_bytes_total", &[], "Bytes sent to other stores"),
    figure(Counter, "mapweave_relay_sent_records_total", &[], "Records sent to other stores"),
    figure(Counter, "mapweave_rooms_broken_total", &[], "Maps that were loaded anew after a mistake of ours; the log says which"),
    figure(Counter, "mapweave_sessions_behind_total", &[], "Connections too slow for what their map told them, which were brought up to date in one message"),
    figure(Counter, "mapweave_sessions_closed_total", &["code"], "Sockets that the server closed, by close code"),
    figure(Gauge, "mapweave_sockets_open", &[], "Sessions of WebSockets and event streams: one for each map that a connection is in"),
    figure(Gauge, "mapweave_store_ok", &[], "1 while edits can be stored, 0 while they cannot (a full disk)"),
    figure(Gauge, "mapweave_tls_certificate_expires_timestamp_seconds", &[], "When the time of the server's certificate is over, in seconds since 1970; only where it speaks TLS itself"),
    figure(Counter, "mapweave_tls_handshakes_total", &["outcome"], "TLS handshakes: `done`, `failed`, `late`, `crowded` (gave way to newer ones), `plain` (HTTP where TLS is spoken)"),
    figure(Gauge, "mapweave_unfinished_bytes", &[], "Bytes of messages and bodies that are not whole yet; see `limits.unfinished_bytes_max`"),
    figure(Counter, "mapweave_unfinished_evicted_total", &[], "Connections closed because such bytes were too many"),
    figure(Counter, "mapweave_updates_quarantined_total", &[], "Updates that were kept apart until an owner decides"),
    figure(Counter, "mapweave_updates_refused_total", &[], "Updates that were refused, each answered with a reason"),
    figure(Counter, "mapweave_uploads_gave_way_total", &[], "Large uploads given up because they were slow and another one needed the place"),
    figure(Counter, "mapweave_uploads_spooled_total", &[], "Bodies too large for one update, which waited in a file"),
    figure(Counter, "mapweave_webhook_events_total", &["outcome"], "Events that a webhook was to be told: `taken`, `refused`, `unreachable` (given up after eight tries), `dropped` (too many waited)"),
];

/// Makes every figure known by its meaning, and those that have one series visible from the start, so that an alert
/// can tell "none" from "unknown".
pub(super) fn describe() {
    for figure in FIGURES {
        let Figure { name, meaning, .. } = *figure;
        let alone = figure.labels.is_empty();
        match (figure.kind, unit(name)) {
            (Counter, None) => metrics::describe_counter!(name, meaning),
            (Counter, Some(unit)) => metrics::describe_counter!(name, unit, meaning),
            (Gauge, None) => metrics::describe_gauge!(name, meaning),
            (Gauge, Some(unit)) => metrics::describe_gauge!(name, unit, meaning),
            (Histogram, None) => metrics::describe_histogram!(name, meaning),
            (Histogram, Some(unit)) => metrics::describe_histogram!(name, unit, meaning),
        }
        if figure.kind == Counter && alone {
            metrics::counter!(name).absolute(0);
        }
    }
}

/// The unit in a name, as Prometheus wants it: last, but for `_total`.
fn unit(name: &str) -> Option<Unit> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("bytes") => Some(Unit::Bytes),
        Some("seconds") => Some(Unit::Seconds),
        _ => None,
    }
}

/// The table of figures in Markdown.
pub fn reference() -> String {
    let mut out =
        String::from("| Name | Kind | Unit | Labels | Meaning |\n|---|---|---|---|---|\n");
    for figure in FIGURES {
        let unit = unit(figure.name).map_or("", |unit| match unit {
            Unit::Bytes => "bytes",
            _ => "seconds",
        });
        let labels: Vec<String> = figure
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let row = [
            format!("`{}`", figure.name),
            figure.kind.word().to_owned(),
            unit.to_owned(),
            labels.join(", "),
            figure.meaning.replace('|', "\\|"),
        ];
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    const START: &str = "<!-- figures: written from the code; a test compares them -->\n";

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// `UPDATE_DOCS=1 cargo test -p mapweave --lib figures` writes the table anew.
    #[test]
    fn the_documentation_lists_every_figure_as_it_is() {
        let path = root().join("docs/metrics.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (head, table) = document.split_once(START).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{head}{START}{}", reference())).unwrap();
        } else {
            assert_eq!(
                table,
                reference(),
                "run UPDATE_DOCS=1 cargo test -p mapweave --lib figures"
            );
        }
    }

    #[test]
    fn every_figure_that_is_counted_has_a_meaning_and_the_other_way_round() {
        let known: BTreeSet<String> = FIGURES
            .iter()
            .map(|figure| figure.name.to_owned())
            .collect();
        assert_eq!(known.len(), FIGURES.len(), "a name is there twice");
        assert!(
            FIGURES.is_sorted_by_key(|figure| figure.name),
            "they are by name"
        );
        let mut counted = BTreeSet::new();
        for folder in ["src", "storage/src", "proto/src"] {
            for file in sources(root().join(folder)) {
                if !file.ends_with("src/telemetry/figures.rs") {
                    names(&std::fs::read_to_string(file).unwrap(), &mut counted);
                }
            }
        }
        assert_eq!(counted, known);
    }

    #[test]
    fn dashboards_and_alerts_show_figures_that_there_are() {
        let known: BTreeSet<&str> = FIGURES.iter().map(|figure| figure.name).collect();
        for file in [
            "docs/deploy/grafana-dashboard.json",
            "docs/deploy/alerts.yml",
        ] {
            let text = std::fs::read_to_string(root().join(file)).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let names: Vec<&str> = words.filter(|word| word.starts_with("mapweave_")).collect();
            assert!(!names.is_empty());
            for name in names {
                let name = name.strip_suffix("_bucket").unwrap_or(name);
                assert!(known.contains(name), "{file} names {name}");
            }
        }
    }

    #[test]
    fn counters_end_in_total_and_histograms_in_a_unit() {
        for figure in FIGURES {
            let total = figure.name.ends_with("_total");
            assert_eq!(total, figure.kind == Counter, "{}", figure.name);
            assert!(
                figure.kind != Histogram || unit(figure.name).is_some(),
                "{}",
                figure.name
            );
        }
    }

    /// Names in `counter!("…"`, `gauge!("…"`, `histogram!("…"` and `gauge("…"`.
    fn names(source: &str, found: &mut BTreeSet<String>) {
        for call in ["counter!(", "gauge!(", "histogram!(", "gauge("] {
            for (place, _) in source.match_indices(call) {
                let behind = source.get(place + call.len()..).unwrap().trim_start();
                let name = behind
                    .strip_prefix('"')
                    .and_then(|rest| rest.split('"').next());
                found.extend(
                    name.filter(|name| name.starts_with("mapweave_"))
                        .map(str::to_owned),
                );
            }
        }
    }

    fn sources(folder: PathBuf) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push(path);
                }
            }
        }
        files
    }
}
