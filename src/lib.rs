//! `drr`: a Dataset Refresh Registry and a Schema Registry behind one federated GraphQL subgraph.
//!
//! The house, and the only ways through it:
//!
//! ```text
//! main → cli → app → { http, graphql, auth, db, cache }
//! http → auth, graphql, cache
//! graphql roots → <feature>::graphql → { model, loader, repository }
//! loader → repository → { db::TenantTx, entity, model }
//! cache → db → auth::principal
//! ```
//!
//! A feature (`dataset`, `refresh`, `freshness`, `breach`, `change`, `history`, `lineage`, `audit`,
//! `evidence`, `schema`) reaches another only through its loader or its model. Two exceptions: the graph is one, so
//! `graphql.rs` and `mutation.rs` may use the GraphQL types of another feature (a dataset has runs, a run has datasets); and every change is
//! audited, so all of them may use `audit`. `model` files are pure: no database, no GraphQL.
//! A test (`tests/it/architecture.rs`) reads the sources and fails on any other arrow.

pub mod app;
pub mod audit;
pub mod auth;
pub mod batch;
pub mod breach;
pub mod cache;
pub mod call;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dataset;
pub mod db;
pub mod error;
pub mod evidence;
pub mod freshness;
pub mod gate;
pub mod graphql;
pub mod history;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod lease;
pub mod lineage;
pub mod live;
pub mod objects;
pub mod outbound;
pub mod refresh;
pub mod retention;
pub mod schema;
pub mod streaming;
pub mod telemetry;
pub mod webhook;
pub mod wire;
