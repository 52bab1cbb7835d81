//! Every way in to schemas.

use serde_json::{Value, json};

use super::{
    entries::{ENTITIES, Entry, entry},
    schemas::{self, RECORD, STANDING},
};

/// The content of the version of [`STANDING`], as clients of Confluent's registry send it.
fn standing() -> Value {
    let refers = json!([{ "name": "Address", "subject": "sales.Address", "version": 1 }]);
    json!({ "schema": schemas::TEXT, "references": refers })
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "Query.schema",
        "schema.read",
        "query($f: String!) { schema(fqid: $f) { name } }",
        |_| json!({ "f": STANDING }),
    ),
    entry("Query.schemas", "schema.read", "{ schemas { nodes { name } } }", |_| json!({})),
    entry(
        "Query.schemaVersion",
        "schema.read",
        "query($f: String!) { schemaVersion(name: $f) { state } }",
        |_| json!({ "f": format!("{STANDING}@1") }),
    ),
    entry(
        "Query.schemaDiff",
        "schema.read",
        "query($f: String!, $t: String!) { schemaDiff(from: $f, to: $t) { backward } }",
        |_| json!({ "f": "tenant.acme.sales.Address@1", "t": "tenant.acme.sales.Address@2" }),
    ),
    entry(
        "Query.fieldHistory",
        "schema.read",
        "query($f: String!) { fieldHistory(fqid: $f, path: \"street\") { change { kind } } }",
        |_| json!({ "f": "tenant.acme.sales.Address" }),
    ),
    entry(
        "_Entity.Schema",
        "schema.read",
        ENTITIES,
        |_| json!({ "r": [{ "__typename": "Schema", "fqid": STANDING }] }),
    ),
    entry(
        "_Entity.Schema",
        "schema.read",
        ENTITIES,
        |world| json!({ "r": [{ "__typename": "Schema", "id": world.schemas.standing }] }),
    ),
    entry(
        "_Entity.SchemaVersion",
        "schema.read",
        ENTITIES,
        |world| json!({ "r": [{ "__typename": "SchemaVersion", "id": world.schemas.active }] }),
    ),
    entry(
        "_Entity.SchemaVersion",
        "schema.read",
        ENTITIES,
        |_| json!({ "r": [{ "__typename": "SchemaVersion", "name": format!("{STANDING}@1") }] }),
    ),
    entry(
        "Query.pendingApprovals",
        "schema.requests",
        "{ pendingApprovals { nodes { kind } } }",
        |_| json!({}),
    ),
    entry("Query.schemaEvents", "schema.requests", "{ schemaEvents { nodes { type } } }", |_| {
        json!({})
    }),
    entry(
        "Subscription.schemaEvents",
        "schema.requests",
        "subscription { schemaEvents { type } }",
        |_| json!({}),
    ),
    entry(
        "Query.schemaFigures",
        "schema.figures",
        "{ schemaFigures { schemas { count } } }",
        |_| json!({}),
    ),
    entry(
        "Mutation.registerSchema",
        "schema.register",
        "mutation($f: String!) { registerSchema(input: { fqid: $f, format: JSON }) { status } }",
        |_| json!({ "f": "tenant.acme.sales.Another" }),
    ),
    entry(
        "Mutation.updateSchema",
        "schema.update",
        "mutation($id: ID!) { updateSchema(input: { id: $id, tags: [\"x\"], expectedVersion: -1 }) { status } }",
        |world| json!({ "id": world.schemas.empty }),
    ),
    entry(
        "Mutation.draftSchemaVersion",
        "schema.draft",
        "mutation($id: ID!, $c: String!) { draftSchemaVersion(input: { schemaId: $id, content: $c }) { status } }",
        |world| json!({ "id": world.schemas.empty, "c": RECORD }),
    ),
    entry(
        "Mutation.acceptSchemaDrift",
        "schema.draft",
        "mutation($id: ID!) { acceptSchemaDrift(input: { datasetId: $id }) { status } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Mutation.proposeSchemaTransition",
        "schema.propose",
        "mutation($id: ID!) { proposeSchemaTransition(input: { versionId: $id, kind: ACTIVATE }) { refused __typename } }",
        |world| json!({ "id": world.schemas.draft }),
    ),
    // Somebody has agreed beforehand.
    entry(
        "Mutation.proposeSchemaTransition",
        "schema.settle",
        "mutation($id: ID!) { proposeSchemaTransition(input: { versionId: $id, kind: DEPRECATE }) { refused __typename } }",
        |world| json!({ "id": world.schemas.settled }),
    ),
    entry(
        "Mutation.withdrawSchemaTransition",
        "schema.propose",
        "mutation($id: ID!) { withdrawSchemaTransition(input: { id: $id }) { refused __typename } }",
        |world| json!({ "id": world.schemas.open[2] }),
    ),
    entry(
        "Mutation.approveSchemaTransition",
        "schema.decide",
        "mutation($id: ID!) { approveSchemaTransition(input: { id: $id }) { refused __typename } }",
        |world| json!({ "id": world.schemas.open[0] }),
    ),
    entry(
        "Mutation.rejectSchemaTransition",
        "schema.decide",
        "mutation($id: ID!) { rejectSchemaTransition(input: { id: $id, reason: \"r\" }) { refused __typename } }",
        |world| json!({ "id": world.schemas.open[1] }),
    ),
    entry(
        "Mutation.setSchemaStanding",
        "schema.standing",
        "mutation($id: ID!) { setSchemaStanding(input: { schemaId: $id, agrees: true }) { schema { id } } }",
        |world| json!({ "id": world.schemas.standing }),
    ),
    entry(
        "Mutation.validateSchema",
        "schema.validate",
        "mutation($c: String!, $s: String) { validateSchema(input: { content: $c, schema: $s }) { valid } }",
        |_| json!({ "s": "tenant.acme.sales.Wait-d", "c": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"}]}" }),
    ),
    entry(
        "Mutation.validatePayloads",
        "schema.validate",
        "mutation($v: String!) { validatePayloads(input: { version: $v, payloads: [\"{}\"] }) { invalidCount } }",
        |_| json!({ "v": "tenant.acme.sales.Address@1" }),
    ),
    // By one method of each; `confluent::` has the others.
    entry("/confluent", "schema.read", "", |_| Value::Null),
    entry("/confluent/", "schema.read", "", |_| Value::Null),
    entry("/confluent/contexts", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas/types", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas/ids/{id}", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas/ids/{id}/schema", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas/ids/{id}/subjects", "schema.read", "", |_| Value::Null),
    entry("/confluent/schemas/ids/{id}/versions", "schema.read", "", |_| Value::Null),
    entry("/confluent/subjects", "schema.read", "", |_| Value::Null),
    entry("/confluent/subjects/{subject}/versions", "schema.read", "", |_| Value::Null),
    entry("/confluent/subjects/{subject}/versions/{version}", "schema.read", "", |_| Value::Null),
    entry("/confluent/subjects/{subject}/versions/{version}/schema", "schema.read", "", |_| {
        Value::Null
    }),
    entry(
        "/confluent/subjects/{subject}/versions/{version}/referencedby",
        "schema.read",
        "",
        |_| Value::Null,
    ),
    entry("/confluent/config", "schema.read", "", |_| Value::Null),
    entry("/confluent/config/{subject}", "schema.read", "", |_| Value::Null),
    entry("/confluent/mode", "schema.read", "", |_| Value::Null),
    entry("/confluent/mode/{subject}", "schema.read", "", |_| Value::Null),
    entry("/confluent/subjects/{subject}", "schema.read", "", |_| standing()),
    entry("/confluent/compatibility/subjects/{subject}/versions", "schema.read", "", |_| {
        standing()
    }),
    entry(
        "/confluent/compatibility/subjects/{subject}/versions/{version}",
        "schema.read",
        "",
        |_| standing(),
    ),
];
