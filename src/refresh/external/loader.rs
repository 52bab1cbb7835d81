//! Verdicts of other tools, batched within a request.

use std::collections::HashMap;

use uuid::Uuid;

use super::store::{self, Record};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// Verdicts of other tools by dataset id.
#[derive(Debug)]
pub struct VerdictsOf;

/// The loader of verdicts of other tools by dataset id.
pub type Verdicts = Batched<VerdictsOf>;

impl BatchRead for VerdictsOf {
    type Key = Uuid;
    type Value = Vec<Record>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Vec<Record>>> {
        let mut verdicts: HashMap<_, Vec<_>> = HashMap::new();
        for row in store::of_datasets(tx, keys).await? {
            verdicts.entry(row.dataset_id).or_default().push(row);
        }
        Ok(verdicts)
    }
}
