//! One transaction for all that an answer is read in.

use std::{ops::Deref, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::tenant::{TenantDb, TenantTx};
use crate::error::Error;

/// Lends one read-only transaction to whoever reads for an answer, one after the other. A BEGIN for each of
/// them would cost more than what most of them read.
///
/// Whoever has it must not ask for it again: a loader asks for it.
#[derive(Debug, Clone)]
pub struct Reading {
    db: TenantDb,
    /// There from the first read on, and until one fails or is cut off.
    open: Arc<Mutex<Option<Arc<TenantTx>>>>,
}

impl Reading {
    /// Of this database. It ends when the last of its clones is dropped.
    #[must_use]
    pub fn of(db: TenantDb) -> Self {
        Self { db, open: Arc::default() }
    }

    /// The transaction, once nobody else reads in it.
    ///
    /// # Errors
    /// As for [`TenantDb::read`].
    pub async fn tx(&self) -> Result<Lent, Error> {
        let mut home = self.open.clone().lock_owned().await;
        let tx = match &*home {
            Some(tx) => tx.clone(),
            None => home.insert(Arc::new(self.db.read().await?)).clone(),
        };
        Ok(Lent { tx, home: Some(home) })
    }
}

/// A transaction to read in, lent or one's own.
#[derive(Debug)]
pub struct Lent {
    tx: Arc<TenantTx>,
    home: Option<OwnedMutexGuard<Option<Arc<TenantTx>>>>,
}

impl From<TenantTx> for Lent {
    fn from(tx: TenantTx) -> Self {
        Self { tx: Arc::new(tx), home: None }
    }
}

impl Deref for Lent {
    type Target = TenantTx;

    fn deref(&self) -> &TenantTx {
        &self.tx
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = &mut self.home
            && !self.tx.is_settled()
        {
            **home = None;
        }
    }
}
