//! The one place that writes to the terminal.

use std::process::ExitCode;

/// Prints a line of a command's answer to standard output.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(super) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Prints why a command failed to standard error.
#[expect(clippy::print_stderr, reason = "why a command failed goes to standard error")]
pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("drr: {error}");
    ExitCode::FAILURE
}
