//! What operators do with what is kept: look at it, and have it forgotten.

use redis::{Client, FromRedisValue, RedisError, aio::MultiplexedConnection};
use serde::Serialize;
use uuid::Uuid;

use super::news;
use crate::{auth::TenantId, db::Db, error::Error};

/// Keys that Redis is asked for at once.
const PAGE: usize = 1_000;

/// Redis does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("Redis: {0}")]
pub struct RedisFailed(#[from] RedisError);

/// What Redis holds, and how it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Answers of this service.
    pub answers: u64,
    /// Tenants whose answers can be found.
    pub tenants: u64,
    /// Bytes that all takes that is there, of others too.
    pub memory_bytes: u64,
    /// Keys of anybody that made room for others, since it was started.
    pub evicted: u64,
}

/// The Redis that instances share answers by.
#[derive(Debug)]
pub struct Shared(MultiplexedConnection);

impl Shared {
    /// Connects.
    ///
    /// # Errors
    /// [`RedisFailed`].
    pub async fn connect(address: &str) -> Result<Self, RedisFailed> {
        Ok(Self(Client::open(address)?.get_multiplexed_async_connection().await?))
    }

    /// What it holds, of one tenant or of all.
    ///
    /// # Errors
    /// [`RedisFailed`].
    pub async fn held(&mut self, tenant: Option<&TenantId>) -> Result<Held, RedisFailed> {
        let mut held = Held { answers: 0, tenants: 0, memory_bytes: 0, evicted: 0 };
        let mut cursor = 0;
        loop {
            let (next, keys) = self.page(tenant, cursor).await?;
            for key in keys {
                let is_stamp = key.ends_with(b":stamp");
                *(if is_stamp { &mut held.tenants } else { &mut held.answers }) += 1;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        held.memory_bytes = self.info("memory", "used_memory").await?;
        held.evicted = self.info("stats", "evicted_keys").await?;
        Ok(held)
    }

    /// Forgets what it holds of one tenant, or of all; answers how many keys that were. The stamps are
    /// among them: what is put there meanwhile is under one that nobody has any more.
    ///
    /// # Errors
    /// [`RedisFailed`].
    pub async fn purge(&mut self, tenant: Option<&TenantId>) -> Result<u64, RedisFailed> {
        let (mut purged, mut cursor) = (0, 0);
        loop {
            let (next, keys) = self.page(tenant, cursor).await?;
            if !keys.is_empty() {
                purged += self.ask::<u64>(redis::cmd("UNLINK").arg(keys)).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(purged);
            }
        }
    }

    async fn page(
        &mut self,
        tenant: Option<&TenantId>,
        cursor: u64,
    ) -> Result<(u64, Vec<Vec<u8>>), RedisFailed> {
        // A tenant's code has nothing in it that a pattern takes for something else.
        let whose = tenant.map_or("*", TenantId::as_str);
        let pattern = format!("drr:{{{whose}}}:*");
        let mut scan = redis::cmd("SCAN");
        self.ask(scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(PAGE)).await
    }

    /// A number of what it says of itself.
    async fn info(&mut self, section: &str, name: &str) -> Result<u64, RedisFailed> {
        let text: String = self.ask(redis::cmd("INFO").arg(section)).await?;
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let value = lines.find(|(of, _)| *of == name).and_then(|(_, value)| value.parse().ok());
        Ok(value.unwrap_or_default())
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, RedisFailed> {
        Ok(command.query_async(&mut self.0).await?)
    }
}

/// Tells all instances to forget what they keep of one tenant, or of all.
///
/// # Errors
/// Whatever the database answers.
pub async fn tell_to_forget(db: &Db, from: Uuid, tenant: Option<&TenantId>) -> Result<(), Error> {
    db.notify(news::CHANNEL, &[news::forget(from, tenant)]).await
}
