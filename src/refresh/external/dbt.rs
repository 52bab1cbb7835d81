//! dbt's `sources.json`, version 3 of its schema: what `dbt source freshness` found.
//!
//! - A dataset is `<source>.<table>`: the third part of `unique_id`
//!   (`source.<package>.<source>.<table>`) and all that follows it. Where events of other tools name
//!   it otherwise, `<source>.<table>` is to be an alias of the dataset.
//! - `max_loaded_at` is a completed run of the job `dbt source freshness`; its id follows from the
//!   namespace, `unique_id` and `max_loaded_at`, so that a load counts once however often it is seen.
//! - dbt writes year 1 for a table without rows: nothing was ever loaded, and there is no run.
//! - A result with `runtime error` has no times; it was made when the file was.

use chrono::{DateTime, Datelike, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    import::Item,
    model::{Source, Verdict, VerdictStatus},
};
use crate::{
    dataset::model::DatasetName,
    error::{Error, Result},
    refresh::model::JobName,
};

/// The name of the job that a load is a run of.
pub const JOB: &str = "dbt source freshness";
/// The most results of one file.
pub const MAX_RESULTS: usize = 10_000;
/// The longest message that is kept, in characters.
const MAX_MESSAGE_CHARS: usize = 4_096;
/// The namespace of the ids of runs (RFC 9562 §6.6).
const RUN_IDS: Uuid = Uuid::from_u128(0x0b1f_6a5e_4d1c_5c0e_9a36_3f0d_5b7c_92e1);

/// Reads a file; what is wrong with one result is in its place.
///
/// # Errors
/// [`Error::BadUserInput`] if it is no such file, [`Error::LimitExceeded`] for too many results.
pub fn read(body: &[u8], namespace: &str) -> Result<Vec<Result<Item>>> {
    let file: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad_input("body", format!("is not JSON: {error}")))?;
    let version = file.pointer("/metadata/dbt_schema_version").and_then(Value::as_str);
    if !version.is_some_and(|version| version.ends_with("/dbt/sources/v3.json")) {
        let message = "must be that of dbt's sources.json, version 3";
        return Err(Error::bad_input("metadata.dbt_schema_version", message));
    }
    let generated_at = instant(file.pointer("/metadata/generated_at"), "metadata.generated_at")?
        .ok_or_else(|| Error::bad_input("metadata.generated_at", "is required"))?;
    let results = file.get("results").and_then(Value::as_array);
    let results = results.ok_or_else(|| Error::bad_input("results", "must be an array"))?;
    if results.len() > MAX_RESULTS {
        let maximum = u64::try_from(MAX_RESULTS).unwrap_or(u64::MAX);
        return Err(Error::LimitExceeded { limit: "results of one file", maximum });
    }
    let item = |(index, result): (usize, &Value)| {
        let read = item(result, namespace, generated_at);
        read.map_err(|error| match error {
            Error::BadUserInput { field, message } => {
                Error::bad_input(format!("results.{index}.{field}"), message)
            }
            other => other,
        })
    };
    Ok(results.iter().enumerate().map(item).collect())
}

fn item(result: &Value, namespace: &str, generated_at: DateTime<Utc>) -> Result<Item> {
    let none = Map::new();
    let result = result.as_object().unwrap_or(&none);
    let unique_id = text(result, "unique_id")?;
    let unique_id = unique_id.ok_or_else(|| Error::bad_input("unique_id", "is required"))?;
    let name = match unique_id.splitn(4, '.').collect::<Vec<_>>().as_slice() {
        ["source", _, source, table] => format!("{source}.{table}"),
        _ => {
            return Err(Error::bad_input("unique_id", "must be source.<package>.<source>.<table>"));
        }
    };
    let dataset = DatasetName::parse(namespace, name)?;
    let status = match text(result, "status")? {
        Some("pass") => VerdictStatus::Pass,
        Some("warn") => VerdictStatus::Warn,
        Some("error") => VerdictStatus::Error,
        Some("runtime error") => VerdictStatus::RuntimeError,
        _ => {
            let message = "must be one of pass, warn, error, runtime error";
            return Err(Error::bad_input("status", message));
        }
    };
    let loaded = instant(result.get("max_loaded_at"), "max_loaded_at")?;
    // Year 1 stands for a table without rows.
    let max_loaded_at = loaded.filter(|at| at.year() > 1);
    let snapshotted_at = instant(result.get("snapshotted_at"), "snapshotted_at")?;
    let tells = status != VerdictStatus::RuntimeError;
    if tells && (loaded.is_none() || snapshotted_at.is_none()) {
        return Err(Error::bad_input("max_loaded_at", "is required, and snapshotted_at as well"));
    }
    let criteria = result.get("criteria").and_then(Value::as_object).unwrap_or(&none);
    let verdict = Verdict {
        source: Source::Dbt,
        status,
        warn_after_seconds: limit(criteria, "warn_after")?,
        error_after_seconds: limit(criteria, "error_after")?,
        filter: text(criteria, "filter")?.map(cut),
        max_loaded_at,
        snapshotted_at: snapshotted_at.unwrap_or(generated_at),
        message: result.get("error").filter(|error| !error.is_null()).map(message),
        dataset,
    };
    let run = verdict.max_loaded_at.map(|at| {
        let name = format!("{namespace}\n{unique_id}\n{}", at.timestamp_micros());
        (Uuid::new_v5(&RUN_IDS, name.as_bytes()), at)
    });
    Ok(Item { job: JobName::parse(namespace, JOB)?, run, verdict })
}

fn text<'v>(of: &'v Map<String, Value>, name: &'static str) -> Result<Option<&'v str>> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text)),
        Some(_) => Err(Error::bad_input(name, "must be a text without U+0000")),
    }
}

fn instant(value: Option<&Value>, field: &'static str) -> Result<Option<DateTime<Utc>>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let read = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let micros = read.map(|at| at.timestamp_micros()).and_then(DateTime::from_timestamp_micros);
    let possible = micros.filter(|at| (1..=9_999).contains(&at.year()));
    let message = "must be a time such as 2026-01-31T12:00:00.000000Z";
    possible.map(Some).ok_or_else(|| Error::bad_input(field, message))
}

/// The seconds of `{"count": 12, "period": "hour"}`.
fn limit(criteria: &Map<String, Value>, name: &'static str) -> Result<Option<i64>> {
    let Some(limit) = criteria.get(name).and_then(Value::as_object) else { return Ok(None) };
    let (count, period) = (limit.get("count"), limit.get("period"));
    let period = match period.and_then(Value::as_str) {
        Some("minute") => Some(60),
        Some("hour") => Some(3_600),
        Some("day") => Some(86_400),
        _ => None,
    };
    let Some(count) = count.filter(|count| !count.is_null()) else { return Ok(None) };
    let seconds = count.as_i64().filter(|count| *count >= 0);
    let seconds = seconds.and_then(|count| count.checked_mul(period?));
    let message = "must be a count of minute, hour or day";
    seconds.map(Some).ok_or_else(|| Error::bad_input(format!("criteria.{name}"), message))
}

fn message(error: &Value) -> String {
    cut(error.as_str().map_or_else(|| error.to_string(), str::to_owned).as_str())
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| *char != '\0').take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests;
