//! Batching of reads within one request, on the `dataloader` crate.
//!
//! Everything that one answer needs of a kind is read in one statement, whatever the number of
//! datasets. A loader belongs to one request, and so to one tenant: a shared one would batch keys
//! of several tenants into one transaction.

use std::{collections::HashMap, fmt::Debug, hash::Hash, marker::PhantomData};

use dataloader::{BatchFn, cached::Loader};

use crate::{
    call::Call,
    db::TenantTx,
    error::{Error, Result},
};

/// How one kind of thing is read by its keys.
pub trait BatchRead: Send + Sync + 'static {
    /// What it is asked for by.
    type Key: Eq + Hash + Clone + Debug + Send + Sync + 'static;
    /// What there is for a key.
    type Value: Clone + Send + Sync + 'static;

    /// Reads what there is for `keys`, in one statement. A key may be missing from the answer.
    fn read(
        tx: &TenantTx,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>>> + Send;
}

type Loaded<V> = Result<Option<V>>;

/// The loader of one kind, for one request.
pub struct Batched<R: BatchRead>(Loader<R::Key, Loaded<R::Value>, Reader<R>>);

impl<R: BatchRead> Debug for Batched<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(std::any::type_name::<Self>())
    }
}

impl<R: BatchRead> Batched<R> {
    /// A loader for the request that `call` is.
    #[must_use]
    pub fn new(call: &Call) -> Self {
        let reader = Reader { call: call.clone(), kind: PhantomData };
        Self(Loader::new(reader).with_max_batch_size(1_000).with_yield_count(2))
    }

    /// What there is for `key`.
    ///
    /// # Errors
    /// What the read of its batch answered.
    pub async fn load(&self, key: R::Key) -> Result<Option<R::Value>> {
        self.0.try_load(key).await.map_err(Error::internal)?
    }
}

struct Reader<R> {
    call: Call,
    kind: PhantomData<fn() -> R>,
}

impl<R: BatchRead> BatchFn<R::Key, Loaded<R::Value>> for Reader<R> {
    /// Runs in a task of its own: the caller that happens to drive a batch may be dropped, and the
    /// others of the batch still get their answers. Every key is in the answer.
    async fn load(&mut self, keys: &[R::Key]) -> HashMap<R::Key, Loaded<R::Value>> {
        let (db, wanted) = (self.call.db().clone(), keys.to_vec());
        let read = tokio::spawn(async move {
            let tx = db.read().await?;
            R::read(&tx, &wanted).await
        });
        let result = read.await.unwrap_or_else(|lost| Err(Error::internal(lost)));

        match result {
            Ok(mut found) => keys.iter().map(|key| (key.clone(), Ok(found.remove(key)))).collect(),
            Err(error) => keys.iter().map(|key| (key.clone(), Err(error.clone()))).collect(),
        }
    }
}
