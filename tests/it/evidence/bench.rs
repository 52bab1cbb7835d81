//! How fast events become leaves, and how long a proof takes in a log of ten million.
//!
//! `scripts/bench-evidence` runs it.

use std::time::{Duration, Instant};

use drr::{
    auth::{TenantId, policy::Role},
    evidence::{
        model::{CompleteTile, Edge, Leaf, Position},
        note::Tree,
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{events, settle};
use crate::{
    app::{SIGNATORY, TestApp},
    cluster::run,
};

const EVENTS: u32 = 500_000;
const LEAVES: u64 = 10_000_000;
const PROOFS: u64 = 500;
const TILES_AT_ONCE: usize = 512;

async fn write(admin: &mut PgConnection, tiles: &mut Vec<CompleteTile>) {
    let levels: Vec<i16> = tiles.iter().map(|tile| tile.level.into()).collect();
    let indexes: Vec<i64> = tiles.iter().map(|tile| tile.index as i64).collect();
    let hashes: Vec<&[u8]> = tiles.iter().map(|tile| tile.hashes.as_slice()).collect();
    let last: Vec<Option<i64>> =
        tiles.iter().map(|tile| (tile.level == 0).then_some(tile.last.sequence)).collect();
    let sql = "INSERT INTO evidence_tile (tenant_id, level, tile, hashes, last_transaction, last_sequence)
        SELECT 'acme', level, tile, hashes, CASE WHEN last IS NOT NULL THEN '3'::xid8 END, last
          FROM unnest($1, $2, $3, $4) AS made (level, tile, hashes, last)";
    let query = sqlx::query(sql).bind(levels).bind(indexes).bind(hashes).bind(last);
    query.execute(admin).await.unwrap();
    tiles.clear();
}

/// A log of so many leaves, of nothing.
async fn long_log(admin: &mut PgConnection) {
    let (mut edge, mut complete) = (Edge::default(), Vec::new());
    for leaf in 0..LEAVES {
        let position = Position { transaction: 3, sequence: leaf as i64 + 1 };
        let hash = Sha256::digest(leaf.to_be_bytes()).into();
        edge.append(&Leaf { position, hash }, &mut complete);
        if complete.len() >= TILES_AT_ONCE {
            write(admin, &mut complete).await;
        }
    }
    write(admin, &mut complete).await;
    let tree = Tree { size: LEAVES, root: edge.root().unwrap() };
    let checkpoint = SIGNATORY.sign(&TenantId::parse("acme").unwrap(), tree).unwrap();
    let sql = "INSERT INTO evidence_head (tenant_id, size, root, last_transaction, last_sequence, edge, checkpoint)
        VALUES ('acme', $1, $2, '3', $1, $3, $4)";
    let head = sqlx::query(sql).bind(LEAVES as i64).bind(tree.root).bind(edge.bytes());
    head.bind(checkpoint).execute(admin).await.unwrap();
}

#[test]
#[ignore = "a bench"]
fn sequencing_and_proofs() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        for round in 0..3 {
            events(&mut admin, &format!("tenant-{round}"), EVENTS).await;
            let begun = Instant::now();
            settle(app.sequencer(), &mut admin).await;
            let seconds = begun.elapsed().as_secs_f64();
            println!("{:.0} leaves a second, in {seconds:.1} s", f64::from(EVENTS) / seconds);
        }

        long_log(&mut admin).await;
        let auditor = app.token("acme", Role::Auditor);
        let query =
            "query($leaf: BigInt!) { evidence { inclusionProof(leafIndex: $leaf) { hashes } } }";
        let ping = "{ me { role } }";
        let (mut proofs, mut pings) = (Vec::new(), Vec::new());
        for number in 0..PROOFS {
            let leaf = number * 7_919_999 % LEAVES;
            let begun = Instant::now();
            app.data(&auditor, query, json!({ "leaf": leaf })).await;
            proofs.push(begun.elapsed());
            let begun = Instant::now();
            app.data(&auditor, ping, json!({})).await;
            pings.push(begun.elapsed());
        }
        let at = |taken: &mut Vec<Duration>, share: usize| {
            taken.sort_unstable();
            taken[taken.len() * share / 100].as_secs_f64() * 1e3
        };
        println!(
            "a proof among {LEAVES} leaves over HTTP: p50 {:.2} ms, p99 {:.2} ms; a call that reads nothing: p50 {:.2} ms, p99 {:.2} ms",
            at(&mut proofs, 50),
            at(&mut proofs, 99),
            at(&mut pings, 50),
            at(&mut pings, 99),
        );
        app.stop().await;
    });
}
