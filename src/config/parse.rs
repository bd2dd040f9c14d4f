//! From what was written to a checked value: one rule a key, one parser a type.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::address::UpstreamUrl;
use crate::auth::{MapPattern, SECRET_BYTES_MIN, Secret};

/// A value as it was given, before anybody knows what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// A flag, a variable, or a string of the file.
    Text(String),
    /// An integer of the file.
    Integer(i128),
    /// `true` or `false` of the file.
    Switch(bool),
    /// An array of strings of the file.
    List(Vec<String>),
    /// Something of the file that no key takes.
    Other(&'static str),
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A number of bytes, also written as `64 MiB`.
    Bytes {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// A number.
    Count {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// A number of whole seconds.
    Seconds {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// An address and a port.
    Address,
    /// A path.
    Path,
    /// A file, or nothing.
    File,
    /// Words, or nothing.
    Text,
    /// A text that is never shown, or nothing.
    Secret,
    /// An address that starts with `http://` or `https://`, or nothing.
    Url,
    /// An address of another server, or nothing.
    Upstream,
    /// Names of maps, with stars.
    Patterns,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A filter of log messages.
    Filter,
    /// Host names without a port.
    Hosts,
    /// Origins of web pages: scheme and host, a port where it is not the usual one.
    Origins,
    /// Networks by address and length of their prefix, or single addresses.
    Networks,
}

impl Rule {
    /// A number as this rule's values are written.
    pub fn show_number(self, number: u64) -> String {
        match self {
            Self::Bytes { .. } => show_bytes(number),
            Self::Seconds { .. } => format!("{number} s"),
            _ => number.to_string(),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Bytes { .. } => "a number of bytes",
            Self::Seconds { .. } => "whole seconds",
            _ => "a number",
        }
    }
}

/// A type that a field can have.
pub(super) trait Setting: Sized {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String>;
    fn show(&self, rule: Rule) -> String;
}

impl Raw {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix());
                parsed.map_or(Self::Other("a number out of all bounds"), Self::Integer)
            }
            DeValue::Boolean(on) => Self::Switch(*on),
            DeValue::Array(items) => {
                let texts = items
                    .iter()
                    .map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map_or(
                    Self::Other("an array of other things than strings"),
                    Self::List,
                )
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Several strings, also in one with commas between.
    fn list(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Text(text) => {
                let items = text.split(',').map(|s| s.trim().to_owned());
                Ok(items.filter(|s| !s.is_empty()).collect())
            }
            other => Err(format!(
                "{} is given where an array of strings is wanted",
                other.what()
            )),
        }
    }

    fn text(&self, wanted: &str) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!(
                "{} is given where {wanted} is wanted",
                other.what()
            )),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Switch(_) => "true or false",
            Self::List(_) => "an array",
            Self::Other(what) => what,
        }
    }
}

impl Setting for u64 {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let (min, max, in_bytes) = match rule {
            Rule::Bytes { min, max } => (min, max, true),
            Rule::Count { min, max } | Rule::Seconds { min, max } => (min, max, false),
            _ => (0, Self::MAX, false),
        };
        let number = match raw {
            Raw::Integer(number) => Some(*number),
            Raw::Text(text) if in_bytes => bytes_from(text),
            Raw::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let wanted = || {
            format!(
                "{} from {} to {}",
                rule.noun(),
                rule.show_number(min),
                rule.show_number(max)
            )
        };
        let number = number
            .ok_or_else(|| format!("{} is given where {} is wanted", given(raw), wanted()))?;
        let fitting = Self::try_from(number)
            .ok()
            .filter(|n| (min..=max).contains(n));
        fitting.ok_or_else(|| format!("{number} is out of bounds: give {}", wanted()))
    }

    fn show(&self, rule: Rule) -> String {
        rule.show_number(*self)
    }
}

impl Setting for usize {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let number = u64::parse(raw, rule)?;
        Self::try_from(number)
            .map_err(|_| format!("{number} does not fit the memory of this machine"))
    }

    fn show(&self, rule: Rule) -> String {
        rule.show_number(*self as u64)
    }
}

impl Setting for bool {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        match raw {
            Raw::Switch(on) => Ok(*on),
            Raw::Text(text) if text.trim() == "true" => Ok(true),
            Raw::Text(text) if text.trim() == "false" => Ok(false),
            _ => Err(format!(
                "{} is given where true or false is wanted",
                given(raw)
            )),
        }
    }

    fn show(&self, _: Rule) -> String {
        self.to_string()
    }
}

impl Setting for SocketAddr {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        let text = raw.text("an address like \"127.0.0.1:8080\"")?.trim();
        // The one name that needs no look-up; every other must be written as the address that it means.
        let numeric = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        let parsed = numeric.as_deref().unwrap_or(text).parse();
        parsed.map_err(|_| {
            format!("{text:?} is no address with a port: write 127.0.0.1:8080 or [::1]:8080")
        })
    }

    fn show(&self, _: Rule) -> String {
        self.to_string()
    }
}

impl Setting for PathBuf {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        match raw.text("a path")? {
            "" => Err("the path is empty".to_owned()),
            text => Ok(Self::from(text)),
        }
    }

    fn show(&self, _: Rule) -> String {
        self.display().to_string()
    }
}

impl Setting for String {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let text = raw.text("a string")?.trim();
        if rule == Rule::Filter {
            EnvFilter::try_new(text).map_err(|e| {
                format!("{text:?} is no log filter ({e}): write `info` or `warn,mapweave=debug`")
            })?;
        }
        Ok(text.to_owned())
    }

    fn show(&self, _: Rule) -> String {
        self.clone()
    }
}

/// Nothing is written as an empty text.
impl Setting for Option<PathBuf> {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        let text = raw.text("a path")?;
        Ok(Some(text)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from))
    }

    fn show(&self, _: Rule) -> String {
        let shown = self.as_ref().map(|path| path.display().to_string());
        shown.unwrap_or_else(|| "none".to_owned())
    }
}

/// Nothing is written as an empty text.
impl Setting for Option<String> {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let text = raw.text("a string")?.trim();
        let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with('/');
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let url = rest.is_some_and(has_host);
        if rule == Rule::Url && !url && !text.is_empty() {
            return Err(
                "this is no address of a service: write http://127.0.0.1:9000/path".to_owned(),
            );
        }
        Ok(Some(text)
            .filter(|text| !text.is_empty())
            .map(str::to_owned))
    }

    fn show(&self, _: Rule) -> String {
        self.clone().unwrap_or_else(|| "none".to_owned())
    }
}

/// Nothing is written as an empty text.
impl Setting for Option<UpstreamUrl> {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        let text = raw.text("a string")?.trim();
        (!text.is_empty()).then(|| text.parse()).transpose()
    }

    fn show(&self, _: Rule) -> String {
        let shown = self.as_ref().map(ToString::to_string);
        shown.unwrap_or_else(|| "none".to_owned())
    }
}

impl Setting for Vec<MapPattern> {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        let parse = |text: &String| text.parse().map_err(|error| format!("{text:?}: {error}"));
        let patterns: Self = raw.list()?.iter().map(parse).collect::<Result<_, _>>()?;
        if patterns.is_empty() {
            return Err("name at least one map or pattern; ** stands for all".to_owned());
        }
        Ok(patterns)
    }

    fn show(&self, _: Rule) -> String {
        let shown: Vec<String> = self.iter().map(ToString::to_string).collect();
        shown.join(", ")
    }
}

/// What is wrong with a secret is told without it.
impl Setting for Secret {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        let text = raw.text("a secret")?.trim();
        match text.len() {
            0 | SECRET_BYTES_MIN.. => Ok(Self::new(text)),
            bytes => Err(format!(
                "the secret has {bytes} bytes: give at least {SECRET_BYTES_MIN} random ones"
            )),
        }
    }

    fn show(&self, _: Rule) -> String {
        if self.is_empty() { "none" } else { "set" }.to_owned()
    }
}

/// A list is an array in the file and is separated by commas elsewhere.
impl Setting for Vec<String> {
    fn parse(raw: &Raw, rule: Rule) -> Result<Self, String> {
        let list = raw.list()?;
        let wrong = list.iter().find_map(|item| check_item(item, rule).err());
        wrong.map_or(Ok(list), Err)
    }

    fn show(&self, _: Rule) -> String {
        if self.is_empty() {
            "none".to_owned()
        } else {
            self.join(", ")
        }
    }
}

impl Setting for Vec<IpNet> {
    fn parse(raw: &Raw, _: Rule) -> Result<Self, String> {
        raw.list()?.iter().map(|item| network(item)).collect()
    }

    fn show(&self, _: Rule) -> String {
        let networks: Vec<String> = self.iter().map(ToString::to_string).collect();
        if networks.is_empty() {
            "none".to_owned()
        } else {
            networks.join(", ")
        }
    }
}

/// A network, or a single address as the network of itself.
fn network(item: &str) -> Result<IpNet, String> {
    let single = item.parse::<IpAddr>().map(IpNet::from);
    let network = single.or_else(|_| item.parse::<IpNet>());
    network.map(|network| network.trunc()).map_err(|_| {
        format!("{item:?} is no network: write `10.0.0.0/8`, `fd00::/8` or one address")
    })
}

fn check_item(item: &str, rule: Rule) -> Result<(), String> {
    let plain = |text: &str| {
        !text.is_empty()
            && !text
                .chars()
                .any(|c| c.is_whitespace() || "/?#@".contains(c))
    };
    match rule {
        Rule::Hosts => {
            let port = item
                .rsplit_once(':')
                .is_some_and(|(name, _)| !name.contains(':'));
            let name = plain(item) && !port && !item.contains('*');
            name.then_some(()).ok_or_else(|| {
                format!(
                    "{item:?} is no host name: write `maps.example.org`, without scheme or port"
                )
            })
        }
        Rule::Origins => {
            let rest = item
                .strip_prefix("https://")
                .or_else(|| item.strip_prefix("http://"));
            let origin = rest.is_some_and(plain) && !item.contains('*');
            origin.then_some(()).ok_or_else(|| {
                format!("{item:?} is no origin: write `https://maps.example.org`, without a path")
            })
        }
        _ => Ok(()),
    }
}

const UNITS: [(&str, u64); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A number of bytes, with or without a unit of 1 024; `KB` and the like are refused for they mean two things.
fn bytes_from(text: &str) -> Option<i128> {
    let text = text.trim();
    let with_unit = UNITS
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = with_unit.unwrap_or((text, 1));
    number
        .trim()
        .parse::<i128>()
        .ok()?
        .checked_mul(i128::from(size))
}

/// The largest unit that divides the number, so that nothing is rounded.
fn show_bytes(bytes: u64) -> String {
    let fitting = UNITS
        .iter()
        .rev()
        .find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    match fitting {
        Some((unit, size)) => format!("{} {unit}", bytes / size),
        None => format!("{bytes} B"),
    }
}

fn given(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        other => other.what().to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BYTES: Rule = Rule::Bytes {
        min: 1 << 10,
        max: 64 << 20,
    };

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        for (text, bytes) in [
            ("2048", 2048),
            ("2 KiB", 2048),
            ("64MiB", 64 << 20),
            (" 1 KiB ", 1024),
        ] {
            assert_eq!(
                u64::parse(&Raw::Text(text.into()), BYTES),
                Ok(bytes),
                "{text}"
            );
        }
        for text in [
            "",
            "KiB",
            "2 KB",
            "1.5 MiB",
            "-5",
            "999999999999999999999999999999999 GiB",
            "65 MiB",
            "1",
        ] {
            let wrong = u64::parse(&Raw::Text(text.into()), BYTES).unwrap_err();
            assert!(wrong.contains("from 1 KiB to 64 MiB"), "{text}: {wrong}");
        }
    }

    #[test]
    fn bytes_are_shown_without_rounding() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1 << 31, "2 GiB"),
            ((1 << 20) + 1024, "1025 KiB"),
        ] {
            assert_eq!(show_bytes(bytes), text);
        }
    }

    #[test]
    fn hosts_and_origins_have_a_form() {
        let list = |text: &str, rule| Vec::<String>::parse(&Raw::Text(text.into()), rule);
        assert_eq!(
            list("a.example, b.example", Rule::Hosts).unwrap(),
            ["a.example", "b.example"]
        );
        assert_eq!(list("", Rule::Hosts).unwrap(), [""; 0]);
        assert!(list("fe80::1", Rule::Hosts).is_ok());
        for bad in ["https://a.example", "a.example:80", "*.example", "a b"] {
            assert!(list(bad, Rule::Hosts).is_err(), "{bad}");
        }
        assert!(list("https://a.example:8443", Rule::Origins).is_ok());
        for bad in ["a.example", "https://a.example/", "*", "https://"] {
            assert!(list(bad, Rule::Origins).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_prefixes_or_addresses() {
        let show = |text: &str| {
            let networks = Vec::<IpNet>::parse(&Raw::Text(text.into()), Rule::Networks);
            networks.map(|networks| networks.show(Rule::Networks))
        };
        let shown = show("10.1.2.3/8, ::1 , 192.0.2.7").unwrap();
        assert_eq!(shown, "10.0.0.0/8, ::1/128, 192.0.2.7/32");
        assert_eq!(show("").unwrap(), "none");
        for bad in ["10.0.0.0/33", "localhost", "10.0.0/8", "*"] {
            assert!(show(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_name_a_port() {
        let parse = |text: &str| SocketAddr::parse(&Raw::Text(text.into()), Rule::Address);
        assert_eq!(parse("localhost:0").unwrap().to_string(), "127.0.0.1:0");
        assert!(parse("[::1]:8080").is_ok());
        for bad in ["8080", "127.0.0.1", "example.org:80", ""] {
            assert!(parse(bad).unwrap_err().contains("127.0.0.1:8080"), "{bad}");
        }
    }
}
