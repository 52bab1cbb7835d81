//! A name that tries to leave its tenant's prefix is refused, wherever it is given. // S2, S10

use drr::auth::policy::Role;
use serde_json::json;

use super::{Desk, TENANT, record};
use crate::{app::TestApp, cluster::run};

/// Traversal, encodings, look-alike letters, other tenants, other forms.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "tenant.acme.sales",
        "tenant.acme.sales.",
        "tenant..sales.Order",
        "tenant.acme..Order",
        "tenant.acme.sales.Order.more",
        "tenant.acme.sales.../x",
        "tenant.acme/../globex.sales.Order",
        "tenant.acme.sales/../../tenant-globex.Order",
        "tenant.acme.sales.%2e%2e",
        "tenant.acme.sales.Order%00",
        "tenant.acme.sales.Order\0",
        "tenant.acme.sales.Order\n",
        "tenant.acme.sales.Or der",
        "tenant.acme.Sales.Order",
        "tenant.acmе.sales.Order",
        "tenant.acme.sаles.Order",
        "tenant.acme.sales.Оrder",
        "tenant.acme.sales.Ord\u{200b}er",
        "tenant.acme.sales.1Order",
        "Tenant.acme.sales.Order",
        "tenant.ACME.sales.Order",
        "tenant.globex.sales.Order",
        "tenant.-.sales.Order",
        "tenant.acme.sales.Order@1",
        "acme.sales.Order",
        "*",
    ]
    .map(str::to_owned)
    .into();
    names.push(format!("tenant.acme.sales.{}", "a".repeat(64)));
    names.push(format!("tenant.acme.{}.Order", "a".repeat(64)));
    names.push("a".repeat(100_000));
    names
}

#[test]
fn no_name_leaves_its_tenant() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        desk.active(&schema, &record("Order", &["a"]), json!([])).await;
        let before = app.objects.list("schemas").await.unwrap();
        let admin = app.token(TENANT, Role::TenantAdmin);
        let ways = [
            "mutation($n: String!) { registerSchema(input: { fqid: $n, format: AVRO }) { status } }",
            "mutation($n: String!) { validateSchema(input: { content: \"\\\"int\\\"\", schema: $n }) { valid } }",
            "mutation($n: String!) { validatePayloads(input: { version: $n, payloads: [] }) { invalidCount } }",
            "mutation($n: String!) { draftSchemaVersion(input: { schemaId: \"SCHEMA\", content: \"\\\"int\\\"\",
               references: [{ name: \"X\", version: $n }] }) { status } }",
        ];
        for name in hostile() {
            for way in ways {
                let way = way.replace("SCHEMA", &schema);
                // A version has a number, and the others have none.
                let versioned = way.contains("version: $n");
                let name = if versioned { format!("{name}@1") } else { name.clone() };
                let code = app.code(&admin, &way, json!({ "n": name })).await;
                assert_eq!(code, "BAD_USER_INPUT", "{way}: {name:.80}");
            }
            let read = "query($n: String!) { schema(fqid: $n) { name } }";
            let answer = app.answer(&admin, read, json!({ "n": name })).await;
            assert!(answer["data"]["schema"].is_null(), "{name:.80}: {answer}");
        }
        assert_eq!(app.objects.list("schemas").await.unwrap(), before);
        for object in before {
            assert!(object.starts_with("schemas/tenant-acme/sales/Order/"), "{object}");
        }
        app.stop().await;
    });
}
