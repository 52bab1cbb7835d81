//! `docs/controls.md`: what it names exists, and no requirement is missing from it. // D38

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The requirements, as the two documents number them; D7 and D55 are headings.
fn requirements() -> BTreeSet<String> {
    let numbers = |letter, last, headings: &'static [u32]| {
        (1..=last)
            .filter(move |number| !headings.contains(number))
            .map(move |n| format!("{letter}{n}"))
    };
    numbers('D', 56, &[7, 55]).chain(numbers('S', 20, &[])).collect()
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of all tests: functions under an attribute that makes them one, or in a `proptest!`.
fn tests() -> BTreeSet<String> {
    let mut text = String::new();
    for folder in ["src", "tests/it", "entity/src", "migration/src"] {
        sources(&Path::new(ROOT).join(folder), &mut text);
    }
    let mut tests = BTreeSet::new();
    for part in text.split("test]").skip(1) {
        // The attributes and comments between it and its function, and nothing else.
        let item = part
            .lines()
            .map(str::trim)
            .find(|line| !(line.is_empty() || line.starts_with('#') || line.starts_with("//")));
        let item = item.unwrap_or_default();
        let name = item.trim_start_matches("async ").strip_prefix("fn ");
        tests.extend(name.and_then(|name| name.split('(').next()).map(str::to_owned));
    }
    tests
}

/// The words in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn rows() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/controls.md")).unwrap();
    text.lines()
        .filter(|line| line.starts_with("| D") || line.starts_with("| S"))
        .map(|line| {
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// `D23–25` is three numbers.
fn numbers(cell: &str) -> Vec<String> {
    let (letter, range) = cell.split_at(1);
    let mut ends = range.split('–').map(|number| number.parse::<u32>().unwrap());
    let first = ends.next().unwrap();
    let last = ends.next().unwrap_or(first);
    (first..=last).map(|number| format!("{letter}{number}")).collect()
}

#[test]
fn every_test_and_file_that_the_controls_name_exists() {
    let tests = tests();
    let rows = rows();
    let mut missing = Vec::new();
    for row in rows.iter().filter(|row| row.len() == 4) {
        let files: Vec<_> = quoted(&row[2]).collect();
        let named: Vec<_> = quoted(&row[3]).collect();
        assert!(!files.is_empty() && !named.is_empty(), "{row:?}");
        missing.extend(files.iter().filter(|file| !Path::new(ROOT).join(file).is_file()).copied());
        missing.extend(named.iter().filter(|test| !tests.contains(**test)).copied());
    }
    assert!(missing.is_empty(), "docs/controls.md names what does not exist: {missing:#?}");
}

#[test]
fn every_requirement_is_in_the_controls_once() {
    let mut found = BTreeMap::new();
    for number in rows().iter().flat_map(|row| numbers(&row[0])) {
        *found.entry(number).or_insert(0) += 1;
    }
    let listed: BTreeSet<_> = found.keys().cloned().collect();
    assert_eq!(listed, requirements());
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
