//! What clients of Confluent's registry know, over HTTP; who approves does so by the library, as a principal that
//! only the verifier makes.

mod client;
mod errors;
mod isolation;
mod routes;

use std::sync::Arc;

use drr::{
    audit::Record,
    auth::policy::Role,
    call::Call,
    db::Db,
    keys::{Keys, MasterKey, Sealed},
    schema::governance::{self, Ended, Ruling},
};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{MASTER_KEY, TestApp},
    door::world::{db_settings, principal, strings},
};

const MEDIA: &str = "application/vnd.schemaregistry.v1+json";
const SUBJECTS: &str = "/confluent/subjects";

/// A record of Avro with these fields.
fn avro(fields: &[&str]) -> Value {
    let fields: Vec<_> = fields.iter().map(|text| field(text)).collect();
    let schema = json!({ "type": "record", "name": "Order", "fields": fields });
    json!({ "schema": schema.to_string() })
}

/// `name:type`, and with a default `name:type=`.
fn field(text: &str) -> Value {
    let (name, kind) = text.split_once(':').unwrap();
    match kind.strip_suffix('=') {
        Some(kind) => json!({ "name": name, "type": ["null", kind], "default": null }),
        None => json!({ "name": name, "type": kind }),
    }
}

/// The service, and somebody who approves.
struct Registry {
    app: TestApp,
    db: Db,
}

impl Registry {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let db = Db::new(db_settings(app.database.application(), 2));
        Self { app, db }
    }

    /// A call of whoever approves in `tenant`.
    async fn approver(&self, tenant: &str) -> Call {
        let principal = Arc::new(principal(tenant, Role::GovernanceApprover).await);
        let record = Record::new(self.app.clock.clone(), "approval".into(), "internal");
        let master = MasterKey::new(MASTER_KEY.as_bytes()).unwrap();
        let objects = self.app.objects.clone();
        let sealed = Sealed::new(objects.clone(), Keys::new(objects, master, None));
        Call::new(principal, &self.db, self.app.clock.clone(), Arc::new(record))
            .reaching(Some(sealed))
    }

    async fn ids(&self, sql: &str) -> Vec<Uuid> {
        let mut admin = self.app.admin().await;
        let found = strings(&mut admin, sql).await;
        found.iter().map(|id| id.parse().unwrap()).collect()
    }

    /// Decides about all that waits in `tenant`; answers how much that was.
    async fn decide(&self, tenant: &str, ruling: impl Fn() -> Ruling, but: &str) -> usize {
        let open = self
            .ids(&format!(
                "SELECT t.transition_id::text FROM schema_transition t
                   JOIN schema_registry s USING (tenant_id, schema_id)
                  WHERE t.tenant_id = '{tenant}' AND t.status = 'OPEN' AND s.name <> '{but}'"
            ))
            .await;
        for id in &open {
            let call = self.approver(tenant).await;
            let ended = Box::pin(governance::decide(&call, Ok(*id), ruling())).await.unwrap();
            assert!(matches!(ended, Ended::Done { .. }), "{ended:?}");
        }
        open.len()
    }

    /// Approves all that waits in `tenant`, but for one name.
    async fn approve_but(&self, tenant: &str, but: &str) -> usize {
        self.decide(tenant, || Ruling::Approve(None), but).await
    }

    /// Approves all that waits in `tenant`.
    async fn approve(&self, tenant: &str) -> usize {
        self.approve_but(tenant, "").await
    }

    /// Agrees beforehand to all schemas of `tenant`, but for one name.
    async fn stand_but(&self, tenant: &str, but: &str) {
        let sql = format!(
            "SELECT schema_id::text FROM schema_registry WHERE tenant_id = '{tenant}' AND name <> '{but}'"
        );
        for id in self.ids(&sql).await {
            governance::stand(&self.approver(tenant).await, Ok(id), true).await.unwrap();
        }
    }

    async fn send(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.app.http.request(method, self.app.public(path)).bearer_auth(token);
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, MEDIA).body(body.to_string()),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// The status and the body of an answer, in their media type.
    async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let response = self.send(token, method, path, body).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA, "{path}");
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        self.ask(token, Method::GET, path, None).await
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask(token, Method::POST, path, Some(body)).await
    }

    async fn delete(&self, token: &str, path: &str) -> (u16, Value) {
        self.ask(token, Method::DELETE, path, None).await
    }

    /// Registers a schema; answers its number.
    async fn register(&self, token: &str, subject: &str, body: Value) -> i64 {
        let (status, answer) =
            self.post(token, &format!("{SUBJECTS}/{subject}/versions"), body).await;
        assert_eq!(status, 200, "{answer}");
        answer["id"].as_i64().unwrap()
    }

    fn author(&self, tenant: &str) -> String {
        self.app.token(tenant, Role::SchemaAdmin)
    }

    fn reader(&self, tenant: &str) -> String {
        self.app.token(tenant, Role::SchemaReader)
    }
}

/// The status and the error code of a refusal.
fn refusal((status, body): (u16, Value)) -> (u16, u64) {
    assert!(body["message"].is_string() && body.as_object().unwrap().len() == 2, "{body}");
    (status, body["error_code"].as_u64().unwrap())
}
