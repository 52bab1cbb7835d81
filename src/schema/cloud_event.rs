//! What happened to schemas as it leaves the service: an event of CloudEvents 1.0, in its JSON format. // S7

use chrono::{DateTime, SecondsFormat, Utc};
use entity::schema_event;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::TenantId;

/// The media type of one event.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// An event. Its members are those of the specification, and three extensions.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'e> {
    specversion: &'static str,
    /// The same whenever the event is sent again.
    id: Uuid,
    source: String,
    r#type: String,
    /// The version, or the schema, that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(serialize_with = "instant")]
    time: DateTime<Utc>,
    datacontenttype: &'static str,
    /// The extension `sequence`: its text is ordered as the events of the source are.
    sequence: String,
    correlationid: &'e str,
    actorid: &'e str,
    data: &'e Value,
}

fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

impl<'e> CloudEvent<'e> {
    /// A stored event of `tenant`.
    #[must_use]
    pub fn of(tenant: &TenantId, event: &'e schema_event::Model) -> Self {
        let schema = event.data.get("schema").and_then(Value::as_str);
        Self {
            specversion: "1.0",
            id: event.event_id,
            source: format!("urn:drr:tenant:{tenant}"),
            r#type: format!("drr.{}", event.event_type),
            subject: schema.map(|schema| match event.number {
                Some(number) => format!("{schema}@{number}"),
                None => schema.to_owned(),
            }),
            time: event.occurred_at,
            datacontenttype: "application/json",
            // As many digits as the highest number has.
            sequence: format!("{:019}", event.sequence),
            correlationid: &event.correlation_id,
            actorid: &event.actor_id,
            data: &event.data,
        }
    }

    /// It as JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`] for what JSON cannot say.
    pub fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_members_of_the_specification_and_is_about_what_it_says() {
        let mut event = schema_event::Model {
            tenant_id: "acme".to_owned(),
            sequence: 12,
            event_id: Uuid::nil(),
            event_type: "schema_transition.approved".to_owned(),
            schema_id: None,
            number: Some(3),
            actor_id: "somebody".to_owned(),
            correlation_id: "c-1".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
            data: serde_json::json!({ "schema": "tenant.acme.sales.Order", "kind": "ACTIVATE" }),
        };
        let tenant = TenantId::parse("acme").unwrap();
        let json = |event: &schema_event::Model| {
            let json = CloudEvent::of(&tenant, event).json().unwrap();
            serde_json::from_slice::<Value>(&json).unwrap()
        };
        let expected = serde_json::json!({
            "specversion": "1.0",
            "id": "00000000-0000-0000-0000-000000000000",
            "source": "urn:drr:tenant:acme",
            "type": "drr.schema_transition.approved",
            "subject": "tenant.acme.sales.Order@3",
            "time": "1970-01-01T00:00:00.000000Z",
            "datacontenttype": "application/json",
            "sequence": "0000000000000000012",
            "correlationid": "c-1",
            "actorid": "somebody",
            "data": { "schema": "tenant.acme.sales.Order", "kind": "ACTIVATE" },
        });
        assert_eq!(json(&event), expected);
        event.number = None;
        assert_eq!(json(&event)["subject"], "tenant.acme.sales.Order");
        event.data = Value::Null;
        assert_eq!(json(&event).get("subject"), None);
    }
}
