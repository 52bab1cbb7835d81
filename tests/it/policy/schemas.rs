//! The schemas of the world: one of each thing that can be asked for.

use drr::auth::policy::Role;
use serde_json::json;

use super::{RUN, TENANT};
use crate::{app::TestApp, registry::Desk, smoke::run_event};

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
        let desk = Desk::of(app, TENANT);
        let address = desk.register("tenant.acme.sales.Address", "AVRO").await;
        let text =
            r#"{"type":"record","name":"Address","fields":[{"name":"street","type":"string"}]}"#;
        desk.active(&address, text, json!([])).await;

        let standing = desk.register(STANDING, "AVRO").await;
        let refers = json!([{ "name": "Address", "version": "tenant.acme.sales.Address@1" }]);
        let active = desk.draft(&standing, TEXT, refers).await;
        let stand = "mutation($id: ID!) { setSchemaStanding(input: { schemaId: $id, agrees: true }) { schema { id } } }";
        app.data(&desk.approver, stand, json!({ "id": standing })).await;
        desk.propose(&active, "ACTIVATE").await;

        let read = "query($n: String!) { schemaVersion(name: $n) { contentId } }";
        let read = app.data(&desk.author, read, json!({ "n": format!("{STANDING}@1") })).await;
        let content_id = read["schemaVersion"]["contentId"].as_i64().unwrap();

        let other = desk.register("tenant.acme.sales.Settled", "AVRO").await;
        let settled = desk.draft(&other, RECORD, json!([])).await;
        app.data(&desk.approver, stand, json!({ "id": other })).await;
        desk.propose(&settled, "ACTIVATE").await;
        let empty = desk.register(OPEN, "AVRO").await;
        let mut open = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let schema = desk.register(&format!("tenant.acme.sales.Wait-{name}"), "AVRO").await;
            let version = desk.draft(&schema, RECORD, json!([])).await;
            open.push(desk.propose(&version, "ACTIVATE").await);
        }
        // A fourth one stays open, with a difference that is told.
        let lenient =
            "mutation($id: ID!) { updateSchema(input: { id: $id, policy: LENIENT }) { status } }";
        app.data(&desk.author, lenient, json!({ "id": address })).await;
        let broken =
            r#"{"type":"record","name":"Address","fields":[{"name":"street","type":"int"}]}"#;
        let broken = desk.draft(&address, broken, json!([])).await;
        desk.propose(&broken, "ACTIVATE").await;
        let schema = desk.register("tenant.acme.sales.Draft", "AVRO").await;
        let draft = desk.draft(&schema, RECORD, json!([])).await;
        // What is accepted of it waits for an approval: nothing else changes with it.
        let drifted = desk.register("tenant.acme.sales.Drifted", "AVRO").await;
        desk.active(&drifted, RECORD, json!([])).await;
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
