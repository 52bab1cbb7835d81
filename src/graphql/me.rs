//! What the caller's own token says.

use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::call;
use crate::{
    auth::{TokenKind, policy::Operation},
    error::Result,
};

/// The caller, as its token has it.
#[derive(Debug, SimpleObject)]
struct Me {
    /// The tenant whose data it may see.
    tenant_id: String,
    /// The opaque subject, as the audit trail names it.
    actor_id: String,
    /// Its role.
    role: String,
    /// Its scopes.
    scopes: Vec<String>,
    /// Whether it is a service.
    is_machine: bool,
    /// When its token ends.
    expires_at: DateTime<Utc>,
}

/// The root field about the caller.
#[derive(Debug, Default)]
pub struct MeQuery;

#[Object]
impl MeQuery {
    /// What the caller's own token says.
    #[graphql(inaccessible)]
    async fn me(&self, context: &Context<'_>) -> Result<Me> {
        let call = call(context)?;
        call.authorize(Operation::MeRead)?;
        let principal = call.principal();
        Ok(Me {
            tenant_id: principal.tenant().to_string(),
            actor_id: principal.actor().to_owned(),
            role: principal.role().to_string(),
            scopes: principal.scopes().iter().map(|scope| scope.to_string()).collect(),
            is_machine: principal.kind() == TokenKind::Machine,
            expires_at: principal.expires_at(),
        })
    }
}
