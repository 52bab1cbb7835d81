//! Which earlier versions a new one must agree with, and which way around. Names are Confluent's.

use super::name::VersionNumber;

/// What a schema promises to those who read and write by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compatibility {
    /// The new version reads what the last one wrote: upgrade readers first.
    Backward,
    /// The new version reads what any earlier one wrote.
    BackwardTransitive,
    /// The last version reads what the new one writes: upgrade writers first.
    Forward,
    /// Every earlier version reads what the new one writes.
    ForwardTransitive,
    /// Both ways with the last version: upgrade in any order.
    Full,
    /// Both ways with every earlier version.
    FullTransitive,
    /// Nothing is promised.
    None,
}

/// A text that is none of the seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "compatibility is BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL, \
     FULL_TRANSITIVE or NONE"
)]
pub struct InvalidCompatibility;

/// Which of the two is the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The new version reads what the earlier one wrote.
    NewReadsOld,
    /// The earlier version reads what the new one writes.
    OldReadsNew,
}

/// One comparison that a new version needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Check {
    /// The earlier version that it is compared with.
    pub against: VersionNumber,
    /// Which way around.
    pub direction: Direction,
}

impl Check {
    /// The reader's and the writer's, in this order.
    #[must_use]
    pub fn sides<T>(&self, new: T, old: T) -> (T, T) {
        match self.direction {
            Direction::NewReadsOld => (new, old),
            Direction::OldReadsNew => (old, new),
        }
    }
}

impl Compatibility {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
        Self::None,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
            Self::None => "NONE",
        }
    }

    /// The one that is written so.
    ///
    /// # Errors
    /// [`InvalidCompatibility`] if none is.
    pub fn parse(text: &str) -> Result<Self, InvalidCompatibility> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(InvalidCompatibility)
    }

    const fn directions(self) -> &'static [Direction] {
        match self {
            Self::Backward | Self::BackwardTransitive => &[Direction::NewReadsOld],
            Self::Forward | Self::ForwardTransitive => &[Direction::OldReadsNew],
            Self::Full | Self::FullTransitive => &[Direction::NewReadsOld, Direction::OldReadsNew],
            Self::None => &[],
        }
    }

    const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// The comparisons that a new version needs, the latest of the earlier versions first.
    ///
    /// `earlier` are the versions that count, in any order: those whose data somebody may still
    /// hold or read, which are the ones that are or have been active.
    #[must_use]
    pub fn checks(self, earlier: &[VersionNumber]) -> Vec<Check> {
        let mut earlier = earlier.to_vec();
        earlier.sort_unstable_by(|left, right| right.cmp(left));
        earlier.dedup();
        let count = if self.is_transitive() { earlier.len() } else { 1 };
        let one =
            |&against| self.directions().iter().map(move |&direction| Check { against, direction });
        earlier.iter().take(count).flat_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seven_names_are_confluents() {
        for mode in Compatibility::ALL {
            assert_eq!(Compatibility::parse(mode.as_str()), Ok(mode));
        }
        for wrong in ["", "backward", "BACKWARD ", "BACKWARDTRANSITIVE", "none", "FULL-TRANSITIVE"]
        {
            assert_eq!(Compatibility::parse(wrong), Err(InvalidCompatibility), "{wrong:?}");
        }
    }

    #[test]
    fn each_mode_asks_for_its_comparisons() -> Result<(), Box<dyn std::error::Error>> {
        let versions =
            [1, 4, 3].map(VersionNumber::new).into_iter().collect::<Result<Vec<_>, _>>()?;
        let plan = |mode: Compatibility| {
            let checks = mode.checks(&versions);
            let written = checks.iter().map(|check| {
                let (reader, writer) = check.sides("new".to_owned(), check.against.to_string());
                format!("{reader}<{writer}")
            });
            written.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(plan(Compatibility::None), "");
        assert_eq!(plan(Compatibility::Backward), "new<4");
        assert_eq!(plan(Compatibility::Forward), "4<new");
        assert_eq!(plan(Compatibility::Full), "new<4 4<new");
        assert_eq!(plan(Compatibility::BackwardTransitive), "new<4 new<3 new<1");
        assert_eq!(plan(Compatibility::ForwardTransitive), "4<new 3<new 1<new");
        assert_eq!(plan(Compatibility::FullTransitive), "new<4 4<new new<3 3<new new<1 1<new");
        for mode in Compatibility::ALL {
            assert_eq!(mode.checks(&[]), [], "the first version of a schema needs none");
        }
        Ok(())
    }
}
