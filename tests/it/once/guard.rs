//! No write without an audit event: what a transaction owes, it pays or does not commit. // D44

use sqlx::{Connection, PgConnection};

use crate::{
    cluster::{Cluster, run},
    door::world::{refusal, script},
};

const EVENT: &str = "INSERT INTO audit_event
  (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
  VALUES ('acme', now(), gen_random_uuid(), 'somebody', 'dataset.register', 'SUCCESS', 'c')";
const NAME: &str = "INSERT INTO dataset_name (tenant_id, namespace, name, dataset_id, is_alias)
  VALUES ('acme', 'ns', gen_random_uuid()::text, gen_random_uuid(), false)";

#[test]
fn a_write_without_its_audit_event_fails_when_it_commits() {
    run(async {
        let database = Cluster::shared().await.database().await;
        for (options, role) in
            [(database.application(), "SET LOCAL ROLE drr_writer;"), (database.owner(), "")]
        {
            let options = options.options([("search_path", "storage_drr")]);
            let mut raw = PgConnection::connect_with(&options).await.unwrap();
            let begin = format!("BEGIN; {role} SET LOCAL app.tenant_id = 'acme'");
            script(&mut raw, format!("{begin}; {NAME}; {EVENT}; COMMIT")).await;
            script(&mut raw, format!("{begin}; {NAME}")).await;
            let refused = refusal(&mut raw, "COMMIT").await;
            let expected =
                ("42501".to_owned(), "a write without an audit event is refused".to_owned());
            assert_eq!(refused, Some(expected));
            raw.close().await.unwrap();
        }
    });
}
