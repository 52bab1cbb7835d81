//! Why the program does not start.

use std::{io, net::SocketAddr};

use crate::{
    audit::recorder::SpoolError,
    auth::{jwks::JwksSettingsError, verifier::VerifierSettingsError},
    cache::remote::BadAddress,
    db::safety,
    error::Error,
    http::{graphql::BrokenManifest, rest::BrokenResource},
    telemetry::TelemetryError,
};

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database is not safe to serve from.
    #[error("the database is not safe to serve from: {0}")]
    Unsafe(#[from] safety::UnsafeDatabase),
    /// The partitions ahead could not be made.
    #[error("the partitions of the coming months cannot be made: {}", cause(.0))]
    Partitions(#[source] Error),
    /// The settings of the key set are wrong.
    #[error("the key set's settings are wrong: {0}")]
    Keys(#[from] JwksSettingsError),
    /// The settings of the verifier are wrong.
    #[error("the token settings are wrong: {0}")]
    Verifier(#[from] VerifierSettingsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({listener}): {source}")]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A resource of REST does not fit the graph.
    #[error(transparent)]
    Rest(#[from] BrokenResource),
    /// The list of trusted documents cannot be used.
    #[error(transparent)]
    Trusted(#[from] BrokenManifest),
    /// Audit events have no place to wait in.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Redis has no such address.
    #[error(transparent)]
    Redis(#[from] BadAddress),
    /// There are no metrics.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

pub(super) fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
