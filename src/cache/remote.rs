//! The tier that instances share: Redis.
//!
//! It holds the stamp of each tenant, which every look at kept answers asks for, and answers under it.
//! Whoever writes removes the stamp after the commit and before the caller is answered; whoever finds none
//! makes another one, which never was. So no answer that was made before a write is found after it by any
//! instance, whatever was lost: a stamp that Redis forgot, or gave away for want of memory, never comes
//! back. (A replica that takes over without the last removals can bring an old one back, for as long as
//! answers live.)
//!
//! Redis may be slow or gone: it is given [`PATIENCE`], and after some failures it is left alone for a
//! while ([`Breaker`]). Meanwhile instances know of each other's writes by the [news](super::news) alone.
//! Whoever could not remove a stamp says so there, and whoever hears it removes it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection,
};
use tokio::time::timeout;

use self::breaker::Breaker;
use crate::{auth::TenantId, clock::SharedClock};

mod breaker;

/// How long an answer of Redis is waited for.
const PATIENCE: Duration = Duration::from_millis(40);
/// How long a connection may take; nobody waits for it.
const CONNECT: Duration = Duration::from_millis(500);
/// How long a stamp stays that nobody writes over, in seconds.
const STAMP_STAYS: u64 = 86_400;

/// An address that is none of Redis.
#[derive(Debug, thiserror::Error)]
#[error("it is no address of Redis: {0}")]
pub struct BadAddress(RedisError);

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Makes stamps.
    clock: SharedClock,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: AtomicBool,
    breaker: Breaker,
}

/// Redis cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

/// What a tenant's stamp is in Redis.
pub(super) type Mark = [u8; 16];

fn stamp_key(tenant: &TenantId) -> String {
    format!("drr:{{{tenant}}}:stamp")
}

fn answer_key(tenant: &TenantId, mark: Mark, key: &[u8; 32]) -> String {
    format!("drr:{{{tenant}}}:answer:{}:{}", hex::encode(mark), hex::encode(key))
}

impl Remote {
    /// The Redis at this address (`redis://`, `rediss://`). It is connected to when it is first asked.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(address: &str, clock: SharedClock) -> Result<Self, BadAddress> {
        let client = Client::open(address).map_err(BadAddress)?;
        let (connection, connecting) = Default::default();
        let breaker = Breaker::default();
        Ok(Self(Arc::new(Inner { client, clock, connection, connecting, breaker })))
    }

    /// The tenant's stamp; a new one if there is none.
    pub(super) async fn stamp(&self, tenant: &TenantId) -> Result<Mark, Away> {
        let key = stamp_key(tenant);
        let mut get = redis::pipe();
        get.get(&key);
        let (there,): (Option<Vec<u8>>,) = self.ask("stamp", &get).await?;
        if let Some(mark) = there.and_then(|there| there.try_into().ok()) {
            return Ok(mark);
        }
        // The first one who sets it does, and all get that one.
        let mut set = redis::pipe();
        let new = self.0.clock.new_id().into_bytes();
        set.cmd("SET").arg(&key).arg(&new[..]).arg("NX").arg("EX").arg(STAMP_STAYS).ignore();
        set.get(&key);
        let (there,): (Option<Vec<u8>>,) = self.ask("stamp", &set).await?;
        there.and_then(|there| there.try_into().ok()).ok_or(Away)
    }

    /// Removes the tenant's stamp.
    pub(super) async fn written(&self, tenant: &TenantId) -> Result<(), Away> {
        let mut remove = redis::pipe();
        remove.del(stamp_key(tenant)).ignore();
        self.ask("invalidate", &remove).await
    }

    /// An answer.
    pub(super) async fn get(
        &self,
        tenant: &TenantId,
        mark: Mark,
        key: &[u8; 32],
    ) -> Option<Vec<u8>> {
        let mut get = redis::pipe();
        get.get(answer_key(tenant, mark, key));
        let (there,): (Option<Vec<u8>>,) = self.ask("get", &get).await.ok()?;
        there
    }

    /// Puts an answer there for so many milliseconds; nobody waits for it.
    pub(super) fn put(
        &self,
        tenant: &TenantId,
        mark: Mark,
        key: &[u8; 32],
        answer: Vec<u8>,
        stays: u64,
    ) {
        let mut set = redis::pipe();
        set.cmd("SET").arg(answer_key(tenant, mark, key)).arg(answer).arg("PX").arg(stays).ignore();
        let own = self.clone();
        tokio::spawn(async move {
            // What was not kept is made again.
            let _: Result<(), Away> = own.ask("put", &set).await;
        });
    }

    async fn ask<T: FromRedisValue>(
        &self,
        what: &'static str,
        asked: &Pipeline,
    ) -> Result<T, Away> {
        if !self.0.breaker.lets_pass() {
            count(what, "left_alone");
            return Err(Away);
        }
        let Some(mut connection) = self.connection() else {
            count(what, "not_connected");
            return Err(Away);
        };
        match timeout(PATIENCE, asked.query_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.0.breaker.succeeded();
                count(what, "answered");
                return Ok(answer);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, what, "Redis refuses");
                count(what, "refused");
                // It answers: only the connection can be broken.
                if error.is_unrecoverable_error() {
                    self.disconnect();
                    self.0.breaker.failed();
                }
            }
            Err(_) => {
                count(what, "slow");
                self.0.breaker.failed();
            }
        }
        Err(Away)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disconnect(&self) {
        *self.held() = None;
    }

    /// The connection; if there is none, one is made that somebody else will have.
    fn connection(&self) -> Option<MultiplexedConnection> {
        if let Some(connection) = self.held().clone() {
            return Some(connection);
        }
        if self.0.connecting.swap(true, Ordering::AcqRel) {
            return None;
        }
        let own = self.clone();
        tokio::spawn(async move {
            own.connect().await;
            own.0.connecting.store(false, Ordering::Release);
        });
        None
    }

    /// Connects.
    pub async fn connect(&self) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(PATIENCE));
        let connecting = self.0.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT, connecting).await {
            Ok(Ok(connection)) => *self.held() = Some(connection),
            Ok(Err(error)) => {
                tracing::warn!(%error, "Redis cannot be reached");
                self.0.breaker.failed();
            }
            Err(_) => {
                tracing::warn!("Redis cannot be reached in time");
                self.0.breaker.failed();
            }
        }
    }
}

fn count(what: &'static str, outcome: &'static str) {
    metrics::counter!("drr_cache_redis_total", "asked" => what, "outcome" => outcome).increment(1);
}
