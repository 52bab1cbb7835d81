//! What people say about a dataset: owners, domain, tags, aliases, description.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use super::DatasetName;
use crate::error::{Error, Result};

/// The most owners of a dataset.
pub const MAX_OWNERS: usize = 16;
/// The longest owner, in characters.
pub const MAX_OWNER_CHARS: usize = 128;
/// The most tags of a dataset.
pub const MAX_TAGS: usize = 32;
/// The longest tag or domain, in characters.
pub const MAX_LABEL_CHARS: usize = 63;
/// The most aliases of a dataset.
pub const MAX_ALIASES: usize = 16;
/// The longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 4_096;

/// What to do with a field that may be empty.
#[derive(Debug, Clone, Default)]
pub struct Field<T> {
    /// Its new value.
    pub set: Option<T>,
    /// Whether to empty it.
    pub clear: bool,
}

impl<T> Field<T> {
    /// What becomes of the field `name`, which holds `now`.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] if it is both given and to be emptied.
    pub fn apply(self, name: &'static str, now: Option<T>) -> Result<Option<T>> {
        match (self.set, self.clear) {
            (Some(_), true) => Err(Error::bad_input(name, "is both given and to be cleared")),
            (None, true) => Ok(None),
            (Some(new), false) => Ok(Some(new)),
            (None, false) => Ok(now),
        }
    }
}

/// Who answers for a dataset, the first one first; opaque to this service. No owner twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners(Vec<String>);

impl Owners {
    /// Owners in the order given; a repeated one counts once.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `owners` or `owners.<index>`.
    pub fn parse(owners: Vec<String>) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for (index, owner) in owners.into_iter().enumerate() {
            let problem = if owner.trim().is_empty() {
                "must not be blank"
            } else if owner.chars().count() > MAX_OWNER_CHARS {
                "must not exceed 128 characters"
            } else if owner.chars().any(char::is_control) {
                "must not contain control characters"
            } else {
                if seen.insert(owner.clone()) {
                    kept.push(owner);
                }
                continue;
            };
            return Err(Error::bad_input(format!("owners.{index}"), problem));
        }
        at_most("owners", kept.len(), MAX_OWNERS)?;
        Ok(Self(kept))
    }

    /// The owners, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The owners, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// The business domain a dataset belongs to: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// A domain.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `domain`.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        check_label("domain", &text)?;
        Ok(Self(text))
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A set of tags, sorted, each `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(Vec<String>);

impl Tags {
    /// Tags in any order; a repeated one counts once.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `tags` or `tags.<index>`.
    pub fn parse(tags: Vec<String>) -> Result<Self> {
        for (index, tag) in tags.iter().enumerate() {
            check_label(&format!("tags.{index}"), tag)?;
        }
        let tags: BTreeSet<_> = tags.into_iter().collect();
        at_most("tags", tags.len(), MAX_TAGS)?;
        Ok(Self(tags.into_iter().collect()))
    }

    /// The tags, sorted.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The tags, sorted.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Other names of a dataset, sorted; its own name is never among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(Vec<DatasetName>);

impl Aliases {
    /// The aliases of `dataset`, in any order; a repeated one counts once.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `aliases` or `aliases.<index>`.
    pub fn parse(aliases: Vec<DatasetName>, dataset: &DatasetName) -> Result<Self> {
        if let Some(index) = aliases.iter().position(|alias| alias == dataset) {
            return Err(Error::bad_input(format!("aliases.{index}"), "is the dataset's own name"));
        }
        let aliases: BTreeSet<_> = aliases.into_iter().collect();
        at_most("aliases", aliases.len(), MAX_ALIASES)?;
        Ok(Self(aliases.into_iter().collect()))
    }

    /// The aliases, sorted.
    #[must_use]
    pub fn as_slice(&self) -> &[DatasetName] {
        &self.0
    }
}

/// What a dataset is, in words for a person; line breaks and tabs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// A description. To have none is another thing than to have a blank one, which is refused.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `description`.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        let problem = if text.trim().is_empty() {
            "must not be blank; leave it out instead"
        } else if text.chars().count() > MAX_DESCRIPTION_CHARS {
            "must not exceed 4096 characters"
        } else if !text.chars().all(allowed) {
            "must not contain control characters other than line breaks and tabs"
        } else {
            return Ok(Self(text));
        };
        Err(Error::bad_input("description", problem))
    }

    /// The description as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a text filter searches in: look there for what [`normalised`] makes of the text asked for.
/// The parts stand on lines of their own, so that no word matches across two of them.
#[must_use]
pub fn search_text(dataset: &DatasetName, description: Option<&Description>) -> String {
    let description = description.map_or("", Description::as_str);
    [normalised(dataset.namespace()), normalised(dataset.name()), normalised(description)]
        .join("\n")
}

/// Text as it is compared in a search: compatibility forms (NFKC) in lower case.
#[must_use]
pub fn normalised(text: &str) -> String {
    // Lower case can leave the normal form (İ), hence the second pass.
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

fn check_label(field: &str, text: &str) -> Result<()> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = (1..=MAX_LABEL_CHARS).contains(&text.len())
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-'));
    if valid {
        return Ok(());
    }
    Err(Error::bad_input(
        field.to_owned(),
        "must be 1 to 63 characters of a-z, 0-9, '.', '_' and '-', and start with a letter or digit",
    ))
}

fn at_most(limit: &'static str, count: usize, maximum: usize) -> Result<()> {
    if count <= maximum {
        return Ok(());
    }
    Err(Error::bad_input(limit, format!("must not be more than {maximum}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("x{number}")).collect()
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn labels_are_a_whitelist() {
        for good in ["a", "0", "finance.eu-1_x", &"a".repeat(63)] {
            assert!(Domain::parse(good).is_ok(), "{good}");
            assert!(Tags::parse(vec![good.to_owned()]).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "_a", "A", "a b", "é", "a/b", "a\n", &"a".repeat(64)] {
            assert!(Domain::parse(bad).is_err(), "{bad}");
            assert!(Tags::parse(vec![bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_of_distinct_values() {
        assert!(Tags::parse(numbered(MAX_TAGS)).is_ok());
        assert!(Tags::parse(numbered(MAX_TAGS + 1)).is_err());
        assert!(Owners::parse(numbered(MAX_OWNERS)).is_ok());
        assert!(Owners::parse(numbered(MAX_OWNERS + 1)).is_err());
        assert_eq!(Tags::parse(texts(&["b", "a", "b"])).unwrap().as_slice(), ["a", "b"]);
        assert_eq!(Owners::parse(texts(&["b", "a", "b"])).unwrap().as_slice(), ["b", "a"]);
    }

    #[test]
    fn owners_are_opaque_but_printable() {
        assert!(Owners::parse(vec!["é".repeat(MAX_OWNER_CHARS)]).is_ok());
        for bad in ["", "  ", "a\0", &"é".repeat(MAX_OWNER_CHARS + 1)] {
            assert!(Owners::parse(vec![bad.to_owned()]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_alias_is_another_name() {
        let name = |text: &str| DatasetName::parse("ns", text).unwrap();
        assert!(Aliases::parse(vec![name("a")], &name("a")).is_err());
        let aliases = Aliases::parse(vec![name("c"), name("b"), name("c")], &name("a")).unwrap();
        assert_eq!(aliases.as_slice(), [name("b"), name("c")]);
        let many = |count: usize| (0..count).map(|number| name(&number.to_string())).collect();
        assert!(Aliases::parse(many(MAX_ALIASES), &name("a")).is_ok());
        assert!(Aliases::parse(many(MAX_ALIASES + 1), &name("a")).is_err());
    }

    #[test]
    fn a_description_is_text_for_a_person() {
        assert!(Description::parse("one\r\n\ttwo").is_ok());
        assert!(Description::parse("é".repeat(MAX_DESCRIPTION_CHARS)).is_ok());
        for bad in ["", " \n", "a\0", "a\u{1b}[31m", &"é".repeat(MAX_DESCRIPTION_CHARS + 1)] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn search_folds_case_and_compatibility_forms() {
        let name = DatasetName::parse("S3://Bücket", "ＯＲＤＥＲＳ").unwrap();
        let text = search_text(&name, Some(&Description::parse("The ﬁnal İ").unwrap()));
        assert_eq!(text, "s3://bücket\norders\nthe final i\u{307}");
        assert!(text.contains(&normalised("Bu\u{308}cket")));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(text in "\\PC{0,30}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
