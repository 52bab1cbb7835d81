//! One binary for every integration test: `app.rs` is the service as they see it, `cluster.rs` the
//! PostgreSQL that they share, `program.rs` the program as a person starts it.

#[cfg(test)]
mod app;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod breach;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod compatibility;
#[cfg(test)]
mod confluent;
#[cfg(test)]
mod controls;
#[cfg(test)]
mod correlation;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod door;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod graphiql;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod once;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod program;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod schema_drift;
#[cfg(test)]
mod schema_events;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod sdl;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod seed;
#[cfg(test)]
mod smoke;
#[cfg(test)]
mod subscription;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trail;
