//! The composition root: from settings to three listeners that answer.
//!
//! Nothing is served before the database was found safe ([`crate::db::safety`]).

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use futures::{
    FutureExt,
    future::{BoxFuture, OptionFuture},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{
        Recorder,
        archive::Archivist,
        recorder::Recording,
        siem::{Sink, Streamer},
    },
    auth::{KeySettings, KeySource, PseudonymKey, RevocationList, TokenVerifier, VerifierSettings},
    breach::{delivery::Deliverer, sweeper::Sweeper},
    cache::{Answers, Facts, News, Remote, Stamps, TenantCache},
    change::announcer::Announcer,
    clock::SharedClock,
    config::{self, Limits, Listen},
    db::{Db, DbSettings, maintenance, safety},
    evidence::{Signatory, publisher::Publisher, sequencer::Sequencer, witness::Witness},
    gate::Gate,
    graphql,
    http::{
        self, BoundListener, Front, ListenerKind,
        authentication::Authentication,
        graphql::{BrokenManifest, Intake, Taken, Trusted},
        operations::{self, NotReady, Operations, ReadinessCheck},
        subgraph::Execution,
        subscription::Subscriptions,
    },
    keys::{Keys, Sealed},
    lease::{self, Lease},
    live::Hub,
    objects::Objects,
    retention::{self, Retention},
    schema::{delivery::SchemaSink, tasks::SchemaTasks},
    telemetry,
    webhook::Webhook,
};
pub use refused::StartError;
use refused::cause;
use routes::Routes;

mod refused;
mod routes;

/// How long a readiness check may take.
const READINESS_DEADLINE: Duration = Duration::from_secs(2);
/// How often it is seen to that next month's partitions are there.
const PARTITIONS_EVERY: Duration = Duration::from_secs(3_600);
/// How often breaches are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// The lease of the instance that looks for breaches and tells of them.
const SWEEPERS_LEASE: &str = "breaches";
/// How often it is looked for what time has changed, for subscribers.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// The lease of the instance that does.
const ANNOUNCERS_LEASE: &str = "changes";
/// The lease of the instance that looks for what is kept no longer.
const KEEPERS_LEASE: &str = "retention";
/// How often it is looked for audit events to be streamed.
pub const STREAM_EVERY: Duration = Duration::from_secs(1);
/// The lease of the instance that streams them.
const STREAMERS_LEASE: &str = "siem";
/// How often it is looked for events that are not in the evidence ledger yet.
pub const SEQUENCE_EVERY: Duration = Duration::from_secs(1);
/// The lease of the instance that puts them there.
const SEQUENCERS_LEASE: &str = "evidence";
/// How often it is looked for what is to be done about schemas.
pub const SCHEMAS_EVERY: Duration = Duration::from_secs(1);
/// The lease of the instance that does it.
const SCHEMAS_LEASE: &str = "schemas";
/// How often it is looked for what is kept no longer.
pub const RETAIN_EVERY: Duration = Duration::from_secs(86_400);
/// How many revocations are kept at once.
const REVOCATIONS: usize = 100_000;
/// Of what may be kept, one part in so many is for what never changes; the rest is for answers.
const PART_OF_FACTS: usize = 8;

/// Everything that an [`App`] is made of.
#[derive(Debug)]
pub struct Assembly {
    /// Where to listen.
    pub listen: Listen,
    /// What a caller may send.
    pub limits: Limits,
    /// Which GraphQL documents are executed.
    pub graphql: config::Graphql,
    /// What is kept for how long.
    pub retention: Retention,
    /// How many answers are kept.
    pub cache: config::Cache,
    /// Where audit events wait while the database is away.
    pub audit: config::Audit,
    /// What is kept outside of the database.
    pub vault: Vault,
    /// The database, as the application's login.
    pub database: DbSettings,
    /// Whose keys sign tokens.
    pub keys: KeySettings,
    /// What a token must say.
    pub verifier: VerifierSettings,
    /// Makes pseudonyms of personal subjects.
    pub pseudonyms: PseudonymKey,
    /// How breaches are found and told.
    pub breaches: Breaches,
    /// How changes are announced to subscribers.
    pub changes: Changes,
    /// Where the audit trail is streamed to.
    pub siem: Siem,
    /// What is done about schemas.
    pub schemas: Schemas,
    /// How events come into the evidence ledger.
    pub evidence: Evidence,
    /// Whether the public listener has the page to ask from.
    pub graphiql: bool,
    /// The time.
    pub clock: SharedClock,
}

/// What is kept outside of the database, and when it goes there.
#[derive(Debug)]
pub struct Vault {
    /// Where objects are.
    pub objects: Objects,
    /// What they are encrypted with.
    pub keys: Keys,
    /// How often the instance that leads looks for what is kept no longer; `None` leaves it to
    /// [`App::archivist`].
    pub retain_every: Option<Duration>,
}

/// How breaches are found and told.
#[derive(Debug)]
pub struct Breaches {
    /// How often the instance that leads looks for them; `None` leaves it to [`App::sweeper`].
    pub sweep_every: Option<Duration>,
    /// Who is told.
    pub webhook: Option<Webhook>,
}

/// Where the audit trail is streamed to.
#[derive(Debug, Default)]
pub struct Siem {
    /// Who takes it.
    pub sinks: Vec<Sink>,
    /// How often the instance that leads looks for what is new; `None` leaves it to [`App::streamer`].
    pub stream_every: Option<Duration>,
}

/// What is done about schemas.
#[derive(Debug, Default)]
pub struct Schemas {
    /// Who is told what happens.
    pub sinks: Vec<SchemaSink>,
    /// How often the instance that leads looks for what is to be done; `None` leaves it to [`App::schemas`].
    pub every: Option<Duration>,
}

/// How changes are announced to subscribers.
#[derive(Debug)]
pub struct Changes {
    /// Whether this instance announces what its callers commit, as soon as they do.
    pub follow: bool,
    /// How often the instance that leads looks for what time has changed and for what was left; `None`
    /// leaves it to [`App::announcer`].
    pub announce_every: Option<Duration>,
}

/// How events come into the evidence ledger.
#[derive(Debug)]
pub struct Evidence {
    /// What signs what it has come to.
    pub signatory: Arc<Signatory>,
    /// How often the instance that leads looks for events that are not there yet; `None` leaves it to
    /// [`App::sequencer`].
    pub sequence_every: Option<Duration>,
    /// How often checkpoints are published.
    pub publish_every: Duration,
    /// Who is asked to cosign them.
    pub witnesses: Vec<Witness>,
}

/// The service, running.
#[derive(Debug)]
pub struct App {
    /// The public listener's address.
    pub public: SocketAddr,
    /// The internal listener's address.
    pub internal: SocketAddr,
    /// The operations listener's address.
    pub operations: SocketAddr,
    db: Db,
    sweeper: Sweeper,
    deliverer: Option<Deliverer>,
    announcer: Announcer,
    archivist: Archivist,
    streamer: Streamer,
    schemas: SchemaTasks,
    sequencer: Sequencer,
    publisher: Publisher,
    revocations: Arc<RevocationList>,
    subscriptions: Subscriptions,
    recorder: Recorder,
    recording: Recording,
    drain_timeout: Duration,
    shutdown: CancellationToken,
    background: CancellationToken,
    listeners: JoinSet<()>,
    tasks: JoinSet<()>,
}

impl App {
    /// Starts the service; it answers when this returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(assembly: Assembly) -> Result<Self, StartError> {
        // On the heap: it is larger than what should lie on every caller's stack.
        Box::pin(Self::put_together(assembly)).await
    }

    async fn put_together(assembly: Assembly) -> Result<Self, StartError> {
        let Assembly {
            listen,
            limits,
            graphql,
            retention,
            cache,
            audit,
            vault,
            database,
            keys,
            verifier,
            pseudonyms,
            breaches,
            changes,
            siem,
            schemas,
            evidence,
            graphiql,
            clock,
        } = assembly;
        let metrics = telemetry::metrics()?;
        let intake = intake(&graphql, &limits)?;
        let public = bind(ListenerKind::Public, listen.public).await?;
        let internal = bind(ListenerKind::Internal, listen.internal).await?;
        let operations = bind(ListenerKind::Operations, listen.operations).await?;

        let stamps = Arc::new(Stamps::default());
        let remote = cache
            .redis_url
            .as_ref()
            .map(|url| Remote::new(url.expose(), clock.clone()))
            .transpose()?;
        let mut news = News::new(clock.new_id(), stamps.clone());
        if let Some(remote) = &remote {
            remote.connect().await;
            news = news.shared(remote.clone());
        }
        let news = Arc::new(news);
        let db = Db::new(database).observed_by(news.clone());
        safety::verify(&db).await?;
        maintenance::ensure_partitions(&db, clock.now()).await.map_err(StartError::Partitions)?;

        let keys = KeySource::new(&keys, clock.clone())?;
        if let Err(error) = keys.refresh().await {
            tracing::warn!(%error, "the key set cannot be read yet");
        }
        let revocations = Arc::new(RevocationList::new(clock.clone(), REVOCATIONS));
        let (keep, now) = (revocations.clone(), clock.clone());
        let verifier = TokenVerifier::new(&verifier, keys.clone(), keep, pseudonyms, now)?;
        let authentication = Authentication::new(Arc::new(verifier), db.clone(), clock.clone());
        let cache = (cache.bytes > 0).then(|| {
            let facts = cache.bytes / PART_OF_FACTS;
            let answers = Answers::new(stamps, cache.bytes - facts, cache.longest);
            let answers = match remote {
                Some(remote) => answers.shared(remote),
                None => answers,
            };
            TenantCache { answers, facts: Facts::new(facts, cache.longest) }
        });
        let sealed = Sealed::new(vault.objects.clone(), vault.keys.clone());
        let authentication = authentication
            .waiting_at(Gate::new(limits.load))
            .knowing(cache.as_ref().map(|cache| cache.facts.clone()))
            .reaching(sealed.clone());

        let (shutdown, background) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(telemetry::upkeep(metrics.clone(), background.clone()));
        tasks.spawn(keys.clone().run(background.clone()));
        tasks.spawn(keep_partitions(db.clone(), clock.clone(), background.clone()));
        let objects = vault.objects.clone();
        let archivist = Archivist::new(db.clone(), vault.objects, vault.keys, clock.clone());
        if let Some(every) = vault.retain_every {
            let lease = Lease::new(db.clone(), KEEPERS_LEASE, &clock);
            let (db, archivist, clock) = (db.clone(), archivist.clone(), clock.clone());
            let pass = move || {
                let (db, archivist, now) = (db.clone(), archivist.clone(), clock.now());
                async move { retention::apply(&db, &archivist, retention, now, false).await }
                    .boxed()
            };
            let work = move |stop| {
                lease::repeat(every, stop, "not all that is kept no longer is gone", pass.clone())
                    .boxed()
            };
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }

        let sweeper = Sweeper::new(db.clone(), clock.clone());
        let deliverer =
            breaches.webhook.map(|webhook| Deliverer::new(db.clone(), clock.clone(), webhook));
        if let Some(every) = breaches.sweep_every {
            let lease = Lease::new(db.clone(), SWEEPERS_LEASE, &clock);
            let (sweeper, deliverer) = (sweeper.clone(), deliverer.clone());
            let work = move |stop| watch(sweeper.clone(), deliverer.clone(), every, stop).boxed();
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }

        let announcer = Announcer::new(db.clone(), clock.clone(), retention.changes());
        if changes.follow {
            tasks.spawn(announcer.clone().follow(background.clone()));
        }
        if let Some(every) = changes.announce_every {
            let lease = Lease::new(db.clone(), ANNOUNCERS_LEASE, &clock);
            let announcer = announcer.clone();
            let work = move |stop| announcer.clone().run(every, stop).boxed();
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }
        let streamer = Streamer::new(db.clone(), clock.clone(), siem.sinks);
        if let Some(every) = siem.stream_every {
            let lease = Lease::new(db.clone(), STREAMERS_LEASE, &clock);
            let streamer = streamer.clone();
            let work = move |stop| streamer.clone().run(every, stop).boxed();
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }
        let schema_tasks = SchemaTasks::new(&db, &clock, sealed, schemas.sinks);
        if let Some(every) = schemas.every {
            let lease = Lease::new(db.clone(), SCHEMAS_LEASE, &clock);
            let schema_tasks = schema_tasks.clone();
            let work = move |stop| schema_tasks.clone().run(every, stop).boxed();
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }
        let Evidence { signatory, sequence_every, publish_every, witnesses } = evidence;
        let sequencer = Sequencer::new(db.clone(), clock.clone(), signatory.clone());
        let publisher = Publisher::new(db.clone(), clock.clone(), signatory, objects, witnesses);
        if let Some(every) = sequence_every {
            let lease = Lease::new(db.clone(), SEQUENCERS_LEASE, &clock);
            let (sequencer, publisher) = (sequencer.clone(), publisher.clone());
            let work = move |stop: CancellationToken| {
                let sequencing = sequencer.clone().run(every, stop.clone());
                let publishing = publisher.clone().run(publish_every, stop);
                async {
                    tokio::join!(sequencing, publishing);
                }
                .boxed()
            };
            tasks.spawn(lease::lead(lease, background.clone(), work));
        }
        let (recorder, recording) =
            Recorder::start(db.clone(), &audit.spool_dir, audit.spool_bytes)?;
        let hub = Arc::new(Hub::default());
        tasks.spawn(hub.clone().run(db.clone(), background.clone()));
        let graph = graphql::subgraph();
        let mut execution =
            Execution::new(authentication.clone(), graph.clone(), limits.graphql_cost);
        if let Some(cache) = &cache {
            execution = execution.keeping(cache.answers.clone());
        }
        tasks.spawn(news.run(db.clone(), cache, background.clone()));
        let subscriptions = Subscriptions::new(
            authentication.clone(),
            execution.clone(),
            intake.clone(),
            hub,
            &limits,
            shutdown.clone(),
            (recorder.clone(), clock.clone()),
        );

        let checks: Vec<Arc<dyn ReadinessCheck>> =
            vec![Arc::new(DatabaseCheck(db.clone())), Arc::new(KeysCheck(keys))];
        let health = Operations {
            checks,
            deadline: READINESS_DEADLINE,
            metrics,
            shutdown: shutdown.clone(),
        };
        let app = Self {
            public: public.local_addr(),
            internal: internal.local_addr(),
            operations: operations.local_addr(),
            db,
            sweeper,
            deliverer,
            announcer,
            archivist,
            streamer,
            schemas: schema_tasks,
            sequencer,
            publisher,
            revocations,
            subscriptions: subscriptions.clone(),
            recorder,
            recording,
            drain_timeout: limits.drain_timeout,
            shutdown,
            background,
            listeners: JoinSet::new(),
            tasks,
        };
        let routes = Routes {
            authentication: &authentication,
            subgraph: &graph,
            execution: &execution,
            subscriptions: &subscriptions,
            limits: &limits,
        };
        let serving = [
            (public, routes.public(intake.clone(), graphiql)?),
            (internal, routes.internal(intake, &clock)?),
            (operations, operations::router(health)),
        ];
        Ok(app.serve(serving, &limits, &clock))
    }

    fn serve(
        mut self,
        listeners: [(BoundListener, Router); 3],
        limits: &Limits,
        clock: &SharedClock,
    ) -> Self {
        for (listener, routes) in listeners {
            let recorder = self.recorder.clone();
            let front = Front::new(listener.kind(), clock.clone(), limits, recorder);
            let router = http::assemble(routes, front);
            let serving = listener.serve(router, *limits, self.shutdown.clone());
            self.listeners.spawn(async move {
                let drained = serving.await;
                if drained.cut > 0 {
                    tracing::warn!(connections = drained.cut, "cut at the end of the drain time");
                }
            });
        }
        self
    }

    /// What finds breaches, to ask for a pass at once.
    #[must_use]
    pub const fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    /// What tells of them, if anybody is to be told, to ask for a pass at once.
    #[must_use]
    pub const fn deliverer(&self) -> Option<&Deliverer> {
        self.deliverer.as_ref()
    }

    /// What this instance refuses before its time.
    #[must_use]
    pub const fn revocations(&self) -> &Arc<RevocationList> {
        &self.revocations
    }

    /// What announces changes, to ask for a pass at once.
    #[must_use]
    pub const fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// What archives the audit trail, to ask for a pass at once.
    #[must_use]
    pub const fn archivist(&self) -> &Archivist {
        &self.archivist
    }

    /// What streams the audit trail, to ask for a pass at once.
    #[must_use]
    pub const fn streamer(&self) -> &Streamer {
        &self.streamer
    }

    /// What is done about schemas, to ask for a pass at once.
    #[must_use]
    pub const fn schemas(&self) -> &SchemaTasks {
        &self.schemas
    }

    /// What puts events into the evidence ledger, to ask for a pass at once.
    #[must_use]
    pub const fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// What publishes checkpoints, to ask for a pass at once.
    #[must_use]
    pub const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Ends the service: no new connection, requests in flight finish, then the rest.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while self.listeners.join_next().await.is_some() {}
        // Sockets are no requests in flight any more; they close by themselves.
        if timeout(self.drain_timeout, self.subscriptions.closed()).await.is_err() {
            tracing::warn!("subscriptions were cut at the end of the drain time");
        }
        self.background.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.recording.close(&self.recorder).await;
        self.db.close().await;
    }
}

async fn bind(kind: ListenerKind, address: SocketAddr) -> Result<BoundListener, StartError> {
    BoundListener::bind(kind, address).await.map_err(|source| StartError::Listen {
        listener: kind.as_str(),
        address,
        source,
    })
}

/// What takes GraphQL documents in.
fn intake(graphql: &config::Graphql, limits: &Limits) -> Result<Intake, BrokenManifest> {
    let trusted = match &graphql.trusted_documents_file {
        Some(path) => Trusted::read(path, &limits.graphql_document)?,
        None => Trusted::default(),
    };
    let taken =
        Taken { persisted: !graphql.without_persisted_queries, only_trusted: graphql.only_trusted };
    Ok(Intake::new(limits, trusted, taken))
}

/// Looks for breaches and tells of them; neither waits for the other.
async fn watch(
    sweeper: Sweeper,
    deliverer: Option<Deliverer>,
    every: Duration,
    stop: CancellationToken,
) {
    let told = OptionFuture::from(deliverer.map(|it| it.run(every, stop.clone())));
    tokio::join!(sweeper.run(every, stop), told);
}

async fn keep_partitions(db: Db, clock: SharedClock, stop: CancellationToken) {
    let mut ticks = interval(PARTITIONS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the start has just seen to them.
    ticks.tick().await;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match maintenance::ensure_partitions(&db, clock.now()).await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "partitions made ahead"),
            Err(error) => tracing::error!(cause = cause(&error), "no partitions were made ahead"),
        }
    }
}

struct DatabaseCheck(Db);

impl ReadinessCheck for DatabaseCheck {
    fn name(&self) -> &'static str {
        "database"
    }

    fn check(&self) -> BoxFuture<'_, Result<(), NotReady>> {
        Box::pin(async { self.0.ping().await.map_err(|_| Cow::Borrowed("does not answer")) })
    }
}

struct KeysCheck(Arc<KeySource>);

impl ReadinessCheck for KeysCheck {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn check(&self) -> BoxFuture<'_, Result<(), NotReady>> {
        let ready = self.0.is_ready();
        Box::pin(async move {
            if ready { Ok(()) } else { Err(Cow::Borrowed("no key set to verify tokens with")) }
        })
    }
}
