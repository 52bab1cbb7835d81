//! `drr config check`: the effective settings, where each came from, secrets masked.

use clap::{Args, Subcommand};

use super::{Common, Failure, output};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Validate all settings and show them, secrets as `****`.
    Check,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Check => output::line(Settings::check(&common.sources([]))?.trim_end()),
    }
    Ok(())
}
