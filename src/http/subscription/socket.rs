//! graphql-transport-ws: subscriptions over a WebSocket, with the close codes of its protocol.
//!
//! The library's own loop closes with other codes (1002, 1011), has no limit on what is open, and buffers
//! for a client that does not read; hence this one.
//!
//! A page of another site can open a socket here, but not say whose it is: a token comes in the payload
//! of `connection_init` (or in a header, which a browser does not let a page set), never in a cookie. So
//! the origin is not looked at.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{
        FromRequestParts, Request,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{SinkExt, StreamExt, stream::SplitSink};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, MissedTickBehavior, interval, interval_at, sleep, timeout},
};

use super::{
    Subscriptions,
    engine::{End, Event, START, Subscriber, count_end},
};
use crate::{
    audit::{Ending, Outcome, Record},
    error::{Error, ErrorCode},
    http::{
        CorrelationId, Problem, RequestContext,
        authentication::{bearer, bearer_of},
        graphql::answer,
    },
};

const PROTOCOL: &str = "graphql-transport-ws";
const TRANSPORT: &str = "websocket";
/// How long the other side has to take note of the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Why a socket is closed: a code and a reason, as the protocol has them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Close(u16, String);

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        // A close frame holds 123 bytes of text.
        let mut end = reason.len().min(123);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        Self(code, reason)
    }

    fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    fn stalled() -> Self {
        Self::new(1013, "Too slow: go on after the last cursor")
    }

    fn later() -> Self {
        Self::new(1013, "Try again later")
    }

    fn invalid(reason: impl Into<String>) -> Self {
        Self::new(4400, reason)
    }

    fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }
}

/// Whether a request wants to become a socket.
pub(super) fn is_asked_for(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Makes a socket of a request.
pub(super) async fn upgrade(
    subscriptions: Subscriptions,
    context: RequestContext,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let header_token = bearer(&parts.headers).map(str::to_owned);
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let (status, text) = (rejection.status(), rejection.body_text());
            return Problem::new(status, ErrorCode::BadUserInput, text).into_response();
        }
    };
    if subscriptions.parts.shutdown.is_cancelled() {
        return Error::unavailable("the program ends").into_response();
    }
    let bytes = subscriptions.parts.message_bytes;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(bytes)
        .max_frame_size(bytes)
        // Every message is written out before the next one.
        .write_buffer_size(0);
    let understood = upgrade.selected_protocol() == Some(&HeaderValue::from_static(PROTOCOL));
    let tasks = subscriptions.parts.tasks.clone();
    let session = Session {
        subscriptions,
        correlation_id: context.correlation_id,
        record: context.record,
        header_token,
        token: None,
        initialised: false,
        operations: HashMap::new(),
        generation: 0,
    };
    upgrade.on_upgrade(move |socket| tasks.track_future(session.run(socket, understood)))
}

/// A message of the client.
#[derive(Deserialize)]
struct Received<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// A message of an operation, on its way out.
struct Outgoing {
    id: String,
    generation: u64,
    text: String,
    /// Whether the operation is over with it.
    last: bool,
}

struct Operation {
    generation: u64,
    abort: tokio::task::AbortHandle,
}

struct Session {
    subscriptions: Subscriptions,
    correlation_id: CorrelationId,
    /// That of the request which became the socket.
    record: Arc<Record>,
    header_token: Option<String>,
    /// Whose it is, once it is known.
    token: Option<Arc<str>>,
    initialised: bool,
    operations: HashMap<String, Operation>,
    generation: u64,
}

type Sink = SplitSink<WebSocket, Message>;

impl Session {
    async fn run(mut self, socket: WebSocket, understood: bool) {
        let (mut sink, mut stream) = socket.split();
        let close = if understood {
            self.serve(&mut sink, &mut stream).await
        } else {
            Some(Close::new(4406, "Subprotocol not acceptable"))
        };
        let Some(Close(code, reason)) = close else { return };
        if (4400..4500).contains(&code) && code != 4403 {
            self.ended_badly(code).await;
        }
        tracing::debug!(code, reason, correlation_id = %self.correlation_id, "closing a socket");
        metrics::counter!("drr_websocket_closes_total", "code" => code.to_string()).increment(1);
        let farewell = async {
            let frame = CloseFrame { code, reason: reason.into() };
            if sink.send(Message::Close(Some(frame))).await.is_ok() {
                // Until the other side has closed as well: what it still sends would else reset the
                // connection under what it has not yet read.
                while let Some(Ok(_)) = stream.next().await {}
            }
        };
        let _ = timeout(CLOSE_WITHIN, farewell).await;
    }

    /// What is wrong with a message leaves an event, like a request that is wrong.
    async fn ended_badly(&self, code: u16) {
        let inner = &self.subscriptions.parts;
        let ending = inner.ending(&self.correlation_id, TRANSPORT, "socket.close");
        ending.record().caller_of(&self.record);
        ending.record().about(|| format!("close:{code}"));
        if ending.end(Outcome::of_code(ErrorCode::BadUserInput)).await.is_err() {
            tracing::warn!(code, "a socket is closed without an audit event");
        }
    }

    /// Why it ends, unless the client ended it.
    async fn serve(
        &mut self,
        sink: &mut Sink,
        stream: &mut futures::stream::SplitStream<WebSocket>,
    ) -> Option<Close> {
        let limits = self.subscriptions.parts.limits;
        let shutdown = self.subscriptions.parts.shutdown.clone();
        let mut tasks = JoinSet::new();
        // One message waits to be written; operations wait behind it, and read nothing meanwhile.
        let (sender, mut outgoing) = mpsc::channel::<Outgoing>(1);
        let too_late = sleep(limits.init_timeout);
        tokio::pin!(too_late);
        let mut heartbeats = interval_at(Instant::now() + limits.heartbeat, limits.heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = interval(Duration::from_secs(1));
        asked.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = 0_u32;
        loop {
            let message = tokio::select! {
                () = shutdown.cancelled() => return Some(Close::going_away()),
                () = &mut too_late, if self.token.is_none() => {
                    return Some(Close::new(4408, "Connection initialisation timeout"));
                }
                _ = asked.tick(), if self.token.is_some() => {
                    if !self.still_holds().await {
                        count_end(TRANSPORT, "token");
                        return Some(Close::forbidden());
                    }
                    continue;
                }
                _ = heartbeats.tick() => {
                    // Whoever answered neither of two signs of life is gone.
                    if silent >= 2 {
                        return None;
                    }
                    silent += 1;
                    Message::Ping(bytes::Bytes::new())
                }
                Some(out) = outgoing.recv() => match self.told(out) {
                    Some(text) => Message::Text(text.into()),
                    None => continue,
                },
                Some(_) = tasks.join_next() => continue,
                received = stream.next() => {
                    silent = 0;
                    let text = match received? {
                        Ok(Message::Text(text)) => text,
                        Ok(Message::Binary(_)) => return Some(Close::invalid("Invalid message")),
                        Ok(Message::Ping(_) | Message::Pong(_)) => continue,
                        Ok(Message::Close(_)) => return None,
                        Err(error) => return broken(&error),
                    };
                    match self.receive(text.as_str(), &sender, &mut tasks).await {
                        Ok(Some(reply)) => Message::Text(reply.into()),
                        Ok(None) => continue,
                        Err(close) => return Some(close),
                    }
                }
            };
            match timeout(limits.stall_timeout, sink.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => {
                    count_end(TRANSPORT, "stall");
                    return Some(Close::stalled());
                }
            }
        }
    }

    /// What is to be sent of an operation that the client has not ended meanwhile.
    fn told(&mut self, out: Outgoing) -> Option<String> {
        let current = self.operations.get(&out.id)?.generation == out.generation;
        if current && out.last {
            self.operations.remove(&out.id);
        }
        current.then_some(out.text)
    }

    async fn still_holds(&self) -> bool {
        let Some(token) = &self.token else { return false };
        let authentication = &self.subscriptions.parts.authentication;
        match authentication.verified(token, &self.record).await {
            // It is not the token's fault that the keys cannot be had.
            Ok(_) | Err(Error::Unavailable(_)) => true,
            Err(_) => false,
        }
    }

    /// Does what a message asks for; answers what is to be said at once.
    async fn receive(
        &mut self,
        text: &str,
        sender: &mpsc::Sender<Outgoing>,
        tasks: &mut JoinSet<()>,
    ) -> Result<Option<String>, Close> {
        let message: Received<'_> =
            serde_json::from_str(text).map_err(|_| Close::invalid("Invalid message"))?;
        match (message.kind.as_str(), message.id) {
            ("connection_init", _) => self.initialise(message.payload).await.map(Some),
            ("ping", _) => Ok(Some(match message.payload {
                Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
                None => r#"{"type":"pong"}"#.to_owned(),
            })),
            ("pong", _) => Ok(None),
            ("subscribe", Some(id)) if !id.is_empty() => {
                let payload =
                    message.payload.ok_or_else(|| Close::invalid("Invalid message: no payload"))?;
                self.subscribe(id, payload, sender, tasks).await
            }
            ("complete", Some(id)) => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort.abort();
                    count_end(TRANSPORT, "client");
                }
                Ok(None)
            }
            _ => Err(Close::invalid("Invalid message")),
        }
    }

    async fn initialise(&mut self, payload: Option<&RawValue>) -> Result<String, Close> {
        if self.initialised {
            return Err(Close::new(4429, "Too many initialisation requests"));
        }
        self.initialised = true;
        let token = match payload.map(|payload| token_of(payload.get())) {
            Some(Some(Ok(token))) => Some(token),
            Some(Some(Err(close))) => return Err(close),
            Some(None) | None => self.header_token.take(),
        };
        let inner = &self.subscriptions.parts;
        let ending = inner.ending(&self.correlation_id, TRANSPORT, "socket.init");
        let Some(token) = token else {
            let denied = Outcome::of(&Error::Unauthenticated);
            return Err(ending
                .end(denied)
                .await
                .map_or_else(|_| Close::later(), |()| Close::forbidden()));
        };
        let authentication = &inner.authentication;
        let admitted = async {
            let call = authentication.verified(&token, ending.record()).await?;
            authentication.spend(&call).await
        };
        let admitted = admitted.await;
        let ended = ending.end(admitted.as_ref().map_or_else(Outcome::of, |()| Outcome::Success));
        match (admitted, ended.await) {
            (Ok(()), Ok(())) => {}
            (Err(Error::Unauthenticated), Ok(())) => return Err(Close::forbidden()),
            _ => return Err(Close::later()),
        }
        self.record.caller_of(ending.record());
        self.token = Some(token.into());
        Ok(r#"{"type":"connection_ack"}"#.to_owned())
    }

    async fn subscribe(
        &mut self,
        id: String,
        payload: &RawValue,
        sender: &mpsc::Sender<Outgoing>,
        tasks: &mut JoinSet<()>,
    ) -> Result<Option<String>, Close> {
        let token = self.token.clone().ok_or_else(Close::unauthorized)?;
        if self.operations.contains_key(&id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        let maximum = self.subscriptions.parts.limits.per_connection;
        if self.operations.len() >= maximum {
            let limit = "limits.subscriptions_per_connection";
            let maximum = u64::try_from(maximum).unwrap_or(u64::MAX);
            let over = Error::LimitExceeded { limit, maximum };
            let ending = self.subscriptions.parts.ending(&self.correlation_id, TRANSPORT, START);
            ending.record().caller_of(&self.record);
            ending.end(Outcome::of(&over)).await.map_err(|_| Close::later())?;
            let errors = answer::errors(vec![answer::error_of(over)], &self.correlation_id);
            return Ok(Some(error_message(&id, &errors)));
        }
        self.generation += 1;
        let operating = Operating {
            subscriptions: self.subscriptions.clone(),
            subscriber: Subscriber {
                token,
                correlation_id: self.correlation_id.clone(),
                transport: TRANSPORT,
            },
            id: id.clone(),
            generation: self.generation,
            sender: sender.clone(),
        };
        let abort = tasks.spawn(operating.run(payload.get().to_owned()));
        self.operations.insert(id, Operation { generation: self.generation, abort });
        Ok(None)
    }
}

/// The token in the payload of `connection_init`, if it has one: `authorization`, in any case.
fn token_of(payload: &str) -> Option<Result<String, Close>> {
    if payload == "null" {
        return None;
    }
    let Ok(members) = serde_json::from_str::<HashMap<String, serde_json::Value>>(payload) else {
        return Some(Err(Close::invalid("Invalid message: the payload is no object")));
    };
    let (_, value) = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    let token = value.as_str().and_then(bearer_of).map(str::to_owned);
    Some(token.ok_or_else(Close::forbidden))
}

/// How to answer a socket that broke.
fn broken(error: &axum::Error) -> Option<Close> {
    let text = error.to_string();
    // The reason is a type of the library under axum, which is none of ours.
    text.contains("too long").then(|| Close::new(1009, "Message too big"))
}

fn error_message(id: &str, errors: &str) -> String {
    format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, json!(id))
}

fn refusal(error: Error) -> async_graphql::Response {
    async_graphql::Response::from_errors(vec![answer::error_of(error)])
}

/// An operation in a task of its own, so that the socket goes on while it reads.
struct Operating {
    subscriptions: Subscriptions,
    subscriber: Subscriber,
    id: String,
    generation: u64,
    sender: mpsc::Sender<Outgoing>,
}

impl Operating {
    async fn run(self, payload: String) {
        let inner = &self.subscriptions.parts;
        let ending = inner.ending(&self.subscriber.correlation_id, TRANSPORT, START);
        let Err(refused) = self.operate(&payload, &ending).await else { return };
        // One that was opened has ended its call before.
        let ended = ending.end(answer::outcome(&refused)).await;
        let refused = ended.map_or_else(|error| refusal(error.into()), |()| refused);
        let errors = answer::errors(refused.errors, &self.subscriber.correlation_id);
        self.send(error_message(&self.id, &errors), true).await;
    }

    /// Tells all there is; answers with errors if there is no more.
    async fn operate(&self, payload: &str, ending: &Ending) -> Result<(), async_graphql::Response> {
        let Subscriber { token, correlation_id, .. } = &self.subscriber;
        let authentication = &self.subscriptions.parts.authentication;
        let call = authentication.verified(token, ending.record()).await.map_err(refusal)?;
        call.begin().await.map_err(refusal)?;
        let admitted =
            self.subscriptions.intake.of_json(call.principal().tenant(), payload.as_bytes());
        let admitted = admitted.map_err(|refused| {
            async_graphql::Response::from_errors(vec![refused.into_server_error()])
        })?;
        let opened = self.subscriptions.open(call, self.subscriber.clone(), admitted);
        let mut subscription = opened.await?;
        ending.end(Outcome::Success).await.map_err(|error| refusal(error.into()))?;
        loop {
            match subscription.next().await {
                Event::Next(response) => {
                    let document = answer::document(response, correlation_id);
                    let id = json!(self.id);
                    let text = format!(r#"{{"id":{id},"type":"next","payload":{document}}}"#);
                    if !self.send(text, false).await {
                        return Ok(());
                    }
                }
                // The socket is closed for it, which says more to a client than an error.
                Event::Ended(End::Shutdown | End::Failed(Error::Unauthenticated)) => return Ok(()),
                Event::Ended(End::Failed(error)) => return Err(refusal(error)),
            }
        }
    }

    async fn send(&self, text: String, last: bool) -> bool {
        let out = Outgoing { id: self.id.clone(), generation: self.generation, text, last };
        self.sender.send(out).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_in_the_payload_in_any_case() {
        let token = |payload: &str| token_of(payload).map(|token| token.map_err(|close| close.0));
        assert_eq!(token("null"), None);
        assert_eq!(token("{}"), None);
        assert_eq!(token(r#"{"other":1}"#), None);
        for name in ["authorization", "Authorization", "AUTHORIZATION"] {
            let payload = json!({ name: "Bearer a.b.c" }).to_string();
            assert_eq!(token(&payload), Some(Ok("a.b.c".to_owned())));
        }
        assert_eq!(token(r#"{"authorization":"a.b.c"}"#), Some(Err(4403)));
        assert_eq!(token(r#"{"authorization":7}"#), Some(Err(4403)));
        assert_eq!(token("[]"), Some(Err(4400)));
        assert_eq!(token("7"), Some(Err(4400)));
    }

    #[test]
    fn reasons_fit_into_a_close_frame() {
        assert_eq!(Close::new(4409, "é".repeat(100)).1.len(), 122);
        assert_eq!(Close::new(4409, "short").1, "short");
    }
}
