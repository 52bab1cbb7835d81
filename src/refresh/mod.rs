//! Refreshes: the runs that write datasets, and what they amount to for each dataset.
//!
//! Invariants: events are only ever added, each once; the state of a run is a function of the set of
//! its events, and the refresh state of a dataset a function of the set of its runs, so that neither
//! the order nor a repetition of what a producer sends matters.

pub mod model;
pub mod openlineage;
