//! The registry of schemas, from outside.

mod life;
mod limits;
mod names;
mod racing;
mod real;
mod rules;
mod sight;
mod tampered;
mod verified;

use drr::auth::policy::Role;
use serde_json::{Value, json};

use crate::app::TestApp;

pub const TENANT: &str = "acme";

/// Somebody who asks for things, and somebody else who decides about them.
pub struct Desk<'a> {
    pub app: &'a TestApp,
    pub author: String,
    pub approver: String,
}

impl<'a> Desk<'a> {
    pub fn of(app: &'a TestApp, tenant: &str) -> Self {
        let (author, approver) =
            (app.token(tenant, Role::SchemaAdmin), app.token(tenant, Role::GovernanceApprover));
        Self { app, author, approver }
    }

    /// Registers a schema; its id.
    pub async fn register(&self, fqid: &str, format: &str) -> String {
        let document = "mutation($f: String!, $k: SchemaFormat!) {
            registerSchema(input: { fqid: $f, format: $k, description: \"d\", owners: [\"o\"], tags: [\"t\"] }) {
              status schema { id } } }";
        let variables = json!({ "f": fqid, "k": format });
        let mut data = self.app.data(&self.author, document, variables).await;
        assert_eq!(data["registerSchema"]["status"], "REGISTERED", "{data:#}");
        taken(&mut data["registerSchema"]["schema"]["id"])
    }

    /// Drafts a version; how that ended, and its id.
    pub async fn drafted(&self, schema: &str, text: &str, refers: Value) -> (String, String) {
        let document = "mutation($s: ID!, $c: String!, $r: [SchemaReferenceInput!]!) {
            draftSchemaVersion(input: { schemaId: $s, content: $c, references: $r }) { status version { id } } }";
        let variables = json!({ "s": schema, "c": text, "r": refers });
        let mut data = self.app.data(&self.author, document, variables).await;
        let payload = &mut data["draftSchemaVersion"];
        (taken(&mut payload["status"]), taken(&mut payload["version"]["id"]))
    }

    /// Drafts a new version; its id.
    pub async fn draft(&self, schema: &str, text: &str, refers: Value) -> String {
        let (status, id) = self.drafted(schema, text, refers).await;
        assert_eq!(status, "DRAFTED");
        id
    }

    /// Asks for a transition; why it was refused, or the request.
    pub async fn ask(&self, version: &str, kind: &str, more: &str) -> Result<Value, String> {
        let document = format!(
            "mutation($v: ID!, $k: SchemaTransitionKind!) {{
               proposeSchemaTransition(input: {{ versionId: $v, kind: $k {more} }}) {{ refused transition {{ {TOLD} }} }} }}"
        );
        let variables = json!({ "v": version, "k": kind });
        let mut data = self.app.data(&self.author, &document, variables).await;
        told(data["proposeSchemaTransition"].take())
    }

    /// Asks for a transition that may be asked for; the id of the request.
    pub async fn propose(&self, version: &str, kind: &str) -> String {
        let asked = self.ask(version, kind, "").await.unwrap();
        asked["id"].as_str().unwrap().to_owned()
    }

    /// Decides with a mutation and what else it says.
    pub async fn decide(
        &self,
        token: &str,
        mutation: &str,
        id: &str,
        more: &str,
    ) -> Result<Value, String> {
        let document = format!(
            "mutation($id: ID!) {{ {mutation}(input: {{ id: $id {more} }}) {{ refused transition {{ {TOLD} }} }} }}"
        );
        let mut data = self.app.data(token, &document, json!({ "id": id })).await;
        told(data[mutation].take())
    }

    pub async fn approve(&self, id: &str) -> Result<Value, String> {
        self.decide(&self.approver, "approveSchemaTransition", id, "").await
    }

    /// Asks for a transition and has it approved.
    pub async fn done(&self, version: &str, kind: &str) {
        let asked = self.propose(version, kind).await;
        self.approve(&asked).await.unwrap();
    }

    /// A version that is in use; its id.
    pub async fn active(&self, schema: &str, text: &str, refers: Value) -> String {
        let version = self.draft(schema, text, refers).await;
        self.done(&version, "ACTIVATE").await;
        version
    }

    /// What is so of a version.
    pub async fn version(&self, name: &str) -> Value {
        let document = "query($n: String!) { schemaVersion(name: $n) {
            id state visibility content contentHash canonicalHash number references { name version { name } }
            transitions { kind status requestedBy decidedBy decision verdict decidedVerdict standing } } }";
        self.app.data(&self.author, document, json!({ "n": name })).await["schemaVersion"].take()
    }
}

/// What is told of a request.
const TOLD: &str = "id kind status verdict decidedVerdict decision standing findings { rule direction verdict path }
    version { state visibility }";

fn told(mut payload: Value) -> Result<Value, String> {
    match payload["refused"].as_str() {
        Some(refused) => Err(refused.to_owned()),
        None => Ok(payload["transition"].take()),
    }
}

/// A text of an answer.
pub fn taken(value: &mut Value) -> String {
    value.take().as_str().unwrap().to_owned()
}

/// An Avro record with these fields, each optional.
pub fn record(name: &str, fields: &[&str]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|field| json!({ "name": field, "type": ["null", "string"], "default": null }))
        .collect();
    json!({ "type": "record", "name": name, "fields": fields }).to_string()
}
