//! `drr schema print`: the federation SDL, as `_service` answers it and `schema.graphql` has it.
//! `drr schema replay`: has events delivered again.
//! `drr schema check` and `drr schema compare`: what can be said of schemas without a registry, for whoever
//! changes one and wants to know before anybody else does.
//! `drr schema verify` and `drr schema revalidate`: what the registry has stored, checked. // S18

use std::{fs, path::PathBuf};

use chrono::TimeDelta;
use clap::{Args, Subcommand};

use super::{
    Common, Failure, audit::tenant_named, database::Database, explained, output, retain, vault,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Settings,
    db::{Db, operator},
    graphql::{self, sdl},
    keys::Sealed,
    schema::{
        delivery::SINKS,
        model::{
            format::{Format, Schema},
            verdict::Verdict,
        },
        replay,
        verify::{self, Checked, Fault},
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the SDL of the subgraph.
    Print,
    /// Say what is wrong with a schema, or with payloads of it.
    Check(Check),
    /// Say whether one schema reads what was written with another, and what differs.
    Compare(Compare),
    /// Check every stored version against its hash, its approval and the audit trail.
    Verify(Tenants),
    /// Read every version in use, and compare it again with those before it.
    Revalidate(Tenants),
    /// Have events of a tenant's schemas delivered again.
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Tenants {
    /// Only of this tenant.
    #[arg(long, value_name = "CODE")]
    tenant: Option<String>,
}

#[derive(Debug, Args)]
struct Replay {
    /// To whom: file, webhook or redis.
    #[arg(value_parser = SINKS)]
    sink: String,
    /// Whose events.
    #[arg(long, value_name = "CODE")]
    tenant: String,
    /// The number of the event after which they begin; 0 for all.
    #[arg(long, value_name = "N")]
    after: i64,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    of: Of,
    /// The schema.
    schema: PathBuf,
    /// Payloads as JSON, one in each file.
    payloads: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Compare {
    #[command(flatten)]
    of: Of,
    /// The schema that reads.
    reader: PathBuf,
    /// The schema that wrote.
    writer: PathBuf,
}

#[derive(Debug, Args)]
struct Of {
    /// AVRO, JSON or PROTOBUF.
    #[arg(long, value_parser = format)]
    format: Format,
    /// A schema that is referred to, by the name that it is referred to by: NAME=FILE.
    #[arg(long = "reference", value_parser = reference)]
    references: Vec<(String, PathBuf)>,
}

fn format(text: &str) -> Result<Format, String> {
    text.to_ascii_uppercase().parse().map_err(|_| "it is AVRO, JSON or PROTOBUF".to_owned())
}

fn reference(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("it is NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

impl Of {
    fn references(&self) -> Result<Vec<(String, String)>, Failure> {
        self.references.iter().map(|(name, file)| Ok((name.clone(), read(file)?))).collect()
    }

    fn schema(&self, file: &PathBuf) -> Result<Schema, Failure> {
        Schema::parse(self.format, &read(file)?, &self.references()?).map_err(|violations| {
            for violation in violations {
                output::line(format_args!("{}: {violation}", file.display()));
            }
            format!("{} is no schema of {}", file.display(), self.format).into()
        })
    }
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Print => {
            output::line(sdl::sdl(&graphql::subgraph()).trim_end());
            Ok(())
        }
        Action::Check(arguments) => check(arguments),
        Action::Compare(arguments) => compare(arguments),
        Action::Verify(arguments) => stored(common, Kept::Checked(arguments, Stored::Verify)).await,
        Action::Revalidate(arguments) => {
            stored(common, Kept::Checked(arguments, Stored::Revalidate)).await
        }
        Action::Replay(arguments) => stored(common, Kept::Replayed(arguments)).await,
    }
}

/// What is checked of what is stored.
#[derive(Debug, Clone, Copy)]
enum Stored {
    Verify,
    Revalidate,
}

/// What is done with what the registry has.
#[derive(Debug, Clone, Copy)]
enum Kept<'a> {
    Checked(&'a Tenants, Stored),
    Replayed(&'a Replay),
}

async fn stored(common: &Common, what: Kept<'_>) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = opened(&settings, &database, what).await;
    database.close().await?;
    result
}

async fn opened(settings: &Settings, database: &Database, what: Kept<'_>) -> Result<(), Failure> {
    let db = retain::opened(settings, database).await?;
    let result = match what {
        Kept::Checked(arguments, what) => {
            each(settings, &db, arguments.tenant.as_deref(), what).await
        }
        Kept::Replayed(arguments) => replayed(&db, arguments).await,
    };
    db.close().await;
    result
}

/// Checks one tenant after the other; says of each what is so, and fails if something is not as it should be.
async fn each(
    settings: &Settings,
    db: &Db,
    only: Option<&str>,
    what: Stored,
) -> Result<(), Failure> {
    let (objects, keys) = vault::open(settings)?;
    let sealed = Sealed::new(objects, keys);
    let kept = TimeDelta::days(settings.retention.schema_audit_days.into());
    let kept_since = SystemClock.now() - kept;
    let (mut tenants, mut bad) = (0, 0);
    for due in operator::tenants(db).await.map_err(explained)? {
        let tenant = due.tenant();
        if only.is_some_and(|only| only != tenant.as_str()) {
            continue;
        }
        tenants += 1;
        let tenant_db = db.of_due(&due);
        let (told, faults) = match what {
            Stored::Verify => {
                let verified = verify::verify(&tenant_db, tenant, &sealed, kept_since).await;
                let (Checked { versions, approvals, sequenced }, faults) =
                    verified.map_err(explained)?;
                let told = format!(
                    "{versions} versions, {approvals} approvals in the trail, {sequenced} of them in the ledger"
                );
                (told, faults)
            }
            Stored::Revalidate => {
                let (versions, faults) =
                    verify::revalidate(&tenant_db, tenant, &sealed).await.map_err(explained)?;
                (format!("{versions} versions in use"), faults)
            }
        };
        output::line(format_args!("{tenant}: {told}, {} not as they should be", faults.len()));
        for Fault { version, message } in &faults {
            output::line(format_args!("{tenant}: BAD: {version}: {message}"));
        }
        bad += faults.len();
    }
    match (tenants, bad) {
        (_, 1..) => Err(format!("{bad} versions are not as they should be").into()),
        (0, 0) if only.is_some() => Err("there is no such tenant".into()),
        _ => Ok(()),
    }
}

async fn replayed(db: &Db, Replay { sink, tenant, after }: &Replay) -> Result<(), Failure> {
    let tenant = tenant_named(db, tenant).await?;
    let reached = replay::replay(db, &tenant, sink, *after, &SystemClock).await;
    let reached = reached.map_err(explained)?;
    output::line(format_args!("{sink} is sent events {} to {reached} again", after + 1));
    Ok(())
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let schema = arguments.of.schema(&arguments.schema)?;
    let mut wrong = 0;
    for file in &arguments.payloads {
        let payload = serde_json::from_str(&read(file)?);
        let payload = payload.map_err(|error| format!("{}: {error}", file.display()))?;
        let violations = schema.violations(&payload);
        wrong += usize::from(!violations.is_empty());
        for violation in violations {
            output::line(format_args!("{}: {violation}", file.display()));
        }
    }
    match wrong {
        0 => Ok(()),
        wrong => Err(format!("{wrong} of {} payloads violate it", arguments.payloads.len()).into()),
    }
}

fn compare(arguments: &Compare) -> Result<(), Failure> {
    let (reader, writer) =
        (arguments.of.schema(&arguments.reader)?, arguments.of.schema(&arguments.writer)?);
    let comparison = reader.reads(&writer)?;
    for difference in &comparison.differences {
        output::line(format_args!(
            "{:<12} {} {}: {}",
            difference.verdict.as_str(),
            difference.rule,
            difference.path,
            difference.message,
        ));
    }
    let verdict = comparison.verdict();
    output::line(verdict.as_str());
    match verdict {
        Verdict::Compatible => Ok(()),
        Verdict::Unknown => Err("whether it can be read is not known".into()),
        Verdict::Incompatible => Err("not everything that is written can be read".into()),
    }
}
