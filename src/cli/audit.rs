//! `drr audit`: the check of the trail, the end of its months, their archives, and what holds them.

use std::io::{Write, stdout};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Common, Failure, database::Database, explained, export, output, retain, tail, verify};
use crate::{
    audit::{
        archive::Archivist,
        hold::{self, Order},
    },
    auth::TenantId,
    clock::SystemClock,
    config::Settings,
    db::{
        Db,
        operator::{self, DueTenant},
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the trail against the evidence ledger, and that against what was signed and published.
    Verify(verify::Arguments),
    /// Show the public key of a tenant's log, as verifiers of signed notes take it.
    Key(verify::Arguments),
    /// Put a tenant's events into a bundle that anybody can check.
    Export(export::Arguments),
    /// Check such a bundle; needs nothing else.
    VerifyExport(export::Verification),
    /// Archive and drop the months that are kept no longer, and delete archives that are not.
    Retain(retain::Arguments),
    /// Show the last events of a trail, and go on with what comes.
    Tail(tail::Arguments),
    /// Look into archives.
    #[command(subcommand)]
    Archive(Archive),
    /// Keep events from being dropped and archives from being deleted.
    #[command(subcommand)]
    Hold(Hold),
}

/// What is done with what is kept.
enum Kept {
    Archive(Archive),
    Hold(Hold),
}

#[derive(Debug, Subcommand)]
enum Archive {
    /// List the archives that are there.
    Show,
    /// Write an archive's events to standard output, one a line, after it was found whole.
    Fetch {
        /// Its name, as `show` says it.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Hold {
    /// Place one.
    Place {
        #[command(flatten)]
        whose: Whose,
        /// The first day that is held; from the beginning unless it is said.
        #[arg(long)]
        from: Option<NaiveDate>,
        /// The first day that is not held any more; without an end unless it is said.
        #[arg(long)]
        until: Option<NaiveDate>,
        #[command(flatten)]
        order: Ordered,
    },
    /// Release one; it stays on record.
    Release {
        /// Its name.
        hold: Uuid,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        order: Ordered,
    },
    /// List all, those that are released too.
    List,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The tenant whose events it is about.
    #[arg(long)]
    tenant: Option<String>,
    /// The events of all tenants, and those of calls without one.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct Ordered {
    /// Why.
    #[arg(long)]
    reason: String,
    /// Who says so: an identifier, no address.
    #[arg(long)]
    by: String,
}

impl Ordered {
    fn order(&self) -> Result<Order, Failure> {
        Ok(Order::new(&self.reason, &self.by)?)
    }
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let action = match arguments.action {
        Action::Retain(arguments) => {
            return retain::run(common, &arguments, retain::What::Audit).await;
        }
        Action::Tail(arguments) => return tail::run(common, &arguments).await,
        Action::Verify(arguments) => return verify::run(common, &arguments).await,
        Action::Export(arguments) => return export::run(common, &arguments).await,
        Action::VerifyExport(arguments) => return export::verify(&arguments),
        Action::Key(arguments) => return verify::key(common, &arguments),
        Action::Archive(action) => Kept::Archive(action),
        Action::Hold(action) => Kept::Hold(action),
    };
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = with(&settings, &database, action).await;
    database.close().await?;
    result
}

async fn with(settings: &Settings, database: &Database, action: Kept) -> Result<(), Failure> {
    let db = retain::opened(settings, database).await?;
    let done = match action {
        Kept::Archive(action) => archive(&retain::archivist(settings, &db)?, action).await,
        Kept::Hold(action) => holds(&db, action).await,
    };
    db.close().await;
    done
}

async fn archive(archivist: &Archivist, action: Archive) -> Result<(), Failure> {
    let archives = archivist.archives().await.map_err(explained)?;
    match action {
        Archive::Show => {
            for archive in archives.iter().flat_map(|(_, archives)| archives) {
                output::line(format_args!(
                    "{} {} events {} to {} ({} bytes)",
                    archive.object,
                    archive.events,
                    archive.first_at.to_rfc3339(),
                    archive.last_at.to_rfc3339(),
                    archive.object_bytes,
                ));
            }
            Ok(())
        }
        Archive::Fetch { name } => {
            let found = archives.iter().find_map(|(tenant, archives)| {
                Some((tenant, archives.iter().find(|archive| archive.object == name)?))
            });
            let (tenant, archive) = found.ok_or_else(|| format!("there is no archive {name}"))?;
            let lines = archivist.lines(tenant.tenant(), archive).await.map_err(explained)?;
            stdout().write_all(&lines)?;
            Ok(())
        }
    }
}

async fn holds(db: &Db, action: Hold) -> Result<(), Failure> {
    match action {
        Hold::Place { whose, from, until, order } => {
            let tenant = named(db, &whose).await?;
            let day = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
            let held = (
                from.map_or(DateTime::UNIX_EPOCH, day),
                // What PostgreSQL can store.
                until.map_or_else(
                    || day(NaiveDate::from_ymd_opt(9999, 1, 1).unwrap_or_default()),
                    day,
                ),
            );
            let placed = hold::place(db, &tenant, held, &order.order()?, &SystemClock).await;
            output::line(placed.map_err(explained)?);
        }
        Hold::Release { hold, whose, order } => {
            let tenant = named(db, &whose).await?;
            let released = hold::release(db, &tenant, hold, &order.order()?, &SystemClock).await;
            released.map_err(explained)?;
        }
        Hold::List => {
            let mut tenants = operator::tenants(db).await.map_err(explained)?;
            tenants.retain(|tenant| *tenant.tenant() != TenantId::none());
            tenants.insert(0, DueTenant::none());
            for tenant in tenants {
                for hold in hold::of_tenant(db, &tenant).await.map_err(explained)? {
                    output::line(told(&tenant, &hold));
                }
            }
        }
    }
    Ok(())
}

async fn named(db: &Db, whose: &Whose) -> Result<DueTenant, Failure> {
    match &whose.tenant {
        Some(code) => tenant_named(db, code).await,
        None => Ok(DueTenant::none()),
    }
}

pub(super) async fn tenant_named(db: &Db, code: &str) -> Result<DueTenant, Failure> {
    let tenants = operator::tenants(db).await.map_err(explained)?;
    let found = tenants.into_iter().find(|tenant| tenant.tenant().as_str() == code);
    Ok(found.ok_or_else(|| format!("there is no tenant {code}"))?)
}

fn told(tenant: &DueTenant, hold: &hold::Hold) -> String {
    let all = *tenant.tenant() == TenantId::none();
    let whose = if all { "all tenants" } else { tenant.tenant().as_str() };
    let date = |instant: DateTime<Utc>| instant.format("%Y-%m-%d").to_string();
    let mut line = format!(
        "{} {whose} from {} until {}, placed {} by {}: {}",
        hold.hold_id,
        date(hold.held_from),
        date(hold.held_until),
        hold.recorded_at.to_rfc3339(),
        hold.actor_id,
        hold.reason,
    );
    if let (Some(at), Some(by), Some(why)) =
        (hold.released_at, &hold.released_by, &hold.released_for)
    {
        line += &format!("; released {} by {by}: {why}", at.to_rfc3339());
    }
    line
}
