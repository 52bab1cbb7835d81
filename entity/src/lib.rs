//! The tables as sea-orm models, one per file, without logic.

pub mod audit_archive;
pub mod audit_event;
pub mod dataset_external_verdict;
pub mod dataset_lineage;
pub mod dataset_name;
pub mod dataset_observed_schema;
pub mod dataset_refresh_state;
pub mod dataset_registry;
pub mod dataset_run_log;
pub mod freshness_breach;
pub mod freshness_calendar;
pub mod freshness_event;
pub mod freshness_policy;
pub mod idempotency_record;
pub mod legal_hold;
pub mod run;
pub mod run_event;
pub mod schema_drift;
pub mod schema_event;
pub mod schema_registry;
pub mod schema_transition;
pub mod schema_version;
