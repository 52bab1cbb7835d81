//! Events as the rows of one statement.

use crate::{audit::model::Event, db::trail::TrailRow};

/// Events as rows, in their order.
pub(super) fn rows(events: &[Event]) -> Vec<TrailRow<'_>> {
    events.iter().map(row).collect()
}

fn row(event: &Event) -> TrailRow<'_> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    TrailRow {
        tenant: &event.tenant_id,
        class: event.class.as_str(),
        occurred_at: event.occurred_at,
        event_id: event.event_id,
        call_id: event.call_id,
        actor_id: &event.actor_id,
        action: &event.action,
        also: (!event.also.is_empty()).then_some(&event.also),
        dataset_id: event.dataset_id,
        resource: event.resource.as_deref(),
        result: &event.result,
        error_code: event.error_code.as_deref(),
        correlation_id: &event.correlation_id,
        interface: event.interface.as_deref(),
        operation_name: event.operation_name.as_deref(),
        document_hash: event.document_hash.as_deref(),
        token_hash: event.token_hash.as_deref(),
        duration_us: event.duration_us.map(number),
        row_count: event.row_count.map(number),
        calls: i32::try_from(event.calls).unwrap_or(i32::MAX),
        leaf_hash: event.leaf_hash(),
    }
}
