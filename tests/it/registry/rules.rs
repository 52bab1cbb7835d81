//! What the database holds by itself, whatever the program does. // S3, S6

use serde_json::json;

use super::{Desk, TENANT, record};
use crate::{
    app::TestApp,
    cluster::run,
    door::world::{refusal, script},
};

const EVENT: &str = "INSERT INTO audit_event
  (tenant_id, class, occurred_at, event_id, actor_id, action, result, correlation_id)
  VALUES ('acme', 'SCHEMA', now(), gen_random_uuid(), 'somebody', 'schema.draft', 'SUCCESS', 'c')";

#[test]
fn no_version_moves_on_without_the_approval_of_somebody_else() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        let version = desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        let asked = desk.propose(&version, "ACTIVATE").await;
        let mut admin = app.admin().await;
        let approve = |by: &str, at: &str| {
            format!("UPDATE schema_transition SET status = 'APPROVED', decided_at = {at}, decided_by = '{by}',
                     decided_verdict = 'COMPATIBLE' WHERE transition_id = '{asked}'")
        };
        let move_on = "UPDATE schema_version SET state = 'ACTIVE', changed_at = now()";
        let cases = [
            ("drr_writer", move_on.to_owned(), "moves on only with an approval"),
            (
                "drr_writer",
                approve("another", "now()")
                    .replace(", decided_verdict = 'COMPATIBLE'", "")
                    .replace(",\n                     decided_verdict = 'COMPATIBLE'", ""),
                "only an approver approves",
            ),
            (
                "drr_writer",
                "UPDATE schema_version SET content_hash = sha256('x')".to_owned(),
                "frozen",
            ),
            (
                "drr_writer",
                "UPDATE schema_version SET state = 'DRAFT', content_hash = sha256('x')".to_owned(),
                "frozen",
            ),
            ("drr_approver", move_on.to_owned(), "moves on only with an approval"),
            (
                "drr_approver",
                "UPDATE schema_version SET visibility = 'PUBLIC', changed_at = now()".to_owned(),
                "public only with an approval",
            ),
            ("drr_approver", approve("development-schema-admin", "now()"), "check constraint"),
            // An approval of another moment.
            (
                "drr_approver",
                format!("{}; {move_on}", approve("another", "now() - interval '1 s'")),
                "moves on only with an approval",
            ),
            // An approval of what is not asked for.
            (
                "drr_approver",
                format!(
                    "{}; UPDATE schema_version SET state = 'RETIRED', changed_at = now()",
                    approve("another", "now()")
                ),
                "moves on only with an approval",
            ),
            (
                "drr_approver",
                approve("another", "now()").replace(
                    "decided_verdict = 'COMPATIBLE'",
                    "decided_verdict = 'COMPATIBLE', standing = true",
                ),
                "agreed to this beforehand",
            ),
        ];
        for (role, statements, why) in cases {
            let begin =
                format!("BEGIN; SET LOCAL ROLE {role}; SET LOCAL app.tenant_id = 'acme'; {EVENT};");
            let refused = refusal(&mut admin, &format!("{begin} {statements}; COMMIT")).await;
            script(&mut admin, "ROLLBACK").await;
            let (_, message) = refused.unwrap_or_else(|| panic!("{role}: {statements}"));
            assert!(message.contains(why), "{role}: {statements}: {message}");
        }
        // What is refused so is refused for that reason: this is how it is done.
        let begin = format!(
            "BEGIN; SET LOCAL ROLE drr_approver; SET LOCAL app.tenant_id = 'acme'; {EVENT};"
        );
        let done = format!("{begin} {}; {move_on}; COMMIT", approve("another", "now()"));
        assert_eq!(refusal(&mut admin, &done).await, None);
        assert_eq!(desk.version("tenant.acme.sales.Order@1").await["state"], "ACTIVE");
        // And it does not go back, for nobody.
        let back = format!(
            "{begin} UPDATE schema_version SET state = 'DRAFT', changed_at = now(); COMMIT"
        );
        let (_, message) = refusal(&mut admin, &back).await.unwrap();
        script(&mut admin, "ROLLBACK").await;
        assert!(message.contains("does not go back"), "{message}");
        app.stop().await;
    });
}
