//! Inputs that would hang, overflow the stack or fill the memory.

use super::*;

#[test]
fn too_deep_too_long_and_too_many() {
    in_small_stack(|| {
        let nested = |levels: usize| {
            let open = r#"{"type":"array","items":"#.repeat(levels);
            format!("{open}\"int\"{}", "}".repeat(levels))
        };
        let deepest = nested(MAX_DEPTH - 1);
        let schema = parse(&deepest, &[]).unwrap();
        assert_eq!(canonical(&schema).len(), deepest.len());
        assert_eq!(
            compare(&schema, &schema, &mut Budget::new(STEPS)).verdict(),
            Verdict::Compatible
        );
        for levels in [MAX_DEPTH, 127, 10_000] {
            assert!(parse(&nested(levels), &[]).is_err());
        }
        let long = format!("\"{}\"", "i".repeat(MAX_SCHEMA_BYTES));
        assert!(parse(&long, &[]).unwrap_err()[0].message.contains("longer"));
        let many: Vec<_> = (0..MAX_NODES)
            .map(|index| json!({ "name": format!("f{index}"), "type": "int" }))
            .collect();
        let told = refused(&record("R", json!(many)));
        assert_eq!(told.len(), 1);
        let aliases: Vec<_> = (0..=MAX_ALIASES).map(|index| format!("a{index}")).collect();
        let told = refused(&json!({ "type": "fixed", "name": "F", "size": 1, "aliases": aliases }));
        assert_eq!(told.len(), 1);
    });
}

#[test]
fn names_are_not_endless() {
    let named = |length: usize| json!({ "type": "fixed", "name": "F".repeat(length), "size": 1 });
    read(&named(MAX_NAME));
    assert_eq!(refused(&named(MAX_NAME + 1)).len(), 1);
}

/// A path is written out only for what is told, or each value would cost as much as its key.
#[test]
fn long_keys_and_many_symbols_cost_little() {
    let map = read(&json!({ "type": "map", "values": { "type": "array", "items": "int" } }));
    let datum = json!({ "k".repeat(400_000): vec![json!(1); 200_000] });
    assert_eq!(validate(&map, &datum, &mut Budget::new(STEPS)), []);
    let datum = json!({ "k".repeat(400_000): vec![json!("x"); 200_000] });
    assert!(validate(&map, &datum, &mut Budget::new(STEPS))[0].path.len() < 300);
    let symbols: Vec<_> = (0..10_000).map(|index| format!("S{index}")).collect();
    let symbols = json!({ "type": "enum", "name": "E", "symbols": symbols });
    let array = read(&json!({ "type": "array", "items": symbols }));
    let told = validate(&array, &json!(vec!["S9999"; 100_000]), &mut Budget::new(STEPS));
    assert_eq!(told[0].message, "takes more work to check than may be done");
}

/// Records nested as deep as they go, through everything that goes down with them.
#[test]
fn the_deepest_records_fit_a_small_stack() {
    in_small_stack(|| {
        let mut schema = json!("int");
        let mut default = json!(1);
        for level in 0.. {
            let field = json!([{ "name": "f", "type": schema, "default": default }]);
            let next = record(&format!("R{level}"), field);
            if super::super::super::place::depth_of(&next) > MAX_DEPTH {
                break;
            }
            default = json!({ "f": default });
            schema = next;
        }
        let schema = read(&schema);
        let text = canonical(&schema);
        assert_eq!(canonical(&parse(&text, &[]).unwrap()), text);
        assert_eq!(
            compare(&schema, &schema, &mut Budget::new(STEPS)).verdict(),
            Verdict::Compatible
        );
        assert!(!fields(&schema).is_empty());
        assert_eq!(validate(&schema, &default, &mut Budget::new(STEPS)).len(), 0);
        assert_eq!(decode_check(&schema, &[2], &mut Budget::new(STEPS)).len(), 0);
    });
}

/// Each record holds the one before twice: what goes through all of its values never ends.
fn doubling(levels: usize) -> Value {
    let mut types = vec![record("R0", json!([]))];
    for level in 1..levels {
        let below = format!("R{}", level - 1);
        types.push(record(
            &format!("R{level}"),
            json!([
                { "name": "a", "type": below, "default": {} },
                { "name": "b", "type": below, "default": {} },
            ]),
        ));
    }
    json!(types)
}

#[test]
fn doubling_records_end() {
    in_small_stack(|| {
        let schema = read(&doubling(800));
        assert_eq!(
            compare(&schema, &schema, &mut Budget::new(STEPS)).verdict(),
            Verdict::Compatible
        );
        assert_eq!(fields(&schema).len(), 10_000);
        // The last of the union's records, of no bytes at all.
        let bytes = [0xbe, 0x0c];
        let told = decode_check(&schema, &bytes, &mut Budget::new(STEPS));
        assert!(told[0].message.contains("deeper"), "{told:?}");
        let told = decode_check(&schema, &[60], &mut Budget::new(STEPS));
        assert!(told[0].message.contains("more work"), "{told:?}");
    });
}

#[test]
fn a_record_that_always_holds_itself_ends() {
    in_small_stack(|| {
        let schema = read(&record("R", json!([{ "name": "r", "type": "R" }])));
        assert_eq!(
            compare(&schema, &schema, &mut Budget::new(STEPS)).verdict(),
            Verdict::Compatible
        );
        assert!(!decode_check(&schema, &[], &mut Budget::new(STEPS)).is_empty());
        assert_eq!(fields(&schema).len(), 1);
        assert!(canonical(&schema).len() < 100);
    });
}

#[test]
fn declared_lengths_cost_nothing() {
    let nulls = read(&json!({ "type": "array", "items": "null" }));
    let most = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let told = decode_check(&nulls, &most, &mut Budget::new(STEPS));
    assert!(told[0].message.contains("more work"), "{told:?}");
    let least = [&[0xff; 9][..], &[0x01, 0]].concat();
    assert!(!decode_check(&nulls, &least, &mut Budget::new(STEPS)).is_empty());
    for kind in ["bytes", "string"] {
        assert!(!decode_check(&read(&json!(kind)), &most, &mut Budget::new(STEPS)).is_empty());
    }
    let list = read(&record("L", json!([{ "name": "next", "type": ["null", "L"] }])));
    in_small_stack(move || {
        let told = decode_check(&list, &vec![2; 1_000_000], &mut Budget::new(10 * STEPS));
        assert!(told[0].message.contains("deeper"), "{told:?}");
        let short = [&[2; 150][..], &[0]].concat();
        assert_eq!(decode_check(&list, &short, &mut Budget::new(STEPS)), []);
    });
}

/// A default that fits each of a union's records in part, level after level.
#[test]
fn a_default_with_exponentially_many_ways_is_refused() {
    // Each level is a union of six records that all hold the level below.
    let mut inner = json!("int");
    let mut default = json!("no int");
    for level in 0..9 {
        let first = std::mem::replace(&mut inner, json!(format!("L{level}")));
        let holder = record(&format!("L{level}"), json!([{ "name": "u", "type": first }]));
        let mut branches =
            vec![record(&format!("R{level}_0"), json!([{ "name": "f", "type": holder }]))];
        branches.extend((1..6).map(|branch| {
            record(
                &format!("R{level}_{branch}"),
                json!([{ "name": "f", "type": format!("L{level}") }]),
            )
        }));
        inner = json!(branches);
        default = json!({ "f": { "u": default } });
    }
    let schema = record("Top", json!([{ "name": "x", "type": inner, "default": default }]));
    let told = refused(&schema);
    assert!(told[0].contains("takes too long"), "{told:?}");
}

#[test]
fn unions_of_many_types_are_bounded_by_the_budget() {
    let many = |prefix: &str| {
        let types = (0..3_000).map(
            |index| json!({ "type": "fixed", "name": format!("{prefix}.F{index}"), "size": 1 }),
        );
        read(&json!(types.collect::<Vec<_>>()))
    };
    let comparison = compare(&many("a"), &many("b"), &mut Budget::new(STEPS));
    assert_eq!(comparison.verdict(), Verdict::Unknown);
    assert_eq!(comparison.differences[0].rule, "TOO_MUCH_WORK");
}

/// Notes do not hide what cannot be read.
#[test]
fn the_worst_is_told_after_any_number_of_notes() {
    let with = |kind: &str, last: &str| {
        let fields = (0..2_000).map(|index| json!({ "name": format!("f{index}"), "type": kind }));
        let last = json!({ "name": "last", "type": last });
        read_fields(&fields.chain([last]).collect::<Vec<_>>())
    };
    let comparison = compare(&with("long", "int"), &with("int", "string"), &mut Budget::new(STEPS));
    assert_eq!(comparison.verdict(), Verdict::Incompatible);
    assert_eq!(comparison.differences.len(), 500 + 2);
}

#[test]
fn many_differences_are_cut_off_and_not_compatible() {
    let many = |kind: &str| {
        let fields = (0..5_000).map(|index| json!({ "name": format!("f{index}"), "type": kind }));
        read_fields(&fields.collect::<Vec<_>>())
    };
    let comparison = compare(&many("int"), &many("string"), &mut Budget::new(STEPS));
    assert_eq!(comparison.verdict(), Verdict::Incompatible);
    assert_eq!(comparison.differences.len(), 500 + 1);
}

fn read_fields(fields: &[Value]) -> AvroSchema {
    read(&record("R", json!(fields)))
}
