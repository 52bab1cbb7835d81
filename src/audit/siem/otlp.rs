//! Logs of OpenTelemetry, in its JSON over HTTP (OTLP 1): one record for each event, whose body is the
//! event in OCSF.

use serde::{Deserialize, Serialize};

use crate::audit::{Event, model::Ended, ocsf};

/// A request to `/v1/logs`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    resource_logs: [ResourceLogs; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    resource: Resource,
    scope_logs: [ScopeLogs; 1],
}

#[derive(Debug, Serialize)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<Record>,
}

#[derive(Debug, Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Attribute {
    key: &'static str,
    value: Text,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    string_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// In nanoseconds; a number of 64 bits is a text in this JSON.
    time_unix_nano: String,
    observed_time_unix_nano: String,
    severity_number: u8,
    severity_text: &'static str,
    body: Text,
    attributes: Vec<Attribute>,
}

fn attribute(key: &'static str, value: &str) -> Attribute {
    Attribute { key, value: Text { string_value: value.to_owned() } }
}

impl Request {
    /// The request that carries `events`.
    pub(super) fn of(events: &[Event]) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource {
            attributes: vec![
                attribute("service.name", "drr"),
                attribute("service.version", version),
            ],
        };
        let scope = Scope { name: "drr.audit", version };
        let log_records = events.iter().map(record).collect();
        Self {
            resource_logs: [ResourceLogs {
                resource,
                scope_logs: [ScopeLogs { scope, log_records }],
            }],
        }
    }
}

fn record(event: &Event) -> Record {
    // 1677 to 2262; no event is from any other time.
    let time = event.occurred_at.timestamp_nanos_opt().unwrap_or_default().to_string();
    let (severity_number, severity_text) = match event.result.parse() {
        Ok(Ended::Success | Ended::Rejected | Ended::Cancelled) => (9, "INFO"),
        Ok(Ended::Partial | Ended::Denied) => (13, "WARN"),
        Ok(Ended::Failure) | Err(_) => (17, "ERROR"),
    };
    Record {
        time_unix_nano: time.clone(),
        observed_time_unix_nano: time,
        severity_number,
        severity_text,
        body: Text { string_value: ocsf::api_activity(event).to_string() },
        attributes: vec![
            attribute("event.name", &event.action),
            attribute("event.outcome", &event.result),
            attribute("drr.event_id", &event.event_id.to_string()),
            attribute("drr.tenant_id", event.tenant_id.as_str()),
            attribute("drr.correlation_id", &event.correlation_id),
            attribute("user.id", &event.actor_id),
        ],
    }
}

/// What a receiver answers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A text, as the JSON of protocol buffers has it, or a number, as some write it.
    rejected_log_records: serde_json::Value,
}

/// How many records a receiver says that it did not take. They must not be sent again.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer: Answer = serde_json::from_slice(answer).unwrap_or_default();
    let count = answer.partial_success.rejected_log_records;
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_read_in_either_form() {
        for (answer, count) in [
            (r#"{}"#, 0),
            ("", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, 2),
        ] {
            assert_eq!(rejected(answer.as_bytes()), count, "{answer}");
        }
    }
}
