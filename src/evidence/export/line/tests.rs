use super::*;

fn event() -> Event {
    let leaf = r#"{"action":"dataset.read","actor_id":"somebody","calls":1,"class":"API","correlation_id":"c","event_id":"00000000-0000-0000-0000-000000000007","occurred_at":"2023-11-14T22:13:20.000000Z","result":"SUCCESS","tenant_id":"acme"}"#;
    serde_json::from_str(leaf).unwrap()
}

/// The line of the event in a log that is this leaf and, after it, another one.
fn line() -> (String, Tree) {
    let (leaf, other) = (event().leaf(), Hash([7; 32]));
    let root = tlog::node_hash(Hash(leaf_hash(&leaf)), other).0;
    let evidence = Evidence::new(0, String::from_utf8(leaf).unwrap(), &[other]);
    let line = String::from_utf8(written(&event(), &evidence).unwrap()).unwrap();
    (line.trim_end().to_owned(), Tree { size: 2, root })
}

#[test]
fn a_line_shows_its_event_and_no_other() {
    let (line, tree) = line();
    assert_eq!(checked(line.as_bytes(), tree, OWN), Ok((event(), 0)));
    let bad = |from: &str, to: &str| {
        let bad = line.replacen(from, to, 1);
        assert_ne!(bad, line, "{from}");
        checked(bad.as_bytes(), tree, OWN).unwrap_err()
    };
    assert_eq!(bad("dataset.read", "dataset.reap"), BadLine::Told);
    assert_eq!(bad("\\\"somebody", "\\\"somebodz"), BadLine::Told, "the leaf alone");
    assert_eq!(bad("\"calls\":1,", "\"calls\":1,\"more\":1,"), BadLine::Told);
    assert_eq!(bad("\"leaf_index\":0", "\"leaf_index\":1"), BadLine::NotIncluded(1));
    assert_eq!(bad("\"leaf_index\":0", "\"leaf_index\":2"), BadLine::NotIncluded(2));
    assert_eq!(bad("\"leaf_index\":0", "\"leaf_index\":0,\"more\":0"), BadLine::Form);
    assert_eq!(
        bad("\"inclusion_proof\":[\"Bw", "\"inclusion_proof\":[\"Cw"),
        BadLine::NotIncluded(0)
    );
    assert_eq!(bad("\"inclusion_proof\":[\"", "\"inclusion_proof\":[\"B"), BadLine::Form);
    // A leaf that says the same in other bytes is another leaf.
    assert_eq!(bad("\\\"calls\\\":1", "\\\"calls\\\": 1"), BadLine::NotIncluded(0));
    assert_eq!(checked(b"{}", tree, OWN), Err(BadLine::Form));
}

#[test]
fn a_line_of_another_version_of_the_program_is_taken_as_that_says_it() {
    let (line, tree) = line();
    let other = line.replacen(&format!("\"version\":\"{OWN}\""), "\"version\":\"9.9.9\"", 1);
    assert_eq!(checked(other.as_bytes(), tree, "9.9.9"), Ok((event(), 0)));
    assert_eq!(checked(other.as_bytes(), tree, OWN), Err(BadLine::Told));
    let told = other.replacen("dataset.read", "dataset.reap", 1);
    let why = checked(told.as_bytes(), tree, "9.9.9").unwrap_err();
    assert_eq!(why, BadLine::ToldBy("9.9.9".to_owned()));
    assert!(why.to_string().ends_with("drr 9.9.9 did"), "{why}");
}
