//! The settings themselves: each declared once with its meaning, default and bounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use mapweave_proto::limits::{
    self as wire, AWARENESS_BYTES_MAX, BYTES_BURST, BYTES_PER_S, KEEPALIVE_MS, MESSAGES_BURST,
    MESSAGES_PER_S,
};
use mapweave_storage::PAYLOAD_BYTES_MAX;

use super::address::UpstreamUrl;
use super::parse::{Raw, Rule, Setting};
use crate::auth::{MapPattern, Role, Secret};
use crate::room::HELD_EXPIRY_MS;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY_S: u64 = 24 * 60 * 60;

/// The largest update that a log record can hold.
const UPDATE_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX as u64;

/// What a message adds to the update that it carries, in bytes: types, lengths and the longest map name.
pub const FRAME_OVERHEAD_BYTES: usize = 1 << 10;

/// One setting, for those who treat them all alike.
pub struct Key {
    /// Section and field: `limits.sessions_max`.
    pub name: &'static str,
    /// The meaning, one line of text each.
    pub doc: &'static [&'static str],
    /// What a value has to be.
    pub rule: Rule,
    pub(super) set: fn(&mut Config, &Raw, Rule) -> Result<(), String>,
    pub(super) get: fn(&Config, Rule) -> String,
}

impl Key {
    /// The environment variable: `MAPWEAVE_LIMITS_SESSIONS_MAX`.
    pub fn variable(&self) -> String {
        super::VARIABLE_PREFIX.to_owned() + &self.name.replace('.', "_").to_ascii_uppercase()
    }

    /// The value in `config`, as it would be written.
    pub fn show(&self, config: &Config) -> String {
        (self.get)(config, self.rule)
    }
}

/// All settings, in the order of the reference.
pub fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    [
        Config::KEYS,
        Log::KEYS,
        Server::KEYS,
        Tls::KEYS,
        Auth::KEYS,
        Webhooks::KEYS,
        Limits::KEYS,
        Upstream::KEYS,
        Room::KEYS,
        Storage::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// Declares a section: its struct, its defaults and its keys, and where in a [`Config`] it lies.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $Section:ident $prefix:literal |$config:ident| $place:expr => {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $rule:expr; )+
        }
        $( with { $( $(#[$inner_about:meta])* $inner:ident: $Inner:ty, )+ } )?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Section {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`.")]
                pub $field: $type,
            )+
            $( $( $(#[$inner_about])* pub $inner: $Inner, )+ )?
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $( $field: $default, )+ $( $( $inner: Default::default(), )+ )? }
            }
        }

        impl $Section {
            const KEYS: &[Key] = &[$( Key {
                name: concat!($prefix, stringify!($field)),
                doc: &[$( $doc ),+],
                rule: $rule,
                set: |config, raw, rule| {
                    Self::of_mut(config).$field = Setting::parse(raw, rule)?;
                    Ok(())
                },
                get: |config, rule| Setting::show(&Self::of(config).$field, rule),
            }, )+];

            fn of($config: &Config) -> &Self {
                &$place
            }

            fn of_mut($config: &mut Config) -> &mut Self {
                &mut $place
            }
        }
    };
}

settings! {
    /// Everything that can be set. `Config::default()` is valid.
    Config "" |config| *config => {
        /// Address and port to listen on; port 0 takes a free one. `localhost` stands for 127.0.0.1.
        listen: SocketAddr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080), Rule::Address;
        /// Folder of the store. A relative path starts at the folder that the command runs in.
        data: PathBuf = PathBuf::from("./data"), Rule::Path;
        /// Whether those without a token are let in. Where neither keys nor a webhook are set they are owners of every
        /// map, which has to be said to listen on an address that other machines reach; on loopback it is so without
        /// saying. Beside keys or a webhook they are what `auth.anonymous_role` says.
        allow_anonymous: bool = false, Rule::Switch;
    } with {
        /// `[log]`: what is written to standard error.
        log: Log,
        /// `[server]`: whom the server answers and how it stops.
        server: Server,
        /// `[tls]`: TLS on the port itself.
        tls: Tls,
        /// `[auth]`: who may do what.
        auth: Auth,
        /// `[webhooks]`: who is told what happens.
        webhooks: Webhooks,
        /// `[limits]`: what one client, one map and the whole server may use.
        limits: Limits,
        /// `[upstream]`: head office, to exchange maps with.
        upstream: Upstream,
        /// `[room]`: live maps.
        room: Room,
        /// `[storage]`: the store.
        storage: Storage,
    }
}

settings! {
    /// What is written to standard error.
    Log "log." |config| config.log => {
        /// Which messages: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by part, as in
        /// `warn,mapweave=debug`. Commands other than `serve` say warnings only, unless this is set.
        filter: String = "info".to_owned(), Rule::Filter;
        /// `text` for people, `json` for programs: one object a line.
        format: LogFormat = LogFormat::Text, Rule::Choice(LogFormat::WORDS);
    }
}

settings! {
    /// Whom the server answers and how it stops.
    Server "server." |config| config.server => {
        /// How long a stop may take before connections are cut, in seconds.
        shutdown_deadline_s: u64 = 10, Rule::Seconds { min: 1, max: 600 };
        /// Host names that the server answers to, besides loopback names and addresses.
        allowed_hosts: Vec<String> = Vec::new(), Rule::Hosts;
        /// Origins (`https://app.example.org`) whose web pages may use the server, besides its own.
        allowed_origins: Vec<String> = Vec::new(), Rule::Origins;
        /// Networks (`10.0.0.0/8`, or one address) of proxies before the server. Only from them it is taken over whom they
        /// ask for: the client's address and scheme, as the header in `server.proxy_header` says.
        trusted_proxies: Vec<IpNet> = Vec::new(), Rule::Networks;
        /// Which header those proxies set: `x-forwarded-for` (with `X-Forwarded-Proto`) or `forwarded` (RFC 7239). The
        /// other is not read, since proxies hand on what clients wrote there.
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor, Rule::Choice(ProxyHeader::WORDS);
    }
}

settings! {
    /// TLS on the port itself.
    Tls "tls." |config| config.tls => {
        /// File in PEM with the certificate, and behind it those that lead to its authority. It is read again when it
        /// changes, and at SIGHUP.
        cert: Option<PathBuf> = None, Rule::Path;
        /// File in PEM with the certificate's private key.
        key: Option<PathBuf> = None, Rule::Path;
        /// Whether the server makes a certificate of its own, for this machine's names and addresses and the names in
        /// `server.allowed_hosts`, by an authority of its own in the folder `tls` of the data folder.
        self_signed: bool = false, Rule::Switch;
        /// How long browsers shall remember that this server speaks https only (`Strict-Transport-Security`), in seconds.
        /// 0 says nothing about it.
        hsts_s: u64 = 0, Rule::Seconds { min: 0, max: 2 * 365 * DAY_S };
    }
}

settings! {
    /// Who may do what.
    Auth "auth." |config| config.auth => {
        /// File of the keys that sign and check tokens: a JSON Web Key or a set of them, as `mapweave token keygen` makes
        /// them. The first key that can sign signs; all of them check, so that keys can be replaced one after the other.
        keys_file: Option<PathBuf> = None, Rule::File;
        /// A secret of at least 32 bytes that signs and checks tokens with HS256, beside the keys of the file or instead
        /// of them. Better in the environment than in a file that others read.
        secret: Secret = Secret::default(), Rule::Secret;
        /// What this server is called in the `aud` of tokens. Where it is set, tokens must name it; where it is not,
        /// tokens must name nobody.
        audience: Option<String> = None, Rule::Text;
        /// How far the clocks of those who make tokens may be off, in seconds.
        leeway_s: u64 = 30, Rule::Seconds { min: 0, max: 300 };
        /// What those without a token may do where `allow_anonymous` is set beside keys or a webhook.
        anonymous_role: Role = Role::Viewer, Rule::Choice(&["viewer", "commenter", "editor", "owner"]);
        /// Address (`http://…` or `https://…`) of a service that is asked about tokens which no key of ours has signed.
        webhook_url: Option<String> = None, Rule::Url;
        /// A secret that goes with every question to the webhook, as a bearer's token.
        webhook_secret: Secret = Secret::default(), Rule::Secret;
        /// File in PEM with the authorities that vouch for the webhook over https: these and no others. Where none is given,
        /// those that this machine trusts. It is read at the start.
        webhook_ca_file: Option<PathBuf> = None, Rule::File;
    }
}

settings! {
    /// Who is told what happens.
    Webhooks "webhooks." |config| config.webhooks => {
        /// Address (`http://…` or `https://…`) of a service that is told what happens in maps (docs/webhooks.md). Nobody is told where it
        /// is not set.
        url: Option<String> = None, Rule::Url;
        /// File in PEM with the authorities that vouch for it over https: these and no others. Where none is given, those that
        /// this machine trusts. It is read at the start.
        ca_file: Option<PathBuf> = None, Rule::File;
        /// A secret of at least 32 bytes with which what it is told is signed.
        secret: Secret = Secret::default(), Rule::Secret;
        /// Whether it is told who comes and goes.
        people: bool = true, Rule::Switch;
        /// Whether it is told that a map has changed.
        changes: bool = true, Rule::Switch;
        /// Whether it is told what clients have to say to whoever runs the server.
        messages: bool = true, Rule::Switch;
        /// How long changes of one map are collected, in seconds, before the last of them is told.
        collect_s: u64 = 2, Rule::Seconds { min: 0, max: 3_600 };
    }
}

settings! {
    /// What one client, one map and the whole server may use.
    Limits "limits." |config| config.limits => {
        /// Largest update on any path, in bytes. At most what one record of the log can hold.
        update_bytes_max: usize = wire::UPDATE_BYTES_MAX, Rule::Bytes { min: KIB, max: UPDATE_BYTES_MAX };
        /// Largest body of POST `state`, in bytes. Above `limits.update_bytes_max` it waits in a file of the data
        /// folder and goes in in pieces; at least `limits.update_bytes_max`.
        state_bytes_max: u64 = 512 << 20, Rule::Bytes { min: KIB, max: 64 * GIB };
        /// Largest WebSocket message that a client may send, in bytes. Where it is not given it follows
        /// `limits.update_bytes_max` and leaves 1 KiB for what a message adds; it cannot be smaller than that.
        frame_bytes_max: usize = wire::UPDATE_BYTES_MAX + FRAME_OVERHEAD_BYTES,
            Rule::Bytes { min: 2 * KIB, max: UPDATE_BYTES_MAX + MIB };
        /// Largest presence (awareness) of one client, in bytes.
        awareness_bytes_max: usize = AWARENESS_BYTES_MAX,
            Rule::Bytes { min: 256, max: AWARENESS_BYTES_MAX as u64 };
        /// Sessions at once: one connection has one session for each map that it is in.
        sessions_max: usize = 16_384, Rule::Count { min: 1, max: 1_000_000 };
        /// Sessions at once in one map.
        sessions_per_map_max: usize = 4_096, Rule::Count { min: 1, max: 1_000_000 };
        /// Sessions at once of one person, by the `sub` of their tokens, over all their devices.
        sessions_per_user_max: usize = 512, Rule::Count { min: 1, max: 1_000_000 };
        /// Maps that one person, or those without a name at one address, have open at once.
        maps_per_user_max: usize = 512, Rule::Count { min: 1, max: 1_000_000 };
        /// Sessions at once of those without a name, by address; generous, since a crew comes from one. Not counted on
        /// loopback, where a proxy may stand for everybody.
        sessions_per_address_max: usize = 4_096, Rule::Count { min: 1, max: 1_000_000 };
        /// Open connections at once; further ones wait in the system's queue.
        connections_max: usize = 17_408, Rule::Count { min: 1, max: 1_000_000 };
        /// How long the other end of a connection may leave unanswered what it is sent before it is taken for gone, in
        /// seconds. A connection on which nothing is sent is asked for a sign of life as often.
        unanswered_s: u64 = 30, Rule::Seconds { min: 5, max: 3_600 };
        /// How long a client may take for the head of a request, in seconds; up to a quarter more, so that those who came
        /// together do not end together.
        header_timeout_s: u64 = 10, Rule::Seconds { min: 1, max: 600 };
        /// A connection that is closed for good (codes 4400 to 4499) is told so after so long, in seconds: older clients
        /// come back at once whatever the code, and would send again and again what was refused.
        refusal_pause_s: u64 = 2, Rule::Seconds { min: 0, max: 60 };
        /// TLS handshakes that go on at once. Where there are more, the oldest is cut off; each has
        /// `limits.header_timeout_s`.
        handshakes_max: usize = 1_024, Rule::Count { min: 1, max: 1_000_000 };
        /// Messages a second that one connection may send for long. A faster one is read more slowly.
        messages_per_second: u64 = MESSAGES_PER_S, Rule::Count { min: 1, max: 10_000_000 };
        /// Messages that one connection may send at once after a pause.
        messages_burst: u64 = MESSAGES_BURST, Rule::Count { min: 1, max: 10_000_000 };
        /// Bytes a second that one connection may send for long. A faster one is read more slowly. Presence, which everybody is
        /// told, counts 32 times.
        bytes_per_second: u64 = BYTES_PER_S, Rule::Bytes { min: KIB, max: 64 * GIB };
        /// Bytes that one connection may send at once after a pause. At least `limits.frame_bytes_max`.
        bytes_burst: u64 = BYTES_BURST, Rule::Bytes { min: 2 * KIB, max: 64 * GIB };
        /// Messages and requests that write to a map a second that one person, by the `sub` of their tokens, may send for long, over
        /// all their devices. The sockets of a faster one are read more slowly, and requests told to come later (503).
        user_messages_per_second: u64 = 4 * MESSAGES_PER_S, Rule::Count { min: 1, max: 100_000_000 };
        /// As many as one person may send at once after a pause.
        user_messages_burst: u64 = 4 * MESSAGES_BURST, Rule::Count { min: 1, max: 100_000_000 };
        /// Bytes a second that one person may send for long, in messages and bodies.
        user_bytes_per_second: u64 = 4 * BYTES_PER_S, Rule::Bytes { min: KIB, max: 256 * GIB };
        /// Bytes that one person may send at once after a pause.
        user_bytes_burst: u64 = 4 * BYTES_BURST, Rule::Bytes { min: 2 * KIB, max: 256 * GIB };
        /// Bytes a second that the updates of one connection may come to at all others in its map together, for long. A
        /// connection that causes more is read more slowly.
        delivered_bytes_per_second: u64 = 128 << 20, Rule::Bytes { min: KIB, max: 1_024 * GIB };
        /// As many as one connection may cause at once after a pause.
        delivered_bytes_burst: u64 = 256 << 20, Rule::Bytes { min: KIB, max: 1_024 * GIB };
        /// What may have arrived of messages and bodies that are not whole yet, over all connections, in bytes. Above it
        /// the connection that holds most is closed, with a code on which it comes back. At least
        /// `limits.frame_bytes_max`.
        unfinished_bytes_max: u64 = 256 << 20, Rule::Bytes { min: 2 * KIB, max: 64 * GIB };
        /// What may wait to be sent to one session, in bytes. When it is more, the session is sent the
        /// difference to its last known state instead.
        session_queue_bytes_max: usize = 4 << 20, Rule::Bytes { min: 64 * KIB, max: GIB };
        /// Updates of one map that wait for others which are missing, in bytes; more are refused.
        held_bytes_per_map_max: usize = 16 << 20, Rule::Bytes { min: KIB, max: GIB };
        /// The same for one session, in bytes. At most `limits.held_bytes_per_map_max`.
        held_bytes_per_session_max: usize = 4 << 20, Rule::Bytes { min: KIB, max: GIB };
        /// Memory of live maps, estimated, in bytes. Above it the least recently used of those that nobody is in
        /// are unloaded.
        live_maps_bytes_max: u64 = 2 << 30, Rule::Bytes { min: MIB, max: 1024 * GIB };
    }
}

settings! {
    /// Head office, to exchange maps with whenever there is a link to it. `docs/relay.md` tells how.
    Upstream "upstream." |config| config.upstream => {
        /// Its address: `https://maps.example.org`. Nothing is exchanged where it is not given.
        url: Option<UpstreamUrl> = None, Rule::Upstream;
        /// Which maps are exchanged: names in which `*` stands for any characters within a segment and `**` for any at all.
        maps: Vec<MapPattern> = vec![MapPattern::all()], Rule::Patterns;
        /// File with the token of this relay, whose role there is `relay`. It is read anew for every connection.
        token_file: Option<PathBuf> = None, Rule::File;
        /// File in PEM with the authorities that vouch for it: these and no others. Where none is given, those that this machine
        /// trusts.
        ca_file: Option<PathBuf> = None, Rule::File;
        /// Most bytes a second on the link, each way; 0 is as many as it takes.
        bytes_per_s: u64 = 0, Rule::Bytes { min: 0, max: 64 * GIB };
    }
}

settings! {
    /// Live maps.
    Room "room." |config| config.room => {
        /// A map that nobody is in is unloaded after so long, in seconds.
        idle_unload_s: u64 = 60, Rule::Seconds { min: 1, max: DAY_S };
        /// A snapshot is due after so many records …
        snapshot_records: u64 = 500, Rule::Count { min: 1, max: 1_000_000 };
        /// … or after so many bytes of records, whichever comes first.
        snapshot_bytes: u64 = 256 << 10, Rule::Bytes { min: KIB, max: GIB };
        /// Presence that a client does not renew is taken out after so long, in seconds.
        presence_expiry_s: u64 = 30, Rule::Seconds { min: 5, max: DAY_S };
        /// An update that builds on others which are missing waits for them so long, in seconds, and is given up then;
        /// its record stays in the log.
        held_expiry_s: u64 = HELD_EXPIRY_MS / 1_000, Rule::Seconds { min: 60, max: 365 * DAY_S };
        /// A quiet connection is sent a message so often, in seconds: proxies and clients give up a silent one.
        /// Yjs clients renew their presence every 15 s and reconnect after 30 s of silence.
        keepalive_s: u64 = KEEPALIVE_MS / 1_000, Rule::Seconds { min: 1, max: 15 };
    }
}

settings! {
    /// The store.
    Storage "storage." |config| config.storage => {
        /// Memory for what the index keeps at hand, in bytes.
        cache_bytes: u64 = 64 << 20, Rule::Bytes { min: MIB, max: 64 * GIB };
        /// A journal file is closed when it has reached this size, in bytes; one large update makes it larger.
        journal_file_bytes: u64 = 16 << 20, Rule::Bytes { min: 64 * KIB, max: GIB };
    }
}

/// In which header proxies tell whom they ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

impl ProxyHeader {
    const WORDS: &[&str] = &["x-forwarded-for", "forwarded"];
}

impl Setting for ProxyHeader {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text == "x-forwarded-for" => Ok(Self::XForwardedFor),
            Raw::Text(text) if text == "forwarded" => Ok(Self::Forwarded),
            _ => Err("the header is \"x-forwarded-for\" or \"forwarded\"".to_owned()),
        }
    }

    fn show(&self, _: Rule) -> String {
        match self {
            Self::XForwardedFor => "x-forwarded-for".to_owned(),
            Self::Forwarded => "forwarded".to_owned(),
        }
    }
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl LogFormat {
    const WORDS: &[&str] = &["text", "json"];
}

impl Setting for LogFormat {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text == "text" => Ok(Self::Text),
            Raw::Text(text) if text == "json" => Ok(Self::Json),
            _ => Err("the format is \"text\" or \"json\"".to_owned()),
        }
    }

    fn show(&self, _: Rule) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

impl Auth {
    /// Whether anything tells who somebody is.
    pub fn is_set(&self) -> bool {
        !self.secret.is_empty() || self.keys_file.is_some() || self.webhook_url.is_some()
    }
}

impl Setting for Role {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let (Raw::Text(text), Rule::Choice(words)) = (raw, rule) else {
            return Err("a role in words is wanted, as in \"viewer\"".to_owned());
        };
        let found = words.iter().find(|word| **word == text.trim());
        let role = found.and_then(|word| word.parse().ok());
        role.ok_or_else(|| format!("the role is one of {}", words.join(", ")))
    }

    fn show(&self, _: Rule) -> String {
        self.name().to_owned()
    }
}
