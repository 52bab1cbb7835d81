//! How large a text is, before anything reads it.

use std::{iter::Peekable, str::Chars};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// How deep its brackets are.
    pub(super) depth: usize,
    /// Its declarations and values, about.
    pub(super) items: usize,
    /// The characters of its longest name, dots included.
    pub(super) name: usize,
}

/// Brackets and separators outside of comments and strings. A text that is no Protobuf has some
/// shape too; the compiler refuses it then.
pub(super) fn shape(text: &str) -> Shape {
    let mut shape = Shape::default();
    let (mut open, mut name): (usize, usize) = (0, 0);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char.is_ascii_alphanumeric() || char == '_' || char == '.' {
            name = name.saturating_add(1);
            shape.name = shape.name.max(name);
            continue;
        }
        name = 0;
        match char {
            '"' | '\'' => skip_string(&mut chars, char),
            '/' => skip_comment(&mut chars),
            '#' => skip_line(&mut chars),
            '{' | '[' | '(' | '<' => {
                open = open.saturating_add(1);
                shape.depth = shape.depth.max(open);
                shape.items += usize::from(char == '{');
            }
            '}' | ']' | ')' | '>' => open = open.saturating_sub(1),
            ';' | ',' => shape.items += 1,
            _ => {}
        }
    }
    shape
}

/// A string ends at its line's end: one that does not is an error, and must not hide the rest.
fn skip_string(chars: &mut Peekable<Chars<'_>>, quote: char) {
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '\n' => return,
            char if char == quote => return,
            _ => {}
        }
    }
}

fn skip_line(chars: &mut Peekable<Chars<'_>>) {
    for char in chars.by_ref() {
        if char == '\n' {
            return;
        }
    }
}

fn skip_comment(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('/') => skip_line(chars),
        Some('*') => {
            chars.next();
            while let Some(char) = chars.next() {
                if char == '*' && chars.next_if_eq(&'/').is_some() {
                    return;
                }
            }
        }
        _ => {}
    }
}
