//! Foreign and missing look the same, byte for byte but for the correlation id. // S10

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{Graph, STRANGER, name_input, string};
use crate::cluster::run;

const UNKNOWN: &str = "01900000-0000-7000-8000-00000000ffff";

impl Graph {
    /// An answer as it came over the wire, without its correlation id and the id asked for.
    async fn bytes(&self, query: &str, variables: &Value, id: &str) -> String {
        let response =
            self.app.send(&self.token(Role::TenantAdmin), query, variables.clone()).await;
        let status = response.status();
        let correlation = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        let body = response.text().await.unwrap();
        format!("{status} {}", body.replace(&correlation, "").replace(id, "ID"))
    }
}

#[test]
fn what_is_foreign_is_as_if_it_were_not_there() {
    run(async {
        let graph = Graph::start().await;
        let stranger = graph.app.token(STRANGER, Role::TenantAdmin);
        let query = "mutation($input: RegisterDatasetInput!) {
          registerDataset(input: $input) { dataset { id urn } } }";
        let aliases = [name_input("ns", "alias")];
        let input = json!({ "namespace": "ns", "name": "secret", "aliases": aliases });
        let data = graph.app.data(&stranger, query, json!({ "input": input })).await;
        let dataset = &data["registerDataset"]["dataset"];
        let (foreign, urn) = (string(&dataset["id"]), string(&dataset["urn"]));

        for query in [
            "query($id: ID!) { dataset(id: $id) { id name } }",
            "query($id: ID!) { run(id: $id) { id } }",
            "mutation($id: ID!) { updateDataset(input: { id: $id, description: \"x\" }) { status } }",
            "mutation($id: ID!) { updateDataset(input: { id: $id, expectedVersion: 1 }) { status } }",
            "mutation($id: ID!) { retireDataset(input: { id: $id }) { status } }",
            "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id,
               maxAge: { failAfterSeconds: 9 } }) { status } }",
            "query($id: ID!) { _entities(representations: [{ __typename: \"Dataset\", id: $id }]) {
               __typename } }",
            "query($id: ID!) { _entities(representations: [{ __typename: \"RefreshRun\", id: $id }]) {
               __typename } }",
        ] {
            let missing = graph.bytes(query, &json!({ "id": UNKNOWN }), UNKNOWN).await;
            let hidden = graph.bytes(query, &json!({ "id": foreign }), foreign).await;
            assert_eq!(missing, hidden, "{query}");
        }
        let by_urn = "query($urn: String!) { datasetByUrn(urn: $urn) { id } }";
        let own = "urn:drr:dataset:acme:ns:secret";
        let alias = "urn:drr:dataset:globex:ns:alias";
        let nothing = "urn:drr:dataset:globex:ns:nothing";
        let missing = graph.bytes(by_urn, &json!({ "urn": nothing }), nothing).await;
        for urn in [urn, own, alias] {
            assert_eq!(graph.bytes(by_urn, &json!({ "urn": urn }), urn).await, missing, "{urn}");
        }
        // Its own tenant finds it by either name.
        for urn in [urn, alias] {
            let data = graph.app.data(&stranger, by_urn, json!({ "urn": urn })).await;
            assert_eq!(data["datasetByUrn"]["id"], json!(foreign), "{urn}");
        }
        assert_eq!(
            graph.read_code(by_urn, json!({ "urn": "urn:drr:dataset:acme" })).await,
            "BAD_USER_INPUT"
        );
        // And the name is free for others.
        graph.register_with(name_input("ns", "secret")).await;
        let untouched = "query($id: ID!) { dataset(id: $id) { version lifecycle freshnessPolicy { version } } }";
        let data = graph.app.data(&stranger, untouched, json!({ "id": foreign })).await;
        let expected = json!({ "version": "1", "lifecycle": "ACTIVE", "freshnessPolicy": null });
        assert_eq!(data["dataset"], expected);
    });
}
