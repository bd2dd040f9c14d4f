//! Laws that any bytes must keep, and a driver that attacks them.
//!
//! A law is a function of bytes that panics where it is broken. cargo-fuzz runs each through a target of one line
//! (`fuzz_targets/`, built by the manifest in `cargo-fuzz/` with a nightly compiler); the [`Driver`] here needs
//! neither and runs in every `cargo test`. Seeds lie in `corpus/<law>/`, inputs that once broke a law in
//! `regressions/<law>/`. Start at [`LAWS`].

mod driver;
pub use driver::{Caught, Driver};

mod folder;
pub use folder::{corpus, folder, regressions};

pub mod laws;

mod mutate;

mod seen;
pub use seen::saw;

/// A law and its name, which is also that of its folders and of its target.
#[derive(Debug, Clone, Copy)]
pub struct Law {
    /// The name.
    pub name: &'static str,
    /// Panics where the law is broken.
    pub check: fn(&[u8]),
}

/// All laws but the canary, which is broken on purpose.
pub const LAWS: [Law; 10] = [
    Law {
        name: "frame_decoder",
        check: laws::frame_decoder,
    },
    Law {
        name: "update_path",
        check: laws::update_path,
    },
    Law {
        name: "journal_reader",
        check: laws::journal_reader,
    },
    Law {
        name: "geojson_import",
        check: laws::geojson_import,
    },
    Law {
        name: "map_reading",
        check: laws::map_reading,
    },
    Law {
        name: "awareness",
        check: laws::awareness,
    },
    Law {
        name: "websocket_frames",
        check: laws::websocket_frames,
    },
    Law {
        name: "session",
        check: laws::session,
    },
    Law {
        name: "hocuspocus_frames",
        check: laws::hocuspocus_frames,
    },
    Law {
        name: "switchboard",
        check: laws::switchboard,
    },
];

/// The law that does not hold.
pub const CANARY: Law = Law {
    name: "canary",
    check: laws::canary,
};
