//! What never changes once it is there: the version of a policy, say. It is read once, and then known to all
//! calls of its tenant.
//!
//! Nothing has to be taken away when something is written. A fact is still forgotten after a while, and when
//! an operator says so: a database that was put back to an earlier day may have another one under the same
//! name.
//!
//! Only what was committed is to be put here: a transaction that wrote a fact and was undone was never so.

use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::local::{Local, Size};
use crate::auth::{Principal, TenantId};

/// The name of something that never changes, tied to what it is the name of.
pub trait Fact: 'static {
    /// What is known under the name.
    type Value: Send + Sync + 'static;

    /// The entity, and which of its versions.
    fn name(&self) -> (Uuid, i64);

    /// About how much memory a value takes.
    fn bytes(value: &Self::Value) -> usize;
}

/// A name among all facts of a tenant.
type Key = (TypeId, Uuid, i64);

#[derive(Clone)]
struct Known {
    value: Arc<dyn Any + Send + Sync>,
    /// The first instant at which it is forgotten, in microseconds since 1970.
    until: i64,
}

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Facts {
    known: Arc<Local<Key, Known>>,
    /// How long a fact is known at most, in microseconds.
    longest: i64,
}

impl fmt::Debug for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Facts").field("longest", &self.longest).finish_non_exhaustive()
    }
}

fn key<F: Fact>(fact: &F) -> Key {
    let (entity, version) = fact.name();
    (TypeId::of::<F>(), entity, version)
}

impl Facts {
    /// Knows facts of so many bytes together, each for so long at most.
    #[must_use]
    pub fn new(bytes: usize, longest: Duration) -> Self {
        let longest = i64::try_from(longest.as_micros()).unwrap_or(i64::MAX);
        Self { known: Arc::new(Local::new("facts", bytes)), longest }
    }

    /// What is known under this name to the caller's tenant at `now`.
    #[must_use]
    pub fn get<F: Fact>(
        &self,
        principal: &Principal,
        fact: &F,
        now: DateTime<Utc>,
    ) -> Option<Arc<F::Value>> {
        let found = self.of(principal.tenant(), fact, now);
        let outcome = if found.is_some() { "known" } else { "asked" };
        metrics::counter!("drr_cache_facts_total", "outcome" => outcome).increment(1);
        found
    }

    /// Knows `value` from now on.
    pub fn put<F: Fact>(
        &self,
        principal: &Principal,
        fact: &F,
        value: Arc<F::Value>,
        now: DateTime<Utc>,
    ) {
        self.learn(principal.tenant(), fact, value, now);
    }

    fn of<F: Fact>(
        &self,
        tenant: &TenantId,
        fact: &F,
        now: DateTime<Utc>,
    ) -> Option<Arc<F::Value>> {
        let at = now.timestamp_micros();
        let known = self.known.get(tenant, &key(fact), |known| at < known.until)?;
        known.value.downcast::<F::Value>().ok()
    }

    fn learn<F: Fact>(
        &self,
        tenant: &TenantId,
        fact: &F,
        value: Arc<F::Value>,
        now: DateTime<Utc>,
    ) {
        let until = now.timestamp_micros().saturating_add(self.longest);
        let bytes = F::bytes(&value);
        self.known.put(tenant, key(fact), bytes, Known { value, until });
    }

    /// Forgets the facts of one tenant, or of all; answers how much that was.
    pub(super) fn purge(&self, tenant: Option<&TenantId>) -> Size {
        self.known.purge(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Name(Uuid, i64);

    impl Fact for Name {
        type Value = String;

        fn name(&self) -> (Uuid, i64) {
            (self.0, self.1)
        }

        fn bytes(value: &String) -> usize {
            value.len()
        }
    }

    struct Number(Uuid, i64);

    impl Fact for Number {
        type Value = u32;

        fn name(&self) -> (Uuid, i64) {
            (self.0, self.1)
        }

        fn bytes(_: &u32) -> usize {
            4
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_fact_is_of_one_tenant_one_kind_and_one_version_and_ends() {
        let facts = Facts::new(1 << 20, Duration::from_secs(60));
        let [acme, globex] = ["acme", "globex"].map(|code| TenantId::parse(code).unwrap());
        let id = Uuid::from_u128(7);
        let name = Name(id, 1);
        facts.learn(&acme, &name, Arc::new("one".to_owned()), at(0));
        assert_eq!(facts.of(&acme, &name, at(59)).as_deref().map(String::as_str), Some("one"));
        assert_eq!(facts.of(&globex, &name, at(0)), None);
        assert_eq!(facts.of(&acme, &Name(id, 2), at(0)), None);
        assert_eq!(facts.of(&acme, &Number(id, 1), at(0)), None);
        assert_eq!(facts.of(&acme, &name, at(60)), None, "its time is over");

        facts.learn(&acme, &name, Arc::new("one".to_owned()), at(0));
        facts.learn(&globex, &Number(id, 1), Arc::new(1), at(0));
        assert_eq!(facts.purge(Some(&acme)).entries, 1);
        assert_eq!(facts.of(&acme, &name, at(0)), None);
        assert_eq!(facts.of(&globex, &Number(id, 1), at(0)).as_deref(), Some(&1));
    }
}
