//! Has events of schemas delivered again: sets the cursor of a sink back. // S7

use super::delivery;
use crate::{
    audit::{Deed, OwnEntry, OwnTask, append_own},
    clock::Clock,
    db::{Db, operator::DueTenant},
    error::{Error, Result},
};

const BACK: &str = "UPDATE schema_event_cursor SET sequence = $2 WHERE sink = $1";

/// Sets a sink's cursor back to the event with this number: all later ones are delivered again. Answers where the
/// cursor was.
///
/// # Errors
/// [`Error::BadUserInput`] if the sink has not come as far, or whatever the database answers.
pub async fn replay(
    db: &Db,
    tenant: &DueTenant,
    sink: &str,
    after: i64,
    clock: &dyn Clock,
) -> Result<i64> {
    let tx = db.of_due(tenant).repeat().await?;
    let reached = delivery::reached(&tx, sink).await?;
    if !(0..=reached).contains(&after) {
        let wrong = format!("is not between 0 and {reached}, the last event that the sink has");
        return Err(Error::bad_input("after", wrong));
    }
    tx.execute_sql(BACK, [sink.into(), after.into()]).await?;
    let resource = Some(format!("sink:{sink} after:{after} reached:{reached}"));
    let entry = OwnEntry { deed: Deed::SchemaEventsReplay, dataset_id: None, resource };
    append_own(&tx, &OwnTask::replayer(clock, clock.now()), &[entry]).await?;
    tx.commit().await?;
    Ok(reached)
}
