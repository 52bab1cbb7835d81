//! `drr retain`.

use clap::Args;

use super::{Common, Failure, database::Database, output};
use crate::{
    clock::{Clock, SystemClock},
    config::Settings,
    db::{Db, safety},
    retention,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = retain(&settings, &database, arguments.dry_run).await;
    database.close().await?;
    result
}

async fn retain(settings: &Settings, database: &Database, dry_run: bool) -> Result<(), Failure> {
    database.prepare(settings).await?;
    let db = Db::new(database.settings(settings));
    safety::verify(&db).await?;
    let now = SystemClock.now();
    let Some(horizon) = settings.retention.horizon(now) else {
        output::line("retention.runs_days is 0: everything is kept");
        return Ok(());
    };
    let old = retention::apply(&db, settings.retention, now, dry_run).await;
    db.close().await;
    let done = if dry_run { "would drop" } else { "dropped" };
    let old = old?;
    for partition in &old {
        output::line(format_args!("{done} {} ({} bytes)", partition.name, partition.bytes));
    }
    if old.is_empty() {
        let horizon = horizon.date_naive();
        output::line(format_args!("no month of runs or events lies before {horizon} as a whole"));
    }
    Ok(())
}
