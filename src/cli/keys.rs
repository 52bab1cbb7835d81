//! `drr keys rewrap`.

use clap::{Args, Subcommand};

use super::{Common, Failure, output, vault};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Encrypt all data keys with keys.master_key that are encrypted with keys.previous_master_key.
    Rewrap,
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let Action::Rewrap = arguments.action;
    let (_, keys) = vault::open(&common.settings()?)?;
    let rewrapped = keys.rewrap().await?;
    output::line(format_args!("{rewrapped} data keys are encrypted anew"));
    Ok(())
}
