//! What a comparison has found so far, bounded.

use super::verdict::{Comparison, Difference, Verdict};

/// The most differences of each verdict that are told, so that notes never hide what is worse.
pub(super) const MAX_OF_A_VERDICT: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Differences {
    found: Vec<Difference>,
    told: [usize; 3],
}

impl Differences {
    pub(super) fn tell(
        &mut self,
        path: &str,
        rule: &'static str,
        verdict: Verdict,
        message: String,
    ) {
        let [compatible, unknown, incompatible] = &mut self.told;
        let told = match verdict {
            Verdict::Compatible => compatible,
            Verdict::Unknown => unknown,
            Verdict::Incompatible => incompatible,
        };
        *told = told.saturating_add(1);
        let (path, rule, message) = match *told {
            0..=MAX_OF_A_VERDICT => (path, rule, message),
            // Once for each verdict, and no worse than what it stands for.
            count if count == MAX_OF_A_VERDICT + 1 => {
                let verdict = verdict.as_str();
                let message = format!("there are more than {MAX_OF_A_VERDICT} that are {verdict}");
                ("", "TOO_MANY_DIFFERENCES", message)
            }
            _ => return,
        };
        self.found.push(Difference { path: path.to_owned(), rule, message, verdict });
    }

    pub(super) fn note(&mut self, path: &str, rule: &'static str, message: String) {
        self.tell(path, rule, Verdict::Compatible, message);
    }

    /// The comparison was not finished.
    pub(super) fn too_much_work(&mut self) {
        let message = "takes more work to compare than may be done".to_owned();
        self.tell("", "TOO_MUCH_WORK", Verdict::Unknown, message);
    }
}

/// In order, each once.
impl From<Differences> for Comparison {
    fn from(Differences { mut found, .. }: Differences) -> Self {
        found.sort();
        found.dedup();
        Self { differences: found }
    }
}
