//! The report that ends a comparison: what was compared, what was not and why, what differs, and which
//! differences are known and have a reason. Exit status 1 when a difference has none.

use std::collections::BTreeMap;

use super::Outcome;

/// One thing that the two sides say differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// What was compared: a path, or a path and an aspect of it.
    pub(crate) subject: String,
    /// What the reference says: the loader, the server, the other reader.
    pub(crate) expected: String,
    /// What pgsym says.
    pub(crate) found: String,
}

/// A class of differences that is known, and why it is not pgsym's fault or cannot be changed.
pub(crate) struct Exception {
    /// Whether a difference belongs to the class.
    pub(crate) applies: fn(&Difference) -> bool,
    /// Why; printed beside the number of differences that it covers.
    pub(crate) reason: &'static str,
}

/// What a comparison found, as it grows.
#[derive(Default)]
pub(crate) struct Report {
    title: String,
    compared: BTreeMap<String, usize>,
    not_run: BTreeMap<String, usize>,
    differences: Vec<Difference>,
}

/// Differences printed in full; the rest is counted.
const SHOWN: usize = 40;

impl Report {
    /// An empty report of the comparison `title`.
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// Counts `count` compared things of a kind (`files`, `bindings`).
    pub(crate) fn compared(&mut self, kind: &str, count: usize) {
        *self.compared.entry(kind.to_owned()).or_default() += count;
    }

    /// Counts `count` things that could not be compared, with the reason.
    pub(crate) fn not_run(&mut self, reason: &str, count: usize) {
        *self.not_run.entry(reason.to_owned()).or_default() += count;
    }

    /// Adds a difference.
    pub(crate) fn differs(&mut self, difference: Difference) {
        self.differences.push(difference);
    }

    /// Adds a difference unless the two texts are the same.
    pub(crate) fn same(&mut self, subject: &str, expected: &str, found: &str) {
        if expected != found {
            self.differs(Difference {
                subject: subject.to_owned(),
                expected: expected.to_owned(),
                found: found.to_owned(),
            });
        }
    }

    /// Takes over what another report of the same comparison has.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (kind, count) in other.compared {
            self.compared(&kind, count);
        }
        for (reason, count) in other.not_run {
            self.not_run(&reason, count);
        }
        self.differences.extend(other.differences);
    }

    /// Prints the report and says how the command ends.
    ///
    /// A comparison of nothing is bad: it proves nothing.
    pub(crate) fn finish(mut self, exceptions: &[Exception]) -> Outcome {
        self.differences.sort();
        let mut covered = vec![0_usize; exceptions.len()];
        let mut open = Vec::new();
        for difference in &self.differences {
            match exceptions.iter().position(|exception| (exception.applies)(difference)) {
                Some(found) => {
                    if let Some(count) = covered.get_mut(found) {
                        *count += 1;
                    }
                }
                None => open.push(difference),
            }
        }
        println!("{}", self.title);
        for (kind, count) in &self.compared {
            println!("  compared: {count} {kind}");
        }
        for (reason, count) in &self.not_run {
            println!("  not run: {count} ({reason})");
        }
        for (exception, count) in exceptions.iter().zip(&covered) {
            println!("  excepted: {count} ({})", exception.reason);
        }
        println!("  differences: {}", open.len());
        for difference in open.iter().take(SHOWN) {
            println!("  - {}", difference.subject);
            print_side("expected", &difference.expected);
            print_side("found", &difference.found);
        }
        if open.len() > SHOWN {
            println!("  … and {} more", open.len() - SHOWN);
        }
        let nothing = self.compared.values().all(|count| *count == 0);
        if nothing {
            println!("  nothing was compared");
        }
        if open.is_empty() && !nothing { Outcome::Good } else { Outcome::Bad }
    }
}

/// Prints one side of a difference, its further lines below the first.
fn print_side(name: &str, text: &str) {
    let mut lines = text.lines();
    println!("      {name:<9} {}", lines.next().unwrap_or(""));
    for line in lines {
        println!("      {:<9} {line}", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_with_difference() -> Report {
        let mut report = Report::new("a comparison");
        report.compared("files", 2);
        report.same("a.so", "1", "1");
        report.same("b.so", "1", "2");
        report
    }

    #[test]
    fn a_difference_without_a_reason_is_bad() {
        assert_eq!(report_with_difference().finish(&[]), Outcome::Bad);
    }

    #[test]
    fn a_difference_with_a_reason_is_good() {
        let known = Exception { applies: |difference| difference.subject == "b.so", reason: "known" };
        assert_eq!(report_with_difference().finish(&[known]), Outcome::Good);
    }

    #[test]
    fn comparing_nothing_is_bad() {
        let mut report = Report::new("a comparison");
        report.not_run("no loader here", 3);
        assert_eq!(report.finish(&[]), Outcome::Bad);
    }
}
