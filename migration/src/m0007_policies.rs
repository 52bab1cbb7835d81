//! Freshness policies in full: two kinds of rule, selectors, calendars, and what a dataset's state
//! keeps of the policy that applies to it.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// A version of a policy is a row, never changed. A policy is for one dataset, and has that dataset's
// id, or for all datasets of a domain, of tags, or of both. The seconds to warn and to fail after
// count from the last success (MAX_AGE) or from the deadline (DEADLINE).
//
// `policy_id` gets its value by a change of type, which rewrites the table: the owner is under
// row-level security like everybody else, and could not UPDATE rows of all tenants.
const UP: &str = r#"
ALTER TABLE freshness_policy DROP CONSTRAINT freshness_policy_pkey;
ALTER TABLE freshness_policy ADD COLUMN policy_id uuid;
ALTER TABLE freshness_policy ALTER COLUMN policy_id TYPE uuid USING dataset_id;
ALTER TABLE freshness_policy ALTER COLUMN policy_id SET NOT NULL;
ALTER TABLE freshness_policy ALTER COLUMN dataset_id DROP NOT NULL;
ALTER TABLE freshness_policy ADD PRIMARY KEY (tenant_id, policy_id, version);

ALTER TABLE freshness_policy ADD COLUMN selector_domain text COLLATE "C";
ALTER TABLE freshness_policy ADD COLUMN selector_tags text[] NOT NULL DEFAULT '{}';
-- A version that takes the policy away: what is asked is then asked by the next most specific one.
ALTER TABLE freshness_policy ADD COLUMN removed boolean NOT NULL DEFAULT false;
ALTER TABLE freshness_policy ADD COLUMN kind text NOT NULL DEFAULT 'MAX_AGE'
  CHECK (kind IN ('MAX_AGE', 'DEADLINE'));
ALTER TABLE freshness_policy ADD COLUMN deadline_cron text;
ALTER TABLE freshness_policy ADD COLUMN lower_bound_seconds bigint CHECK (lower_bound_seconds > 0);
ALTER TABLE freshness_policy ADD COLUMN timezone text NOT NULL DEFAULT 'UTC';
-- ISO weekdays (1 is Monday), local dates, and names of the tenant's calendars.
ALTER TABLE freshness_policy ADD COLUMN exclude_weekdays integer[] NOT NULL DEFAULT '{}';
ALTER TABLE freshness_policy ADD COLUMN exclude_dates date[] NOT NULL DEFAULT '{}';
ALTER TABLE freshness_policy ADD COLUMN exclude_calendars text[] NOT NULL DEFAULT '{}';
ALTER TABLE freshness_policy ADD COLUMN driver text NOT NULL DEFAULT 'OPERATIONAL'
  CHECK (driver IN ('REGULATORY', 'ANALYTICS', 'OPERATIONAL'));
-- Since when it is to be judged by; at most the instant it was set.
ALTER TABLE freshness_policy ADD COLUMN effective_from timestamptz;
ALTER TABLE freshness_policy ALTER COLUMN effective_from TYPE timestamptz USING created_at;
ALTER TABLE freshness_policy ALTER COLUMN effective_from SET NOT NULL;

ALTER TABLE freshness_policy DROP CONSTRAINT freshness_policy_mode_check;
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_mode_check
  CHECK (mode IN ('ACTIVE', 'INACTIVE', 'PASSIVE'));
-- A grace of no time at all is one: at the deadline itself.
ALTER TABLE freshness_policy DROP CONSTRAINT freshness_policy_warn_after_seconds_check;
ALTER TABLE freshness_policy DROP CONSTRAINT freshness_policy_fail_after_seconds_check;
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_limits_check CHECK (
  warn_after_seconds >= 0 AND fail_after_seconds >= 0
  AND (kind = 'DEADLINE' OR (warn_after_seconds > 0) IS NOT FALSE AND (fail_after_seconds > 0) IS NOT FALSE));
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_target_check CHECK (
  (dataset_id IS NULL) = (selector_domain IS NOT NULL OR cardinality(selector_tags) > 0));
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_rule_check CHECK (
  (kind = 'DEADLINE') = (deadline_cron IS NOT NULL)
  AND (kind = 'DEADLINE') = (lower_bound_seconds IS NOT NULL));
CREATE INDEX freshness_policy_by_selector ON freshness_policy (tenant_id, policy_id, version)
  WHERE dataset_id IS NULL;

CREATE TABLE freshness_calendar (
  tenant_id    text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  description  text,
  dates        date[] NOT NULL,
  row_version  bigint NOT NULL DEFAULT 1,
  updated_at   timestamptz NOT NULL,
  updated_by   text NOT NULL,
  PRIMARY KEY (tenant_id, name)
);
GRANT SELECT ON freshness_calendar TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE, DELETE ON freshness_calendar TO {writer};

-- The policy that applies, its own or a selector's, as it was resolved last; `alerting` while that
-- policy's mode is ACTIVE, so that what it finds late is a breach.
ALTER TABLE dataset_refresh_state ADD COLUMN policy_id uuid;
ALTER TABLE dataset_refresh_state ALTER COLUMN policy_id TYPE uuid
  USING CASE WHEN policy_version IS NOT NULL THEN dataset_id END;
-- How many policies are for the dataset: the one that applies is the most specific of these.
ALTER TABLE dataset_refresh_state ADD COLUMN policies_matching integer NOT NULL DEFAULT 0;
ALTER TABLE dataset_refresh_state ALTER COLUMN policies_matching DROP DEFAULT;
ALTER TABLE dataset_refresh_state ALTER COLUMN policies_matching TYPE integer
  USING (policy_version IS NOT NULL)::integer;
ALTER TABLE dataset_refresh_state ALTER COLUMN policies_matching SET DEFAULT 0;
ALTER TABLE dataset_refresh_state ADD COLUMN alerting boolean NOT NULL DEFAULT false;
ALTER TABLE dataset_refresh_state ALTER COLUMN alerting DROP DEFAULT;
ALTER TABLE dataset_refresh_state ALTER COLUMN alerting TYPE boolean
  USING freshness_basis <> 'NOT_APPLICABLE';
ALTER TABLE dataset_refresh_state ALTER COLUMN alerting SET DEFAULT false;
-- Until when nobody is to be told, why, and who said so.
ALTER TABLE dataset_refresh_state ADD COLUMN muted_until timestamptz;
ALTER TABLE dataset_refresh_state ADD COLUMN mute_reason text;
ALTER TABLE dataset_refresh_state ADD COLUMN muted_by text;
CREATE INDEX dataset_refresh_state_by_policy ON dataset_refresh_state (tenant_id, policy_id);
"#;

const DOWN: &str = r#"
ALTER TABLE dataset_refresh_state DROP COLUMN policy_id, DROP COLUMN policies_matching,
  DROP COLUMN alerting,
  DROP COLUMN muted_until, DROP COLUMN mute_reason, DROP COLUMN muted_by;
ALTER TABLE freshness_policy DROP CONSTRAINT freshness_policy_target_check,
  DROP CONSTRAINT freshness_policy_rule_check, DROP CONSTRAINT freshness_policy_limits_check,
  DROP CONSTRAINT freshness_policy_mode_check, DROP CONSTRAINT freshness_policy_pkey;
DROP INDEX freshness_policy_by_selector;
ALTER TABLE freshness_policy DROP COLUMN policy_id, DROP COLUMN selector_domain,
  DROP COLUMN selector_tags, DROP COLUMN removed, DROP COLUMN kind, DROP COLUMN deadline_cron,
  DROP COLUMN lower_bound_seconds, DROP COLUMN timezone, DROP COLUMN exclude_weekdays,
  DROP COLUMN exclude_dates, DROP COLUMN exclude_calendars, DROP COLUMN driver,
  DROP COLUMN effective_from;
ALTER TABLE freshness_policy ALTER COLUMN dataset_id SET NOT NULL;
ALTER TABLE freshness_policy ADD PRIMARY KEY (tenant_id, dataset_id, version);
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_mode_check
  CHECK (mode IN ('ACTIVE', 'INACTIVE'));
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_warn_after_seconds_check
  CHECK (warn_after_seconds > 0);
ALTER TABLE freshness_policy ADD CONSTRAINT freshness_policy_fail_after_seconds_check
  CHECK (fail_after_seconds > 0);
"#;

const TABLES: [&str; 1] = ["freshness_calendar"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    /// Only while nothing is stored that the step before had no place for: PostgreSQL refuses
    /// otherwise, and nothing is lost.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await?;
        run(manager, DOWN).await
    }
}
