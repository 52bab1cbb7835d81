//! What schemas and their versions are called, and where their content lies.
//!
//! A name is parsed once, from a whitelist of ASCII characters, so that whatever is made of it (an
//! object's key, a path, a line in a log) needs no escaping and cannot leave its tenant's prefix.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::content::ContentHash;
use crate::auth::TenantId;

/// The longest text that can be a name: `tenant.` and three parts of 63 with two dots.
const MAX_LENGTH: usize = 7 + 3 * 63 + 2;

/// Why a text is no name of a schema or of a version. What was refused is not repeated: it may be
/// long, and it comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The parts are not there.
    #[error("a schema is called tenant.<code>.<domain>.<name>")]
    Form,
    /// The second part is no tenant's code.
    #[error("a tenant code is 2 to 63 characters of a-z, 0-9 and '-', and does not start with '-'")]
    Code,
    /// The third part is no domain.
    #[error("a domain is 1 to 63 characters of a-z, 0-9, '_' and '-', and starts with a letter")]
    Domain,
    /// The last part is no name.
    #[error("a name is 1 to 63 characters of A-Z, a-z, 0-9, '_' and '-', and starts with a letter")]
    Name,
    /// What follows the `@` is no version's number.
    #[error("a version is called <schema>@<number>, counted from 1")]
    Version,
}

/// The full name (FQID) of a schema: `tenant.<code>.<domain>.<name>`.
///
/// Case counts: `Order` and `order` are two names, as record names of Avro and messages of Protobuf
/// are. To add a part, add its rule to [`Self::parse`] and its length to `MAX_LENGTH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaName {
    tenant: TenantId,
    domain: Arc<str>,
    name: Arc<str>,
}

impl SchemaName {
    /// Parses a full name.
    ///
    /// # Errors
    /// [`InvalidName`]: the first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidName::Form);
        }
        let rest = text.strip_prefix("tenant.").ok_or(InvalidName::Form)?;
        let mut parts = rest.split('.');
        let (Some(code), Some(domain), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidName::Form);
        };
        Self::new(code, domain, name)
    }

    /// Puts a name together from its parts.
    ///
    /// # Errors
    /// [`InvalidName`]: the first part that is wrong.
    pub fn new(code: &str, domain: &str, name: &str) -> Result<Self, InvalidName> {
        let tenant = TenantId::parse(code).map_err(|_| InvalidName::Code)?;
        if !is_word(domain) || domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidName::Domain);
        }
        if !is_word(name) {
            return Err(InvalidName::Name);
        }
        Ok(Self { tenant, domain: domain.into(), name: name.into() })
    }

    /// The code of the tenant that it belongs to.
    #[must_use]
    pub fn code(&self) -> &str {
        self.tenant.as_str()
    }

    /// The domain within the tenant.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name within the domain.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What every object of the tenant's key starts with. It ends with a slash, so that no code's
    /// prefix is the start of another's.
    #[must_use]
    pub fn tenant_prefix(&self) -> String {
        format!("schemas/tenant-{}/", self.tenant)
    }

    /// The key of the object that holds a content of this schema.
    #[must_use]
    pub fn object_key(&self, hash: &ContentHash) -> String {
        format!("{}{}/{}/{hash}", self.tenant_prefix(), self.domain, self.name)
    }

    /// The version of this schema with this number.
    #[must_use]
    pub fn at(&self, number: VersionNumber) -> VersionName {
        VersionName { schema: self.clone(), number }
    }
}

/// `[A-Za-z][A-Za-z0-9_-]{0,62}`
fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

impl fmt::Display for SchemaName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tenant.{}.{}.{}", self.tenant, self.domain, self.name)
    }
}

impl FromStr for SchemaName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

/// The number of a version within its schema: counted from 1, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(i32);

impl VersionNumber {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// The version with this number.
    ///
    /// # Errors
    /// [`InvalidName::Version`] below 1.
    pub fn new(number: i32) -> Result<Self, InvalidName> {
        if number >= 1 { Ok(Self(number)) } else { Err(InvalidName::Version) }
    }

    /// Parses it from the one way in which it is written: no sign, no leading zero.
    ///
    /// # Errors
    /// [`InvalidName::Version`] for anything else, and beyond 2,147,483,647.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|_| digits).ok_or(InvalidName::Version)?;
        Self::new(number)
    }

    /// The number that follows the highest ever given, whether that version is still there or not.
    /// None follows the last.
    #[must_use]
    pub fn after(highest: Option<Self>) -> Option<Self> {
        match highest {
            None => Some(Self::FIRST),
            Some(Self(number)) => number.checked_add(1).map(Self),
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A version of a schema: `<schema>@<number>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionName {
    /// Of which schema.
    pub schema: SchemaName,
    /// Which of its versions.
    pub number: VersionNumber,
}

impl VersionName {
    /// Parses a version's name.
    ///
    /// # Errors
    /// [`InvalidName`]: the first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (schema, number) = text.split_once('@').ok_or(InvalidName::Version)?;
        Ok(Self { schema: SchemaName::parse(schema)?, number: VersionNumber::parse(number)? })
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.schema, self.number)
    }
}

impl FromStr for VersionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
