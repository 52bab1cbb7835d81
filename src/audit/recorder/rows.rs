//! Events as the columns of one statement.

use crate::{audit::model::Event, db::trail::TrailRows};

/// Events as columns; they are ordered by tenant.
pub(super) fn rows(events: &[Event]) -> TrailRows {
    let mut rows = TrailRows::default();
    for event in events {
        let text =
            |text: &Option<std::borrow::Cow<'static, str>>| text.as_deref().map(str::to_owned);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        rows.tenants.push(event.tenant_id.to_string());
        rows.classes.push(event.class.as_str());
        rows.occurred.push(event.occurred_at);
        rows.ids.push(event.event_id);
        rows.call_ids.push(event.call_id);
        rows.actors.push(event.actor_id.to_string());
        rows.actions.push(event.action.to_string());
        rows.alsos.push((!event.also.is_empty()).then(|| event.also.join(",")));
        rows.datasets.push(event.dataset_id);
        rows.resources.push(event.resource.clone());
        rows.results.push(event.result.to_string());
        rows.codes.push(text(&event.error_code));
        rows.correlations.push(event.correlation_id.clone());
        rows.interfaces.push(text(&event.interface));
        rows.operations.push(event.operation_name.clone());
        rows.documents.push(event.document_hash.clone());
        rows.tokens.push(event.token_hash.clone());
        rows.durations.push(event.duration_us.map(number));
        rows.row_counts.push(event.row_count.map(number));
        rows.call_counts.push(i32::try_from(event.calls).unwrap_or(i32::MAX));
        rows.leaves.push(event.leaf_hash().to_vec());
    }
    rows
}
