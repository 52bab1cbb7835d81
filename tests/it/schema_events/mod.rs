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
    graph::{Graph, TENANT},
    registry::Desk,
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

    /// With tokens of now: time goes on here.
    fn desk(&self) -> Desk<'_> {
        Desk::of(&self.graph.app, self.tenant)
    }

    pub async fn register(&self, name: &str) -> String {
        self.desk().register(&format!("tenant.{}.sales.{name}", self.tenant), "AVRO").await
    }

    pub async fn draft(&self, schema: &str, content: &str) -> String {
        self.desk().draft(schema, content, json!([])).await
    }

    pub async fn propose(&self, version: &str, kind: &str) -> String {
        self.desk().propose(version, kind).await
    }

    /// Approves; answers why not, if not.
    pub async fn approve(&self, transition: &str) -> Option<String> {
        self.desk().approve(transition).await.err()
    }

    /// Registers a schema, and brings a first version into use; answers its id.
    pub async fn active(&self, name: &str) -> String {
        let schema = self.register(name).await;
        self.desk().active(&schema, &record("a"), json!([])).await
    }
}
