//! The totals of steps.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// How a step is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// One: it succeeds or fails as a whole.
    Itself,
    /// The tests that it reports in lines of `test result: …`.
    Tests,
}

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub passed: u64,
    pub failed: u64,
}

impl Total {
    /// The total of a step, from its tests' reports and whether it succeeded; and its faults other than failed tests.
    pub fn of(counts: Counts, reported: &Reported, succeeded: bool) -> (Self, Vec<String>) {
        let mut total = match counts {
            Counts::Itself => return (Self { passed: succeeded.into(), failed: (!succeeded).into() }, Vec::new()),
            Counts::Tests => Self { passed: reported.passed, failed: reported.failed },
        };
        let mut faults = Vec::new();
        if reported.ignored > 0 {
            total.failed += reported.ignored;
            faults.push(format!("ignored tests: {}; ignored tests count as failed", reported.ignored));
        }
        if !succeeded && total.failed == 0 {
            total.failed += 1;
            faults.push("it failed without a failed test; see its output above".to_owned());
        }
        if total == Self::default() {
            total.failed += 1;
            faults.push("no test ran".to_owned());
        }
        (total, faults)
    }

    pub fn summary(self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The results that test binaries report at their end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reported {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    /// The tests that failed, in the order of the reports.
    pub names: Vec<String>,
    /// The indented lines since the last `failures:`, by the prefix of each binary's lines.
    listed: BTreeMap<String, Vec<String>>,
}

impl Reported {
    /// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`; `None` for any other line.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("test result: ")?;
        let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        let before = |name: &str| words.windows(2).find(|pair| pair[1] == name)?[0].parse().ok();
        let (passed, failed, ignored) = (before("passed")?, before("failed")?, before("ignored")?);
        Some(Self { passed, failed, ignored, ..Self::default() })
    }

    /// Adds the results in this line, if it has any.
    pub fn read(&mut self, line: &str) {
        let Self { passed, failed, ignored, .. } = Self::parse(line).unwrap_or_default();
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        self.read_name(line);
    }

    /// A binary lists its failed tests just before its `test result: FAILED`, each on an indented line after `failures:`.
    /// Where several binaries print at once, each one's lines have a prefix of their own.
    fn read_name(&mut self, line: &str) {
        if let Some(binary) = line.strip_suffix("failures:") {
            self.listed.insert(binary.to_owned(), Vec::new());
        } else if let Some((binary, _)) = line.split_once("test result: ") {
            self.names.extend(self.listed.remove(binary).unwrap_or_default());
        } else {
            for (binary, listed) in &mut self.listed {
                let name = line.strip_prefix(binary).and_then(|line| line.strip_prefix(NAME_INDENT));
                listed.extend(name.map(str::to_owned));
            }
        }
    }
}

/// The indentation of a name in the list of failed tests.
const NAME_INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s";
        assert_eq!(Reported::parse(line), Some(Reported { passed: 12, failed: 3, ignored: 1, ..Reported::default() }));
        assert_eq!(Reported::parse(&format!("set 1: {line}")), Reported::parse(line));
        for other in ["test a ... ok", "running 3 tests", "test result: ok"] {
            assert_eq!(Reported::parse(other), None, "{other}");
        }
    }

    #[test]
    fn failed_tests_are_named_in_interleaved_output() {
        let lines = "set 1: test a ... FAILED
failures:
set 1: failures:

---- pages::one stdout ----
    an indented line that the test printed
set 1:     broker::killed

failures:
    pages::one
set 2: test result: ok. 1 passed; 0 failed; 0 ignored
    pages::two
set 1: test result: FAILED. 0 passed; 1 failed; 0 ignored
    cli::three

test result: FAILED. 5 passed; 3 failed; 0 ignored
    no test any more";
        let mut reported = Reported::default();
        lines.lines().for_each(|line| reported.read(line));
        assert_eq!(reported.names, ["broker::killed", "pages::one", "pages::two", "cli::three"]);
        assert_eq!((reported.passed, reported.failed), (6, 4));
    }

    #[test]
    fn step_without_passed_tests_fails() {
        let of = |reported, succeeded| Total::of(Counts::Tests, &reported, succeeded).0;
        let all_passed = Reported { passed: 2, ..Reported::default() };
        assert_eq!(of(all_passed, true), Total { passed: 2, failed: 0 });
        assert_eq!(of(Reported::default(), true), Total { passed: 0, failed: 1 });
        assert_eq!(of(Reported { passed: 2, ..Reported::default() }, false), Total { passed: 2, failed: 1 });
        assert_eq!(of(Reported { ignored: 2, ..Reported::default() }, true), Total { passed: 0, failed: 2 });
        assert_eq!(Total::of(Counts::Itself, &Reported::default(), true).0, Total { passed: 1, failed: 0 });
    }
}
