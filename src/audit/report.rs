//! What happened in a day, tenant by tenant: the correlation report. // D46

use std::fmt;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use sea_orm::Value;
use serde::Serialize;

use crate::{
    auth::TenantId,
    db::{FromRow, TenantTx},
    error::Result,
};

/// Days before the one that is told of, whose mean is the usual.
const USUAL_DAYS: u64 = 7;
/// How many times the usual is unusual.
const UNUSUAL_TIMES: f64 = 3.0;
/// By how many calls it must differ besides.
const UNUSUAL_CALLS: f64 = 20.0;

/// A day of one tenant.
#[derive(Debug, Serialize)]
pub struct Daily {
    /// Whose; `-` is what came without a valid token.
    pub tenant: String,
    /// The day, in UTC.
    pub date: NaiveDate,
    /// Calls, by what they asked for first and how they ended.
    pub calls: Vec<Calls>,
    /// Events that were denied or rejected, by why and whose; the most frequent 100.
    pub refusals: Vec<Refusals>,
    /// Calls whose token was refused, or that had none.
    pub tokens_refused: i64,
    /// Actions that were asked for far more or far less often than usual.
    pub unusual: Vec<Unusual>,
    /// What was denied, and then done under the same correlation id within a day; the first 100.
    pub denied_then_allowed: Vec<DeniedThenAllowed>,
    /// Successes about a dataset that the tenant does not have: rows of another tenant were reached.
    pub isolation_breaches: i64,
}

#[derive(Debug, Serialize, FromRow)]
#[expect(missing_docs, reason = "the columns of a count")]
pub struct Calls {
    pub action: String,
    pub result: String,
    pub calls: i64,
}

#[derive(Debug, Serialize, FromRow)]
#[expect(missing_docs, reason = "the columns of a count")]
pub struct Refusals {
    pub error_code: String,
    pub actor_id: String,
    pub calls: i64,
}

/// An action that was asked for far more or far less often than usual.
#[derive(Debug, Serialize, FromRow)]
pub struct Unusual {
    /// Which.
    pub action: String,
    /// How often on this day.
    pub calls: i64,
    /// The mean of the seven days before.
    pub usual: f64,
}

/// A denial, and a success under the same correlation id after it.
#[derive(Debug, Serialize, FromRow)]
pub struct DeniedThenAllowed {
    /// The correlation id.
    pub correlation_id: String,
    /// What was asked for.
    pub action: String,
    /// Who was denied it.
    pub denied_actor: String,
    /// Who then did it.
    pub allowed_actor: String,
    /// When it was denied.
    pub denied_at: DateTime<Utc>,
    /// When it was done.
    pub allowed_at: DateTime<Utc>,
}

// The event of a call itself has the call's id: what else a call did is not counted again.
const CALLS: &str = "
SELECT action, result, sum(calls)::bigint AS calls FROM audit_event
 WHERE occurred_at >= $1 AND occurred_at < $2 AND event_id = call_id
 GROUP BY action, result ORDER BY action, result";

const REFUSALS: &str = "
SELECT coalesce(error_code, '-') AS error_code, actor_id, sum(calls)::bigint AS calls
  FROM audit_event
 WHERE occurred_at >= $1 AND occurred_at < $2 AND result IN ('DENIED', 'REJECTED')
   AND result <> 'SUCCESS'
 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100";

const TOKENS: &str = "
SELECT coalesce(sum(calls), 0)::bigint AS count FROM audit_event
 WHERE occurred_at >= $1 AND occurred_at < $2 AND result = 'DENIED'
   AND error_code = 'UNAUTHENTICATED'";

const UNUSUAL: &str = "
SELECT action, calls, usual FROM (
  SELECT action, coalesce(sum(calls) FILTER (WHERE occurred_at >= $1), 0)::bigint AS calls,
         coalesce(sum(calls) FILTER (WHERE occurred_at < $1), 0)::float8 / $4 AS usual
    FROM audit_event
   WHERE occurred_at >= $3 AND occurred_at < $2 AND event_id = call_id
   GROUP BY action) AS counted
 WHERE abs(calls - usual) >= $6 AND (calls > $5 * usual OR usual > $5 * calls)
 ORDER BY abs(calls - usual) DESC, action";

const DENIED_THEN_ALLOWED: &str = "
SELECT denied.correlation_id, denied.action, denied.actor_id AS denied_actor,
       allowed.actor_id AS allowed_actor, denied.occurred_at AS denied_at,
       allowed.occurred_at AS allowed_at
  FROM audit_event denied, LATERAL (
    SELECT actor_id, occurred_at FROM audit_event
     WHERE correlation_id = denied.correlation_id AND action = denied.action
       AND result = 'SUCCESS' AND occurred_at > denied.occurred_at
       AND occurred_at < denied.occurred_at + interval '1 day'
     ORDER BY occurred_at, event_id LIMIT 1) AS allowed
 WHERE denied.occurred_at >= $1 AND denied.occurred_at < $2 AND denied.result = 'DENIED'
 ORDER BY denied.occurred_at, denied.event_id LIMIT 100";

// No dataset is ever deleted.
const ISOLATION: &str = "
SELECT count(*) AS count FROM audit_event e
 WHERE occurred_at >= $1 AND occurred_at < $2 AND result = 'SUCCESS' AND dataset_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM dataset_registry r WHERE r.dataset_id = e.dataset_id)";

#[derive(FromRow)]
struct Count {
    count: i64,
}

async fn count(tx: &TenantTx, sql: &'static str, span: [Value; 2]) -> Result<i64> {
    let rows: Vec<Count> = tx.query_sql(sql, span).await?;
    Ok(rows.first().map_or(0, |row| row.count))
}

/// Tells of a day.
///
/// # Errors
/// Whatever the database answers.
pub async fn daily(tx: &TenantTx, tenant: &TenantId, date: NaiveDate) -> Result<Daily> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let from = midnight(date);
    let until = midnight(date.checked_add_days(Days::new(1)).unwrap_or(date));
    let since = midnight(date.checked_sub_days(Days::new(USUAL_DAYS)).unwrap_or(date));
    let span = || [Value::from(from), Value::from(until)];
    let usual = [
        from.into(),
        until.into(),
        since.into(),
        (USUAL_DAYS as f64).into(),
        UNUSUAL_TIMES.into(),
        UNUSUAL_CALLS.into(),
    ];
    Ok(Daily {
        tenant: tenant.to_string(),
        date,
        calls: tx.query_sql(CALLS, span()).await?,
        refusals: tx.query_sql(REFUSALS, span()).await?,
        tokens_refused: count(tx, TOKENS, span()).await?,
        unusual: tx.query_sql(UNUSUAL, usual).await?,
        denied_then_allowed: tx.query_sql(DENIED_THEN_ALLOWED, span()).await?,
        isolation_breaches: count(tx, ISOLATION, span()).await?,
    })
}

/// For a person.
impl fmt::Display for Daily {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{} on {}", self.tenant, self.date)?;
        writeln!(to, "  breaches of isolation: {}", self.isolation_breaches)?;
        writeln!(to, "  tokens refused: {}", self.tokens_refused)?;
        for of in &self.calls {
            writeln!(to, "  {} {}: {} calls", of.action, of.result, of.calls)?;
        }
        for of in &self.refusals {
            writeln!(to, "  refused {} to {}: {}", of.error_code, of.actor_id, of.calls)?;
        }
        for of in &self.unusual {
            writeln!(to, "  unusual: {} {} times, usually {:.1}", of.action, of.calls, of.usual)?;
        }
        for of in &self.denied_then_allowed {
            writeln!(
                to,
                "  denied, then allowed: {} to {} at {}, to {} at {} ({})",
                of.action,
                of.denied_actor,
                of.denied_at.to_rfc3339(),
                of.allowed_actor,
                of.allowed_at.to_rfc3339(),
                of.correlation_id,
            )?;
        }
        Ok(())
    }
}
