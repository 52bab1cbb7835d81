mod hostile;
mod property;
mod resolution;
mod table;
mod text;

use serde_json::{Value, json};

use super::{super::verdict::*, *};

const STEPS: u64 = 1_000_000;

fn read(schema: &Value) -> AvroSchema {
    match parse(&schema.to_string(), &[]) {
        Ok(schema) => schema,
        Err(violations) => panic!("{schema}: {violations:?}"),
    }
}

fn refused(schema: &Value) -> Vec<String> {
    let violations = parse(&schema.to_string(), &[]).unwrap_err();
    violations.iter().map(ToString::to_string).collect()
}

fn compared(reader: &Value, writer: &Value) -> Comparison {
    compare(&read(reader), &read(writer), &mut Budget::new(STEPS))
}

/// The rules with their paths, in order.
fn rules(reader: &Value, writer: &Value) -> (Verdict, Vec<String>) {
    let comparison = compared(reader, writer);
    let told = comparison.differences.iter();
    let told = told.map(|difference| format!("{} {}", difference.path, difference.rule));
    (comparison.verdict(), told.collect())
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better without borrowing them")]
fn record(name: &str, fields: Value) -> Value {
    json!({ "type": "record", "name": name, "fields": fields })
}

/// As small as the stacks that tokio gives its threads.
fn in_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(test);
    thread.unwrap().join().unwrap();
}
