//! The entrance of every route: who asks, and whether they may.
//!
//! A route learns who asks from [`Caller`], and comes to a map by [`App::enter`] or [`App::permit`] alone, so that
//! none can forget to ask. What is refused here is said before anything of the map is looked at: whoever may not
//! have a map is told the same whether it exists or not.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use mapweave_proto::MapName;
use mapweave_storage::{Origin, Protocol};
use warp::http::{HeaderMap, StatusCode, header};
use warp::{Filter, Rejection};

use super::accept::{PeerAddress, Scheme};
use super::problem::Problem;
use super::state::{App, map_name};
use crate::auth::{Passport, Permit, Refused, Role, Secret, Who};
use crate::room::{IfUnknown, RoomHandle};

/// Who sends a request: from where, and with which token. Shows the token nowhere.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The other end of the connection.
    pub address: PeerAddress,
    /// How their request was sent, as they see it.
    pub scheme: Scheme,
    token: Secret,
    /// Somebody passed the request on, so that the other end of the connection is not who asks.
    forwarded: bool,
}

/// A map that somebody may enter.
pub struct Entered {
    /// Its room.
    pub room: RoomHandle,
    /// What they may do there.
    pub permit: Permit,
}

/// Headers of a request that came through a proxy.
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

impl Caller {
    /// The sender of a plain request with these headers and this query. `Authorization: Bearer` goes before `?token=`.
    pub fn new(address: PeerAddress, headers: &HeaderMap, query: &str) -> Self {
        let authorization = headers.get(header::AUTHORIZATION);
        let bearer = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| Secret::new(token.trim()));
        Self {
            address,
            scheme: Scheme::Http,
            token: bearer.or_else(|| token_in(query)).unwrap_or_default(),
            forwarded: FORWARDING.iter().any(|name| headers.contains_key(*name)),
        }
    }

    /// Their token, if they sent one.
    pub fn token(&self) -> Option<&str> {
        Some(self.token.expose()).filter(|token| !token.is_empty())
    }

    /// The server as they reach it, by `plain` (`http` or `ws`) or, where that is so, by TLS. The host was checked before.
    pub fn base_url(&self, headers: &HeaderMap, plain: &str) -> Option<String> {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let secure = match self.scheme {
            Scheme::Http => "",
            Scheme::Https => "s",
        };
        Some(format!("{plain}{secure}://{host}"))
    }

    /// Where they are.
    pub fn ip(&self) -> IpAddr {
        self.address.0.ip()
    }

    /// Whether they are on this machine themselves, with no proxy between.
    pub fn is_local(&self) -> bool {
        self.ip().is_loopback() && !self.forwarded
    }

    /// What they do over `protocol` is written to the log so.
    pub fn origin(&self, who: &Who, protocol: Protocol) -> Arc<Origin> {
        Arc::new(Origin {
            user: who.id.clone(),
            session: self.address.0.to_string(),
            client: None,
            protocol,
            made_at_ms: None,
            relayed: None,
        })
    }
}

/// Tells a route who sends the request.
pub(super) fn caller() -> impl Filter<Extract = (Caller,), Error = Rejection> + Clone {
    warp::ext::get::<PeerAddress>()
        .and(warp::ext::get::<Scheme>())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .map(
            |address, scheme, headers: HeaderMap, query: String| Caller {
                scheme,
                ..Caller::new(address, &headers, &query)
            },
        )
}

/// A request's query as it is; empty where there is none.
pub(super) fn raw_query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// The query without what must not be repeated to anybody; as it was, where there is nothing of that.
pub fn without_token(query: &str) -> String {
    if token_in(query).is_none() {
        return query.to_owned();
    }
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != TOKEN));
    out.finish()
}

/// The parameter that has the token.
const TOKEN: &str = "token";

fn token_in(query: &str) -> Option<Secret> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, token) = pairs.find(|(name, _)| name == TOKEN)?;
    Some(Secret::new(token.into_owned()))
}

impl App {
    /// Turns away a caller whose token is not good for anything, before anything more is taken in from them.
    ///
    /// # Errors
    /// 401.
    pub fn greet(&self, caller: &Caller) -> Result<(), Problem> {
        Ok(self.gate.greet(caller.token())?)
    }

    /// What `caller` may do in a map, which is at least what `needed` may.
    ///
    /// # Errors
    /// 401, 403 or 503, as the gate decides.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn permit(
        &self,
        caller: &Caller,
        map: &MapName,
        needed: Role,
    ) -> Result<Permit, Problem> {
        let permit = self.gate.admit(caller.token(), map, caller.ip()).await?;
        permit.require(needed)?;
        Ok(permit)
    }

    /// What `caller` may do in a map to which they send something or connect: at least read it, or leave what they edited
    /// before that right was taken back.
    ///
    /// # Errors
    /// As [`App::permit`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn depositor(&self, caller: &Caller, map: &MapName) -> Result<Permit, Problem> {
        Ok(self.gate.admit(caller.token(), map, caller.ip()).await?)
    }

    /// A way into a map, named by a path segment, for a caller who may do there what `needed` may.
    ///
    /// # Errors
    /// As [`App::permit`]; then, where the map is unknown or deleted.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn enter(
        self: &Arc<Self>,
        caller: &Caller,
        segment: &str,
        if_unknown: IfUnknown,
        needed: Role,
    ) -> Result<Entered, Problem> {
        let name = map_name(segment)?;
        let permit = self.permit(caller, &name, needed).await?;
        let room = self.rooms.enter(&name, if_unknown)?;
        Ok(Entered { room, permit })
    }

    /// Who `caller` is, for what is not about one map.
    ///
    /// # Errors
    /// As [`App::permit`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn passport(&self, caller: &Caller) -> Result<Passport, Problem> {
        Ok(self.gate.passport(caller.token(), caller.ip()).await?)
    }

    /// The same for what only operators may do: owners of all maps.
    ///
    /// # Errors
    /// As [`App::passport`]; 403 for others.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn operator(&self, caller: &Caller) -> Result<Passport, Problem> {
        let passport = self.passport(caller).await?;
        match passport.is_operator() {
            true => Ok(passport),
            false => Err(Refused::Forbidden(
                "this is for operators: it needs a token with the role owner in the maps **"
                    .to_owned(),
            )
            .into()),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BadToken(why) => Self::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "A valid token is needed here",
                why,
            ),
            Refused::Forbidden(why) => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "This is not allowed",
                why,
            ),
            Refused::Unavailable(why) => Self::unavailable(why),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn caller(headers: &[(&'static str, &str)], query: &str) -> Caller {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Caller::new(PeerAddress(([127, 0, 0, 1], 1).into()), &map, query)
    }

    #[test]
    fn a_token_is_taken_from_the_header_and_else_from_the_query() {
        for (header, query, token) in [
            (None, "", None),
            (None, "token=", None),
            (None, "a=b&token=x%2By", Some("x+y")),
            (Some("Bearer h"), "token=q", Some("h")),
            (Some("bearer  h "), "", Some("h")),
            (Some("Basic aGk6aGk="), "token=q", Some("q")),
            (Some("Bearer"), "token=q", Some("q")),
        ] {
            let headers: Vec<_> = header.map(|h| ("authorization", h)).into_iter().collect();
            assert_eq!(caller(&headers, query).token(), token, "{header:?} {query}");
        }
        let shown = format!(
            "{:?}",
            caller(&[("authorization", "Bearer hunter2")], "token=hunter2")
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_request_that_was_passed_on_is_not_from_this_machine() {
        assert!(caller(&[], "").is_local());
        assert!(!caller(&[("x-forwarded-for", "10.0.0.1")], "").is_local());
        assert!(!caller(&[("forwarded", "for=10.0.0.1")], "").is_local());
    }

    #[test]
    fn a_query_is_repeated_without_its_token() {
        assert_eq!(
            without_token("limit=5&token=x&bbox=1%2C2"),
            "limit=5&bbox=1%2C2"
        );
        assert_eq!(without_token("token=x"), "");
        assert_eq!(without_token("bbox=1,2"), "bbox=1,2");
    }
}
