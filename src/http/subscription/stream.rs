//! Subscriptions as the body of an answer: server-sent events (graphql-sse, distinct connections) and
//! the multipart of Apollo's router.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::parser::types::OperationType;
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use futures::stream;
use mime::Mime;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    Subscriptions,
    engine::{End, Event, START, Subscriber, Subscription, count_end},
};
use crate::{
    error::Error,
    http::{
        Problem, RequestContext,
        authentication::bearer,
        body,
        graphql::{
            Admitted, Refused, answer,
            media::{self, Media},
        },
    },
};

/// How answers follow each other in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `text/event-stream`
    Events,
    /// `multipart/mixed;boundary="graphql";subscriptionSpec="1.0"`
    Multipart,
}

impl Framing {
    /// The one that is asked for: by POST, and server-sent events by GET too, as gateways do.
    pub(super) fn asked_for(request: &Request) -> Option<Self> {
        let posted = request.method() == Method::POST;
        if !posted && request.method() != Method::GET {
            return None;
        }
        accepted(request.headers()).into_iter().find_map(|range| match range.essence_str() {
            "text/event-stream" => Some(Self::Events),
            "multipart/mixed" if posted && range.get_param("subscriptionspec").is_some() => {
                Some(Self::Multipart)
            }
            _ => None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Events => "sse",
            Self::Multipart => "multipart",
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"",
        })
    }

    /// A sign of life.
    const fn heartbeat(self) -> &'static str {
        match self {
            Self::Events => ":\n\n",
            Self::Multipart => "\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{}",
        }
    }

    /// One answer.
    fn next(self, document: &str) -> String {
        match self {
            Self::Events => format!("event: next\ndata: {document}\n\n"),
            Self::Multipart => part(&format!("{{\"payload\":{document}}}")),
        }
    }

    /// What ends it for good. An end without it is one after which a client comes back.
    fn failed(self, errors: &str) -> String {
        match self {
            Self::Events => {
                format!("event: next\ndata: {{\"errors\":{errors}}}\n\nevent: complete\ndata:\n\n")
            }
            Self::Multipart => {
                let last = part(&format!("{{\"payload\":null,\"errors\":{errors}}}"));
                format!("{last}\r\n--graphql--\r\n")
            }
        }
    }
}

fn part(json: &str) -> String {
    format!("\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{json}")
}

fn accepted(headers: &HeaderMap) -> Vec<Mime> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|range| range.trim().parse().ok())
        .collect()
}

/// The answer to a request that asks for a framing. What is no subscription goes on to the handler of
/// queries, if the caller takes its answers as well.
pub(super) async fn answer(
    subscriptions: &Subscriptions,
    context: &RequestContext,
    framing: Framing,
    request: Request,
    next: Next,
) -> Response {
    let media = media::negotiate(request.headers());
    match open(subscriptions, context, framing, request).await {
        Ok(Opened::Subscription(subscription)) => respond(subscriptions, framing, *subscription),
        Ok(Opened::Other(request)) => next.run(*request).await,
        Err(NotOpened::Problem(problem)) => {
            answer::refused(&problem, media.unwrap_or(Media::Json), &context.correlation_id)
        }
        Err(NotOpened::Answer(response)) => {
            answer::not_opened(&response.errors, &context.correlation_id)
        }
    }
}

enum Opened {
    Subscription(Box<Subscription>),
    Other(Box<Request>),
}

enum NotOpened {
    Problem(Problem),
    Answer(Box<async_graphql::Response>),
}

impl From<Problem> for NotOpened {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Problem(error.into())
    }
}

async fn open(
    subscriptions: &Subscriptions,
    context: &RequestContext,
    framing: Framing,
    request: Request,
) -> Result<Opened, NotOpened> {
    let (parts, body) = request.into_parts();
    let posted = parts.method == Method::POST;
    if posted {
        media::require_json(&parts.headers)?;
    }
    let inner = &subscriptions.parts;
    let token = bearer(&parts.headers).ok_or(Error::Unauthenticated)?;
    // Not used up yet: what is no subscription is let in by the handler of queries.
    let call = inner.authentication.verified(token, &context.record).await?;
    let bytes = body::read(&parts.headers, body, &inner.body).await?;
    let tenant = call.principal().tenant();
    let admitted = if posted {
        subscriptions.intake.of_json(tenant, &bytes)
    } else {
        subscriptions.intake.of_query(tenant, parts.uri.query().unwrap_or_default())
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(Refused::Request(error)) => return Err(error.into()),
        Err(refused) => {
            let errors = vec![refused.into_server_error()];
            return Err(NotOpened::Answer(async_graphql::Response::from_errors(errors).into()));
        }
    };
    if !subscribes(&admitted) && media::negotiate(&parts.headers).is_some() {
        return Ok(Opened::Other(rebuilt(parts, bytes).into()));
    }
    call.record().is(START);
    call.begin().await?;
    inner.authentication.spend(&call).await?;
    let subscriber = Subscriber {
        token: token.into(),
        correlation_id: context.correlation_id.clone(),
        transport: framing.name(),
    };
    let opened = subscriptions.open(call, subscriber, admitted).await;
    opened
        .map(|subscription| Opened::Subscription(subscription.into()))
        .map_err(|refused| NotOpened::Answer(refused.into()))
}

fn subscribes(admitted: &Admitted) -> bool {
    let name = admitted.request.operation_name.as_deref();
    admitted.document.selected(name) == Some(OperationType::Subscription)
}

/// The request as it was, with its body as it was understood.
fn rebuilt(mut parts: Parts, bytes: Bytes) -> Request {
    for gone in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::EXPECT] {
        parts.headers.remove(gone);
    }
    Request::from_parts(parts, Body::from(bytes))
}

/// The last words, for a reader that has no room for more: read when all else was.
type LastWords = Arc<Mutex<Option<Bytes>>>;

fn respond(
    subscriptions: &Subscriptions,
    framing: Framing,
    subscription: Subscription,
) -> Response {
    // One part waits to be written, and the next is not read before it is.
    let (sender, receiver) = mpsc::channel(1);
    let last_words = LastWords::default();
    let writing = write(subscriptions.clone(), framing, subscription, sender, last_words.clone());
    subscriptions.parts.tasks.spawn(writing);
    let body = stream::unfold((receiver, last_words), async |(mut receiver, last_words)| {
        let bytes = match receiver.recv().await {
            Some(bytes) => Some(bytes),
            None => last_words.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        bytes.map(|bytes: Bytes| (Ok::<_, Infallible>(bytes), (receiver, last_words)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, framing.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn write(
    subscriptions: Subscriptions,
    framing: Framing,
    mut subscription: Subscription,
    sender: mpsc::Sender<Bytes>,
    last_words: LastWords,
) {
    let limits = subscriptions.parts.limits;
    let id = subscription.correlation_id().clone();
    // At once, so that the client knows that it is heard.
    let mut heartbeats = interval_at(Instant::now(), limits.heartbeat);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = false;
    while !ended {
        let next = subscription.next();
        tokio::pin!(next);
        let text = loop {
            let sent = tokio::select! {
                biased;
                _ = heartbeats.tick() => framing.heartbeat().to_owned(),
                event = &mut next => break match event {
                    Event::Next(response) => framing.next(&answer::document(response, &id)),
                    // A client of events comes back after an end without `complete`.
                    Event::Ended(End::Shutdown) if framing == Framing::Events => return,
                    Event::Ended(end) => {
                        ended = true;
                        let errors = vec![answer::error_of(end.error())];
                        framing.failed(&answer::errors(errors, &id))
                    }
                },
                () = sender.closed() => {
                    count_end(framing.name(), "client");
                    return;
                }
            };
            if !put(&sender, sent, framing, limits.stall_timeout, &last_words, &id).await {
                return;
            }
        };
        if !put(&sender, text, framing, limits.stall_timeout, &last_words, &id).await {
            return;
        }
    }
}

/// Hands a part over to be written; not so if the client is gone or takes too long.
async fn put(
    sender: &mpsc::Sender<Bytes>,
    text: String,
    framing: Framing,
    stall_timeout: std::time::Duration,
    last_words: &LastWords,
    id: &crate::http::CorrelationId,
) -> bool {
    match timeout(stall_timeout, sender.send(text.into())).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) => {
            count_end(framing.name(), "client");
            false
        }
        Err(_) => {
            count_end(framing.name(), "stall");
            let maximum = u64::try_from(stall_timeout.as_millis()).unwrap_or(u64::MAX);
            let limit = "limits.subscription_stall_timeout_ms";
            let errors = vec![answer::error_of(Error::LimitExceeded { limit, maximum })];
            let text = framing.failed(&answer::errors(errors, id));
            *last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.into());
            false
        }
    }
}
