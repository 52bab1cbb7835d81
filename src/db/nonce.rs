//! Tokens for one use: the one statement that uses them up. // D43

use chrono::{DateTime, Utc};

use super::TenantDb;
use crate::error::Result;

// The nonces that have ended go a few at a time, with those that come: more go than come.
const SPEND: &str = "
WITH ended AS (
  SELECT tenant_id, nonce_hash FROM token_nonce
   WHERE tenant_id = current_tenant() AND expires_at <= $3 AND nonce_hash <> $1
   ORDER BY expires_at LIMIT 4 FOR UPDATE SKIP LOCKED
), purged AS (
  DELETE FROM token_nonce AS nonce USING ended
   WHERE nonce.tenant_id = ended.tenant_id AND nonce.nonce_hash = ended.nonce_hash
)
INSERT INTO token_nonce (tenant_id, nonce_hash, expires_at) VALUES (current_tenant(), $1, $2)
ON CONFLICT DO NOTHING";

impl TenantDb {
    /// Uses up a nonce, durably; whether it was not used before. It is known until `until`.
    ///
    /// # Errors
    /// Whatever the database answers; whether the nonce is used up is not known then.
    pub async fn spend_nonce(
        &self,
        nonce: &[u8; 32],
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let tx = self.write().await?;
        let values = [nonce.to_vec().into(), until.into(), now.into()];
        let inserted = tx.execute_sql(SPEND, values).await?;
        tx.commit().await?;
        Ok(inserted == 1)
    }
}
