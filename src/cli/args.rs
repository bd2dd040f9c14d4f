//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mapweave_proto::MapName;

use super::target::ServerUrl;
use super::token::Lifetime;
use crate::auth::{Algorithm, MapPattern, Role, Secret};
use crate::config::{self, Given, Purpose, UpstreamUrl};
use crate::tls::Fingerprint;

/// Collaborative geodata for people whose network fails: a server, and commands on its maps.
#[derive(Debug, Parser)]
#[command(
    name = "mapweave",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(flatten)]
    settings: SettingArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Settings that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings")]
struct SettingArgs {
    /// Configuration file in TOML [default: mapweave.toml, if there is one] [env: MAPWEAVE_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set anything that the configuration file can hold, as in limits.sessions_max=100
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Which log messages to show, as in info or warn,mapweave=debug [env: MAPWEAVE_LOG_FILTER]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How to show them: text or json [env: MAPWEAVE_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve maps over WebSockets and HTTP until interrupted
    #[command(after_long_help = config::help())]
    Serve(ServeArgs),
    /// Put features of files into a map: new ones are added, known ones updated, others left alone
    Import(ImportArgs),
    /// Write the features of a map to a file
    Export(ExportArgs),
    /// List the maps
    Maps(MapsArgs),
    /// Exchange maps with another server, both ways: from a data folder, or for a running server
    Sync(SyncArgs),
    /// Check everything stored: checksums, hash chains, and that the replayed log equals the present state
    Verify(VerifyArgs),
    /// Store a snapshot of maps, so that they load fast; their history stays whole
    Compact(CompactArgs),
    /// Make a token, which opens maps to whoever has it; make keys, and take tokens back
    Token(TokenArgs),
    /// Check this machine, the data folder and the configuration, and say what to do
    Doctor(DoctorArgs),
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080] [env: MAPWEAVE_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Folder of the store [default: ./data] [env: MAPWEAVE_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Exchange maps with this server whenever there is a link to it, as in https://maps.example.org [env: MAPWEAVE_UPSTREAM_URL]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Maps to exchange with it: a name in which * stands for any characters within a segment and ** for any at all; several
    /// times for several [default: **] [env: MAPWEAVE_UPSTREAM_MAPS]
    #[arg(long, value_name = "PATTERN")]
    maps: Vec<String>,
    /// File with the token to show there, of role relay [env: MAPWEAVE_UPSTREAM_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    upstream_token_file: Option<String>,
    /// Trust the authorities in this file (PEM) and no others for that link [env: MAPWEAVE_UPSTREAM_CA_FILE]
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<String>,
    /// Most bytes a second on that link, each way; 0 is as many as it takes [env: MAPWEAVE_UPSTREAM_BYTES_PER_S]
    #[arg(long, value_name = "N")]
    upstream_bytes_per_s: Option<String>,
    /// Let in those without a token; without keys that means everybody, as owners of every map [env: MAPWEAVE_ALLOW_ANONYMOUS]
    #[arg(long)]
    allow_anonymous: bool,
    /// Speak TLS with the certificate in this file (PEM, its chain behind it) [env: MAPWEAVE_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The private key of that certificate (PEM) [env: MAPWEAVE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Speak TLS with a certificate of our own making, and say how to trust it [env: MAPWEAVE_TLS_SELF_SIGNED]
    #[arg(long)]
    tls_self_signed: bool,
}

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    /// The server to exchange with, as in https://maps.example.org or http://10.0.0.1:8080
    #[arg(value_name = "URL")]
    pub(super) url: UpstreamUrl,
    /// Maps to exchange: a name in which * stands for any characters within a segment and ** for any at all; several
    /// times for several [default: **]
    #[arg(long, value_name = "PATTERN")]
    pub(super) maps: Vec<MapPattern>,
    /// End when both have all of each other's, instead of going on until interrupted
    #[arg(long)]
    pub(super) once: bool,
    /// The token to show there, of role relay; better in the variable or a file [env: MAPWEAVE_UPSTREAM_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<Secret>,
    /// File with that token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(super) token_file: Option<PathBuf>,
    /// Trust the authorities in this file (PEM) and no others, for a server at https://
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Vec<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint, the server's or its authority's, and no other
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) pin: Option<Fingerprint>,
    /// Most bytes a second on the link, each way; 0 is as many as it takes
    #[arg(long, value_name = "N", default_value = "0")]
    pub(super) bytes_per_s: u64,
    /// Exchange the store in this folder; its server must be stopped [env: MAPWEAVE_DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub(super) data: Option<String>,
    /// Exchange the maps of the running server at this address [default: the configured address if a server answers
    /// there, else the data folder]
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<ServerUrl>,
    /// The token to show at that server, of role relay
    #[arg(long, value_name = "TOKEN", requires = "server")]
    pub(super) server_token: Option<Secret>,
}

/// What a command works on.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where the maps are")]
pub struct TargetArgs {
    /// Work on the store in this folder; its server must be stopped [env: MAPWEAVE_DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub(super) data: Option<String>,
    /// Work on the running server at this address [default: the configured address if a server answers there,
    /// else the data folder] [env: MAPWEAVE_SERVER]
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<ServerUrl>,
    /// Trust the authorities in this file (PEM) and no others, for a server at https:// [env: MAPWEAVE_CA]
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Vec<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint, the server's or its authority's, and no other [env: MAPWEAVE_PIN]
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) pin: Option<Fingerprint>,
    /// Who you are to that server: a token; better in the variable, since others on this machine see what is written here
    /// [env: MAPWEAVE_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<Secret>,
}

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The map; it is made if there is none
    #[arg(value_name = "MAP", value_parser = MapName::parse)]
    pub(super) map: MapName,
    /// Files to import in this order; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Put new features into this layer
    #[arg(long, value_name = "NAME")]
    pub(super) layer: Option<String>,
    /// Format of the files [default: by file name or content]
    #[arg(long, value_name = "FORMAT", value_parser = super::import::Source::parse)]
    pub(super) format: Option<super::import::Source>,
    /// Reference system of the coordinates, as in EPSG:25832, whatever the files say [default: what they say, else WGS 84]
    #[arg(long, value_name = "CRS")]
    pub(super) crs: Option<crate::formats::Crs>,
    /// Column of longitudes or eastings, in formats of columns [default: lon, lng, long, longitude, x or easting]
    #[arg(long, value_name = "COLUMN", requires = "y")]
    pub(super) x: Option<String>,
    /// Column of latitudes or northings [default: lat, latitude, y or northing]
    #[arg(long, value_name = "COLUMN", requires = "x")]
    pub(super) y: Option<String>,
    /// Bring back features that were deleted from the map
    #[arg(long)]
    pub(super) restore: bool,
    /// Import the good records where some are wrong; the wrong ones are named, and the exit code is 1
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The map
    #[arg(value_name = "MAP", value_parser = MapName::parse)]
    pub(super) map: MapName,
    /// File to write; it appears only once it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Format to write; yjs is the whole document as one Yjs update [default: by file name, else geojson]
    #[arg(long, value_name = "FORMAT", value_parser = super::export::Sink::parse)]
    pub(super) format: Option<super::export::Sink>,
    /// Only features of this layer
    #[arg(long, value_name = "NAME")]
    pub(super) layer: Option<String>,
    /// Only features that reach into this box, in degrees; west > east crosses the antimeridian
    #[arg(long, value_name = "W,S,E,N", allow_hyphen_values = true)]
    pub(super) bbox: Option<crate::geometry::BBox>,
    /// Round coordinates to so many decimals; 7 are about a centimetre [default: not rounded]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=i64::from(crate::formats::PRECISION_MAX)))]
    pub(super) precision: Option<u8>,
    /// Write the box around each feature and around all of them (GeoJSON only)
    #[arg(long)]
    pub(super) with_bbox: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `maps`.
#[derive(Debug, clap::Args)]
pub struct MapsArgs {
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Only this map
    #[arg(value_name = "MAP", value_parser = MapName::parse)]
    pub(super) map: Option<MapName>,
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `compact`.
#[derive(Debug, clap::Args)]
pub struct CompactArgs {
    /// Only this map
    #[arg(value_name = "MAP", value_parser = MapName::parse)]
    pub(super) map: Option<MapName>,
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = TOKEN_EXAMPLES
)]
pub struct TokenArgs {
    /// What else to do.
    #[command(subcommand)]
    pub(super) command: Option<TokenCommand>,
    /// Maps that it opens: a name in which * stands for any characters within a segment and ** for any at all; several
    /// times for several
    #[arg(long = "map", value_name = "PATTERN", required = true)]
    pub(super) maps: Vec<MapPattern>,
    /// What its bearer may do there: viewer, commenter, editor, owner or relay
    #[arg(long, value_name = "ROLE", required = true)]
    pub(super) role: Option<Role>,
    /// Who it is for: an id that stays the same for a person, and lies in the log beside every edit
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// What people call them
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// How long it is good: 90s, 30m, 8h, 30d or never
    #[arg(long, value_name = "TIME", default_value = "8h")]
    pub(super) expires: Lifetime,
    /// File of the key that signs it [default: auth.keys_file, else auth.secret]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
}

const TOKEN_EXAMPLES: &str = "\
Examples:
  mapweave token keygen > keys.json && chmod 600 keys.json
  mapweave token --key keys.json --map 'north/**' --role editor --user eva --name 'Eva M.' --expires 30d
  mapweave token revoke --user eva --server http://127.0.0.1:8080";

/// What else can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a key that signs and checks tokens, as a JSON Web Key
    Keygen(KeygenArgs),
    /// Take a token back, or all tokens of a person; who is in with one is sent away at once
    Revoke(RevokeArgs),
    /// List what was taken back
    ListRevoked(ListRevokedArgs),
}

/// Arguments of `token keygen`.
#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    /// hs256: one secret for those who make tokens and those who check them. eddsa: a key in two halves, of which the
    /// public one only checks
    #[arg(long, value_name = "ALG", default_value = "hs256", value_parser = super::token::algorithm)]
    pub(super) alg: Algorithm,
    /// Print the public half of the eddsa keys in this file instead
    #[arg(long, value_name = "FILE", conflicts_with = "alg")]
    pub(super) public: Option<PathBuf>,
}

/// Arguments of `token revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The token with this id (jti), which is told when it is made
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "user",
        conflicts_with = "user"
    )]
    pub(super) id: Option<String>,
    /// All tokens of this person so far
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// Only tokens issued before this time, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS", requires = "user")]
    pub(super) before: Option<u64>,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `token list-revoked`.
#[derive(Debug, clap::Args)]
pub struct ListRevokedArgs {
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Tell the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: TargetArgs,
}

impl Args {
    /// What the arguments say about settings.
    pub(super) fn given(&self) -> Given {
        let mut flags = Vec::new();
        let mut flag = |key: &str, value: Option<&String>, flag: &str| {
            if let Some(value) = value {
                flags.push((key.to_owned(), value.clone(), flag.to_owned()));
            }
        };
        for (key, value) in &self.settings.set {
            flag(key, Some(value), "--set");
        }
        flag("log.filter", self.settings.log.as_ref(), "--log");
        flag(
            "log.format",
            self.settings.log_format.as_ref(),
            "--log-format",
        );
        let data = match &self.command {
            Command::Serve(serve) => {
                flag("listen", serve.listen.as_ref(), "--listen");
                flag("upstream.url", serve.upstream.as_ref(), "--upstream");
                let maps = (!serve.maps.is_empty()).then(|| serve.maps.join(","));
                flag("upstream.maps", maps.as_ref(), "--maps");
                flag(
                    "upstream.token_file",
                    serve.upstream_token_file.as_ref(),
                    "--upstream-token-file",
                );
                flag(
                    "upstream.ca_file",
                    serve.upstream_ca.as_ref(),
                    "--upstream-ca",
                );
                flag(
                    "upstream.bytes_per_s",
                    serve.upstream_bytes_per_s.as_ref(),
                    "--upstream-bytes-per-s",
                );
                flag(
                    "allow_anonymous",
                    serve.allow_anonymous.then(|| "true".to_owned()).as_ref(),
                    "--allow-anonymous",
                );
                flag("tls.cert", serve.tls_cert.as_ref(), "--tls-cert");
                flag("tls.key", serve.tls_key.as_ref(), "--tls-key");
                flag(
                    "tls.self_signed",
                    serve.tls_self_signed.then(|| "true".to_owned()).as_ref(),
                    "--tls-self-signed",
                );
                serve.data.as_ref()
            }
            Command::Import(ImportArgs { target, .. })
            | Command::Export(ExportArgs { target, .. })
            | Command::Maps(MapsArgs { target, .. })
            | Command::Verify(VerifyArgs { target, .. })
            | Command::Compact(CompactArgs { target, .. })
            | Command::Doctor(DoctorArgs { target, .. }) => target.data.as_ref(),
            Command::Sync(sync) => sync.data.as_ref(),
            Command::Token(token) => match &token.command {
                Some(
                    TokenCommand::Revoke(RevokeArgs { target, .. })
                    | TokenCommand::ListRevoked(ListRevokedArgs { target, .. }),
                ) => target.data.as_ref(),
                Some(TokenCommand::Keygen(_)) | None => None,
            },
        };
        flag("data", data, "--data");
        let purpose = if matches!(self.command, Command::Serve(_)) {
            Purpose::Serve
        } else {
            Purpose::Command
        };
        Given {
            file: self.settings.config.clone(),
            flags,
            purpose,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, as in limits.sessions_max=100")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_has_no_contradictions() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_become_settings_with_their_names() {
        let line = "mapweave --set limits.sessions_max=5 serve --listen 127.0.0.1:0 --data d --allow-anonymous --log debug";
        let given = Args::try_parse_from(line.split(' ')).unwrap().given();
        let said: Vec<String> = given
            .flags
            .iter()
            .map(|(key, value, flag)| format!("{flag} {key}={value}"))
            .collect();
        let expected = [
            "--set limits.sessions_max=5",
            "--log log.filter=debug",
            "--listen listen=127.0.0.1:0",
            "--allow-anonymous allow_anonymous=true",
            "--data data=d",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "mapweave",
            "mapweave sevre",
            "mapweave import",
            "mapweave import m",
            "mapweave import ../m f.geojson",
            "mapweave export m --bbox 1,2,3",
            "mapweave export m --format docx",
            "mapweave maps --data d --server http://127.0.0.1:1",
            "mapweave maps --server ftp://127.0.0.1",
            "mapweave --set sessions serve",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_box_may_start_with_a_minus() {
        let args =
            Args::try_parse_from("mapweave export m --bbox -10,-5.5,10,5".split(' ')).unwrap();
        let Command::Export(export) = args.command else {
            panic!("an export")
        };
        assert!(export.bbox.is_some());
    }
}
