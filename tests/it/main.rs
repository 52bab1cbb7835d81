//! One binary for every integration test; see `app.rs`.
