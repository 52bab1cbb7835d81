//! The subject as it may be stored: opaque, never a name or an e-mail address (D39).

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;

use super::principal::TenantId;

/// Longest subject, in characters (OpenID Connect Core §2 allows 255).
const MAXIMUM_CHARACTERS: usize = 256;
/// Shortest secret for the pseudonyms, in bytes.
const MINIMUM_SECRET_BYTES: usize = 32;
/// Bytes of the keyed hash that are kept: 128 bits, 32 hexadecimal digits.
const KEPT_BYTES: usize = 16;
const PREFIX: &str = "pseudonym:";
/// What the actors of the program's own tasks begin with (`drr:sweeper`).
const OWN_TASKS: &str = "drr:";
/// `@`, its look-alikes, and its escaped form.
const E_MAIL_MARKS: [&str; 4] = ["@", "\u{FF20}", "\u{FE6B}", "%40"];

/// The secret under which subjects that look like e-mail addresses are hashed. Whoever holds it can
/// test a guess; without it a pseudonym cannot be led back. Changing it gives everybody a new one.
#[derive(Clone)]
pub struct PseudonymKey(hmac::Key);

/// A secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pseudonym secret must have at least {MINIMUM_SECRET_BYTES} bytes")]
pub struct WeakPseudonymKey;

/// A subject that is empty, too long, or holds characters that no opaque identifier needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subject is not an opaque identifier")]
pub struct InvalidSubject;

impl PseudonymKey {
    /// A key from a secret of at least 32 random bytes.
    ///
    /// # Errors
    /// [`WeakPseudonymKey`] if it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakPseudonymKey> {
        if secret.len() < MINIMUM_SECRET_BYTES {
            return Err(WeakPseudonymKey);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The actor of a token's subject: the subject itself when it is opaque, a keyed hash when it
    /// looks like an e-mail address. The hash covers the tenant, so that one person's pseudonyms in
    /// two tenants cannot be linked.
    ///
    /// # Errors
    /// [`InvalidSubject`] for anything else: white space, letters beyond ASCII, the form of a
    /// pseudonym (which would be somebody else's) or of the program itself.
    pub fn actor(&self, tenant: &TenantId, subject: &str) -> Result<Arc<str>, InvalidSubject> {
        let length = subject.chars().count();
        let control = subject.chars().any(char::is_control);
        let taken = subject.starts_with(PREFIX) || subject.starts_with(OWN_TASKS);
        if length == 0 || length > MAXIMUM_CHARACTERS || control || taken {
            return Err(InvalidSubject);
        }
        if E_MAIL_MARKS.iter().any(|mark| subject.contains(mark)) {
            return Ok(self.pseudonym(tenant, subject).into());
        }
        if subject.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(subject.into())
        } else {
            Err(InvalidSubject)
        }
    }

    fn pseudonym(&self, tenant: &TenantId, subject: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(tenant.as_str().as_bytes());
        context.update(b"\0");
        context.update(subject.as_bytes());
        let tag = context.sign();
        let kept = tag.as_ref().iter().take(KEPT_BYTES);
        kept.fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PseudonymKey(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> PseudonymKey {
        PseudonymKey::new(&[fill; 32]).unwrap()
    }

    fn tenant(code: &str) -> TenantId {
        TenantId::parse(code).unwrap()
    }

    #[test]
    fn opaque_subjects_pass_as_they_are() {
        for subject in ["auth0|5f7c", "svc-runtime", "a", "urn:x:1", &"a".repeat(256)] {
            assert_eq!(&*key(1).actor(&tenant("t1"), subject).unwrap(), subject);
        }
    }

    #[test]
    fn what_no_opaque_subject_holds_is_refused() {
        let long = "a".repeat(257);
        let bad = [
            "",
            " ",
            "Anna Schmidt",
            "a\0b",
            "a\nb@c",
            "jürgen",
            "a\u{202E}b",
            "pseudonym:00",
            "drr:sweeper",
            &long,
        ];
        for subject in bad {
            assert!(key(1).actor(&tenant("t1"), subject).is_err(), "{subject:?}");
        }
    }

    // D39
    #[test]
    fn e_mail_addresses_become_keyed_hashes() {
        let mail = "anna@example.org";
        let actor = key(1).actor(&tenant("t1"), mail).unwrap();
        // Made by another program, and never to change: actors are kept for years.
        assert_eq!(&*actor, "pseudonym:39b023320115dbdd321fd88e492a5563");
        assert_eq!(actor, key(1).actor(&tenant("t1"), mail).unwrap());
        assert_ne!(actor, key(2).actor(&tenant("t1"), mail).unwrap(), "the key counts");
        assert_ne!(actor, key(1).actor(&tenant("t2"), mail).unwrap(), "the tenant counts");
        assert_ne!(actor, key(1).actor(&tenant("t1"), "bob@example.org").unwrap());
        for other in ["jürgen@example.org", "anna＠example.org", "anna%40example.org", "A B <a@b>"]
        {
            let actor = key(1).actor(&tenant("t1"), other).unwrap();
            assert!(actor.starts_with("pseudonym:"), "{other}");
        }
    }

    #[test]
    fn weak_secrets_are_refused_and_never_shown() {
        assert_eq!(PseudonymKey::new(&[0; 31]).unwrap_err(), WeakPseudonymKey);
        assert_eq!(format!("{:?}", key(1)), "PseudonymKey(****)");
    }
}
