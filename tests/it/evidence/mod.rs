//! The evidence ledger: every event is in it once, in order, and what is in it can be shown to anybody.

mod bench;
mod cosigner;
mod independent;
mod interrupted;
pub mod others;
mod proofs;
mod proven;
mod sequence;
pub mod tampering;
mod witnesses;

use std::collections::BTreeMap;

use drr::{
    auth::TenantId,
    evidence::{model::TILE_HASHES, note::Tree, sequencer::Sequencer},
};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::{app::SIGNATORY, breach::number};

/// Events of a tenant, `count` of them, with leaves that could be of anything, from one transaction.
pub async fn events(admin: &mut PgConnection, tenant: &str, count: u32) {
    let sql = format!(
        "INSERT INTO tenant_directory VALUES ('{tenant}') ON CONFLICT DO NOTHING;
         INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id, leaf_hash)
         SELECT '{tenant}', now(), gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS', 'c' || n,
                sha256(gen_random_uuid()::text::bytea)
           FROM generate_series(1, {count}) AS n"
    );
    crate::breach::script(admin, &sql).await;
}

/// An id as the program makes one, in SQL: it names the millisecond of `instant`.
pub fn id_at(instant: &str) -> String {
    format!(
        "(lpad(to_hex(floor(1000 * extract(epoch FROM {instant}))::bigint), 12, '0')
          || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid"
    )
}

/// RFC 6962 §2.1, word for word.
pub fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
    match leaves {
        [] => Sha256::digest(b"").to_vec(),
        [leaf] => leaf.clone(),
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let node = Sha256::new_with_prefix([1]).chain_update(root(&leaves[..half]));
            node.chain_update(root(&leaves[half..])).finalize().to_vec()
        }
    }
}

/// Runs passes until every event is in the ledger. A pass waits for no transaction that is older than
/// an event, and those of other tests on this cluster are among them.
pub async fn settle(sequencer: &Sequencer, admin: &mut PgConnection) {
    const LEFT: &str = "SELECT (SELECT count(*) FROM audit_event)
        - (SELECT coalesce(sum(size), 0)::bigint FROM evidence_head)";
    while number(admin, LEFT).await > 0 {
        let done = sequencer.pass().await.unwrap();
        assert_eq!(done.failed_tenants, 0);
        tokio::task::yield_now().await;
    }
    assert_eq!(number(admin, LEFT).await, 0, "an event is in the ledger twice");
}

/// That every tenant's log is the one of its events in their order: tiles, edge, root and checkpoint.
/// Answers how many leaves each has.
pub async fn assert_logs_are_of_the_trail(admin: &mut PgConnection) -> BTreeMap<String, u64> {
    let heads = "SELECT tenant_id, size, root, edge, checkpoint FROM evidence_head";
    let mut sizes = BTreeMap::new();
    for head in admin.fetch_all(heads).await.unwrap() {
        let tenant: String = head.get(0);
        let sql = format!(
            "SELECT leaf_hash FROM audit_event WHERE tenant_id = '{tenant}'
              ORDER BY transaction_id, sequence"
        );
        let leaves = admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        let leaves: Vec<Vec<u8>> = leaves.iter().map(|row| row.get(0)).collect();
        let (size, stored): (i64, Vec<u8>) = (head.get(1), head.get(2));
        assert_eq!(leaves.len() as i64, size, "{tenant}");
        assert_eq!(root(&leaves), stored, "{tenant}");
        let id = TenantId::parse_or_none(&tenant).unwrap();
        let tree = Tree { size: leaves.len() as u64, root: stored.try_into().unwrap() };
        assert_eq!(SIGNATORY.open(&id, head.get(4)).unwrap(), tree, "{tenant}");
        let (mut nodes, mut edge) = (leaves, Vec::new());
        for level in 0..8 {
            let sql = format!(
                "SELECT hashes FROM evidence_tile WHERE tenant_id = '{tenant}' AND level = {level}
                  ORDER BY tile"
            );
            let tiles = admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            let tiles: Vec<Vec<u8>> = tiles.iter().map(|row| row.get(0)).collect();
            let whole = nodes.chunks_exact(TILE_HASHES);
            edge.extend(whole.remainder().concat());
            assert_eq!(
                tiles,
                whole.clone().map(<[_]>::concat).collect::<Vec<_>>(),
                "{tenant} {level}"
            );
            nodes = whole.map(root).collect();
        }
        assert_eq!(head.get::<Vec<u8>, _>(3), edge, "{tenant}");
        sizes.insert(tenant, tree.size);
    }
    sizes
}
