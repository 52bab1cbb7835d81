//! Documents that passed, by the hash of their text: a known one is not scanned, parsed and measured
//! again, and can be asked for by its hash alone (automatic persisted queries).
//!
//! Each tenant has a share of its own. So nobody learns by an answer, or by how fast it comes, what
//! another tenant asks; and whoever floods the cache pushes out the documents of their own tenant and
//! no others. A document is found under the hash of the text that it was parsed from and under no
//! other, so none can be put in another's place.

use std::sync::Arc;

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::{auth::TenantId, graphql::Document};

/// How many tenants have a share at once; whoever was longest without a request makes room.
const SHARES: u64 = 64;

/// SHA-256 of a document's text.
pub(super) type Hash = [u8; 32];

/// The hash of a text.
pub(super) fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    shares: Cache<TenantId, Cache<Hash, Arc<Document>>>,
    /// Bytes of one tenant's share.
    share: u64,
}

impl Documents {
    /// Keeps documents of so many bytes at most, all tenants together.
    pub(super) fn new(bytes: u64) -> Self {
        Self { shares: Cache::new(SHARES), share: bytes / SHARES }
    }

    fn of(&self, tenant: &TenantId) -> Cache<Hash, Arc<Document>> {
        self.shares.get_with_by_ref(tenant, || {
            let weigher = |_: &Hash, document: &Arc<Document>| document.weight();
            Cache::builder().max_capacity(self.share).weigher(weigher).build()
        })
    }

    pub(super) fn get(&self, tenant: &TenantId, hash: &Hash) -> Option<Arc<Document>> {
        self.of(tenant).get(hash)
    }

    pub(super) fn put(&self, tenant: &TenantId, hash: Hash, document: Arc<Document>) {
        self.of(tenant).insert(hash, document);
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::http::tests::limits;

    fn document(text: &str) -> Arc<Document> {
        let parsed = parse_query(text).unwrap();
        Arc::new(Document::new(parsed, text, &limits().graphql_document).unwrap())
    }

    fn settle(documents: &Documents, tenant: &TenantId) -> (u64, u64) {
        let share = documents.of(tenant);
        share.run_pending_tasks();
        (share.entry_count(), share.weighted_size())
    }

    #[test]
    fn a_flood_stays_in_the_share_of_its_tenant() {
        let documents = Documents::new(64 * 20_000);
        let [acme, globex] = ["acme", "globex"].map(|code| TenantId::parse(code).unwrap());
        let mine = "{ me { role } }";
        documents.put(&acme, hash(mine), document(mine));
        for number in 0..2_000 {
            let text = format!("{{ a{number}: me {{ role }} }}");
            documents.put(&globex, hash(&text), document(&text));
        }
        let (entries, bytes) = settle(&documents, &globex);
        assert!(entries < 100 && bytes <= 20_000, "{entries} documents, {bytes} bytes");
        assert!(documents.get(&acme, &hash(mine)).is_some());
        assert!(documents.get(&globex, &hash(mine)).is_none(), "another tenant's is not there");
    }

    #[test]
    fn a_weight_is_not_less_than_what_a_document_takes() {
        // A field of one letter is the most memory for its text: the node, and its name on the heap.
        let text = format!("{{ me {{ {} }} }}", "a ".repeat(1_000));
        let node = size_of::<async_graphql::Positioned<async_graphql::parser::types::Selection>>();
        let taken = 1_000 * (node + 24) + text.len();
        let weight = usize::try_from(document(&text).weight()).unwrap();
        assert!((taken..2 * taken).contains(&weight), "{weight} for {taken} bytes");
    }

    #[test]
    fn tenants_without_requests_make_room() {
        let documents = Documents::new(64 * 20_000);
        let text = "{ me { role } }";
        for number in 0..500 {
            let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
            documents.put(&tenant, hash(text), document(text));
        }
        documents.shares.run_pending_tasks();
        assert!(documents.shares.entry_count() <= SHARES);
    }
}
