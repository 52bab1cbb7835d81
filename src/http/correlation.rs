//! The name of a request: taken from the caller when it is well formed, made otherwise, and
//! returned on every answer.

use std::{fmt, sync::Arc};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use serde::Serialize;
use tracing::{Instrument, field::Empty};

use super::{Front, RequestContext, problem};
use crate::{audit::Record, clock::Clock};

/// The header that carries it, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const MAX_LENGTH: usize = 128;

/// `[A-Za-z0-9._-]{1,128}`: it can stand in a header, a log line and a query without escaping.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    /// Takes a caller's own name for a request, if it is well formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let valid = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.into()))
    }

    /// A fresh one.
    #[must_use]
    pub fn generate(clock: &dyn Clock) -> Self {
        Self(clock.new_id().to_string().into())
    }

    /// `X-Correlation-ID`, else the trace id of `traceparent`, else a fresh one.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, clock: &dyn Clock) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        text(HEADER)
            .and_then(Self::parse)
            .or_else(|| text(TRACEPARENT).and_then(trace_id).and_then(Self::parse))
            .unwrap_or_else(|| Self::generate(clock))
    }

    /// The name, shared.
    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The trace id of a W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_id(text: &str) -> Option<&str> {
    let mut parts = text.split('-');
    let mut hexadecimal = |length: usize| {
        parts.next().filter(|part| {
            part.len() == length
                && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (version, trace) = (hexadecimal(2)?, hexadecimal(32)?);
    let (parent, _flags) = (hexadecimal(16)?, hexadecimal(2)?);
    // Only version 00 is known to end here; later ones may go on.
    let ends_well = version != "ff" && (version != "00" || parts.next().is_none());
    let zeros = |part: &str| part.bytes().all(|byte| byte == b'0');
    (ends_well && !zeros(trace) && !zeros(parent)).then_some(trace)
}

/// The outermost step: names the request, opens its span, finishes its answer.
pub(super) async fn correlate(
    State(front): State<Front>,
    mut request: Request,
    next: Next,
) -> Response {
    let correlation_id = CorrelationId::from_headers(request.headers(), front.clock.as_ref());
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0);
    let context = RequestContext {
        correlation_id: correlation_id.clone(),
        listener: front.listener,
        peer,
        deadline: front.deadline(&request),
        record: Arc::new(Record::new(
            front.clock.clone(),
            correlation_id.shared().clone(),
            front.listener.as_str(),
        )),
    };
    let token_given = request.headers().contains_key(header::AUTHORIZATION);
    // `tenant` and `operation` are recorded by whoever learns them.
    let span = tracing::info_span!(
        "http.request",
        %correlation_id,
        listener = front.listener.as_str(),
        method = %request.method(),
        route = route(&request),
        tenant = Empty,
        operation = Empty,
        status = Empty,
    );
    request.extensions_mut().insert(context);
    let answer = next.run(request).instrument(span).await;
    let mut answer = problem::finish(answer, &correlation_id, token_given);
    if let Ok(value) = HeaderValue::from_str(correlation_id.as_str()) {
        answer.headers_mut().insert(HEADER, value);
    }
    answer
}

/// The template of the route, never the path: paths hold identifiers, and have no bound.
pub(super) fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn taken(pairs: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        CorrelationId::from_headers(&headers, &SystemClock).to_string()
    }

    // D34 D36
    #[test]
    fn a_well_formed_name_is_kept() {
        for good in ["a", "A.b_c-9", &"x".repeat(128)] {
            assert_eq!(taken(&[("x-correlation-id", good)]), good);
        }
    }

    #[test]
    fn anything_else_is_replaced() {
        for bad in ["", "a b", "a\"b", "ü", "a/b", &"x".repeat(129)] {
            let made = taken(&[("x-correlation-id", bad)]);
            assert!(made != bad && uuid::Uuid::parse_str(&made).is_ok(), "{bad} → {made}");
        }
    }

    #[test]
    fn the_trace_of_the_caller_is_the_second_choice() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(taken(&[("traceparent", &parent)]), TRACE);
        assert_eq!(taken(&[("traceparent", &parent), ("x-correlation-id", "mine")]), "mine");
        assert_eq!(taken(&[("traceparent", &parent), ("x-correlation-id", "not mine")]), TRACE);
        let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-more");
        assert_eq!(taken(&[("traceparent", &later)]), TRACE);
        for bad in [
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}"),
        ] {
            assert_ne!(taken(&[("traceparent", &bad)]), TRACE, "{bad}");
        }
    }
}
