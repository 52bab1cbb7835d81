//! Delivers events to the webhook: each at least once, those of one dataset in their order.
//!
//! One transaction settles what was sent before and claims what is sent next; nothing is sent within
//! one. The id of a message is the event's, so that a receiver knows one that comes again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{FutureExt, StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    model::{DELIVERED_WITHIN, retry_after},
    outbox::{self, Claimed, Settled},
    store,
};
use crate::{
    audit::{self, Deed, OwnEntry, OwnTask},
    clock::SharedClock,
    db::{
        Db, TenantDb,
        operator::{self, Due, DueTenant},
    },
    error::{Error, Result},
    lease,
    webhook::Webhook,
};

/// Requests to the receiver at once.
const REQUESTS_AT_ONCE: usize = 16;
const JSON: &str = "application/json";

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Events that the receiver took.
    pub delivered: u64,
    /// Events that it did not take; they are tried again.
    pub failed: u64,
    /// Events that are given up.
    pub dead: u64,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Deliverer {
    db: Db,
    clock: SharedClock,
    webhook: Webhook,
}

/// A message's body.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    timestamp: DateTime<Utc>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    tenant: &'a str,
    sequence: i64,
    #[serde(flatten)]
    payload: &'a Value,
}

impl Deliverer {
    /// A deliverer to this receiver.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock, webhook: Webhook) -> Self {
        Self { db, clock, webhook }
    }

    /// A pass every `every`, until `stop`.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let pass = || {
            let own = self.clone();
            async move { own.pass().await }.boxed()
        };
        lease::repeat(every, stop, "no events delivered", pass).await;
    }

    /// Delivers all that may be delivered now. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<Delivered> {
        let mut sum = Delivered::default();
        let mut oldest = None;
        for tenant in operator::tenants_with(&self.db, Due::Deliveries, self.clock.now()).await? {
            match self.deliver(&tenant, &mut sum).await {
                Ok(failed) => oldest = failed.into_iter().chain(oldest).min(),
                Err(error) => {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "events not delivered");
                }
            }
        }
        if sum != Delivered::default() {
            let age = oldest.map(|at: DateTime<Utc>| self.clock.now() - at).unwrap_or_default();
            let age = age.to_std().unwrap_or_default().as_secs_f64();
            metrics::gauge!("drr_breach_oldest_undelivered_seconds").set(age);
        }
        Ok(sum)
    }

    /// Sends what a tenant has, until nothing is left to be sent now. Answers since when the oldest
    /// of what failed waits.
    async fn deliver(
        &self,
        tenant: &DueTenant,
        sum: &mut Delivered,
    ) -> Result<Option<DateTime<Utc>>> {
        let db = self.db.of_due(tenant);
        let mut settled = Vec::new();
        let mut oldest = None;
        loop {
            let (claimed, expired) = self.settle_and_claim(&db, &settled).await?;
            count(sum, &settled, expired);
            if claimed.is_empty() {
                return Ok(oldest);
            }
            let sending: Vec<_> =
                claimed.iter().map(|event| self.send(tenant, event).boxed()).collect();
            settled = stream::iter(sending).buffer_unordered(REQUESTS_AT_ONCE).collect().await;
            let failed = settled.iter().filter(|event: &&Settled| event.delivery != "DELIVERED");
            let failed: Vec<_> = failed.map(|event| event.sequence).collect();
            let waiting = claimed.iter().filter(|event| failed.contains(&event.sequence));
            oldest = waiting.map(|event| event.deliverable_at).chain(oldest).min();
        }
    }

    async fn settle_and_claim(
        &self,
        db: &TenantDb,
        settled: &[Settled],
    ) -> Result<(Vec<Claimed>, u64)> {
        let now = self.clock.now();
        let tx = db.write().await?;
        store::lock(&tx).await?;
        if !settled.is_empty() {
            outbox::settle(&tx, settled, now).await?;
        }
        let expired = outbox::expire(&tx, now).await?;
        let claimed = outbox::claim(&tx, now).await?;
        if !settled.is_empty() || !claimed.is_empty() || expired > 0 {
            let task = OwnTask::deliverer(self.clock.as_ref(), now);
            let delivered = settled.iter().filter(|event| event.delivery == "DELIVERED").count();
            let (tried, next) = (settled.len(), claimed.len());
            let told = format!(
                "events: {delivered} of {tried} delivered, {expired} expired, {next} claimed"
            );
            let deed = Deed::EventsDeliver;
            let entry = OwnEntry { deed, dataset_id: None, resource: Some(told) };
            audit::append_own(&tx, &task, &[entry]).await?;
            tx.commit().await?;
        }
        Ok((claimed, expired))
    }

    async fn send(&self, tenant: &DueTenant, event: &Claimed) -> Settled {
        let settle = |delivery, next_attempt_at| Settled {
            sequence: event.sequence,
            dataset_id: event.dataset_id,
            delivery,
            next_attempt_at,
        };
        let message = Message {
            r#type: &event.event_type,
            timestamp: event.occurred_at,
            data: Data {
                tenant: tenant.tenant().as_str(),
                sequence: event.sequence,
                payload: &event.payload,
            },
        };
        let sent = match serde_json::to_vec(&message) {
            Ok(body) => {
                let id = event.event_id.to_string();
                let sent = self.webhook.send(&id, self.clock.now(), JSON, body).await;
                sent.map_err(Error::unavailable)
            }
            Err(error) => Err(Error::internal(error)),
        };
        let now = self.clock.now();
        match sent {
            Ok(()) => settle("DELIVERED", now),
            Err(error) => {
                tracing::warn!(
                    event = %event.event_id, attempts = event.attempts, ?error, "not delivered"
                );
                let dead = now - event.deliverable_at >= DELIVERED_WITHIN;
                let again = now + retry_after(event.attempts, self.clock.chance());
                settle(if dead { "DEAD" } else { "PENDING" }, again)
            }
        }
    }
}

fn count(sum: &mut Delivered, settled: &[Settled], expired: u64) {
    let of = |delivery: &str| settled.iter().filter(|event| event.delivery == delivery).count();
    let (delivered, failed) = (of("DELIVERED") as u64, of("PENDING") as u64);
    let dead = of("DEAD") as u64 + expired;
    *sum = Delivered {
        delivered: sum.delivered + delivered,
        failed: sum.failed + failed,
        dead: sum.dead + dead,
    };
    for (result, count) in [("delivered", delivered), ("failed", failed), ("dead", dead)] {
        metrics::counter!("drr_breach_deliveries_total", "result" => result).increment(count);
    }
}
