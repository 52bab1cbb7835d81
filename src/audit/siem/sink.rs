//! Where events go.

use std::{io, path::PathBuf, time::Duration};

use reqwest::{Client, Response, Url, header};

use super::{file, otlp};
use crate::{
    audit::{Event, ocsf},
    config::Secret,
    outbound::{self, DeliveryError, OutboundError},
};

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

/// Why a sink did not take events.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file.
    #[error("the file cannot be written: {0}")]
    File(#[from] io::Error),
    /// The receiver.
    #[error(transparent)]
    Receiver(#[from] DeliveryError),
    /// An event that JSON cannot say.
    #[error("an event cannot be written: {0}")]
    Event(#[from] serde_json::Error),
}

impl SinkError {
    /// Whether other events would be taken: this one was looked at.
    #[must_use]
    pub const fn is_of_these_events(&self) -> bool {
        matches!(self, Self::Event(_) | Self::Receiver(DeliveryError::Status(_)))
    }
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
    /// Its name, by which its cursors are kept.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Otlp(_) => "otlp",
        }
    }

    /// Hands `events` over; they are the sink's when it returns. Answers how many of them it refused for
    /// good.
    pub(super) async fn take(&self, events: &[Event]) -> Result<u64, SinkError> {
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

fn lines(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, &ocsf::api_activity(event))?;
        lines.push(b'\n');
    }
    Ok(lines)
}
