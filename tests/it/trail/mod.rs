//! The audit trail as others have it: read by auditors, streamed to a SIEM, exported and reported.

mod reading;
mod report;
mod stream;
