//! `drr report`.

use chrono::{Days, NaiveDate};
use clap::{Args, Subcommand, ValueEnum};

use super::{Common, Failure, database::Database, output};
use crate::{
    audit::report::{self, Daily},
    clock::{Clock, SystemClock},
    config::Settings,
    db::{Db, operator, safety},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// What the audit trail says of a day, tenant by tenant.
    Daily(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// The day, in UTC; yesterday unless it is said.
    #[arg(long)]
    date: Option<NaiveDate>,
    /// Of this tenant only; `-` is what came without a valid token.
    #[arg(long, allow_hyphen_values = true)]
    tenant: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// One JSON object for each tenant, a line each.
    Json,
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let Report::Daily(which) = arguments.report;
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = daily(&settings, &database, &which).await;
    database.close().await?;
    result
}

async fn daily(settings: &Settings, database: &Database, which: &Which) -> Result<(), Failure> {
    database.prepare(settings).await?;
    let db = Db::new(database.settings(settings));
    safety::verify(&db).await?;
    let days = days(&db, which).await;
    db.close().await;
    for day in days? {
        match which.format {
            Format::Text => output::line(day),
            Format::Json => output::line(serde_json::to_string(&day)?),
        }
    }
    Ok(())
}

async fn days(db: &Db, which: &Which) -> Result<Vec<Daily>, Failure> {
    let yesterday = SystemClock.now().date_naive().checked_sub_days(Days::new(1));
    let date = which.date.or(yesterday).ok_or("there is no such day")?;
    let mut days = Vec::new();
    for tenant in operator::tenants(db).await? {
        if which.tenant.as_deref().is_some_and(|wanted| wanted != tenant.tenant().as_str()) {
            continue;
        }
        let tx = db.of_due(&tenant).read_trail().await?;
        days.push(report::daily(&tx, tenant.tenant(), date).await?);
    }
    if let (Some(wanted), true) = (&which.tenant, days.is_empty()) {
        return Err(format!("the trail has nothing of a tenant {wanted}").into());
    }
    Ok(days)
}
