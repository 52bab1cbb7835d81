//! `drr serve`.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Common, Failure, database::Database, vault};
use crate::{
    app::{
        ANNOUNCE_EVERY, App, Assembly, Breaches, Changes, Evidence, RETAIN_EVERY, SCHEMAS_EVERY,
        SEQUENCE_EVERY, STREAM_EVERY, SWEEP_EVERY, Schemas, Siem, Vault,
    },
    audit::siem::{Receiver, Sink},
    auth::{JwksSource, KeySettings, PseudonymKey, VerifierSettings},
    clock::SystemClock,
    config::{self, Jwks, Secret, Settings},
    evidence::{
        Signatory, SigningKey,
        witness::{self, Witness},
    },
    schema::delivery::{RedisStreams, SchemaSink},
    telemetry,
    webhook::{SigningSecret, Webhook},
};

pub(super) async fn run(common: &Common) -> Result<(), Failure> {
    let settings = common.settings()?;
    let auth = settings.require_auth()?;
    telemetry::init_log(&settings.log)?;
    let keys = match &auth.jwks {
        Jwks::File(path) => KeySettings::new(JwksSource::File(path.clone())),
        Jwks::Url(url) => KeySettings {
            refresh_interval: auth.jwks_refresh,
            ..KeySettings::new(JwksSource::Url(url.clone()))
        },
    };
    let verifier = VerifierSettings {
        leeway: auth.leeway,
        ..VerifierSettings::new(auth.issuer.as_str(), auth.audience.as_str())
    };
    let mut told = ToldToEnd::new()?;
    let database = Database::open(&settings).await?;
    let result = serve(&settings, &database, keys, verifier, &mut told).await;
    database.close().await?;
    result
}

async fn serve(
    settings: &Settings,
    database: &Database,
    keys: KeySettings,
    verifier: VerifierSettings,
    told: &mut ToldToEnd,
) -> Result<(), Failure> {
    let app = start(settings, database, keys, verifier).await?;
    let ended = told.or(database, std::future::pending()).await;
    tracing::info!("ending");
    app.stop().await;
    ended
}

/// Starts the service on `database`.
pub(super) async fn start(
    settings: &Settings,
    database: &Database,
    keys: KeySettings,
    verifier: VerifierSettings,
) -> Result<App, Failure> {
    database.prepare(settings).await?;
    let (objects, encryption) = vault::open(settings)?;
    let app = App::start(Assembly {
        listen: settings.listen,
        limits: settings.limits,
        graphql: settings.graphql.clone(),
        retention: settings.retention,
        cache: settings.cache.clone(),
        audit: settings.audit.clone(),
        vault: Vault { objects, keys: encryption, retain_every: Some(RETAIN_EVERY) },
        database: database.settings(settings),
        keys,
        verifier,
        pseudonyms: pseudonym_key(settings)?,
        graphiql: settings.graphiql,
        breaches: Breaches {
            sweep_every: Some(SWEEP_EVERY),
            webhook: webhook(settings.alerts.as_ref(), "alerts.webhook_secret")?,
        },
        changes: Changes { follow: true, announce_every: Some(ANNOUNCE_EVERY) },
        siem: siem(settings)?,
        schemas: Schemas { sinks: schema_sinks(settings)?, every: Some(SCHEMAS_EVERY) },
        evidence: Evidence {
            signatory: signatory(settings)?.into(),
            sequence_every: Some(SEQUENCE_EVERY),
            publish_every: settings.evidence.publish_every,
            witnesses: witnesses(settings)?,
        },
        clock: Arc::new(SystemClock),
    })
    .await?;
    let App { public, internal, operations, .. } = &app;
    tracing::info!(%public, %internal, %operations, "serving");
    Ok(app)
}

/// A receiver, with the name of the setting that has its secret.
fn webhook(named: Option<&config::Webhook>, setting: &str) -> Result<Option<Webhook>, Failure> {
    let Some(config::Webhook { url, secret }) = named else { return Ok(None) };
    let secret = SigningSecret::parse(secret.expose());
    let secret = secret.map_err(|error| format!("{setting} {error}"))?;
    Ok(Some(Webhook::new(url, secret)?))
}

/// Who is told what happens to schemas.
fn schema_sinks(settings: &Settings) -> Result<Vec<SchemaSink>, Failure> {
    let config::SchemaEvents { file, webhook: named, redis_url, redis_entries } =
        &settings.schema_events;
    let mut sinks: Vec<_> = file.clone().map(SchemaSink::File).into_iter().collect();
    let webhook = webhook(named.as_ref(), "schema_events.webhook_secret")?;
    sinks.extend(webhook.map(|webhook| SchemaSink::Webhook(webhook.into())));
    if let Some(url) = redis_url {
        let streams = RedisStreams::new(url.expose(), *redis_entries)?;
        sinks.push(SchemaSink::Redis(streams.into()));
    }
    Ok(sinks)
}

/// Who takes the audit trail.
fn siem(settings: &Settings) -> Result<Siem, Failure> {
    let config::Siem { file, http, otlp } = settings.siem.clone();
    let mut sinks: Vec<_> = file.map(Sink::File).into_iter().collect();
    if let Some(http) = http {
        sinks.push(Sink::Http(Receiver::new(&http.url, http.token)?));
    }
    if let Some(otlp) = otlp {
        sinks.push(Sink::Otlp(Receiver::new(&otlp.url, otlp.token)?));
    }
    let stream_every = (!sinks.is_empty()).then_some(STREAM_EVERY);
    Ok(Siem { sinks, stream_every })
}

/// The key that makes pseudonyms. With a private database it is kept beside it; instances that
/// share a database must share the key, so with one it has to be set.
fn pseudonym_key(settings: &Settings) -> Result<PseudonymKey, Failure> {
    if let Some(secret) = &settings.pseudonym_key {
        return Ok(PseudonymKey::new(secret.expose().as_bytes())?);
    }
    if settings.database.url.is_some() {
        return Err(
            "auth.pseudonym_key is not set: every instance on one database needs the same \
             secret of at least 32 bytes (set DRR_AUTH__PSEUDONYM_KEY or \
             DRR_AUTH__PSEUDONYM_KEY_FILE)"
                .into(),
        );
    }
    let secret = Secret::load_or_create(&settings.data_dir.join("credentials/pseudonym_key"))?;
    Ok(PseudonymKey::new(secret.expose().as_bytes())?)
}

/// What signs checkpoints. The key is kept as that of the pseudonyms is.
pub(super) fn signatory(settings: &Settings) -> Result<Signatory, Failure> {
    let key = match &settings.evidence.signing_key {
        Some(secret) => SigningKey::parse(secret.expose())
            .map_err(|error| format!("evidence.signing_key: {error}"))?,
        None if settings.database.url.is_some() => {
            return Err(
                "evidence.signing_key is not set: every instance on one database needs the \
                        same Ed25519 key (set DRR_EVIDENCE__SIGNING_KEY_FILE; \
                        `openssl genpkey -algorithm ed25519` makes one)"
                    .into(),
            );
        }
        None => SigningKey::load_or_create(&settings.data_dir.join("credentials/evidence_key"))?,
    };
    Ok(Signatory::new(settings.evidence.origin.as_str(), key)?)
}

/// Who cosigns checkpoints.
fn witnesses(settings: &Settings) -> Result<Vec<Witness>, Failure> {
    let Some(path) = &settings.evidence.witnesses_file else { return Ok(Vec::new()) };
    let named = |error: &dyn std::fmt::Display| {
        format!("evidence.witnesses_file {}: {error}", path.display())
    };
    let policy = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    Ok(witness::witnesses(&policy).map_err(|error| named(&error))?)
}

/// SIGTERM and SIGINT: the program is to end.
pub(super) struct ToldToEnd {
    terminate: Signal,
    interrupt: Signal,
}

impl ToldToEnd {
    /// From here on the signals are taken.
    pub(super) fn new() -> Result<Self, Failure> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Waits for `work`, but no longer than until the program is told to end (which is no failure)
    /// or its private database is gone (which is one).
    pub(super) async fn or(
        &mut self,
        database: &Database,
        work: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        tokio::select! {
            result = work => result,
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
            failure = database.failed() => Err(failure),
        }
    }
}
