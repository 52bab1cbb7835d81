//! Events of calls that changed nothing, appended for less: as one array of rows instead of 21 of columns,
//! without a look for those that are there, and into one index less.
//!
//! There are events that are there already only after a commit that was cut off, and to look for them takes
//! time for every event. So `append_events` fails for one that is there, and `append_events_again` passes
//! over it. Each takes the events of one tenant, behind row-level security, with the rights of whoever
//! calls it.
//!
//! An event is found by its id in the order of time: the id names the millisecond of the event, so that the
//! primary key leads to it. No index of ids is needed.
//!
//! `append_calls` stays: a program of the version before that still runs beside this schema would lay aside
//! the events that it cannot append.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
DROP INDEX audit_event_by_id;

CREATE TYPE call_event AS (
  class           text,
  occurred_at     timestamptz,
  event_id        uuid,
  call_id         uuid,
  actor_id        text,
  action          text,
  also            text[],
  dataset_id      uuid,
  resource        text,
  result          text,
  error_code      text,
  correlation_id  text,
  interface       text,
  operation_name  text,
  document_hash   bytea,
  token_hash      bytea,
  duration_us     bigint,
  row_count       bigint,
  calls           integer,
  leaf_hash       bytea
);
";

// `listed` says that the directory has the tenant, which its own statement would have to find out.
const APPEND: &str = "
CREATE FUNCTION {name}(tenant text, listed boolean, events call_event[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM set_config('app.tenant_id', tenant, true);
  IF NOT listed THEN
    INSERT INTO tenant_directory VALUES (tenant) ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO audit_event
    (tenant_id, class, occurred_at, event_id, call_id, actor_id, action, also, dataset_id, resource,
     result, error_code, correlation_id, interface, operation_name, document_hash, token_hash,
     duration_us, row_count, calls, leaf_hash)
  SELECT tenant, class, occurred_at, event_id, call_id, actor_id, action, also, dataset_id, resource,
         result, error_code, correlation_id, interface, operation_name, document_hash, token_hash,
         duration_us, row_count, calls, leaf_hash
    FROM unnest(events)
  {conflict};
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION {name}(text, boolean, call_event[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {name}(text, boolean, call_event[]) TO {ledger};
";

const DOWN: &str = "
DROP FUNCTION append_events_again(text, boolean, call_event[]);
DROP FUNCTION append_events(text, boolean, call_event[]);
DROP TYPE call_event;
CREATE INDEX audit_event_by_id ON audit_event (tenant_id, event_id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        for (name, conflict) in
            [("append_events", ""), ("append_events_again", "ON CONFLICT DO NOTHING")]
        {
            let sql = APPEND.replace("{name}", name).replace("{conflict}", conflict);
            run(manager, &sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
