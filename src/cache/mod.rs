//! Answers that are kept, so that a poll costs a lookup: never stale, never another tenant's.
//!
//! A key holds what an answer depends on: the tenant, what the caller may see, the request to the byte,
//! and the **stamp** of the tenant, which is another one after every write to the tenant's rows
//! ([`stamps`]). An answer is kept under the stamp that was current before the first row of it was read.
//! So nothing has to be taken away when something is written: what was made of older rows lies under a
//! stamp that nobody asks for any more, also if it was being made while the write went on.
//!
//! With Redis ([`remote`]) there is a stamp that all instances share, and answers are shared under it.
//!
//! Time changes answers too. Whoever judges by the clock says until when the judgement stands
//! ([`Lifetime`]); whoever reads the clock and does not say so keeps the answer from being kept.
//!
//! Rights are asked and events are written for every call, whether its answer was kept or not.
//!
//! What never changes once it is there is known to all calls of its tenant, for the answers that are not
//! kept ([`facts`]).
//!
//! Invariants: a key is made of a [`Principal`] and in no other way; an answer is handed out only
//! before the instant until which it holds; one tenant cannot push out another one's answers
//! ([`local`]).

pub mod answers;
pub mod facts;
pub mod lifetime;
mod local;
pub mod news;
pub mod operator;
pub mod remote;
pub mod stamps;

pub use answers::{Answer, Answers, Asked, Found, Place, Told};
pub use facts::{Fact, Facts};
pub use lifetime::Lifetime;
pub use news::News;
pub use remote::Remote;
pub use stamps::Stamps;

/// What an instance keeps, of all tenants.
#[derive(Debug, Clone)]
pub struct TenantCache {
    /// Whole answers.
    pub answers: Answers,
    /// What never changes.
    pub facts: Facts,
}

impl TenantCache {
    /// Forgets what is kept of one tenant, or of all; answers how much that was.
    fn purge(&self, tenant: Option<&crate::auth::TenantId>) -> local::Size {
        let (answers, facts) = (self.answers.purge(tenant), self.facts.purge(tenant));
        local::Size { entries: answers.entries + facts.entries, bytes: answers.bytes + facts.bytes }
    }
}
