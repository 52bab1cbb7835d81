//! What the database answers, as an [`Error`]: one mapping.

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::error::Error;

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if sqlstate(&error).as_deref() == Some(INSUFFICIENT_PRIVILEGE) {
            metrics::counter!("drr_rls_anomalies_total").increment(1);
        }
        match &error {
            DbErr::ConnectionAcquire(_) => Self::unavailable(error),
            DbErr::Conn(RuntimeErr::SqlxError(source))
            | DbErr::Exec(RuntimeErr::SqlxError(source))
            | DbErr::Query(RuntimeErr::SqlxError(source))
                if is_unavailable(source) =>
            {
                Self::unavailable(error)
            }
            _ => Self::internal(error),
        }
    }
}

/// What row-level security and the grants answer to a query that none of ours should be. // D49
const INSUFFICIENT_PRIVILEGE: &str = "42501";

fn sqlstate(error: &DbErr) -> Option<std::borrow::Cow<'_, str>> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(source))
        | DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => source.as_database_error()?.code(),
        _ => None,
    }
}

/// The same for what the door itself asks of the database.
pub(super) fn mapped(error: SqlxError) -> Error {
    if is_unavailable(&error) { Error::unavailable(error) } else { Error::internal(error) }
}

/// Whether trying again later may help: the server is away, is ending, or has no connection left,
/// or the statement was cut off by its deadline or lost a deadlock.
pub(super) fn is_unavailable(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed => true,
        SqlxError::Database(database) => database.code().is_some_and(|code| {
            // 08 connection exceptions, 53 insufficient resources, 57P0x shutdown and 57014 query
            // cancelled, 40001 and 40P01 lost races.
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P0")
                || matches!(code.as_ref(), "57014" | "40001" | "40P01")
        }),
        _ => false,
    }
}
