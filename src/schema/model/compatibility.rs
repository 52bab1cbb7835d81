//! Which earlier versions a new one must agree with, and which way around. Names are Confluent's.

use super::name::VersionNumber;

crate::wire::wire_enum! {
    /// What a schema promises to those who read and write by it.
    pub enum Compatibility {
        /// The new version reads what the last one wrote: upgrade readers first.
        Backward = "BACKWARD",
        /// The new version reads what any earlier one wrote.
        BackwardTransitive = "BACKWARD_TRANSITIVE",
        /// The last version reads what the new one writes: upgrade writers first.
        Forward = "FORWARD",
        /// Every earlier version reads what the new one writes.
        ForwardTransitive = "FORWARD_TRANSITIVE",
        /// Both ways with the last version: upgrade in any order.
        Full = "FULL",
        /// Both ways with every earlier version.
        FullTransitive = "FULL_TRANSITIVE",
        /// Nothing is promised.
        None = "NONE",
    }
}

crate::wire::wire_enum! {
    /// What an approver may override of a promise, with a reason.
    pub enum Policy {
        /// Only that it cannot be told whether it is kept.
        Strict = "STRICT",
        /// Also that it is broken.
        Lenient = "LENIENT",
    }
}

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
            assert_eq!(mode.as_str().parse(), Ok(*mode));
        }
        for wrong in ["", "backward", "BACKWARD ", "BACKWARDTRANSITIVE", "none", "FULL-TRANSITIVE"]
        {
            assert!(wrong.parse::<Compatibility>().is_err(), "{wrong:?}");
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
