//! The natural key of a dataset, and of anything else that is named by a namespace and a name.

use serde::Deserialize;

use crate::error::{Error, Result};

/// The longest namespace, in bytes of UTF-8. Bytes, because what bounds it is an index entry of
/// PostgreSQL (2,704 bytes): a tenant, a namespace and a name fit into one.
pub const MAX_NAMESPACE_BYTES: usize = 512;
/// The longest name, in bytes of UTF-8; see [`MAX_NAMESPACE_BYTES`].
pub const MAX_NAME_BYTES: usize = 1_024;

/// Declares a `(namespace, name)` pair that can only hold valid names.
macro_rules! named_pair {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "crate::dataset::model::name::Pair")]
        pub struct $name {
            namespace: String,
            name: String,
        }

        impl $name {
            /// The pair, checked.
            ///
            /// # Errors
            /// [`Error::BadUserInput`](crate::error::Error::BadUserInput) at `namespace` or `name`.
            pub fn parse(
                namespace: impl Into<String>,
                name: impl Into<String>,
            ) -> crate::error::Result<Self> {
                crate::dataset::model::name::Pair {
                    namespace: namespace.into(),
                    name: name.into(),
                }
                .try_into()
            }

            /// Where the thing lives: in OpenLineage, a data source or a scheduler.
            #[must_use]
            pub fn namespace(&self) -> &str {
                &self.namespace
            }

            /// Its name there.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.name
            }
        }

        impl TryFrom<crate::dataset::model::name::Pair> for $name {
            type Error = crate::error::Error;

            fn try_from(pair: crate::dataset::model::name::Pair) -> crate::error::Result<Self> {
                let crate::dataset::model::name::Pair { namespace, name } = pair.check()?;
                Ok(Self { namespace, name })
            }
        }
    };
}

pub(crate) use named_pair;

named_pair! {
    /// The name of a dataset, as OpenLineage has it.
    ///
    /// Kept byte for byte as its producer spells it: not trimmed, folded or normalised, since two
    /// spellings may well be two datasets. Neither part is blank, too long, or holds a control
    /// character.
    DatasetName
}

/// A pair before it is checked.
#[derive(Deserialize)]
pub(crate) struct Pair {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Pair {
    pub(crate) fn check(self) -> Result<Self> {
        check_part("namespace", &self.namespace, MAX_NAMESPACE_BYTES)?;
        check_part("name", &self.name, MAX_NAME_BYTES)?;
        Ok(self)
    }
}

fn check_part(field: &'static str, text: &str, maximum: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::bad_input(field, "must not be blank"));
    }
    if text.len() > maximum {
        return Err(Error::bad_input(field, format!("must not exceed {maximum} bytes of UTF-8")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::bad_input(field, "must not contain control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_sources_are_kept_as_they_are() {
        for (namespace, name) in [
            ("postgres://db.example:5432", "public.orders"),
            ("s3://bucket", "a/b=1/part-*.parquet"),
            ("duckdb:///data/demo.duckdb", " with spaces "),
            ("bigquery", "проект.数据.naïve"),
        ] {
            let parsed = DatasetName::parse(namespace, name).unwrap();
            assert_eq!((parsed.namespace(), parsed.name()), (namespace, name));
            let json = serde_json::to_string(&parsed).unwrap();
            assert_eq!(serde_json::from_str::<DatasetName>(&json).unwrap(), parsed);
        }
    }

    #[test]
    fn limits_are_inclusive_and_in_bytes() {
        let at = |namespace: usize, name: usize| {
            DatasetName::parse("n".repeat(namespace), "é".repeat(name)).is_ok()
        };
        assert!(at(MAX_NAMESPACE_BYTES, MAX_NAME_BYTES / 2));
        assert!(!at(MAX_NAMESPACE_BYTES + 1, 1));
        assert!(!at(1, MAX_NAME_BYTES / 2 + 1));
    }

    #[test]
    fn blank_and_control_characters_are_refused_where_they_are() {
        for bad in ["", " ", "\u{3000}", "a\0b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            let field = |result: Result<DatasetName>| match result {
                Err(Error::BadUserInput { field, .. }) => field,
                other => panic!("{other:?}"),
            };
            assert_eq!(field(DatasetName::parse(bad, "ok")), "namespace", "{bad:?}");
            assert_eq!(field(DatasetName::parse("ok", bad)), "name", "{bad:?}");
        }
        assert!(serde_json::from_str::<DatasetName>(r#"{"namespace":"a","name":""}"#).is_err());
    }
}
