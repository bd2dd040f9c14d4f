//! What one value demands of another: defaults that follow, bounds, and what is missing beside it.

use std::net::SocketAddr;

use super::super::problem::Source;
use super::super::settings::FRAME_OVERHEAD_BYTES;
use super::{Loading, Purpose};

impl Loading {
    /// Defaults that follow from other values.
    pub(super) fn derive(&mut self, purpose: Purpose) {
        if !self.sources.contains_key("limits.frame_bytes_max") {
            let limits = &mut self.config.limits;
            limits.frame_bytes_max = limits.update_bytes_max.saturating_add(FRAME_OVERHEAD_BYTES);
        }
        if purpose == Purpose::Command && !self.sources.contains_key("log.filter") {
            self.config.log.filter = "warn".to_owned();
        }
    }

    /// Bounds of one value by another.
    pub(super) fn check_relations(&mut self) {
        let limits = self.config.limits.clone();
        let frame_bytes_min = limits.update_bytes_max.saturating_add(FRAME_OVERHEAD_BYTES);
        let frame = limits.frame_bytes_max as u64;
        self.at_least(
            "limits.frame_bytes_max",
            frame,
            "limits.update_bytes_max + 1 KiB",
            frame_bytes_min as u64,
        );
        self.at_least(
            "limits.bytes_burst",
            limits.bytes_burst,
            "limits.frame_bytes_max",
            frame,
        );
        self.at_least(
            "limits.unfinished_bytes_max",
            limits.unfinished_bytes_max,
            "limits.frame_bytes_max",
            frame,
        );
        self.at_least(
            "limits.state_bytes_max",
            limits.state_bytes_max,
            "limits.update_bytes_max",
            limits.update_bytes_max as u64,
        );
        let (held, held_by_one) = (
            limits.held_bytes_per_map_max as u64,
            limits.held_bytes_per_session_max as u64,
        );
        self.at_least(
            "limits.held_bytes_per_map_max",
            held,
            "limits.held_bytes_per_session_max",
            held_by_one,
        );
        let (all, in_one) = (
            limits.sessions_max as u64,
            limits.sessions_per_map_max as u64,
        );
        if self.sources.contains_key("limits.sessions_per_map_max") {
            self.at_least(
                "limits.sessions_max",
                all,
                "limits.sessions_per_map_max",
                in_one,
            );
        } else {
            let limits = &mut self.config.limits;
            limits.sessions_per_map_max = limits.sessions_per_map_max.min(limits.sessions_max);
        }
        let room = self.config.room.clone();
        self.at_least(
            "room.presence_expiry_s",
            room.presence_expiry_s,
            "room.keepalive_s",
            room.keepalive_s,
        );
    }

    fn at_least(&mut self, key: &'static str, value: u64, of: &str, min: u64) {
        if value < min {
            let what = format!("{value} is too small: it must be at least {of}, which is {min}");
            let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
            self.problem(key, source, what);
        }
    }

    /// A certificate comes with its key, from files or from us.
    pub(super) fn check_tls(&mut self) {
        let tls = &self.config.tls;
        let (cert, key, own) = (tls.cert.is_some(), tls.key.is_some(), tls.self_signed);
        let unheard = tls.hsts_s > 0 && self.config.server.trusted_proxies.is_empty();
        let problem = match (cert, key) {
            (true, false) => (
                "tls.cert",
                "the file of its private key is missing: give tls.key (--tls-key)",
            ),
            (false, true) => (
                "tls.key",
                "the file of its certificate is missing: give tls.cert (--tls-cert)",
            ),
            (true, true) if own => (
                "tls.self_signed",
                "there is a certificate in tls.cert already: use one of the two",
            ),
            (false, false) if !own && unheard => (
                "tls.hsts_s",
                "browsers heed this over https only: give tls.cert and tls.key, or the proxy that speaks it in server.trusted_proxies",
            ),
            _ => return,
        };
        let (key, what) = problem;
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        self.problem(key, source, what.to_owned());
    }

    /// Without keys anybody who reaches the server owns it: on loopback those on this machine, elsewhere only if that is
    /// meant.
    pub(super) fn check_exposure(&mut self) {
        let listen: SocketAddr = self.config.listen;
        let guarded = self.config.auth.is_set() || self.config.allow_anonymous;
        if !listen.ip().is_loopback() && !guarded {
            let source = self
                .sources
                .get("listen")
                .cloned()
                .unwrap_or(Source::Default);
            let what = format!(
                "other machines reach {listen}, and everybody who does could read, edit and delete every map. Make a key with `mapweave token keygen > keys.json` and name it as auth.keys_file (docs/auth.md), or listen on 127.0.0.1, or say that this is meant with --allow-anonymous (allow_anonymous = true)"
            );
            self.problem("listen", source, what);
        }
    }
}
