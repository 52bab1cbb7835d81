//! Checkpoints: the size and the root of a log as a signed note (C2SP tlog-checkpoint, signed-note).

use base64::{Engine, engine::general_purpose::STANDARD};
use signed_note::{Note, Signature, StandardVerifier, Verifier, VerifierList, is_key_name_valid};
use tlog_tiles::{checkpoint::Checkpoint, tlog::Hash};

use super::{key::SigningKey, model::BrokenLog};
use crate::auth::TenantId;

/// What stands before the public key in a verifier key: Ed25519 (C2SP signed-note).
const ED25519: u8 = 1;

/// An origin that no note can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin has no white space and no '+'")]
pub struct BadOrigin;

/// Signs the checkpoints of all logs, and knows them again.
#[derive(Debug)]
pub struct Signatory {
    origin: String,
    key: SigningKey,
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
}

impl Signatory {
    /// One that signs for the logs `<origin>/<tenant>`.
    ///
    /// # Errors
    /// [`BadOrigin`].
    pub fn new(origin: impl Into<String>, key: SigningKey) -> Result<Self, BadOrigin> {
        let origin = origin.into();
        if is_key_name_valid(&origin) { Ok(Self { origin, key }) } else { Err(BadOrigin) }
    }

    /// The name of a tenant's log, and of the key that signs it.
    #[must_use]
    pub fn origin(&self, tenant: &TenantId) -> String {
        format!("{}/{tenant}", self.origin)
    }

    /// The public key of a tenant's log, as verifiers take it (C2SP signed-note, `vkey`).
    #[must_use]
    pub fn verifier_key(&self, tenant: &TenantId) -> String {
        let (name, key) = (self.origin(tenant), self.typed_public());
        let id = signed_note::key_id(&name, &key);
        format!("{name}+{id:08x}+{}", STANDARD.encode(key))
    }

    fn typed_public(&self) -> Vec<u8> {
        [&[ED25519], self.key.public()].concat()
    }

    /// The signed checkpoint of a tenant's log.
    ///
    /// # Errors
    /// [`BrokenLog::Checkpoint`]: none for an origin that was taken.
    pub fn sign(&self, tenant: &TenantId, tree: Tree) -> Result<String, BrokenLog> {
        let origin = self.origin(tenant);
        let text = Checkpoint::new(&origin, tree.size, Hash(tree.root), "").map_err(malformed)?;
        self.sign_text(tenant, &text.to_bytes())
    }

    /// A note with the signature of a tenant's log. Its text must be none that a checkpoint can have.
    ///
    /// # Errors
    /// [`BrokenLog::Checkpoint`] for what no note can say.
    pub(super) fn sign_text(&self, tenant: &TenantId, text: &[u8]) -> Result<String, BrokenLog> {
        let origin = self.origin(tenant);
        let id = signed_note::key_id(&origin, &self.typed_public());
        let signature = Signature::new(origin, id, self.key.sign(text)).map_err(malformed)?;
        let note = Note::new(text, &[signature]).map_err(malformed)?;
        String::from_utf8(note.to_bytes()).map_err(malformed)
    }

    /// What a checkpoint of a tenant's log says.
    ///
    /// # Errors
    /// [`BrokenLog::Checkpoint`] if it is no checkpoint of this log, or not signed by this key.
    pub fn open(&self, tenant: &TenantId, text: &str) -> Result<Tree, BrokenLog> {
        tree(&self.verifier_key(tenant), text.as_bytes())
    }
}

/// The name of the log that a verifier key is of.
#[must_use]
pub fn name(verifier_key: &str) -> &str {
    verifier_key.split_once('+').map_or(verifier_key, |(name, _)| name)
}

/// The text of a note that is signed by the key of a log.
///
/// # Errors
/// [`BrokenLog::Checkpoint`] if it is no note, or not signed by this key.
pub fn opened(verifier_key: &str, note: &[u8]) -> Result<Vec<u8>, BrokenLog> {
    let verifier = StandardVerifier::new(verifier_key).map_err(malformed)?;
    let note = Note::from_bytes(note).map_err(malformed)?;
    let known: Box<dyn Verifier> = Box::new(verifier);
    note.verify(&VerifierList::new(vec![known])).map_err(malformed)?;
    Ok(note.text().to_vec())
}

/// What a checkpoint says of the log of this key.
///
/// # Errors
/// [`BrokenLog::Checkpoint`] if it is no checkpoint of this log, or not signed by this key.
pub fn tree(verifier_key: &str, checkpoint: &[u8]) -> Result<Tree, BrokenLog> {
    let text = opened(verifier_key, checkpoint)?;
    let checkpoint =
        Checkpoint::from_bytes(&text).map_err(|error| BrokenLog::Checkpoint(error.to_string()))?;
    if checkpoint.origin() != name(verifier_key) {
        return Err(BrokenLog::Checkpoint("it is another log's".to_owned()));
    }
    Ok(Tree { size: checkpoint.size(), root: checkpoint.hash().0 })
}

fn malformed(error: impl std::fmt::Display) -> BrokenLog {
    BrokenLog::Checkpoint(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: Tree = Tree { size: 7, root: [3; 32] };

    fn signatory(origin: &str) -> Signatory {
        let key = SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        Signatory::new(origin, key).unwrap()
    }

    fn tenant(code: &str) -> TenantId {
        TenantId::parse(code).unwrap()
    }

    #[test]
    fn a_checkpoint_is_known_again_and_no_other_is() {
        let own = signatory("example.com/drr");
        let note = own.sign(&tenant("acme"), TREE).unwrap();
        let root = STANDARD.encode(TREE.root);
        assert!(note.starts_with(&format!(
            "example.com/drr/acme\n7\n{root}\n\n\u{2014} example.com/drr/acme "
        )));
        assert_eq!(own.open(&tenant("acme"), &note), Ok(TREE));
        let other = signatory("example.com/drr");
        for bad in [
            own.open(&tenant("globex"), &note),
            other.open(&tenant("acme"), &note),
            own.open(&tenant("acme"), &note.replacen("\n7\n", "\n8\n", 1)),
            own.open(&tenant("acme"), ""),
        ] {
            assert!(matches!(bad, Err(BrokenLog::Checkpoint(_))), "{bad:?}");
        }
    }

    #[test]
    fn calls_without_a_tenant_have_a_log_too() {
        let own = signatory("drr");
        let note = own.sign(&TenantId::none(), TREE).unwrap();
        assert!(note.starts_with("drr/-\n7\n"));
        assert_eq!(own.open(&TenantId::none(), &note), Ok(TREE));
    }

    #[test]
    fn no_note_can_have_such_an_origin() {
        let key = || SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert_eq!(Signatory::new(bad, key()).unwrap_err(), BadOrigin);
        }
    }
}
