//! Freshness policies and counts by status.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc, Weekday};
use serde::Serialize;
use uuid::Uuid;

use super::model::{
    Deadline, Exclusions, MaxAge, Policy, PolicyKey, Rule, Seconds, Selector, Selectors, Target,
    zone,
};
use crate::{
    call::Call,
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

/// A version of a policy as it is stored.
pub type Record = entity::freshness_policy::Model;

/// The kinds of rule, as they are stored.
const MAX_AGE: &str = "MAX_AGE";
const DEADLINE: &str = "DEADLINE";

impl Policy {
    /// The policy that a record holds, with the dates that its calendars name.
    ///
    /// # Errors
    /// [`Error::Internal`] for a record that no command can have written.
    pub fn stored(record: &Record, calendar_dates: &[NaiveDate]) -> Result<Self> {
        let read = || {
            let weekday = |day: &i32| u8::try_from(*day - 1).ok()?.try_into().ok();
            let weekdays: Option<Vec<Weekday>> =
                record.exclude_weekdays.iter().map(weekday).collect();
            let exclusions = Exclusions::parse(
                weekdays.ok_or_else(|| Error::internal("a weekday is none"))?,
                record.exclude_dates.clone(),
                record.exclude_calendars.clone(),
            )?;
            let (warn, fail) = (record.warn_after_seconds, record.fail_after_seconds);
            let rule = match (&record.deadline_cron, record.lower_bound_seconds) {
                (Some(cron), Some(bound)) => {
                    Rule::Deadline(Deadline::accepted(cron.clone(), bound, warn, fail)?)
                }
                _ => Rule::MaxAge(MaxAge::parse(warn, fail)?),
            };
            let selector = || {
                let (domain, tags) = (&record.selector_domain, &record.selector_tags);
                Selector::parse(domain.clone(), tags.clone()).map(Target::Selector)
            };
            Ok(Self {
                id: record.policy_id,
                version: record.version,
                target: record.dataset_id.map_or_else(selector, |id| Ok(Target::Dataset(id)))?,
                rule,
                mode: record.mode.parse().map_err(Error::internal)?,
                driver: record.driver.parse().map_err(Error::internal)?,
                exclusions: exclusions.resolved(calendar_dates),
                timezone: zone::parse(&record.timezone)?,
                effective_from: record.effective_from,
            })
        };
        read().map_err(|error: Error| match error {
            Error::BadUserInput { .. } => Error::internal(error),
            other => other,
        })
    }
}

#[derive(Serialize)]
struct Row<'a> {
    policy_id: Uuid,
    dataset_id: Option<Uuid>,
    version: i32,
    selector_domain: Option<&'a str>,
    selector_tags: &'a [String],
    mode: &'static str,
    driver: &'static str,
    kind: &'static str,
    warn_after_seconds: Option<i64>,
    fail_after_seconds: Option<i64>,
    deadline_cron: Option<&'a str>,
    lower_bound_seconds: Option<i64>,
    timezone: &'static str,
    exclude_weekdays: Vec<u32>,
    exclude_dates: &'a [NaiveDate],
    exclude_calendars: &'a [String],
    effective_from: DateTime<Utc>,
}

impl<'a> From<&'a Policy> for Row<'a> {
    fn from(policy: &'a Policy) -> Self {
        let (dataset_id, selector) = match &policy.target {
            Target::Dataset(id) => (Some(*id), None),
            Target::Selector(selector) => (None, Some(selector)),
        };
        let deadline = match &policy.rule {
            Rule::MaxAge(_) => None,
            Rule::Deadline(deadline) => Some(deadline),
        };
        let exclusions = &policy.exclusions;
        Self {
            policy_id: policy.id,
            dataset_id,
            version: policy.version,
            selector_domain: selector.and_then(Selector::domain),
            selector_tags: selector.map_or(&[], Selector::tags),
            mode: policy.mode.as_str(),
            driver: policy.driver.as_str(),
            kind: if deadline.is_some() { DEADLINE } else { MAX_AGE },
            warn_after_seconds: policy.rule.warn_after().map(Seconds::get),
            fail_after_seconds: policy.rule.fail_after().map(Seconds::get),
            deadline_cron: deadline.map(|deadline| deadline.cron().as_str()),
            lower_bound_seconds: deadline.map(|deadline| deadline.lower_bound().get()),
            timezone: policy.timezone.name(),
            exclude_weekdays: exclusions
                .weekdays()
                .iter()
                .map(Weekday::number_from_monday)
                .collect(),
            exclude_dates: exclusions.dates(),
            exclude_calendars: exclusions.calendars(),
            effective_from: policy.effective_from,
        }
    }
}

const INSERT: &str = "
INSERT INTO freshness_policy
  (tenant_id, policy_id, dataset_id, version, selector_domain, selector_tags, mode, driver, kind,
   warn_after_seconds, fail_after_seconds, deadline_cron, lower_bound_seconds, timezone,
   exclude_weekdays, exclude_dates, exclude_calendars, effective_from, created_at, created_by)
SELECT current_tenant(), policy_id, dataset_id, version, selector_domain, selector_tags, mode, driver,
       kind, warn_after_seconds, fail_after_seconds, deadline_cron, lower_bound_seconds, timezone,
       exclude_weekdays, exclude_dates, exclude_calendars, effective_from, $2, $3
  FROM jsonb_to_recordset($1) AS policy (
    policy_id uuid, dataset_id uuid, version integer, selector_domain text, selector_tags text[],
    mode text, driver text, kind text, warn_after_seconds bigint, fail_after_seconds bigint,
    deadline_cron text, lower_bound_seconds bigint, timezone text, exclude_weekdays integer[],
    exclude_dates date[], exclude_calendars text[], effective_from timestamptz)";

/// Adds a version of a policy.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(tx: &TenantTx, call: &Call, policy: &Policy) -> Result<()> {
    let values =
        [records(&[Row::from(policy)])?, call.now().into(), call.principal().actor().into()];
    tx.execute_sql(INSERT, values).await?;
    Ok(())
}

const REMOVE: &str = "
INSERT INTO freshness_policy
  (tenant_id, policy_id, dataset_id, version, selector_domain, selector_tags, removed, mode, driver,
   kind, warn_after_seconds, fail_after_seconds, deadline_cron, lower_bound_seconds, timezone,
   exclude_weekdays, exclude_dates, exclude_calendars, effective_from, created_at, created_by)
SELECT tenant_id, policy_id, dataset_id, version + 1, selector_domain, selector_tags, true, mode,
       driver, kind, warn_after_seconds, fail_after_seconds, deadline_cron, lower_bound_seconds,
       timezone, exclude_weekdays, exclude_dates, exclude_calendars, $3, $3, $4
  FROM freshness_policy WHERE policy_id = $1 AND version = $2";

/// Adds the version that takes a policy away.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(tx: &TenantTx, call: &Call, key: PolicyKey) -> Result<()> {
    let actor = call.principal().actor().into();
    let values = [key.policy_id.into(), key.version.into(), call.now().into(), actor];
    tx.execute_sql(REMOVE, values).await?;
    Ok(())
}

const LATEST: &str =
    "SELECT * FROM freshness_policy WHERE policy_id = $1 ORDER BY version DESC LIMIT 1";

/// The last version of a policy, be it one that takes it away.
///
/// # Errors
/// Whatever the database answers.
pub async fn latest(tx: &TenantTx, policy_id: Uuid) -> Result<Option<Record>> {
    Ok(tx.query_sql(LATEST, [policy_id.into()]).await?.pop())
}

/// The policies of a tenant that are not for one dataset, in force.
macro_rules! selector_policies {
    ($condition:literal) => {
        concat!(
            "SELECT * FROM (SELECT DISTINCT ON (policy_id) * FROM freshness_policy
              WHERE dataset_id IS NULL",
            $condition,
            " ORDER BY policy_id, version DESC) AS latest WHERE NOT removed ORDER BY policy_id"
        )
    };
}
const SELECTORS: &str = selector_policies!("");
const SELECTOR_PAGE: &str = concat!(selector_policies!(" AND policy_id > $1"), " LIMIT $2");

/// All policies that are not for one dataset, in force, in the order in which they are asked.
///
/// # Errors
/// Whatever the database answers.
pub async fn selectors(tx: &TenantTx) -> Result<Selectors> {
    let stored: Vec<Record> = tx.query_sql(SELECTORS, []).await?;
    let policies = stored.into_iter().map(|record| {
        let selector = Selector::parse(record.selector_domain, record.selector_tags);
        let key = PolicyKey { policy_id: record.policy_id, version: record.version };
        Ok((selector.map_err(Error::internal)?, key))
    });
    Ok(Selectors::new(policies.collect::<Result<_>>()?))
}

/// A page of the policies that are not for one dataset, in force, in the order of their ids.
///
/// # Errors
/// Whatever the database answers.
pub async fn selector_page(tx: &TenantTx, after: Option<Uuid>, limit: u32) -> Result<Vec<Record>> {
    let after = after.unwrap_or_default();
    Ok(tx.query_sql(SELECTOR_PAGE, [after.into(), i64::from(limit).into()]).await?)
}

const AT: &str = "
SELECT p.* FROM unnest($1::uuid[], $2::int4[]) AS wanted (policy_id, version)
  JOIN freshness_policy p USING (policy_id, version)";

/// These versions of policies.
///
/// # Errors
/// Whatever the database answers.
pub async fn at(tx: &TenantTx, keys: &[PolicyKey]) -> Result<Vec<Record>> {
    let ids: Vec<_> = keys.iter().map(|key| key.policy_id).collect();
    let versions: Vec<_> = keys.iter().map(|key| key.version).collect();
    Ok(tx.query_sql(AT, [ids.into(), versions.into()]).await?)
}

const VERSIONS: &str = "
SELECT policy.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  SELECT * FROM freshness_policy WHERE policy_id = wanted.dataset_id AND version < $2
   ORDER BY version DESC LIMIT $3) AS policy";

/// The latest `limit` versions before `before` of each of these datasets' own policies.
///
/// # Errors
/// Whatever the database answers.
pub async fn versions(
    tx: &TenantTx,
    datasets: &[Uuid],
    before: i64,
    limit: u32,
) -> Result<Vec<Record>> {
    let values = [datasets.to_vec().into(), before.into(), i64::from(limit).into()];
    Ok(tx.query_sql(VERSIONS, values).await?)
}

/// How many active datasets are in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Counts {
    /// Within every limit.
    pub fresh: i64,
    /// Beyond the first limit.
    pub warn: i64,
    /// Beyond the last limit.
    pub stale: i64,
    /// With a policy, and never succeeded.
    pub unknown: i64,
    /// Without a policy.
    pub not_applicable: i64,
}

// What was announced is counted already ([`crate::change`]). It is put right for the datasets of which
// something else may be so at this instant: those with a change that is not announced yet, and those
// whose announced status ends before it, or begins after it. So the work does not grow with the number of
// datasets, and the counts are exact whether or not anything was announced.
const COUNT: &str = "
WITH doubtful AS (
  SELECT id AS dataset_id FROM change_mark, unnest(datasets) AS id
  UNION
  SELECT dataset_id FROM freshness_announced WHERE holds_until < $1
  UNION
  SELECT dataset_id FROM freshness_announced
   WHERE CASE status WHEN 'WARN' THEN warn_at WHEN 'STALE' THEN stale_at END >= $1
), corrected AS (
  SELECT status, sum(number) AS number FROM (
    SELECT announced.status, -1 AS number FROM doubtful, LATERAL (
      SELECT listed, status FROM freshness_announced known
       WHERE known.dataset_id = doubtful.dataset_id LIMIT 1) AS announced
     WHERE announced.listed
    UNION ALL
    SELECT CASE WHEN state.freshness_basis <> 'TIMED' THEN state.freshness_basis
                WHEN state.stale_at < $1 THEN 'STALE'
                WHEN state.warn_at < $1 THEN 'WARN' ELSE 'FRESH' END, 1
      FROM doubtful, LATERAL (
        SELECT listed, freshness_basis, warn_at, stale_at FROM dataset_refresh_state of
         WHERE of.dataset_id = doubtful.dataset_id LIMIT 1) AS state
     WHERE state.listed
  ) AS moved GROUP BY status
)
SELECT (coalesce(max(head.fresh), 0) + coalesce(sum(number) FILTER (WHERE status = 'FRESH'), 0))::bigint AS fresh,
       (coalesce(max(head.warn), 0) + coalesce(sum(number) FILTER (WHERE status = 'WARN'), 0))::bigint AS warn,
       (coalesce(max(head.stale), 0) + coalesce(sum(number) FILTER (WHERE status = 'STALE'), 0))::bigint AS stale,
       (coalesce(max(head.unknown), 0) + coalesce(sum(number) FILTER (WHERE status = 'UNKNOWN'), 0))::bigint AS unknown,
       (coalesce(max(head.not_applicable), 0)
        + coalesce(sum(number) FILTER (WHERE status = 'NOT_APPLICABLE'), 0))::bigint AS not_applicable
  FROM (SELECT) AS one LEFT JOIN change_head AS head ON true LEFT JOIN corrected ON true";

/// The number of active datasets in each status at `now`.
///
/// # Errors
/// Whatever the database answers.
pub async fn count(tx: &TenantTx, now: DateTime<Utc>) -> Result<Counts> {
    let mut rows: Vec<Counts> = tx.query_sql(COUNT, [now.into()]).await?;
    rows.pop().ok_or_else(|| Error::internal("counting gave no row"))
}

#[derive(Debug, FromRow)]
struct Change {
    warn_at: Option<DateTime<Utc>>,
    stale_at: Option<DateTime<Utc>>,
}

const NEXT_CHANGE: &str = "
SELECT (SELECT warn_at FROM dataset_refresh_state
         WHERE listed AND freshness_basis = 'TIMED' AND warn_at >= $1
         ORDER BY warn_at LIMIT 1) AS warn_at,
       (SELECT stale_at FROM dataset_refresh_state
         WHERE listed AND freshness_basis = 'TIMED' AND stale_at >= $1
         ORDER BY stale_at LIMIT 1) AS stale_at";

/// The first instant after `now` at which any active dataset is in another status, if nothing is
/// written until then.
///
/// # Errors
/// Whatever the database answers.
pub async fn next_change(tx: &TenantTx, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let change = tx.query_sql::<Change>(NEXT_CHANGE, [now.into()]).await?.pop();
    let instants = change.into_iter().flat_map(|change| [change.warn_at, change.stale_at]);
    // A limit is still kept at exactly its instant.
    Ok(instants.flatten().min().map(|kept_at| kept_at + TimeDelta::microseconds(1)))
}
