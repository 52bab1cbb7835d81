//! The door between tenants, from the catalog to 100,000 requests that were cut off.

mod cancelled;
mod catalog;
mod grants;
mod isolation;
mod keys;
mod migrations;
mod partitions;
pub mod pool;
mod proxy;
mod reading;
mod refusal;
mod unsettled;
pub mod world;
