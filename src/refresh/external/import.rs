//! Importing what a tool found: each item is one event and one verdict.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use uuid::Uuid;

use super::model::Verdict;
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Coded, Error, Result},
    refresh::{
        model::{Event, JobName},
        openlineage::{self, ParseLimits},
        record::{self, Batch, Recorded},
        report,
    },
};

/// What a tool says of one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The job that loads are runs of.
    pub job: JobName,
    /// The load that it saw: its run, and when that ended.
    pub run: Option<(Uuid, DateTime<Utc>)>,
    /// What it found.
    pub verdict: Verdict,
}

/// Records what a tool found; answers what became of each item, in their order.
///
/// # Errors
/// [`Error::Forbidden`], what `items` answers, or whatever the database does; nothing is recorded
/// then.
pub async fn record<E: Coded>(
    call: &Call,
    operation: Operation,
    items: impl Future<Output = Result<Vec<Result<Item>>, E>> + Send,
) -> Result<Vec<Recorded>, E> {
    let batch = async {
        let read = |(index, item): (usize, Result<Item>)| match item {
            Ok(item) => (event(index, &item, call.now()), Some(item.verdict)),
            Err(error) => (Err(error), None),
        };
        let (events, verdicts) = items.await?.into_iter().enumerate().map(read).unzip();
        Ok::<_, E>(Batch { events, verdicts, told: () })
    };
    let (outcomes, ()) = record::record_with(call, operation, batch).await?;
    Ok(outcomes)
}

/// The event that says what the item does. Where nothing was loaded, it says that there is such a
/// dataset.
fn event(index: usize, item: &Item, now: DateTime<Utc>) -> Result<Event> {
    let dataset = &item.verdict.dataset;
    let event = match item.run {
        Some((run_id, at)) => report::completed(index, run_id, item.job.clone(), dataset, at, now),
        None => {
            let at = item.verdict.snapshotted_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            let name = json!({ "namespace": dataset.namespace(), "name": dataset.name() });
            let event = json!({ "eventTime": at, "dataset": name });
            openlineage::read(index, event, &ParseLimits::at(now))
        }
    };
    event.map_err(|error| Error::bad_input(format!("results.{index}"), error.message))
}
