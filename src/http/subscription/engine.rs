//! One subscription: opened, and then asked for what comes next.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_graphql::{
    Request, Response as GraphqlResponse, Variables, parser::types::OperationType,
};
use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Slot, Subscriptions};
use crate::{
    audit::{Ending, Outcome},
    call::Call,
    error::{Error, Result},
    graphql::{self, Document, subscription::Stage},
    http::{
        CorrelationId,
        graphql::{Admitted, answer},
        subgraph::Finish,
    },
    live::{Source, Wake},
};

/// How often a token is asked about while nothing happens.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// The action of a call that opens one.
pub(super) const START: &str = "subscription.start";

/// Who subscribes, and what the answers are called.
#[derive(Clone)]
pub struct Subscriber {
    pub(super) token: Arc<str>,
    pub(super) correlation_id: CorrelationId,
    pub(super) transport: &'static str,
}

/// What comes next.
#[derive(Debug)]
pub enum Event {
    /// An answer.
    Next(GraphqlResponse),
    /// There are no more.
    Ended(End),
}

/// Why there are no more.
#[derive(Debug)]
pub enum End {
    /// The program ends; the caller may go on elsewhere.
    Shutdown,
    /// The token ended, what is unread is kept no longer, or the database does not answer.
    Failed(Error),
}

impl End {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Shutdown => Error::unavailable("the program ends"),
            Self::Failed(error) => error,
        }
    }
}

/// See the [module](super).
pub struct Subscription {
    subscriptions: Subscriptions,
    subscriber: Subscriber,
    document: Arc<Document>,
    operation_name: Option<String>,
    variables: Variables,
    finish: Finish,
    source: Box<dyn Source>,
    wake: Wake,
    /// Whether to read without waiting.
    more: bool,
    /// What was read, being told.
    telling: Option<BoxStream<'static, GraphqlResponse>>,
    ticks: Interval,
    /// How it ended, and what is to be told of that: an event of its own.
    ended: Outcome,
    ending: Ending,
    _slot: Slot,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl Subscriptions {
    /// Opens a subscription for a caller whose token was let in.
    ///
    /// # Errors
    /// An answer with errors, if it cannot be opened.
    pub(super) async fn open(
        &self,
        call: Call,
        subscriber: Subscriber,
        admitted: Admitted,
    ) -> Result<Subscription, GraphqlResponse> {
        self.try_open(call, subscriber, admitted).await.map_err(|refused| match refused {
            NotOpened::Error(error) => GraphqlResponse::from_errors(vec![answer::error_of(error)]),
            NotOpened::Answer(answer) => answer,
        })
    }

    async fn try_open(
        &self,
        call: Call,
        subscriber: Subscriber,
        admitted: Admitted,
    ) -> Result<Subscription, NotOpened> {
        call.record().is(START);
        let Admitted { request, document } = &admitted;
        if document.selected(request.operation_name.as_deref()) != Some(OperationType::Subscription)
        {
            return Err(Error::bad_input(
                "query",
                "only a subscription can come this way: send queries and mutations by POST, for \
                 application/json",
            )
            .into());
        }
        let document = document.clone();
        let (operation_name, variables) =
            (request.operation_name.clone(), request.variables.clone());
        let (request, finish) = self.parts.execution.prepare(&call, admitted)?;
        let slot = self.parts.open.take(call.principal().tenant(), subscriber.transport)?;
        let mut source = self.source(request).await?;
        // Before the source takes its place, so that nothing comes between.
        let wake = self.parts.hub.subscribe(call.principal().tenant(), source.topic());
        source.open(call.db()).await?;
        let Subscriber { correlation_id, transport, .. } = &subscriber;
        let ending = self.parts.ending(correlation_id, transport, "subscription.end");
        ending.record().caller_of(call.record());
        ending.record().document(operation_name.as_deref(), *document.hash());
        let mut ticks = interval(ASKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Subscription {
            subscriptions: self.clone(),
            subscriber,
            document,
            operation_name,
            variables,
            finish,
            source,
            wake,
            more: true,
            telling: None,
            ticks,
            ended: Outcome::Success,
            ending,
            _slot: slot,
        })
    }

    /// Lets the document say what it reads.
    async fn source(&self, request: Request) -> Result<Box<dyn Source>, NotOpened> {
        let sources = Arc::new(Mutex::new(Vec::new()));
        let request = request.data(Stage::Opening(sources.clone()));
        let mut answers = self.parts.execution.subgraph().execute_stream(request);
        while let Some(answer) = answers.next().await {
            if !answer.errors.is_empty() {
                return Err(NotOpened::Answer(graphql::errors::name_limits(answer)));
            }
        }
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        match (sources.pop(), sources.is_empty()) {
            (Some(source), true) => Ok(source),
            _ => Err(Error::bad_input(
                "query",
                "a subscription selects one field, and not by a fragment",
            )
            .into()),
        }
    }
}

enum NotOpened {
    Error(Error),
    Answer(GraphqlResponse),
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Subscription {
    /// What the answers are called.
    pub(super) const fn correlation_id(&self) -> &CorrelationId {
        &self.subscriber.correlation_id
    }

    /// Waits for what comes next. Dropped before it answers, it may have read something that is then
    /// not told: whoever drops it drops the subscription.
    pub async fn next(&mut self) -> Event {
        match self.advance().await {
            Ok(answer) => {
                metrics::counter!(
                    "drr_subscription_messages_total", "transport" => self.subscriber.transport,
                )
                .increment(1);
                Event::Next(answer)
            }
            Err(end) => {
                let reason = match &end {
                    End::Shutdown => "shutdown",
                    End::Failed(Error::Unauthenticated) => "token",
                    End::Failed(Error::Conflict(_)) => "lag",
                    End::Failed(_) => "failure",
                };
                count_end(self.subscriber.transport, reason);
                if let End::Failed(error) = &end {
                    self.ended = Outcome::of(error);
                }
                Event::Ended(end)
            }
        }
    }

    async fn advance(&mut self) -> Result<GraphqlResponse, End> {
        let shutdown = self.subscriptions.parts.shutdown.clone();
        loop {
            if let Some(telling) = &mut self.telling {
                if let Some(answer) = telling.next().await {
                    return Ok(self.finish.apply(answer));
                }
                self.telling = None;
            }
            if !self.more {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = self.wake.wait() => self.more = true,
                    _ = self.ticks.tick() => {}
                }
            }
            if shutdown.is_cancelled() {
                return Err(End::Shutdown);
            }
            let call = self.call().await.map_err(End::Failed)?;
            if self.more {
                self.read(&call).await.map_err(End::Failed)?;
            }
        }
    }

    /// The token, asked about again: a call of its own.
    async fn call(&mut self) -> Result<Call> {
        let authentication = &self.subscriptions.parts.authentication;
        authentication.verified(&self.subscriber.token, self.ending.record()).await
    }

    async fn read(&mut self, call: &Call) -> Result<()> {
        let batch = self.source.read(call.db()).await?;
        self.more = batch.more;
        if let Some(items) = batch.items {
            // Asked again: what happened after a token ended is not told.
            let call = self.call().await?;
            let mut request = Request::new("").variables(self.variables.clone());
            request.operation_name.clone_from(&self.operation_name);
            request.set_parsed_query(self.document.parsed().clone());
            let stage = Stage::Telling(Arc::new(Mutex::new(Some(items))));
            let request = graphql::with_call(request, call).data(stage);
            self.telling =
                Some(self.subscriptions.parts.execution.subgraph().execute_stream(request));
        }
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ending.end_unawaited(self.ended);
    }
}

/// Counts the end of a subscription.
pub(super) fn count_end(transport: &'static str, reason: &'static str) {
    metrics::counter!(
        "drr_subscription_ends_total", "transport" => transport, "reason" => reason,
    )
    .increment(1);
}
