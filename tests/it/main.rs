//! One binary for every integration test; see `app.rs`.

#[cfg(test)]
mod embedded;
