mod drafts;
mod generated;
mod real;

use serde_json::{Value, json};

use super::{super::format::Format, *};

fn read(format: Format, text: &str) -> Schema {
    match Schema::parse(format, text, &[]) {
        Ok(schema) => schema,
        Err(violations) => panic!("{text}: {violations:?}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better without borrowing them")]
fn avro(fields: Value) -> Schema {
    read(Format::Avro, &json!({ "type": "record", "name": "R", "fields": fields }).to_string())
}

/// Each in a line: kind, path, what is reported, what is registered.
fn lines(fields: &Value, bound: &Schema) -> Vec<String> {
    let line = |drifted: Drifted| {
        let side = |side: Option<String>| side.unwrap_or("-".into());
        let (reported, registered) = (side(drifted.reported), side(drifted.registered));
        format!("{} {}: {reported} / {registered}", drifted.kind, drifted.path)
    };
    drift(fields, bound).into_iter().map(line).collect()
}

/// The types of all sorts of systems, by family; after a `|` what they may be as well.
const WORDS: &[(&str, &[&str])] = &[
    (
        "STRING",
        &[
            "VARCHAR",
            "VARCHAR(255)",
            "varchar(max)",
            "TEXT",
            "string",
            "character varying(10)",
            "char(3)",
            "CHARACTER LARGE OBJECT",
            "NVARCHAR(20)",
            "VARCHAR2(30 BYTE)",
            "String",
            "FixedString(16)",
            "Nullable(String)",
            "LowCardinality(Nullable(String))",
            "UUID",
            "enum('a','b')",
            "uuid",
            "bpchar",
            "  text  ",
            "national character varying(4)",
        ],
    ),
    (
        "INTEGER",
        &[
            "INTEGER",
            "int",
            "bigint",
            "BIGINT(20) UNSIGNED",
            "INT64",
            "Int32",
            "UInt8",
            "smallint",
            "long",
            "int4",
            "serial",
            "int unsigned",
            "byte",
            "tinyint",
        ],
    ),
    ("INTEGER|BOOLEAN", &["tinyint(1)"]),
    (
        "FLOAT",
        &["FLOAT", "double", "double precision", "REAL", "float64", "Float32", "BINARY_DOUBLE"],
    ),
    (
        "DECIMAL",
        &[
            "NUMERIC(10,2)",
            "decimal(38, 9)",
            "DECIMAL",
            "numeric",
            "NUMBER(12,2)",
            "BIGNUMERIC",
            "money",
            "Decimal64(2)",
            "Decimal(18, 4)",
            "number(*)",
        ],
    ),
    ("DECIMAL|INTEGER", &["NUMBER", "NUMBER(38,0)", "decimal(10)", "NUMERIC(5, 0)"]),
    ("BOOLEAN", &["BOOLEAN", "bool", "Bool"]),
    ("BYTES", &["BYTES", "bytea", "varbinary(16)", "BLOB", "binary"]),
    ("DATE", &["DATE", "date32", "date"]),
    ("TIME", &["TIME", "time without time zone", "time(6) with time zone", "timetz"]),
    (
        "TIMESTAMP",
        &[
            "TIMESTAMP",
            "timestamp(6) with time zone",
            "TIMESTAMP WITHOUT TIME ZONE",
            "TIMESTAMP_NTZ(9)",
            "TIMESTAMP_LTZ",
            "datetime",
            "DATETIME2(7)",
            "DateTime64(3, 'UTC')",
            "datetime64[ns]",
            "timestamptz",
            "timestamp_ntz",
        ],
    ),
    (
        "RECORD",
        &["RECORD", "struct", "struct<a:int,b:string>", "ROW(a integer)", "Tuple(String, Int8)"],
    ),
    (
        "ARRAY",
        &[
            "ARRAY",
            "array<string>",
            "ARRAY(varchar(3))",
            "integer[]",
            "text[3]",
            "_int4",
            "Array(String)",
            "integer[][]",
        ],
    ),
    ("MAP", &["map", "map<string,int>", "Map(String, Array(Int8))", "MAP(VARCHAR, BIGINT)"]),
    (
        "UNKNOWN",
        &[
            "",
            "bit",
            "bit varying(3)",
            "VARIANT",
            "OBJECT",
            "json",
            "jsonb",
            "geography",
            "interval day to second",
            "hstore",
            "object",
            "user-defined",
            "(",
            "<>",
            "[]",
            "[",
            ">>>",
            "_",
            "_nothing",
            "Nullable(",
            "Nullable()",
            "日付",
            "super",
        ],
    ),
];

#[test]
fn words_have_families() {
    for (expected, all) in WORDS {
        for word in *all {
            let fields = json!([{ "name": "a", "type": word }]);
            let facet = facet::read(&fields);
            let member = &facet.shape.members.unwrap()[0];
            let families = member.shape.families.iter().map(|family| family.as_str());
            assert_eq!(families.collect::<Vec<_>>().join("|"), *expected, "{word}");
        }
    }
}

/// What is within a type's words is as good as what is written out.
#[test]
fn words_hold_others() {
    let pairs = [
        (
            json!({ "name": "a", "type": "struct<b: int, `c d`:array<struct<e:string>>>" }),
            json!({ "name": "a", "type": "struct", "fields": [
                { "name": "b", "type": "int" },
                { "name": "c d", "type": "array", "fields": [
                    { "name": "_element", "type": "struct", "fields": [
                        { "name": "e", "type": "string" } ] } ] } ] }),
        ),
        (
            json!({ "name": "a", "type": "MAP(varchar, ROW(x integer, \"y\" decimal(3,1)))" }),
            json!({ "name": "a", "type": "map", "fields": [
                { "name": "key", "type": "varchar" },
                { "name": "value", "type": "struct", "fields": [
                    { "name": "x", "type": "integer" }, { "name": "y", "type": "decimal(3,1)" } ] } ] }),
        ),
        (
            json!({ "name": "a", "type": "ARRAY<STRUCT<n INT64>>" }),
            // Without an element of its own, as some producers have it.
            json!({ "name": "a", "type": "array", "fields": [{ "name": "n", "type": "INT64" }] }),
        ),
    ];
    for (words, written) in pairs {
        let drafts = [words, written].map(|field| draft(&json!([field]), "R").unwrap());
        assert_eq!(drafts[0], drafts[1]);
    }
}

#[test]
fn each_kind_of_drift_from_avro() {
    let bound = avro(json!([
        { "name": "id", "type": "long" },
        { "name": "Name", "type": ["null", "string"], "default": null },
        { "name": "price", "type":
            { "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 } },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "gone", "type": { "type": "int", "logicalType": "date" } },
        { "name": "either", "type": ["null", "string", "long"] },
        { "name": "a_b", "type": "string", (NAME_PROPERTY): "a b" },
        { "name": "lines", "type": { "type": "array", "items": {
            "type": "record", "name": "Line", "fields": [
                { "name": "sku", "type": "string" },
                { "name": "next", "type": ["null", "Line"] } ] } } },
        { "name": "tags", "type": { "type": "map", "values": "string" } },
    ]));
    let same = json!([
        { "name": "id", "type": "NUMBER(38,0)" },
        { "name": "Name", "type": "VARCHAR" },
        { "name": "price", "type": "NUMERIC(9,2)" },
        { "name": "at", "type": "TIMESTAMP" },
        { "name": "gone" },
        { "name": "either", "type": "bigint" },
        { "name": "a b", "type": "text" },
        { "name": "lines", "type": "array<struct<sku:string,next:struct<anything:int>>>" },
        { "name": "tags", "type": "map<string,variant>" },
    ]);
    assert_eq!(lines(&same, &bound), [""; 0]);
    let other = json!([
        { "name": "id", "type": "VARCHAR(36)" },
        { "name": "NAME", "type": "DATE" },
        { "name": "price", "type": "double" },
        { "name": "at", "type": "VARIANT" },
        { "name": "new.one", "type": "int" },
        { "name": "either", "type": "boolean" },
        { "name": "a_b", "type": "text" },
        { "name": "lines", "type": "array<struct<SKU:int,qty:int>>" },
        { "name": "tags", "type": "map<string,int>" },
    ]);
    let expected = [
        "NOT_REPORTED \"a b\": - / STRING",
        "CASE_DIFFERS NAME: NAME / Name",
        "TYPE_DIFFERS NAME: DATE / STRING",
        "NOT_IN_SCHEMA \"new.one\": int / -",
        "NOT_IN_SCHEMA a_b: text / -",
        "TYPE_DIFFERS either: boolean / STRING or INTEGER",
        "NOT_REPORTED gone: - / DATE",
        "TYPE_DIFFERS id: VARCHAR(36) / INTEGER",
        "CASE_DIFFERS lines[].SKU: SKU / sku",
        "TYPE_DIFFERS lines[].SKU: int / STRING",
        "NOT_REPORTED lines[].next: - / RECORD",
        "NOT_IN_SCHEMA lines[].qty: int / -",
        "TYPE_DIFFERS price: double / DECIMAL",
        "TYPE_DIFFERS tags{}: int / STRING",
    ];
    let mut expected = expected.map(str::to_owned);
    let mut found = lines(&other, &bound);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let paths: Vec<_> = drift(&other, &bound).into_iter().map(|drifted| drifted.path).collect();
    assert!(paths.is_sorted(), "{paths:?}");
}

#[test]
fn json_and_protobuf_are_bound_to_as_well() {
    let object = read(
        Format::Json,
        &json!({
            "allOf": [{ "$ref": "#/$defs/base" }],
            "properties": {
                "amount": { "type": "number" },
                "day": { "type": ["string", "null"], "format": "date" },
                "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "kind": { "enum": ["a", "b", null] },
            },
            "$defs": {
                "base": { "properties": { "id": { "type": "integer" }, "self": { "$ref": "#" } } },
                "line": { "type": "object", "properties": { "sku": { "type": "string" } } },
            },
        })
        .to_string(),
    );
    let message = read(
        Format::Protobuf,
        "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\";
         message Order { int64 id = 1; Order self = 2; double amount = 3;
           google.protobuf.Timestamp day = 4; repeated Line lines = 5; map<string, string> labels = 6;
           Kind kind = 7; }
         message Line { string sku = 1; } enum Kind { A = 0; }",
    );
    let facet = |day: &str, line: &str, label: &str| {
        json!([
            { "name": "id", "type": "bigint" },
            { "name": "self", "type": "struct" },
            { "name": "amount", "type": "double" },
            { "name": "day", "type": day },
            { "name": "lines", "type": format!("array<{line}>") },
            { "name": "labels", "type": format!("map<string,{label}>") },
            { "name": "kind", "type": "varchar" },
        ])
    };
    for (bound, day) in [(&object, "date"), (&message, "timestamp")] {
        assert_eq!(lines(&facet(day, "struct<sku:string>", "string"), bound), [""; 0]);
        let expected = [
            format!("TYPE_DIFFERS day: int / {}", if day == "date" { "DATE" } else { "TIMESTAMP" }),
            "NOT_IN_SCHEMA lines[].no: int / -".to_owned(),
        ];
        let found = lines(&facet("int", "struct<sku:string,no:int>", "string"), bound);
        assert_eq!(found, expected);
        let found = lines(&facet(day, "string", "int"), bound);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("TYPE_DIFFERS labels{}: int / STRING"), "{found:?}");
        assert!(found[1].starts_with("TYPE_DIFFERS lines[]: string / RECORD"), "{found:?}");
    }
}

#[test]
fn a_schema_that_is_no_record_differs_as_a_whole() {
    let bound = read(Format::Avro, "\"string\"");
    let fields = json!([{ "name": "a", "type": "int" }]);
    assert_eq!(lines(&fields, &bound), ["TYPE_DIFFERS : RECORD / STRING"]);
}

#[test]
fn who_reports_nothing_does_not_drift() {
    let bound = avro(json!([{ "name": "a", "type": "int" }]));
    let nothing = [json!([]), json!(null), json!({}), json!([1, "a", {}, { "name": "" }])];
    for fields in nothing {
        assert_eq!(drift(&fields, &bound), [], "{fields}");
        assert_eq!(draft(&fields, "R"), Err(NoDraft::NoFields), "{fields}");
    }
}

#[test]
fn what_is_too_much_is_said() {
    let many = |count: usize| {
        let field = |index| json!({ "name": format!("f{index}"), "type": "int" });
        json!((0..count).map(field).collect::<Vec<_>>())
    };
    let bound = read(Format::Avro, &draft(&many(MAX_FIELDS), "R").unwrap());
    assert_eq!(drift(&many(MAX_FIELDS), &bound), []);
    let found = drift(&many(MAX_FIELDS + 1), &bound);
    assert_eq!(found.iter().map(|drifted| drifted.kind).collect::<Vec<_>>(), [DriftKind::NotWhole]);
    assert_eq!(draft(&many(MAX_FIELDS + 1), "R"), Err(NoDraft::TooLarge));
    let found = drift(&many(1), &bound);
    assert_eq!(found.len(), MAX_DRIFTED + 1);
    assert_eq!(found[0].kind, DriftKind::NotWhole);
    let wordy = |index| {
        let words = "\u{1}".repeat(1_000);
        json!({ "name": format!("f{index}"), "description": format!("of {words}.") })
    };
    let wordy = json!((0..200).map(wordy).collect::<Vec<_>>());
    assert_eq!(draft(&wordy, "R"), Err(NoDraft::TooLarge), "each takes six bytes");
    let long = json!([{ "name": "n".repeat(shape::MAX_NAME + 1), "type": "int" }, { "name": "a" }]);
    assert_eq!(drift(&long, &avro(json!([{ "name": "a", "type": "int" }]))).len(), 1);
    assert_eq!(draft(&long, "R"), Err(NoDraft::TooLarge));
}

fn nested(depth: usize) -> Value {
    let mut field = json!({ "name": "f", "type": "decimal(3,1)" });
    for _ in 0..depth {
        field = json!({ "name": "f", "type": "struct", "fields": [field] });
    }
    json!([field])
}

/// As small as the stacks that tokio gives its threads.
#[test]
fn nothing_goes_down_the_stack_too_far() {
    let test = || {
        let deepest = read(Format::Avro, &draft(&nested(MAX_DEPTH - 1), "R").unwrap());
        assert_eq!(drift(&nested(MAX_DEPTH - 1), &deepest), []);
        let mut avro = json!("int");
        let mut object = json!({ "type": "integer" });
        for _ in 0..24 {
            avro = json!({ "type": "array", "items": { "type": "map", "values": avro } });
            object = json!({ "allOf": [{ "properties": { "f": object } }] });
        }
        let message = (0..30).fold("int32 f = 1;".to_owned(), |inner, _| {
            format!("message M {{ {inner} }} M f = 2;")
        });
        let message = format!("syntax = \"proto3\"; message R {{ {message} }}");
        let fields = json!([{ "name": "f", "type": "int" }]);
        let root =
            json!({ "type": "record", "name": "R", "fields": [{ "name": "f", "type": avro }] });
        for (format, text) in [
            (Format::Avro, root.to_string()),
            (Format::Json, object.to_string()),
            (Format::Protobuf, message),
        ] {
            assert_eq!(drift(&fields, &read(format, &text)).len(), 1, "{format}");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

/// Types that are used twice in each of those that use them are not gone through for each use.
#[test]
fn types_that_double_at_each_level_end() {
    let mut kind = json!({ "type": "record", "name": "R0", "fields": [] });
    for level in 1..=18 {
        let name = format!("R{}", level - 1);
        kind = json!({ "type": "record", "name": format!("R{level}"), "fields": [
            { "name": "a", "type": kind }, { "name": "b", "type": name } ] });
    }
    let bound = read(Format::Avro, &kind.to_string());
    let fields = json!([{ "name": "a", "type": "struct" }]);
    assert_eq!(lines(&fields, &bound), ["NOT_REPORTED b: - / RECORD"]);
}

#[test]
fn as_deep_as_it_may_be_and_deeper() {
    let deepest = draft(&nested(MAX_DEPTH - 1), "R").unwrap();
    assert_eq!(drift(&nested(MAX_DEPTH - 1), &read(Format::Avro, &deepest)), []);
    assert_eq!(draft(&nested(MAX_DEPTH), "R"), Err(NoDraft::TooLarge));
    assert_eq!(draft(&nested(100), "R"), Err(NoDraft::TooLarge));
    let open = "array<struct<a:".repeat(1_000);
    let words = json!([{ "name": "f", "type": format!("{open}int") }]);
    assert!(draft(&words, "R").is_ok(), "it closes nothing, so it says nothing");
    let words = format!("{open}int{}", ">>".repeat(1_000));
    assert!(words.len() > 16 * 1024, "too long to look at");
    assert!(draft(&json!([{ "name": "f", "type": words }]), "R").is_ok());
    let words = format!("{}int{}", "array<".repeat(500), ">".repeat(500));
    assert_eq!(draft(&json!([{ "name": "f", "type": words }]), "R"), Err(NoDraft::TooLarge));
}
