//! Witnesses that cosign checkpoints (C2SP tlog-witness): good ones, and those that are away, slow, wrong,
//! behind, ahead, or shown another log than they know.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use drr::{
    auth::{TenantId, policy::Role},
    clock::SystemClock,
    evidence::{
        Signatory, SigningKey, note::Tree, publisher::published, verify::Verified,
        witness::witnesses,
    },
};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

use super::{
    cosigner::{Manner, Witness},
    others::Others,
    tampering::{by_hand, checked, real_events},
};
use crate::{
    app::{KEY, SIGNATORY, TestApp},
    cluster::run,
    program::{Serving, serve},
};

/// A service whose checkpoints these witnesses are asked to cosign.
async fn watched(policy: &str) -> (TestApp, PgConnection) {
    let witnesses = witnesses(policy).unwrap();
    let app = TestApp::with(|assembly| assembly.evidence.witnesses = witnesses).await;
    let admin = app.admin().await;
    (app, admin)
}

/// So many events more, and the checkpoint over all of them as it was published.
async fn grown(app: &TestApp, admin: &mut PgConnection, by: u32) -> String {
    real_events(app, admin, by).await;
    assert_eq!(app.publish().await, 1);
    last(app, admin).await
}

/// The last checkpoint that was published, the same in the store under its own name, there as the last
/// one, and in the database.
async fn last(app: &TestApp, admin: &mut PgConnection) -> String {
    let acme = TenantId::parse("acme").unwrap();
    let (name, note) = published(&app.objects, &acme).await.unwrap().pop().unwrap();
    let row = sqlx::query(
        "SELECT published_size, published, size, root FROM evidence_head WHERE tenant_id = 'acme'",
    );
    let row = row.fetch_one(admin).await.unwrap();
    let (size, root): (i64, Vec<u8>) = (row.get(2), row.get(3));
    assert_eq!((row.get::<i64, _>(0), row.get::<&str, _>(1)), (size, note.as_str()));
    assert!(name.ends_with(&format!("/{size:020}")), "{name}");
    let last = app.objects.get("evidence/tenant-acme/checkpoint").await.unwrap().unwrap();
    assert_eq!(last, note.as_bytes());
    let tree = Tree { size: u64::try_from(size).unwrap(), root: root.try_into().unwrap() };
    assert_eq!(SIGNATORY.open(&acme, &note).unwrap(), tree);
    note
}

/// The names of those who signed a note.
fn signers(note: &str) -> Vec<&str> {
    let (_, lines) = note.rsplit_once("\n\n").unwrap();
    lines.lines().map(|line| line.split(' ').nth(1).unwrap()).collect()
}

const LOG: &str = "drr.example/evidence/acme";

/// How often a witness gave this result, by the metrics of the program.
async fn counted(app: &TestApp, witness: &str, result: &str) -> u64 {
    let metrics = app.http.get(app.operations("/metrics")).send().await.unwrap().text().await;
    let line =
        format!("drr_evidence_cosignatures_total{{witness=\"{witness}\",result=\"{result}\"}} ");
    let metrics = metrics.unwrap();
    metrics.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

#[test]
fn checkpoints_are_cosigned_by_witnesses_that_see_the_log_grow() {
    run(async {
        let (first, second) = (Witness::new("one.example/w"), Witness::new("two.example/w"));
        let (one, _one) = first.listen("127.0.0.1:0").await;
        let (two, _two) = second.listen("127.0.0.1:0").await;
        let policy = format!("# ours\n{}\n{}quorum none\n", first.line(&one), second.line(&two));
        let (app, mut admin) = watched(&policy).await;
        let mut notes = Vec::new();
        for by in [3, 700, 1, 255] {
            let note = grown(&app, &mut admin, by).await;
            assert_eq!(signers(&note), [LOG, "one.example/w", "two.example/w"]);
            notes.push(note);
        }
        // Each time it is known what they know.
        let asked = [(0, 200), (3, 200), (703, 200), (704, 200)];
        let bodies = first.bodies();
        assert_eq!(second.asked(), asked);
        assert_eq!(counted(&app, "one.example/w", "cosigned").await, 4);
        // An instance that died before it could remember what it had published: that stands.
        by_hand(&mut admin, "UPDATE evidence_head SET published_size = 0, published = NULL").await;
        assert_eq!(app.publish().await, 1);
        assert_eq!(last(&app, &mut admin).await, notes[3]);
        assert_eq!(first.asked(), [(0, 409), (959, 200)]);
        let good = Verified { leaves: 959, published: 4, ..Verified::default() };
        assert_eq!(checked(&app, &mut admin).await, Ok(good));
        if let Some(others) = Others::found() {
            let key = SIGNATORY.verifier_key(&TenantId::parse("acme").unwrap());
            let keys = [first.verifier_key(), second.verifier_key()];
            for note in &notes {
                let request = json!({ "Key": key, "Note": note, "Witnesses": keys });
                let good = ["note", "witness one.example/w", "witness two.example/w"];
                others.check(request).await.assert_good(&good);
            }
            // What the witness was shown, with each checkpoint as it was published before.
            for (at, (body, _)) in bodies.iter().enumerate() {
                let (head, asked) = body.split_once("\n\n").unwrap();
                let proof: Vec<&str> = head.lines().skip(1).collect();
                let older =
                    at.checked_sub(1).map(|at| json!({ "Note": notes[at], "Proof": proof }));
                assert!(notes[at].starts_with(asked) && (older.is_some() || proof.is_empty()));
                let mut request = json!({ "Key": key, "Note": asked });
                if let Some(older) = older {
                    request["Older"] = older;
                    others.check(request).await.assert_good(&["note", "consistency"]);
                } else {
                    others.check(request).await.assert_good(&["note"]);
                }
            }
            // A cosignature is of one checkpoint.
            let (text, _) = notes[1].split_once("\n\n").unwrap();
            let (_, lines) = notes[0].split_once("\n\n").unwrap();
            let swapped = format!("{text}\n\n{}\n{}\n", notes[1].lines().nth(4).unwrap(), {
                lines.lines().nth(1).unwrap()
            });
            let request = json!({ "Key": key, "Note": swapped, "Witnesses": [&keys[0]] });
            others.check(request).await.assert_refused("witness one.example/w");
        }
        app.stop().await;
    });
}

#[test]
fn what_a_witness_answers_wrongly_is_not_taken_over_and_holds_up_nothing() {
    run(async {
        let (good, bad) = (Witness::new("good.example"), Witness::new("bad.example"));
        let (one, _one) = good.listen("127.0.0.1:0").await;
        let (two, _two) = bad.listen("127.0.0.1:0").await;
        let (app, mut admin) = watched(&format!("{}{}", bad.line(&two), good.line(&one))).await;
        for (manner, result) in [
            (Manner::WrongKey, "invalid"),
            (Manner::OtherText, "invalid"),
            (Manner::Says(200, ""), "invalid"),
            (Manner::Says(200, "\u{2014} bad.example AAAA\n"), "invalid"),
            (Manner::Says(403, ""), "refused"),
            (Manner::Says(404, ""), "refused"),
            (Manner::Says(409, "many"), "refused"),
            (Manner::Says(409, "1"), "refused"),
            (Manner::Says(302, ""), "refused"),
            (Manner::Says(503, ""), "away"),
            (Manner::Says(409, "18446744073709551615"), "ahead"),
        ] {
            let before = counted(&app, "bad.example", result).await;
            bad.is(manner);
            let note = grown(&app, &mut admin, 2).await;
            assert_eq!(signers(&note), [LOG, "good.example"], "{manner:?}");
            assert_eq!(counted(&app, "bad.example", result).await, before + 1, "{manner:?}");
            assert!(bad.asked().len() <= 2, "{manner:?}");
        }
        // And again, once it is good: from where it was last, which is what it says.
        bad.is(Manner::Good);
        let note = grown(&app, &mut admin, 1).await;
        assert_eq!(signers(&note), [LOG, "bad.example", "good.example"]);
        app.stop().await;
    });
}

#[test]
fn a_witness_that_is_slow_or_away_is_waited_for_no_longer_than_a_moment() {
    run(async {
        let (good, slow) = (Witness::new("good.example"), Witness::new("slow.example"));
        let (one, _one) = good.listen("127.0.0.1:0").await;
        let (two, listening) = slow.listen("127.0.0.1:0").await;
        let (app, mut admin) = watched(&format!("{}{}", slow.line(&two), good.line(&one))).await;
        assert_eq!(signers(&grown(&app, &mut admin, 5).await).len(), 3);
        slow.is(Manner::Slow);
        // Many tenants: the pass waits for it a few times, and not once for each.
        for n in 0..12 {
            super::events(&mut admin, &format!("other-{n}"), 1).await;
        }
        super::settle(app.sequencer(), &mut admin).await;
        let begun = Instant::now();
        assert_eq!(app.publish().await, 12);
        let took = begun.elapsed();
        assert!((Duration::from_secs(3)..Duration::from_secs(20)).contains(&took), "{took:?}");
        assert_eq!(counted(&app, "slow.example", "away").await, 12);
        assert_eq!(good.seen.lock().unwrap().len(), 13);
        // Away altogether.
        listening.abort();
        assert!(listening.await.unwrap_err().is_cancelled());
        slow.is(Manner::Good);
        let note = grown(&app, &mut admin, 300).await;
        assert_eq!(signers(&note), [LOG, "good.example"]);
        assert_eq!(slow.size(), Some(5));
        // Back: it says what it knows, and is shown what came since.
        let (_, _back) = slow.listen(&two).await;
        slow.asked();
        let note = grown(&app, &mut admin, 300).await;
        assert_eq!(signers(&note), [LOG, "slow.example", "good.example"]);
        assert_eq!(slow.asked(), [(0, 409), (5, 200)]);
        assert_eq!(slow.size(), Some(605));
        app.stop().await;
    });
}

// D44
#[test]
fn a_witness_does_not_sign_a_log_that_was_forked_or_turned_back() {
    run(async {
        let witness = Witness::new("only.example");
        let (address, _listening) = witness.listen("127.0.0.1:0").await;
        let (app, mut admin) = watched(&witness.line(&address)).await;
        grown(&app, &mut admin, 300).await;
        let forget = "DELETE FROM evidence_head; DELETE FROM evidence_tile";
        // Whoever has the key and the database makes another history, which grows like the first one did.
        by_hand(
            &mut admin,
            &format!(
                "UPDATE audit_event SET actor_id = 'nobody' WHERE correlation_id = 'c7'; {forget}"
            ),
        )
        .await;
        witness.asked();
        let note = grown(&app, &mut admin, 20).await;
        assert_eq!(signers(&note), [LOG]);
        assert_eq!(witness.asked(), [(0, 409), (300, 422)]);
        assert_eq!(counted(&app, "only.example", "refused").await, 1);
        // And one that is shorter than what the witness has seen.
        by_hand(
            &mut admin,
            &format!("DELETE FROM audit_event WHERE correlation_id > 'c20'; {forget}"),
        )
        .await;
        super::settle(app.sequencer(), &mut admin).await;
        assert_eq!(app.publish().await, 1);
        assert_eq!(witness.asked(), [(0, 409)]);
        assert_eq!(counted(&app, "only.example", "ahead").await, 1);
        assert_eq!(witness.size(), Some(300));
        app.stop().await;
    });
}

#[test]
fn a_policy_that_cannot_be_understood_is_refused_with_its_line() {
    let key = Witness::new("only.example").verifier_key();
    let log = SIGNATORY.verifier_key(&TenantId::parse("acme").unwrap());
    let good = format!(
        "# a policy\n\nlog {log} https://drr.example\n \twitness a {key} https://one.example/w\n\
         witness silent {}\ngroup g any a silent\nquorum g\n",
        Witness::new("silent.example").verifier_key()
    );
    assert_eq!(witnesses(&good).unwrap().len(), 1);
    assert_eq!(witnesses("").unwrap().len(), 0);
    for (line, why) in [
        ("witnes a b".to_owned(), "is none of a policy"),
        ("witness a".to_owned(), "is none of a policy"),
        ("quorum".to_owned(), "is none of a policy"),
        (format!("witness a {key} https://one.example more"), "is none of a policy"),
        (format!("witness a {log} https://one.example"), "has no verifier key"),
        (format!("witness a x{key} https://one.example"), "has no verifier key"),
        (format!("witness a {} https://one.example", &key[..key.len() - 4]), "has no verifier key"),
        (format!("witness b {key} https://one.example"), "names the key of another line"),
        (format!("witness b {} http://one.example", Witness::new("c").verifier_key()), "https"),
    ] {
        let policy = format!("witness a {key} https://one.example/w\n{line}\n");
        let error = witnesses(&policy).unwrap_err().to_string();
        assert!(error.starts_with("line 2 ") && error.contains(why), "{line}: {error}");
    }
    let line = |n: i32| {
        let key = Witness::new("w").verifier_key();
        format!("witness {n} {key} https://one.example\n")
    };
    let many: String = (1..=65).map(line).collect();
    let error = witnesses(&many).unwrap_err().to_string();
    assert!(error.starts_with("line 65 is one witness too many"), "{error}");
}

// D44
#[test]
fn the_program_asks_the_witnesses_that_its_settings_name() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let pem = SigningKey::generate_pem().unwrap();
        let own = Arc::new(Signatory::new("drr", SigningKey::parse(&pem).unwrap()).unwrap());
        let witness = Witness::of("one.example/w", own.clone());
        let (address, _listening) = witness.listen("127.0.0.1:0").await;
        let program = |policy: &str| {
            let mut command = serve(folder.path());
            command
                .env("DRR_EVIDENCE__SIGNING_KEY_FILE", named("key", &pem))
                .env("DRR_EVIDENCE__PUBLISH_SECONDS", "1")
                .env("DRR_EVIDENCE__WITNESSES_FILE", named("policy", policy));
            command
        };
        let refused = program("quorum none\nwitness one\n").output().unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("evidence.witnesses_file") && said.contains("line 2"), "{said}");

        let serving = Serving::start(program(&witness.line(&address)));
        let token = KEY.sign(&TestApp::request("acme", Role::Reader), &SystemClock).unwrap();
        let request = reqwest::Client::new().post(format!("http://{}/graphql", serving.public));
        let query = json!({ "query": "{ me { role } }" });
        let answer = request.bearer_auth(token).json(&query).send().await.unwrap();
        assert!(answer.json::<Value>().await.unwrap().get("errors").is_none());
        let published = folder.path().join("data/objects/evidence/tenant-acme/checkpoint");
        let begun = Instant::now();
        let note = loop {
            match std::fs::read_to_string(&published) {
                Ok(note) => break note,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is published");
        };
        serving.signal(Signal::TERM);
        assert_eq!(serving.ended().0, Some(0));
        let acme = TenantId::parse("acme").unwrap();
        let tree = own.open(&acme, &note).unwrap();
        assert_eq!((tree.size, signers(&note)), (1, vec!["drr/acme", "one.example/w"]));
        assert_eq!(witness.seen.lock().unwrap()["drr/acme"], tree);
    });
}
