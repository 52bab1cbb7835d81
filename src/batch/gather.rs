//! Gathering keys into batches.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dataloader::{BatchFn, cached::Loader};
use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Shared},
};
use tokio::task::{unconstrained, yield_now};

use crate::error::{Error, Result};

/// How often everything else of the request has its turn before a batch is closed. At the first
/// turn the fields beside the first one ask; the second one is for those that had to wait for it.
const TURNS: usize = 2;

/// The most keys of one statement: more than the largest board has of anything.
const MAX_BATCH: usize = 10_000;

/// What a batch has for one of its keys.
pub(super) type Loaded<V> = Result<Option<V>>;

/// What a batch has, by key.
type Answers<K, V> = HashMap<K, Loaded<V>>;

/// A batch under way or done. Whoever waits for it drives it, so that none of them is needed by
/// the others: any of them may be dropped.
type Batch<K, V> = Shared<BoxFuture<'static, Arc<Answers<K, V>>>>;

/// Reads what there is for keys; the answer has every one of them.
type Read<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Answers<K, V>> + Send + Sync;

/// Reads a batch for the crate.
pub(super) struct Reader<K, V>(pub(super) Arc<Read<K, V>>);

impl<K: Clone, V> BatchFn<K, Loaded<V>> for Reader<K, V> {
    async fn load(&mut self, keys: &[K]) -> Answers<K, V> {
        (self.0)(keys.to_vec()).await
    }
}

/// Keys of one kind, gathered and read in batches; each key once.
pub(super) struct Gather<K, V> {
    reader: Reader<K, V>,
    known: Mutex<Known<K, V>>,
}

/// What was asked for since the last change.
struct Known<K, V> {
    changes: u64,
    batches: HashMap<K, Batch<K, V>>,
    open: Option<Open<K, V>>,
}

/// Keeps a batch open. It is closed when this goes, whether its holder is done waiting or dropped.
type Latch = oneshot::Sender<()>;

/// A batch that may still take keys: until it takes them itself.
struct Open<K, V> {
    keys: Arc<Mutex<Option<Vec<K>>>>,
    batch: Batch<K, V>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> Gather<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(reader: Reader<K, V>) -> Self {
        let known = Known { changes: 0, batches: HashMap::new(), open: None };
        Self { reader, known: Mutex::new(known) }
    }

    /// What there is for `key`. What was read before the latest of `changes` is forgotten.
    pub(super) async fn load(&self, key: K, changes: u64) -> Loaded<V> {
        let (batch, latch) = self.batch_of(&key, changes);
        if let Some(latch) = latch {
            for _ in 0..TURNS {
                yield_now().await;
            }
            drop(latch);
        }
        let answer = batch.await.get(&key).cloned();
        answer.unwrap_or_else(|| Err(Error::internal("a batch has no answer for one of its keys")))
    }

    /// The batch that has `key`, and its latch if it was opened for it.
    fn batch_of(&self, key: &K, changes: u64) -> (Batch<K, V>, Option<Latch>) {
        let mut known = lock(&self.known);
        if known.changes != changes {
            *known = Known { changes, batches: HashMap::new(), open: None };
        }
        if let Some(batch) = known.batches.get(key) {
            return (batch.clone(), None);
        }
        let (batch, latch) = match known.open.as_ref().and_then(|open| open.take(key)) {
            Some(batch) => (batch, None),
            None => {
                let (open, latch) = self.open(key);
                (known.open.insert(open).batch.clone(), Some(latch))
            }
        };
        known.batches.insert(key.clone(), batch.clone());
        (batch, latch)
    }

    fn open(&self, first: &K) -> (Open<K, V>, Latch) {
        let (latch, closed) = oneshot::channel();
        let keys = Arc::new(Mutex::new(Some(vec![first.clone()])));
        let gathered = keys.clone();
        let loader = Loader::new(Reader(self.reader.0.clone()));
        let loader = loader.with_max_batch_size(MAX_BATCH).with_yield_count(0);
        // Every waiter asks it how it goes; tokio's budget would send the last of them away.
        let batch = unconstrained(async move {
            // The latch is never used but by going.
            let _ = closed.await;
            let keys = lock(&gathered).take().unwrap_or_default();
            Arc::new(loader.try_load_many(keys).await.unwrap_or_default())
        });
        (Open { keys, batch: batch.boxed().shared() }, latch)
    }
}

impl<K: Clone, V> Open<K, V> {
    /// The batch, which has `key` now; `None` if it takes no more.
    fn take(&self, key: &K) -> Option<Batch<K, V>> {
        lock(&self.keys).as_mut()?.push(key.clone());
        Some(self.batch.clone())
    }
}

#[cfg(test)]
mod tests;
