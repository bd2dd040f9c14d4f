//! The gate as those who come to it meet it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use mapweave_proto::{Access, CloseReason, MapName};
use mapweave_storage::{MemoryLog, UpdateLog};
use proptest::prelude::*;

use super::*;
use crate::config::Config;

const SECRET: &str = "a secret of thirty-two bytes, or more";
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Fixture {
    gate: Arc<Gate>,
    store: Arc<dyn UpdateLog>,
    config: Config,
    now_ms: Arc<AtomicU64>,
}

impl Fixture {
    async fn new() -> Self {
        let mut config = Config::default();
        config.auth.secret = Secret::new(SECRET);
        config.auth.leeway_s = 0;
        Self::of(config).await
    }

    async fn of(config: Config) -> Self {
        let store: Arc<dyn UpdateLog> = Arc::new(MemoryLog::new());
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        let gate = open(&config, &store, &now_ms).await;
        Self {
            gate,
            store,
            config,
            now_ms,
        }
    }

    async fn restart(&mut self) {
        self.gate = open(&self.config, &self.store, &self.now_ms).await;
    }

    async fn admit(&self, token: &str, map: &str) -> Result<Permit, Refused> {
        let map = MapName::parse(map).unwrap();
        self.gate.admit(Some(token), &map, FROM).await
    }

    fn token(&self, json: &str) -> String {
        self.gate.mint(serde_json::from_str(json).unwrap()).unwrap()
    }
}

async fn open(config: &Config, store: &Arc<dyn UpdateLog>, now_ms: &Arc<AtomicU64>) -> Arc<Gate> {
    let now_ms = now_ms.clone();
    let clock: Clock = Arc::new(move || now_ms.load(Ordering::SeqCst));
    Gate::open(config, store.clone(), clock).await.unwrap()
}

fn keys(jwk: &str) -> Keys {
    Keys::parse(jwk).unwrap()
}

/// The parts of a token, decoded.
fn parts(token: &str) -> [Vec<u8>; 3] {
    let parts: Vec<_> = token
        .split('.')
        .map(|part| B64.decode(part).unwrap())
        .collect();
    parts.try_into().unwrap()
}

fn joined(parts: [&[u8]; 3]) -> String {
    parts.map(|part| B64.encode(part)).join(".")
}

#[test]
fn the_tokens_of_the_standards_are_read() {
    // RFC 7515 A.1: HS256. Its payload is no claims of ours but for `exp`.
    let hs = keys(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let claims = verify(&hs, token).unwrap();
    assert_eq!(claims.exp, Some(NumericDate(1_300_819_380)));
    // RFC 8037 A.4: Ed25519. Its payload is no JSON at all, which is found out only behind a good signature.
    let ed =
        keys(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(matches!(verify(&ed, token), Err(TokenError::Claims(_))));
    assert_eq!(verify(&hs, token), Err(TokenError::UnknownKey));
}

#[test]
fn keys_of_both_kinds_make_tokens_that_their_public_halves_check() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let own = keys(&Key::generate(algorithm).unwrap());
        let claims = Claims {
            sub: "eva".to_owned(),
            ..Claims::default()
        };
        let token = sign(own.signer().unwrap(), &claims).unwrap();
        assert_eq!(verify(&own, &token).as_ref(), Ok(&claims));
        let other = keys(&Key::generate(algorithm).unwrap());
        assert_eq!(
            verify(&other, &token),
            Err(TokenError::UnknownKey),
            "another key id"
        );
        match own.iter().next().unwrap().public_half() {
            Some(public) => {
                let public = keys(&public);
                assert!(public.signer().is_none());
                assert_eq!(verify(&public, &token), Ok(claims));
            }
            None => assert_eq!(algorithm, Algorithm::Hs256),
        }
    }
}

#[test]
fn a_header_does_not_choose_how_its_signature_is_checked() {
    let text = Key::generate(Algorithm::EdDsa).unwrap();
    let ed = keys(&text);
    let jwk: serde_json::Value = serde_json::from_str(&text).unwrap();
    let public = B64.decode(jwk["x"].as_str().unwrap()).unwrap();
    let claims = br#"{"sub":"eve","maps":[{"pattern":"**","role":"owner"}]}"#;
    // No algorithm at all, in the ways that people have tried.
    for alg in [
        "none", "None", "NONE", "", "HS256 ", "hs256", "RS256", "ES256",
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":{}}}"#, jwk["kid"]);
        for signature in [&b""[..], &[0; 64], &[0; 32]] {
            let forged = joined([header.as_bytes(), claims, signature]);
            assert_eq!(verify(&ed, &forged), Err(TokenError::UnknownKey), "{alg}");
        }
    }
    // The public key taken for a shared secret.
    for kid in [format!(",\"kid\":{}", jwk["kid"]), String::new()] {
        let header = format!(r#"{{"alg":"HS256"{kid}}}"#);
        let signed = format!("{}.{}", B64.encode(&header), B64.encode(claims));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
        let tag = ring::hmac::sign(&secret, signed.as_bytes());
        let forged = format!("{signed}.{}", B64.encode(tag));
        assert_eq!(verify(&ed, &forged), Err(TokenError::UnknownKey));
    }
    let extended = joined([
        br#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        claims,
        &[0; 64],
    ]);
    assert_eq!(verify(&ed, &extended), Err(TokenError::Critical));
}

#[test]
fn keys_are_rotated_by_name_and_unnamed_ones_are_tried() {
    let (old, new) = (
        Key::generate(Algorithm::Hs256).unwrap(),
        Key::generate(Algorithm::EdDsa).unwrap(),
    );
    let both = keys(&format!("{{\"keys\":[{new},{old}]}}"));
    let claims = Claims::default();
    let old = sign(keys(&old).signer().unwrap(), &claims).unwrap();
    assert!(verify(&both, &old).is_ok());
    let new = sign(both.signer().unwrap(), &claims).unwrap();
    assert!(verify(&keys_without(&both), &new).is_err());
    let unnamed = Keys::load(&Secret::new(SECRET), None).unwrap();
    let plain = sign(unnamed.signer().unwrap(), &claims).unwrap();
    assert!(verify(&unnamed, &plain).is_ok());
    assert_eq!(verify(&both, &plain), Err(TokenError::Signature));
}

fn keys_without(keys: &Keys) -> Keys {
    assert!(!keys.is_empty());
    Keys::default()
}

#[test]
fn a_file_that_is_no_key_is_told_without_showing_it() {
    let weak = format!(r#"{{"kty":"oct","k":"{}"}}"#, B64.encode("hunter2"));
    for bad in [
        "",
        "hunter2",
        "[]",
        "{}",
        r#"{"keys":"hunter2"}"#,
        r#"{"keys":[]}"#,
        weak.as_str(),
        r#"{"kty":"hunter2"}"#,
        r#"{"kty":"oct","k":"hunter2 hunter2"}"#,
        r#"{"kty":"RSA","n":"hunter2","e":"AQAB"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qY"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","alg":"HS256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2E","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURA"}"#,
    ] {
        let error = Keys::parse(bad).expect_err(bad);
        assert!(!error.contains("hunter2"), "{error}");
    }
    let shown = format!("{:?}", keys(&Key::generate(Algorithm::Hs256).unwrap()));
    assert!(shown.contains("Hs256") && shown.len() < 120, "{shown}");
}

#[tokio::test]
async fn without_keys_everybody_is_an_owner_whatever_they_bring() {
    let open = Fixture::of(Config::default()).await;
    for token in ["", "any", "a.b.c"] {
        let permit = open.admit(token, "m").await.unwrap();
        assert_eq!((permit.role, permit.who.id.as_str()), (Role::Owner, ""));
        assert!(!permit.can_end());
    }
    let wish = LinkWish {
        map: MapName::parse("m").unwrap(),
        name: String::new(),
        role: Role::Viewer,
        expires_in_s: 60,
        by: String::new(),
    };
    let refused = open.gate.share(wish, Arc::default()).await;
    assert!(matches!(refused, Err(MintError::NoKey)));
}

#[tokio::test]
async fn with_keys_nobody_comes_in_without_a_token_unless_that_is_meant() {
    let mut fixture = Fixture::new().await;
    for token in ["", "any", "a.b.c", "..", "a..c"] {
        assert!(
            matches!(fixture.admit(token, "m").await, Err(Refused::BadToken(_))),
            "{token}"
        );
    }
    fixture.config.allow_anonymous = true;
    fixture.restart().await;
    assert_eq!(fixture.admit("", "m").await.unwrap().role, Role::Viewer);
    assert!(
        fixture.admit("any", "m").await.is_err(),
        "a bad token is not passed over"
    );
}

#[tokio::test]
async fn a_token_opens_the_maps_that_it_names_and_no_other() {
    let fixture = Fixture::new().await;
    let token = fixture.token(
        r#"{"sub":"eva","name":"Eva","exp":2000,"maps":[{"pattern":"north/*","role":"editor"}]}"#,
    );
    let permit = fixture.admit(&token, "north/field 7").await.unwrap();
    assert_eq!(
        (permit.who.id.as_str(), permit.who.name.as_str()),
        ("eva", "Eva")
    );
    assert_eq!(
        (permit.role, permit.expires_at_ms),
        (Role::Editor, Some(2_000_000))
    );
    assert!(permit.require(Role::Editor).is_ok());
    assert!(matches!(
        permit.require(Role::Owner),
        Err(Refused::Forbidden(_))
    ));
    for map in ["north/a/b", "north", "south/field 7"] {
        assert!(
            matches!(fixture.admit(&token, map).await, Err(Refused::Forbidden(_))),
            "{map}"
        );
    }
    let none = fixture.token(r#"{"sub":"eva"}"#);
    assert!(matches!(
        fixture.admit(&none, "m").await,
        Err(Refused::Forbidden(_))
    ));
}

#[tokio::test]
async fn an_operator_owns_all_maps() {
    let fixture = Fixture::new().await;
    for (json, expected) in [
        (r#"{"maps":[{"pattern":"**","role":"owner"}]}"#, true),
        (r#"{"maps":[{"pattern":"**","role":"editor"}]}"#, false),
        (r#"{"maps":[{"pattern":"*","role":"owner"}]}"#, false),
        (r#"{"maps":[]}"#, false),
    ] {
        let passport = fixture
            .gate
            .passport(Some(&fixture.token(json)), FROM)
            .await
            .unwrap();
        assert_eq!(passport.is_operator(), expected, "{json}");
    }
}

#[tokio::test]
async fn a_permit_ends_when_its_token_expires() {
    let fixture = Fixture::new().await;
    let token = fixture.token(r#"{"exp":1060,"maps":[{"pattern":"**","role":"editor"}]}"#);
    let permit = fixture.admit(&token, "m").await.unwrap();
    // So that it looks at the clock soon, and again.
    fixture.now_ms.store(1_059_990, Ordering::SeqCst);
    let ended = tokio::spawn(fixture.gate.ended(&permit));
    tokio::task::yield_now().await;
    assert!(!ended.is_finished());
    fixture.now_ms.store(1_060_000, Ordering::SeqCst);
    assert_eq!(ended.await.unwrap(), CloseReason::TokenExpired);
    assert_eq!(
        fixture.admit(&token, "m").await,
        Err(TokenError::Expired.into())
    );
}

#[tokio::test]
async fn what_is_revoked_ends_at_once_and_stays_revoked_after_a_restart() {
    let mut fixture = Fixture::new().await;
    let maps = r#""maps":[{"pattern":"**","role":"editor"}]"#;
    let eva = fixture.token(&format!(r#"{{"sub":"eva","jti":"t1",{maps}}}"#));
    let ida = fixture.token(&format!(r#"{{"sub":"ida","jti":"t2",{maps}}}"#));
    let permits = [
        fixture.admit(&eva, "m").await.unwrap(),
        fixture.admit(&ida, "m").await.unwrap(),
    ];
    let [eva_ended, ida_ended] = permits.map(|permit| tokio::spawn(fixture.gate.ended(&permit)));
    let token = Revocation::Token {
        id: "t1".to_owned(),
    };
    fixture
        .gate
        .revoke(token.clone(), Arc::default())
        .await
        .unwrap();
    assert_eq!(eva_ended.await.unwrap(), CloseReason::Forbidden);
    assert!(!ida_ended.is_finished());
    let person = Revocation::Person {
        id: "ida".to_owned(),
        before_s: 1_001,
    };
    fixture
        .gate
        .revoke(person.clone(), Arc::default())
        .await
        .unwrap();
    assert_eq!(ida_ended.await.unwrap(), CloseReason::Forbidden);
    for _ in 0..2 {
        assert_eq!(fixture.gate.revocations(), [token.clone(), person.clone()]);
        assert_eq!(
            fixture.admit(&eva, "m").await,
            Err(TokenError::Revoked.into())
        );
        // A person whose right was taken back may leave what was edited before, and nothing else.
        let left = fixture.admit(&ida, "m").await.unwrap();
        assert_eq!(left.access, Access::Deposit);
        assert_eq!(left.require(Role::Viewer), Err(TokenError::Revoked.into()));
        for token in [&eva, &ida] {
            let passport = fixture.gate.passport(Some(token), FROM).await;
            assert_eq!(passport.map(drop), Err(TokenError::Revoked.into()));
        }
        fixture.restart().await;
    }
    fixture.now_ms.store(1_001_000, Ordering::SeqCst);
    let later = fixture.token(&format!(r#"{{"sub":"ida",{maps}}}"#));
    assert!(fixture.admit(&later, "m").await.is_ok());
    let nobody = Revocation::Person {
        id: String::new(),
        before_s: 5,
    };
    assert!(fixture.gate.revoke(nobody, Arc::default()).await.is_err());
}

#[tokio::test]
async fn a_share_link_is_for_its_map_alone_and_is_listed_until_it_is_revoked() {
    let mut fixture = Fixture::new().await;
    let map = MapName::parse("a*").unwrap();
    let wish = LinkWish {
        map: map.clone(),
        name: "crew".to_owned(),
        role: Role::Commenter,
        expires_in_s: 60,
        by: "eva".to_owned(),
    };
    let (link, token) = fixture.gate.share(wish, Arc::default()).await.unwrap();
    fixture.restart().await;
    assert_eq!(fixture.gate.links(&map), std::slice::from_ref(&link));
    assert!(
        fixture
            .gate
            .links(&MapName::parse("ab").unwrap())
            .is_empty()
    );
    let permit = fixture.admit(&token, "a*").await.unwrap();
    assert_eq!(
        (permit.role, permit.who.name.as_str()),
        (Role::Commenter, "crew")
    );
    assert!(fixture.admit(&token, "ab").await.is_err());
    let revocation = Revocation::Token { id: link.id };
    fixture
        .gate
        .revoke(revocation, Arc::default())
        .await
        .unwrap();
    assert!(fixture.gate.links(&map).is_empty());
    assert!(fixture.admit(&token, "a*").await.is_err());
}

proptest! {
    #[test]
    fn a_token_of_which_any_bit_was_changed_is_refused(at in 0_usize..10_000, bit in 0_u8..8) {
        let keys = Keys::load(&Secret::new(SECRET), None).unwrap();
        let claims = Claims { sub: "eva".to_owned(), ..Claims::default() };
        let token = sign(keys.signer().unwrap(), &claims).unwrap();
        let mut changed = parts(&token);
        let place = at % changed.iter().map(Vec::len).sum::<usize>();
        let byte = changed.iter_mut().flatten().nth(place).unwrap();
        *byte ^= 1 << bit;
        let [header, payload, signature] = &changed;
        let changed = joined([header.as_slice(), payload.as_slice(), signature.as_slice()]);
        prop_assert!(verify(&keys, &changed).is_err());
    }

    #[test]
    fn any_text_is_refused_and_nothing_breaks(text in ".{0,80}", forged in proptest::collection::vec(any::<u8>(), 0..80)) {
        let keys = Keys::load(&Secret::new(SECRET), None).unwrap();
        prop_assert!(verify(&keys, &text).is_err());
        let forged = joined([br#"{"alg":"HS256"}"#, &forged, &forged]);
        prop_assert!(verify(&keys, &forged).is_err());
    }
}
