//! What happened to schemas, to those who are to know: at least once each, in their order within a tenant.
//!
//! How it is streamed is [`streaming`](crate::streaming)'s; what leaves is a [`CloudEvent`]. A delivery is no event
//! itself, and none of the audit trail: each would be one more to deliver. // S7

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use entity::schema_event;
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use tokio::sync::Mutex;

use super::cloud_event::{CloudEvent, MEDIA_TYPE};
use crate::{
    auth::TenantId,
    clock::SharedClock,
    db::{
        Db, FromRow, TenantDb, TenantTx,
        operator::{self, DueTenant},
    },
    error::Result,
    streaming::{Handed, Outlet, SinkError, file},
    webhook::Webhook,
};

/// Events that are handed over at once.
const BATCH: u32 = 200;
/// How long Redis may take to be connected to, and to answer.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Debug)]
pub enum SchemaSink {
    /// A file, a line for each event.
    File(PathBuf),
    /// A webhook, a request for each event.
    Webhook(Box<Webhook>),
    /// Streams of Redis, one for each tenant.
    Redis(Box<RedisStreams>),
}

/// Their names.
pub const SINKS: [&str; 3] = ["file", "webhook", "redis"];

impl SchemaSink {
    /// Hands events over, in their order; answers how many were taken, and why not the rest.
    async fn take(
        &self,
        tenant: &TenantId,
        clock: &SharedClock,
        events: &[schema_event::Model],
    ) -> (usize, Option<SinkError>) {
        let at_once = if let Self::File(_) = self { BATCH as usize } else { 1 };
        let mut taken = 0;
        for part in events.chunks(at_once) {
            if let Err(error) = self.take_part(tenant, clock, part).await {
                return (taken, Some(error));
            }
            taken += part.len();
        }
        (taken, None)
    }

    /// Hands over what is taken as a whole or not at all.
    async fn take_part(
        &self,
        tenant: &TenantId,
        clock: &SharedClock,
        events: &[schema_event::Model],
    ) -> Result<(), SinkError> {
        match self {
            Self::File(path) => file::append(path.clone(), lines(tenant, events)?).await?,
            Self::Webhook(webhook) => {
                for event in events {
                    let (id, body) = (event.event_id.to_string(), of(tenant, event)?);
                    webhook.send(&id, clock.now(), MEDIA_TYPE, body).await?;
                }
            }
            Self::Redis(streams) => {
                for event in events {
                    streams.add(tenant, event.sequence, of(tenant, event)?).await?;
                }
            }
        }
        Ok(())
    }
}

fn of(tenant: &TenantId, event: &schema_event::Model) -> Result<Vec<u8>, serde_json::Error> {
    CloudEvent::of(tenant, event).json()
}

fn lines(tenant: &TenantId, events: &[schema_event::Model]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for event in events {
        lines.extend(of(tenant, event)?);
        lines.push(b'\n');
    }
    Ok(lines)
}

impl Outlet for SchemaSink {
    const FAILURE: &'static str = "events of schemas not delivered";
    const LAG: &'static str = "drr_schema_events_lag_seconds";
    // A receiver takes one event at a time.
    const TURN: u32 = 1;

    fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            Self::Redis(_) => "redis",
        }
    }

    async fn due(&self, db: &Db, now: DateTime<Utc>) -> Result<Vec<DueTenant>> {
        operator::tenants_with_schema_events(db, self.name(), now).await
    }

    async fn hand_over(
        &self,
        db: &TenantDb,
        tenant: &TenantId,
        clock: &SharedClock,
    ) -> Result<Handed> {
        let name = self.name();
        let tx = db.repeat().await?;
        let reached = reached(&tx, name).await?;
        let events = after(&tx, reached, BATCH).await?;
        drop(tx);
        let (taken, failed) = self.take(tenant, clock, &events).await;
        let last = taken.checked_sub(1).and_then(|last| events.get(last));
        if let Some(last) = last {
            let tx = db.repeat().await?;
            advance(&tx, name, (reached, last.sequence), clock.now()).await?;
            tx.commit().await?;
        }
        let events = taken as u64;
        count(name, "delivered", events);
        Ok(Handed { events, failed })
    }

    fn count_failure(&self) {
        count(self.name(), "failed", 1);
    }
}

fn count(sink: &'static str, result: &'static str, events: u64) {
    let labels = [("sink", sink), ("result", result)];
    metrics::counter!("drr_schema_events_total", &labels).increment(events);
}

#[derive(FromRow)]
struct Place {
    sequence: i64,
}

const CURSOR: &str = "SELECT sequence FROM schema_event_cursor WHERE sink = $1";

/// The number of the last event that a sink has; 0 if it has none.
///
/// # Errors
/// Whatever the database answers.
pub async fn reached(tx: &TenantTx, sink: &str) -> Result<i64> {
    let rows: Vec<Place> = tx.query_sql(CURSOR, [sink.into()]).await?;
    Ok(rows.first().map_or(0, |row| row.sequence))
}

// Numbers are given in the order of commit: what is not seen yet comes after what is.
const AFTER: &str = "SELECT * FROM schema_event WHERE sequence > $1 ORDER BY sequence LIMIT $2";

async fn after(tx: &TenantTx, place: i64, limit: u32) -> Result<Vec<schema_event::Model>> {
    Ok(tx.query_sql(AFTER, [place.into(), i64::from(limit).into()]).await?)
}

// Only from where it was read: it may have been set back meanwhile.
const ADVANCE: &str = "
INSERT INTO schema_event_cursor AS cursor (tenant_id, sink, sequence, delivered_at)
VALUES (current_tenant(), $1, $3, $4)
ON CONFLICT (tenant_id, sink) DO UPDATE
  SET sequence = excluded.sequence, delivered_at = excluded.delivered_at
WHERE cursor.sequence = $2";

async fn advance(
    tx: &TenantTx,
    sink: &str,
    (from, to): (i64, i64),
    now: DateTime<Utc>,
) -> Result<()> {
    tx.execute_sql(ADVANCE, [sink.into(), from.into(), to.into(), now.into()]).await?;
    Ok(())
}

/// Streams of Redis: `drr:schema-events:<tenant>`, in which the id of an event is its number.
#[derive(Debug)]
pub struct RedisStreams {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// About how many events a stream keeps; all of them unless it is said.
    entries: Option<u64>,
}

impl RedisStreams {
    /// Those of the Redis at this address. It is connected to when there is something for it.
    ///
    /// # Errors
    /// [`RedisError`] for what is no address.
    pub fn new(address: &str, entries: Option<u64>) -> Result<Self, RedisError> {
        let connection = Mutex::default();
        Ok(Self { client: Client::open(address)?, connection, entries })
    }

    async fn add(
        &self,
        tenant: &TenantId,
        sequence: i64,
        event: Vec<u8>,
    ) -> Result<(), RedisError> {
        let mut command = redis::cmd("XADD");
        command.arg(format!("drr:schema-events:{tenant}"));
        if let Some(entries) = self.entries {
            command.arg("MAXLEN").arg("~").arg(entries);
        }
        command.arg(format!("{sequence}-0")).arg("event").arg(event);
        let mut held = self.connection.lock().await;
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match command.exec_async(&mut connection).await {
            Ok(()) => {}
            Err(error) if has_it(&error) => {}
            Err(error) => {
                // A connection that failed is not used again.
                if !error.is_unrecoverable_error() && !error.is_timeout() {
                    *held = Some(connection);
                }
                return Err(error);
            }
        }
        *held = Some(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// Whether a stream refuses an event because it has it, or a later one: then it was sent before.
fn has_it(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("equal or smaller"))
}
