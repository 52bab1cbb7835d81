//! The master key: made of a secret that only the program's surroundings know.

use aws_lc_rs::{error::Unspecified, hkdf};
use secrecy::zeroize::Zeroizing;

use super::cipher::Cipher;

/// Shortest secret, in bytes.
const MINIMUM_SECRET_BYTES: usize = 32;
/// Bytes of a name.
const NAME_BYTES: usize = 8;

/// What data keys are wrapped with.
#[derive(Debug)]
pub struct MasterKey {
    name: String,
    cipher: Cipher,
}

/// A secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master key must have at least {MINIMUM_SECRET_BYTES} bytes")]
pub struct WeakMasterKey;

impl MasterKey {
    /// A key from a secret of at least 32 random bytes.
    ///
    /// # Errors
    /// [`WeakMasterKey`] if it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakMasterKey> {
        if secret.len() < MINIMUM_SECRET_BYTES {
            return Err(WeakMasterKey);
        }
        // Fails for lengths only, and these are right.
        Self::derive(secret).map_err(|Unspecified| WeakMasterKey)
    }

    fn derive(secret: &[u8]) -> Result<Self, Unspecified> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"drr").extract(secret);
        let expand = |purpose: &'static [u8]| {
            let mut bytes = Zeroizing::new([0; 32]);
            extracted.expand(&[purpose], hkdf::HKDF_SHA256)?.fill(bytes.as_mut())?;
            Ok::<_, Unspecified>(bytes)
        };
        let name = expand(b"name")?;
        let name = name.first_chunk::<NAME_BYTES>().ok_or(Unspecified)?;
        Ok(Self { name: hex::encode(name), cipher: Cipher::new(&*expand(b"key")?)? })
    }

    /// What it is called where something is wrapped with it; tells nothing of the key.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn cipher(&self) -> &Cipher {
        &self.cipher
    }
}
