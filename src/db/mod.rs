//! The door that keeps tenants apart.
//!
//! [`Db`] keeps its pool private. The only way to a query is
//! [`Db::scoped_to`]`(&Principal)` → [`TenantDb`] → [`TenantTx`], whose BEGIN names the tenant and
//! takes on the database role; row-level security does the rest. [`TenantTx`] is no connection to
//! anybody's library: it runs statements of its own two methods, and gives nothing of itself away.
//!
//! What the program does for itself, without a tenant's rows, is in [`maintenance`] and
//! [`operator`]; what it checks before it serves is in [`safety`]. Its own tasks reach a tenant by
//! [`Db::of_due`]`(&DueTenant)`: for a tenant that the database itself has named, or to whose rows a
//! caller has just written through this door, and no other.

mod abandoned;
pub mod embedded;
mod error;
mod listen;
pub mod maintenance;
mod nonce;
pub mod operator;
mod pool;
mod reading;
pub mod safety;
mod tenant;
pub mod trail;

pub use listen::{Heard, Listener, Observer};
pub use pool::{Db, DbSettings};
pub use reading::{Lent, Reading};
/// What a row of an answer is read as. (sea-orm's own reading words an error for each NULL.)
pub use sqlx::FromRow;
/// How to log in to a server: for those who compose the program, and cannot connect themselves.
pub use sqlx::postgres::PgConnectOptions;
pub use tenant::{TenantDb, TenantTx, records};
