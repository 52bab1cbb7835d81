//! One call by one verified caller: who, for which tenant, when, and under which correlation id.
//!
//! It is made once per request, after the token was verified, and is what the features take: it
//! can open the tenant's database and ask the table of rights, and nothing else can.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use tokio::{sync::OnceCell, time::Instant};
use uuid::Uuid;

use crate::{
    audit::Record,
    auth::{
        Principal,
        policy::{self, Operation},
    },
    cache::{Fact, Facts, Lifetime},
    clock::SharedClock,
    db::{Db, Lent, Reading, TenantDb},
    error::{Error, Result},
    gate::{Gate, Permit},
    idempotency::Attempt,
    keys::Sealed,
};

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Call {
    principal: Arc<Principal>,
    db: TenantDb,
    clock: SharedClock,
    now: DateTime<Utc>,
    correlation_id: Arc<str>,
    record: Arc<Record>,
    changes: Arc<AtomicU64>,
    lifetime: Lifetime,
    reading: Option<Reading>,
    attempt: Option<Arc<Attempt>>,
    is_internal: bool,
    gate: Option<Gate>,
    permit: Arc<OnceCell<Permit>>,
    facts: Option<Facts>,
    sealed: Option<Sealed>,
}

impl Call {
    /// A call that begins now.
    #[must_use]
    pub fn new(
        principal: Arc<Principal>,
        db: &Db,
        clock: SharedClock,
        record: Arc<Record>,
    ) -> Self {
        record.caller(&principal);
        let correlation_id = record.correlation_id().clone();
        let db = db.scoped_to(&principal).counting(record.rows().clone());
        let now = clock.now();
        Self {
            principal,
            db,
            clock,
            now,
            correlation_id,
            record,
            changes: Arc::default(),
            lifetime: Lifetime::default(),
            reading: None,
            attempt: None,
            is_internal: false,
            gate: None,
            permit: Arc::default(),
            facts: None,
            sealed: None,
        }
    }

    /// The call as one that changes nothing and ends soon: all that it reads is read in one transaction,
    /// which lasts until the call is dropped.
    #[must_use]
    pub fn reading(mut self) -> Self {
        self.reading = Some(Reading::of(self.db.clone()));
        self
    }

    /// The call as one that may come again under an idempotency key.
    #[must_use]
    pub fn attempting(mut self, attempt: Option<Arc<Attempt>>) -> Self {
        self.attempt = attempt;
        self
    }

    /// The call as one that waits for a place at work there.
    #[must_use]
    pub fn waiting_at(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The call as one that knows what never changes.
    #[must_use]
    pub fn knowing(mut self, facts: Option<Facts>) -> Self {
        self.facts = facts;
        self
    }

    /// The call as one that reaches what is kept outside of the database.
    #[must_use]
    pub fn reaching(mut self, sealed: Option<Sealed>) -> Self {
        self.sealed = sealed;
        self
    }

    /// What is kept outside of the database, sealed.
    ///
    /// # Errors
    /// [`Error::Internal`] if the call was made without it.
    pub fn sealed(&self) -> Result<&Sealed> {
        self.sealed.as_ref().ok_or_else(|| Error::internal("the call has no sealed objects"))
    }

    /// What is known under this name already.
    #[must_use]
    pub fn known<F: Fact>(&self, fact: &F) -> Option<Arc<F::Value>> {
        self.facts.as_ref()?.get(&self.principal, fact, self.now)
    }

    /// Knows `value` from now on. It was committed, and never changes.
    pub fn learn<F: Fact>(&self, fact: &F, value: Arc<F::Value>) {
        if let Some(facts) = &self.facts {
            facts.put(&self.principal, fact, value, self.now);
        }
    }

    /// Waits for a place at work, once, and has it until the call is over.
    ///
    /// # Errors
    /// [`Error::Overloaded`](crate::error::Error::Overloaded).
    pub async fn begin(&self) -> Result<()> {
        if let Some(gate) = &self.gate {
            self.permit.get_or_try_init(|| gate.enter(self.principal.tenant())).await?;
        }
        Ok(())
    }

    /// The call as one that nobody waits for after `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.db = self.db.until(deadline);
        self
    }

    /// The attempt that the call is, if it has an idempotency key or should have one.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_deref()
    }

    /// The call as one that came by the door of the platform's own services, or not.
    #[must_use]
    pub const fn coming_inside(mut self, is_internal: bool) -> Self {
        self.is_internal = is_internal;
        self
    }

    /// Whether it came by that door.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        self.is_internal
    }

    /// The verified caller.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The tenant's database.
    #[must_use]
    pub const fn db(&self) -> &TenantDb {
        &self.db
    }

    /// A transaction to read in. No loader is to be asked for anything while it is held.
    ///
    /// # Errors
    /// As for [`TenantDb::read`].
    pub async fn read(&self) -> Result<Lent> {
        match &self.reading {
            Some(reading) => reading.tx().await,
            None => self.db.read().await.map(Lent::from),
        }
    }

    /// When the call began. Everything in one answer is judged at this one instant. An answer that
    /// depends on it is not kept; see [`Self::judged_at`].
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.lifetime.is_over();
        self.now
    }

    /// The same, for those who say until when a judgement stands ([`Self::lifetime`]).
    #[must_use]
    pub const fn judged_at(&self) -> DateTime<Utc> {
        self.now
    }

    /// Until when the answer holds if nothing is written.
    #[must_use]
    pub const fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// The id that ties this call's log lines, audit events and answer together.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// What becomes known of the call, for the audit trail.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How many changes the call has made: what was read before the last one is no longer so.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Says that the call has changed something, or tried to.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Whether the caller may do this: to leave something out, without a denial that counts.
    #[must_use]
    pub fn may(&self, operation: Operation) -> bool {
        policy::permits(&self.principal, operation)
    }

    /// Lets the caller do this, or does not.
    ///
    /// # Errors
    /// [`Error::Forbidden`](crate::error::Error::Forbidden).
    pub fn authorize(&self, operation: Operation) -> Result<()> {
        self.record.asked(operation);
        if !operation.is_of_rows() {
            self.lifetime.is_over();
        }
        let allowed = policy::authorize(&self.principal, operation);
        allowed.inspect_err(|_| self.record.denied(operation))
    }
}
