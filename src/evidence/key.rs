//! The key that signs checkpoints.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};

/// What the PEM block of a private key in PKCS #8 is called.
const PEM_TAG: &str = "PRIVATE KEY";

/// An Ed25519 key. Whoever has it can sign a history that never was; whoever loses it cannot go on with
/// the logs that it signed.
pub struct SigningKey(Ed25519KeyPair);

/// A text that is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be an Ed25519 key as PKCS #8 in PEM (`openssl genpkey -algorithm ed25519`)")]
pub struct BadKey;

impl SigningKey {
    /// The key of a PEM text.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let block = pem::parse(text).map_err(|_| BadKey)?;
        if block.tag() != PEM_TAG {
            return Err(BadKey);
        }
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(block.contents());
        key.map(Self).map_err(|_| BadKey)
    }

    /// The key kept in the file at `path`, whose folder exists; a new random one if there is none.
    ///
    /// # Errors
    /// The system's; and if the file holds something else.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            create(path)?;
        }
        Self::parse(&fs::read_to_string(path)?).map_err(io::Error::other)
    }

    /// A new random key in PEM.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate_pem() -> io::Result<String> {
        let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
        let key = key.map_err(io::Error::other)?;
        Ok(pem::encode(&pem::Pem::new(PEM_TAG, key.as_ref())))
    }

    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Written whole under another name first: a key that was cut off would be no key. One that another
/// program has made meanwhile stands.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().make_in(folder, |name| {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(name)
    })?;
    file.write_all(SigningKey::generate_pem()?.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => fs::File::open(folder)?.sync_all(),
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::load_or_create(&path).unwrap().public(), made.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
        assert_eq!(format!("{made:?}"), "SigningKey(****)");
    }

    #[test]
    fn other_texts_are_no_key() {
        let pem = SigningKey::generate_pem().unwrap();
        assert!(SigningKey::parse(&pem).is_ok());
        for bad in ["", "x", &pem.replace("PRIVATE", "PUBLIC"), &pem.replace("MC4", "MC5")] {
            assert_eq!(SigningKey::parse(bad).unwrap_err(), BadKey, "{bad}");
        }
    }
}
