//! What the program keeps, signs and publishes, held against verifiers that others wrote.

use drr::{
    auth::{TenantId, policy::Role},
    evidence::{Signatory, SigningKey, note::Tree, publisher::published},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{
    id_at,
    others::{Others, base64, rows, tiles},
    settle,
    tampering::{by_hand, real_events, world},
};
use crate::{
    app::{SIGNATORY, TestApp},
    cluster::run,
};

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub fn key() -> String {
    SIGNATORY.verifier_key(&acme())
}

/// The texts of the checkpoints that are outside of the database, the smallest tree first.
pub async fn checkpoints(app: &TestApp) -> Vec<String> {
    let found = published(&app.objects, &acme()).await.unwrap();
    found.into_iter().map(|(_, text)| text).collect()
}

/// Events in which every field says something, some of them in letters that JSON has to escape.
pub async fn odd_events(admin: &mut PgConnection) {
    let sql = "INSERT INTO audit_event (tenant_id, occurred_at, event_id, call_id, actor_id, action, also,
            dataset_id, resource, result, error_code, correlation_id, interface, operation_name,
            document_hash, token_hash, duration_us, row_count, calls, class)
        SELECT 'acme', date_trunc('second', now()) + n * interval '1 us', {id},
               gen_random_uuid(), 'jemand ' || chr(128512), 'dataset.read',
               CASE n % 3 WHEN 0 THEN '{}' WHEN 1 THEN '{run.read,me.read}' END::text[],
               gen_random_uuid(), E'run:\\x01\\n\\t\"\\\\/\\x7f' || chr(8232) || chr(233),
               'REJECTED', 'NOT_FOUND', 'c' || n, 'public', '', sha256(n::text::bytea), sha256(''),
               9007199254740991, 0, n, CASE n % 2 WHEN 0 THEN 'API' ELSE 'SCHEMA' END
          FROM generate_series(1, 9) AS n";
    let sql = sql.replace("{id}", &id_at("date_trunc('second', now())"));
    crate::breach::script(admin, &sql).await;
}

// D36
#[test]
fn logs_of_every_size_are_good_by_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let reader = app.token("acme", Role::Reader);
        let register =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"d\" }) { status } }";
        app.data(&reader, "query Who { me { tenantId } }", json!({})).await;
        let (mut sizes, mut tiled) = (vec![0], Vec::new());
        for size in [1, 2, 255, 256, 257, 3_000] {
            match size {
                1 => {}
                2 => drop(app.send(&reader, register, json!({})).await),
                255 => {
                    odd_events(&mut admin).await;
                    app.data(&app.token("acme", Role::TenantAdmin), register, json!({})).await;
                    let there = rows(&mut admin, "acme").await.len();
                    real_events(&app, &mut admin, u32::try_from(255 - there).unwrap()).await;
                }
                _ => real_events(&app, &mut admin, size - *sizes.last().unwrap()).await,
            }
            settle(app.sequencer(), &mut admin).await;
            assert_eq!(app.publish().await, 1);
            sizes.push(size);
            tiled.push(tiles(&mut admin, "acme").await);
        }
        let sizes: Vec<usize> = sizes.into_iter().map(|size| size as usize).collect();
        let made = others.make(&rows(&mut admin, "acme").await, &sizes).await;
        let notes = checkpoints(&app).await;
        assert_eq!(notes.len(), 6);
        let request = |((note, tiles), size): ((&String, &_), &usize)| json!({ "Key": key(), "Note": note, "Leaves": &made.leaves[..*size], "Tiles": tiles });
        let requests: Vec<Value> = notes.iter().zip(&tiled).zip(&sizes[1..]).map(request).collect();
        for (checked, size) in others.check_all(&requests).await.iter().zip(&sizes[1..]) {
            checked.assert_good(&["note", "leaves", "tiles"]);
            assert_eq!(
                (checked.size, &checked.root),
                (*size as u64, &made.roots.get(size).cloned())
            );
        }
        // A log that has nothing yet.
        let tree = Tree { size: 0, root: Sha256::digest(b"").into() };
        let note = SIGNATORY.sign(&acme(), tree).unwrap();
        let empty = json!({ "Key": key(), "Note": note, "Leaves": [], "Tiles": {} });
        let checked = others.check(empty).await;
        checked.assert_good(&["note", "leaves", "tiles"]);
        assert_eq!(checked.root, made.roots.get(&0).cloned());
        app.stop().await;
    });
}

// D36
#[test]
fn what_was_tampered_with_is_refused_by_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let (app, mut admin) = world().await;
        let note = checkpoints(&app).await.remove(0);
        let now = async |admin: &mut PgConnection| {
            let mut rows = rows(admin, "acme").await;
            rows.truncate(700);
            let made = others.make(&rows, &[rows.len()]).await;
            let request = json!({ "Key": key(), "Note": note, "Leaves": made.leaves });
            (others.check(request).await, made.roots[&rows.len()].clone())
        };
        let (checked, root) = now(&mut admin).await;
        checked.assert_good(&["note", "leaves"]);
        assert_eq!(checked.root.as_ref(), Some(&root));
        by_hand(&mut admin, "CREATE TABLE kept AS SELECT * FROM audit_event").await;
        let nth = |n: u32| {
            format!(
                "(SELECT event_id FROM audit_event ORDER BY transaction_id, sequence OFFSET {n} LIMIT 1)"
            )
        };
        for sabotage in [
            format!("UPDATE audit_event SET actor_id = 'somebodz' WHERE event_id = {}", nth(300)),
            format!(
                "UPDATE audit_event SET occurred_at = occurred_at + interval '1 us' WHERE event_id = {}",
                nth(699)
            ),
            format!("DELETE FROM audit_event WHERE event_id = {}", nth(0)),
            format!("DELETE FROM audit_event WHERE event_id = {}", nth(699)),
            // Each in the place of the other.
            format!(
                "UPDATE audit_event e SET sequence = (SELECT sequence FROM kept k WHERE k.event_id =
                   CASE e.event_id WHEN {a} THEN {b} ELSE {a} END) WHERE event_id IN ({a}, {b})",
                a = nth(300),
                b = nth(301)
            ),
        ] {
            by_hand(&mut admin, &sabotage).await;
            let (checked, other) = now(&mut admin).await;
            checked.assert_refused("leaves");
            assert_ne!(other, root, "{sabotage}");
            by_hand(
                &mut admin,
                "DELETE FROM audit_event; INSERT INTO audit_event SELECT * FROM kept",
            )
            .await;
        }
        now(&mut admin).await.0.assert_good(&["note", "leaves"]);
        app.stop().await;
    });
}

// D36
#[test]
fn a_checkpoint_with_one_byte_changed_or_by_another_key_is_refused_by_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let (app, _admin) = world().await;
        let note = checkpoints(&app).await.remove(0);
        let request = |key: &str, note: &str| json!({ "Key": key, "Note": note });
        let mut bad = Vec::new();
        // Every byte of the text, and every one of the signature, whose place in base64 is not its own.
        let (text, signature) = note.trim_end().rsplit_once(' ').unwrap();
        let end = text.find("\n\n").unwrap();
        for at in 0..=end {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1;
            bad.push(request(&key(), &String::from_utf8(changed).unwrap()));
        }
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature);
        let bytes = bytes.unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            bad.push(request(&key(), &format!("{text} {}\n", base64(changed))));
        }
        let other = SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        let other = Signatory::new("drr.example/evidence", other).unwrap();
        bad.push(request(&other.verifier_key(&acme()), &note));
        bad.push(request(&SIGNATORY.verifier_key(&TenantId::parse("globex").unwrap()), &note));
        assert_eq!(bad.len(), end + 1 + 68 + 2);
        for (checked, request) in others.check_all(&bad).await.iter().zip(&bad) {
            assert_eq!(checked.verified.len(), 0, "{request}");
            checked.assert_refused("note");
        }
        others.check(request(&key(), &note)).await.assert_good(&["note"]);
        app.stop().await;
    });
}
