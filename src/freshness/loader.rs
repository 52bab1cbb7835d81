//! Freshness policies, batched within a request.

use std::collections::HashMap;

use uuid::Uuid;

use super::repository::{self, Record};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// The current policy by dataset id.
#[derive(Debug)]
pub struct PolicyOf;

/// The loader of current policies by dataset id.
pub type Policies = Batched<PolicyOf>;

impl BatchRead for PolicyOf {
    type Key = Uuid;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Record>> {
        let policies = repository::current(tx, keys).await?;
        Ok(policies.into_iter().map(|policy| (policy.policy_id, policy)).collect())
    }
}
