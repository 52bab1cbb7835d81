//! What a comparison of two schemas comes to.

use std::fmt;

crate::wire::wire_enum! {
    /// Whether data written with one schema can be read with another.
    pub enum Verdict {
        /// Every value that the writer's schema accepts can be read.
        Compatible = "COMPATIBLE",
        /// It cannot be told.
        Unknown = "UNKNOWN",
        /// Some value cannot be read.
        Incompatible = "INCOMPATIBLE",
    }
}

/// One thing that differs between a reader's schema and a writer's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// Where: a JSON pointer into the reader's schema (Avro, JSON Schema), or the full name of an
    /// element with its number (Protobuf: `package.Message.field(3)`).
    pub path: String,
    /// What kind of difference: `UPPER_SNAKE_CASE`, of a closed list per format.
    pub rule: &'static str,
    /// What it means for whoever reads, in one sentence with both sides' values.
    pub message: String,
    /// What it alone makes of the verdict. One that is `Compatible` is told as a note.
    pub verdict: Verdict,
}

/// What a comparison comes to: the worst of its differences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What differs, in order of the path.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// The worst.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.differences.iter().map(|difference| difference.verdict);
        verdicts.max().unwrap_or(Verdict::Compatible)
    }
}

/// Why a text is no schema of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer, or `line:column` of a text that is no JSON.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => formatter.write_str(&self.message),
            path => write!(formatter, "{path}: {}", self.message),
        }
    }
}

/// Work that may be done, counted and not timed, so that the same input always ends the same way.
#[derive(Debug, Clone)]
pub struct Budget {
    left: u64,
}

/// There was more to do than may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// So many steps.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Exhausted`] if none is left.
    pub fn step(&mut self) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }
}
