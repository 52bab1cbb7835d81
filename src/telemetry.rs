//! Logs and metrics of the whole process.
//!
//! A log line is one JSON object: time in UTC, level, target, message, and the fields of the event
//! and of every span around it at the top level, so that one `correlation_id` finds all lines of a
//! request. Every metric that the program counts is described in [`describe`]; add new ones there.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use self::lines::{FlatJson, Members};
use crate::config::{Log, LogFormat};

mod lines;

/// Requests answered, by listener, route template and status.
pub const HTTP_REQUESTS: &str = "drr_http_requests_total";
/// How long they took, in seconds.
pub const HTTP_DURATION: &str = "drr_http_request_duration_seconds";
/// Handlers that panicked.
pub const HTTP_PANICS: &str = "drr_http_panics_total";
/// Requests whose time was over before they were done.
pub const HTTP_DEADLINES: &str = "drr_http_deadlines_exceeded_total";
/// Documents that were asked for, by what became of them.
pub const GRAPHQL_DOCUMENTS: &str = "drr_graphql_documents_total";
/// Connections open now, by listener.
pub const HTTP_CONNECTIONS: &str = "drr_http_connections";

/// Upper bounds of the histogram's buckets, in seconds: a cached answer to a slow statement.
const DURATION_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// How often recorded samples are folded into buckets when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why there are no logs or no metrics.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no directive, or there is a subscriber already.
    #[error("the log cannot be set up")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another recorder is installed.
    #[error("the metrics cannot be set up")]
    Metrics(#[from] BuildError),
}

/// Sends the process's log to standard error, once, at its start.
///
/// # Errors
/// [`TelemetryError::Log`] for a bad filter or a second call.
pub fn init_log(settings: &Log) -> Result<(), TelemetryError> {
    let filter =
        EnvFilter::try_new(&settings.filter).map_err(|error| TelemetryError::Log(error.into()))?;
    // It logs what is odd about schemas that callers send: they are told so themselves.
    let avro = "apache_avro=off".parse().map_err(|error| TelemetryError::Log(Box::new(error)))?;
    let filter = filter.add_directive(avro);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => builder.fmt_fields(Members).event_format(FlatJson).try_init(),
        LogFormat::Text => builder.try_init(),
    }
    .map_err(TelemetryError::Log)
}

/// The process's metrics, installed at the first call and shared by all later ones: several servers
/// can live in one test process.
///
/// # Errors
/// [`TelemetryError::Metrics`] when something else installed a recorder before.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = handle.as_ref() {
        return Ok(handle.clone());
    }
    let installed = PrometheusBuilder::new().set_buckets(DURATION_BUCKETS)?.install_recorder()?;
    describe();
    *handle = Some(installed.clone());
    Ok(installed)
}

/// Folds recorded samples until `shutdown`; without it, they pile up between scrapes.
pub async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

/// What each metric means.
fn describe() {
    describe_counter!(HTTP_REQUESTS, "Requests answered.");
    describe_histogram!(HTTP_DURATION, Unit::Seconds, "Time from a request's head to its answer.");
    describe_counter!(HTTP_PANICS, "Handlers that panicked.");
    describe_counter!(HTTP_DEADLINES, "Requests that were not done in their time.");
    describe_gauge!("drr_requests_at_work", "Requests of known callers that have a place at work.");
    describe_gauge!("drr_requests_waiting", "Requests of known callers that wait for one.");
    describe_histogram!(
        "drr_request_wait_seconds",
        Unit::Seconds,
        "How long they waited, if they had to, until they had one or were sent away."
    );
    describe_counter!(
        "drr_shed_total",
        "Requests that were sent away, by reason: `full` (too many waited), `overload` (the queue stood, and \
         they had waited for a part of what work takes), `late` (they had waited for as long as anybody may)."
    );
    describe_counter!(GRAPHQL_DOCUMENTS, "GraphQL documents, by how they were found or refused.");
    describe_gauge!(HTTP_CONNECTIONS, "Open connections.");
    describe_counter!("drr_db_transactions_total", "Transactions begun for callers.");
    describe_counter!("drr_schema_transitions_total", "What became of requests for transitions.");
    describe_counter!("drr_schema_payloads_total", "Payloads judged by a schema, by result.");
    describe_counter!("drr_db_statements_total", "Statements run in them.");
    describe_counter!(
        "drr_db_cancelled_statements_total",
        "Statements stopped in the server because nobody waited for them any more."
    );
    describe_counter!(
        "drr_db_unclean_connections_total",
        "Connections closed because they came back with an open transaction, a tenant or a role."
    );
    describe_counter!("drr_audit_archived_events_total", "Audit events put into archives.");
    describe_counter!("drr_audit_months_dropped_total", "Months of the audit trail that went.");
    describe_counter!("drr_audit_archives_deleted_total", "Archives that are kept no longer.");
    describe_counter!(
        "drr_tenant_isolation_violations_total",
        "Answers withheld because the database let another tenant's row through."
    );
    describe_counter!(
        "drr_rls_anomalies_total",
        "Statements that row-level security or the grants refused."
    );
    describe_counter!(
        "drr_cache_requests_total",
        "Queries, by what became of them: `kept` (answered as before), `waited` (for somebody who asked \
         for the same), `shared` (another instance made it), `made` (and kept, if possible), `never` \
         (their answer cannot be kept)."
    );
    describe_counter!(
        "drr_cache_redis_total",
        "What Redis was asked, and what became of it: `answered`, `refused`, `slow`, `not_connected`, \
         `left_alone`."
    );
    describe_counter!(
        "drr_cache_redis_left_alone_total",
        "Times at which Redis was left alone for a while."
    );
    describe_counter!(
        "drr_cache_invalidations_total",
        "Writes after which kept answers do not count."
    );
    describe_counter!("drr_cache_evictions_total", "What made room for others, by what it is.");
    describe_counter!(
        "drr_cache_purged_total",
        "What was forgotten because an operator said so, by what it is."
    );
    describe_gauge!("drr_cache_bytes", Unit::Bytes, "What is kept takes, by what it is.");
    describe_counter!(
        "drr_cache_facts_total",
        "What never changes, by whether it was known or had to be asked for."
    );
    describe_counter!("drr_audit_events_total", "Audit events that are durable.");
    describe_counter!("drr_audit_groups_total", "Statements that wrote audit events of calls.");
    describe_gauge!(
        "drr_audit_spool_bytes",
        Unit::Bytes,
        "Audit events on this machine's disk that the database does not have yet."
    );
    describe_counter!(
        "drr_audit_unaudited_total",
        "Calls that were refused because their audit event could be kept nowhere."
    );
    describe_counter!(
        "drr_audit_events_lost_total",
        "Audit events that could be kept nowhere; their calls were refused, or had gone away."
    );
    describe_counter!(
        "drr_audit_events_refused_total",
        "Audit events that the database refused for what they are, and that were put aside."
    );
    describe_counter!(
        "drr_idempotency_total",
        "Requests and changes with an idempotency key, by what came of the key."
    );
    describe_counter!(
        "drr_freshness_policies_applied_total",
        "Datasets brought up to date with the policy that applies to them."
    );
    describe_counter!("drr_run_events_total", "Run events received, by what became of them.");
    describe_counter!(
        "drr_siem_events_total",
        "Audit events that a sink of the stream took, or refused for good."
    );
    describe_counter!("drr_siem_failures_total", "Batches that a sink of the stream did not take.");
    describe_gauge!(
        "drr_siem_lag_seconds",
        Unit::Seconds,
        "How old the oldest audit event is that a sink of the stream does not have."
    );
    describe_counter!(
        "drr_schema_events_total",
        "Events of schemas that a sink took, and batches that it did not take as a whole."
    );
    describe_gauge!(
        "drr_schema_events_lag_seconds",
        Unit::Seconds,
        "How old the oldest event of schemas is that a sink does not have."
    );
    describe_counter!(
        "drr_schema_transitions_expired_total",
        "Requests for versions of schemas that nobody decided about in time."
    );
    describe_counter!(
        "drr_schema_drift_total",
        "Datasets that began to differ from their schemas, or do not any more."
    );
    describe_counter!("drr_breaches_total", "Breaches opened, escalated and resolved.");
    describe_histogram!(
        "drr_breach_sweep_duration_seconds",
        Unit::Seconds,
        "Time of one pass over all tenants."
    );
    describe_gauge!(
        "drr_breach_sweep_lag_seconds",
        Unit::Seconds,
        "How long the oldest of what a pass found had been due."
    );
    describe_counter!(
        "drr_breach_deliveries_total",
        "Events sent to the webhook, by what became of them."
    );
    describe_gauge!(
        "drr_breach_oldest_undelivered_seconds",
        Unit::Seconds,
        "How long the oldest event has waited that the receiver did not take."
    );
    describe_counter!(
        "drr_changes_announced_total",
        "Changes of freshness and run events put into the logs of subscribers, by log."
    );
    describe_gauge!(
        "drr_change_announcement_lag_seconds",
        Unit::Seconds,
        "How long the oldest of what a pass over all tenants found had been due."
    );
    describe_gauge!("drr_subscriptions_open", "Open subscriptions, by transport.");
    describe_counter!("drr_subscription_messages_total", "Answers of subscriptions, by transport.");
    describe_counter!(
        "drr_subscription_ends_total",
        "Subscriptions that ended, by transport and reason: client, token, lag, stall, shutdown, failure."
    );
    describe_counter!("drr_websocket_closes_total", "Sockets that this side closed, by code.");
    describe_gauge!("drr_lease_held", "Whether this instance leads, by lease.");
    describe_counter!(
        "drr_lineage_edges_left_out_total",
        "Pairs of an input and an output of a run that were too many to be kept as edges."
    );
    describe_counter!(
        "drr_retention_partitions_total",
        "Partitions of runs and events that were dropped because they are kept no longer."
    );
    describe_counter!("drr_evidence_leaves_total", "Audit events put into the evidence ledger.");
    describe_counter!(
        "drr_evidence_failures_total",
        "Passes over a tenant's log that failed; one that does not agree with its checkpoint stands still."
    );
    describe_counter!(
        "drr_evidence_checkpoints_published_total",
        "Checkpoints put outside of the database."
    );
    describe_counter!(
        "drr_evidence_cosignatures_total",
        "Checkpoints that a witness was asked to cosign, by witness and result: cosigned, refused, ahead, invalid, away, unproved."
    );
    describe_gauge!(
        "drr_evidence_lag_seconds",
        Unit::Seconds,
        "How old the oldest event was that a pass over all tenants found outside the ledger."
    );
    describe_counter!("drr_graphql_cost_total", "Costs of the documents that ran, together.");
    describe_counter!(
        "drr_graphql_cost_refused_total",
        "Documents refused because they cost more than the limit."
    );
    describe_counter!("drr_policy_denials_total", "Calls denied, by operation and role.");
    describe_counter!("drr_token_validation_failures_total", "Tokens refused, by reason.");
    describe_counter!("drr_jwks_refresh_total", "Reads of the key set, by result.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_installed_once_and_shared() {
        let (first, second) = (metrics().unwrap(), metrics().unwrap());
        metrics::counter!(HTTP_PANICS).increment(0);
        assert!(first.render().contains(HTTP_PANICS) && second.render().contains(HTTP_PANICS));
    }
}
