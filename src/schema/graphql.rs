//! Schemas in the graph.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use super::mutation::SchemaMutation;
use super::{
    content::Contents,
    loader::{NamedSchemas, Schemas, Versions},
    model::{
        self,
        compatibility::Compatibility,
        format::{self, Schema as Text},
        lifecycle,
        name::{SchemaName, VersionName},
        verdict,
    },
    page::{self, NamePosition},
    repository::{self, Record, Transition, Version, VersionKey, WaitingPosition},
    verdicts::{Finding, Subject, hash_of},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, LOG, ListSize, about, page as paged},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
        shared,
    },
};

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "format::Format")]
pub enum SchemaFormat {
    /// Apache Avro.
    Avro,
    /// JSON Schema, draft-04 to 2020-12.
    Json,
    /// Protocol Buffers, proto2 and proto3.
    Protobuf,
}

/// What the versions of a schema promise to those who read and write by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Compatibility")]
pub enum SchemaCompatibility {
    /// The new version reads what the last one wrote.
    Backward,
    /// The new version reads what any earlier one wrote.
    BackwardTransitive,
    /// The last version reads what the new one writes.
    Forward,
    /// Every earlier version reads what the new one writes.
    ForwardTransitive,
    /// Both ways with the last version.
    Full,
    /// Both ways with every earlier version.
    FullTransitive,
    /// Nothing is promised.
    None,
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::State")]
pub enum SchemaState {
    /// Being written.
    Draft,
    /// Put forward, and frozen.
    Proposed,
    /// In use.
    Active,
    /// In use still, and not to be taken up.
    Deprecated,
    /// Out of use, for good.
    Retired,
}

/// Who sees a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Visibility")]
pub enum SchemaVisibility {
    /// Its tenant.
    Private,
    /// Everybody.
    Public,
}

/// What is asked for a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Kind")]
pub enum SchemaTransitionKind {
    /// Take it into use.
    Activate,
    /// Discourage it.
    Deprecate,
    /// Take it back into use.
    Reactivate,
    /// Take it out of use.
    Retire,
    /// Show it to everybody.
    Expose,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Status")]
pub enum SchemaTransitionStatus {
    /// Nobody has decided yet.
    Open,
    /// Granted.
    Approved,
    /// Refused by somebody else.
    Rejected,
    /// Taken back by who made it.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// Another request took its place.
    Superseded,
}

/// Whether data written with one schema can be read with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "verdict::Verdict")]
pub enum SchemaVerdict {
    /// Every value that the writer's schema accepts can be read.
    Compatible,
    /// It cannot be told.
    Unknown,
    /// Some value cannot be read.
    Incompatible,
}
