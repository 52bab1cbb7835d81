//! A table of schema pairs with verdicts that others made. It is not copied here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::super::verdict::Verdict;
use super::*;

/// A file of the shared data, if it is there.
pub(super) fn shared(name: &str) -> Option<String> {
    let folder = std::env::var_os("DRR_SHARED_DATA").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        eprintln!("SKIPPED: {} is not there", path.display());
    }
    text.ok()
}

/// Where we differ: the case, which way, what is said here, and why.
///
/// "back" asks whether the updated schema reads what the original wrote, "forth" the other way.
const REVIEWED: &[(usize, &str, Verdict, &str)] = &[
    (10, "forth", Verdict::Compatible, "the pattern `[a-z]*` is found in every text"),
    (11, "back", Verdict::Compatible, "the pattern `[A-Z]*` is found in every text"),
    (11, "forth", Verdict::Compatible, "the pattern `[a-z]*` is found in every text"),
    (96, "back", Verdict::Compatible, "a text that is to be an array: the writer accepts nothing"),
    (96, "forth", Verdict::Compatible, "a text that is to be an array: the writer accepts nothing"),
    (100, "forth", Verdict::Compatible, "`contentEncoding` is an annotation, and asserts nothing"),
    (101, "back", Verdict::Compatible, "`contentEncoding` is an annotation, and asserts nothing"),
    (101, "forth", Verdict::Compatible, "`contentEncoding` is an annotation, and asserts nothing"),
    (103, "forth", Verdict::Compatible, "`contentMediaType` is an annotation, and asserts nothing"),
    (104, "back", Verdict::Compatible, "`contentMediaType` is an annotation, and asserts nothing"),
    (104, "forth", Verdict::Compatible, "`contentMediaType` is an annotation, and asserts nothing"),
    (108, "forth", Verdict::Compatible, "texts pass by the one branch, all else by the other"),
    (
        117,
        "back",
        Verdict::Incompatible,
        "a text of 7 is in one branch of the original, and in two of the updated",
    ),
    (
        117,
        "forth",
        Verdict::Compatible,
        "the updated accepts texts longer than 10, which are longer than 5, and all else",
    ),
    (119, "back", Verdict::Incompatible, "a text of 1 is in both branches of the updated"),
    (124, "back", Verdict::Compatible, "the patterns of both branches are found in every text"),
    (124, "forth", Verdict::Compatible, "the patterns of both branches are found in every text"),
    (125, "forth", Verdict::Compatible, "the pattern of the branch is found in every text"),
    (126, "forth", Verdict::Compatible, "the pattern of the branch is found in every text"),
];

#[test]
fn a_table_of_cases_and_where_we_differ_from_it() {
    let Some(table) = shared("json-schema-compatibility-cases.json") else { return };
    let table: Value = serde_json::from_str(&table).unwrap();
    let table = table["tests"].as_array().unwrap();
    let mut differing = Vec::new();
    let mut tally = BTreeMap::<(bool, Verdict), usize>::new();
    for (index, case) in table.iter().enumerate() {
        let (old, new) =
            (schema(&case["original"].to_string()), schema(&case["updated"].to_string()));
        let wanted = match case["compatibility"].as_str().unwrap() {
            "backward" => [true, false],
            "both" => [true, true],
            _ => [false, false],
        };
        for (way, reader, writer, wanted) in
            [("back", &new, &old, wanted[0]), ("forth", &old, &new, wanted[1])]
        {
            let verdict = compare(reader, writer, &mut Budget::new(STEPS)).verdict();
            *tally.entry((wanted, verdict)).or_default() += 1;
            if verdict != (if wanted { Verdict::Compatible } else { Verdict::Incompatible }) {
                differing.push((index, way, verdict));
            }
        }
    }
    let reviewed = REVIEWED.iter().map(|(index, way, verdict, _)| (*index, *way, *verdict));
    assert_eq!(differing, reviewed.collect::<Vec<_>>());
    // 145 pairs, both ways. Nothing is UNKNOWN.
    let counts = tally.into_iter().collect::<Vec<_>>();
    assert_eq!(
        counts,
        [
            ((false, Verdict::Compatible), 17),
            ((false, Verdict::Incompatible), 113),
            ((true, Verdict::Compatible), 158),
            ((true, Verdict::Incompatible), 2),
        ]
    );
}
