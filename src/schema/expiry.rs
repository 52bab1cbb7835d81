//! Ends requests that nobody decided about in time, so that what they are for is free again.
//!
//! A request is a transaction, so that a pass that is cut off anywhere has ended some and left the others; two
//! passes at once end none twice.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::governance;
use crate::{
    audit::{Deed, OwnEntry, OwnTask, append_own},
    clock::SharedClock,
    db::{
        Db, FromRow, TenantDb,
        operator::{self, Due},
    },
    error::Result,
};

/// Requests that are looked for at once.
const CHUNK: u32 = 200;

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Expirer {
    db: Db,
    clock: SharedClock,
}

#[derive(FromRow)]
struct Over {
    transition_id: Uuid,
}

const OVER: &str = "
SELECT transition_id FROM schema_transition WHERE status = 'OPEN' AND expires_at <= $1
 ORDER BY expires_at, transition_id LIMIT $2";

impl Expirer {
    /// One by this clock.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Ends all whose time is over; answers how many. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<u64> {
        let now = self.clock.now();
        let mut ended = 0;
        for tenant in operator::tenants_with(&self.db, Due::SchemaTransitions, now).await? {
            let db = self.db.of_due(&tenant);
            loop {
                match self.chunk(&db, now).await {
                    Ok(0) => break,
                    Ok(more) => ended += more,
                    Err(error) => {
                        tracing::error!(tenant = %tenant.tenant(), ?error, "requests not ended");
                        break;
                    }
                }
            }
        }
        metrics::counter!("drr_schema_transitions_expired_total").increment(ended);
        Ok(ended)
    }

    async fn chunk(&self, db: &TenantDb, now: DateTime<Utc>) -> Result<u64> {
        let tx = db.read().await?;
        let over: Vec<Over> = tx.query_sql(OVER, [now.into(), i64::from(CHUNK).into()]).await?;
        drop(tx);
        let mut ended = 0;
        for Over { transition_id } in over {
            match self.end(db, transition_id, now).await {
                Ok(done) => ended += u64::from(done),
                // The others are not to wait for it.
                Err(error) => tracing::error!(%transition_id, ?error, "a request is not ended"),
            }
        }
        Ok(ended)
    }

    async fn end(&self, db: &TenantDb, transition_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
        let task = OwnTask::expiry(self.clock.as_ref(), now);
        let tx = db.write().await?;
        let Some(resource) = governance::expire(&tx, &task, transition_id).await? else {
            return Ok(false);
        };
        let entry =
            OwnEntry { deed: Deed::TransitionExpire, dataset_id: None, resource: Some(resource) };
        append_own(&tx, &task, &[entry]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
