//! `mapweave token`: tokens, the keys that sign them, and what was revoked.

use std::str::FromStr;

use serde_json::json;

use super::args::{KeygenArgs, ListRevokedArgs, RevokeArgs, TokenArgs, TokenCommand};
use super::console::Console;
use super::context::Context;
use super::table::plain;
use super::target::Intent;
use crate::auth::{
    Algorithm, Claims, Grant, Key, Keys, NumericDate, Revocation, mint, system_clock,
};
use crate::config::Config;
use crate::time::rfc3339_ms;
use crate::{Error, Exit};

/// How long a token is good: `90s`, `30m`, `8h`, `30d` or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(Option<u64>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let wrong = || format!("{text:?} is no span of time: write 90s, 30m, 8h, 30d or never");
        let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
        let parsed = units.into_iter().find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(seconds)
        });
        let seconds = parsed.filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
        Ok(Self(Some(seconds)))
    }
}

/// Does what is asked of tokens.
pub(super) fn run(args: &TokenArgs, context: Context<'_>) -> Result<Exit, Error> {
    match &args.command {
        None => make(args, context.config, context.console),
        Some(TokenCommand::Keygen(args)) => keygen(args, context.console),
        Some(TokenCommand::Revoke(args)) => revoke(args, context),
        Some(TokenCommand::ListRevoked(args)) => list_revoked(args, context),
    }
}

/// Prints a token, alone, so that scripts can take it.
fn make(args: &TokenArgs, config: &Config, console: &mut Console) -> Result<Exit, Error> {
    let auth = &config.auth;
    let keys = match &args.key {
        Some(file) => Keys::from_file(file)?,
        None => Keys::load(&auth.secret, auth.keys_file.as_deref())?,
    };
    let Some(role) = args.role else {
        return Err(Error::Usage("say what the token is for: --role".to_owned()));
    };
    let now_s = system_clock()() / 1_000;
    let Lifetime(seconds) = args.expires;
    let grants = args.maps.iter().map(|pattern| Grant {
        pattern: pattern.clone(),
        role,
    });
    let claims = Claims {
        sub: args.user.clone().unwrap_or_default(),
        name: args.name.clone().unwrap_or_default(),
        exp: seconds.map(|seconds| NumericDate(now_s.saturating_add(seconds))),
        maps: grants.collect(),
        ..Claims::default()
    };
    let audience = auth.audience.as_deref().unwrap_or("");
    claims
        .check_form()
        .map_err(|error| Error::Usage(error.to_string()))?;
    let (claims, token) = mint(&keys, audience, now_s, claims)?;
    let until = claims.exp.map_or("for ever".to_owned(), |exp| {
        format!("until {}", rfc3339_ms(exp.ms()))
    });
    console.say(format_args!(
        "a token with the id {}, good {until}; whoever has it has the role {role}",
        claims.jti.unwrap_or_default()
    ));
    console.line(token)?;
    Ok(Exit::Done)
}

/// Prints a fresh key, or the public half of one.
fn keygen(args: &KeygenArgs, console: &mut Console) -> Result<Exit, Error> {
    let Some(file) = &args.public else {
        console.say("keep this where nobody else can read it: whoever has it can make tokens");
        console.line(Key::generate(args.alg)?)?;
        return Ok(Exit::Done);
    };
    let keys = Keys::from_file(file)?;
    let public: Vec<String> = keys.iter().filter_map(Key::public_half).collect();
    if public.is_empty() {
        return Err(Error::Usage(format!(
            "{} has no key with a public half: make one with `mapweave token keygen --alg eddsa`",
            file.display()
        )));
    }
    console.line(format_args!("{{\"keys\":[{}]}}", public.join(",")))?;
    Ok(Exit::Done)
}

fn revoke(args: &RevokeArgs, context: Context<'_>) -> Result<Exit, Error> {
    // A second more, so that what was issued in this one is among it.
    let so_far = (system_clock()() / 1_000).saturating_add(1);
    let revocation = match (&args.id, &args.user) {
        (Some(id), None) => Revocation::Token { id: id.clone() },
        (None, Some(user)) => Revocation::Person {
            id: user.clone(),
            before_s: args.before.unwrap_or(so_far),
        },
        _ => {
            return Err(Error::Usage(
                "name either a token (--id) or a person (--user)".to_owned(),
            ));
        }
    };
    context.on(&args.target, Intent::Change, async |target, console| {
        target.revoke(&revocation).await?;
        console.say(format_args!("revoked {}", shown(&revocation)));
        Ok(Exit::Done)
    })
}

fn list_revoked(args: &ListRevokedArgs, context: Context<'_>) -> Result<Exit, Error> {
    context.on(&args.target, Intent::Read, async |target, console| {
        let revoked = target.revocations().await?;
        if args.json {
            let revoked: Vec<_> = revoked.iter().map(as_json).collect();
            console.json(&json!(revoked))?;
        } else if revoked.is_empty() {
            console.say("nothing was revoked");
        } else {
            for revocation in &revoked {
                console.line(shown(revocation))?;
            }
        }
        Ok(Exit::Done)
    })
}

fn shown(revocation: &Revocation) -> String {
    match revocation {
        Revocation::Token { id } => format!("the token {}", plain(id)),
        Revocation::Person { id, before_s } => format!(
            "all tokens of {} from before {}",
            plain(id),
            rfc3339_ms(before_s.saturating_mul(1_000))
        ),
    }
}

/// As the server's API has it.
fn as_json(revocation: &Revocation) -> serde_json::Value {
    match revocation {
        Revocation::Token { id } => json!({ "token": id }),
        Revocation::Person { id, before_s } => json!({ "user": id, "before": before_s }),
    }
}

/// For the command line.
pub(super) fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "hs256" => Ok(Algorithm::Hs256),
        "eddsa" => Ok(Algorithm::EdDsa),
        _ => Err("there are hs256 and eddsa".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("8h", Some(28_800)),
            ("30d", Some(2_592_000)),
            ("never", None),
        ] {
            assert_eq!(text.parse(), Ok(Lifetime(seconds)), "{text}");
        }
        for bad in [
            "",
            "8",
            "h",
            "-1h",
            "0s",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999d",
            "8 h",
        ] {
            assert!(bad.parse::<Lifetime>().is_err(), "{bad}");
        }
    }
}
