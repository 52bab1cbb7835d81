//! The schemas that are made of what runs report.

use super::*;

#[test]
fn a_draft_is_a_schema_that_a_person_can_read() {
    let fields = json!([
        { "name": "id", "type": "NUMBER(38,0)", "description": " The key. ", "tags": [] },
        { "name": "order date", "type": "DATE" },
        { "name": "order_date", "type": "TIMESTAMP WITHOUT TIME ZONE" },
        { "name": "2nd", "type": "TIMESTAMP" },
        { "name": "2nd", "type": "BOOLEAN" },
        { "name": "lines", "type": "array<struct<sku:string>>" },
        { "name": "nothing" },
    ]);
    let text = draft(&fields, "shop.a-b.orders").unwrap();
    let expected = json!({
        "type": "record",
        "name": "orders",
        "namespace": "shop.a_b",
        "doc": "Drafted from what a run reported.",
        "fields": [
            { "name": "id", "default": null, "doc": "The key.", "type": ["null",
                { "type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0 }] },
            { "name": "order_date_2", "default": null, "openlineage.name": "order date",
                "type": ["null", { "type": "int", "logicalType": "date" }] },
            { "name": "order_date", "default": null,
                "type": ["null", { "type": "long", "logicalType": "local-timestamp-micros" }] },
            { "name": "_2nd", "default": null, "openlineage.name": "2nd",
                "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
            { "name": "lines", "default": null, "type": ["null", { "type": "array", "items": ["null",
                { "type": "record", "name": "orders_lines", "fields": [
                    { "name": "sku", "default": null, "type": ["null", "string"] }] }] }] },
            { "name": "nothing", "default": null, "type": ["null", "string"] },
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert!(text.starts_with("{\n  \""), "{text}");
    assert_eq!(drift(&fields, &read(Format::Avro, &text)), []);
}

#[test]
fn any_name_makes_a_name() {
    let fields = json!([{ "name": "a", "type": "struct<b:int>" }]);
    let long = "n.".repeat(400);
    for name in ["", ".", "...", "record", "string", "x.null", "9", "größe", "a/b c", "日付", &long]
    {
        let text = draft(&fields, name).unwrap();
        assert_eq!(drift(&fields, &read(Format::Avro, &text)), [], "{name}");
    }
    let name = |name: &str| serde_json::from_str::<Value>(&draft(&fields, name).unwrap()).unwrap();
    assert_eq!(name("shop.orders")["namespace"], "shop");
    assert_eq!(name("string")["name"], "string_");
    assert_eq!(name("orders").get("namespace"), None);
}

/// One made of another's path stays apart from it.
#[test]
fn records_have_names_of_their_own() {
    let fields = json!([
        { "name": "a_b", "type": "struct<c:struct<x:int>>" },
        { "name": "a", "type": "struct<b_c:struct<y:int>,b:struct<c:struct<z:int>>>" },
    ]);
    let text = draft(&fields, "R").unwrap();
    assert_eq!(drift(&fields, &read(Format::Avro, &text)), []);
    for name in ["\"R_a_b\"", "\"R_a_b_c\"", "\"R_a_b_c_2\"", "\"R_a_b_2\""] {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[test]
fn decimals_of_any_digits() {
    let of = |words: &str| {
        let fields = json!([{ "name": "a", "type": words }]);
        let text = draft(&fields, "R").unwrap();
        assert_eq!(drift(&fields, &read(Format::Avro, &text)), [], "{words}");
        let schema: Value = serde_json::from_str(&text).unwrap();
        let kind = &schema["fields"][0]["type"][1];
        (kind["precision"].as_u64().unwrap(), kind["scale"].as_u64().unwrap())
    };
    assert_eq!(of("NUMERIC(10,2)"), (10, 2));
    assert_eq!(of("decimal(5)"), (5, 0));
    let strange =
        ["numeric", "NUMBER(*,2)", "NUMBER(2,5)", "NUMBER(5,-2)", "decimal(0)", "decimal(99999)"];
    for strange in strange {
        assert_eq!(of(strange), (38, 9), "{strange}");
    }
}
