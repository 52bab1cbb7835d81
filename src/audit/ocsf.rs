//! An event in the form of the Open Cybersecurity Schema Framework, 1.3.0: class API Activity (6003).
//!
//! A pure function of the event: the same event is the same bytes, whenever and however often it is
//! told. What the class has no place for stands in `unmapped`.

use serde_json::{Map, Value, json};

use super::model::{Ended, Event, NOBODY};

/// The version of the schema.
pub const VERSION: &str = "1.3.0";
const CATEGORY: (u32, &str) = (6, "Application Activity");
const CLASS: (u32, &str) = (6003, "API Activity");
/// The actors that are parts of the program.
const OWN: &str = "drr:";

/// The event as an object of the class.
#[must_use]
pub fn api_activity(event: &Event) -> Value {
    let (activity_id, activity) = activity(&event.action);
    let (status_id, status) = status(&event.result);
    let (severity_id, severity) = severity(&event.result);
    let time = event.occurred_at.timestamp_millis();
    let mut said = json!({
        "activity_id": activity_id,
        "activity_name": activity,
        "actor": { "user": user(&event.actor_id) },
        "api": api(event),
        "category_name": CATEGORY.1,
        "category_uid": CATEGORY.0,
        "class_name": CLASS.1,
        "class_uid": CLASS.0,
        "message": format!("{} {} {}", event.actor_id, event.action, event.result),
        "metadata": {
            "correlation_uid": event.correlation_id,
            "event_code": event.action,
            "log_name": "audit",
            "original_time": event.occurred_at.to_rfc3339(),
            "product": {
                "name": "drr",
                "vendor_name": "drr",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "tenant_uid": event.tenant_id.as_str(),
            "uid": event.event_id,
            "version": VERSION,
        },
        "resources": resources(event),
        "severity": severity,
        "severity_id": severity_id,
        "src_endpoint": { "svc_name": event.interface.as_deref().unwrap_or("drr") },
        "status": status,
        "status_detail": event.result,
        "status_id": status_id,
        "time": time,
        "type_name": format!("{}: {activity}", CLASS.1),
        "type_uid": CLASS.0 * 100 + activity_id,
        "unmapped": unmapped(event),
    });
    let members = [
        ("count", (event.calls > 1).then(|| event.calls.into())),
        ("duration", event.duration_us.map(|us| (us / 1_000).into())),
        ("status_code", event.error_code.as_deref().map(Value::from)),
    ];
    if let Value::Object(said) = &mut said {
        said.extend(present(members));
    }
    said
}

/// The members that are there.
fn present<const N: usize>(
    members: [(&str, Option<Value>); N],
) -> impl Iterator<Item = (String, Value)> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

fn user(actor: &str) -> Value {
    // An actor is a subject that says nothing of itself; only the program's own parts are known.
    if actor.starts_with(OWN) && actor != NOBODY {
        json!({ "uid": actor, "type_id": 3, "type": "System" })
    } else {
        json!({ "uid": actor, "type_id": 0, "type": "Unknown" })
    }
}

fn api(event: &Event) -> Value {
    let mut api = json!({ "operation": event.action, "service": { "name": "drr" } });
    let members = [
        ("request", event.call_id.map(|id| json!({ "uid": id }))),
        ("response", event.error_code.as_deref().map(|code| json!({ "error": code }))),
    ];
    if let Value::Object(api) = &mut api {
        api.extend(present(members));
    }
    api
}

fn resources(event: &Event) -> Value {
    let dataset = event.dataset_id.map(|id| json!({ "type": "dataset", "uid": id }));
    let other = event.resource.as_deref().map(|name| {
        let kind = name.split_once(':').map_or("resource", |(kind, _)| kind);
        json!({ "type": kind, "name": name })
    });
    dataset.into_iter().chain(other).collect()
}

fn unmapped(event: &Event) -> Map<String, Value> {
    let hash = |hash: &Option<Vec<u8>>| hash.as_deref().map(hex::encode).map(Value::from);
    let members = [
        ("also", (!event.also.is_empty()).then(|| json!(event.also))),
        ("calls", Some(event.calls.into())),
        ("class", Some(event.class.as_str().into())),
        ("document_hash", hash(&event.document_hash)),
        ("duration_us", event.duration_us.map(Value::from)),
        ("operation_name", event.operation_name.as_deref().map(Value::from)),
        ("result", Some(event.result.as_ref().into())),
        ("row_count", event.row_count.map(Value::from)),
        ("token_hash", hash(&event.token_hash)),
    ];
    present(members).collect()
}

/// What sort of call it was, by the verb of its action.
fn activity(action: &str) -> (u32, &str) {
    let verb = action.rsplit('.').next().unwrap_or_default();
    match verb {
        "register" | "record" | "ingest" | "import" | "open" => (1, "Create"),
        "read" | "introspect" | "compose" => (2, "Read"),
        "update" | "set" | "set_for_selector" | "acknowledge" | "mute" | "escalate" | "resolve" => {
            (3, "Update")
        }
        "retire" | "remove" => (4, "Delete"),
        _ => (99, action),
    }
}

fn status(result: &str) -> (u32, &str) {
    match result.parse() {
        Ok(Ended::Success) => (1, "Success"),
        Ok(Ended::Denied | Ended::Rejected | Ended::Failure) => (2, "Failure"),
        Ok(Ended::Partial | Ended::Cancelled) => (99, result),
        Err(_) => (0, "Unknown"),
    }
}

/// How much it should move whoever watches.
fn severity(result: &str) -> (u32, &'static str) {
    match result.parse() {
        Ok(Ended::Success | Ended::Rejected | Ended::Cancelled) => (1, "Informational"),
        Ok(Ended::Partial) => (2, "Low"),
        Ok(Ended::Denied | Ended::Failure) => (3, "Medium"),
        Err(_) => (0, "Unknown"),
    }
}

#[cfg(test)]
mod tests;
