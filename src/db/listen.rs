//! Notifications: what this instance hears of others, and of its own commits.

use std::{
    collections::HashSet,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;

use super::{operator::DueTenant, pool::Db};
use crate::{auth::TenantId, error::Error};

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// What was said.
    Note(String),
    /// The connection was lost and is there again: something may have been said meanwhile.
    Gap,
}

/// A connection of its own that listens to one channel. No tenant is set on it, and no role: it can
/// read nothing.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// What is heard next.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection is lost and cannot be had again.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        Ok(match self.0.try_recv().await.map_err(Error::unavailable)? {
            Some(note) => Heard::Note(note.payload().to_owned()),
            None => Heard::Gap,
        })
    }
}

impl Db {
    /// Listens to the channel of this environment that ends so.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had.
    pub async fn listen(&self, channel: &str) -> Result<Listener, Error> {
        // Not one of the pool: those are lent and given back.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.settings().acquire_timeout)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.connect_options().clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(Error::unavailable)?;
        let channel = format!("{}{channel}", self.settings().schema);
        listener.listen(&channel).await.map_err(Error::unavailable)?;
        Ok(Listener(listener))
    }

    /// Says `notes` on the channel of this environment that ends so.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn notify(&self, channel: &str, notes: &[String]) -> Result<(), Error> {
        let channel = format!("{}{channel}", self.settings().schema);
        let mut connection = self.connection().await?;
        let sql = "SELECT pg_notify($1, note) FROM unnest($2::text[]) AS note";
        let query = sqlx::query(sql).bind(channel).bind(notes);
        query.execute(&mut *connection).await.map(|_| ()).map_err(Error::unavailable)
    }

    /// Waits until callers have written to tenants' rows; answers which tenants these are. For one
    /// task: what it is told, nobody else is.
    pub async fn committed(&self) -> Vec<DueTenant> {
        self.commits().next().await
    }

    /// Waits until audit events of callers have been appended; answers of which tenants. For one task
    /// too.
    pub async fn appended(&self) -> Vec<DueTenant> {
        self.appends().next().await
    }
}

/// Who is told of every write to a tenant's rows, before whoever wrote is answered.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Something was written, or may have been.
    fn written<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, ()>;

    /// The same for those who cannot wait: the caller has gone.
    fn perhaps_written(&self, tenant: &TenantId);
}

/// A commit on its way: whatever becomes of it, the observer is told.
pub(super) struct Writing<'t> {
    observer: Option<&'t Arc<dyn Observer>>,
    tenant: &'t TenantId,
}

impl<'t> Writing<'t> {
    pub(super) const fn new(observer: Option<&'t Arc<dyn Observer>>, tenant: &'t TenantId) -> Self {
        Self { observer, tenant }
    }

    /// The commit has its answer.
    pub(super) async fn ends(self) {
        if let Some(observer) = self.observer {
            observer.written(self.tenant).await;
        }
        mem::forget(self);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(observer) = self.observer {
            observer.perhaps_written(self.tenant);
        }
    }
}

/// The tenants to whose rows callers have written since somebody last asked.
#[derive(Debug, Default)]
pub(super) struct Commits {
    tenants: Mutex<HashSet<TenantId>>,
    added: Notify,
}

impl Commits {
    fn tenants(&self) -> std::sync::MutexGuard<'_, HashSet<TenantId>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Vec<DueTenant> {
        loop {
            let tenants = mem::take(&mut *self.tenants());
            if !tenants.is_empty() {
                return tenants.into_iter().map(DueTenant::of_commit).collect();
            }
            self.added.notified().await;
        }
    }

    /// A caller's transaction has committed.
    pub(super) fn add(self: &Arc<Self>, tenant: &TenantId) {
        self.tenants().insert(tenant.clone());
        self.added.notify_one();
    }
}
