//! The words that a token's `role` and `scope` claims can say.

use std::{fmt, str::FromStr};

/// The roles of the platform, of both documents (D16–D18, S3, S9). One per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads freshness.
    Reader,
    /// Reports runs; a service.
    RuntimeWriter,
    /// Reads for an audit.
    Auditor,
    /// Manages schemas.
    SchemaAdmin,
    /// Reads schemas of a namespace.
    SchemaReader,
    /// Validates against schemas.
    SchemaValidator,
    /// Runs a pipeline against named schemas.
    PipelineRunner,
    /// Approves transitions of a schema.
    GovernanceApprover,
    /// Manages one tenant's own namespace.
    TenantAdmin,
    /// Operates the service: summaries and approvals only.
    Operator,
}

/// A role that this service does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such role")]
pub struct UnknownRole;

impl Role {
    /// Every role, once.
    pub const ALL: [Self; 10] = [
        Self::Reader,
        Self::RuntimeWriter,
        Self::Auditor,
        Self::SchemaAdmin,
        Self::SchemaReader,
        Self::SchemaValidator,
        Self::PipelineRunner,
        Self::GovernanceApprover,
        Self::TenantAdmin,
        Self::Operator,
    ];

    /// The role as a token writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::RuntimeWriter => "runtime-writer",
            Self::Auditor => "auditor",
            Self::SchemaAdmin => "schema-admin",
            Self::SchemaReader => "schema-reader",
            Self::SchemaValidator => "schema-validator",
            Self::PipelineRunner => "pipeline-runner",
            Self::GovernanceApprover => "governance-approver",
            Self::TenantAdmin => "tenant-admin",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The scopes that mean something here (D12–D14). Tokens may carry others, for other services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read datasets, runs, freshness.
    ReadRefresh,
    /// Report runs; services only.
    WriteRefresh,
    /// Read for an audit; auditors only.
    ReadAudit,
    /// Manage datasets and policies; tenant administrators only. This service's own addition: the
    /// document has no scope for it, and the write scope belongs to services.
    ManageRefresh,
}

impl Scope {
    /// Every scope, once.
    pub const ALL: [Self; 4] =
        [Self::ReadRefresh, Self::WriteRefresh, Self::ReadAudit, Self::ManageRefresh];

    /// The scope as a token writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadRefresh => "storage.read.refresh",
            Self::WriteRefresh => "storage.write.refresh",
            Self::ReadAudit => "storage.read.audit",
            Self::ManageRefresh => "storage.manage.refresh",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ScopeSet(u8);

impl ScopeSet {
    /// Reads a `scope` claim: names between spaces (RFC 8693 §4.2). Names that mean nothing here
    /// are left out: the token may be meant for other services too.
    #[must_use]
    pub fn parse(claim: &str) -> Self {
        claim
            .split(' ')
            .filter_map(|name| Scope::ALL.into_iter().find(|scope| scope.as_str() == name))
            .collect()
    }

    /// Whether the scope is in the set.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether all of `other` are in the set.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for ScopeSet {
    /// As a `scope` claim: names between spaces.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(formatter, "{separator}{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for bad in ["", "Reader", "reader ", "admin", "reader,auditor", "writer"] {
            assert_eq!(bad.parse::<Role>(), Err(UnknownRole), "{bad}");
        }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for bits in 0..16 {
            let set = ScopeSet(bits);
            assert_eq!(ScopeSet::parse(&set.to_string()), set);
            assert_eq!(set.iter().collect::<ScopeSet>(), set);
        }
        let set = ScopeSet::parse("openid  storage.read.refresh other storage.read.refreshing");
        assert_eq!(set, ScopeSet::from_iter([Scope::ReadRefresh]));
        for bad in ["", "STORAGE.READ.REFRESH", "storage.read.refresh,x", "storage.read.refresh\t"]
        {
            assert_eq!(ScopeSet::parse(bad), ScopeSet::default(), "{bad}");
        }
    }
}
