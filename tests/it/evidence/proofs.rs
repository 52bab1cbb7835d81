//! Proofs over GraphQL and REST, and the log as static files: as somebody sees them who has nothing but
//! the public key.

use base64::{Engine, engine::general_purpose::STANDARD};
use drr::{
    auth::{TenantId, policy::Role},
    evidence::{model::TILE_HASHES, note::Tree},
};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use sqlx::Executor;
use tlog_tiles::tlog::{self, Hash};

use super::{events, root, settle};
use crate::{
    app::{SIGNATORY, TestApp},
    breach::script,
    cluster::run,
    rest::{get, refusal},
};

const EVIDENCE: &str = "evidence { leaf inclusionProof {
    leafIndex leafHash treeSize rootHash hashes checkpoint text } }";

fn hash(text: &Value) -> Hash {
    Hash(STANDARD.decode(text.as_str().unwrap()).unwrap().try_into().unwrap())
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

fn number(text: &Value) -> u64 {
    text.as_str().unwrap().parse().unwrap()
}

fn signed(checkpoint: &Value) -> Tree {
    let acme = TenantId::parse("acme").unwrap();
    SIGNATORY.open(&acme, checkpoint.as_str().unwrap()).unwrap()
}

/// That a proof proves its leaf in the tree of its checkpoint.
fn assert_proves(proof: &Value) {
    let (size, root) = (number(&proof["treeSize"]), hash(&proof["rootHash"]));
    let (path, leaf) = (hashes(&proof["hashes"]), hash(&proof["leafHash"]));
    tlog::check_record(&path, size, root, number(&proof["leafIndex"]), leaf).unwrap();
    if !proof["checkpoint"].is_null() {
        assert_eq!(signed(&proof["checkpoint"]), Tree { size, root: root.0 });
        let text = proof["text"].as_str().unwrap();
        let (head, note) = text.split_once("\n\n").unwrap();
        assert_eq!(note, proof["checkpoint"]);
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        let index = format!("index {}", number(&proof["leafIndex"]));
        assert_eq!(lines.next(), Some(index.as_str()));
        assert!(
            lines.eq(proof["hashes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()))
        );
    }
}

/// The leaves of a tenant, in order.
async fn leaves(app: &TestApp, tenant: &str) -> Vec<Vec<u8>> {
    let sql =
        "SELECT leaf_hash FROM audit_event WHERE tenant_id = $1 ORDER BY transaction_id, sequence";
    sqlx::query_scalar(sql).bind(tenant).fetch_all(&mut app.admin().await).await.unwrap()
}

// D34, D36, S17
#[test]
fn an_event_is_found_by_its_correlation_id_and_proven() {
    run(async {
        let app = TestApp::start().await;
        let (reader, auditor) = (app.token("acme", Role::Reader), app.token("acme", Role::Auditor));
        let request = app.http.post(app.public("/graphql")).bearer_auth(&reader);
        let request = request.header("x-correlation-id", "board-7");
        let answer =
            request.json(&json!({ "query": "{ datasets { nodes { id } } }" })).send().await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK);

        let query = format!(
            "{{ auditEvents(filter: {{ correlationId: \"board-7\" }}) {{ nodes {{ id {EVIDENCE} }} }} }}"
        );
        let waits = app.data(&auditor, &query, json!({})).await;
        let event = &waits["auditEvents"]["nodes"][0];
        assert_eq!(event["evidence"], Value::Null, "it is not in the ledger yet");
        let path = format!("/storage/v1/audit/events/{}/evidence", event["id"].as_str().unwrap());
        let rest = |path: String| {
            let request = app.http.get(app.public(&path)).bearer_auth(&auditor);
            async move { request.send().await.unwrap() }
        };
        assert_eq!(rest(path.clone()).await.status(), StatusCode::NOT_FOUND);

        settle(app.sequencer(), &mut app.admin().await).await;
        let found = app.data(&auditor, &query, json!({})).await;
        let evidence = &found["auditEvents"]["nodes"][0]["evidence"];
        assert_proves(&evidence["inclusionProof"]);
        let leaf = evidence["leaf"].as_str().unwrap();
        assert_eq!(
            tlog::record_hash(leaf.as_bytes()),
            hash(&evidence["inclusionProof"]["leafHash"])
        );
        let said: Value = serde_json::from_str(leaf).unwrap();
        assert_eq!(
            (&said["correlation_id"], &said["tenant_id"]),
            (&json!("board-7"), &json!("acme"))
        );
        let answer = rest(path.clone()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.json::<Value>().await.unwrap(), *evidence);

        // Another tenant's auditor: as if it were not there.
        let stranger = app.token("globex", Role::Auditor);
        let id = event["id"].as_str().unwrap();
        let one = format!("{{ auditEvent(id: \"{id}\") {{ {EVIDENCE} }} }}");
        assert_eq!(app.data(&stranger, &one, json!({})).await["auditEvent"], Value::Null);
        let foreign = app.http.get(app.public(&path)).bearer_auth(&stranger).send().await.unwrap();
        assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
        // All that was looked at left events of its own.
        let sql = "SELECT count(*) FROM audit_event WHERE action = 'evidence.read' OR 'evidence.read' = ANY (also)";
        assert!(crate::breach::number(&mut app.admin().await, sql).await >= 3);

        // An event that says something else than it did has no proof.
        let changed = format!(
            "SET session_replication_role = replica;
             UPDATE audit_event SET actor_id = 'somebody else' WHERE event_id = '{id}'"
        );
        script(&mut app.admin().await, &changed).await;
        let answer = app.answer(&auditor, &one, json!({})).await;
        assert_eq!(answer["data"]["auditEvent"], json!({ "evidence": null }));
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL");
        app.stop().await;
    });
}

// D36, D44
#[test]
fn every_leaf_of_every_tree_is_proven_and_every_tree_is_the_beginning_of_the_next() {
    run(async {
        let app = TestApp::start().await;
        let auditor = app.token("acme", Role::Auditor);
        let empty = app.data(&auditor, "{ evidence { size } }", json!({})).await;
        assert_eq!(empty["evidence"], Value::Null);
        let mut admin = app.admin().await;
        events(&mut admin, "acme", 66_000).await;
        events(&mut admin, "globex", 300).await;
        settle(app.sequencer(), &mut admin).await;
        let leaves = leaves(&app, "acme").await;
        let size = leaves.len() as u64;
        let log = "{ evidence { origin size rootHash checkpoint publishedCheckpoint } }";
        let log = app.data(&auditor, log, json!({})).await["evidence"].take();
        assert_eq!(number(&log["size"]), size);
        assert_eq!(signed(&log["checkpoint"]), Tree { size, root: hash(&log["rootHash"]).0 });
        assert!(log["checkpoint"].as_str().unwrap().starts_with(log["origin"].as_str().unwrap()));
        assert_eq!(log["publishedCheckpoint"], Value::Null);
        app.publish().await;

        let inclusion = "query($leaf: BigInt!, $size: BigInt) { evidence { inclusionProof(leafIndex: $leaf, treeSize: $size) {
            leafIndex leafHash treeSize rootHash hashes checkpoint text } } }";
        let sizes = [1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, size - 1, size];
        let roots = sizes.map(|tree| (tree, root(&leaves[..tree as usize])));
        for (tree, expected) in &roots {
            let tree = *tree;
            for leaf in [0, tree / 3, tree / 2, tree - 1] {
                let given = json!({ "leaf": leaf.to_string(), "size": tree });
                let proof =
                    app.data(&auditor, inclusion, given).await["evidence"]["inclusionProof"].take();
                assert_eq!(hash(&proof["rootHash"]).0, **expected, "{tree}");
                assert_eq!(hash(&proof["leafHash"]).0, *leaves[leaf as usize], "{leaf} of {tree}");
                assert_eq!(proof["checkpoint"].is_null(), tree != size);
                assert_proves(&proof);
            }
        }
        let consistency = "query($from: BigInt!, $to: BigInt) { evidence { consistencyProof(from: $from, to: $to) {
            fromSize fromRootHash toSize toRootHash hashes } } }";
        for (at, from) in sizes.into_iter().enumerate() {
            for (to, expected) in &roots[at..] {
                let given = json!({ "from": from, "to": to });
                let proof =
                    app.data(&auditor, consistency, given).await["evidence"]["consistencyProof"]
                        .take();
                let ([old, new], path) = (
                    [&proof["fromRootHash"], &proof["toRootHash"]].map(hash),
                    hashes(&proof["hashes"]),
                );
                tlog::check_tree(&path, *to, new, from, old).unwrap();
                assert_eq!(new.0, **expected, "{to}");
            }
        }
        for (query, given, field) in [
            (inclusion, json!({ "leaf": size }), "leafIndex"),
            (inclusion, json!({ "leaf": -1 }), "leafIndex"),
            (inclusion, json!({ "leaf": 0, "size": size + 1 }), "treeSize"),
            (inclusion, json!({ "leaf": 0, "size": i64::MIN }), "treeSize"),
            (inclusion, json!({ "leaf": 5, "size": 5 }), "leafIndex"),
            (consistency, json!({ "from": 0 }), "from"),
            (consistency, json!({ "from": 7, "to": 6 }), "from"),
            (consistency, json!({ "from": 1, "to": i64::MAX }), "to"),
        ] {
            let answer = app.answer(&auditor, query, given).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
            assert!(
                error["message"].as_str().unwrap().starts_with(&format!("{field}: ")),
                "{error}"
            );
        }
        // By the same rules over REST.
        let graph = crate::graph::Graph { app, clock: std::sync::Arc::default() };
        let answer = get(&graph, &auditor, "/storage/v1/evidence/consistency-proof?from=256").await;
        assert_eq!((answer.status, number(&answer.body["toSize"])), (StatusCode::OK, size));
        let answer =
            get(&graph, &auditor, "/storage/v1/evidence/inclusion-proof?leafIndex=7&treeSize=8")
                .await;
        assert_proves(&answer.body);
        let answer = get(&graph, &auditor, "/storage/v1/evidence/inclusion-proof").await;
        assert_eq!(refusal(&answer), (400, "BAD_USER_INPUT", Some("leafIndex")));
        graph.app.stop().await;
    });
}

/// A file of the log, if there is one, and whether it may be kept for good.
async fn file(app: &TestApp, token: &str, name: &str) -> Option<(Vec<u8>, bool)> {
    let answer = app.http.get(app.public(&format!("/evidence/v1/{name}"))).bearer_auth(token);
    let answer = answer.send().await.unwrap();
    if answer.status() == StatusCode::NOT_FOUND {
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "NOT_FOUND");
        return None;
    }
    assert_eq!(answer.status(), StatusCode::OK, "{name}");
    let keep = answer.headers()[header::CACHE_CONTROL].to_str().unwrap().to_owned();
    assert!(keep.starts_with("private"), "{keep}");
    Some((answer.bytes().await.unwrap().into(), keep.contains("immutable")))
}

// D36, S17
#[test]
fn the_log_is_there_as_static_files_by_the_names_of_the_standard() {
    run(async {
        let app = TestApp::start().await;
        let auditor = app.token("acme", Role::Auditor);
        assert_eq!(file(&app, &auditor, "acme/checkpoint").await, None);
        let mut admin = app.admin().await;
        // Real events: leaves that can be read.
        let sql = "INSERT INTO tenant_directory VALUES ('acme') ON CONFLICT DO NOTHING;
            INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
            SELECT 'acme', now(), gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS', 'c' || n
              FROM generate_series(1, 600) AS n";
        script(&mut admin, sql).await;
        settle(app.sequencer(), &mut admin).await;
        let (checkpoint, final_) = file(&app, &auditor, "acme/checkpoint").await.unwrap();
        assert!(!final_);
        let tree = signed(&String::from_utf8(checkpoint).unwrap().into());
        assert!(tree.size >= 600);

        // From the tiles alone to the root, and from the entries alone to the tiles.
        let (mut nodes, mut level) = (Vec::new(), 0);
        let widths = |count: u64| {
            let whole = (0..count / 256).map(|index| (index, 256));
            let rest = (!count.is_multiple_of(256)).then_some((count / 256, count % 256));
            whole.chain(rest).collect::<Vec<_>>()
        };
        let named = |index: u64, width| {
            if width == 256 { format!("{index:03}") } else { format!("{index:03}.p/{width}") }
        };
        for (index, width) in widths(tree.size) {
            let name = named(index, width);
            let (tile, final_) =
                file(&app, &auditor, &format!("acme/tile/0/{name}")).await.unwrap();
            assert!(final_ && tile.len() as u64 == 32 * width);
            let (bundle, _) =
                file(&app, &auditor, &format!("acme/tile/entries/{name}")).await.unwrap();
            let (mut rest, mut entries) = (bundle.as_slice(), Vec::new());
            while let Some((length, behind)) = rest.split_first_chunk::<2>() {
                let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
                entries.extend(tlog::record_hash(entry).0);
                rest = behind;
            }
            assert_eq!(entries, tile, "{name}");
            nodes.extend(tile.chunks_exact(32).map(<[u8]>::to_vec));
        }
        assert_eq!(root(&nodes), tree.root);
        while nodes.len() >= TILE_HASHES {
            level += 1;
            nodes = nodes.chunks_exact(TILE_HASHES).map(root).collect();
            let name = named(0, nodes.len() as u64);
            let (tile, _) =
                file(&app, &auditor, &format!("acme/tile/{level}/{name}")).await.unwrap();
            assert_eq!(tile, nodes.concat());
        }
        // The beginning of one that has become complete is what it was.
        let (whole, _) = file(&app, &auditor, "acme/tile/0/000").await.unwrap();
        let (part, _) = file(&app, &auditor, "acme/tile/0/000.p/7").await.unwrap();
        assert_eq!(part, whole[..7 * 32]);

        let more = tree.size % 256 + 100;
        let missing = [
            format!("acme/tile/0/002.p/{}", more.min(255)),
            "acme/tile/0/002".to_owned(),
            "acme/tile/2/000.p/1".to_owned(),
            "acme/tile/0/x001/000".to_owned(),
            "acme/tile/entries/003".to_owned(),
            "acme/tile/entries/x999/x999/x999/x999/x999/999".to_owned(),
            "acme/tile/0/000.p/0".to_owned(),
            "acme/elsewhere".to_owned(),
            "globex/checkpoint".to_owned(),
            "-/checkpoint".to_owned(),
            "acme%2F../checkpoint".to_owned(),
        ];
        for name in missing {
            assert_eq!(file(&app, &auditor, &name).await, None, "{name}");
        }
        assert!(file(&app, &app.token("globex", Role::Auditor), "acme/checkpoint").await.is_none());

        // Events that are there no longer leave their leaves, and what proves them.
        let gone = "SET session_replication_role = replica;
            DELETE FROM audit_event WHERE sequence IN (
              SELECT sequence FROM audit_event WHERE tenant_id = 'acme'
               ORDER BY transaction_id, sequence LIMIT 300)";
        admin.execute(sqlx::raw_sql(gone)).await.unwrap();
        assert_eq!(file(&app, &auditor, "acme/tile/entries/000").await, None);
        assert_eq!(file(&app, &auditor, "acme/tile/0/000").await.unwrap().0, whole);
        let proof = "{ evidence { inclusionProof(leafIndex: 7) {
            leafIndex leafHash treeSize rootHash hashes checkpoint text } } }";
        assert_proves(&app.data(&auditor, proof, json!({})).await["evidence"]["inclusionProof"]);
        app.stop().await;
    });
}
