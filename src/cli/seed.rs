//! `drr seed`: deterministic synthetic data, as if its runs had been reported one by one.
//!
//! The same arguments give the same rows whatever the day: nothing depends on the machine's clock
//! but the audit events, which tell the truth about when the rows were made. What there is already
//! is left as it is, so that a second run changes nothing. How the rows come about is in [`tenant`].

mod tenant;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Common, Failure, database::Database, development::Development, output, serve::ToldToEnd,
};
use crate::{
    auth::signing::DevelopmentKey,
    clock::{SharedClock, SystemClock},
    config::{Environment, Settings},
    db::{Db, DbSettings, maintenance, safety},
    telemetry,
};

/// One statement makes at most some 20,000 runs, a few seconds' work on a slow disk.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many tenants: tenant-0001, tenant-0002, …
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=9_999))]
    tenants: u16,
    /// How many datasets in each.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=999_999))]
    datasets: u32,
    /// How many runs of each dataset, one an hour.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    runs: u32,
    /// The instant that the data ends at, in whole seconds; not before 2000, not ahead of now.
    #[arg(long, value_name = "INSTANT", default_value = "2026-01-01T00:00:00Z")]
    as_of: DateTime<Utc>,
    /// Write to the database that the settings name although `environment` says prod.
    #[arg(long)]
    yes_this_is_not_production: bool,
}

/// What there is to make.
#[derive(Debug, Clone, Copy)]
struct Plan {
    datasets: u32,
    runs: u32,
    as_of: DateTime<Utc>,
}

/// What was made.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    datasets: u64,
    runs: u64,
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let clock: SharedClock = Arc::new(SystemClock);
    refuse_production(&settings, &arguments)?;
    check_as_of(arguments.as_of, clock.now())?;
    telemetry::init_log(&settings.log)?;
    let mut told = ToldToEnd::new()?;
    let database = Database::open(&settings).await?;
    let work = seed(&settings, &database, &arguments, clock);
    let result = told.or(&database, work).await;
    database.close().await?;
    result
}

/// A private database is nobody's production. Another one may be, and `prod` is what `environment`
/// says unless somebody set it.
fn refuse_production(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let named = settings.database.url.is_some() && settings.environment == Environment::Prod;
    if named && !arguments.yes_this_is_not_production {
        return Err("synthetic tenants do not belong into production, and database.url is set \
                    while environment is prod: set DRR_ENVIRONMENT to dev or staging, or give \
                    --yes-this-is-not-production"
            .into());
    }
    Ok(())
}

fn check_as_of(as_of: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Failure> {
    let earliest = DateTime::from_timestamp(946_684_800, 0).unwrap_or_default();
    if as_of.trunc_subsecs(0) != as_of || as_of < earliest || as_of > now {
        return Err("--as-of must be in whole seconds, not before 2000 and not ahead of now".into());
    }
    Ok(())
}

async fn seed(
    settings: &Settings,
    database: &Database,
    arguments: &Arguments,
    clock: SharedClock,
) -> Result<(), Failure> {
    database.prepare(settings).await?;
    let db =
        Db::new(DbSettings { statement_timeout: STATEMENT_TIMEOUT, ..database.settings(settings) });
    safety::verify(&db).await?;
    maintenance::ensure_partitions(&db, clock.now()).await?;

    let started = tokio::time::Instant::now();
    let development = Development::new(DevelopmentKey::generate()?, clock.clone());
    let verifier = development.verifier().await?;
    let plan = Plan { datasets: arguments.datasets, runs: arguments.runs, as_of: arguments.as_of };
    let seeder = tenant::Seeder { db: &db, development: &development, verifier: &verifier, clock };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = at_once.min(settings.database.max_connections.try_into()?);
    let made = stream::iter(1..=arguments.tenants)
        .map(|number| seeder.seed(number, plan))
        .buffer_unordered(at_once)
        .try_fold(Made::default(), async |sum, made| {
            Ok(Made { datasets: sum.datasets + made.datasets, runs: sum.runs + made.runs })
        })
        .await?;
    db.close().await;
    output::line(format_args!(
        "seeded {} datasets with {} runs in {} tenants, as of {}, in {:.1} s",
        made.datasets,
        made.runs,
        arguments.tenants,
        arguments.as_of.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        started.elapsed().as_secs_f64(),
    ));
    Ok(())
}

/// How many datasets one statement makes, so that it makes some 20,000 runs.
fn chunk(runs: u32) -> u32 {
    NonZeroU32::new(runs).map_or(1_000, |runs| (20_000 / runs).clamp(1, 1_000))
}
