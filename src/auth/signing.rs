//! Tokens for development: `drr demo`, `drr token`, the tests. They enter through
//! [`TokenVerifier`](super::TokenVerifier) like any other; a production service trusts the platform's
//! key set and holds no signing key.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::json;

use super::{
    claims::{MAXIMUM_MACHINE_LIFETIME, MAXIMUM_USER_LIFETIME},
    policy::{self, Role, ScopeSet},
    principal::{TenantId, TokenKind},
};
use crate::clock::Clock;

/// Why a development key cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key's file cannot be read or written.
    #[error("the development key's file cannot be used")]
    File(#[from] io::Error),
    /// Others may read the key's file.
    #[error("the development key's file is open to others: its mode is {mode:o}, not 600")]
    Exposed {
        /// The permission bits.
        mode: u32,
    },
    /// No key could be generated.
    #[error("no RSA key could be generated")]
    Generate(#[from] aws_lc_rs::error::Unspecified),
    /// The file holds no RSA key, or signing failed.
    #[error("the development key cannot be used")]
    Key(#[from] jsonwebtoken::errors::Error),
}

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `tenant_id`.
    pub tenant: TenantId,
    /// `sub`, and `client_id` as well on a service's token.
    pub subject: String,
    /// `role`.
    pub role: Role,
    /// A person's token or a service's.
    pub kind: TokenKind,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `exp - iat`, in whole seconds.
    pub lifetime: Duration,
    /// Whether it is for one use (`one_time`).
    pub one_time: bool,
    /// Which schemas it is for (`schemas`); `None` leaves the claim out.
    pub schemas: Option<Vec<String>>,
}

impl TokenRequest {
    /// A token that opens everything its role may do: of the kind that uses the role, with every
    /// scope that the policy table gives a use to, for as long as such a token may live.
    #[must_use]
    pub fn for_role(issuer: &str, audience: &str, tenant: TenantId, role: Role) -> Self {
        let kind = match role {
            Role::RuntimeWriter | Role::SchemaValidator | Role::PipelineRunner => {
                TokenKind::Machine
            }
            _ => TokenKind::User,
        };
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            subject: format!("development-{role}"),
            tenant,
            role,
            kind,
            scopes: policy::useful_scopes(role, kind),
            lifetime: maximum_lifetime(kind),
            one_time: false,
            schemas: None,
        }
    }
}

/// Longest lifetime of a token of this kind (D11).
#[must_use]
pub const fn maximum_lifetime(kind: TokenKind) -> Duration {
    match kind {
        TokenKind::User => MAXIMUM_USER_LIFETIME,
        TokenKind::Machine => MAXIMUM_MACHINE_LIFETIME,
    }
}

/// An RSA key of 2048 bits that signs tokens for development.
#[derive(Debug)]
pub struct DevelopmentKey {
    encoding: EncodingKey,
    public: Jwk,
    key_id: String,
}

impl DevelopmentKey {
    /// A new key, in memory only.
    ///
    /// # Errors
    /// [`SigningError::Generate`] when the machine has no randomness.
    pub fn generate() -> Result<Self, SigningError> {
        Self::from_pem(generate_pem()?.as_bytes())
    }

    /// The key in this file (PKCS #8, PEM), which is made with mode 600 if there is none. Its folder
    /// must exist. Two programs that start at once end with the same key.
    ///
    /// # Errors
    /// [`SigningError`] when the file cannot be used, or when others may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, SigningError> {
        match Self::load(path) {
            Err(SigningError::File(error)) if error.kind() == io::ErrorKind::NotFound => {
                create(path, generate_pem()?.as_bytes())?;
                Self::load(path)
            }
            other => other,
        }
    }

    fn load(path: &Path) -> Result<Self, SigningError> {
        use io::Read as _;
        use std::os::unix::fs::PermissionsExt as _;

        let mut file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SigningError::Exposed { mode });
        }
        let mut pem = Vec::new();
        file.read_to_end(&mut pem)?;
        Self::from_pem(&pem)
    }

    fn from_pem(pem: &[u8]) -> Result<Self, SigningError> {
        let encoding = EncodingKey::from_rsa_pem(pem)?;
        let mut public = Jwk::from_encoding_key(&encoding, Algorithm::RS256)?;
        let key_id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { encoding, public, key_id })
    }

    /// The key's identifier: its thumbprint (RFC 7638).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key set (RFC 7517) that verifies this key's tokens.
    #[must_use]
    pub fn jwks_json(&self) -> Arc<str> {
        json!({ "keys": [self.public] }).to_string().into()
    }

    /// Signs a token that begins now. It says what it is told: the verifier refuses what is wrong.
    ///
    /// # Errors
    /// [`SigningError::Key`] when signing fails.
    pub fn sign(&self, request: &TokenRequest, clock: &dyn Clock) -> Result<String, SigningError> {
        let issued_at = clock.now().timestamp();
        let lifetime = i64::try_from(request.lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut claims = json!({
            "iss": request.issuer,
            "aud": request.audience,
            "sub": request.subject,
            "tenant_id": request.tenant.as_str(),
            "role": request.role.as_str(),
            "scope": request.scopes.to_string(),
            "iat": issued_at,
            "exp": issued_at.saturating_add(lifetime),
            "jti": clock.new_id(),
        });
        if let Some(claims) = claims.as_object_mut() {
            if request.kind == TokenKind::Machine {
                claims.insert("client_id".to_owned(), request.subject.clone().into());
            }
            if request.one_time {
                claims.insert("one_time".to_owned(), true.into());
            }
            if let Some(schemas) = &request.schemas {
                claims.insert("schemas".to_owned(), schemas.clone().into());
            }
        }
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": self.key_id });
        self.sign_parts(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    #[cfg(test)]
    pub(super) fn encoding_key(&self) -> &EncodingKey {
        &self.encoding
    }

    /// Signs any header and any payload (RFC 7515 §5.1).
    pub(super) fn sign_parts(&self, header: &[u8], payload: &[u8]) -> Result<String, SigningError> {
        let (header, payload) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let message = format!("{header}.{payload}");
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::RS256)?;
        Ok(format!("{message}.{signature}"))
    }
}

fn generate_pem() -> Result<String, SigningError> {
    let der = KeyPair::generate(KeySize::Rsa2048)?.as_der()?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

/// Writes a new file that only its owner can read. It appears whole or not at all, and one that has
/// appeared meanwhile is left as it is.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    use io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let draft = path.with_file_name(name);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed,
        Err(error) => Err(error),
        Ok(()) => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("development-key.pem");
        let made = DevelopmentKey::load_or_create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let loaded = DevelopmentKey::load_or_create(&path).unwrap();
        assert_eq!(made.key_id(), loaded.key_id());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = DevelopmentKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, SigningError::Exposed { mode: 0o640 }));
    }

    #[test]
    fn a_file_that_is_no_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"precious").unwrap();
        assert!(matches!(DevelopmentKey::load_or_create(&path), Err(SigningError::Key(_))));
        create(&path, b"other").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let nowhere = folder.path().join("no/such/folder");
        assert!(matches!(DevelopmentKey::load_or_create(&nowhere), Err(SigningError::File(_))));
    }

    #[test]
    fn the_key_set_has_no_private_part() {
        let key = DevelopmentKey::generate().unwrap();
        let set: serde_json::Value = serde_json::from_str(&key.jwks_json()).unwrap();
        let members = set["keys"][0].as_object().unwrap();
        let mut names: Vec<_> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}
