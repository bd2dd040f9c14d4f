//! The one place that decides who may do what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use mapweave_proto::{CloseReason, MapName, Seq};
use mapweave_storage::{Kind, NewRecord, Origin, STORE_LOG, StoreError, UpdateLog};
use tokio::sync::watch;

use super::claims::{Audience, Claims, NumericDate};
use super::jwt::{self, TokenError};
use super::key::{KeyError, Keys, random};
use super::link::{Link, LinkWish};
use super::pattern::MapPattern;
use super::permit::{Passport, Permit, Refused, RelayPermit, Rights, TokenFacts, Who};
use super::revocation::{Revocation, Revocations};
use super::role::Role;
use super::webhook::{Asked, Webhook};
use crate::config::Config;
use crate::tls::ServiceError;

/// The time in milliseconds since 1970 (UTC).
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Most revocations and share links that a server keeps in memory, together.
pub const RECORDS_MAX: usize = 200_000;

/// A waiting session looks at the clock at least so often: clocks are set, and machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Who is let in, and who not any more.
pub struct Gate {
    keys: Keys,
    webhook: Option<Webhook>,
    /// What those without a token may do.
    anonymous: Option<Role>,
    audience: String,
    leeway_s: u64,
    clock: Clock,
    store: Arc<dyn UpdateLog>,
    books: RwLock<Books>,
    /// Rings after every revocation.
    revoked: watch::Sender<()>,
}

/// What the store's log says.
#[derive(Debug, Default)]
struct Books {
    revocations: Revocations,
    links: BTreeMap<String, Link>,
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// A key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The webhook cannot be called.
    #[error("auth.webhook_url: {0}")]
    Webhook(#[from] ServiceError),
    /// What was revoked cannot be read, so nobody is let in.
    #[error("the list of what was revoked cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// Why there is no new token, or nothing was revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// No key can make tokens.
    #[error(
        "this server has no key that can make tokens: set auth.keys_file (`mapweave token keygen` makes one) or auth.secret"
    )]
    NoKey,
    /// A key is wrong, or the machine gives no randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The list is full.
    #[error(
        "this server keeps at most {RECORDS_MAX} revocations and share links; revoke a person's tokens as a whole, or change the key"
    )]
    Full,
    /// It names nobody.
    #[error(
        "a revocation names a token or a person, with 1 to 256 bytes and no control characters"
    )]
    Nobody,
    /// It could not be stored, so that nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whom a token shows, or that somebody else has to be asked.
enum Seen {
    Passport(Passport),
    /// Of a person whose rights were taken back, by a token that says what they were.
    Revoked(Passport),
    Ask,
}

impl Gate {
    /// The gate of a server: its keys, and what was revoked as the log of `store` has it.
    ///
    /// # Errors
    /// [`GateError`]: better no server than one that lets the wrong in.
    pub async fn open(
        config: &Config,
        store: Arc<dyn UpdateLog>,
        clock: Clock,
    ) -> Result<Arc<Self>, GateError> {
        let auth = &config.auth;
        let keys = Keys::load(&auth.secret, auth.keys_file.as_deref())?;
        let webhook = Webhook::of(auth)?;
        let anonymous = match (keys.is_empty() && webhook.is_none(), config.allow_anonymous) {
            (true, _) => Some(Role::Owner),
            (false, true) => Some(auth.anonymous_role),
            (false, false) => None,
        };
        let books = RwLock::new(read_books(store.as_ref()).await?);
        Ok(Arc::new(Self {
            keys,
            webhook,
            anonymous,
            audience: auth.audience.clone().unwrap_or_default(),
            leeway_s: auth.leeway_s,
            clock,
            store,
            books,
            revoked: watch::Sender::new(()),
        }))
    }

    /// A gate that everybody may pass as an owner, and that knows of no revocation.
    pub fn wide_open(store: Arc<dyn UpdateLog>) -> Arc<Self> {
        Arc::new(Self::keeping(Books::default(), store))
    }

    /// The same, for whoever looks after what was revoked.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub async fn of_books(store: Arc<dyn UpdateLog>) -> Result<Self, GateError> {
        let books = read_books(store.as_ref()).await?;
        Ok(Self::keeping(books, store))
    }

    fn keeping(books: Books, store: Arc<dyn UpdateLog>) -> Self {
        Self {
            keys: Keys::default(),
            webhook: None,
            anonymous: Some(Role::Owner),
            audience: String::new(),
            leeway_s: 0,
            clock: system_clock(),
            store,
            books: RwLock::new(books),
            revoked: watch::Sender::new(()),
        }
    }

    /// Whether everybody is an owner, with or without a token.
    pub fn is_wide_open(&self) -> bool {
        self.keys.is_empty() && self.webhook.is_none()
    }

    /// What those without a token may do, if anything.
    pub fn anonymous(&self) -> Option<Role> {
        self.anonymous
    }

    /// Decides what the bearer of `token` may do in `map`, for a request from the address `from`. An empty token is none.
    /// Says the same of maps that exist and that do not.
    ///
    /// Somebody whose rights were taken back as a person, and who could edit the map, may still leave what was edited
    /// before: [`Access::Deposit`](mapweave_proto::Access::Deposit), which [`Permit::require`] takes for nothing.
    ///
    /// # Errors
    /// [`Refused`], with words for the one who asks.
    ///
    /// # Cancel safety
    /// Safe: a question to the webhook is given up.
    pub async fn admit(
        &self,
        token: Option<&str>,
        map: &MapName,
        from: IpAddr,
    ) -> Result<Permit, Refused> {
        let passport = match self.see(token) {
            Ok(Seen::Passport(passport)) => Ok(passport),
            Ok(Seen::Revoked(passport)) => return counted(passport.deposit(map)),
            Ok(Seen::Ask) => self.ask(token, Some(map), from).await,
            Err(refused) => Err(refused),
        };
        let permit = passport.and_then(|passport| passport.permit(map));
        counted(permit)
    }

    /// Decides who the bearer of `token` is, for what is not about one map.
    ///
    /// # Errors
    /// As [`Gate::admit`].
    ///
    /// # Cancel safety
    /// As [`Gate::admit`].
    pub async fn passport(&self, token: Option<&str>, from: IpAddr) -> Result<Passport, Refused> {
        let passport = match self.see(token) {
            Ok(Seen::Passport(passport)) => Ok(passport),
            Ok(Seen::Revoked(_)) => Err(TokenError::Revoked.into()),
            Ok(Seen::Ask) => self.ask(token, None, from).await,
            Err(refused) => Err(refused),
        };
        counted(passport)
    }

    /// Whether `token` can be good for anything at all, before anybody else is asked.
    ///
    /// # Errors
    /// [`Refused::BadToken`].
    pub fn greet(&self, token: Option<&str>) -> Result<(), Refused> {
        counted(self.see(token).map(drop))
    }

    /// What the bearer of `token` may bring as a relay. Where everybody is an owner, everybody may be a relay.
    ///
    /// # Errors
    /// As [`Gate::admit`]; [`Refused::Forbidden`] for who is a relay nowhere.
    ///
    /// # Cancel safety
    /// As [`Gate::admit`].
    pub async fn relay(&self, token: Option<&str>, from: IpAddr) -> Result<RelayPermit, Refused> {
        let passport = self.passport(token, from).await?;
        let patterns = match &passport.rights {
            _ if self.is_wide_open() => vec![MapPattern::all()],
            Rights::Everywhere(Role::Relay) => vec![MapPattern::all()],
            Rights::Everywhere(_) => Vec::new(),
            Rights::Granted(grants) => {
                let relays = grants.iter().filter(|grant| grant.role == Role::Relay);
                relays.map(|grant| grant.pattern.clone()).collect()
            }
        };
        if patterns.is_empty() {
            let why = "your token has the role relay in no map";
            return Err(Refused::Forbidden(why.to_owned()));
        }
        Ok(RelayPermit {
            permit: passport.in_role(Role::Relay),
            patterns,
        })
    }

    /// Whether the tokens that `person` had at a moment (seconds since 1970, UTC) are revoked; where the moment is not
    /// known, whether any are.
    pub fn is_revoked(&self, person: &str, at_s: Option<u64>) -> bool {
        self.read().revocations.revokes(person, None, at_s)
    }

    /// Completes when `permit` is good no more: it expired, or was revoked. Never for one that cannot end.
    ///
    /// # Cancel safety
    /// Safe.
    pub fn ended(self: &Arc<Self>, permit: &Permit) -> BoxFuture<'static, CloseReason> {
        if !permit.can_end() {
            // Takes no memory: most connections of an open server wait here.
            return std::future::pending().boxed();
        }
        let (gate, permit) = (self.clone(), permit.clone());
        async move {
            let mut revoked = gate.revoked.subscribe();
            loop {
                if gate.token_is_revoked(&permit.who, permit.token.as_deref()) {
                    return CloseReason::Forbidden;
                }
                let left = permit
                    .expires_at_ms
                    .map_or(u64::MAX, |at| at.saturating_sub((gate.clock)()));
                if left == 0 {
                    return CloseReason::TokenExpired;
                }
                tokio::select! {
                    // The sender lives in the gate that we hold.
                    _ = revoked.changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(left).min(LOOK_EVERY)) => {}
                }
            }
        }
        .boxed()
    }

    /// A token that says `claims`, and when it was made and which it is where they do not say that.
    ///
    /// # Errors
    /// [`MintError::NoKey`], [`MintError::Key`].
    pub fn mint(&self, claims: Claims) -> Result<String, MintError> {
        mint(&self.keys, &self.audience, self.now_s(), claims).map(|(_, token)| token)
    }

    /// A share link: durable in the log when this returns, with its token, which is kept nowhere.
    ///
    /// # Errors
    /// [`MintError`].
    pub async fn share(
        &self,
        wish: LinkWish,
        origin: Arc<Origin>,
    ) -> Result<(Link, String), MintError> {
        let map = wish.map.clone();
        let link = Link::new(wish, fresh_id()?, self.now_s());
        let token = self.mint(link.claims(&map))?;
        self.check_room()?;
        let what = link.to_text();
        self.append(Kind::Issued { what }, origin).await?;
        self.write().links.insert(link.id.clone(), link.clone());
        Ok((link, token))
    }

    /// The share links of a map that are good, the oldest first.
    pub fn links(&self, map: &MapName) -> Vec<Link> {
        let (books, now_s) = (self.read(), self.now_s());
        let good = |link: &&Link| {
            link.map == map.as_str()
                && link.expires_s > now_s
                && !books.revocations.revokes("", Some(&link.id), None)
        };
        let mut links: Vec<Link> = books.links.values().filter(good).cloned().collect();
        links.sort_by_key(|link| link.made_s);
        links
    }

    /// Takes a token or a person's tokens back: durable in the log when this returns, and the sessions of all whom it
    /// concerns end.
    ///
    /// # Errors
    /// [`MintError`]; then nothing was revoked.
    pub async fn revoke(
        &self,
        revocation: Revocation,
        origin: Arc<Origin>,
    ) -> Result<(), MintError> {
        if !revocation.is_sound() {
            return Err(MintError::Nobody);
        }
        self.check_room()?;
        let what = revocation.to_text();
        self.append(Kind::Revoked { what }, origin).await?;
        self.write().revocations.add(revocation);
        if let Some(webhook) = &self.webhook {
            webhook.forget();
        }
        self.revoked.send_replace(());
        metrics::counter!("mapweave_auth_revocations_total").increment(1);
        Ok(())
    }

    /// All that was revoked.
    pub fn revocations(&self) -> Vec<Revocation> {
        self.read().revocations.iter().collect()
    }

    /// The time that the gate goes by, in seconds since 1970 (UTC).
    pub fn now_s(&self) -> u64 {
        (self.clock)() / 1_000
    }

    fn see(&self, token: Option<&str>) -> Result<Seen, Refused> {
        if self.is_wide_open() {
            return Ok(Seen::Passport(anonymous(Role::Owner)));
        }
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            let role = self.anonymous.ok_or(TokenError::Missing)?;
            return Ok(Seen::Passport(anonymous(role)));
        };
        match jwt::verify(&self.keys, token) {
            Ok(claims) => self.accept(claims),
            Err(TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature)
                if self.webhook.is_some() =>
            {
                Ok(Seen::Ask)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whom the claims of a token with a good signature show.
    fn accept(&self, claims: Claims) -> Result<Seen, Refused> {
        claims.check((self.clock)(), self.leeway_s, &self.audience)?;
        let issued_at_s = claims.iat.map(|iat| iat.0);
        let expires = claims.exp.map(|exp| exp.0.saturating_add(self.leeway_s));
        let passport = Passport {
            who: Arc::new(Who {
                id: claims.sub,
                name: claims.name,
            }),
            rights: Rights::Granted(claims.maps.into()),
            expires_at_ms: expires.map(|at_s| NumericDate(at_s).ms()),
            token: Some(Arc::new(TokenFacts {
                id: claims.jti,
                issued_at_s,
            })),
        };
        let facts = passport.token.as_deref();
        let token = facts.and_then(|token| token.id.as_deref());
        if self.read().revocations.revokes_token(token) {
            return Err(TokenError::Revoked.into());
        }
        Ok(match self.token_is_revoked(&passport.who, facts) {
            true => Seen::Revoked(passport),
            false => Seen::Passport(passport),
        })
    }

    async fn ask(
        &self,
        token: Option<&str>,
        map: Option<&MapName>,
        from: IpAddr,
    ) -> Result<Passport, Refused> {
        let webhook = self.webhook.as_ref().ok_or(TokenError::UnknownKey)?;
        let asked = Asked {
            token: token.unwrap_or(""),
            map,
            from,
        };
        let passport = webhook.ask(asked, &self.clock).await?;
        self.unrevoked(passport)
    }

    fn unrevoked(&self, passport: Passport) -> Result<Passport, Refused> {
        let revoked = self.token_is_revoked(&passport.who, passport.token.as_deref());
        match revoked {
            true => Err(TokenError::Revoked.into()),
            false => Ok(passport),
        }
    }

    fn token_is_revoked(&self, who: &Who, token: Option<&TokenFacts>) -> bool {
        let Some(TokenFacts { id, issued_at_s }) = token else {
            return false;
        };
        let books = self.read();
        books
            .revocations
            .revokes(&who.id, id.as_deref(), *issued_at_s)
    }

    fn check_room(&self) -> Result<(), MintError> {
        let books = self.read();
        match books.revocations.len() + books.links.len() < RECORDS_MAX {
            true => Ok(()),
            false => Err(MintError::Full),
        }
    }

    async fn append(&self, kind: Kind, origin: Arc<Origin>) -> Result<(), StoreError> {
        let record = NewRecord {
            kind,
            origin,
            payload: Bytes::new(),
        };
        self.store.append(STORE_LOG, vec![record]).await.map(drop)
    }

    /// Held for a look only, never over an await.
    fn read(&self) -> RwLockReadGuard<'_, Books> {
        self.books.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Gate::read`].
    fn write(&self) -> RwLockWriteGuard<'_, Books> {
        self.books.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("keys", &self.keys)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

/// A token by the first of `keys` that can sign, and what it says: `claims`, with a time and an id where they have none.
///
/// # Errors
/// [`MintError::NoKey`], [`MintError::Key`].
pub fn mint(
    keys: &Keys,
    audience: &str,
    now_s: u64,
    mut claims: Claims,
) -> Result<(Claims, String), MintError> {
    let key = keys.signer().ok_or(MintError::NoKey)?;
    claims.iat.get_or_insert(NumericDate(now_s));
    if claims.jti.is_none() {
        claims.jti = Some(fresh_id()?);
    }
    if claims.aud.is_none() && !audience.is_empty() {
        claims.aud = Some(Audience::One(audience.to_owned()));
    }
    let token = jwt::sign(key, &claims).ok_or(MintError::NoKey)?;
    Ok((claims, token))
}

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    })
}

fn anonymous(role: Role) -> Passport {
    Passport {
        who: Arc::default(),
        rights: Rights::Everywhere(role),
        expires_at_ms: None,
        token: None,
    }
}

fn counted<T>(result: Result<T, Refused>) -> Result<T, Refused> {
    if let Err(refused) = &result {
        let reason = match refused {
            Refused::BadToken(_) => "token",
            Refused::Forbidden(_) => "forbidden",
            Refused::Unavailable(_) => "unavailable",
        };
        metrics::counter!("mapweave_auth_refused_total", "reason" => reason).increment(1);
    }
    result
}

fn fresh_id() -> Result<String, KeyError> {
    let bytes: [u8; 12] = random()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn read_books(store: &dyn UpdateLog) -> Result<Books, StoreError> {
    let mut books = Books::default();
    let Some(head) = store.head(STORE_LOG)? else {
        return Ok(books);
    };
    let mut records = store.read_log(STORE_LOG, Seq::ZERO.next(), head.last);
    while let Some(record) = records.next().await {
        match record?.kind {
            Kind::Revoked { what } => match Revocation::from_text(&what) {
                Some(revocation) => drop(books.revocations.add(revocation)),
                None => {
                    tracing::warn!("a revocation in the log is of a later version, and not kept to")
                }
            },
            Kind::Issued { what } => {
                if let Some(link) = Link::from_text(&what) {
                    books.links.insert(link.id.clone(), link);
                }
            }
            _ => {}
        }
    }
    Ok(books)
}
