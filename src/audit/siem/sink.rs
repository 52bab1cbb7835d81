//! Where events go.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Client, Response, Url, header};

use super::{cursor, otlp};
use crate::{
    audit::{Event, ocsf},
    auth::TenantId,
    clock::SharedClock,
    config::Secret,
    db::{
        Db, TenantDb,
        operator::{self, DueTenant},
    },
    error::Result as Answer,
    outbound::{self, DeliveryError, OutboundError},
    streaming::{Handed, Outlet, SinkError, file},
};

/// Events that are handed over at once.
const BATCH: u32 = 500;
/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer of a receiver that is looked at, in bytes.
const ANSWER_BYTES: usize = 64 * 1_024;
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// One of them.
#[derive(Debug)]
pub enum Sink {
    /// A file, a line for each event.
    File(PathBuf),
    /// A receiver of batches: a line for each event.
    Http(Receiver),
    /// A receiver of OpenTelemetry's logs.
    Otlp(Receiver),
}

/// Somebody who is asked over HTTP to take events.
#[derive(Debug)]
pub struct Receiver {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

impl Receiver {
    /// A receiver at `address`, `https` or on this machine, that may want a bearer token.
    ///
    /// # Errors
    /// [`OutboundError`] for any other address.
    pub fn new(address: &str, token: Option<Secret>) -> Result<Self, OutboundError> {
        let (client, url) = outbound::client(address, TIMEOUT)?;
        Ok(Self { client, url, token })
    }

    async fn post(&self, kind: &str, body: Vec<u8>) -> Result<Response, DeliveryError> {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, kind);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        outbound::taken(request.body(body)).await
    }
}

impl Sink {
    /// Hands `events` over; they are the sink's when it returns. Answers how many of them it refused for
    /// good.
    async fn take(&self, events: &[Event]) -> Result<u64, SinkError> {
        match self {
            Self::File(path) => file::append(path.clone(), lines(events)?).await?,
            Self::Http(receiver) => {
                receiver.post(NDJSON, lines(events)?).await?;
            }
            Self::Otlp(receiver) => {
                let body = serde_json::to_vec(&otlp::Request::of(events))?;
                let answer = receiver.post(JSON, body).await?;
                // Whoever took them, and then does not say so in time, has them.
                return Ok(otlp::rejected(&outbound::beginning(answer, ANSWER_BYTES).await));
            }
        }
        Ok(0)
    }
}

impl Outlet for Sink {
    const FAILURE: &'static str = "audit events not streamed";
    const LAG: &'static str = "drr_siem_lag_seconds";
    const TURN: u32 = 20;

    fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Otlp(_) => "otlp",
        }
    }

    async fn due(&self, db: &Db, now: DateTime<Utc>) -> Answer<Vec<DueTenant>> {
        operator::tenants_to_stream(db, self.name(), now).await
    }

    async fn hand_over(
        &self,
        db: &TenantDb,
        tenant: &TenantId,
        clock: &SharedClock,
    ) -> Answer<Handed> {
        let name = self.name();
        let tx = db.read_trail().await?;
        let reached = cursor::reached(&tx, name).await?;
        let (events, last) = cursor::after(&tx, &reached, BATCH).await?;
        drop(tx);
        let Some(last) = last else { return Ok(Handed::default()) };
        let refused = match self.take(&events).await {
            Ok(refused) => refused,
            Err(error) => return Ok(Handed { events: 0, failed: Some(error) }),
        };
        let tx = db.write().await?;
        cursor::advance(&tx, name, &last, clock.now()).await?;
        tx.commit().await?;
        let events = events.len() as u64;
        for (result, count) in [("delivered", events.saturating_sub(refused)), ("refused", refused)]
        {
            let labels = [("sink", name), ("result", result)];
            metrics::counter!("drr_siem_events_total", &labels).increment(count);
        }
        if refused > 0 {
            tracing::error!(sink = name, %tenant, refused, "events are refused for good");
        }
        Ok(Handed { events, failed: None })
    }

    fn count_failure(&self) {
        metrics::counter!("drr_siem_failures_total", "sink" => self.name()).increment(1);
    }
}

fn lines(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, &ocsf::api_activity(event))?;
        lines.push(b'\n');
    }
    Ok(lines)
}
