//! What the people of a tenant agreed to: a schema of orders with a version in use, and one that waits for an
//! approval.

use serde_json::{Value, json};

use super::story::{Client, Story};
use crate::{
    auth::{TenantId, policy::Role},
    cli::{Failure, development::Development},
};

const REGISTER: &str = "
mutation ($input: RegisterSchemaInput!) { registerSchema(input: $input) { status schema { id } } }";
const DRAFT: &str = "
mutation ($input: DraftSchemaVersionInput!) { draftSchemaVersion(input: $input) { version { id } } }";
const PROPOSE: &str = "
mutation ($input: ProposeSchemaTransitionInput!) {
  proposeSchemaTransition(input: $input) { refused transition { id } } }";
const APPROVE: &str = "
mutation ($input: ApproveSchemaTransitionInput!) { approveSchemaTransition(input: $input) { refused } }";

/// Orders, with or without what is asked for.
fn orders(currency: bool) -> String {
    let mut fields = vec![
        json!({ "name": "order_id", "type": "long", "doc": "Counted up by the shop." }),
        json!({ "name": "customer_id", "type": "long" }),
        json!({ "name": "ordered_at", "type": { "type": "long", "logicalType": "timestamp-millis" } }),
        json!({ "name": "amount", "type": "double" }),
    ];
    if currency {
        fields.push(json!({ "name": "currency", "type": ["null", "string"], "default": null }));
    }
    json!({ "type": "record", "name": "Order", "fields": fields }).to_string()
}

/// The text at a place in an answer.
fn text(answer: &Value, at: &str) -> Result<String, Failure> {
    let found = answer.pointer(at).and_then(Value::as_str);
    Ok(found.ok_or_else(|| format!("the service answered {answer}"))?.to_owned())
}

impl Client {
    /// Has the people of a tenant agree, unless they have already.
    pub(super) async fn agree(
        &self,
        story: &Story,
        development: &Development,
    ) -> Result<(), Failure> {
        let tenant = TenantId::parse(story.tenant)?;
        let author = development.token(&tenant, Role::SchemaAdmin)?;
        let approver = development.token(&tenant, Role::GovernanceApprover)?;
        let input = json!({
            "fqid": format!("tenant.{tenant}.{}.Order", story.project), "format": "AVRO",
            "description": "One order of a customer.", "owners": [format!("team-{}", story.project)],
        });
        let registered = self.graphql(&author, REGISTER, json!({ "input": input })).await?;
        if text(&registered, "/registerSchema/status")? != "REGISTERED" {
            return Ok(());
        }
        let schema = text(&registered, "/registerSchema/schema/id")?;
        let first = self.proposed(&author, &schema, &orders(false), "what the shop sends").await?;
        self.graphql(&approver, APPROVE, json!({ "input": { "id": first } })).await?;
        let reason = "amounts are in more than one currency";
        self.proposed(&author, &schema, &orders(true), reason).await?;
        Ok(())
    }

    /// A version, put forward; the request.
    async fn proposed(
        &self,
        author: &str,
        schema: &str,
        content: &str,
        reason: &str,
    ) -> Result<String, Failure> {
        let input = json!({ "schemaId": schema, "content": content });
        let drafted = self.graphql(author, DRAFT, json!({ "input": input })).await?;
        let version = text(&drafted, "/draftSchemaVersion/version/id")?;
        let input = json!({ "versionId": version, "kind": "ACTIVATE", "reason": reason });
        let asked = self.graphql(author, PROPOSE, json!({ "input": input })).await?;
        text(&asked, "/proposeSchemaTransition/transition/id")
    }
}
