//! `drr migrate up|down|status`.

use clap::{Args, Subcommand};

use super::{Common, Failure, database::Database, output};
use crate::db::maintenance::{self, Direction};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Apply every migration that is pending.
    Up,
    /// Take back the last migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Say which migrations are applied.
    Status,
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = match arguments.action {
        Action::Up => database.migrate(&settings, Direction::Up).await,
        Action::Down { steps } => database.migrate(&settings, Direction::Down(steps)).await,
        Action::Status => status(&database, settings.environment.schema()).await,
    };
    database.close().await?;
    result
}

async fn status(database: &Database, schema: &str) -> Result<(), Failure> {
    for step in maintenance::migration_status(database.owner()?, schema).await? {
        output::line(format_args!(
            "{} {}",
            if step.applied { "applied" } else { "pending" },
            step.name
        ));
    }
    Ok(())
}
