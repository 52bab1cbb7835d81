use async_graphql::parser::parse_query;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMITS: DocumentLimits = DocumentLimits {
    bytes: 0,
    depth: 0,
    tokens: 0,
    aliases: 20,
    directives: 10,
    values: 100,
    representations: 5,
};

fn refused(document: &str) -> Option<&'static str> {
    match Expansion::of(&parse_query(document).unwrap(), &LIMITS) {
        Ok(_) => None,
        Err(Error::LimitExceeded { limit, .. }) => Some(limit),
        Err(other) => panic!("{other:?}"),
    }
}

/// Fragments of which each spreads the next one `times` times.
fn chain(length: usize, times: usize) -> String {
    let spread = |next: usize| format!("...f{next} ").repeat(times);
    let link = |index: usize| format!(" fragment f{index} on Query {{ {}}}", spread(index + 1));
    let links: String = (0..length).map(link).collect();
    format!("{{ n {{ ...f0 }} }}{links} fragment f{length} on Query {{ me {{ role }} }}")
}

#[test]
fn fragments_that_double_are_refused_whatever_their_number() {
    assert_eq!(refused(&chain(8, 2)), None);
    for length in [13, 40, 60] {
        assert_eq!(refused(&chain(length, 2)), Some("selections"), "{length}");
    }
    // Even those that no operation spreads: validation walks them all the same.
    let unused = chain(40, 2).replacen("{ n { ...f0 } }", "{ me { role } }", 1);
    assert_eq!(refused(&unused), Some("selections"));
}

#[test]
fn long_chains_and_deep_selections_are_refused() {
    assert_eq!(refused(&chain(60, 1)), None);
    for length in [65, 900] {
        assert_eq!(refused(&chain(length, 1)), Some("nesting of selections"), "{length}");
    }
}

#[test]
fn circles_and_missing_fragments_are_left_to_the_validation() {
    assert_eq!(refused("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"), None);
    assert_eq!(refused("{ ...nowhere }"), None);
}

#[test]
fn selections_of_all_operations_count_together() {
    let query = |name: &str| format!("query {name} {{ me {{ {} }} }}", "role ".repeat(4_000));
    assert_eq!(refused(&[query("A"), query("B")].concat()), None);
    assert_eq!(refused(&[query("A"), query("B"), query("C")].concat()), Some("selections"));
}

/// A document that spreads a fragment so many times.
fn spread(fragment: &str, times: usize) -> String {
    format!("{{ n {{ {} }} }} fragment f on N {{ {fragment} }}", "...f ".repeat(times))
}

#[test]
fn aliases_directives_and_values_count_as_often_as_they_are_spread() {
    assert_eq!(refused(&spread("a: b c: d", 10)), None);
    assert_eq!(refused(&spread("a: b c: d", 11)), Some("limits.graphql_aliases"));
    assert_eq!(refused(&spread("b @x @x", 5)), None);
    assert_eq!(refused(&spread("b @x @x", 6)), Some("limits.graphql_directives"));
    assert_eq!(refused(&spread("b(l: [1, 2, {a: 3}])", 20)), None);
    assert_eq!(refused(&spread("b(l: [1, 2, {a: 3}])", 21)), Some("limits.graphql_values"));
}

#[test]
fn directives_count_wherever_they_stand() {
    let flood = "@x ".repeat(11);
    for document in [
        format!("query {flood} {{ a }}"),
        format!("query($v: Int {flood}) {{ a }}"),
        format!("{{ a {flood} }}"),
        format!("{{ ... {flood} {{ a }} }}"),
        format!("{{ ...f {flood} }} fragment f on Query {{ a }}"),
        format!("{{ a }} fragment f on Query {flood} {{ a }}"),
    ] {
        assert_eq!(refused(&document), Some("limits.graphql_directives"), "{document}");
    }
}

/// A document, measured, and then with variables.
fn with(document: &str, variables: serde_json::Value) -> Option<&'static str> {
    let expansion = Expansion::of(&parse_query(document).unwrap(), &LIMITS).unwrap();
    match expansion.check(&Variables::from_json(variables), &LIMITS) {
        Ok(()) => None,
        Err(Error::LimitExceeded { limit, .. }) => Some(limit),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn the_value_of_a_variable_counts_wherever_it_is_used() {
    let query = format!("query($v: [Int]) {}", spread("b(l: $v) c(l: [$v])", 5));
    let list = |length: usize| json!({ "v": vec![1; length] });
    assert_eq!(with(&query, json!({})), None);
    // Five lists in the document, and ten times the given one with what is in it.
    assert_eq!(with(&query, list(8)), None);
    assert_eq!(with(&query, list(9)), Some("limits.graphql_values"));
    assert_eq!(with("query($v: [Int]) { b }", list(1_000)), None, "nobody uses it");
    let defaulted = query.replacen("[Int]", "[Int] = [1, 2, 3, 4, 5, 6, 7, 8, 9]", 1);
    assert_eq!(refused(&defaulted), Some("limits.graphql_values"));
}

#[test]
fn entities_count_in_the_document_and_in_variables() {
    let entities = |list: &str| format!("{{ _entities(representations: {list}) {{ id }} }}");
    assert_eq!(refused(&entities("[1, 2, 3, 4, 5]")), None);
    assert_eq!(refused(&entities("[1, 2, 3, 4, 5, 6]")), Some("limits.graphql_representations"));
    let query = "query($r: [_Any!]!) { a: _entities(representations: $r) { id }
      b: _entities(representations: $r) { id } }";
    assert_eq!(with(query, json!({ "r": [1, 2] })), None);
    assert_eq!(with(query, json!({ "r": [1, 2, 3] })), Some("limits.graphql_representations"));
}

#[test]
fn what_validation_would_compare_is_bounded() {
    let arguments = |count: usize| (0..count).map(|i| format!("x{i}: 1 ")).collect::<String>();
    let clash = |args: usize, fields: usize| {
        format!("{{ n {{ a({}) {} }} }}", arguments(args), "a ".repeat(fields))
    };
    assert_eq!(refused(&clash(10, 1_000)), None);
    assert_eq!(refused(&clash(33, 1)), Some("arguments"));
    assert_eq!(refused(&clash(32, 1_000)), Some("comparisons"));
    // Each inline fragment compares all that is below it again.
    let inline = |outer: &str| {
        format!(
            "{{ n {{ {} {outer} {{ {} }} {} }} }}",
            "... {".repeat(50),
            "a ".repeat(500),
            "}".repeat(50)
        )
    };
    assert_eq!(refused(&inline("n")), None);
    assert_eq!(refused(&inline("...")), Some("comparisons"));
}

#[test]
fn operations_variables_and_root_fields_are_counted() {
    let operations =
        |count: usize| (0..count).map(|i| format!("query q{i} {{ a }} ")).collect::<String>();
    assert_eq!(refused(&operations(50)), None);
    assert_eq!(refused(&operations(51)), Some("operations"));
    let variables = |count: usize| {
        let all: String = (0..count).map(|i| format!("$v{i}: Int ")).collect();
        format!("query({all}) {{ a }}")
    };
    assert_eq!(refused(&variables(200)), None);
    assert_eq!(refused(&variables(201)), Some("variables"));
    assert_eq!(refused(&format!("{{ {} }}", "a ".repeat(50))), None);
    assert_eq!(refused(&format!("{{ ... {{ {} }} }}", "a ".repeat(51))), Some("root fields"));
}

proptest! {
    /// What is spread counts like what is written out.
    #[test]
    fn a_fragment_counts_like_its_text(
        fields in prop::collection::vec("[a-c]: d\\(l: \\[1, \\$v\\]\\) @x", 1..3),
        times in 1_u64..4,
    ) {
        let fragment = fields.join(" ");
        let limits = DocumentLimits { aliases: 99, directives: 99, ..LIMITS };
        let of = |text: String| {
            let text = format!("query($v: Int) {text}");
            Expansion::of(&parse_query(text).unwrap(), &limits).unwrap()
        };
        let spread = of(spread(&fragment, usize::try_from(times).unwrap()));
        let once = of(format!("{{ n {{ {fragment} }} }}"));
        prop_assert_eq!(spread.aliases, once.aliases * times);
        prop_assert_eq!(spread.directives, once.directives * times);
        prop_assert_eq!(spread.values, once.values * times);
        prop_assert_eq!(spread.uses["v"].total, once.uses["v"].total * times);
        // The field around them, and the spreads.
        prop_assert_eq!(spread.selections - 1, (once.selections - 1 + 1) * times);
    }
}
