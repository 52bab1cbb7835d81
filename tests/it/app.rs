//! The service as a test sees it: over HTTP, with really signed tokens. There is no back door.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use drr::{
    app::{App, Assembly, Breaches, Changes, Evidence, Schemas, Siem, StartError, Vault},
    audit::archive::Archivist,
    auth::{
        JwksSource, KeySettings, PseudonymKey, Revocation, TenantId, VerifierSettings,
        policy::Role,
        signing::{DevelopmentKey, TokenRequest},
    },
    breach::{delivery::Delivered, sweeper::Swept},
    change::announcer::Told,
    clock::{ManualClock, SharedClock, SystemClock},
    config::{Audit, Limits, Settings, Sources},
    db::DbSettings,
    evidence::{
        Signatory, SigningKey,
        sequencer::{Sequenced, Sequencer},
    },
    gate::Load,
    keys::{Keys, MasterKey},
    objects::Objects,
    schema::tasks::SchemaTasks,
    streaming::Streamed,
};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::cluster::{Cluster, Database, SCHEMA, spool_folder};

pub const ISSUER: &str = "https://identity.example";
pub const AUDIENCE: &str = "drr";

/// The key that signs the tokens of all tests.
pub static KEY: LazyLock<DevelopmentKey> = LazyLock::new(|| DevelopmentKey::generate().unwrap());

/// The key that signs the checkpoints of all tests.
pub static SIGNING_KEY: LazyLock<String> = LazyLock::new(|| SigningKey::generate_pem().unwrap());

/// What the names of the logs of all tests begin with.
pub const ORIGIN: &str = "drr.example/evidence";

/// What signs the checkpoints of all tests.
pub static SIGNATORY: LazyLock<Arc<Signatory>> = LazyLock::new(|| {
    let key = SigningKey::parse(&SIGNING_KEY).unwrap();
    Arc::new(Signatory::new(ORIGIN, key).unwrap())
});

/// Settings as a user has them who sets nothing, with ports that the system chooses.
pub fn settings() -> Settings {
    let flags = ["public", "internal", "operations"]
        .map(|name| (format!("listen.{name}"), "127.0.0.1:0".to_owned()));
    Settings::load(&Sources {
        flags: flags.to_vec(),
        default_data_dir: PathBuf::from("/nonexistent"),
        ..Sources::default()
    })
    .unwrap()
}

/// What the objects of all tests are encrypted with.
pub const MASTER_KEY: &str = "the master key of all tests, long enough";

/// The address of a new folder for objects.
pub fn objects_url() -> String {
    reqwest::Url::from_file_path(spool_folder()).unwrap().into()
}

/// What is kept outside of the database, at this address.
pub fn vault(url: &str) -> Vault {
    let objects = Objects::open(url).unwrap();
    let master = MasterKey::new(MASTER_KEY.as_bytes()).unwrap();
    // It is looked for what is kept no longer when a test asks for it.
    Vault { keys: Keys::new(objects.clone(), master, None), objects, retain_every: None }
}

/// What seals the objects of another instance at the same place.
pub fn vault_of(objects: &Objects) -> Keys {
    Keys::new(objects.clone(), MasterKey::new(MASTER_KEY.as_bytes()).unwrap(), None)
}

/// What the usual service on this database is made of.
pub fn assembly(database: &Database<'_>, clock: SharedClock) -> Assembly {
    let settings = settings();
    // A machine that has other things to do is no overload.
    let load = Load { at_work: 1_000, ..settings.limits.load };
    Assembly {
        listen: settings.listen,
        limits: Limits { load, ..settings.limits },
        graphql: settings.graphql,
        retention: settings.retention,
        cache: settings.cache,
        audit: Audit { spool_dir: spool_folder(), ..settings.audit },
        vault: vault(&objects_url()),
        database: DbSettings {
            connect: database.application(),
            schema: SCHEMA.to_owned(),
            max_connections: settings.database.max_connections,
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: settings.database.statement_timeout,
        },
        keys: KeySettings::new(JwksSource::Document(KEY.jwks_json())),
        verifier: VerifierSettings::new(ISSUER, AUDIENCE),
        pseudonyms: PseudonymKey::new(&[7; 32]).unwrap(),
        graphiql: false,
        // Looked for when a test asks for it.
        breaches: Breaches { sweep_every: None, webhook: None },
        changes: Changes { follow: false, announce_every: None },
        siem: Siem::default(),
        schemas: Schemas::default(),
        evidence: Evidence {
            signatory: SIGNATORY.clone(),
            sequence_every: None,
            publish_every: settings.evidence.publish_every,
            witnesses: Vec::new(),
        },
        clock,
    }
}

/// A running service on a database of its own.
pub struct TestApp {
    app: App,
    pub database: Database<'static>,
    /// Where checkpoints are published.
    pub objects: Objects,
    pub clock: SharedClock,
    pub http: Client,
}

impl TestApp {
    /// The usual service, by the machine's clock.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A service by a clock that the test moves.
    pub async fn with_clock(clock: &Arc<ManualClock>) -> Self {
        let database = Cluster::shared().await.database().await;
        Self::launch(database, clock.clone(), |_| ()).await.unwrap()
    }

    /// A service whose plan is changed before it starts.
    pub async fn with(change: impl FnOnce(&mut Assembly)) -> Self {
        let database = Cluster::shared().await.database().await;
        Self::launch(database, Arc::new(SystemClock), change).await.unwrap()
    }

    /// A service on a given database; may refuse to start.
    pub async fn launch(
        database: Database<'static>,
        clock: SharedClock,
        change: impl FnOnce(&mut Assembly),
    ) -> Result<Self, StartError> {
        // On the heap: a plan is larger than what should lie on every test's stack.
        let started = async move {
            let mut assembly = assembly(&database, clock.clone());
            change(&mut assembly);
            let objects = assembly.vault.objects.clone();
            let app = App::start(assembly).await?;
            Ok(Self { app, database, objects, clock, http: Client::new() })
        };
        Box::pin(started).await
    }

    /// Looks for breaches at the clock's instant.
    pub async fn sweep(&self) -> Swept {
        self.app.sweeper().pass().await.unwrap()
    }

    /// What archives the audit trail.
    pub const fn archivist(&self) -> &Archivist {
        self.app.archivist()
    }

    /// Refuses something from now on.
    pub fn revoke(&self, revocation: Revocation) {
        self.app.revocations().revoke(revocation, None).unwrap();
    }

    /// Announces what changed by the clock's instant.
    pub async fn announce(&self) -> Told {
        self.app.announcer().pass().await.unwrap()
    }

    /// Streams the audit trail.
    pub async fn stream(&self) -> Streamed {
        self.app.streamer().pass().await.unwrap()
    }

    /// What is done about schemas.
    pub const fn schemas(&self) -> &SchemaTasks {
        self.app.schemas()
    }

    /// Puts the events that are there into the evidence ledger.
    pub async fn sequence(&self) -> Sequenced {
        self.app.sequencer().pass().await.unwrap()
    }

    /// What puts events into the evidence ledger.
    pub const fn sequencer(&self) -> &Sequencer {
        self.app.sequencer()
    }

    /// Publishes the checkpoints that are there; answers how many.
    pub async fn publish(&self) -> u64 {
        self.app.publisher().pass().await.unwrap()
    }

    /// Tells the webhook what may be told at the clock's instant.
    pub async fn deliver(&self) -> Delivered {
        self.app.deliverer().unwrap().pass().await.unwrap()
    }

    /// Ends the service as SIGTERM does.
    pub async fn stop(self) {
        Box::pin(self.app.stop()).await;
    }

    /// Where the public listener is, for those who speak to its socket.
    pub const fn public_address(&self) -> std::net::SocketAddr {
        self.app.public
    }

    pub fn public(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.public)
    }

    pub fn internal(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.internal)
    }

    pub fn operations(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.operations)
    }

    /// What a token of `role` in `tenant` says unless a test changes it.
    pub fn request(tenant: &str, role: Role) -> TokenRequest {
        TokenRequest::for_role(ISSUER, AUDIENCE, TenantId::parse(tenant).unwrap(), role)
    }

    pub fn sign(&self, request: &TokenRequest) -> String {
        KEY.sign(request, self.clock.as_ref()).unwrap()
    }

    /// A token that opens all that `role` may do in `tenant`.
    pub fn token(&self, tenant: &str, role: Role) -> String {
        self.sign(&Self::request(tenant, role))
    }

    /// Sends a GraphQL request to the public listener.
    pub async fn send(&self, token: &str, query: &str, variables: Value) -> Response {
        let request = self.http.post(self.public("/graphql")).bearer_auth(token);
        request.json(&json!({ "query": query, "variables": variables })).send().await.unwrap()
    }

    /// A GraphQL answer, whole.
    pub async fn answer(&self, token: &str, query: &str, variables: Value) -> Value {
        self.send(token, query, variables).await.json().await.unwrap()
    }

    /// The data of a GraphQL answer that has no errors.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.answer(token, query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        answer["data"].take()
    }

    /// The code of the only error of a GraphQL answer.
    pub async fn code(&self, token: &str, query: &str, variables: Value) -> String {
        let answer = self.answer(token, query, variables).await;
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("no error: {answer:#}"));
        assert_eq!(errors.len(), 1, "{answer:#}");
        errors[0]["extensions"]["code"].as_str().unwrap().to_owned()
    }

    /// Sends OpenLineage events to the internal listener.
    pub async fn lineage(&self, token: &str, events: &Value) -> (StatusCode, Value) {
        let body = serde_json::to_vec(events).unwrap();
        let response = self.lineage_bytes(token, body).await;
        (response.status(), response.json().await.unwrap())
    }

    /// Sends a body to the OpenLineage route.
    pub async fn lineage_bytes(&self, token: &str, body: Vec<u8>) -> Response {
        let request = self.http.post(self.internal("/api/v1/lineage")).bearer_auth(token);
        request.header(header::CONTENT_TYPE, "application/json").body(body).send().await.unwrap()
    }

    /// A superuser's connection to the database, whom row-level security does not hold.
    pub async fn admin(&self) -> PgConnection {
        self.database.admin().await
    }
}
