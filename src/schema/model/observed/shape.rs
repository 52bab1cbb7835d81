//! What a schema or a run says of values, as far as the two can be compared.

use std::{borrow::Cow, collections::HashMap};

crate::wire::wire_enum! {
    /// The families of types. What one system calls `VARCHAR(255)` and another `string` is one.
    pub enum Family {
        /// Text, identifiers and names of few.
        String = "STRING",
        /// Whole numbers of any size.
        Integer = "INTEGER",
        /// Floating-point numbers.
        Float = "FLOAT",
        /// Exact decimal numbers.
        Decimal = "DECIMAL",
        /// True or false.
        Boolean = "BOOLEAN",
        /// Bytes.
        Bytes = "BYTES",
        /// Days.
        Date = "DATE",
        /// Times of a day.
        Time = "TIME",
        /// Instants, and days with times.
        Timestamp = "TIMESTAMP",
        /// Named fields.
        Record = "RECORD",
        /// Values one after another.
        Array = "ARRAY",
        /// Values by key.
        Map = "MAP",
        /// It was not said, or nobody knows the word: it agrees with everything.
        Unknown = "UNKNOWN",
    }
}

/// The most shapes within one.
pub const MAX_SHAPES: u64 = 20_000;
/// How deep they may be.
pub const MAX_DEPTH: usize = 40;
/// The longest name that counts, in bytes.
pub const MAX_NAME: usize = 512;

/// What is said of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape<'a> {
    /// It is of one of these; the first is what is meant if nothing speaks for another.
    pub families: Vec<Family>,
    /// Of a record, each once, in their order; `None` if it is not said what is in it.
    pub members: Option<Vec<Member<'a>>>,
    /// Of an array's items or a map's values, if it is said.
    pub item: Option<Box<Self>>,
    /// The type in the words of whoever reported it.
    pub words: &'a str,
    /// What it is for.
    pub description: &'a str,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: Cow<'a, str>,
    pub shape: Shape<'a>,
}

impl<'a> Shape<'a> {
    pub fn of(families: &[Family]) -> Self {
        let families = families.to_vec();
        Self { families, members: None, item: None, words: "", description: "" }
    }

    pub fn unknown() -> Self {
        Self::of(&[Family::Unknown])
    }

    pub fn record(members: Vec<Member<'a>>) -> Self {
        Self { members: Some(members), ..Self::of(&[Family::Record]) }
    }

    pub fn array(item: Self) -> Self {
        Self { item: Some(Box::new(item)), ..Self::of(&[Family::Array]) }
    }

    pub fn map(value: Self) -> Self {
        Self { item: Some(Box::new(value)), ..Self::of(&[Family::Map]) }
    }

    /// Lets through what any of these does. Members of the same name become one.
    pub fn any(mut shapes: Vec<Self>) -> Self {
        if shapes.len() == 1
            && let Some(one) = shapes.pop()
        {
            return one;
        }
        let (mut any, mut items) = (Self::of(&[]), Vec::new());
        let mut members: Option<Vec<(Cow<'a, str>, Vec<Self>)>> = None;
        let mut known: HashMap<Cow<'a, str>, usize> = HashMap::new();
        for shape in shapes {
            for family in shape.families {
                if !any.families.contains(&family) {
                    any.families.push(family);
                }
            }
            items.extend(shape.item.map(|item| *item));
            let Some(more) = shape.members else { continue };
            let members = members.get_or_insert_default();
            for Member { name, shape } in more {
                let index = *known.entry(name.clone()).or_insert(members.len());
                match members.get_mut(index) {
                    Some((_, shapes)) => shapes.push(shape),
                    None => members.push((name, vec![shape])),
                }
            }
        }
        any.item = (!items.is_empty()).then(|| Box::new(Self::any(items)));
        let member = |(name, shapes)| Member { name, shape: Self::any(shapes) };
        any.members = members.map(|members| members.into_iter().map(member).collect());
        any
    }

    /// Whether a value may be of both.
    pub fn agrees(&self, other: &Self) -> bool {
        let is_open =
            |shape: &Self| shape.families.is_empty() || shape.families.contains(&Family::Unknown);
        is_open(self)
            || is_open(other)
            || self.families.iter().any(|family| other.families.contains(family))
    }

    /// The one that is meant if nothing speaks for another.
    pub fn family(&self) -> Family {
        self.families.first().copied().unwrap_or(Family::Unknown)
    }

    /// For people.
    pub fn text(&self) -> String {
        let families = self.families.iter().map(|family| family.as_str()).collect::<Vec<_>>();
        match families.join(" or ") {
            families if families.is_empty() => Family::Unknown.as_str().to_owned(),
            families => families,
        }
    }
}
