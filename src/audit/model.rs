//! What an audit event is, and the bytes that stand for it in the evidence ledger.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    auth::{TenantId, policy::Operation},
    error::{Coded, ErrorCode},
};

/// The actor of calls without a valid token. No token's subject begins with `drr:`.
pub const NOBODY: &str = "drr:anonymous";

/// How long events are kept: one class, one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Calls, and what they changed in the registry of datasets. // D37
    Api,
    /// What was done to schemas. // S13
    Schema,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Api, Self::Schema];

    /// As the database and the ledger write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Schema => "SCHEMA",
        }
    }

    /// The class of what is called so.
    #[must_use]
    pub fn of(action: &str) -> Self {
        // Nearly every action is of the other class, and known by its first letters.
        let of_schemas = action.starts_with("schema")
            && Operation::ALL.iter().any(|own| own.is_of_schemas() && own.as_str() == action);
        if of_schemas { Self::Schema } else { Self::Api }
    }

    /// The class that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

crate::wire::wire_enum! {
    /// How a call ended, without why.
    pub enum Ended {
        /// It was done.
        Success = "SUCCESS",
        /// It was answered with something missing.
        Partial = "PARTIAL",
        /// The caller may not do it.
        Denied = "DENIED",
        /// It could not be done as it was asked.
        Rejected = "REJECTED",
        /// This service failed.
        Failure = "FAILURE",
        /// The caller went away before there was an answer.
        Cancelled = "CANCELLED",
    }
}

/// How a call ended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was answered with something missing.
    Partial(ErrorCode),
    /// The caller may not do it.
    Denied(ErrorCode),
    /// It could not be done as it was asked.
    Rejected(ErrorCode),
    /// This service failed.
    Failure(ErrorCode),
    /// The caller went away before there was an answer.
    Cancelled,
}

impl Outcome {
    /// The outcome of a call that ended in `error`.
    #[must_use]
    pub fn of(error: &impl Coded) -> Self {
        Self::of_code(error.error_code())
    }

    /// The outcome of a call that ended in an error with this code.
    #[must_use]
    pub const fn of_code(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Forbidden | ErrorCode::Unauthenticated => Self::Denied(code),
            ErrorCode::Internal
            | ErrorCode::Unavailable
            | ErrorCode::Overloaded
            | ErrorCode::DeadlineExceeded => Self::Failure(code),
            code => Self::Rejected(code),
        }
    }

    /// The same without why.
    #[must_use]
    pub const fn ended(self) -> Ended {
        match self {
            Self::Success => Ended::Success,
            Self::Partial(_) => Ended::Partial,
            Self::Denied(_) => Ended::Denied,
            Self::Rejected(_) => Ended::Rejected,
            Self::Failure(_) => Ended::Failure,
            Self::Cancelled => Ended::Cancelled,
        }
    }

    /// As the trail writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.ended().as_str()
    }

    /// Why, if it is not a success.
    #[must_use]
    pub const fn error_code(self) -> Option<ErrorCode> {
        match self {
            Self::Success | Self::Cancelled => None,
            Self::Partial(code)
            | Self::Denied(code)
            | Self::Rejected(code)
            | Self::Failure(code) => Some(code),
        }
    }
}

/// One event. Its fields in alphabetical order are, as JSON without spaces, its canonical form
/// (RFC 8785): the leaf of the evidence ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What was asked for (`dataset.retire`), or done by the program itself (`breach.open`).
    pub action: Cow<'static, str>,
    /// Who: an opaque subject, a pseudonym, or a part of the program (`drr:sweeper`).
    pub actor_id: Cow<'static, str>,
    /// What else the same call asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Cow<'static, str>>,
    /// The call that it was part of; the event of the call itself has this as its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Uuid>,
    /// How many calls it tells of: more than one only of callers without a token, and of those who were
    /// sent away because there was too much to do.
    pub calls: u32,
    /// How long it is kept.
    pub class: Class,
    /// What ties it to the answer and the log.
    pub correlation_id: String,
    /// The dataset it was about, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<Uuid>,
    /// SHA-256 of the GraphQL document's text.
    #[serde(default, with = "digest", skip_serializing_if = "Option::is_none")]
    pub document_hash: Option<Vec<u8>>,
    /// How long it took until the event was written, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Why, if it is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Cow<'static, str>>,
    /// Its name, which begins with the millisecond of `occurred_at`: so it is found in the order of time.
    pub event_id: Uuid,
    /// By which way it came: `public`, `internal`, `operations`, `graphql-transport-ws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Cow<'static, str>>,
    /// When the call came.
    #[serde(with = "instant")]
    pub occurred_at: DateTime<Utc>,
    /// The name of the GraphQL operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_name: Option<String>,
    /// What else it was about (`run:<id>`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// See [`Outcome`].
    pub result: Cow<'static, str>,
    /// Rows that the database answered or changed for the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// Whose it is; [`TenantId::none`] without a token.
    #[serde(with = "tenant")]
    pub tenant_id: TenantId,
    /// SHA-256 of the token.
    #[serde(default, with = "digest", skip_serializing_if = "Option::is_none")]
    pub token_hash: Option<Vec<u8>>,
}

impl Event {
    /// Its canonical form.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        // Every field can be said in JSON, and a vector takes all that is written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The hash of the leaf by RFC 6962 §2.1.
    #[must_use]
    pub fn leaf_hash(&self) -> [u8; 32] {
        leaf_hash(&self.leaf())
    }
}

/// The hash of a leaf by RFC 6962 §2.1.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into()
}

/// UTC, always with six digits: what PostgreSQL stores.
mod instant {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        instant: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&instant.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(deserializer)
    }
}

mod tenant {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::auth::TenantId;

    pub(super) fn serialize<S: Serializer>(
        tenant: &TenantId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(tenant.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TenantId, D::Error> {
        TenantId::parse_or_none(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

mod digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        digest: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.serialize_str(&hex::encode(digest)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| hex::decode(text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            action: "dataset.read".into(),
            actor_id: "somebody".into(),
            also: vec!["run.read".into()],
            call_id: Some(Uuid::from_u128(7)),
            calls: 1,
            class: Class::Api,
            correlation_id: "nightly-7".into(),
            dataset_id: None,
            document_hash: Some(vec![0xab; 4]),
            duration_us: Some(1_500),
            error_code: None,
            event_id: Uuid::from_u128(7),
            interface: Some("public".into()),
            occurred_at: DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap(),
            operation_name: Some("Board".into()),
            resource: Some("line\n\"ü\"".into()),
            result: "SUCCESS".into(),
            row_count: Some(3),
            tenant_id: TenantId::parse("acme").unwrap(),
            token_hash: None,
        }
    }

    // D36
    #[test]
    fn the_leaf_is_canonical_json() {
        let leaf = String::from_utf8(event().leaf()).unwrap();
        assert_eq!(
            leaf,
            "{\"action\":\"dataset.read\",\"actor_id\":\"somebody\",\"also\":[\"run.read\"],\
             \"call_id\":\"00000000-0000-0000-0000-000000000007\",\"calls\":1,\"class\":\"API\",\
             \"correlation_id\":\"nightly-7\",\"document_hash\":\"abababab\",\"duration_us\":1500,\
             \"event_id\":\"00000000-0000-0000-0000-000000000007\",\"interface\":\"public\",\
             \"occurred_at\":\"2023-11-14T22:13:20.000000Z\",\"operation_name\":\"Board\",\
             \"resource\":\"line\\n\\\"ü\\\"\",\"result\":\"SUCCESS\",\"row_count\":3,\
             \"tenant_id\":\"acme\"}"
        );
        // RFC 8785: the members are sorted, which a map does of itself.
        let sorted: serde_json::Value = serde_json::from_str(&leaf).unwrap();
        assert_eq!(sorted.to_string(), leaf);
    }

    #[test]
    fn an_event_is_read_back_as_it_was() {
        let event = event();
        assert_eq!(serde_json::from_slice::<Event>(&event.leaf()).unwrap(), event);
    }

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        // RFC 6962 §2.1: the hash of an empty leaf.
        assert_eq!(
            hex::encode(leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }
}
