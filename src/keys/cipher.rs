//! AES-256-GCM, each time with a new random nonce that stands before what it was used for.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};

/// A key, and nothing to see of it.
pub(super) struct Cipher(RandomizedNonceKey);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Result<Self, Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self)
    }

    /// Nonce, content and tag. What opens it must name the same `context`.
    pub(super) fn seal(
        &self,
        context: &[u8],
        mut content: Vec<u8>,
    ) -> Result<Vec<u8>, Unspecified> {
        let nonce = self.0.seal_in_place_append_tag(Aad::from(context), &mut content)?;
        Ok([nonce.as_ref().as_slice(), &content].concat())
    }

    /// What was sealed, unless a bit of it or of `context` is another one.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let (nonce, content) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut content = content.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(context), &mut content)?.len();
        content.truncate(opened);
        Ok(content)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cipher(****)")
    }
}
