//! Monthly partitions, made ahead by the program.
//!
//! Every partitioned table has one `_history` partition for everything before the month that came
//! before the installation, then one partition per month (UTC). There is no DEFAULT partition: with
//! one, PostgreSQL could no longer read "the latest first" partition by partition.
//!
//! `ensure_partitions(until)` is SECURITY DEFINER because making a table needs its owner, and the
//! program never connects as the owner. It takes no name from its caller, only a month.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r"
CREATE FUNCTION partitioned_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT partrelid::regclass FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
   WHERE relnamespace = current_schema()::regnamespace ORDER BY relname
$$;

CREATE FUNCTION add_partition(parent regclass, partition name, low text, high text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  -- Made apart and then attached: attaching does not wait for readers and writers of the parent.
  EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                 partition, parent);
  PERFORM enable_tenant_rls(format('%I', partition)::regclass);
  -- Attaching checks the foreign keys of the (empty) partition under row-level security, so some
  -- tenant must be set; '-' is no tenant's code.
  PERFORM set_config('app.tenant_id', '-', true);
  EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                 parent, partition, low, high);
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

CREATE FUNCTION ensure_partitions(until date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  parent regclass;
  month date;
  latest name;
  made integer := 0;
BEGIN
  IF until > (now() + interval '2 years')::date THEN
    RAISE EXCEPTION 'partitions are made at most two years ahead' USING ERRCODE = '22023';
  END IF;
  -- One instance at a time.
  PERFORM pg_advisory_xact_lock(hashtext('drr.ensure_partitions'), hashtext(current_schema()));
  FOR parent IN SELECT * FROM partitioned_tables() LOOP
    SELECT max(c.relname) INTO latest FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
     WHERE inhparent = parent AND c.relname ~ '_[0-9]{6}$';
    month := to_date(right(latest, 6), 'YYYYMM') + interval '1 month';
    WHILE month <= until LOOP
      PERFORM add_partition(
        parent,
        (SELECT relname FROM pg_class WHERE oid = parent) || to_char(month, '_YYYYMM'),
        quote_literal(month), quote_literal((month + interval '1 month')::date));
      made := made + 1;
      month := month + interval '1 month';
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;

REVOKE EXECUTE ON FUNCTION partitioned_tables(), add_partition(regclass, name, text, text),
  ensure_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(date) TO {operator};

DO $$
DECLARE
  parent regclass;
  first_month date := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
  parent_name name;
BEGIN
  SET LOCAL timezone = 'UTC';
  FOR parent IN SELECT * FROM partitioned_tables() LOOP
    SELECT relname INTO parent_name FROM pg_class WHERE oid = parent;
    PERFORM add_partition(parent, parent_name || '_history', 'MINVALUE', quote_literal(first_month));
    PERFORM add_partition(parent, parent_name || to_char(first_month, '_YYYYMM'),
      quote_literal(first_month), quote_literal((first_month + interval '1 month')::date));
  END LOOP;
  PERFORM ensure_partitions((now() + interval '3 months')::date);
END
$$;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "DO $$
             DECLARE partition regclass;
             BEGIN
               FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
                 WHERE inhparent IN (SELECT * FROM partitioned_tables()) LOOP
                 EXECUTE format('DROP TABLE %s', partition);
               END LOOP;
             END $$;
             DROP FUNCTION ensure_partitions(date);
             DROP FUNCTION add_partition(regclass, name, text, text);
             DROP FUNCTION partitioned_tables();",
        )
        .await
    }
}
