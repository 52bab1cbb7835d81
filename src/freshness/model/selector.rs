//! For which datasets a policy is, and which of several applies.
//!
//! A dataset's own policy comes before all others; then those for a domain and tags, those for tags
//! alone, and those for a domain alone; of those with tags, the ones with more tags come first; and
//! of two alike the one that was set first, which has the smaller id.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    dataset::model::{Domain, Tags},
    error::{Error, Result},
};

/// All datasets of a domain, of tags (all of them), or of both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Selector {
    domain: Option<String>,
    tags: Vec<String>,
}

impl Selector {
    /// A selector.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `selector`, or at what is no domain or tag.
    pub fn parse(domain: Option<String>, tags: Vec<String>) -> Result<Self> {
        let domain = domain.map(Domain::parse).transpose()?;
        let domain = domain.map(|domain| domain.as_str().to_owned());
        let tags = Tags::parse(tags)?.into_vec();
        if domain.is_none() && tags.is_empty() {
            return Err(Error::bad_input("selector", "needs a domain, tags, or both"));
        }
        Ok(Self { domain, tags })
    }

    /// The domain, if it matters.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The tags that a dataset must have, all of them; sorted.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Whether a dataset is one of these.
    #[must_use]
    pub fn matches(&self, domain: Option<&str>, tags: &[String]) -> bool {
        self.domain().is_none_or(|wanted| domain == Some(wanted))
            && self.tags.iter().all(|tag| tags.contains(tag))
    }

    /// The smaller, the earlier it is asked.
    fn precedence(&self) -> impl Ord {
        let kind = match (&self.domain, self.tags.is_empty()) {
            (Some(_), false) => 0,
            (None, false) => 1,
            (Some(_) | None, true) => 2,
        };
        (kind, Reverse(self.tags.len()))
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.domain, self.tags.join(", ")) {
            (Some(domain), tags) if tags.is_empty() => write!(formatter, "domain {domain}"),
            (Some(domain), tags) => write!(formatter, "domain {domain} and tags [{tags}]"),
            (None, tags) => write!(formatter, "tags [{tags}]"),
        }
    }
}

/// A version of a policy, as it is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyKey {
    /// The policy.
    pub policy_id: Uuid,
    /// Its version.
    pub version: i32,
}

/// The selector policies of a tenant, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Selectors(Vec<(Selector, PolicyKey)>);

impl Selectors {
    /// Puts policies in order.
    #[must_use]
    pub fn new(mut policies: Vec<(Selector, PolicyKey)>) -> Self {
        policies.sort_by(|(one, one_key), (other, other_key)| {
            (one.precedence(), one_key.policy_id).cmp(&(other.precedence(), other_key.policy_id))
        });
        Self(policies)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The policy that applies to a dataset, and how many are for it, its own included.
    #[must_use]
    pub fn applying(
        &self,
        own: Option<PolicyKey>,
        domain: Option<&str>,
        tags: &[String],
    ) -> (Option<PolicyKey>, usize) {
        let mut matching = self
            .0
            .iter()
            .filter(|(selector, _)| selector.matches(domain, tags))
            .map(|(_, key)| *key);
        let best = own.or_else(|| matching.next());
        (best, usize::from(best.is_some()) + matching.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(domain: Option<&str>, tags: &[&str]) -> Selector {
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        Selector::parse(domain.map(str::to_owned), tags).unwrap()
    }

    fn key(id: u128) -> PolicyKey {
        PolicyKey { policy_id: Uuid::from_u128(id), version: 1 }
    }

    #[test]
    fn the_most_specific_one_applies() {
        // In the order in which they shall apply, each with an id that would say otherwise.
        let order = [
            selector(Some("sales"), &["a", "b"]),
            selector(Some("sales"), &["a"]),
            selector(None, &["a", "b", "c"]),
            selector(None, &["a", "b"]),
            selector(None, &["b"]),
            selector(Some("sales"), &[]),
        ];
        let tags = ["a", "b", "c"].map(str::to_owned);
        for first in 0..order.len() {
            let left = order.iter().enumerate().skip(first);
            let left = left.map(|(at, of)| (of.clone(), key(100 - at as u128))).collect();
            let (applying, matching) = Selectors::new(left).applying(None, Some("sales"), &tags);
            assert_eq!(applying, Some(key(100 - first as u128)));
            assert_eq!(matching, order.len() - first);
        }
        let all = order.iter().map(|of| (of.clone(), key(9))).collect();
        assert_eq!(
            Selectors::new(all).applying(Some(key(1)), Some("sales"), &tags),
            (Some(key(1)), 7)
        );
    }

    #[test]
    fn of_two_alike_the_one_that_was_set_first_applies() {
        let alike = vec![(selector(None, &["b"]), key(2)), (selector(None, &["a"]), key(1))];
        let tags = ["a", "b"].map(str::to_owned);
        assert_eq!(Selectors::new(alike).applying(None, None, &tags), (Some(key(1)), 2));
    }

    #[test]
    fn all_tags_and_the_domain_must_be_there() {
        let both = selector(Some("sales"), &["a", "b"]);
        let tags = ["a", "b", "c"].map(str::to_owned);
        assert!(both.matches(Some("sales"), &tags));
        assert!(!both.matches(Some("sales"), &tags[1..]));
        assert!(!both.matches(Some("billing"), &tags));
        assert!(!both.matches(None, &tags));
        assert!(Selector::parse(None, vec![]).is_err());
        assert_eq!(both.to_string(), "domain sales and tags [a, b]");
    }
}
