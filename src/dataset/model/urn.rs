//! The name of a dataset in the world: `urn:drr:dataset:<tenant>:<namespace>:<name>`.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::DatasetName;
use crate::{auth::TenantId, error::Error};

const PREFIX: &str = "urn:drr:dataset:";

/// Everything but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A dataset of a tenant, as one text.
///
/// There is exactly one spelling of each: unreserved characters as they are, every other byte
/// percent-encoded with upper-case digits. Any other spelling is refused, not normalised, so that
/// two URNs are equal if and only if their texts are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urn {
    /// Whose dataset it is.
    pub tenant: TenantId,
    /// Which one.
    pub dataset: DatasetName,
}

impl fmt::Display for Urn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = utf8_percent_encode(self.dataset.namespace(), RESERVED);
        let name = utf8_percent_encode(self.dataset.name(), RESERVED);
        write!(formatter, "{PREFIX}{}:{namespace}:{name}", self.tenant)
    }
}

impl FromStr for Urn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text)
            .filter(|urn| urn.to_string() == text)
            .ok_or_else(|| Error::bad_input("urn", "is not a dataset's URN in its one spelling"))
    }
}

fn read(text: &str) -> Option<Urn> {
    let (tenant, rest) = text.strip_prefix(PREFIX)?.split_once(':')?;
    let (namespace, name) = rest.split_once(':')?;
    let decode = |part| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned());
    let dataset = DatasetName::parse(decode(namespace)?, decode(name)?).ok()?;
    Some(Urn { tenant: TenantId::parse(tenant).ok()?, dataset })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urn(namespace: &str, name: &str) -> Urn {
        Urn {
            tenant: TenantId::parse("tenant-0001").unwrap(),
            dataset: DatasetName::parse(namespace, name).unwrap(),
        }
    }

    #[test]
    fn every_reserved_byte_is_encoded_in_upper_case() {
        let text = urn("postgres://db:5432", "public.naïve ~_-%").to_string();
        let expected =
            "urn:drr:dataset:tenant-0001:postgres%3A%2F%2Fdb%3A5432:public.na%C3%AFve%20~_-%25";
        assert_eq!(text, expected);
        assert_eq!(text.parse::<Urn>().unwrap().to_string(), expected);
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            "urn:drr:dataset:",
            "urn:drr:dataset:tenant-0001:ns",
            "urn:drr:dataset:tenant-0001:ns:",
            "urn:drr:dataset:tenant-0001::name",
            "urn:drr:dataset:Tenant:ns:name",
            "urn:drr:dataset:tenant-0001:ns:a:b",
            "URN:drr:dataset:tenant-0001:ns:name",
            "urn:drr:dataset:tenant-0001:ns:a%2fb",
            "urn:drr:dataset:tenant-0001:ns:%61",
            "urn:drr:dataset:tenant-0001:ns:a/b",
            "urn:drr:dataset:tenant-0001:ns:a%",
            "urn:drr:dataset:tenant-0001:ns:a%2",
            "urn:drr:dataset:tenant-0001:ns:%FF",
            "urn:drr:dataset:tenant-0001:ns:a%00b",
            "urn:drr:dataset:tenant-0001:ns:name ",
        ] {
            assert!(bad.parse::<Urn>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(namespace in "\\PC{1,60}", name in "\\PC{1,60}") {
            if let Ok(dataset) = DatasetName::parse(namespace, name) {
                let urn = Urn { tenant: TenantId::parse("ab").unwrap(), dataset };
                let text = urn.to_string();
                prop_assert!(text.is_ascii());
                prop_assert_eq!(text.parse::<Urn>().unwrap(), urn);
            }
        }

        #[test]
        fn what_reads_is_its_own_spelling(tail in "([a-z0-9%:~._/-]|%[0-9A-Fa-f]{2}){0,40}") {
            let text = format!("{PREFIX}ab:{tail}");
            if let Ok(urn) = text.parse::<Urn>() {
                prop_assert_eq!(urn.to_string(), text);
            }
        }
    }
}
