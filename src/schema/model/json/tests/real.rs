//! Real schemas and the values that real programs made by them. They are not copied here.

use super::super::super::verdict::Verdict;
use super::cases::shared;
use super::*;

#[test]
fn the_schema_of_openlineage_events() {
    let Some(text) = shared("openlineage-spec-2-0-2.json") else { return };
    let spec = schema(&text);
    let again = schema(&canonical(&spec));
    assert_eq!(canonical(&again), canonical(&spec));
    let comparison = compare(&spec, &again, &mut Budget::new(STEPS));
    assert_eq!(comparison.verdict(), Verdict::Compatible);
    assert!(
        fields(&spec).iter().any(|(path, types)| path == "run.runId" && types == "string(uuid)")
    );

    let mut stricter: Value = serde_json::from_str(&text).unwrap();
    stricter["$defs"]["Dataset"]["required"] = json!(["namespace", "name", "owner"]);
    let comparison = compare(&schema(&stricter.to_string()), &spec, &mut Budget::new(STEPS));
    let told = comparison
        .differences
        .iter()
        .map(|difference| (difference.path.as_str(), difference.rule, difference.verdict));
    let told = told.collect::<Vec<_>>();
    assert!(
        told.contains(&(
            "/$defs/Dataset/required",
            "REQUIRED_ATTRIBUTE_ADDED",
            Verdict::Incompatible
        )),
        "{comparison:#?}"
    );
    // The other way around is no better: what has a job and a dataset without an owner is only one
    // of three by the stricter schema, and two by this one.
    let back = compare(&spec, &schema(&stricter.to_string()), &mut Budget::new(STEPS));
    let [difference] = back.differences.as_slice() else { panic!("{back:#?}") };
    assert_eq!((difference.rule, difference.verdict), ("SUM_TYPE_NARROWED", Verdict::Incompatible));

    let Some(events) = shared("openlineage-marquez-food-delivery.json") else { return };
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    assert_eq!(events.len(), 26);
    for mut event in events {
        // They are of a time at which `schemaURL` was not yet required.
        let told = validate(&spec, &event);
        assert!(told.iter().any(|told| told.message.contains("schemaURL")), "{told:?}");
        event["schemaURL"] = "https://openlineage.io/spec/2-0-2/OpenLineage.json".into();
        assert_eq!(validate(&spec, &event), []);
    }
}
