//! `drr audit verify` and `drr audit key`.

use clap::Args;

use super::{
    Common, Failure, database::Database, explained, output, retain, serve::signatory, vault,
};
use crate::{
    auth::TenantId,
    config::Settings,
    db::{Db, operator},
    evidence::{
        publisher,
        verify::{Verified, Verifier},
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only of this tenant; `-` is the log of calls without one.
    #[arg(long, value_name = "CODE")]
    tenant: Option<String>,
}

pub(super) async fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let database = Database::open(&settings).await?;
    let result = checked(&settings, &database, arguments).await;
    database.close().await?;
    result
}

async fn checked(
    settings: &Settings,
    database: &Database,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let db = retain::opened(settings, database).await?;
    let result = each(settings, &db, arguments.tenant.as_deref()).await;
    db.close().await;
    result
}

/// Checks one log after the other; says of each what it is, and fails if one is not good.
async fn each(settings: &Settings, db: &Db, only: Option<&str>) -> Result<(), Failure> {
    let (signatory, objects) = (signatory(settings)?.into(), vault::open(settings)?.0);
    let archivist = retain::archivist(settings, db)?;
    let verifier = Verifier::new(db.clone(), signatory, archivist, settings.retention);
    let (mut good, mut bad) = (0, 0);
    for due in operator::tenants(db).await.map_err(explained)? {
        let tenant = due.tenant();
        if only.is_some_and(|only| only != tenant.as_str()) {
            continue;
        }
        let published = publisher::published(&objects, tenant).await.map_err(explained)?;
        match verifier.verify(&due, published).await {
            Ok(Verified { leaves, archived, gone, published }) => {
                good += 1;
                output::line(format_args!(
                    "{tenant}: good: {leaves} leaves, {archived} of them of events in archives and \
                     {gone} of events that are kept no longer, {published} published checkpoints"
                ));
            }
            Err(error) => {
                bad += 1;
                output::line(format_args!("{tenant}: BAD: {error}"));
            }
        }
    }
    match (good, bad) {
        (_, 1..) => Err(format!("{bad} logs are not good").into()),
        (0, 0) if only.is_some() => Err("there is no such tenant".into()),
        _ => Ok(()),
    }
}

pub(super) fn key(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let tenant = arguments.tenant.as_deref().ok_or("--tenant CODE says of which log")?;
    let signatory = signatory(&common.settings()?)?;
    output::line(signatory.verifier_key(&TenantId::parse_or_none(tenant)?));
    Ok(())
}
