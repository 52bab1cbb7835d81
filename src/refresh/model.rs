//! What happened to datasets, without a database: events, the runs they fold into ([`RunFold`]) and
//! the refresh state that the runs of a dataset amount to ([`RefreshState`]).
//!
//! To keep another fact of a run: a field of [`RunFold`] with a rule of merging that is associative,
//! commutative and idempotent; the property tests of `fold.rs` hold it to that.

pub mod event;
pub mod fold;
pub mod state;

pub use event::{
    ContentHash, DatasetEvent, DatasetFacets, Event, EventType, Input, JobEvent, JobName,
    NominalTime, Output, OutputStatistics, RunEvent, WatermarkOrigin,
};
pub use fold::{InputFold, MergeError, OutputFold, RunFold, RunState};
pub use state::{DatasetRuns, RefreshState, RefreshStatus, RunRow};
