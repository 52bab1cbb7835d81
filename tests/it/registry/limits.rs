//! Hostile texts get an error, and never a hang or an end of the service.

use std::fmt::Write as _;

use serde_json::json;

use super::{Desk, TENANT};
use crate::{app::TestApp, cluster::run};

fn deep(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn what_is_too_much_is_refused_and_the_service_goes_on() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let mut chain = String::from("{\"$defs\":{");
        for at in 0..2_000 {
            let _ = write!(chain, "\"d{at}\":{{\"$ref\":\"#/$defs/d{}\"}},", at + 1);
        }
        chain.push_str("\"d2000\":{}},\"$ref\":\"#/$defs/d0\"}");
        let cases = [
            ("AVRO", deep("{\"type\":\"array\",\"items\":", "\"int\"", "}", 5_000)),
            ("AVRO", "{".to_owned()),
            ("AVRO", String::new()),
            ("JSON", deep("{\"items\":", "{}", "}", 20_000)),
            ("JSON", chain),
            ("JSON", json!({ "pattern": "(a|b|ab)*c".repeat(2_000) + "(((" }).to_string()),
            ("JSON", json!({ "$ref": "https://elsewhere.example/schema.json" }).to_string()),
            ("PROTOBUF", deep("message A { ", "", " }", 3_000)),
            ("PROTOBUF", "syntax = \"proto3\"; import \"/etc/passwd\";".to_owned()),
        ];
        let document = "mutation($s: ID!, $c: String!) { draftSchemaVersion(input: { schemaId: $s, content: $c }) { status } }";
        for (at, (format, text)) in cases.into_iter().enumerate() {
            let schema = desk.register(&format!("tenant.acme.sales.S{at}"), format).await;
            let answer =
                app.answer(&desk.author, document, json!({ "s": schema, "c": text })).await;
            let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none");
            assert!(
                ["BAD_USER_INPUT", "LIMIT_EXCEEDED"].contains(&code),
                "{format} {at}: {answer:.300}"
            );
        }
        let many = vec!["{}"; 1_001];
        let judge = "mutation($p: [String!]!) { validatePayloads(input: { version: \"tenant.acme.sales.S0@1\", payloads: $p }) { invalidCount } }";
        assert_eq!(app.code(&desk.author, judge, json!({ "p": many })).await, "LIMIT_EXCEEDED");
        // It answers as before.
        desk.register("tenant.acme.sales.After", "JSON").await;
        app.stop().await;
    });
}
