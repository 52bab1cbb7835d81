//! Who is calling, and what they may do.
//!
//! ```text
//! token → verifier ─┬─ claims      what the token says, read strictly
//!                   ├─ jwks        the platform's public keys, rotating
//!                   ├─ subject     no personal data goes further
//!                   ├─ reach       which schemas it is for
//!                   ├─ policy      which scopes a role's token may hold
//!                   └─ revocation  what is refused before its time
//!                   → Principal → policy::authorize(operation)
//! ```
//!
//! [`TokenVerifier`] is the only maker of a [`Principal`]; [`policy`] is the only table of rights.
//! Everything else in the house takes a `&Principal` and cannot make one. [`signing`] makes tokens
//! for development and tests, which enter through the verifier like any other.

mod claims;
pub mod jwks;
pub mod policy;
pub mod principal;
pub mod reach;
pub mod revocation;
mod roles;
pub mod signing;
pub mod subject;
mod token_error;
pub mod verifier;

pub use jwks::{JwksSource, KeySettings, KeySource};
pub use principal::{Principal, TenantId, TokenKind};
pub use reach::Reach;
pub use revocation::{Revocation, RevocationList};
pub use subject::PseudonymKey;
pub use token_error::TokenError;
pub use verifier::{TokenVerifier, VerifierSettings};
