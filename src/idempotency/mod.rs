//! Requests that may come again and count once: the `Idempotency-Key` of a mutation or a POST. // D43
//!
//! A request with a key is an [`Attempt`], which its [`Call`](crate::call::Call) carries. Each change
//! that it makes has a place in it ([`Slot`], counted from 1), and goes through the one frame of all
//! changes ([`crate::audit::trail::change`]), which does the following in the transaction of the
//! effect:
//!
//! 1. takes the key's lock, without waiting: who does not get it is told that the request is in flight;
//! 2. looks for records of the key: of another request, the call is refused; of the whole answer, the
//!    call ends with it; of this change alone, its outcome is told again and nothing is done;
//! 3. after the work, keeps the outcome beside the audit event.
//!
//! Only what had an effect is kept: a change that was refused or failed is tried again by a retry. When
//! the answer to the whole request is written and all its changes are kept, its bytes are kept as well
//! (slot 0), in a transaction of their own. If the process dies before that, a retry runs again, finds
//! the outcomes, and puts the answer together afresh.
//!
//! A key belongs to a tenant, an actor and an operation. Records end after
//! `limits.idempotency_retention_hours`; the ended ones of a tenant go when it keeps further answers.

mod attempt;
mod key;
mod store;

pub use attempt::{Answer, Attempt, End, Found, Slot, told};
pub use key::Key;

/// The request's header.
pub const HEADER: &str = "idempotency-key";
/// Longest answer that is kept, in bytes; of a longer one only the outcomes of its changes are, and a
/// retry puts it together afresh.
pub const MAXIMUM_ANSWER_BYTES: usize = 256 * 1024;
/// What came of requests with a key.
pub const OUTCOMES: &str = "drr_idempotency_total";
