//! The schema registry: schemas, their versions, and what was asked and decided about them.
//!
//! What a version says is an object elsewhere, by its hash; here is what holds for it. Three rules do not
//! depend on the program: content does not change from PROPOSED on, a version becomes ACTIVE or public only
//! together with a request for that which somebody else has approved for the same content, and whoever
//! approves can change nothing else (`{approver}` has rights to single columns).

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// A database that is older than this role does not have it.
const ROLE: &str = "
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{approver}') THEN
    CREATE ROLE {approver} NOLOGIN NOINHERIT;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO {approver}', current_schema());
END $$";

const UP: &str = r#"
CREATE TABLE schema_registry (
  tenant_id      text COLLATE "C" NOT NULL,
  schema_id      uuid NOT NULL,
  domain         text COLLATE "C" NOT NULL,
  name           text COLLATE "C" NOT NULL,
  format         text COLLATE "C" NOT NULL CHECK (format IN ('AVRO', 'JSON', 'PROTOBUF')),
  compatibility  text COLLATE "C" NOT NULL,
  policy         text COLLATE "C" NOT NULL CHECK (policy IN ('STRICT', 'LENIENT')),
  description    text,
  owners         text[] NOT NULL DEFAULT '{}',
  tags           text[] NOT NULL DEFAULT '{}',
  -- The highest number that a version has had: none is given twice.
  last_number    integer NOT NULL DEFAULT 0,
  -- Who has agreed beforehand that versions which are COMPATIBLE become ACTIVE when others ask for it.
  standing_by    text,
  standing_at    timestamptz,
  row_version    bigint NOT NULL DEFAULT 1,
  created_at     timestamptz NOT NULL,
  created_by     text NOT NULL,
  updated_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, schema_id),
  UNIQUE (tenant_id, domain, name),
  CHECK ((standing_by IS NULL) = (standing_at IS NULL))
);

CREATE TABLE schema_version (
  tenant_id       text COLLATE "C" NOT NULL,
  schema_id       uuid NOT NULL,
  number          integer NOT NULL CHECK (number > 0),
  state           text COLLATE "C" NOT NULL DEFAULT 'DRAFT'
                    CHECK (state IN ('DRAFT', 'PROPOSED', 'ACTIVE', 'DEPRECATED', 'RETIRED')),
  visibility      text COLLATE "C" NOT NULL DEFAULT 'PRIVATE'
                    CHECK (visibility IN ('PRIVATE', 'PUBLIC')),
  content_hash    bytea NOT NULL CHECK (octet_length(content_hash) = 32),
  canonical_hash  bytea NOT NULL CHECK (octet_length(canonical_hash) = 32),
  content_bytes   integer NOT NULL,
  -- The number that clients of Confluent's registry know it by: 1, 2, 3 … within a tenant.
  content_id      integer NOT NULL,
  -- Of each schema that it refers to: the name that it refers to it by, the schema and the number.
  reference_names  text[] NOT NULL DEFAULT '{}',
  reference_ids    uuid[] NOT NULL DEFAULT '{}',
  reference_numbers integer[] NOT NULL DEFAULT '{}',
  created_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  changed_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, schema_id, number),
  FOREIGN KEY (tenant_id, schema_id) REFERENCES schema_registry,
  CHECK (cardinality(reference_names) = cardinality(reference_ids)
     AND cardinality(reference_names) = cardinality(reference_numbers))
);
-- The same schema written differently is the same version.
CREATE UNIQUE INDEX schema_version_by_canonical
  ON schema_version (tenant_id, schema_id, canonical_hash);
CREATE UNIQUE INDEX schema_version_by_content_id ON schema_version (tenant_id, content_id);
-- Row-level security lets no index be asked whether an array holds something: this one has what refers to anything.
CREATE INDEX schema_version_referring ON schema_version (tenant_id) WHERE reference_ids <> '{}';

-- What was asked for, and what became of it: kept for ever.
CREATE TABLE schema_transition (
  tenant_id      text COLLATE "C" NOT NULL,
  transition_id  uuid NOT NULL,
  schema_id      uuid NOT NULL,
  number         integer NOT NULL,
  kind           text COLLATE "C" NOT NULL
                   CHECK (kind IN ('ACTIVATE', 'DEPRECATE', 'REACTIVATE', 'RETIRE', 'EXPOSE')),
  status         text COLLATE "C" NOT NULL DEFAULT 'OPEN' CHECK (status IN (
                   'OPEN', 'APPROVED', 'REJECTED', 'WITHDRAWN', 'EXPIRED', 'SUPERSEDED')),
  content_hash   bytea NOT NULL,
  requested_at   timestamptz NOT NULL,
  requested_by   text NOT NULL,
  reason         text,
  expires_at     timestamptz NOT NULL,
  -- That it is known that datasets use what is to be retired.
  acknowledged   boolean NOT NULL DEFAULT false,
  -- How the content compared when it was asked, and when it was approved.
  verdict         text COLLATE "C" NOT NULL,
  findings        jsonb NOT NULL,
  decided_at      timestamptz,
  decided_by      text,
  decision        text,
  decided_verdict text COLLATE "C",
  -- That it was decided by what somebody agreed to beforehand.
  standing        boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, transition_id),
  FOREIGN KEY (tenant_id, schema_id, number) REFERENCES schema_version,
  CHECK ((status = 'OPEN') = (decided_at IS NULL)),
  -- Four eyes, of administrators too.
  CHECK (status NOT IN ('APPROVED', 'REJECTED') OR decided_by <> requested_by)
);
CREATE UNIQUE INDEX schema_transition_one_open ON schema_transition (tenant_id, schema_id, number)
  WHERE status = 'OPEN';
CREATE INDEX schema_transition_waiting ON schema_transition (tenant_id, requested_at, transition_id)
  WHERE status = 'OPEN';
CREATE INDEX schema_transition_of_version
  ON schema_transition (tenant_id, schema_id, number, requested_at);

-- What happened, in the order in which it was committed: 1, 2, 3 … within a tenant. It never changes.
CREATE TABLE schema_event (
  tenant_id       text COLLATE "C" NOT NULL,
  sequence        bigint NOT NULL,
  event_id        uuid NOT NULL,
  event_type      text COLLATE "C" NOT NULL,
  schema_id       uuid,
  number          integer,
  actor_id        text NOT NULL,
  correlation_id  text NOT NULL,
  occurred_at     timestamptz NOT NULL,
  data            jsonb NOT NULL,
  PRIMARY KEY (tenant_id, sequence),
  FOREIGN KEY (tenant_id, schema_id) REFERENCES schema_registry
);
CREATE INDEX schema_event_of_schema ON schema_event (tenant_id, schema_id, sequence);

-- How far each receiver of these events has come.
CREATE TABLE schema_event_cursor (
  tenant_id     text COLLATE "C" NOT NULL,
  sink          text COLLATE "C" NOT NULL,
  sequence      bigint NOT NULL,
  delivered_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, sink)
);
GRANT SELECT, INSERT, UPDATE ON schema_event_cursor TO {writer};

GRANT SELECT ON schema_registry, schema_version, schema_transition, schema_event
  TO {reader}, {writer}, {auditor}, {approver};
GRANT INSERT (tenant_id, schema_id, domain, name, format, compatibility, policy, description, owners, tags,
              created_at, created_by, updated_at),
      UPDATE (compatibility, policy, description, owners, tags, last_number, row_version, updated_at)
  ON schema_registry TO {writer};
GRANT INSERT (tenant_id, schema_id, number, content_hash, canonical_hash, content_bytes, content_id,
              reference_names, reference_ids, reference_numbers, created_at, created_by, changed_at),
      UPDATE (state, content_hash, canonical_hash, content_bytes, reference_names, reference_ids,
              reference_numbers, changed_at)
  ON schema_version TO {writer};
GRANT INSERT (tenant_id, transition_id, schema_id, number, kind, content_hash, requested_at, requested_by,
              reason, expires_at, acknowledged, verdict, findings)
  ON schema_transition TO {writer};
-- Who asks can take back and supersede; to decide is the approver's.
GRANT UPDATE (status, decided_at, decided_by, decision) ON schema_transition TO {writer};
GRANT INSERT ON schema_event TO {writer}, {approver};
GRANT UPDATE (standing_by, standing_at) ON schema_registry TO {approver};
GRANT UPDATE (state, visibility, changed_at) ON schema_version TO {approver};
GRANT UPDATE (status, decided_at, decided_by, decision, decided_verdict, standing)
  ON schema_transition TO {approver};
GRANT INSERT ON audit_event TO {approver};
GRANT USAGE ON SEQUENCE audit_event_sequence TO {approver};
GRANT INSERT ON tenant_directory TO {approver};
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_record TO {approver};
GRANT EXECUTE ON FUNCTION
  find_idempotency_records(bigint, text, text, text, smallint, timestamptz) TO {approver};
-- Whether a version that is to be retired is still used.
GRANT SELECT (tenant_id, dataset_id, lifecycle, schema_fqid) ON dataset_registry TO {approver};
CREATE INDEX dataset_registry_by_schema ON dataset_registry (tenant_id, schema_fqid)
  WHERE schema_fqid IS NOT NULL;
"#;

const RULES: &str = r"
CREATE FUNCTION keep_schema_version() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF (NEW.schema_id, NEW.number) IS DISTINCT FROM (OLD.schema_id, OLD.number) THEN
    RAISE EXCEPTION 'a version keeps its number' USING ERRCODE = '42501';
  END IF;
  IF (OLD.state <> 'DRAFT' OR NEW.state <> 'DRAFT')
     AND (NEW.content_hash, NEW.canonical_hash, NEW.content_bytes, NEW.reference_names,
          NEW.reference_ids, NEW.reference_numbers) IS DISTINCT FROM
         (OLD.content_hash, OLD.canonical_hash, OLD.content_bytes, OLD.reference_names,
          OLD.reference_ids, OLD.reference_numbers) THEN
    RAISE EXCEPTION 'the content of a version is frozen once it is proposed'
      USING ERRCODE = '42501';
  END IF;
  IF OLD.state IN ('ACTIVE', 'DEPRECATED', 'RETIRED') AND NEW.state IN ('DRAFT', 'PROPOSED')
     OR NEW.visibility = 'PRIVATE' AND OLD.visibility = 'PUBLIC' THEN
    RAISE EXCEPTION 'a version does not go back' USING ERRCODE = '42501';
  END IF;
  IF NEW.state IN ('ACTIVE', 'DEPRECATED', 'RETIRED') AND NEW.state <> OLD.state
     AND NOT EXISTS (
       SELECT FROM schema_transition t
        WHERE t.tenant_id = NEW.tenant_id AND t.schema_id = NEW.schema_id
          AND t.number = NEW.number AND t.status = 'APPROVED'
          AND t.content_hash = NEW.content_hash AND t.decided_at = NEW.changed_at
          AND CASE t.kind WHEN 'ACTIVATE' THEN OLD.state = 'PROPOSED' AND NEW.state = 'ACTIVE'
                          WHEN 'REACTIVATE' THEN OLD.state = 'DEPRECATED' AND NEW.state = 'ACTIVE'
                          WHEN 'DEPRECATE' THEN OLD.state = 'ACTIVE' AND NEW.state = 'DEPRECATED'
                          WHEN 'RETIRE' THEN OLD.state = 'DEPRECATED' AND NEW.state = 'RETIRED'
                          ELSE false END) THEN
    RAISE EXCEPTION 'a version moves on only with an approval' USING ERRCODE = '42501';
  END IF;
  IF NEW.visibility = 'PUBLIC' AND OLD.visibility <> 'PUBLIC'
     AND NOT EXISTS (
       SELECT FROM schema_transition t
        WHERE t.tenant_id = NEW.tenant_id AND t.schema_id = NEW.schema_id
          AND t.number = NEW.number AND t.status = 'APPROVED' AND t.kind = 'EXPOSE'
          AND t.content_hash = NEW.content_hash AND t.decided_at = NEW.changed_at) THEN
    RAISE EXCEPTION 'a version becomes public only with an approval' USING ERRCODE = '42501';
  END IF;
  RETURN NEW;
END
$$;
CREATE FUNCTION begin_schema_version() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NEW.state <> 'DRAFT' OR NEW.visibility <> 'PRIVATE' THEN
    RAISE EXCEPTION 'a version begins as a private draft' USING ERRCODE = '42501';
  END IF;
  RETURN NEW;
END
$$;
-- A decision is for ever, and so is what was asked.
CREATE FUNCTION keep_schema_transition() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF OLD.status <> 'OPEN' OR (NEW.transition_id, NEW.schema_id, NEW.number, NEW.kind,
       NEW.content_hash, NEW.requested_at, NEW.requested_by, NEW.expires_at)
     IS DISTINCT FROM (OLD.transition_id, OLD.schema_id, OLD.number, OLD.kind,
       OLD.content_hash, OLD.requested_at, OLD.requested_by, OLD.expires_at) THEN
    RAISE EXCEPTION 'what was asked and decided of a version stays' USING ERRCODE = '42501';
  END IF;
  IF NEW.status = 'APPROVED' AND current_user <> '{approver}' THEN
    RAISE EXCEPTION 'only an approver approves' USING ERRCODE = '42501';
  END IF;
  IF NEW.status = 'APPROVED' AND NEW.standing AND NOT EXISTS (
       SELECT FROM schema_registry r
        WHERE r.tenant_id = NEW.tenant_id AND r.schema_id = NEW.schema_id
          AND r.standing_by = NEW.decided_by AND NEW.decided_verdict = 'COMPATIBLE'
          AND NEW.kind IN ('ACTIVATE', 'DEPRECATE')) THEN
    RAISE EXCEPTION 'nobody has agreed to this beforehand' USING ERRCODE = '42501';
  END IF;
  RETURN NEW;
END
$$;
-- What was agreed to was agreed to under this promise.
CREATE FUNCTION keep_schema() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NEW.compatibility <> OLD.compatibility THEN
    NEW.standing_by := NULL;
    NEW.standing_at := NULL;
  END IF;
  RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION
  keep_schema(), keep_schema_version(), begin_schema_version(), keep_schema_transition() FROM PUBLIC;
CREATE TRIGGER schema_kept BEFORE UPDATE ON schema_registry
  FOR EACH ROW EXECUTE FUNCTION keep_schema();
CREATE TRIGGER schema_version_kept BEFORE UPDATE ON schema_version
  FOR EACH ROW EXECUTE FUNCTION keep_schema_version();
CREATE TRIGGER schema_version_begun BEFORE INSERT ON schema_version
  FOR EACH ROW EXECUTE FUNCTION begin_schema_version();
CREATE TRIGGER schema_transition_kept BEFORE UPDATE ON schema_transition
  FOR EACH ROW EXECUTE FUNCTION keep_schema_transition();
";

const TABLES: [&str; 5] = [
    "schema_registry",
    "schema_version",
    "schema_transition",
    "schema_event",
    "schema_event_cursor",
];

const OPERATORS: &str = r"
-- As in `m0008_breaches`.
CREATE FUNCTION tenants_with_schema_events_due(receiver text, moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT least(occurred_at, moment) INTO due_since FROM schema_event
     WHERE sequence > coalesce((SELECT c.sequence FROM schema_event_cursor c WHERE c.sink = receiver), 0)
     ORDER BY sequence LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

-- What operators see of a tenant's schemas: numbers, of the tenant that the transaction is for. They have no
-- right to a row, so it is the owner's function, and row-level security holds for the owner too. // S9
CREATE FUNCTION schema_figures()
RETURNS TABLE (what text, of_state text, figure bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT 'SCHEMA', format, count(*), min(created_at) FROM schema_registry
   WHERE tenant_id = current_tenant() GROUP BY format
  UNION ALL
  SELECT 'VERSION', state, count(*), min(changed_at) FROM schema_version
   WHERE tenant_id = current_tenant() GROUP BY state
  UNION ALL
  SELECT 'TRANSITION', status, count(*), min(requested_at) FROM schema_transition
   WHERE tenant_id = current_tenant() GROUP BY status
$$;
REVOKE EXECUTE ON FUNCTION tenants_with_schema_events_due(text, timestamptz), schema_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_schema_events_due(text, timestamptz), schema_figures()
  TO {operator};
";

const DOWN: &str = "
DROP FUNCTION tenants_with_schema_events_due(text, timestamptz), schema_figures();
DROP INDEX dataset_registry_by_schema;
REVOKE SELECT (tenant_id, dataset_id, lifecycle, schema_fqid) ON dataset_registry FROM {approver};
REVOKE INSERT ON audit_event, tenant_directory FROM {approver};
REVOKE USAGE ON SEQUENCE audit_event_sequence FROM {approver};
REVOKE ALL ON idempotency_record FROM {approver};
REVOKE EXECUTE ON FUNCTION find_idempotency_records(
  bigint, text, text, text, smallint, timestamptz) FROM {approver};
";

const DOWN_RULES: &str = "
DROP FUNCTION keep_schema(), keep_schema_version(), begin_schema_version(), keep_schema_transition();
";

const NO_AUDIT: &str = "
CREATE OR REPLACE FUNCTION needs_no_audit(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT relname IN ('idempotency_record', 'token_nonce', 'tenant_directory', 'change_mark',
                     'change_head', 'freshness_announced', 'freshness_change', 'run_event_batch',
                     'evidence_head', 'evidence_tile', 'siem_cursor'{schemas})
    FROM pg_class WHERE oid = target
$$;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, ROLE).await?;
        run(manager, &NO_AUDIT.replace("{schemas}", ", 'schema_event_cursor'")).await?;
        create_tenant_tables(manager, UP, &TABLES).await?;
        run(manager, RULES).await?;
        run(manager, OPERATORS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &TABLES).await?;
        run(manager, DOWN_RULES).await?;
        run(manager, &NO_AUDIT.replace("{schemas}", "")).await
    }
}
