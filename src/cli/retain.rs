//! `drr retain`.

use std::sync::Arc;

use clap::Args;

use super::{Common, Failure, database::Database, output, vault};
use crate::{
    audit::archive::{Archivist, Retained},
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

/// Both, or the audit trail alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Everything,
    Audit,
}

pub(super) async fn run(common: &Common, arguments: &Arguments, what: What) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = retain(&settings, &database, arguments.dry_run, what).await;
    database.close().await?;
    result
}

async fn retain(
    settings: &Settings,
    database: &Database,
    dry_run: bool,
    what: What,
) -> Result<(), Failure> {
    let db = opened(settings, database).await?;
    let archivist = archivist(settings, &db)?;
    let now = SystemClock.now();
    if what == What::Everything {
        runs(settings, &db, dry_run).await?;
    }
    let audit = archivist.retain(settings.retention, now, dry_run).await;
    db.close().await;
    told(&audit.map_err(super::explained)?, dry_run);
    Ok(())
}

/// The database of a command, ready and found safe.
pub(super) async fn opened(settings: &Settings, database: &Database) -> Result<Db, Failure> {
    database.prepare(settings).await?;
    let db = Db::new(database.settings(settings));
    safety::verify(&db).await?;
    Ok(db)
}

pub(super) fn archivist(settings: &Settings, db: &Db) -> Result<Archivist, Failure> {
    let (objects, keys) = vault::open(settings)?;
    Ok(Archivist::new(db.clone(), objects, keys, Arc::new(SystemClock)))
}

async fn runs(settings: &Settings, db: &Db, dry_run: bool) -> Result<(), Failure> {
    let now = SystemClock.now();
    let Some(horizon) = settings.retention.horizon(now) else {
        output::line("retention.runs_days is 0: all runs and events are kept");
        return Ok(());
    };
    let old = retention::drop_runs(db, settings.retention, now, dry_run).await?;
    let done = if dry_run { "would drop" } else { "dropped" };
    for partition in &old {
        output::line(format_args!("{done} {} ({} bytes)", partition.name, partition.bytes));
    }
    if old.is_empty() {
        let horizon = horizon.date_naive();
        output::line(format_args!("no month of runs or events lies before {horizon} as a whole"));
    }
    Ok(())
}

fn told(retained: &Retained, dry_run: bool) {
    let (dropped, deleted) = if dry_run {
        ("would archive and drop", "would delete")
    } else {
        ("archived and dropped", "deleted")
    };
    for partition in &retained.dropped {
        output::line(format_args!("{dropped} {partition}"));
    }
    for partition in &retained.held {
        output::line(format_args!("{partition} is kept by a legal hold"));
    }
    for archive in &retained.deleted {
        output::line(format_args!("{deleted} {archive}"));
    }
    if *retained == Retained::default() {
        output::line("no month of the audit trail and no archive is kept too long");
    }
}
