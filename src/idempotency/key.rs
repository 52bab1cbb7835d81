//! The key itself.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Longest key, in characters.
const MAXIMUM_LENGTH: usize = 255;
const FIELD: &str = "Idempotency-Key";

/// 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// Reads the header's value: the key as it is, or as a string of RFC 8941 §3.3.3 (in quotes, which
    /// are no part of it).
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for anything else.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let text = str::from_utf8(value).map_err(|_| malformed())?;
        let text = match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(malformed)?,
            None => text.to_owned(),
        };
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=MAXIMUM_LENGTH).contains(&text.len());
        if visible && fits { Ok(Self(text)) } else { Err(malformed()) }
    }

    /// What a request without a key is told where one is needed.
    #[must_use]
    pub fn missing() -> Error {
        Error::bad_input(FIELD, "this request needs the header")
    }

    /// What a request with two of them is told.
    #[must_use]
    pub fn repeated() -> Error {
        Error::bad_input(FIELD, "is given twice")
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the audit trail calls it: the caller's own text may say anything.
    #[must_use]
    pub fn resource(&self) -> String {
        format!(
            "idempotency:{}",
            hex::encode(Sha256::digest(&self.0).into_iter().take(16).collect::<Vec<_>>())
        )
    }
}

fn malformed() -> Error {
    Error::bad_input(
        FIELD,
        "must be 1 to 255 visible ASCII characters, as they are or as a quoted string",
    )
}

/// The rest of a quoted string, after its first quote.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_plain_or_quoted() {
        for (value, key) in [
            ("a", "a"),
            ("\"a\"", "a"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#"a"b"#, r#"a"b"#),
            (&"k".repeat(255), &"k".repeat(255)),
            (&format!("\"{}\"", "k".repeat(255)), &"k".repeat(255)),
        ] {
            assert_eq!(Key::parse(value.as_bytes()).unwrap().as_str(), key, "{value}");
        }
        for value in [
            "",
            "\"",
            "\"\"",
            "a b",
            "\"a b\"",
            "\"a",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\\b\"",
            "\"a\\",
            "ä",
            "a\u{7f}",
            "a\t",
            &"k".repeat(256),
        ] {
            let refused = Key::parse(value.as_bytes()).unwrap_err();
            assert_eq!(refused.code(), crate::error::ErrorCode::BadUserInput, "{value}");
        }
        assert!(Key::parse(b"\xff").is_err());
    }

    #[test]
    fn the_trail_does_not_repeat_what_a_caller_wrote() {
        let name = Key::parse(b"secret").unwrap().resource();
        assert!(name.len() == "idempotency:".len() + 32 && !name.contains("secret"), "{name}");
    }
}
