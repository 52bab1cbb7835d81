//! What schemas are called here: `orders-value` is `tenant.<code>.default.orders-value`, and `sales.orders` is
//! `tenant.<code>.sales.orders`. Full names are taken as well.

use crate::{
    auth::TenantId,
    schema::{
        model::name::{InvalidName, SchemaName},
        subjects::DEFAULT_DOMAIN,
    },
};

/// How a client says that it means the only context that there is.
const CONTEXT: &str = ":.:";
/// How it says that it means all contexts, at the beginning of a prefix.
const CONTEXTS: &str = ":*:";

/// The schema that a caller of `tenant` calls so. A full name may be another tenant's.
pub(super) fn parse(tenant: &TenantId, text: &str) -> Result<SchemaName, InvalidName> {
    let text = text.strip_prefix(CONTEXT).unwrap_or(text);
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => SchemaName::new(tenant.as_str(), DEFAULT_DOMAIN, name),
        (Some(domain), Some(name), None) => SchemaName::new(tenant.as_str(), domain, name),
        _ => SchemaName::parse(text),
    }
}

/// How a schema of the caller's tenant is called.
pub(super) fn short(domain: &str, name: &str) -> String {
    match domain {
        DEFAULT_DOMAIN => name.to_owned(),
        domain => format!("{domain}.{name}"),
    }
}

/// What the short names begin with that are asked for.
pub(super) fn prefix(text: &str) -> &str {
    text.strip_prefix(CONTEXTS).or_else(|| text.strip_prefix(CONTEXT)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // S16
    #[test]
    fn names_are_short_or_whole() {
        let tenant = TenantId::parse("acme").unwrap();
        let read = |text: &str| parse(&tenant, text).map(|name| name.to_string());
        for (text, whole) in [
            ("orders-value", "tenant.acme.default.orders-value"),
            ("default.orders-value", "tenant.acme.default.orders-value"),
            (":.:orders-value", "tenant.acme.default.orders-value"),
            ("sales.Order", "tenant.acme.sales.Order"),
            ("tenant.Order", "tenant.acme.tenant.Order"),
            ("tenant.acme.sales.Order", "tenant.acme.sales.Order"),
            ("tenant.globex.sales.Order", "tenant.globex.sales.Order"),
        ] {
            assert_eq!(read(text), Ok(whole.to_owned()), "{text}");
        }
        for text in [
            "",
            ".",
            "..",
            "../orders",
            "a/b",
            "a b",
            "orders\0",
            "sales.",
            ".Order",
            "a.b.c",
            "Sales.Order",
            "оrders",
            "tenant.acme.sales",
            "tenant..sales.Order",
            "tenant.acme.sales.Order.more",
            ":ctx:orders",
            &"a".repeat(64),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(short("default", "orders"), "orders");
        assert_eq!(short("sales", "orders"), "sales.orders");
        assert_eq!([":*:a", ":.:a", "a"].map(prefix), ["a"; 3]);
    }
}
