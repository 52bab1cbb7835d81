//! The schemas of the world: one of each thing that can be asked for.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{RUN, TENANT};
use crate::{app::TestApp, smoke::run_event};

pub const STANDING: &str = "tenant.acme.sales.Standing";
const OPEN: &str = "tenant.acme.sales.Open";
/// A text that no other version has.
pub const RECORD: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;

/// What the version of [`STANDING`] says.
pub const TEXT: &str = r#"{"type":"record","name":"S","fields":[{"name":"to","type":"Address"}]}"#;

/// What there is.
pub struct Schemas {
    /// The id of [`STANDING`], whose versions an approver has agreed to beforehand.
    pub standing: String,
    /// The id of its version, which is ACTIVE.
    pub active: String,
    /// The id of a version of another schema like it.
    pub settled: String,
    /// The number that clients of Confluent's registry know it by.
    pub content_id: i64,
    /// The id of a schema without versions.
    pub empty: String,
    /// The id of a draft.
    pub draft: String,
    /// Open requests: to be approved, to be rejected, to be taken back.
    pub open: [String; 3],
}

impl Schemas {
    /// Every id, to be replaced by one that nobody has.
    pub fn ids(&self) -> Vec<&str> {
        let schemas = [self.standing.as_str(), self.empty.as_str()];
        // The id of a version is the schema's with a number.
        let versions = [&self.draft, &self.settled];
        let versions = versions.into_iter().filter_map(|id| id.split('@').next());
        schemas.into_iter().chain(versions).chain(self.open.iter().map(String::as_str)).collect()
    }

    pub async fn of(app: &TestApp, dataset: &str) -> Self {
        let author = app.token(TENANT, Role::SchemaAdmin);
        let approver = app.token(TENANT, Role::GovernanceApprover);
        let address = register(app, &author, "tenant.acme.sales.Address").await;
        let text =
            r#"{"type":"record","name":"Address","fields":[{"name":"street","type":"string"}]}"#;
        let version = draft_of(app, &author, &address, text, json!([])).await;
        let asked = propose(app, &author, &version).await;
        approve(app, &approver, &asked).await;

        let standing = register(app, &author, STANDING).await;
        let refers = json!([{ "name": "Address", "version": "tenant.acme.sales.Address@1" }]);
        let active = draft_of(app, &author, &standing, TEXT, refers).await;
        let stand = "mutation($id: ID!) { setSchemaStanding(input: { schemaId: $id, agrees: true }) { schema { id } } }";
        app.data(&approver, stand, json!({ "id": standing })).await;
        propose(app, &author, &active).await;

        let read = "query($n: String!) { schemaVersion(name: $n) { contentId } }";
        let read = app.data(&author, read, json!({ "n": format!("{STANDING}@1") })).await;
        let content_id = read["schemaVersion"]["contentId"].as_i64().unwrap();

        let other = register(app, &author, "tenant.acme.sales.Settled").await;
        let settled = draft_of(app, &author, &other, RECORD, json!([])).await;
        app.data(&approver, stand, json!({ "id": other })).await;
        propose(app, &author, &settled).await;
        let empty = register(app, &author, OPEN).await;
        let mut open = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let schema = register(app, &author, &format!("tenant.acme.sales.Wait-{name}")).await;
            let version = draft_of(app, &author, &schema, RECORD, json!([])).await;
            open.push(propose(app, &author, &version).await);
        }
        // A fourth one stays open, with a difference that is told.
        let lenient =
            "mutation($id: ID!) { updateSchema(input: { id: $id, policy: LENIENT }) { status } }";
        app.data(&author, lenient, json!({ "id": address })).await;
        let broken =
            r#"{"type":"record","name":"Address","fields":[{"name":"street","type":"int"}]}"#;
        let broken = draft_of(app, &author, &address, broken, json!([])).await;
        propose(app, &author, &broken).await;
        let schema = register(app, &author, "tenant.acme.sales.Draft").await;
        let draft = draft_of(app, &author, &schema, RECORD, json!([])).await;
        // What is accepted of it waits for an approval: nothing else changes with it.
        let drifted = register(app, &author, "tenant.acme.sales.Drifted").await;
        let version = draft_of(app, &author, &drifted, RECORD, json!([])).await;
        let asked = propose(app, &author, &version).await;
        approve(app, &approver, &asked).await;
        let bind = "mutation($id: ID!) { updateDataset(input: { id: $id, schemaFqid: \"tenant.acme.sales.Drifted@1\" }) { status } }";
        let admin = app.token(TENANT, Role::TenantAdmin);
        app.data(&admin, bind, json!({ "id": dataset })).await;
        // What runs report of it is something else.
        let mut reported = run_event("COMPLETE", "2026-11-01T01:00:00Z", RUN, "kept");
        reported["run"]["runId"] = "0190a000-0000-7000-8000-0000000001ff".into();
        reported["outputs"][0]["facets"]["schema"] = json!({
            "_producer": "https://producer.example",
            "_schemaURL": "https://openlineage.io/spec/facets/1-1-1/SchemaDatasetFacet.json",
            "fields": [{ "name": "b", "type": "bigint" }],
        });
        let writer = app.token(TENANT, Role::RuntimeWriter);
        let (status, report) = app.lineage(&writer, &reported).await;
        assert_eq!(status, 201, "{report:#}");
        app.schemas().drift.pass().await.unwrap();
        open.truncate(3);
        let open: [String; 3] = open.try_into().unwrap();
        Self { standing, active, settled, content_id, empty, draft, open }
    }
}

async fn register(app: &TestApp, token: &str, fqid: &str) -> String {
    let document = "mutation($f: String!) { registerSchema(input: { fqid: $f, format: AVRO, description: \"d\",
        owners: [\"o\"], tags: [\"t\"] }) { status schema { id } } }";
    let mut data = app.data(token, document, json!({ "f": fqid })).await;
    assert_eq!(data["registerSchema"]["status"], "REGISTERED", "{data:#}");
    data["registerSchema"]["schema"]["id"].take().as_str().unwrap().to_owned()
}

async fn draft_of(app: &TestApp, token: &str, schema: &str, text: &str, refers: Value) -> String {
    let document = "mutation($s: ID!, $c: String!, $r: [SchemaReferenceInput!]!) {
        draftSchemaVersion(input: { schemaId: $s, content: $c, references: $r }) { status version { id } } }";
    let mut data = app.data(token, document, json!({ "s": schema, "c": text, "r": refers })).await;
    assert_eq!(data["draftSchemaVersion"]["status"], "DRAFTED", "{data:#}");
    data["draftSchemaVersion"]["version"]["id"].take().as_str().unwrap().to_owned()
}

async fn propose(app: &TestApp, token: &str, version: &str) -> String {
    let document =
        "mutation($v: ID!) { proposeSchemaTransition(input: { versionId: $v, kind: ACTIVATE }) {
        refused transition { id } } }";
    let mut data = app.data(token, document, json!({ "v": version })).await;
    assert!(data["proposeSchemaTransition"]["refused"].is_null(), "{data:#}");
    data["proposeSchemaTransition"]["transition"]["id"].take().as_str().unwrap().to_owned()
}

async fn approve(app: &TestApp, token: &str, transition: &str) {
    let document = "mutation($t: ID!) { approveSchemaTransition(input: { id: $t }) { refused } }";
    let data = app.data(token, document, json!({ "t": transition })).await;
    assert!(data["approveSchemaTransition"]["refused"].is_null(), "{data:#}");
}
