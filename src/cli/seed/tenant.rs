//! The rows of one tenant, in one transaction with their audit events.
//!
//! They are made in the database, by formulas over the numbers of tenant, dataset and run, and are
//! what the program itself would have written, had each run been reported by a START and an event of
//! its end (the integration test `seed` sends those events and compares, row by row):
//!
//! | what | how it follows from tenant `t`, dataset `d`, run `r` (all counted from 1) |
//! |---|---|
//! | dataset id | `md5("d/{t}/{d}")` |
//! | name | `warehouse`, `<domain>.dataset_<d, six digits>` |
//! | run id | `md5("r/{t}/{d}/{r}")` |
//! | start | `r` hours and `d mod 60` minutes before the data's instant |
//! | length | `30 + d × r mod 600` seconds |
//! | state | FAILED if 13 divides `t + d + r`, else ABORTED if 29 does, else COMPLETED |
//! | policy | fails after 15 min, 1 h, 4 h or 24 h, by `d mod 4`; warns at 80 % of that |
//!
//! The raw events themselves are not kept: the data is as after their retention.

use std::{ops::RangeInclusive, sync::Arc};

use chrono::{DateTime, Utc};

use super::{Made, Plan, chunk};
use crate::{
    audit::{self, Entry, Outcome, Record},
    auth::{
        TenantId, TokenVerifier,
        policy::{Operation, Role},
    },
    call::Call,
    cli::{Failure, development::Development},
    clock::SharedClock,
    db::{Db, FromRow, TenantTx},
    error::Error,
};

/// What every tenant is seeded with.
pub(super) struct Seeder<'s> {
    pub(super) db: &'s Db,
    pub(super) development: &'s Development,
    pub(super) verifier: &'s TokenVerifier,
    pub(super) clock: SharedClock,
}

impl Seeder<'_> {
    /// Makes what the tenant with this number lacks.
    pub(super) async fn seed(&self, number: u16, plan: Plan) -> Result<Made, Failure> {
        let tenant = TenantId::parse(&format!("tenant-{number:04}"))?;
        let (runtime, administrator) = (
            self.call(&tenant, Role::RuntimeWriter).await?,
            self.call(&tenant, Role::TenantAdmin).await?,
        );
        let reported = [Operation::DatasetRegister, Operation::RunEventsRecord];
        let managed = [Operation::FreshnessPolicySet];
        for (call, operations) in [(&runtime, &reported[..]), (&administrator, &managed[..])] {
            operations.iter().try_for_each(|operation| call.authorize(*operation))?;
        }
        let tx = runtime.db().write().await?;
        let made = fill(&tx, number, plan, administrator.principal().actor()).await;
        let made = made.map_err(|error| cause(&tenant, &error))?;
        if made.datasets > 0 {
            audit::append(&tx, &runtime, &reported.map(|operation| entry(operation, made))).await?;
            let managed = managed.map(|operation| entry(operation, made));
            audit::append(&tx, &administrator, &managed).await?;
            tx.commit().await?;
        }
        tracing::info!(%tenant, datasets = made.datasets, runs = made.runs, "seeded");
        Ok(made)
    }

    async fn call(&self, tenant: &TenantId, role: Role) -> Result<Call, Failure> {
        let principal = self.development.principal(self.verifier, tenant, role).await?;
        let correlation_id = Arc::from(format!("seed-{tenant}"));
        let record = Arc::new(Record::new(self.clock.clone(), correlation_id, "seed"));
        Ok(Call::new(principal, self.db, self.clock.clone(), record))
    }
}

fn cause(tenant: &TenantId, error: &Error) -> Failure {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("{tenant} cannot be seeded: {}", cause.unwrap_or_else(|| error.to_string())).into()
}

fn entry(operation: Operation, made: Made) -> Entry {
    let resource = format!("seed:{} datasets, {} runs", made.datasets, made.runs);
    Entry { operation, dataset_id: None, resource: Some(resource), outcome: Outcome::Success }
}

async fn fill(tx: &TenantTx, tenant: u16, plan: Plan, administrator: &str) -> Result<Made, Error> {
    let mut made = Made::default();
    let size = chunk(plan.runs);
    let mut first = 1;
    while first <= plan.datasets {
        let last = plan.datasets.min(first.saturating_add(size - 1));
        let new = register(tx, tenant, first..=last, plan.as_of, administrator).await?;
        if !new.is_empty() {
            made.datasets += new.len() as u64;
            made.runs += new.len() as u64 * u64::from(plan.runs);
            let values = [
                i32::from(tenant).into(),
                new.into(),
                i64::from(plan.runs).into(),
                plan.as_of.into(),
            ];
            tx.execute_sql(RUNS, values).await?;
        }
        first = last + 1;
    }
    Ok(made)
}

#[derive(FromRow)]
struct New {
    d: i32,
}

/// Registers those datasets that are not there, with their policies; answers their numbers.
async fn register(
    tx: &TenantTx,
    tenant: u16,
    numbers: RangeInclusive<u32>,
    as_of: DateTime<Utc>,
    administrator: &str,
) -> Result<Vec<i32>, Error> {
    let values = [
        i32::from(tenant).into(),
        i64::from(*numbers.start()).into(),
        i64::from(*numbers.end()).into(),
        as_of.into(),
        administrator.into(),
    ];
    let new: Vec<New> = tx.query_sql(REGISTER, values).await?;
    Ok(new.into_iter().map(|row| row.d).collect())
}

// $1 tenant, $2 first and $3 last dataset, $4 instant, $5 who sets the policies.
const REGISTER: &str = "
WITH named AS (
  SELECT d, md5('d/' || $1::integer || '/' || d)::uuid AS dataset_id, domain,
         domain || '.dataset_' || lpad(d::text, 6, '0') AS name,
         $4::timestamptz - interval '400 days' + d % 300 * interval '1 day' AS created_at,
         (array[900, 3600, 14400, 86400])[1 + d % 4] AS fail_after
    FROM (SELECT d::integer AS d,
                 (array['sales','billing','ops','ml','web','hr','risk','supply'])[1 + d % 8]
                   AS domain
            FROM generate_series($2::bigint, $3::bigint) AS d) AS numbered
), new AS (
  INSERT INTO dataset_name (tenant_id, namespace, name, dataset_id, is_alias)
  SELECT (SELECT current_tenant()), 'warehouse', name, dataset_id, false FROM named ORDER BY name
  ON CONFLICT DO NOTHING
  RETURNING dataset_id
), registered AS (
  INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, owners, domain, tags,
                                search_text, created_at, updated_at)
  SELECT (SELECT current_tenant()), dataset_id, 'warehouse', name, array['team-' || d::bigint * 7 % 23],
         domain, array['src' || d % 11, 'tier' || d % 3], E'warehouse\\n' || name || E'\\n',
         created_at, created_at
    FROM named JOIN new USING (dataset_id)
), policy AS (
  INSERT INTO freshness_policy (tenant_id, policy_id, dataset_id, version, mode, warn_after_seconds,
                                fail_after_seconds, effective_from, created_at, created_by)
  SELECT (SELECT current_tenant()), dataset_id, dataset_id, 1, 'ACTIVE', fail_after / 5 * 4, fail_after,
         created_at, created_at, $5
    FROM named JOIN new USING (dataset_id)
), directory AS (
  INSERT INTO tenant_directory (tenant_id)
  SELECT current_tenant() WHERE EXISTS (SELECT FROM new)
  ON CONFLICT DO NOTHING
)
SELECT d FROM named JOIN new USING (dataset_id)";

// $1 tenant, $2 datasets, $3 runs of each, $4 instant. `hash` is that of the event of the run's end,
// over its canonical form (`ContentHash`): members sorted, a comma after each. Runs do not overlap,
// so the last one, the last success and the last decisive one are those with the smallest numbers.
const RUNS: &str = r#"
WITH dataset AS (
  SELECT d::bigint AS d, dataset_id, name, job, fail_after, created_at
    FROM unnest($2::integer[]) AS wanted (d)
    JOIN LATERAL (SELECT md5('d/' || $1::integer || '/' || d)::uuid) AS id (dataset_id) ON true
    JOIN dataset_registry USING (dataset_id)
    JOIN LATERAL (SELECT 'refresh ' || name) AS named (job) ON true
    JOIN LATERAL (SELECT (array[900, 3600, 14400, 86400])[1 + d % 4]) AS limits (fail_after) ON true
), numbered AS (
  SELECT d, r, dataset_id, name, job,
         md5('r/' || $1::integer || '/' || d || '/' || r)::uuid AS run_id,
         $4::timestamptz - r * interval '1 hour' - d % 60 * interval '1 minute' AS started_at,
         (30 + d * r % 600) * interval '1 second' AS length,
         CASE WHEN ($1 + d + r) % 13 = 0 THEN 'FAILED' WHEN ($1 + d + r) % 29 = 0 THEN 'ABORTED'
              ELSE 'COMPLETED' END AS state
    FROM dataset, generate_series(1, $3::bigint) AS r
), told AS (
  SELECT *, started_at + length AS ended_at,
         to_char(started_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started,
         to_char(started_at + length, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS ended,
         CASE state WHEN 'FAILED' THEN 'FAIL' WHEN 'ABORTED' THEN 'ABORT' ELSE 'COMPLETE' END
           AS event_type,
         CASE state WHEN 'FAILED' THEN 0 ELSE 1000 + (d * 7919 + r * 104729) % 1000000 END
           AS row_count,
         CASE state WHEN 'FAILED' THEN
           'TimeoutError: upstream extract exceeded ' || 60 + d % 300 || 's' END AS error_message
    FROM numbered
), hashed AS MATERIALIZED (
  SELECT *, encode(sha256(convert_to(format(
    '{"eventTime":"%s","eventType":"%s","job":{"name":"%s","namespace":"pipelines",},'
    '"outputs":[{"name":"%s","namespace":"warehouse","outputFacets":{"outputStatistics":'
    '{"_producer":"https://drr.invalid/seed","_schemaURL":"https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json","rowCount":%s,},},},],'
    '"producer":"https://drr.invalid/seed","run":{%s"runId":"%s",},'
    '"schemaURL":"https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",}',
    ended, event_type, job, name, row_count,
    CASE state WHEN 'FAILED' THEN format(
      '"facets":{"errorMessage":{"_producer":"https://drr.invalid/seed","_schemaURL":"https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json","message":"%s","programmingLanguage":"python",},},',
      error_message) END,
    run_id), 'UTF8')), 'hex') AS hash
    FROM told
), run_rows AS (
  INSERT INTO run (tenant_id, run_id, job_namespace, job_name, state, started_at, ended_at,
                   effective_at, error_message, fold, recorded_at, updated_at)
  SELECT (SELECT current_tenant()), run_id, 'pipelines', job, state, started_at, ended_at, started_at,
         error_message,
         jsonb_build_object(
           'run_id', run_id, 'job', jsonb_build_object('namespace', 'pipelines', 'name', job),
           'first_event_at', started, 'first_state_at', started, 'started_at', started,
           'ends', jsonb_build_object(event_type, jsonb_build_object(
             'at', ended, 'hash', hash, 'error_message', error_message)),
           'nominal_time', NULL, 'parent_run_id', NULL,
           'outputs', jsonb_build_array(jsonb_build_array(
             jsonb_build_object('namespace', 'warehouse', 'name', name),
             jsonb_build_object('source_watermark', NULL, 'statistics', jsonb_build_object(
               'at', ended, 'hash', hash, 'value', jsonb_build_object(
                 'row_count', row_count, 'byte_count', NULL, 'file_count', NULL)))))),
         started_at, ended_at
    FROM hashed
), log_rows AS (
  INSERT INTO dataset_run_log (tenant_id, dataset_id, effective_at, run_id, job_namespace, job_name,
                               state, started_at, ended_at, row_count, error_message)
  SELECT (SELECT current_tenant()), dataset_id, started_at, run_id, 'pipelines', job, state, started_at,
         ended_at, row_count, error_message
    FROM hashed
), deciding AS (
  SELECT d, min(r) FILTER (WHERE state = 'COMPLETED') AS success,
         min(r) FILTER (WHERE state = 'FAILED') AS failure,
         min(r) FILTER (WHERE state <> 'ABORTED') AS decisive
    FROM hashed GROUP BY d
), failures AS (
  SELECT d, count(*) AS count FROM hashed JOIN deciding USING (d)
   WHERE state = 'FAILED' AND r < coalesce(success, $3 + 1) GROUP BY d
)
INSERT INTO dataset_refresh_state
  (tenant_id, dataset_id, status, last_success_at, last_success_run_id, last_run_id, last_run_at,
   last_run_state, row_count, consecutive_failures, policy_id, policy_version,
   policies_matching, alerting, freshness_basis, warn_at, stale_at, updated_at, last_failure_at,
   last_failure_run_id)
SELECT (SELECT current_tenant()), dataset.dataset_id,
       CASE decisive.state WHEN 'COMPLETED' THEN 'READY' WHEN 'FAILED' THEN 'FAILED' ELSE 'NEVER' END,
       success.ended_at, success.run_id, latest.run_id, latest.started_at, latest.state,
       success.row_count, coalesce(failures.count, 0), dataset.dataset_id, 1, 1, true,
       CASE WHEN success.r IS NULL THEN 'UNKNOWN' ELSE 'TIMED' END,
       coalesce(success.ended_at + fail_after / 5 * 4 * interval '1 second', '9999-12-31T00:00:00Z'),
       coalesce(success.ended_at + fail_after * interval '1 second', '9999-12-31T00:00:00Z'),
       coalesce(latest.ended_at, dataset.created_at), failure.ended_at, failure.run_id
  FROM dataset
  LEFT JOIN deciding USING (d)
  LEFT JOIN failures USING (d)
  LEFT JOIN hashed latest ON latest.d = dataset.d AND latest.r = 1
  LEFT JOIN hashed success ON success.d = dataset.d AND success.r = deciding.success
  LEFT JOIN hashed failure ON failure.d = dataset.d AND failure.r = deciding.failure
  LEFT JOIN hashed decisive ON decisive.d = dataset.d AND decisive.r = deciding.decisive"#;
