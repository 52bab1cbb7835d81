//! The database: the private cluster for whoever names no server.

pub mod embedded;
