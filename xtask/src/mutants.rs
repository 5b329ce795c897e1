//! `cargo xtask mutants`: is the checker worth anything? Builds servers with one fault of ours in each, and expects the
//! fault tests to find it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

use anyhow::{Context as _, bail, ensure};

use crate::services::{self, Services};
use crate::{command, faults};

/// A way to get it wrong.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// What is replaced; it must be there exactly once.
    find: &'static str,
    replace: &'static str,
    /// Where the tests are that are to find it.
    suite: Suite,
    /// Their names.
    tests: &'static [&'static str],
    /// What they must then complain of: one of these, whichever shows first.
    caught_by: &'static [&'static str],
}

/// Tests that a mutant is put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    /// The fault tests of a server by itself.
    Embedded,
    /// Those of a system that is scaled out.
    ScaledOut,
    /// Those of what stands behind the seams, in a test binary of this name.
    Backends(&'static str),
}

const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "answer before COMMIT",
        file: "crates/server/src/intake/recorder.rs",
        find: "            let recorded = self.record(&batch).await;
            let (outcomes, failure) = self.outcomes(recorded, batch.ballots.len());
            self.complete(&mut batch, &ends, outcomes);
",
        replace: "            let early = PendingBatch { ballots: batch.ballots.clone(), responders: Vec::new() };
            let count = batch.ballots.len();
            let recorded = Recorded {
                outcomes: vec![Outcome::Counted; count],
                tallies: vec![self.store.tallies(batch.ballots[0].poll).await.map_err(WriteFailure)?],
            };
            let (outcomes, failure) = self.outcomes(Ok(recorded), count);
            self.complete(&mut batch, &ends, outcomes);
            let _ = self.record(&early).await;
",
        suite: Suite::Embedded,
        tests: &["commit_path::one_commit", "kills"],
        // Nor does an answer before COMMIT have its own ballot in its result.
        caught_by: &["I1: acknowledged ballots are lost", "I5: "],
    },
    Mutant {
        name: "synchronous=NORMAL",
        file: "crates/backends/src/store/sqlite/open.rs",
        find: r#""synchronous", "FULL""#,
        replace: r#""synchronous", "NORMAL""#,
        suite: Suite::Embedded,
        tests: &["syncs"],
        caught_by: &["durability: "],
    },
    Mutant {
        name: "no unique key",
        file: "crates/backends/migrations/sqlite/0001_polls_and_ballots.sql",
        find: "    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (poll_id, key)
) STRICT, WITHOUT ROWID;",
        replace: "    accepted_at INTEGER NOT NULL
) STRICT;",
        suite: Suite::Embedded,
        tests: &["kills"],
        caught_by: &["I2: ballots are counted more than once"],
    },
    Mutant {
        name: "tallies outside the transaction",
        file: "crates/backends/src/store/sqlite/record.rs",
        find: "            tallies::add(writer, &change)?;",
        replace: r#"            writer.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            tallies::add(writer, &change)?;"#,
        suite: Suite::Embedded,
        tests: &["commit_path::one_commit", "backup"],
        caught_by: &["I4: "],
    },
    Mutant {
        name: "answer before confirm",
        file: "crates/server/src/intake/publish_loop.rs",
        find: "        let published = self.publisher.publish(&ballots).instrument(span).await;
",
        replace: "        let (publisher, early) = (Arc::clone(&self.publisher), ballots.clone());
        drop(tokio::spawn(async move { publisher.publish(&early).instrument(span).await }));
        let published: Result<(), QueueError> = Ok(());
",
        suite: Suite::ScaledOut,
        tests: &["broker::killed_under_load"],
        caught_by: &["were acknowledged, shown are"],
    },
    Mutant {
        name: "return ignored",
        file: "crates/backends/src/queue/rabbitmq/publisher_connection/unconfirmed_set.rs",
        find: "            (Some(reply_text), _) => Err(Unconfirmed::Returned(reply_text)),
",
        replace: "            (Some(reply_text), _) => {
                drop(Unconfirmed::Returned(reply_text));
                Ok(())
            }
",
        suite: Suite::ScaledOut,
        tests: &["broker::without_its_queue"],
        caught_by: &["were acknowledged, shown are"],
    },
    Mutant {
        name: "auto-ack",
        file: "crates/backends/src/queue/rabbitmq/subscription.rs",
        find: "(BasicConsumeOptions::default(), FieldTable::default())",
        replace: "(BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() }, FieldTable::default())",
        suite: Suite::ScaledOut,
        tests: &["worker::crashes_over_the_same_ballots"],
        caught_by: &["were acknowledged, shown are"],
    },
    Mutant {
        name: "giving up after 20 deliveries",
        file: "crates/backends/src/queue/rabbitmq/topology.rs",
        find: "const DELIVERIES_MAX: i64 = 1_000_000_000;",
        replace: "const DELIVERIES_MAX: i64 = 20;",
        suite: Suite::ScaledOut,
        tests: &["worker::crashes_over_the_same_ballots"],
        caught_by: &["were set aside", "were acknowledged, shown are"],
    },
    Mutant {
        name: "counting what was sent",
        file: "crates/backends/src/store/postgres/record.rs",
        find: "    let with = format!(\"inserted AS ({insert} RETURNING 1),\");
    let sql = tallies::add_statement(&with, \"WHERE (SELECT count(*) FROM inserted) > 0\", has_details);
",
        replace: "    let with = format!(\"inserted AS ({insert} ON CONFLICT DO NOTHING RETURNING 1),\");
    let sql = tallies::add_statement(&with, \"WHERE (SELECT count(*) FROM inserted) >= 0\", has_details);
",
        suite: Suite::ScaledOut,
        tests: &["worker::a_worker_stopped_under_load"],
        caught_by: &["voters are tallied", "were acknowledged"],
    },
    Mutant {
        name: "a cache that takes an older result",
        file: "crates/domain/src/cache.rs",
        find: "        (self.tallies.seq, self.as_of) > (other.tallies.seq, other.as_of)
",
        replace: "        (self.tallies.seq, self.as_of) != (other.tallies.seq, other.as_of)
",
        suite: Suite::Backends("memcached"),
        tests: &[],
        caught_by: &["test result: FAILED"],
    },
];

/// Which mutants are built.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Those of a system that is scaled out, which private servers are started for, instead of those of a server by itself
    #[arg(long)]
    scaled_out: bool,
}

/// Builds and tests the mutants; whether all were caught.
///
/// # Errors
/// If one can't be built, or no longer fits the sources.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?;
    let kinds = if options.scaled_out { services::unnamed(faults::ALL.to_vec()) } else { Vec::new() };
    let services = Services::start(kinds)?;
    let mut survivors = Vec::new();
    let mut table = String::new();
    for mutant in MUTANTS.iter().filter(|mutant| (mutant.suite != Suite::Embedded) == options.scaled_out) {
        let binary = build(root, mutant).with_context(|| format!("mutant \"{}\"", mutant.name))?;
        let mut tests = match mutant.suite {
            Suite::Embedded => faults::tests()?,
            Suite::ScaledOut => faults::scaled_out_tests()?,
            Suite::Backends(name) => tests_in_copy(root, name)?,
        };
        let output = tests.args(mutant.tests).env("THRONG_BIN", binary).envs(services.variables()).output()?;
        let complaint = complaint(&output, mutant);
        if complaint.is_none() {
            println!("{}", String::from_utf8_lossy(&output.stdout));
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            survivors.push(mutant.name);
        }
        let line = format!("{:<34} {}\n", mutant.name, complaint.as_deref().unwrap_or("SURVIVED"));
        eprint!("{line}");
        table.push_str(&line);
    }
    println!("{:<34} caught by\n{table}", "mutant");
    if !survivors.is_empty() {
        eprintln!("the fault tests don't catch: {}", survivors.join(", "));
    }
    Ok(survivors.is_empty())
}

/// The line by which a mutant was caught, if it was.
fn complaint(output: &Output, mutant: &Mutant) -> Option<String> {
    if output.status.success() {
        return None;
    }
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let names_it = |line: &&str| mutant.caught_by.iter().any(|complaint| line.contains(complaint));
    said.lines().find(names_it).map(|line| line.trim().to_owned())
}

/// Builds the server with the mutant's fault in it, in a copy of the sources. All mutants share the copy, so that each
/// compiles only what it changes.
fn build(root: &Path, mutant: &Mutant) -> anyhow::Result<PathBuf> {
    let tree = tree(root);
    copy_sources(root, &tree)?;
    fs::write(tree.join(mutant.file), mutated(&tree, mutant)?)?;
    let built = cargo_in(&tree)?.args(["build", "--quiet", "--package", "throng", "--bin", "throng"]).status()?;
    if !built.success() {
        bail!("it doesn't build: adapt it to the sources");
    }
    Ok(target(&tree).join("debug/throng"))
}

/// The file of the sources at `tree` that the mutant is about, with its fault.
fn mutated(tree: &Path, mutant: &Mutant) -> anyhow::Result<String> {
    let source =
        fs::read_to_string(tree.join(mutant.file)).with_context(|| format!("{} can't be read", mutant.file))?;
    let found = source.matches(mutant.find).count();
    ensure!(found == 1, "its text is {found} times in {}, not once: adapt it to the sources", mutant.file);
    Ok(source.replace(mutant.find, mutant.replace))
}

/// Where the copy of the sources is.
fn tree(root: &Path) -> PathBuf {
    root.join("target/mutants/tree")
}

/// Where its binaries go.
fn target(tree: &Path) -> PathBuf {
    tree.with_file_name("target")
}

/// Cargo in the copy of the sources. It takes the dependencies as they were built for the tree itself. Of the tree's own
/// crates it must have others: cargo tells crates apart by where they are in their workspace, which is the same in the
/// copy, and would take a mutant for what the tree is built from. So a mutant's are of another profile.
fn cargo_in(tree: &Path) -> anyhow::Result<Command> {
    let metadata = command::metadata()?;
    let shared = metadata["build_directory"].as_str().context("`cargo metadata` names no build directory")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(tree).env("CARGO_BUILD_BUILD_DIR", shared).env("CARGO_TARGET_DIR", target(tree));
    for part in ["throng", "throng-backends", "throng-domain", "throng-loadgen", "throng-testkit"] {
        cargo.args(["--config", &format!("profile.dev.package.{part}.debug=false")]);
    }
    Ok(cargo)
}

/// A test binary of the backends, from the copy of the sources as it is now.
fn tests_in_copy(root: &Path, name: &str) -> anyhow::Result<Command> {
    let mut cargo = cargo_in(&tree(root))?;
    cargo.args(["test", "--quiet", "--package", "throng-backends", "--test", name]);
    Ok(cargo)
}

/// Makes `tree` what the working tree is, writing only what differs: what is unchanged isn't compiled again.
fn copy_sources(root: &Path, tree: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git can't be run")?;
    ensure!(listed.status.success(), "git can't list the sources");
    let names = String::from_utf8(listed.stdout)?;
    let mut kept = BTreeSet::new();
    for name in names.split_terminator('\0') {
        let (from, to) = (root.join(name), tree.join(name));
        // Deleted, but not yet in git.
        if !from.is_file() {
            continue;
        }
        let content = fs::read(&from)?;
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::create_dir_all(to.parent().context("a file has a directory")?)?;
            fs::write(&to, content)?;
        }
        kept.insert(to);
    }
    Ok(remove_others(tree, &kept)?)
}

/// Removes every file below `directory` that isn't `kept`: it was renamed or deleted in the sources.
fn remove_others(directory: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), kept)?;
        } else if !kept.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noticed at once, and not only where the mutants are built.
    #[test]
    fn mutants_fit_the_sources() {
        for mutant in &MUTANTS {
            mutated(&command::root(), mutant).unwrap_or_else(|error| panic!("{}: {error:#}", mutant.name));
        }
    }
}
