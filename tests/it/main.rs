//! One binary for every integration test: `app.rs` is the service as they see it, `cluster.rs` the
//! PostgreSQL that they share.

#[cfg(test)]
mod app;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod smoke;
