//! The second opinion: `apache-avro` has to accept what we have read.
//!
//! It gets the structure and the names only, written out by us, for three of its ways to fail on
//! hostile input: it fills in the defaults of nested records one in another (exponentially), it keeps
//! a copy of a type for each of its aliases, and it logs a type whose logical type does not fit. What
//! it is not shown is checked in `read`.

use serde_json::{Value, json};

use super::{super::verdict::Violation, AvroSchema, NodeId, canonical::skeleton, tell};

/// The type around the schema and its references.
const AROUND: &str = "drr_all_of_them";

pub(super) fn check(schema: &AvroSchema, roots: &[NodeId], violations: &mut Vec<Violation>) {
    let fields = skeleton(schema, roots).into_iter().enumerate().map(|(index, skeleton)| {
        let name = format!("schema_{index}");
        json!({ "name": name, "type": skeleton })
    });
    let fields: Vec<Value> = fields.collect();
    let all = json!({ "type": "record", "name": AROUND, "fields": fields });
    if let Err(error) = apache_avro::Schema::parse(&all) {
        tell(violations, "", format!("is refused by apache-avro: {error}"));
    }
}
