//! What the service proves, held against the verifier that others wrote: every kind of leaf, every pair
//! of checkpoints, and the log's own files.

use std::collections::BTreeMap;

use drr::auth::policy::Role;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    independent::{checkpoints, key, odd_events},
    others::{Checked, Others, base64, rows},
    settle,
    tampering::{by_hand, real_events, world},
};
use crate::{app::TestApp, cluster::run};

/// What REST answers to an auditor of acme.
async fn rest(app: &TestApp, path: &str) -> Value {
    let token = app.token("acme", Role::Auditor);
    let answer = app.http.get(app.public(&format!("/storage/v1{path}"))).bearer_auth(token);
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}");
    answer.json().await.unwrap()
}

/// A file of acme's log.
async fn file(app: &TestApp, name: &str) -> Vec<u8> {
    let token = app.token("acme", Role::Auditor);
    let answer = app.http.get(app.public(&format!("/evidence/v1/acme/{name}"))).bearer_auth(token);
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{name}");
    answer.bytes().await.unwrap().into()
}

/// Calls of several kinds, each of which leaves another event.
async fn calls(app: &TestApp) {
    let (reader, manager) = (app.token("acme", Role::Reader), app.token("acme", Role::TenantAdmin));
    let register =
        "mutation { registerDataset(input: { namespace: \"n\", name: \"\u{e9}\" }) { status } }";
    for (token, query) in [
        (&reader, "query Who { me { tenantId } }"),
        (&reader, "{ me { role } datasets(first: 1) { nodes { id } } }"),
        (&reader, "{ dataset(id: \"none\") { id } }"),
        (&reader, "{ me {"),
        (&reader, register),
        (&manager, register),
    ] {
        app.send(token, query, json!({})).await;
    }
    let nowhere = app.http.get(app.public("/nowhere")).bearer_auth(&reader);
    assert_eq!(nowhere.send().await.unwrap().status(), 404);
}

/// An event's evidence as Go is asked to check it.
fn inclusion(evidence: &Value) -> Value {
    let proof = &evidence["inclusionProof"];
    let index: u64 = proof["leafIndex"].as_str().unwrap().parse().unwrap();
    json!({
        "Key": key(), "Note": proof["checkpoint"],
        "Inclusion": [{
            "Leaf": base64(evidence["leaf"].as_str().unwrap()), "Index": index, "Proof": proof["hashes"],
        }],
    })
}

fn size(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

// D34, D36, S17
#[test]
fn every_kind_of_event_is_proven_to_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        calls(&app).await;
        odd_events(&mut admin).await;
        real_events(&app, &mut admin, 600).await;
        calls(&app).await;
        settle(app.sequencer(), &mut admin).await;
        let in_trail = rows(&mut admin, "acme").await;
        let made = others.make(&in_trail, &[in_trail.len()]).await;
        let few = [0..30, 250..262, 505..520, in_trail.len() - 10..in_trail.len()];
        let (mut requests, mut kinds) = (Vec::new(), BTreeMap::new());
        for place in few.into_iter().flatten() {
            let row = &in_trail[place];
            let id = row["event_id"].as_str().unwrap();
            let evidence = rest(&app, &format!("/audit/events/{id}/evidence")).await;
            // The leaf that is served is the one that others make of the row.
            assert_eq!(base64(evidence["leaf"].as_str().unwrap()), made.leaves[place], "{row}");
            let request = inclusion(&evidence);
            assert_eq!(request["Inclusion"][0]["Index"], place as u64);
            *kinds.entry((row["action"].to_string(), row["result"].to_string())).or_insert(0) += 1;
            requests.push(request);
        }
        assert!(kinds.len() > 5, "{kinds:#?}");
        for (checked, request) in others.check_all(&requests).await.iter().zip(&requests) {
            let index = &request["Inclusion"][0]["Index"];
            checked.assert_good(&["note", &format!("inclusion {index}")]);
            assert_eq!(checked.root.as_ref(), made.roots.get(&in_trail.len()));
        }
        // Any other leaf, place or path is not proven.
        let good = requests.remove(40);
        let index = good["Inclusion"][0]["Index"].as_u64().unwrap();
        let mut bad = Vec::new();
        let mut but = |change: &dyn Fn(&mut Value)| {
            let mut request = good.clone();
            change(&mut request["Inclusion"][0]);
            bad.push(request);
        };
        but(&|it| it["Leaf"] = requests[39]["Inclusion"][0]["Leaf"].clone());
        but(&|it| it["Leaf"] = json!(base64("{}")));
        but(&|it| it["Proof"][0] = it["Proof"][1].clone());
        but(&|it| drop(it["Proof"].as_array_mut().unwrap().pop()));
        but(&|it| it["Proof"].as_array_mut().unwrap().swap(0, 1));
        for checked in others.check_all(&bad).await {
            checked.assert_refused(&format!("inclusion {index}"));
        }
        let mut elsewhere = good;
        elsewhere["Inclusion"][0]["Index"] = json!(index + 1);
        let checked = others.check(elsewhere).await;
        checked.assert_refused(&format!("inclusion {}", index + 1));
        app.stop().await;
    });
}

// D36
#[test]
fn every_pair_of_checkpoints_is_consistent_by_what_others_wrote_and_a_fork_is_not() {
    let Some(others) = Others::found() else { return };
    run(async {
        let (app, mut admin) = world().await;
        let mut chance = StdRng::seed_from_u64(7);
        for _ in 0..7 {
            real_events(&app, &mut admin, chance.random_range(1..700)).await;
            app.publish().await;
        }
        let notes = checkpoints(&app).await;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let request = |older: &str, note: &str, proof: &Value| json!({ "Key": key(), "Note": note, "Older": { "Note": older, "Proof": proof } });
        for (at, older) in notes.iter().enumerate() {
            for (next, note) in notes.iter().enumerate().skip(at) {
                let path =
                    format!("/evidence/consistency-proof?from={}&to={}", size(older), size(note));
                let proof = rest(&app, &path).await["hashes"].take();
                good.push(request(older, note, &proof));
                if at < next {
                    bad.push(request(note, older, &proof));
                    let mut changed = proof.clone();
                    changed[0] = json!(base64([7; 32]));
                    bad.push(request(older, note, &changed));
                    changed = proof;
                    changed.as_array_mut().unwrap().push(json!(base64([7; 32])));
                    bad.push(request(older, note, &changed));
                }
            }
        }
        assert_eq!((good.len(), bad.len()), (36, 84));
        let all = |checked: Vec<Checked>, judge: &dyn Fn(&Checked)| checked.iter().for_each(judge);
        all(others.check_all(&good).await, &|it| it.assert_good(&["note", "consistency"]));
        all(others.check_all(&bad).await, &|it| it.assert_refused("consistency"));

        // Whoever has the key and the database signs another history, which grows on.
        by_hand(
            &mut admin,
            "UPDATE audit_event SET actor_id = 'somebody-else' WHERE correlation_id = 'c5';
             DELETE FROM evidence_head; DELETE FROM evidence_tile",
        )
        .await;
        real_events(&app, &mut admin, 1).await;
        let forked = String::from_utf8(file(&app, "checkpoint").await).unwrap();
        let mut refused = Vec::new();
        for older in &notes {
            let path = format!("/evidence/consistency-proof?from={}", size(older));
            refused.push(request(older, &forked, &rest(&app, &path).await["hashes"]));
        }
        all(others.check_all(&refused).await, &|it| it.assert_refused("consistency"));
        app.stop().await;
    });
}

// D36, S17
#[test]
fn the_files_of_a_log_are_whole_by_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let (app, mut admin) = world().await;
        calls(&app).await;
        odd_events(&mut admin).await;
        settle(app.sequencer(), &mut admin).await;
        let note = String::from_utf8(file(&app, "checkpoint").await).unwrap();
        let size = size(&note);
        let (mut tiles, mut leaves) = (BTreeMap::new(), Vec::new());
        let (mut level, mut nodes) = (0, size);
        while nodes > 0 {
            for index in 0..nodes.div_ceil(256) {
                let width = (nodes - 256 * index).min(256);
                let part = if width == 256 { String::new() } else { format!(".p/{width}") };
                let name = format!("tile/{level}/{index:03}{part}");
                tiles.insert(name.clone(), base64(file(&app, &name).await));
                if level == 0 {
                    let bundle = file(&app, &format!("tile/entries/{index:03}{part}")).await;
                    let mut rest = bundle.as_slice();
                    while let Some((length, behind)) = rest.split_first_chunk() {
                        let (leaf, behind) = behind.split_at(u16::from_be_bytes(*length).into());
                        leaves.push(base64(leaf));
                        rest = behind;
                    }
                }
            }
            (level, nodes) = (level + 1, nodes / 256);
        }
        let request = json!({ "Key": key(), "Note": note, "Leaves": leaves, "Tiles": tiles });
        let good = others.check(request.clone()).await;
        good.assert_good(&["note", "leaves", "tiles"]);
        assert!(size > 700 && leaves.len() as u64 == size);
        // One bit of any of them.
        for name in tiles.keys() {
            let mut request = request.clone();
            let tile = request["Tiles"][name].as_str().unwrap();
            let flipped = if tile.starts_with('A') { "B" } else { "A" };
            request["Tiles"][name] = json!(format!("{flipped}{}", &tile[1..]));
            others.check(request).await.assert_refused("tiles");
        }
        app.stop().await;
    });
}
