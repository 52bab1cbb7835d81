//! `drr audit export` and `drr audit verify-export`.

use std::{fs::File, io::BufReader, path::PathBuf, sync::Arc};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;

use super::{
    Common, Failure, audit::tenant_named, database::Database, output, retain, serve::signatory,
};
use crate::{
    clock::SystemClock,
    config::Settings,
    db::Db,
    evidence::export::{
        Exporter,
        check::{self, Checked},
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whose events; `-` are those of calls without a tenant.
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    tenant: String,
    /// The first day (UTC) or instant; from the beginning unless it is said.
    #[arg(long, value_parser = instant)]
    since: Option<DateTime<Utc>>,
    /// The first day or instant that is not wanted any more; now unless it is said.
    #[arg(long, value_parser = instant)]
    until: Option<DateTime<Utc>>,
    /// Where the bundle is to be; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Verification {
    /// The bundle.
    file: PathBuf,
    /// The public key of the log (`drr audit key`), got in another way than the bundle.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// The tenant that it is to be of.
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    tenant: Option<String>,
}

/// A day, which is its first instant, or an instant of RFC 3339.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let instant = DateTime::parse_from_rfc3339(text);
    instant.map(Into::into).map_err(|_| "it must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ".to_owned())
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = opened(&settings, &database, arguments).await;
    database.close().await?;
    result
}

async fn opened(
    settings: &Settings,
    database: &Database,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let db = retain::opened(settings, database).await?;
    let result = export(settings, &db, arguments).await;
    db.close().await;
    result
}

async fn export(settings: &Settings, db: &Db, arguments: &Arguments) -> Result<(), Failure> {
    let (signatory, archivist) = (signatory(settings)?.into(), retain::archivist(settings, db)?);
    let tenant = tenant_named(db, &arguments.tenant).await?;
    let exporter = Exporter::new(db.clone(), Arc::new(SystemClock), signatory, archivist);
    let range = (arguments.since, arguments.until);
    let made = exporter.export(&tenant, range, &arguments.out).await?;
    output::line(format_args!("{} events until {}", made.events, made.until.to_rfc3339()));
    for (archive, events) in made.deleted {
        output::line(format_args!("kept no longer: {archive}, of {events} events"));
    }
    Ok(())
}

/// Needs neither settings nor a database.
pub(super) fn verify(arguments: &Verification) -> Result<(), Failure> {
    let file = BufReader::new(File::open(&arguments.file)?);
    let (key, tenant) = (arguments.key.as_deref(), arguments.tenant.as_deref());
    let checked = match check::check(file, key, tenant) {
        Ok(checked) => checked,
        Err(error) => {
            output::line(format_args!("BAD: {error}"));
            return Err("the bundle is not good".into());
        }
    };
    told(&checked);
    if key.is_none() {
        output::line(format_args!(
            "checked with the key in the bundle itself, which shows only that it is of one piece: \
             compare it with the one that is published, or give that as --key\n{}",
            checked.key
        ));
    }
    Ok(())
}

fn told(Checked { manifest, log_size, .. }: &Checked) {
    let since = manifest.since.map_or_else(String::new, |at| format!(" since {}", at.to_rfc3339()));
    output::line(format_args!(
        "good: {} events of {}{since} until {}, in the log {} of {log_size} leaves",
        manifest.events,
        manifest.tenant,
        manifest.until.to_rfc3339(),
        manifest.log,
    ));
    for (archive, events) in &manifest.deleted {
        output::line(format_args!("kept no longer: {archive}, of {events} events"));
    }
}
