//! The verified caller.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    policy::{Role, ScopeSet},
    reach::Reach,
};

/// A tenant's code: `[a-z0-9][a-z0-9-]{1,62}`. Parsed once, here, against a whitelist, so that no
/// later place has to think about separators, look-alike letters or path traversal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// Why a text is not a tenant's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant code is 2 to 63 characters of a-z, 0-9 and '-', and does not start with '-'")]
pub struct InvalidTenantId;

impl TenantId {
    /// Parses a tenant's code.
    ///
    /// # Errors
    /// [`InvalidTenantId`] for anything outside the whitelist.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid =
            (2..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-');
        if valid { Ok(Self(text.into())) } else { Err(InvalidTenantId) }
    }

    /// What stands in the place of a tenant for calls that have none, in the audit trail. No token can
    /// name it: it is no tenant's code.
    #[must_use]
    pub fn none() -> Self {
        Self("-".into())
    }

    /// Parses what stands in the trail: a tenant's code, or none.
    ///
    /// # Errors
    /// [`InvalidTenantId`] for what is neither.
    pub fn parse_or_none(text: &str) -> Result<Self, InvalidTenantId> {
        let none = Self::none();
        if text == none.as_str() { Ok(none) } else { Self::parse(text) }
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether a token belongs to a person or to a service; the two have different lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A person; at most 900 s.
    User,
    /// A service: its token carries `client_id`, equal to `sub` (RFC 9068 §2.2); at most 3600 s.
    Machine,
}

/// A caller whose token was verified. The fields are private and only
/// [`TokenVerifier::verify`](super::verifier::TokenVerifier::verify) fills them in, so holding one
/// is the proof.
#[derive(Debug, Clone)]
pub struct Principal {
    pub(super) tenant: TenantId,
    pub(super) actor: Arc<str>,
    pub(super) role: Role,
    pub(super) scopes: ScopeSet,
    pub(super) kind: TokenKind,
    pub(super) reach: Reach,
    pub(super) token_hash: [u8; 32],
    pub(super) token_id: Option<Arc<str>>,
    pub(super) nonce: Option<[u8; 32]>,
    pub(super) key_id: Arc<str>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Principal {
    /// The tenant whose data this caller may see.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The opaque subject, as it goes into the audit trail. Never a name or an e-mail address.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The role the token carries.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The scopes the token carries.
    #[must_use]
    pub const fn scopes(&self) -> ScopeSet {
        self.scopes
    }

    /// A person or a service.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Which schemas of its tenant the token is for.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// SHA-256 of the token: names it without being it.
    #[must_use]
    pub const fn token_hash(&self) -> &[u8; 32] {
        &self.token_hash
    }

    /// The token's own identifier (`jti`), if its issuer gave it one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// What may be seen once only, of a token for one use (`one_time`).
    #[must_use]
    pub const fn nonce(&self) -> Option<&[u8; 32]> {
        self.nonce.as_ref()
    }

    /// The identifier of the key that signed the token.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// When the token ends: its `exp`, without the leeway for clocks that disagree.
    #[must_use]
    pub const fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_codes_are_a_whitelist() {
        for good in ["ab", "tenant-0001", "0a", "a-", &"a".repeat(63)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "-a", "A1", "a_b", "a.b", "a/b", "../x", "а1", "a b", "a\0b", &"a".repeat(64)]
        {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }
}
