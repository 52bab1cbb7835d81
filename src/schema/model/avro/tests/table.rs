//! The pairs of Apache Avro's own Python tests, which are no part of this project.

use std::path::PathBuf;

use super::*;

/// How many pairs there are.
const CASES: usize = 131;

/// Where we differ, by the place in the table: our verdict, and why.
const REVIEWED: &[(usize, Verdict, &str)] = &[];

fn cases() -> Option<Vec<Value>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let folder = std::env::var_os("DRR_SHARED_DATA").map_or(PathBuf::from(beside), PathBuf::from);
    let path = folder.join("avro-compatibility-cases.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn apache_avros_pairs_have_apache_avros_verdict_or_a_reviewed_one() {
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), CASES);
    let mut differ = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let comparison = compared(&case["reader"], &case["writer"]);
        let theirs = if case["compatible"].as_bool().unwrap() {
            Verdict::Compatible
        } else {
            Verdict::Incompatible
        };
        if comparison.verdict() != theirs {
            differ.push((index, comparison.verdict(), case.to_string(), comparison));
        }
    }
    let found: Vec<_> = differ.iter().map(|(index, verdict, ..)| (*index, *verdict)).collect();
    let reviewed: Vec<_> = REVIEWED.iter().map(|(index, verdict, _)| (*index, *verdict)).collect();
    assert_eq!(found, reviewed, "{differ:#?}");
}

/// Their reasons are among ours.
#[test]
fn apache_avros_reasons_are_found() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        let comparison = compared(&case["reader"], &case["writer"]);
        let rules: Vec<_> = comparison
            .differences
            .iter()
            .filter(|difference| difference.verdict == Verdict::Incompatible)
            .map(|difference| difference.rule.to_lowercase())
            .collect();
        for why in case["why"].as_array().unwrap() {
            let why = why.as_str().unwrap().trim_start_matches("SchemaIncompatibilityType.");
            assert!(rules.iter().any(|rule| rule == why), "{why} not in {rules:?}: {case}");
        }
    }
}
