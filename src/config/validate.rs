//! From texts to types: the one place where settings are checked against each other.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use super::{
    Audit, Auth, Cache, ConfigError, Database, DatabaseUrl, DocumentLimits, Environment, Evidence,
    Graphql, Jwks, Keys, Limits, Listen, Log, LogFormat, Retention, SchemaEvents, Secret, Settings,
    Siem, SiemReceiver, SubscriptionLimits, Webhook, keys, read_secret_file,
    sources::{Resolved, invalid_or_unknown},
};
use crate::gate::Load;

pub(super) fn settings(from: &Resolved) -> Result<Settings, ConfigError> {
    let settings = Settings {
        environment: match from.text("environment").as_deref() {
            Some("staging") => Environment::Staging,
            Some("dev") => Environment::Dev,
            _ => Environment::Prod,
        },
        listen: listen(from)?,
        database: database(from)?,
        data_dir: required(from, "data_dir")?,
        postgres_bin: from.text("postgres_bin").map(PathBuf::from),
        auth: auth(from)?,
        pseudonym_key: secret(from, "auth.pseudonym_key")?.map(Secret::new),
        graphiql: required(from, "graphiql.enabled")?,
        alerts: webhook(from, "alerts.webhook_url", "alerts.webhook_secret")?,
        graphql: graphql(from)?,
        limits: limits(from)?,
        retention: retention(from)?,
        cache: Cache {
            bytes: required(from, "cache.bytes")?,
            longest: Duration::from_secs(required(from, "cache.seconds")?),
            redis_url: secret(from, "cache.redis_url")?.map(Secret::new),
        },
        audit: audit(from)?,
        keys: Keys {
            master: secret(from, "keys.master_key")?.map(Secret::new),
            previous: secret(from, "keys.previous_master_key")?.map(Secret::new),
        },
        objects_url: objects_url(from)?,
        evidence: evidence(from)?,
        siem: siem(from)?,
        schema_events: schema_events(from)?,
        log: log(from)?,
    };
    Ok(settings)
}

fn retention(from: &Resolved) -> Result<Retention, ConfigError> {
    let retention = Retention {
        runs_days: required(from, "retention.runs_days")?,
        audit_days: required(from, "retention.audit_days")?,
        schema_audit_days: required(from, "retention.schema_audit_days")?,
        evidence_days: required(from, "retention.evidence_days")?,
        changes_hours: required(from, "retention.changes_hours")?,
    };
    // What is older than that is deleted as soon as it is archived.
    if retention.evidence_days < retention.audit_days.max(retention.schema_audit_days) {
        return Err(ConfigError::Invalid {
            key: "retention.evidence_days".into(),
            origin: from.origin("retention.evidence_days"),
            allowed: "at least retention.audit_days and retention.schema_audit_days".into(),
        });
    }
    Ok(retention)
}

fn audit(from: &Resolved) -> Result<Audit, ConfigError> {
    let named = from.text("audit.spool_dir").map(PathBuf::from);
    let spool_dir = match named {
        Some(folder) => folder,
        None => required::<PathBuf>(from, "data_dir")?.join("spool"),
    };
    Ok(Audit { spool_dir, spool_bytes: required(from, "audit.spool_bytes")? })
}

fn objects_url(from: &Resolved) -> Result<String, ConfigError> {
    if let Some(url) = from.text("objects.url") {
        return Ok(url);
    }
    let folder = required::<PathBuf>(from, "data_dir")?.join("objects");
    let url = std::path::absolute(folder).ok().and_then(|path| url::Url::from_file_path(path).ok());
    url.map(String::from).ok_or_else(|| invalid_or_unknown(&from.origin("data_dir"), "data_dir"))
}

fn evidence(from: &Resolved) -> Result<Evidence, ConfigError> {
    let origin: String = required(from, "evidence.origin")?;
    if origin.contains('+') || origin.contains(char::is_whitespace) {
        return Err(ConfigError::Invalid {
            key: "evidence.origin".into(),
            origin: from.origin("evidence.origin"),
            allowed: "a name without white space and '+', such as drr.example.com".into(),
        });
    }
    let signing_key = secret(from, "evidence.signing_key")?.map(Secret::new);
    let publish_every = seconds(from, "evidence.publish_seconds")?;
    let witnesses_file = from.text("evidence.witnesses_file").map(PathBuf::from);
    Ok(Evidence { origin, publish_every, signing_key, witnesses_file })
}

/// A setting's value; the row in the table has checked its text, so a failure names the row.
fn required<T: FromStr>(from: &Resolved, name: &str) -> Result<T, ConfigError> {
    from.text(name)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid_or_unknown(&from.origin(name), name))
}

fn milliseconds(from: &Resolved, name: &str) -> Result<Duration, ConfigError> {
    required(from, name).map(Duration::from_millis)
}

fn seconds(from: &Resolved, name: &str) -> Result<Duration, ConfigError> {
    required(from, name).map(Duration::from_secs)
}

/// A secret from its own setting or from the file that `…_file` names, not from both.
fn secret(from: &Resolved, name: &str) -> Result<Option<String>, ConfigError> {
    let file_name = format!("{name}_file");
    let Some(path) = from.text(&file_name) else { return Ok(from.text(name)) };
    if from.text(name).is_some() {
        return Err(conflict(from, name, &file_name));
    }
    let text = read_secret_file(&file_name, path.as_ref())?;
    match keys::find(name) {
        Some(key) if key.accepts(&text) => Ok(Some(text)),
        _ => Err(invalid_or_unknown(&path, name)),
    }
}

fn conflict(from: &Resolved, first: &str, second: &str) -> ConfigError {
    ConfigError::Conflict {
        first: first.into(),
        first_origin: from.origin(first),
        second: second.into(),
        second_origin: from.origin(second),
    }
}

fn listen(from: &Resolved) -> Result<Listen, ConfigError> {
    let listen = Listen {
        public: required(from, "listen.public")?,
        internal: required(from, "listen.internal")?,
        operations: required(from, "listen.operations")?,
    };
    // Port 0 is a different port each time it is asked for.
    let same = |one: SocketAddr, other: SocketAddr| one == other && one.port() != 0;
    for (first, second, clash) in [
        ("listen.public", "listen.internal", same(listen.public, listen.internal)),
        ("listen.public", "listen.operations", same(listen.public, listen.operations)),
        ("listen.internal", "listen.operations", same(listen.internal, listen.operations)),
    ] {
        if clash {
            return Err(conflict(from, first, second));
        }
    }
    Ok(listen)
}

fn database(from: &Resolved) -> Result<Database, ConfigError> {
    let url = |name: &str| -> Result<Option<DatabaseUrl>, ConfigError> {
        let url = secret(from, name)?.and_then(DatabaseUrl::parse);
        match url {
            Some(url) if !url.is_protected() => Err(ConfigError::Invalid {
                key: name.into(),
                origin: from.origin(name),
                allowed: "on this machine, or reached with sslmode=verify-full".into(),
            }),
            url => Ok(url),
        }
    };
    let database = Database {
        url: url("database.url")?,
        migration_url: url("database.migration_url")?,
        max_connections: required(from, "database.max_connections")?,
        acquire_timeout: milliseconds(from, "database.acquire_timeout_ms")?,
        statement_timeout: milliseconds(from, "database.statement_timeout_ms")?,
    };
    if database.url.is_none() && database.migration_url.is_some() {
        return Err(ConfigError::Missing {
            key: "database.url".into(),
            reason: "database.migration_url is set, which is of no use to the embedded database",
        });
    }
    Ok(database)
}

fn auth(from: &Resolved) -> Result<Option<Auth>, ConfigError> {
    const IDENTITY: [&str; 4] = ["auth.issuer", "auth.audience", "auth.jwks_file", "auth.jwks_url"];
    if IDENTITY.iter().all(|name| from.text(name).is_none()) {
        return Ok(None);
    }
    let needed = |name: &str| {
        from.text(name).ok_or_else(|| ConfigError::Missing {
            key: name.into(),
            reason: "some identity settings are there, and tokens need them all",
        })
    };
    let jwks = match (from.text("auth.jwks_file"), from.text("auth.jwks_url")) {
        (Some(path), None) => Jwks::File(path.into()),
        (None, Some(url)) => Jwks::Url(url),
        (Some(_), Some(_)) => return Err(conflict(from, "auth.jwks_file", "auth.jwks_url")),
        (None, None) => {
            return Err(ConfigError::Missing {
                key: "auth.jwks_file".into(),
                reason: "tokens need it or auth.jwks_url",
            });
        }
    };
    Ok(Some(Auth {
        issuer: needed("auth.issuer")?,
        audience: needed("auth.audience")?,
        jwks,
        jwks_refresh: seconds(from, "auth.jwks_refresh_seconds")?,
        leeway: seconds(from, "auth.leeway_seconds")?,
    }))
}

fn webhook(
    from: &Resolved,
    url_name: &str,
    secret_name: &str,
) -> Result<Option<Webhook>, ConfigError> {
    const NEEDED: &str = "a webhook needs its address and its secret";
    let missing = |key: &str| ConfigError::Missing { key: key.into(), reason: NEEDED };
    match (from.text(url_name), secret(from, secret_name)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(secret_name)),
        (None, Some(_)) => Err(missing(url_name)),
        (Some(url), Some(secret)) => Ok(Some(Webhook { url, secret: Secret::new(secret) })),
    }
}

fn schema_events(from: &Resolved) -> Result<SchemaEvents, ConfigError> {
    let file = from.text("schema_events.file").map(PathBuf::from);
    // Whoever reads it would not know which line is what.
    if file.is_some() && file == from.text("siem.file").map(PathBuf::from) {
        return Err(conflict(from, "schema_events.file", "siem.file"));
    }
    let redis_url = secret(from, "schema_events.redis_url")?.map(Secret::new);
    let redis_entries = match from.text("schema_events.redis_entries") {
        Some(_) if redis_url.is_none() => {
            return Err(ConfigError::Missing {
                key: "schema_events.redis_url".into(),
                reason: "it is said how much a Redis keeps, and not which",
            });
        }
        Some(_) => Some(required(from, "schema_events.redis_entries")?),
        None => None,
    };
    let webhook = webhook(from, "schema_events.webhook_url", "schema_events.webhook_secret")?;
    Ok(SchemaEvents { file, webhook, redis_url, redis_entries })
}

fn siem(from: &Resolved) -> Result<Siem, ConfigError> {
    let receiver = |url: &str, token: &'static str| match (
        from.text(url),
        secret(from, token)?.map(Secret::new),
    ) {
        (None, None) => Ok(None),
        (Some(url), token) => Ok(Some(SiemReceiver { url, token })),
        (None, Some(_)) => Err(ConfigError::Missing {
            key: url.to_owned(),
            reason: "there is a token for a receiver, and no receiver",
        }),
    };
    Ok(Siem {
        file: from.text("siem.file").map(PathBuf::from),
        http: receiver("siem.http_url", "siem.http_token")?,
        otlp: receiver("siem.otlp_url", "siem.otlp_token")?,
    })
}

fn graphql(from: &Resolved) -> Result<Graphql, ConfigError> {
    let graphql = Graphql {
        only_trusted: from.text("graphql.documents").as_deref() == Some("trusted"),
        trusted_documents_file: from.text("graphql.trusted_documents_file").map(PathBuf::from),
        without_persisted_queries: from.text("graphql.persisted_queries").as_deref() == Some("off"),
    };
    if graphql.only_trusted && graphql.trusted_documents_file.is_none() {
        return Err(ConfigError::Missing {
            key: "graphql.trusted_documents_file".into(),
            reason: "graphql.documents is trusted, and nothing says which are",
        });
    }
    Ok(graphql)
}

fn limits(from: &Resolved) -> Result<Limits, ConfigError> {
    Ok(Limits {
        max_connections: required(from, "limits.max_connections")?,
        load: load(from)?,
        header_bytes: required(from, "limits.header_bytes")?,
        header_timeout: milliseconds(from, "limits.header_timeout_ms")?,
        body_timeout: milliseconds(from, "limits.body_timeout_ms")?,
        idle_timeout: milliseconds(from, "limits.idle_timeout_ms")?,
        request_deadline: milliseconds(from, "limits.request_deadline_ms")?,
        drain_timeout: milliseconds(from, "limits.drain_timeout_ms")?,
        graphql_body_bytes: required(from, "limits.graphql_body_bytes")?,
        graphql_document: DocumentLimits {
            bytes: required(from, "limits.graphql_document_bytes")?,
            depth: required(from, "limits.graphql_document_depth")?,
            tokens: required(from, "limits.graphql_document_tokens")?,
            aliases: required(from, "limits.graphql_aliases")?,
            directives: required(from, "limits.graphql_directives")?,
            values: required(from, "limits.graphql_values")?,
            representations: required(from, "limits.graphql_representations")?,
        },
        subscriptions: SubscriptionLimits {
            total: required(from, "limits.subscriptions")?,
            per_tenant: required(from, "limits.subscriptions_per_tenant")?,
            per_connection: required(from, "limits.subscriptions_per_connection")?,
            init_timeout: milliseconds(from, "limits.subscription_init_timeout_ms")?,
            heartbeat: milliseconds(from, "limits.subscription_heartbeat_ms")?,
            stall_timeout: milliseconds(from, "limits.subscription_stall_timeout_ms")?,
        },
        graphql_cost: required(from, "limits.graphql_cost")?,
        graphql_document_cache_bytes: required(from, "limits.graphql_document_cache_bytes")?,
        lineage_body_bytes: required(from, "limits.lineage_body_bytes")?,
        lineage_compressed_bytes: required(from, "limits.lineage_compressed_bytes")?,
        idempotency_retention: Duration::from_hours(required(
            from,
            "limits.idempotency_retention_hours",
        )?),
    })
}

/// Twice as many at work as there are connections, unless it is said: while one is read for, another is
/// resolved and sent. With as many, sixteen clients on eight connections were sent away.
fn load(from: &Resolved) -> Result<Load, ConfigError> {
    let at_work = match from.text("limits.concurrent_requests") {
        Some(_) => required(from, "limits.concurrent_requests")?,
        None => required::<usize>(from, "database.max_connections")?.saturating_mul(2),
    };
    Ok(Load {
        at_work,
        waiting: required(from, "limits.waiting_requests")?,
        patience: milliseconds(from, "limits.waiting_timeout_ms")?,
    })
}

fn log(from: &Resolved) -> Result<Log, ConfigError> {
    let filter: String = required(from, "log.filter")?;
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        return Err(ConfigError::Invalid {
            key: "log.filter".into(),
            origin: from.origin("log.filter"),
            allowed: "tracing directives such as info,drr=debug".into(),
        });
    }
    let format = match from.text("log.format").as_deref() {
        Some("text") => LogFormat::Text,
        _ => LogFormat::Json,
    };
    Ok(Log { format, filter })
}
