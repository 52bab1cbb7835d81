//! The first look at a GraphQL document, and at the JSON that it comes in, before anything parses
//! them.
//!
//! The parser descends once per bracket: a 4 KB document of 2,000 open brackets overflows the stack
//! and ends the process, before any limit of the library is asked. This scan uses no stack, reads
//! the text once, and counts what the parser would descend into. It follows the lexical grammar for
//! strings and comments; a string without an end is refused, for there the two could disagree.

use crate::{
    config::DocumentLimits,
    error::{Error, Result},
};

/// Checks a document's size, depth, and number of tokens and directives.
///
/// # Errors
/// [`Error::LimitExceeded`] with the name of the limit; [`Error::BadUserInput`] for a string without
/// an end.
pub fn check(document: &str, limits: &DocumentLimits) -> Result<()> {
    within(document.len(), limits.bytes, "limits.graphql_document_bytes")?;
    let (mut depth, mut tokens, mut directives) = (0_usize, 0_usize, 0_usize);
    let mut rest = document.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = skip_while(after, |byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            b'"' => skip_string(after).ok_or_else(unterminated)?,
            b'(' | b'[' | b'{' => {
                depth += 1;
                within(depth, limits.depth, "limits.graphql_document_depth")?;
                after
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'@' => {
                directives += 1;
                within(directives, limits.directives, "limits.graphql_directives")?;
                after
            }
            b'.' => skip_while(after, |byte| byte == b'.'),
            byte if is_name(byte) => skip_while(after, is_name),
            byte if byte == b'-' || byte.is_ascii_digit() => skip_while(after, is_number),
            _ => after,
        };
        tokens += 1;
        within(tokens, limits.tokens, "limits.graphql_document_tokens")?;
    }
    Ok(())
}

/// Checks how many values JSON is made of (each takes a hundred bytes of memory, and two of text), and how
/// many of them say what type they are of: representations of entities, since no input has such a field.
///
/// # Errors
/// [`Error::LimitExceeded`].
pub fn check_json(text: &[u8], limits: &DocumentLimits) -> Result<()> {
    let (mut values, mut representations) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => {
                quoted = !quoted;
                let named = quoted && text.get(at..).is_some_and(|rest| rest.starts_with(TYPENAME));
                representations += usize::from(named);
            }
            // One per value: the first of a list or an object, and each after it.
            b'[' | b'{' | b',' if !quoted => values += 1,
            _ => {}
        }
    }
    within(values, limits.values, "limits.graphql_values")?;
    within(representations, limits.representations, "limits.graphql_representations")
}

/// What says the type of a representation, as it stands in JSON.
const TYPENAME: &[u8] = b"\"__typename\"";

fn within(value: usize, maximum: usize, limit: &'static str) -> Result<()> {
    if value <= maximum {
        return Ok(());
    }
    Err(Error::LimitExceeded { limit, maximum: u64::try_from(maximum).unwrap_or(u64::MAX) })
}

fn unterminated() -> Error {
    Error::bad_input("query", "a string has no end")
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')
}

fn skip_while(bytes: &[u8], mut test: impl FnMut(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| !test(*byte)).unwrap_or(bytes.len());
    bytes.get(end..).unwrap_or_default()
}

/// What follows the string whose opening quote was just read; `None` without a closing one.
fn skip_string(mut rest: &[u8]) -> Option<&[u8]> {
    if let Some(mut block) = rest.strip_prefix(b"\"\"") {
        loop {
            if let Some(after) = block.strip_prefix(b"\"\"\"") {
                return Some(after);
            }
            block = match block.strip_prefix(b"\\\"\"\"") {
                Some(after) => after,
                None => block.get(1..)?,
            };
        }
    }
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = match byte {
            b'"' => return Some(after),
            b'\n' | b'\r' => return None,
            b'\\' => after.get(1..)?,
            _ => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: DocumentLimits = DocumentLimits {
        bytes: 10_000,
        depth: 8,
        tokens: 50,
        aliases: 10,
        directives: 20,
        values: 10,
        representations: 10,
    };

    fn limit(document: &str) -> Option<&'static str> {
        match check(document, &LIMITS) {
            Ok(()) => None,
            Err(Error::LimitExceeded { limit, .. }) => Some(limit),
            Err(other) => Some(other.code().as_str()),
        }
    }

    #[test]
    fn limits_are_exact_and_named() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(limit(&nested(8)), None);
        assert_eq!(limit(&nested(9)), Some("limits.graphql_document_depth"));
        assert_eq!(limit("({[({[({["), Some("limits.graphql_document_depth"));
        assert_eq!(limit(&"a ".repeat(50)), None);
        assert_eq!(limit(&"a ".repeat(51)), Some("limits.graphql_document_tokens"));
        assert_eq!(limit(&"$".repeat(51)), Some("limits.graphql_document_tokens"));
        assert_eq!(limit(&"@".repeat(20)), None);
        assert_eq!(limit(&"@".repeat(21)), Some("limits.graphql_directives"));
        assert_eq!(limit(&" ".repeat(10_000)), None);
        assert_eq!(limit(&" ".repeat(10_001)), Some("limits.graphql_document_bytes"));
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let many = "[".repeat(100);
        for document in [
            format!("{{a(x: \"{many}\")}}"),
            format!("{{a(x: \"\\\"{many}\\\\\")}}"),
            format!("{{a(x: \"\"\"{many} \" \"\" \\\"\"\" {many}\n{many}\"\"\")}}"),
            format!("# {many} \"\n{{a}}"),
            format!("{{a}} # {many}"),
            format!("{{a(x: \"#\") b}} # {many}"),
        ] {
            assert_eq!(limit(&document), None, "{document}");
        }
        for document in [
            format!("{{a(x: \"\" y: {many}"),
            format!("{{a(x: \"\"\"\"\"\" y: {many}"),
            format!("# comment\r{many}"),
            format!("{{a(x: \"\\\\\" y: {many}"),
        ] {
            assert_eq!(limit(&document), Some("limits.graphql_document_depth"), "{document}");
        }
    }

    #[test]
    fn strings_without_an_end_hide_nothing() {
        for document in
            ["\"", "\"abc", "\"abc\n\"", "\"\\", "\"\"\"", "\"\"\" \\\"\"\"", "\"\"\"\""]
        {
            assert_eq!(limit(document), Some("BAD_USER_INPUT"), "{document}");
        }
    }

    #[test]
    fn values_of_json_are_counted_outside_of_texts() {
        let limit = |text: &str| check_json(text.as_bytes(), &LIMITS).is_err();
        assert!(!limit("[1,2,3,4,5,6,7,8,9,10]"));
        assert!(limit("[1,2,3,4,5,6,7,8,9,10,11]"));
        assert!(limit("[[[[[[[[[[["));
        assert!(!limit(r#"{"a": ",,,,,,,,,,,,[[[[[[\",,,,,,,,{{{{", "b": 1}"#));
        assert!(limit(r#"{"a": "\\", "b": [,,,,,,,,,,,"#));
    }

    #[test]
    fn representations_in_json_are_counted_by_their_types() {
        let limits = DocumentLimits { values: 1_000, representations: 3, ..LIMITS };
        let refused = |count: usize, rest: &str| {
            let one = r#"{"__typename":"Dataset","id":"1"}"#;
            let text = format!("[{}{rest}]", vec![one; count].join(","));
            check_json(text.as_bytes(), &limits).err().map(|error| error.to_string())
        };
        assert_eq!(refused(3, ""), None);
        let over = "over the limit limits.graphql_representations = 3";
        assert_eq!(refused(4, "").as_deref(), Some(over));
        // In the text of a document it says nothing.
        assert_eq!(refused(3, r#","{ a { \"__typename\" __typename } }""#), None);
    }

    proptest! {
        /// Whatever passes can be parsed within a small stack, and no text makes the scan fail.
        #[test]
        fn what_passes_can_be_parsed(document in "[\\[\\](){}\"\\\\# \na:$1.é]{0,200}") {
            if check(&document, &LIMITS).is_ok() {
                let parse = move || async_graphql::parser::parse_query(&document).is_ok();
                let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(parse).unwrap();
                thread.join().unwrap();
            }
        }
    }
}
