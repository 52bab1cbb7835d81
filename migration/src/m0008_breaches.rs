//! Breaches: what was late, what is told of it, who leads, and which tenants there are.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
-- Which tenants there are: a code, and nothing about it. The row comes with a tenant's first dataset.
CREATE TABLE tenant_directory (
  tenant_id  text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id)
);
GRANT INSERT ON tenant_directory TO {writer};

-- Who does what only one instance at a time is to do. Holds nothing of any tenant.
CREATE TABLE lease (
  name        text COLLATE "C" NOT NULL PRIMARY KEY,
  holder      text NOT NULL,
  expires_at  timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON lease TO {operator};

-- The level of the breach that is open, and of which policy. Each question of the sweeper is a range
-- of an index that holds little else than its answer.
ALTER TABLE dataset_refresh_state
  ADD COLUMN breach_level text COLLATE "C" NOT NULL DEFAULT 'NONE'
    CHECK (breach_level IN ('NONE', 'WARN', 'FAIL')),
  ADD COLUMN breach_policy_id uuid,
  ADD CONSTRAINT dataset_refresh_state_breach_check
    CHECK ((breach_level = 'NONE') = (breach_policy_id IS NULL));
CREATE INDEX dataset_refresh_state_to_open ON dataset_refresh_state (tenant_id, warn_at, dataset_id)
  WHERE listed AND alerting AND policy_id IS NOT NULL AND freshness_basis = 'TIMED'
    AND breach_level = 'NONE';
CREATE INDEX dataset_refresh_state_to_escalate
  ON dataset_refresh_state (tenant_id, stale_at, dataset_id) WHERE breach_level = 'WARN';
CREATE INDEX dataset_refresh_state_to_resolve
  ON dataset_refresh_state (tenant_id, warn_at, dataset_id) WHERE breach_level <> 'NONE';
CREATE INDEX dataset_refresh_state_to_close ON dataset_refresh_state (tenant_id, dataset_id)
  WHERE breach_level <> 'NONE' AND (NOT listed OR NOT alerting OR freshness_basis <> 'TIMED'
    OR policy_id IS DISTINCT FROM breach_policy_id);

CREATE TABLE freshness_breach (
  tenant_id             text COLLATE "C" NOT NULL,
  breach_id             uuid NOT NULL,
  dataset_id            uuid NOT NULL,
  policy_id             uuid NOT NULL,
  policy_version        integer NOT NULL,
  -- The highest that it reached.
  level                 text COLLATE "C" NOT NULL CHECK (level IN ('WARN', 'FAIL')),
  -- The first instant beyond the limit; when that was found out is another.
  opened_at             timestamptz NOT NULL,
  detected_at           timestamptz NOT NULL,
  escalated_at          timestamptz,
  resolved_at           timestamptz,
  resolution            text COLLATE "C"
                          CHECK (resolution IN ('REFRESHED', 'POLICY_CHANGED', 'RETIRED')),
  resolved_by_run       uuid,
  -- As it was when the breach was opened.
  last_success_at       timestamptz,
  acknowledged_at       timestamptz,
  acknowledged_by       text,
  acknowledgement_note  text,
  PRIMARY KEY (tenant_id, breach_id),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry,
  CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
  CHECK (resolved_at >= opened_at)
);
CREATE UNIQUE INDEX freshness_breach_one_open ON freshness_breach (tenant_id, dataset_id, policy_id)
  WHERE resolved_at IS NULL;
CREATE INDEX freshness_breach_by_dataset
  ON freshness_breach (tenant_id, dataset_id, opened_at, breach_id);
CREATE INDEX freshness_breach_by_opening ON freshness_breach (tenant_id, opened_at, breach_id);
CREATE INDEX freshness_breach_by_opening_while_open
  ON freshness_breach (tenant_id, opened_at, breach_id) WHERE resolved_at IS NULL;
GRANT SELECT ON freshness_breach TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE ON freshness_breach TO {writer};

-- What happened, in the order in which it was committed: 1, 2, 3 … within a tenant. The delivery
-- columns say what became of it at the webhook; the rest of a row is never changed.
CREATE TABLE freshness_event (
  tenant_id        text COLLATE "C" NOT NULL,
  sequence         bigint NOT NULL,
  event_id         uuid NOT NULL,
  event_type       text COLLATE "C" NOT NULL CHECK (event_type IN (
                     'breach.opened', 'breach.escalated', 'breach.resolved', 'breach.acknowledged',
                     'breach.muted', 'breach.unmuted')),
  dataset_id       uuid NOT NULL,
  breach_id        uuid,
  level            text COLLATE "C",
  muted            boolean NOT NULL,
  occurred_at      timestamptz NOT NULL,
  payload          jsonb NOT NULL,
  delivery         text COLLATE "C" NOT NULL
                     CHECK (delivery IN ('PENDING', 'DELIVERED', 'WITHHELD', 'DEAD')),
  -- Since when it may be delivered, and when that is tried next.
  deliverable_at   timestamptz NOT NULL,
  next_attempt_at  timestamptz NOT NULL,
  attempts         integer NOT NULL DEFAULT 0,
  delivered_at     timestamptz,
  PRIMARY KEY (tenant_id, sequence),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry,
  FOREIGN KEY (tenant_id, breach_id) REFERENCES freshness_breach
) WITH (fillfactor = 90);
CREATE INDEX freshness_event_pending ON freshness_event (tenant_id, next_attempt_at, sequence)
  WHERE delivery = 'PENDING';
CREATE INDEX freshness_event_pending_by_dataset ON freshness_event (tenant_id, dataset_id, sequence)
  WHERE delivery = 'PENDING';
GRANT SELECT ON freshness_event TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE ON freshness_event TO {writer};
"#;

// The program's own tasks ask for all tenants at once: a function of the owner's, since the operator
// role that may call it sees no row of any tenant. It goes from tenant to tenant behind row-level
// security, which holds for the owner too, and answers codes and instants. Always by index: where
// nothing is due, the planner would rather look at every row that could be.
const DUE: &str = r"
-- The one policy besides tenant_isolation: the owner, whom no login of the program may be or become,
-- reads the codes within the functions below.
CREATE POLICY directory_listing ON tenant_directory FOR SELECT TO CURRENT_USER USING (true);

CREATE FUNCTION tenants_with_breaches_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT min(due.since) INTO due_since FROM (
      (SELECT warn_at AS since FROM dataset_refresh_state
        WHERE listed AND alerting AND policy_id IS NOT NULL AND freshness_basis = 'TIMED'
          AND breach_level = 'NONE' AND warn_at < moment ORDER BY warn_at LIMIT 1)
      UNION ALL
      (SELECT stale_at FROM dataset_refresh_state
        WHERE breach_level = 'WARN' AND stale_at < moment ORDER BY stale_at LIMIT 1)
      UNION ALL
      (SELECT moment FROM (
        SELECT warn_at FROM dataset_refresh_state
         WHERE breach_level <> 'NONE' AND warn_at >= moment ORDER BY warn_at LIMIT 1) AS resolved)
      UNION ALL
      (SELECT moment FROM (
        SELECT dataset_id FROM dataset_refresh_state
         WHERE breach_level <> 'NONE' AND (NOT listed OR NOT alerting OR freshness_basis <> 'TIMED'
           OR policy_id IS DISTINCT FROM breach_policy_id)
         ORDER BY dataset_id LIMIT 1) AS closed)
    ) AS due;
    IF due_since IS NOT NULL THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

CREATE FUNCTION tenants_with_deliveries_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT next_attempt_at INTO due_since FROM freshness_event
     WHERE delivery = 'PENDING' AND next_attempt_at <= moment ORDER BY next_attempt_at LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

REVOKE EXECUTE ON FUNCTION tenants_with_breaches_due(timestamptz),
  tenants_with_deliveries_due(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_breaches_due(timestamptz),
  tenants_with_deliveries_due(timestamptz) TO {operator};

-- The tenants that are there already. The owner is under row-level security like everybody else;
-- within this transaction, and under its lock of the table, it is not.
ALTER TABLE dataset_registry NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant_directory NO FORCE ROW LEVEL SECURITY;
INSERT INTO tenant_directory SELECT DISTINCT tenant_id FROM dataset_registry;
ALTER TABLE tenant_directory FORCE ROW LEVEL SECURITY;
ALTER TABLE dataset_registry FORCE ROW LEVEL SECURITY;
";

const DOWN: &str = "
DROP FUNCTION tenants_with_deliveries_due(timestamptz);
DROP FUNCTION tenants_with_breaches_due(timestamptz);
DROP TABLE lease;
ALTER TABLE dataset_refresh_state DROP COLUMN breach_level, DROP COLUMN breach_policy_id;
";

const TABLES: [&str; 3] = ["tenant_directory", "freshness_breach", "freshness_event"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await?;
        run(manager, DUE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await?;
        run(manager, DOWN).await
    }
}
