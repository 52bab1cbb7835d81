//! The `drr` program.

fn main() {}
