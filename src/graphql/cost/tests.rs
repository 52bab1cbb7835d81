use async_graphql::{Variables, parser::parse_query};
use serde_json::{Value, json};

use super::*;

/// A schema in which everything has a size of its own.
const SDL: &str = r#"
type Query {
  one: Item
  page(first: Int, last: Int): Page @listSize(assumedSize: 7, slicingArguments: ["first", "last"], sizedFields: ["nodes", "edges"], requireOneSlicingArgument: false)
  strict(first: Int, last: Int): [Item!]! @listSize(slicingArguments: ["first", "last"])
  defaulted(first: Int = 4): [Item!]! @listSize(slicingArguments: ["first"])
  few: [Item!]! @listSize(assumedSize: 3)
  unknown: [Item!]
  heavy: Item @cost(weight: 50)
  dear: Dear
  word: String
  words: [String!]!
}
type Mutation { change: Item }
type Page { nodes: [Item!]! edges: [Edge!]! total: Int }
type Edge { node: Item! cursor: String }
type Item { id: ID! name: String below: Item items: [Item!]! @listSize(assumedSize: 2) page(first: Int): Page @listSize(assumedSize: 7, slicingArguments: ["first"], sizedFields: ["nodes", "edges"], requireOneSlicingArgument: false) }
type Dear @cost(weight: 20) { id: ID! }
"#;

fn measured(document: &str, variables: Value) -> Result<u64> {
    let document = parse_query(document).unwrap();
    Costs::of(SDL).measure(&document, None, &Variables::from_json(variables))
}

fn cost(document: &str) -> u64 {
    measured(document, json!({})).unwrap()
}

#[test]
fn objects_cost_their_weight_and_scalars_nothing() {
    for (document, expected) in [
        ("{ word words }", 0),
        ("{ one { id name } }", 1),
        ("{ one { below { below { id } } } }", 3),
        ("{ heavy { id } }", 50),
        ("{ dear { id } }", 20),
        ("mutation { change { id } }", 11),
        ("{ __typename one { __typename } }", 1),
        ("{ nothing { at { all } } }", 0),
    ] {
        assert_eq!(cost(document), expected, "{document}");
    }
}

#[test]
fn lists_count_as_often_as_they_are_long() {
    for (document, expected) in [
        ("{ few { id } }", 3),
        ("{ few { below { id } } }", 6),
        ("{ few { items { id } } }", 3 * (1 + 2)),
        ("{ unknown { id } }", UNKNOWN_SIZE),
        ("{ page { nodes { id } } }", 1 + 7),
        ("{ page(first: 3) { nodes { below { id } } } }", 1 + 3 * 2),
        ("{ page(first: 3) { total } }", 1),
        ("{ page(first: 3) { edges { node { id } } nodes { id } } }", 1 + 3 * 2 + 3),
        ("{ page(first: 3, last: 5) { nodes { id } } }", 1 + 5),
        ("{ page(first: null) { nodes { id } } }", 1 + 7),
        ("{ page(first: -3) { nodes { id } } }", 1),
        ("{ page(first: 2) { nodes { page(first: 5) { nodes { id } } } } }", 1 + 2 * (1 + 1 + 5)),
        ("{ strict(last: 9) { id } }", 9),
        ("{ defaulted { id } }", 4),
        ("{ defaulted(first: 6) { id } }", 6),
        ("{ a: one { id } b: one { id } }", 2),
    ] {
        assert_eq!(cost(document), expected, "{document}");
    }
}

#[test]
fn a_list_that_must_be_told_its_length_once_is() {
    for document in ["{ strict { id } }", "{ strict(first: 1, last: 2) { id } }"] {
        let refused = measured(document, json!({})).unwrap_err();
        assert_eq!(refused.to_string(), "strict: needs exactly one of first, last");
    }
}

#[test]
fn variables_count_as_their_values() {
    let page = "query($n: Int = 4) { page(first: $n) { nodes { id } } }";
    for (variables, expected) in [
        (json!({}), 5),
        (json!({ "n": 30 }), 31),
        (json!({ "n": null }), 8),
        (json!({ "n": "x" }), 8),
    ] {
        assert_eq!(measured(page, variables.clone()).unwrap(), expected, "{variables}");
    }
    let left_out = "query($b: Boolean!) { a: one @skip(if: $b) { id } b: few @include(if: $b) { id }
        ... @include(if: $b) { heavy { id } } ...f @skip(if: $b) } fragment f on Query { dear { id } }";
    assert_eq!(measured(left_out, json!({ "b": true })).unwrap(), 3 + 50);
    assert_eq!(measured(left_out, json!({ "b": false })).unwrap(), 1 + 20);
}

#[test]
fn entities_count_as_often_as_there_are_representations() {
    let of = "_entities(representations: $r) { ... on Item { below { id } } }";
    let document = format!("query($r: [_Any!]!) {{ {of} x: {of} }}");
    let variables = json!({ "r": [{}, {}, {}] });
    assert_eq!(measured(&document, variables).unwrap(), 2 * 3 * 2);
    assert_eq!(cost("{ _entities(representations: [{}, {}]) { ... on Item { id } } }"), 2);
}

#[test]
fn fragments_cost_what_they_spread_where_they_are_spread() {
    let nodes = "fragment n on Page { nodes { ...i } } fragment i on Item { below { id } }";
    assert_eq!(cost(&format!("{{ page(first: 3) {{ ...n }} }} {nodes}")), 1 + 3 * 2);
    assert_eq!(cost(&format!("{{ a: page(first: 3) {{ ...n }} b: page {{ ...n }} }} {nodes}")), 22);
    assert_eq!(cost("{ ... { ... on Query { few { id } } } }"), 3);
}

#[test]
fn the_operation_that_would_run_is_the_one_that_counts() {
    let document = parse_query("query A { one { id } } query B { heavy { id } }").unwrap();
    let costs = Costs::of(SDL);
    let cost = |name| costs.measure(&document, name, &Variables::default()).unwrap();
    assert_eq!((cost(Some("A")), cost(Some("B")), cost(None), cost(Some("C"))), (1, 50, 0, 0));
}

/// What the validation will refuse must end here too, and at once.
#[test]
fn circles_end_and_nothing_overflows() {
    let spread = |from: usize, all: usize| -> String {
        let others = (0..all).filter(|to| *to != from).map(|to| format!("...f{to} "));
        format!("fragment f{from} on Item {{ items {{ {} }} }} ", others.collect::<String>())
    };
    let all: String = (0..60).map(|from| spread(from, 60)).collect();
    cost(&format!("{{ one {{ ...f0 }} }} {all}"));
    let deep = "page(first: 2000000000) { nodes { ".repeat(30);
    assert_eq!(cost(&format!("{{ {deep} id {} }}", "} }".repeat(30))), u64::MAX);
}

/// Introspection nested into itself multiplies like anything else.
#[test]
fn introspection_has_its_cost() {
    let whole = cost(
        "{ __schema { types { name fields { name args { name type { name ofType { name } } }
           type { name ofType { name } } } inputFields { name } enumValues { name } } } }",
    );
    assert!((1_000..10_000).contains(&whole), "{whole}");
    let nested = "fields { type { ".repeat(5);
    let nested =
        cost(&format!("{{ __schema {{ types {{ {nested} name {} }} }} }}", "} }".repeat(5)));
    assert!(nested > 1_000_000, "{nested}");
    assert_eq!(cost("{ _service { sdl } }"), 1);
}
