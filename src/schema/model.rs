//! Pure types and rules of the schema registry: the formats, names, compatibility, the lifecycle.

pub mod avro;
pub mod compatibility;
pub mod content;
mod differences;
pub mod evolution;
pub mod format;
pub mod json;
pub mod lifecycle;
pub mod name;
pub mod observed;
mod outline;
mod place;
pub mod protobuf;
pub mod verdict;
