//! `drr audit tail`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::interval;

use super::{Common, Failure, database::Database, output, serve::ToldToEnd};
use crate::{
    audit::{Event, ocsf, siem::cursor},
    config::Settings,
    db::{Db, operator, safety},
};

/// How often it is looked for more.
const EVERY: Duration = Duration::from_secs(1);
/// Events that are read at once.
const BATCH: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whose trail; `-` is that of calls without a valid token.
    #[arg(long, allow_hyphen_values = true)]
    tenant: String,
    /// How many of the last events to begin with.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    last: u32,
    /// Go on with what comes.
    #[arg(long)]
    follow: bool,
    #[arg(long, value_enum, default_value = "event")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// As the trail has it: the leaf of the ledger.
    Event,
    /// As it is streamed to a SIEM.
    Ocsf,
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let mut told = ToldToEnd::new()?;
    let database = Database::open(&settings).await?;
    let result = told.or(&database, tail(&settings, &database, arguments)).await;
    database.close().await?;
    result
}

async fn tail(
    settings: &Settings,
    database: &Database,
    arguments: &Arguments,
) -> Result<(), Failure> {
    database.prepare(settings).await?;
    let db = Db::new(database.settings(settings));
    safety::verify(&db).await?;
    let done = show(&db, arguments).await;
    db.close().await;
    done
}

async fn show(db: &Db, arguments: &Arguments) -> Result<(), Failure> {
    let known = operator::tenants(db).await?;
    let tenant = known.iter().find(|known| known.tenant().as_str() == arguments.tenant);
    let tenant = tenant.ok_or_else(|| format!("the trail has nothing of {}", arguments.tenant))?;
    let tenant = db.of_due(tenant);
    let (events, mut place) = cursor::last(&tenant.read_trail().await?, arguments.last).await?;
    print(&events, arguments.format);
    if !arguments.follow {
        return Ok(());
    }
    let mut ticks = interval(EVERY);
    loop {
        let tx = tenant.read_trail().await?;
        let (events, last) = cursor::after(&tx, &place, BATCH).await?;
        drop(tx);
        print(&events, arguments.format);
        match last {
            Some(last) => place = last,
            None => {
                ticks.tick().await;
            }
        }
    }
}

fn print(events: &[Event], format: Format) {
    for event in events {
        match format {
            Format::Event => output::line(String::from_utf8_lossy(&event.leaf())),
            Format::Ocsf => output::line(ocsf::api_activity(event)),
        }
    }
}
