//! The tier in the process: bounded by bytes, and fair.
//!
//! When it is full, the tenant that has the most gives up what it has not used for the longest time.
//! So whoever floods it floods their own part, and what a tenant can keep against all others is an
//! equal share.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use crate::auth::TenantId;

/// What an entry takes besides its content: keys, links, counters.
const OVERHEAD: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Local<K: Hash + Eq, V> {
    most: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K: Hash + Eq, V> {
    tenants: HashMap<TenantId, Share<K, V>>,
    /// Who has how much, the least first.
    sizes: BTreeSet<(usize, TenantId)>,
    bytes: usize,
    /// What is kept here, for the metrics.
    of: &'static str,
}

#[derive(Debug)]
struct Share<K: Hash + Eq, V> {
    entries: LruCache<K, (usize, V)>,
    bytes: usize,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Entries.
    pub entries: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
}

impl<K: Hash + Eq, V: Clone> Local<K, V> {
    /// Keeps so many bytes at most.
    pub(super) fn new(of: &'static str, most: usize) -> Self {
        let kept = Kept { tenants: HashMap::new(), sizes: BTreeSet::new(), bytes: 0, of };
        Self { most, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept under a key, unless it holds no longer; then it is gone.
    pub(super) fn get(&self, tenant: &TenantId, key: &K, holds: impl Fn(&V) -> bool) -> Option<V> {
        let mut kept = self.kept();
        let share = kept.tenants.get_mut(tenant)?;
        let (_, value) = share.entries.get(key)?;
        if holds(value) {
            return Some(value.clone());
        }
        kept.remove(tenant, key);
        None
    }

    /// Keeps `value`, of so many bytes, if it is not larger than a tenant's part may be.
    pub(super) fn put(&self, tenant: &TenantId, key: K, bytes: usize, value: V) {
        let bytes = bytes + OVERHEAD;
        if bytes > self.most / 8 {
            return;
        }
        let mut kept = self.kept();
        kept.remove(tenant, &key);
        let share = kept.tenants.entry(tenant.clone());
        let share = share.or_insert_with(|| Share { entries: LruCache::unbounded(), bytes: 0 });
        share.entries.put(key, (bytes, value));
        kept.resize(tenant, |size| size + bytes);
        while kept.bytes > self.most && kept.give_up() {
            metrics::counter!("drr_cache_evictions_total", "of" => kept.of).increment(1);
        }
    }

    /// Forgets what is kept of one tenant, or of all; answers how much that was.
    pub(super) fn purge(&self, tenant: Option<&TenantId>) -> Size {
        let mut kept = self.kept();
        let tenants: Vec<_> = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => kept.tenants.keys().cloned().collect(),
        };
        let mut purged = Size::default();
        for tenant in tenants {
            let Some(share) = kept.tenants.get(&tenant) else { continue };
            purged.entries += share.entries.len();
            purged.bytes += share.bytes;
            kept.resize(&tenant, |_| 0);
        }
        metrics::counter!("drr_cache_purged_total", "of" => kept.of)
            .increment(purged.entries as u64);
        purged
    }

    /// How much there is.
    #[cfg(test)]
    fn size(&self) -> Size {
        let kept = self.kept();
        let entries = kept.tenants.values().map(|share| share.entries.len()).sum();
        Size { entries, bytes: kept.bytes }
    }
}

impl<K: Hash + Eq, V> Kept<K, V> {
    fn remove(&mut self, tenant: &TenantId, key: &K) {
        let share = self.tenants.get_mut(tenant);
        if let Some((bytes, _)) = share.and_then(|share| share.entries.pop(key)) {
            self.resize(tenant, |size| size - bytes);
        }
    }

    /// Gives a tenant another size; one of nothing is forgotten.
    fn resize(&mut self, tenant: &TenantId, size: impl Fn(usize) -> usize) {
        let Some(share) = self.tenants.get_mut(tenant) else { return };
        let (before, after) = (share.bytes, size(share.bytes));
        share.bytes = after;
        self.bytes = self.bytes + after - before;
        metrics::gauge!("drr_cache_bytes", "of" => self.of).set(self.bytes as f64);
        self.sizes.remove(&(before, tenant.clone()));
        if after == 0 {
            self.tenants.remove(tenant);
        } else {
            self.sizes.insert((after, tenant.clone()));
        }
    }

    /// The largest tenant gives up the entry that it has not used for the longest time.
    fn give_up(&mut self) -> bool {
        let Some((_, largest)) = self.sizes.last().cloned() else { return false };
        let share = self.tenants.get_mut(&largest);
        let Some((_, (bytes, _))) = share.and_then(|share| share.entries.pop_lru()) else {
            return false;
        };
        self.resize(&largest, |size| size - bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::parse(&format!("tenant-{number}")).unwrap()
    }

    fn keeps(local: &Local<usize, usize>, of: usize, key: usize) -> bool {
        local.get(&tenant(of), &key, |_| true).is_some()
    }

    #[test]
    fn whoever_floods_it_pushes_out_nobody_else() {
        let local = Local::new("tests", 100 * (1_000 + OVERHEAD));
        for key in 0..20 {
            local.put(&tenant(1), key, 1_000, key);
        }
        for key in 0..10_000 {
            local.put(&tenant(2), key, 1_000, key);
        }
        assert!((0..20).all(|key| keeps(&local, 1, key)));
        assert!(keeps(&local, 2, 9_999) && !keeps(&local, 2, 0));
        assert_eq!(local.size(), Size { entries: 100, bytes: 100 * (1_000 + OVERHEAD) });
    }

    #[test]
    fn what_was_used_stays_longest_and_what_holds_no_longer_goes() {
        let local = Local::new("tests", 10 * (100 + OVERHEAD));
        for key in 0..10 {
            local.put(&tenant(1), key, 100, key);
        }
        assert!(keeps(&local, 1, 0));
        local.put(&tenant(1), 10, 100, 10);
        assert!(keeps(&local, 1, 0) && !keeps(&local, 1, 1));
        assert_eq!(local.get(&tenant(1), &0, |_| false), None);
        assert!(!keeps(&local, 1, 0));
        assert_eq!(local.size().entries, 9);
        assert_eq!(local.purge(Some(&tenant(2))), Size::default());
        assert_eq!(local.purge(None).entries, 9);
        assert_eq!(local.size(), Size::default());
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_what_is_kept_again_counts_once() {
        let local = Local::new("tests", 8 * 1_000);
        local.put(&tenant(1), 1, 1_000, 1);
        assert!(!keeps(&local, 1, 1));
        local.put(&tenant(1), 2, 500, 2);
        local.put(&tenant(1), 2, 600, 3);
        assert_eq!(local.size(), Size { entries: 1, bytes: 600 + OVERHEAD });
        assert_eq!(local.get(&tenant(1), &2, |_| true), Some(3));
    }
}
