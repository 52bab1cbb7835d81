//! Batching of reads within one request, on the `dataloader` crate.
//!
//! Everything that one answer needs of a kind is read in one statement, whatever the number of
//! datasets. A loader belongs to one request, and so to one tenant: a shared one would batch keys
//! of several tenants into one transaction.
//!
//! The crate's own waiting does not keep to that: its waiters get their answers one after the other
//! through a lock, and what they go on to ask for comes too late for one batch (a board of 200
//! datasets took half as many statements again as one of 10). So the keys are gathered
//! [here](gather), where all waiters of a batch wake at once, and the crate reads them.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use tokio_util::task::AbortOnDropHandle;

use crate::{
    call::Call,
    db::{Lent, TenantTx},
    error::{Error, Result},
};

mod gather;

use gather::{Gather, Loaded, Reader};

/// How one kind of thing is read by its keys.
pub trait BatchRead: Send + Sync + 'static {
    /// What it is asked for by.
    type Key: Eq + Hash + Clone + Debug + Send + Sync + 'static;
    /// What there is for a key.
    type Value: Clone + Send + Sync + 'static;

    /// The transaction to read in.
    fn begin(call: &Call) -> impl Future<Output = Result<Lent>> + Send {
        call.read()
    }

    /// What is known for a key without reading: of what never changes.
    fn known(_call: &Call, _key: &Self::Key) -> Option<Self::Value> {
        None
    }

    /// Is told what was read for a key.
    fn learn(_call: &Call, _key: &Self::Key, _value: &Self::Value) {}

    /// Reads what there is for `keys`, in one statement. A key may be missing from the answer.
    fn read(
        tx: &TenantTx,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>>> + Send;
}

/// The loader of one kind, for one request.
pub struct Batched<R: BatchRead> {
    call: Arc<Call>,
    /// There once something is asked for: a request needs few of the loaders that it has.
    gather: OnceLock<Box<Gather<R::Key, R::Value>>>,
}

impl<R: BatchRead> Debug for Batched<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(std::any::type_name::<Self>())
    }
}

impl<R: BatchRead> Batched<R> {
    /// A loader for the request that `call` is.
    #[must_use]
    pub fn new(call: &Arc<Call>) -> Self {
        Self { call: call.clone(), gather: OnceLock::new() }
    }

    fn gather(&self) -> &Gather<R::Key, R::Value> {
        self.gather.get_or_init(|| {
            let of = self.call.clone();
            let reader = Reader(Arc::new(move |keys| Box::pin(read::<R>(of.clone(), keys))));
            Box::new(Gather::new(reader))
        })
    }

    /// What there is for `key`, as of the last change that the call itself made.
    ///
    /// # Errors
    /// What the read of its batch answered.
    pub async fn load(&self, key: R::Key) -> Result<Option<R::Value>> {
        match R::known(&self.call, &key) {
            Some(known) => Ok(Some(known)),
            None => self.gather().load(key, self.call.changes()).await,
        }
    }
}

/// Reads in a task of its own, so that a panic is an error like any other, and so that the waiters
/// are woken once, and not with every packet that arrives. Every key is in the answer.
async fn read<R: BatchRead>(
    call: Arc<Call>,
    keys: Vec<R::Key>,
) -> HashMap<R::Key, Loaded<R::Value>> {
    let wanted = keys.clone();
    // Who asked may go; then nobody waits for the answer.
    let read = AbortOnDropHandle::new(tokio::spawn(async move {
        let tx = R::begin(&call).await?;
        let found = R::read(&tx, &wanted).await?;
        found.iter().for_each(|(key, value)| R::learn(&call, key, value));
        Ok(found)
    }));
    let mut result = read.await.unwrap_or_else(|lost| Err(Error::internal(lost)));
    let mut answer = |key: &R::Key| match &mut result {
        Ok(found) => Ok(found.remove(key)),
        Err(error) => Err(error.clone()),
    };
    keys.into_iter().map(|key| (key.clone(), answer(&key))).collect()
}
