//! The fields of a schema and where they are, as a walk of a format finds them, bounded.

/// The most bytes of the paths and places of one schema, about: names are repeated in the paths of all
/// that is in them.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Outline {
    /// Each field's path, and its type.
    pub(super) fields: Vec<(String, String)>,
    /// Where a comparison tells the differences of fields, each place with the field's path. What holds
    /// fields and is none has a place as well: the schema itself, with an empty path.
    pub(super) places: Vec<(String, String)>,
    /// Whether these are all fields.
    pub(super) is_whole: bool,
}

impl Outline {
    pub(super) const fn new() -> Self {
        Self { fields: Vec::new(), places: Vec::new(), is_whole: true }
    }
}
