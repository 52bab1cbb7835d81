//! Typed settings, validated once, before anything else starts.
//!
//! Defaults ← TOML file ← environment (`DRR_LISTEN__PUBLIC` is `listen.public`) ← flags. An unknown
//! name is refused rather than ignored: a misspelt limit is no limit. A secret stands in the
//! environment or in a file of its own, named by the `…_file` setting beside it; in the TOML file or
//! on the command line it is refused.
//!
//! To add a setting, see [`keys`].

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::gate::Load;

mod error;
mod keys;
mod secret;
mod sources;
#[cfg(test)]
mod tests;
mod validate;

pub use error::ConfigError;
pub use secret::{DatabaseUrl, MASK, Secret};
pub use sources::Sources;

/// Which of the platform's environments this is; each has a logical schema of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Production.
    Prod,
    /// Staging.
    Staging,
    /// Development.
    Dev,
}

impl Environment {
    /// The logical schema in the database.
    #[must_use]
    pub const fn schema(self) -> &'static str {
        match self {
            Self::Prod => "storage_drr",
            Self::Staging => "storage_drr_staging",
            Self::Dev => "storage_drr_dev",
        }
    }
}

/// All settings, valid.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// `environment`
    pub environment: Environment,
    /// `listen.*`
    pub listen: Listen,
    /// `database.*`
    pub database: Database,
    /// `data_dir`: everything that the program itself keeps on disk.
    pub data_dir: PathBuf,
    /// `postgres_bin`: where `initdb` and `postgres` are, for the embedded database.
    pub postgres_bin: Option<PathBuf>,
    /// `auth.*`; absent when none of its identity settings is there (see [`Settings::require_auth`]).
    pub auth: Option<Auth>,
    /// `auth.pseudonym_key(_file)`
    pub pseudonym_key: Option<Secret>,
    /// `graphiql.enabled`: whether the public listener has the page.
    pub graphiql: bool,
    /// `alerts.*`; absent when nobody is to be told of breaches.
    pub alerts: Option<Webhook>,
    /// `graphql.*`
    pub graphql: Graphql,
    /// `limits.*`
    pub limits: Limits,
    /// `retention.*`
    pub retention: Retention,
    /// `cache.*`
    pub cache: Cache,
    /// `audit.*`
    pub audit: Audit,
    /// `keys.*`
    pub keys: Keys,
    /// `objects.url`: `objects` in the data folder, unless it is named.
    pub objects_url: String,
    /// `evidence.*`
    pub evidence: Evidence,
    /// `siem.*`
    pub siem: Siem,
    /// `schema_events.*`
    pub schema_events: SchemaEvents,
    /// `log.*`
    pub log: Log,
}

/// Which GraphQL documents are executed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Graphql {
    /// Whether the public listener executes only those of the list.
    pub only_trusted: bool,
    /// The list of trusted documents.
    pub trusted_documents_file: Option<PathBuf>,
    /// Whether automatic persisted queries are off.
    pub without_persisted_queries: bool,
}

/// What is kept for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// For how many days runs and their events are kept; 0 for ever.
    pub runs_days: u32,
    /// For how many days audit events of calls stay in the database.
    pub audit_days: u32,
    /// For how many days audit events of schemas do.
    pub schema_audit_days: u32,
    /// For how many days archived audit events are kept, counted from when they happened.
    pub evidence_days: u32,
    /// For how many hours subscribers can go on after what they saw last.
    pub changes_hours: u32,
}

/// Answers that are kept.
#[derive(Debug, Clone, Serialize)]
pub struct Cache {
    /// How many bytes of them are kept at most; 0 keeps none.
    pub bytes: usize,
    /// For how long at most.
    pub longest: Duration,
    /// The Redis that instances share them by.
    pub redis_url: Option<Secret>,
}

/// The audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Where events wait while the database is away: `spool` in the data folder, unless it is named.
    pub spool_dir: PathBuf,
    /// How many bytes of them wait at most.
    pub spool_bytes: u64,
}

/// What the keys that objects are encrypted with are themselves encrypted with.
#[derive(Debug, Clone, Serialize)]
pub struct Keys {
    /// The one in use.
    pub master: Option<Secret>,
    /// The one before, until no key is encrypted with it any more.
    pub previous: Option<Secret>,
}

/// The evidence ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// What the names of all logs begin with.
    pub origin: String,
    /// How often checkpoints go out of the database.
    pub publish_every: Duration,
    /// The key that signs checkpoints, as PKCS #8 in PEM.
    pub signing_key: Option<Secret>,
    /// The policy that names who is asked to cosign them.
    pub witnesses_file: Option<PathBuf>,
}

/// Where the audit trail is streamed to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Siem {
    /// A file, a line for each event.
    pub file: Option<PathBuf>,
    /// Who takes batches of lines.
    pub http: Option<SiemReceiver>,
    /// Who takes OpenTelemetry's logs: the whole address, `/v1/logs` with it.
    pub otlp: Option<SiemReceiver>,
}

/// Who takes events over HTTP.
#[derive(Debug, Clone, Serialize)]
pub struct SiemReceiver {
    /// The address.
    pub url: String,
    /// The bearer token that it wants.
    pub token: Option<Secret>,
}

/// Who is told what happens to schemas.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SchemaEvents {
    /// A file, a line for each event.
    pub file: Option<PathBuf>,
    /// Who takes them one by one.
    pub webhook: Option<Webhook>,
    /// The Redis that has a stream of them for each tenant.
    pub redis_url: Option<Secret>,
    /// About how many events such a stream keeps.
    pub redis_entries: Option<u64>,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Listen {
    /// The GraphQL and REST interface for users.
    pub public: SocketAddr,
    /// Writes by the platform's own services.
    pub internal: SocketAddr,
    /// Health and metrics.
    pub operations: SocketAddr,
}

/// The database.
#[derive(Debug, Clone, Serialize)]
pub struct Database {
    /// The server; without one, the program starts its own.
    pub url: Option<DatabaseUrl>,
    /// The server as the owner of the schema, for migrations only.
    pub migration_url: Option<DatabaseUrl>,
    /// Connections per pool.
    pub max_connections: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, Serialize)]
pub struct Auth {
    /// The `iss` of every token.
    pub issuer: String,
    /// What must be among the `aud` of every token.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: Jwks,
    /// How often the keys are read again.
    pub jwks_refresh: Duration,
    /// How far the clocks may be apart; at most 30 s.
    pub leeway: Duration,
}

/// Where a key set comes from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// An address.
    Url(String),
}

/// Who is told by Standard Webhooks.
#[derive(Debug, Clone, Serialize)]
pub struct Webhook {
    /// The receiver.
    pub url: String,
    /// What its messages are signed with: `whsec_` and 24 to 64 bytes in base64.
    pub secret: Secret,
}

/// Limits on what a caller may send and how slowly. Sizes in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limits {
    /// Open connections per listener; more wait to be accepted.
    pub max_connections: usize,
    /// Requests at work and waiting, on the public and the internal listener together.
    pub load: Load,
    /// The head of a request.
    pub header_bytes: usize,
    /// From the first byte of a request's head (or the connection) to its last.
    pub header_timeout: Duration,
    /// From a request's head to the end of its body.
    pub body_timeout: Duration,
    /// How long a connection may stay silent between requests.
    pub idle_timeout: Duration,
    /// How long a request may take, its body aside.
    pub request_deadline: Duration,
    /// How long requests in flight have to finish when the program ends.
    pub drain_timeout: Duration,
    /// A GraphQL request's body, before and after decompression.
    pub graphql_body_bytes: usize,
    /// A GraphQL document's text, depth of brackets and tokens.
    pub graphql_document: DocumentLimits,
    /// Subscriptions.
    pub subscriptions: SubscriptionLimits,
    /// What a GraphQL document may cost, by what the SDL says of costs.
    pub graphql_cost: u64,
    /// Bytes of all GraphQL documents that are kept parsed.
    pub graphql_document_cache_bytes: u64,
    /// A lineage request's body after decompression.
    pub lineage_body_bytes: usize,
    /// A compressed lineage request's body as it comes over the wire.
    pub lineage_compressed_bytes: usize,
    /// How long a request with an idempotency key is known again.
    pub idempotency_retention: Duration,
}

/// What a GraphQL document may be; the first three and the directives before anything parses it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DocumentLimits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Brackets open at once, of all three kinds.
    pub depth: usize,
    /// Tokens.
    pub tokens: usize,
    /// Aliases, fragments spread.
    pub aliases: usize,
    /// Directives; after parsing, fragments spread.
    pub directives: usize,
    /// Values in the JSON that it comes in; values of its arguments, variables and fragments put in.
    pub values: usize,
    /// Entities that it asks for.
    pub representations: usize,
}

/// How many subscriptions there may be, and how they may behave.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SubscriptionLimits {
    /// Open at once, of all tenants.
    pub total: usize,
    /// Open at once, of one tenant.
    pub per_tenant: usize,
    /// Open at once on one socket.
    pub per_connection: usize,
    /// How long a socket may take to say whose it is.
    pub init_timeout: Duration,
    /// How often a sign of life is sent.
    pub heartbeat: Duration,
    /// How long a message may take to be written.
    pub stall_timeout: Duration,
}

/// The log.
#[derive(Debug, Clone, Serialize)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// Which lines are written, as tracing's directives: `info,drr=debug`.
    pub filter: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For a terminal.
    Text,
}

impl Settings {
    /// Reads and validates all sources.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting, where it came from and what is allowed.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        validate::settings(&sources.resolve()?)
    }

    /// The identity settings, without which nothing may be served.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when there are none.
    pub fn require_auth(&self) -> Result<&Auth, ConfigError> {
        self.auth.as_ref().ok_or_else(|| ConfigError::Missing {
            key: "auth.issuer".into(),
            reason: "without auth.issuer, auth.audience and auth.jwks_file or auth.jwks_url no \
                     token could be verified",
        })
    }

    /// What `drr config check` prints: every setting, its value and where it came from, secrets as
    /// [`MASK`].
    ///
    /// # Errors
    /// As [`Settings::load`]: only a valid configuration is shown.
    pub fn check(sources: &Sources) -> Result<String, ConfigError> {
        let resolved = sources.resolve()?;
        validate::settings(&resolved)?;
        let lines = keys::KEYS.iter().map(|key| {
            let shown = match (resolved.text(key.name), key.kind) {
                (None, _) => return format!("{} is not set\n", key.name),
                (Some(_), keys::Kind::Secret(_)) => MASK.to_owned(),
                (Some(text), keys::Kind::DatabaseUrl | keys::Kind::RedisUrl) => {
                    secret::masked_url(&text)
                }
                (Some(text), _) => text,
            };
            format!("{} = {shown}  ({})\n", key.name, resolved.origin(key.name))
        });
        Ok(lines.collect())
    }
}

/// Reads a secret's own file; the trailing newline that editors add is no part of it.
fn read_secret_file(key: &str, path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        key: key.into(),
        path: path.into(),
        source,
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
