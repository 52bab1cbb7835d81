//! A place in a payload, kept as it goes down and written out only when something is told of it: a
//! payload has far more places than violations, and its keys can be long.

/// One step down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment<'a> {
    Name(&'a str),
    /// A name that is bytes in the payload.
    Key(&'a [u8]),
    Item(u64),
}

/// The most characters of a name that are shown.
const MAX_SHOWN: usize = 200;

/// As a JSON pointer. Of names that are very long the beginning is in it.
pub(super) fn pointer(segments: &[Segment<'_>]) -> String {
    let mut pointer = String::new();
    for segment in segments {
        pointer.push('/');
        match segment {
            Segment::Name(name) => push(&mut pointer, name),
            Segment::Key(key) => {
                let start = key.get(..MAX_SHOWN).unwrap_or(key);
                push(&mut pointer, &String::from_utf8_lossy(start));
            }
            Segment::Item(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

fn push(pointer: &mut String, name: &str) {
    for char in name.chars().take(MAX_SHOWN) {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            char => pointer.push(char),
        }
    }
}

/// How deep a value is. It does not recurse.
pub(super) fn depth_of(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let mut todo = vec![(value, 1_usize)];
    let mut deepest = 0;
    while let Some((value, depth)) = todo.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => todo.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => todo.extend(members.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    deepest
}
