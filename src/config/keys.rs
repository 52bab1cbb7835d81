//! Every setting there is: one row each.
//!
//! To add one: a row here, a field in [`Settings`](super::Settings), a line in
//! [`validate`](super::validate).

/// What a setting's text must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `address:port`; port 0 lets the system choose.
    Address,
    /// A file or folder.
    Path,
    /// A whole number within these bounds, both included.
    Number(u64, u64),
    /// An address fetched over TLS, or in clear from this machine only.
    HttpUrl,
    /// A folder (`file:///…`) or a bucket (`s3://…`), without credentials.
    ObjectsUrl,
    /// A secret of at least so many bytes: from the environment, never from a file or a flag.
    Secret(usize),
    /// The address of a PostgreSQL server: secret as soon as it carries a password.
    DatabaseUrl,
    /// The address of a Redis, over TLS, or in clear on this machine only: secret as soon as it carries a
    /// password.
    RedisUrl,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    /// The dotted name, as in the file and in messages.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Option<&'static str>,
    /// A shorter environment variable, beside the regular one.
    pub(super) short: Option<&'static str>,
}

impl Key {
    const fn short(mut self, variable: &'static str) -> Self {
        self.short = Some(variable);
        self
    }

    /// What is allowed, as the end of the sentence "it must be …".
    pub(super) fn allowed(&self) -> String {
        match self.kind {
            Kind::Text => "a text that is not empty".into(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Address => "an address and port such as 127.0.0.1:8080 or [::1]:8080".into(),
            Kind::Path => "a path".into(),
            Kind::Number(low, high) => format!("a whole number from {low} to {high}"),
            Kind::HttpUrl => "an https:// address (http:// only to this machine)".into(),
            Kind::ObjectsUrl => "file:///folder or s3://bucket/prefix".into(),
            Kind::Secret(bytes) => format!("a secret of at least {bytes} bytes"),
            Kind::RedisUrl => {
                "a Redis address such as rediss://user@host:6379 (redis:// only to this machine)"
                    .into()
            }
            Kind::DatabaseUrl => {
                "a PostgreSQL address such as postgres://user@host/name?sslmode=verify-full".into()
            }
        }
    }

    /// Whether a text is allowed.
    pub(super) fn accepts(&self, text: &str) -> bool {
        match self.kind {
            Kind::Text | Kind::Path => !text.trim().is_empty(),
            Kind::Choice(words) => words.contains(&text),
            Kind::Address => text.parse::<std::net::SocketAddr>().is_ok(),
            Kind::Number(low, high) => {
                text.parse::<u64>().is_ok_and(|number| (low..=high).contains(&number))
            }
            Kind::HttpUrl => is_safe_http_url(text),
            Kind::RedisUrl => is_safe_redis_url(text),
            Kind::ObjectsUrl => is_objects_url(text),
            Kind::Secret(bytes) => text.len() >= bytes,
            Kind::DatabaseUrl => super::DatabaseUrl::parse(text.to_owned()).is_some(),
        }
    }
}

/// Whether an address is on this machine. Of a scheme that the standard does not know, the host is a name
/// whatever it is.
fn is_local(url: &url::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_safe_http_url(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let bare = url.username().is_empty() && url.password().is_none();
    bare && (url.scheme() == "https" && url.has_host() || url.scheme() == "http" && is_local(&url))
}

fn is_safe_redis_url(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let safe = url.scheme() == "rediss" && url.has_host();
    // `#insecure` would switch the check of the certificate off.
    url.fragment().is_none() && (safe || url.scheme() == "redis" && is_local(&url))
}

fn is_objects_url(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let named = match url.scheme() {
        "file" => !url.has_host(),
        "s3" => url.has_host(),
        _ => false,
    };
    bare && named && url.fragment().is_none()
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { name, kind, default, short: None }
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const GIB: u64 = 1 << 30;

/// The table. Times in the unit that the name ends in; sizes in bytes.
pub(super) const KEYS: &[Key] = &[
    key("environment", Kind::Choice(&["prod", "staging", "dev"]), Some("prod")),
    key("listen.public", Kind::Address, Some("127.0.0.1:8080")),
    key("listen.internal", Kind::Address, Some("127.0.0.1:8081")),
    key("listen.operations", Kind::Address, Some("127.0.0.1:8082")),
    key("database.url", Kind::DatabaseUrl, None).short("DRR_DATABASE_URL"),
    key("database.url_file", Kind::Path, None).short("DRR_DATABASE_URL_FILE"),
    key("database.migration_url", Kind::DatabaseUrl, None).short("DRR_DATABASE_MIGRATION_URL"),
    key("database.migration_url_file", Kind::Path, None).short("DRR_DATABASE_MIGRATION_URL_FILE"),
    key("database.max_connections", Kind::Number(1, 1_000), Some("8")),
    key("database.acquire_timeout_ms", Kind::Number(1, 10 * MINUTE_MS), Some("3000")),
    key("database.statement_timeout_ms", Kind::Number(1, HOUR_MS), Some("10000")),
    key("data_dir", Kind::Path, None),
    key("postgres_bin", Kind::Path, None).short("DRR_PG_BIN"),
    key("auth.issuer", Kind::Text, None),
    key("auth.audience", Kind::Text, None),
    key("auth.jwks_file", Kind::Path, None),
    key("auth.jwks_url", Kind::HttpUrl, None),
    key("auth.jwks_refresh_seconds", Kind::Number(1, 86_400), Some("60")),
    key("auth.leeway_seconds", Kind::Number(0, 30), Some("5")),
    key("auth.pseudonym_key", Kind::Secret(32), None),
    key("auth.pseudonym_key_file", Kind::Path, None),
    key("graphiql.enabled", Kind::Choice(&["true", "false"]), Some("false")),
    key("alerts.webhook_url", Kind::HttpUrl, None),
    key("alerts.webhook_secret", Kind::Secret(38), None),
    key("alerts.webhook_secret_file", Kind::Path, None),
    key("graphql.documents", Kind::Choice(&["any", "trusted"]), Some("any")),
    key("graphql.trusted_documents_file", Kind::Path, None),
    key("graphql.persisted_queries", Kind::Choice(&["on", "off"]), Some("on")),
    key("limits.max_connections", Kind::Number(1, 1_000_000), Some("4096")),
    key("limits.concurrent_requests", Kind::Number(1, 100_000), None),
    key("limits.waiting_requests", Kind::Number(0, 1_000_000), Some("1000")),
    key("limits.waiting_timeout_ms", Kind::Number(1, 10 * MINUTE_MS), Some("1000")),
    key("limits.header_bytes", Kind::Number(8_192, 1 << 20), Some("32768")),
    key("limits.header_timeout_ms", Kind::Number(1, 10 * MINUTE_MS), Some("10000")),
    key("limits.body_timeout_ms", Kind::Number(1, HOUR_MS), Some("30000")),
    key("limits.idle_timeout_ms", Kind::Number(1, HOUR_MS), Some("75000")),
    key("limits.request_deadline_ms", Kind::Number(1, HOUR_MS), Some("30000")),
    key("limits.drain_timeout_ms", Kind::Number(1, HOUR_MS), Some("20000")),
    key("limits.graphql_body_bytes", Kind::Number(1_024, GIB), Some("262144")),
    key("limits.graphql_document_bytes", Kind::Number(1_024, GIB), Some("65536")),
    key("limits.graphql_document_depth", Kind::Number(8, 128), Some("64")),
    key("limits.graphql_document_tokens", Kind::Number(100, 1_000_000), Some("3000")),
    key("limits.graphql_aliases", Kind::Number(0, 10_000), Some("200")),
    key("limits.graphql_directives", Kind::Number(0, 10_000), Some("200")),
    key("limits.graphql_values", Kind::Number(100, 10_000_000), Some("20000")),
    key("limits.graphql_representations", Kind::Number(1, 100_000), Some("3000")),
    key("limits.graphql_document_cache_bytes", Kind::Number(0, GIB), Some("67108864")),
    key("limits.subscriptions", Kind::Number(0, 1_000_000), Some("10000")),
    key("limits.subscriptions_per_tenant", Kind::Number(0, 1_000_000), Some("1000")),
    key("limits.subscriptions_per_connection", Kind::Number(1, 10_000), Some("100")),
    key("limits.subscription_init_timeout_ms", Kind::Number(1, 10 * MINUTE_MS), Some("10000")),
    key("limits.subscription_heartbeat_ms", Kind::Number(100, 10 * MINUTE_MS), Some("15000")),
    key("limits.subscription_stall_timeout_ms", Kind::Number(1, 10 * MINUTE_MS), Some("30000")),
    key("limits.graphql_cost", Kind::Number(100, 100_000_000), Some("50000")),
    key("limits.lineage_body_bytes", Kind::Number(1_024, GIB), Some("10485760")),
    key("limits.lineage_compressed_bytes", Kind::Number(1_024, GIB), Some("5242880")),
    key("limits.idempotency_retention_hours", Kind::Number(24, 8_760), Some("24")),
    key("retention.runs_days", Kind::Number(0, 36_500), Some("400")),
    key("retention.audit_days", Kind::Number(31, 36_500), Some("365")),
    key("retention.schema_audit_days", Kind::Number(31, 36_500), Some("1096")),
    key("retention.evidence_days", Kind::Number(31, 36_500), Some("2557")),
    key("retention.changes_hours", Kind::Number(1, 8_760), Some("168")),
    key("cache.bytes", Kind::Number(0, 1 << 40), Some("33554432")),
    key("cache.seconds", Kind::Number(1, 3_600), Some("10")),
    key("cache.redis_url", Kind::RedisUrl, None).short("DRR_REDIS_URL"),
    key("cache.redis_url_file", Kind::Path, None).short("DRR_REDIS_URL_FILE"),
    key("audit.spool_dir", Kind::Path, None),
    key("audit.spool_bytes", Kind::Number(1 << 16, 1 << 40), Some("268435456")),
    key("keys.master_key", Kind::Secret(32), None),
    key("keys.master_key_file", Kind::Path, None),
    key("keys.previous_master_key", Kind::Secret(32), None),
    key("keys.previous_master_key_file", Kind::Path, None),
    key("objects.url", Kind::ObjectsUrl, None),
    key("evidence.origin", Kind::Text, Some("drr")),
    key("evidence.publish_seconds", Kind::Number(1, 86_400), Some("60")),
    key("evidence.signing_key", Kind::Secret(64), None),
    key("evidence.signing_key_file", Kind::Path, None),
    key("evidence.witnesses_file", Kind::Path, None),
    key("siem.file", Kind::Path, None),
    key("siem.http_url", Kind::HttpUrl, None),
    key("siem.http_token", Kind::Secret(16), None),
    key("siem.http_token_file", Kind::Path, None),
    key("siem.otlp_url", Kind::HttpUrl, None),
    key("siem.otlp_token", Kind::Secret(16), None),
    key("siem.otlp_token_file", Kind::Path, None),
    key("schema_events.file", Kind::Path, None),
    key("schema_events.webhook_url", Kind::HttpUrl, None),
    key("schema_events.webhook_secret", Kind::Secret(38), None),
    key("schema_events.webhook_secret_file", Kind::Path, None),
    key("schema_events.redis_url", Kind::RedisUrl, None),
    key("schema_events.redis_url_file", Kind::Path, None),
    key("schema_events.redis_entries", Kind::Number(1, 1_000_000_000), None),
    key("log.format", Kind::Choice(&["json", "text"]), Some("json")),
    key("log.filter", Kind::Text, Some("info")),
];

/// The row of a dotted name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_every_name_is_there_once() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(key.default.is_none_or(|text| key.accepts(text)), "{}", key.name);
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }

    // D3
    #[test]
    fn listeners_are_private_by_default() {
        for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Address)) {
            let address: std::net::SocketAddr = key.default.unwrap().parse().unwrap();
            assert!(address.ip().is_loopback(), "{}", key.name);
        }
    }

    #[test]
    fn objects_are_in_a_folder_or_a_bucket() {
        for good in ["file:///var/lib/drr/objects", "s3://bucket", "s3://bucket/a/b"] {
            assert!(is_objects_url(good), "{good}");
        }
        for bad in ["/var", "file://host/x", "s3://", "s3://key:secret@b", "s3://b?x=1", "gs://b"] {
            assert!(!is_objects_url(bad), "{bad}");
        }
    }

    #[test]
    fn key_sets_are_fetched_in_clear_from_this_machine_only() {
        for good in ["https://id.example/jwks", "http://127.0.0.1:1/x", "http://localhost/x"] {
            assert!(is_safe_http_url(good), "{good}");
        }
        for bad in ["http://id.example/x", "ftp://x/y", "https://u:p@id.example/x", "jwks"] {
            assert!(!is_safe_http_url(bad), "{bad}");
        }
    }
}
