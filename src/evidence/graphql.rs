//! The evidence ledger in the graph.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    loader::{Proofs, Proven, Said},
    model::HASH_BYTES,
    proof::{Consistency, Inclusion, Log},
};
use crate::{
    audit::Event,
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, LOG},
        call,
        errors::{Nullable, nullable},
        scalars::BigInt,
        shared,
    },
};

fn big(number: u64) -> BigInt {
    BigInt(number.try_into().unwrap_or(i64::MAX))
}

/// A number of leaves, or the place of one.
fn number(given: BigInt, field: &'static str) -> Result<u64> {
    u64::try_from(given.0).map_err(|_| Error::bad_input(field, "must not be negative"))
}

fn texts(hashes: &[[u8; HASH_BYTES]]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

/// The proof that a leaf is in a log (RFC 6962 §2.1.1). Hashes are SHA-256 in base64.
#[derive(Debug, SimpleObject)]
pub struct InclusionProof {
    /// Which leaf of the log, from 0.
    leaf_index: BigInt,
    /// The hash of the leaf: SHA-256 over a zero byte and the leaf.
    leaf_hash: String,
    /// How many leaves the tree has in which it is proven.
    tree_size: BigInt,
    /// The root of that tree.
    root_hash: String,
    /// The audit path, from the leaf upwards.
    hashes: Vec<String>,
    /// The signed checkpoint of that tree; none for an earlier tree than the present one.
    checkpoint: Option<String>,
    /// Proof and checkpoint as one text (C2SP tlog-proof); none where there is no checkpoint.
    text: Option<String>,
}

impl InclusionProof {
    fn new(proof: &Inclusion, checkpoint: Option<&str>) -> Self {
        Self {
            leaf_index: big(proof.leaf_index),
            leaf_hash: STANDARD.encode(proof.leaf_hash),
            tree_size: big(proof.tree.size),
            root_hash: STANDARD.encode(proof.tree.root),
            hashes: texts(&proof.hashes),
            checkpoint: checkpoint.map(ToOwned::to_owned),
            text: checkpoint.map(|checkpoint| proof.with_checkpoint(checkpoint)),
        }
    }
}

/// The proof that a log is the beginning of a later one (RFC 6962 §2.1.2). Hashes are SHA-256 in base64.
#[derive(Debug, SimpleObject)]
pub struct ConsistencyProof {
    /// How many leaves the earlier tree has.
    from_size: BigInt,
    /// Its root.
    from_root_hash: String,
    /// How many leaves the later tree has.
    to_size: BigInt,
    /// Its root.
    to_root_hash: String,
    /// The nodes that both roots are made of.
    hashes: Vec<String>,
}

impl From<Consistency> for ConsistencyProof {
    fn from(proof: Consistency) -> Self {
        Self {
            from_size: big(proof.from.size),
            from_root_hash: STANDARD.encode(proof.from.root),
            to_size: big(proof.to.size),
            to_root_hash: STANDARD.encode(proof.to.root),
            hashes: texts(&proof.hashes),
        }
    }
}

/// What shows that an event of the audit trail is in the evidence ledger.
#[derive(Debug, SimpleObject)]
pub struct AuditEvidence {
    /// The event as it was put there: canonical JSON (RFC 8785), of which the leaf is the hash.
    leaf: String,
    /// That it is there.
    inclusion_proof: InclusionProof,
}

impl AuditEvidence {
    /// That of an event; none while it waits to be put into the ledger.
    pub(crate) fn of(
        context: &Context<'_>,
        event: &Event,
    ) -> impl Future<Output = Nullable<Self>> + Send {
        let (said, leaf) = (Said::by(event), event.leaf());
        async move {
            let found = async {
                call(context)?.authorize(Operation::EvidenceRead)?;
                let proofs: &Proofs = shared(context)?;
                let Some(Proven { inclusion, checkpoint }) = proofs.load(said).await? else {
                    return Ok(None);
                };
                let leaf = String::from_utf8(leaf).map_err(Error::internal)?;
                let inclusion_proof = InclusionProof::new(&inclusion, Some(&checkpoint));
                Ok(Some(Self { leaf, inclusion_proof }))
            };
            nullable(found.await)
        }
    }
}

/// The log of a tenant's audit events: a Merkle tree that only grows.
#[derive(Debug)]
pub struct EvidenceLog(Arc<Log>);

/// The log of a tenant's audit events: a Merkle tree that only grows.
#[Object]
impl EvidenceLog {
    /// Its name, and that of the key that signs it.
    async fn origin(&self) -> &str {
        self.0.checkpoint().lines().next().unwrap_or_default()
    }

    /// How many leaves it has.
    async fn size(&self) -> BigInt {
        big(self.0.tree().size)
    }

    /// Its root: SHA-256 in base64.
    async fn root_hash(&self) -> String {
        STANDARD.encode(self.0.tree().root)
    }

    /// Both, signed: a signed note (C2SP tlog-checkpoint). The public key is not told here: who checks
    /// must have it from elsewhere.
    async fn checkpoint(&self) -> &str {
        self.0.checkpoint()
    }

    /// The last checkpoint that was published outside of the database, with what witnesses added to it.
    async fn published_checkpoint(&self) -> Option<&str> {
        self.0.published()
    }

    /// The proof that a leaf is in the log.
    #[graphql(directive = Cost::apply(LOG))]
    async fn inclusion_proof(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which leaf, from 0.")] leaf_index: BigInt,
        #[graphql(desc = "In the tree of the first so many leaves; of all unless it is said.")]
        tree_size: Option<BigInt>,
    ) -> Result<InclusionProof> {
        let call = call(context)?;
        let leaf = number(leaf_index, "leafIndex")?;
        let there = self.0.tree().size;
        let size = tree_size.map(|size| number(size, "treeSize")).transpose()?.unwrap_or(there);
        let tx = call.db().read_trail().await?;
        let proof = self.0.inclusion(&tx, leaf, size).await?;
        let checkpoint = (size == there).then(|| self.0.checkpoint());
        Ok(InclusionProof::new(&proof, checkpoint))
    }

    /// The proof that the log is the one that it was, with more leaves.
    #[graphql(directive = Cost::apply(LOG))]
    async fn consistency_proof(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The size of the earlier tree, 1 at the least.")] from: BigInt,
        #[graphql(desc = "The size of the later tree; that of the log unless it is said.")]
        to: Option<BigInt>,
    ) -> Result<ConsistencyProof> {
        let call = call(context)?;
        let from = number(from, "from")?;
        let to = to.map(|to| number(to, "to")).transpose()?;
        let tx = call.db().read_trail().await?;
        let proof = self.0.consistency(&tx, from, to.unwrap_or(self.0.tree().size)).await?;
        Ok(proof.into())
    }
}

/// The root field about the evidence ledger.
#[derive(Debug, Default)]
pub struct EvidenceQuery;

#[Object]
impl EvidenceQuery {
    /// The log of the caller's tenant; none before its first event is there.
    async fn evidence(&self, context: &Context<'_>) -> Nullable<EvidenceLog> {
        let log = async {
            let call = call(context)?;
            call.authorize(Operation::EvidenceRead)?;
            let tx = call.db().read_trail().await?;
            Ok(Log::read(&tx).await?.map(|log| EvidenceLog(Arc::new(log))))
        };
        nullable(log.await)
    }
}
