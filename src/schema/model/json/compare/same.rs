//! Whether two nodes say the same, references followed.

use std::collections::HashMap;

use super::super::super::verdict::Exhausted;
use super::{Part, Walk};

impl Walk<'_> {
    /// Digests tell for everything but references; those are followed, each pair once. Without
    /// recursion, for chains of references may be long.
    pub(super) fn is_same(&mut self, one: Part, other: Part) -> Result<bool, Exhausted> {
        if one == other {
            return Ok(true);
        }
        match (self.part(one), self.part(other)) {
            (Some(left), Some(right)) if left.digest == right.digest => {
                if !left.refers {
                    return Ok(true);
                }
            }
            _ => return Ok(false),
        }
        if let Some(known) = self.same.get(&(one, other)) {
            return Ok(*known);
        }
        // Each pair with the one that led to it.
        let mut seen = HashMap::new();
        let mut left = vec![((one, other), None)];
        while let Some((pair, from)) = left.pop() {
            self.budget.step()?;
            let (one, other) = pair;
            let known = self.same.get(&pair).copied();
            if one == other || known == Some(true) || seen.contains_key(&pair) {
                continue;
            }
            seen.insert(pair, from);
            match (self.part(one), self.part(other)) {
                (Some(mine), Some(theirs)) if known.is_none() && mine.digest == theirs.digest => {
                    let pairs = mine.children.iter().zip(&theirs.children);
                    let pairs = pairs.chain(mine.reference.iter().zip(&theirs.reference));
                    if mine.refers {
                        left.extend(pairs.map(|(mine, theirs)| {
                            let next = (Part { id: *mine, ..one }, Part { id: *theirs, ..other });
                            (next, Some(pair))
                        }));
                    }
                }
                _ => {
                    // Nor is any that led here.
                    let mut differing = Some(pair);
                    while let Some(pair) = differing {
                        self.same.insert(pair, false);
                        differing = seen.get(&pair).copied().flatten();
                    }
                    return Ok(false);
                }
            }
        }
        self.same.extend(seen.into_keys().map(|pair| (pair, true)));
        Ok(true)
    }
}
