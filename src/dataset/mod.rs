//! Datasets: which ones a tenant has, and what is known about them.
//!
//! Invariants: a dataset is named by `(namespace, name)`, exactly as its producers spell it, once in
//! a tenant; an alias is another such pair and means one dataset only; a dataset is retired, never
//! deleted.

pub mod model;
