//! One binary for every integration test: `app.rs` is the service as they see it, `cluster.rs` the
//! PostgreSQL that they share.

#[cfg(test)]
mod app;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod correlation;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod sdl;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod smoke;
#[cfg(test)]
mod tokens;
