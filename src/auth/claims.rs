//! What a token says, read strictly: only what is expected, each thing once, each of its type.
//!
//! serde's derived structs refuse a known member that comes twice, and `String` or `u64` refuse
//! every other type and `null`; members that are not known are left alone (RFC 7519 §4, RFC 7515
//! §4), except the header members that would change what the signature means.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use sha2::{Digest, Sha256};

use super::{principal::TokenKind, token_error::TokenError};

/// Longest life of a person's token: `exp - iat` (D11).
pub(super) const MAXIMUM_USER_LIFETIME: Duration = Duration::from_secs(900);
/// Longest life of a service's token: `exp - iat` (D11).
pub(super) const MAXIMUM_MACHINE_LIFETIME: Duration = Duration::from_secs(3_600);
/// Longest key identifier, in bytes.
const MAXIMUM_KEY_ID_BYTES: usize = 256;
/// Longest `jti`, in bytes.
const MAXIMUM_TOKEN_ID_BYTES: usize = 256;
/// The types of token that are access tokens (RFC 7519 §5.1, RFC 9068 §2.1); `application/` may be
/// left out (RFC 7515 §4.1.9).
const ACCESS_TOKEN_TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A member that must not be there; `null` counts as there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Forbidden(bool);

impl<'de> Deserialize<'de> for Forbidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// A member that may be left out, but is not `null` when it is there.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
struct RawHeader {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    // Each of these says that the token is to be understood in another way, or brings a key of
    // its own.
    #[serde(default)]
    crit: Forbidden,
    #[serde(default)]
    b64: Forbidden,
    #[serde(default)]
    cty: Forbidden,
    #[serde(default)]
    enc: Forbidden,
    #[serde(default)]
    zip: Forbidden,
    #[serde(default)]
    jku: Forbidden,
    #[serde(default)]
    jwk: Forbidden,
    #[serde(default)]
    x5u: Forbidden,
    #[serde(default)]
    x5c: Forbidden,
}

/// Reads a token's header and gives the identifier of its key, if it names one. This happens before
/// any signature is checked, and decides which key checks it.
pub(super) fn key_id_of(token: &str) -> Result<Option<String>, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: RawHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Header)?;
    if header.alg != "RS256" {
        return Err(TokenError::Algorithm);
    }
    let typ = header.typ.ok_or(TokenError::Type)?;
    if !ACCESS_TOKEN_TYPES.iter().any(|known| known.eq_ignore_ascii_case(&typ)) {
        return Err(TokenError::Type);
    }
    let forbidden = [
        header.crit,
        header.b64,
        header.cty,
        header.enc,
        header.zip,
        header.jku,
        header.jwk,
        header.x5u,
        header.x5c,
    ];
    if forbidden.contains(&Forbidden(true)) {
        return Err(TokenError::Header);
    }
    match header.kid {
        Some(kid) if kid.is_empty() || kid.len() > MAXIMUM_KEY_ID_BYTES => Err(TokenError::KeyId),
        kid => Ok(kid),
    }
}

/// `aud`: one text, or a list of them. jsonwebtoken compares it; here only its shape counts.
#[derive(Debug)]
struct Audience;

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;
        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, _: &str) -> Result<Audience, E> {
                Ok(Audience)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience, A::Error> {
                while list.next_element::<String>()?.is_some() {}
                Ok(Audience)
            }
        }
        deserializer.deserialize_any(AudienceVisitor)
    }
}

/// The claims of an access token (D10). Times are whole seconds since 1970 (`NumericDate` allows
/// fractions; no issuer needs them, and the limits on a lifetime are exact without).
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(rename = "iss")]
    issuer: String,
    #[serde(rename = "aud")]
    _audience: Audience,
    #[serde(rename = "sub")]
    pub(super) subject: String,
    #[serde(rename = "tenant_id")]
    pub(super) tenant: String,
    pub(super) role: String,
    pub(super) scope: String,
    #[serde(rename = "iat")]
    issued_at: u64,
    #[serde(rename = "exp")]
    expires_at: u64,
    #[serde(rename = "nbf", default, deserialize_with = "present")]
    not_before: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(rename = "jti", default, deserialize_with = "present")]
    pub(super) token_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    one_time: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub(super) schemas: Option<Vec<String>>,
}

impl Claims {
    /// A service's token carries `client_id`, equal to `sub` (RFC 9068 §2.2). A different
    /// `client_id` is the application through which a person acts.
    pub(super) fn kind(&self) -> TokenKind {
        if self.client_id.as_ref() == Some(&self.subject) {
            TokenKind::Machine
        } else {
            TokenKind::User
        }
    }

    /// What must never come a second time: the hash of issuer and `jti`, of a token that asks for it
    /// with `one_time`. Such a token needs a `jti`. // D43
    pub(super) fn nonce(&self) -> Result<Option<[u8; 32]>, TokenError> {
        if self.one_time != Some(true) {
            return Ok(None);
        }
        let token_id = self.token_id.as_deref().filter(|id| !id.is_empty());
        let token_id = token_id.ok_or(TokenError::Claims)?;
        let hash =
            Sha256::new().chain_update(&self.issuer).chain_update([0]).chain_update(token_id);
        Ok(Some(hash.finalize().into()))
    }

    /// Checks what does not change while the token lives, and gives the times that do matter.
    pub(super) fn validity(&self) -> Result<Validity, TokenError> {
        let maximum = match self.kind() {
            TokenKind::User => MAXIMUM_USER_LIFETIME,
            TokenKind::Machine => MAXIMUM_MACHINE_LIFETIME,
        };
        let lifetime = self.expires_at.checked_sub(self.issued_at).ok_or(TokenError::Lifetime)?;
        if lifetime == 0 || lifetime > maximum.as_secs() {
            return Err(TokenError::Lifetime);
        }
        if self.token_id.as_ref().is_some_and(|id| id.len() > MAXIMUM_TOKEN_ID_BYTES) {
            return Err(TokenError::Claims);
        }
        Ok(Validity {
            issued_at: instant(self.issued_at)?,
            not_before: self.not_before.map(instant).transpose()?,
            expires_at: instant(self.expires_at)?,
        })
    }
}

fn instant(seconds: u64) -> Result<DateTime<Utc>, TokenError> {
    let seconds = i64::try_from(seconds).map_err(|_| TokenError::Claims)?;
    DateTime::from_timestamp(seconds, 0).ok_or(TokenError::Claims)
}

/// When a token holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    issued_at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Validity {
    /// Checks the token's times against ours. The leeway is for clocks that disagree: it moves
    /// both ends outwards. Both ends are sharp: accepted at `iat - leeway`, refused at
    /// `exp + leeway`.
    pub(super) fn check(&self, now: DateTime<Utc>, leeway: TimeDelta) -> Result<(), TokenError> {
        // `now` moves, not the claims: they may lie at the very end of what can be represented.
        let (latest, earliest) = (now + leeway, now - leeway);
        if self.expires_at <= earliest {
            return Err(TokenError::Expired);
        }
        if self.issued_at > latest {
            return Err(TokenError::IssuedInFuture);
        }
        if self.not_before.is_some_and(|not_before| not_before > latest) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}
