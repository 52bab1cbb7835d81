//! `drr schema print`: the federation SDL, as `_service` answers it and `schema.graphql` has it.

use clap::{Args, Subcommand};

use super::output;
use crate::graphql::{self, sdl};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Print the SDL of the subgraph.
    Print,
}

pub(super) fn run(arguments: &Arguments) {
    match arguments.action {
        Action::Print => output::line(sdl::sdl(&graphql::subgraph()).trim_end()),
    }
}
