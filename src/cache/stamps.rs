//! What stands for the rows of a tenant: another stamp after every write.
//!
//! The stamp changes after the commit and before the writer's caller is answered: whoever asks after that
//! answer does not find what was kept before. A commit of which nobody knows whether it took place
//! changes it too.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::auth::TenantId;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Stamps {
    tenants: RwLock<HashMap<TenantId, AtomicU64>>,
    /// Changes for all of them.
    all: AtomicU64,
}

/// The rows of a tenant as they are at an instant, or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    own: u64,
    all: u64,
}

impl Stamps {
    /// The one that is current.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Stamp {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let own = tenants.get(tenant).map_or(0, |own| own.load(Ordering::Acquire));
        Stamp { own, all: self.all.load(Ordering::Acquire) }
    }

    /// Something was written to the tenant's rows, or may have been.
    pub fn written(&self, tenant: &TenantId) {
        metrics::counter!("drr_cache_invalidations_total").increment(1);
        {
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = tenants.get(tenant) {
                own.fetch_add(1, Ordering::AcqRel);
                return;
            }
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.entry(tenant.clone()).or_default().fetch_add(1, Ordering::AcqRel);
    }

    /// Something may have been written to any tenant's rows.
    pub fn all_written(&self) {
        metrics::counter!("drr_cache_invalidations_total").increment(1);
        self.all.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_changes_the_stamp_of_its_tenant_and_a_gap_that_of_all() {
        let stamps = Stamps::default();
        let [acme, globex] = ["acme", "globex"].map(|code| TenantId::parse(code).unwrap());
        let before = [stamps.of(&acme), stamps.of(&globex)];
        stamps.written(&acme);
        assert_ne!(stamps.of(&acme), before[0]);
        assert_eq!(stamps.of(&globex), before[1]);
        stamps.all_written();
        assert_ne!(stamps.of(&globex), before[1]);
    }
}
