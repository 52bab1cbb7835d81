//! What happens to schemas: how it is told, and what ends by itself.

mod expiry;
mod killed;
mod receiver;
mod replay;
mod told;

use std::sync::Arc;

use drr::{app::Assembly, auth::policy::Role, clock::ManualClock};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    cluster::Cluster,
    graph::{Graph, TENANT, string},
};

/// A schema of Avro with one field of this name.
pub fn record(field: &str) -> String {
    json!({ "type": "record", "name": "R", "fields": [{ "name": field, "type": "string", "default": "" }] })
        .to_string()
}

pub async fn start(change: impl FnOnce(&mut Assembly)) -> Graph {
    let clock = Arc::new(ManualClock::default());
    let database = Cluster::shared().await.database().await;
    let app = TestApp::launch(database, clock.clone(), change);
    Graph { app: app.await.unwrap(), clock }
}

/// Somebody of a tenant, who may do what the roles that schemas have may.
pub struct Registry<'g> {
    graph: &'g Graph,
    tenant: &'static str,
}

impl<'g> Registry<'g> {
    pub fn new(graph: &'g Graph) -> Self {
        Self { graph, tenant: TENANT }
    }

    pub fn of(graph: &'g Graph, tenant: &'static str) -> Self {
        Self { graph, tenant }
    }

    pub async fn ask(&self, role: Role, document: &str, variables: Value) -> Value {
        self.graph.app.data(&self.graph.app.token(self.tenant, role), document, variables).await
    }

    pub async fn register(&self, name: &str) -> String {
        let fqid = format!("tenant.{}.sales.{name}", self.tenant);
        let document = "mutation($f: String!) {
            registerSchema(input: { fqid: $f, format: AVRO }) { status schema { id } } }";
        let data = self.ask(Role::SchemaAdmin, document, json!({ "f": fqid })).await;
        assert_eq!(data["registerSchema"]["status"], "REGISTERED", "{data:#}");
        string(&data["registerSchema"]["schema"]["id"]).to_owned()
    }

    pub async fn draft(&self, schema: &str, content: &str) -> String {
        let document = "mutation($s: ID!, $c: String!) {
            draftSchemaVersion(input: { schemaId: $s, content: $c }) { status version { id } } }";
        let data =
            self.ask(Role::SchemaAdmin, document, json!({ "s": schema, "c": content })).await;
        assert_eq!(data["draftSchemaVersion"]["status"], "DRAFTED", "{data:#}");
        string(&data["draftSchemaVersion"]["version"]["id"]).to_owned()
    }

    pub async fn propose(&self, version: &str, kind: &str) -> String {
        let document = "mutation($v: ID!, $k: SchemaTransitionKind!) {
            proposeSchemaTransition(input: { versionId: $v, kind: $k }) { refused transition { id } } }";
        let data = self.ask(Role::SchemaAdmin, document, json!({ "v": version, "k": kind })).await;
        let asked = &data["proposeSchemaTransition"];
        assert!(asked["refused"].is_null(), "{data:#}");
        string(&asked["transition"]["id"]).to_owned()
    }

    /// Approves; answers why not, if not.
    pub async fn approve(&self, transition: &str) -> Option<String> {
        let document =
            "mutation($t: ID!) { approveSchemaTransition(input: { id: $t }) { refused } }";
        let data = self.ask(Role::GovernanceApprover, document, json!({ "t": transition })).await;
        data["approveSchemaTransition"]["refused"].as_str().map(str::to_owned)
    }

    /// Registers a schema, and brings a first version into use; answers its id.
    pub async fn active(&self, name: &str) -> String {
        let schema = self.register(name).await;
        let version = self.draft(&schema, &record("a")).await;
        let asked = self.propose(&version, "ACTIVATE").await;
        assert_eq!(self.approve(&asked).await, None);
        version
    }
}
