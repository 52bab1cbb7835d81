//! The token matrix (D8–D14, D32, D39, D40). Every token here is really signed, unless it is the
//! signature that is at stake.

use std::sync::LazyLock;

use aws_lc_rs::{hmac, rand::SystemRandom, signature as aws};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;
use crate::{
    auth::{
        TokenKind,
        jwks::{JwksSource, KeySettings},
        policy::{Role, Scope},
        revocation::Revocation,
        signing::{DevelopmentKey, TokenRequest},
    },
    clock::{Clock, ManualClock},
    error::Error,
};

const ISSUER: &str = "https://identity.example";
const AUDIENCE: &str = "drr";
const REQUIRED: [&str; 8] = ["iss", "aud", "sub", "tenant_id", "role", "scope", "iat", "exp"];
const OPTIONAL: [&str; 3] = ["nbf", "client_id", "jti"];

/// One key for all of them: making it takes longer than using it.
static KEY: LazyLock<DevelopmentKey> = LazyLock::new(|| DevelopmentKey::generate().unwrap());

struct Bench {
    clock: Arc<ManualClock>,
    revocations: Arc<RevocationList>,
    verifier: TokenVerifier,
}

async fn bench_with(leeway: Duration) -> Bench {
    let clock = Arc::new(ManualClock::default());
    let keys = KeySettings::new(JwksSource::Document(KEY.jwks_json()));
    let keys = KeySource::new(&keys, clock.clone()).unwrap();
    keys.refresh().await.unwrap();
    let revocations = Arc::new(RevocationList::new(clock.clone(), 100));
    let settings = VerifierSettings { leeway, ..VerifierSettings::new(ISSUER, AUDIENCE) };
    let pseudonyms = PseudonymKey::new(&[1; 32]).unwrap();
    let verifier =
        TokenVerifier::new(&settings, keys, revocations.clone(), pseudonyms, clock.clone());
    Bench { clock, revocations, verifier: verifier.unwrap() }
}

async fn bench() -> Bench {
    bench_with(MAXIMUM_LEEWAY).await
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "at+jwt", "kid": KEY.key_id() })
}

fn sign(header: &Value, payload: &str) -> String {
    KEY.sign_parts(header.to_string().as_bytes(), payload.as_bytes()).unwrap()
}

impl Bench {
    /// A person's claims, good for 900 s.
    fn user(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|1", "tenant_id": "acme",
            "role": "reader", "scope": "storage.read.refresh", "iat": now, "exp": now + 900 })
    }

    /// A service's claims, good for 3600 s.
    fn machine(&self) -> Value {
        let mut claims = self.user();
        set(&mut claims, "client_id", "auth0|1".into());
        set(&mut claims, "exp", (self.clock.now().timestamp() + 3_600).into());
        claims
    }

    async fn claims(&self, claims: &Value) -> Result<Principal, TokenError> {
        self.verifier.verify(&sign(&header(), &claims.to_string())).await
    }

    async fn with(&self, claim: &str, value: Value) -> Result<Principal, TokenError> {
        let mut claims = self.user();
        set(&mut claims, claim, value);
        self.claims(&claims).await
    }

    async fn header(&self, header: &Value) -> Result<Principal, TokenError> {
        self.verifier.verify(&sign(header, &self.user().to_string())).await
    }
}

fn set(claims: &mut Value, claim: &str, value: Value) {
    claims.as_object_mut().unwrap().insert(claim.to_owned(), value);
}

fn without(claims: &Value, claim: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(claim).unwrap();
    claims
}

/// Adds a member as text, so that it can be there twice.
fn with_text(claims: &Value, member: &str) -> String {
    let text = claims.to_string();
    format!("{},{member}}}", text.strip_suffix('}').unwrap())
}

/// Swaps the part at `index` for another.
fn swap(token: &str, index: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[index] = part;
    parts.join(".")
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let bench = bench().await;
    let mut claims = bench.machine();
    set(&mut claims, "role", "runtime-writer".into());
    set(&mut claims, "scope", "openid storage.write.refresh storage.read.refresh".into());
    set(&mut claims, "jti", "token-1".into());
    let token = sign(&header(), &claims.to_string());
    for _ in 0..2 {
        let principal = bench.verifier.verify(&token).await.unwrap();
        assert_eq!(principal.tenant().as_str(), "acme");
        assert_eq!(principal.actor(), "auth0|1");
        assert_eq!(principal.role(), Role::RuntimeWriter);
        let scopes = ScopeSet::from_iter([Scope::ReadRefresh, Scope::WriteRefresh]);
        assert_eq!(principal.scopes(), scopes);
        assert_eq!(principal.kind(), TokenKind::Machine);
        assert_eq!(principal.token_hash()[..], Sha256::digest(&token)[..]);
        assert_eq!(principal.token_id(), Some("token-1"));
        assert_eq!(principal.key_id(), KEY.key_id());
        assert_eq!(principal.expires_at() - bench.clock.now(), TimeDelta::hours(1));
    }
}

#[tokio::test]
async fn every_role_can_be_given_a_token_that_is_accepted() {
    let bench = bench().await;
    for role in Role::ALL {
        let tenant = TenantId::parse("acme").unwrap();
        let request = TokenRequest::for_role(ISSUER, AUDIENCE, tenant, role);
        let token = KEY.sign(&request, &*bench.clock).unwrap();
        let principal = bench.verifier.verify(&token).await.unwrap();
        assert_eq!(principal.role(), role);
        assert_eq!(principal.kind(), request.kind);
        assert_eq!(principal.scopes(), request.scopes);
        assert_eq!(principal.actor(), request.subject);
        assert!(policy::authorize(&principal, policy::Operation::MeRead).is_ok());
    }
}

// D10
#[tokio::test]
async fn every_claim_is_needed_of_its_type_and_once() {
    let bench = bench().await;
    let claims = bench.user();
    for claim in REQUIRED {
        let missing = bench.claims(&without(&claims, claim)).await;
        assert_eq!(missing.unwrap_err(), TokenError::Claims, "{claim} missing");
        let value = &claims[claim];
        for twice in [format!("\"{claim}\":{value}"), format!("\"{claim}\":null")] {
            let token = sign(&header(), &with_text(&claims, &twice));
            let refused = bench.verifier.verify(&token).await.unwrap_err();
            assert_eq!(refused, TokenError::Claims, "{twice} twice");
        }
    }
    // The same name in another spelling is the same name.
    let token = sign(&header(), &with_text(&claims, r#""\u0073ub":"other""#));
    assert_eq!(bench.verifier.verify(&token).await.unwrap_err(), TokenError::Claims);
    for claim in REQUIRED.into_iter().chain(OPTIONAL) {
        let time = ["iat", "exp", "nbf"].contains(&claim);
        for wrong in [json!(null), json!(true), json!({}), json!([]), json!([1]), json!(1.5)] {
            if claim == "aud" && wrong == json!([]) {
                continue;
            }
            let refused = bench.with(claim, wrong.clone()).await.unwrap_err();
            assert_eq!(refused, TokenError::Claims, "{claim} = {wrong}");
        }
        let other = if time { json!("1767225600") } else { json!(1_767_225_600) };
        let refused = bench.with(claim, other.clone()).await.unwrap_err();
        assert_eq!(refused, TokenError::Claims, "{claim} = {other}");
    }
    for time in ["iat", "exp", "nbf"] {
        let refused = bench.with(time, json!(-1)).await.unwrap_err();
        assert_eq!(refused, TokenError::Claims, "{time} = -1");
    }
    for payload in ["", "[]", "null", "{", "\"text\"", "{} x"] {
        let token = sign(&header(), payload);
        let refused = bench.verifier.verify(&token).await.unwrap_err();
        assert_eq!(refused, TokenError::Claims, "{payload}");
    }
    assert!(bench.with("other", json!({ "a": [1, null] })).await.is_ok(), "others are left alone");
}

// D8
#[tokio::test]
async fn issuer_and_audience_are_ours() {
    let bench = bench().await;
    for issuer in ["https://identity.example/", "https://Identity.example", "evil", ""] {
        let refused = bench.with("iss", issuer.into()).await.unwrap_err();
        assert_eq!(refused, TokenError::Issuer, "{issuer}");
    }
    let list = bench.with("iss", json!([ISSUER])).await;
    assert_eq!(list.unwrap_err(), TokenError::Claims, "a list of issuers is no issuer");
    for audience in [json!("other"), json!(""), json!("drr "), json!(["a", "b"]), json!([])] {
        let refused = bench.with("aud", audience.clone()).await.unwrap_err();
        assert_eq!(refused, TokenError::Audience, "{audience}");
    }
    assert!(bench.with("aud", json!(["other", AUDIENCE])).await.is_ok());
    assert_eq!(bench.with("aud", json!([AUDIENCE, 1])).await.unwrap_err(), TokenError::Claims);
}

// D11
#[tokio::test]
async fn lifetimes_end_at_900_and_3600_seconds() {
    let bench = bench().await;
    let now = bench.clock.now().timestamp();
    let lifetime = |mut claims: Value, seconds: i64| {
        set(&mut claims, "exp", (now + seconds).into());
        claims
    };
    let (user, machine) = (bench.user(), bench.machine());
    let mut through_client = bench.user();
    set(&mut through_client, "client_id", "dashboard".into());
    for (claims, most) in [(&user, 900), (&through_client, 900), (&machine, 3_600)] {
        assert!(bench.claims(&lifetime(claims.clone(), most)).await.is_ok(), "{most}");
        for bad in [most + 1, 0, -1, i64::MAX - now] {
            let refused = bench.claims(&lifetime(claims.clone(), bad)).await.unwrap_err();
            assert_eq!(refused, TokenError::Lifetime, "{bad}");
        }
    }
    // A long past makes no room for a long life.
    let mut old = user.clone();
    set(&mut old, "iat", (now - 3_000).into());
    assert_eq!(bench.claims(&old).await.unwrap_err(), TokenError::Lifetime);
    // The far end of what can be written.
    let far = u64::MAX;
    let mut claims = user.clone();
    set(&mut claims, "iat", (far - 1).into());
    set(&mut claims, "exp", far.into());
    assert_eq!(bench.claims(&claims).await.unwrap_err(), TokenError::Claims);
}

// D11
#[tokio::test]
async fn times_hold_to_the_microsecond_with_the_stated_leeway() {
    for seconds in [0, 10, 30] {
        let bench = bench_with(Duration::from_secs(seconds)).await;
        let leeway = TimeDelta::seconds(seconds.try_into().unwrap());
        let start = bench.clock.now();
        let mut claims = bench.user();
        set(&mut claims, "nbf", (start.timestamp() + 60).into());
        let token = sign(&header(), &claims.to_string());
        let micro = TimeDelta::microseconds(1);
        let ready = start + TimeDelta::seconds(60) - leeway;
        let end = start + TimeDelta::seconds(900) + leeway;
        let at = async |instant: DateTime<Utc>| {
            bench.clock.set(instant);
            bench.verifier.verify(&token).await.map(drop)
        };
        // Twice: the second time, the token may be a remembered one.
        for _ in 0..2 {
            let future = start - leeway - micro;
            assert_eq!(at(future).await, Err(TokenError::IssuedInFuture));
            assert_eq!(at(start - leeway).await, Err(TokenError::NotYetValid));
            assert_eq!(at(ready - micro).await, Err(TokenError::NotYetValid));
            assert_eq!(at(ready).await, Ok(()));
            assert_eq!(at(end - micro).await, Ok(()));
            assert_eq!(at(end).await, Err(TokenError::Expired));
        }
    }
}

#[test]
fn settings_that_would_weaken_the_verifier_are_refused() {
    let clock: SharedClock = Arc::new(ManualClock::default());
    let keys = KeySettings::new(JwksSource::Document("".into()));
    let make = |settings: &VerifierSettings| {
        let revocations = Arc::new(RevocationList::new(clock.clone(), 1));
        let keys = KeySource::new(&keys, clock.clone()).unwrap();
        let pseudonyms = PseudonymKey::new(&[1; 32]).unwrap();
        TokenVerifier::new(settings, keys, revocations, pseudonyms, clock.clone()).map(drop)
    };
    let good = VerifierSettings::new(ISSUER, AUDIENCE);
    assert_eq!(make(&good), Ok(()));
    let leeway = Duration::from_millis(30_001);
    let loose = VerifierSettings { leeway, ..good };
    assert_eq!(make(&loose), Err(VerifierSettingsError::Leeway));
    for (issuer, audience) in [("", AUDIENCE), (ISSUER, "")] {
        let open = VerifierSettings::new(issuer, audience);
        assert_eq!(make(&open), Err(VerifierSettingsError::Empty));
    }
}

// D12–D14
#[tokio::test]
async fn scopes_that_the_bearer_cannot_have_make_the_token_void() {
    let bench = bench().await;
    let cases = [
        ("runtime-writer", "storage.write.refresh", false, Err(TokenError::Scope)),
        ("runtime-writer", "storage.write.refresh", true, Ok(())),
        ("reader", "storage.read.refresh storage.write.refresh", true, Err(TokenError::Scope)),
        ("reader", "storage.read.audit", false, Err(TokenError::Scope)),
        ("tenant-admin", "storage.read.audit", false, Err(TokenError::Scope)),
        ("auditor", "storage.read.audit", false, Ok(())),
        ("reader", "storage.manage.refresh", false, Err(TokenError::Scope)),
        ("tenant-admin", "storage.manage.refresh", false, Ok(())),
        ("schema-reader", "storage.read.refresh", false, Ok(())),
        ("reader", "", false, Ok(())),
        ("reader", "other.write storage.write", false, Ok(())),
        ("root", "storage.read.refresh", false, Err(TokenError::Role)),
        ("", "storage.read.refresh", false, Err(TokenError::Role)),
        ("reader auditor", "storage.read.refresh", false, Err(TokenError::Role)),
    ];
    for (role, scope, machine, expected) in cases {
        let mut claims = if machine { bench.machine() } else { bench.user() };
        set(&mut claims, "role", role.into());
        set(&mut claims, "scope", scope.into());
        let result = bench.claims(&claims).await.map(drop);
        assert_eq!(result, expected, "{role} [{scope}] machine: {machine}");
    }
}

// D39
#[tokio::test]
async fn tenants_and_subjects_are_codes_and_e_mail_addresses_do_not_get_through() {
    let bench = bench().await;
    for tenant in ["", "ACME", "acme/..", "acme.other", "*"] {
        let refused = bench.with("tenant_id", tenant.into()).await.unwrap_err();
        assert_eq!(refused, TokenError::Tenant, "{tenant}");
    }
    for subject in ["", "a b", "a\u{0}", "pseudonym:0011", &"a".repeat(257)] {
        let refused = bench.with("sub", subject.into()).await.unwrap_err();
        assert_eq!(refused, TokenError::Subject, "{subject:?}");
    }
    let mut claims = bench.machine();
    set(&mut claims, "sub", "anna@example.org".into());
    set(&mut claims, "client_id", "anna@example.org".into());
    let principal = bench.claims(&claims).await.unwrap();
    assert!(principal.actor().starts_with("pseudonym:"));
    assert_eq!(principal.kind(), TokenKind::Machine, "the kind comes from what the token says");
    assert!(!format!("{principal:?}").contains("anna"));
}

// D32
#[tokio::test]
async fn headers_that_change_the_meaning_are_refused() {
    let bench = bench().await;
    let with = |member: &str, value: Value| {
        let mut header = header();
        set(&mut header, member, value);
        header
    };
    for typ in ["JWT", "jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"] {
        assert!(bench.header(&with("typ", typ.into())).await.is_ok(), "{typ}");
    }
    for typ in ["", "id+jwt", "JOSE", "at+jwt ", "application/x", "text/at+jwt"] {
        let refused = bench.header(&with("typ", typ.into())).await.unwrap_err();
        assert_eq!(refused, TokenError::Type, "{typ}");
    }
    assert_eq!(bench.header(&without(&header(), "typ")).await.unwrap_err(), TokenError::Type);
    for algorithm in ["none", "None", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", ""] {
        let refused = bench.header(&with("alg", algorithm.into())).await.unwrap_err();
        assert_eq!(refused, TokenError::Algorithm, "{algorithm}");
    }
    let forbidden = ["crit", "b64", "cty", "enc", "zip", "jku", "jwk", "x5u", "x5c"];
    for member in forbidden {
        for value in [json!(["exp"]), json!([]), json!(null), json!("x"), json!(false)] {
            let refused = bench.header(&with(member, value.clone())).await.unwrap_err();
            assert_eq!(refused, TokenError::Header, "{member} = {value}");
        }
    }
    for (member, value) in [("alg", json!(null)), ("typ", json!(null)), ("kid", json!(1))] {
        let refused = bench.header(&with(member, value)).await.unwrap_err();
        assert_eq!(refused, TokenError::Header, "{member}");
    }
    assert_eq!(bench.header(&without(&header(), "alg")).await.unwrap_err(), TokenError::Header);
    for kid in ["", &"k".repeat(257)] {
        let refused = bench.header(&with("kid", kid.into())).await.unwrap_err();
        assert_eq!(refused, TokenError::KeyId, "{kid}");
    }
    let unknown = bench.header(&with("kid", "other".into())).await;
    assert_eq!(unknown.unwrap_err(), TokenError::UnknownKey);
    let alone = bench.header(&without(&header(), "kid")).await;
    assert!(alone.is_ok(), "the only key needs no name");
    assert!(bench.header(&with("x5t", "hint".into())).await.is_ok(), "hints are left alone");
    let twice = with_text(&header(), r#""alg":"RS256""#);
    let token = KEY.sign_parts(twice.as_bytes(), bench.user().to_string().as_bytes()).unwrap();
    assert_eq!(bench.verifier.verify(&token).await.unwrap_err(), TokenError::Header);
}

// D32
#[tokio::test]
async fn algorithm_confusion_gets_nowhere() {
    let bench = bench().await;
    let payload = BASE64.encode(bench.user().to_string());
    let set: Value = serde_json::from_str(&KEY.jwks_json()).unwrap();
    let modulus = BASE64.decode(set["keys"][0]["n"].as_str().unwrap()).unwrap();
    let secrets = [modulus, KEY.jwks_json().as_bytes().to_vec()];
    let elliptic = aws::EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let others = [Algorithm::PS256, Algorithm::RS384, Algorithm::RS512];
    for claimed in ["HS256", "ES256", "none", "PS256", "RS384", "RS512", "RS256"] {
        let mut header = header();
        header["alg"] = claimed.into();
        let message = format!("{}.{payload}", BASE64.encode(header.to_string()));
        let mut signatures = vec![Vec::new(), vec![0; 256], vec![0xFF; 256]];
        for secret in &secrets {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            signatures.push(hmac::sign(&key, message.as_bytes()).as_ref().to_vec());
        }
        let made = elliptic.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        signatures.push(made.as_ref().to_vec());
        for other in others {
            let key = KEY.encoding_key();
            let made = jsonwebtoken::crypto::sign(message.as_bytes(), key, other).unwrap();
            signatures.push(BASE64.decode(made).unwrap());
        }
        let expected =
            if claimed == "RS256" { TokenError::Signature } else { TokenError::Algorithm };
        for signature in signatures {
            let token = format!("{message}.{}", BASE64.encode(signature));
            assert_eq!(bench.verifier.verify(&token).await.unwrap_err(), expected, "{claimed}");
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_noticed() {
    let bench = bench().await;
    let token = sign(&header(), &bench.user().to_string());
    assert!(bench.verifier.verify(&token).await.is_ok());
    let refused = async |token: &str| bench.verifier.verify(token).await.unwrap_err();

    let mut other = bench.user();
    set(&mut other, "tenant_id", "globex".into());
    let payload = BASE64.encode(other.to_string());
    assert_eq!(refused(&swap(&token, 1, &payload)).await, TokenError::Signature);
    let spaced = BASE64.encode(format!(" {}", header()));
    assert_eq!(refused(&swap(&token, 0, &spaced)).await, TokenError::Signature);
    let mut signature = BASE64.decode(token.rsplit('.').next().unwrap()).unwrap();
    signature[100] ^= 1;
    assert_eq!(refused(&swap(&token, 2, &BASE64.encode(&signature))).await, TokenError::Signature);
    signature.pop();
    assert_eq!(refused(&swap(&token, 2, &BASE64.encode(&signature))).await, TokenError::Signature);

    let another = DevelopmentKey::generate().unwrap();
    let foreign =
        another.sign_parts(header().to_string().as_bytes(), bench.user().to_string().as_bytes());
    assert_eq!(refused(&foreign.unwrap()).await, TokenError::Signature);

    // The last character of a signature has bits to spare: another one must not be another
    // spelling of the same token, which a revocation by hash would not meet.
    let (head, last) = token.split_at(token.len() - 1);
    let spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for spelling in spare.chars().filter(|spelling| !last.contains(*spelling)) {
        assert!(bench.verifier.verify(&format!("{head}{spelling}")).await.is_err(), "{spelling}");
    }
    for bad in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token} "),
        format!("{token}\n"),
        format!(" {token}"),
        format!("Bearer {token}"),
        token.replacen('.', "=.", 1),
        token.replacen('.', "..", 1),
        token.split_once('.').unwrap().1.to_owned(),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c.d.e".to_owned(),
        "é.é.é".to_owned(),
    ] {
        let reason = refused(&bad).await;
        assert!(matches!(reason, TokenError::Malformed | TokenError::Header), "{bad}: {reason}");
    }
}

#[tokio::test]
async fn long_tokens_are_refused_before_they_are_read() {
    let bench = bench().await;
    let padded = |length: usize| {
        let mut claims = bench.user();
        set(&mut claims, "pad", "a".repeat(length).into());
        sign(&header(), &claims.to_string())
    };
    // Four characters of base64url for three of text.
    let fits = (MAXIMUM_TOKEN_BYTES - padded(0).len()) / 4 * 3 - 3;
    assert!(bench.verifier.verify(&padded(fits)).await.is_ok());
    let over = padded(fits + 9);
    assert!(over.len() > MAXIMUM_TOKEN_BYTES);
    assert_eq!(bench.verifier.verify(&over).await.unwrap_err(), TokenError::TooLong);
    let deep = format!("{{\"pad\":{}", "[".repeat(5_000));
    assert_eq!(
        bench.verifier.verify(&sign(&header(), &deep)).await.unwrap_err(),
        TokenError::Claims
    );
}

// D40
#[tokio::test]
async fn revocations_meet_tokens_that_are_remembered() {
    let bench = bench().await;
    let mut claims = bench.user();
    set(&mut claims, "jti", "token-1".into());
    let token = sign(&header(), &claims.to_string());
    let caller = bench.verifier.verify(&token).await.unwrap();
    let until = bench.clock.now() + TimeDelta::seconds(60);
    for revocation in [
        Revocation::Token(*caller.token_hash()),
        Revocation::TokenId("token-1".into()),
        Revocation::Subject(caller.tenant().clone(), caller.actor().into()),
        Revocation::Tenant(caller.tenant().clone()),
        Revocation::Key(caller.key_id().into()),
    ] {
        let fresh = self::bench().await;
        assert!(fresh.verifier.verify(&token).await.is_ok());
        fresh.revocations.revoke(revocation.clone(), Some(until)).unwrap();
        let refused = fresh.verifier.verify(&token).await.unwrap_err();
        assert_eq!(refused, TokenError::Revoked, "{revocation:?}");
        fresh.clock.set(until);
        assert!(fresh.verifier.verify(&token).await.is_ok(), "{revocation:?} has ended");
    }
}

#[test]
fn callers_never_learn_why() {
    for error in [TokenError::Expired, TokenError::Revoked, TokenError::UnknownKey] {
        assert!(matches!(Error::from(error), Error::Unauthenticated));
    }
    let unavailable = Error::from(TokenError::KeysUnavailable);
    assert!(matches!(unavailable, Error::Unavailable(_)));
    assert!(!unavailable.to_string().contains("key"));
}

// D49
#[test]
fn refusals_and_denials_are_counted_by_reason() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let bench = bench().await;
            bench.verifier.verify("x").await.unwrap_err();
            bench.with("role", "root".into()).await.unwrap_err();
            bench.with("role", "root".into()).await.unwrap_err();
            let reader = bench.claims(&bench.user()).await.unwrap();
            policy::authorize(&reader, policy::Operation::DatasetRead).unwrap();
            policy::authorize(&reader, policy::Operation::DatasetRetire).unwrap_err();
        });
    });
    let text = recorder.handle().render();
    for line in [
        r#"drr_token_validation_failures_total{reason="malformed"} 1"#,
        r#"drr_token_validation_failures_total{reason="role"} 2"#,
        r#"drr_policy_denials_total{operation="dataset.retire",role="reader"} 1"#,
        r#"drr_jwks_refresh_total{result="success"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("dataset.read"));
}

// D43
#[tokio::test]
async fn a_token_for_one_use_has_a_nonce_and_needs_an_identifier() {
    let bench = bench().await;
    let mut claims = bench.user();
    assert_eq!(bench.claims(&claims).await.unwrap().nonce(), None);
    for (one_time, jti, accepted) in [
        (json!(false), json!(null), false),
        (json!(true), json!(""), false),
        (json!("true"), json!("a"), false),
        (json!(1), json!("a"), false),
        (json!(true), json!("a"), true),
        (json!(true), json!("b"), true),
    ] {
        set(&mut claims, "one_time", one_time);
        set(&mut claims, "jti", jti);
        assert_eq!(bench.claims(&claims).await.is_ok(), accepted, "{claims}");
    }
    let named = bench.claims(&claims).await.unwrap();
    set(&mut claims, "jti", "a".into());
    assert_ne!(bench.claims(&claims).await.unwrap().nonce(), named.nonce());
    assert!(matches!(bench.claims(&without(&claims, "jti")).await, Err(TokenError::Claims)));
}
