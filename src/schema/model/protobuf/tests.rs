mod descriptors;
mod hostile;
mod payloads;
mod property;
mod rules;
mod text;

use super::{super::verdict::*, *};

const STEPS: u64 = 1_000_000;

fn read(text: &str) -> ProtoSchema {
    match parse(text, &[]) {
        Ok(schema) => schema,
        Err(violations) => panic!("{text}: {violations:?}"),
    }
}

fn proto3(body: &str) -> String {
    format!("syntax = \"proto3\";\npackage p;\n{body}")
}

fn proto2(body: &str) -> String {
    format!("syntax = \"proto2\";\npackage p;\n{body}")
}

fn compared(reader: &str, writer: &str) -> Comparison {
    compare(&read(reader), &read(writer), &mut Budget::new(STEPS))
}

/// As small as the stacks that tokio gives its threads.
fn in_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(test);
    thread.unwrap().join().unwrap();
}
