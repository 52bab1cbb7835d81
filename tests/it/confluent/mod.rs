//! What clients of Confluent's registry know, over HTTP; who approves does so in the graph.

mod client;
mod errors;
mod isolation;
mod rights;
mod routes;

use drr::auth::policy::Role;
use reqwest::{Method, Response, header};
use serde_json::{Value, json};

use crate::app::TestApp;

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

const WAITING: &str =
    "{ pendingApprovals(first: 200) { nodes { id version { schema { name } } } } }";
const APPROVE: &str = "mutation($i: ApproveSchemaTransitionInput!) {
  told: approveSchemaTransition(input: $i) { refused } }";
const REJECT: &str = "mutation($i: RejectSchemaTransitionInput!) {
  told: rejectSchemaTransition(input: $i) { refused } }";
const STAND: &str = "mutation($i: SetSchemaStandingInput!) {
  setSchemaStanding(input: $i) { schema { standing { by } } } }";
const PROPOSE: &str = "mutation($i: ProposeSchemaTransitionInput!) {
  told: proposeSchemaTransition(input: $i) { refused } }";

/// The service.
struct Registry {
    app: TestApp,
}

impl Registry {
    async fn start() -> Self {
        Self { app: TestApp::start().await }
    }

    fn approver(&self, tenant: &str) -> String {
        self.app.token(tenant, Role::GovernanceApprover)
    }

    /// Decides about all that waits in `tenant`, but for one name; answers how much that was.
    async fn decide(&self, tenant: &str, how: &str, more: &Value, but: &str) -> usize {
        let approver = self.approver(tenant);
        let data = self.app.data(&approver, WAITING, json!({})).await;
        let mut decided = 0;
        for waits in data["pendingApprovals"]["nodes"].as_array().unwrap() {
            if waits["version"]["schema"]["name"] == but {
                continue;
            }
            let mut input = more.clone();
            input["id"] = waits["id"].clone();
            let told = self.app.data(&approver, how, json!({ "i": input })).await;
            assert_eq!(told["told"], json!({ "refused": null }));
            decided += 1;
        }
        decided
    }

    /// Approves all that waits in `tenant`, but for one name.
    async fn approve_but(&self, tenant: &str, but: &str) -> usize {
        self.decide(tenant, APPROVE, &json!({}), but).await
    }

    /// Approves all that waits in `tenant`.
    async fn approve(&self, tenant: &str) -> usize {
        self.approve_but(tenant, "").await
    }

    /// Agrees beforehand to all schemas of `tenant`, but for one name.
    async fn stand_but(&self, tenant: &str, but: &str) {
        let approver = self.approver(tenant);
        let all = "{ schemas(first: 200) { nodes { id name } } }";
        let data = self.app.data(&approver, all, json!({})).await;
        for schema in data["schemas"]["nodes"].as_array().unwrap() {
            if schema["name"] != but {
                let input = json!({ "schemaId": schema["id"], "agrees": true });
                let told = self.app.data(&approver, STAND, json!({ "i": input })).await;
                let by = &told["setSchemaStanding"]["schema"]["standing"]["by"];
                assert!(by.is_string(), "{told}");
            }
        }
    }

    /// Has a version be asked to be retired; who decides is somebody else.
    async fn retire(&self, author: &str, version: &str) {
        let named = "query($n: String!) { schemaVersion(name: $n) { id } }";
        let data = self.app.data(author, named, json!({ "n": version })).await;
        let input = json!({ "versionId": data["schemaVersion"]["id"], "kind": "RETIRE" });
        let told = self.app.data(author, PROPOSE, json!({ "i": input })).await;
        assert_eq!(told["told"], json!({ "refused": null }));
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
