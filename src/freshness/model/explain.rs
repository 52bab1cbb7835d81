//! A verdict in words, for a person.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Exclusions, Freshness, Mode, Policy, Rule, Seconds, Status, Target};

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Why this policy applies, of `matching` ones that are for the dataset.
#[must_use]
pub fn reason(policy: &Policy, matching: usize) -> String {
    let of = |what: &str| match matching {
        0 | 1 => format!("{what}: the only one that matches"),
        _ => format!("{what}: the most specific of {matching} that match"),
    };
    match &policy.target {
        Target::Dataset(_) if matching <= 1 => "the dataset's own policy".to_owned(),
        Target::Dataset(_) => of("the dataset's own policy"),
        Target::Selector(selector) => of(&format!("selector {selector}")),
    }
}

/// A verdict in one sentence.
#[must_use]
pub fn explanation(
    freshness: &Freshness,
    policy: Option<&Policy>,
    last_success_at: Option<DateTime<Utc>>,
) -> String {
    let Some(policy) = policy else {
        return "NOT_APPLICABLE: no policy is for this dataset.".to_owned();
    };
    if policy.mode == Mode::Inactive {
        return "NOT_APPLICABLE: the policy that applies is switched off.".to_owned();
    }
    let Some(success) = last_success_at else {
        return "UNKNOWN: no run has succeeded yet.".to_owned();
    };
    let status = freshness.status;
    let since = match (status, freshness.since) {
        (Status::Warn | Status::Stale, Some(since)) => format!(" since {}", text(since)),
        _ => String::new(),
    };
    let asked = match &policy.rule {
        Rule::MaxAge(_) => max_age(freshness, policy),
        Rule::Deadline(deadline) => match freshness.due_at {
            None => "no deadline is to come within 10 years".to_owned(),
            Some(due_at) => format!(
                "it covers the deadlines before {}, for which a success must not be earlier than {}{}",
                text(due_at),
                text(due_at - deadline.lower_bound().duration()),
                graces(policy),
            ),
        },
    };
    format!("{status}{since}: the last success was at {}; {asked}.", text(success))
}

fn max_age(freshness: &Freshness, policy: &Policy) -> String {
    let limit = |what: &str, after: Option<Seconds>, at: Option<DateTime<Utc>>| {
        let when = at.map_or_else(|| "never".to_owned(), |at| format!("after {}", text(at)));
        after.map(|after| format!("{what} {when}, at an age of more than {} s", after.get()))
    };
    let warn = limit("WARN", policy.rule.warn_after(), freshness.warn_at);
    let fail = limit("STALE", policy.rule.fail_after(), freshness.stale_at);
    let limits: Vec<_> = warn.into_iter().chain(fail).collect();
    let excludes = policy.exclusions != Exclusions::default();
    let without = if excludes { ", not counting excluded dates" } else { "" };
    format!("it is {}{without}", limits.join(", and "))
}

fn graces(policy: &Policy) -> String {
    let grace = |what: &str, after: Option<Seconds>| {
        after.map(|after| format!("{what} {} s after it", after.get()))
    };
    let (warn, fail) =
        (grace("WARN", policy.rule.warn_after()), grace("STALE", policy.rule.fail_after()));
    let graces: Vec<_> = warn.into_iter().chain(fail).collect();
    format!("; {}", graces.join(", "))
}
