//! What a dataset is, without a database: its name, its URN, and what people say about it.
//!
//! Every type here can only hold valid data, so that nothing behind it checks again. To add an
//! attribute: a type with its `parse` in [`profile`], its limits as constants beside it.

pub mod name;
pub mod profile;
pub mod urn;

pub use name::DatasetName;
pub use profile::{Aliases, Description, Domain, Field, Owners, Tags, search_text};
pub use urn::Urn;

crate::wire::wire_enum! {
    /// Whether a dataset is in use.
    pub enum Lifecycle {
        /// In use: on the boards and in the counts.
        Active = "ACTIVE",
        /// Out of use: kept for its history, on no board.
        Retired = "RETIRED",
    }
}
