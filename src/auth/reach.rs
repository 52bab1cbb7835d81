//! Which schemas of its tenant a token is for: the claim `schemas`. // S3
//!
//! A list of namespaces (`tenant.<code>`, `tenant.<code>.<domain>`) and of full names
//! (`tenant.<code>.<domain>.<name>`), all of the token's own tenant. Without the claim a token is for all
//! schemas of its tenant that its role has to do with; that of a `pipeline-runner` is for the schemas that it
//! names, and for no others.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{policy::Role, principal::TenantId, token_error::TokenError};

/// The most entries that the claim may have.
const MAXIMUM_ENTRIES: usize = 64;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All schemas of the tenant.
    Tenant,
    /// Those that are named.
    Named(Arc<[Named]>),
}

/// A domain, or one schema of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The domain.
    pub domain: String,
    /// The schema's name there; all of them if it is missing.
    pub name: Option<String>,
}

impl Reach {
    /// Reads the claim of a token of this tenant and role.
    ///
    /// # Errors
    /// [`TokenError::Schemas`] for an entry that is none, is of another tenant, or is too wide for the role.
    pub(super) fn parse(
        tenant: &TenantId,
        role: Role,
        claim: Option<&[String]>,
    ) -> Result<Self, TokenError> {
        let entries = match claim {
            None if role == Role::PipelineRunner => &[],
            None => return Ok(Self::Tenant),
            Some(entries) if entries.len() <= MAXIMUM_ENTRIES => entries,
            Some(_) => return Err(TokenError::Schemas),
        };
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            match parse_entry(tenant, entry)? {
                Some(Named { name: None, .. }) | None if role == Role::PipelineRunner => {
                    return Err(TokenError::Schemas);
                }
                Some(entry) => named.push(entry),
                None => return Ok(Self::Tenant),
            }
        }
        Ok(Self::Named(named.into()))
    }

    /// Whether a schema is within it.
    #[must_use]
    pub fn includes(&self, domain: &str, name: &str) -> bool {
        let Self::Named(named) = self else { return true };
        named.iter().any(|entry| {
            entry.domain == domain && entry.name.as_ref().is_none_or(|own| own == name)
        })
    }

    /// What stands for it among the requests of a tenant; `None` for all schemas.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        let Self::Named(named) = self else { return None };
        let mut hash = Sha256::new();
        for Named { domain, name } in named.iter() {
            // Neither has a line break in it: they are words.
            hash.update(format!("{domain}.{}\n", name.as_deref().unwrap_or_default()));
        }
        Some(hash.finalize().into())
    }
}

/// What an entry names; `None` for the whole tenant.
fn parse_entry(tenant: &TenantId, entry: &str) -> Result<Option<Named>, TokenError> {
    let mut parts = entry.split('.');
    if parts.next() != Some("tenant") || parts.next() != Some(tenant.as_str()) {
        return Err(TokenError::Schemas);
    }
    let rest: Vec<_> = parts.map(word).collect::<Result<_, _>>()?;
    match rest.as_slice() {
        [] => Ok(None),
        [domain] => Ok(Some(Named { domain: domain.clone(), name: None })),
        [domain, name] => Ok(Some(Named { domain: domain.clone(), name: Some(name.clone()) })),
        _ => Err(TokenError::Schemas),
    }
}

/// A part of a schema's name. What is no such part would match nothing; the token is refused instead, since
/// its issuer meant something.
fn word(part: &str) -> Result<String, TokenError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match (1..=63).contains(&part.len()) && part.bytes().all(allowed) {
        true => Ok(part.to_owned()),
        false => Err(TokenError::Schemas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(role: Role, claim: Option<&[&str]>) -> Result<Reach, TokenError> {
        let claim: Option<Vec<String>> =
            claim.map(|claim| claim.iter().map(|entry| (*entry).to_owned()).collect());
        Reach::parse(&TenantId::parse("acme").unwrap(), role, claim.as_deref())
    }

    #[test]
    fn a_claim_names_namespaces_and_schemas() {
        let of = |claim: &[&str]| reach(Role::SchemaReader, Some(claim)).unwrap();
        assert_eq!(reach(Role::SchemaReader, None), Ok(Reach::Tenant));
        assert_eq!(of(&["tenant.acme.sales", "tenant.acme"]), Reach::Tenant);
        let sales = of(&["tenant.acme.sales", "tenant.acme.ops.Alert"]);
        assert!(sales.includes("sales", "Order") && sales.includes("ops", "Alert"));
        assert!(!sales.includes("ops", "alert") && !sales.includes("sale", "Order"));
        assert!(!of(&[]).includes("sales", "Order"));
        assert_ne!(of(&["tenant.acme.sales"]).digest(), of(&["tenant.acme.ops"]).digest());
        assert_ne!(of(&[]).digest(), Reach::Tenant.digest());
    }

    #[test]
    fn a_pipeline_is_for_what_it_names() {
        assert!(!reach(Role::PipelineRunner, None).unwrap().includes("sales", "Order"));
        let one = reach(Role::PipelineRunner, Some(&["tenant.acme.sales.Order"])).unwrap();
        assert!(one.includes("sales", "Order") && !one.includes("sales", "Orders"));
        for wide in ["tenant.acme", "tenant.acme.sales"] {
            let refused = reach(Role::PipelineRunner, Some(&[wide]));
            assert_eq!(refused, Err(TokenError::Schemas), "{wide}");
        }
    }

    #[test]
    fn what_is_no_name_of_the_tenant_is_refused() {
        let long = format!("tenant.acme.{}", "a".repeat(64));
        for bad in [
            "",
            "tenant",
            "tenant.globex",
            "acme.sales",
            "tenant.acme.",
            "tenant.acme.sales.",
            "*",
            "tenant.acme.sales.a.b",
            "tenant.acme.sales/../x",
            "tenant.acme.sаles",
            &long,
        ] {
            assert_eq!(reach(Role::SchemaReader, Some(&[bad])), Err(TokenError::Schemas), "{bad}");
        }
        let many = vec!["tenant.acme.sales"; MAXIMUM_ENTRIES + 1];
        assert_eq!(reach(Role::SchemaReader, Some(&many)), Err(TokenError::Schemas));
    }
}
